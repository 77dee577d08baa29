//! Every path of the state machine of a delivery, and what holds for all of them.

use proptest::prelude::*;

use super::*;
use crate::event::{Called, Caller, Closed, Kind, Standing};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn claim() -> Claim {
    let event = Event {
        id: EventId::derive("main", EventType::CallMissed, "u1"),
        account: "main".into(),
        kind: Kind::Call,
        uuid: "u1".into(),
        caller: Caller::default(),
        called: Called::default(),
        started_at: at(-30),
        ended_at: at(-10),
        duration: Some(20),
        queue_wait: None,
        result: None,
        return_uuid: None,
        recording: false,
        seen_at: at(-5),
        standing: Standing::Announced { at: at(0) },
        ending: None,
        note: None,
        rules: Vec::new(),
        steps: Vec::new(),
        escalated: 0,
    };
    let delivery = Delivery {
        id: DeliveryId::derive("main", EventType::CallMissed, "u1", "crm"),
        event_id: event.id,
        event: EventType::CallMissed,
        channel: "crm".into(),
        rule: 0,
        happened_at: event.ended_at,
        seen_at: event.seen_at,
        created_at: at(0),
        due_at: at(0),
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
    };
    Claim { lease: 7, delivery, event: event.into() }
}

fn after(attempts: u32) -> Claim {
    let mut claim = claim();
    claim.delivery.attempts = attempts;
    claim
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "it did not work")
}

fn again(kind: FailureKind, wait: Option<Duration>) -> Outcome {
    Outcome::RetryAfter { failure: failure(kind), wait }
}

/// Without jitter, so that waits can be told to the second.
fn policy() -> retry::Policy {
    retry::Policy { jitter: 0.0, ..retry::Policy::default() }
}

const CHARGED: [FailureKind; 6] = [
    FailureKind::Timeout,
    FailureKind::Unreachable,
    FailureKind::Tls,
    FailureKind::Receiver,
    FailureKind::Rejected,
    FailureKind::Internal,
];
const PAUSING: [FailureKind; 2] = [FailureKind::RateLimited, FailureKind::Unauthorized];

#[test]
fn a_delivery_that_was_taken_is_delivered_and_its_failure_forgotten() {
    let mut claim = after(2);
    claim.delivery.last_failure = Some(failure(FailureKind::Timeout));
    let Settled { lease, delivery } = settle(claim, Outcome::Delivered, at(9), &policy(), 0.5);
    assert_eq!((lease, delivery.attempts, delivery.state), (7, 3, State::Delivered { at: at(9) }));
    assert_eq!(delivery.last_failure, None);
}

#[test]
fn a_delivery_that_was_refused_for_good_is_dead_at_once_and_says_why() {
    let outcome = Outcome::Permanent(failure(FailureKind::Rejected));
    let Settled { delivery, .. } = settle(claim(), outcome, at(9), &policy(), 0.5);
    assert_eq!((delivery.attempts, delivery.state), (1, State::Dead { at: at(9) }));
    assert_eq!(delivery.last_failure, Some(failure(FailureKind::Rejected)));
}

#[test]
fn a_failed_attempt_is_charged_and_comes_again_after_the_policys_wait() {
    for kind in CHARGED {
        let Settled { delivery, .. } = settle(claim(), again(kind, None), at(9), &policy(), 0.5);
        assert_eq!((delivery.attempts, delivery.state, delivery.due_at), (1, State::Pending, at(14)), "{kind:?}");
        assert_eq!(delivery.last_failure, Some(failure(kind)));
    }
}

#[test]
fn a_failure_that_pauses_the_channel_charges_no_attempt_and_keeps_the_turn() {
    for kind in PAUSING {
        let Settled { delivery, .. } = settle(after(3), again(kind, Some(secs(600))), at(9), &policy(), 0.5);
        assert_eq!((delivery.attempts, delivery.state, delivery.due_at), (3, State::Pending, at(9)), "{kind:?}");
    }
}

#[test]
fn a_wait_that_the_receiver_names_is_a_floor_and_not_for_ever() {
    let due = |wait| settle(claim(), again(FailureKind::Receiver, Some(wait)), at(0), &policy(), 0.5).delivery.due_at;
    assert_eq!(due(secs(120)), at(120));
    assert_eq!(due(secs(1)), at(5), "shorter than our own");
    assert_eq!(due(secs(1_000_000)), at(86_400));
}

#[test]
fn the_last_try_is_on_the_deadline_and_a_failure_then_is_the_end() {
    let policy = policy();
    let deadline = 72 * 3600;
    let Settled { delivery, .. } =
        settle(after(20), again(FailureKind::Timeout, None), at(deadline - 60), &policy, 0.5);
    assert_eq!((delivery.state, delivery.due_at), (State::Pending, at(deadline)));
    let Settled { delivery, .. } = settle(after(21), again(FailureKind::Timeout, None), at(deadline), &policy, 0.5);
    assert_eq!(delivery.state, State::Dead { at: at(deadline) });
}

#[test]
fn a_channel_that_stays_paused_past_the_deadline_gives_up_too() {
    let late = at(72 * 3600 + 1);
    for kind in PAUSING {
        let Settled { delivery, .. } = settle(claim(), again(kind, None), late, &policy(), 0.5);
        assert_eq!((delivery.attempts, delivery.state), (0, State::Dead { at: late }));
        assert!(delivery.last_failure.is_some(), "and says why");
    }
}

#[test]
fn a_withdrawn_delivery_keeps_its_attempts() {
    let Settled { lease, delivery } = withdraw(claim(), at(3));
    assert_eq!((lease, delivery.attempts, delivery.state), (7, 0, State::Withdrawn { at: at(3) }));
}

#[test]
fn the_deliveries_of_a_digest_share_its_end_and_wait_as_long_as_the_one_that_was_tried_most() {
    let settled = settle_together(vec![after(0), after(3)], &again(FailureKind::Timeout, None), at(9), &policy(), 0.5);
    let due = at(9).checked_add(Duration::from_millis(78_125)).unwrap();
    let rows: Vec<_> = settled.iter().map(|one| (one.delivery.attempts, one.delivery.due_at)).collect();
    assert_eq!(rows, [(1, due), (4, due)]);
    let settled = settle_together(vec![after(0), after(3)], &Outcome::Delivered, at(9), &policy(), 0.5);
    assert!(settled.iter().all(|one| one.delivery.state == State::Delivered { at: at(9) }));
}

fn held(until: i64) -> Claim {
    let mut claim = claim();
    (claim.delivery.held_until, claim.delivery.due_at) = (Some(at(until)), at(until));
    claim
}

#[test]
fn a_weekend_of_being_held_takes_nothing_of_the_time_in_which_it_is_tried() {
    let (opening, day) = (70 * 3600, 24 * 3600);
    let settled = settle(held(opening), again(FailureKind::Timeout, None), at(opening + 2 * day), &policy(), 0.5);
    assert_eq!(settled.delivery.state, State::Pending);
    let settled = settle(held(opening), again(FailureKind::Timeout, None), at(opening + 3 * day), &policy(), 0.5);
    assert!(matches!(settled.delivery.state, State::Dead { .. }));
    let mut revived = held(opening);
    revived.delivery.created_at = at(opening + 9 * day);
    let settled = settle(revived, again(FailureKind::Timeout, None), at(opening + 10 * day), &policy(), 0.5);
    assert_eq!(settled.delivery.state, State::Pending);
}

#[test]
fn a_hold_lasts_until_its_opening_over_a_restart_and_a_clock_that_was_corrected() {
    let held = held(50_000).delivery;
    for now in [-7200, 0, 100, 49_999, 60_000] {
        assert_eq!(held.due_after_restart(at(now)), at(50_000), "started at {now}");
    }
    let wrong = at(-400 * 86_400);
    assert_eq!(held.due_after_restart(wrong), ahead(wrong, secs(50_000)), "the clock was a year ahead");
}

fn call(uuid: &str, second: i64) -> Delivery {
    let id = DeliveryId::derive("main", EventType::CallMissed, uuid, "crm");
    let group = Some(Group::open(id, at(second), None));
    Delivery { id, due_at: at(second), group, ..claim().delivery }
}

#[test]
fn a_call_joins_a_window_of_its_channel_that_nobody_has_tried_and_that_is_not_over() {
    let window = call("u1", 120);
    let join = |window: &Delivery, now| {
        let mut other = Delivery { id: call("u2", 0).id, due_at: at(now), group: None, ..call("u2", 0) };
        other.join(window, at(now)).then_some(other)
    };
    let joined = join(&window, 60).unwrap();
    assert_eq!((joined.due_at, joined.group), (at(120), window.group.clone()));
    assert_eq!(join(&window, 120), None, "it may be on its way");
    let no = [
        Delivery { channel: "mail".into(), ..window.clone() },
        Delivery { held_until: Some(at(120)), ..window.clone() },
        Delivery { attempts: 1, ..window.clone() },
        Delivery { last_failure: Some(failure(FailureKind::RateLimited)), ..window.clone() },
        Delivery { state: State::Withdrawn { at: at(1) }, ..window.clone() },
        Delivery { group: None, ..window.clone() },
    ];
    assert!(no.iter().all(|window| join(window, 60).is_none()));
}

#[test]
fn what_is_one_message_has_one_id_that_nobody_else_gets_into() {
    let of = |rows: &[Delivery]| -> Vec<Claim> {
        rows.iter().map(|row| Claim { delivery: row.clone(), ..claim() }).collect()
    };
    let (first, second) = (call("u1", 120), Delivery { id: call("u2", 0).id, ..call("u1", 120) });
    let mut one = of(std::slice::from_ref(&first));
    assert_eq!(pin(&mut one), Some(first.id), "a single one keeps its own");
    assert_eq!(one[0].delivery.message_id(), first.id);
    let mut both = of(&[second.clone(), first.clone()]);
    let id = DeliveryId::together(&[first.id, second.id]);
    assert_eq!(pin(&mut both), Some(id));
    assert!(both.iter().all(|claim| claim.delivery.message_id() == id));
    assert_ne!(Some(id), first.group.map(|group| group.message), "the window has another name");
    assert_eq!(pin(&mut []), None);
}

#[test]
fn of_very_many_calls_the_latest_are_named_and_all_are_counted() {
    let calls = Calls::default().with((0..50).rev().map(at)).with([at(60)]);
    assert_eq!((calls.count, calls.times.len()), (51, Calls::MOST));
    assert_eq!(calls.times.last(), Some(&at(60)));
    assert!(calls.times.is_sorted());
    let mut row = call("u1", 120);
    row.group = Some(Group::open(row.id, at(120), Some((row.id, calls))));
    row.memo = Some("m".repeat(Delivery::MAX_MEMO));
    row.last_failure = Some(Failure::new(FailureKind::Rejected, "ş".repeat(400)));
    let json = serde_json::to_string(&row).unwrap();
    assert!(json.len() < 3_500, "{}", json.len());
    assert_eq!(serde_json::from_str::<Delivery>(&json).unwrap(), row);
}

fn closed(by: Closed) -> Claim {
    let mut claim = claim();
    Arc::make_mut(&mut claim.event).standing = Standing::Closed { at: at(5), by };
    claim
}

const ENDS: [Closed; 4] = [Closed::Returned, Closed::CallerReached, Closed::Answered, Closed::Heard];

#[test]
fn what_is_settled_need_not_be_told() {
    for by in ENDS.into_iter().chain([Closed::Voicemail, Closed::ByHand]) {
        assert_eq!(settled_by(&closed(by)), Some(by));
    }
    assert_eq!(settled_by(&closed(Closed::Expired)), None);
    assert_eq!(settled_by(&claim()), None);
}

#[test]
fn an_end_is_told_only_where_the_beginning_was() {
    let first = |state| Delivery { state, ..claim().delivery };
    let delivered = first(State::Delivered { at: at(1) });
    for by in ENDS {
        let event = closed(by).event;
        let turn = |first: &Delivery| turn(&event, Some(first), at(10));
        assert_eq!(turn(&delivered), Turn::Go);
        assert_eq!(turn(&Delivery { shared: Some(Shared::Open), ..delivered.clone() }), Turn::Go);
        assert_eq!(turn(&Delivery { shared: Some(Shared::Settled), ..delivered.clone() }), Turn::Withdraw, "told both");
        assert_eq!(turn(&first(State::Dead { at: at(1) })), Turn::Withdraw);
        assert_eq!(turn(&first(State::Withdrawn { at: at(1) })), Turn::Withdraw);
        assert_eq!(super::turn(&event, None, at(10)), Turn::Withdraw, "somebody has dropped it");
    }
    for by in [Closed::ByHand, Closed::Expired, Closed::Voicemail] {
        assert_eq!(turn(&closed(by).event, Some(&delivered), at(10)), Turn::Withdraw, "{by:?}");
    }
}

#[test]
fn an_end_waits_for_a_beginning_that_may_be_under_way_and_is_not_charged_for_it() {
    let event = closed(Closed::Returned).event;
    for (due, looked_at) in [(0, 15), (12, 15), (30, 30), (7200, 70)] {
        let first = Delivery { due_at: at(due), ..claim().delivery };
        assert_eq!(turn(&event, Some(&first), at(10)), Turn::Wait(at(looked_at)), "due at {due}");
    }
    let settled = put_off(after(3), at(15), at(10));
    assert_eq!((settled.delivery.attempts, settled.delivery.due_at), (3, at(15)));
    assert_eq!((settled.delivery.state, settled.lease), (State::Pending, 7));
    assert_eq!(settled.delivery.due_after_restart(at(-100)), at(-95), "it was to wait for five seconds");
}

#[test]
fn a_rate_limit_pauses_as_long_as_it_says_within_a_day() {
    let pause = |wait| pause(&failure(FailureKind::RateLimited), wait, 1);
    assert_eq!(pause(None), Some(secs(30)));
    assert_eq!(pause(Some(secs(7))), Some(secs(7)));
    assert_eq!(pause(Some(secs(1_000_000))), Some(secs(86_400)));
}

#[test]
fn who_says_that_there_is_nothing_to_wait_for_is_asked_again_after_growing_waits() {
    let pause = |streak| pause(&failure(FailureKind::RateLimited), Some(secs(0)), streak).unwrap().as_secs();
    assert_eq!([0, 1, 2, 3, 6, 7, u32::MAX].map(pause), [1, 1, 2, 4, 32, 32, 32]);
}

#[test]
fn refused_credentials_pause_longer_each_time_up_to_half_an_hour() {
    let pause = |streak| pause(&failure(FailureKind::Unauthorized), None, streak).unwrap().as_secs();
    assert_eq!([1, 2, 3, 4, 5, 6, 7, u32::MAX].map(pause), [60, 120, 240, 480, 960, 1920, 1920, 1920]);
    assert_eq!(pause(0), 60);
}

#[test]
fn no_other_failure_pauses_a_channel() {
    for kind in CHARGED {
        assert_eq!(pause(&failure(kind), Some(secs(60)), 3), None);
        assert!(!kind.pauses_channel());
    }
}

#[test]
fn a_long_failure_is_cut_between_characters() {
    let failure = Failure::new(FailureKind::Rejected, "ş".repeat(400));
    assert!(failure.text.len() <= Failure::MAX_TEXT && failure.text.ends_with("ş…"));
}

fn kinds() -> impl Strategy<Value = FailureKind> {
    prop::sample::select([CHARGED.as_slice(), PAUSING.as_slice()].concat())
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let wait = prop::option::of((0_u64..200_000).prop_map(secs));
    prop_oneof![
        1 => Just(Outcome::Delivered),
        1 => kinds().prop_map(|kind| Outcome::Permanent(failure(kind))),
        8 => (kinds(), wait).prop_map(|(kind, wait)| again(kind, wait)),
    ]
}

proptest! {
    #[test]
    fn whatever_an_attempt_ends_with_the_delivery_is_still_there(
        outcome in outcomes(), attempts in 0_u32..50, age in -100_i64..400_000, draw in 0.0..1.0_f64,
    ) {
        let (before, now) = (after(attempts).delivery, at(age));
        let Settled { lease, delivery } = settle(after(attempts), outcome.clone(), now, &retry::Policy::default(), draw);
        prop_assert_eq!(lease, 7);
        let decided = |row: &Delivery| (row.id, row.event_id, row.channel.clone(), row.created_at, row.seen_at, row.rule);
        prop_assert_eq!(decided(&delivery), decided(&before));
        match &outcome {
            Outcome::Delivered => prop_assert_eq!(delivery.state, State::Delivered { at: now }),
            Outcome::Permanent(_) => prop_assert_eq!(delivery.state, State::Dead { at: now }),
            Outcome::RetryAfter { .. } => {
                let deadline = ahead(before.created_at, retry::Policy::default().give_up_after);
                let expected = if now < deadline { State::Pending } else { State::Dead { at: now } };
                prop_assert_eq!(delivery.state, expected);
            }
        }
        prop_assert_eq!(delivery.last_failure.is_some(), outcome != Outcome::Delivered);
    }

    #[test]
    fn only_an_attempt_that_the_receiver_is_charged_with_counts(
        kind in kinds(), wait in prop::option::of(0_u64..200_000), attempts in 0_u32..50, age in 0_i64..400_000,
    ) {
        let Settled { delivery, .. } =
            settle(after(attempts), again(kind, wait.map(secs)), at(age), &retry::Policy::default(), 0.3);
        prop_assert_eq!(delivery.attempts - attempts, u32::from(!kind.pauses_channel()));
    }

    #[test]
    fn a_retry_is_never_due_before_now_nor_before_the_receiver_said_nor_after_the_deadline(
        kind in kinds(), wait in prop::option::of(0_u64..200_000), attempts in 0_u32..50,
        age in 0_i64..259_200, draw in 0.0..1.0_f64,
    ) {
        let policy = retry::Policy::default();
        let now = at(age);
        let Settled { delivery, .. } = settle(after(attempts), again(kind, wait.map(secs)), now, &policy, draw);
        let deadline = ahead(delivery.created_at, policy.give_up_after);
        prop_assert!(now <= delivery.due_at && delivery.due_at <= deadline.max(now));
        if let (false, Some(wait)) = (kind.pauses_channel(), wait) {
            let asked = ahead(now, secs(wait.min(86_400)));
            prop_assert!(delivery.due_at >= asked.min(deadline));
        }
    }

    #[test]
    fn a_receiver_that_is_never_there_is_given_up_and_tried_a_last_time_on_the_deadline(draw in 0.0..1.0_f64) {
        let policy = retry::Policy::default();
        let (mut row, mut now, mut tries) = (claim(), at(0), 0);
        let last = loop {
            let Settled { delivery, .. } = settle(row, again(FailureKind::Unreachable, None), now, &policy, draw);
            tries += 1;
            prop_assert!(tries < 1000);
            if delivery.state != State::Pending {
                break now;
            }
            now = delivery.due_at;
            row = Claim { delivery, ..claim() };
        };
        prop_assert_eq!(last, at(72 * 3600));
    }

    #[test]
    fn no_way_of_a_delivery_lowers_its_attempts_charges_a_pause_or_leaves_the_time_that_it_has(
        sequence in prop::collection::vec((outcomes(), 0_i64..40_000, 0.0..1.0_f64), 1..60),
        initial in 1_u64..4000, jitter in 0.0..=1.0_f64, days in 0_u64..10,
    ) {
        let give_up_after = secs(days * 86_400);
        let policy = retry::Policy { initial: secs(initial), max: secs(4000), multiplier: 2.0, jitter, give_up_after };
        let (mut row, mut now) = (claim().delivery, at(0));
        let deadline = ahead(row.created_at, give_up_after);
        for (outcome, late, draw) in sequence {
            // Claimed when it is due, or later: the lane was busy or ringback was down.
            now = ahead(now.max(row.due_at), secs(late.unsigned_abs()));
            let before = row.clone();
            let pauses = matches!(&outcome, Outcome::RetryAfter { failure, .. } if failure.kind.pauses_channel());
            row = settle(Claim { delivery: row, ..claim() }, outcome, now, &policy, draw).delivery;
            prop_assert_eq!(row.attempts, before.attempts + u32::from(!pauses));
            if row.state != State::Pending {
                prop_assert_eq!(row.due_at == before.due_at || row.due_at >= now, true);
                break;
            }
            prop_assert!(now < deadline, "nothing is tried again after its deadline");
            prop_assert!(now <= row.due_at && row.due_at <= deadline, "{:?}", row);
            prop_assert!(!pauses || row.due_at == now, "it keeps its turn");
        }
    }
}

#[test]
fn after_a_restart_under_a_clock_that_was_set_back_a_delivery_waits_no_longer_than_it_was_to_wait() {
    let hour = 3600;
    let created = claim().delivery;
    let Settled { delivery: failed, .. } =
        settle(claim(), again(FailureKind::Receiver, None), at(hour), &policy(), 0.5);
    assert_eq!(failed.due_at, at(hour + 5));
    // The clock is right, or further on: nothing changes.
    for now in [at(0), at(hour), at(9 * hour)] {
        assert_eq!(created.due_after_restart(now), at(0));
    }
    assert_eq!(failed.due_after_restart(at(hour + 1)), at(hour + 5));
    // It was an hour ahead, when this was decided or tried.
    assert_eq!(created.due_after_restart(at(-hour)), at(-hour));
    assert_eq!(failed.due_after_restart(at(2)), at(7));
}
