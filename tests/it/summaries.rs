//! The summary of a day: once for each due time and channel, whatever happens to ringback or to the channel.

use std::time::Duration;

use ringback::config::{self, Config};
use ringback::sim::receiver::{Mode, Received};
use serde_json::Value;

use crate::harness::{Office, Running, in_time};
use crate::health::subject;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const EVERY_DAY: &str = "summaries: [{at: '18:00', notify: [crm]}]";

/// An office on a Sunday morning at 08:00, that is to be told at 18:00 and watched before anything happened.
async fn office(summaries: &str) -> Office {
    let mut office = Office::new();
    office.extra = summaries.to_owned();
    office.once().await;
    office
}

/// The summaries that the webhook has accepted.
fn summaries(office: &Office) -> Vec<Value> {
    accepted(office).iter().map(|received| received.json().unwrap()).collect()
}

fn accepted(office: &Office) -> Vec<Received> {
    attempts(office).into_iter().filter(|received| received.answered == 200).collect()
}

fn attempts(office: &Office) -> Vec<Received> {
    let is_summary = |received: &Received| received.json().unwrap()["type"] == "summary";
    office.webhook.received().into_iter().filter(is_summary).collect()
}

/// Moves the clock to that time of today, at once.
fn set(office: &Office, time: &str) {
    let istanbul = jiff::tz::TimeZone::get("Europe/Istanbul").unwrap();
    let now = office.now().to_zoned(istanbul);
    let at = now.date().to_datetime(time.parse().unwrap()).to_zoned(now.time_zone().clone()).unwrap().timestamp();
    office.clock.advance(Duration::try_from(at.duration_since(office.now())).unwrap());
}

/// Until that time of today, in steps.
async fn pass_until(office: &Office, running: &Running, time: &str) {
    let istanbul = jiff::tz::TimeZone::get("Europe/Istanbul").unwrap();
    let now = office.now().to_zoned(istanbul);
    let at = now.date().to_datetime(time.parse().unwrap()).to_zoned(now.time_zone().clone()).unwrap().timestamp();
    let left = Duration::try_from(at.duration_since(office.now())).unwrap();
    // Not beyond it: the last step is what is left.
    let rest = Duration::from_secs(left.as_secs() % (30 * 60));
    office.pass(running, left - rest, 30 * MINUTE).await;
    office.pass(running, rest, rest).await;
}

#[tokio::test]
async fn the_summary_of_a_day_comes_at_its_time_with_what_was_missed_and_is_open() {
    let office = office("summaries: [{at: '18:00', notify: [mail, crm]}]").await;
    let running = office.run().await;
    office.miss("c1");
    office.pass(&running, 5 * MINUTE, 30 * SECOND).await;
    office.pbx.set_returned("c1", "r1");
    office.pass(&running, 10 * MINUTE, MINUTE).await;
    office.miss("c2");
    office.leave_voicemail("v1");
    office.pass(&running, 5 * MINUTE, 30 * SECOND).await;
    pass_until(&office, &running, "18:01").await;
    assert!(summaries(&office).is_empty(), "what was seen before its time is to be in the store first");
    let told = office.webhook.accepted();
    office.pass(&running, 2 * MINUTE, MINUTE).await;
    in_time(office.webhook.wait_for(told + 1)).await;
    let [summary] = &summaries(&office)[..] else { panic!("{:?}", summaries(&office)) };
    assert_eq!(summary["timestamp"], "2026-11-22T15:00:00Z");
    let data = &summary["data"];
    assert_eq!((&data["from"], &data["until"]), (&"2026-11-21T15:00:00Z".into(), &"2026-11-22T15:00:00Z".into()));
    let counts = ["missed", "returned", "voicemails", "heard"].map(|key| data[key].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1, 0]);
    let open: Vec<&Value> = data["open"].as_array().unwrap().iter().map(|row| &row["type"]).collect();
    assert_eq!(open, ["call.missed", "voicemail.new"]);
    let mails = in_time(office.mail.wait_for(4)).await;
    let about: Vec<String> = mails.iter().map(subject).filter(|subject| subject.contains("özet")).collect();
    assert_eq!(about, ["Günlük özet · 22.11.2026: 2 cevapsız çağrı, 1 sesli mesaj, 2 açık"]);
    running.stop().await;
}

#[tokio::test]
async fn a_summary_is_sent_once_however_often_ringback_is_started() {
    let office = office(EVERY_DAY).await;
    office.miss("c1");
    for time in ["08:05", "17:59", "18:10", "18:20", "23:00"] {
        set(&office, time);
        office.once().await;
        let running = office.run().await;
        office.pass(&running, 3 * MINUTE, MINUTE).await;
        running.kill().await;
    }
    assert_eq!(summaries(&office).len(), 1);
    office.clock.advance(HOUR * 24);
    office.once().await;
    let sent = summaries(&office);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1]["data"]["missed"], 0, "it was counted on its day");
}

#[tokio::test]
async fn a_day_of_nothing_is_summed_up_only_where_that_is_wanted() {
    let office = office("summaries: [{at: '18:00', notify: [crm]}, {at: '19:00', notify: [crm], always: true}]").await;
    set(&office, "18:30");
    office.once().await;
    assert!(summaries(&office).is_empty());
    set(&office, "19:00");
    office.once().await;
    let sent = summaries(&office);
    assert_eq!((sent.len(), &sent[0]["data"]["missed"]), (1, &0.into()));
}

#[tokio::test]
async fn what_was_due_while_ringback_was_down_is_sent_when_it_starts_unless_the_next_is_due() {
    let office = office(EVERY_DAY).await;
    office.miss("c1");
    set(&office, "17:00");
    office.once().await;
    office.clock.advance(10 * HOUR);
    office.once().await;
    let sent = summaries(&office);
    assert_eq!((sent.len(), &sent[0]["data"]["until"]), (1, &"2026-11-22T15:00:00Z".into()));
    // Two are missed: the older one is history.
    office.miss("c2");
    office.once_after(2 * MINUTE).await;
    office.clock.advance(48 * HOUR);
    office.once().await;
    let sent = summaries(&office);
    assert_eq!((sent.len(), &sent[1]["data"]["until"]), (2, &"2026-11-24T15:00:00Z".into()));
}

#[tokio::test]
async fn nothing_is_owed_of_the_time_before_a_summary_was_asked_for() {
    let mut office = Office::new();
    office.clock.advance(11 * HOUR);
    office.extra = "summaries: [{at: '18:00', notify: [crm], always: true}]".to_owned();
    office.once().await;
    assert!(summaries(&office).is_empty(), "it is 19:00 at the first start");
    office.extra = office.extra.replace("18:00", "18:30");
    office.once().await;
    assert!(summaries(&office).is_empty(), "another time is another summary");
    office.once_after(24 * HOUR).await;
    assert_eq!(summaries(&office).len(), 1);
}

#[tokio::test]
async fn a_channel_that_does_not_take_it_is_tried_again_under_one_id_and_delays_no_other() {
    let office = office("summaries: [{at: '18:00', notify: [crm, slack]}]").await;
    office.miss("c1");
    set(&office, "17:50");
    let running = office.run().await;
    office.idle(&running).await;
    office.webhook.set_mode(Mode::Status(503));
    office.pass(&running, 20 * MINUTE, 30 * SECOND).await;
    let tried = attempts(&office).len();
    assert!(tried > 3, "{tried}");
    let texts = office.slack.received().into_iter().map(|received| received.json().unwrap()["text"].to_string());
    let told = texts.filter(|text| text.contains("özet")).count();
    assert_eq!(told, 1);
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, HOUR, MINUTE).await;
    let (attempts, accepted) = (attempts(&office), accepted(&office));
    assert_eq!(accepted.len(), 1);
    for attempt in &attempts {
        assert_eq!(attempt.header("webhook-id"), accepted[0].header("webhook-id"));
        assert_eq!(attempt.body, accepted[0].body, "the same id, the same content");
    }
    running.stop().await;
}

#[tokio::test]
async fn what_no_channel_takes_makes_once_say_that_something_is_left() {
    let office = office(EVERY_DAY).await;
    office.miss("c1");
    office.once_after(2 * MINUTE).await;
    set(&office, "18:00");
    office.webhook.set_mode(Mode::Status(503));
    assert_eq!(office.once().await.pending, 1);
    office.webhook.set_mode(Mode::Ok);
    assert_eq!(office.once().await.pending, 0);
    assert_eq!(summaries(&office).len(), 1);
}

#[tokio::test]
async fn a_summary_that_is_refused_for_good_is_not_tried_again() {
    let office = office(EVERY_DAY).await;
    office.miss("c1");
    office.once_after(2 * MINUTE).await;
    set(&office, "18:00");
    office.webhook.set_mode(Mode::Status(410));
    office.once().await;
    office.webhook.set_mode(Mode::Ok);
    office.once_after(HOUR).await;
    assert_eq!((attempts(&office).len(), summaries(&office).len()), (1, 0));
}

#[tokio::test]
async fn monday_covers_the_weekend_where_working_days_are_named() {
    let office = office("summaries: [{at: '18:00', days: [mon, tue, wed, thu, fri], notify: [crm]}]").await;
    office.miss("c1");
    set(&office, "20:00");
    office.once().await;
    assert!(summaries(&office).is_empty(), "it is Sunday");
    office.once_after(22 * HOUR).await;
    let sent = summaries(&office);
    assert_eq!((sent.len(), &sent[0]["data"]["missed"]), (1, &1.into()));
    assert_eq!(sent[0]["data"]["from"], "2026-11-20T15:00:00Z");
}

#[tokio::test]
async fn another_configuration_goes_on_where_the_one_before_it_stood() {
    let office = office(EVERY_DAY).await;
    office.miss("c1");
    let running = office.run().await;
    pass_until(&office, &running, "18:03").await;
    assert_eq!(summaries(&office).len(), 1);
    let yaml = office.yaml();
    let changed = |from: &str, to: &str| -> Config {
        let yaml = yaml.replace(from, to);
        config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None).unwrap()
    };
    running
        .reload(changed("notify: [crm]}]", "notify: [crm], always: true}, {at: '20:00', notify: [crm]}]"))
        .await
        .unwrap();
    office.pass(&running, 10 * MINUTE, MINUTE).await;
    assert_eq!(summaries(&office).len(), 1, "it was sent by the one before");
    pass_until(&office, &running, "20:03").await;
    assert_eq!(summaries(&office).len(), 2);
    running.reload(changed(EVERY_DAY, "")).await.unwrap();
    office.pass(&running, 48 * HOUR, HOUR).await;
    assert_eq!(summaries(&office).len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn an_attempt_under_way_ends_before_another_configuration_begins() {
    let office = office(EVERY_DAY).await;
    office.miss("c1");
    set(&office, "17:59");
    let running = office.run().await;
    office.idle(&running).await;
    let told = office.webhook.total();
    office.webhook.set_mode(Mode::Slow(Duration::from_millis(300)));
    office.clock.advance(3 * MINUTE);
    in_time(async {
        while office.webhook.total() == told {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.reload(office.config()).await.unwrap();
    office.pass(&running, 10 * MINUTE, MINUTE).await;
    assert_eq!(attempts(&office).len(), 1, "the new one waits for the old one's attempt");
    running.stop().await;
}
