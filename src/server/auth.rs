//! Who may use the board and the API: whoever has `http.token`, and whom a reverse proxy lets in for the board.
//!
//! A session lives in memory, for as long as the token in force is the one it was opened with. Forms carry a value that is
//! made of the session's cookie by a key of this process, so that no other site can send them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::crypto::aws_lc_rs;
use sha2::{Digest as _, Sha256};

use self::failures::Failures;
use self::sessions::Sessions;
use super::Site;
use crate::private::Secret;

mod failures;
mod sessions;

/// The cookie of a session. Without it nothing here sets one.
const COOKIE: &str = "ringback_session";

/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// Lets in, or not.
pub(super) struct Gate {
    /// Of this process alone: what it signs ends with it.
    key: [u8; 32],
    sessions: Mutex<Sessions>,
    failures: Mutex<Failures>,
}

/// Why somebody is not let in by a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// It is not the token.
    Wrong,
    /// There were too many wrong ones; wait so long.
    TooMany(Duration),
}

/// Somebody who may see the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Visitor {
    /// What their forms carry.
    pub(super) csrf: String,
    /// A cookie to set, for whom the proxy has just let in.
    pub(super) cookie: Option<String>,
    /// The proxy has let them in: they have nothing to log out of here.
    pub(super) by_proxy: bool,
}

impl Gate {
    /// Nobody is in yet.
    pub(super) fn new() -> Self {
        Self { key: random(), sessions: Mutex::default(), failures: Mutex::default() }
    }

    /// Whether `given` is the token. A right one is taken however many wrong ones came before.
    ///
    /// # Errors
    /// [`Denied`].
    pub(super) fn token(&self, given: &[u8], token: &Secret, now: Duration) -> Result<(), Denied> {
        if same(given, token.expose().as_bytes()) {
            return Ok(());
        }
        let mut failures = lock(&self.failures);
        if let Some(wait) = failures.pause(now) {
            return Err(Denied::TooMany(wait));
        }
        if failures.count(now) {
            tracing::warn!("too many wrong tokens for the board or the API: wrong ones are put off for a minute");
        }
        Err(Denied::Wrong)
    }

    /// How long whoever brings no right token has to wait, if at all.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        lock(&self.failures).pause(now)
    }

    /// Opens a session for whoever has just shown `token`. Returns the cookie that brings it back.
    pub(super) fn open(&self, site: &Site, token: &Secret, now: Duration) -> String {
        let value = hex(&random());
        lock(&self.sessions).open(digest(value.as_bytes()), digest(token.expose().as_bytes()), now + SESSION, now);
        cookie(&value, SESSION.as_secs(), site)
    }

    /// Ends the session of a request. Returns the cookie that takes the old one away.
    pub(super) fn close(&self, headers: &HeaderMap, site: &Site) -> String {
        if let Some(value) = session(headers) {
            lock(&self.sessions).close(&digest(value.as_bytes()));
        }
        cookie("", 0, site)
    }

    /// Who sends a request to the board; `None` for whoever has to log in.
    pub(super) fn visitor(&self, headers: &HeaderMap, site: &Site, token: &Secret, now: Duration) -> Option<Visitor> {
        let value = session(headers);
        if let Some(value) = value
            && lock(&self.sessions).holds(&digest(value.as_bytes()), &digest(token.expose().as_bytes()), now)
        {
            return Some(Visitor { csrf: self.csrf(value), cookie: None, by_proxy: false });
        }
        let by_proxy = site.trusted_header.as_ref().and_then(|name| headers.get(name));
        by_proxy.filter(|value| !value.as_bytes().trim_ascii().is_empty())?;
        // Nothing is kept of those: the proxy lets them in each time, and the cookie is for their forms alone.
        if let Some(value) = value {
            return Some(Visitor { csrf: self.csrf(value), cookie: None, by_proxy: true });
        }
        let value = hex(&random());
        let cookie = Some(cookie(&value, SESSION.as_secs(), site));
        Some(Visitor { csrf: self.csrf(&value), cookie, by_proxy: true })
    }

    fn csrf(&self, session: &str) -> String {
        match Hmac::<Sha256>::new_from_slice(&self.key) {
            Ok(mut mac) => {
                mac.update(session.as_bytes());
                hex(&mac.finalize().into_bytes())
            }
            // A key of any length is one. If it were not, no form would be taken: see `Visitor::sent`.
            Err(_) => String::new(),
        }
    }
}

impl Visitor {
    /// Whether a form is one that this visitor was shown.
    pub(super) fn sent(&self, csrf: &str) -> bool {
        !self.csrf.is_empty() && same(self.csrf.as_bytes(), csrf.as_bytes())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether two texts are the same, in a time that says nothing of where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let pairs = digest(one).into_iter().zip(digest(other));
    pairs.fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Two small digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

#[expect(clippy::expect_used, reason = "without random numbers there is neither TLS nor anything else to run")]
fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    aws_lc_rs::default_provider().secure_random.fill(&mut bytes).expect("the system gives random numbers");
    bytes
}

/// The value of the session's cookie.
fn session(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let is_ours = |value: &&str| value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value).filter(is_ours)
}

fn cookie(value: &str, seconds: u64, site: &Site) -> String {
    let path = if site.prefix().is_empty() { "/" } else { site.prefix() };
    // Over http the browser would not take it; there it must be this machine or a network that is trusted.
    let secure = if site.public_url.as_ref().is_some_and(|url| url.scheme() == "https") { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_only_as_a_whole() {
        assert!(same(b"a-token-of-the-board", b"a-token-of-the-board"));
        for other in ["", "a-token-of-the-boar", "a-token-of-the-board ", "A-token-of-the-board"] {
            assert!(!same(b"a-token-of-the-board", other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_right_token_is_taken_however_many_wrong_ones_came_before() {
        let (gate, token, second) = (Gate::new(), Secret::new("a-token-of-the-board"), Duration::from_secs(1));
        for _ in 0..10 {
            assert_eq!(gate.token(b"wrong", &token, second), Err(Denied::Wrong));
        }
        assert_eq!(gate.token(b"wrong", &token, 2 * second), Err(Denied::TooMany(59 * second)));
        assert_eq!(gate.token(b"a-token-of-the-board", &token, 2 * second), Ok(()));
        assert_eq!(gate.token(b"wrong", &token, 61 * second), Err(Denied::Wrong));
    }

    #[test]
    fn a_session_is_found_among_other_cookies_and_nothing_else_is_taken_for_one() {
        let value = "0f".repeat(32);
        let headers = |cookie: &str| HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())]);
        assert_eq!(session(&headers(&format!("a=b; ringback_session={value};c"))), Some(&*value));
        for other in [String::new(), format!("x_ringback_session={value}"), format!("ringback_session={value}0")] {
            assert_eq!(session(&headers(&other)), None, "{other}");
        }
    }

    #[test]
    fn a_form_is_of_the_session_that_it_was_shown_in() {
        let gate = Gate::new();
        let visitor = Visitor { csrf: gate.csrf("one"), cookie: None, by_proxy: false };
        assert!(visitor.sent(&gate.csrf("one")));
        assert!(!visitor.sent(&gate.csrf("other")) && !visitor.sent("") && !visitor.sent(&Gate::new().csrf("one")));
    }
}
