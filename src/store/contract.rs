//! What every store must do. A store passes by `exercise!(place)`, where `place()` is an async function from a moment to
//! the store at one fresh place: each further call of it opens the same place again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Batch, Source, Store, Together};
use crate::clock::Moment;
use crate::cursor::{Cursor, ahead, back};
use crate::event::{Closed, DeliveryId, Event, EventId, EventType, Kind, Quiet, Standing};
use crate::outbox::{Claim, Delivery, Failure, FailureKind, Group, Settled, State};
use crate::render::samples;

/// Makes one test of every promise below; none can be left out.
macro_rules! exercise {
    ($place:path) => {
        $crate::store::contract::exercise! { $place:
            a_commit_is_whole_and_survives_reopening
            a_batch_that_cannot_be_stored_leaves_nothing_behind
            an_event_that_is_committed_again_replaces_its_row
            an_event_that_opens_and_closes_at_once_is_closed
            a_delivery_that_exists_is_left_alone_in_every_state
            claims_come_by_the_time_of_the_call_whenever_they_came_due_up_to_the_limit
            more_than_so_many_due_at_once_are_claimed_together
            old_news_is_claimed_together_however_little_it_is
            several_that_were_held_are_claimed_together_and_a_single_one_alone
            what_was_held_until_the_same_time_comes_due_together
            what_is_one_message_is_claimed_together_over_the_limit
            what_gathers_is_found_and_can_be_hastened
            what_waits_for_a_receiver_that_is_well_again_is_due_at_once
            claims_are_of_one_channel
            a_claim_is_had_by_one_until_its_lease_ends
            leases_end_with_the_process
            a_settle_under_a_lease_that_was_lost_changes_nothing
            a_delivered_row_is_kept_and_never_claimed_again
            a_row_that_is_to_be_tried_again_comes_when_it_is_due
            a_release_gives_back_at_once_and_charges_nothing
            next_due_tells_the_tick_of_the_next_claim
            the_pause_that_a_receiver_has_asked_for_is_known
            changed_wakes_whoever_waits_for_the_channel
            a_dead_row_lives_again_when_a_person_says_so
            a_pending_row_need_not_wait_when_a_person_says_so
            a_dropped_row_is_gone_for_good
            a_row_of_the_outbox_is_found_by_its_id
            what_a_person_has_closed_no_commit_opens_again
            list_events_gives_the_events_that_are_wanted
            the_revision_grows_with_events_and_deliveries_and_with_nothing_else
            a_fetch_is_noted_durably_beside_whatever_else_is_written
            until_when_a_summary_was_dealt_with_is_noted_durably
            prune_forgets_what_is_old_and_finished_and_keeps_the_rest
            open_events_are_those_of_the_source_that_somebody_must_act_on
            a_cursor_reads_back_as_it_was_written
            a_wall_clock_that_is_corrected_neither_hides_nor_hurries_what_is_due
            a_due_time_from_a_wrong_clock_is_bounded_after_a_restart
            the_backlog_counts_what_waits_and_how_long_it_has
            list_gives_the_rows_that_are_wanted_in_every_state
            commits_of_many_at_once_are_all_kept
            a_store_that_can_write_answers_a_ping_and_has_not_failed
        }
    };
    ($place:path: $($promise:ident)+) => {$(
        #[tokio::test]
        async fn $promise() {
            $crate::store::contract::$promise($place()).await;
        }
    )+};
}
pub(super) use exercise;

const CRM: &str = "crm";
const LEASE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// An ordinary moment, some time after the process began.
pub(super) fn morning() -> Moment {
    Moment { at: "2026-11-22T05:00:00Z".parse().unwrap(), tick: Duration::from_secs(1000) }
}

fn after(moment: Moment, wait: Duration) -> Moment {
    Moment { at: ahead(moment.at, wait), tick: moment.tick + wait }
}

pub(super) fn event(uuid: &str) -> Event {
    let mut event = samples::event(EventType::CallMissed, morning().at);
    event.id = EventId::derive("main", EventType::CallMissed, uuid);
    uuid.clone_into(&mut event.uuid);
    event
}

pub(super) fn delivery(uuid: &str, channel: &str) -> Delivery {
    let at = morning().at;
    Delivery {
        id: DeliveryId::derive("main", EventType::CallMissed, uuid, channel),
        event_id: event(uuid).id,
        event: EventType::CallMissed,
        channel: channel.to_owned(),
        rule: 0,
        happened_at: at,
        seen_at: at,
        created_at: at,
        due_at: at,
        attempts: 0,
        shared: None,
        digest_only: false,
        state: State::Pending,
        insisted: false,
        last_failure: None,
        memo: None,
        waits_since: None,
        paused_until: None,
        held_until: None,
        group: None,
    }
}

fn due_after(uuid: &str, wait: Duration) -> Delivery {
    Delivery { due_at: ahead(morning().at, wait), ..delivery(uuid, CRM) }
}

/// Events and deliveries of the same calls, in one batch.
pub(super) fn batch(deliveries: impl IntoIterator<Item = Delivery>) -> Batch {
    let deliveries: Vec<Delivery> = deliveries.into_iter().collect();
    let events = deliveries.iter().map(|delivery| Arc::new(Event { id: delivery.event_id, ..event("any") })).collect();
    Batch { events, deliveries, cursor: None }
}

/// Events that nobody is told of.
fn untold(events: impl IntoIterator<Item = Event>) -> Batch {
    Batch { events: events.into_iter().map(Arc::new).collect(), ..Batch::default() }
}

fn calls() -> Source {
    Source { account: "main".to_owned(), kind: Kind::Call }
}

fn ids(claims: &[Claim]) -> Vec<DeliveryId> {
    claims.iter().map(|claim| claim.delivery.id).collect()
}

async fn claim(store: &Arc<dyn Store>, now: Moment) -> Vec<Claim> {
    store.claim_due(CRM, 10, LEASE, now).await.unwrap()
}

async fn claim_one(store: &Arc<dyn Store>, now: Moment) -> Claim {
    claim(store, now).await.pop().unwrap()
}

async fn all(store: &Arc<dyn Store>) -> Vec<Delivery> {
    store.list(&|_| true).await.unwrap()
}

/// `claim` with another end.
fn settled(claim: Claim, change: impl FnOnce(&mut Delivery)) -> Settled {
    let mut delivery = claim.delivery;
    delivery.attempts += 1;
    change(&mut delivery);
    Settled { lease: claim.lease, delivery }
}

fn delivered(claim: Claim) -> Settled {
    settled(claim, |delivery| delivery.state = State::Delivered { at: morning().at })
}

fn dead(claim: Claim) -> Settled {
    settled(claim, |delivery| {
        delivery.state = State::Dead { at: morning().at };
        delivery.last_failure = Some(Failure::new(FailureKind::Rejected, "HTTP 410 Gone"));
    })
}

type Shared = Arc<dyn Store>;

pub(super) async fn a_commit_is_whole_and_survives_reopening(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let cursor = Cursor::first(morning().at, LEASE);
    let whole =
        Batch { cursor: Some((calls(), cursor.clone())), ..batch([delivery("c1", CRM), delivery("c1", "mail")]) };
    store.commit(whole.clone(), morning()).await.unwrap();
    drop(store);
    let store = open(morning()).await;
    assert_eq!(store.events(&[whole.events[0].id]).await.unwrap(), [Some(whole.events[0].clone())]);
    assert_eq!(store.cursor(&calls()).await.unwrap(), Some(cursor));
    let claim = claim_one(&store, morning()).await;
    assert_eq!((&claim.delivery, &claim.event), (&whole.deliveries[0], &whole.events[0]));
    assert_eq!(store.claim_due("mail", 10, LEASE, morning()).await.unwrap().len(), 1);
}

pub(super) async fn a_batch_that_cannot_be_stored_leaves_nothing_behind(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let mut wrong = batch([delivery("c1", CRM), delivery("c2", CRM)]);
    wrong.cursor = Some((calls(), Cursor::first(morning().at, LEASE)));
    wrong.deliveries[1].last_failure = Some(Failure { kind: FailureKind::Internal, text: "x".repeat(5000) });
    store.commit(wrong, morning()).await.unwrap_err();
    assert_eq!(store.events(&[event("c1").id]).await.unwrap(), [None]);
    assert_eq!(store.cursor(&calls()).await.unwrap(), None);
    assert_eq!(all(&store).await, []);
    assert_eq!(claim(&store, morning()).await.len(), 0);
    store.commit(batch([delivery("c3", CRM)]), morning()).await.unwrap();
    assert_eq!(claim(&store, morning()).await.len(), 1, "it goes on all the same");
}

pub(super) async fn an_event_that_is_committed_again_replaces_its_row(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let first = Event { standing: Standing::Waiting, ..event("c1") };
    let closed = Event { standing: Standing::Closed { at: morning().at, by: Closed::Returned }, ..first.clone() };
    for (now, is_open) in [(&first, true), (&event("c1"), true), (&closed, false), (&first, true)] {
        store.commit(untold([now.clone()]), morning()).await.unwrap();
        assert_eq!(store.events(&[first.id]).await.unwrap(), [Some(now.clone().into())]);
        assert_eq!(store.open_events(&calls()).await.unwrap().len(), usize::from(is_open));
    }
    assert_eq!(store.events(&[event("c2").id, first.id]).await.unwrap(), [None, Some(first.into())], "in their order");
}

pub(super) async fn an_event_that_opens_and_closes_at_once_is_closed(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let closed = Event { standing: Standing::Closed { at: morning().at, by: Closed::Returned }, ..event("c1") };
    let one = |event: &Event| untold([event.clone()]);
    // Both are there before the store has answered either.
    let (opening, closing) = (event("c1"), closed.clone());
    let (first, second) = tokio::join!(store.commit(one(&opening), morning()), store.commit(one(&closing), morning()));
    first.and(second).unwrap();
    assert_eq!(store.open_events(&calls()).await.unwrap(), []);
    assert_eq!(store.events(&[closed.id]).await.unwrap(), [Some(closed.into())]);
}

pub(super) async fn a_delivery_that_exists_is_left_alone_in_every_state(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let other = || ["c1", "c2", "c3"].map(|uuid| Delivery { rule: 9, ..due_after(uuid, LEASE) });
    let deliveries = ["c1", "c2", "c3"].map(|uuid| delivery(uuid, CRM));
    store.commit(batch(deliveries), morning()).await.unwrap();
    store.commit(batch(other()), morning()).await.unwrap();
    let mut claims = claim(&store, morning()).await;
    assert_eq!(claims.len(), 3, "still due at once");
    let (third, second) = (claims.pop().unwrap(), claims.pop().unwrap());
    store.settle(&[delivered(second), dead(third)], morning()).await.unwrap();
    store.commit(batch(other()), morning()).await.unwrap();
    store.commit(batch(other()), morning()).await.unwrap();
    assert_eq!(claim(&store, after(morning(), SECOND)).await.len(), 0, "one is claimed, two are finished");
    let rows = all(&store).await;
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.rule == 0));
    drop(store);
    let store = open(morning()).await;
    assert_eq!(claim(&store, morning()).await.len(), 1);
}

fn happened(delivery: Delivery, ago: Duration) -> Delivery {
    Delivery { happened_at: back(morning().at, ago), ..delivery }
}

pub(super) async fn claims_come_by_the_time_of_the_call_whenever_they_came_due_up_to_the_limit(
    open: impl AsyncFn(Moment) -> Shared,
) {
    let store = open(morning()).await;
    let rows = [
        happened(due_after("due last", 2 * SECOND), 9 * SECOND),
        happened(due_after("younger call", SECOND), SECOND),
        happened(due_after("older call", SECOND), 2 * SECOND),
        happened(due_after("not due", 4 * SECOND), Duration::from_millis(500)),
        due_after("due first", Duration::ZERO),
    ];
    store.commit(batch(rows.clone()), morning()).await.unwrap();
    let now = after(morning(), 3 * SECOND);
    let mut order = ids(&store.claim_due(CRM, 3, LEASE, now).await.unwrap());
    assert_eq!(order.len(), 3);
    order.extend(ids(&store.claim_due(CRM, 3, LEASE, now).await.unwrap()));
    assert_eq!(order, [&rows[0], &rows[2], &rows[1], &rows[4]].map(|row| row.id));
    // A lease that has ended, and what has come due since, stand in the same order.
    let again = ids(&store.claim_due(CRM, 9, LEASE, after(now, LEASE)).await.unwrap());
    assert_eq!(again, [&rows[0], &rows[2], &rows[1], &rows[3], &rows[4]].map(|row| row.id));
}

fn together(over: usize, most: usize) -> Together {
    Together { over, before: Timestamp::MIN, held: false, most }
}

pub(super) async fn more_than_so_many_due_at_once_are_claimed_together(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let rows: Vec<Delivery> = (0..6).map(|n| happened(delivery(&format!("c{n}"), CRM), (9 - n) * SECOND)).collect();
    let later = due_after("later", SECOND);
    store.commit(batch(rows.iter().cloned().chain([later])), morning()).await.unwrap();
    let (none, left) = store.claim_together(CRM, &together(6, 4), LEASE, morning()).await.unwrap();
    assert_eq!((none.len(), left), (0, 0), "six are not more than six");
    let (first, left) = store.claim_together(CRM, &together(5, 4), LEASE, morning()).await.unwrap();
    assert_eq!((ids(&first), left), (rows[..4].iter().map(|row| row.id).collect(), 2));
    let (rest, left) = store.claim_together(CRM, &together(0, 4), LEASE, morning()).await.unwrap();
    assert_eq!((ids(&rest), left), (rows[4..].iter().map(|row| row.id).collect(), 0));
    assert_eq!(store.claim_together("nobody", &together(0, 4), LEASE, morning()).await.unwrap().0.len(), 0);
}

fn held(uuid: &str, wait: Duration) -> Delivery {
    let row = due_after(uuid, wait);
    Delivery { held_until: Some(row.due_at), ..row }
}

fn grouped(uuid: &str, leader: &str, wait: Duration) -> Delivery {
    let row = due_after(uuid, wait);
    let group = Some(Group::open(delivery(leader, CRM).id, row.due_at, None));
    Delivery { group, ..row }
}

pub(super) async fn several_that_were_held_are_claimed_together_and_a_single_one_alone(
    open: impl AsyncFn(Moment) -> Shared,
) {
    let store = open(morning()).await;
    let night = Together { held: true, ..together(20, 9) };
    store.commit(batch([held("a", SECOND), held("b", SECOND), delivery("now", CRM)]), morning()).await.unwrap();
    assert_eq!(store.claim_together(CRM, &night, LEASE, morning()).await.unwrap().0.len(), 0);
    let opening = after(morning(), SECOND);
    let (mut both, left) = store.claim_together(CRM, &night, LEASE, opening).await.unwrap();
    assert_eq!((both.len(), left), (2, 0), "not what was not held");
    assert_eq!(claim(&store, opening).await.len(), 1);
    let (rest, gone) = (both.pop().unwrap(), both.pop().unwrap());
    let gone = settled(gone, |row| row.state = State::Withdrawn { at: opening.at });
    store.settle(&[gone], opening).await.unwrap();
    store.release(&[(rest.delivery.id, rest.lease)], opening).await.unwrap();
    assert_eq!(store.claim_together(CRM, &night, LEASE, opening).await.unwrap().0.len(), 0);
    assert_eq!(ids(&claim(&store, opening).await), [rest.delivery.id]);
}

pub(super) async fn what_was_held_until_the_same_time_comes_due_together(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([held("a", 60 * SECOND), held("later", 600 * SECOND)]), morning()).await.unwrap();
    // The wall clock was set back by two seconds in the night.
    let set_back = Moment { at: back(morning().at, 2 * SECOND), ..morning() };
    store.commit(batch([held("b", 60 * SECOND)]), set_back).await.unwrap();
    let night = Together { held: true, ..together(20, 9) };
    let (both, _) = store.claim_together(CRM, &night, LEASE, after(morning(), 60 * SECOND)).await.unwrap();
    assert_eq!(both.len(), 2);
}

pub(super) async fn what_is_one_message_is_claimed_together_over_the_limit(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let wait = Duration::ZERO;
    let rows = [grouped("a", "a", wait), grouped("b", "a", wait), grouped("c", "c", wait), delivery("d", CRM)];
    store.commit(batch(rows), morning()).await.unwrap();
    assert_eq!(
        store.claim_together(CRM, &together(3, 9), LEASE, morning()).await.unwrap().0.len(),
        0,
        "three messages"
    );
    let mut sizes = Vec::new();
    for _ in 0..3 {
        sizes.push(store.claim_due(CRM, 1, LEASE, morning()).await.unwrap().len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 2]);
    assert_eq!(claim(&store, morning()).await.len(), 0);
}

pub(super) async fn what_gathers_is_found_and_can_be_hastened(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let wait = 120 * SECOND;
    store
        .commit(batch([grouped("a", "a", wait), grouped("b", "b", Duration::ZERO), due_after("c", wait)]), morning())
        .await
        .unwrap();
    let found = store.gathering(morning()).await.unwrap();
    let found: Vec<DeliveryId> = found.into_iter().map(|(row, _)| row.id).collect();
    assert_eq!(found, [delivery("a", CRM).id]);
    let done = claim_one(&store, morning()).await;
    let done = settled(done, |row| row.state = State::Dead { at: morning().at });
    store.settle(std::slice::from_ref(&done), morning()).await.unwrap();
    let soon = after(morning(), SECOND);
    store.hasten(&[found[0], done.delivery.id], soon).await.unwrap();
    let hastened = claim(&store, soon).await;
    assert_eq!(ids(&hastened), found, "the dead one stays dead");
    assert_eq!(hastened[0].delivery.not_before(), Some(soon.at));
    assert_eq!(store.gathering(soon).await.unwrap().len(), 0);
}

pub(super) async fn old_news_is_claimed_together_however_little_it_is(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let old_news = Delivery { digest_only: true, ..happened(delivery("old news", CRM), SECOND) };
    let rows = [happened(delivery("old", CRM), 9 * SECOND), happened(delivery("young", CRM), 2 * SECOND), old_news];
    store.commit(batch(rows.clone()), morning()).await.unwrap();
    drop(store);
    let store = open(morning()).await;
    let before = |ago| Together { over: usize::MAX, before: back(morning().at, ago), held: false, most: 9 };
    let (claims, left) = store.claim_together(CRM, &before(3 * SECOND), LEASE, morning()).await.unwrap();
    assert_eq!((ids(&claims), left), (vec![rows[0].id, rows[2].id], 0));
    assert_eq!(ids(&claim(&store, morning()).await), [rows[1].id]);
    let later = after(morning(), LEASE);
    assert_eq!(ids(&claim(&store, later).await), [rows[0].id, rows[1].id], "never that which only a digest tells");
    let (claims, _) = store.claim_together(CRM, &before(3 * SECOND), LEASE, later).await.unwrap();
    assert_eq!(ids(&claims), [rows[2].id]);
}

pub(super) async fn what_waits_for_a_receiver_that_is_well_again_is_due_at_once(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM), delivery("c2", CRM), due_after("c3", LEASE)]), morning()).await.unwrap();
    let waits = |claim, kind| {
        settled(claim, |delivery| {
            delivery.due_at = ahead(morning().at, 600 * SECOND);
            delivery.last_failure = Some(Failure::new(kind, "it did not work"));
        })
    };
    let mut claims = claim(&store, morning()).await;
    let (ours, held_up) = (claims.pop().unwrap(), claims.pop().unwrap());
    let wanted = held_up.delivery.id;
    let rows = [waits(held_up, FailureKind::Receiver), waits(ours, FailureKind::Internal)];
    store.settle(&rows, morning()).await.unwrap();
    assert_eq!(claim(&store, morning()).await.len(), 0);
    store.hurry(CRM, morning()).await.unwrap();
    store.hurry("nobody", morning()).await.unwrap();
    assert_eq!(ids(&claim(&store, morning()).await), [wanted], "not what waits for a reason of its own");
}

pub(super) async fn claims_are_of_one_channel(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM), delivery("c1", "mail")]), morning()).await.unwrap();
    assert_eq!(ids(&claim(&store, morning()).await), [delivery("c1", CRM).id]);
    assert_eq!(store.claim_due("nobody", 10, LEASE, morning()).await.unwrap().len(), 0);
    assert_eq!(store.next_due("nobody").await.unwrap(), None);
}

pub(super) async fn a_claim_is_had_by_one_until_its_lease_ends(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM)]), morning()).await.unwrap();
    let first = claim_one(&store, morning()).await;
    let mut almost = after(morning(), 59 * SECOND);
    // Leases count in ticks: the wall clock may say what it will.
    almost.at = ahead(almost.at, 24 * 3600 * SECOND);
    assert_eq!(claim(&store, almost).await.len(), 0);
    let second = claim_one(&store, after(morning(), LEASE)).await;
    assert_eq!(second.delivery, first.delivery);
    assert_ne!(second.lease, first.lease);
}

pub(super) async fn leases_end_with_the_process(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM)]), morning()).await.unwrap();
    assert_eq!(claim(&store, morning()).await.len(), 1);
    drop(store);
    let begun_anew = Moment { tick: Duration::ZERO, ..after(morning(), SECOND) };
    assert_eq!(claim(&open(begun_anew).await, begun_anew).await.len(), 1);
}

pub(super) async fn a_settle_under_a_lease_that_was_lost_changes_nothing(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM), delivery("c2", CRM)]), morning()).await.unwrap();
    let mut late = claim(&store, morning()).await;
    let other = late.pop().unwrap();
    let now = after(morning(), LEASE);
    let held = claim(&store, now).await.into_iter().find(|claim| claim.delivery.id == late[0].delivery.id).unwrap();
    // One that is too late does not keep the others of its group from being stored.
    let others = store.claim_due(CRM, 10, LEASE, after(now, LEASE)).await.unwrap();
    let other = others.into_iter().find(|claim| claim.delivery.id == other.delivery.id).unwrap();
    let held_still = held.lease;
    store.settle(&[dead(late.remove(0)), delivered(other)], after(now, LEASE)).await.unwrap();
    let mut states: Vec<State> = all(&store).await.iter().map(|row| row.state).collect();
    states.sort_by_key(|state| *state != State::Pending);
    assert_eq!(states, [State::Pending, State::Delivered { at: morning().at }]);
    // Even the last but one holder is too late.
    store.settle(&[dead(held)], after(now, LEASE)).await.unwrap();
    let again = claim_one(&store, after(now, 2 * LEASE)).await;
    assert!(again.delivery.attempts == 0 && again.lease != held_still);
    store.settle(&[delivered(again)], after(now, 2 * LEASE)).await.unwrap();
    assert!(all(&store).await.iter().all(|row| row.state != State::Pending));
}

pub(super) async fn a_delivered_row_is_kept_and_never_claimed_again(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM)]), morning()).await.unwrap();
    let done = delivered(claim_one(&store, morning()).await);
    store.settle(std::slice::from_ref(&done), morning()).await.unwrap();
    // The answer was lost and the note of it is written again.
    store.settle(std::slice::from_ref(&done), morning()).await.unwrap();
    assert_eq!(claim(&store, after(morning(), 2 * LEASE)).await.len(), 0);
    assert_eq!(store.next_due(CRM).await.unwrap(), None);
    drop(store);
    let store = open(morning()).await;
    assert_eq!(all(&store).await, [done.delivery]);
    assert_eq!(claim(&store, after(morning(), 2 * LEASE)).await.len(), 0);
}

pub(super) async fn a_row_that_is_to_be_tried_again_comes_when_it_is_due(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM)]), morning()).await.unwrap();
    let now = after(morning(), 5 * SECOND);
    let again = settled(claim_one(&store, morning()).await, |delivery| {
        delivery.due_at = ahead(now.at, 30 * SECOND);
        delivery.last_failure = Some(Failure::new(FailureKind::Receiver, "HTTP 503 Service Unavailable"));
    });
    store.settle(std::slice::from_ref(&again), now).await.unwrap();
    assert_eq!(claim(&store, after(now, 29 * SECOND)).await.len(), 0);
    assert_eq!(store.next_due(CRM).await.unwrap(), Some(now.tick + 30 * SECOND));
    assert_eq!(claim_one(&store, after(now, 30 * SECOND)).await.delivery, again.delivery);
    drop(store);
    let store = open(now).await;
    assert_eq!(claim(&store, after(now, 29 * SECOND)).await.len(), 0, "also after a restart");
    assert_eq!(claim_one(&store, after(now, 30 * SECOND)).await.delivery, again.delivery);
}

pub(super) async fn a_release_gives_back_at_once_and_charges_nothing(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("c1", CRM)]), morning()).await.unwrap();
    let held = claim_one(&store, morning()).await;
    store.release(&[(held.delivery.id, held.lease + 1)], morning()).await.unwrap();
    assert_eq!(claim(&store, morning()).await.len(), 0, "not by somebody else");
    store.release(&[(held.delivery.id, held.lease)], morning()).await.unwrap();
    let again = claim_one(&store, morning()).await;
    assert_eq!(again.delivery, held.delivery);
    store.settle(&[dead(held)], morning()).await.unwrap();
    assert_eq!(all(&store).await[0].state, State::Pending, "what was given back is not settled by its last holder");
}

pub(super) async fn next_due_tells_the_tick_of_the_next_claim(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    assert_eq!(store.next_due(CRM).await.unwrap(), None);
    store.commit(batch([due_after("later", 90 * SECOND)]), morning()).await.unwrap();
    assert_eq!(store.next_due(CRM).await.unwrap(), Some(morning().tick + 90 * SECOND));
    store.commit(batch([delivery("now", CRM)]), morning()).await.unwrap();
    assert_eq!(store.next_due(CRM).await.unwrap(), Some(morning().tick));
    claim_one(&store, morning()).await;
    assert_eq!(store.next_due(CRM).await.unwrap(), Some(morning().tick + LEASE), "the end of a lease counts");
}

pub(super) async fn the_pause_that_a_receiver_has_asked_for_is_known(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([delivery("a", CRM), delivery("b", CRM), delivery("c", "mail")]), morning()).await.unwrap();
    let asked = settled(claim_one(&store, morning()).await, |delivery| {
        delivery.paused_until = Some(ahead(morning().at, 90 * SECOND));
        delivery.waits_since = Some(morning().at);
    });
    assert_eq!(store.paused_until(CRM).await.unwrap(), None);
    store.settle(&[asked], morning()).await.unwrap();
    assert_eq!(store.paused_until(CRM).await.unwrap(), Some(morning().tick + 90 * SECOND));
    assert_eq!(store.paused_until("mail").await.unwrap(), None);
}

pub(super) async fn changed_wakes_whoever_waits_for_the_channel(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let woken = async |what: &str| {
        let waited = tokio::time::timeout(Duration::from_secs(10), store.changed(CRM)).await;
        waited.unwrap_or_else(|_| panic!("not woken by {what}"));
    };
    store.commit(batch([delivery("c1", CRM)]), morning()).await.unwrap();
    woken("a commit before the wait").await;
    let (waited, committed) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(10), store.changed(CRM)),
        store.commit(batch([delivery("c2", CRM)]), morning())
    );
    committed.unwrap();
    waited.unwrap();
    let mut claims = claim(&store, morning()).await;
    store.settle(&[dead(claims.remove(0))], morning()).await.unwrap();
    let dead = all(&store).await.into_iter().find(|row| row.state != State::Pending).unwrap();
    store.revive(&[dead.id], false, morning()).await.unwrap();
    woken("a revival").await;
    store.release(&[(claims[0].delivery.id, claims[0].lease)], morning()).await.unwrap();
    woken("a release").await;
    store.commit(batch([delivery("c3", "mail")]), morning()).await.unwrap();
    let mut waiting = std::pin::pin!(store.changed(CRM));
    assert!(futures_util::poll!(&mut waiting).is_pending(), "nothing new in this channel");
}

pub(super) async fn a_dead_row_lives_again_when_a_person_says_so(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch(["c1", "c2"].map(|uuid| delivery(uuid, CRM))), morning()).await.unwrap();
    let mut claims = claim(&store, morning()).await;
    let (second, first) = (claims.pop().unwrap(), claims.pop().unwrap());
    let wanted = [first.delivery.id, second.delivery.id, delivery("unknown", CRM).id];
    store.settle(&[dead(first), delivered(second)], morning()).await.unwrap();
    let now = after(morning(), 7 * 24 * 3600 * SECOND);
    assert_eq!(store.revive(&wanted, false, now).await.unwrap(), 1, "not the delivered one");
    drop(store);
    let store = open(now).await;
    let revived = claim_one(&store, now).await.delivery;
    assert_eq!(revived.id, wanted[0]);
    assert_eq!(revived.created_at, now.at, "or the deadline it died of would end it again");
    assert_eq!((revived.attempts, revived.insisted), (1, false));
    assert_eq!(all(&store).await.len(), 2, "it is there once");
}

pub(super) async fn a_pending_row_need_not_wait_when_a_person_says_so(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch([due_after("c1", 600 * SECOND)]), morning()).await.unwrap();
    let now = after(morning(), SECOND);
    let id = delivery("c1", CRM).id;
    assert_eq!(store.revive(&[id], true, now).await.unwrap(), 1);
    let held = claim_one(&store, now).await;
    assert_eq!((held.delivery.due_at, held.delivery.created_at), (now.at, morning().at));
    assert!(held.delivery.insisted, "a person wants it");
    // Whoever sends it at this moment is not disturbed.
    store.revive(&[id], false, now).await.unwrap();
    assert_eq!(claim(&store, now).await.len(), 0);
    let again = settled(held, |delivery| delivery.due_at = ahead(now.at, 600 * SECOND));
    store.settle(&[again], now).await.unwrap();
    assert_eq!(claim(&store, now).await.len(), 0);
    store.revive(&[id], false, now).await.unwrap();
    drop(store);
    let store = open(now).await;
    let held = claim_one(&store, now).await;
    assert_eq!(held.delivery.attempts, 1);
    assert!(held.delivery.insisted, "what was asked for once stays so");
}

pub(super) async fn a_dropped_row_is_gone_for_good(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let rows = [delivery("sending", CRM), delivery("dead", CRM), delivery("sent", CRM), delivery("waiting", "mail")];
    store.commit(batch(rows.clone()), morning()).await.unwrap();
    let claims = claim(&store, morning()).await;
    let of = |row: &Delivery| {
        let claim = claims.iter().find(|claim| claim.delivery.id == row.id).unwrap();
        Claim { lease: claim.lease, delivery: claim.delivery.clone(), event: claim.event.clone() }
    };
    store.settle(&[dead(of(&rows[1])), delivered(of(&rows[2]))], morning()).await.unwrap();
    let ids = rows.clone().map(|row| row.id);
    assert_eq!(store.drop_deliveries(&ids, morning()).await.unwrap(), 3, "what was delivered is history");
    store.settle(&[delivered(of(&rows[0]))], morning()).await.unwrap();
    let left: Vec<_> = all(&store).await.iter().map(|row| row.id).collect();
    assert_eq!(left, [rows[2].id], "the attempt under way leaves nothing behind");
    assert_eq!(store.drop_deliveries(&ids, morning()).await.unwrap(), 0);
    drop(store);
    let store = open(morning()).await;
    assert_eq!(claim(&store, after(morning(), 2 * LEASE)).await.len(), 0);
    assert_eq!(store.claim_due("mail", 10, LEASE, morning()).await.unwrap().len(), 0);
    assert_eq!(store.next_due("mail").await.unwrap(), None);
    assert!(store.events(&[rows[0].event_id]).await.unwrap()[0].is_some(), "the event stays");
}

pub(super) async fn a_row_of_the_outbox_is_found_by_its_id(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch(["c1", "c2"].map(|uuid| delivery(uuid, CRM))), morning()).await.unwrap();
    let first = store.claim_due(CRM, 1, LEASE, morning()).await.unwrap().pop().unwrap();
    let row = delivered(first);
    store.settle(std::slice::from_ref(&row), morning()).await.unwrap();
    assert_eq!(store.delivery(row.delivery.id).await.unwrap(), Some(row.delivery.clone()));
    let other = ["c1", "c2"].map(|uuid| delivery(uuid, CRM)).into_iter().find(|other| other.id != row.delivery.id);
    assert_eq!(store.delivery(other.clone().unwrap().id).await.unwrap(), other);
    assert_eq!(store.delivery(delivery("c3", CRM).id).await.unwrap(), None);
}

pub(super) async fn what_a_person_has_closed_no_commit_opens_again(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let one = |event: &Event| untold([event.clone()]);
    let known = event("c1");
    store.commit(one(&known), morning()).await.unwrap();
    assert!(store.closed_by_hand().await.unwrap().is_empty());
    let standing = Standing::Closed { at: morning().at, by: Closed::ByHand };
    let closed = Event { standing, note: Some("called them".to_owned()), ..known.clone() };
    // Older news of it, gathered before it was closed, in the same group and in a later one.
    let late = one(&Event { duration: Some(99), ..known.clone() });
    let (first, second) = tokio::join!(store.close(&closed, morning()), store.commit(late, morning()));
    first.and(second).unwrap();
    let returned = Standing::Closed { at: morning().at, by: Closed::Returned };
    store.commit(one(&Event { standing: returned, ..known.clone() }), morning()).await.unwrap();
    store.commit(one(&event("c2")), morning()).await.unwrap();
    assert_eq!(store.events(&[known.id]).await.unwrap(), [Some(closed.clone().into())]);
    assert_eq!(store.closed_by_hand().await.unwrap(), [known.id].into());
    assert_eq!(store.open_events(&calls()).await.unwrap(), [event("c2").into()], "others go on");
    drop(store);
    let store = open(morning()).await;
    assert_eq!(store.events(&[known.id]).await.unwrap(), [Some(closed.into())]);
}

pub(super) async fn list_events_gives_the_events_that_are_wanted(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let quiet = Event { standing: Standing::Quiet { why: Quiet::Muted }, ..event("quiet") };
    store.commit(untold([event("open"), quiet.clone()]), morning()).await.unwrap();
    assert_eq!(store.list_events(&|_| true).await.unwrap().len(), 2);
    assert_eq!(store.list_events(&Event::is_open).await.unwrap(), [event("open")]);
    assert_eq!(store.list_events(&|event| event.uuid == "quiet").await.unwrap(), [quiet]);
}

pub(super) async fn the_revision_grows_with_events_and_deliveries_and_with_nothing_else(
    open: impl AsyncFn(Moment) -> Shared,
) {
    let now = morning();
    let store = open(now).await;
    let mut seen = store.revision();
    let mut has_grown = || {
        let before = std::mem::replace(&mut seen, store.revision());
        store.revision() > before
    };
    store.commit(batch([delivery("u1", "crm")]), now).await.unwrap();
    assert!(has_grown(), "a new delivery");
    let claim = claim_one(&store, now).await;
    store.ping().await.unwrap();
    store
        .commit(Batch { cursor: Some((calls(), Cursor::first(now.at, LEASE))), ..Batch::default() }, now)
        .await
        .unwrap();
    assert!(!has_grown(), "nothing that anybody is shown");
    store.settle(&[delivered(claim)], now).await.unwrap();
    assert!(has_grown(), "a delivery that was delivered");
    store.commit(untold([event("u1")]), now).await.unwrap();
    assert!(has_grown(), "an event");
    store.close(&event("u1"), now).await.unwrap();
    assert!(has_grown(), "an event that a person has closed");
}

pub(super) async fn a_fetch_is_noted_durably_beside_whatever_else_is_written(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let (a, b) = (event("a").id, event("b").id);
    let later = after(morning(), SECOND);
    let noted = tokio::join!(store.note_fetch(a, later), store.note_fetch(a, morning()), store.note_fetch(b, later));
    assert!(noted.0.is_ok() && noted.1.is_ok() && noted.2.is_ok());
    store.commit(untold([event("a")]), later).await.unwrap();
    drop(store);
    let store = open(morning()).await;
    assert_eq!(store.fetches(a).await.unwrap(), [morning().at, later.at]);
    assert_eq!(store.fetches(b).await.unwrap(), [later.at]);
    assert!(store.fetches(event("c").id).await.unwrap().is_empty());
    assert_eq!(store.prune(later.at).await.unwrap(), 1, "the older one");
    assert_eq!(store.fetches(a).await.unwrap(), [later.at]);
}

pub(super) async fn until_when_a_summary_was_dealt_with_is_noted_durably(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let [a, b] = ["a", "b"].map(|name| DeliveryId::of_notice(&["summary", name]));
    let later = after(morning(), SECOND);
    assert_eq!(store.summary_until(a).await.unwrap(), None);
    store.note_summary(a, morning().at, morning()).await.unwrap();
    store.note_summary(b, later.at, later).await.unwrap();
    store.note_summary(b, morning().at, later).await.unwrap();
    store.note_summary(b, later.at, later).await.unwrap();
    drop(store);
    let store = open(morning()).await;
    assert_eq!(store.summary_until(a).await.unwrap(), Some(morning().at));
    assert_eq!(store.summary_until(b).await.unwrap(), Some(later.at), "the last note counts");
    assert_eq!(store.prune(later.at).await.unwrap(), 1, "the older one");
    assert_eq!(store.summary_until(a).await.unwrap(), None);
    assert_eq!(store.summary_until(b).await.unwrap(), Some(later.at));
}

pub(super) async fn prune_forgets_what_is_old_and_finished_and_keeps_the_rest(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let (old, young) = (back(morning().at, 100 * LEASE), back(morning().at, LEASE));
    let closed = Standing::Closed { at: old, by: Closed::Heard };
    let with = |uuid: &str, seen_at, standing| Event { seen_at, standing, ..event(uuid) };
    let events = vec![
        with("old and open", old, Standing::Announced { at: old }),
        with("old and waiting", old, Standing::Waiting),
        with("old and closed", old, closed),
        with("old and quiet", old, Standing::Quiet { why: Quiet::Muted }),
        with("young and closed", young, closed),
        with("old and still told", old, closed),
    ];
    let deliver = |uuid: &str, created_at| Delivery { created_at, ..delivery(uuid, CRM) };
    let rows = vec![
        deliver("old and closed", old),
        deliver("young and closed", young),
        Delivery { channel: "mail".to_owned(), ..deliver("old and still told", old) },
    ];
    store.commit(Batch { deliveries: rows, ..untold(events.clone()) }, morning()).await.unwrap();
    let claims = claim(&store, morning()).await;
    let finished: Vec<Settled> = claims.into_iter().map(delivered).collect();
    store.settle(&finished, morning()).await.unwrap();
    assert_eq!(store.prune(back(morning().at, 10 * LEASE)).await.unwrap(), 3);
    drop(store);
    let store = open(morning()).await;
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    let kept: Vec<bool> = store.events(&ids).await.unwrap().iter().map(Option::is_some).collect();
    assert_eq!(kept, [true, true, false, false, true, true]);
    let mut left: Vec<Timestamp> = all(&store).await.iter().map(|row| row.created_at).collect();
    left.sort_unstable();
    assert_eq!(left, [old, young], "one that is pending, one that is young");
    assert_eq!(store.prune(back(morning().at, 10 * LEASE)).await.unwrap(), 0);
}

pub(super) async fn open_events_are_those_of_the_source_that_somebody_must_act_on(
    open: impl AsyncFn(Moment) -> Shared,
) {
    let store = open(morning()).await;
    let announced = event("announced");
    let waiting = Event { standing: Standing::Waiting, ..event("waiting") };
    let closed = Standing::Closed { at: morning().at, by: Closed::Answered };
    let others = [
        Event { standing: closed, ..event("closed") },
        Event { standing: Standing::Quiet { why: Quiet::Unrouted }, ..event("quiet") },
        Event { kind: Kind::Voicemail, ..event("a voicemail") },
        Event { account: "mai".to_owned(), ..event("another account") },
    ];
    let events = [announced.clone(), waiting.clone()].into_iter().chain(others);
    store.commit(untold(events), morning()).await.unwrap();
    drop(store);
    let mut found = open(morning()).await.open_events(&calls()).await.unwrap();
    found.sort_by_key(|event| event.uuid.clone());
    assert_eq!(found, [announced.into(), waiting.into()]);
}

pub(super) async fn a_cursor_reads_back_as_it_was_written(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let voicemails = Source { kind: Kind::Voicemail, ..calls() };
    let mut cursor = Cursor::first(morning().at, LEASE);
    let only = |cursor: &Cursor| Batch { cursor: Some((calls(), cursor.clone())), ..Batch::default() };
    store.commit(only(&cursor), morning()).await.unwrap();
    cursor.advance(morning().at, LEASE);
    cursor.advance(ahead(morning().at, 100_000 * SECOND), LEASE);
    assert_eq!(cursor.gaps.len(), 1);
    store.commit(only(&cursor), morning()).await.unwrap();
    drop(store);
    let store = open(morning()).await;
    assert_eq!(store.cursor(&calls()).await.unwrap(), Some(cursor));
    assert_eq!(store.cursor(&voicemails).await.unwrap(), None);
    assert_eq!(store.cursor(&Source { account: "mai".to_owned(), ..calls() }).await.unwrap(), None);
}

pub(super) async fn a_wall_clock_that_is_corrected_neither_hides_nor_hurries_what_is_due(
    open: impl AsyncFn(Moment) -> Shared,
) {
    let year = 365 * 24 * 3600 * SECOND;
    for wrong in [back(morning().at, year), ahead(morning().at, year)] {
        let store = open(morning()).await;
        let uuid = format!("by {wrong}");
        store.commit(batch([due_after(&uuid, 30 * SECOND)]), morning()).await.unwrap();
        let early = Moment { at: wrong, tick: morning().tick + 29 * SECOND };
        assert_eq!(claim(&store, early).await.len(), 0, "{wrong}: hurried");
        let due = Moment { tick: early.tick + SECOND, ..early };
        let held = claim(&store, due).await.pop().unwrap_or_else(|| panic!("{wrong}: hidden"));
        // What is settled under the wrong clock waits as long as it was told to.
        let again = settled(held, |delivery| delivery.due_at = ahead(due.at, 30 * SECOND));
        store.settle(&[again], due).await.unwrap();
        let put_right = Moment { at: morning().at, tick: due.tick + 30 * SECOND };
        let held = claim(&store, put_right).await.pop().unwrap_or_else(|| panic!("{wrong}: hidden when put right"));
        store.settle(&[delivered(held)], put_right).await.unwrap();
    }
}

pub(super) async fn a_due_time_from_a_wrong_clock_is_bounded_after_a_restart(open: impl AsyncFn(Moment) -> Shared) {
    let year = 365 * 24 * 3600 * SECOND;
    let store = open(morning()).await;
    let wrong = Moment { at: ahead(morning().at, year), ..morning() };
    let row = Delivery { due_at: wrong.at, ..delivery("c1", CRM) };
    store.commit(batch([row]), wrong).await.unwrap();
    drop(store);
    let store = open(morning()).await;
    assert_eq!(claim(&store, after(morning(), 24 * 3600 * SECOND)).await.len(), 1, "a day at most");
}

pub(super) async fn the_backlog_counts_what_waits_and_how_long_it_has(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store
        .commit(batch([delivery("c1", CRM), due_after("c2", 500 * SECOND), delivery("c1", "mail")]), morning())
        .await
        .unwrap();
    let now = after(morning(), 40 * SECOND);
    let lane = async |channel: &str| {
        let lanes = store.backlog(now).await.unwrap();
        let lane = lanes.into_iter().find(|lane| lane.channel == channel).unwrap();
        (lane.pending, lane.overdue)
    };
    assert_eq!(lane(CRM).await, (2, 40 * SECOND));
    assert_eq!(lane("mail").await, (1, 40 * SECOND));
    let held = claim_one(&store, now).await;
    assert_eq!(lane(CRM).await, (2, Duration::ZERO), "what is in somebody's hands is not overdue");
    store.settle(&[delivered(held)], now).await.unwrap();
    assert_eq!(lane(CRM).await, (1, Duration::ZERO));
}

pub(super) async fn list_gives_the_rows_that_are_wanted_in_every_state(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.commit(batch(["c1", "c2", "c3"].map(|uuid| delivery(uuid, CRM))), morning()).await.unwrap();
    let mut claims = claim(&store, morning()).await;
    let (second, first) = (claims.pop().unwrap(), claims.pop().unwrap());
    store.settle(&[dead(first), delivered(second)], morning()).await.unwrap();
    assert_eq!(all(&store).await.len(), 3);
    let count = async |wanted: fn(&State) -> bool| store.list(&|row| wanted(&row.state)).await.unwrap().len();
    assert_eq!(count(|state| matches!(state, State::Pending)).await, 1);
    assert_eq!(count(|state| matches!(state, State::Dead { .. })).await, 1);
    assert_eq!(count(|state| matches!(state, State::Withdrawn { .. })).await, 0);
}

pub(super) async fn commits_of_many_at_once_are_all_kept(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    let commits = (0..200).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(batch([delivery(&format!("c{n}"), CRM)]), morning()).await })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap().unwrap();
    }
    drop(store);
    let store = open(morning()).await;
    assert_eq!(store.claim_due(CRM, 1000, LEASE, morning()).await.unwrap().len(), 200);
}

pub(super) async fn a_store_that_can_write_answers_a_ping_and_has_not_failed(open: impl AsyncFn(Moment) -> Shared) {
    let store = open(morning()).await;
    store.ping().await.unwrap();
    assert!(futures_util::poll!(store.failed()).is_pending());
    assert_eq!(all(&store).await, []);
}
