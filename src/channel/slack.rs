//! A Slack incoming webhook.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use schemars::JsonSchema;
use serde::Deserialize;

use super::http::{MAX_ANSWER, ask, classify, excerpt, mask, unanswered};
use super::{Channel, Parcel, wrong_form};
use crate::http::{Answer, exchange};
use crate::message::{ChannelType, Message};
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::{Mask, Secret};

/// The keys of a channel of type `slack`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Config {
    /// The incoming webhook's URL, which is a secret. Or `webhook_url_file`.
    pub webhook_url: Secret,
}

/// Slack allows one message a second for each webhook (docs.slack.dev, "Rate limits").
pub const RATE: f64 = 1.0;

/// Posts to one incoming webhook.
pub struct Slack {
    client: reqwest::Client,
    url: reqwest::Url,
    mask: Mask,
    timeout: Duration,
}

impl Slack {
    /// Makes the channel of a configuration.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(config: &Config, client: reqwest::Client, timeout: Duration) -> Result<Self, String> {
        let url: reqwest::Url =
            config.webhook_url.expose().parse().map_err(|error| format!("`webhook_url` is not a URL: {error}"))?;
        let mask = mask(&url, &[]);
        Ok(Self { client, url, mask, timeout })
    }
}

#[async_trait]
impl Channel for Slack {
    fn channel_type(&self) -> ChannelType {
        ChannelType::Slack
    }

    async fn send(&self, parcel: Parcel<'_>, _memo: &mut Option<String>) -> Outcome {
        let Message::Slack(message) = parcel.message else { return wrong_form(ChannelType::Slack) };
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(message.post.clone());
        match exchange(request, MAX_ANSWER, self.timeout).await {
            Ok(answer) => outcome(&answer, answer.retry_after(parcel.now), &self.mask),
            Err(error) => unanswered(&error),
        }
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        ask(self.client.head(self.url.clone()), self.timeout, &self.mask).await
    }
}

/// What Slack's words mean, before its status is asked.
///
/// Sources: docs.slack.dev "Sending messages using incoming webhooks" and the changelog of 2016-05-17 for the words, the
/// Web API's error lists for those that it shares.
fn outcome(answer: &Answer, retry_after: Option<Duration>, mask: &Mask) -> Outcome {
    let body = answer.text_lossy();
    let word = body.trim();
    if answer.status.is_success() {
        // An incoming webhook answers the two letters; a JSON answer that is not ok is a refusal under a 200.
        if word.contains("\"ok\":false") {
            let text = format!("Slack refuses the message: {}", excerpt(answer, mask));
            return Outcome::Permanent(Failure::new(FailureKind::Rejected, text));
        }
        return Outcome::Delivered;
    }
    let kind = match word {
        // The message is wrong; the next one may be right.
        "invalid_payload"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "no_text"
        | "too_many_attachments"
        | "missing_text_or_fallback_or_attachments"
        | "user_not_found" => FailureKind::Rejected,
        // The webhook is not wanted any more: a person must make a new one.
        "no_service"
        | "no_service_id"
        | "no_active_hooks"
        | "no_team"
        | "team_disabled"
        | "invalid_token"
        | "token_revoked"
        | "action_prohibited"
        | "channel_not_found"
        | "channel_is_archived"
        | "posting_to_general_channel_denied" => FailureKind::Unauthorized,
        "rollup_error" => FailureKind::Receiver,
        _ => return classify(answer, retry_after, mask),
    };
    let failure = Failure::new(kind, format!("Slack answers HTTP {}: {word}", answer.status.as_u16()));
    match (kind, answer.status.as_u16()) {
        // Contract section 4: 404 and 410 are dead at once, whatever the words.
        (FailureKind::Rejected, _) | (_, 404 | 410) => Outcome::Permanent(failure),
        _ => Outcome::RetryAfter { failure, wait: retry_after },
    }
}
