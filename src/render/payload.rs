//! The body of a webhook, as contract section 4 lays it down: typed structs straight into bytes.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::digest::InDigest;
use super::facts::{Data, Stamp};
use crate::cursor::ahead;
use crate::event::{Closed, EventType};

/// A body is smaller than this.
const MAX_BODY: usize = 20_000;

/// What a digest has around its events, and some room.
const AROUND: usize = 200;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event_type: EventType,
    timestamp: Stamp,
    data: &'a Data<'a>,
}

/// The names of people in a body, which a receiver that finds fault with it may echo.
pub(super) fn names<'d>(data: impl IntoIterator<Item = &'d Data<'d>>) -> Vec<String> {
    let of = |data: &'d Data<'d>| [&data.caller.name, &data.called.name, &data.called.queue_name].into_iter().flatten();
    data.into_iter().flat_map(of).map(|name| name.clone().into_owned()).collect()
}

/// The body. Its `timestamp` is the event's own: when the call ended; of a follow-up, when that came about which it tells;
/// of an escalation, how long after its end that was.
pub(super) fn body(event_type: EventType, data: &Data<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(1536);
    // Cannot fail: string keys, no foreign `Serialize`, and memory as the writer.
    let _ = serde_json::to_writer(&mut bytes, &Body { event_type, timestamp: happened_at(event_type, data), data });
    bytes.into()
}

fn happened_at(event_type: EventType, data: &Data<'_>) -> Stamp {
    let settled_at = data.returned_at.or(data.heard_at);
    let waited = Duration::from_secs(data.waited_seconds.unwrap_or_default());
    settled_at.filter(|_| event_type.is_follow_up()).unwrap_or(Stamp(ahead(data.ended_at.0, waited)))
}

#[derive(Serialize)]
struct InBody<'a> {
    #[serde(rename = "type")]
    event_type: EventType,
    /// What has settled it since it was decided to tell it: `returned`, `caller_reached`, `answered`, `heard`.
    settled: Option<Closed>,
    #[serde(flatten)]
    data: Data<'a>,
}

#[derive(Serialize)]
struct DigestBody<'a> {
    #[serde(rename = "type")]
    event_type: &'static str,
    timestamp: Option<Stamp>,
    data: Events<'a>,
}

#[derive(Serialize)]
struct Events<'a> {
    events: &'a [InBody<'a>],
}

/// The body of a digest, and how many of `events` it tells: as many as fit, from the first on, and at least one. Its
/// `timestamp` is when the last of them came about.
pub(super) fn digest(events: &[InDigest<'_>], data: Vec<Data<'_>>) -> (Bytes, usize) {
    let mut size = AROUND;
    let mut rows = Vec::new();
    let mut timestamp: Option<Stamp> = None;
    for (event, data) in events.iter().zip(data) {
        let happened_at = happened_at(event.event_type, &data);
        let row = InBody { event_type: event.event_type, settled: event.settled, data };
        // Cannot fail, as above.
        size += serde_json::to_vec(&row).map_or(0, |bytes| bytes.len()) + 1;
        if size >= MAX_BODY && !rows.is_empty() {
            break;
        }
        rows.push(row);
        timestamp = Some(timestamp.map_or(happened_at, |Stamp(last)| Stamp(last.max(happened_at.0))));
    }
    let mut bytes = Vec::with_capacity(size);
    let body = DigestBody { event_type: "digest", timestamp, data: Events { events: &rows } };
    // Cannot fail, as above.
    let _ = serde_json::to_writer(&mut bytes, &body);
    (bytes.into(), rows.len())
}
