//! What the configuration file holds: the keys, their types and their defaults (contract section 3).
//!
//! The same types make the JSON Schema that `ringback schema` prints. A key is here only when it does what it says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::message::Locale;
use crate::private::Secret;
use crate::units::{DurationText, OneOrManySchema, duration};

mod callback;
mod delivery;
mod health;
mod http;
mod push;
mod routes;
mod schedules;
mod summaries;

pub use callback::*;
pub use delivery::*;
pub use health::*;
pub use http::*;
pub use push::*;
pub use routes::*;
pub use schedules::*;
pub use summaries::*;

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
    #[schemars(with = "OneOrManySchema<Account>")]
    pub accounts: Vec<Account>,
    /// What is watched, and how often.
    #[serde(default)]
    pub watch: Watch,
    /// How messages are sent; a channel may override most of it.
    #[serde(default)]
    pub delivery: DeliveryDefaults,
    /// The named places to tell it: at least one.
    #[schemars(with = "OneOrManySchema<Channel>")]
    pub channels: Vec<Channel>,
    /// Which events go to which channels. The first match wins unless it says `continue: true`.
    #[schemars(with = "OneOrManySchema<Route>")]
    pub routes: Vec<Route>,
    /// When it is open, by names that routes use.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, OneOrManySchema<Span>>")]
    pub schedules: BTreeMap<String, Vec<Span>>,
    /// Summaries of a day, and who is sent them.
    #[serde(default)]
    #[schemars(with = "OneOrManySchema<Summary>")]
    pub summaries: Vec<Summary>,
    /// Who is told when ringback itself cannot work.
    #[serde(default)]
    pub health: Health,
    /// The HTTP server.
    #[serde(default)]
    pub http: Http,
    /// Calling back through the PBX.
    #[serde(default)]
    pub callback: Callback,
    /// Instant detection: the PBX posts its events.
    #[serde(default)]
    pub push: Push,
    /// Sample events and the channels that they must reach; run by `ringback check`.
    #[serde(default)]
    #[schemars(with = "OneOrManySchema<RouteTest>")]
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
    /// Read the PBX's phone book, extensions and queues once an hour, and name callers that come without a name.
    #[serde(default)]
    pub names: bool,
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
    /// Older than this when first seen (after an outage, say): into one digest per channel, not one message each.
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

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}
