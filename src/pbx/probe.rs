//! What the API really answers, with every value masked: for reports of what differs from the vendor's pages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::client::Pbx;
use super::error::PbxError;
use super::stamps;
use crate::number::printable;

/// What is asked, each once. Nothing of it changes anything at the PBX: no URL of a recording is minted, since that may
/// mark a voicemail as heard, and the list of extensions holds none of their passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `GET /cdrs`.
    Calls,
    /// `GET /voicemail_messages`.
    Voicemails,
    /// `GET /contacts`.
    Contacts,
    /// `GET /extensions`.
    Extensions,
    /// `GET /queues`.
    Queues,
    /// `GET /crm_integrations`.
    Crm,
}

impl Probe {
    /// In the order in which they are asked.
    pub const ALL: [Self; 6] =
        [Self::Calls, Self::Voicemails, Self::Contacts, Self::Extensions, Self::Queues, Self::Crm];

    /// The path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Calls => "cdrs",
            Self::Voicemails => "voicemail_messages",
            Self::Contacts => "contacts",
            Self::Extensions => "extensions",
            Self::Queues => "queues",
            Self::Crm => "crm_integrations",
        }
    }
}

const BODY_BYTES: usize = 8 << 20;

/// How far back lists are asked for.
const REACH: Duration = Duration::from_secs(7 * 86_400);

/// So many forms of one field are shown.
const MOST_FORMS: usize = 6;

/// So many characters of one.
const MOST_CHARS: usize = 40;

/// Objects within objects are followed this far.
const DEEPEST: usize = 8;

/// So many fields are shown.
const MOST_FIELDS: usize = 300;

/// The shape of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// One line for each field.
    pub text: String,
    /// The id of one of the calls that were shown, to ask for by itself.
    pub uuid: Option<String>,
}

impl Pbx {
    /// Asks once, and gives the shape of the answer.
    pub async fn probe(&self, probe: Probe) -> Result<Shape, PbxError> {
        let mut url = self.endpoint(&[probe.path()]);
        url.query_pairs_mut().append_pair("key", self.key().expose());
        if matches!(probe, Probe::Calls | Probe::Voicemails) {
            let from = stamps::query(crate::cursor::back(self.clock().now(), REACH));
            url.query_pairs_mut().append_pair("start_stamp_from", &from).append_pair("limit", "100");
        }
        Ok(shape(&self.ask(self.http().get(url), BODY_BYTES).await?))
    }

    /// The same of one call by itself.
    pub async fn probe_call(&self, uuid: &str) -> Result<Shape, PbxError> {
        let mut url = self.endpoint(&["cdrs", uuid]);
        url.query_pairs_mut().append_pair("key", self.key().expose());
        Ok(shape(&self.ask(self.http().get(url), BODY_BYTES).await?))
    }
}

/// Every field with the forms of its values: letters are `x`, digits `9`.
pub fn shape(body: &[u8]) -> Shape {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body);
        return Shape { text: format!("no JSON, {} bytes: {}", body.len(), masked(&text)), uuid: None };
    };
    let mut fields = BTreeMap::new();
    walk("", &value, &mut fields, DEEPEST);
    let left_out = fields.len().saturating_sub(MOST_FIELDS);
    let mut text = String::new();
    for (path, (count, forms)) in fields.into_iter().take(MOST_FIELDS) {
        let path = if path.is_empty() { "(the answer)" } else { path.as_str() };
        let more = if forms.len() > MOST_FORMS { " | …" } else { "" };
        let forms: Vec<String> = forms.into_iter().take(MOST_FORMS).collect();
        let _ = writeln!(text, "{path} ×{count}: {}{more}", forms.join(" | "));
    }
    if left_out > 0 {
        let _ = writeln!(text, "… and {left_out} more fields");
    }
    Shape { text: text.trim_end().to_owned(), uuid: a_uuid(&value) }
}

/// By the path of a field: how often it is there, and what it looks like.
type Fields = BTreeMap<String, (usize, Vec<String>)>;

fn walk(path: &str, value: &Value, fields: &mut Fields, deeper: usize) {
    let mut note = |form: String| {
        let (count, forms) = fields.entry(path.to_owned()).or_default();
        *count += 1;
        if forms.len() <= MOST_FORMS && !forms.contains(&form) {
            forms.push(form);
        }
    };
    match value {
        Value::Null => note("null".to_owned()),
        Value::Bool(_) => note("true or false".to_owned()),
        Value::Number(number) => note(masked(&number.to_string())),
        Value::String(text) if text == "true" || text == "false" => note("\"true\" or \"false\"".to_owned()),
        Value::String(text) => note(format!("\"{}\"", masked(text))),
        Value::Array(items) => {
            note(format!("list of {}", items.len()));
            for item in items.iter().filter(|_| deeper > 0) {
                walk(&format!("{path}[]"), item, fields, deeper - 1);
            }
        }
        Value::Object(entries) => {
            note("object".to_owned());
            for (key, value) in entries.iter().filter(|_| deeper > 0) {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&format!("{path}{dot}{}", name(key)), value, fields, deeper - 1);
            }
        }
    }
}

/// The name of a field, unless it is somebody's number or name that is used as one.
fn name(key: &str) -> String {
    let plain = key.len() <= 64 && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
    let digits = key.bytes().filter(u8::is_ascii_digit).count();
    if plain && digits <= 2 { key.to_owned() } else { masked(key) }
}

fn masked(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| match c {
            c if c.is_numeric() => '9',
            c if c.is_alphabetic() => 'x',
            c if c.is_ascii() => c,
            _ => '?',
        })
        .collect();
    printable(&text, MOST_CHARS)
}

/// The first `call_uuid` in a list of calls.
fn a_uuid(value: &Value) -> Option<String> {
    let rows = value.get("cdrs").or(Some(value))?.as_array()?;
    rows.iter().find_map(|row| row.get("call_uuid")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_every_value_is_shown_and_none_of_the_values() {
        let body = r#"{"cdrs": [
            {"call_uuid": "651f8a68-782e", "caller_id_name": "Ayşe Demir", "queue": 201, "missed": "true", "return_uuid": null},
            {"call_uuid": "751f8a68-782f", "caller_id_name": "+905321112233", "queue": "", "missed": true}
          ], "pagination": {"total_pages": 2}, "05321112233": 1}"#;
        let Shape { text, uuid } = shape(body.as_bytes());
        assert_eq!(uuid.as_deref(), Some("651f8a68-782e"));
        assert_eq!(
            text,
            "(the answer) ×1: object\n\
             99999999999 ×1: 9\n\
             cdrs ×1: list of 2\n\
             cdrs[] ×2: object\n\
             cdrs[].call_uuid ×2: \"999x9x99-999x\"\n\
             cdrs[].caller_id_name ×2: \"xxxx xxxxx\" | \"+999999999999\"\n\
             cdrs[].missed ×2: \"true\" or \"false\" | true or false\n\
             cdrs[].queue ×2: 999 | \"\"\n\
             cdrs[].return_uuid ×1: null\n\
             pagination ×1: object\n\
             pagination.total_pages ×1: 9"
        );
    }

    #[test]
    fn what_is_no_json_is_shown_as_the_form_of_its_text() {
        assert_eq!(shape("Gecersiz anahtar: K12".as_bytes()).text, "no JSON, 21 bytes: xxxxxxxx xxxxxxx: x99");
    }
}
