//! What the PBX posts, passed on unchanged to a URL of the customer's own, since the PBX knows one URL only.
//!
//! In order, one at a time, tried a few times. It is a courtesy beside the work: a receiver that is down delays neither the
//! answer to the PBX nor a read of it, and what does not fit into the queue is lost, the oldest first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use reqwest::Client;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::http;
use crate::metrics::Metrics;
use crate::private::Secret;

/// A busy PBX posts a few events a second: some minutes of them.
const MOST: usize = 1000;

/// Of one try.
const TIMEOUT: Duration = Duration::from_secs(10);

/// After each try that failed but the last.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// What is queued at the stop is tried once more, all together within this.
const LAST_CHANCE: Duration = Duration::from_secs(3);

/// Of an answer no more is read.
const ANSWER_BYTES: usize = 64 << 10;

/// The way to the customer's URL, if there is one. Clones share it.
#[derive(Clone, Default)]
pub struct Forward(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    to: Option<(Client, Secret)>,
    posts: VecDeque<Post>,
    /// Of the next post.
    number: u64,
    /// It was said that posts are lost, and none has been taken since.
    told: bool,
}

#[derive(Clone)]
struct Post {
    number: u64,
    content_type: Option<HeaderValue>,
    body: Bytes,
}

/// What came of a try.
enum Tried {
    Taken,
    Again(String),
    Refused(String),
}

impl Forward {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on posts go to `url`; to nobody, and those that wait neither, without one.
    pub fn aim(&self, url: Option<Secret>, client: Client) {
        let mut state = self.state();
        state.to = url.map(|url| (client, url));
        if state.to.is_none() {
            state.posts.clear();
        }
    }

    /// Queues a post.
    pub(super) fn take(&self, content_type: Option<HeaderValue>, body: Bytes) {
        let mut state = self.state();
        if state.to.is_none() {
            return;
        }
        if state.posts.len() == MOST {
            state.posts.pop_front();
            state.tell(format_args!("{MOST} wait already, the oldest are dropped"));
        }
        let number = state.number;
        state.number += 1;
        state.posts.push_back(Post { number, content_type, body });
        self.0.changed.notify_one();
    }

    /// Passes on until `stop`, and then once more what is left.
    pub async fn run(self, clock: Clock, metrics: Arc<Metrics>, stop: CancellationToken) {
        let passing_on = async {
            loop {
                match self.next() {
                    Some((post, client, url)) => self.pass_on(&post, &client, &url, &clock, &metrics).await,
                    None => self.0.changed.notified().await,
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(passing_on).await;
        let last_chance = async {
            while let Some((post, client, url)) = self.next() {
                let outcome = outcome(&post.try_once(&client, &url).await);
                metrics.forward(outcome);
                self.done(&post);
            }
        };
        if tokio::time::timeout(LAST_CHANCE, last_chance).await.is_err() {
            let left = self.state().posts.len();
            tracing::warn!(events = left, "events of the PBX were not passed on before the stop");
        }
    }

    /// The oldest post stays in the queue until it is through: a stop meanwhile does not lose it.
    fn next(&self) -> Option<(Post, Client, Secret)> {
        let state = self.state();
        let (client, url) = state.to.clone()?;
        Some((state.posts.front()?.clone(), client, url))
    }

    fn done(&self, post: &Post) {
        let mut state = self.state();
        // It may have been dropped, or everything with it, while it was tried.
        if state.posts.front().is_some_and(|front| front.number == post.number) {
            state.posts.pop_front();
        }
    }

    async fn pass_on(&self, post: &Post, client: &Client, url: &Secret, clock: &Clock, metrics: &Metrics) {
        let mut waits = WAITS.into_iter();
        let tried = loop {
            match (post.try_once(client, url).await, waits.next()) {
                (Tried::Again(why), Some(wait)) => {
                    tracing::debug!(error = why, "an event of the PBX could not be passed on yet");
                    clock.sleep(wait).await;
                }
                (tried, _) => break tried,
            }
        };
        metrics.forward(outcome(&tried));
        match &tried {
            Tried::Taken => self.state().told = false,
            Tried::Again(why) | Tried::Refused(why) => self.state().tell(format_args!("{why}")),
        }
        self.done(post);
    }
}

impl State {
    /// Once until the receiver takes something again.
    fn tell(&mut self, why: std::fmt::Arguments<'_>) {
        if !self.told {
            tracing::warn!("events of the PBX are not passed on to `push.forward_to`, which loses them: {why}");
        }
        self.told = true;
    }
}

impl Post {
    async fn try_once(&self, client: &Client, url: &Secret) -> Tried {
        let mut request = client.post(url.expose()).body(self.body.clone());
        if let Some(content_type) = &self.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        match http::exchange(request, ANSWER_BYTES, TIMEOUT).await {
            Err(error) => Tried::Again(error.to_string()),
            Ok(answer) => match answer.status.as_u16() {
                200..300 => Tried::Taken,
                status @ (408 | 425 | 429 | 500..) => Tried::Again(format!("it answers with {status}")),
                status => Tried::Refused(format!("it answers with {status}")),
            },
        }
    }
}

fn outcome(tried: &Tried) -> &'static str {
    match tried {
        Tried::Taken => "taken",
        Tried::Again(_) => "lost",
        Tried::Refused(_) => "refused",
    }
}
