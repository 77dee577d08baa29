//! What an HTTP receiver's answer means (contract section 4): one table for every channel that speaks HTTP.

use std::time::Duration;

use reqwest::StatusCode;

use crate::http::{Answer, HttpError};
use crate::outbox::{Failure, FailureKind, Outcome};

/// At most this much of an answer is read.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// 2xx is delivered. 408, 425, 429 and 5xx come again; 401 and 403 need a person; everything else is refused for good,
/// redirects too, which are not followed.
pub(super) fn classify(answer: &Answer, retry_after: Option<Duration>) -> Outcome {
    let status = answer.status;
    if status.is_success() {
        return Outcome::Delivered;
    }
    let again = |kind| Outcome::RetryAfter { failure: Failure::new(kind, describe(answer)), wait: retry_after };
    match status {
        StatusCode::TOO_MANY_REQUESTS => again(FailureKind::RateLimited),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => again(FailureKind::Unauthorized),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => again(FailureKind::Receiver),
        status if status.is_server_error() => again(FailureKind::Receiver),
        _ => Outcome::Permanent(Failure::new(FailureKind::Rejected, describe(answer))),
    }
}

/// No answer: refused, reset, unresolvable, TLS, too late. Always again.
pub(super) fn unanswered(error: &HttpError) -> Outcome {
    let failure = Failure::new(error.kind, error.text.as_str());
    if error.kind == FailureKind::Internal {
        return Outcome::Permanent(failure);
    }
    Outcome::RetryAfter { failure, wait: None }
}

/// `HTTP 404 Not Found: no such hook`, with the first words of the body.
fn describe(answer: &Answer) -> String {
    let body = answer.text_lossy();
    let words: Vec<&str> = body.split_whitespace().take(24).collect();
    let status = answer.status;
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!("HTTP {} {reason}", status.as_u16());
    let hint = if status.is_redirection() { " (redirects are not followed: configure the final address)" } else { "" };
    if words.is_empty() {
        format!("{}{hint}", head.trim_end())
    } else {
        format!("{}{hint}: {}", head.trim_end(), words.join(" "))
    }
}
