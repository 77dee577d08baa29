//! JSON of which one name would spoil a whole page: half a surrogate pair, or a bare control character. Pure.
//!
//! Callers choose their names. RFC 8259 (sections 7 and 8.2) leaves the first unpredictable and forbids the second, and a
//! parser that is strict about either loses the other ninety-nine rows with it.

use serde_json::Value;

use super::json::Json;

/// What such a text says, with a replacement character for each half of a pair and a space for each control character;
/// `None` when that does not make it JSON.
pub(super) fn mended(text: &str) -> Option<Json<'static>> {
    serde_json::from_str::<Value>(&mend(text)).ok().map(Json::from)
}

fn mend(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let (put, length) = match c {
            '"' => {
                quoted = !quoted;
                (None, 1)
            }
            '\\' if quoted => escape(rest),
            c if quoted && c < ' ' => (Some(' '), 1),
            c => (None, c.len_utf8()),
        };
        let (this, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match put {
            Some(put) => mended.push(put),
            None => mended.push_str(this),
        }
        rest = behind;
    }
    mended
}

/// The length of the escape at the start of `text`, and what to put in its place.
fn escape(text: &str) -> (Option<char>, usize) {
    match unit(text) {
        Some(0xD800..=0xDBFF) if matches!(text.get(6..).and_then(unit), Some(0xDC00..=0xDFFF)) => (None, 12),
        Some(0xD800..=0xDFFF) => (Some(char::REPLACEMENT_CHARACTER), 6),
        // Whatever is escaped is not looked at by itself: it may be a quote.
        _ => (None, 1 + text.chars().nth(1).map_or(0, char::len_utf8)),
    }
}

/// The UTF-16 unit that `\uXXXX` at the start of `text` stands for.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_of_pairs_and_control_characters_are_replaced_and_nothing_else_is() {
        for (text, expected) in [
            (r#"["Ali \ud83d"]"#, r#"["Ali �"]"#),
            (r#"["\udE00 \ud83d\ud83d\ude00 \\ud83d \" \u015f"]"#, r#"["� �\ud83d\ude00 \\ud83d \" \u015f"]"#),
            ("{\n\"a\":\t\"x\ty\u{1}\"}", "{\n\"a\":\t\"x y \"}"),
            (r#"["\ud83"#, r#"["\ud83"#),
            (r"[\", r"[\"),
        ] {
            assert_eq!(mend(text), expected, "{text}");
        }
        assert_eq!(mended(r#"["Ali \ud83d"]"#), Some(Json::List(vec![Json::Text("Ali \u{fffd}".into())])));
        assert_eq!(mended(r#"["Ali \ud83d"],"#), None);
    }

    proptest! {
        #[test]
        fn what_is_json_stays_as_it_is(text in ".*") {
            let json = Value::from(text).to_string();
            prop_assert_eq!(mend(&json), json);
        }

        #[test]
        fn any_text_ends(text in r#"[\\"u0-9a-fD\x00-\x1fşx😀]*"#) {
            let _ = mend(&text);
        }
    }
}
