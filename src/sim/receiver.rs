//! A receiver of webhooks: one that takes anything, or one that is as particular as Slack; both misbehave on request.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::http1::{self, Act, Answer, Reply};
use super::keep;
use super::script::Script;
use super::server::{Port, Server};
use super::signal::Signal;
pub use super::slack::workspace::{BOT_TOKEN, CHANNEL_ID, CHANNEL_NAME, Post};
use super::slack::{self, workspace::Workspace};
use crate::clock::{Clock, Moment};

/// What the receiver expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Plain,
    /// What a Slack incoming webhook takes, and Slack's Web API below `/api`.
    Slack,
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Mode {
    /// 200, or what Slack would say to the payload.
    Ok,
    /// This status.
    Status(u16),
    /// This status, these headers, this body.
    StatusWith(u16, Vec<(String, String)>, String),
    /// Not at all.
    Hang,
    /// One byte each 100 ms, of an answer that takes a quarter of an hour.
    Drip,
    /// By a TCP reset.
    Reset,
    /// 200 and so many bytes.
    BigBody(usize),
    /// 307 and this address.
    Redirect(String),
    /// By bytes that are not HTTP.
    Garbage,
    /// As with `Ok`, after so much real time.
    Slow(Duration),
}

/// A request that has come.
#[derive(Debug, Clone)]
pub struct Received {
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// In the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
    /// When it had come.
    pub at: Moment,
    /// The status of the answer; 0 for none, and for one that drips, which nobody waits for. An answer that is slow or
    /// broken off has been decided all the same.
    pub answered: u16,
}

impl Received {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        http1::header(&self.headers, name)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.body)
    }

    fn accepted(&self) -> bool {
        (200..300).contains(&self.answered)
    }
}

/// A running receiver on a loopback port. Dropping it stops it.
pub struct HttpReceiver {
    _server: Server,
    shared: Arc<Shared>,
    url: String,
}

struct Shared {
    clock: Clock,
    kind: Kind,
    state: Mutex<State>,
    signal: Signal,
}

struct State {
    mode: Mode,
    queue: Script<Mode>,
    /// How many at once, and what is left of it for each place that is written to.
    rate: Option<(f64, BTreeMap<String, Rate>)>,
    workspace: Workspace,
    store: bool,
    received: VecDeque<Received>,
    total: usize,
    accepted: usize,
}

/// One message a second on average: a bucket that gains one a second.
struct Rate {
    left: f64,
    tick: Duration,
}

impl Rate {
    fn take(&mut self, burst: f64, tick: Duration) -> bool {
        self.left = (self.left + tick.saturating_sub(self.tick).as_secs_f64()).min(burst);
        self.tick = tick;
        let free = self.left >= 1.0;
        if free {
            self.left -= 1.0;
        }
        free
    }
}

impl HttpReceiver {
    /// Starts a receiver that accepts; inside a tokio runtime.
    ///
    /// # Errors
    /// When no loopback port can be had.
    pub fn start(clock: Clock, kind: Kind) -> io::Result<Self> {
        let port = Port::open()?;
        let path = match kind {
            Kind::Plain => "hook",
            Kind::Slack => "services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        };
        let url = format!("http://{}/{path}", port.address());
        let state = State {
            mode: Mode::Ok,
            queue: Script::default(),
            rate: None,
            workspace: Workspace::default(),
            store: true,
            received: VecDeque::new(),
            total: 0,
            accepted: 0,
        };
        let shared = Arc::new(Shared { clock, kind, state: Mutex::new(state), signal: Signal::new() });
        let inner = Arc::clone(&shared);
        let server = port.serve(move |stream| {
            let shared = Arc::clone(&inner);
            http1::serve(stream, move |request| shared.handle(request))
        });
        Ok(Self { _server: server, shared, url })
    }

    /// Where to post to; any other path of it will do as well.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How everything is answered for which no other mode was pushed.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.state().mode = mode;
    }

    /// How the next `times` requests are answered, after what was pushed before.
    pub fn push_mode(&self, mode: Mode, times: usize) {
        self.shared.state().queue.push(mode, times);
    }

    /// Answers 429 with `Retry-After: 1` above one message a second by the clock for each path, or channel of the Web API,
    /// `burst` of them at once; as Slack does.
    pub fn limit_rate(&self, burst: u32) {
        self.shared.state().rate = Some((f64::from(burst.max(1)), BTreeMap::new()));
    }

    /// Base URL of the Web API, which takes [`BOT_TOKEN`], of a receiver that is [`Kind::Slack`]. What it refuses is
    /// answered with 200 all the same.
    pub fn api_url(&self) -> String {
        let host = self.url.split('/').take(3).collect::<Vec<_>>().join("/");
        format!("{host}/api")
    }

    /// What stands in the channel of the Web API, oldest first.
    pub fn posts(&self) -> Vec<Post> {
        self.shared.state().workspace.posts.iter().cloned().collect()
    }

    /// The newest `n` of [`HttpReceiver::posts`], oldest first.
    pub fn newest_posts(&self, n: usize) -> Vec<Post> {
        let state = self.shared.state();
        let posts = &state.workspace.posts;
        posts.iter().skip(posts.len().saturating_sub(n)).cloned().collect()
    }

    /// Somebody deletes a message from the channel of the Web API.
    pub fn delete_post(&self, ts: &str) {
        self.shared.state().workspace.posts.retain(|post| post.ts != ts);
    }

    /// Counts only, from now on, and keeps nothing of what comes: for measuring.
    pub fn count_only(&self) {
        self.shared.state().store = false;
    }

    /// What has come, oldest first; at most the last 10,000.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.iter().cloned().collect()
    }

    /// What has come after the first `seen`, oldest first; of more than 10,000 the last.
    pub fn since(&self, seen: usize) -> Vec<Received> {
        let state = self.shared.state();
        let kept = state.received.len();
        let news = state.total.saturating_sub(seen).min(kept);
        state.received.iter().skip(kept - news).cloned().collect()
    }

    /// How many have come, whatever the answer.
    pub fn total(&self) -> usize {
        self.shared.state().total
    }

    /// How many were answered with 2xx.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// Returns once `n` were answered with 2xx since the start, with those that are kept, oldest first.
    pub async fn wait_for(&self, n: usize) -> Vec<Received> {
        self.shared
            .signal
            .until(|| {
                let state = self.shared.state();
                (state.accepted >= n)
                    .then(|| state.received.iter().filter(|received| received.accepted()).cloned().collect())
            })
            .await
    }

    /// Returns once `n` have come since the start, whatever the answer, with those that are kept, oldest first.
    pub async fn wait_for_total(&self, n: usize) -> Vec<Received> {
        self.shared
            .signal
            .until(|| {
                let state = self.shared.state();
                (state.total >= n).then(|| state.received.iter().cloned().collect())
            })
            .await
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, request: http1::Request) -> Reply {
        let moment = self.clock.moment();
        let mut state = self.state();
        let mode = state.queue.next().unwrap_or_else(|| state.mode.clone());
        let reply = self.reply(mode, &request, &mut state, moment);
        let answered = if matches!(reply.act, Act::Drip { .. }) { 0 } else { reply.status() };
        state.total += 1;
        state.accepted += usize::from((200..300).contains(&answered));
        if state.store {
            let http1::Request { method, target: path, headers, body, .. } = request;
            keep(&mut state.received, Received { method, path, headers, body, at: moment, answered });
        }
        drop(state);
        self.signal.raise();
        reply
    }

    fn reply(&self, mode: Mode, request: &http1::Request, state: &mut State, moment: Moment) -> Reply {
        let mut wait = Duration::ZERO;
        let act = match mode {
            Mode::Ok => Act::Answer(self.judge(request, state, moment)),
            Mode::Slow(longer) => {
                wait = longer;
                Act::Answer(self.judge(request, state, moment))
            }
            Mode::Status(status) => Act::Answer(Answer::text(status, "")),
            Mode::StatusWith(status, headers, body) => Act::Answer(Answer { status, headers, body: Bytes::from(body) }),
            Mode::Hang => Act::Hang,
            Mode::Drip => {
                let answer = Answer::text(200, vec![b'.'; 9_000]);
                Act::Drip { answer, bytes: 1, every: Duration::from_millis(100) }
            }
            Mode::Reset => Act::Reset,
            Mode::BigBody(size) => Act::Answer(Answer::text(200, vec![b'.'; size])),
            Mode::Redirect(url) => Act::Answer(Answer::text(307, "").with("Location", url)),
            Mode::Garbage => Act::Raw(Bytes::from_static(b"\x16\x03\x01 this is not HTTP\r\n\r\n")),
        };
        Reply { wait, act }
    }

    fn judge(&self, request: &http1::Request, state: &mut State, moment: Moment) -> Answer {
        if let (Some((burst, places)), Some(place)) = (&mut state.rate, limited(request)) {
            let rate = places.entry(place).or_insert(Rate { left: *burst, tick: moment.tick });
            if !rate.take(*burst, moment.tick) {
                let word = if Workspace::takes(request) { "ratelimited" } else { "rate_limited" };
                let body = json!({"retry_after": 1, "ok": false, "error": word});
                return Answer::json(429, &body).with("Retry-After", "1");
            }
        }
        match self.kind {
            Kind::Plain => Answer::text(200, "ok"),
            Kind::Slack if Workspace::takes(request) => state.workspace.answer(request, moment.at),
            Kind::Slack if request.method != "POST" => Answer::text(400, "invalid_payload"),
            Kind::Slack => match slack::check(&request.body) {
                Ok(()) => Answer::text(200, "ok"),
                Err(word) => Answer::text(400, word),
            },
        }
    }
}

/// What counts against the rate: messages to one path, or to one channel by the Web API.
fn limited(request: &http1::Request) -> Option<String> {
    if !Workspace::takes(request) {
        return Some(request.path().to_owned());
    }
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let posted = request.path().ends_with("/chat.postMessage");
    posted.then(|| payload["channel"].as_str().unwrap_or_default().to_owned())
}
