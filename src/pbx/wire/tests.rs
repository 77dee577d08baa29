use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The sample of the vendor's page on `/cdrs`, as it is there.
const CALLS: &str = r#"{"cdrs":[{
  "start_stamp":"2017-08-03 12:30:32 +0300",
  "direction":"Gelen",
  "caller_id_number":"03121234567",
  "caller_id_name":"Verimor Telekom",
  "destination_number":"902129876543",
  "destination_name":"Dahili 1",
  "duration":"00:01:05",
  "talk_duration":"00:00:35",
  "queue_wait_seconds":"00:00:10",
  "queue":"201",
  "result":"Cevaplandı",
  "missed":"true",
  "return_uuid":"38359b70-7c10-4342-9479-e98ff716d102",
  "recording_present":"false",
  "sip_hangup_disposition":"caller",
  "call_uuid":"651f8a68-782e-11g7-a6b6-5bedc26e2ab3",
  "answer_stamp":"2017-08-03 12:30:32 +0300",
  "end_stamp":"017-08-03 12:30:52 +0300"
}],
"pagination":{
  "page":1,
  "total_count":25,
  "total_pages":3,
  "limit":10
}
}"#;

/// The sample of the same page for one call, with its misspelt field and broken stamps.
const DETAIL: &str = r#"{"cdr":{
  "direction":"Santral içi",
  "caller_id_number":"1002",
  "destination_number":"1001",
  "result":"Cevaplandı",
  "sip_hangup_disposition":"caller",
  "missed":"false",
  "return_uuid":"38359b70-7c10-4342-9479-e98ff716d102",
  "call_uuid":"5cfdfb46-776c-11e7-8375-0d58348796d3",
  "start_stamp":"2017-08-02 13:21:35 +0300",
  "answer_stamp":"2017-08-02 13:21:37 +0300",
  "end_stamp":"2017-08-02 13:22:09 +0300",
  "duration":"00:00:32",
  "talk_duration":"00:00:35",
  "queue_wait_seconds": "00:00:05",
  "recording_present":"true"
},
"call_flow":[{
  "destination_number":"1000",
  "start_stamp":"2017-08-02 13:21:35 +030",
  "answer_stamp":"2017-08-02 13:21:37 +030",
  "end_stamp":"2017-08-02 13:22:09 +0300",
  "duration":"00:0:35",
  "write_codec":"PCMA",
  "read_codec" :" PCMU",
  "result":"Cevaplandı"
}]
}"#;

/// The sample of the vendor's page on `/voicemail_messages`, trailing comma and all: not JSON.
const VOICEMAILS: &str = r#"{"messages":[{
  "start_stamp":"2017-08-03 12:30:32 +0300",
  "read_stamp":"2017-08-03 14:31:32 +0300",
  "user_number":"1002",
  "uuid":"651f8a68-782e-11g7-a6b6-5bedc26e2ab3",
  "caller_id_number":"03121234567",
  "caller_id_name":"Mehmet Yılmaz",
  "duration":"00:01:05",
}],
"pagination":{
  "page":1,
  "total_count":25,
  "total_pages":3,
  "limit":10
}
}"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-22T05:10:00Z")
}

fn calls(rows: &Value) -> Page {
    calls_page(json!({ "cdrs": rows }).to_string().as_bytes(), now()).unwrap()
}

/// One call with `fields` over a minimal row.
fn one(fields: &Value) -> Record {
    let mut row = json!({"call_uuid": "u1", "caller_id_number": "03121234567", "direction": "Gelen"});
    row.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    calls(&json!([row])).records.remove(0)
}

#[test]
fn the_vendor_s_sample_of_a_call_is_a_missed_call() {
    let page = calls_page(CALLS.as_bytes(), now()).unwrap();
    assert_eq!((page.rows, page.malformed, page.total_pages), (1, 0, Some(3)));
    let call = &page.records[0];
    assert_eq!(call.kind, Kind::Call);
    assert_eq!(call.uuid, "651f8a68-782e-11g7-a6b6-5bedc26e2ab3");
    assert_eq!(call.direction, Direction::Inbound);
    assert_eq!(call.caller.number.as_ref().unwrap().expose().e164.as_deref(), Some("+903121234567"));
    assert_eq!(call.caller.name.as_ref().unwrap().expose(), "Verimor Telekom");
    assert_eq!(call.called.number.as_ref().unwrap().expose().e164.as_deref(), Some("+902129876543"));
    assert_eq!(call.called.name.as_ref().unwrap().expose(), "Dahili 1");
    assert_eq!((call.called.extension.as_deref(), call.called.queue.as_deref()), (None, Some("201")));
    assert_eq!(call.started_at, at("2017-08-03T09:30:32Z"));
    assert_eq!(call.answered_at, Some(at("2017-08-03T09:30:32Z")));
    assert_eq!(call.ended_at, Some(at("2017-08-03T09:30:52Z")));
    assert_eq!((call.duration, call.queue_wait), (Some(65), Some(10)));
    assert_eq!(call.result.as_deref(), Some("Cevaplandı"));
    assert!(call.missed, "neither result nor answer_stamp say whether a call was missed");
    assert_eq!(call.return_uuid.as_deref(), Some("38359b70-7c10-4342-9479-e98ff716d102"));
    assert_eq!((call.audio, call.read_at), (Audio::None, None));
}

#[test]
fn the_vendor_s_sample_of_a_detail_is_an_internal_call() {
    let call = call_detail(DETAIL.as_bytes(), now()).unwrap();
    assert_eq!(call.direction, Direction::Internal);
    assert_eq!(call.called.extension.as_deref(), Some("1001"));
    assert_eq!(call.audio, Audio::Present);
    assert!(!call.missed && call.return_uuid.is_some());
}

#[test]
fn the_vendor_s_sample_of_a_voicemail_is_a_heard_voicemail() {
    let sample = VOICEMAILS.replace("\"00:01:05\",", "\"00:01:05\"");
    let page = voicemails_page(sample.as_bytes(), now()).unwrap();
    let voicemail = &page.records[0];
    assert_eq!((page.rows, page.total_pages), (1, Some(3)));
    assert_eq!((voicemail.kind, voicemail.direction), (Kind::Voicemail, Direction::Inbound));
    assert_eq!(voicemail.caller.name.as_ref().unwrap().expose(), "Mehmet Yılmaz");
    assert_eq!(voicemail.called.extension.as_deref(), Some("1002"));
    assert_eq!(voicemail.called.number, None);
    assert_eq!(voicemail.started_at, at("2017-08-03T09:30:32Z"));
    assert_eq!(voicemail.ended_at, Some(at("2017-08-03T09:31:37Z")));
    assert_eq!(voicemail.read_at, Some(at("2017-08-03T11:31:32Z")));
    assert_eq!(voicemail.audio, Audio::Present);
    assert!(!voicemail.missed);
}

#[test]
fn invalid_json_is_an_error_and_not_an_empty_list() {
    for body in [VOICEMAILS, "", "{\"messages\":[", "<html>502</html>", "Ok", "{\"messages\":[]} x"] {
        assert!(matches!(voicemails_page(body.as_bytes(), now()), Err(PbxError::Garbled { .. })), "{body}");
    }
    assert!(matches!(calls_page("{\"cdrs\":[]}".as_bytes(), now()), Ok(Page { rows: 0, .. })));
}

#[test]
fn bytes_that_are_not_utf_8_are_an_error() {
    let mut body = CALLS.as_bytes().to_vec();
    let last = body.iter().position(|b| *b == b'V').unwrap();
    body[last] = 0xFD;
    assert!(matches!(calls_page(&body, now()), Err(PbxError::Garbled { .. })));
}

#[test]
fn a_voicemail_without_a_read_stamp_is_unread() {
    for stamp in [json!(null), json!(""), json!("null")] {
        let body = json!({"messages": [{"uuid": "u1", "read_stamp": stamp}, {"uuid": "u2"}]}).to_string();
        let page = voicemails_page(body.as_bytes(), now()).unwrap();
        assert!(page.records.iter().all(|voicemail| voicemail.read_at.is_none()));
        assert_eq!(page.records.len(), 2);
    }
}

#[test]
fn an_answer_without_its_list_is_a_refused_key_and_not_an_empty_list() {
    for body in [r#"{"error":"x"}"#, "{}", r#"{"cdrs":"x"}"#, r#"{"messages":[]}"#, "[]", "\"x\"", "true"] {
        assert!(matches!(calls_page(body.as_bytes(), now()), Err(PbxError::Auth { .. })), "{body}");
    }
    assert!(matches!(call_detail(b"{}", now()), Err(PbxError::Auth { .. })));
}

#[test]
fn a_refused_key_is_known_in_any_spelling() {
    for body in [
        "Gecersiz anahtar: K1",
        "Geçersiz anahtar: K1",
        "GEÇERSİZ ANAHTAR",
        "\n\"gecersiz anahtar\"",
        "Ge\u{FFFD}ersiz anahtar",
    ] {
        assert!(matches!(calls_page(body.as_bytes(), now()), Err(PbxError::Auth { .. })), "{body}");
        assert!(matches!(recording_url(body.as_bytes()), Err(PbxError::Auth { .. })), "{body}");
        assert!(!format!("{:?}", calls_page(body.as_bytes(), now())).contains("K1"));
    }
    assert!(!refuses_key("cannot find call with call_uuid 1"));
}

#[test]
fn a_bad_row_is_counted_and_spoils_no_other() {
    let page = calls(&json!([
        {"call_uuid": "u1"}, null, 5, "row", [], {"direction": "Gelen"}, {"call_uuid": ""}, {"call_uuid": null},
        {"call_uuid": "u2", "start_stamp": {"a": 1}, "duration": [], "missed": {}, "new_field": 1}
    ]));
    assert_eq!((page.rows, page.malformed), (9, 7));
    let uuids: Vec<_> = page.records.iter().map(|call| call.uuid.as_str()).collect();
    assert_eq!(uuids, ["u1", "u2"]);
}

#[test]
fn a_call_is_dated_by_the_first_stamp_that_can_be_read() {
    let (start, answer, end) = ("2026-11-22 08:00:00 +0300", "2026-11-22 08:01:00 +0300", "2026-11-22 08:02:00 +0300");
    for (fields, expected) in [
        (json!({"start_stamp": start, "answer_stamp": answer, "end_stamp": end}), "2026-11-22T05:00:00Z"),
        (json!({"start_stamp": "", "answer_stamp": answer, "end_stamp": end}), "2026-11-22T05:01:00Z"),
        (json!({"start_stamp": "?", "answer_stamp": null, "end_stamp": end}), "2026-11-22T05:02:00Z"),
        (json!({}), "2026-11-22T05:10:00Z"),
    ] {
        assert_eq!(one(&fields).started_at, at(expected));
    }
    assert_eq!(one(&json!({"end_stamp": null})).ended_at, None, "a call that goes on has no end");
}

#[test]
fn a_return_uuid_that_names_no_other_call_is_none() {
    for value in [json!(null), json!(""), json!("null"), json!("u1")] {
        assert_eq!(one(&json!({"return_uuid": value})).return_uuid, None);
    }
    assert_eq!(one(&json!({})).return_uuid, None);
    assert_eq!(one(&json!({"return_uuid": "u2"})).return_uuid.as_deref(), Some("u2"));
}

#[test]
fn a_direction_is_read_in_either_language() {
    for (word, expected) in [
        ("Gelen", Direction::Inbound),
        ("GELEN", Direction::Inbound),
        ("inbound", Direction::Inbound),
        ("Giden", Direction::Outbound),
        ("GİDEN (IVR)", Direction::Outbound),
        ("Giden (API", Direction::Outbound),
        ("Giden (API)", Direction::Outbound),
        ("outbound", Direction::Outbound),
        ("Santral içi", Direction::Internal),
        ("SANTRAL İÇİ", Direction::Internal),
        ("Santral ic\u{327}i", Direction::Internal),
        ("iç", Direction::Internal),
        ("internal", Direction::Internal),
    ] {
        assert_eq!(one(&json!({"direction": word, "caller_id_number": "1014"})).direction, expected, "{word}");
    }
}

#[test]
fn an_unknown_direction_is_inbound_unless_an_extension_called() {
    for word in [json!("Yön"), json!(null), json!("")] {
        let direction = |caller: &str, called: &str| {
            one(&json!({"direction": word, "caller_id_number": caller, "destination_number": called})).direction
        };
        assert_eq!(direction("05304230113", "902129510292 (1008)"), Direction::Inbound);
        assert_eq!(direction("", "902129510292"), Direction::Inbound, "a withheld number is no extension");
        assert_eq!(direction("1014 (902129510292)", "05304230113"), Direction::Outbound);
        assert_eq!(direction("1014", "1008"), Direction::Internal);
    }
}

#[test]
fn the_extension_that_answered_is_taken_out_of_the_called_number() {
    let called = one(&json!({"destination_number": "902129510292 (1008)"})).called;
    assert_eq!(called.number.unwrap().expose().raw, "902129510292");
    assert_eq!(called.extension.as_deref(), Some("1008"));
}

#[test]
fn a_withheld_caller_has_no_number() {
    assert!(one(&json!({"caller_id_number": "Anonymous"})).caller.withheld());
    assert!(one(&json!({"caller_id_number": null})).caller.withheld());
}

#[test]
fn pagination_may_be_missing_or_zero() {
    for pagination in [json!(null), json!({}), json!({"total_pages": 0}), json!([]), json!({"total_pages": null})] {
        let body = json!({"cdrs": [], "pagination": pagination}).to_string();
        assert_eq!(calls_page(body.as_bytes(), now()).unwrap().total_pages, None);
    }
    let body = json!({"cdrs": [], "pagination": {"total_pages": "3"}}).to_string();
    assert_eq!(calls_page(body.as_bytes(), now()).unwrap().total_pages, Some(3));
}

#[test]
fn a_record_stays_small_whatever_the_answer_holds() {
    let long = "ş".repeat(100_000);
    let call = one(&json!({
        "call_uuid": long, "caller_id_number": long, "caller_id_name": long, "destination_number": long,
        "destination_name": long, "queue": long, "result": long, "return_uuid": "x".repeat(100_000), "new_field": long,
    }));
    let size = call.uuid.len()
        + [call.result, call.return_uuid, call.called.queue].iter().flatten().map(String::len).sum::<usize>()
        + [call.caller.name, call.called.name].iter().flatten().map(|name| name.expose().len()).sum::<usize>()
        + [call.caller.number, call.called.number].iter().flatten().map(|n| n.expose().raw.len()).sum::<usize>();
    assert!(size < 2000, "{size} bytes");
}

#[test]
fn a_recording_url_is_read_in_every_form_that_was_seen() {
    let url =
        "https://api.bulutsantralim.com/recording/Rbb9d6f36-d1a7-46f5-961e-4be2e2ba1b8e?signature=a%2Fb&expires=1";
    for body in [
        url.to_owned(),
        format!("{url}\r\n"),
        format!("\"{url}\""),
        format!("\"{url}\n\""),
        json!({"url": url, "expires_at": "2026-11-22"}).to_string(),
        json!({"recording_url": url}).to_string(),
    ] {
        assert_eq!(recording_url(body.as_bytes()).unwrap().expose(), url, "{body}");
    }
    assert!(recording_url(b"http://api.bulutsantralim.com/recording/R1").is_ok(), "the vendor's own sample is http");
}

#[test]
fn what_is_no_url_is_never_taken_for_one() {
    for body in [
        "",
        "Ok",
        "<html><a href=\"https://x.example\">",
        "ftp://x.example/a",
        "javascript:alert(1)",
        "/recording/R1",
        "https://",
        "https://x.example/a b",
        "https://x.example/a\nhttps://y.example",
        "https://x.example/<b>",
        "5",
        "cannot find call with call_uuid 1",
        "null",
        "[\"https://x.example\"]",
    ] {
        assert!(matches!(recording_url(body.as_bytes()), Err(PbxError::Garbled { .. })), "{body}");
    }
    let long = format!("https://x.example/{}", "a".repeat(2048));
    assert!(recording_url(long.as_bytes()).is_err());
    assert!(recording_url(b"https://x.example/\xFD").is_err());
    assert!(matches!(recording_url(br#"{"error":"x"}"#), Err(PbxError::Auth { .. })));
}

proptest! {
    #[test]
    fn any_body_is_a_page_or_an_error(body in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC*") {
        let _ = calls_page(&body, now());
        let _ = recording_url(text.as_bytes());
        let row = json!({"cdrs": [{"call_uuid": "u", "start_stamp": text, "duration": text, "direction": text,
            "caller_id_number": text, "destination_number": text, "caller_id_name": text}]});
        prop_assert_eq!(calls_page(row.to_string().as_bytes(), now()).unwrap().records.len(), 1);
    }
}
