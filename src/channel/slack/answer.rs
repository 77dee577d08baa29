//! What Slack's answers mean: its own error words decide, the HTTP status only where there are none.
//!
//! Sources: docs.slack.dev, "Sending messages using incoming webhooks", and the changelog of 2016-05-17 for the words of
//! webhooks; the error tables of `chat.postMessage`, `chat.update`, `auth.test` and `conversations.info` for those of the
//! Web API; "Rate limits" for what comes with a 429.

use std::time::Duration;

use serde_json::Value;

use crate::channel::http::{classify, excerpt};
use crate::http::Answer;
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::Mask;

/// Who answers: they say yes in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    /// An incoming webhook: 200 and the two letters `ok`.
    Webhook,
    /// The Web API: JSON with `ok`, also under a refusal.
    Api,
}

/// What a word of Slack's asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Fewer messages for a while.
    Slower,
    /// The same once more later: Slack has trouble of its own.
    Again,
    /// Another token or webhook, from a person.
    Credentials,
    /// Another channel, or another right in it, from a person.
    Destination,
    /// The message without its blocks.
    Plain,
    /// Another message: this one is wrong.
    Rejected,
    /// A message of its own: the earlier one cannot be changed or answered.
    Alone,
}

impl Meaning {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "ratelimited" | "rate_limited" | "message_limit_exceeded" => Self::Slower,
            "internal_error"
            | "fatal_error"
            | "service_unavailable"
            | "request_timeout"
            | "team_added_to_org"
            | "rollup_error" => Self::Again,
            "invalid_auth"
            | "not_authed"
            | "token_revoked"
            | "token_expired"
            | "account_inactive"
            | "missing_scope"
            | "no_permission"
            | "not_allowed_token_type"
            | "org_login_required"
            | "two_factor_setup_required"
            | "team_access_not_granted"
            | "enterprise_is_restricted"
            | "access_denied"
            | "accesslimited"
            | "invalid_token"
            | "no_service"
            | "no_service_id"
            | "no_active_hooks"
            | "no_team"
            | "team_disabled" => Self::Credentials,
            "channel_not_found"
            | "not_in_channel"
            | "is_archived"
            | "channel_is_archived"
            | "restricted_action"
            | "restricted_action_read_only_channel"
            | "restricted_action_thread_only_channel"
            | "posting_to_general_channel_denied"
            | "action_prohibited"
            | "ekm_access_denied"
            | "messages_tab_disabled"
            | "team_not_found" => Self::Destination,
            "invalid_blocks"
            | "invalid_blocks_format"
            | "block_mismatch"
            | "msg_blocks_too_long"
            | "invalid_attachments"
            | "too_many_attachments"
            | "attachment_payload_limit_exceeded"
            | "invalid_arguments"
            | "invalid_payload"
            | "invalid_metadata_format"
            | "invalid_metadata_schema"
            | "metadata_too_large"
            | "markdown_text_conflict" => Self::Plain,
            "msg_too_long"
            | "no_text"
            | "missing_text_or_fallback_or_attachments"
            | "user_not_found"
            | "invalid_arg_name"
            | "invalid_array_arg"
            | "invalid_charset"
            | "invalid_form_data"
            | "invalid_json"
            | "json_not_object"
            | "invalid_post_type"
            | "missing_post_type" => Self::Rejected,
            "message_not_found"
            | "thread_not_found"
            | "invalid_ts"
            | "bad_timestamp"
            | "cant_update_message"
            | "edit_window_closed"
            | "is_inactive"
            | "update_failed"
            | "external_channel_migrating"
            | "streaming_state_conflict"
            | "cannot_reply_to_message"
            | "restricted_action_non_threadable_channel"
            | "restricted_action_thread_locked" => Self::Alone,
            _ => return None,
        })
    }

    fn kind(self) -> FailureKind {
        match self {
            Self::Slower => FailureKind::RateLimited,
            Self::Again => FailureKind::Receiver,
            Self::Credentials | Self::Destination => FailureKind::Unauthorized,
            Self::Plain | Self::Rejected | Self::Alone => FailureKind::Rejected,
        }
    }
}

/// What to do about a word, where it is not plain.
fn hint(word: &str) -> Option<&'static str> {
    Some(match word {
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            "copy the Bot User OAuth Token (xoxb-…) of the app once more into `bot_token`"
        }
        "not_allowed_token_type" => "`bot_token` takes the Bot User OAuth Token (xoxb-…)",
        "missing_scope" => "give the app the scope `chat:write`, and install it once more",
        "not_in_channel" => "invite the bot: write `/invite @its-name` in the channel",
        "channel_not_found" => "compare `channel`; of a private one, the bot must be a member",
        "is_archived" | "channel_is_archived" => "name another `channel`, or bring this one back",
        "team_not_found" => "with an org-wide token, `channel` must be an id (C0123456789)",
        _ => return None,
    })
}

/// Why something was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    /// When Slack has said it in a word that is known.
    pub(super) meaning: Option<Meaning>,
    /// What it makes of the attempt.
    pub(super) outcome: Outcome,
}

/// A yes, with what came with it; of a webhook, nothing comes. `wait` is the answer's `Retry-After`.
pub(super) fn read(
    answer: &Answer,
    speaker: Speaker,
    wait: Option<Duration>,
    mask: &Mask,
) -> Result<Value, Box<Refusal>> {
    let json = serde_json::from_slice::<Value>(&answer.body).ok().filter(Value::is_object).unwrap_or_default();
    let (success, text) = (answer.status.is_success(), answer.text_lossy());
    match json["ok"].as_bool() {
        Some(true) if success => return Ok(json),
        None if success && speaker == Speaker::Webhook => return Ok(Value::Null),
        _ => {}
    }
    let word = json["error"].as_str().unwrap_or_else(|| text.trim());
    let wait = wait.or_else(|| json["retry_after"].as_u64().map(Duration::from_secs));
    let status = answer.status.as_u16();
    let Some(meaning) = Meaning::of(word) else {
        let outcome = if success {
            // A new word, or the page of a proxy: nothing says that it will never be taken.
            let said = excerpt(answer, mask);
            let failure = Failure::new(FailureKind::Receiver, format!("Slack's answer is not understood: {said}"));
            Outcome::RetryAfter { failure, wait }
        } else {
            classify(answer, wait, mask)
        };
        return Err(Box::new(Refusal { meaning: None, outcome }));
    };
    let mut said = if success { "Slack answers: ".to_owned() } else { format!("Slack answers HTTP {status}: ") };
    said.push_str(word);
    if let Some(scope) = json["needed"].as_str().filter(|scope| is_word(scope)) {
        said = format!("{said} (needed: {scope})");
    }
    if let Some(hint) = hint(word).filter(|_| speaker == Speaker::Api) {
        said = format!("{said}; hint: {hint}");
    }
    let failure = Failure::new(meaning.kind(), said);
    let outcome = match meaning {
        Meaning::Plain | Meaning::Rejected | Meaning::Alone => Outcome::Permanent(failure),
        _ => Outcome::RetryAfter { failure, wait },
    };
    Err(Box::new(Refusal { meaning: Some(meaning), outcome }))
}

/// Whether a text of the answer may be shown as it is.
fn is_word(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_ascii_lowercase() || "_:.,".contains(c))
}
