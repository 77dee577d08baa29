//! What comes from outside is bounded where it comes in, so that nothing within can be too large.

use std::time::Duration;

use jiff::Timestamp;
use ringback::pbx::wire;
use ringback::store::codec::{self, MAX_ROW};
use ringback::track::{self, Rules};
use serde_json::{Value, json};

const RULES: Rules = Rules {
    grace: Duration::ZERO,
    min_wait: Duration::ZERO,
    max_age: Duration::from_secs(86_400),
    follow_up: Duration::from_secs(86_400),
};

/// Every field that is kept of a row, filled with `text`.
fn row(text: &str) -> Value {
    json!({
        "call_uuid": format!("1{text}"), "uuid": format!("1{text}"), "return_uuid": format!("2{text}"),
        "caller_id_number": text, "caller_id_name": text, "destination_number": text, "destination_name": text,
        "queue": text, "result": text, "user_number": text, "direction": "Gelen", "missed": true,
    })
}

#[test]
fn whatever_the_pbx_sends_can_be_stored() {
    let now: Timestamp = "2026-11-22T05:00:00.123456789Z".parse().unwrap();
    // Four bytes a character, characters that double when they are escaped, and the most that one can become.
    for text in ["😀", "\"", "\\", "\u{1F468}\u{200D}", "\u{FDFA}", "\u{0958}", "\u{1D160}"] {
        let rows = json!([row(&text.repeat(10_000))]);
        let calls = wire::calls_page(json!({ "cdrs": rows }).to_string().as_bytes(), now).unwrap();
        let voicemails = wire::voicemails_page(json!({ "messages": rows }).to_string().as_bytes(), now).unwrap();
        for record in calls.records.iter().chain(&voicemails.records) {
            let account = "ş".repeat(64);
            let event = track::observe(None, record, &account, Timestamp::MIN, now, &RULES).unwrap();
            let row = codec::encode(&event).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(row.len() <= MAX_ROW - 512, "and what is noted with it later");
        }
    }
}
