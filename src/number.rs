//! Phone numbers as the PBX writes them: read into one form, compared, matched against patterns. Pure.
//!
//! The numbering rules are those of the Turkish regulator's plan (BTK, Genel Numaralandırma Planı) and of the
//! notations that the PBX was seen to use; whatever fits none of them is kept as it came.

use std::borrow::Cow;

use phonenumber::Mode;
use unicode_normalization::UnicodeNormalization as _;

use crate::private::{Digits, PhoneNumber};

/// No number is kept longer than this, in characters.
const MAX_CHARS: usize = 64;

/// What stands where a number would be when the caller hid it, as [`fold_turkish`] leaves it.
const WITHHELD: [&str; 17] = [
    "",
    "-1",
    "-2",
    "anonymous",
    "anonymous caller",
    "bilinmeyen",
    "bilinmeyen numara",
    "bilinmiyor",
    "gizli",
    "gizli numara",
    "null",
    "private",
    "private number",
    "restricted",
    "unavailable",
    "unknown",
    "withheld",
];

/// What one field of the PBX says: a number, an extension, both (`902129510292 (1008)`) or neither (withheld).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// `None` when withheld. Of a bare extension, the extension.
    pub number: Option<PhoneNumber>,
    /// Two to six digits.
    pub extension: Option<String>,
}

/// Reads a number in any notation. Never fails: what is not understood is kept as raw text.
///
/// The library that knows the numbers of all countries is asked about foreign numbers only: its first use costs
/// 220 ms and 6 to 10 MB.
pub fn parse(text: &str) -> Parsed {
    let text = printable(text, MAX_CHARS);
    if let Some((outer, inner)) = composite(&text) {
        match (extension(outer), extension(inner)) {
            (_, Some(extension)) => return Parsed { number: single(outer), extension: Some(extension.to_owned()) },
            (Some(extension), None) => return Parsed { number: single(inner), extension: Some(extension.to_owned()) },
            // Brackets around an area code: one number.
            (None, None) => {}
        }
    }
    let number = single(&text);
    let extension = number.as_ref().and_then(|number| extension(&number.expose().raw)).map(str::to_owned);
    Parsed { number, extension }
}

/// Names one number in any notation (`0532 111 22 33`, `+905321112233`), or those that begin in one way when it ends in
/// `*` (`0532*`, `+90532*`, `90532*`, `10*`). A lone `*` names every number.
#[derive(Debug, Clone)]
pub struct Pattern(Named);

#[derive(Debug, Clone)]
enum Named {
    /// One line, by its `key`; `None`: what was written is no number.
    Line(Option<String>),
    /// The beginning of a `key`, as it was written and with its country.
    Digits { written: String, international: Option<String> },
    /// The beginning of what is no number at all.
    Text(String),
}

impl Pattern {
    /// Reads a pattern. Never fails: what is no number names none.
    pub fn new(pattern: &str) -> Self {
        let pattern = pattern.trim();
        let Some(prefix) = pattern.strip_suffix('*').map(str::trim) else {
            return Self(Named::Line(parse(pattern).number.map(|number| line(&number).into_owned())));
        };
        let Some(digits) = compact(prefix) else { return Self(Named::Text(prefix.to_owned())) };
        // Without `+`, `00`, `0` or `90` a prefix is one of extensions and short codes only: `22*` is not Bursa (0224).
        let international = match digits.strip_prefix("00").filter(|rest| !rest.is_empty()) {
            Some(rest) => Some(format!("+{rest}")),
            None if digits.starts_with("90") => Some(format!("+{digits}")),
            None => digits.strip_prefix('0').map(|rest| format!("+90{rest}")),
        };
        Self(Named::Digits { written: digits, international })
    }

    /// Whether it names `number`.
    pub fn matches(&self, number: &PhoneNumber) -> bool {
        match &self.0 {
            Named::Line(line) => line.as_deref() == Some(&*self::line(number)),
            Named::Digits { .. } => self.begins(&line(number)),
            Named::Text(prefix) => number.expose().raw.starts_with(prefix),
        }
    }

    /// Whether there is no number at all that it could name: what was written is what stands where one is withheld.
    pub fn names_nothing(&self) -> bool {
        matches!(self.0, Named::Line(None))
    }

    /// Whether it names every number, those that nobody has thought of too.
    pub fn names_all(&self) -> bool {
        matches!(&self.0, Named::Text(prefix) if prefix.is_empty())
    }

    /// Whether it surely names every number that `other` names.
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Named::Text(prefix), Named::Text(narrower)) => narrower.starts_with(prefix),
            (_, Named::Line(None)) => true,
            _ if self.names_all() => true,
            (Named::Line(line), Named::Line(other)) => line == other,
            (Named::Digits { .. }, Named::Line(Some(key))) => self.begins(key),
            (Named::Digits { .. }, Named::Digits { written, international }) => {
                self.begins(written) && international.as_ref().is_none_or(|prefix| self.begins(prefix))
            }
            // Of what is no number the key is the text itself; a number may be written in more ways than one.
            (Named::Text(prefix), Named::Line(Some(key))) => compact(key).is_none() && key.starts_with(prefix),
            _ => false,
        }
    }

    /// Whether it is a prefix that a `key`, or the beginning of one, begins with.
    fn begins(&self, key: &str) -> bool {
        let Named::Digits { written, international } = &self.0 else { return false };
        key.starts_with(written) || international.as_ref().is_some_and(|prefix| key.starts_with(prefix))
    }
}

/// Whether it can be an extension that the PBX rings: 1 to 10 digits.
pub fn is_extension(text: &str) -> bool {
    (1..=10).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `number` is named by a [`Pattern`].
pub fn matches(pattern: &str, number: &PhoneNumber) -> bool {
    Pattern::new(pattern).matches(number)
}

/// Whether two numbers are one line, whatever the notation.
pub fn same_caller(a: &PhoneNumber, b: &PhoneNumber) -> bool {
    line(a) == line(b)
}

/// Folds a text for comparison: NFC, lower case, and İ, I, ı, i all as `i`. Not for showing.
///
/// The standard library's mapping makes `i` and a combining dot of `İ`, and `i` of `I` but not of `ı`.
pub fn fold_turkish(text: &str) -> String {
    if text.is_ascii() {
        return text.chars().map(|c| c.to_ascii_lowercase()).collect();
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.nfc() {
        match c {
            'İ' | 'I' | 'ı' => folded.push('i'),
            '\u{307}' if folded.ends_with('i') => {}
            c => folded.extend(c.to_lowercase()),
        }
    }
    folded
}

/// One line of at most `max_chars` characters that is safe to print: NFC, control characters and runs of white space
/// as one space, marks that turn the direction of text removed.
///
/// Names and numbers come from the caller's own SIP headers.
pub fn printable(text: &str, max_chars: usize) -> String {
    if is_plain(text) && text.len() <= max_chars {
        return text.to_owned();
    }
    // The factor leaves room for what is dropped, and keeps the work small for a megabyte of spaces.
    let text: String = text
        .chars()
        .take(max_chars.saturating_mul(8))
        .filter(|c| !turns_direction(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .nfc()
        .collect();
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(max_chars) {
        line.truncate(end);
        line.truncate(line.trim_end().len());
    }
    line
}

/// Whether a text is as it should be: visible ASCII and the letters of Turkish and its neighbours, with single spaces
/// inside. Most fields of most rows are. Every letter from À to ſ is its own NFC (UAX 15, `NFC_Quick_Check`), and what
/// could combine with it is none of these; normalizing a name costs more than reading its row.
fn is_plain(text: &str) -> bool {
    let mut after_space = true;
    for c in text.chars() {
        match c {
            ' ' if after_space => return false,
            ' ' => after_space = true,
            '!'..='~' | 'À'..='ſ' => after_space = false,
            _ => return false,
        }
    }
    !after_space || text.is_empty()
}

fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// `A (B)` taken apart.
fn composite(text: &str) -> Option<(&str, &str)> {
    let (outer, inner) = text.strip_suffix(')')?.split_once('(')?;
    let (outer, inner) = (outer.trim(), inner.trim());
    (!outer.is_empty() && !inner.is_empty()).then_some((outer, inner))
}

/// Two to six digits without a leading zero. Three-digit short codes (112) read alike and no field tells them apart;
/// directory services (118xx) are no extension.
fn extension(text: &str) -> Option<&str> {
    let shape = (2..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let directory = text.len() == 5 && text.starts_with("118");
    (shape && !directory).then_some(text)
}

/// One number without an extension beside it; `None` when withheld.
fn single(text: &str) -> Option<PhoneNumber> {
    let raw = address(text);
    if withheld(raw) {
        return None;
    }
    let (e164, display) = match compact(raw).as_deref().map(plan) {
        Some(Plan::Turkish(n)) => {
            let display = format!("0{} {} {} {}", &n[..3], &n[3..6], &n[6..8], &n[8..]);
            (Some(format!("+90{n}")), display)
        }
        Some(Plan::Corporate(n)) => (None, format!("{} {} {}", &n[..3], &n[3..5], &n[5..])),
        Some(Plan::Foreign(digits)) => foreign(digits, raw),
        Some(Plan::Other) | None => (None, raw.to_owned()),
    };
    Some(PhoneNumber::new(Digits { raw: raw.to_owned(), e164, display }))
}

/// The number of `tel:…`, `sip:…@host`, `<sip:…>;tag=…`.
fn address(text: &str) -> &str {
    let text = text.trim_matches(['<', '>', '"', ' ']);
    let text = ["tel:", "sip:", "sips:"]
        .iter()
        .find_map(|scheme| {
            let (head, rest) = text.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .unwrap_or(text);
    let end = text.find(['@', ';', '>']).unwrap_or(text.len());
    text[..end].trim()
}

fn withheld(raw: &str) -> bool {
    raw.bytes().all(|b| b == b'0') || WITHHELD.contains(&fold_turkish(raw).as_str())
}

/// A number's digits, with a leading `+` if there is one, without what people put between them. `None` when there is
/// anything else, or no digit.
fn compact(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '0'..='9' => digits.push(c),
            '+' if digits.is_empty() => digits.push(c),
            ' ' | '-' | '.' | '/' | '(' | ')' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            _ => return None,
        }
    }
    digits.ends_with(|c: char| c.is_ascii_digit()).then_some(digits)
}

enum Plan<'d> {
    /// Ten national digits.
    Turkish(&'d str),
    /// Seven digits, 444xxxx: they have no area code and cannot be reached from abroad.
    Corporate(&'d str),
    /// Country code and number: 8 to 15 digits.
    Foreign(&'d str),
    /// Extensions, short codes, and what no plan knows.
    Other,
}

fn plan(compact: &str) -> Plan<'_> {
    if let Some(rest) = compact.strip_prefix('+').or_else(|| compact.strip_prefix("00")) {
        return match rest.strip_prefix("90") {
            // People write +90 (0)532 …
            Some(national) => turkish(national).or_else(|| turkish(national.strip_prefix('0')?)),
            None if is_foreign(rest) => Some(Plan::Foreign(rest)),
            None => None,
        }
        .unwrap_or(Plan::Other);
    }
    // The lengths differ, so that at most one of the three fits.
    ["", "0", "90"].iter().find_map(|prefix| compact.strip_prefix(prefix).and_then(turkish)).unwrap_or(Plan::Other)
}

fn is_foreign(digits: &str) -> bool {
    (8..=15).contains(&digits.len()) && !digits.starts_with('0')
}

fn turkish(national: &str) -> Option<Plan<'_>> {
    match national.len() {
        10 if national.starts_with(['2', '3', '4', '5', '8', '9']) => Some(Plan::Turkish(national)),
        7 if national.starts_with("444") => Some(Plan::Corporate(national)),
        _ => None,
    }
}

/// E.164 and display form of a number that is not Turkish.
fn foreign(digits: &str, raw: &str) -> (Option<String>, String) {
    let dialled = format!("+{digits}");
    match phonenumber::parse(None, &dialled) {
        Ok(number) if number.is_valid() => {
            let e164 = number.format().mode(Mode::E164).to_string();
            // Without its trunk zero it may be too short to be read again: one number has one form.
            if !e164.strip_prefix('+').is_some_and(is_foreign) {
                return (Some(dialled), raw.to_owned());
            }
            let display = number.format().mode(Mode::International).to_string();
            (Some(e164), display)
        }
        _ => (Some(dialled), raw.to_owned()),
    }
}

/// What two notations of one number have in common.
pub(crate) fn line(number: &PhoneNumber) -> Cow<'_, str> {
    let digits = number.expose();
    match &digits.e164 {
        Some(e164) => Cow::Borrowed(e164),
        None => compact(&digits.display).map_or(Cow::Borrowed(&digits.display), Cow::Owned),
    }
}

/// Whether a caller's name is only the number once more, in whatever form: many PBXs fill it in so.
pub(crate) fn repeats_number(name: &str, number: &str) -> bool {
    fn end(text: &str) -> Option<Vec<u8>> {
        let number = text.bytes().all(|b| b.is_ascii_digit() || b" +()-.".contains(&b));
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).collect();
        // Ten digits are a national number; what comes before is a trunk or country code.
        (number && !digits.is_empty()).then(|| digits[digits.len().saturating_sub(10)..].to_vec())
    }
    end(name).is_some_and(|name| end(number) == Some(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> PhoneNumber {
        parse(text).number.unwrap_or_else(|| panic!("`{text}` has no number"))
    }

    fn forms(text: &str) -> (Option<String>, String) {
        let digits = number(text).expose().clone();
        (digits.e164, digits.display)
    }

    #[test]
    fn a_turkish_number_is_the_same_in_every_notation() {
        for text in [
            "05321112233",
            "905321112233",
            "+905321112233",
            "00905321112233",
            "5321112233",
            "0532 111 22 33",
            "(0532) 111-22-33",
            "0 (532) 111.22.33",
            "+90 (0)532 111 22 33",
            "tel:+905321112233",
            "sip:05321112233@10.0.0.1:5060;user=phone",
            "<SIP:05321112233@pbx>",
            "0532\u{a0}111\u{2013}22\u{2013}33",
        ] {
            assert_eq!(forms(text), (Some("+905321112233".to_owned()), "0532 111 22 33".to_owned()), "{text}");
            assert_eq!(parse(text).extension, None, "{text}");
        }
    }

    #[test]
    fn a_number_is_shown_as_turks_write_it() {
        for (text, e164, display) in [
            ("03121234567", "+903121234567", "0312 123 45 67"),
            ("902129876543", "+902129876543", "0212 987 65 43"),
            ("908505320000", "+908505320000", "0850 532 00 00"),
        ] {
            assert_eq!(forms(text), (Some(e164.to_owned()), display.to_owned()));
        }
    }

    #[test]
    fn a_444_number_has_no_e164() {
        for text in ["4441234", "444 12 34", "04441234", "904441234", "+90 444 1 234"] {
            assert_eq!(forms(text), (None, "444 12 34".to_owned()), "{text}");
            assert_eq!(parse(text).extension, None, "{text}");
        }
    }

    #[test]
    fn a_foreign_number_is_shown_internationally() {
        for text in ["00493027590915", "+49 30 27590915", "0049 (30) 2759-0915"] {
            assert_eq!(forms(text), (Some("+493027590915".to_owned()), "+49 30 27590915".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_foreign_number_that_loses_its_trunk_zero_still_has_one_form() {
        // Found by the fuzzer: a Viennese number that is too short without its zero.
        let (e164, _) = forms("0043014349");
        assert_eq!(e164.as_deref(), Some("+43014349"));
        assert_eq!(forms("+43014349").0, e164);
        assert_eq!(forms("+43 (0)1 58858").0.as_deref(), Some("+43158858"));
    }

    #[test]
    fn a_foreign_number_that_no_country_has_keeps_its_digits_and_its_look() {
        assert_eq!(forms("00999123456789"), (Some("+999123456789".to_owned()), "00999123456789".to_owned()));
        assert_eq!(forms("+1234"), (None, "+1234".to_owned()), "too short for a public number");
        assert_eq!(forms("00000493027590915").0, None, "no country code begins with a zero");
    }

    #[test]
    fn short_numbers_are_kept_as_they_are() {
        for (text, extension) in
            [("1008", Some("1008")), ("10", Some("10")), ("200", Some("200")), ("112", Some("112")), ("11811", None)]
        {
            let parsed = parse(text);
            assert_eq!(forms(text), (None, text.to_owned()));
            assert_eq!(parsed.extension.as_deref(), extension, "{text}");
        }
        for text in ["5", "0532", "1234567", "+90 112", "01234567890", "*67", "ahmet", "+", "()"] {
            assert_eq!(forms(text), (None, text.to_owned()));
            assert_eq!(parse(text).extension, None, "{text}");
        }
    }

    #[test]
    fn a_composite_is_a_number_and_an_extension() {
        for text in ["902129510292 (1008)", "1008 (902129510292)", "902129510292(1008)"] {
            let parsed = parse(text);
            assert_eq!(parsed.extension.as_deref(), Some("1008"), "{text}");
            assert_eq!(parsed.number.unwrap().expose().raw, "902129510292", "{text}");
        }
        assert_eq!(parse("anonymous (1008)"), Parsed { number: None, extension: Some("1008".to_owned()) });
    }

    #[test]
    fn a_withheld_number_is_none() {
        for text in [
            "",
            "  ",
            "anonymous",
            "Anonymous",
            "ANONYMOUS",
            "restricted",
            "UNAVAILABLE",
            "unknown",
            "private",
            "gizli",
            "GİZLİ",
            "GIZLI",
            "Gi\u{307}zli",
            "withheld",
            "-1",
            "0",
            "null",
            "sip:anonymous@anonymous.invalid",
            "\0\r\n",
        ] {
            assert_eq!(parse(text), Parsed::default(), "{text:?}");
        }
    }

    #[test]
    fn a_number_is_bounded_and_on_one_line() {
        let raw = number(&"ab\r\n".repeat(10_000)).expose().raw.clone();
        assert!(raw.chars().count() <= 64 && raw.starts_with("ab ab "), "{raw:?}");
        assert_eq!(number("\u{202e}0532\u{0}1112233").expose().raw, "0532 1112233");
    }

    #[test]
    fn a_pattern_matches_any_notation_of_one_number() {
        let caller = number("05321112233");
        for pattern in ["0532 111 22 33", "+905321112233", "905321112233", " 0532-1112233 "] {
            assert!(matches(pattern, &caller), "{pattern}");
        }
        for pattern in ["0532 111 22 34", "1112233", "", "gizli"] {
            assert!(!matches(pattern, &caller), "{pattern}");
        }
        assert!(matches("444 12 34", &number("904441234")));
        assert!(matches("+49 30 27590915", &number("00493027590915")));
    }

    #[test]
    fn a_pattern_with_a_star_matches_a_prefix_in_any_notation() {
        let caller = number("05321112233");
        for pattern in ["0532*", "+90532*", "90532*", "0090 532*", "0532 111 *", "0*", "*"] {
            assert!(matches(pattern, &caller), "{pattern}");
        }
        for pattern in ["0533*", "53*", "10*", "+49*", "00*", "abc*"] {
            assert!(!matches(pattern, &caller), "{pattern}");
        }
        assert!(matches("10*", &number("1008")) && !matches("11*", &number("1008")));
        assert!(matches("0049*", &number("00493027590915")) && matches("+4930*", &number("00493027590915")));
        assert!(matches("444*", &number("4441234")));
        assert!(!matches("22*", &number("02241234567")), "a prefix of extensions must not catch a city");
    }

    #[test]
    fn a_pattern_covers_another_in_whatever_notation_both_are_written() {
        for (wide, narrow) in [
            ("0532*", "0532 111*"),
            ("0532*", "+90 532 111 22 33"),
            ("0532*", "+90532*"),
            ("05321112233", "+905321112233"),
            ("+49*", "0049 30 27590915"),
            ("*", "10*"),
            ("*", "abc*"),
            ("a*", "abc"),
            ("0532*", "gizli"),
        ] {
            assert!(Pattern::new(wide).covers(&Pattern::new(narrow)), "{wide} {narrow}");
        }
        // Neither the digits of a city nor those of a number that is dialled in part only.
        for (wide, narrow) in
            [("22*", "0224*"), ("22*", "2241234567"), ("+90532*", "0532*"), ("0532*", "*"), ("+*", "+90*")]
        {
            assert!(!Pattern::new(wide).covers(&Pattern::new(narrow)), "{wide} {narrow}");
        }
    }

    #[test]
    fn every_letter_that_is_taken_for_plain_is_its_own_normal_form() {
        for c in 'À'..='ſ' {
            assert_eq!(c.to_string().nfc().collect::<String>(), c.to_string());
            assert!(!turns_direction(c) && !c.is_control() && !c.is_whitespace());
        }
        assert!(is_plain("Mehmet Yılmaz, Şükrü Öz") && !is_plain("S\u{327}ukru") && !is_plain("Ali\u{a0}Can"));
    }

    #[test]
    fn the_turkish_i_folds_to_one_letter() {
        assert_eq!(fold_turkish("İIıi"), "iiii");
        assert_eq!(fold_turkish("I\u{307}i\u{307}"), "ii");
        assert_eq!(fold_turkish("CEVAPLANDI"), fold_turkish("Cevaplandı"));
        assert_eq!(fold_turkish("VAZGEÇİLDİ"), fold_turkish("Vazgec\u{327}ildi"));
        assert_eq!(fold_turkish("ŞĞÜÖÇ"), "şğüöç");
    }

    fn short() -> impl Strategy<Value = String> {
        prop_oneof!["[+]?[0-9]{0,3}", "(0|90|[+]90|0090)53[0-9]{0,2}", "[ab]{0,2}", "0532111223[0-4]", "[+]"]
    }

    proptest! {
        #[test]
        fn a_pattern_that_covers_another_names_whatever_that_one_names(
            wide in short(), narrow in short(), stars in prop::array::uniform2(prop::bool::ANY), rest in short(),
        ) {
            let pattern = |text: &str, star| Pattern::new(&format!("{text}{}", if star { "*" } else { "" }));
            let (wide, other) = (pattern(&wide, stars[0]), pattern(&narrow, stars[1]));
            let number = parse(&format!("{narrow}{rest}")).number;
            if let Some(number) = number.filter(|number| other.matches(number) && wide.covers(&other)) {
                prop_assert!(wide.matches(&number), "{wide:?} {other:?}");
            }
        }

        #[test]
        fn parsing_never_panics_and_an_e164_has_8_to_15_digits(text in "\\PC*|[+0-9() .-]{0,40}|(00|\\+)[0-9]{0,20}") {
            if let Some(number) = parse(&text).number {
                let digits = number.expose();
                prop_assert!(digits.raw.chars().count() <= 64);
                if let Some(e164) = &digits.e164 {
                    let rest = e164.strip_prefix('+').unwrap_or_default();
                    prop_assert!((8..=15).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit()), "{}", e164);
                }
                prop_assert!(matches("*", &number) && same_caller(&number, &number));
            }
        }

        #[test]
        fn a_turkish_display_reads_back_as_the_same_number(national in "[234589][0-9]{9}", prefix in "0|90|\\+90|0090|") {
            let number = number(&format!("{prefix}{national}"));
            let e164 = number.expose().e164.clone();
            prop_assert_eq!(&e164, &Some(format!("+90{national}")));
            prop_assert_eq!(forms(&number.expose().display).0, e164);
        }

        #[test]
        fn a_folded_text_is_folded(text in "\\PC*") {
            let folded = fold_turkish(&text);
            prop_assert!(!folded.contains(['İ', 'I', 'ı']));
        }
    }

    #[test]
    fn a_name_that_is_the_number_is_no_name() {
        for name in ["03121234567", "+90 312 123 45 67", "903121234567", "0312-123-45-67"] {
            assert!(repeats_number(name, "03121234567"), "{name}");
        }
        for name in ["", "Mehmet", "0312 123 45 68", "Ev 03121234567", "-"] {
            assert!(!repeats_number(name, "03121234567"), "{name}");
        }
    }
}
