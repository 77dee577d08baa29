//! What is made of what watchers and lanes report.

use super::*;
use crate::event::{DeliveryId, EventId, EventType, Kind};
use crate::outbox::Failure;
use crate::store::sled::SledStore;

const EVERY: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Moment {
    let tick = Duration::from_secs(seconds);
    Moment { at: jiff::Timestamp::UNIX_EPOCH + tick, tick }
}

fn calls(account: &str) -> Source {
    Source { account: account.to_owned(), kind: Kind::Call }
}

fn telling() -> Telling {
    Telling { after: Duration::ZERO, recipients: vec!["mail".to_owned()] }
}

fn delivery(state: State, failure: Option<FailureKind>) -> Delivery {
    let at = jiff::Timestamp::UNIX_EPOCH;
    Delivery {
        id: DeliveryId::derive("main", EventType::CallMissed, "c1", "crm"),
        event_id: EventId::derive("main", EventType::CallMissed, "c1"),
        event: EventType::CallMissed,
        channel: "crm".to_owned(),
        rule: 0,
        happened_at: at,
        seen_at: at,
        created_at: at,
        due_at: at,
        attempts: 1,
        state,
        shared: None,
        digest_only: false,
        insisted: false,
        waits_since: None,
        paused_until: None,
        held_until: None,
        group: None,
        last_failure: failure.map(|kind| Failure::new(kind, "HTTP 500")),
        memo: None,
    }
}

/// What there is to tell when nothing else is wrong.
fn told(health: &Health, now: Moment) -> Vec<&'static str> {
    let audit = Audit { unwritable: None, stale: Vec::new(), overdue: Vec::new(), unread: 0 };
    health.look(&audit, &telling(), now);
    let notices = health.to_tell("mail", &telling(), now);
    for notice in &notices {
        health.told("mail", notice, &telling(), now);
    }
    notices.iter().map(|notice| notice.condition.as_str()).collect()
}

#[tokio::test]
async fn a_fresh_start_is_ready_but_no_proof_of_life_before_everything_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(&folder.path().join("store"), at(0)).unwrap();
    let health = Health::default();
    health.expect(calls("main"), EVERY, at(0));
    let audit = health.audit(&store, at(60)).await;
    assert_eq!((audit.reasons(), audit.passes()), (Vec::new(), false));
    health.read(&calls("main"), at(70));
    assert!(health.audit(&store, at(160)).await.passes());
    let audit = health.audit(&store, at(161)).await;
    assert_eq!(audit.reasons(), ["account `main`: calls not read for 91s"]);
    assert!(!audit.passes());
}

#[test]
fn one_refused_message_is_told_as_given_up_and_not_as_a_failing_channel() {
    let health = Health::default();
    health.expect_lane("crm".to_owned());
    health.attempted(&delivery(State::Dead { at: at(1).at }, Some(FailureKind::Rejected)), at(1));
    assert_eq!(told(&health, at(2)), ["deliveries_dead"]);
    health.attempted(&delivery(State::Dead { at: at(3).at }, Some(FailureKind::Receiver)), at(3));
    assert_eq!(told(&health, at(4)), ["channel_failing", "deliveries_dead"]);
    health.attempted(&delivery(State::Delivered { at: at(5).at }, None), at(5));
    assert_eq!(told(&health, at(6)), ["channel_failing"]);
}

#[test]
fn what_a_new_configuration_no_longer_has_is_neither_ill_nor_well() {
    let health = Health::default();
    for account in ["main", "branch"] {
        health.expect(calls(account), EVERY, at(0));
        health.not_read(&calls(account), PbxTrouble::WrongKey, "no", at(0));
    }
    health.expect_lane("crm".to_owned());
    health.attempted(&delivery(State::Pending, Some(FailureKind::Timeout)), at(0));
    assert_eq!(told(&health, at(1)).len(), 3);
    health.retain(&[calls("main")], &["mail".to_owned()]);
    // The same as before, by the new configuration: its trouble goes on.
    health.expect(calls("main"), 2 * EVERY, at(2));
    assert_eq!(told(&health, at(3)), [""; 0]);
    health.read(&calls("main"), at(4));
    assert_eq!(told(&health, at(5)), ["pbx_unreadable"]);
}

#[test]
fn a_source_whose_reads_never_end_is_told_too() {
    let health = Health::default();
    health.expect(calls("main"), EVERY, at(0));
    health.read(&calls("main"), at(10));
    assert_eq!(told(&health, at(100)), [""; 0]);
    assert_eq!(told(&health, at(101)), ["pbx_unreadable"]);
}
