//! What the PBX posts of its own accord when something happens to a call. Pure.
//!
//! Source: the vendor's page `report_event.md`: HTML form fields, every one of them doubtful. The vendor's developer portal
//! shows the same as a JSON object with other names (`event`, `call_id`).

use std::time::Duration;

use serde_json::Value;
use url::form_urlencoded;

/// Longer than any id of a call.
const MOST_UUID: usize = 128;

/// What a post says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A call from outside has ended and may have been missed; the id of the call, which may be empty.
    MayBeMissed(String),
    /// Nothing that could have made a missed call.
    Other,
    /// Nothing at all: how the PBX tries a URL.
    Empty,
    /// No event that we know.
    Unreadable,
}

/// The news that a call has ended, on its way to whoever reads the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Of the call; may be empty.
    pub uuid: String,
    /// The tick at which it was heard.
    pub heard: Duration,
}

/// Reads a form, or a JSON object.
///
/// Whether the call was answered is taken from `connected_user` alone, the extension that had the caller on the line.
/// `answered` was documented the wrong way round for years, and both readings are in the wild. `answer_stamp` is set by
/// menus and queues too, which answer before anybody does: taking it for an answer would overlook whoever gave up in a
/// queue. So a read is asked for too often rather than too seldom, but not for the calls that an extension took, which are
/// most: six requests a minute do not allow for a read of each. What this overlooks the next regular read finds.
pub fn read(body: &[u8]) -> Report {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Report::Empty;
    }
    let fields = fields(body);
    let field = |names: &[&str]| {
        let named = |name: &&str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        names.iter().filter_map(named).find(|value| !matches!(*value, "" | "null")).unwrap_or_default()
    };
    match field(&["event_type", "event"]) {
        "" => Report::Unreadable,
        // The end of one extension's ringing is not that of the call (`user_hangup`).
        "hangup"
            if matches!(field(&["direction"]), "inbound" | "" | "Gelen") && field(&["connected_user"]).is_empty() =>
        {
            Report::MayBeMissed(field(&["call_uuid", "call_id", "uuid"]).chars().take(MOST_UUID).collect())
        }
        _ => Report::Other,
    }
}

/// Names and values. Of a JSON object those that are texts; what is neither it nor a form has none that we know.
fn fields(body: &[u8]) -> Vec<(String, String)> {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => {
            let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
            object.into_iter().filter_map(text).collect()
        }
        _ => form_urlencoded::parse(body).into_owned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hangup(more: &str) -> Report {
        read(format!("event_type=hangup&direction=inbound&call_uuid=c1{more}").as_bytes())
    }

    #[test]
    fn a_call_that_no_extension_took_may_be_missed_whatever_answered_says() {
        let missed = Report::MayBeMissed("c1".to_owned());
        for more in [
            "&answered=true&answer_stamp=&connected_user=",
            "&answered=false",
            "&answer_stamp=2026-11-22+08:00:00&queue=201&connected_user=",
            "&connected_user=null",
        ] {
            assert_eq!(hangup(more), missed, "{more}");
        }
    }

    #[test]
    fn a_call_that_an_extension_took_was_answered_whatever_answered_says() {
        assert_eq!(hangup("&answered=false&connected_user=1002"), Report::Other);
        assert_eq!(hangup("&answered=true&connected_user=1002"), Report::Other);
    }

    #[test]
    fn an_event_may_be_a_json_object_with_either_set_of_names() {
        let missed = Report::MayBeMissed("c1".to_owned());
        for body in [
            r#"{"event_type":"hangup","direction":"inbound","call_uuid":"c1","connected_user":null}"#,
            r#"{"event":"hangup","direction":"inbound","call_id":"c1","duration":12}"#,
            " {\"event\": \"hangup\", \"call_uuid\": \"\", \"call_id\": \"c1\"}\n",
        ] {
            assert_eq!(read(body.as_bytes()), missed, "{body}");
        }
        assert_eq!(read(br#"{"event":"hangup","direction":"outbound","call_id":"c1"}"#), Report::Other);
        assert_eq!(read(br#"{"event":"ringing","call_id":"c1"}"#), Report::Other);
    }

    #[test]
    fn only_the_end_of_a_call_from_outside_counts() {
        for event in ["ringing", "answer", "user_hangup", "something_new"] {
            assert_eq!(read(format!("event_type={event}&direction=inbound&call_uuid=c1").as_bytes()), Report::Other);
        }
        assert_eq!(read(b"event_type=hangup&direction=outbound&call_uuid=c1"), Report::Other);
        assert_eq!(read(b"event_type=hangup&direction=internal&call_uuid=c1"), Report::Other);
        assert_eq!(read(b"event_type=hangup"), Report::MayBeMissed(String::new()));
    }

    #[test]
    fn what_is_no_event_is_told_apart_from_a_trial_post() {
        assert_eq!(read(b""), Report::Empty);
        assert_eq!(read(b" \r\n"), Report::Empty);
        assert_eq!(read(br#"["hangup"]"#), Report::Unreadable);
        assert_eq!(read(br#"{"event": 1}"#), Report::Unreadable);
        assert_eq!(read(b"\xff\xfe&=%%%"), Report::Unreadable);
    }

    proptest! {
        #[test]
        fn no_post_can_do_harm(form in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&form);
        }
    }
}
