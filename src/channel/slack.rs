//! Slack, by an incoming webhook or as a bot.
//!
//! A webhook takes messages and says no more of them, so a follow-up is a short second message. What a bot has posted has
//! a name, by which it is changed when the call is returned, and answered in its thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::answer::{Meaning, Refusal, Speaker};
use self::bot::Bot;
use super::http::{MAX_ANSWER, ask, mask, unanswered};
use super::{Channel, Parcel, wrong_form};
use crate::http::{HttpError, exchange};
use crate::message::{ChannelType, Message};
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::{Mask, Secret};

mod answer;
mod bot;
#[cfg(test)]
mod tests;

/// The keys of a channel of type `slack`: `webhook_url`, or `bot_token` and `channel`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("anyOf" = [
    {"required": ["webhook_url"]},
    {"required": ["webhook_url_file"]},
    {"required": ["bot_token", "channel"]},
    {"required": ["bot_token_file", "channel"]},
]))]
pub struct Config {
    /// The incoming webhook's URL, which is a secret. Or `webhook_url_file`.
    pub webhook_url: Option<Secret>,
    /// The Bot User OAuth Token (`xoxb-…`) of a Slack app with the scope `chat:write`, instead of a webhook: then messages
    /// are changed when the call is returned. Or `bot_token_file`.
    pub bot_token: Option<Secret>,
    /// Where the bot posts: the channel's id (`C0123456789`) or name (`#sales`).
    pub channel: Option<String>,
    /// Base URL of Slack's Web API, for the bot; `https://slack.com/api`. Plain http is refused except to loopback.
    pub api_url: Option<String>,
}

/// Slack allows one message a second for each webhook and channel (docs.slack.dev, "Rate limits").
pub const RATE: f64 = 1.0;

/// Where the Web API is, unless the configuration says otherwise.
const API: &str = "https://slack.com/api";

impl Config {
    /// The URL that messages go to, or that the Web API is below.
    pub fn address(&self) -> &str {
        match &self.webhook_url {
            Some(url) => url.expose(),
            None => self.api_url.as_deref().unwrap_or(API),
        }
    }

    /// What is sent of a message that follows no other.
    ///
    /// # Errors
    /// When it is no JSON object: a bug of ours.
    pub fn payload(&self, post: &Bytes) -> Result<Value, Failure> {
        let mut body = parse(post)?;
        if let (None, Some(channel)) = (&self.webhook_url, &self.channel) {
            body.insert("channel".to_owned(), channel.as_str().into());
        }
        Ok(Value::Object(body))
    }
}

/// Posts to one place.
pub struct Slack {
    way: Way,
    line: Line,
}

enum Way {
    Webhook(reqwest::Url),
    Bot(Bot),
}

/// How requests are made and answers read, whichever way they take.
struct Line {
    client: reqwest::Client,
    mask: Mask,
    timeout: Duration,
    /// Whether it was said already that blocks are refused.
    told: AtomicBool,
}

impl Slack {
    /// Makes the channel of a configuration.
    ///
    /// # Errors
    /// When a URL is none, or the configuration names no way or only a part of one.
    pub fn new(config: &Config, client: reqwest::Client, timeout: Duration) -> Result<Self, String> {
        let url = |key: &str, text: &str| {
            text.parse::<reqwest::Url>().map_err(|error| format!("`{key}` is not a URL: {error}"))
        };
        let (way, mask) = match config {
            Config { webhook_url: Some(address), .. } => {
                let url = url("webhook_url", address.expose())?;
                let mask = mask(&url, &[]);
                (Way::Webhook(url), mask)
            }
            Config { bot_token: Some(token), channel: Some(channel), .. } => {
                let mask = mask(&url("api_url", config.address())?, &[token.expose()]);
                let api = config.address().trim_end_matches('/').to_owned();
                (Way::Bot(Bot { api, token: token.clone(), channel: channel.clone() }), mask)
            }
            _ => return Err("needs `webhook_url`, or `bot_token` and `channel`".to_owned()),
        };
        Ok(Self { way, line: Line { client, mask, timeout, told: AtomicBool::new(false) } })
    }

    async fn attempt(&self, parcel: &Parcel<'_>, memo: &mut Option<String>) -> Outcome {
        let Message::Slack(message) = parcel.message else { return wrong_form(ChannelType::Slack) };
        let url = match &self.way {
            Way::Webhook(url) => url,
            Way::Bot(bot) => return bot.send(&self.line, parcel, message, memo).await,
        };
        let body = match object(&message.post) {
            Ok(body) => body,
            Err(refusal) => return refusal.outcome,
        };
        let request = || self.line.client.post(url.clone());
        match self.line.tell(request, Speaker::Webhook, body, parcel).await {
            Ok(_) => Outcome::Delivered,
            Err(refusal) => refusal.outcome,
        }
    }
}

#[async_trait]
impl Channel for Slack {
    fn channel_type(&self) -> ChannelType {
        ChannelType::Slack
    }

    async fn send(&self, parcel: Parcel<'_>, memo: &mut Option<String>) -> Outcome {
        let limit = self.line.timeout;
        // Over all requests of the attempt: it may change a message, post one, and post it once more without blocks.
        tokio::time::timeout(limit, self.attempt(&parcel, memo))
            .await
            .unwrap_or_else(|_| unanswered(&HttpError::timeout(limit)))
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        let limit = self.line.timeout;
        let question = async {
            match &self.way {
                Way::Webhook(url) => ask(self.line.client.head(url.clone()), limit, &self.line.mask).await,
                Way::Bot(bot) => bot.check(&self.line).await,
            }
        };
        tokio::time::timeout(limit, question).await.unwrap_or_else(|_| {
            let error = HttpError::timeout(limit);
            Err(Failure::new(error.kind, error.text))
        })
    }
}

impl Line {
    /// One request, and the yes to it with its headers.
    async fn ask(
        &self,
        request: RequestBuilder,
        speaker: Speaker,
        now: Timestamp,
    ) -> Result<(Value, HeaderMap), Box<Refusal>> {
        let answer = exchange(request, MAX_ANSWER, self.timeout)
            .await
            .map_err(|error| Box::new(Refusal { meaning: None, outcome: unanswered(&error) }))?;
        let yes = answer::read(&answer, speaker, answer.retry_after(now), &self.mask)?;
        Ok((yes, answer.headers))
    }

    /// Sends a message; when its blocks are refused, its `text` alone.
    async fn tell(
        &self,
        request: impl Fn() -> RequestBuilder + Send + Sync,
        speaker: Speaker,
        body: Map<String, Value>,
        parcel: &Parcel<'_>,
    ) -> Result<Value, Box<Refusal>> {
        let send = async |body: Map<String, Value>| {
            let request = request().header(CONTENT_TYPE, "application/json; charset=utf-8");
            self.ask(request.body(Value::Object(body).to_string()), speaker, parcel.now).await.map(|(yes, _)| yes)
        };
        let plain = bot::plain(&body);
        match (send(body).await, plain) {
            (Err(refusal), Some(plain)) if refusal.meaning == Some(Meaning::Plain) => {
                let answer = send(plain).await?;
                self.degraded(parcel, &refusal);
                Ok(answer)
            }
            (answer, _) => answer,
        }
    }

    /// Says once that a message lost its blocks: a template that Slack refuses does so with every message.
    fn degraded(&self, parcel: &Parcel<'_>, refusal: &Refusal) {
        let Outcome::Permanent(failure) = &refusal.outcome else { return };
        let (delivery, reason) = (parcel.id, &failure.text);
        if self.told.swap(true, Ordering::Relaxed) {
            tracing::debug!(%delivery, reason, "Slack refused the blocks of another message");
        } else {
            tracing::warn!(
                %delivery, reason,
                "Slack refused the blocks of a message and took its `text` alone; hint: try the output of `ringback \
                 render` in Slack's Block Kit Builder, and mend the template"
            );
        }
    }
}

fn parse(message: &Bytes) -> Result<Map<String, Value>, Failure> {
    serde_json::from_slice(message).map_err(|_| Failure::new(FailureKind::Internal, "the message is no JSON object"))
}

/// The message as an object, to which the way that it takes adds where it goes.
fn object(message: &Bytes) -> Result<Map<String, Value>, Box<Refusal>> {
    parse(message).map_err(|failure| Box::new(Refusal { meaning: None, outcome: Outcome::Permanent(failure) }))
}
