//! Links to recordings: fresh for the attempt, shared, never waited for longer than a minute, never too many.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ringback::clock::Clock;
use ringback::event::{Event, EventType, Kind};
use ringback::pbx::Pbx;
use ringback::private::Secret;
use ringback::recording::Recordings;
use ringback::sim::pbx::{Endpoint, Fault, PbxOptions, Recorded, SimCall, SimVoicemail, UrlForm};
use ringback::sim::receiver::{Mode, Received};
use ringback::store::Store;
use ringback::store::sled::SledStore;
use ringback::track;
use serde_json::Value;

use crate::harness::{MORNING, Office, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const MINT: Endpoint = Endpoint::VoicemailRecordingUrl;

fn url(received: &Received) -> Option<String> {
    let recording = received.json().unwrap()["data"]["recording"].clone();
    Some(recording["url"].as_str()?.to_owned())
}

/// What is left of the link's hour when the message comes.
fn left(received: &Received) -> Duration {
    let recording: Value = received.json().unwrap()["data"]["recording"].clone();
    let expires_at: Timestamp = recording["expires_at"].as_str().unwrap().parse().unwrap();
    Duration::try_from(expires_at.duration_since(received.at.at)).unwrap()
}

async fn office(options: PbxOptions) -> Office {
    let office = Office::with(options);
    office.once().await;
    office.clock.advance(61 * SECOND);
    office
}

/// Messages that were left at the same time.
fn leave(office: &Office, count: u32) {
    for n in 0..count {
        let start = office.now().checked_sub(12 * SECOND).unwrap();
        let voicemail = SimVoicemail::unread(format!("v{n:02}"), start, 12 * SECOND);
        office.pbx.add_voicemail(SimVoicemail { caller_number: format!("0532{n:07}"), ..voicemail });
    }
}

#[tokio::test]
async fn three_channels_share_one_link() {
    let office = office(PbxOptions::default()).await;
    leave(&office, 1);
    office.once().await;
    assert_eq!(office.asked(MINT).len(), 1);
    let url = url(&office.webhook.received()[0]).unwrap();
    let slack = String::from_utf8(office.slack.received()[0].body.to_vec()).unwrap();
    assert!(slack.contains(&url));
    let mail = String::from_utf8_lossy(&office.mail.received()[0].data).replace("=\r\n", "");
    assert!(mail.contains(url.rsplit('/').next().unwrap()), "{mail}");
}

#[tokio::test]
async fn a_link_is_taken_from_every_form_of_answer() {
    for url_form in [UrlForm::Text, UrlForm::Quoted, UrlForm::Json] {
        let office = office(PbxOptions { url_form, ..PbxOptions::default() }).await;
        leave(&office, 1);
        office.once().await;
        let url = url(&office.webhook.received()[0]).unwrap();
        assert!(url.starts_with(office.pbx.base_url()), "{url_form:?}: {url}");
    }
}

#[tokio::test]
async fn a_retry_after_61_minutes_carries_a_new_link_and_every_attempt_one_with_half_an_hour_left() {
    let mut office = office(PbxOptions::default()).await;
    office.routes = "[{notify: crm}]".to_owned();
    office.webhook.set_mode(Mode::Status(503));
    leave(&office, 1);
    let running = office.run().await;
    office.pass(&running, 61 * MINUTE, 30 * SECOND).await;
    let before = office.webhook.total();
    office.webhook.set_mode(Mode::Ok);
    let told = office.pass_until(&running, 40 * MINUTE, 30 * SECOND, || office.webhook.accepted() == 1).await;
    running.stop().await;
    assert!(told.is_some());
    let attempts = office.webhook.received();
    assert!(before >= 6);
    assert_ne!(url(&attempts[0]), url(attempts.last().unwrap()));
    assert!(url(&attempts[0]).is_some() && url(attempts.last().unwrap()).is_some());
    for attempt in &attempts {
        assert!(left(attempt) >= 30 * MINUTE, "{:?} left at {}", left(attempt), attempt.at.at);
    }
    // Retries within minutes share it.
    assert_eq!(url(&attempts[0]), url(&attempts[1]));
    assert!(office.asked(MINT).len() < attempts.len());
}

#[tokio::test]
async fn a_link_that_was_given_out_is_not_stored() {
    let mut office = office(PbxOptions::default()).await;
    office.routes = "[{notify: crm}]".to_owned();
    office.webhook.set_mode(Mode::StatusWith(503, Vec::new(), "down".to_owned()));
    leave(&office, 1);
    assert_eq!(office.once().await.pending, 1);
    let url = url(&office.webhook.received()[0]).unwrap();
    let id = url.rsplit('/').next().unwrap().as_bytes();
    for file in std::fs::read_dir(office.folder.path().join("store")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            assert!(!std::fs::read(&path).unwrap().windows(id.len()).any(|window| window == id), "{}", path.display());
        }
    }
}

#[tokio::test]
async fn twelve_voicemails_at_once_are_all_told_within_90_seconds_with_five_links_a_minute_at_most() {
    let office = office(PbxOptions::default()).await;
    let running = office.run().await;
    office.pass(&running, 61 * SECOND, 10 * SECOND).await;
    leave(&office, 12);
    let told = office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || {
        office.webhook.accepted() == 12 && office.slack.accepted() == 12
    });
    let told = told.await;
    assert!(told.is_some_and(|after| after <= 90 * SECOND), "{told:?}");
    // An SMTP conversation takes real time, but none of this clock.
    in_time(office.mail.wait_for(12)).await;
    office.pass(&running, 3 * MINUTE, 5 * SECOND).await;
    running.stop().await;
    assert!(office.pbx.max_in_window(Endpoint::RecordingUrl, MINUTE) <= 5);
    assert!(office.asked(MINT).iter().all(|request| request.answered == 200));
    let (with, without): (Vec<_>, Vec<_>) =
        office.webhook.received().into_iter().partition(|received| url(received).is_some());
    assert_eq!((with.len(), without.len()), (5, 7));
    for (n, slack) in office.slack.received().iter().enumerate() {
        let text = String::from_utf8(slack.body.to_vec()).unwrap();
        let listens = text.contains(office.pbx.base_url()) || text.contains("Online İşlem Merkezi");
        assert!(listens, "message {n} does not say where to listen: {text}");
    }
}

#[tokio::test]
async fn a_recording_that_is_not_ready_delays_its_message_by_a_minute_at_most() {
    for fault in [
        Fault::Status(400, "cannot find voicemail with uuid v00".into(), Vec::new()),
        Fault::Status(429, "Istek limiti asildi".into(), Vec::new()),
        Fault::Html500,
        Fault::Reset,
        Fault::Hang,
    ] {
        let office = office(PbxOptions::default()).await;
        office.pbx.fault(MINT, fault.clone(), usize::MAX);
        leave(&office, 1);
        let running = office.run().await;
        let told = office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || {
            office.webhook.accepted() == 1 && office.slack.accepted() == 1
        });
        let told = told.await;
        assert!(told.is_some_and(|after| after <= MINUTE), "{fault:?}: {told:?}");
        in_time(office.mail.wait_for(1)).await;
        running.stop().await;
        assert_eq!(url(&office.webhook.received()[0]), None);
        assert!(office.asked(MINT).len() <= 5, "{fault:?}: {}", office.asked(MINT).len());
        assert!(office.pbx.max_in_window(Endpoint::RecordingUrl, MINUTE) <= 5);
    }
}

#[tokio::test]
async fn a_recording_that_becomes_ready_within_the_minute_is_linked() {
    let office = office(PbxOptions::default()).await;
    office.pbx.fault(MINT, Fault::Status(400, "cannot find voicemail with uuid v00".into(), Vec::new()), 2);
    leave(&office, 1);
    let running = office.run().await;
    let told = office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || office.webhook.accepted() == 1).await;
    assert!(told.is_some_and(|after| after <= MINUTE), "{told:?}");
    running.stop().await;
    assert!(url(&office.webhook.received()[0]).is_some());
}

#[tokio::test]
async fn an_answer_that_is_no_url_goes_into_no_message() {
    for body in ["<html><body>Bakimda</body></html>", "javascript:alert(1)", "Gecersiz anahtar: K1", ""] {
        let office = office(PbxOptions::default()).await;
        office.pbx.fault(MINT, Fault::Status(200, body.to_owned(), Vec::new()), usize::MAX);
        leave(&office, 1);
        let running = office.run().await;
        let told = office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || office.webhook.accepted() == 1).await;
        assert!(told.is_some_and(|after| after <= MINUTE), "{body}: {told:?}");
        running.stop().await;
        assert_eq!(url(&office.webhook.received()[0]), None, "{body}");
    }
}

#[tokio::test]
async fn a_channel_without_recordings_mints_nothing() {
    let mut office = office(PbxOptions::default()).await;
    office.crm = ", recording: none".to_owned();
    office.routes = "[{notify: crm}]".to_owned();
    leave(&office, 2);
    office.once().await;
    assert_eq!((office.told().len(), office.asked(MINT).len()), (2, 0));
    assert!(!office.pbx.is_read("v00"), "and nothing is marked as heard");
}

#[tokio::test]
async fn a_call_is_linked_when_it_was_recorded_and_not_when_its_recording_was_deleted() {
    for (recording_present, mints) in [(Recorded::Yes, 1), (Recorded::Deleted, 0), (Recorded::No, 0)] {
        let office = office(PbxOptions::default()).await;
        let call = SimCall::missed("c1", office.now(), 20 * SECOND);
        office.pbx.add_call(SimCall { recording_present, ..call });
        office.once_after(61 * SECOND).await;
        assert_eq!(office.told(), ["call.missed c1"]);
        assert_eq!(office.asked(Endpoint::RecordingUrl).len(), mints, "{recording_present:?}");
        assert_eq!(url(&office.webhook.received()[0]).is_some(), mints == 1);
    }
}

#[tokio::test]
async fn a_recording_that_is_deleted_before_the_retry_is_not_asked_for() {
    let mut office = office(PbxOptions::default()).await;
    office.routes = "[{notify: crm}]".to_owned();
    office.webhook.push_mode(Mode::Status(503), 1);
    let call = SimCall::missed("c1", office.now(), 20 * SECOND);
    office.pbx.add_call(SimCall { recording_present: Recorded::Yes, ..call });
    office.once_after(61 * SECOND).await;
    office.pbx.update("c1", |call| call.recording_present = Recorded::Deleted);
    office.once_after(61 * SECOND).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    assert_eq!(office.asked(Endpoint::RecordingUrl).len(), 1);
}

/// A client of `office`'s PBX and what mints for it, by a clock of their own, with a store that knows nothing yet.
fn minter(office: &Office, clock: &Clock) -> (Arc<Pbx>, Recordings, Arc<dyn Store>) {
    let key = Secret::clone(&office.config().accounts[0].api_key);
    let client = ringback::http::client(1).unwrap();
    let pbx = Arc::new(Pbx::new(client, office.pbx.base_url(), key, MINUTE, clock.clone()).unwrap());
    let store: Arc<dyn Store> = Arc::new(SledStore::open(&office.folder.path().join("own"), clock.moment()).unwrap());
    let accounts = [("main".to_owned(), (Arc::clone(&pbx), 5))].into();
    (pbx, Recordings::new(accounts, Arc::clone(&store), clock.clone(), Arc::default()), store)
}

/// Mints the link of a voicemail, which marks it, and gives what is noted of that.
async fn mint(office: &Office, recordings: &Recordings, store: &dyn Store) -> Vec<Timestamp> {
    leave(office, 1);
    let event = ringback::render::samples::event(EventType::VoicemailNew, office.now());
    let event = Event { account: "main".to_owned(), uuid: "v00".to_owned(), ..event };
    assert!(recordings.link(&event, MINUTE).await.is_some());
    assert!(office.pbx.is_read("v00"));
    store.fetches(event.id).await.unwrap()
}

#[tokio::test]
async fn a_mint_is_dated_by_the_clock_of_the_pbx_however_ours_leaps_after_its_last_answer() {
    for leap in [-5, 0, 5] {
        let (office, ours) = (Office::new(), Clock::manual(MORNING.parse().unwrap()));
        let (pbx, recordings, store) = minter(&office, &ours);
        pbx.check(Kind::Voicemail).await.unwrap();
        for clock in [&office.clock, &ours] {
            clock.advance(20 * MINUTE);
        }
        ours.set_wall(ours.now().checked_add(SignedDuration::from_hours(leap)).unwrap());
        assert_eq!(mint(&office, &recordings, &*store).await, [office.now()], "{leap} hours");
    }
}

#[tokio::test]
async fn a_mint_of_a_process_that_has_heard_nothing_of_the_pbx_yet_is_dated_by_its_answer() {
    for hours in [-5, 5] {
        let (office, ours) = (Office::new(), Clock::manual(MORNING.parse().unwrap()));
        ours.set_wall(ours.now().checked_add(SignedDuration::from_hours(hours)).unwrap());
        let (_pbx, recordings, store) = minter(&office, &ours);
        let noted = mint(&office, &recordings, &*store).await;
        assert!(track::heard_by_us(office.now(), &noted), "{hours} hours: {noted:?}");
    }
}
