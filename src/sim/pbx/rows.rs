//! How calls and voicemails are written, as on the vendor's pages.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::data::{Direction, Recorded, SimCall, SimVoicemail};
use super::options::{Absent, Durations, Flag, Language, PbxOptions};

/// A row of `/cdrs`.
pub(super) fn cdr(call: &SimCall, options: &PbxOptions) -> Value {
    let mut row = detail_facts(call, options);
    for (key, fact) in
        [("caller_id_name", &call.caller_name), ("destination_name", &call.destination_name), ("queue", &call.queue)]
    {
        put(&mut row, key, fact.clone().map(Value::from), options);
    }
    Value::Object(row)
}

/// The answer of `/cdrs/UUID`, which on the vendor's page has fewer keys than the list.
pub(super) fn cdr_detail(call: &SimCall, options: &PbxOptions) -> Value {
    let mut leg = Map::new();
    leg.insert("destination_number".into(), call.destination_number.clone().into());
    leg.insert("start_stamp".into(), stamp(call.start, options).into());
    put(&mut leg, "answer_stamp", call.answered_at.map(|at| stamp(at, options).into()), options);
    leg.insert("end_stamp".into(), stamp(call.end, options).into());
    leg.insert("duration".into(), duration(between(call.start, call.end), options));
    leg.insert("ip_address".into(), "192.168.1.101".into());
    leg.insert("sip_user_agent".into(), "Yealink SIP-T22P 7.73.0.50".into());
    leg.insert("write_codec".into(), "PCMA".into());
    leg.insert("read_codec".into(), " PCMU".into());
    leg.insert("result".into(), call.result.clone().into());
    json!({"cdr": detail_facts(call, options), "call_flow": [leg]})
}

fn detail_facts(call: &SimCall, options: &PbxOptions) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("call_uuid".into(), call.uuid.clone().into());
    row.insert("direction".into(), direction(call.direction, options.directions).into());
    row.insert("start_stamp".into(), stamp(call.start, options).into());
    put(&mut row, "answer_stamp", call.answered_at.map(|at| stamp(at, options).into()), options);
    row.insert("end_stamp".into(), stamp(call.end, options).into());
    row.insert("caller_id_number".into(), call.caller_number.clone().into());
    row.insert("destination_number".into(), call.destination_number.clone().into());
    row.insert("duration".into(), duration(between(call.start, call.end), options));
    let talked = call.answered_at.map_or(Duration::ZERO, |at| between(at, call.end));
    row.insert("talk_duration".into(), duration(talked, options));
    put(&mut row, "queue_wait_seconds", call.wait.map(|wait| duration(wait, options)), options);
    row.insert("result".into(), call.result.clone().into());
    row.insert("missed".into(), flag(call.missed, options.missed));
    put(&mut row, "return_uuid", call.return_uuid.clone().map(Value::from), options);
    let recording = match call.recording_present {
        Recorded::No => flag(false, options.recording_present),
        Recorded::Yes => flag(true, options.recording_present),
        Recorded::Deleted => "deleted".into(),
    };
    row.insert("recording_present".into(), recording);
    let by = if call.caller_hung_up { "caller" } else { "callee" };
    row.insert("sip_hangup_disposition".into(), by.into());
    row
}

/// A row of `/voicemail_messages`.
pub(super) fn voicemail(voicemail: &SimVoicemail, options: &PbxOptions) -> Value {
    let mut row = Map::new();
    row.insert("uuid".into(), voicemail.uuid.clone().into());
    row.insert("start_stamp".into(), stamp(voicemail.start, options).into());
    put(&mut row, "read_stamp", voicemail.read_at.map(|at| stamp(at, options).into()), options);
    row.insert("user_number".into(), voicemail.user_number.clone().into());
    row.insert("caller_id_number".into(), voicemail.caller_number.clone().into());
    put(&mut row, "caller_id_name", voicemail.caller_name.clone().map(Value::from), options);
    row.insert("duration".into(), duration(voicemail.duration, options));
    Value::Object(row)
}

/// `2017-08-03 12:30:32 +0300`.
pub(super) fn stamp(at: Timestamp, options: &PbxOptions) -> String {
    at.to_zoned(TimeZone::fixed(options.offset)).strftime("%Y-%m-%d %H:%M:%S %z").to_string()
}

fn put(row: &mut Map<String, Value>, key: &str, fact: Option<Value>, options: &PbxOptions) {
    let value = match (fact, options.absent) {
        (Some(value), _) => value,
        (None, Absent::Null) => Value::Null,
        (None, Absent::Empty) => "".into(),
        (None, Absent::Missing) => return,
    };
    row.insert(key.to_owned(), value);
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn duration(duration: Duration, options: &PbxOptions) -> Value {
    let seconds = duration.as_secs();
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match options.durations {
        Durations::Clock => format!("{h:02}:{m:02}:{s:02}").into(),
        Durations::Short => format!("{:02}:{s:02}", seconds / 60).into(),
        Durations::Unpadded => format!("{h:02}:{m}:{s}").into(),
        Durations::Seconds => seconds.into(),
    }
}

fn flag(yes: bool, form: Flag) -> Value {
    match form {
        Flag::Text => yes.to_string().into(),
        Flag::Bool => yes.into(),
        Flag::Number => u8::from(yes).into(),
    }
}

fn direction(direction: Direction, language: Language) -> &'static str {
    match (language, direction) {
        (Language::Turkish, Direction::Inbound) => "Gelen",
        (Language::Turkish, Direction::Outbound) => "Giden",
        (Language::Turkish, Direction::OutboundApi) => "Giden (API)",
        (Language::Turkish, Direction::OutboundIvr) => "Giden (IVR)",
        (Language::Turkish, Direction::Internal) => "Santral içi",
        (Language::English, Direction::Inbound) => "inbound",
        (Language::English, Direction::Outbound | Direction::OutboundApi | Direction::OutboundIvr) => "outbound",
        (Language::English, Direction::Internal) => "internal",
    }
}
