//! Phone numbers in any notation, patterns of routes, and the texts that callers choose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringback::number::{fold_turkish, matches, parse, printable, same_caller};

fn is_printable(text: &str, max_chars: usize) {
    assert!(!text.contains(char::is_control), "{text:?}");
    assert!(text.chars().count() <= max_chars);
    assert_eq!(text.trim(), text);
    assert!(!text.contains(['\u{202e}', '\u{2066}', '\u{200f}', '\u{feff}']));
}

/// A number, and after a line break a pattern.
fn run(text: &str) {
    let (text, pattern) = text.split_once('\n').unwrap_or((text, "0532*"));
    let parsed = parse(text);
    if let Some(extension) = &parsed.extension {
        assert!((2..=6).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_digit()));
    }
    if let Some(number) = &parsed.number {
        let digits = number.expose();
        is_printable(&digits.raw, 64);
        is_printable(&digits.display, 64);
        assert!(!digits.raw.is_empty() && !digits.display.is_empty());
        assert!(same_caller(number, number) && matches("*", number));
        if let Some(e164) = &digits.e164 {
            let rest = e164.strip_prefix('+').unwrap();
            assert!((8..=15).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_digit()), "{e164}");
            // The one invariant that costs: of foreign numbers a library is asked that takes half a millisecond.
            let again = parse(e164).number.unwrap();
            assert_eq!(again.expose().e164.as_ref(), Some(e164), "one number has one form");
            assert!(same_caller(&again, number));
            // What people are shown is what they would dial.
            let shown: String = digits.display.chars().filter(char::is_ascii_digit).collect();
            let national = rest.strip_prefix("90").unwrap_or(rest);
            assert!(shown.ends_with(national), "{} is shown for {e164}", digits.display);
        }
        // At most six of the digits are left, as contract section 3 shows them.
        let masked = number.masked();
        assert!(masked.chars().filter(char::is_ascii_digit).count() <= 6);
        assert_eq!(format!("{number} {number:?}"), format!("{masked} {masked}"));
        let _ = matches(pattern, number);
    }
    for max in [0, 1, 64] {
        let line = printable(text, max);
        is_printable(&line, max);
        assert_eq!(printable(&line, max), line);
    }
    let folded = fold_turkish(text);
    assert!(!folded.contains(['İ', 'I', 'ı']));
}

fuzz_target!(|text: &str| run(text));
