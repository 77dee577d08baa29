//! What each row of the PBX changes, and what no sequence of rows can.

use proptest::prelude::*;

use super::*;
use crate::event::{Called, Caller, EventType};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn rules() -> Rules {
    Rules {
        grace: Duration::from_secs(60),
        min_wait: Duration::from_secs(3),
        max_age: Duration::from_secs(86_400),
        follow_up: Duration::from_secs(86_400),
    }
}

/// A missed call of 20 seconds that ended at 0.
fn missed(uuid: &str) -> Record {
    Record {
        kind: Kind::Call,
        uuid: uuid.into(),
        direction: Direction::Inbound,
        caller: Caller { number: number::parse("03121234567").number, name: None },
        called: Called::default(),
        started_at: at(-20),
        answered_at: None,
        ended_at: Some(at(0)),
        duration: Some(20),
        queue_wait: None,
        result: Some("Cevapsız".into()),
        missed: true,
        return_uuid: None,
        audio: Audio::None,
        read_at: None,
        calling_extension: None,
    }
}

fn answered(uuid: &str) -> Record {
    Record { missed: false, answered_at: Some(at(-15)), ..missed(uuid) }
}

fn returned(uuid: &str) -> Record {
    Record { return_uuid: Some("r1".into()), ..missed(uuid) }
}

fn voicemail(uuid: &str) -> Record {
    Record { kind: Kind::Voicemail, missed: false, audio: Audio::Present, ..missed(uuid) }
}

fn from(record: Record, number: &str) -> Record {
    Record { caller: Caller { number: number::parse(number).number, name: None }, ..record }
}

fn see(known: Option<&Event>, record: &Record, now: i64) -> Option<Event> {
    observe(known, record, "main", at(-900), at(now), &rules())
}

fn waiting() -> Event {
    see(None, &missed("u1"), 10).unwrap()
}

fn announced() -> Event {
    Event { standing: Standing::Announced { at: at(60) }, ..waiting() }
}

fn standing(event: Option<Event>) -> Standing {
    event.unwrap().standing
}

#[test]
fn a_missed_inbound_call_waits_for_the_end_of_its_grace() {
    let event = waiting();
    assert_eq!(event.standing, Standing::Waiting);
    assert_eq!(event.id, EventId::derive("main", EventType::CallMissed, "u1"));
    assert_eq!((event.seen_at, event.started_at, event.ended_at), (at(10), at(-20), at(0)));
    assert_eq!(announce_at(&event, &rules()), at(60));
}

#[test]
fn an_unread_voicemail_is_announced_at_once() {
    let event = see(None, &voicemail("u1"), 10).unwrap();
    assert_eq!(event.id, EventId::derive("main", EventType::VoicemailNew, "u1"));
    assert_eq!((event.standing, event.recording), (Standing::Waiting, true));
    assert_eq!(announce_at(&event, &rules()), at(10));
}

#[test]
fn what_is_neither_missed_nor_inbound_nor_unread_is_not_remembered() {
    assert_eq!(see(None, &answered("u1"), 10), None);
    assert_eq!(see(None, &Record { missed: false, ..missed("u1") }, 10), None);
    for direction in [Direction::Outbound, Direction::Internal] {
        assert_eq!(see(None, &Record { direction, ..missed("u1") }, 10), None);
    }
    assert_eq!(see(None, &Record { read_at: Some(at(5)), ..voicemail("u1") }, 10), None);
}

#[test]
fn a_call_that_was_returned_before_first_sight_is_remembered_as_returned() {
    let standing = standing(see(None, &returned("u1"), 10));
    assert_eq!(standing, Standing::Closed { at: at(10), by: Closed::Returned });
}

#[test]
fn what_ended_before_the_first_start_is_remembered_quietly_and_other_old_news_is_told_by_a_digest() {
    let ended = |second| Record { started_at: at(second - 20), ended_at: Some(at(second)), ..missed("u1") };
    assert_eq!(standing(see(None, &ended(-901), 0)), Standing::Quiet { why: Quiet::FirstRun });
    assert_eq!(standing(see(None, &ended(-900), 0)), Standing::Waiting);
    for (seen_at, old) in [(86_400, false), (86_401, true)] {
        let event = see(None, &ended(0), seen_at).unwrap();
        assert_eq!((event.standing, is_old_news(&event, &rules())), (Standing::Waiting, old));
    }
    assert_eq!(standing(see(None, &returned("u1"), 86_401)), Standing::Closed { at: at(86_401), by: Closed::Returned });
}

#[test]
fn a_caller_who_hung_up_sooner_than_min_wait_is_remembered_quietly() {
    let of = |duration| standing(see(None, &Record { duration, ..missed("u1") }, 10));
    assert_eq!(of(Some(2)), Standing::Quiet { why: Quiet::MinWait });
    assert_eq!(of(Some(3)), Standing::Waiting);
    assert_eq!(of(None), Standing::Waiting, "better told than not when nothing is known");
    assert_eq!(standing(see(None, &Record { duration: Some(1), ..voicemail("u1") }, 10)), Standing::Waiting);
}

#[test]
fn the_same_row_again_changes_nothing() {
    assert_eq!(see(Some(&waiting()), &missed("u1"), 20), None);
    assert_eq!(see(Some(&announced()), &missed("u1"), 90), None);
}

#[test]
fn a_call_that_is_returned_is_closed_whether_it_was_announced_or_not() {
    for known in [waiting(), announced()] {
        let event = see(Some(&known), &returned("u1"), 30).unwrap();
        assert_eq!(event.standing, Standing::Closed { at: at(30), by: Closed::Returned });
        assert_eq!(event.return_uuid.as_deref(), Some("r1"));
    }
}

#[test]
fn a_call_that_another_leg_answered_and_a_voicemail_that_was_heard_are_closed() {
    let by = |known: &Event, record: &Record| standing(see(Some(known), record, 30));
    assert_eq!(by(&waiting(), &answered("u1")), Standing::Closed { at: at(30), by: Closed::Answered });
    let message = see(None, &voicemail("u1"), 10).unwrap();
    let heard = Record { read_at: Some(at(20)), ..voicemail("u1") };
    assert_eq!(by(&message, &heard), Standing::Closed { at: at(30), by: Closed::Heard });
}

#[test]
fn a_waiting_call_grows_with_its_last_leg_and_an_announced_one_does_not() {
    let longer = Record { ended_at: Some(at(40)), duration: Some(60), ..missed("u1") };
    let event = see(Some(&waiting()), &longer, 50).unwrap();
    assert_eq!((event.ended_at, event.duration), (at(40), Some(60)));
    assert_eq!(announce_at(&event, &rules()), at(100));
    assert_eq!(see(Some(&announced()), &longer, 50), None);
}

#[test]
fn a_row_without_stamps_which_is_dated_anew_with_every_read_comes_to_the_end_of_its_grace() {
    let read = |now| Record { started_at: at(now), ended_at: None, ..missed("u1") };
    let event = see(None, &read(10), 10).unwrap();
    assert_eq!(announce_at(&event, &rules()), at(90));
    assert_eq!(see(Some(&event), &read(40), 40), None);
}

#[test]
fn an_end_before_the_start_is_no_end() {
    let event = see(None, &Record { ended_at: Some(at(-300_000_000)), ..missed("u1") }, 10).unwrap();
    assert_eq!((event.standing, event.ended_at), (Standing::Waiting, at(0)));
}

#[test]
fn a_recording_that_appears_or_is_deleted_later_is_noticed_while_the_event_is_open() {
    let recorded = see(Some(&announced()), &Record { audio: Audio::Present, ..missed("u1") }, 90).unwrap();
    assert!(recorded.recording);
    let deleted = see(Some(&recorded), &Record { audio: Audio::Deleted, ..missed("u1") }, 120).unwrap();
    assert!(!deleted.recording);
}

#[test]
fn an_announced_event_expires_after_the_follow_up_and_a_waiting_one_never() {
    assert!(!expired(&announced(), at(86_400), &rules()));
    assert!(expired(&announced(), at(86_401), &rules()));
    assert!(!expired(&waiting(), at(900_000), &rules()));
    assert!(!expired(&close(&announced(), Closed::Returned, at(90)), at(900_000), &rules()));
}

#[test]
fn of_several_copies_of_a_call_any_answered_one_wins() {
    for copies in [vec![missed("u1"), answered("u1")], vec![answered("u1"), missed("u1"), missed("u1")]] {
        let merged = merge_copies(copies);
        assert_eq!(merged.len(), 1);
        assert!(merged[0].answered());
    }
}

#[test]
fn copies_that_nobody_answered_are_one_call_from_its_first_ring_to_its_last() {
    let first = Record { started_at: at(-30), ended_at: Some(at(-10)), missed: false, ..missed("u1") };
    let last = Record { return_uuid: Some("r1".into()), audio: Audio::Present, ..missed("u1") };
    let merged = merge_copies(vec![first, missed("u2"), last]);
    assert_eq!(merged.iter().map(|record| record.uuid.as_str()).collect::<Vec<_>>(), ["u1", "u2"]);
    let one = &merged[0];
    assert_eq!((one.started_at, one.ended_at, one.missed), (at(-30), Some(at(0)), true));
    assert_eq!((one.return_uuid.as_deref(), one.audio), (Some("r1"), Audio::Present));
}

/// By what `other` settles `event`.
fn settled_with(event: &Event, other: &Record) -> Option<Closed> {
    reached(event, other, at(60))?.settled_by()
}

#[test]
fn a_caller_who_was_answered_or_returned_later_is_reached() {
    let later = |record: Record| Record { started_at: at(5), ..record };
    let answered = (later(answered("u2")), Closed::CallerReached);
    for (other, by) in [answered, (later(returned("u2")), Closed::Returned)] {
        assert_eq!(settled_with(&waiting(), &other), Some(by));
        assert_eq!(settled_with(&announced(), &other), Some(by));
        assert_eq!(settled_with(&waiting(), &from(other.clone(), "+90 312 123 45 67")), Some(by));
        assert_eq!(settled_with(&waiting(), &from(other.clone(), "02121112233")), None);
        assert_eq!(settled_with(&waiting(), &from(other.clone(), "anonymous")), None);
        assert_eq!(settled_with(&waiting(), &Record { started_at: at(-21), ..other.clone() }), None, "that was before");
        assert_eq!(settled_with(&waiting(), &Record { direction: Direction::Outbound, ..other }), None);
    }
    assert_eq!(settled_with(&waiting(), &later(missed("u2"))), None);
}

#[test]
fn of_a_caller_who_was_reached_it_is_known_when_and_by_whom() {
    let called = Called { extension: Some("1008".to_owned()), ..Called::default() };
    let other = Record { started_at: at(5), called, ..answered("u2") };
    let event = reached(&announced(), &other, at(60)).unwrap();
    assert_eq!(event.ending, Some(Ending { at: at(5), extension: Some("1008".to_owned()) }));
    assert_eq!(event.settled_at(), Some(at(5)));
    let event = reached(&announced(), &Record { started_at: at(5), ..returned("u2") }, at(60)).unwrap();
    assert_eq!((event.return_uuid.as_deref(), event.ending.as_ref()), (Some("r1"), None));
    assert_eq!(event.settled_at(), Some(at(60)), "when it was noticed");
}

#[test]
fn a_call_is_answered_when_another_leg_of_it_was() {
    assert_eq!(settled_with(&waiting(), &answered("u1")), Some(Closed::Answered));
    assert_eq!(settled_with(&waiting(), &missed("u1")), None);
    let message = see(None, &voicemail("u1"), 10).unwrap();
    assert_eq!(settled_with(&message, &answered("u1")), None, "somebody left a message all the same");
    let closed = close(&waiting(), Closed::Returned, at(30));
    assert_eq!(settled_with(&closed, &answered("u1")), None);
}

#[test]
fn withheld_callers_are_never_one_person() {
    let hidden = |uuid: &str| from(Record { started_at: at(5), ..answered(uuid) }, "anonymous");
    let event = see(None, &from(missed("u1"), "anonymous"), 10).unwrap();
    assert_eq!(settled_with(&event, &hidden("u2")), None);
    let returned = see(None, &from(returned("u2"), ""), 10).unwrap();
    assert_eq!(returned_with(&event, &returned, at(60)), None);
}

#[test]
fn a_returned_call_settles_the_earlier_ones_of_its_caller_only() {
    let back = see(None, &Record { started_at: at(5), ..returned("u2") }, 30).unwrap();
    let with = |event: &Event| returned_with(event, &back, at(60));
    for event in [waiting(), announced()] {
        let settled = with(&event).unwrap();
        assert_eq!((settled.settled_by(), settled.return_uuid.as_deref()), (Some(Closed::Returned), Some("r1")));
    }
    let later = see(None, &Record { started_at: at(6), ended_at: Some(at(9)), ..missed("u3") }, 30).unwrap();
    assert_eq!(with(&later), None);
    assert_eq!(with(&Event { account: "branch".into(), ..waiting() }), None);
    assert_eq!(with(&back), None);
}

#[test]
fn the_end_is_news_of_what_was_announced_and_still_watched_only() {
    let ended = |by| close(&announced(), by, at(3600));
    let rules = Rules { follow_up: Duration::from_secs(3600), ..rules() };
    for by in [Closed::Returned, Closed::CallerReached, Closed::Answered] {
        assert!(is_news(&announced(), &ended(by), at(3600), &rules), "{by:?}");
        assert!(!is_news(&waiting(), &ended(by), at(3600), &rules), "{by:?}: nobody was told");
        assert!(!is_news(&announced(), &ended(by), at(3601), &rules), "{by:?}: watched no more");
        let ending = Some(Ending { at: at(3590), extension: None });
        assert!(is_news(&announced(), &Event { ending, ..ended(by) }, at(9000), &rules), "{by:?}: seen late");
    }
    for by in [Closed::Voicemail, Closed::Expired, Closed::ByHand] {
        assert!(!is_news(&announced(), &ended(by), at(60), &rules), "{by:?}");
    }
}

#[test]
fn a_mark_just_when_ringback_asked_for_the_audio_is_of_ringback() {
    let ours = |mark| heard_by_us(at(mark), &[at(0), at(1000)]);
    assert!([-60, 0, 15, 940, 1015].into_iter().all(ours));
    assert!(![-61, 16, 939, 1016].into_iter().any(ours));
    assert!(!heard_by_us(at(0), &[]));
}

#[test]
fn what_a_slow_read_staged_gives_way_to_what_was_decided_since() {
    let closed = close(&announced(), Closed::Returned, at(90));
    let quiet = Event { standing: Standing::Quiet { why: Quiet::Muted }, ..waiting() };
    for (staged, stored) in
        [(waiting(), announced()), (waiting(), closed.clone()), (waiting(), quiet), (announced(), closed.clone())]
    {
        assert!(overtaken(&staged, &stored), "{:?} {:?}", staged.standing, stored.standing);
        assert!(!overtaken(&stored, &staged));
        assert!(!overtaken(&staged, &staged));
    }
}

fn records() -> impl Strategy<Value = Record> {
    let kinds = prop::sample::select(vec![
        missed("u1"),
        answered("u1"),
        returned("u1"),
        Record { duration: Some(1), ..missed("u1") },
        Record { missed: false, ..missed("u1") },
        Record { direction: Direction::Outbound, ..missed("u1") },
        Record { audio: Audio::Present, ..missed("u1") },
        Record { ended_at: None, ..missed("u1") },
    ]);
    (kinds, -2000_i64..2000, prop::option::of(-2000_i64..100_000)).prop_map(|(record, start, end)| Record {
        started_at: at(start),
        ended_at: record.ended_at.and(end).map(at),
        ..record
    })
}

fn messages() -> impl Strategy<Value = Record> {
    (prop::option::of(0_i64..2000), -2000_i64..2000).prop_map(|(read_at, start)| Record {
        started_at: at(start),
        ended_at: Some(at(start + 10)),
        read_at: read_at.map(at),
        ..voicemail("u1")
    })
}

/// Records as they are observed one after the other, and announced when they are due, as the watcher does. Returns every
/// standing on the way.
fn live(sequence: &[(Record, i64)]) -> Vec<Standing> {
    let (mut known, mut now, mut way): (Option<Event>, i64, Vec<Standing>) = (None, 0, Vec::new());
    for (record, pause) in sequence {
        now += pause;
        if let Some(event) = see(known.as_ref(), record, now) {
            known = Some(event);
        }
        if let Some(event) = &mut known {
            if event.standing == Standing::Waiting && announce_at(event, &rules()) <= at(now) {
                event.standing = Standing::Announced { at: at(now) };
            }
            way.push(event.standing);
        }
    }
    way
}

proptest! {
    #[test]
    fn an_event_is_announced_once_at_most_and_never_opened_again(
        calls: bool,
        sequence in prop::collection::vec((records(), messages(), 0_i64..200_000), 1..30),
    ) {
        let sequence: Vec<(Record, i64)> = sequence
            .into_iter()
            .map(|(call, message, pause)| (if calls { call } else { message }, pause))
            .collect();
        let mut way = live(&sequence);
        way.dedup();
        let announcements = way.iter().filter(|standing| matches!(standing, Standing::Announced { .. })).count();
        prop_assert!(announcements <= 1, "{way:?}");
        for pair in way.windows(2) {
            let forward = matches!(
                pair,
                [Standing::Waiting, _] | [Standing::Announced { .. }, Standing::Closed { .. }]
            );
            prop_assert!(forward, "{:?}", pair);
        }
    }

    #[test]
    fn a_settled_or_quiet_event_is_changed_by_nothing(record in prop_oneof![records(), messages()], now in 0_i64..200_000) {
        for standing in [
            Standing::Closed { at: at(0), by: Closed::Returned },
            Standing::Closed { at: at(0), by: Closed::Expired },
            Standing::Quiet { why: Quiet::FirstRun },
            Standing::Quiet { why: Quiet::Muted },
        ] {
            prop_assert_eq!(see(Some(&Event { standing, ..waiting() }), &record, now), None);
        }
    }

    #[test]
    fn a_settled_event_never_escalates_and_an_open_one_once_at_each_step(
        happenings in prop::collection::vec((prop_oneof![Just(None), records().prop_map(Some)], 1_i64..40_000), 1..20),
        steps in prop::collection::vec((1_i64..100_000, 0_u8..3), 0..6),
        by_hand in prop::option::of(0_usize..20),
    ) {
        let mut steps: Vec<Step> = steps
            .into_iter()
            .map(|(after, channel)| Step { at: at(60 + after), channel: format!("c{channel}"), rule: 0, turn: 1 })
            .collect();
        steps.sort_by_key(|step| step.at);
        let planned = steps.clone();
        let mut event = Event { steps, ..announced() };
        let (mut now, mut told) = (60, Vec::new());
        for (n, (record, pause)) in happenings.into_iter().enumerate() {
            now += pause;
            if let Some(changed) = record.and_then(|record| see(Some(&event), &record, now)) {
                event = changed;
            }
            if by_hand == Some(n) && event.is_open() {
                event = close(&event, Closed::ByHand, at(now));
            }
            let (was_open, watched) = (event.is_open(), !expired(&event, at(now), &rules()));
            let due = take_due_steps(&mut event, at(now), at(now), &rules());
            prop_assert!(due.is_empty() || (was_open && watched));
            prop_assert!(due.iter().all(|step| step.at <= at(now)));
            prop_assert!(next_at(&event, &rules()).is_none_or(|next| next > at(now)));
            let mut channels: Vec<&str> = due.iter().map(|step| step.channel.as_str()).collect();
            channels.sort_unstable();
            channels.dedup();
            prop_assert_eq!(channels.len(), due.len(), "no channel twice at one moment");
            told.extend(due);
        }
        let mut rest = planned.iter();
        prop_assert!(told.iter().all(|step| rest.any(|planned| planned == step)), "in their order, each once");
    }

    #[test]
    fn a_page_in_any_order_and_with_any_copies_merges_to_one_row_a_call(
        copies in prop::collection::vec((records(), 0_u8..5), 0..20),
    ) {
        let page: Vec<Record> =
            copies.into_iter().map(|(record, n)| Record { uuid: format!("u{n}"), ..record }).collect();
        let mut merged = merge_copies(page.clone());
        let mut reversed = merge_copies(page.iter().rev().cloned().collect());
        merged.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        reversed.sort_by(|a, b| a.uuid.cmp(&b.uuid));
        let decided = |page: &[Record]| -> Vec<(String, bool, bool)> {
            page.iter().map(|one| (one.uuid.clone(), one.missed, one.answered())).collect()
        };
        prop_assert_eq!(decided(&merged), decided(&reversed));
        for one in &merged {
            let of = |record: &&Record| record.uuid == one.uuid;
            prop_assert_eq!(one.answered(), page.iter().filter(of).any(Record::answered));
        }
    }

    #[test]
    fn rows_of_a_known_call_end_in_the_same_state_in_any_order_and_however_often_they_come(
        calls: bool, rows in prop::collection::vec((records(), messages()), 1..8),
        order in prop::collection::vec(0_usize..8, 0..24),
    ) {
        let rows: Vec<Record> = rows.into_iter().map(|(call, message)| if calls { call } else { message }).collect();
        let first = if calls { waiting() } else { see(None, &voicemail("u1"), 10).unwrap() };
        let end = |rows: &mut dyn Iterator<Item = &Record>| {
            rows.fold(first.clone(), |event, row| see(Some(&event), row, 20).unwrap_or(event))
        };
        let once = end(&mut rows.iter());
        // Any order with any repetition, in which each comes at least once.
        let jumbled = order.iter().map(|n| &rows[n % rows.len()]).chain(rows.iter().rev());
        let again = end(&mut jumbled.collect::<Vec<_>>().into_iter());
        prop_assert_eq!((once.id, once.is_open(), once.is_settled()), (again.id, again.is_open(), again.is_settled()));
        prop_assert_eq!(once.is_settled(), rows.iter().any(|row| settled_by(row).is_some()));
        if once.is_open() {
            prop_assert_eq!((once.ended_at, once.duration), (again.ended_at, again.duration));
        }
        // What has ended does not change by a further round.
        let settled = once.is_settled().then(|| end(&mut rows.iter().chain(&rows)));
        prop_assert!(settled.is_none_or(|event| event == once));
    }

    #[test]
    fn an_id_depends_on_account_kind_and_uuid_alone(record in prop_oneof![records(), messages()], now in -2000_i64..200_000) {
        if let Some(event) = see(None, &record, now) {
            prop_assert_eq!(event.id, EventId::derive("main", record.kind.first_event(), "u1"));
            let other = observe(None, &Record { uuid: "u2".into(), ..record.clone() }, "main", at(-900), at(now), &rules());
            prop_assert_ne!(other.unwrap().id, event.id);
            let other = observe(None, &record, "other", at(-900), at(now), &rules());
            prop_assert_ne!(other.unwrap().id, event.id);
        }
    }
}
