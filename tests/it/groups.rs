//! Repeated calls of one caller are one message on each channel, and none of them is lost on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use ringback::config;
use ringback::outbox::{Delivery, State};
use ringback::sim::pbx::{Direction, MarksRead, PbxOptions, SimCall, SimVoicemail};
use ringback::sim::receiver::{BOT_TOKEN, CHANNEL_ID, Mode, Received};
use serde_json::Value;

use crate::harness::{Office, Running};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const GROUPED: &str = "[{notify: [mail, slack, crm], group: {by: caller, wait: 2m}}]";

/// An office that has been watched since before anything happened, and that announces a call as soon as it is seen.
async fn office(routes: &str) -> (Office, Running) {
    office_with(routes, |_| {}).await
}

async fn office_with(routes: &str, change: impl FnOnce(&mut Office)) -> (Office, Running) {
    let mut office = Office::with(PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() });
    routes.clone_into(&mut office.routes);
    "grace: 0s, every: 10s".clone_into(&mut office.missed_calls);
    ", limits: {cdrs: 60, voicemails: 60}".clone_into(&mut office.account);
    change(&mut office);
    office.once().await;
    let running = run(&office).await;
    office.pass(&running, 30 * SECOND, 10 * SECOND).await;
    (office, running)
}

/// With a bot instead of the webhook of Slack, and mail that is followed up too.
async fn run(office: &Office) -> Running {
    let webhook = format!("webhook_url: '{}'", office.slack.url());
    let bot = format!("bot_token: '{BOT_TOKEN}', channel: '{CHANNEL_ID}', api_url: '{}'", office.slack.api_url());
    let yaml = office.yaml().replace(&webhook, &bot);
    let yaml = yaml.replace("to: ofis@example.com", "to: ofis@example.com\n    follow_up: true");
    let config = config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}"));
    office.run_with(&config).await
}

async fn pass(office: &Office, running: &Running, time: Duration) {
    office.pass(running, time, 10 * SECOND).await;
}

fn call_of(office: &Office, uuid: &str, caller: &str) {
    let call = SimCall::missed(uuid, office.now(), 5 * SECOND);
    office.pbx.add_call(SimCall { caller_number: caller.to_owned(), ..call });
}

fn accepted(office: &Office) -> Vec<Received> {
    office.webhook.received().into_iter().filter(|received| received.answered == 200).collect()
}

/// Type, uuid and count of each message that the webhook took, in their order.
fn told(office: &Office) -> Vec<String> {
    let told = accepted(office).into_iter().map(|received| {
        let body = received.json().unwrap();
        let data = &body["data"];
        assert_eq!(
            data["calls"].as_array().unwrap().len(),
            usize::try_from(data["attempts"].as_u64().unwrap()).unwrap()
        );
        format!("{} {} {}", body["type"].as_str().unwrap(), data["uuid"].as_str().unwrap(), data["attempts"])
    });
    told.collect()
}

fn subjects(office: &Office) -> Vec<String> {
    let decode = |mail: &ringback::sim::smtp::Mail| {
        String::from_utf8_lossy(&mail.data).split("\r\n\r\n").next().unwrap_or_default().to_owned()
    };
    office.mail.received().iter().map(decode).collect()
}

async fn rows(running: &Running) -> Vec<Delivery> {
    running.store().list(&|_| true).await.unwrap()
}

#[tokio::test]
async fn three_calls_of_one_caller_within_the_window_are_one_message_on_each_channel() {
    let (office, running) = office(GROUPED).await;
    for uuid in ["c1", "c2", "c3"] {
        office.miss(uuid);
        pass(&office, &running, 30 * SECOND).await;
    }
    assert_eq!(told(&office), Vec::<String>::new(), "the window is open");
    pass(&office, &running, 2 * MINUTE).await;
    assert_eq!(told(&office), ["call.missed c3 3"]);
    let posts = office.slack.posts();
    assert_eq!(posts.len(), 1);
    let text = posts[0].message["text"].as_str().unwrap();
    assert!(text.starts_with("Cevapsız çağrı (3 kez): "), "{text}");
    let blocks = posts[0].message["blocks"].to_string();
    assert!(blocks.contains("*3 arama*\\n08:00, 08:00, 08:01"), "{blocks}");
    assert_eq!(subjects(&office).len(), 1);
    let rows = rows(&running).await;
    assert!(rows.len() == 9 && rows.iter().all(|row| matches!(row.state, State::Delivered { .. })), "{rows:?}");
    running.stop().await;
}

#[tokio::test]
async fn callers_who_withhold_their_number_are_not_one_person_and_wait_for_nobody() {
    let (office, running) = office(GROUPED).await;
    call_of(&office, "c1", "anonymous");
    call_of(&office, "c2", "anonymous");
    call_of(&office, "c3", "0532 111 22 33");
    call_of(&office, "c4", "905321112233");
    let two = || office.webhook.accepted() == 2;
    assert!(office.pass_until(&running, MINUTE, 10 * SECOND, two).await.is_some(), "{:?}", told(&office));
    let mut at_once = told(&office);
    at_once.sort_unstable();
    assert_eq!(at_once, ["call.missed c1 1", "call.missed c2 1"]);
    pass(&office, &running, 3 * MINUTE).await;
    assert_eq!(told(&office).len(), 3);
    assert!(told(&office)[2].ends_with(" 2"), "one number in two notations: {:?}", told(&office));
    running.stop().await;
}

#[tokio::test]
async fn a_voicemail_of_the_caller_ends_the_window_and_speaks_for_its_own_call() {
    let (office, running) = office(&GROUPED.replace("2m", "30m")).await;
    for uuid in ["c1", "c2", "c3"] {
        office.miss(uuid);
        pass(&office, &running, 20 * SECOND).await;
    }
    call_of(&office, "other", "05321112233");
    pass(&office, &running, 20 * SECOND).await;
    assert_eq!(told(&office), Vec::<String>::new());
    let length = 12 * SECOND;
    let start = office.now().checked_sub(length).unwrap();
    office.pbx.add_voicemail(SimVoicemail::unread("c3", start, length));
    pass(&office, &running, 2 * MINUTE).await;
    let mut told = told(&office);
    told.sort_unstable();
    assert_eq!(told, ["call.missed c2 2", "voicemail.new c3 1"], "and nobody else's window");
    running.stop().await;
}

#[tokio::test]
async fn a_further_call_after_the_message_follows_it_and_the_return_of_all_is_told_once() {
    let (office, running) = office(GROUPED).await;
    office.miss("c1");
    office.miss("c2");
    pass(&office, &running, 3 * MINUTE).await;
    office.miss("c3");
    pass(&office, &running, 3 * MINUTE).await;
    assert_eq!(told(&office), ["call.missed c2 2", "call.missed c3 3"]);
    let posts = office.slack.posts();
    assert_eq!((posts.len(), posts[0].changes), (2, 1));
    let first = posts[0].message["text"].as_str().unwrap();
    assert!(first.starts_with("Cevapsız çağrı (3 kez): "), "{first}");
    assert_eq!(posts[1].thread.as_ref(), Some(&posts[0].ts));
    let reply = posts[1].message["text"].as_str().unwrap();
    assert!(reply.starts_with("Yeniden aradı: "), "{reply}");
    let mails = office.mail.received();
    assert_eq!(mails.len(), 2);
    let message_id = mails[0].header("Message-ID").unwrap();
    assert_eq!(mails[1].header("In-Reply-To"), Some(message_id.clone()));
    // Everything is returned by one call back.
    let back = SimCall::answered("r1", office.now(), 30 * SECOND);
    office.pbx.add_call(SimCall {
        direction: Direction::Outbound,
        caller_number: "1014 (902129876543)".into(),
        destination_number: "03121234567".into(),
        ..back
    });
    office.pbx.set_returned("c3", "r1");
    pass(&office, &running, 3 * MINUTE).await;
    assert_eq!(told(&office)[2..], ["call.returned c3 3"]);
    let posts = office.slack.posts();
    let (first, last) = (&posts[0], &posts[2]);
    assert_eq!((posts.len(), first.changes, last.thread.as_ref()), (3, 2, Some(&first.ts)));
    assert!(first.message["text"].as_str().unwrap().starts_with("Geri arandı: "), "{first:?}");
    let mails = office.mail.received();
    assert_eq!((mails.len(), mails[2].header("In-Reply-To")), (3, Some(message_id)));
    running.stop().await;
}

#[tokio::test]
async fn what_was_tried_stays_what_it_was_and_a_call_that_comes_in_between_is_told_by_itself() {
    let grouped = GROUPED.replace("mail, slack, crm", "crm");
    let retry = |office: &mut Office| ", retry: {initial: 4m, jitter: 0}".clone_into(&mut office.crm);
    let (office, running) = office_with(&grouped, retry).await;
    office.webhook.push_mode(Mode::Status(503), 1);
    office.miss("c1");
    office.miss("c2");
    assert!(office.pass_until(&running, 4 * MINUTE, 10 * SECOND, || office.webhook.total() == 1).await.is_some());
    office.miss("c3");
    pass(&office, &running, 8 * MINUTE).await;
    let mut all = told(&office);
    all.sort_unstable();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].starts_with("call.missed c2 2") && all[1].starts_with("call.missed c3 "), "{all:?}");
    let received = office.webhook.received();
    let again = received.iter().filter(|one| one.json().unwrap()["data"]["uuid"] == "c2");
    let ids: Vec<_> = again.map(|one| one.header("webhook-id").unwrap().to_owned()).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_window_stays_open_over_a_kill_and_what_was_sent_before_one_keeps_its_id() {
    let (office, running) = office(&GROUPED.replace("mail, slack, crm", "crm")).await;
    office.miss("c1");
    pass(&office, &running, 30 * SECOND).await;
    running.kill().await;
    let running = run(&office).await;
    office.miss("c2");
    let sent = || office.webhook.total() > 0;
    assert!(office.pass_until(&running, 3 * MINUTE, 10 * SECOND, sent).await.is_some());
    running.kill().await;
    let running = run(&office).await;
    pass(&office, &running, 5 * MINUTE).await;
    let ids: BTreeSet<_> = accepted(&office).iter().map(|one| one.header("webhook-id").unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 1);
    assert!(told(&office).iter().all(|message| message == "call.missed c2 2"), "{:?}", told(&office));
    assert!(rows(&running).await.iter().all(|row| matches!(row.state, State::Delivered { .. })));
    running.stop().await;
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[tokio::test]
async fn grouping_loses_no_call_whatever_happens_on_the_way() {
    for seed in 0..6 {
        let mut dice = Dice(seed);
        let (office, mut running) = office(&GROUPED.replace("mail, slack, crm", "crm")).await;
        let mut began: Vec<(String, Timestamp)> = Vec::new();
        for n in 0..24 {
            match dice.below(8) {
                0 => office.webhook.push_mode(Mode::Status(503), 2),
                1 => {
                    running.kill().await;
                    running = run(&office).await;
                }
                _ => {
                    let caller = format!("0532111223{}", dice.below(3));
                    let uuid = format!("c{n}");
                    call_of(&office, &uuid, &caller);
                    began.push((uuid, office.now().checked_sub(5 * SECOND).unwrap()));
                }
            }
            pass(&office, &running, Duration::from_secs(10 * dice.below(12))).await;
        }
        pass(&office, &running, 20 * MINUTE).await;
        let bodies: Vec<Value> = accepted(&office).iter().map(|one| one.json().unwrap()).collect();
        for (uuid, at) in &began {
            let at = format!("{at:.0}");
            let tells = |body: &Value| body["data"]["calls"].as_array().unwrap().iter().any(|call| *call == at);
            assert!(bodies.iter().any(tells), "{uuid} of {at} is not told, seed {seed}");
        }
        let rows = rows(&running).await;
        assert_eq!(rows.len(), began.len(), "each call has a row of its own, seed {seed}");
        assert!(rows.iter().all(|row| matches!(row.state, State::Delivered { .. })), "seed {seed}: {rows:?}");
        let messages: BTreeSet<_> = rows.iter().map(Delivery::message_id).collect();
        assert!(messages.len() < rows.len(), "some were told together, seed {seed}");
        running.stop().await;
    }
}
