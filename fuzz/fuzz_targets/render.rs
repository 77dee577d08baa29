//! Every built-in message with facts that a caller, a PBX or an attacker chose.
#![no_main]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use ringback::channel::Parcel;
use ringback::event::{DeliveryId, Event, EventType};
use ringback::message::{ChannelType, Locale, Mail, Message};
use ringback::private::{Digits, PersonName, PhoneNumber, Secret};
use ringback::render::{Facts, Look, Recording, Renderer, samples};
use serde_json::Value;

const PAGE: &str = "https://ringback.example.com/l/dG9rZW4";
const URL: &str = "https://api.bulutsantralim.com/recording/R651f8a68?signature=a_b*c&expires=1795324109";

thread_local! {
    static RENDERER: Renderer = Renderer::new(None, TimeZone::get("Europe/Istanbul").unwrap()).unwrap();
    static EMAIL: ringback::channel::email::Email = email();
    /// The tags of a mail by locale and event.
    static TAGS: RefCell<BTreeMap<(&'static str, &'static str), BTreeSet<String>>> = RefCell::default();
}

fn email() -> ringback::channel::email::Email {
    use ringback::channel::email::{Config, Email, Security, Smtp};
    let smtp =
        Smtp { host: "127.0.0.1".to_owned(), port: None, security: Security::None, username: None, password: None };
    let from = "Santral <santral@example.com>".to_owned();
    let to = vec!["ofis@example.com".to_owned()];
    let config = Config { smtp, from, to, cc: Vec::new(), bcc: Vec::new(), reply_to: None };
    Email::new("mail", &config, 1, std::time::Duration::from_secs(1)).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_324_109).unwrap()
}

/// One byte says what is rendered, one which facts are there; texts follow, with 0xFF between them.
struct Input<'a> {
    what: u8,
    which: u8,
    texts: std::slice::Split<'a, u8, fn(&u8) -> bool>,
}

impl<'a> Input<'a> {
    fn new(data: &'a [u8]) -> Option<Self> {
        let [what, which, rest @ ..] = data else { return None };
        Some(Self { what: *what, which: *which, texts: rest.split(|byte| *byte == 0xFF) })
    }

    /// The next text, or `None` when `bit` says that this fact is absent.
    fn fact(&mut self, bit: u32) -> Option<String> {
        let text = String::from_utf8_lossy(self.texts.next().unwrap_or_default()).into_owned();
        (self.which & (1 << bit) == 0).then_some(text)
    }
}

fn phone(raw: String, e164: Option<String>) -> PhoneNumber {
    PhoneNumber::new(Digits { display: raw.clone(), raw, e164 })
}

fn event(event_type: EventType, input: &mut Input<'_>) -> (Event, Option<String>) {
    let mut event = samples::event(event_type, now());
    event.caller.name = input.fact(0).map(PersonName::new);
    let number = input.fact(1);
    let e164 = input.fact(2);
    event.caller.number = number.map(|raw| phone(raw, e164.clone()));
    event.called.name = input.fact(3).map(PersonName::new);
    event.called.number = input.fact(4).map(|raw| phone(raw, e164));
    let text = input.fact(5);
    event.called.extension.clone_from(&text);
    event.called.queue.clone_from(&text);
    event.result.clone_from(&text);
    if let Some(uuid) = &text {
        event.uuid.clone_from(uuid);
        event.account.clone_from(uuid);
        event.return_uuid = text;
        event.queue_wait = Some(u32::MAX);
    }
    (event, input.fact(6))
}

/// Every tag, `href` values blanked.
fn tags(html: &str) -> Vec<(String, Option<String>)> {
    html.split('<')
        .skip(1)
        .map(|rest| {
            let tag = rest.split_once('>').expect("a tag that is not closed").0;
            match tag.split_once("href=\"") {
                Some((before, rest)) => {
                    let (url, after) = rest.split_once('"').expect("a link that is not closed");
                    (format!("{before}href=\"{after}"), Some(url.to_owned()))
                }
                None => (tag.to_owned(), None),
            }
        })
        .collect()
}

/// The tags that the templates themselves have.
fn known(locale: Locale, event_type: EventType) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let pages = [None, Some(PAGE.to_owned())];
    let ways = pages
        .iter()
        .flat_map(|page| [Recording::None, link(URL), Recording::Elsewhere].map(|recording| (page.clone(), recording)));
    for (page, recording) in ways {
        let mut event = samples::event(event_type, now());
        event.queue_wait = Some(10);
        event.called.queue = Some("201".to_owned());
        event.called.number = event.caller.number.clone();
        let facts = Facts { event: &event, event_type, recording, test: true, waited: None, repeated: None, page };
        let Message::Email(mail) =
            RENDERER.with(|renderer| renderer.render(&Look::new(ChannelType::Email, locale), &facts)).message
        else {
            panic!("not a mail");
        };
        known.extend(tags(&mail.html).into_iter().map(|(tag, _)| tag));
    }
    known
}

fn link(url: &str) -> Recording {
    Recording::Link { url: Secret::new(url), expires_at: now() }
}

fn mail(mail: &Mail, locale: Locale, event_type: EventType) {
    assert!(!mail.subject.contains(char::is_control) && !mail.subject.is_empty());
    assert!(mail.subject.chars().count() <= 250);
    assert!(!mail.text.contains(|c: char| c.is_control() && c != '\n'), "{:?}", mail.text);
    assert!(mail.thread.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    TAGS.with_borrow_mut(|all| {
        let known = all.entry((locale.as_str(), event_type.as_str())).or_insert_with(|| known(locale, event_type));
        for (tag, url) in tags(&mail.html) {
            assert!(known.contains(&tag), "a tag that no template has: <{tag}>");
            if let Some(url) = url {
                let digits = url.strip_prefix("tel:+").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
                assert!(digits || url.starts_with("https://") || url.starts_with("http://"), "{url}");
            }
        }
    });
}

/// The mail as it goes out: the names of its headers are those that we gave it. To encode its bodies would take as long as
/// everything else together.
fn headers(mail: &Mail) {
    let mail = &Mail { text: "x".to_owned(), html: "x".to_owned(), ..mail.clone() };
    let id = DeliveryId::derive("main", EventType::CallMissed, "u", "mail");
    let message = Message::Email(mail.clone());
    let parcel = Parcel { id, message: &message, now: now(), earlier: None };
    let letter = EMAIL.with(|email| email.letter(parcel, mail)).unwrap();
    let message = letter.chunks().fold(Vec::new(), |whole, chunk| [&whole[..], &chunk].concat());
    let head = message.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    for line in message[..head].split(|byte| *byte == b'\n') {
        let line = std::str::from_utf8(line).unwrap().trim_end_matches('\r');
        assert!(!line.contains(char::is_control), "{line:?}");
        let name = line.split(':').next().unwrap();
        let ours = [
            "Message-ID",
            "Date",
            "From",
            "Subject",
            "In-Reply-To",
            "References",
            "List-Id",
            "X-Auto-Response-Suppress",
            "Auto-Submitted",
            "To",
            "MIME-Version",
            "Content-Type",
        ];
        assert!(line.starts_with(' ') || ours.contains(&name), "{line:?}");
    }
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn slack_text(object: &Value, max: usize) {
    let text = object["text"].as_str().expect("a text object without text");
    assert!(!text.is_empty() && length(text) <= max, "{text:?}");
    if object["type"] == "mrkdwn" {
        mrkdwn(text);
    } else {
        assert_eq!(object["type"], "plain_text");
        assert_eq!(object["emoji"], false);
    }
}

/// Links of ours only, and no mention of anybody.
fn mrkdwn(text: &str) {
    for rest in text.split('<').skip(1) {
        assert!(["https://", "http://", "tel:+"].iter().any(|scheme| rest.starts_with(scheme)), "{text:?}");
        assert!(rest.contains('>'), "{text:?}");
    }
    assert_eq!(text.matches('<').count(), text.matches('>').count(), "{text:?}");
    for rest in text.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;"].iter().any(|entity| rest.starts_with(entity)), "{text:?}");
    }
}

fn slack(json: &[u8]) {
    let message: Value = serde_json::from_slice(json).unwrap();
    let text = message["text"].as_str().unwrap();
    assert!(!text.trim().is_empty() && length(text) <= 40_000);
    mrkdwn(text);
    assert!(message["unfurl_links"] == false && message["unfurl_media"] == false);
    let ours = ["blocks", "reply_broadcast", "text", "unfurl_links", "unfurl_media"];
    assert!(message.as_object().unwrap().keys().all(|key| ours.contains(&key.as_str())), "a key of somebody else's");
    let blocks = message["blocks"].as_array().unwrap();
    assert!((2..=50).contains(&blocks.len()));
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => slack_text(&block["text"], 150),
            "section" => {
                if let Some(fields) = block.get("fields") {
                    let fields = fields.as_array().unwrap();
                    assert!((1..=10).contains(&fields.len()));
                    fields.iter().for_each(|field| slack_text(field, 2000));
                } else {
                    slack_text(&block["text"], 3000);
                }
            }
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                elements.iter().for_each(|element| slack_text(element, 2000));
            }
            "actions" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=2).contains(&elements.len()));
                for button in elements {
                    slack_text(&button["text"], 75);
                    assert!(button["type"] == "button" && button["url"].as_str().unwrap().starts_with(PAGE));
                }
            }
            other => panic!("a block of type {other}"),
        }
    }
}

fn webhook(json: &[u8]) {
    assert!(json.len() < 20_000, "{}", json.len());
    let body: Value = serde_json::from_slice(json).unwrap();
    let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["data", "timestamp", "type"]);
    let data = body["data"].as_object().unwrap();
    assert_eq!(data.len(), 21, "keys are always there");
    for who in ["caller", "called"] {
        if let Some(e164) = data[who]["e164"].as_str() {
            assert!(e164.strip_prefix('+').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())), "{e164}");
        }
    }
    assert_eq!(data["caller"]["withheld"].as_bool().unwrap(), data["caller"]["number"].is_null());
}

fuzz_target!(|data: &[u8]| {
    let Some(mut input) = Input::new(data) else { return };
    let what = usize::from(input.what);
    let channel = ChannelType::ALL[what % 3];
    let locale = Locale::ALL[what / 3 % 2];
    let event_type = EventType::ALL[what / 6 % EventType::ALL.len()];
    let (event, url) = event(event_type, &mut input);
    let recording = match (input.which & 0x80 != 0, url) {
        (true, Some(url)) => link(&url),
        (true, None) => Recording::None,
        (false, Some(_)) => link(URL),
        (false, None) => Recording::Elsewhere,
    };
    let repeated = (input.which & 0x40 != 0).then(|| samples::repeated(&event));
    let page = (what / 42 % 2 == 1).then(|| PAGE.to_owned());
    let facts = Facts { event: &event, event_type, recording, test: what > 127, waited: None, repeated, page };
    let rendered = RENDERER.with(|renderer| renderer.render(&Look::new(channel, locale), &facts));
    assert_eq!(rendered.failure, None, "a built-in template failed");
    match &rendered.message {
        Message::Email(made) => {
            mail(made, locale, event_type);
            headers(made);
        }
        Message::Slack(json) => slack(&json.post),
        Message::Webhook(message) => webhook(&message.body),
    }
});
