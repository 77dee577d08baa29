//! Answers of the PBX: whatever comes, either a bounded record or a counted malformed row, and no error quotes it.
#![no_main]

use std::time::Duration;

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use ringback::event::Record;
use ringback::pbx::{Page, PbxError, wire};
use ringback::private::{PersonName, PhoneNumber};
use ringback::store::codec;
use ringback::track::{self, Rules};

/// In the dictionary, so that many answers hold it, as those of the vendor do that refuse a key.
const KEY: &str = "K12345678SECRET";

const RULES: Rules = Rules {
    grace: Duration::from_secs(60),
    min_wait: Duration::ZERO,
    max_age: Duration::from_secs(86_400),
    follow_up: Duration::from_secs(86_400),
};

fn now() -> Timestamp {
    Timestamp::from_second(1_795_324_200).unwrap()
}

fn bounded(text: Option<&str>, max_chars: usize) {
    let Some(text) = text else { return };
    assert!(!text.is_empty() && !text.contains(char::is_control) && text.chars().count() <= max_chars, "{text:?}");
}

fn number(number: Option<&PhoneNumber>) {
    bounded(number.map(|number| number.expose().raw.as_str()), 64);
    bounded(number.map(|number| number.expose().display.as_str()), 64);
}

fn record(record: &Record) {
    bounded(Some(&record.uuid), 64);
    bounded(record.return_uuid.as_deref(), 64);
    assert_ne!(record.return_uuid.as_ref(), Some(&record.uuid), "a call is not returned by itself");
    bounded(record.caller.name.as_ref().map(PersonName::expose), 100);
    bounded(record.called.name.as_ref().map(PersonName::expose), 100);
    number(record.caller.number.as_ref());
    number(record.called.number.as_ref());
    for text in [&record.called.extension, &record.called.queue, &record.result] {
        bounded(text.as_deref(), 64);
    }
    assert!(record.end() >= record.started_at);
    // What was understood can be stored: a row that cannot would come again with every page.
    if let Some(event) = track::observe(None, record, "main", Timestamp::MIN, now(), &RULES) {
        let row = codec::encode(&event).unwrap();
        assert_eq!(codec::decode(&row).as_ref(), Ok(&event));
        assert_eq!(track::observe(Some(&event), record, "main", Timestamp::MIN, now(), &RULES), None);
    }
}

fn page(page: Result<Page, PbxError>) {
    match page {
        Ok(page) => {
            assert_eq!(page.rows, page.records.len() + page.malformed);
            assert!(page.uuids.iter().eq(page.records.iter().map(|record| &record.uuid)));
            assert_ne!(page.total_pages, Some(0));
            page.records.iter().for_each(record);
            let merged = track::merge_copies(page.records.clone());
            assert!(merged.len() <= page.records.len());
            merged.iter().for_each(record);
        }
        Err(error) => quotes_nothing(&error),
    }
}

fn quotes_nothing(error: &PbxError) {
    let text = format!("{error} {error:?}");
    assert!(!text.contains(KEY), "{text}");
    assert!(text.len() < 1000);
}

fuzz_target!(|body: &[u8]| {
    page(wire::calls_page(body, now()));
    page(wire::voicemails_page(body, now()));
    match wire::call_detail(body, now()) {
        Ok(found) => record(&found),
        Err(error) => quotes_nothing(&error),
    }
    match wire::recording_url(body) {
        Ok(url) => {
            let url = url.expose();
            assert!(url.len() <= 2048 && !url.contains(|c: char| c.is_whitespace() || c.is_control()));
            assert!(!url.contains(['"', '<', '>']), "it goes into markup");
            assert!(matches!(url::Url::parse(url).unwrap().scheme(), "http" | "https"));
        }
        Err(error) => quotes_nothing(&error),
    }
});
