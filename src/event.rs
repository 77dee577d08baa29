//! The domain: what the PBX reported ([`Record`]), what is remembered of it ([`Event`]), and the ids of both.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::ids::{DeliveryId, EventId};
pub use self::record::{Audio, CallFacts, Direction, Record};
use crate::private::{PersonName, PhoneNumber};

mod ids;
mod record;

/// The two things that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A call that nobody answered.
    Call,
    /// A voicemail that nobody has heard.
    Voicemail,
}

impl Kind {
    /// The name in logs, metrics and stored keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "calls",
            Self::Voicemail => "voicemails",
        }
    }

    /// What is told when such a record is first announced.
    pub fn first_event(self) -> EventType {
        match self {
            Self::Call => EventType::CallMissed,
            Self::Voicemail => EventType::VoicemailNew,
        }
    }

    /// What is told when what was announced has come to its end.
    pub fn follow_up(self) -> EventType {
        match self {
            Self::Call => EventType::CallReturned,
            Self::Voicemail => EventType::VoicemailHeard,
        }
    }

    /// What is told by the steps of an escalation, while nobody has acted.
    pub fn escalation(self) -> EventType {
        match self {
            Self::Call => EventType::CallUnreturned,
            Self::Voicemail => EventType::VoicemailUnheard,
        }
    }
}

/// What can be told, by its name in payloads, routes and templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum EventType {
    /// An inbound call that the PBX marks as missed, with no `return_uuid`.
    #[serde(rename = "call.missed")]
    CallMissed,
    /// An announced missed call has since been returned, or its caller was reached.
    #[serde(rename = "call.returned")]
    CallReturned,
    /// An escalation step: an announced missed call is still not returned.
    #[serde(rename = "call.unreturned")]
    CallUnreturned,
    /// An unread voicemail.
    #[serde(rename = "voicemail.new")]
    VoicemailNew,
    /// An announced voicemail has since been heard.
    #[serde(rename = "voicemail.heard")]
    VoicemailHeard,
    /// An escalation step: an announced voicemail is still not heard.
    #[serde(rename = "voicemail.unheard")]
    VoicemailUnheard,
}

impl EventType {
    /// Every event that is told.
    pub const ALL: [Self; 6] = [
        Self::CallMissed,
        Self::CallReturned,
        Self::CallUnreturned,
        Self::VoicemailNew,
        Self::VoicemailHeard,
        Self::VoicemailUnheard,
    ];

    /// Those that routes decide on. A follow-up goes where its first part went, an escalation where `escalate` says.
    pub const FIRST: [Self; 2] = [Self::CallMissed, Self::VoicemailNew];

    /// The name in payloads, routes and templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CallMissed => "call.missed",
            Self::CallReturned => "call.returned",
            Self::CallUnreturned => "call.unreturned",
            Self::VoicemailNew => "voicemail.new",
            Self::VoicemailHeard => "voicemail.heard",
            Self::VoicemailUnheard => "voicemail.unheard",
        }
    }

    /// What it is about.
    pub fn kind(self) -> Kind {
        match self {
            Self::CallMissed | Self::CallReturned | Self::CallUnreturned => Kind::Call,
            Self::VoicemailNew | Self::VoicemailHeard | Self::VoicemailUnheard => Kind::Voicemail,
        }
    }

    /// Whether it tells the end of what was told before.
    pub fn is_follow_up(self) -> bool {
        matches!(self, Self::CallReturned | Self::VoicemailHeard)
    }

    /// Whether it tells that what was told before is still open.
    pub fn is_escalation(self) -> bool {
        matches!(self, Self::CallUnreturned | Self::VoicemailUnheard)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|event| event.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|event| event.as_str()).collect();
            format!("unknown event type `{text}`; this version knows {}", known.join(", "))
        })
    }
}

/// Whose call it was. A caller without a number has withheld it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Caller {
    /// `None` when withheld.
    pub number: Option<PhoneNumber>,
    /// From the PBX's phone book or the SIP display name: controlled by the caller, so never trusted.
    pub name: Option<PersonName>,
}

impl Caller {
    /// Whether the caller hid their number.
    pub fn withheld(&self) -> bool {
        self.number.is_none()
    }
}

/// What was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Called {
    /// The public number (DID) that was dialled; unknown for voicemails.
    pub number: Option<PhoneNumber>,
    /// The name of the extension.
    pub name: Option<PersonName>,
    /// The extension that rang, or whose mailbox it is.
    pub extension: Option<String>,
    /// Number or name of the queue or ring group, as the PBX gives it.
    pub queue: Option<String>,
    /// The name of the queue, when `queue` is its number and the PBX was asked for names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_name: Option<PersonName>,
}

/// What is remembered of one call or voicemail: one stored row, by its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Derived from account, kind and uuid.
    pub id: EventId,
    /// The account's name in the configuration.
    pub account: String,
    /// Call or voicemail.
    pub kind: Kind,
    /// The PBX's id.
    pub uuid: String,
    /// Who called.
    pub caller: Caller,
    /// What they called.
    pub called: Called,
    /// When the call began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Whole length in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u32>,
    /// Seconds in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_wait: Option<u32>,
    /// The PBX's text for how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The call by which it was returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_uuid: Option<String>,
    /// Whether there is audio to ask for.
    #[serde(default)]
    pub recording: bool,
    /// When ringback first saw it.
    pub seen_at: Timestamp,
    /// How far its story has come.
    pub standing: Standing,
    /// What is known of its end at the PBX.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What a person wrote when they closed it; at most [`Event::MAX_NOTE`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The rules that decided who is told, by their positions in `routes`, from 0. Empty before that, and when none
    /// matched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<usize>,
    /// What is still to be told while it stays open, earliest first, as was decided when it was announced: an edited
    /// configuration changes nothing of that. Each leaves the row in the commit that makes its delivery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The highest [`Step::turn`] that was told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub escalated: u32,
}

/// One channel that is to be told of an event once more, if it is still open then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Not before.
    pub at: Timestamp,
    /// The channel's name.
    pub channel: String,
    /// The position of the rule that says so.
    pub rule: usize,
    /// Which time it is that this channel is told so of this event, from 1.
    pub turn: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Event {
    /// Keeps a stored row under the store's limit for one value.
    pub const MAX_NOTE: usize = 300;

    /// For the voicemail of the same call.
    pub fn as_facts(&self) -> CallFacts<'_> {
        let Self { caller, called, queue_wait, result, .. } = self;
        CallFacts { caller, called, queue_wait: *queue_wait, result: result.as_deref() }
    }

    /// Whether somebody still has to act: announced or about to be, and neither returned nor heard.
    pub fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Waiting | Standing::Announced { .. })
    }

    /// By what it was settled, where that is the end of its story and not of ours: then whoever was told of it may be
    /// told of that too.
    pub fn settled_by(&self) -> Option<Closed> {
        match self.standing {
            Standing::Closed { by, .. } if by.is_an_end() => Some(by),
            _ => None,
        }
    }

    /// When its story came to its end, or when that was noticed; `None` while it has not.
    pub fn settled_at(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Closed { at, by } if by.is_an_end() => Some(self.ending.as_ref().map_or(at, |ending| ending.at)),
            _ => None,
        }
    }

    /// By what it is closed, whatever that is.
    pub fn closed_by(&self) -> Option<Closed> {
        match self.standing {
            Standing::Closed { by, .. } => Some(by),
            _ => None,
        }
    }

    /// Whether nobody has to act any more. That it was watched for long enough is no such reason: who has not been told
    /// yet still is.
    pub fn is_settled(&self) -> bool {
        matches!(self.standing, Standing::Closed { by, .. } if by != Closed::Expired)
    }
}

/// How an event was settled at the PBX, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// When the call began by which it was returned or its caller reached, or when the voicemail was heard.
    pub at: Timestamp,
    /// The extension that did so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

/// How far an event's story has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Seen, and still within its grace.
    Waiting,
    /// Deliveries were decided and committed.
    Announced {
        /// When that was.
        at: Timestamp,
    },
    /// Remembered so that it is never announced.
    Quiet {
        /// Why nobody was told.
        why: Quiet,
    },
    /// Settled: nobody needs to act any more.
    Closed {
        /// When that was noticed.
        at: Timestamp,
        /// By what.
        by: Closed,
    },
}

/// Why an event is remembered without being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quiet {
    /// Older than `watch.first_run` when ringback first started.
    FirstRun,
    /// Older than `watch.max_age` when first seen; now told by a digest. Read from stores of earlier versions only.
    MaxAge,
    /// The caller hung up within `watch.missed_calls.min_wait`.
    MinWait,
    /// The route that matched says `mute`.
    Muted,
    /// No route matched.
    Unrouted,
}

impl Quiet {
    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstRun => "first_run",
            Self::MaxAge => "max_age",
            Self::MinWait => "min_wait",
            Self::Muted => "muted",
            Self::Unrouted => "unrouted",
        }
    }
}

/// What settled an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// The PBX set `return_uuid`.
    Returned,
    /// The same caller was answered later, or a later call of theirs was returned.
    CallerReached,
    /// Another leg of the same call was answered.
    Answered,
    /// The voicemail was heard.
    Heard,
    /// A voicemail of the same call speaks for it.
    Voicemail,
    /// It was watched for `follow_up` and nothing came.
    Expired,
    /// A person has said so (`events close`).
    ByHand,
}

impl Closed {
    /// Whether the PBX says that it came to its end, rather than ringback or a person that it need not be watched.
    pub fn is_an_end(self) -> bool {
        match self {
            Self::Returned | Self::CallerReached | Self::Answered | Self::Heard => true,
            Self::Voicemail | Self::Expired | Self::ByHand => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_every_part_and_on_nothing_else() {
        let id = DeliveryId::derive("main", EventType::CallMissed, "u1", "crm");
        assert_eq!(id, DeliveryId::derive("main", EventType::CallMissed, "u1", "crm"));
        for other in [
            DeliveryId::derive("mai", EventType::CallMissed, "nu1", "crm"),
            DeliveryId::derive("main", EventType::VoicemailNew, "u1", "crm"),
            DeliveryId::derive("main", EventType::CallMissed, "u1c", "rm"),
            DeliveryId::of_turn("main", EventType::CallMissed, "u1", "crm", 2),
        ] {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn an_id_of_this_version_is_an_id_of_the_next() {
        // A changed derivation would tell every remembered event again.
        let id = EventId::derive("main", EventType::CallMissed, "651f8a68-782e-11g7-a6b6-5bedc26e2ab3");
        insta::assert_snapshot!(id, @"evt_eaad920ee680690614e05b0347d72b62");
    }

    #[test]
    fn the_first_time_that_a_channel_is_escalated_to_has_the_id_of_account_type_call_and_channel_alone() {
        let turn = |turn| DeliveryId::of_turn("main", EventType::CallUnreturned, "u1", "crm", turn);
        assert_eq!(turn(1), DeliveryId::derive("main", EventType::CallUnreturned, "u1", "crm"));
        assert_ne!(turn(2), turn(1));
        assert_ne!(turn(3), turn(2));
    }

    #[test]
    fn a_digest_has_the_id_of_its_deliveries_in_any_order() {
        let [a, b, c] = ["a", "b", "c"].map(|uuid| DeliveryId::derive("main", EventType::CallMissed, uuid, "crm"));
        assert_eq!(DeliveryId::together(&[a, b]), DeliveryId::together(&[b, a]));
        assert_ne!(DeliveryId::together(&[a, b]), DeliveryId::together(&[a, b, c]));
        assert_ne!(DeliveryId::together(&[a]), a, "a digest of one is no message of its own");
    }

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = DeliveryId::derive("main", EventType::CallMissed, "u1", "crm");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(!id.to_string().contains('.'), "Standard Webhooks forbids a dot in the id");
        assert_eq!(serde_json::from_str::<DeliveryId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
        assert!("dlv_12".parse::<DeliveryId>().is_err());
        assert!("evt_zz".parse::<EventId>().is_err());
    }
}
