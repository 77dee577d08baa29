//! The end of the story: who was told of a call or a voicemail is told how it ended, once, and nobody else is.

use std::time::Duration;

use ringback::config::{self, Config};
use ringback::event::{DeliveryId, EventId, EventType};
use ringback::outbox::State;
use ringback::sim::pbx::{Endpoint, Limits, MarksRead, PbxOptions, SimCall};
use ringback::sim::receiver::{BOT_TOKEN, CHANNEL_ID, Mode, Post, Received};
use serde_json::{Value, json};

use crate::harness::{Office, Running, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An office that has been watched since before anything happened. Nothing but a person marks a voicemail as heard.
async fn office() -> Office {
    office_with(PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() }).await
}

async fn office_with(options: PbxOptions) -> Office {
    let office = Office::with(options);
    office.once().await;
    office
}

/// Each minute is a ringback of its own: the store is all that one knows of the other.
async fn minutes_pass(office: &Office, minutes: u32) {
    for _ in 0..minutes {
        office.once_after(61 * SECOND).await;
    }
}

/// A call that was missed and told.
async fn told_of_a_call() -> Office {
    let office = office().await;
    office.miss("c1");
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    office
}

/// What the webhook was told as `event_type`.
fn bodies(office: &Office, event_type: &str) -> Vec<Value> {
    let accepted = office.webhook.received().into_iter().filter(|received| received.answered == 200);
    accepted.map(|received| received.json().unwrap()).filter(|body| body["type"] == event_type).collect()
}

fn texts(received: &[Received]) -> Vec<String> {
    received.iter().map(|received| received.json().unwrap()["text"].as_str().unwrap().to_owned()).collect()
}

/// The office's configuration with mail that is followed up too.
fn with_mail(office: &Office) -> Config {
    let yaml = office.yaml().replace("to: ofis@example.com", "to: ofis@example.com\n    follow_up: true");
    config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

async fn states(running: &Running, event: EventType) -> Vec<State> {
    let rows = running.store().list(&|row| row.event == event).await.unwrap();
    rows.into_iter().map(|row| row.state).collect()
}

#[tokio::test]
async fn a_call_that_is_returned_after_it_was_told_is_told_once_as_returned_where_it_was_told() {
    let office = told_of_a_call().await;
    office.clock.advance(5 * MINUTE);
    office.call_back("c1");
    minutes_pass(&office, 3).await;
    assert_eq!(office.told(), ["call.missed c1", "call.returned c1"]);
    let (missed, returned) = (&bodies(&office, "call.missed")[0], &bodies(&office, "call.returned")[0]);
    let data = &returned["data"];
    assert_eq!((&data["settled_by"], &data["returned_by"]), (&json!("returned"), &json!("1014")));
    assert_eq!((&data["return_uuid"], &data["heard_at"]), (&json!("r1"), &Value::Null));
    assert_eq!((&data["returned_at"], &returned["timestamp"]), (&json!("2026-11-22T05:06:32Z"), &data["returned_at"]));
    for key in ["event_id", "uuid", "started_at", "ended_at", "caller", "called"] {
        assert_eq!(data[key], missed["data"][key], "{key}");
    }
    assert_eq!(missed["data"]["settled_by"], Value::Null);
    let slack = texts(&office.slack.received());
    assert_eq!(slack.len(), 2);
    assert_eq!(slack[1], "Geri arandı: 0312 123 45 67 (08:06)");
    assert_eq!(office.mail.received().len(), 1, "mail is not followed up by default");
    assert_eq!(office.asked(Endpoint::CdrDetail).len(), 1, "who has called back is looked up once");
}

#[tokio::test]
async fn a_mail_channel_is_told_of_the_end_when_it_asks_for_it_and_a_webhook_is_not_when_it_does_not() {
    let mut office = office().await;
    office.crm = ", follow_up: false".to_owned();
    let running = office.run_with(&with_mail(&office)).await;
    office.miss("c1");
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    in_time(office.mail.wait_for(1)).await;
    office.call_back("c1");
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    in_time(office.mail.wait_for(2)).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1"]);
    let subjects: Vec<String> = office.mail.received().iter().map(|mail| mail.header("Subject").unwrap()).collect();
    assert!(subjects[1].starts_with("Geri ") && !subjects[0].starts_with("Geri "), "{subjects:?}");
}

#[tokio::test]
async fn a_caller_who_is_answered_later_is_told_as_reached_with_the_extension_that_answered() {
    let office = told_of_a_call().await;
    office.clock.advance(2 * MINUTE);
    let again = SimCall::answered("again", office.now(), 15 * SECOND);
    office.pbx.add_call(SimCall { destination_number: "902129876543 (1008)".into(), ..again });
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), ["call.missed c1", "call.returned c1"]);
    let data = &bodies(&office, "call.returned")[0]["data"];
    assert_eq!((&data["settled_by"], &data["returned_by"]), (&json!("caller_reached"), &json!("1008")));
    assert_eq!((&data["returned_at"], &data["return_uuid"]), (&json!("2026-11-22T05:03:47Z"), &Value::Null));
    assert!(texts(&office.slack.received())[1].starts_with("Arayanla görüşüldü: "));
}

#[tokio::test]
async fn of_several_calls_of_one_person_each_that_was_told_is_told_as_returned_when_the_last_one_is() {
    let office = office().await;
    for uuid in ["c1", "c2"] {
        office.miss(uuid);
        minutes_pass(&office, 2).await;
    }
    office.call_back("c2");
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), ["call.missed c1", "call.missed c2", "call.returned c1", "call.returned c2"]);
    let ends: Vec<Value> =
        bodies(&office, "call.returned").iter().map(|body| body["data"]["returned_by"].clone()).collect();
    assert_eq!(ends, ["1014", "1014"]);
}

#[tokio::test]
async fn a_return_is_told_without_its_details_when_they_cannot_be_had() {
    let office = told_of_a_call().await;
    office.pbx.set_returned("c1", "unknown");
    minutes_pass(&office, 2).await;
    let body = &bodies(&office, "call.returned")[0];
    assert_eq!((&body["data"]["returned_by"], &body["data"]["settled_by"]), (&Value::Null, &json!("returned")));
    assert_eq!(body["data"]["returned_at"], body["timestamp"], "when it was noticed");
}

#[tokio::test]
async fn a_call_is_followed_for_as_long_as_follow_up_says_and_no_longer() {
    for (hours, told) in [(20, true), (25, false)] {
        let office = told_of_a_call().await;
        let running = office.run().await;
        office.pass(&running, hours * HOUR, 5 * MINUTE).await;
        office.call_back("c1");
        office.pass(&running, 10 * MINUTE, 30 * SECOND).await;
        running.stop().await;
        assert_eq!(bodies(&office, "call.returned").len(), usize::from(told), "after {hours} hours");
    }
}

#[tokio::test]
async fn what_was_returned_while_nobody_watched_is_told_when_somebody_does_again() {
    let office = told_of_a_call().await;
    office.clock.advance(3 * HOUR);
    office.call_back("c1");
    office.clock.advance(10 * HOUR);
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), ["call.missed c1", "call.returned c1"]);
}

#[tokio::test]
async fn the_end_is_not_told_where_the_beginning_was_refused() {
    let office = office().await;
    office.webhook.set_mode(Mode::Status(410));
    office.miss("c1");
    minutes_pass(&office, 2).await;
    office.webhook.set_mode(Mode::Ok);
    office.call_back("c1");
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), Vec::<String>::new());
    assert_eq!(office.slack.accepted(), 2, "Slack was told both");
}

#[tokio::test]
async fn the_end_of_what_could_not_be_told_in_time_is_not_told_either() {
    let mut office = office().await;
    office.routes = "[{notify: crm}]".to_owned();
    let running = office.run().await;
    office.webhook.set_mode(Mode::Status(503));
    office.miss("c1");
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    office.call_back("c1");
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, HOUR, 30 * SECOND).await;
    assert_eq!(office.told(), Vec::<String>::new());
    for event in [EventType::CallMissed, EventType::CallReturned] {
        assert!(matches!(states(&running, event).await[..], [State::Withdrawn { .. }]), "{event}");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_end_waits_for_a_beginning_that_is_under_way() {
    let mut office = office().await;
    office.routes = "[{notify: crm}]".to_owned();
    let running = office.run().await;
    office.webhook.set_mode(Mode::Slow(2 * SECOND));
    office.miss("c1");
    let under_way = || office.webhook.total() == 1;
    office.pass_until(&running, 3 * MINUTE, 5 * SECOND, under_way).await.unwrap();
    office.call_back("c1");
    office.pass_until(&running, MINUTE, 5 * SECOND, || office.asked(Endpoint::CdrDetail).len() == 1).await.unwrap();
    assert_eq!(states(&running, EventType::CallMissed).await, [State::Pending], "the answer is still to come");
    assert_eq!(states(&running, EventType::CallReturned).await, [State::Pending]);
    office.webhook.set_mode(Mode::Ok);
    in_time(async {
        while !matches!(states(&running, EventType::CallMissed).await[..], [State::Delivered { .. }]) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    office.pass_until(&running, 2 * MINUTE, 5 * SECOND, || office.webhook.total() == 2).await.unwrap();
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1", "call.returned c1"]);
}

/// So many people call and give up just now.
fn burst(office: &Office, count: u32) {
    for n in 0..count {
        let caller_number = format!("0532{:07}", 1_000_000 + n);
        office.pbx.add_call(SimCall { caller_number, ..SimCall::missed(format!("c{n}"), office.now(), 5 * SECOND) });
    }
}

#[tokio::test]
async fn a_digest_that_has_told_the_end_is_not_followed_up_and_one_that_has_not_is() {
    let mut office = office().await;
    office.routes = "[{notify: slack}]".to_owned();
    let running = office.run().await;
    office.slack.set_mode(Mode::Status(503));
    burst(&office, 25);
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    office.pbx.set_returned("c0", "r0");
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    office.slack.set_mode(Mode::Ok);
    office.pass_until(&running, HOUR, 10 * SECOND, || office.slack.accepted() == 1).await.unwrap();
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    assert_eq!(office.slack.accepted(), 1, "it says of one that it was called back");
    office.pbx.set_returned("c1", "r1");
    office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    let accepted: Vec<Received> =
        office.slack.received().into_iter().filter(|received| received.answered == 200).collect();
    let told = texts(&accepted);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("25 cevapsız çağrı (") && told[1].starts_with("Geri arandı: 0532 100 00 01"),
        "{told:?}"
    );
}

#[tokio::test]
async fn many_ends_at_once_are_one_digest_for_people() {
    let mut office = office().await;
    office.routes = "[{notify: slack}]".to_owned();
    let running = office.run().await;
    burst(&office, 25);
    office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || office.slack.accepted() == 1).await.unwrap();
    for n in 0..25 {
        office.pbx.set_returned(&format!("c{n}"), "r1");
    }
    office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    let told = texts(&office.slack.received());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("25 sonuçlanan bildirim ("), "{told:?}");
}

#[tokio::test]
async fn what_a_person_has_closed_is_not_followed_up() {
    let office = told_of_a_call().await;
    let running = office.run().await;
    let id = EventId::derive("main", EventType::CallMissed, "c1");
    let event = running.store().events(&[id]).await.unwrap().remove(0).unwrap();
    let now = office.clock.moment();
    let closed = ringback::track::close(&event, ringback::event::Closed::ByHand, now.at);
    running.store().close(&closed, now).await.unwrap();
    office.call_back("c1");
    office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test]
async fn a_voicemail_that_somebody_has_heard_is_told_as_heard_with_the_time() {
    for ignore_filters in [false, true] {
        let options = PbxOptions { marks_read: MarksRead::Never, ignore_filters, ..PbxOptions::default() };
        let office = office_with(options).await;
        office.leave_voicemail("v1");
        minutes_pass(&office, 2).await;
        office.clock.advance(7 * MINUTE);
        office.pbx.mark_read("v1");
        office.clock.advance(HOUR);
        minutes_pass(&office, 2).await;
        assert_eq!(office.told(), ["voicemail.heard v1", "voicemail.new v1"], "filters ignored: {ignore_filters}");
        let body = &bodies(&office, "voicemail.heard")[0];
        assert_eq!(body["timestamp"], "2026-11-22T05:09:02Z");
        assert_eq!((&body["data"]["heard_at"], &body["data"]["settled_by"]), (&body["timestamp"], &json!("heard")));
        assert_eq!((&body["data"]["recording"], &body["data"]["returned_at"]), (&Value::Null, &Value::Null));
        assert!(texts(&office.slack.received())[1].starts_with("Sesli mesaj dinlendi: "));
        assert_eq!(office.asked(Endpoint::VoicemailRecordingUrl).len(), 1, "for the end nothing is listened to");
    }
}

#[tokio::test]
async fn who_reads_more_often_sees_sooner_that_a_caller_was_reached() {
    let mut office = office_with(PbxOptions { limits: Limits::NONE, ..PbxOptions::default() }).await;
    office.routes = "[{notify: crm}]".to_owned();
    office.missed_calls = "every: 1s, grace: 1s".to_owned();
    office.account = ", limits: {cdrs: 600, voicemails: 600}".to_owned();
    let running = office.run().await;
    office.miss("c1");
    office.pass_until(&running, MINUTE, SECOND, || office.webhook.accepted() == 1).await.unwrap();
    office.pbx.add_call(SimCall::answered("c2", office.now(), SECOND));
    let told = || office.webhook.accepted() == 2;
    let took = office.pass_until(&running, MINUTE, SECOND, told).await;
    running.stop().await;
    assert!(took.is_some_and(|took| took <= 15 * SECOND), "{took:?}");
    assert_eq!(office.told(), ["call.missed c1", "call.returned c1"]);
}

#[tokio::test]
async fn that_a_voicemail_was_heard_is_told_with_the_next_read_and_asked_for_once() {
    let mut office = office_with(PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() }).await;
    office.routes = "[{notify: crm}]".to_owned();
    let running = office.run().await;
    office.leave_voicemail("v1");
    office.leave_voicemail("v2");
    office.pass(&running, 2 * MINUTE, 5 * SECOND).await;
    office.pbx.mark_read("v1");
    let heard = || office.told().contains(&"voicemail.heard v1".to_owned());
    let took = office.pass_until(&running, 6 * MINUTE, 5 * SECOND, heard).await;
    assert!(took.is_some_and(|took| took <= 65 * SECOND), "{took:?}");
    // One that is deleted leaves the list too, and is not looked for again and again.
    office.pbx.remove("v2");
    let before = office.asked(Endpoint::Voicemails).len();
    office.pass(&running, 4 * MINUTE, 5 * SECOND).await;
    assert_eq!(office.asked(Endpoint::Voicemails).len(), before + 4 + 1, "the regular reads, and one for it");
    running.stop().await;
}

#[tokio::test]
async fn a_voicemail_that_ringback_itself_had_marked_as_heard_is_told_on_every_channel_and_not_as_heard() {
    let office = office_with(PbxOptions::default()).await;
    office.webhook.push_mode(Mode::Status(503), 1);
    office.leave_voicemail("v1");
    assert_eq!(office.once().await.pending, 1);
    assert!(office.pbx.is_read("v1"), "asking for the link has marked it");
    for _ in 0..10 {
        office.once_after(2 * MINUTE).await;
    }
    assert_eq!(office.told(), ["voicemail.new v1"]);
    assert_eq!((office.slack.accepted(), office.mail.received().len()), (1, 1));
}

#[tokio::test]
async fn a_voicemail_that_was_marked_by_an_attempt_which_a_kill_ended_is_told_by_the_next_process() {
    let mut office = office_with(PbxOptions::default()).await;
    office.routes = "[{notify: crm}]".to_owned();
    office.webhook.set_mode(Mode::Hang);
    let running = office.run().await;
    office.leave_voicemail("v1");
    let under_way = || office.webhook.total() == 1;
    office.pass_until(&running, 3 * MINUTE, 5 * SECOND, under_way).await.unwrap();
    running.kill().await;
    assert!(office.pbx.is_read("v1"));
    office.webhook.set_mode(Mode::Ok);
    minutes_pass(&office, 8).await;
    assert_eq!(office.told(), ["voicemail.new v1"]);
}

#[tokio::test]
async fn a_kill_between_the_end_and_its_telling_loses_nothing() {
    let mut office = told_of_a_call().await;
    office.routes = "[{notify: crm}]".to_owned();
    office.webhook.set_mode(Mode::Hang);
    let running = office.run().await;
    office.call_back("c1");
    let under_way = || office.webhook.total() == 2;
    office.pass_until(&running, 6 * MINUTE, 5 * SECOND, under_way).await.unwrap();
    running.kill().await;
    office.webhook.set_mode(Mode::Ok);
    minutes_pass(&office, 2).await;
    assert_eq!(office.told(), ["call.missed c1", "call.returned c1"]);
    let id = DeliveryId::derive("main", EventType::CallReturned, "c1", "crm").to_string();
    let ids: Vec<_> =
        office.webhook.received().iter().map(|one| one.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids.iter().filter(|other| **other == id).count(), 2, "the same id on both attempts");
}

/// The office's configuration, in which a bot posts to Slack.
fn with_bot(office: &Office) -> Config {
    let webhook = format!("webhook_url: '{}'", office.slack.url());
    let bot = format!("bot_token: '{BOT_TOKEN}', channel: '{CHANNEL_ID}', api_url: '{}'", office.slack.api_url());
    let yaml = office.yaml();
    assert!(yaml.contains(&webhook));
    config::parse("config.yaml", yaml.replace(&webhook, &bot).as_bytes(), office.folder.path(), &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

/// What stands in the channel: text, position of the message in whose thread it stands, how often it was changed.
fn posts(office: &Office) -> Vec<(String, Option<usize>, usize)> {
    let posts = office.slack.posts();
    let place = |ts: &String| posts.iter().position(|post| post.ts == *ts).unwrap();
    let row = |post: &Post| {
        let text = post.message["text"].as_str().unwrap().split(" (").next().unwrap().to_owned();
        (text, post.thread.as_ref().map(place), post.changes)
    };
    posts.iter().map(row).collect()
}

#[tokio::test]
async fn a_bots_message_is_struck_through_when_its_call_is_returned_and_the_details_stand_below_it() {
    let mut office = office().await;
    office.routes = "[{notify: slack}]".to_owned();
    let running = office.run_with(&with_bot(&office)).await;
    office.miss("c1");
    office.pass_until(&running, 3 * MINUTE, 10 * SECOND, || posts(&office).len() == 1).await.unwrap();
    office.call_back("c1");
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    let end = "Geri arandı: 0312 123 45 67".to_owned();
    assert_eq!(posts(&office), [(end.clone(), None, 1), (end, Some(0), 0)]);
    let first = office.slack.posts()[0].message["blocks"].to_string();
    assert!(
        first.contains("~Cevapsız çağrı: 0312 123 45 67~") && first.contains("Geri arayan dahili: 1014"),
        "{first}"
    );
}

#[tokio::test]
async fn a_voicemail_stands_below_its_call_when_that_was_told_before_it() {
    let mut office = office().await;
    office.routes = "[{notify: slack}]".to_owned();
    let running = office.run_with(&with_bot(&office)).await;
    office.miss("u1");
    office.pass_until(&running, 3 * MINUTE, 10 * SECOND, || posts(&office).len() == 1).await.unwrap();
    office.leave_voicemail("u1");
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    let told = posts(&office);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0] == ("Cevapsız çağrı: 0312 123 45 67".to_owned(), None, 0), "{told:?}");
    assert!(told[1] == ("Yeni sesli mesaj: 0312 123 45 67".to_owned(), Some(0), 0), "{told:?}");
    office.pbx.mark_read("u1");
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    let told = posts(&office);
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!((&*told[0].0, told[0].2), ("Cevapsız çağrı: 0312 123 45 67", 0), "the call is another matter");
    assert_eq!((&*told[1].0, told[1].2), ("Sesli mesaj dinlendi: 0312 123 45 67", 1));
    assert_eq!(told[2].1, Some(0), "all of it in one thread");
}

#[tokio::test]
async fn a_voicemail_waits_for_its_call_that_is_just_being_told() {
    let mut office = office().await;
    office.routes = "[{notify: slack}]".to_owned();
    let running = office.run_with(&with_bot(&office)).await;
    office.slack.push_mode(Mode::Slow(3 * SECOND), 1);
    office.miss("u1");
    office.pass_until(&running, 3 * MINUTE, 5 * SECOND, || office.slack.total() == 1).await.unwrap();
    office.leave_voicemail("u1");
    // It is seen and claimed, while the answer takes real time, of which the manual clock knows nothing.
    office.pass(&running, MINUTE, 5 * SECOND).await;
    assert_eq!(states(&running, EventType::VoicemailNew).await, [State::Pending]);
    assert_eq!(posts(&office).len(), 1);
    in_time(async {
        while states(&running, EventType::CallMissed).await == [State::Pending] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    office.pass(&running, 10 * SECOND, 2 * SECOND).await;
    running.stop().await;
    let told = posts(&office);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((told[0].0.starts_with("Cevaps"), told[1].1), (true, Some(0)), "{told:?}");
}

#[tokio::test]
async fn the_end_of_one_call_of_a_digest_stands_below_it_and_changes_nothing_of_it() {
    let mut office = office().await;
    office.routes = "[{notify: slack}]".to_owned();
    let running = office.run_with(&with_bot(&office)).await;
    burst(&office, 25);
    office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || posts(&office).len() == 1).await.unwrap();
    office.pbx.set_returned("c3", "r1");
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    let told = posts(&office);
    assert_eq!(
        told,
        [("25 cevapsız çağrı".to_owned(), None, 0), ("Geri arandı: 0532 100 00 03".to_owned(), Some(0), 0),]
    );
}
