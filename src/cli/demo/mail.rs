//! Reads a mail as a mail program does, as far as the demo needs it: its headers, its text and its HTML (RFC 2045 to 2047).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// What a person sees of a mail.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) subject: String,
    /// The part in plain text; empty when there is none.
    pub(super) text: String,
    /// The part in HTML; empty when there is none.
    pub(super) html: String,
}

/// Reads header and body, with CRLF line ends. Characters are taken for UTF-8, whatever the mail says.
pub(super) fn read(data: &[u8]) -> Letter {
    let data = String::from_utf8_lossy(data);
    let whole = Entity::of(&data);
    let word = |name| decode_words(&whole.header(name).unwrap_or_default());
    let part = |kind| whole.part(kind).unwrap_or_default();
    Letter {
        from: word("From"),
        to: word("To"),
        subject: word("Subject"),
        text: part("text/plain"),
        html: part("text/html"),
    }
}

/// A mail, or a part of one: header and body.
struct Entity<'a> {
    head: String,
    body: &'a str,
}

impl<'a> Entity<'a> {
    fn of(text: &'a str) -> Self {
        // A part may have no header at all: then it begins with the empty line.
        let (head, body) = match text.strip_prefix("\r\n") {
            Some(body) => ("", body),
            None => text.split_once("\r\n\r\n").unwrap_or((text, "")),
        };
        Self { head: head.replace("\r\n ", " ").replace("\r\n\t", " "), body }
    }

    fn header(&self, name: &str) -> Option<String> {
        self.head.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    /// The first part of this kind, decoded.
    fn part(&self, wanted: &str) -> Option<String> {
        let kind = self.header("Content-Type").unwrap_or_else(|| "text/plain".to_owned());
        let is = |wanted: &str| kind.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted));
        if is("multipart/") {
            let boundary = format!("--{}", parameter(&kind, "boundary")?);
            // What stands before the first boundary is for programs that do not know MIME.
            let parts = self.body.split(&boundary).skip(1);
            return parts.take_while(|part| !part.starts_with("--")).find_map(|part| {
                let part = part.strip_prefix("\r\n").unwrap_or(part);
                // The line end before a boundary belongs to the boundary.
                Entity::of(part.strip_suffix("\r\n").unwrap_or(part)).part(wanted)
            });
        }
        is(wanted).then(|| self.decoded())
    }

    fn decoded(&self) -> String {
        let encoding = self.header("Content-Transfer-Encoding").unwrap_or_default();
        let bytes = if encoding.eq_ignore_ascii_case("base64") {
            let text: String = self.body.split_ascii_whitespace().collect();
            BASE64_STANDARD.decode(text).unwrap_or_default()
        } else if encoding.eq_ignore_ascii_case("quoted-printable") {
            quoted_printable(self.body)
        } else {
            self.body.as_bytes().to_vec()
        };
        String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
    }
}

/// The value of `name=value` or `name="value"` in a header.
fn parameter(header: &str, name: &str) -> Option<String> {
    header.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
    })
}

/// RFC 2045, section 6.7: `=C5=9F`, and lines that go on after an equals sign at their end.
fn quoted_printable(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut lines = text.split("\r\n").peekable();
    while let Some(line) = lines.next() {
        // Blanks at the end of a line were added on the way.
        let line = line.trim_end_matches([' ', '\t']);
        let (line, goes_on) = line.strip_suffix('=').map_or((line, false), |line| (line, true));
        unescape(line, &mut bytes);
        if !goes_on && lines.peek().is_some() {
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes
}

/// `=XX` is a byte; an equals sign without two hex digits stays.
fn unescape(text: &str, bytes: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| first == b'=').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
}

/// RFC 2047: `=?utf-8?b?…?=` and `=?utf-8?q?…?=`; blanks between two of them are not there.
fn decode_words(text: &str) -> String {
    // Gathered as bytes: a long text may have been cut between two words in the middle of a character.
    let mut bytes = Vec::with_capacity(text.len());
    let mut after_word = false;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(' ').map_or(rest.len(), |at| at.max(1));
        let (piece, next) = rest.split_at(end);
        let blanks = next.len() - next.trim_start_matches(' ').len();
        let word = encoded_word(piece);
        if word.is_some() && after_word {
            bytes.truncate(bytes.trim_ascii_end().len());
        }
        after_word = word.is_some();
        bytes.extend_from_slice(word.as_deref().unwrap_or(piece.as_bytes()));
        bytes.extend_from_slice(&next.as_bytes()[..blanks]);
        rest = &next[blanks..];
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn encoded_word(word: &str) -> Option<Vec<u8>> {
    let mut parts = word.strip_prefix("=?")?.strip_suffix("?=")?.splitn(3, '?');
    let (_charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    if encoding.eq_ignore_ascii_case("b") {
        return BASE64_STANDARD.decode(text).ok();
    }
    encoding.eq_ignore_ascii_case("q").then(|| {
        let mut bytes = Vec::new();
        unescape(&text.replace('_', " "), &mut bytes);
        bytes
    })
}

#[cfg(test)]
mod tests {
    use lettre::message::{MultiPart, SinglePart, header};

    use super::*;

    #[test]
    fn a_mail_reads_as_it_was_written_in_either_encoding() {
        let text = "Cevapsız çağrı: Şükrü\n\nEşittir = işareti, uzun bir satır: ".to_owned()
            + &"ığüşöç İ ".repeat(30)
            + "\n-- \nson";
        let subject = "Cevapsız çağrı: İpek Işık 0312 123 45 67, ".repeat(4);
        for encoding in [header::ContentTransferEncoding::Base64, header::ContentTransferEncoding::QuotedPrintable] {
            let part = |kind, body: &str| SinglePart::builder().header(kind).header(encoding).body(body.to_owned());
            let mail = lettre::Message::builder()
                .from("Santral Müdürü <santral@ofis.example>".parse().unwrap())
                .to("ofis@ofis.example".parse().unwrap())
                .subject(&subject)
                .multipart(
                    MultiPart::alternative()
                        .singlepart(part(header::ContentType::TEXT_PLAIN, &text))
                        .singlepart(part(header::ContentType::TEXT_HTML, "<p>başka</p>")),
                )
                .unwrap();
            let letter = read(&mail.formatted());
            assert_eq!(letter.subject, subject.trim());
            assert!(letter.from.contains("Santral Müdürü"), "{}", letter.from);
            assert_eq!(letter.to, "ofis@ofis.example");
            assert_eq!(letter.text, text, "{encoding:?}");
            assert_eq!(letter.html, "<p>başka</p>");
        }
    }

    #[test]
    fn soft_breaks_join_lines_and_a_stray_equals_sign_stays() {
        assert_eq!(quoted_printable("a=\r\nb=C5=9F  \r\nx=zz="), "abş\r\nx=zz".as_bytes());
    }

    #[test]
    fn encoded_words_are_read_and_the_blanks_between_them_are_not() {
        let text = "=?utf-8?q?a_=C5=9F?= =?UTF-8?B?w6c=?=  plain =?utf-8?q?b?=";
        assert_eq!(decode_words(text), "a şç  plain b");
        assert_eq!(decode_words("=?utf-8?x?a?= 1 = 1"), "=?utf-8?x?a?= 1 = 1");
    }

    #[test]
    fn a_mail_without_parts_is_its_text_and_one_without_text_has_none() {
        assert_eq!(read(b"Subject: x\r\n\r\nhello\r\n").text, "hello\n");
        assert_eq!(read("Content-Transfer-Encoding: 8bit\r\n\r\nşu = =41".as_bytes()).text, "şu = =41");
        assert_eq!(read(b"Content-Type: text/html\r\n\r\n<p>").text, "");
        assert_eq!(read(b"").text, "");
    }
}
