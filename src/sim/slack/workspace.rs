//! The Web API of a Slack workspace with one bot and one channel, as far as notifiers use it.
//!
//! It answers with Slack's own words (docs.slack.dev: chat.postMessage, chat.update, auth.test, conversations.info), and
//! keeps what was posted as it reads now.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::http1::{Answer, Request};
use super::super::keep;
use super::check;

/// The token of the workspace's bot.
pub const BOT_TOKEN: &str = "xoxb-210987654321-3210987654321-sImUlAtEdB0tT0kEn7Qz9";
/// The one channel, by its id; the bot is in it.
pub const CHANNEL_ID: &str = "C0SANTRAL01";
/// The same by its name.
pub const CHANNEL_NAME: &str = "#santral";

/// A longer text cannot be set by a change (docs.slack.dev, chat.update).
const LONGEST_CHANGED: usize = 4_000;

type Said = Result<Value, &'static str>;

/// A message that stands in the channel.
#[derive(Debug, Clone)]
pub struct Post {
    /// Slack's name for it: seconds and microseconds, unique in its channel.
    pub ts: String,
    /// The first message of the thread that it stands in.
    pub thread: Option<String>,
    /// `text`, `blocks` and `attachments`, as they are now.
    pub message: Value,
    /// How often it was changed.
    pub changes: usize,
}

#[derive(Default)]
pub(crate) struct Workspace {
    pub(crate) posts: VecDeque<Post>,
    /// Of the newest message, in microseconds.
    newest: i64,
}

impl Workspace {
    /// Whether the request is for the Web API.
    pub(crate) fn takes(request: &Request) -> bool {
        request.path().starts_with("/api/")
    }

    pub(crate) fn answer(&mut self, request: &Request, now: Timestamp) -> Answer {
        let said = self.said(request, now).unwrap_or_else(|word| json!({"ok": false, "error": word}));
        Answer::json(200, &said).with("X-OAuth-Scopes", "chat:write,channels:read")
    }

    fn said(&mut self, request: &Request, now: Timestamp) -> Said {
        let method = request.path().strip_prefix("/api/").unwrap_or_default();
        match request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            None => return Err("not_authed"),
            Some(BOT_TOKEN) => {}
            Some(_) => return Err("invalid_auth"),
        }
        match method {
            "auth.test" => {
                Ok(json!({"ok": true, "url": "https://example.slack.com/", "team": "Example", "user": "santral",
                "team_id": "T0EXAMPLE01", "user_id": "U0SANTRAL01", "bot_id": "B0SANTRAL01"}))
            }
            "conversations.info" => info(request.query()),
            "chat.postMessage" => self.post(&payload(request)?, now),
            "chat.update" => self.change(&payload(request)?),
            _ => Err("unknown_method"),
        }
    }

    fn post(&mut self, payload: &Map<String, Value>, now: Timestamp) -> Said {
        let channel = payload.get("channel").and_then(Value::as_str).unwrap_or_default();
        if ![CHANNEL_ID, CHANNEL_NAME, &CHANNEL_NAME[1..]].contains(&channel) {
            return Err("channel_not_found");
        }
        let thread = payload.get("thread_ts").map(|ts| ts.as_str().unwrap_or_default());
        if thread.is_some_and(|ts| !self.posts.iter().any(|post| post.ts == ts)) {
            return Err("thread_not_found");
        }
        check(Value::Object(payload.clone()).to_string().as_bytes()).map_err(of_the_api)?;
        self.newest = now.as_microsecond().max(self.newest + 1);
        let ts = format!("{}.{:06}", self.newest / 1_000_000, self.newest % 1_000_000);
        let message = shown(payload, &Map::new());
        let answer = json!({"ok": true, "channel": CHANNEL_ID, "ts": ts, "message": message});
        keep(&mut self.posts, Post { ts, thread: thread.map(str::to_owned), message, changes: 0 });
        Ok(answer)
    }

    fn change(&mut self, payload: &Map<String, Value>) -> Said {
        let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
        // No name here.
        if text("channel") != CHANNEL_ID {
            return Err("channel_not_found");
        }
        let post = self.posts.iter_mut().find(|post| post.ts == text("ts")).ok_or("message_not_found")?;
        if text("text").chars().count() > LONGEST_CHANGED {
            return Err("msg_too_long");
        }
        let no_blocks = payload.get("blocks").and_then(Value::as_array).is_some_and(Vec::is_empty);
        let mut judged = payload.clone();
        if no_blocks {
            judged.remove("blocks");
        }
        check(Value::Object(judged).to_string().as_bytes()).map_err(of_the_api)?;
        let before = post.message.as_object().cloned().unwrap_or_default();
        post.message = shown(payload, &before);
        post.changes += 1;
        Ok(json!({"ok": true, "channel": CHANNEL_ID, "ts": post.ts, "text": text("text"), "message": post.message}))
    }
}

/// Of a change, the blocks and attachments that it does not name stay.
fn shown(payload: &Map<String, Value>, before: &Map<String, Value>) -> Value {
    let part = |key: &str| payload.get(key).or_else(|| before.get(key)).cloned();
    let parts = ["text", "blocks", "attachments"].map(|key| Some((key.to_owned(), part(key)?)));
    parts.into_iter().flatten().collect::<Map<_, _>>().into()
}

/// A JSON body is read as one only when it says that it is.
fn payload(request: &Request) -> Result<Map<String, Value>, &'static str> {
    if request.method != "POST"
        || !request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"))
    {
        return Err("invalid_form_data");
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(payload)) => Ok(payload),
        Ok(_) => Err("json_not_object"),
        Err(_) => Err("invalid_json"),
    }
}

fn info(query: &str) -> Said {
    match query.strip_prefix("channel=") {
        Some(CHANNEL_ID) => Ok(json!({"ok": true, "channel": {"id": CHANNEL_ID, "name": &CHANNEL_NAME[1..],
            "is_channel": true, "is_private": false, "is_archived": false, "is_member": true}})),
        _ => Err("channel_not_found"),
    }
}

/// The two speak differently of the same thing.
fn of_the_api(word: &'static str) -> &'static str {
    if word == "invalid_payload" { "invalid_arguments" } else { word }
}
