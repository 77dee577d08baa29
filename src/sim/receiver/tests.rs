use jiff::Timestamp;

use super::*;
use crate::http::{Answer as Heard, HttpError, client, exchange};
use crate::outbox::FailureKind;

const PATIENCE: Duration = Duration::from_secs(20);

fn start(kind: Kind) -> (Clock, HttpReceiver) {
    let clock = Clock::manual(Timestamp::from_second(1_700_000_000).unwrap());
    (clock.clone(), HttpReceiver::start(clock, kind).unwrap())
}

async fn post_within(receiver: &HttpReceiver, body: &str, timeout: Duration) -> Result<Heard, HttpError> {
    let request = client(1).unwrap().post(receiver.url()).header("X-Test", "a b").body(body.to_owned());
    exchange(request, 64 * 1024, timeout).await
}

async fn post(receiver: &HttpReceiver, body: &str) -> Result<Heard, HttpError> {
    post_within(receiver, body, PATIENCE).await
}

async fn status(receiver: &HttpReceiver, body: &str) -> u16 {
    post(receiver, body).await.unwrap().status.as_u16()
}

#[tokio::test]
async fn what_was_sent_is_what_is_kept() {
    let (clock, receiver) = start(Kind::Plain);
    clock.advance(Duration::from_secs(7));
    assert_eq!(status(&receiver, r#"{"a": "ğ"}"#).await, 200);
    let arrivals = receiver.wait_for(1).await;
    assert_eq!((arrivals[0].method.as_str(), arrivals[0].path.as_str()), ("POST", "/hook"));
    assert_eq!((arrivals[0].header("x-test"), arrivals[0].answered), (Some("a b"), 200));
    assert_eq!(arrivals[0].json().unwrap(), json!({"a": "ğ"}));
    assert_eq!(arrivals[0].at.tick, Duration::from_secs(7));
}

#[tokio::test]
async fn pushed_modes_come_first_and_only_accepted_messages_are_waited_for() {
    let (_, receiver) = start(Kind::Plain);
    receiver.set_mode(Mode::Status(201));
    let headers = vec![("Retry-After".to_owned(), "3".to_owned())];
    receiver.push_mode(Mode::StatusWith(429, headers, "slowly".into()), 1);
    receiver.push_mode(Mode::Status(503), 2);
    let refused = post(&receiver, "1").await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.text_lossy().as_str()), (429, "slowly"));
    assert_eq!(refused.headers["retry-after"], "3");
    assert_eq!([status(&receiver, "2").await, status(&receiver, "3").await], [503, 503]);
    assert_eq!(status(&receiver, "4").await, 201);
    let accepted = receiver.wait_for(1).await;
    assert_eq!(accepted.iter().map(|one| &one.body[..]).collect::<Vec<_>>(), [b"4"]);
    assert_eq!(
        receiver.wait_for_total(4).await.iter().map(|one| one.answered).collect::<Vec<_>>(),
        [429, 503, 503, 201]
    );
}

#[tokio::test]
async fn a_waiter_is_woken_by_the_message_that_it_waits_for() {
    let (_, receiver) = start(Kind::Plain);
    let (arrivals, _) = tokio::join!(receiver.wait_for(1), post(&receiver, "x"));
    assert_eq!(arrivals.len(), 1);
}

#[tokio::test]
async fn a_reset_and_bytes_that_are_not_http_are_no_answer() {
    let (_, receiver) = start(Kind::Plain);
    for mode in [Mode::Reset, Mode::Garbage] {
        receiver.push_mode(mode, 1);
        assert_eq!(post(&receiver, "x").await.unwrap_err().kind, FailureKind::Unreachable);
    }
    assert_eq!((receiver.total(), receiver.accepted()), (2, 0));
}

#[tokio::test]
async fn a_hanging_and_a_dripping_answer_outlast_the_clients_patience() {
    let (_, receiver) = start(Kind::Plain);
    for mode in [Mode::Hang, Mode::Drip, Mode::Slow(PATIENCE)] {
        receiver.push_mode(mode, 1);
        let error = post_within(&receiver, "x", Duration::from_millis(300)).await.unwrap_err();
        assert_eq!(error.kind, FailureKind::Timeout);
    }
    assert_eq!(receiver.total(), 3);
}

#[tokio::test]
async fn a_big_answer_is_as_big_as_asked_and_a_redirect_points_elsewhere() {
    let (_, receiver) = start(Kind::Plain);
    receiver.push_mode(Mode::BigBody(1_000_000), 1);
    receiver.push_mode(Mode::Redirect("http://127.0.0.1:1/other".into()), 1);
    let big = post(&receiver, "x").await.unwrap();
    assert_eq!((big.body.len(), big.cut, big.headers["content-length"].as_bytes()), (65_536, true, &b"1000000"[..]));
    let elsewhere = post(&receiver, "x").await.unwrap();
    assert_eq!(
        (elsewhere.status.as_u16(), &elsewhere.headers["location"]),
        (307, &"http://127.0.0.1:1/other".parse().unwrap())
    );
}

#[tokio::test]
async fn a_slow_answer_is_the_right_one_after_a_while() {
    let (_, receiver) = start(Kind::Slack);
    receiver.push_mode(Mode::Slow(Duration::from_millis(50)), 1);
    assert_eq!(status(&receiver, "{}").await, 400);
}

#[tokio::test]
async fn slack_answers_in_its_own_words() {
    let (_, receiver) = start(Kind::Slack);
    for (body, status, word) in [
        (r#"{"text": "hello"}"#, 200, "ok"),
        ("hello", 400, "invalid_payload"),
        (r#"{"blocks": [{"type": "x"}]}"#, 400, "invalid_blocks"),
        ("{}", 400, "no_text"),
    ] {
        let answer = post(&receiver, body).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.text_lossy().as_str()), (status, word));
    }
    assert_eq!((receiver.total(), receiver.accepted()), (4, 1));
}

#[tokio::test]
async fn slack_takes_one_message_a_second_on_average_and_says_when_to_come_back() {
    let (clock, receiver) = start(Kind::Slack);
    receiver.limit_rate(2);
    let message = r#"{"text": "hello"}"#;
    assert_eq!([status(&receiver, message).await, status(&receiver, message).await], [200, 200]);
    let refused = post(&receiver, message).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.headers["retry-after"].as_bytes()), (429, &b"1"[..]));
    clock.advance(Duration::from_secs(1));
    assert_eq!([status(&receiver, message).await, status(&receiver, message).await], [200, 429]);
}

/// What the Web API says to a call with the right token, or with `token`.
async fn api(receiver: &HttpReceiver, method: &str, token: &str, body: &Value) -> Value {
    let request = client(1).unwrap().post(format!("{}/{method}", receiver.api_url()));
    let request = request.header("Authorization", token).header("Content-Type", "application/json; charset=utf-8");
    let answer = exchange(request.body(body.to_string()), 64 * 1024, PATIENCE).await.unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn the_web_api_answers_in_its_own_words_and_keeps_what_stands_in_the_channel() {
    let (clock, receiver) = start(Kind::Slack);
    let token = format!("Bearer {BOT_TOKEN}");
    let said = async |method: &str, body: Value| api(&receiver, method, &token, &body).await;
    for (token, word) in [("", "not_authed"), ("Bearer xoxb-1", "invalid_auth")] {
        assert_eq!(api(&receiver, "auth.test", token, &json!({})).await["error"], word);
    }
    assert_eq!(said("auth.test", json!({})).await["ok"], true);
    let first = said("chat.postMessage", json!({"channel": CHANNEL_NAME, "text": "a"})).await;
    let second = said("chat.postMessage", json!({"channel": CHANNEL_ID, "text": "b", "thread_ts": first["ts"]})).await;
    assert_eq!((&first["channel"], &first["ts"]), (&json!(CHANNEL_ID), &json!("1700000000.000000")));
    assert_ne!(first["ts"], second["ts"], "both were posted at the same time");
    let change = |ts: &Value, text: &str| json!({"channel": CHANNEL_ID, "ts": ts, "text": text});
    assert_eq!(said("chat.update", change(&first["ts"], "c")).await["ok"], true);
    for (method, body, word) in [
        ("chat.update", change(&json!("1.1"), "d"), "message_not_found"),
        ("chat.update", change(&first["ts"], &"d".repeat(4001)), "msg_too_long"),
        ("chat.update", json!({"channel": CHANNEL_NAME, "ts": first["ts"], "text": "d"}), "channel_not_found"),
        ("chat.postMessage", json!({"channel": "#elsewhere", "text": "d"}), "channel_not_found"),
        ("chat.postMessage", json!({"channel": CHANNEL_ID, "text": "d", "thread_ts": "1.1"}), "thread_not_found"),
        ("chat.postMessage", json!({"channel": CHANNEL_ID}), "no_text"),
        ("chat.postMessage", json!({"channel": CHANNEL_ID, "blocks": [{"type": "x"}]}), "invalid_blocks"),
        ("chat.postMessage", json!([]), "json_not_object"),
        ("chat.delete", json!({}), "unknown_method"),
    ] {
        assert_eq!(said(method, body).await["error"], word, "{method}");
    }
    let posts = receiver.posts();
    assert_eq!(posts.len(), 2);
    assert_eq!((&posts[0].message, posts[0].changes, &posts[0].thread), (&json!({"text": "c"}), 1, &None));
    assert_eq!(posts[1].thread.as_deref(), first["ts"].as_str());
    receiver.delete_post(&posts[0].ts);
    assert_eq!(said("chat.update", change(&first["ts"], "d")).await["error"], "message_not_found");

    receiver.limit_rate(1);
    let post = json!({"channel": CHANNEL_ID, "text": "e"});
    assert_eq!(said("chat.postMessage", post.clone()).await["ok"], true);
    assert_eq!(said("chat.postMessage", post.clone()).await["error"], "ratelimited");
    assert_eq!(said("chat.update", change(&second["ts"], "f")).await["ok"], true, "changes have a limit of their own");
    assert_eq!(status(&receiver, r#"{"text": "hello"}"#).await, 200, "so has each webhook");
    clock.advance(Duration::from_secs(1));
    assert_eq!(said("chat.postMessage", post).await["ok"], true);
}

#[tokio::test]
async fn counting_keeps_nothing_of_what_comes() {
    let (_, receiver) = start(Kind::Plain);
    receiver.count_only();
    status(&receiver, "x").await;
    assert!(receiver.wait_for(1).await.is_empty());
    assert_eq!((receiver.total(), receiver.accepted()), (1, 1));
}

#[tokio::test]
async fn only_the_newest_are_remembered() {
    let mut list = VecDeque::new();
    (0..crate::sim::KEPT + 5).for_each(|n| keep(&mut list, n));
    assert_eq!((list.len(), list[0]), (crate::sim::KEPT, 5));
}

#[tokio::test]
async fn a_dropped_receiver_answers_nobody() {
    let (_, receiver) = start(Kind::Plain);
    receiver.set_mode(Mode::Hang);
    let client = client(1).unwrap();
    let (url, hanging) = (receiver.url().to_owned(), client.post(receiver.url()).body("x"));
    // A connection that is in use ends with the receiver, and a new one finds nobody.
    let (answer, ()) = tokio::join!(exchange(hanging, 1, PATIENCE), async move {
        receiver.wait_for_total(1).await;
        drop(receiver);
    });
    assert_eq!(answer.unwrap_err().kind, FailureKind::Unreachable);
    let answer = exchange(client.post(url).body("x"), 1, PATIENCE).await;
    assert_eq!(answer.unwrap_err().kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn what_has_been_seen_does_not_come_again() {
    let (_, receiver) = start(Kind::Plain);
    for body in ["a", "b", "c"] {
        assert_eq!(status(&receiver, body).await, 200);
    }
    let bodies = |seen| receiver.since(seen).into_iter().map(|received| received.body).collect::<Vec<_>>();
    assert_eq!(bodies(1), ["b", "c"]);
    assert_eq!((bodies(3).len(), bodies(4).len()), (0, 0));
}
