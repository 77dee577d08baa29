//! A call that somebody has seen to is not told, and every other one is, once, however late it appears.

use std::time::Duration;

use ringback::event::{EventId, EventType, Kind};
use ringback::sim::pbx::{Direction, Endpoint, Fault, PbxOptions, SimCall};
use ringback::sim::receiver::Mode;
use ringback::store::Source;
use serde_json::json;

use crate::harness::Office;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Reads more often than the grace ends, for `minutes`.
async fn minutes_pass(office: &Office, minutes: u32) {
    for _ in 0..minutes {
        office.once_after(61 * SECOND).await;
    }
}

/// An office that has been watched since before anything happened.
async fn office(options: PbxOptions) -> Office {
    let office = Office::with(options);
    office.once().await;
    office
}

fn calls() -> Source {
    Source { account: "main".to_owned(), kind: Kind::Call }
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[tokio::test]
async fn a_call_that_waited_45_minutes_in_a_queue_is_told_though_later_calls_were_told_before() {
    let office = office(PbxOptions::default()).await;
    office.clock.advance(10 * MINUTE);
    office
        .pbx
        .add_call(SimCall { caller_number: "02121112233".into(), ..SimCall::missed("short", office.now(), MINUTE) });
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed short"]);
    office.clock.advance(32 * MINUTE);
    office.miss_after("patient", 45 * MINUTE);
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), ["call.missed patient", "call.missed short"]);
}

#[tokio::test]
async fn a_call_that_lasted_longer_than_the_lookback_is_found_by_the_wider_read() {
    let office = office(PbxOptions::default()).await;
    minutes_pass(&office, 1).await;
    office.clock.advance(3 * HOUR);
    office.miss_after("endless", 3 * HOUR);
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed endless"]);
}

#[tokio::test]
async fn a_row_that_appears_unfinished_is_told_when_it_has_become_a_missed_call() {
    let office = office(PbxOptions::default()).await;
    office.clock.advance(MINUTE);
    let unfinished = json!({
        "call_uuid": "c1", "direction": "Gelen", "start_stamp": "2026-11-22 08:00:40 +0300", "answer_stamp": null,
        "end_stamp": null, "caller_id_number": "05321112233", "destination_number": "902129876543",
        "duration": null, "missed": "false", "return_uuid": null, "recording_present": "false",
    });
    office.pbx.add_raw_cdr(unfinished.clone());
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), nothing());
    let mut finished = unfinished;
    finished["end_stamp"] = json!("2026-11-22 08:03:00 +0300");
    finished["missed"] = json!("true");
    office.pbx.remove("c1");
    office.pbx.add_raw_cdr(finished);
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test]
async fn a_call_that_is_marked_missed_before_its_end_is_known_is_told_once() {
    let office = office(PbxOptions::default()).await;
    office.clock.advance(MINUTE);
    let mut row = json!({
        "call_uuid": "c1", "direction": "Gelen", "start_stamp": "2026-11-22 08:00:40 +0300", "end_stamp": "",
        "caller_id_number": "05321112233", "destination_number": "902129876543", "missed": true,
    });
    office.pbx.add_raw_cdr(row.clone());
    office.once_after(10 * SECOND).await;
    row["end_stamp"] = json!("2026-11-22 08:01:20 +0300");
    office.pbx.remove("c1");
    office.pbx.add_raw_cdr(row);
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    let ended_at = office.webhook.received()[0].json().unwrap()["data"]["ended_at"].clone();
    assert_eq!(ended_at, "2026-11-22T05:01:20Z");
}

#[tokio::test]
async fn a_call_that_is_returned_within_its_grace_is_never_told() {
    let office = office(PbxOptions::default()).await;
    office.miss("c1");
    office.once_after(30 * SECOND).await;
    office.pbx.set_returned("c1", "r1");
    minutes_pass(&office, 4).await;
    assert_eq!((office.webhook.total(), office.slack.total(), office.mail.received().len()), (0, 0, 0));
}

#[tokio::test]
async fn a_call_that_turns_out_to_be_answered_within_its_grace_is_never_told() {
    for ignore_filters in [false, true] {
        let office = office(PbxOptions { ignore_filters, ..PbxOptions::default() }).await;
        office.miss("c1");
        office.once_after(30 * SECOND).await;
        office.pbx.update("c1", |call| {
            call.missed = false;
            call.answered_at = Some(call.start);
        });
        minutes_pass(&office, 4).await;
        assert_eq!(office.told(), nothing(), "with filters ignored: {ignore_filters}");
    }
}

#[tokio::test]
async fn a_pbx_that_ignores_filters_is_not_asked_again_and_again_about_a_call_that_is_missed_no_more() {
    let office = office(PbxOptions { ignore_filters: true, ..PbxOptions::default() }).await;
    let running = office.run().await;
    office.pass(&running, 30 * SECOND, 5 * SECOND).await;
    office.miss("c1");
    office.pass(&running, 40 * SECOND, 5 * SECOND).await;
    office.pbx.update("c1", |call| {
        call.missed = false;
        call.answered_at = Some(call.start);
    });
    office.pass(&running, 2 * MINUTE, 5 * SECOND).await;
    let before = office.asked(Endpoint::Cdrs).len();
    office.pass(&running, 4 * MINUTE, 5 * SECOND).await;
    let more = office.asked(Endpoint::Cdrs).len() - before;
    assert!(more <= 11, "{more} requests in four quiet minutes");
    running.stop().await;
    assert_eq!(office.told(), nothing());
}

#[tokio::test]
async fn a_call_that_was_returned_before_it_was_ever_seen_is_never_told() {
    let office = office(PbxOptions::default()).await;
    office.clock.advance(20 * MINUTE);
    office.miss("c1");
    office.pbx.set_returned("c1", "r1");
    office.clock.advance(20 * MINUTE);
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), nothing());
}

/// A call `c1` waits for a receiver that was down and is well again, and no process runs.
async fn receiver_was_down() -> Office {
    let mut office = office(PbxOptions::default()).await;
    "[{notify: crm}]".clone_into(&mut office.routes);
    office.webhook.set_mode(Mode::Status(429));
    office.miss("c1");
    minutes_pass(&office, 2).await;
    assert_eq!(office.webhook.accepted(), 0);
    office.clock.advance(10 * MINUTE);
    office.webhook.set_mode(Mode::Ok);
    office
}

#[tokio::test]
async fn a_call_that_is_returned_while_its_receiver_is_down_is_not_told_any_more() {
    let office = receiver_was_down().await;
    office.pbx.set_returned("c1", "r1");
    let rest = office.once().await;
    assert_eq!((office.told(), rest.pending), (nothing(), 0));
}

#[tokio::test]
async fn a_call_that_was_returned_while_nothing_ran_is_not_told_at_the_next_start() {
    let office = receiver_was_down().await;
    office.pbx.set_returned("c1", "r1");
    let running = office.run().await;
    office.pass(&running, MINUTE, SECOND).await;
    running.stop().await;
    assert_eq!(office.told(), nothing());
}

#[tokio::test]
async fn what_waits_at_the_start_waits_twenty_seconds_for_a_pbx_that_says_nothing_and_not_for_one_that_is_broken() {
    for (fault, seconds) in [(Fault::Hang, 20), (Fault::Html500, 0), (Fault::Reset, 0)] {
        let office = receiver_was_down().await;
        for list in [Endpoint::Cdrs, Endpoint::Voicemails] {
            office.pbx.fault(list, fault.clone(), 1);
        }
        let running = office.run().await;
        let told = || office.webhook.accepted() > 0;
        let took = office.pass_until(&running, MINUTE, SECOND, told).await;
        assert_eq!(took, Some(seconds * SECOND), "{fault:?}");
        running.stop().await;
    }
}

#[tokio::test]
async fn what_a_pbx_without_filters_lists_besides_missed_calls_is_not_told() {
    let office = office(PbxOptions { ignore_filters: true, ..PbxOptions::default() }).await;
    office.clock.advance(MINUTE);
    office.pbx.add_call(SimCall::answered("answered", office.now(), MINUTE));
    for (n, direction) in [Direction::Outbound, Direction::OutboundApi, Direction::OutboundIvr, Direction::Internal]
        .into_iter()
        .enumerate()
    {
        let call = SimCall::missed(format!("other-{n}"), office.now(), 20 * SECOND);
        office.pbx.add_call(SimCall { direction, caller_number: "1014 (902129510292)".into(), ..call });
    }
    let other = SimCall { caller_number: "05321112233".into(), ..SimCall::missed("c1", office.now(), 20 * SECOND) };
    office.pbx.add_call(other);
    office.leave_voicemail("heard");
    office.pbx.mark_read("heard");
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test]
async fn a_call_that_rang_at_several_agents_is_told_once() {
    let office = office(PbxOptions::default()).await;
    office.clock.advance(MINUTE);
    for agent in ["1001", "1002", "1003"] {
        let leg = SimCall::missed("c1", office.now(), 20 * SECOND);
        office.pbx.add_call(SimCall { destination_number: format!("902129876543 ({agent})"), ..leg });
    }
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    assert_eq!(office.webhook.total(), 1);
}

#[tokio::test]
async fn a_call_that_one_of_several_agents_answered_is_not_told() {
    for ignore_filters in [false, true] {
        let office = office(PbxOptions { ignore_filters, ..PbxOptions::default() }).await;
        office.clock.advance(MINUTE);
        office.pbx.add_call(SimCall::missed("c1", office.now(), 20 * SECOND));
        office.pbx.add_call(SimCall::answered("c1", office.now(), 20 * SECOND));
        office.pbx.add_call(SimCall::missed("c1", office.now(), 20 * SECOND));
        minutes_pass(&office, 3).await;
        assert_eq!(office.told(), nothing(), "with filters ignored: {ignore_filters}");
    }
}

#[tokio::test]
async fn a_call_whose_transfer_was_answered_under_another_uuid_is_not_told() {
    let office = office(PbxOptions::default()).await;
    office.clock.advance(MINUTE);
    office.pbx.add_call(SimCall::missed("leg-1", office.now(), 20 * SECOND));
    office.pbx.add_call(SimCall::missed("leg-2", office.now(), 20 * SECOND));
    office.clock.advance(10 * SECOND);
    office.pbx.add_call(SimCall::answered("leg-3", office.now(), 10 * SECOND));
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), nothing());
}

#[tokio::test]
async fn a_caller_who_calls_again_within_the_grace_and_is_answered_is_not_told() {
    let office = office(PbxOptions::default()).await;
    office.miss("first");
    office
        .pbx
        .add_call(SimCall { caller_number: "02121112233".into(), ..SimCall::missed("other", office.now(), SECOND) });
    office.clock.advance(40 * SECOND);
    // The same number in another notation.
    let again = SimCall::answered("again", office.now(), 15 * SECOND);
    office.pbx.add_call(SimCall { caller_number: "+903121234567".into(), ..again });
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed other"]);
}

#[tokio::test]
async fn of_five_calls_of_one_person_none_is_told_when_the_last_is_returned() {
    for read_between in [true, false] {
        let office = office(PbxOptions::default()).await;
        for n in 1..=5 {
            office.clock.advance(11 * SECOND);
            office.miss(&format!("c{n}"));
        }
        if read_between {
            office.once_after(SECOND).await;
        }
        office.pbx.set_returned("c5", "r1");
        minutes_pass(&office, 4).await;
        assert_eq!(office.told(), nothing(), "read before: {read_between}");
    }
}

#[tokio::test]
async fn two_callers_who_withhold_their_numbers_are_not_one_person() {
    let office = office(PbxOptions::default()).await;
    office.clock.advance(MINUTE);
    for uuid in ["hidden-1", "hidden-2"] {
        let call = SimCall::missed(uuid, office.now(), 20 * SECOND);
        office.pbx.add_call(SimCall { caller_number: "anonymous".into(), ..call });
    }
    office.pbx.set_returned("hidden-2", "r1");
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed hidden-1"]);
}

#[tokio::test]
async fn a_call_of_less_than_min_wait_is_not_told() {
    let mut office = Office::new();
    office.missed_calls = "min_wait: 3s".to_owned();
    office.once().await;
    office.clock.advance(MINUTE);
    office.miss_after("wrong-number", SECOND);
    office.pbx.add_call(SimCall {
        caller_number: "02121112233".into(),
        ..SimCall::missed("meant", office.now(), 3 * SECOND)
    });
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed meant"]);
}

#[tokio::test]
async fn a_voicemail_that_follows_a_missed_call_within_its_grace_is_told_instead_of_it() {
    let office = office(PbxOptions::default()).await;
    office.miss("u1");
    office.once_after(SECOND).await;
    office.clock.advance(40 * SECOND);
    office.leave_voicemail("u1");
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["voicemail.new u1"]);
}

#[tokio::test]
async fn a_voicemail_that_comes_after_its_call_was_told_is_told_too() {
    let office = office(PbxOptions::default()).await;
    office.miss("u1");
    minutes_pass(&office, 2).await;
    office.leave_voicemail("u1");
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), ["call.missed u1", "voicemail.new u1"]);
}

#[tokio::test]
async fn a_call_and_its_voicemail_that_become_known_together_are_one_message_on_every_channel() {
    for _ in 0..3 {
        let office = office(PbxOptions::default()).await;
        office.clock.advance(10 * MINUTE);
        office.miss("u1");
        office.leave_voicemail("u1");
        office.clock.advance(5 * MINUTE);
        minutes_pass(&office, 3).await;
        assert_eq!(office.told(), ["voicemail.new u1"]);
        assert_eq!((office.slack.accepted(), office.mail.received().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_call_that_a_channel_could_not_be_told_of_within_its_follow_up_is_told_when_the_channel_is_back() {
    let mut office = office(PbxOptions::default()).await;
    office.routes = "[{notify: crm}]".to_owned();
    office.missed_calls = "follow_up: 2h".to_owned();
    office.webhook.set_mode(Mode::StatusWith(401, Vec::new(), "who are you".to_owned()));
    let running = office.run().await;
    office.miss("c1");
    office.pass(&running, 4 * HOUR, MINUTE).await;
    assert!(running.store().open_events(&calls()).await.unwrap().is_empty(), "it is not watched any more");
    office.webhook.set_mode(Mode::Ok);
    let told = office.pass_until(&running, HOUR, MINUTE, || office.webhook.accepted() == 1).await;
    assert!(told.is_some());
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test]
async fn a_long_read_does_not_reopen_what_was_settled_while_it_went_on() {
    let mut office = Office::with(PbxOptions::default());
    office.routes = "[{notify: crm}]".to_owned();
    office.missed_calls = "grace: 4m, follow_up: 48h".to_owned();
    // So few requests a minute and so many calls since the one that is open that the wider read takes a minute a page.
    office.account = ", limits: {cdrs: 4}".to_owned();
    office.once().await;
    office
        .pbx
        .add_call(SimCall { caller_number: "02121112233".into(), ..SimCall::missed("open", office.now(), MINUTE) });
    office.once_after(61 * SECOND).await;
    office.once_after(5 * MINUTE).await;
    assert_eq!(office.told(), ["call.missed open"]);
    office.clock.advance(5 * HOUR);
    for n in 0..220_u32 {
        let end = office.now().checked_sub(130 * MINUTE + n * 45 * SECOND).unwrap();
        let call = SimCall::missed(format!("old-{n}"), end, 20 * SECOND);
        let return_uuid = Some(format!("r-{n}"));
        office.pbx.add_call(SimCall { caller_number: format!("0532{n:07}"), return_uuid, ..call });
    }
    // It takes one of the four requests to see whether this one was answered after all, so that one page is left.
    let end = office.now().checked_sub(5 * MINUTE).unwrap();
    office.pbx.add_call(SimCall { caller_number: "02121112244".into(), ..SimCall::missed("due", end, MINUTE) });
    office.miss("c1");
    let running = office.run().await;
    office.pass(&running, 15 * SECOND, 5 * SECOND).await;
    office.pbx.set_returned("c1", "r1");
    let id = EventId::derive("main", EventType::CallMissed, "c1");
    let mut settled = false;
    for step in 0..60 {
        office.pass(&running, 5 * SECOND, 5 * SECOND).await;
        let event = running.store().events(&[id]).await.unwrap().remove(0);
        let now = event.is_some_and(|event| event.is_settled());
        assert!(now || !settled, "reopened after {step} steps");
        settled = now;
    }
    assert!(settled);
    running.stop().await;
    assert_eq!(office.told(), ["call.missed due", "call.missed open"]);
    let last_pages = office.asked(Endpoint::Cdrs).into_iter().filter(|request| request.params["page"] == "3");
    assert_eq!(last_pages.count(), 1, "the wider read was read to its end");
}
