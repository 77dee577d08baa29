//! Everything that is to be told is told once, on every channel, and nothing else is.

use std::time::Duration;

use ringback::sim::pbx::{Endpoint, SimCall};
use serde_json::json;

use crate::harness::Office;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_missed_call_and_a_voicemail_are_each_told_once_on_every_channel() {
    let office = Office::new();
    office.once().await;
    office.miss("c1");
    office.leave_voicemail("v1");
    office.once_after(Duration::from_secs(90)).await;
    assert_eq!(office.told(), ["call.missed c1", "voicemail.new v1"]);
    assert_eq!(office.mail.received().len(), 2);
    assert_eq!(office.slack.accepted(), 2);
    for _ in 0..3 {
        office.once_after(MINUTE).await;
    }
    assert_eq!(office.webhook.total(), 2);
    assert_eq!((office.mail.received().len(), office.slack.total()), (2, 2));
}

#[tokio::test]
async fn answered_outbound_and_internal_calls_are_told_to_nobody() {
    let office = Office::new();
    office.once().await;
    office.pbx.add_call(SimCall::answered("answered", office.now(), MINUTE));
    office.once_after(2 * MINUTE).await;
    office.once_after(2 * MINUTE).await;
    assert_eq!(office.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_running_ringback_tells_of_a_call_when_its_grace_is_over() {
    let office = Office::new();
    let running = office.run().await;
    office.pbx.wait_for_requests(Endpoint::Cdrs, 1).await;
    office.miss("c1");
    for _ in 0..6 {
        office.clock.advance(Duration::from_secs(15));
        tokio::task::yield_now().await;
    }
    office.webhook.wait_for(1).await;
    office.slack.wait_for(1).await;
    office.mail.wait_for(1).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1"]);
}

/// A call to queue 201, in which a message is left.
fn queued(office: &Office) -> SimCall {
    let call = SimCall::missed("v1", office.now(), 40 * SECOND);
    SimCall {
        queue: Some("201".into()),
        wait: Some(10 * SECOND),
        caller_name: Some("Mehmet Yılmaz".into()),
        destination_number: "902129876543".into(),
        destination_name: None,
        ..call
    }
}

/// Those of queue 201 on the old number have a Slack of their own.
async fn office_of_queues() -> Office {
    let mut office = Office::new();
    "[{when: {queue: '201', number: '0212*'}, notify: [slack, crm]}, {notify: [mail, crm]}]"
        .clone_into(&mut office.routes);
    office.once().await;
    office.clock.advance(2 * MINUTE);
    office
}

/// The one thing that was told is the voicemail, with all that its call says, to those of the queue.
fn told_to_the_queue(office: &Office) {
    assert_eq!(office.told(), ["voicemail.new v1"]);
    assert_eq!((office.slack.accepted(), office.mail.received().len()), (1, 0));
    let body = office.webhook.received()[0].json().unwrap();
    let (data, called) = (&body["data"], &body["data"]["called"]);
    assert_eq!(
        (&called["queue"], &called["e164"], &called["extension"]),
        (&json!("201"), &json!("+902129876543"), &json!("1002"))
    );
    assert_eq!((&data["queue_wait_seconds"], &data["result"]), (&json!(10), &json!("Cevapsız")));
    assert_eq!((&data["caller"]["name"], &data["duration_seconds"]), (&json!("Mehmet Yılmaz"), &json!(12)));
}

#[tokio::test]
async fn a_voicemail_says_what_its_call_says_and_reaches_those_who_answer_for_the_queue() {
    for seen_before in [true, false] {
        let office = office_of_queues().await;
        office.pbx.add_call(queued(&office));
        if seen_before {
            office.once().await;
            assert_eq!(office.webhook.total(), 0, "its grace is not over");
            office.clock.advance(12 * SECOND);
        }
        office.leave_voicemail("v1");
        for _ in 0..3 {
            office.once_after(61 * SECOND).await;
        }
        told_to_the_queue(&office);
        assert_eq!(office.asked(Endpoint::CdrDetail).len(), 0);
    }
}

#[tokio::test]
async fn a_voicemail_that_is_seen_before_its_call_has_the_calls_read_at_once() {
    let mut office = office_of_queues().await;
    // Of the calls after 100 and 150 seconds, of voicemails after 120.
    "every: 50s".clone_into(&mut office.missed_calls);
    let running = office.run().await;
    office.pass(&running, 119 * SECOND, SECOND).await;
    office.pbx.add_call(queued(&office));
    office.leave_voicemail("v1");
    let told = || office.webhook.accepted() == 1;
    let took = office.pass_until(&running, MINUTE, Duration::from_millis(250), told).await;
    assert!(took.is_some_and(|took| took <= 3 * SECOND), "{took:?}");
    running.stop().await;
    told_to_the_queue(&office);
}

#[tokio::test]
async fn of_a_voicemail_whose_call_is_not_called_missed_the_single_call_is_asked() {
    let office = office_of_queues().await;
    office.pbx.add_call(SimCall { missed: false, ..queued(&office) });
    office.leave_voicemail("v1");
    office.once().await;
    assert_eq!((office.told().len(), office.asked(Endpoint::CdrDetail).len()), (1, 1));
    // The vendor's answer for a single call has no queue, and so the rule for it does not match.
    assert_eq!((office.slack.accepted(), office.mail.received().len()), (0, 1));
    let body = office.webhook.received()[0].json().unwrap();
    assert_eq!(body["data"]["called"]["e164"], "+902129876543");
    assert_eq!(body["data"]["result"], "Cevapsız");
}

#[tokio::test]
async fn a_voicemail_whose_call_cannot_be_asked_for_is_told_all_the_same_and_many_ask_for_none() {
    let office = Office::new();
    office.once().await;
    office.clock.advance(2 * MINUTE);
    office.pbx.fault(Endpoint::CdrDetail, ringback::sim::pbx::Fault::Html500, 1);
    office.leave_voicemail("v1");
    office.leave_voicemail("v2");
    office.once().await;
    assert_eq!((office.told().len(), office.asked(Endpoint::CdrDetail).len()), (2, 1));
    office.clock.advance(2 * MINUTE);
    for n in 3..9 {
        office.leave_voicemail(&format!("v{n}"));
    }
    office.once().await;
    assert_eq!((office.told().len(), office.asked(Endpoint::CdrDetail).len()), (8, 1));
}
