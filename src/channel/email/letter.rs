//! A mail as bytes: its headers and parts. What is attached is encoded while it is sent, not before: a recording of 10 MB
//! is in memory once.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::{ContentDisposition, ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, MessageBuilder, MultiPart, SinglePart};
use sha2::{Digest as _, Sha256};

use crate::channel::Earlier;
use crate::event::DeliveryId;
use crate::message::Mail;

/// Bytes of a full line of base64 (RFC 2045 section 6.8: at most 76 characters).
const LINE: usize = 57;
/// Bytes that are encoded at once.
const CHUNK: usize = 512 * LINE;

/// From whom and to whom: what all mails of a channel have in common.
pub(super) struct Addresses {
    pub(super) from: Mailbox,
    pub(super) to: Vec<Mailbox>,
    pub(super) cc: Vec<Mailbox>,
    pub(super) bcc: Vec<Mailbox>,
    pub(super) reply_to: Option<Mailbox>,
    /// `ringback <…>`, by which filters know the channel (RFC 2919).
    pub(super) list_id: String,
}

/// A mail as it goes out.
pub struct Letter {
    from: Address,
    head: Vec<u8>,
    attached: Bytes,
    tail: Vec<u8>,
}

impl Letter {
    /// The Message-ID is that of the delivery, so a mail that was sent twice is one mail to its receiver. `References`
    /// begins with an id that no mail has: the common root of a caller's mails of one day (RFC 5322 section 3.6.4).
    ///
    /// # Errors
    /// When lettre cannot make it.
    pub(super) fn write(
        addresses: &Addresses,
        id: DeliveryId,
        mail: &Mail,
        earlier: Option<Earlier<'_>>,
        now: Timestamp,
    ) -> Result<Self, String> {
        let attachment = mail.attachment.as_deref();
        // `=_` is in no text that is quoted-printable or base64.
        let boundary = |part: &str| format!("=_{id}_{part}");
        let text = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(mail.text.clone());
        let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(mail.html.clone());
        let both = MultiPart::alternative().boundary(boundary("text")).singlepart(text).singlepart(html);
        let body = match attachment {
            None => both,
            Some(attachment) => {
                let kind = ContentType::parse(&attachment.content_type)
                    .map_err(|error| format!("`{}` is no type of a file: {error}", attachment.content_type))?;
                let place = Body::dangerous_pre_encoded(Vec::new(), ContentTransferEncoding::Base64);
                let disposition = ContentDisposition::attachment(&attachment.name);
                let part = SinglePart::builder().header(kind).header(disposition).body(place);
                MultiPart::mixed().boundary(boundary("mail")).multipart(both).singlepart(part)
            }
        };
        let message = headers(addresses, id, mail, earlier, now).multipart(body).map_err(|error| error.to_string())?;
        let mut head = fold_addresses(&message.formatted());
        let mut tail = Vec::new();
        if attachment.is_some() {
            // The attachment is the last part: its place is between its headers and the boundary that ends it all.
            let end = format!("--{}--\r\n", boundary("mail"));
            let place = head.len().checked_sub(end.len() + 2).filter(|at| head.ends_with(end.as_bytes()) && *at > 0);
            head.truncate(place.ok_or("the place of the attachment is not found")?);
            tail = end.into_bytes();
        }
        let attached = attachment.map_or_else(Bytes::new, |attachment| attachment.bytes.clone());
        Ok(Self { from: addresses.from.email.clone(), head, attached, tail })
    }

    /// Who it is from.
    pub(in crate::channel) fn from(&self) -> &Address {
        &self.from
    }

    /// Whether an address in its headers is not ASCII; everything else is encoded.
    pub(in crate::channel) fn is_ascii(&self) -> bool {
        self.head.is_ascii()
    }

    /// The bytes in their order.
    pub fn chunks(&self) -> impl Iterator<Item = Cow<'_, [u8]>> + Send {
        let attached = self.attached.chunks(CHUNK).map(|bytes| Cow::Owned(encode(bytes)));
        let whole = |bytes| std::iter::once(Cow::Borrowed(bytes));
        whole(self.head.as_slice()).chain(attached).chain(whole(self.tail.as_slice()))
    }
}

fn headers(
    addresses: &Addresses,
    id: DeliveryId,
    mail: &Mail,
    earlier: Option<Earlier<'_>>,
    now: Timestamp,
) -> MessageBuilder {
    let domain = addresses.from.email.domain();
    let mut references = format!("<{}@{domain}>", mail.thread);
    let mut in_reply_to = references.clone();
    // A digest has an id of its own, which is not that of the deliveries it told.
    if let Some(earlier) = earlier.filter(|earlier| !earlier.shared) {
        in_reply_to = format!("<{}@{domain}>", earlier.id);
        references = format!("{references} {in_reply_to}");
    }
    let raw = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
    let mut builder = lettre::Message::builder()
        .message_id(Some(format!("<{id}@{domain}>")))
        .date(now.into())
        .from(addresses.from.clone())
        .subject(unmistakable(&mail.subject))
        .in_reply_to(in_reply_to)
        .references(references)
        .raw_header(raw("List-Id", &addresses.list_id))
        // RFC 3834 section 5: no vacation notices in return; and the words that Exchange knows for it. Not `All`, which
        // would suppress bounces too.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("X-Auto-Response-Suppress", "OOF, AutoReply"));
    for to in &addresses.to {
        builder = builder.to(to.clone());
    }
    for cc in &addresses.cc {
        builder = builder.cc(cc.clone());
    }
    // Those of `bcc` are in the envelope alone.
    if let Some(reply_to) = &addresses.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    builder
}

/// Breaks lists of addresses, which lettre writes in one line, after their commas: a line of more than 998 bytes is
/// refused (RFC 5322 section 2.1.1).
fn fold_addresses(mail: &[u8]) -> Vec<u8> {
    const LONGEST: usize = 78;
    let mut folded = Vec::with_capacity(mail.len() + 256);
    let mut in_headers = true;
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        in_headers &= line != b"\r\n";
        let is_list = line.starts_with(b"To: ") || line.starts_with(b"Cc: ");
        if !(in_headers && is_list && line.len() > LONGEST) {
            folded.extend_from_slice(line);
            continue;
        }
        let mut length = 0;
        for address in line.split_inclusive(|byte| *byte == b',') {
            if length > 0 && length + address.len() > LONGEST {
                folded.extend_from_slice(b"\r\n");
                length = 0;
            }
            folded.extend_from_slice(address);
            length += address.len();
        }
    }
    folded
}

/// `ringback <office-mail.ringback.example.com>`: the channel's name as a label of RFC 2919, or a hash of it where the
/// name would be none.
pub(super) fn list_id(channel: &str, from: &Address) -> String {
    let is_label = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let fits = channel.len() <= 64 && channel.split('.').all(|part| !part.is_empty() && is_label(part));
    let label = if fits {
        channel.to_ascii_lowercase()
    } else {
        let hash = Sha256::digest(channel.as_bytes());
        format!("channel-{:02x}{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2], hash[3])
    };
    format!("ringback <{label}.ringback.{}>", from.domain())
}

/// A text in which nobody finds an encoded word (RFC 2047 section 5) that a caller has put into their name: its beginning
/// is parted by what takes no room, and the word that holds it is then encoded itself.
fn unmistakable(text: &str) -> String {
    text.replace("=?", "=\u{200b}?")
}

fn encode(bytes: &[u8]) -> Vec<u8> {
    let lines = bytes.len().div_ceil(LINE);
    let mut encoded = String::with_capacity(bytes.len().div_ceil(3) * 4 + 2 * lines);
    for line in bytes.chunks(LINE) {
        BASE64.encode_string(line, &mut encoded);
        encoded.push_str("\r\n");
    }
    encoded.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_id_is_the_channels_name_where_that_can_be_one() {
        let from: Address = "santral@example.com".parse().unwrap();
        assert_eq!(list_id("Office-Mail.1", &from), "ringback <office-mail.1.ringback.example.com>");
        let (one, other) = (list_id("satış", &from), list_id("satis..", &from));
        assert!(one.is_ascii() && one.starts_with("ringback <channel-") && one != other, "{one} {other}");
    }

    #[test]
    fn a_long_list_of_addresses_is_folded_and_nothing_else_is_touched() {
        let list = vec!["\"Ali, Can\" <a@example.com>"; 50].join(", ");
        let mail = format!("Subject: a, {0}\r\nTo: {list}\r\n\r\nTo: {0}, b\r\n", "x".repeat(90));
        let folded = String::from_utf8(fold_addresses(mail.as_bytes())).unwrap();
        assert!(folded.lines().skip(1).take(20).all(|line| line.len() <= 80), "{folded}");
        assert_ne!(folded, mail);
        assert_eq!(folded.replace(",\r\n ", ", "), mail);
    }

    #[test]
    fn an_encoded_word_in_a_name_reaches_the_reader_as_it_was_written() {
        let subject = unmistakable("Missed call: =?utf-8?q?x=0D=0ABcc:e?= 0535 111 22 33");
        let mail = lettre::Message::builder()
            .from("a@example.com".parse().unwrap())
            .to("b@example.com".parse().unwrap())
            .subject(subject)
            .body(String::new())
            .unwrap();
        let text = String::from_utf8(mail.formatted()).unwrap();
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
        assert!(!text.contains("=?utf-8?q?x") && subject.starts_with("Missed call: =?utf-8?b?"), "{text}");
    }

    #[test]
    fn what_is_encoded_in_chunks_is_what_is_encoded_at_once() {
        let bytes: Vec<u8> = (0..2 * CHUNK + 100).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let pieces: Vec<u8> = bytes.chunks(CHUNK).flat_map(encode).collect();
        let text = String::from_utf8(pieces).unwrap();
        assert!(text.ends_with("\r\n") && text.lines().all(|line| line.len() <= 76));
        assert_eq!(BASE64.decode(text.replace("\r\n", "")).unwrap(), bytes);
    }
}
