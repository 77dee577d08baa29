//! The body of a webhook, as contract section 4 lays it down: typed structs straight into bytes.

use bytes::Bytes;
use serde::Serialize;

use super::facts::{Data, Stamp};
use crate::event::EventType;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event_type: EventType,
    timestamp: Stamp,
    data: &'a Data<'a>,
}

/// The body. Its `timestamp` is the event's own: when the call ended.
pub(super) fn body(event_type: EventType, data: &Data<'_>) -> Bytes {
    let mut bytes = Vec::with_capacity(1536);
    // Cannot fail: string keys, no foreign `Serialize`, and memory as the writer.
    let _ = serde_json::to_writer(&mut bytes, &Body { event_type, timestamp: data.ended_at, data });
    bytes.into()
}
