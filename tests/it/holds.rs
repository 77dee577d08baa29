//! What is decided while the office is closed is told when it opens, at once, without what was settled by then.

use std::time::Duration;

use ringback::app::Rest;
use ringback::clock::Clock;
use ringback::sim::pbx::{PbxOptions, SimCall};
use serde_json::Value;

use crate::harness::Office;

/// Monday, 19:00 in Istanbul: an hour after the office has closed.
const EVENING: &str = "2026-11-23T16:00:00Z";
/// Until Tuesday 09:00.
const NIGHT: Duration = Duration::from_secs(14 * 3600);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

async fn office(rule: &str) -> Office {
    let mut office = Office::on(Clock::manual(EVENING.parse().unwrap()), PbxOptions::default());
    office.routes = format!("[{{notify: [mail, slack, crm], hold: office{rule}}}]");
    "schedules: {office: {days: [mon, tue, wed, thu, fri], from: '09:00', to: '18:00'}}".clone_into(&mut office.extra);
    "grace: 0s".clone_into(&mut office.missed_calls);
    office.once().await;
    office
}

fn call_of(office: &Office, uuid: &str, caller: &str) {
    let call = SimCall::missed(uuid, office.now(), 5 * SECOND);
    office.pbx.add_call(SimCall { caller_number: caller.to_owned(), ..call });
}

/// Nothing goes out until just before the office opens; then everything does.
async fn until_it_opens(office: &Office) -> Rest {
    let start = EVENING.parse().unwrap();
    let passed = Duration::try_from(office.now().duration_since(start)).unwrap();
    office.once_after(NIGHT.checked_sub(passed + MINUTE).unwrap()).await;
    assert_eq!((office.mail.received().len(), office.slack.total(), office.webhook.total()), (0, 0, 0));
    office.once_after(MINUTE).await
}

fn texts(office: &Office) -> Vec<String> {
    let text = |body: Value| body["text"].as_str().unwrap().to_owned();
    office.slack.received().iter().map(|received| text(received.json().unwrap())).collect()
}

#[tokio::test]
async fn several_calls_of_a_night_are_one_digest_for_people_and_rows_for_programs_without_what_was_settled() {
    let office = office("").await;
    for (uuid, caller) in [("a", "05321112231"), ("b", "05321112232"), ("c", "05321112233")] {
        call_of(&office, uuid, caller);
    }
    office.once_after(MINUTE).await;
    office.pbx.set_returned("b", "r1");
    office.once_after(6 * MINUTE).await;
    until_it_opens(&office).await;
    assert_eq!(office.told(), ["call.missed a", "call.missed c"]);
    let texts = texts(&office);
    assert!(texts.len() == 1 && texts[0].starts_with("2 cevapsız çağrı"), "{texts:?}");
    assert_eq!(office.mail.received().len(), 1);
    let mail = String::from_utf8_lossy(&office.mail.received()[0].data).into_owned();
    assert!(!mail.contains("112 22 32"), "{mail}");
    let again = office.once_after(MINUTE).await;
    assert_eq!((office.slack.total(), office.webhook.total(), again), (1, 2, office.once().await));
}

#[tokio::test]
async fn a_single_call_of_a_night_is_a_message_of_its_own_also_when_the_others_were_settled() {
    for others in [0, 1] {
        let office = office("").await;
        call_of(&office, "a", "05321112231");
        (0..others).for_each(|_| call_of(&office, "b", "05321112232"));
        office.once_after(MINUTE).await;
        if others > 0 {
            office.pbx.set_returned("b", "r1");
            office.once_after(6 * MINUTE).await;
        }
        until_it_opens(&office).await;
        assert_eq!(office.told(), ["call.missed a"]);
        let texts = texts(&office);
        assert!(texts.len() == 1 && texts[0].starts_with("Cevapsız çağrı: "), "{texts:?}");
        assert_eq!(office.mail.received().len(), 1);
    }
}

#[tokio::test]
async fn the_calls_of_one_caller_in_a_night_are_one_message_and_a_row_each_in_the_digest_with_others() {
    for others in [0, 1] {
        let office = office(", group: {by: caller, wait: 2m}").await;
        for uuid in ["a1", "a2", "a3"] {
            call_of(&office, uuid, "05321112231");
            office.once_after(20 * MINUTE).await;
        }
        (0..others).for_each(|_| call_of(&office, "b", "05321112232"));
        office.once_after(MINUTE).await;
        until_it_opens(&office).await;
        let texts = texts(&office);
        assert_eq!((texts.len(), office.mail.received().len()), (1, 1), "{texts:?}");
        let bodies = office.webhook.received();
        let mut counts: Vec<u64> =
            bodies.iter().map(|body| body.json().unwrap()["data"]["attempts"].as_u64().unwrap()).collect();
        counts.sort_unstable();
        if others == 0 {
            assert!(texts[0].starts_with("Cevapsız çağrı (3 kez): "), "{texts:?}");
            assert_eq!(counts, [3]);
        } else {
            assert!(texts[0].starts_with("4 cevapsız çağrı"), "{texts:?}");
            assert_eq!(counts, [1, 3]);
        }
    }
}

#[tokio::test]
async fn who_is_told_in_the_morning_is_not_told_in_the_night_that_nobody_has_acted() {
    let office = office(", escalate: [{after: 15m, notify: [crm]}]").await;
    call_of(&office, "a", "05321112231");
    for _ in 0..10 {
        office.once_after(5 * MINUTE).await;
    }
    until_it_opens(&office).await;
    office.once_after(MINUTE).await;
    assert_eq!(office.told(), ["call.missed a"]);
}

#[tokio::test]
async fn what_comes_while_the_office_is_open_is_told_at_once() {
    let office = office("").await;
    until_it_opens(&office).await;
    call_of(&office, "a", "05321112231");
    office.once_after(31 * SECOND).await;
    assert_eq!(office.told(), ["call.missed a"]);
}
