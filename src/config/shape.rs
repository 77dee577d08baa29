//! What the configuration file holds: the keys, their types and their defaults (contract section 3).
//!
//! The same types make the JSON Schema that `ringback schema` prints. A key is here only when it does what it says.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::channel::{email, slack, webhook};
use crate::event::EventType;
use crate::message::{ChannelType, Locale};
use crate::private::Secret;
use crate::retry;
use crate::units::{DurationText, OneOrManySchema, duration, one_or_many, some_duration};

/// The whole file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Config {
    /// Language of the built-in templates; a channel may override it.
    #[serde(default)]
    pub locale: Locale,
    /// IANA name of the zone for times in messages.
    #[serde(default = "istanbul")]
    pub timezone: String,
    /// Folder whose files replace the built-in templates of the same name.
    #[serde(default)]
    pub templates: Option<PathBuf>,
    /// Where the state is kept.
    #[serde(default)]
    pub store: Store,
    /// The PBXs to watch: at least one.
    pub accounts: Vec<Account>,
    /// What is watched, and how often.
    #[serde(default)]
    pub watch: Watch,
    /// How messages are sent; a channel may override most of it.
    #[serde(default)]
    pub delivery: DeliveryDefaults,
    /// The named places to tell it: at least one.
    pub channels: Vec<Channel>,
    /// Which events go to which channels. The first match wins unless it says `continue: true`.
    pub routes: Vec<Route>,
    /// The HTTP server for health and metrics.
    #[serde(default)]
    pub http: Http,
    /// Sample events and the channels that they must reach; run by `ringback check`.
    #[serde(default)]
    pub tests: Vec<RouteTest>,
}

fn istanbul() -> String {
    "Europe/Istanbul".to_owned()
}

/// Where the state is kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Store {
    /// Folder of the embedded store; created if missing, mode 0700.
    pub path: PathBuf,
    /// Closed events and finished deliveries are forgotten after this; at least 35d.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub keep: Duration,
}

impl Default for Store {
    fn default() -> Self {
        Self { path: PathBuf::from("./ringback-data"), keep: days(90) }
    }
}

/// One PBX.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Account {
    /// Unique; part of every id, so renaming it tells everything open again.
    pub name: String,
    /// The API key from the Online İşlem Merkezi. Or `api_key_file`.
    pub api_key: Secret,
    /// Plain http is refused except to loopback.
    #[serde(default = "vendor")]
    pub base_url: String,
    /// Per request; dated queries are slow (15 s and more).
    #[serde(default = "minute", deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// Requests a minute, as the vendor documents them.
    #[serde(default)]
    pub limits: Limits,
}

fn vendor() -> String {
    "https://api.bulutsantralim.com".to_owned()
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

/// Requests a minute for each endpoint of one account.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// `/cdrs`
    pub cdrs: u32,
    /// `/voicemail_messages`
    pub voicemails: u32,
    /// `/recording_url` and `/voicemail_recording_url` together.
    pub recordings: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cdrs: 6, voicemails: 6, recordings: 5 }
    }
}

/// What is watched, and how often.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Watch {
    /// Calls that nobody answered.
    pub missed_calls: MissedCalls,
    /// Voicemails that nobody has heard.
    pub voicemails: Voicemails,
    /// How far back the very first start announces; older open ones are remembered, not announced.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub first_run: Duration,
    /// Older than this when first seen (after an outage, say): remembered and counted, not announced.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub max_age: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            missed_calls: MissedCalls::default(),
            voicemails: Voicemails::default(),
            first_run: minutes(15),
            max_age: days(1),
        }
    }
}

/// Calls that nobody answered.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MissedCalls {
    /// Whether they are watched at all.
    pub enabled: bool,
    /// Time between two reads of the newest page.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub every: Duration,
    /// How long after its end a missed call may still be returned before it is announced.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub grace: Duration,
    /// How far before the last complete read the window starts: a call becomes visible when it ends and is dated by
    /// when it began.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub lookback: Duration,
    /// How long an announced call is watched for being returned.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub follow_up: Duration,
    /// Calls whose caller hung up sooner are not announced.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub min_wait: Duration,
}

impl Default for MissedCalls {
    fn default() -> Self {
        Self {
            enabled: true,
            every: Duration::from_secs(30),
            grace: minutes(1),
            lookback: minutes(120),
            follow_up: days(1),
            min_wait: Duration::ZERO,
        }
    }
}

/// Voicemails that nobody has heard.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Voicemails {
    /// Whether they are watched at all.
    pub enabled: bool,
    /// Time between two reads of the newest page.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub every: Duration,
    /// How far before the last complete read the window starts.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub lookback: Duration,
}

impl Default for Voicemails {
    fn default() -> Self {
        Self { enabled: true, every: minutes(1), lookback: days(7) }
    }
}

/// How messages are sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeliveryDefaults {
    /// One attempt: connect, TLS, headers and body together.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub timeout: Duration,
    /// When a failed attempt is repeated.
    pub retry: Retry,
    /// Attempts under way at once, per channel.
    pub concurrency: usize,
}

impl Default for DeliveryDefaults {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(15), retry: Retry::default(), concurrency: 16 }
    }
}

/// When a failed attempt is repeated. A key that is missing keeps its default, on a channel that of `delivery.retry`.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retry {
    /// Before the second attempt; 5s.
    #[serde(deserialize_with = "some_duration")]
    #[schemars(with = "Option<DurationText>")]
    pub initial: Option<Duration>,
    /// By which each further wait grows; 2.5.
    pub multiplier: Option<f64>,
    /// No wait is longer; 30m.
    #[serde(deserialize_with = "some_duration")]
    #[schemars(with = "Option<DurationText>")]
    pub max: Option<Duration>,
    /// A share of the wait, 0 to 1, by which it varies either way; 0.2.
    pub jitter: Option<f64>,
    /// Counted from when the delivery was decided; 72h.
    #[serde(deserialize_with = "some_duration")]
    #[schemars(with = "Option<DurationText>")]
    pub give_up_after: Option<Duration>,
}

impl Retry {
    /// These keys over `base`.
    pub fn over(&self, base: &retry::Policy) -> retry::Policy {
        retry::Policy {
            initial: self.initial.unwrap_or(base.initial),
            multiplier: self.multiplier.unwrap_or(base.multiplier),
            max: self.max.unwrap_or(base.max),
            jitter: self.jitter.unwrap_or(base.jitter),
            give_up_after: self.give_up_after.unwrap_or(base.give_up_after),
        }
    }
}

/// A named place to tell it.
#[derive(Debug, Clone, JsonSchema)]
pub struct Channel {
    /// What every type of channel has.
    #[schemars(flatten)]
    pub common: ChannelCommon,
    /// What its own type adds.
    #[schemars(flatten)]
    pub kind: ChannelKind,
}

/// Picks the type by hand: serde's internally tagged enums report a wrong field at the start of the whole list.
impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("not built yet"))
    }
}

/// What every type of channel has.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct ChannelCommon {
    /// Unique; part of every delivery id.
    pub name: String,
    /// `false` keeps the channel in the file and sends nothing.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Language of its messages, instead of the file's.
    #[serde(default)]
    pub locale: Option<Locale>,
    /// Whether messages carry a link to the recording.
    #[serde(default)]
    pub recording: RecordingMode,
    /// Instead of `delivery.timeout`.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// Instead of `delivery.retry`, key by key.
    #[serde(default)]
    pub retry: Retry,
    /// Instead of `delivery.concurrency`.
    #[serde(default)]
    pub concurrency: Option<usize>,
    /// Messages a second, at most; Slack defaults to 1, the others to no limit.
    #[serde(default)]
    pub rate: Option<f64>,
}

fn yes() -> bool {
    true
}

/// The types of channels, by the key `type`.
#[derive(Debug, Clone, JsonSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ChannelKind {
    /// A mail by SMTP.
    Email(email::Config),
    /// A Slack incoming webhook.
    Slack(slack::Config),
    /// A signed HTTP request (Standard Webhooks).
    Webhook(webhook::Config),
}

impl ChannelKind {
    /// Which type it is.
    pub fn channel_type(&self) -> ChannelType {
        match self {
            Self::Email(_) => ChannelType::Email,
            Self::Slack(_) => ChannelType::Slack,
            Self::Webhook(_) => ChannelType::Webhook,
        }
    }
}

/// Whether messages carry a link to the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordingMode {
    /// A fresh link, minted for the attempt.
    #[default]
    Link,
    /// None; nothing is asked of the PBX.
    None,
}

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
}

/// The HTTP server for health and metrics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Http {
    /// Address and port; `off` switches it off. Without this key ringback listens on 127.0.0.1:8380, and goes on
    /// without health and metrics when that is taken.
    pub listen: Option<String>,
}

#[expect(clippy::derivable_impls, reason = "every section states its defaults in the same way")]
impl Default for Http {
    fn default() -> Self {
        Self { listen: None }
    }
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
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}
