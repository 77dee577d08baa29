//! Texts that others wrote, made harmless to look at: one line, bounded, and as long as they seem.

use std::borrow::Cow;

/// The text on one line of at most `max` characters: no control characters, no line separators, no characters that turn
/// the direction of what follows or hide in it; runs of spaces are one. A shortened text ends in `…`.
pub(super) fn clean(text: &str, max: usize) -> Cow<'_, str> {
    // The usual case is borrowed: short, and nothing to mend.
    if text.len() <= max
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains("  ")
        && !text.contains(odd)
    {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len().min(4 * max));
    let mut length = 0;
    let mut gap = false;
    for c in text.chars().filter(|c| !invisible(*c)) {
        if c.is_control() || c.is_whitespace() {
            gap = length > 0;
            continue;
        }
        if length + usize::from(gap) >= max {
            clean.pop();
            clean.push('…');
            break;
        }
        if gap {
            clean.push(' ');
            length += 1;
            gap = false;
        }
        clean.push(c);
        length += 1;
    }
    // Joiners hold emoji and some scripts together; alone they are nothing to see.
    if clean.chars().all(joiner) { Cow::Borrowed("") } else { Cow::Owned(clean) }
}

fn odd(c: char) -> bool {
    c.is_control() || (c.is_whitespace() && c != ' ') || invisible(c) || joiner(c)
}

fn joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
}

/// Marks, embeddings, overrides and isolates of direction, the soft hyphen, zero-width spaces, and tag characters.
fn invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_line_and_as_long_as_it_may_be() {
        for (text, wanted) in [
            ("Mehmet Yılmaz", "Mehmet Yılmaz"),
            ("A\r\nBcc: x\u{2028}y\u{85}z\0", "A Bcc: x y z"),
            ("  Şükrü \t Öz  ", "Şükrü Öz"),
            ("abc\u{202e}def\u{2066}g\u{200b}h", "abcdefgh"),
            ("\u{200d}\u{fe0f}", ""),
            (" \u{200b} ", ""),
            ("👩\u{200d}🚀 ok", "👩\u{200d}🚀 ok"),
            ("12345678901234567890x", "1234567890123456789…"),
            ("12345678901234567890", "12345678901234567890"),
            ("1234567890123456789 x", "123456789012345678…"),
        ] {
            let clean = clean(text, 20);
            assert_eq!(clean, wanted, "{text:?}");
            assert!(clean.chars().count() <= 20);
        }
    }
}
