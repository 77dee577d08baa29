//! One row of the PBX, understood.

use jiff::Timestamp;

use super::{Called, Caller, Kind};

/// Which way a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From outside.
    Inbound,
    /// To outside.
    Outbound,
    /// Between extensions.
    Internal,
}

/// Whether there is audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audio {
    /// Nothing was recorded, or not yet.
    None,
    /// A recording is there.
    Present,
    /// There was one; asking for it would be useless.
    Deleted,
}

/// One row of the PBX, understood. Made by `pbx::wire` only; every doubtful field has been settled there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Call or voicemail.
    pub kind: Kind,
    /// The PBX's id of the call. Opaque: the vendor's own sample is not a valid UUID.
    pub uuid: String,
    /// Always inbound for voicemails.
    pub direction: Direction,
    /// Who called.
    pub caller: Caller,
    /// The extension that called, when the call came from one.
    pub calling_extension: Option<String>,
    /// What they called.
    pub called: Called,
    /// When the call began; falls back on the other stamps when broken.
    pub started_at: Timestamp,
    /// When somebody or something (a menu, a queue) picked up.
    pub answered_at: Option<Timestamp>,
    /// When the call ended. `None` while it goes on, and when the stamp is missing.
    pub ended_at: Option<Timestamp>,
    /// Whole length in seconds.
    pub duration: Option<u32>,
    /// Seconds in the queue.
    pub queue_wait: Option<u32>,
    /// The PBX's Turkish text, as it is. Not to be decided by.
    pub result: Option<String>,
    /// The PBX's own mark. The truth about being missed.
    pub missed: bool,
    /// The call by which it was returned.
    pub return_uuid: Option<String>,
    /// Whether there is audio.
    pub audio: Audio,
    /// When a voicemail was heard.
    pub read_at: Option<Timestamp>,
}

/// What a call says that the voicemail which was left in it does not.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// Who called.
    pub caller: &'a Caller,
    /// What they called.
    pub called: &'a Called,
    /// Seconds in the queue.
    pub queue_wait: Option<u32>,
    /// The PBX's text for how it ended.
    pub result: Option<&'a str>,
}

impl Record {
    /// For the voicemail of the same call.
    pub fn as_facts(&self) -> CallFacts<'_> {
        let Self { caller, called, queue_wait, result, .. } = self;
        CallFacts { caller, called, queue_wait: *queue_wait, result: result.as_deref() }
    }

    /// The end of the call, as well as it is known.
    pub fn end(&self) -> Timestamp {
        self.end_since(self.started_at)
    }

    /// The same for a call that is known to have begun at `started_at`: a row without any stamp is dated by when it was
    /// read, anew each time. An end before the start is a broken stamp, which would make a call of today one of long ago.
    pub fn end_since(&self, started_at: Timestamp) -> Timestamp {
        self.ended_at.filter(|ended_at| *ended_at >= started_at).unwrap_or_else(|| {
            let length = jiff::SignedDuration::from_secs(self.duration.unwrap_or(0).into());
            started_at.saturating_add(length).unwrap_or(started_at)
        })
    }

    /// Whether this leg was answered by a person, as far as the row tells: not marked missed, and picked up.
    pub fn answered(&self) -> bool {
        self.kind == Kind::Call && !self.missed && self.answered_at.is_some()
    }
}
