//! Why the PBX gave no usable answer, by what the caller does about it; and the scrubbing of the key from such texts.

use std::time::Duration;

use crate::http::HttpError;
use crate::number::printable;
use crate::private::{Mask, Secret};

/// No text in an error is longer, in characters.
const MAX_CHARS: usize = 200;

/// Why the PBX gave no usable answer. No text in it holds the key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PbxError {
    /// A person must act: asking again at once with the same key is useless.
    #[error(
        "the PBX refused the API key: {text}; hint: compare it with the one in Online İşlem Merkezi, Santral Ayarlarım"
    )]
    Auth {
        /// What the PBX said.
        text: String,
    },
    /// Asked too often: nothing more before `wait`, or a minute.
    #[error("the PBX was asked too often (429)")]
    RateLimited {
        /// `Retry-After`, if there was one.
        wait: Option<Duration>,
    },
    /// There is no such call, voicemail or recording (yet).
    #[error("the PBX knows no such call or voicemail")]
    NotFound,
    /// No answer: refused, reset, timed out, TLS, DNS. Again later.
    #[error("the PBX cannot be reached: {0}")]
    Unreachable(HttpError),
    /// It understood and will not (4xx, redirects): our request or the base URL is wrong.
    #[error("the PBX refused the request ({status}): {text}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What the PBX said.
        text: String,
    },
    /// Its own trouble (5xx, 408). Again later.
    #[error("the PBX is in trouble ({status}): {text}")]
    Trouble {
        /// HTTP status.
        status: u16,
        /// What the PBX said.
        text: String,
    },
    /// A 200 that cannot be read. Never "no calls": again later.
    #[error("the PBX's answer cannot be read: {text}")]
    Garbled {
        /// What is wrong with it.
        text: String,
    },
}

/// An excerpt of `text` for an error: one line, short, without the key or any eight characters of it in a row, in any
/// case, raw or percent-encoded.
pub(super) fn scrub(text: &str, key: &Secret) -> String {
    // Bounds the quadratic work; a fragment that this cut leaves is too short to matter.
    let text = Mask::of([key.expose()]).apply(&printable(text, 10 * MAX_CHARS));
    printable(&text, MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrubbed_text_holds_no_piece_of_the_key() {
        let key = Secret::new("K12345678-ab+c/d=");
        for (text, clean) in [
            ("Gecersiz anahtar: K12345678-ab+c/d=", "Gecersiz anahtar: ***"),
            ("key=K12345678-ab%2Bc%2Fd%3D&page=1", "key=***&page=1"),
            ("key=k12345678-ab%2bc%2fd%3d&page=1", "key=***&page=1"),
            ("cut: K12345678-a", "cut: ***"),
            ("K12345678-ab+c/d=K12345678-ab+c/d=", "******"),
            ("no key\r\nhere", "no key here"),
        ] {
            assert_eq!(scrub(text, &key), clean);
        }
    }

    #[test]
    fn a_scrubbed_text_is_short_even_where_the_key_is_cut() {
        let key = Secret::new("K12345678-ab+c/d=");
        let text = scrub(&format!("{}{}", "x".repeat(195), key.expose()), &key);
        assert_eq!(text, format!("{}***", "x".repeat(195)));
        assert_eq!(scrub(&"ş".repeat(100_000), &key).chars().count(), 200);
    }

    #[test]
    fn an_empty_or_short_key_masks_nothing_else() {
        assert_eq!(scrub("all is text", &Secret::new("")), "all is text");
        assert_eq!(scrub("abc ab abc", &Secret::new("abc")), "*** ab ***");
    }
}
