//! How messages are sent, and where to: the defaults and the channels.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::channel::{email, slack, webhook};
use crate::message::{ChannelType, Locale};
use crate::retry;
use crate::units::{DurationText, duration, some_duration};

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
    /// More than this many due at once on an email or Slack channel are told by one digest message.
    pub digest_over: usize,
}

impl Default for DeliveryDefaults {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(15), retry: Retry::default(), concurrency: 16, digest_over: 20 }
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
///
/// In the file both parts are one map, whose key `type` picks the kind. The reader of the configuration knows that
/// (and `schema` says it): serde's own ways to flatten and to tag lose the places of wrong keys.
#[derive(Debug, Clone, Deserialize)]
pub struct Channel {
    /// What every type of channel has.
    pub common: ChannelCommon,
    /// What its own type adds.
    pub kind: ChannelKind,
}

/// The fields of [`Channel`], by which the reader knows it.
pub(in crate::config) const CHANNEL_PARTS: [&str; 2] = ["common", "kind"];

impl Channel {
    /// Whether it is told how what it was told has ended.
    pub fn follows_up(&self) -> bool {
        self.common.follow_up.unwrap_or(match self.kind.channel_type() {
            ChannelType::Email => false,
            ChannelType::Slack | ChannelType::Webhook => true,
        })
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
    /// How messages bring the recording.
    #[serde(default)]
    pub recording: RecordingMode,
    /// Whether it is also told how what it was told has ended: `call.returned`, `voicemail.heard`. By default on Slack and
    /// webhook channels.
    #[serde(default)]
    pub follow_up: Option<bool>,
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
    /// Whether telephone numbers are starred in everything that it is sent.
    #[serde(default)]
    pub mask_numbers: bool,
    /// Instead of `callback.extension`, for those who are told by this channel.
    #[serde(default)]
    pub callback_extension: Option<String>,
    /// Calls that ended longer ago when it is their turn are told by a digest.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<DurationText>")]
    pub max_age: Option<Duration>,
}

fn yes() -> bool {
    true
}

/// The types of channels, by the key `type`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// A mail by SMTP.
    Email(email::Config),
    /// A Slack incoming webhook or bot.
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

/// How messages bring the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordingMode {
    /// A fresh link, minted for the attempt.
    #[default]
    Link,
    /// The audio itself, in a mail: only for channels of type `email`. Fetching it marks a voicemail as heard.
    Attach,
    /// None; nothing is asked of the PBX.
    None,
}
