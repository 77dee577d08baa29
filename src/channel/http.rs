//! What an HTTP receiver's answer means (contract section 4): one table for every channel that speaks HTTP.

use std::borrow::Cow;
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};

use crate::http::{Answer, HttpError, exchange};
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::{Mask, mask_digits};

/// At most this much of an answer is read.
pub(super) const MAX_ANSWER: usize = 64 * 1024;

/// Masks what is secret in a receiver's URL, besides `others`: the parts that may hold a token.
pub(super) fn mask(url: &reqwest::Url, others: &[&str]) -> Mask {
    // Shorter words would mask words of people: no token is so short.
    const SHORTEST_TOKEN: usize = 8;
    let values: Vec<String> = url.query_pairs().map(|(_, value)| value.into_owned()).collect();
    let parts = url.path_segments().into_iter().flatten().chain(url.query()).chain(values.iter().map(String::as_str));
    let parts = parts.chain([url.username()]).chain(url.password());
    Mask::of(parts.filter(|part| part.len() >= SHORTEST_TOKEN).chain(others.iter().copied()))
}

/// 2xx is delivered. 408, 425, 429 and 5xx come again; 401 and 403 need a person; everything else is refused for good,
/// redirects too, which are not followed.
pub(super) fn classify(answer: &Answer, retry_after: Option<Duration>, mask: &Mask) -> Outcome {
    let status = answer.status;
    if status.is_success() {
        return Outcome::Delivered;
    }
    let again = |kind| Outcome::RetryAfter { failure: Failure::new(kind, describe(answer, mask)), wait: retry_after };
    match status {
        StatusCode::TOO_MANY_REQUESTS => again(FailureKind::RateLimited),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => again(FailureKind::Unauthorized),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => again(FailureKind::Receiver),
        status if status.is_server_error() => again(FailureKind::Receiver),
        _ => Outcome::Permanent(Failure::new(FailureKind::Rejected, describe(answer, mask))),
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

/// Sends `question`, which must be a HEAD request without a body: whatever answers it has taken no message. Many
/// receivers know POST alone, and say so in many ways, so that most refusals only show that somebody is there.
pub(super) async fn ask(question: RequestBuilder, timeout: Duration, mask: &Mask) -> Result<Option<String>, Failure> {
    let answer = exchange(question, MAX_ANSWER, timeout)
        .await
        .map_err(|error| Failure::new(error.kind, mask.apply(&error.text)))?;
    let status = answer.status;
    let described = describe(&answer, mask);
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            Err(Failure::new(FailureKind::Rejected, format!("{described}: nothing takes messages at this address")))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Ok(Some(format!("it answers {described} to a question; it may want the signature that messages have")))
        }
        StatusCode::TOO_MANY_REQUESTS => Ok(Some(format!("it answers {described}, so it is there"))),
        status if status.is_redirection() => Ok(Some(format!("it answers {described}"))),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Err(Failure::new(FailureKind::Receiver, described)),
        // RFC 9110 section 15.6.2: what a server says that does not know the method.
        StatusCode::NOT_IMPLEMENTED => Ok(None),
        status if status.is_server_error() => Err(Failure::new(FailureKind::Receiver, described)),
        _ => Ok(None),
    }
}

/// `HTTP 404 Not Found: no such hook`, with the first words of the body.
fn describe(answer: &Answer, mask: &Mask) -> String {
    let status = answer.status;
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!("HTTP {} {reason}", status.as_u16());
    let hint = if status.is_redirection() { " (redirects are not followed: configure the final address)" } else { "" };
    let words = excerpt(answer, mask);
    if words.is_empty() { format!("{}{hint}", head.trim_end()) } else { format!("{}{hint}: {words}", head.trim_end()) }
}

/// The first words of an answer's body, on one line, without secrets and telephone numbers: receivers echo what they
/// were sent.
pub(super) fn excerpt(answer: &Answer, mask: &Mask) -> String {
    // More than a failure's text may hold, and little enough to be searched for secrets.
    let body = answer.body.get(..1000).unwrap_or(&answer.body);
    let body = String::from_utf8_lossy(body);
    let words: Vec<_> = body.split_whitespace().take(24).map(without_path).collect();
    mask_long_numbers(&mask.apply(&words.join(" ")))
}

/// The word up to what follows `https://`: a message holds the URL of a recording, which gives the audio to whoever has
/// it.
fn without_path(word: &str) -> Cow<'_, str> {
    // As it is, in JSON, percent-encoded.
    let ends = ["://", r":\/\/", "%3A%2F%2F", "%3a%2f%2f"].map(|mark| word.find(mark).map(|at| at + mark.len()));
    match ends.into_iter().flatten().min() {
        Some(end) => Cow::Owned(format!("{}***", &word[..end])),
        None => Cow::Borrowed(word),
    }
}

/// Stars digits that may be somebody's number: seven or more in a row.
fn mask_long_numbers(text: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit();
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_digit) {
        let (before, from) = rest.split_at(start);
        let (digits, after) = from.split_at(from.find(|c| !is_digit(c)).unwrap_or(from.len()));
        masked.push_str(before);
        masked.push_str(&if digits.len() < 7 { digits.to_owned() } else { mask_digits(digits) });
        rest = after;
    }
    masked + rest
}
