//! The ids of events and deliveries: derived, so that the same thing has the same id everywhere and for ever.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::EventType;

/// Defines an id of 128 bits, printed as a prefix and 32 hex digits, and stored so.
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id of these bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The raw bytes, for keys.
            pub fn bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0_u8; $prefix.len() + 32];
                f.write_str(hex_id($prefix, &self.0, &mut text))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                parse_hex_id($prefix, text)
                    .map(Self)
                    .ok_or_else(|| format!("`{text}` is not an id: expected {} and 32 hex digits", $prefix))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut text = [0_u8; $prefix.len() + 32];
                serializer.serialize_str(hex_id($prefix, &self.0, &mut text))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id_type! {
    /// Names an event, the same on every replica and after a lost store.
    EventId, "evt_"
}
id_type! {
    /// Names a delivery: one event for one channel, over any number of attempts.
    DeliveryId, "dlv_"
}

impl EventId {
    /// The id of `event` about the call or voicemail `uuid` of `account`.
    pub fn derive(account: &str, event: EventType, uuid: &str) -> Self {
        Self(digest(&[account, event.as_str(), uuid]))
    }
}

impl DeliveryId {
    /// The id under which `channel` is told of `event` about `uuid` of `account`.
    pub fn derive(account: &str, event: EventType, uuid: &str, channel: &str) -> Self {
        Self(digest(&[account, event.as_str(), uuid, channel]))
    }

    /// The same of an `event` that a channel may be told several times: from the second `turn` on, that counts too.
    pub fn of_turn(account: &str, event: EventType, uuid: &str, channel: &str, turn: u32) -> Self {
        match turn {
            0 | 1 => Self::derive(account, event, uuid, channel),
            turn => Self(digest(&[account, event.as_str(), uuid, channel, &turn.to_string()])),
        }
    }

    /// The id of a notice about ringback itself, of whatever makes it this one.
    pub fn of_notice(parts: &[&str]) -> Self {
        Self(digest(&[&["notice"], parts].concat()))
    }
}

impl DeliveryId {
    /// The id of the digest that tells these deliveries together: the same for the same ones, in whatever order.
    pub fn together(deliveries: &[Self]) -> Self {
        let mut ids: Vec<String> = deliveries.iter().map(Self::to_string).collect();
        ids.sort_unstable();
        let parts: Vec<&str> = std::iter::once("digest").chain(ids.iter().map(String::as_str)).collect();
        Self(digest(&parts))
    }
}

/// Every part is preceded by its length, so that no two lists of parts read alike.
fn digest(parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    id
}

fn hex_id<'t>(prefix: &str, bytes: &[u8; 16], text: &'t mut [u8]) -> &'t str {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    text[..prefix.len()].copy_from_slice(prefix.as_bytes());
    for (pair, byte) in text[prefix.len()..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 15)];
    }
    // Prefix and hex digits are ASCII.
    std::str::from_utf8(text).unwrap_or_default()
}

fn parse_hex_id(prefix: &str, text: &str) -> Option<[u8; 16]> {
    let hex = text.strip_prefix(prefix)?.as_bytes();
    if hex.len() != 32 {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(id)
}
