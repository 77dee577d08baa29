//! Everything that is to be told is told once, on every channel, and nothing else is.

use std::time::Duration;

use ringback::sim::pbx::SimCall;

use crate::harness::Office;

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
    office.pbx.wait_for_requests(ringback::sim::pbx::Endpoint::Cdrs, 1).await;
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
