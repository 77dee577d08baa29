//! What a record changes in what is remembered, and when it is time to announce it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::cursor::{ahead, back};
use crate::event::{
    Audio, CallFacts, Closed, DeliveryId, Direction, Ending, Event, EventId, EventType, Kind, Quiet, Record, Standing,
    Step,
};
use crate::number;

/// The rules of one source, from the `watch` section.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long after its end a missed call may still be returned before it is announced.
    pub grace: Duration,
    /// Calls whose caller hung up sooner are not announced.
    pub min_wait: Duration,
    /// Older than this when first seen: told by a digest, not by a message of its own.
    pub max_age: Duration,
    /// How long an announced event is watched for its end.
    pub follow_up: Duration,
}

/// One uuid may come several times in a page, one row for each leg that rang: the copies become one record.
/// Any answered copy wins; otherwise the call is missed if any copy says so. The order of first sight is kept.
pub fn merge_copies(records: Vec<Record>) -> Vec<Record> {
    let mut merged: Vec<Record> = Vec::with_capacity(records.len());
    let mut places = std::collections::HashMap::with_capacity(records.len());
    for record in records {
        match places.get(&record.uuid) {
            None => {
                places.insert(record.uuid.clone(), merged.len());
                merged.push(record);
            }
            Some(&place) => {
                let kept = &mut merged[place];
                let better = record.answered() && !kept.answered();
                let other = if better { std::mem::replace(kept, record) } else { record };
                kept.missed = !kept.answered() && (kept.missed || other.missed);
                kept.return_uuid = kept.return_uuid.take().or(other.return_uuid);
                kept.read_at = kept.read_at.or(other.read_at);
                kept.started_at = kept.started_at.min(other.started_at);
                kept.ended_at = kept.ended_at.max(other.ended_at);
                if kept.audio == Audio::None {
                    kept.audio = other.audio;
                }
            }
        }
    }
    merged
}

/// What `record` makes of what was `known` of it: the row to store, or `None` when there is nothing to change.
pub fn observe(
    known: Option<&Event>,
    record: &Record,
    account: &str,
    announce_from: Timestamp,
    now: Timestamp,
    rules: &Rules,
) -> Option<Event> {
    match known {
        None => first_sight(record, account, announce_from, now, rules),
        Some(known) => change(known, record, now),
    }
}

fn first_sight(
    record: &Record,
    account: &str,
    announce_from: Timestamp,
    now: Timestamp,
    rules: &Rules,
) -> Option<Event> {
    let wanted = match record.kind {
        Kind::Call => record.missed && record.direction == Direction::Inbound,
        Kind::Voicemail => record.read_at.is_none(),
    };
    if !wanted {
        return None;
    }
    let ended_at = record.end();
    let waited = record.duration.map(|seconds| Duration::from_secs(seconds.into()));
    let standing = if record.return_uuid.is_some() {
        Standing::Closed { at: now, by: Closed::Returned }
    } else if ended_at < announce_from {
        Standing::Quiet { why: Quiet::FirstRun }
    } else if record.kind == Kind::Call && waited.is_some_and(|waited| waited < rules.min_wait) {
        Standing::Quiet { why: Quiet::MinWait }
    } else {
        Standing::Waiting
    };
    Some(Event {
        id: EventId::derive(account, record.kind.first_event(), &record.uuid),
        account: account.to_owned(),
        kind: record.kind,
        uuid: record.uuid.clone(),
        caller: record.caller.clone(),
        called: record.called.clone(),
        started_at: record.started_at,
        ended_at,
        duration: record.duration,
        queue_wait: record.queue_wait,
        result: record.result.clone(),
        return_uuid: record.return_uuid.clone(),
        recording: record.audio == Audio::Present,
        seen_at: now,
        standing,
        ending: None,
        note: None,
        rules: Vec::new(),
        steps: Vec::new(),
        escalated: 0,
    })
}

/// Only open events change: what is settled or quiet stays as it was decided.
fn change(known: &Event, record: &Record, now: Timestamp) -> Option<Event> {
    if !known.is_open() {
        return None;
    }
    let mut event = known.clone();
    event.recording = record.audio == Audio::Present;
    if let Some(by) = settled_by(record) {
        event.return_uuid.clone_from(&record.return_uuid);
        event = close(&event, by, now);
        event.ending = match by {
            Closed::Heard => record.read_at.map(|at| Ending { at, extension: None }),
            Closed::Answered => Some(answer(record)),
            // Of the call by which it was returned only the id is known.
            _ => None,
        };
    } else if event.standing == Standing::Waiting && record.kind == Kind::Call {
        // A call that was seen before its last leg ended grows until it is announced.
        event.ended_at = event.ended_at.max(record.end_since(event.started_at));
        event.duration = event.duration.max(record.duration);
        event.result.clone_from(&record.result);
        // So does what is known of it: a queue is noted when it has taken the call.
        complete(&mut event, &record.as_facts());
    }
    (event != *known).then_some(event)
}

fn settled_by(record: &Record) -> Option<Closed> {
    match record.kind {
        Kind::Call if record.return_uuid.is_some() => Some(Closed::Returned),
        Kind::Call if record.answered() => Some(Closed::Answered),
        Kind::Voicemail if record.read_at.is_some() => Some(Closed::Heard),
        Kind::Call | Kind::Voicemail => None,
    }
}

/// When a waiting event is to be announced, if nothing settles it before.
pub fn announce_at(event: &Event, rules: &Rules) -> Timestamp {
    match event.kind {
        Kind::Call => ahead(event.ended_at, rules.grace),
        Kind::Voicemail => event.seen_at,
    }
}

/// When an open event is to be told, for the first time or once more, if nothing settles it before; `None` when it is not.
pub fn next_at(event: &Event, rules: &Rules) -> Option<Timestamp> {
    match event.standing {
        Standing::Waiting => Some(announce_at(event, rules)),
        Standing::Announced { .. } => event.steps.first().map(|step| step.at),
        Standing::Quiet { .. } | Standing::Closed { .. } => None,
    }
}

/// Takes those steps out of `event` that are due at `known_at`, up to which it is known to be open, and returns those that
/// are to be told: none of an event that was watched long enough, and of several for one channel, as there are after an
/// outage, the first.
pub fn take_due_steps(event: &mut Event, known_at: Timestamp, now: Timestamp, rules: &Rules) -> Vec<Step> {
    if !matches!(event.standing, Standing::Announced { .. }) {
        return Vec::new();
    }
    let due = event.steps.partition_point(|step| step.at <= known_at);
    let mut told: Vec<Step> = Vec::new();
    for step in event.steps.drain(..due) {
        if !told.iter().any(|earlier| earlier.channel == step.channel) {
            told.push(step);
        }
    }
    if expired(event, now, rules) {
        return Vec::new();
    }
    event.escalated = told.iter().map(|step| step.turn).fold(event.escalated, u32::max);
    told
}

/// Whether the escalation of a `voicemail` speaks for that of its call too: the two are one matter.
pub fn escalates_for_its_call(voicemail: Option<&Event>) -> bool {
    voicemail.is_some_and(|voicemail| voicemail.is_open() && (voicemail.escalated > 0 || !voicemail.steps.is_empty()))
}

/// Whether it was old news when it was first seen: then a digest tells it.
pub fn is_old_news(event: &Event, rules: &Rules) -> bool {
    event.ended_at < back(event.seen_at, rules.max_age)
}

/// Whether an event has been watched for its end long enough.
pub fn expired(event: &Event, now: Timestamp, rules: &Rules) -> bool {
    event.is_open() && event.standing != Standing::Waiting && ahead(event.ended_at, rules.follow_up) < now
}

/// Whether the end of an event is to be told where the event was: it was `before` announced, is settled now, and that
/// came while it was still watched for.
pub fn is_news(before: &Event, event: &Event, now: Timestamp, rules: &Rules) -> bool {
    let at = event.ending.as_ref().map_or(now, |ending| ending.at);
    let announced = matches!(before.standing, Standing::Announced { .. });
    announced && event.settled_by().is_some() && !expired(before, at, rules)
}

/// How long before ringback asked for a voicemail's recording, by its clock, the PBX may say that it was heard, when it
/// was the asking that has marked it: the clocks may differ.
const BEFORE_FETCH: Duration = Duration::from_secs(60);

/// The same after it: what the answer may take.
const AFTER_FETCH: Duration = Duration::from_secs(15);

/// Whether it was ringback itself that had a voicemail marked as heard `at` that time, by one of its `fetches`. The
/// vendor's page does not say whether asking for the URL or fetching the audio sets the mark, or neither.
pub fn heard_by_us(at: Timestamp, fetches: &[Timestamp]) -> bool {
    fetches.iter().any(|fetch| (back(*fetch, BEFORE_FETCH)..=ahead(*fetch, AFTER_FETCH)).contains(&at))
}

/// The voicemail that would have been left in the same call.
pub fn voicemail_of(call: &Event) -> EventId {
    EventId::derive(&call.account, EventType::VoicemailNew, &call.uuid)
}

/// The missed call in which a voicemail was left, or the call itself.
pub fn call_of(event: &Event) -> EventId {
    EventId::derive(&event.account, EventType::CallMissed, &event.uuid)
}

/// Fills in what an `event` leaves out and a later row of the same `call` says, or that of the call in which a voicemail
/// was left. What it says itself stays: of a voicemail the extension is that of the mailbox, the length that of the
/// message.
pub fn complete(event: &mut Event, call: &CallFacts<'_>) {
    fn fill<T: Clone>(place: &mut Option<T>, found: Option<&T>) {
        if place.is_none() {
            *place = found.cloned();
        }
    }
    let (Event { caller, called, queue_wait, result, .. }, of) = (event, call);
    fill(&mut caller.number, of.caller.number.as_ref());
    fill(&mut caller.name, of.caller.name.as_ref());
    fill(&mut called.number, of.called.number.as_ref());
    fill(&mut called.queue, of.called.queue.as_ref());
    if called.extension.is_none() || called.extension == of.called.extension {
        // The name is that of the extension.
        fill(&mut called.name, of.called.name.as_ref());
    }
    fill(&mut called.extension, of.called.extension.as_ref());
    *queue_wait = queue_wait.or(of.queue_wait);
    fill(result, of.result.map(str::to_owned).as_ref());
}

/// The delivery by which a `channel` was told of `event` first.
pub fn first_delivery(event: &Event, channel: &str) -> DeliveryId {
    DeliveryId::derive(&event.account, event.kind.first_event(), &event.uuid, channel)
}

/// The delivery by which a `channel` is told, for the `turn`th time, that `event` is still open.
pub fn step_delivery(event: &Event, channel: &str, turn: u32) -> DeliveryId {
    DeliveryId::of_turn(&event.account, event.kind.escalation(), &event.uuid, channel, turn)
}

/// Every delivery by which a `channel` may have been told that somebody must act on `event`, in their order.
pub fn parts(event: &Event, channel: &str) -> impl Iterator<Item = DeliveryId> {
    let steps = (1..=event.escalated).map(move |turn| step_delivery(event, channel, turn));
    std::iter::once(first_delivery(event, channel)).chain(steps)
}

/// The delivery by which a `channel` was told of the call in which a voicemail was left.
pub fn call_delivery(voicemail: &Event, channel: &str) -> DeliveryId {
    DeliveryId::derive(&voicemail.account, EventType::CallMissed, &voicemail.uuid, channel)
}

/// Whether the `voicemail` of a call is told, and so speaks for the call too.
pub fn speaks_for_its_call(voicemail: Option<&Event>) -> bool {
    voicemail.is_some_and(|voicemail| !matches!(voicemail.standing, Standing::Quiet { .. }))
}

/// Whether what a slow read `staged` is older news than what is `stored`: others have decided meanwhile.
pub fn overtaken(staged: &Event, stored: &Event) -> bool {
    let reached = |event: &Event| match event.standing {
        Standing::Waiting => 0,
        Standing::Announced { .. } => 1,
        Standing::Quiet { .. } | Standing::Closed { .. } => 2,
    };
    let (there, here) = (reached(stored), reached(staged));
    // Among announced ones, that of which more steps were told.
    there > here || (there == 1 && here == 1 && stored.steps.len() < staged.steps.len())
}

/// Closes `event`, and with it what was still to be told of its being open.
pub fn close(event: &Event, by: Closed, now: Timestamp) -> Event {
    Event { standing: Standing::Closed { at: now, by }, steps: Vec::new(), ..event.clone() }
}

/// When and by whom a call was answered.
fn answer(record: &Record) -> Ending {
    Ending { at: record.started_at, extension: record.called.extension.clone() }
}

/// What another row of the PBX's list makes of the open `event`: settled by a leg of the same call that was answered, or
/// by a later call of the same person that was answered or returned. Whoever was reached need not be called back.
pub fn reached(event: &Event, other: &Record, now: Timestamp) -> Option<Event> {
    if event.kind != Kind::Call || !event.is_open() || other.direction != Direction::Inbound {
        return None;
    }
    let settled = |by| Some(Event { ending: Some(answer(other)), ..close(event, by, now) });
    if other.uuid == event.uuid {
        return if other.answered() { settled(Closed::Answered) } else { None };
    }
    let same = same_person(event.caller.number.as_ref(), other.caller.number.as_ref());
    if other.started_at < event.started_at || !same {
        None
    } else if other.answered() {
        settled(Closed::CallerReached)
    } else if other.return_uuid.is_some() {
        Some(Event { return_uuid: other.return_uuid.clone(), ..close(event, Closed::Returned, now) })
    } else {
        None
    }
}

/// The open `event` as settled by what has returned `returned`, a later call of the same person.
pub fn returned_with(event: &Event, returned: &Event, now: Timestamp) -> Option<Event> {
    reached_with(event, returned).then(|| Event {
        return_uuid: returned.return_uuid.clone(),
        ending: returned.ending.clone(),
        ..close(event, Closed::Returned, now)
    })
}

/// Whether the return of `returned` settles the open `event` too: an earlier call of the same person.
fn reached_with(event: &Event, returned: &Event) -> bool {
    event.is_open()
        && event.id != returned.id
        && event.kind == Kind::Call
        && event.account == returned.account
        && event.started_at <= returned.started_at
        && same_person(event.caller.number.as_ref(), returned.caller.number.as_ref())
}

/// Whether both are of one caller of one account, whoever that is.
pub fn same_caller(a: &Event, b: &Event) -> bool {
    a.account == b.account && same_person(a.caller.number.as_ref(), b.caller.number.as_ref())
}

/// Whether both are calls of one caller of one account.
pub fn same_matter(a: &Event, b: &Event) -> bool {
    a.kind == Kind::Call && b.kind == Kind::Call && same_caller(a, b)
}

/// Withheld callers are never taken for one person.
fn same_person(a: Option<&crate::private::PhoneNumber>, b: Option<&crate::private::PhoneNumber>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if number::same_caller(a, b))
}

#[cfg(test)]
mod tests;
