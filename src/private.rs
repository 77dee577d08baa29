//! Secrets and people as types: what they hold is masked wherever it is printed, and shown only by a named call.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A key, password, token or signing secret. Never printed; [`Secret::expose`] is the only way to the text.
///
/// It has no `Serialize`: a secret is in no stored row and no payload.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or signs with it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is what somebody says that it is. It takes no longer when the beginning is right: what is compared are
    /// digests, and all of them.
    pub fn is(&self, given: &str) -> bool {
        let (own, given) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(given.as_bytes()));
        own.iter().zip(given).fold(0, |difference, (own, given)| difference | (own ^ given)) == 0
    }

    /// Whether `other`, a secret of some length, is part of it, in whatever way it is written.
    pub fn holds(&self, other: &Self) -> bool {
        other.0.len() >= FRAGMENT && forms(&other.0).iter().any(|form| self.0.contains(form.as_str()))
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The forms of one phone number, as [`PhoneNumber::expose`] shows them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digits {
    /// As the PBX wrote it, composites taken apart: `03121234567`, `902129876543`, `1014`.
    pub raw: String,
    /// E.164 with the plus sign, when the number is surely a public one: `+903121234567`.
    pub e164: Option<String>,
    /// For people: `0312 123 45 67`, `+49 30 27590915`, `444 12 34`, or the raw text.
    pub display: String,
}

/// A phone number, an extension or a short code: personal data, so printing it masks all but the ends.
///
/// Serialising reveals it: stored rows and payloads need the number, logs do not serialise.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PhoneNumber(Digits);

impl PhoneNumber {
    /// Wraps digits that [`crate::number::parse`] has read.
    pub fn new(digits: Digits) -> Self {
        Self(digits)
    }

    /// The number in all its forms.
    pub fn expose(&self) -> &Digits {
        &self.0
    }

    /// `0532 *** ** 67`: the display form with its middle digits starred.
    pub fn masked(&self) -> String {
        mask_digits(&self.0.display)
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// The name of a caller or of whom they called: personal data, printed as its first letter.
///
/// Serialising reveals it, as with [`PhoneNumber`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonName(String);

impl PersonName {
    /// Takes the name in.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.chars().next() {
            Some(first) => write!(f, "{first}***"),
            None => Ok(()),
        }
    }
}

/// Stars the middle digits of a display form and leaves its shape: the first four and the last two digits stay,
/// of numbers without an area code (up to nine digits) three and one, of extensions and short codes (up to six) only the
/// first and the last.
pub fn mask_digits(display: &str) -> String {
    let total = display.chars().filter(char::is_ascii_digit).count();
    let (head, tail) = match total {
        0..=6 => (1, 1),
        7..=9 => (3, 1),
        _ => (4, 2),
    };
    let mut seen = 0;
    display
        .chars()
        .map(|c| {
            if !c.is_ascii_digit() {
                return c;
            }
            seen += 1;
            if seen <= head || seen + tail > total { c } else { '*' }
        })
        .collect()
}

/// How others write a secret: as it is, percent-encoded, and as JSON whose slashes are escaped.
fn forms(secret: &str) -> [String; 3] {
    let encoded = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    [secret.to_owned(), encoded, secret.replace('/', r"\/")]
}

/// So many characters of a secret in a row are masked in a foreign text, whatever surrounds them.
const FRAGMENT: usize = 8;

/// Masks secrets in what others say: receivers and the PBX echo requests in their errors, whole or in part.
#[derive(Clone, Default)]
pub struct Mask(Vec<Vec<char>>);

impl Mask {
    /// Masks these as they are, percent-encoded, and as JSON with escaped slashes.
    pub fn of<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let forms = secrets.into_iter().flat_map(forms);
        Self(forms.map(|form| form.chars().collect()).collect())
    }

    /// Masks `texts` as well.
    #[must_use]
    pub fn and(&self, texts: &[String]) -> Self {
        let more = Self::of(texts.iter().map(String::as_str));
        Self(self.0.iter().cloned().chain(more.0).collect())
    }

    /// `text` without any eight characters in a row of a secret, in any case; of shorter secrets, without the whole.
    /// The work grows with the length of the text times that of the secrets: cut the text first.
    pub fn apply(&self, text: &str) -> String {
        let text: Vec<char> = text.chars().collect();
        let mut masked = String::new();
        let mut at = 0;
        while at < text.len() {
            let length = self.0.iter().map(|secret| longest_fragment(&text[at..], secret)).max().unwrap_or(0);
            if length > 0 {
                masked.push_str("***");
                at += length;
            } else {
                masked.push(text[at]);
                at += 1;
            }
        }
        masked
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How many characters at the start of `text` are a piece of `secret`; 0 when too few to mask.
fn longest_fragment(text: &[char], secret: &[char]) -> usize {
    let alike = |start: usize| text.iter().zip(&secret[start..]).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    (0..secret.len()).map(alike).max().filter(|length| *length >= FRAGMENT.min(secret.len())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars_in_every_format() {
        let secret = Secret::new("K12345678");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
    }

    #[test]
    fn a_secret_is_found_in_another_however_it_is_written() {
        let (key, short) = (Secret::new("K+a/b=c1"), Secret::new("R1"));
        for (url, held) in
            [("https://x/R1?key=K+a/b=c1", true), ("https://x/R1?key=K%2Ba%2Fb%3Dc1", true), ("R1", false)]
        {
            assert_eq!((Secret::new(url).holds(&key), Secret::new(url).holds(&short)), (held, false), "{url}");
        }
    }

    #[test]
    fn a_number_keeps_its_shape_when_masked() {
        assert_eq!(mask_digits("0532 111 22 67"), "0532 *** ** 67");
        assert_eq!(mask_digits("+903121234567"), "+9031******67");
        assert_eq!(mask_digits("444 12 34"), "444 ** *4");
        assert_eq!(mask_digits("1014"), "1**4");
        assert_eq!(mask_digits("112"), "1*2");
        assert_eq!(mask_digits(""), "");
    }

    #[test]
    fn a_mask_hides_every_long_piece_of_a_secret_and_the_whole_of_a_short_one() {
        let mask = Mask::of(["tok3n/abcdef"]).and(&["Öz Ay".to_owned()]);
        let text = "TOK3N/ABCDEF tok3n%2Fabcdef tok3n\\/abcdef 3n/abcde tok3n/a Öz Ay, Öz";
        assert_eq!(mask.apply(text), "*** *** *** *** tok3n/a ***, Öz");
        assert_eq!(format!("{mask:?}"), "***");
    }

    #[test]
    fn a_name_prints_as_its_first_letter() {
        assert_eq!(format!("{:?} {}", PersonName::new("Şükrü Öz"), PersonName::new("")), "Ş*** ");
    }
}
