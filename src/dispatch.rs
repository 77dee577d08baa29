//! The way out of the store: one lane for each channel, which claims, renders, sends and settles.
//!
//! A lane has its own attempts, its own pause and its own rate, so a receiver that hangs delays nobody else. What is
//! settled is stored in groups; an attempt does not wait for the disk of the one before. One message may tell several
//! deliveries together, see `take`.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use self::attempt::Sender;
use self::pace::News;
pub use self::pace::Pace;
use crate::channel::Channel;
use crate::clock::{Clock, Moment};
use crate::config::RecordingMode;
use crate::cursor::ahead;
use crate::event::DeliveryId;
use crate::health::Health;
use crate::link::Linker;
use crate::metrics::{ChannelMetrics, Metrics};
use crate::outbox::{self, Claim, Delivery, Outcome, Settled, State};
use crate::recording::Recordings;
use crate::render::{Look, Renderer};
use crate::retry;
use crate::store::{Store, StoreError};

mod attempt;
mod pace;
mod ready;
mod report;
mod take;

/// How long attempts under way may go on after the stop: SIGTERM allows ten seconds in all.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// Claims in our hands, in multiples of the attempts under way: what a crash can send twice.
const UNSETTLED: usize = 4;

/// How long an outcome waits for others to share its sync. A crash within it sends those again, under the same ids.
pub const GATHER: Duration = Duration::from_millis(2);

/// After the store has refused.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// What a lane needs of the rest.
#[derive(Clone)]
pub struct Context {
    /// Where deliveries wait.
    pub store: Arc<dyn Store>,
    /// Makes the messages.
    pub renderer: Arc<Renderer>,
    /// Mints the links.
    pub recordings: Arc<Recordings>,
    /// Makes the links to ringback's own pages, when browsers can reach them.
    pub links: Option<Linker>,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Who is told how attempts end.
    pub health: Arc<Health>,
}

/// The settings of one lane.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The channel's name.
    pub name: String,
    /// How its messages look.
    pub look: Look,
    /// How they bring the recording.
    pub recording: RecordingMode,
    /// When a failed attempt is repeated.
    pub retry: retry::Policy,
    /// Of one attempt, without the wait for a recording and the time that an attachment takes.
    pub timeout: Duration,
    /// Attempts under way at once.
    pub concurrency: usize,
    /// Messages a second.
    pub rate: Option<f64>,
    /// On a channel that people read: more than this many due at once are told by one message.
    pub digest_over: usize,
    /// Calls that ended longer ago are told by a digest.
    pub max_age: Option<Duration>,
}

/// The lane of one channel.
pub struct Lane {
    settings: Settings,
    sender: Sender,
    context: Context,
    metrics: ChannelMetrics,
    pace: Pace,
    /// An outage is over: what waits because of it is due.
    recovered: bool,
    /// There was too much for one digest: the rest goes into further ones.
    flooded: bool,
}

/// One message on its way: of a single delivery, of calls of one caller, or a digest.
struct Parcel {
    claims: Vec<Claim>,
    digest: bool,
    /// Of the lane's pace, when it began.
    step: u64,
}

/// A lane that claims nothing any more, and what it has under way.
pub struct Retired {
    lane: Lane,
    work: UnderWay,
}

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = (Parcel, Outcome)> + Send>>>;
type Settling = Pin<Box<dyn Future<Output = (Vec<Settled>, Result<(), StoreError>)> + Send>>;

/// What is under way.
#[derive(Default)]
struct UnderWay {
    attempts: Attempts,
    held: HashSet<(DeliveryId, u64)>,
    settled: Vec<Settled>,
    /// What has become of deliveries that the store does not know of yet.
    unstored: HashMap<DeliveryId, State>,
    /// A group on its way to the store, and how many it holds.
    settling: Option<(usize, Settling)>,
    /// What is settled has waited for others long enough.
    gathered: bool,
}

impl UnderWay {
    /// How many claims are in our hands, sent or not.
    fn claims(&self) -> usize {
        self.attempts.len() + self.settled.len() + self.settling.as_ref().map_or(0, |(count, _)| *count)
    }
}

impl Lane {
    /// Makes the lane of a channel.
    pub fn new(settings: Settings, channel: Arc<dyn Channel>, context: Context) -> Self {
        let metrics = context.metrics.expect_channel(&settings.name);
        let pace = Pace::new(settings.concurrency, settings.rate);
        let sender =
            Sender { channel, context: context.clone(), look: settings.look.clone(), recording: settings.recording };
        Self { settings, sender, context, metrics, pace, recovered: false, flooded: false }
    }

    /// Takes up the pace of the lane that served the same receiver before.
    pub fn keep_pace(&mut self, pace: &Pace) {
        self.pace.take_up(pace);
        self.metrics.paused(self.pace.waits(self.context.clock.tick()).is_some());
    }

    /// Claims and delivers until `retired`. What is under way then is left to [`Retired::finish`].
    pub async fn run(mut self, retired: CancellationToken) -> Retired {
        let mut work = UnderWay::default();
        let (Context { store, clock, .. }, name) = (self.context.clone(), self.settings.name.clone());
        self.resume().await;
        let mut stopped = pin!(retired.cancelled());
        let mut changed = store.changed(&name);
        while !retired.is_cancelled() {
            let wake = self.fill(&mut work).await;
            // News of further deliveries is kept for a lane that has no hand free.
            let has_room = work.attempts.len() < self.settings.concurrency;
            tokio::select! {
                () = &mut stopped => break,
                () = self.turn(&mut work) => {}
                () = &mut changed, if has_room => changed = store.changed(&name),
                () = clock.sleep_until(wake) => {}
            }
        }
        // Its news, if it has any, is for the lane that follows.
        drop(changed);
        Retired { lane: self, work }
    }

    /// Delivers what is due now and returns when nothing is any more: for `once`.
    pub async fn drain(&mut self) {
        let mut work = UnderWay::default();
        self.resume().await;
        loop {
            let wake = self.fill(&mut work).await;
            if work.claims() > 0 {
                self.turn(&mut work).await;
                continue;
            }
            // Only the rate may hold back what is due; a receiver that asks for a pause, or is in trouble, is left alone.
            let now = self.context.clock.tick();
            let turn = self.pace.held_by_rate(now).filter(|turn| wake <= *turn);
            match turn.filter(|_| self.pace.waits(now).is_none()) {
                Some(turn) => self.context.clock.sleep_until(turn).await,
                None => return,
            }
        }
    }

    /// Takes up the pause that the receiver asked the last process for.
    async fn resume(&mut self) {
        match self.context.store.paused_until(&self.settings.name).await {
            Ok(Some(until)) => {
                self.pace.resume(until);
                self.metrics.paused(self.pace.waits(self.context.clock.tick()).is_some());
            }
            Ok(None) => {}
            Err(error) => tracing::error!(channel = self.settings.name, %error, "its pause cannot be read"),
        }
    }

    /// Begins to send what is due and may be sent. Returns when there may be more to claim.
    async fn fill(&mut self, work: &mut UnderWay) -> Duration {
        let now = self.context.clock.moment();
        if let Some(until) = self.pace.waits(now.tick) {
            return until;
        }
        let name = self.settings.name.clone();
        loop {
            let free = self.free(work, now.tick);
            if free == 0 {
                // Either the rate holds it back until then, or every hand is full and what is under way wakes the lane.
                return self.pace.held_by_rate(now.tick).unwrap_or(Duration::MAX);
            }
            self.metrics.paused(false);
            match self.take(free, work, now).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(channel = name, %error, "due deliveries cannot be read");
                    return now.tick + STORE_PAUSE;
                }
            }
        }
        match self.context.store.next_due(&name).await {
            Ok(next) => next.unwrap_or(Duration::MAX).max(now.tick),
            Err(_) => now.tick + STORE_PAUSE,
        }
    }

    fn free(&self, work: &UnderWay, now: Duration) -> usize {
        // Some may be waiting for the disk while others are sent.
        let unsettled = UNSETTLED * self.settings.concurrency;
        self.pace.free(work.attempts.len(), now).min(unsettled.saturating_sub(work.claims()))
    }

    /// Waits until something under way has moved: an attempt has ended, or a group is stored.
    async fn turn(&mut self, work: &mut UnderWay) {
        let group = work.settled.len() >= self.settings.concurrency || work.attempts.is_empty();
        if work.settling.is_none() && (group || work.gathered) && !work.settled.is_empty() {
            work.gathered = false;
            work.settling = Some(self.store_settled(std::mem::take(&mut work.settled), Duration::ZERO));
        }
        let UnderWay { attempts, settling, settled, gathered, .. } = work;
        let gathering = settling.is_none() && !settled.is_empty();
        let stored = async {
            match settling {
                Some((_, settling)) => settling.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (settled, result) = stored => self.stored(settled, result, work),
            // Real time, not the clock's: how long a note of what has been sent is held back for others to join it.
            () = tokio::time::sleep(GATHER), if gathering => *gathered = true,
            Some((parcel, outcome)) = attempts.next() => {
                self.ended(parcel, outcome, work);
                // Whatever else has ended meanwhile goes into the same group.
                while let Some(Some((parcel, outcome))) = work.attempts.next().now_or_never() {
                    self.ended(parcel, outcome, work);
                }
            }
            else => std::future::pending().await,
        }
    }

    fn stored(&self, settled: Vec<Settled>, result: Result<(), StoreError>, work: &mut UnderWay) {
        work.settling = None;
        if result.is_ok() {
            for settled in &settled {
                work.unstored.remove(&settled.delivery.id);
            }
        }
        if let Err(error) = result {
            // The message is out: the note of it is written again, the message is not sent again.
            tracing::error!(channel = self.settings.name, deliveries = settled.len(), %error, "outcomes cannot be stored");
            work.settling = Some(self.store_settled(settled, STORE_PAUSE));
        }
    }

    fn store_settled(&self, settled: Vec<Settled>, pause: Duration) -> (usize, Settling) {
        let (store, clock) = (Arc::clone(&self.context.store), self.context.clock.clone());
        let count = settled.len();
        let settling = Box::pin(async move {
            if !pause.is_zero() {
                clock.sleep(pause).await;
            }
            let result = store.settle(&settled, clock.moment()).await;
            (settled, result)
        });
        (count, settling)
    }

    /// Counts and settles the end of an attempt, and learns from it how the lane goes on.
    fn ended(&mut self, parcel: Parcel, outcome: Outcome, work: &mut UnderWay) {
        let Parcel { mut claims, digest, step } = parcel;
        for claim in &claims {
            work.held.remove(&(claim.delivery.id, claim.lease));
        }
        let now = self.context.clock.moment();
        let draw = draw();
        self.learn(step, &outcome, draw, now.tick);
        let policy = &self.settings.retry;
        let before = work.settled.len();
        if digest || claims.len() > 1 {
            let settled = outbox::settle_together(claims, &outcome, now.at, policy, draw);
            self.report_together(&settled, if digest { "digest" } else { "group of calls" }, now.at);
            work.settled.extend(settled);
        } else if let Some(claim) = claims.pop() {
            let settled = outbox::settle(claim, outcome, now.at, policy, draw);
            self.report(&settled, now.at);
            work.settled.push(settled);
        }
        for settled in &mut work.settled[before..] {
            self.note_pause(&mut settled.delivery, now);
        }
        for settled in &work.settled[before..] {
            work.unstored.insert(settled.delivery.id, settled.delivery.state);
            self.context.health.attempted(&settled.delivery, now);
        }
    }

    /// With the pause of the lane in its row the next process knows of it too.
    fn note_pause(&self, delivery: &mut Delivery, now: Moment) {
        let asked = delivery.last_failure.as_ref().is_some_and(|failure| failure.kind.outlives_a_restart());
        if let (State::Pending, true, Some(until)) = (delivery.state, asked, self.pace.waits(now.tick)) {
            delivery.paused_until = Some(ahead(now.at, until.saturating_sub(now.tick)));
        }
    }

    /// What the end of an attempt says of the receiver: the one place where an outcome changes the state of the lane.
    fn learn(&mut self, step: u64, outcome: &Outcome, draw: f64, now: Duration) {
        let news = self.pace.ended(step, outcome, &self.settings.retry, draw, now);
        self.recovered |= news == News::Recovered;
        let failure = match outcome {
            Outcome::RetryAfter { failure, .. } => failure.text.as_str(),
            _ => "",
        };
        self.report_pace(news, failure);
    }
}

impl Retired {
    /// For the lane that follows.
    pub fn pace(&self) -> Pace {
        self.lane.pace.clone()
    }

    /// Lets the attempts under way end, each within its own timeout, and settles them. After `stop`, that of the whole
    /// process, they have eight seconds; what has not ended then is given back without being charged.
    pub async fn finish(self, stop: CancellationToken) {
        let Self { mut lane, mut work } = self;
        let mut patience = pin!(async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_PATIENCE).await;
        });
        while work.claims() > 0 {
            tokio::select! {
                () = &mut patience => break,
                () = lane.turn(&mut work) => {}
            }
        }
        if !work.held.is_empty() {
            tracing::info!(channel = lane.settings.name, deliveries = work.held.len(), "given back unfinished");
            drop(work.attempts);
            let held: Vec<_> = work.held.into_iter().collect();
            // In memory only; a store that cannot do even that forgets its leases with this process.
            let _ = lane.context.store.release(&held, lane.context.clock.moment()).await;
        }
    }
}

/// The one place that draws chance.
#[expect(clippy::disallowed_methods, reason = "the one place that draws chance")]
fn draw() -> f64 {
    fastrand::f64()
}
