use serde_json::json;

use super::*;
use crate::http::{Answer, HttpError, client, exchange};
use crate::outbox::FailureKind;

const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

/// A PBX at noon of its day, and somebody to ask it.
struct Bench {
    clock: Clock,
    sim: PbxSim,
    client: reqwest::Client,
}

fn bench(options: PbxOptions) -> Bench {
    let clock = Clock::manual("2026-11-22T12:00:00+03:00".parse().unwrap());
    let sim = PbxSim::start(clock.clone(), options).unwrap();
    Bench { clock, sim, client: client(4).unwrap() }
}

fn unlimited() -> PbxOptions {
    PbxOptions { limits: Limits::NONE, ..PbxOptions::default() }
}

impl Bench {
    async fn try_get(&self, path: &str, params: &[(&str, &str)]) -> Result<Answer, HttpError> {
        let request = self.client.get(format!("{}{path}", self.sim.base_url())).query(params);
        exchange(request, 1 << 20, PATIENCE).await
    }

    async fn get(&self, path: &str, params: &[(&str, &str)]) -> Answer {
        let mut params = params.to_vec();
        params.push(("key", self.sim.key()));
        self.try_get(path, &params).await.unwrap()
    }

    async fn list(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.get(path, params).await;
        assert_eq!(answer.status, 200, "{}", answer.text_lossy());
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// The uuids of a list, in its order.
    async fn uuids(&self, path: &str, params: &[(&str, &str)]) -> Vec<String> {
        let (list, key) = if path == "/cdrs" { ("cdrs", "call_uuid") } else { ("messages", "uuid") };
        let answer = self.list(path, params).await;
        answer[list].as_array().unwrap().iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
    }

    async fn mint(&self, path: &str, uuid: &str) -> Answer {
        let form = [("key", self.sim.key()), ("uuid", uuid)];
        let request = self.client.post(format!("{}{path}", self.sim.base_url())).form(&form);
        exchange(request, 1 << 20, PATIENCE).await.unwrap()
    }

    async fn fetch(&self, url: &str) -> Answer {
        exchange(self.client.get(url), 1 << 20, PATIENCE).await.unwrap()
    }

    fn ago(&self, minutes: u64) -> jiff::Timestamp {
        self.clock.now() - MINUTE * u32::try_from(minutes).unwrap()
    }

    fn missed(&self, uuid: &str, minutes: u64) -> SimCall {
        SimCall::missed(uuid, self.ago(minutes), Duration::from_secs(65))
    }

    fn voicemail(&self, uuid: &str, minutes: u64) -> SimVoicemail {
        SimVoicemail::unread(uuid, self.ago(minutes), Duration::from_secs(20))
    }
}

#[tokio::test]
async fn a_call_is_written_as_on_the_vendors_page() {
    let bench = bench(PbxOptions::default());
    let call = SimCall {
        caller_name: Some("Verimor Telekom".into()),
        queue: Some("201".into()),
        wait: Some(Duration::from_secs(10)),
        ..bench.missed("a", 1)
    };
    bench.sim.add_call(call);
    let expected = json!({
        "start_stamp": "2026-11-22 11:57:55 +0300", "end_stamp": "2026-11-22 11:59:00 +0300", "answer_stamp": null,
        "direction": "Gelen", "caller_id_number": "03121234567", "caller_id_name": "Verimor Telekom",
        "destination_number": "902129876543", "destination_name": null, "duration": "00:01:05",
        "talk_duration": "00:00:00", "queue_wait_seconds": "00:00:10", "queue": "201", "result": "Cevapsız",
        "missed": "true", "return_uuid": null, "recording_present": "false", "sip_hangup_disposition": "caller",
        "call_uuid": "a",
    });
    let answer = bench.list("/cdrs", &[]).await;
    assert_eq!(answer["cdrs"], json!([expected]));
    assert_eq!(answer["pagination"], json!({"page": 1, "total_count": 1, "total_pages": 1, "limit": 10}));
}

#[tokio::test]
async fn a_voicemail_is_written_as_on_the_vendors_page() {
    let bench = bench(PbxOptions::default());
    bench.sim.add_voicemail(SimVoicemail { caller_name: Some("Mehmet Yılmaz".into()), ..bench.voicemail("v", 5) });
    let expected = json!({
        "start_stamp": "2026-11-22 11:55:00 +0300", "read_stamp": null, "user_number": "1002", "uuid": "v",
        "caller_id_number": "03121234567", "caller_id_name": "Mehmet Yılmaz", "duration": "00:00:20",
    });
    assert_eq!(bench.list("/voicemail_messages", &[]).await["messages"], json!([expected]));
    bench.clock.advance(MINUTE);
    assert_eq!(bench.sim.mark_read("v"), 1);
    let read = bench.list("/voicemail_messages", &[]).await;
    assert_eq!(read["messages"][0]["read_stamp"], "2026-11-22 12:01:00 +0300");
}

#[tokio::test]
async fn every_doubtful_field_has_its_other_ways_to_be_written() {
    let bench = bench(unlimited());
    bench.sim.add_call(SimCall { direction: Direction::OutboundApi, ..bench.missed("a", 1) });
    bench.sim.configure(|options| {
        options.missed = Flag::Bool;
        options.recording_present = Flag::Number;
        options.directions = Language::English;
        options.absent = Absent::Empty;
        options.durations = Durations::Seconds;
        options.pagination = Pagination::Zeroed;
    });
    let answer = bench.list("/cdrs", &[]).await;
    let row = &answer["cdrs"][0];
    assert_eq!(
        (&row["missed"], &row["recording_present"], &row["direction"]),
        (&json!(true), &json!(0), &json!("outbound"))
    );
    assert_eq!((&row["return_uuid"], &row["duration"]), (&json!(""), &json!(65)));
    assert_eq!(answer["pagination"]["total_pages"], 0);
    bench.sim.configure(|options| {
        options.absent = Absent::Missing;
        options.durations = Durations::Unpadded;
        options.pagination = Pagination::Omitted;
    });
    bench.sim.update("a", |call| call.recording_present = Recorded::Deleted);
    let answer = bench.list("/cdrs", &[]).await;
    let row = &answer["cdrs"][0];
    assert!(row.get("return_uuid").is_none() && answer.get("pagination").is_none());
    assert_eq!((&row["duration"], &row["recording_present"]), (&json!("00:1:5"), &json!("deleted")));
}

#[tokio::test]
async fn a_call_appears_when_it_has_ended_and_is_dated_by_its_beginning() {
    let bench = bench(unlimited());
    let end = bench.clock.now() + MINUTE;
    bench.sim.add_call(SimCall::missed("late", end, MINUTE * 12));
    bench.sim.add_call(SimCall { visible_after: MINUTE * 2, ..bench.missed("early", 1) });
    assert!(bench.uuids("/cdrs", &[]).await.is_empty());
    bench.clock.advance(MINUTE);
    assert_eq!(bench.uuids("/cdrs", &[]).await, ["early", "late"]);
}

#[tokio::test]
async fn the_newest_come_first_and_pages_hold_ten_unless_told() {
    let bench = bench(unlimited());
    for n in [3, 1, 2] {
        (0..8).for_each(|i| bench.sim.add_call(bench.missed(&format!("{n}-{i}"), n * 10 + i)));
    }
    let first = bench.uuids("/cdrs", &[]).await;
    assert_eq!((first.len(), &*first[0], &*first[8]), (10, "1-0", "2-0"));
    assert_eq!(bench.uuids("/cdrs", &[("page", "3")]).await, ["3-4", "3-5", "3-6", "3-7"]);
    assert!(bench.uuids("/cdrs", &[("page", "4")]).await.is_empty());
    assert_eq!(bench.list("/cdrs", &[("page", "2")]).await["pagination"]["total_pages"], 3);
    assert_eq!(bench.uuids("/cdrs", &[("limit", "100")]).await.len(), 24);
}

#[tokio::test]
async fn a_limit_out_of_range_is_clamped_or_refused() {
    let bench = bench(unlimited());
    for (limit, taken) in [("5", 10), ("500", 100), ("many", 10)] {
        assert_eq!(bench.list("/cdrs", &[("limit", limit)]).await["pagination"]["limit"], taken);
    }
    bench.sim.configure(|options| options.limit_rule = LimitRule::Reject);
    for limit in ["5", "500", "many"] {
        assert_eq!(bench.get("/cdrs", &[("limit", limit)]).await.status, 400);
    }
    assert_eq!(bench.get("/cdrs", &[("limit", "100")]).await.status, 200);
}

#[tokio::test]
async fn without_dates_only_the_servers_own_day_is_listed() {
    let bench = bench(unlimited());
    // Midnight of the server is 21:00 UTC.
    for (uuid, start) in [("today", "2026-11-21T21:00:00Z"), ("yesterday", "2026-11-21T20:59:59Z")] {
        let start = start.parse().unwrap();
        bench.sim.add_call(SimCall { uuid: uuid.into(), start, end: start + MINUTE, ..SimCall::default() });
        bench.sim.add_voicemail(SimVoicemail::unread(uuid, start, MINUTE));
    }
    let from = [("start_stamp_from", "2026-11-21 20:59:59 UTC")];
    for path in ["/cdrs", "/voicemail_messages"] {
        assert_eq!(bench.uuids(path, &[]).await, ["today"]);
        assert_eq!(bench.uuids(path, &from).await, ["today", "yesterday"]);
    }
    let to = [from[0], ("start_stamp_to", "2026-11-21 20:59:59 UTC")];
    assert_eq!(bench.uuids("/cdrs", &to).await, ["yesterday"]);
    assert_eq!(bench.uuids("/cdrs", &to[1..]).await, ["yesterday"]);
}

#[tokio::test]
async fn only_the_documented_form_of_a_date_is_taken() {
    let bench = bench(unlimited());
    for date in [
        "2026-11-22T00:00:00",
        "2026-11-22 00:00:00",
        "2026-11-22 00:00:00 +0300",
        "2026-11-22 00:00 UTC",
        "",
        "2026-13-22 00:00:00 UTC",
    ] {
        for key in ["start_stamp_from", "start_stamp_to"] {
            let answer = bench.get("/cdrs", &[(key, date)]).await;
            assert_eq!(answer.status, 400, "{date}");
        }
    }
}

#[tokio::test]
async fn more_than_31_days_are_refused_even_when_the_end_is_implied() {
    let bench = bench(unlimited());
    let from = |date: &'static str| ("start_stamp_from", date);
    assert_eq!(bench.get("/cdrs", &[from("2026-10-22 09:00:00 UTC")]).await.status, 200);
    assert_eq!(bench.get("/cdrs", &[from("2026-10-22 08:59:59 UTC")]).await.status, 400);
    let to = ("start_stamp_to", "2026-10-23 00:00:00 UTC");
    assert_eq!(bench.get("/cdrs", &[from("2026-09-22 00:00:00 UTC"), to]).await.status, 200);
    assert_eq!(bench.get("/voicemail_messages", &[from("2026-09-21 00:00:00 UTC"), to]).await.status, 400);
}

#[tokio::test]
async fn calls_are_filtered_by_facts_but_not_by_numbers() {
    let bench = bench(unlimited());
    bench.sim.add_call(SimCall { queue: Some("201".into()), ..bench.missed("missed", 1) });
    let answered = SimCall::answered("answered", bench.ago(2), MINUTE);
    bench.sim.add_call(SimCall { recording_present: Recorded::Yes, ..answered.clone() });
    bench.sim.add_call(SimCall { uuid: "out".into(), direction: Direction::OutboundIvr, ..answered });
    for (params, expected) in [
        (&[("missed", "true")][..], &["missed"][..]),
        (&[("missed", "false")], &["out", "answered"]),
        (&[("direction", "outbound")], &["out"]),
        (&[("direction", "inbound"), ("missed", "false")], &["answered"]),
        (&[("recording_present", "true")], &["answered"]),
        (&[("queue", "201")], &["missed"]),
        (&[("caller_id_number", "0000")], &["missed", "out", "answered"]),
        (&[("destination_number", "0000")], &["missed", "out", "answered"]),
    ] {
        assert_eq!(bench.uuids("/cdrs", params).await, expected, "{params:?}");
    }
    bench.sim.configure(|options| options.ignore_filters = true);
    assert_eq!(bench.uuids("/cdrs", &[("missed", "true")]).await.len(), 3);
}

#[tokio::test]
async fn voicemails_are_filtered_by_read_extension_and_uuid() {
    let bench = bench(unlimited());
    bench.sim.add_voicemail(bench.voicemail("a", 1));
    bench.sim.add_voicemail(SimVoicemail { user_number: "1001".into(), ..bench.voicemail("b", 2) });
    bench.sim.mark_read("b");
    for (param, expected) in
        [(("read", "false"), "a"), (("read", "true"), "b"), (("user_number", "1001"), "b"), (("uuid", "a"), "a")]
    {
        assert_eq!(bench.uuids("/voicemail_messages", &[param]).await, [expected], "{param:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_echoed_with_the_status_of_choice() {
    let bench = bench(unlimited());
    for (form, status) in [(BadKey::Status400, 400), (BadKey::Status401, 401), (BadKey::Status200, 200)] {
        bench.sim.configure(|options| options.bad_key = form);
        let answer = bench.try_get("/cdrs", &[("key", "K1")]).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text_lossy().as_str()), (status, "Gecersiz anahtar: K1"));
    }
    bench.sim.fault(Endpoint::Cdrs, Fault::BadKeyEcho, 1);
    let answer = bench.get("/cdrs", &[]).await;
    assert_eq!(answer.text_lossy(), format!("Gecersiz anahtar: {}", bench.sim.key()));
}

#[tokio::test]
async fn every_endpoint_has_its_own_limit_on_any_sixty_seconds() {
    let bench = bench(PbxOptions { retry_after: Some(20), ..PbxOptions::default() });
    for n in 0..8 {
        let expected = if n < 6 { 200 } else { 429 };
        assert_eq!(bench.get("/cdrs", &[]).await.status, expected, "{n}");
        assert_eq!(bench.get("/voicemail_messages", &[]).await.status, expected, "{n}");
        bench.clock.advance(Duration::from_secs(5));
    }
    let refused = bench.get("/cdrs", &[]).await;
    assert_eq!((refused.status.as_u16(), &refused.headers["retry-after"]), (429, &"20".parse().unwrap()));
    // Twenty seconds later the first request is sixty seconds old, and only that one.
    bench.clock.advance(Duration::from_secs(20));
    assert_eq!([bench.get("/cdrs", &[]).await.status, bench.get("/cdrs", &[]).await.status], [200, 429]);
    assert_eq!(bench.sim.max_in_window(Endpoint::Cdrs, MINUTE), 10);
    assert_eq!(bench.sim.max_in_window(Endpoint::Cdrs, Duration::from_secs(10)), 2);
    assert_eq!(bench.sim.max_in_window(Endpoint::CdrDetail, MINUTE), 0);
}

#[tokio::test]
async fn both_kinds_of_recordings_share_one_limit_of_five() {
    let bench = bench(PbxOptions::default());
    bench.sim.add_voicemail(bench.voicemail("v", 1));
    bench.sim.add_call(SimCall { recording_present: Recorded::Yes, ..bench.missed("c", 1) });
    for n in 0..6 {
        let (path, uuid) = if n % 2 == 0 { ("/recording_url", "c") } else { ("/voicemail_recording_url", "v") };
        assert_eq!(bench.mint(path, uuid).await.status, if n < 5 { 200 } else { 429 }, "{n}");
    }
    assert_eq!(bench.sim.max_in_window(Endpoint::RecordingUrl, MINUTE), 6);
}

#[tokio::test]
async fn a_recordings_url_works_for_one_hour() {
    let bench = bench(unlimited());
    bench.sim.add_voicemail(bench.voicemail("v", 1));
    let url = bench.mint("/voicemail_recording_url/", "v").await.text_lossy();
    assert!(url.starts_with(&format!("{}/recording/R", bench.sim.base_url())), "{url}");
    bench.clock.advance(Duration::from_secs(3599));
    let audio = bench.fetch(&url).await;
    assert_eq!((audio.status.as_u16(), &audio.headers["content-type"]), (200, &"audio/wav".parse().unwrap()));
    assert_eq!((&audio.body[..4], audio.body.len()), (&b"RIFF"[..], 44 + 24_000));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.fetch(&url).await.status, 410);
    let again = bench.mint("/voicemail_recording_url", "v").await.text_lossy();
    assert_ne!(again, url);
    assert_eq!(bench.fetch(&again).await.status, 200);
    assert_eq!(bench.fetch(&format!("{}/recording/Rx", bench.sim.base_url())).await.status, 404);
}

#[tokio::test]
async fn asking_for_the_url_or_fetching_it_marks_a_voicemail_as_heard() {
    let bench = bench(unlimited());
    for (marks, after_mint, after_fetch) in
        [(MarksRead::OnMint, true, true), (MarksRead::OnFetch, false, true), (MarksRead::Never, false, false)]
    {
        bench.sim.configure(|options| options.marks_read = marks);
        bench.sim.remove("v");
        bench.sim.add_voicemail(bench.voicemail("v", 1));
        let url = bench.mint("/voicemail_recording_url", "v").await.text_lossy();
        assert_eq!(bench.sim.is_read("v"), after_mint, "{marks:?}");
        bench.fetch(&url).await;
        assert_eq!(bench.sim.is_read("v"), after_fetch, "{marks:?}");
    }
}

#[tokio::test]
async fn a_url_comes_bare_quoted_or_in_json() {
    let bench = bench(unlimited());
    bench.sim.add_voicemail(bench.voicemail("v", 1));
    bench.sim.configure(|options| options.url_form = UrlForm::Quoted);
    let quoted = bench.mint("/voicemail_recording_url", "v").await.text_lossy();
    assert!(quoted.starts_with("\"http://") && quoted.ends_with("\"\n"), "{quoted}");
    bench.sim.configure(|options| options.url_form = UrlForm::Json);
    let object: Value = serde_json::from_slice(&bench.mint("/voicemail_recording_url", "v").await.body).unwrap();
    assert_eq!(object["expires_at"], "2026-11-22T10:00:00Z");
    assert_eq!(bench.fetch(object["url"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn an_unknown_uuid_is_named_in_english() {
    let bench = bench(unlimited());
    bench.sim.add_call(bench.missed("not-recorded", 1));
    for uuid in ["x", "not-recorded"] {
        let answer = bench.mint("/recording_url", uuid).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text_lossy()),
            (400, format!("cannot find call with call_uuid {uuid}"))
        );
    }
    let answer = bench.mint("/voicemail_recording_url", "x").await;
    assert_eq!((answer.status.as_u16(), answer.text_lossy().as_str()), (400, "cannot find voicemail with uuid x"));
    bench.sim.configure(|options| options.unknown_uuid = 404);
    assert_eq!(bench.get("/cdrs/x", &[]).await.status, 404);
}

#[tokio::test]
async fn the_detail_of_a_call_has_its_flow() {
    let bench = bench(unlimited());
    bench.sim.add_call(SimCall::answered("a", bench.ago(1), MINUTE));
    let detail = bench.list("/cdrs/a", &[]).await;
    assert_eq!((&detail["cdr"]["call_uuid"], &detail["cdr"]["missed"]), (&json!("a"), &json!("false")));
    assert_eq!(detail["call_flow"][0]["answer_stamp"], "2026-11-22 11:58:00 +0300");
}

#[tokio::test]
async fn an_odd_row_is_listed_as_it_stands() {
    let bench = bench(unlimited());
    bench.sim.add_call(bench.missed("a", 1));
    bench.sim.add_raw_cdr(json!({"call_uuid": "odd", "start_stamp": "017-08-03 12:30:52 +0300"}));
    bench.sim.add_raw_voicemail(json!({"uuid": "odd"}));
    assert_eq!(bench.uuids("/cdrs", &[("missed", "true")]).await, ["odd", "a"]);
    assert_eq!(bench.uuids("/voicemail_messages", &[("read", "true")]).await, ["odd"]);
    bench.sim.remove("odd");
    assert_eq!(bench.uuids("/cdrs", &[]).await, ["a"]);
}

#[tokio::test]
async fn the_data_may_change_between_two_pages() {
    let bench = bench(unlimited());
    (0..12).for_each(|n| bench.sim.add_call(bench.missed(&n.to_string(), 10 + n)));
    let newcomer = bench.missed("new", 1);
    bench.sim.before_request(Endpoint::Cdrs, 2, move |data| data.add_call(newcomer));
    assert_eq!(bench.uuids("/cdrs", &[]).await[9], "9");
    assert_eq!(bench.uuids("/cdrs", &[("page", "2")]).await, ["9", "10", "11"]);
}

#[tokio::test]
async fn the_same_page_may_come_for_every_number() {
    let bench = bench(PbxOptions { same_page: true, ..unlimited() });
    (0..12).for_each(|n| bench.sim.add_call(bench.missed(&n.to_string(), 10 + n)));
    assert_eq!(bench.uuids("/cdrs", &[("page", "7")]).await, bench.uuids("/cdrs", &[]).await);
}

#[tokio::test]
async fn a_return_is_seen_on_every_row_of_the_call() {
    let bench = bench(unlimited());
    bench.sim.add_call(bench.missed("twice", 1));
    bench.sim.add_call(bench.missed("twice", 2));
    assert_eq!(bench.sim.set_returned("twice", "back"), 2);
    let rows = bench.list("/cdrs", &[]).await;
    assert!(rows["cdrs"].as_array().unwrap().iter().all(|row| row["return_uuid"] == "back"));
}

#[tokio::test]
async fn faults_apply_in_order_and_to_their_endpoint_only() {
    let bench = bench(unlimited());
    let teapot = Fault::Status(418, "no".into(), vec![("Retry-After".into(), "9".into())]);
    bench.sim.fault(Endpoint::Cdrs, teapot, 1);
    bench.sim.fault(Endpoint::Cdrs, Fault::Html500, 2);
    assert_eq!(bench.get("/voicemail_messages", &[]).await.status, 200);
    let answer = bench.get("/cdrs", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.text_lossy().as_str()), (418, "no"));
    assert_eq!(answer.headers["retry-after"], "9");
    let page = bench.get("/cdrs", &[]).await;
    assert_eq!((page.status.as_u16(), page.text_lossy().starts_with("<html>")), (500, true));
    bench.sim.clear_faults();
    assert_eq!(bench.get("/cdrs", &[]).await.status, 200);
    assert_eq!(bench.sim.requests().iter().map(|request| request.answered).collect::<Vec<_>>(), [200, 418, 500, 200]);
}

#[tokio::test]
async fn garbage_is_half_of_a_json_text() {
    let bench = bench(unlimited());
    bench.sim.fault(Endpoint::Cdrs, Fault::Garbage, 1);
    let answer = bench.get("/cdrs", &[]).await;
    assert_eq!(answer.status, 200);
    assert!(serde_json::from_slice::<Value>(&answer.body).unwrap_err().is_eof());
}

#[tokio::test]
async fn a_reset_and_a_truncated_answer_are_errors() {
    let bench = bench(unlimited());
    for fault in [Fault::Reset, Fault::Truncate] {
        bench.sim.fault(Endpoint::Cdrs, fault.clone(), 1);
        let answer = bench.try_get("/cdrs", &[("key", bench.sim.key())]).await;
        assert_eq!(answer.unwrap_err().kind, FailureKind::Unreachable, "{fault:?}");
    }
}

#[tokio::test]
async fn a_reset_leaves_a_voicemail_unheard_and_a_truncated_answer_does_not() {
    let bench = bench(unlimited());
    for (fault, heard) in [(Fault::Reset, false), (Fault::Truncate, true)] {
        bench.sim.remove("v");
        bench.sim.add_voicemail(bench.voicemail("v", 1));
        bench.sim.fault(Endpoint::VoicemailRecordingUrl, fault, 1);
        let form = [("key", bench.sim.key()), ("uuid", "v")];
        let request = bench.client.post(format!("{}/voicemail_recording_url", bench.sim.base_url())).form(&form);
        assert!(exchange(request, 1024, PATIENCE).await.is_err());
        assert_eq!(bench.sim.is_read("v"), heard);
    }
}

#[tokio::test]
async fn a_hanging_pbx_outlasts_the_clients_patience() {
    let bench = bench(unlimited());
    let forever = Fault::Drip { bytes: 1, every: PATIENCE };
    for fault in [Fault::Hang, forever, Fault::Slow(PATIENCE)] {
        bench.sim.fault(Endpoint::Cdrs, fault, 1);
        let request = bench.client.get(format!("{}/cdrs", bench.sim.base_url()));
        let error = exchange(request, 1024, Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Timeout);
    }
}

#[tokio::test]
async fn a_slow_and_a_dripping_answer_arrive_whole() {
    let bench = bench(PbxOptions { latency: Duration::from_millis(10), ..unlimited() });
    bench.sim.add_call(bench.missed("a", 1));
    bench.sim.fault(Endpoint::Cdrs, Fault::Slow(Duration::from_millis(20)), 1);
    bench.sim.fault(Endpoint::Cdrs, Fault::Drip { bytes: 100, every: Duration::from_millis(2) }, 1);
    assert_eq!(bench.uuids("/cdrs", &[]).await, ["a"]);
    assert_eq!(bench.uuids("/cdrs", &[]).await, ["a"]);
}

#[tokio::test]
async fn what_was_asked_is_remembered_and_can_be_waited_for() {
    let bench = bench(unlimited());
    bench.clock.advance(MINUTE);
    let date = ("start_stamp_from", "2026-11-22 00:00:00 UTC");
    let params = [date];
    let (seen, _) = tokio::join!(bench.sim.wait_for_requests(Endpoint::Cdrs, 1), bench.get("/cdrs/", &params));
    assert_eq!((seen[0].endpoint, &*seen[0].method, seen[0].at.tick), (Endpoint::Cdrs, "GET", MINUTE));
    assert_eq!(seen[0].params["start_stamp_from"], date.1);
    bench.mint("/recording_url", "x").await;
    let seen = bench.sim.wait_for_requests(Endpoint::RecordingUrl, 1).await;
    assert_eq!((&*seen[0].target, &*seen[0].params["uuid"], seen[0].answered), ("/recording_url", "x", 400));
    bench.fetch(&format!("{}/nothing", bench.sim.base_url())).await;
    assert_eq!(bench.sim.requests().last().map(|request| request.endpoint), Some(Endpoint::Other));
}
