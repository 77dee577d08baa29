//! Long lists, lists that move while they are read, and rows of every kind: nothing is lost, and nothing told twice.

use std::time::Duration;

use ringback::sim::pbx::{
    Absent, Data, Durations, Endpoint, Flag, Language, LimitRule, Limits, Pagination, PbxOptions, SimCall, SimVoicemail,
};
use serde_json::{Value, json};

use crate::harness::Office;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Tells the webhook alone, so that hundreds of messages take no time.
fn office(options: PbxOptions) -> Office {
    Office { routes: "[{notify: crm}]".to_owned(), crm: ", recording: none".to_owned(), ..Office::with(options) }
}

fn call(uuid: String, office: &Office, n: u32) -> SimCall {
    let caller_number = format!("0532{n:07}");
    SimCall { caller_number, ..SimCall::missed(uuid, office.now(), 20 * SECOND) }
}

/// Adds a call that has just ended before a page is answered, and so moves every row down by one.
fn moves_down(call: SimCall) -> impl FnOnce(&mut Data) + Send + 'static {
    move |data| data.add_call(call)
}

#[tokio::test]
async fn calls_on_pages_that_move_while_they_are_read_are_each_told_once() {
    let office = office(PbxOptions::default());
    office.once().await;
    office.clock.advance(MINUTE);
    for n in 0..230 {
        office.pbx.add_call(call(format!("c{n:03}"), &office, n));
    }
    let asked = office.asked(Endpoint::Cdrs).len();
    for page in [2, 3] {
        let late = call(format!("late-{page}"), &office, 1000 + u32::try_from(page).unwrap());
        office.pbx.before_request(Endpoint::Cdrs, asked + page, moves_down(late));
    }
    for _ in 0..4 {
        office.once_after(61 * SECOND).await;
    }
    let mut expected: Vec<String> = (0..230).map(|n| format!("call.missed c{n:03}")).collect();
    expected.extend(["call.missed late-2".to_owned(), "call.missed late-3".to_owned()]);
    assert_eq!(office.told(), expected);
}

#[tokio::test]
async fn voicemails_of_which_some_are_heard_between_the_pages_are_each_told_once() {
    let office = office(PbxOptions::default());
    office.once().await;
    let running = office.run().await;
    office.pass(&running, 61 * SECOND, 61 * SECOND).await;
    for n in 0..230 {
        let start = office.now().checked_sub(Duration::from_secs(300 - n)).unwrap();
        let caller_number = format!("0532{n:07}");
        let voicemail = SimVoicemail::unread(format!("v{n:03}"), start, 5 * SECOND);
        office.pbx.add_voicemail(SimVoicemail { caller_number, ..voicemail });
    }
    let (asked, now) = (office.asked(Endpoint::Voicemails).len(), office.now());
    // Of the newest page: five rows of the second page move to the first, after it was read.
    office.pbx.before_request(Endpoint::Voicemails, asked + 2, move |data| {
        for n in 200..205 {
            data.mark_read(&format!("v{n:03}"), now);
        }
    });
    office.pass(&running, 4 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    let heard = (200..205).map(|n| format!("voicemail.heard v{n:03}"));
    let expected: Vec<String> = heard.chain((0..230).map(|n| format!("voicemail.new v{n:03}"))).collect();
    assert_eq!(office.told(), expected);
}

#[tokio::test]
async fn a_pbx_that_answers_every_page_with_the_first_is_read_to_its_end() {
    let office = office(PbxOptions { same_page: true, pagination: Pagination::Omitted, ..PbxOptions::default() });
    office.once().await;
    office.clock.advance(MINUTE);
    for n in 0..150 {
        office.pbx.add_call(call(format!("c{n:03}"), &office, n));
    }
    for _ in 0..3 {
        office.once_after(61 * SECOND).await;
    }
    assert_eq!(office.told().len(), 100, "the others cannot be seen");
    assert!(office.pbx.max_in_window(Endpoint::Cdrs, MINUTE) <= 6);
}

#[tokio::test]
async fn every_page_is_asked_for_with_the_same_limit() {
    let office = office(PbxOptions { limit_rule: LimitRule::Reject, ..PbxOptions::default() });
    office.once().await;
    office.clock.advance(MINUTE);
    for n in 0..130 {
        office.pbx.add_call(call(format!("c{n:03}"), &office, n));
    }
    for _ in 0..3 {
        office.once_after(61 * SECOND).await;
    }
    let mut lists = office.asked(Endpoint::Cdrs);
    lists.extend(office.asked(Endpoint::Voicemails));
    assert!(lists.iter().any(|request| request.params["page"] == "2"));
    assert!(lists.iter().all(|request| request.params["limit"] == "100" && request.answered == 200));
    assert_eq!(office.told().len(), 130);
}

#[tokio::test]
async fn legs_of_one_call_on_both_sides_of_a_page_boundary_are_told_once() {
    let office = office(PbxOptions::default());
    office.once().await;
    office.clock.advance(MINUTE);
    for leg in 0..2 {
        office.pbx.add_call(SimCall {
            destination_number: format!("902129876543 (100{leg})"),
            ..call("legs".into(), &office, 500)
        });
    }
    office.clock.advance(SECOND);
    for n in 0..99 {
        office.pbx.add_call(call(format!("c{n:03}"), &office, n));
    }
    for _ in 0..3 {
        office.once_after(61 * SECOND).await;
    }
    let mut expected: Vec<String> = (0..99).map(|n| format!("call.missed c{n:03}")).collect();
    expected.push("call.missed legs".to_owned());
    assert_eq!(office.told(), expected);
}

#[tokio::test]
async fn sixteen_odd_rows_cost_none_of_the_good_ones() {
    let office = office(PbxOptions::default());
    office.once().await;
    office.clock.advance(MINUTE);
    let row = |uuid: &str, change: Value| {
        let mut row = json!({
            "call_uuid": uuid, "direction": "Gelen", "start_stamp": "2026-11-22 08:00:30 +0300", "answer_stamp": null,
            "end_stamp": "2026-11-22 08:00:50 +0300", "caller_id_number": format!("03125550{}", uuid.len() + 100),
            "destination_number": "902129876543", "duration": "00:00:20", "missed": "true", "return_uuid": null,
            "recording_present": "false", "result": "Cevapsız",
        });
        row.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        row
    };
    let good = [
        row("651f8a68-782e-11g7-a6b6-5bedc26e2ab3", json!({})),
        row("missed-bool", json!({"missed": true})),
        row("missed-number", json!({"missed": 1})),
        row("numbers-as-numbers", json!({"caller_id_number": 905_542_510_000_u64, "queue": 201, "duration": 20})),
        row("lost-digit", json!({"end_stamp": "026-11-22 08:00:50 +0300"})),
        row("ended-before-it-began", json!({"end_stamp": "2017-11-22 08:00:50 +0300"})),
        row("short-offset", json!({"start_stamp": "2026-11-22 08:00:30 +030"})),
        row("no-zone", json!({"start_stamp": "2026-11-22 08:00:30", "end_stamp": null})),
        row("no-stamps", json!({"start_stamp": null, "end_stamp": "", "caller_id_number": "02125550001"})),
        row("unpadded", json!({"duration": "00:0:20", "recording_present": true})),
        row("english", json!({"direction": "inbound", "return_uuid": "null"})),
        row("new-fields", json!({"tags": ["vip"], "sentiment": {"score": 0.1}, "caller_id_name": null})),
    ];
    let bad = [json!(null), json!("text"), json!([1, 2]), json!({"missed": "true", "direction": "Gelen"})];
    for row in bad.into_iter().chain(good.iter().cloned()) {
        office.pbx.add_raw_cdr(row);
    }
    for _ in 0..3 {
        office.once_after(61 * SECOND).await;
    }
    let mut expected: Vec<String> =
        good.iter().map(|row| format!("call.missed {}", row["call_uuid"].as_str().unwrap())).collect();
    expected.sort_unstable();
    assert_eq!(office.told(), expected);
}

#[tokio::test]
async fn every_way_to_write_a_page_is_read_alike() {
    let unlimited = PbxOptions { limits: Limits::NONE, ..PbxOptions::default() };
    let ways = [
        PbxOptions { missed: Flag::Bool, recording_present: Flag::Bool, ..unlimited.clone() },
        PbxOptions { missed: Flag::Number, recording_present: Flag::Number, ..unlimited.clone() },
        PbxOptions { directions: Language::English, durations: Durations::Short, ..unlimited.clone() },
        PbxOptions { durations: Durations::Unpadded, absent: Absent::Empty, ..unlimited.clone() },
        PbxOptions { durations: Durations::Seconds, absent: Absent::Missing, ..unlimited.clone() },
        PbxOptions { pagination: Pagination::Zeroed, ..unlimited.clone() },
        PbxOptions { pagination: Pagination::Omitted, offset: jiff::tz::offset(-5), ..unlimited },
    ];
    for options in ways {
        let way = format!("{options:?}");
        let office = office(options);
        office.once().await;
        office.clock.advance(MINUTE);
        office.miss("c1");
        office.pbx.add_call(SimCall::answered("answered", office.now(), MINUTE));
        office.leave_voicemail("v1");
        for _ in 0..3 {
            office.once_after(61 * SECOND).await;
        }
        // The caller of c1 is that of the answered call, which began before it.
        assert_eq!(office.told(), ["call.missed c1", "voicemail.new v1"], "{way}");
        let told = office.webhook.received();
        let call = told.iter().map(|told| told.json().unwrap()).find(|told| told["type"] == "call.missed").unwrap();
        assert_eq!(call["data"]["started_at"], "2026-11-22T05:00:40Z", "{way}");
        assert_eq!(call["data"]["duration_seconds"], 20, "{way}");
    }
}
