//! The vendor's JSON made into records, row by row. Pure; the only code that knows the vendor's field names.
//!
//! Sources: the vendor's pages on `/cdrs` and `/voicemail_messages`, and what clients in production met. No error made
//! here quotes the answer, since bodies echo the key.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::error::PbxError;
use super::json::{Json, Object};
use super::row::Row;
use crate::cursor::back;
use crate::event::{Audio, Called, Caller, Direction, Kind, Record};
use crate::number::{self, fold_turkish};
use crate::private::Secret;

/// Ids are opaque: the vendor's own sample is no UUID. They are kept to this many characters.
const UUID_CHARS: usize = 64;
/// A minted URL is no longer than this, in bytes.
const URL_BYTES: usize = 2048;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows that were understood (and, from [`super::Pbx`], that the query asked for).
    pub records: Vec<Record>,
    /// All rows of the answer: fewer than asked for means that there is no further page.
    pub rows: usize,
    /// The ids of all rows that were understood, wanted or not: a page of only known ids ends a walk.
    pub uuids: Vec<String>,
    /// Rows without an id, or that are no objects.
    pub malformed: usize,
    /// The vendor's own count, when it gives one.
    pub total_pages: Option<u32>,
}

/// Reads an answer of `/cdrs`. A call without any stamp that can be read has ended `now`.
pub fn calls_page(body: &[u8], now: Timestamp) -> Result<Page, PbxError> {
    page(body, "cdrs", |row| call(row, now))
}

/// Reads an answer of `/voicemail_messages`. A message without a stamp that can be read is dated `now`.
pub fn voicemails_page(body: &[u8], now: Timestamp) -> Result<Page, PbxError> {
    page(body, "messages", |row| voicemail(row, now))
}

/// Reads an answer of `/cdrs/{call_uuid}`; its `call_flow` is not needed.
pub fn call_detail(body: &[u8], now: Timestamp) -> Result<Record, PbxError> {
    let answer = object(body)?;
    let row = match answer.get("cdr") {
        Some(Json::Object(row)) => call(&Row(row), now),
        Some(_) => None,
        None => return Err(missing("cdr")),
    };
    row.ok_or_else(|| garbled("a call without an id"))
}

/// Reads an answer of `/recording_url` and `/voicemail_recording_url`: bare text, quoted text, or an object with `url`
/// or `recording_url`. The text must be an absolute http(s) URL: it goes into messages.
pub fn recording_url(body: &[u8]) -> Result<Secret, PbxError> {
    let text = utf8(body)?.trim();
    let text = match serde_json::from_str(text) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(answer)) => match answer.get("url").or_else(|| answer.get("recording_url")) {
            Some(Value::String(text)) => text.clone(),
            _ => return Err(missing("url")),
        },
        _ => text.trim_matches('"').to_owned(),
    };
    let text = text.trim();
    if refuses_key(text) {
        return Err(refused_key());
    }
    let is_url = text.len() <= URL_BYTES
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"'))
        && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_url { Ok(Secret::new(text)) } else { Err(garbled("expected the URL of a recording, found other text")) }
}

/// Whether a body is the vendor's refusal of the key, `Gecersiz anahtar: …`: with or without its Turkish letters, and
/// with one of them broken by another encoding.
pub(super) fn refuses_key(text: &str) -> bool {
    let start: String = text.trim_start_matches(['"', ' ', '\r', '\n', '\t']).chars().take(24).collect();
    ascii(&start).replace('\u{FFFD}', "c").starts_with("gecersiz anahtar")
}

fn page(body: &[u8], list: &str, read: impl Fn(&Row<'_>) -> Option<Record>) -> Result<Page, PbxError> {
    let answer = object(body)?;
    let Some(Json::List(rows)) = answer.get(list) else { return Err(missing(list)) };
    let records: Vec<Record> = rows.iter().filter_map(|row| object_of(row).and_then(|row| read(&row))).collect();
    let pagination = answer.get("pagination").and_then(object_of);
    let total_pages = pagination.and_then(|row| row.seconds("total_pages")).filter(|pages| *pages > 0);
    let uuids = records.iter().map(|record| record.uuid.clone()).collect();
    Ok(Page { malformed: rows.len() - records.len(), rows: rows.len(), uuids, records, total_pages })
}

fn call(row: &Row<'_>, now: Timestamp) -> Option<Record> {
    let uuid = row.text("call_uuid", UUID_CHARS)?;
    let (caller, dialled) = (row.number("caller_id_number"), row.number("destination_number"));
    let (started_at, answered_at, ended_at) =
        (row.stamp("start_stamp"), row.stamp("answer_stamp"), row.stamp("end_stamp"));
    let duration = row.seconds("duration");
    // It is listed, so it has ended.
    let undated = || back(now, Duration::from_secs(duration.unwrap_or_default().into()));
    Some(Record {
        kind: Kind::Call,
        direction: direction(row.word("direction").as_deref(), &caller, &dialled),
        caller: Caller { number: caller.number, name: row.name("caller_id_name") },
        calling_extension: caller.extension,
        called: Called {
            number: dialled.number,
            name: row.name("destination_name"),
            extension: dialled.extension,
            queue: row.word("queue"),
            queue_name: None,
        },
        started_at: started_at.or(answered_at).or(ended_at).unwrap_or_else(undated),
        answered_at,
        ended_at,
        duration,
        queue_wait: row.seconds("queue_wait_seconds"),
        result: row.word("result"),
        missed: row.flag("missed"),
        return_uuid: row.text("return_uuid", UUID_CHARS).filter(|other| *other != uuid && !says_no(other)),
        audio: row.audio("recording_present"),
        read_at: None,
        uuid,
    })
}

fn voicemail(row: &Row<'_>, now: Timestamp) -> Option<Record> {
    let uuid = row.text("uuid", UUID_CHARS)?;
    let started_at = row.stamp("start_stamp").unwrap_or(now);
    let duration = row.seconds("duration");
    let mailbox = row.word("user_number");
    Some(Record {
        kind: Kind::Voicemail,
        uuid,
        direction: Direction::Inbound,
        caller: Caller { number: row.number("caller_id_number").number, name: row.name("caller_id_name") },
        calling_extension: None,
        called: Called {
            extension: mailbox.map(|text| number::parse(&text).extension.unwrap_or(text)),
            ..Called::default()
        },
        started_at,
        answered_at: None,
        ended_at: duration.and_then(|seconds| started_at.checked_add(Duration::from_secs(seconds.into())).ok()),
        duration,
        queue_wait: None,
        result: None,
        missed: false,
        return_uuid: None,
        audio: Audio::Present,
        read_at: row.stamp("read_stamp"),
    })
}

/// Whether a word stands for there being none: taken for an id it would silence the call.
fn says_no(word: &str) -> bool {
    ["null", "none", "false", "nil", "0", "-"].iter().any(|no| word.eq_ignore_ascii_case(no))
}

/// The direction in either language: “Gelen”, “Giden (API” (with the typo of the vendor's page), `internal`. Any other
/// word is decided by the numbers: a call that an extension made does not come from outside.
fn direction(word: Option<&str>, caller: &number::Parsed, dialled: &number::Parsed) -> Direction {
    let word = ascii(word.unwrap_or_default());
    if ["gelen", "inbound"].iter().any(|known| word.starts_with(known)) {
        Direction::Inbound
    } else if ["giden", "outbound"].iter().any(|known| word.starts_with(known)) {
        Direction::Outbound
    } else if ["santral ici", "internal", "dahili"].iter().any(|known| word.starts_with(known)) || word == "ic" {
        Direction::Internal
    } else if caller.extension.is_none() {
        Direction::Inbound
    } else if dialled.extension.is_some() {
        Direction::Internal
    } else {
        Direction::Outbound
    }
}

/// Folded, and the Turkish letters written as the vendor's error texts write them.
fn ascii(text: &str) -> String {
    let plain = |c| match c {
        'ç' => 'c',
        'ş' => 's',
        other => other,
    };
    fold_turkish(text).chars().map(plain).collect()
}

pub(super) fn object_of<'j>(json: &'j Json<'j>) -> Option<Row<'j>> {
    match json {
        Json::Object(object) => Some(Row(object)),
        _ => None,
    }
}

pub(super) fn object(body: &[u8]) -> Result<Object<'_>, PbxError> {
    match json(body)? {
        Json::Object(answer) => Ok(answer),
        _ => Err(missing("object")),
    }
}

/// Any JSON that is no refusal of the key.
pub(super) fn json(body: &[u8]) -> Result<Json<'_>, PbxError> {
    let text = utf8(body)?.trim_start_matches('\u{FEFF}');
    if refuses_key(text) {
        return Err(refused_key());
    }
    match serde_json::from_str(text) {
        Ok(answer) => Ok(answer),
        Err(_) if let Some(answer) = super::mend::mended(text) => Ok(answer),
        Err(_) if text.trim_start().starts_with('<') => {
            Err(garbled("expected JSON, found an HTML page; hint: check `base_url`"))
        }
        // serde_json's errors name the place and what it expected there, not what it found.
        Err(error) => Err(garbled(&format!("expected JSON: {error}"))),
    }
}

fn utf8(body: &[u8]) -> Result<&str, PbxError> {
    std::str::from_utf8(body).map_err(|error| garbled(&format!("not UTF-8 from byte {} on", error.valid_up_to())))
}

/// The vendor was seen to answer 200 with an error body when the key is wrong; taken for an empty list it would
/// silence everything.
pub(super) fn missing(what: &str) -> PbxError {
    PbxError::Auth { text: format!("an answer without `{what}`") }
}

pub(super) fn refused_key() -> PbxError {
    PbxError::Auth { text: "Gecersiz anahtar".to_owned() }
}

fn garbled(text: &str) -> PbxError {
    PbxError::Garbled { text: text.to_owned() }
}

#[cfg(test)]
mod tests;
