//! The one place where HTTP clients are made, answers are read to a limit, and errors lose their URLs.
//!
//! A `reqwest::Error` prints the URL it failed at, and our URLs hold keys: clients and bodies are reached only from
//! here, which the lints hold (clippy.toml).

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT_ENCODING, HeaderValue};
use reqwest::{Client, RequestBuilder, Response};

use crate::outbox::FailureKind;
use crate::tls;

/// How every request names us.
pub const USER_AGENT: &str = concat!("ringback/", env!("CARGO_PKG_VERSION"));

/// A client that follows no redirects: a redirected webhook would carry its signature to a stranger, a redirected
/// API call its key.
///
/// # Errors
/// When the TLS set-up of this machine cannot be used.
#[expect(clippy::disallowed_methods, reason = "this file is the one maker of clients")]
pub fn client(idle_connections: usize) -> Result<Client, HttpError> {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(idle_connections)
        .pool_idle_timeout(Duration::from_secs(60))
        // Answers are read to a limit that counts what arrives; an unpacked bomb would pass it. Who says nothing may be
        // sent anything (RFC 9110 section 12.5.3).
        .no_gzip()
        .default_headers([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))].into_iter().collect())
        .build()
        .map_err(HttpError::from_reqwest)
}

/// A client that reaches one Unix socket only, whatever the URLs say.
///
/// # Errors
/// When the TLS set-up of this machine cannot be used.
#[expect(clippy::disallowed_methods, reason = "this file is the one maker of clients")]
pub fn unix_client(socket: &Path) -> Result<Client, HttpError> {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .unix_socket(socket)
        .build()
        .map_err(HttpError::from_reqwest)
}

/// A request that brought no answer, in words without URLs.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct HttpError {
    /// What kind of trouble it is.
    pub kind: FailureKind,
    /// What the libraries said, from the outside in.
    pub text: String,
}

impl HttpError {
    /// No answer within `limit`.
    pub fn timeout(limit: Duration) -> Self {
        let text = format!("no complete answer within {}", crate::units::format_duration(limit));
        Self { kind: FailureKind::Timeout, text }
    }

    #[expect(clippy::disallowed_types, reason = "this is where the URL is taken out of it")]
    fn from_reqwest(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if let Some(text) = tls::explain(&error) {
            return Self { kind: FailureKind::Tls, text };
        }
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let words = cause.to_string();
            if !text.ends_with(&words) {
                text.push_str(": ");
                text.push_str(&words);
            }
            source = cause.source();
        }
        let kind = if error.is_timeout() {
            FailureKind::Timeout
        } else if error.is_builder() {
            FailureKind::Internal
        } else {
            FailureKind::Unreachable
        };
        Self { kind, text }
    }
}

/// What came back, read to a limit.
#[derive(Debug)]
pub struct Answer {
    /// The status line's code.
    pub status: reqwest::StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// At most the limit's bytes; the rest was not read.
    pub body: Bytes,
    /// Whether there was more than the limit.
    pub cut: bool,
}

impl Answer {
    /// `Retry-After` in seconds or as an HTTP date, counted from `now`.
    pub fn retry_after(&self, now: jiff::Timestamp) -> Option<Duration> {
        let text = self.headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
    }

    /// By the clock of whoever answered, when they say so.
    pub fn date(&self) -> Option<jiff::Timestamp> {
        let text = self.headers.get(reqwest::header::DATE)?.to_str().ok()?;
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
    }

    /// The body as text for an error message; bytes that are not UTF-8 are replaced.
    pub fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request and reads at most `limit` bytes of the answer, all within `timeout`.
///
/// # Errors
/// [`HttpError`] when no answer came, or it broke off before the limit.
#[expect(clippy::disallowed_methods, reason = "this file is the one sender, and takes the URL out of errors")]
pub async fn exchange(request: RequestBuilder, limit: usize, timeout: Duration) -> Result<Answer, HttpError> {
    tokio::time::timeout(timeout, async {
        let response = request.send().await.map_err(HttpError::from_reqwest)?;
        read(response, limit).await
    })
    .await
    .unwrap_or_else(|_| Err(HttpError::timeout(timeout)))
}

#[expect(clippy::disallowed_methods, reason = "this file is the one reader of bodies, and it counts")]
async fn read(mut response: Response, limit: usize) -> Result<Answer, HttpError> {
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    let mut cut = false;
    while let Some(chunk) = response.chunk().await.map_err(HttpError::from_reqwest)? {
        let room = limit - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            cut = true;
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body: body.freeze(), cut })
}
