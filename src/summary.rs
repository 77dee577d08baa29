//! Sends the summaries of `summaries`, each once to each of its channels.
//!
//! It goes to the channels directly, as notices do, and not by the outbox: it tells of many events, of which none is its
//! own. What keeps it from being sent twice is a note in the store of until when a summary has been dealt with, made
//! when its channel has taken it. A process that dies between the two sends it again, under the same id.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::channel::{Channel, Parcel};
use crate::clock::{Clock, Moment};
use crate::cursor::{ahead, back};
use crate::event::DeliveryId;
use crate::outbox::{Failure, Outcome, asked};
use crate::render::{Look, Rendered, Renderer};
use crate::retry;
use crate::schedule::daily::Daily;
use crate::store::{Store, StoreError};
use crate::tally::{Period, Tally};

/// How long after its time a summary is made. What was seen before its time is in the store by then: between the two is
/// a question to the PBX, whose answers take their time.
const LAG: Duration = Duration::from_secs(120);

/// The clock on the wall may be corrected: it is looked at this often, whatever is due when.
const LOOK: Duration = Duration::from_secs(60);

/// Between two tries when the store cannot be asked.
const STORE_PAUSE: Duration = Duration::from_secs(10);

/// How long an attempt under way may go on once ringback is to stop, as one of a lane may.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// What the summaries need of the rest.
#[derive(Clone)]
pub struct Context {
    /// Where the events are, and until when summaries were dealt with.
    pub store: Arc<dyn Store>,
    /// Makes the messages.
    pub renderer: Arc<Renderer>,
    /// The time.
    pub clock: Clock,
}

/// One summary for one channel.
pub struct Summary {
    name: String,
    always: bool,
    daily: Daily,
    id: DeliveryId,
    look: Look,
    retry: retry::Policy,
    channel: Arc<dyn Channel>,
    /// Dealt with until then; `None` before the store was asked.
    until: Option<Timestamp>,
    /// What is being tried, and how often it has been in vain.
    trying: Option<(Timestamp, u32)>,
    not_before: Duration,
}

/// To whom and in which form a summary goes.
pub struct Recipient {
    /// The channel's name.
    pub name: String,
    /// How its messages look.
    pub look: Look,
    /// When it is tried again.
    pub retry: retry::Policy,
    /// The way out.
    pub channel: Arc<dyn Channel>,
}

impl Summary {
    /// `times` names the summary among others of the same channel, over restarts: its time and days as configured.
    pub fn new(times: &str, daily: Daily, always: bool, recipient: Recipient) -> Self {
        let Recipient { name, look, retry, channel } = recipient;
        let id = DeliveryId::of_notice(&["summaries", times, &name]);
        Self { name, always, daily, id, look, retry, channel, until: None, trying: None, not_before: Duration::ZERO }
    }
}

/// The id under which `channel` is told of a period.
pub fn delivery_id(period: Period, channel: &str) -> DeliveryId {
    DeliveryId::of_notice(&["summary", &period.from.to_string(), &period.until.to_string(), channel])
}

/// All of them.
pub struct Summaries {
    summaries: Vec<Summary>,
    context: Context,
}

impl Summaries {
    /// Nothing is sent before [`Summaries::run`] or [`Summaries::once`].
    pub fn new(summaries: Vec<Summary>, context: Context) -> Self {
        Self { summaries, context }
    }

    /// Sends what comes due until `retire`; an attempt under way then ends, a little after `stop` at the latest.
    pub async fn run(mut self, retire: CancellationToken, stop: CancellationToken) {
        if self.summaries.is_empty() {
            return;
        }
        let last_call = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_PATIENCE).await;
        };
        let rounds = async {
            while !retire.is_cancelled() {
                let now = self.context.clock.moment();
                self.round(back(now.at, LAG), &retire).await;
                let next = self.summaries.iter().filter_map(|summary| summary.next_look(now)).min();
                let next = next.unwrap_or(Duration::MAX).min(now.tick + LOOK);
                retire.run_until_cancelled(self.context.clock.sleep_until(next)).await;
            }
        };
        tokio::select! {
            () = rounds => {}
            () = last_call => {}
        }
    }

    /// Sends what is due, after the PBX was read. Returns how many were not taken.
    pub async fn once(mut self) -> usize {
        let now = self.context.clock.now();
        self.round(now, &CancellationToken::new()).await;
        self.summaries.iter().filter(|summary| summary.trying.is_some()).count()
    }

    /// Tries once each that was due by `due_by` and that a channel has not taken yet, one after the other.
    async fn round(&mut self, due_by: Timestamp, retire: &CancellationToken) {
        for summary in &mut self.summaries {
            if retire.is_cancelled() {
                return;
            }
            let now = self.context.clock.moment();
            if summary.not_before > now.tick {
                continue;
            }
            if let Err(error) = summary.turn(due_by, &self.context).await {
                let channel = summary.name.as_str();
                tracing::error!(channel, %error, "the store cannot be asked about a summary; tried again");
                summary.not_before = now.tick + STORE_PAUSE;
            }
        }
    }
}

impl Summary {
    /// At which tick something may be to do.
    fn next_look(&self, now: Moment) -> Option<Duration> {
        if self.trying.is_some() || self.until.is_none() {
            return Some(self.not_before);
        }
        let due = ahead(self.daily.next(back(now.at, LAG))?, LAG);
        Some(now.tick + Duration::try_from(due.duration_since(now.at)).unwrap_or_default())
    }

    /// Sends the last one that was due, unless that has been dealt with.
    async fn turn(&mut self, due_by: Timestamp, context: &Context) -> Result<(), StoreError> {
        let now = context.clock.moment();
        let until = match self.until {
            Some(until) => until,
            None => self.dealt_with(now, context).await?,
        };
        let Some(due) = self.daily.last(due_by).filter(|due| *due > until) else { return Ok(()) };
        let Some(from) = self.daily.before(due) else { return Ok(()) };
        let failures = match self.trying {
            Some((tried, failures)) if tried == due => failures,
            Some((tried, _)) => {
                let (channel, at) = (self.name.as_str(), tried);
                tracing::error!(channel, %at, "a summary is given up: the next one is due and it was never taken");
                0
            }
            None => 0,
        };
        let period = Period { from, until: due };
        let events = context.store.list_events(&|event| period.concerns(event)).await?;
        let tally = Tally::new(period, &events);
        if tally.is_empty() && !self.always {
            tracing::debug!(channel = self.name, at = %due, "nothing to sum up: no summary is sent");
            return self.done(due, context).await;
        }
        self.trying = Some((due, failures + 1));
        self.send(&tally, failures + 1, context).await
    }

    /// Until when it has been dealt with. What was due before it was first asked for is nobody's loss; and a note of the
    /// future is one of a clock that was wrong.
    async fn dealt_with(&mut self, now: Moment, context: &Context) -> Result<Timestamp, StoreError> {
        let noted = context.store.summary_until(self.id).await?.filter(|until| *until <= now.at);
        let until = if let Some(until) = noted {
            until
        } else {
            context.store.note_summary(self.id, now.at, now).await?;
            now.at
        };
        self.until = Some(until);
        Ok(until)
    }

    async fn done(&mut self, due: Timestamp, context: &Context) -> Result<(), StoreError> {
        // What the store cannot note is at least not done twice by this process.
        (self.until, self.trying) = (Some(due), None);
        context.store.note_summary(self.id, due, context.clock.moment()).await
    }

    async fn send(&mut self, tally: &Tally, attempt: u32, context: &Context) -> Result<(), StoreError> {
        let Rendered { message, failure } = context.renderer.summary(&self.look, tally);
        if let Some(failure) = failure.filter(|failure| context.renderer.is_news(failure)) {
            let channel = self.name.as_str();
            tracing::error!(channel, failure, "the template failed: the summary goes out in a built-in plain form");
        }
        let (id, due) = (delivery_id(tally.period, &self.name), tally.period.until);
        let parcel = Parcel { id, message: &message, now: context.clock.now(), earlier: None };
        let outcome = self.channel.send(parcel, &mut None).await;
        let (channel, now) = (self.name.as_str(), context.clock.moment());
        match outcome {
            Outcome::Delivered => {
                let (missed, open) = (tally.missed, tally.open.len());
                tracing::info!(channel, at = %due, delivery = %id, missed, open, "the summary is sent");
                self.done(due, context).await
            }
            Outcome::Permanent(Failure { kind, text }) => {
                tracing::error!(channel, at = %due, kind = kind.as_str(), why = text, "a summary is refused for good");
                self.done(due, context).await
            }
            Outcome::RetryAfter { failure: Failure { kind, text }, wait } => {
                // Without jitter: it is one message, and no herd.
                let pause = self.retry.wait(attempt, 0.5).max(asked(wait));
                self.not_before = now.tick + pause;
                let (kind, again) = (kind.as_str(), pause.as_secs());
                if attempt == 1 {
                    tracing::warn!(channel, at = %due, kind, why = text, again_in_seconds = again, "a summary is not taken");
                } else {
                    tracing::debug!(channel, at = %due, kind, why = text, attempt, "a summary is still not taken");
                }
                Ok(())
            }
        }
    }
}
