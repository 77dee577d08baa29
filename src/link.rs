//! Signed links to the page of one event (contract section 5): short tokens that expire, made for one channel.
//!
//! A token is base64url (RFC 4648, section 5, unpadded) of 41 bytes: the number of the key, the event's id, a tag of the
//! channel's name, the time at which it expires, and the first half of the HMAC-SHA256 of all that. Nothing of the call is
//! in it, so a link that leaks tells only to whoever can still open it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::cursor::ahead;
use crate::event::EventId;

/// Bytes of a key: as many as the hash gives.
pub const KEY_BYTES: usize = 32;

const ID: usize = 16;
const TAG: usize = 4;
const EXPIRY: usize = 4;
const MAC: usize = 16;
const CLAIM: usize = 1 + ID + TAG + EXPIRY;
const TOKEN: usize = CLAIM + MAC;

/// What else is signed with a key must not read like a link.
const PURPOSE: &[u8] = b"ringback link 1\0";
const PLAY: &[u8] = b"ringback play 1\0";

/// One key, and since when it signs.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Stands in the tokens that it has signed.
    pub number: u8,
    /// Since when new links are signed with it.
    pub since: Timestamp,
    /// Known to nobody else.
    pub secret: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("number", &self.number).field("since", &self.since).finish_non_exhaustive()
    }
}

/// The keys in force, newest first. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Keys(Arc<RwLock<Arc<[Key]>>>);

impl Keys {
    /// From now on these sign and open.
    pub fn set(&self, keys: Vec<Key>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = keys.into();
    }

    /// Those of now.
    pub fn now(&self) -> Arc<[Key]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Makes links to pages that browsers reach.
#[derive(Clone, Debug)]
pub struct Linker {
    base: String,
    keys: Keys,
    ttl: Duration,
}

impl Linker {
    /// Of pages under `base`, `http.public_url`; each link works for `ttl`.
    pub fn new(base: &str, keys: Keys, ttl: Duration) -> Self {
        Self { base: base.trim_end_matches('/').to_owned(), keys, ttl }
    }

    /// The URL of the page of `event` for those who are told by `channel` at `now`. `None` without a key.
    pub fn page(&self, event: EventId, channel: &str, now: Timestamp) -> Option<String> {
        let keys = self.keys.now();
        let token = Link::new(event, channel, ahead(now, self.ttl)).seal(keys.first()?);
        Some(format!("{}/l/{token}", self.base))
    }

    /// What signs and opens.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}

/// What a token that was signed here says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Whose page it opens.
    pub event: EventId,
    /// When it ends; whole seconds.
    pub expires_at: Timestamp,
    tag: [u8; TAG],
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not made here, or by a key that is gone.
    #[error("the link is not one of ours")]
    Forged,
    /// It was ours.
    #[error("the link has expired")]
    Expired,
}

impl Link {
    /// A link to `event` for those who are told by `channel`, which works until `expires_at`.
    pub fn new(event: EventId, channel: &str, expires_at: Timestamp) -> Self {
        let seconds = u32::try_from(expires_at.as_second()).unwrap_or(u32::MAX);
        Self { event, tag: tag(channel), expires_at: whole(seconds) }
    }

    /// Whether it was made for `channel`.
    pub fn is_for(&self, channel: &str) -> bool {
        self.tag == tag(channel)
    }

    /// The token.
    pub fn seal(&self, key: &Key) -> String {
        let claim = self.claim(key);
        URL_SAFE_NO_PAD.encode([&claim[..], &mac(key, PURPOSE, &claim)[..MAC]].concat())
    }

    /// What `token` says, when one of `keys` has signed it and it has not expired.
    ///
    /// # Errors
    /// [`LinkError`]; of forged ones nothing is told apart.
    pub fn open(keys: &[Key], token: &str, now: Timestamp) -> Result<Self, LinkError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| LinkError::Forged)?;
        let bytes: [u8; TOKEN] = bytes.try_into().map_err(|_| LinkError::Forged)?;
        let (claim, given) = bytes.split_at(CLAIM);
        let key = keys.iter().find(|key| key.number == claim[0]).ok_or(LinkError::Forged)?;
        // In constant time.
        signer(key, PURPOSE, claim).verify_truncated_left(given).map_err(|_| LinkError::Forged)?;
        let (id, rest) = claim[1..].split_at(ID);
        let (mut event, mut tag, mut seconds) = ([0; ID], [0; TAG], [0; EXPIRY]);
        event.copy_from_slice(id);
        tag.copy_from_slice(&rest[..TAG]);
        seconds.copy_from_slice(&rest[TAG..]);
        let link = Self { event: EventId::from_bytes(event), tag, expires_at: whole(u32::from_be_bytes(seconds)) };
        if link.expires_at <= now { Err(LinkError::Expired) } else { Ok(link) }
    }

    /// A ticket with which the page plays the recording until `until`: given to whoever has pressed play, so that no
    /// program that only opens links can fetch it.
    pub fn ticket(&self, key: &Key, until: Timestamp) -> String {
        let seconds = u32::try_from(until.as_second()).unwrap_or(u32::MAX).to_be_bytes();
        let said = [&[key.number], &seconds[..]].concat();
        let mac = mac(key, PLAY, &[&said[..], &self.claim(key)].concat());
        URL_SAFE_NO_PAD.encode([&said[..], &mac[..MAC]].concat())
    }

    /// Whether `ticket` was given for this link, and still holds.
    pub fn admits(&self, keys: &[Key], ticket: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(ticket) else { return false };
        let Some((said, given)) = bytes.split_at_checked(1 + EXPIRY) else { return false };
        let Some(key) = keys.iter().find(|key| key.number == said[0]) else { return false };
        let mut seconds = [0; EXPIRY];
        seconds.copy_from_slice(&said[1..]);
        let signed = signer(key, PLAY, &[said, &self.claim(key)].concat());
        given.len() == MAC && signed.verify_truncated_left(given).is_ok() && whole(u32::from_be_bytes(seconds)) > now
    }

    fn claim(&self, key: &Key) -> [u8; CLAIM] {
        let mut claim = [0; CLAIM];
        claim[0] = key.number;
        claim[1..=ID].copy_from_slice(self.event.bytes());
        claim[1 + ID..1 + ID + TAG].copy_from_slice(&self.tag);
        let seconds = u32::try_from(self.expires_at.as_second()).unwrap_or(u32::MAX);
        claim[1 + ID + TAG..].copy_from_slice(&seconds.to_be_bytes());
        claim
    }
}

/// The keys to sign with from `now` on, newest first: a new one when there is none, or when the newest has signed for
/// `rotate`. What an older one has signed goes on to work: it is kept until the last of its links, which live for `ttl`,
/// has expired. `None` when `keys` can stay as they are.
pub fn renewed(
    keys: &[Key],
    now: Timestamp,
    rotate: Duration,
    ttl: Duration,
    fresh: [u8; KEY_BYTES],
) -> Option<Vec<Key>> {
    let mut renewed = keys.to_vec();
    renewed.sort_by_key(|key| std::cmp::Reverse(key.since));
    if renewed.first().is_none_or(|newest| ahead(newest.since, rotate) <= now) {
        let number = renewed.first().map_or(0, |newest| newest.number.wrapping_add(1));
        renewed.retain(|key| key.number != number);
        renewed.insert(0, Key { number, since: now, secret: fresh });
    }
    // A key signs until the next one begins.
    let mut ended = None;
    renewed.retain(|key| {
        let last = ended.replace(key.since);
        last.is_none_or(|last| ahead(last, ttl) > now)
    });
    (renewed != keys).then_some(renewed)
}

fn signer(key: &Key, purpose: &[u8], claim: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut hmac = Hmac::<Sha256>::new_from_slice(&key.secret).expect("a key of any length");
    hmac.update(purpose);
    hmac.update(claim);
    hmac
}

fn mac(key: &Key, purpose: &[u8], claim: &[u8]) -> [u8; 32] {
    signer(key, purpose, claim).finalize().into_bytes().into()
}

fn tag(channel: &str) -> [u8; TAG] {
    let hash = Sha256::digest(channel.as_bytes());
    [hash[0], hash[1], hash[2], hash[3]]
}

fn whole(seconds: u32) -> Timestamp {
    Timestamp::from_second(i64::from(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::EventType;

    const DAY: Duration = Duration::from_secs(86_400);

    fn key(number: u8) -> Key {
        Key { number, since: at(0), secret: [number ^ 0xa5; KEY_BYTES] }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + seconds).unwrap()
    }

    fn link() -> Link {
        Link::new(EventId::derive("main", EventType::CallMissed, "c1"), "mail", at(100))
    }

    #[test]
    fn a_link_opens_the_event_that_it_was_made_for_until_it_expires() {
        let token = link().seal(&key(3));
        assert!(token.len() == 55 && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let opened = Link::open(&[key(4), key(3)], &token, at(99)).unwrap();
        assert_eq!(opened, link());
        assert!(opened.is_for("mail") && !opened.is_for("slack"));
        assert_eq!(Link::open(&[key(3)], &token, at(100)), Err(LinkError::Expired));
        assert_eq!(Link::open(&[key(4)], &token, at(0)), Err(LinkError::Forged));
    }

    #[test]
    fn a_ticket_plays_one_link_for_a_while_and_is_no_link() {
        let ticket = link().ticket(&key(1), at(50));
        assert!(link().admits(&[key(1)], &ticket, at(49)));
        assert!(!link().admits(&[key(1)], &ticket, at(50)));
        assert!(!Link::new(link().event, "slack", at(100)).admits(&[key(1)], &ticket, at(49)));
        assert_eq!(Link::open(&[key(1)], &ticket, at(0)), Err(LinkError::Forged));
        assert!(!link().admits(&[key(1)], &link().seal(&key(1)), at(0)));
    }

    #[test]
    fn a_new_key_signs_after_a_month_and_the_one_before_it_opens_its_links_until_the_last_has_expired() {
        let (rotate, ttl) = (30 * DAY, 7 * DAY);
        let renew = |keys: &[Key], days: i64| renewed(keys, at(days * 86_400), rotate, ttl, [9; KEY_BYTES]);
        let numbers = |keys: &[Key]| keys.iter().map(|key| key.number).collect::<Vec<_>>();
        let first = renew(&[], 0).unwrap();
        assert_eq!(numbers(&first), [0]);
        assert_eq!(renew(&first, 29), None);
        let both = renew(&first, 30).unwrap();
        assert_eq!(numbers(&both), [1, 0]);
        assert_eq!(renew(&both, 36), None);
        assert_eq!(numbers(&renew(&both, 37).unwrap()), [1]);
        let late = renew(&first, 400).unwrap();
        assert_eq!(numbers(&late), [1, 0], "its last link may be of yesterday");
    }

    proptest! {
        #[test]
        fn nothing_but_the_token_itself_opens(index in 0..55_usize, other in "[A-Za-z0-9_-]") {
            let token = link().seal(&key(1));
            let mut forged: Vec<char> = token.chars().collect();
            forged[index] = other.chars().next().unwrap();
            let forged: String = forged.into_iter().collect();
            let opened = Link::open(&[key(1)], &forged, at(0));
            prop_assert_eq!(opened.is_ok(), forged == token);
        }

        #[test]
        fn whatever_is_given_as_a_token_is_answered(token in "\\PC{0,80}") {
            prop_assert_eq!(Link::open(&[key(1)], &token, at(0)), Err(LinkError::Forged));
            prop_assert!(!link().admits(&[key(1)], &token, at(0)));
        }
    }
}
