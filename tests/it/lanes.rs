//! Receivers that are down, slow or flooded: each delays itself alone, is asked little, and is told everything once.

use std::collections::BTreeSet;
use std::time::Duration;

use ringback::outbox::{Delivery, State};
use ringback::sim::pbx::{Endpoint, SimCall, SimVoicemail};
use ringback::sim::receiver::{HttpReceiver, Mode, Received};
use ringback::sim::smtp::{SmtpFault, Stage};
use serde_json::Value;

use crate::harness::{Office, Running, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Lets a ringback run that has read the PBX once.
async fn office(routes: &str) -> (Office, Running) {
    office_with(routes, |_| {}).await
}

async fn office_with(routes: &str, change: impl FnOnce(&mut Office)) -> (Office, Running) {
    let mut office = Office::new();
    routes.clone_into(&mut office.routes);
    change(&mut office);
    office.once().await;
    let running = office.run().await;
    office.pass(&running, MINUTE, 10 * SECOND).await;
    (office, running)
}

/// So many people call, a second apart, the last one just now.
fn calls(office: &Office, count: u32) {
    for n in 0..count {
        let end = office.now().checked_sub((count - n) * SECOND).unwrap();
        let caller_number = format!("0532{:07}", 1_000_000 + n);
        let call = SimCall::missed(format!("c{n:03}"), end, 5 * SECOND);
        office.pbx.add_call(SimCall { caller_number, ..call });
    }
}

/// So many people hung up at the same moment.
fn burst(office: &Office, count: u32) {
    for n in 0..count {
        let caller_number = format!("0532{:07}", 1_000_000 + n);
        let call = SimCall::missed(format!("c{n:03}"), office.now(), 5 * SECOND);
        office.pbx.add_call(SimCall { caller_number, ..call });
    }
}

fn uuids<'r>(received: impl IntoIterator<Item = &'r Received>) -> Vec<String> {
    received.into_iter().map(|one| one.json().unwrap()["data"]["uuid"].as_str().unwrap().to_owned()).collect()
}

fn accepted(receiver: &HttpReceiver) -> Vec<Received> {
    receiver.received().into_iter().filter(|received| received.answered == 200).collect()
}

async fn rows(running: &Running, wanted: impl Fn(&Delivery) -> bool) -> usize {
    running.store().list(&|_| true).await.unwrap().iter().filter(|row| wanted(row)).count()
}

fn pending(row: &Delivery) -> bool {
    row.state == State::Pending
}

#[tokio::test]
async fn a_receiver_that_answers_503_for_ten_minutes_is_probed_by_one_at_a_time_and_then_gets_everything_in_order() {
    let (office, running) = office("[{notify: crm}]").await;
    office.webhook.set_mode(Mode::Status(503));
    calls(&office, 200);
    let broken = || office.webhook.total() > 0;
    assert!(office.pass_until(&running, 10 * MINUTE, 5 * SECOND, broken).await.is_some());
    let first = office.webhook.total();
    assert!(first <= 16, "{first}: no more than were under way together");
    assert_eq!(rows(&running, |row| row.attempts > 0).await, first, "who was not tried is not charged");
    for _ in 0..120 {
        let before = office.webhook.total();
        office.pass(&running, 5 * SECOND, 5 * SECOND).await;
        assert!(office.webhook.total() <= before + 1, "never two at once");
    }
    let asked = office.webhook.total();
    assert!((first + 8..=first + 16).contains(&asked), "{asked} requests in ten minutes");

    office.webhook.set_mode(Mode::Ok);
    let told = office.pass_until(&running, 3 * MINUTE, 5 * SECOND, || office.webhook.accepted() == 200).await;
    assert!(told.is_some_and(|after| after <= MINUTE + 5 * SECOND), "{told:?}");
    office.pass(&running, HOUR, MINUTE).await;
    let order = uuids(&accepted(&office.webhook));
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 200);
    assert_eq!(order.len(), 200, "each once");
    // After the one that found it well they go as their calls came, but for those that are on their way together.
    let position = |uuid: &str| uuid[1..].parse::<usize>().unwrap();
    for (at, uuid) in order.iter().enumerate().skip(1) {
        assert!(position(uuid).abs_diff(at) <= 16, "{uuid} was number {at}: {order:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_resets_is_probed_too() {
    let (office, running) = office("[{notify: crm}]").await;
    office.webhook.set_mode(Mode::Reset);
    calls(&office, 60);
    office.pass_until(&running, 10 * MINUTE, 5 * SECOND, || office.webhook.total() > 0).await.unwrap();
    office.pass(&running, 10 * MINUTE, 5 * SECOND).await;
    // A client may send a request once more by itself on a connection that it has kept.
    assert!(office.webhook.total() <= 50, "{}", office.webhook.total());
    office.webhook.set_mode(Mode::Ok);
    office.pass_until(&running, 3 * MINUTE, 5 * SECOND, || office.webhook.accepted() == 60).await.unwrap();
    office.pass(&running, HOUR, MINUTE).await;
    assert_eq!(office.webhook.accepted(), 60);
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_neither_the_others_nor_the_watcher() {
    let (office, running) = office_with("[{notify: [crm, mail, slack]}]", |office| {
        // Real time, which the manual clock does not move.
        office.crm = ", timeout: 200ms".to_owned();
    })
    .await;
    office.webhook.set_mode(Mode::Hang);
    calls(&office, 10);
    office.pass(&running, 2 * MINUTE, 5 * SECOND).await;
    in_time(office.mail.wait_for(10)).await;
    in_time(office.slack.wait_for(10)).await;
    let polls = office.asked(Endpoint::Cdrs).len();
    let first = office.webhook.total();
    for _ in 0..10 {
        office.pass(&running, MINUTE, 10 * SECOND).await;
    }
    assert!(office.asked(Endpoint::Cdrs).len() >= polls + 15, "it goes on looking");
    let asked = office.webhook.total();
    assert!(asked <= first + 14, "{asked} requests, {first} of them together");

    office.webhook.set_mode(Mode::Ok);
    // The attempt under way times out in real time.
    for _ in 0..200 {
        if office.webhook.accepted() == 10 {
            break;
        }
        office.pass(&running, 10 * SECOND, 5 * SECOND).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(office.webhook.accepted(), 10);
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_gets_one_that_costs_no_attempt_and_delays_no_other() {
    let (office, running) = office("[{notify: [crm, mail]}]").await;
    let slow_down = vec![("Retry-After".to_owned(), "300".to_owned())];
    office.webhook.set_mode(Mode::StatusWith(429, slow_down, "slow down".to_owned()));
    calls(&office, 12);
    office.pass(&running, 2 * MINUTE, 5 * SECOND).await;
    in_time(office.mail.wait_for(12)).await;
    let first = office.webhook.total();
    assert!((1..=12).contains(&first), "{first}");
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    assert_eq!(office.webhook.total(), first, "it is left alone");
    assert_eq!(rows(&running, |row| row.channel == "crm" && row.attempts > 0).await, 0);
    office.webhook.set_mode(Mode::Ok);
    office.pass_until(&running, 5 * MINUTE, 10 * SECOND, || office.webhook.accepted() == 12).await.unwrap();
    assert_eq!(rows(&running, |row| row.channel == "crm" && row.attempts == 1).await, 12);
    running.stop().await;
}

#[tokio::test]
async fn a_pause_that_was_asked_for_is_kept_over_restarts_and_by_cron() {
    let (office, running) = office("[{notify: crm}]").await;
    let slow_down = vec![("Retry-After".to_owned(), "300".to_owned())];
    office.webhook.set_mode(Mode::StatusWith(429, slow_down, String::new()));
    calls(&office, 12);
    office.pass_until(&running, 2 * MINUTE, 5 * SECOND, || office.webhook.total() > 0).await.unwrap();
    office.pass(&running, SECOND, SECOND).await;
    running.kill().await;
    let first = office.webhook.total();
    for _ in 0..3 {
        office.once_after(30 * SECOND).await;
    }
    let running = office.run().await;
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    assert_eq!(office.webhook.total(), first, "it is left alone");
    office.webhook.set_mode(Mode::Ok);
    office.pass_until(&running, 2 * MINUTE, 10 * SECOND, || office.webhook.accepted() == 12).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_receiver_that_names_no_time_to_wait_is_not_asked_again_and_again() {
    let (office, running) = office("[{notify: crm}]").await;
    for (uuid, retry_after) in [("c1", "0"), ("c2", "Sun, 06 Nov 1994 08:49:37 GMT")] {
        let header = vec![("Retry-After".to_owned(), retry_after.to_owned())];
        office.webhook.set_mode(Mode::StatusWith(429, header, String::new()));
        let before = office.webhook.total();
        office.miss(uuid);
        office.pass(&running, 2 * MINUTE, SECOND).await;
        let asked = office.webhook.total() - before;
        assert!((5..=8).contains(&asked), "{retry_after}: {asked}");
        office.webhook.set_mode(Mode::Ok);
        office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    }
    assert_eq!(office.webhook.accepted(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_retry_after_with_a_503_is_kept_to_by_the_whole_channel() {
    let (office, running) = office("[{notify: crm}]").await;
    let later = vec![("Retry-After".to_owned(), "600".to_owned())];
    office.webhook.set_mode(Mode::StatusWith(503, later, String::new()));
    calls(&office, 40);
    office.pass_until(&running, 10 * MINUTE, 5 * SECOND, || office.webhook.total() > 0).await.unwrap();
    let first = office.webhook.total();
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, 9 * MINUTE + 50 * SECOND, 10 * SECOND).await;
    assert_eq!(office.webhook.total(), first);
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    assert_eq!(office.webhook.accepted(), 40);
    running.stop().await;
}

#[tokio::test]
async fn one_message_that_a_receiver_stumbles_over_keeps_none_of_the_others() {
    let (office, running) = office("[{notify: crm}]").await;
    calls(&office, 30);
    // Whichever comes first.
    office.webhook.push_mode(Mode::Status(500), 1);
    let told = office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || office.webhook.accepted() == 30).await;
    assert!(told.is_some_and(|after| after <= 2 * MINUTE), "{told:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_call_that_is_returned_after_a_failed_attempt_is_not_told_any_more() {
    let (office, running) = office("[{notify: crm}]").await;
    office.webhook.set_mode(Mode::Status(503));
    office.miss("c1");
    office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || office.webhook.total() > 0).await.unwrap();
    office.pbx.set_returned("c1", "r1");
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    let asked = office.webhook.total();
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, HOUR, MINUTE).await;
    assert_eq!((office.webhook.total(), office.webhook.accepted()), (asked, 0));
    assert_eq!(rows(&running, |row| matches!(row.state, State::Withdrawn { .. }) && row.attempts > 0).await, 1);
    running.stop().await;
}

#[tokio::test]
async fn a_call_whose_receiver_was_down_is_told_by_the_voicemail_that_its_caller_has_left_meanwhile() {
    let (office, running) = office("[{notify: crm}]").await;
    office.webhook.set_mode(Mode::Status(503));
    office.miss("u1");
    office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || office.webhook.total() > 0).await.unwrap();
    office.leave_voicemail("u1");
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, HOUR, MINUTE).await;
    running.stop().await;
    assert_eq!(office.told(), ["voicemail.new u1"]);
}

/// The rows of the calls in a digest for Slack, in words.
fn slack_lines(received: &Received) -> Vec<String> {
    let json: Value = received.json().unwrap();
    let blocks = json["blocks"].as_array().unwrap().iter();
    let sections = blocks.filter(|block| block["text"]["type"] == "mrkdwn");
    sections.flat_map(|block| block["text"]["text"].as_str().unwrap().lines().map(str::to_owned)).collect()
}

/// The text of a mail, decoded as far as these tests look at it.
fn subject(mail: &ringback::sim::smtp::Mail) -> String {
    mail.header("Subject").unwrap()
}

#[tokio::test]
async fn what_has_piled_up_while_mail_and_slack_were_down_is_told_in_one_message_that_marks_what_was_returned() {
    let (office, running) = office("[{notify: [mail, slack, crm]}]").await;
    office.slack.set_mode(Mode::Status(503));
    office.mail.fault(Stage::Mail, SmtpFault::Reply(451, "4.3.0 try again".to_owned()), usize::MAX);
    calls(&office, 15);
    office.pass(&running, 4 * MINUTE, 5 * SECOND).await;
    assert_eq!(office.webhook.accepted(), 15, "a program is told of each");
    for n in 0..15_u32 {
        let end = office.now();
        let caller_number = format!("0533{:07}", 1_000_000 + n);
        let call = SimCall::missed(format!("d{n:03}"), end, 5 * SECOND);
        office.pbx.add_call(SimCall { caller_number, ..call });
    }
    office.pass(&running, 3 * MINUTE, 5 * SECOND).await;
    office.pbx.set_returned("c003", "r1");
    office.pass(&running, 8 * MINUTE, 10 * SECOND).await;
    assert_eq!((office.slack.accepted(), office.mail.received().len()), (0, 0));

    office.slack.set_mode(Mode::Ok);
    office.mail.clear_faults();
    office.pass(&running, HOUR, 30 * SECOND).await;
    let mails = in_time(office.mail.wait_for(1)).await;
    assert!(mails.len() <= 2 && office.slack.accepted() <= 2, "{} {}", mails.len(), office.slack.accepted());
    let lines: Vec<String> = accepted(&office.slack).iter().flat_map(slack_lines).collect();
    assert!(lines.len() >= 29, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains("✓ _geri arandı_")).count(), 1, "{lines:#?}");
    assert_eq!(rows(&running, pending).await, 0);
    assert!(mails.iter().any(|mail| subject(mail).contains("=?utf-8?")), "{}", subject(&mails[0]));
    running.stop().await;
}

#[tokio::test]
async fn a_burst_is_one_digest_for_people_and_a_message_each_for_programs() {
    let (office, running) = office("[{notify: [mail, slack, crm]}]").await;
    burst(&office, 40);
    office.pass(&running, 4 * MINUTE, 10 * SECOND).await;
    in_time(office.mail.wait_for(1)).await;
    assert_eq!((office.mail.received().len(), office.slack.accepted(), office.webhook.accepted()), (1, 1, 40));
    let lines = slack_lines(&office.slack.received()[0]);
    assert_eq!(lines.len(), 40);
    assert!(lines.iter().any(|line| line.contains("<tel:+905321000000|0532 100 00 00>")), "{lines:#?}");
    assert_eq!(rows(&running, |row| matches!(row.state, State::Delivered { .. })).await, 120);
    running.stop().await;
}

#[tokio::test]
async fn what_one_digest_cannot_hold_goes_into_the_next() {
    let (office, running) = office("[{notify: slack}]").await;
    burst(&office, 90);
    office.pass(&running, 5 * MINUTE, 10 * SECOND).await;
    let digests = office.slack.received();
    assert_eq!(digests.len(), 2);
    let lines: BTreeSet<String> = digests.iter().flat_map(slack_lines).collect();
    assert_eq!(lines.len(), 90);
    running.stop().await;
}

#[tokio::test]
async fn a_digest_that_fails_is_sent_again_under_the_same_id() {
    let (office, running) = office("[{notify: mail}]").await;
    office.mail.fault(Stage::Accepted, SmtpFault::Reset, 2);
    burst(&office, 25);
    // A dialogue takes real time, which the manual clock must not outrun: what it waits for would never seem to come.
    in_time(async {
        while office.mail.received().len() < 3 {
            office.pass(&running, 5 * SECOND, 5 * SECOND).await;
            let _ = tokio::time::timeout(Duration::from_millis(20), office.mail.wait_for(3)).await;
        }
    })
    .await;
    office.pass(&running, HOUR, MINUTE).await;
    let ids: BTreeSet<String> = office.mail.received().iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    assert_eq!((ids.len(), office.mail.received().len()), (1, 3), "{ids:?}");
    assert!(ids.first().unwrap().starts_with("<dlv_"));
    running.stop().await;
}

#[tokio::test]
async fn a_digest_of_calls_that_have_all_been_returned_is_not_sent() {
    let (office, running) = office("[{notify: slack}]").await;
    office.slack.set_mode(Mode::Status(503));
    burst(&office, 25);
    office.pass_until(&running, 5 * MINUTE, 5 * SECOND, || office.slack.total() > 0).await.unwrap();
    for n in 0..25 {
        office.pbx.set_returned(&format!("c{n:03}"), "r1");
    }
    office.pass(&running, 6 * MINUTE, 10 * SECOND).await;
    office.slack.set_mode(Mode::Ok);
    office.pass(&running, HOUR, MINUTE).await;
    assert_eq!(office.slack.accepted(), 0);
    // The calls, and as many follow-ups to what nobody was told.
    assert_eq!(rows(&running, |row| matches!(row.state, State::Withdrawn { .. })).await, 50);
    assert_eq!(rows(&running, |row| row.event.is_follow_up()).await, 25);
    running.stop().await;
}

/// What digests for programs tell, by the uuids of their events.
fn digests(receiver: &HttpReceiver) -> Vec<Vec<String>> {
    let bodies = accepted(receiver).into_iter().map(|received| received.json().unwrap());
    bodies
        .filter(|body| body["type"] == "digest")
        .map(|body| {
            let events = body["data"]["events"].as_array().unwrap().iter();
            events.map(|event| event["uuid"].as_str().unwrap().to_owned()).collect()
        })
        .collect()
}

#[tokio::test]
async fn after_days_away_what_is_older_than_max_age_is_one_digest_of_each_source_on_every_channel() {
    let office = Office::new();
    office.once().await;
    office.clock.advance(3 * 24 * HOUR);
    for (n, ago) in (0..150_u32).zip((30..).map(|minutes| 26 * HOUR + minutes * 10 * MINUTE)) {
        let end = office.now().checked_sub(ago).unwrap();
        let caller_number = format!("0532{:07}", 1_000_000 + n);
        office.pbx.add_call(SimCall { caller_number, ..SimCall::missed(format!("old-{n:03}"), end, 5 * SECOND) });
    }
    let start = office.now().checked_sub(45 * HOUR).unwrap();
    office.pbx.add_voicemail(SimVoicemail::unread("old-v", start, 10 * SECOND));
    let end = office.now().checked_sub(2 * MINUTE).unwrap();
    let caller_number = "02121112233".to_owned();
    office.pbx.add_call(SimCall { caller_number, ..SimCall::missed("fresh", end, 5 * SECOND) });
    let running = office.run().await;
    office.pass(&running, 10 * MINUTE, 10 * SECOND).await;

    assert_eq!(
        uuids(accepted(&office.webhook).iter().filter(|one| one.json().unwrap()["type"] != "digest")),
        ["fresh"]
    );
    let told = digests(&office.webhook);
    assert_eq!(told[0], ["old-v"]);
    let calls: Vec<&String> = told[1..].iter().flatten().collect();
    assert_eq!(calls.len(), 150);
    assert!(calls.is_sorted_by(|earlier, later| earlier > later), "as they came: {calls:?}");
    in_time(office.mail.wait_for(3)).await;
    // The voicemails', the calls' and the fresh one; the calls do not fit into one message of Slack.
    assert_eq!((office.mail.received().len(), office.slack.accepted()), (3, 4));
    assert!(office.asked(Endpoint::VoicemailRecordingUrl).is_empty(), "a digest has no links");
    let before = office.webhook.total();
    office.pass(&running, HOUR, MINUTE).await;
    assert_eq!((office.webhook.total(), office.mail.received().len()), (before, 3), "once");
    running.stop().await;
}

#[tokio::test]
async fn a_digest_for_a_program_is_signed_like_any_message() {
    let office = Office::new();
    office.once().await;
    office.clock.advance(3 * 24 * HOUR);
    let end = office.now().checked_sub(30 * HOUR).unwrap();
    office.pbx.add_voicemail(SimVoicemail::unread("old", end, 5 * SECOND));
    office.once_after(61 * SECOND).await;
    let received = office.webhook.received();
    let header = |name| received[0].header(name).unwrap();
    let verifier = standardwebhooks::Webhook::new(crate::harness::WEBHOOK_SECRET).unwrap();
    let timestamp = header("webhook-timestamp").parse().unwrap();
    let signature = verifier.sign(header("webhook-id"), timestamp, &received[0].body).unwrap();
    assert_eq!(header("webhook-signature"), signature);
    assert_eq!(received[0].json().unwrap()["type"], "digest");
}

#[tokio::test]
async fn a_channel_with_a_max_age_tells_late_what_is_older_by_a_digest() {
    let (office, running) = office_with("[{notify: crm}]", |office| office.crm = ", max_age: 10m".to_owned()).await;
    office.webhook.set_mode(Mode::Status(503));
    calls(&office, 3);
    office.pass(&running, 20 * MINUTE, 10 * SECOND).await;
    office.miss("fresh");
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, 5 * MINUTE, 10 * SECOND).await;
    let bodies: Vec<Value> = accepted(&office.webhook).iter().map(|received| received.json().unwrap()).collect();
    let digests: Vec<&Value> = bodies.iter().filter(|body| body["type"] == "digest").collect();
    let told: usize = digests.iter().map(|body| body["data"]["events"].as_array().unwrap().len()).sum();
    assert_eq!((bodies.len() - digests.len(), told), (1, 3), "{bodies:#?}");
    assert_eq!(rows(&running, pending).await, 0);
    running.stop().await;
}
