//! A PBX that refuses, is slow or talks nonsense: it is not stormed, nothing is lost, and the key stays where it is.

use std::time::Duration;

use ringback::sim::pbx::{BadKey, Endpoint, Fault, PbxOptions};

use crate::harness::{Office, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const FOR_EVER: usize = usize::MAX;

#[tokio::test]
async fn a_refused_key_is_no_empty_list_and_no_poll_storm() {
    for bad_key in [BadKey::Status200, BadKey::Status400, BadKey::Status401] {
        let office = Office::with(PbxOptions { bad_key, ..PbxOptions::default() });
        office.once().await;
        for endpoint in [Endpoint::Cdrs, Endpoint::Voicemails] {
            office.pbx.fault(endpoint, Fault::BadKeyEcho, FOR_EVER);
        }
        assert_eq!(office.once_after(61 * SECOND).await.unread, 2);
        let running = office.run().await;
        office.miss("c1");
        let before = office.asked(Endpoint::Cdrs).len();
        office.pass(&running, HOUR, 30 * SECOND).await;
        let asked = office.asked(Endpoint::Cdrs).len() - before;
        assert!((5..=20).contains(&asked), "{asked} requests in an hour");
        office.pbx.clear_faults();
        let told = office.pass_until(&running, 10 * MINUTE, 10 * SECOND, || office.webhook.accepted() == 1).await;
        assert!(told.is_some_and(|after| after <= 6 * MINUTE), "{told:?}");
        running.stop().await;
    }
}

#[tokio::test]
async fn nothing_that_goes_wrong_writes_the_key_into_the_store() {
    let office = Office::new();
    office.once().await;
    office.miss("c1");
    office.leave_voicemail("v1");
    let refusal = |status| Fault::Status(status, format!("Gecersiz anahtar: {}", office.pbx.key()), Vec::new());
    for fault in [Fault::BadKeyEcho, refusal(500), refusal(400), refusal(401), Fault::Reset, Fault::Truncate] {
        for endpoint in [Endpoint::Cdrs, Endpoint::Voicemails] {
            office.pbx.clear_faults();
            office.pbx.fault(endpoint, fault.clone(), FOR_EVER);
            office.pbx.fault(Endpoint::VoicemailRecordingUrl, Fault::BadKeyEcho, FOR_EVER);
            office.once_after(61 * SECOND).await;
        }
    }
    assert_eq!(office.told(), ["call.missed c1", "voicemail.new v1"]);
    let mut rows = 0;
    for file in std::fs::read_dir(office.folder.path().join("store")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
            rows += usize::from(holds(b"call.missed"));
            assert!(!holds(office.pbx.key().as_bytes()), "{}", path.display());
        }
    }
    assert!(rows > 0, "the rows were looked at");
    for received in office.webhook.received() {
        assert!(!String::from_utf8_lossy(&received.body).contains(office.pbx.key()));
    }
}

#[tokio::test]
async fn polls_never_overlap_however_long_the_pbx_takes() {
    let office = Office::new();
    office.once().await;
    let running = office.run().await;
    office.pass(&running, MINUTE, 10 * SECOND).await;
    let before = office.asked(Endpoint::Cdrs).len();
    office.pbx.fault(Endpoint::Cdrs, Fault::Hang, 1);
    office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
    assert_eq!(office.asked(Endpoint::Cdrs).len(), before + 1);
    running.stop().await;
}

#[tokio::test]
async fn a_slow_answer_is_an_answer_and_no_others_pile_up_behind_it() {
    let mut office = Office::new();
    office.missed_calls = "every: 1s, grace: 0s".to_owned();
    office.once().await;
    office.clock.advance(61 * SECOND);
    office.miss("c1");
    let before = office.asked(Endpoint::Cdrs).len();
    office.pbx.fault(Endpoint::Cdrs, Fault::Slow(Duration::from_millis(300)), 2);
    let running = office.run().await;
    in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, before + 1)).await;
    office.pass(&running, 30 * SECOND, SECOND).await;
    // Half a minute went by, in which the first one was not answered.
    let while_slow = office.asked(Endpoint::Cdrs).len() - before;
    assert!(while_slow <= 6, "{while_slow}");
    in_time(office.webhook.wait_for(1)).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1"]);
    assert!(office.pbx.max_in_window(Endpoint::Cdrs, MINUTE) <= 6);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_asked_for_again_and_not_taken_for_empty() {
    for fault in [Fault::Garbage, Fault::Truncate, Fault::Html500, Fault::Reset] {
        let office = Office::new();
        office.once().await;
        office.miss("c1");
        office.leave_voicemail("v1");
        let running = office.run().await;
        for endpoint in [Endpoint::Cdrs, Endpoint::Voicemails] {
            office.pbx.fault(endpoint, fault.clone(), 2);
        }
        let told = office.pass_until(&running, 10 * MINUTE, 10 * SECOND, || office.webhook.accepted() == 2).await;
        assert!(told.is_some_and(|after| after <= 5 * MINUTE), "{fault:?}: {told:?}");
        running.stop().await;
        assert_eq!(office.told(), ["call.missed c1", "voicemail.new v1"]);
    }
}

#[tokio::test]
async fn a_call_whose_grace_ends_while_the_pbx_is_away_is_told_as_it_was_last_seen() {
    for fault in [Fault::Html500, Fault::Reset, Fault::BadKeyEcho, Fault::Status(429, "yavas".into(), Vec::new())] {
        let office = Office::new();
        office.once().await;
        let running = office.run().await;
        office.pass(&running, MINUTE, 10 * SECOND).await;
        office.miss("c1");
        office.pass(&running, 30 * SECOND, 10 * SECOND).await;
        for endpoint in [Endpoint::Cdrs, Endpoint::CdrDetail, Endpoint::Voicemails] {
            office.pbx.fault(endpoint, fault.clone(), FOR_EVER);
        }
        let told = office.pass_until(&running, HOUR, 10 * SECOND, || office.webhook.accepted() == 1).await;
        assert!(told.is_some_and(|after| after >= MINUTE && after <= 100 * SECOND), "{fault:?}: {told:?}");
        office.pbx.clear_faults();
        office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
        running.stop().await;
        assert_eq!(office.webhook.total(), 1, "once, also when it is seen again");
    }
}

#[tokio::test]
async fn missed_calls_are_read_while_voicemails_cannot_be() {
    let office = Office::new();
    office.once().await;
    office.pbx.fault(Endpoint::Voicemails, Fault::Html500, FOR_EVER);
    office.miss("c1");
    let rest = office.once_after(90 * SECOND).await;
    assert_eq!((rest.unread, office.told()), (1, vec!["call.missed c1".to_owned()]));
}
