//! The calls and voicemails of a simulated PBX, and the changes that the world makes to them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

/// Which way a call went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `Gelen`.
    Inbound,
    /// `Giden`.
    Outbound,
    /// `Giden (API)`.
    OutboundApi,
    /// `Giden (IVR)`.
    OutboundIvr,
    /// `Santral içi`.
    Internal,
}

/// Whether a call was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// No.
    No,
    /// Yes, and it can be listened to.
    Yes,
    /// It was, but the recording has been deleted.
    Deleted,
}

/// A call as the PBX knows it. It is listed from `end + visible_after` on.
#[derive(Debug, Clone)]
pub struct SimCall {
    /// Several rows may have the same one: a leg for each agent.
    pub uuid: String,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// How long after its end it is listed.
    pub visible_after: Duration,
    /// Which way it went.
    pub direction: Direction,
    /// As the PBX writes it: `03121234567`, `1014 (902129510292)`, `anonymous`.
    pub caller_number: String,
    /// From the PBX's phone book, or what the caller sent.
    pub caller_name: Option<String>,
    /// `902129876543`, `902129510292 (1008)`.
    pub destination_number: String,
    /// Name of the extension or the line.
    pub destination_name: Option<String>,
    /// Number or name of the queue or ring group.
    pub queue: Option<String>,
    /// Time in the queue.
    pub wait: Option<Duration>,
    /// One of the vendor's Turkish words.
    pub result: String,
    /// What the PBX calls missed.
    pub missed: bool,
    /// When somebody, or a menu, answered.
    pub answered_at: Option<Timestamp>,
    /// The call by which it was returned.
    pub return_uuid: Option<String>,
    /// Whether it was recorded.
    pub recording_present: Recorded,
    /// Whether the caller hung up, rather than the callee.
    pub caller_hung_up: bool,
}

impl Default for SimCall {
    /// A missed call of no length at the epoch.
    fn default() -> Self {
        Self {
            uuid: String::new(),
            start: Timestamp::UNIX_EPOCH,
            end: Timestamp::UNIX_EPOCH,
            visible_after: Duration::ZERO,
            direction: Direction::Inbound,
            caller_number: "03121234567".into(),
            caller_name: None,
            destination_number: "902129876543".into(),
            destination_name: None,
            queue: None,
            wait: None,
            result: "Cevapsız".into(),
            missed: true,
            answered_at: None,
            return_uuid: None,
            recording_present: Recorded::No,
            caller_hung_up: true,
        }
    }
}

impl SimCall {
    /// An inbound call that rang for `rang` until `end` and was not answered.
    pub fn missed(uuid: impl Into<String>, end: Timestamp, rang: Duration) -> Self {
        Self { uuid: uuid.into(), start: before(end, rang), end, ..Self::default() }
    }

    /// An inbound call that was answered at once and talked for `talked` until `end`.
    pub fn answered(uuid: impl Into<String>, end: Timestamp, talked: Duration) -> Self {
        let start = before(end, talked);
        Self {
            uuid: uuid.into(),
            start,
            end,
            result: "Cevaplandı".into(),
            missed: false,
            answered_at: Some(start),
            ..Self::default()
        }
    }

    pub(super) fn visible(&self, now: Timestamp) -> bool {
        after(self.end, self.visible_after) <= now
    }
}

/// A voicemail as the PBX knows it. It is listed from `start + duration + visible_after` on.
#[derive(Debug, Clone)]
pub struct SimVoicemail {
    /// That of the call in which it was left.
    pub uuid: String,
    /// When it was left.
    pub start: Timestamp,
    /// Length of the message.
    pub duration: Duration,
    /// How long after its end it is listed.
    pub visible_after: Duration,
    /// The extension for which it was left.
    pub user_number: String,
    /// Who left it.
    pub caller_number: String,
    /// Their name.
    pub caller_name: Option<String>,
    /// When it was first listened to.
    pub read_at: Option<Timestamp>,
}

impl SimVoicemail {
    /// A message of `duration` for extension 1002 that nobody has heard.
    pub fn unread(uuid: impl Into<String>, start: Timestamp, duration: Duration) -> Self {
        Self {
            uuid: uuid.into(),
            start,
            duration,
            visible_after: Duration::ZERO,
            user_number: "1002".into(),
            caller_number: "03121234567".into(),
            caller_name: None,
            read_at: None,
        }
    }

    pub(super) fn visible(&self, now: Timestamp) -> bool {
        after(self.start, self.duration.saturating_add(self.visible_after)) <= now
    }
}

/// Everything that the PBX knows. The order of adding decides between rows of the same second.
#[derive(Debug, Clone, Default)]
pub struct Data {
    pub(super) calls: Vec<SimCall>,
    pub(super) voicemails: Vec<SimVoicemail>,
    pub(super) raw_cdrs: Vec<Value>,
    pub(super) raw_voicemails: Vec<Value>,
    pub(super) contacts: Vec<Value>,
    pub(super) extensions: Vec<Value>,
    pub(super) queues: Vec<Value>,
}

impl Data {
    /// Adds a call.
    pub fn add_call(&mut self, call: SimCall) {
        self.calls.push(call);
    }

    /// Adds a voicemail.
    pub fn add_voicemail(&mut self, voicemail: SimVoicemail) {
        self.voicemails.push(voicemail);
    }

    /// Adds a row to `/cdrs` as it stands. It passes every filter and is newer than every other row.
    pub fn add_raw_cdr(&mut self, row: Value) {
        self.raw_cdrs.push(row);
    }

    /// Adds a row to `/voicemail_messages` as it stands. It passes every filter and is newer than every other row.
    pub fn add_raw_voicemail(&mut self, row: Value) {
        self.raw_voicemails.push(row);
    }

    /// Adds an entry to the phone book as it stands: `name`, `surname`, `company_name`, `phone`, `phone1` and so on.
    pub fn add_contact(&mut self, row: Value) {
        self.contacts.push(row);
    }

    /// Names an extension.
    pub fn add_extension(&mut self, number: &str, name: &str) {
        self.extensions.push(json!({"number": number, "name": name, "active": true}));
    }

    /// Names a queue. The vendor's page shows its number as a number, and that of calls as a text.
    pub fn add_queue(&mut self, number: u32, name: &str) {
        self.queues.push(json!({"number": number, "name": name}));
    }

    /// Forgets the phone book, the extensions and the queues.
    pub fn clear_names(&mut self) {
        (self.contacts, self.extensions, self.queues) = Default::default();
    }

    /// Changes every row of a call and says how many there were.
    pub fn update(&mut self, uuid: &str, change: impl FnMut(&mut SimCall)) -> usize {
        self.calls.iter_mut().filter(|call| call.uuid == uuid).map(change).count()
    }

    /// Changes a voicemail and says how many there were.
    pub fn update_voicemail(&mut self, uuid: &str, change: impl FnMut(&mut SimVoicemail)) -> usize {
        self.voicemails.iter_mut().filter(|voicemail| voicemail.uuid == uuid).map(change).count()
    }

    /// Says that the call `uuid` was returned by the call `by_uuid`.
    pub fn set_returned(&mut self, uuid: &str, by_uuid: &str) -> usize {
        self.update(uuid, |call| call.return_uuid = Some(by_uuid.to_owned()))
    }

    /// Says that a voicemail was listened to at `at`, unless it was before.
    pub fn mark_read(&mut self, uuid: &str, at: Timestamp) -> usize {
        self.update_voicemail(uuid, |voicemail| {
            voicemail.read_at.get_or_insert(at);
        })
    }

    /// Forgets every call, voicemail and raw row with this uuid.
    pub fn remove(&mut self, uuid: &str) {
        self.calls.retain(|call| call.uuid != uuid);
        self.voicemails.retain(|voicemail| voicemail.uuid != uuid);
        self.raw_cdrs.retain(|row| row["call_uuid"] != uuid);
        self.raw_voicemails.retain(|row| row["uuid"] != uuid);
    }
}

fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn before(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_sub(by).unwrap_or(Timestamp::MIN)
}
