//! What is counted, and in which period.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::event::{Called, Caller, Ending, EventId, EventType, Quiet};
use crate::render::samples;

fn at(text: &str) -> Timestamp {
    format!("2026-11-{text}:00Z").parse().unwrap()
}

/// Monday 18:00 to Tuesday 18:00 in UTC.
fn tuesday() -> Period {
    Period { from: at("23T18:00"), until: at("24T18:00") }
}

fn call(uuid: &str, seen_at: Timestamp, standing: Standing) -> Event {
    let ended_at = seen_at.checked_sub(SignedDuration::from_secs(10)).unwrap();
    let call = samples::event(EventType::CallMissed, ended_at);
    let id = EventId::derive(&call.account, EventType::CallMissed, uuid);
    let (uuid, caller) = (uuid.to_owned(), Caller { number: number::parse(uuid).number, name: None });
    Event { id, uuid, caller, seen_at, standing, ..call }
}

fn voicemail(uuid: &str, seen_at: Timestamp, standing: Standing) -> Event {
    let id = EventId::derive("main", EventType::VoicemailNew, uuid);
    let called = Called { extension: Some("1002".to_owned()), ..Called::default() };
    Event { id, kind: Kind::Voicemail, called, ..call(uuid, seen_at, standing) }
}

fn closed(at: Timestamp, by: Closed) -> Standing {
    Standing::Closed { at, by }
}

fn announced() -> Standing {
    Standing::Announced { at: at("24T09:00") }
}

fn open_of(tally: &Tally) -> Vec<(&str, usize, bool)> {
    tally.open.iter().map(|open| (&*open.event.uuid, open.calls, open.watched)).collect()
}

#[test]
fn calls_are_counted_by_what_has_become_of_them() {
    let noon = at("24T12:00");
    let events = [
        call("1", at("24T09:00"), closed(at("24T09:10"), Closed::Returned)),
        call("2", at("24T09:00"), closed(at("24T09:30"), Closed::CallerReached)),
        call("3", at("24T09:00"), announced()),
        call("4", at("24T09:00"), Standing::Waiting),
        call("5", at("24T09:00"), closed(noon, Closed::ByHand)),
        call("6", at("24T09:00"), closed(noon, Closed::Answered)),
        call("7", at("24T09:00"), closed(noon, Closed::Voicemail)),
        call("8", at("24T09:00"), Standing::Quiet { why: Quiet::Muted }),
        voicemail("7", at("24T09:00"), announced()),
        voicemail("9", at("24T09:00"), closed(noon, Closed::Heard)),
    ];
    let tally = Tally::new(tuesday(), &events);
    assert_eq!((tally.missed, tally.returned, tally.closed_by_hand), (5, 2, 1));
    assert_eq!((tally.voicemails, tally.heard), (2, 1));
    assert_eq!(tally.median_return, Some(Duration::from_secs(20 * 60 + 10)), "of 10 min and 30 min after their ends");
    let mut open = open_of(&tally);
    open.sort_unstable();
    assert_eq!(open, [("3", 1, true), ("4", 1, true), ("7", 1, true)]);
    let [queue] = &tally.queues[..] else { panic!("one queue") };
    assert_eq!((&*queue.number, queue.missed, queue.returned, queue.open), ("201", 5, 2, 2));
}

#[test]
fn what_happens_after_the_period_changes_nothing_in_it() {
    let later = at("24T18:01");
    let events = [
        call("1", at("24T17:59"), closed(later, Closed::Returned)),
        call("2", at("24T17:59"), closed(later, Closed::Expired)),
        call("3", at("24T18:00"), announced()),
    ];
    let tally = Tally::new(tuesday(), &events);
    assert_eq!((tally.missed, tally.returned), (2, 0));
    let mut open = open_of(&tally);
    open.sort_unstable();
    assert_eq!(open, [("1", 1, true), ("2", 1, true)]);
}

#[test]
fn what_is_left_of_before_is_open_or_returned_and_not_missed_again() {
    let monday = at("23T10:00");
    let events = [
        call("1", monday, announced()),
        call("2", monday, closed(at("24T09:10"), Closed::Returned)),
        call("3", monday, closed(at("23T17:00"), Closed::Returned)),
        voicemail("4", monday, closed(at("24T09:10"), Closed::Heard)),
    ];
    let tally = Tally::new(tuesday(), &events);
    assert_eq!((tally.missed, tally.voicemails, tally.returned, tally.heard), (0, 0, 0, 0));
    assert_eq!((tally.earlier_returned, tally.earlier_heard), (1, 1));
    assert_eq!(open_of(&tally), [("1", 1, true)]);
}

#[test]
fn a_call_that_is_no_longer_watched_is_named_a_last_time() {
    let call = call("1", at("23T10:00"), closed(at("24T10:00"), Closed::Expired));
    assert_eq!(open_of(&Tally::new(tuesday(), std::slice::from_ref(&call))), [("1", 1, false)]);
    let wednesday = Period { from: at("24T18:00"), until: at("25T18:00") };
    assert!(Tally::new(wednesday, &[call]).is_empty());
}

#[test]
fn the_calls_of_one_person_are_one_row_and_withheld_ones_are_not() {
    let withheld = |uuid| Event { caller: Caller::default(), ..call(uuid, at("24T10:00"), announced()) };
    let by = |uuid: &str, number: &str, seen| Event {
        caller: Caller { number: number::parse(number).number, name: None },
        ..call(uuid, seen, announced())
    };
    let events = [
        by("c", "0532 111 22 33", at("24T12:00")),
        by("a", "905321112233", at("24T09:00")),
        by("b", "03121234567", at("24T10:30")),
        withheld("w1"),
        withheld("w2"),
    ];
    let tally = Tally::new(tuesday(), &events);
    let mut open = open_of(&tally);
    assert_eq!(open[0], ("c", 2, true), "in the place of the first one, with the last one's facts");
    assert_eq!(tally.open[0].since, events[1].started_at);
    open.sort_unstable();
    assert_eq!(open, [("b", 1, true), ("c", 2, true), ("w1", 1, true), ("w2", 1, true)]);
    assert_eq!(tally.missed, 5);
}

#[test]
fn a_call_is_not_named_beside_its_voicemail() {
    let events = [call("1", at("24T09:00"), announced()), voicemail("1", at("24T09:01"), announced())];
    let tally = Tally::new(tuesday(), &events);
    let [open] = &tally.open[..] else { panic!("{:?}", tally.open) };
    assert_eq!(open.event.kind, Kind::Voicemail);
}

#[test]
fn the_return_counts_from_when_it_was_made_where_that_is_known() {
    let mut event = call("1", at("24T09:00"), closed(at("24T09:30"), Closed::Returned));
    event.ending = Some(Ending { at: event.ended_at + Duration::from_secs(240), extension: None });
    assert_eq!(Tally::new(tuesday(), &[event]).median_return, Some(Duration::from_secs(240)));
}

fn standing() -> impl Strategy<Value = Standing> {
    let moment = (0_i64..6 * 86_400).prop_map(|s| at("22T00:00") + Duration::from_secs(s.cast_unsigned()));
    let by = prop::sample::select(vec![
        Closed::Returned,
        Closed::CallerReached,
        Closed::Answered,
        Closed::Voicemail,
        Closed::Expired,
        Closed::ByHand,
    ]);
    prop_oneof![Just(announced()), Just(Standing::Waiting), (moment, by).prop_map(|(at, by)| closed(at, by))]
}

proptest! {
    #[test]
    fn every_call_is_missed_in_one_period_and_returned_at_most_once(
        rows in proptest::collection::vec((0_i64..4 * 86_400, standing()), 0..40),
    ) {
        let start = at("22T00:00");
        let events: Vec<Event> = rows.into_iter().enumerate().map(|(n, (seen, standing))| {
            let seen_at = start + Duration::from_secs(seen.cast_unsigned());
            let standing = match standing {
                Standing::Closed { at, by } => closed(at.max(seen_at), by),
                other => other,
            };
            call(&format!("0532{n:07}"), seen_at, standing)
        }).collect();
        let days = (22..29).map(|day| Period { from: at(&format!("{day}T00:00")), until: at(&format!("{}T00:00", day + 1)) });
        let tallies: Vec<Tally> = days.map(|day| Tally::new(day, &events)).collect();
        let counted = |wanted: &[Closed]| events.iter().filter(|event| {
            matches!(event.standing, Standing::Closed { by, .. } if wanted.contains(&by))
        }).count();
        let missed: usize = tallies.iter().map(|tally| tally.missed).sum();
        prop_assert_eq!(missed, events.len() - counted(&[Closed::Answered, Closed::Voicemail]));
        let returned: usize = tallies.iter().map(|tally| tally.returned + tally.earlier_returned).sum();
        prop_assert_eq!(returned, counted(&[Closed::Returned, Closed::CallerReached]));
        for tally in &tallies {
            prop_assert!(tally.returned <= tally.missed);
            prop_assert!(tally.queues.iter().map(|place| place.missed).sum::<usize>() <= tally.missed);
        }
    }
}
