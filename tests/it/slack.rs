//! Slack takes what it is sent, whatever callers call themselves, by a webhook and as a bot.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringback::channel::slack::{Config, Slack};
use ringback::channel::{Channel as _, Earlier, Parcel};
use ringback::clock::Clock;
use ringback::config;
use ringback::event::{DeliveryId, EventType};
use ringback::message::{ChannelType, Locale, Message, SlackMessage};
use ringback::outbox::Outcome;
use ringback::private::Secret;
use ringback::render::{Facts, InDigest, Look, Recording, Renderer, samples};
use ringback::sim::pbx::{MarksRead, PbxOptions, SimCall};
use ringback::sim::receiver::{BOT_TOKEN, CHANNEL_ID, CHANNEL_NAME};
use serde_json::Value;

use crate::binary::{Ended, LIMIT, configure, start};
use crate::harness::{MORNING, Office};

fn now() -> Timestamp {
    MORNING.parse().unwrap()
}

/// Every kind of message, with every sample of an event.
pub(crate) fn every_message() -> Vec<SlackMessage> {
    let renderer = Renderer::new(None, TimeZone::get("Europe/Istanbul").unwrap()).unwrap();
    let url = Secret::new(format!("https://recordings.example/R1?a=b&c=<d>|e*f_{}", "x".repeat(1_900)));
    let ways = [Recording::None, Recording::Elsewhere, Recording::Link { url, expires_at: now() }];
    let mut messages = Vec::new();
    let mut keep = |message: Message, failure: Option<String>| {
        assert_eq!(failure, None);
        let Message::Slack(message) = message else { panic!("not for Slack") };
        messages.push(message);
    };
    for (locale, mask_numbers) in Locale::ALL.into_iter().zip([false, true]) {
        let look = Look { mask_numbers, ..Look::new(ChannelType::Slack, locale) };
        let mut events = Vec::new();
        for event_type in EventType::ALL {
            for (_, event) in samples::all(event_type, now()) {
                for (recording, test) in ways.iter().zip([false, true, false]) {
                    let (waited, recording) = (samples::waited(event_type), recording.clone());
                    let repeated = test.then(|| samples::repeated(&event));
                    let facts = Facts { event: &event, event_type, recording, test, waited, repeated, page: None };
                    let rendered = renderer.render(&look, &facts);
                    keep(rendered.message, rendered.failure);
                }
                events.push((event, event_type));
            }
        }
        let rows: Vec<InDigest<'_>> = events
            .iter()
            .map(|(event, event_type)| InDigest { event, event_type: *event_type, settled: None })
            .collect();
        let digest = renderer.digest(&look, &rows);
        keep(digest.message, digest.failure);
    }
    messages
}

#[tokio::test]
async fn every_message_is_taken_as_it_is_by_a_webhook_and_from_a_bot() {
    let office = Office::new();
    let bot = Config {
        bot_token: Some(Secret::new(BOT_TOKEN)),
        channel: Some(CHANNEL_ID.to_owned()),
        api_url: Some(office.slack.api_url()),
        ..Config::default()
    };
    let webhook = Config { webhook_url: Some(Secret::new(office.slack.url())), ..Config::default() };
    let messages = every_message();
    let changes = messages.iter().filter(|message| message.update.is_some()).count();
    for config in [bot, webhook] {
        let client = ringback::http::client(1).unwrap();
        let channel = Slack::new(&config, client, Duration::from_secs(20)).unwrap();
        let mut first = None;
        for message in &messages {
            let id = DeliveryId::derive("main", EventType::CallMissed, "c1", "slack");
            let earlier = message.update.as_ref().and(first.as_deref());
            let earlier = earlier.map(|memo| Earlier { id, memo: Some(memo), shared: false });
            let (message, mut memo) = (Message::Slack(message.clone()), None);
            let parcel = Parcel { id, message: &message, now: now(), earlier };
            assert_eq!(channel.send(parcel, &mut memo).await, Outcome::Delivered);
            first = first.or(memo);
        }
    }
    let requests = 2 * messages.len() + changes;
    assert_eq!(office.slack.total(), requests, "none went out a second time without its blocks");
    let posts = office.slack.posts();
    assert_eq!((posts.len(), posts[0].changes), (messages.len(), changes));
    assert!(messages.len() > 200 && changes > 50, "{} {changes}", messages.len());
}

/// The office's configuration with a bot instead of the webhook.
fn yaml_of_bot(office: &Office, channel: &str) -> String {
    let webhook = format!("webhook_url: '{}'", office.slack.url());
    let bot = format!("bot_token: '{BOT_TOKEN}', channel: '{channel}', api_url: '{}'", office.slack.api_url());
    let yaml = office.yaml();
    assert!(yaml.contains(&webhook));
    yaml.replace(&webhook, &bot)
}

fn with_bot(mut office: Office, channel: &str) -> Office {
    "grace: 0s".clone_into(&mut office.missed_calls);
    configure(office.folder.path(), &yaml_of_bot(&office, channel));
    office
}

#[tokio::test]
async fn a_bots_message_is_struck_through_when_the_call_is_returned_and_the_voicemail_heard() {
    let office = Office::with(PbxOptions { marks_read: MarksRead::Never, ..PbxOptions::default() });
    let yaml = yaml_of_bot(&office, CHANNEL_NAME);
    let config = config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None).unwrap();
    let running = office.run_with(&config).await;
    office.miss("c1");
    office.leave_voicemail("v1");
    office.pass(&running, 3 * MINUTE, MINUTE / 6).await;
    let before = texts(&office);
    assert_eq!(before.len(), 2, "{before:?}");
    office.pbx.set_returned("c1", "r1");
    office.pbx.mark_read("v1");
    office.pass(&running, 15 * MINUTE, MINUTE / 2).await;
    running.stop().await;
    let posts = office.slack.posts();
    assert_eq!(posts.len(), 4, "{:?}", texts(&office));
    let (first, replies) = posts.split_at(2);
    for post in first {
        let text = live_text(&post.message);
        assert!(post.changes == 1 && post.thread.is_none() && text.matches('~').count() == 2, "{text}");
    }
    let threads: Vec<&str> = replies.iter().map(|post| post.thread.as_deref().unwrap()).collect();
    assert!(first.iter().all(|post| threads.contains(&post.ts.as_str())), "{threads:?}");
}

const MINUTE: Duration = Duration::from_secs(60);

/// The notification texts of what stands in the channel.
fn texts(office: &Office) -> Vec<String> {
    office.slack.posts().iter().map(|post| post.message["text"].as_str().unwrap().to_owned()).collect()
}

fn ask(office: &Office, arguments: &[&str]) -> Ended {
    start(office.folder.path(), arguments, &[]).end(LIMIT)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_caller_reaches_the_channel_of_a_bot_as_text() {
    let office = with_bot(Office::on(Clock::system(), PbxOptions::default()), CHANNEL_NAME);
    let mut names: Vec<String> = samples::HOSTILE_NAMES.map(str::to_owned).into();
    names.push("<!channel>".repeat(400));
    for (n, name) in names.iter().enumerate() {
        let mut call = SimCall::missed(format!("c{n}"), office.now(), Duration::from_secs(20));
        call.caller_name = Some(name.clone());
        // Each of them another caller, lest one that calls again settles the matter of the first.
        call.caller_number = format!("0312{n:07}");
        office.pbx.add_call(call);
    }
    let ended = ask(&office, &["once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let posts = office.slack.posts();
    assert_eq!(posts.len(), names.len());
    assert_eq!(office.slack.total(), names.len(), "each was taken at once");
    for post in posts {
        let shown = post.message.to_string();
        // The simulator takes no live mention of a group; of a person neither.
        assert!(!live_text(&post.message).contains("<@") && !shown.contains("49"), "{shown}");
    }
}

/// What Slack would look for mentions and links in.
fn live_text(value: &Value) -> String {
    match value {
        Value::Object(map) if map.get("type").is_some_and(|kind| kind == "plain_text") => String::new(),
        Value::Object(map) => map.values().map(live_text).collect(),
        Value::Array(list) => list.iter().map(live_text).collect(),
        Value::String(text) => text.clone(),
        _ => String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bots_channel_is_rendered_and_tested_like_every_other() {
    let office = with_bot(Office::on(Clock::system(), PbxOptions::default()), CHANNEL_ID);
    let ended = ask(&office, &["render", "slack"]);
    let message: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &message["channel"]), (Some(0), &CHANNEL_ID.into()), "{}", ended.stderr);
    assert!(message["text"].is_string() && message["blocks"].is_array(), "{message}");
    assert_eq!(office.slack.total(), 0);
    let ended = ask(&office, &["send-test", "slack", "--event", "voicemail.new"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "slack: delivered\n"), "{}", ended.stderr);
    let posts = office.slack.posts();
    assert!(posts.len() == 1 && posts[0].message["text"].as_str().unwrap().starts_with("DENEME: "), "{posts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_whose_blocks_slack_refuses_costs_the_blocks_and_is_told_once() {
    let office = with_bot(Office::on(Clock::system(), PbxOptions::default()), CHANNEL_ID);
    let folder = office.folder.path();
    let template = folder.join("templates/tr/slack/call.missed.json.hbs");
    std::fs::create_dir_all(template.parent().unwrap()).unwrap();
    let text = r#"{"text": "Arayan: {{mrkdwn who}}", "blocks": [{"type": "headline", "text": "{{who}}"}]}"#;
    std::fs::write(template, text).unwrap();
    let yaml = std::fs::read_to_string(folder.join("config.yaml")).unwrap();
    configure(folder, &format!("templates: templates\n{yaml}"));
    for n in 0..3 {
        let mut call = SimCall::missed(format!("c{n}"), office.now(), Duration::from_secs(20));
        call.caller_number = format!("0312123456{n}");
        office.pbx.add_call(call);
    }
    let ended = ask(&office, &["once"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let posts = office.slack.posts();
    assert_eq!((posts.len(), office.slack.total()), (3, 6));
    assert!(posts.iter().all(|post| post.message["text"].is_string() && post.message.get("blocks").is_none()));
    let told: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("Slack refused the blocks")).collect();
    assert_eq!(told.len(), 1, "{}", ended.stderr);
    for part in ["WARN", "dlv_", "invalid_blocks", "hint: "] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
}
