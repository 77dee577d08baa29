//! What a record changes in what is remembered, and when it is time to announce it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::cursor::{ahead, back};
use crate::event::{Audio, Closed, Direction, Event, EventId, EventType, Kind, Quiet, Record, Standing};
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
        note: None,
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
        event.standing = Standing::Closed { at: now, by };
    } else if event.standing == Standing::Waiting && record.kind == Kind::Call {
        // A call that was seen before its last leg ended grows until it is announced.
        event.ended_at = event.ended_at.max(record.end_since(event.started_at));
        event.duration = event.duration.max(record.duration);
        event.result.clone_from(&record.result);
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

/// Whether it was old news when it was first seen: then a digest tells it.
pub fn is_old_news(event: &Event, rules: &Rules) -> bool {
    event.ended_at < back(event.seen_at, rules.max_age)
}

/// Whether an event has been watched for its end long enough.
pub fn expired(event: &Event, now: Timestamp, rules: &Rules) -> bool {
    event.is_open() && event.standing != Standing::Waiting && ahead(event.ended_at, rules.follow_up) < now
}

/// The voicemail that would have been left in the same call.
pub fn voicemail_of(call: &Event) -> EventId {
    EventId::derive(&call.account, EventType::VoicemailNew, &call.uuid)
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
    reached(stored) > reached(staged)
}

/// Closes `event`.
pub fn close(event: &Event, by: Closed, now: Timestamp) -> Event {
    Event { standing: Standing::Closed { at: now, by }, ..event.clone() }
}

/// What another row of the PBX's list makes of the open `event`: a leg of the same call that was answered, or a later
/// call of the same person that was answered or returned. Whoever was reached need not be called back.
pub fn reached(event: &Event, other: &Record) -> Option<Closed> {
    if event.kind != Kind::Call || !event.is_open() || other.direction != Direction::Inbound {
        None
    } else if other.uuid == event.uuid {
        other.answered().then_some(Closed::Answered)
    } else {
        let later = other.started_at >= event.started_at && (other.answered() || other.return_uuid.is_some());
        (later && same_person(event.caller.number.as_ref(), other.caller.number.as_ref()))
            .then_some(Closed::CallerReached)
    }
}

/// Whether the return of `returned` settles the open `event` too: an earlier call of the same person.
pub fn reached_with(event: &Event, returned: &Event) -> bool {
    event.is_open()
        && event.id != returned.id
        && event.kind == Kind::Call
        && event.account == returned.account
        && event.started_at <= returned.started_at
        && same_person(event.caller.number.as_ref(), returned.caller.number.as_ref())
}

/// Withheld callers are never taken for one person.
fn same_person(a: Option<&crate::private::PhoneNumber>, b: Option<&crate::private::PhoneNumber>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if number::same_caller(a, b))
}

#[cfg(test)]
mod tests;
