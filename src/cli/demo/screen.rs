//! The terminal: who, when, what; nothing wider than 100 columns.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Of a whole line.
const WIDTH: usize = 100;

/// Where the text begins: who, when, and two blanks after each.
const INDENT: usize = 7 + 2 + 8 + 2;

/// Who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Pbx,
    Office,
    Mail,
    Slack,
    Webhook,
}

impl Who {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pbx => "PBX",
            Self::Office => "office",
            Self::Mail => "mail",
            Self::Slack => "Slack",
            Self::Webhook => "webhook",
        }
    }

    /// ECMA-48 (SGR): yellow, cyan, green, magenta, blue.
    fn colour(self) -> &'static str {
        match self {
            Self::Pbx => "33",
            Self::Office => "36",
            Self::Mail => "32",
            Self::Slack => "35",
            Self::Webhook => "34",
        }
    }
}

/// Standard output, with colours if it is a terminal that wants them.
pub(super) struct Screen {
    colour: bool,
    zone: TimeZone,
    closed: bool,
}

impl Screen {
    /// Times are shown in `zone`. Without `colour`, and where nobody looks, there are no colours.
    pub(super) fn new(zone: TimeZone, colour: bool) -> Self {
        Self { colour: colour && std::io::stdout().is_terminal(), zone, closed: false }
    }

    /// Whether nobody reads any more, as after `| head`.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line as it stands.
    pub(super) fn plain(&mut self, line: &str) {
        self.write(&format!("{}\n", printable(line)));
    }

    /// One event: a line, and below it what belongs to it. Lines of `body` are wrapped after `breaks`.
    pub(super) fn show(&mut self, who: Who, at: Timestamp, headline: &str, body: &[String], breaks: &[char]) {
        let when = at.to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
        let mut text = String::new();
        for (n, line) in wrap(headline, WIDTH - INDENT, &[' ']).iter().enumerate() {
            let first = format!("{}  {when}  ", self.painted(who.colour(), &format!("{:7}", who.name())));
            let start = if n == 0 { first } else { " ".repeat(INDENT) };
            let _ = writeln!(text, "{start}{line}");
        }
        for line in body.iter().flat_map(|line| wrap(line, WIDTH - INDENT - 2, breaks)) {
            let line = self.painted("2", &format!("│ {line}"));
            let _ = writeln!(text, "{}{}", " ".repeat(INDENT), line.trim_end());
        }
        if !body.is_empty() {
            text.push('\n');
        }
        self.write(&text);
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn write(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        self.closed |= out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err();
    }
}

/// Lines of at most `width` characters, broken after one of `breaks` where there is one.
fn wrap(text: &str, width: usize, breaks: &[char]) -> Vec<String> {
    let text = printable(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in text.split_inclusive(breaks) {
        let mut piece = piece;
        if line.chars().count() + piece.trim_end().chars().count() > width && !line.is_empty() {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        // What has no place to break is broken anywhere.
        while let Some((cut, _)) = piece.char_indices().nth(width).filter(|_| piece.trim_end().chars().count() > width)
        {
            let (head, tail) = piece.split_at(cut);
            lines.push(head.to_owned());
            piece = tail;
        }
        line.push_str(piece);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// A terminal obeys control characters, and a caller chooses their own name.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_anywhere_when_they_must() {
        assert_eq!(wrap("Şükrü Öz aradı", 8, &[' ']), ["Şükrü Öz", "aradı"]);
        assert_eq!(wrap("{\"a\":1,\"bcdefghij\":2}", 8, &[',']), ["{\"a\":1,", "\"bcdefgh", "ij\":2}"]);
        assert_eq!(wrap("12345678", 8, &[' ']), ["12345678"]);
        assert_eq!(wrap("", 8, &[' ']), [""]);
    }

    #[test]
    fn nobody_who_calls_can_move_the_cursor() {
        assert_eq!(wrap("a\u{1b}[2Jb", 20, &[' ']), ["a[2Jb"]);
    }
}
