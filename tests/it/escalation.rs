//! Escalation: whoever is next is told when nobody has acted, at the time and in the order that the rule says, and only
//! when that is so at that moment.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ringback::clock::Clock;
use ringback::config::{self, Config};
use ringback::event::{Closed, DeliveryId, Event, EventId, EventType};
use ringback::sim::pbx::{Endpoint, Fault, MarksRead, PbxOptions, SimCall};
use ringback::sim::receiver::{BOT_TOKEN, CHANNEL_ID, Mode};
use ringback::track;
use serde_json::{Value, json};

use crate::harness::{MORNING, Office, Running, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An office whose mail is told first, and then others by the steps of `escalate`.
fn office(escalate: &str) -> Office {
    office_at(MORNING, escalate)
}

fn office_at(now: &str, escalate: &str) -> Office {
    let options = PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() };
    let mut office = Office::on(Clock::manual(now.parse().unwrap()), options);
    office.routes = format!("[{{notify: mail, escalate: {escalate}}}]");
    office
}

/// A ringback that has told the mail of the call `c1` just now, a minute after its end.
async fn told_of_a_call(office: &Office) -> Running {
    let running = office.run().await;
    office.idle(&running).await;
    office.miss("c1");
    office.pass(&running, MINUTE, 10 * SECOND).await;
    in_time(office.mail.wait_for(1)).await;
    assert_eq!((office.mail.received().len(), office.told()), (1, nothing()));
    running
}

/// Time passes until `until`, the last of it second by second.
async fn pass_to(office: &Office, running: &Running, until: Timestamp) {
    let left = |now: Timestamp| Duration::try_from(until.duration_since(now)).unwrap();
    office.pass(running, left(office.now()).saturating_sub(10 * SECOND), 30 * SECOND).await;
    office.clock.advance(left(office.now()).saturating_sub(10 * SECOND));
    office.pass(running, left(office.now()), SECOND).await;
    assert_eq!(office.now(), until);
}

fn nothing() -> Vec<String> {
    Vec::new()
}

/// What the webhook has taken, in its order.
fn bodies(office: &Office) -> Vec<Value> {
    let accepted = office.webhook.received().into_iter().filter(|received| received.answered == 200);
    accepted.map(|received| received.json().unwrap()).collect()
}

fn ids(office: &Office) -> Vec<String> {
    office.webhook.received().iter().map(|one| one.header("webhook-id").unwrap().to_owned()).collect()
}

async fn stored(running: &Running, event_type: EventType, uuid: &str) -> Arc<Event> {
    let id = EventId::derive("main", event_type, uuid);
    running.store().events(&[id]).await.unwrap().remove(0).unwrap()
}

#[tokio::test]
async fn steps_are_told_in_their_order_each_so_long_after_the_first_message() {
    let office = office("[{after: 15m, notify: crm}, {after: 1h, notify: [crm, slack]}]");
    let running = told_of_a_call(&office).await;
    office.pass(&running, 15 * MINUTE - SECOND, SECOND).await;
    assert_eq!(office.told(), nothing());
    office.pass(&running, SECOND, SECOND).await;
    in_time(office.webhook.wait_for(1)).await;
    assert_eq!(office.told(), ["call.unreturned c1"]);
    office.pass(&running, 44 * MINUTE, MINUTE).await;
    assert_eq!((office.webhook.total(), office.slack.total()), (1, 0));
    office.pass(&running, MINUTE, 10 * SECOND).await;
    assert_eq!((office.webhook.total(), office.slack.total()), (2, 1));
    office.pass(&running, HOUR, MINUTE).await;
    assert_eq!((office.webhook.total(), office.slack.total(), office.mail.received().len()), (2, 1, 1), "each once");

    let bodies = bodies(&office);
    let data = &bodies[0]["data"];
    let ended_at = data["ended_at"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let waited = |body: &Value| {
        let at = body["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
        (body["data"]["waited_seconds"].as_u64().unwrap(), at.duration_since(ended_at).as_secs())
    };
    assert_eq!((waited(&bodies[0]), waited(&bodies[1])), ((960, 960), (3660, 3660)));
    assert_eq!((&data["settled_by"], &data["uuid"]), (&Value::Null, &json!("c1")));
    let turn = |turn| DeliveryId::of_turn("main", EventType::CallUnreturned, "c1", "crm", turn).to_string();
    assert_eq!(ids(&office), [turn(1), turn(2)]);
    let slack = office.slack.received()[0].json().unwrap();
    assert_eq!(slack["text"], "Hâlâ dönülmedi: 0312 123 45 67 (1 sa 1 dk)");
    assert_eq!(stored(&running, EventType::CallMissed, "c1").await.steps, []);
    running.stop().await;
}

#[tokio::test]
async fn what_was_settled_a_second_before_its_step_is_not_told_as_open_however_long_ago_the_call_was() {
    // Within the window of the newest page, and long outside of it.
    for after in [907, 10_807] {
        for returned in [true, false] {
            let office = office(&format!("{{after: {after}s, notify: crm}}"));
            let running = told_of_a_call(&office).await;
            let due = stored(&running, EventType::CallMissed, "c1").await.steps[0].at;
            pass_to(&office, &running, due - SECOND).await;
            let last_read = office.asked(Endpoint::Cdrs).len();
            if returned {
                office.call_back("c1");
            } else {
                let start = office.now() - 8 * SECOND;
                office.pbx.add_call(SimCall::answered("again", start + 8 * SECOND, 8 * SECOND));
            }
            office.pass(&running, 5 * SECOND, SECOND).await;
            assert!(office.asked(Endpoint::Cdrs).len() > last_read, "it was looked up");
            office.pass(&running, 10 * MINUTE, MINUTE).await;
            assert_eq!(office.told(), nothing(), "{after} s, returned: {returned}");
            assert!(stored(&running, EventType::CallMissed, "c1").await.is_settled());
            running.stop().await;
        }
    }
}

#[tokio::test]
async fn a_voicemail_is_told_as_unheard_only_if_nobody_has_heard_it_up_to_then() {
    for heard in [false, true] {
        let office = office("{after: 1207s, notify: crm}");
        let running = office.run().await;
        office.idle(&running).await;
        office.leave_voicemail("v1");
        office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
        let due = stored(&running, EventType::VoicemailNew, "v1").await.steps[0].at;
        pass_to(&office, &running, due - SECOND).await;
        assert_eq!(office.told(), nothing());
        if heard {
            office.pbx.mark_read("v1");
        }
        office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
        assert_eq!(office.told(), if heard { nothing() } else { vec!["voicemail.unheard v1".to_owned()] });
        running.stop().await;
    }
}

#[tokio::test]
async fn with_a_schedule_only_its_open_time_counts_over_nights_and_holidays() {
    // Wednesday, 28 October, 12:40: from 13:00 on, and on the 29th, it is a holiday.
    let mut office = office_at("2026-10-28T09:39:00Z", "{after: 1h, during: office, notify: crm}");
    office.extra =
        "schedules: {office: {days: [mon, tue, wed, thu, fri], from: '09:00', to: '18:00', holidays: tr}}".to_owned();
    office.missed_calls = "follow_up: 72h".to_owned();
    let running = told_of_a_call(&office).await;
    let due: Timestamp = "2026-10-30T06:40:00Z".parse().unwrap();
    assert_eq!(stored(&running, EventType::CallMissed, "c1").await.steps[0].at, due, "Friday, 09:40");
    office.pass(&running, 44 * HOUR + 55 * MINUTE, 5 * MINUTE).await;
    assert_eq!((office.now(), office.told()), (due - 5 * MINUTE, nothing()));
    office.pass(&running, 5 * MINUTE, MINUTE).await;
    assert_eq!(office.told(), ["call.unreturned c1"]);
    running.stop().await;
}

#[tokio::test]
async fn what_was_planned_stands_whatever_the_configuration_says_later_and_survives_a_kill() {
    let mut office = office("[{after: 15m, notify: crm}, {after: 30m, notify: slack}]");
    let running = told_of_a_call(&office).await;
    running.kill().await;
    office.routes = "[{notify: mail, escalate: {after: 1m, notify: [slack, crm]}}]".to_owned();
    let running = office.run().await;
    office.pass(&running, 14 * MINUTE, 30 * SECOND).await;
    assert_eq!((office.webhook.total(), office.slack.total()), (0, 0));
    // Killed while the message is under way: it comes again, as the same one.
    office.webhook.set_mode(Mode::Hang);
    let under_way = || office.webhook.total() == 1;
    office.pass_until(&running, 2 * MINUTE, 5 * SECOND, under_way).await.unwrap();
    running.kill().await;
    office.webhook.set_mode(Mode::Ok);
    let running = office.run().await;
    office.pass(&running, 20 * MINUTE, 30 * SECOND).await;
    running.stop().await;
    assert_eq!((office.told(), office.slack.total()), (vec!["call.unreturned c1".to_owned()], 1));
    let ids = ids(&office);
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
}

#[tokio::test]
async fn after_an_outage_of_ringback_a_channel_is_told_once_though_two_of_its_steps_are_overdue() {
    let office = office("[{after: 15m, notify: crm}, {after: 1h, notify: [crm, slack]}, {after: 3h, notify: crm}]");
    told_of_a_call(&office).await.stop().await;
    for _ in 0..3 {
        office.once_after(100 * MINUTE).await;
        office.once_after(MINUTE).await;
    }
    assert_eq!((office.told(), office.slack.total()), (vec!["call.unreturned c1".to_owned(); 2], 1));
    let turn = |turn| DeliveryId::of_turn("main", EventType::CallUnreturned, "c1", "crm", turn).to_string();
    assert_eq!(ids(&office), [turn(1), turn(3)]);
}

#[tokio::test]
async fn a_call_that_a_person_has_closed_is_not_escalated() {
    let office = office("{after: 15m, notify: crm}");
    let running = told_of_a_call(&office).await;
    office.pass(&running, 10 * MINUTE, MINUTE).await;
    let event = stored(&running, EventType::CallMissed, "c1").await;
    let closed = track::close(&event, Closed::ByHand, office.now());
    running.store().close(&closed, office.clock.moment()).await.unwrap();
    office.pass(&running, 20 * MINUTE, MINUTE).await;
    running.stop().await;
    assert_eq!(office.told(), nothing());
}

#[tokio::test]
async fn nothing_is_told_after_the_end_of_the_watch() {
    let mut office = office("[{after: 50m, notify: crm}, {after: 3590s, notify: crm}]");
    office.missed_calls = "follow_up: 1h".to_owned();
    let running = told_of_a_call(&office).await;
    office.pass(&running, 3 * HOUR, MINUTE).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.unreturned c1"]);
}

#[tokio::test]
async fn a_step_is_told_as_last_known_when_the_pbx_cannot_be_asked_for_long() {
    let office = office("{after: 15m, notify: crm}");
    let running = told_of_a_call(&office).await;
    office.pass(&running, 14 * MINUTE, MINUTE).await;
    office.pbx.fault(Endpoint::Cdrs, Fault::Status(503, "down".to_owned(), Vec::new()), 1000);
    office.pass(&running, MINUTE + 20 * SECOND, 10 * SECOND).await;
    assert_eq!(office.told(), nothing(), "it may come back at any moment");
    let told = office.pass_until(&running, 5 * MINUTE, 10 * SECOND, || !office.told().is_empty()).await;
    assert!(told.is_some());
    office.pass(&running, 5 * MINUTE, MINUTE).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.unreturned c1"]);
}

#[tokio::test]
async fn a_call_that_cannot_be_looked_up_by_itself_is_told_as_last_known_after_a_while() {
    // Between two of the wider reads, which come every five minutes and would show it.
    let office = office("{after: 182m, notify: crm}");
    let running = told_of_a_call(&office).await;
    office.pbx.fault(Endpoint::CdrDetail, Fault::Status(503, "down".to_owned(), Vec::new()), 1000);
    office.pass(&running, 181 * MINUTE, MINUTE).await;
    let first_reads = office.asked(Endpoint::Cdrs).len();
    office.pass(&running, MINUTE + 40 * SECOND, 10 * SECOND).await;
    assert_eq!(office.told(), nothing());
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    assert_eq!(office.told(), ["call.unreturned c1"]);
    let reads = office.asked(Endpoint::Cdrs).len() - first_reads;
    assert!(reads <= 14, "{reads} reads in four minutes: it is not asked again and again");
    running.stop().await;
}

#[tokio::test]
async fn thirty_old_calls_are_escalated_soon_within_the_vendors_limits() {
    let mut office = office("{after: 3h, notify: crm}");
    office.extra = "delivery: {digest_over: 1000}".to_owned();
    let running = office.run().await;
    office.idle(&running).await;
    for n in 0..30 {
        let call = SimCall::missed(format!("c{n}"), office.now(), 20 * SECOND);
        office.pbx.add_call(SimCall { caller_number: format!("0312{n:07}"), ..call });
    }
    office.pass(&running, 3 * HOUR + MINUTE - SECOND, MINUTE).await;
    office.pbx.set_returned("c7", "r7");
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    assert!(office.told().len() >= 29, "{:?}", office.told());
    for endpoint in [Endpoint::Cdrs, Endpoint::CdrDetail] {
        assert!(office.pbx.max_in_window(endpoint, MINUTE) <= 6);
    }
}

#[tokio::test]
async fn who_was_told_by_the_escalation_alone_is_told_the_end_too_and_nobody_else_is() {
    let office = office("[{after: 15m, notify: crm}, {after: 1h, notify: slack}]");
    let running = told_of_a_call(&office).await;
    office.pass(&running, 20 * MINUTE, MINUTE).await;
    office.call_back("c1");
    office.pass(&running, 2 * HOUR, MINUTE).await;
    running.stop().await;
    assert_eq!(
        (office.told(), office.slack.total()),
        (vec!["call.returned c1".into(), "call.unreturned c1".into()], 0)
    );
    assert_eq!(office.mail.received().len(), 1);
    assert_eq!(bodies(&office)[1]["data"]["returned_by"], "1014");
}

#[tokio::test]
async fn a_step_whose_receiver_was_down_until_the_call_was_returned_is_not_told_any_more() {
    let office = office("{after: 15m, notify: crm}");
    let running = told_of_a_call(&office).await;
    office.webhook.set_mode(Mode::Status(503));
    office.pass(&running, 16 * MINUTE, MINUTE).await;
    assert!(office.webhook.total() > 0);
    office.call_back("c1");
    office.pass(&running, MINUTE, 10 * SECOND).await;
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, HOUR, MINUTE).await;
    running.stop().await;
    assert_eq!(office.told(), nothing());
}

#[tokio::test]
async fn a_channel_that_hears_of_the_call_only_now_is_not_told_besides_that_it_is_still_open() {
    let mut office = office("[]");
    office.routes = "[{notify: crm, escalate: [{after: 15m, notify: [crm, slack]}]}]".to_owned();
    office.webhook.set_mode(Mode::Status(503));
    let running = office.run().await;
    office.idle(&running).await;
    office.miss("c1");
    office.pass(&running, 20 * MINUTE, 30 * SECOND).await;
    assert_eq!((office.webhook.accepted(), office.slack.accepted()), (0, 1));
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, HOUR, MINUTE).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test]
async fn the_escalation_of_a_voicemail_speaks_for_that_of_its_call() {
    let office = office("{after: 15m, notify: crm}");
    let running = told_of_a_call(&office).await;
    office.leave_voicemail("c1");
    office.pass(&running, 20 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    assert_eq!(office.told(), ["voicemail.unheard c1"]);
}

#[tokio::test]
async fn as_a_bot_slack_is_told_in_the_thread_of_the_first_message_and_in_the_channel() {
    let mut office = office("[]");
    office.routes = "[{notify: slack, escalate: [{after: 15m, notify: slack}]}]".to_owned();
    let running = office.run_with(&with_bot(&office)).await;
    office.idle(&running).await;
    office.miss("c1");
    office.pass(&running, 17 * MINUTE, 30 * SECOND).await;
    running.stop().await;
    let posts = office.slack.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!((&posts[0].thread, posts[1].thread.as_ref()), (&None, Some(&posts[0].ts)));
    assert_eq!(posts[0].changes, 0, "the first message still says what is so");
    let sent = office.slack.received().last().unwrap().json().unwrap();
    assert_eq!((&sent["reply_broadcast"], &sent["thread_ts"]), (&json!(true), &json!(posts[0].ts)));
}

fn with_bot(office: &Office) -> Config {
    let bot = format!("bot_token: '{BOT_TOKEN}', channel: '{CHANNEL_ID}', api_url: '{}'", office.slack.api_url());
    let yaml = office.yaml().replace(&format!("webhook_url: '{}'", office.slack.url()), &bot);
    config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

#[tokio::test]
async fn the_rules_that_decided_are_stored_with_the_event_also_when_they_mute_it_or_none_matches() {
    let mut office = office("[]");
    office.routes = "[{when: {caller: '0850*'}, mute: true}, {when: {queue: '201'}, notify: slack, continue: true},
                      {when: {caller: '0312*'}, notify: mail}]"
        .to_owned();
    let running = office.run().await;
    office.idle(&running).await;
    for (uuid, caller, queue) in [("a", "08501112233", None), ("b", "03121234567", Some("201")), ("c", "05321", None)] {
        let call = SimCall::missed(uuid, office.now(), 20 * SECOND);
        office.pbx.add_call(SimCall { caller_number: caller.into(), queue: queue.map(str::to_owned), ..call });
    }
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    let mut rules = Vec::new();
    for uuid in ["a", "b", "c"] {
        rules.push(stored(&running, EventType::CallMissed, uuid).await.rules.clone());
    }
    running.stop().await;
    assert_eq!(rules, [vec![0], vec![1, 2], vec![]]);
}
