//! What a bot does with messages and their follow-ups, and what Slack's words make of an attempt. What every channel must
//! do is in `channel::contract`.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::channel::Earlier;
use crate::channel::contract::STATUSES;
use crate::clock::Clock;
use crate::event::{DeliveryId, EventType};
use crate::message::SlackMessage;
use crate::sim::receiver::{BOT_TOKEN, CHANNEL_ID, CHANNEL_NAME, HttpReceiver, Kind, Mode};

const PATIENT: Duration = Duration::from_secs(20);
const HASTY: Duration = Duration::from_millis(400);

fn now() -> Timestamp {
    "2026-11-22T05:00:00Z".parse().unwrap()
}

fn workspace() -> HttpReceiver {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    HttpReceiver::start(Clock::manual(now()), Kind::Slack).unwrap()
}

fn config(api_url: &str, token: &str, channel: &str) -> Config {
    Config {
        bot_token: Some(Secret::new(token)),
        channel: Some(channel.to_owned()),
        api_url: Some(api_url.to_owned()),
        ..Config::default()
    }
}

fn made(config: &Config, timeout: Duration) -> Slack {
    Slack::new(config, crate::http::client(1).unwrap(), timeout).unwrap()
}

fn bot(receiver: &HttpReceiver) -> Slack {
    made(&config(&receiver.api_url(), BOT_TOKEN, CHANNEL_NAME), PATIENT)
}

fn webhook(receiver: &HttpReceiver) -> Slack {
    made(&Config { webhook_url: Some(Secret::new(receiver.url())), ..Config::default() }, PATIENT)
}

fn json_of(text: &str) -> Bytes {
    let block = json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    json!({"text": text, "blocks": [block], "unfurl_links": false, "unfurl_media": false}).to_string().into()
}

fn message(text: &str) -> Message {
    Message::Slack(json_of(text).into())
}

fn follow_up(text: &str, update: &str) -> Message {
    Message::Slack(SlackMessage { post: json_of(text), update: Some(json_of(update)), reply: None })
}

/// One attempt, and the memo that it leaves. `earlier` is that of the message before.
async fn send(slack: &Slack, message: &Message, earlier: Option<&str>) -> (Outcome, Option<String>) {
    let id = DeliveryId::derive("main", EventType::CallMissed, "c1", "any");
    let mut memo = None;
    let earlier = earlier.map(|memo| Earlier { id, memo: Some(memo), shared: false });
    let attempt = slack.send(Parcel { id, message, now: now(), earlier }, &mut memo);
    (tokio::time::timeout(2 * PATIENT, attempt).await.unwrap(), memo)
}

async fn delivered(slack: &Slack, message: &Message, earlier: Option<&str>) -> String {
    let (outcome, memo) = send(slack, message, earlier).await;
    assert_eq!(outcome, Outcome::Delivered);
    memo.unwrap()
}

fn refusal(status: u16, body: &Value) -> Mode {
    Mode::StatusWith(status, Vec::new(), body.to_string())
}

fn word(word: &str) -> Mode {
    refusal(200, &json!({"ok": false, "error": word}))
}

/// The methods that were asked, in order.
fn asked(receiver: &HttpReceiver) -> Vec<String> {
    receiver.received().iter().map(|got| got.path.rsplit('/').next().unwrap().to_owned()).collect()
}

/// Every text in the channel, a reply with the place of its thread.
fn shown(receiver: &HttpReceiver) -> Vec<String> {
    let posts = receiver.posts();
    let at = |ts: &str| posts.iter().position(|post| post.ts == ts).unwrap();
    let shown = posts.iter().map(|post| {
        let text = post.message["text"].as_str().unwrap();
        match &post.thread {
            Some(ts) => format!("under {}: {text}", at(ts)),
            None => text.to_owned(),
        }
    });
    shown.collect()
}

/// Whether it comes again, and why it was not taken.
fn judged(outcome: &Outcome) -> (bool, FailureKind, &str) {
    match outcome {
        Outcome::RetryAfter { failure, .. } => (true, failure.kind, &failure.text),
        Outcome::Permanent(failure) => (false, failure.kind, &failure.text),
        Outcome::Delivered => panic!("delivered"),
    }
}

#[tokio::test]
async fn a_bot_posts_with_its_token_and_remembers_where() {
    let slack = workspace();
    let memo = delivered(&bot(&slack), &message("a & b"), None).await;
    assert_eq!(memo, format!("{CHANNEL_ID} {}", slack.posts()[0].ts));
    let request = &slack.received()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/chat.postMessage"));
    assert_eq!(request.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {BOT_TOKEN}").as_str()));
    let body = request.json().unwrap();
    assert_eq!(body["channel"], CHANNEL_NAME);
    assert_eq!((&body["unfurl_links"], &body["unfurl_media"]), (&json!(false), &json!(false)));
    assert_eq!(body["blocks"][0]["text"]["text"], "a & b");
}

#[tokio::test]
async fn a_follow_up_changes_the_first_message_and_goes_into_its_thread() {
    let slack = workspace();
    let bot = bot(&slack);
    let first = delivered(&bot, &message("missed"), None).await;
    delivered(&bot, &message("another"), None).await;
    let reply = delivered(&bot, &follow_up("by Ayşe", "~missed~ returned"), Some(&first)).await;
    assert_eq!(shown(&slack), ["~missed~ returned", "another", "under 0: by Ayşe"]);
    assert_eq!(slack.posts()[0].message["blocks"][0]["text"]["text"], "~missed~ returned");
    let change = slack.received()[2].json().unwrap();
    assert_eq!((&change["channel"], &change["parse"]), (&json!(CHANNEL_ID), &json!("none")));
    let last = slack.received()[3].json().unwrap();
    assert!(last.get("reply_broadcast").is_none(), "the channel sees the change");
    assert_eq!(reply.split(' ').nth(2), first.split(' ').nth(1), "what follows the reply belongs into the same thread");
}

#[tokio::test]
async fn a_message_that_tells_of_others_too_is_answered_and_not_changed() {
    let slack = workspace();
    let bot = bot(&slack);
    let memo = delivered(&bot, &message("37 missed calls"), None).await;
    let id = DeliveryId::derive("main", EventType::CallReturned, "c1", "any");
    let earlier = Some(Earlier { id, memo: Some(&memo), shared: true });
    let message = follow_up("one is returned", "~missed~");
    let outcome = bot.send(Parcel { id, message: &message, now: now(), earlier }, &mut None).await;
    assert_eq!(outcome, Outcome::Delivered);
    assert_eq!(shown(&slack), ["37 missed calls", "under 0: one is returned"]);
}

#[tokio::test]
async fn what_belongs_to_an_earlier_message_stands_in_its_thread_and_is_changed_there() {
    let slack = workspace();
    let bot = bot(&slack);
    let call = delivered(&bot, &message("missed"), None).await;
    let voicemail = delivered(&bot, &message("voicemail"), Some(&call)).await;
    delivered(&bot, &follow_up("heard at 9", "~voicemail~ heard"), Some(&voicemail)).await;
    assert_eq!(shown(&slack), ["missed", "under 0: ~voicemail~ heard", "under 0: heard at 9"]);
}

#[tokio::test]
async fn a_follow_up_whose_earlier_message_is_gone_stands_alone() {
    let gone = ["message_not_found", "cant_update_message", "edit_window_closed", "msg_too_long", "channel_not_found"];
    for said in gone {
        let slack = workspace();
        let bot = bot(&slack);
        let first = delivered(&bot, &message("missed"), None).await;
        slack.push_mode(word(said), 1);
        let memo = delivered(&bot, &follow_up("returned", "~missed~"), Some(&first)).await;
        assert_eq!(shown(&slack), ["missed", "returned"], "{said}");
        assert_eq!(memo.split(' ').count(), 2, "{said}");
    }
    for said in ["thread_not_found", "cannot_reply_to_message", "restricted_action_thread_locked"] {
        let slack = workspace();
        let bot = bot(&slack);
        let first = delivered(&bot, &message("missed"), None).await;
        slack.push_mode(Mode::Ok, 1);
        slack.push_mode(word(said), 1);
        delivered(&bot, &follow_up("returned", "~missed~"), Some(&first)).await;
        assert_eq!(shown(&slack), ["~missed~", "returned"], "{said}");
    }
    let slack = workspace();
    let bot = bot(&slack);
    let first = delivered(&bot, &message("missed"), None).await;
    slack.delete_post(&slack.posts()[0].ts);
    delivered(&bot, &follow_up("returned", "~missed~"), Some(&first)).await;
    // Of a place that cannot be read, such as another version may have written.
    delivered(&bot, &follow_up("heard", "~voicemail~"), Some("?")).await;
    assert_eq!(shown(&slack), ["returned", "heard"]);
}

#[tokio::test]
async fn by_a_webhook_a_follow_up_is_a_second_message() {
    let slack = workspace();
    let webhook = webhook(&slack);
    assert_eq!(send(&webhook, &message("missed"), None).await, (Outcome::Delivered, None));
    // The channel had a bot when the first one was sent.
    let earlier = Some("C1 17.1");
    assert_eq!(send(&webhook, &follow_up("returned", "~missed~"), earlier).await, (Outcome::Delivered, None));
    let texts: Vec<Value> = slack.received().iter().map(|got| got.json().unwrap()["text"].clone()).collect();
    assert_eq!(texts, ["missed", "returned"]);
}

#[tokio::test]
async fn a_follow_up_that_is_tried_again_replies_once() {
    let slack = workspace();
    let bot = bot(&slack);
    let first = delivered(&bot, &message("missed"), None).await;
    let follow_up = follow_up("by Ayşe", "~missed~");
    for (mode, kind) in [
        (refusal(429, &json!({"ok": false, "error": "ratelimited"})), FailureKind::RateLimited),
        (word("internal_error"), FailureKind::Receiver),
        (word("token_revoked"), FailureKind::Unauthorized),
        (Mode::Reset, FailureKind::Unreachable),
    ] {
        for before in [0, 1] {
            slack.push_mode(Mode::Ok, before);
            slack.push_mode(mode.clone(), 1);
            let (outcome, memo) = send(&bot, &follow_up, Some(&first)).await;
            assert_eq!((judged(&outcome).0, judged(&outcome).1, memo), (true, kind, None));
            assert_eq!(slack.posts().len(), 1, "nothing stands alone for that");
        }
    }
    delivered(&bot, &follow_up, Some(&first)).await;
    assert_eq!(shown(&slack), ["~missed~", "under 0: by Ayşe"]);
}

#[tokio::test]
async fn one_deadline_is_over_all_requests_of_an_attempt() {
    let slack = workspace();
    let first = delivered(&bot(&slack), &message("missed"), None).await;
    let hasty = made(&config(&slack.api_url(), BOT_TOKEN, CHANNEL_NAME), HASTY);
    slack.set_mode(Mode::Slow(HASTY * 2 / 3));
    let (outcome, _) = send(&hasty, &follow_up("returned", "~missed~"), Some(&first)).await;
    assert_eq!((judged(&outcome).0, judged(&outcome).1), (true, FailureKind::Timeout));
    slack.set_mode(Mode::Hang);
    assert_eq!(hasty.check().await.unwrap_err().kind, FailureKind::Timeout);
}

#[tokio::test]
async fn a_message_whose_blocks_are_refused_goes_out_as_its_text_once_more_and_no_further() {
    for word in ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "invalid_arguments"] {
        let refused = [
            refusal(200, &json!({"ok": false, "error": word})),
            Mode::StatusWith(400, Vec::new(), format!("{word}\n")),
        ];
        for (mode, by_bot) in refused.into_iter().zip([true, false]) {
            let slack = workspace();
            let channel = if by_bot { bot(&slack) } else { webhook(&slack) };
            slack.push_mode(mode.clone(), 1);
            assert_eq!(send(&channel, &message("missed"), None).await.0, Outcome::Delivered, "{word}");
            let bodies: Vec<Value> = slack.received().iter().map(|got| got.json().unwrap()).collect();
            assert_eq!(bodies.len(), 2);
            assert!(bodies[0].get("blocks").is_some() && bodies[1].get("blocks").is_none(), "{bodies:?}");
            assert_eq!(bodies[0]["text"], bodies[1]["text"]);
            assert_eq!(bodies[1]["unfurl_links"], false);

            slack.set_mode(mode);
            let (outcome, _) = send(&channel, &message("missed"), None).await;
            assert_eq!((judged(&outcome).0, judged(&outcome).1), (false, FailureKind::Rejected), "{outcome:?}");
            assert!(judged(&outcome).2.contains(word));
            assert_eq!(slack.total(), 4);
            let bare = Message::Slack(Bytes::from_static(b"{\"text\":\"x\"}").into());
            assert!(matches!(send(&channel, &bare, None).await.0, Outcome::Permanent(_)));
            assert_eq!(slack.total(), 5, "there was nothing to leave out");
        }
    }
}

#[tokio::test]
async fn a_change_whose_blocks_are_refused_takes_the_old_blocks_away() {
    let slack = workspace();
    let bot = bot(&slack);
    let first = delivered(&bot, &message("missed"), None).await;
    slack.push_mode(word("invalid_blocks"), 1);
    delivered(&bot, &follow_up("by Ayşe", "~missed~"), Some(&first)).await;
    assert_eq!(slack.posts()[0].message, json!({"text": "~missed~", "blocks": []}));
    assert_eq!(asked(&slack)[1..], ["chat.update", "chat.update", "chat.postMessage"]);
}

#[tokio::test]
async fn each_word_of_the_web_api_has_its_outcome() {
    use FailureKind::{RateLimited, Receiver, Rejected, Unauthorized};
    let table = [
        ("ratelimited", RateLimited, true, ""),
        ("message_limit_exceeded", RateLimited, true, ""),
        ("internal_error", Receiver, true, ""),
        ("fatal_error", Receiver, true, ""),
        ("service_unavailable", Receiver, true, ""),
        ("request_timeout", Receiver, true, ""),
        ("team_added_to_org", Receiver, true, ""),
        ("invalid_auth", Unauthorized, true, "; hint: copy the Bot User OAuth Token"),
        ("token_revoked", Unauthorized, true, "; hint: copy the Bot User OAuth Token"),
        ("account_inactive", Unauthorized, true, "; hint: copy the Bot User OAuth Token"),
        ("missing_scope", Unauthorized, true, "; hint: give the app the scope"),
        ("org_login_required", Unauthorized, true, ""),
        ("not_in_channel", Unauthorized, true, "; hint: invite the bot"),
        ("channel_not_found", Unauthorized, true, "; hint: compare `channel`"),
        ("is_archived", Unauthorized, true, "; hint: name another"),
        ("restricted_action", Unauthorized, true, ""),
        ("ekm_access_denied", Unauthorized, true, ""),
        ("msg_too_long", Rejected, false, ""),
        ("no_text", Rejected, false, ""),
        ("too_many_attachments", Rejected, false, ""),
        ("cannot_reply_to_message", Rejected, false, ""),
        ("some_new_word", Receiver, true, "some_new_word"),
    ];
    let slack = workspace();
    let bot = bot(&slack);
    for (said, kind, comes_again, part) in table {
        slack.set_mode(word(said));
        let (outcome, memo) = send(&bot, &message("missed"), None).await;
        let (again, found, text) = judged(&outcome);
        assert_eq!((found, again), (kind, comes_again), "{said}");
        assert!(text.contains(said) && text.contains(part), "{text}");
        assert_eq!(memo, None);
    }
    let missing = json!({"ok": false, "error": "missing_scope", "needed": "chat:write", "provided": "users:read"});
    slack.set_mode(refusal(200, &missing));
    let (outcome, _) = send(&bot, &message("missed"), None).await;
    assert!(judged(&outcome).2.starts_with("Slack answers: missing_scope (needed: chat:write); hint: "), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_slacks_is_no_yes_and_no_end() {
    let slack = workspace();
    let bot = bot(&slack);
    for body in ["<!DOCTYPE html><html>Please log in to the network</html>", "ok", "", "{}", "[true]", "{\"ok\": 1}"] {
        slack.set_mode(Mode::StatusWith(200, Vec::new(), body.to_owned()));
        let (outcome, _) = send(&bot, &message("missed"), None).await;
        assert_eq!((judged(&outcome).0, judged(&outcome).1), (true, FailureKind::Receiver), "{body}");
    }
    for (status, kind, comes_again) in STATUSES {
        slack.set_mode(Mode::StatusWith(status, Vec::new(), String::new()));
        let (outcome, _) = send(&bot, &message("missed"), None).await;
        let (again, found, _) = judged(&outcome);
        let expected = kind.map_or((FailureKind::Receiver, true), |kind| (kind, comes_again));
        assert_eq!((found, again), expected, "{status}");
    }
}

#[tokio::test]
async fn the_pause_that_slack_asks_for_is_read_from_the_header_or_the_answer() {
    let slack = workspace();
    let body = json!({"ok": false, "error": "ratelimited", "retry_after": 7});
    for channel in [bot(&slack), webhook(&slack)] {
        for (status, header, expected) in
            [(429, Some("30"), Some(30)), (429, None, Some(7)), (200, None, Some(7)), (503, Some("5"), Some(5))]
        {
            let headers = header.map(|text| ("Retry-After".to_owned(), text.to_owned())).into_iter().collect();
            slack.set_mode(Mode::StatusWith(status, headers, body.to_string()));
            let Outcome::RetryAfter { failure, wait } = send(&channel, &message("x"), None).await.0 else { panic!() };
            assert_eq!((failure.kind, wait), (FailureKind::RateLimited, expected.map(Duration::from_secs)), "{status}");
        }
    }
}

#[tokio::test]
async fn no_piece_of_the_token_is_in_an_outcome() {
    let slack = workspace();
    let config = config(&slack.api_url(), BOT_TOKEN, CHANNEL_ID);
    assert!(!format!("{config:?}").contains("xoxb"));
    let bot = made(&config, PATIENT);
    for said in [format!("you sent {BOT_TOKEN}"), BOT_TOKEN[12..].to_owned(), format!("{{\"error\": \"{BOT_TOKEN}\"}}")]
    {
        for status in [200, 400, 401, 500] {
            slack.set_mode(Mode::StatusWith(status, Vec::new(), said.clone()));
            let (outcome, _) = send(&bot, &message("missed"), None).await;
            let text = judged(&outcome).2;
            assert!(text.contains("***") && !text.contains(&BOT_TOKEN[12..]) && !text.contains("xoxb-2"), "{text}");
            let failure = bot.check().await.unwrap_err();
            assert!(!failure.text.contains(&BOT_TOKEN[12..]), "{}", failure.text);
        }
    }
}

#[tokio::test]
async fn a_check_posts_nothing_and_tells_what_a_person_must_mend() {
    let slack = workspace();
    let by = |token: &str, channel: &str| made(&config(&slack.api_url(), token, channel), PATIENT);
    assert_eq!(by(BOT_TOKEN, CHANNEL_ID).check().await, Ok(None));
    assert_eq!(asked(&slack), ["auth.test", &format!("conversations.info?channel={CHANNEL_ID}")]);
    let remark = by(BOT_TOKEN, CHANNEL_NAME).check().await.unwrap().unwrap();
    assert!(remark.contains("Slack tells that of an id (C0123456789) only"), "{remark}");
    let failure = by("xoxb-wrong", CHANNEL_ID).check().await.unwrap_err();
    assert!(failure.kind == FailureKind::Unauthorized && failure.text.contains("invalid_auth"), "{failure:?}");
    let remark = by(BOT_TOKEN, "C0123456789").check().await.unwrap().unwrap();
    assert!(remark.contains("or a private one"), "{remark}");

    let answer = |scopes: &str, body: Value| {
        Mode::StatusWith(200, vec![("X-OAuth-Scopes".to_owned(), scopes.to_owned())], body.to_string())
    };
    let yes = json!({"ok": true});
    let channel = |more: Value| json!({"ok": true, "channel": more});
    let no = |word: &str| json!({"ok": false, "error": word});
    let bot = by(BOT_TOKEN, CHANNEL_ID);
    for (scopes, info, part) in [
        ("users:read", None, Err("the token may not write")),
        ("chat:write", Some(no("missing_scope")), Ok("no scope `channels:read`")),
        ("chat:write, groups:read", Some(no("channel_not_found")), Err("channel_not_found; hint: compare `channel`")),
        ("chat:write", Some(channel(json!({"is_archived": true}))), Err("archived")),
        ("chat:write", Some(channel(json!({"is_member": false}))), Err("/invite")),
        ("chat:write", Some(no("internal_error")), Err("internal_error")),
    ] {
        slack.push_mode(answer(scopes, yes.clone()), 1);
        if let Some(info) = info {
            slack.push_mode(answer(scopes, info), 1);
        }
        match (bot.check().await, part) {
            (Ok(Some(text)), Ok(part)) => assert!(text.contains(part), "{text}"),
            (Err(failure), Err(part)) => assert!(failure.text.contains(part), "{}", failure.text),
            (found, part) => panic!("{found:?}, not {part:?}"),
        }
    }
    slack.push_mode(answer("chat:write,chat:write.public", yes), 1);
    slack.push_mode(answer("chat:write", channel(json!({"is_member": false}))), 1);
    assert_eq!(bot.check().await, Ok(None), "it need not be in a public channel then");
    assert!(slack.posts().is_empty());
}
