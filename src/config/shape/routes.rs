//! Who is told of what: the rules, and the samples that test them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::event::EventType;
use crate::units::{DurationText, OneOrManySchema, duration, one_or_many, some_duration};

/// A rule: which events go to which channels.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Route {
    /// All keys must match; without it, everything does.
    #[serde(default)]
    pub when: When,
    /// Names of channels.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub notify: Vec<String>,
    /// Go on to the next rule after this one matched.
    #[serde(default)]
    pub r#continue: bool,
    /// Matches and notifies nobody.
    #[serde(default)]
    pub mute: bool,
    /// Name of a schedule: what is decided while it is closed is delivered when it opens.
    #[serde(default)]
    pub hold: Option<String>,
    /// Calls of one caller become one message.
    #[serde(default)]
    pub group: Option<Grouping>,
    /// Who is told when nobody has acted after a while, step by step.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<EscalationStep>")]
    pub escalate: Vec<EscalationStep>,
}

/// Which calls become one message.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Grouping {
    /// What they have in common.
    pub by: GroupBy,
    /// How long after the first one further calls are waited for; 2m.
    #[serde(deserialize_with = "some_duration")]
    #[schemars(with = "Option<DurationText>")]
    pub wait: Option<Duration>,
}

impl Grouping {
    /// How long after the first one further calls are waited for.
    pub fn wait(&self) -> Duration {
        self.wait.unwrap_or(Duration::from_secs(120))
    }
}

/// What grouped calls have in common.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// Account and caller; those who withhold their number are strangers to each other.
    #[default]
    Caller,
}

/// Tells `call.unreturned` or `voicemail.unheard`, if that is so then.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct EscalationStep {
    /// So long after it was told first.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub after: Duration,
    /// Names of channels.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub notify: Vec<String>,
    /// Name of a schedule: only the time counts in which it is open.
    #[serde(default)]
    pub during: Option<String>,
}

/// What a rule matches. A list matches any of its items; an empty one, everything.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct When {
    /// Names of accounts.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub account: Vec<String>,
    /// Types of events.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<EventType>")]
    pub event: Vec<EventType>,
    /// Number or name of the queue or ring group.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub queue: Vec<String>,
    /// The extension that rang, or whose mailbox it is.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub extension: Vec<String>,
    /// The number that was called: exact in any notation, or a prefix ending in `*`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub number: Vec<String>,
    /// The caller: exact in any notation, or a prefix ending in `*`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub caller: Vec<String>,
    /// Whether the caller hid their number.
    pub withheld: Option<bool>,
    /// Names of schedules: the call began while one of them was open.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub during: Vec<String>,
    /// Names of schedules: the call began while one of them was closed.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub outside: Vec<String>,
}

/// A sample event and the channels that it must reach.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct RouteTest {
    /// The sample: keys of `when`, one value each.
    pub given: Given,
    /// The channels that must be told, in any order.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub expect: Vec<String>,
}

/// A sample event of a test.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Given {
    /// The type of event; `call.missed` when missing.
    pub event: Option<EventType>,
    /// Name of the account; the first one when missing.
    pub account: Option<String>,
    /// The queue.
    pub queue: Option<String>,
    /// The extension.
    pub extension: Option<String>,
    /// The number that was called.
    pub number: Option<String>,
    /// The caller.
    pub caller: Option<String>,
    /// Whether the caller hid their number; by default they have when `caller` says so: `anonymous`.
    pub withheld: Option<bool>,
    /// When the call began, by the wall clock of `timezone`: `2026-11-23 08:07`. The present when missing.
    pub at: Option<String>,
}
