//! The sessions of the board, in memory: a restart ends them. Pure.

use std::collections::HashMap;
use std::time::Duration;

/// Past this the session that would end first gives its place to the next.
const MOST: usize = 1000;

/// The digest of a cookie's value, or of a token: how long a look-up takes says nothing of either.
type Digest = [u8; 32];

/// Who is logged in.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<Digest, Session>);

#[derive(Debug)]
struct Session {
    /// The token that opened it: another one in force ends it.
    token: Digest,
    until: Duration,
}

impl Sessions {
    /// Begins one.
    pub(super) fn open(&mut self, value: Digest, token: Digest, until: Duration, now: Duration) {
        self.0.retain(|_, session| session.until > now);
        if self.0.len() >= MOST
            && let Some(first) = self.0.iter().min_by_key(|(_, session)| session.until).map(|(value, _)| *value)
        {
            self.0.remove(&first);
        }
        self.0.insert(value, Session { token, until });
    }

    /// Whether there is one, by the token in force.
    pub(super) fn holds(&self, value: &Digest, token: &Digest, now: Duration) -> bool {
        self.0.get(value).is_some_and(|session| session.until > now && session.token == *token)
    }

    /// Ends one.
    pub(super) fn close(&mut self, value: &Digest) {
        self.0.remove(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: usize) -> Digest {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        id
    }

    #[test]
    fn a_session_ends_with_its_time_its_token_and_its_close() {
        let (mut sessions, hour) = (Sessions::default(), Duration::from_secs(3600));
        sessions.open(id(1), id(100), hour, Duration::ZERO);
        assert!(sessions.holds(&id(1), &id(100), Duration::ZERO));
        assert!(!sessions.holds(&id(1), &id(101), Duration::ZERO), "another token is in force");
        assert!(!sessions.holds(&id(2), &id(100), Duration::ZERO));
        assert!(!sessions.holds(&id(1), &id(100), hour));
        sessions.close(&id(1));
        assert!(!sessions.holds(&id(1), &id(100), Duration::ZERO));
    }

    #[test]
    fn there_are_a_thousand_sessions_at_most_and_the_oldest_goes_first() {
        let mut sessions = Sessions::default();
        for n in 0..=MOST {
            sessions.open(id(n), id(0), Duration::from_secs(3600 + n as u64), Duration::ZERO);
        }
        assert_eq!(sessions.0.len(), MOST);
        assert!(!sessions.holds(&id(0), &id(0), Duration::ZERO));
        assert!(sessions.holds(&id(1), &id(0), Duration::ZERO) && sessions.holds(&id(MOST), &id(0), Duration::ZERO));
    }
}
