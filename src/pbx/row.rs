//! One JSON object of the PBX, every field doubtful: types change without notice, and absence has four spellings.

use std::borrow::Cow;

use jiff::Timestamp;

use super::json::{Json, Object};
use super::stamps;
use crate::event::Audio;
use crate::number::{self, Parsed, printable};
use crate::private::PersonName;

/// Names are kept to this many characters: no message shows more, and all fields together must fit into a stored row.
pub(super) const NAME_CHARS: usize = 100;
/// Longer than any stamp, duration or word that is read here.
const WORD_CHARS: usize = 64;

pub(super) struct Row<'v>(pub(super) &'v Object<'v>);

impl Row<'_> {
    /// The field as printable text of at most `max_chars`; `None` when absent, `null`, empty or the text `null`.
    pub(super) fn text(&self, key: &str, max_chars: usize) -> Option<String> {
        let text = match self.0.get(key)? {
            Json::Text(text) => Cow::Borrowed(&**text),
            // 905542510000 may come as 905542510000.0.
            Json::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 => Cow::Owned(format!("{float:.0}")),
                _ => Cow::Owned(number.to_string()),
            },
            Json::Bool(flag) => Cow::Owned(flag.to_string()),
            Json::Null | Json::List(_) | Json::Object(_) => return None,
        };
        let text = printable(&text, max_chars);
        (!text.is_empty() && text != "null").then_some(text)
    }

    pub(super) fn word(&self, key: &str) -> Option<String> {
        self.text(key, WORD_CHARS)
    }

    pub(super) fn name(&self, key: &str) -> Option<PersonName> {
        self.text(key, NAME_CHARS).map(PersonName::new)
    }

    /// A number; withheld when absent.
    pub(super) fn number(&self, key: &str) -> Parsed {
        self.word(key).map(|text| number::parse(&text)).unwrap_or_default()
    }

    pub(super) fn stamp(&self, key: &str) -> Option<Timestamp> {
        stamps::timestamp(&self.word(key)?)
    }

    pub(super) fn seconds(&self, key: &str) -> Option<u32> {
        stamps::seconds(&self.word(key)?)
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.word(key).is_some_and(|word| word == "1" || word.eq_ignore_ascii_case("true"))
    }

    pub(super) fn audio(&self, key: &str) -> Audio {
        match self.word(key) {
            Some(word) if word.eq_ignore_ascii_case("deleted") => Audio::Deleted,
            _ if self.flag(key) => Audio::Present,
            _ => Audio::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with<T>(value: &Value, read: impl Fn(&Row<'_>) -> T) -> T {
        let text = json!({ "x": value }).to_string();
        let Json::Object(object) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        read(&Row(&object))
    }

    #[test]
    fn a_flag_is_read_in_every_type_that_was_seen() {
        for value in [json!(true), json!("true"), json!("True"), json!(1), json!(1.0), json!("1"), json!(" TRUE ")] {
            assert!(with(&value, |row| row.flag("x")), "{value}");
        }
        for value in
            [json!(false), json!("false"), json!(0), json!("0"), json!(null), json!(""), json!([true]), json!({})]
        {
            assert!(!with(&value, |row| row.flag("x")), "{value}");
        }
    }

    #[test]
    fn absence_has_four_spellings() {
        for value in [json!(null), json!(""), json!("  "), json!("null")] {
            assert_eq!(with(&value, |row| row.word("x")), None);
        }
        assert_eq!(with(&json!("y"), |row| row.word("absent")), None);
    }

    #[test]
    fn a_number_may_be_a_json_number() {
        for value in [json!("905542510000"), json!(905_542_510_000_u64), json!(905_542_510_000.0)] {
            let parsed = with(&value, |row| row.number("x"));
            assert_eq!(parsed.number.unwrap().expose().e164.as_deref(), Some("+905542510000"));
        }
        assert_eq!(with(&json!(-1), |row| row.number("x")), Parsed::default());
        assert_eq!(with(&json!(200), |row| row.word("x")).as_deref(), Some("200"));
    }

    #[test]
    fn a_duration_may_be_a_number() {
        for value in [json!(65), json!("65"), json!(65.0), json!(65.4), json!("00:01:05"), json!("01:05")] {
            assert_eq!(with(&value, |row| row.seconds("x")), Some(65), "{value}");
        }
        assert_eq!(with(&json!(-1), |row| row.seconds("x")), None);
    }

    #[test]
    fn audio_may_be_deleted() {
        assert_eq!(with(&json!("deleted"), |row| row.audio("x")), Audio::Deleted);
        assert_eq!(with(&json!("true"), |row| row.audio("x")), Audio::Present);
        assert_eq!(with(&json!(false), |row| row.audio("x")), Audio::None);
    }

    #[test]
    fn a_name_cannot_break_a_line_or_turn_the_text_around() {
        let name = with(&json!("A\r\nBcc: x\u{0} \u{202e}gpj\u{2066}"), |row| row.name("x")).unwrap();
        assert_eq!(name.expose(), "A Bcc: x gpj");
        let name = with(&json!("😀".repeat(1000)), |row| row.name("x")).unwrap();
        assert_eq!(name.expose().chars().count(), NAME_CHARS);
        let name = with(&json!(" S\u{327}ükrü "), |row| row.name("x")).unwrap();
        assert_eq!(name.expose(), "Şükrü");
    }
}
