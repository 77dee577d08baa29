//! The way out of the store: one lane for each channel, which claims, renders, sends and settles.
//!
//! A lane has its own attempts, its own pause and its own rate, so a receiver that hangs delays nobody else. What is
//! settled is stored in groups; an attempt does not wait for the disk of the one before.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::attempt::{URL_PATIENCE, attempt};
use crate::channel::Channel;
use crate::clock::Clock;
use crate::config::RecordingMode;
use crate::event::{Closed, DeliveryId, EventId, Kind};
use crate::health::Health;
use crate::message::Locale;
use crate::metrics::{ChannelMetrics, Metrics};
use crate::outbox::{self, Claim, Outcome, Settled, State};
use crate::recording::Recordings;
use crate::render::Renderer;
use crate::retry;
use crate::store::{Store, StoreError};
use crate::track;

mod attempt;

/// On top of the longest attempt: a lease must outlive it.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

/// How long attempts under way may go on after the stop: SIGTERM allows ten seconds in all.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// Claims in our hands, in multiples of the attempts under way: what a crash can send twice.
const UNSETTLED: usize = 4;

/// How long an outcome waits for others to share its sync. A crash within it sends those again, under the same ids.
const GATHER: Duration = Duration::from_millis(2);

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
    /// Language of its messages.
    pub locale: Locale,
    /// Whether they carry a link to the recording.
    pub recording: RecordingMode,
    /// When a failed attempt is repeated.
    pub retry: retry::Policy,
    /// Of one attempt, without the wait for a recording URL.
    pub timeout: Duration,
    /// Attempts under way at once.
    pub concurrency: usize,
    /// Messages a second.
    pub rate: Option<f64>,
}

/// The lane of one channel.
pub struct Lane {
    settings: Settings,
    channel: Arc<dyn Channel>,
    context: Context,
    metrics: ChannelMetrics,
    /// Nothing is claimed before.
    paused_until: Duration,
    /// Pauses for refused credentials in a row.
    refusals: u32,
    /// With a rate: when the next message may go.
    next_turn: Duration,
}

/// What a lane knows of its receiver's patience: handed to the lane of the next configuration, which would else begin with
/// what the receiver has just asked us not to do.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    paused_until: Duration,
    refusals: u32,
    next_turn: Duration,
}

/// A lane that claims nothing any more, and what it has under way.
pub struct Retired {
    lane: Lane,
    work: UnderWay,
}

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = (Claim, Outcome)> + Send>>>;
type Settling = Pin<Box<dyn Future<Output = (Vec<Settled>, Result<(), StoreError>)> + Send>>;

/// What is under way.
#[derive(Default)]
struct UnderWay {
    attempts: Attempts,
    held: Vec<(DeliveryId, u64)>,
    settled: Vec<Settled>,
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
        Self {
            settings,
            channel,
            context,
            metrics,
            paused_until: Duration::ZERO,
            refusals: 0,
            next_turn: Duration::ZERO,
        }
    }

    /// Takes up the pace of the lane that served the same receiver before.
    pub fn keep_pace(&mut self, pace: Pace) {
        self.paused_until = pace.paused_until;
        self.refusals = pace.refusals;
        self.next_turn = pace.next_turn;
        self.metrics.paused(self.paused_until > self.context.clock.tick());
    }

    /// Claims and delivers until `retired`. What is under way then is left to [`Retired::finish`].
    pub async fn run(mut self, retired: CancellationToken) -> Retired {
        let mut work = UnderWay::default();
        let (Context { store, clock, .. }, name) = (self.context.clone(), self.settings.name.clone());
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
        loop {
            let wake = self.fill(&mut work).await;
            if work.claims() > 0 {
                self.turn(&mut work).await;
            } else if self.paused_until <= self.context.clock.tick() && wake <= self.next_turn {
                // Only the rate holds back what is due.
                self.context.clock.sleep_until(wake).await;
            } else {
                return;
            }
        }
    }

    /// Claims what is due and may be sent, and begins to send it. Returns when there may be more to claim.
    async fn fill(&mut self, work: &mut UnderWay) -> Duration {
        let clock = &self.context.clock;
        let now = clock.moment();
        let free = self.free(work, now.tick);
        if self.paused_until > now.tick {
            return self.paused_until;
        }
        if free == 0 {
            // Either the rate holds it back until then, or every hand is full and what is under way wakes the lane.
            return if self.next_turn > now.tick { self.next_turn } else { Duration::MAX };
        }
        self.metrics.paused(false);
        let lease = self.settings.timeout + URL_PATIENCE + LEASE_MARGIN;
        let name = self.settings.name.as_str();
        match self.context.store.claim_due(name, free, lease, now).await {
            Ok(mut claims) => {
                self.settle_by_voicemails(&mut claims, now.at).await;
                if let Some(rate) = self.settings.rate
                    && !claims.is_empty()
                {
                    self.next_turn = now.tick + Duration::from_secs_f64(1.0 / rate);
                }
                let full = claims.len() == free;
                for claim in claims {
                    self.begin(claim, work, now.at);
                }
                if full {
                    return if self.settings.rate.is_some() { self.next_turn } else { Duration::MAX };
                }
            }
            Err(error) => {
                tracing::error!(channel = name, %error, "due deliveries cannot be read");
                return now.tick + STORE_PAUSE;
            }
        }
        match self.context.store.next_due(name).await {
            Ok(next) => next.unwrap_or(Duration::MAX).max(now.tick),
            Err(_) => now.tick + STORE_PAUSE,
        }
    }

    /// A missed call and the voicemail that was left in it are one matter: while nothing of the call has been sent, the
    /// voicemail speaks for both. The two are read side by side, so either may be stored first.
    async fn settle_by_voicemails(&self, claims: &mut [Claim], now: Timestamp) {
        let calls = claims.iter_mut().filter(|claim| claim.event.kind == Kind::Call && claim.delivery.attempts == 0);
        let calls: Vec<&mut Claim> = calls.collect();
        if calls.is_empty() {
            return;
        }
        let ids: Vec<EventId> = calls.iter().map(|claim| track::voicemail_of(&claim.event)).collect();
        match self.context.store.events(&ids).await {
            Ok(voicemails) => {
                for (claim, voicemail) in calls.into_iter().zip(voicemails) {
                    if track::speaks_for_its_call(voicemail.as_ref()) {
                        claim.event = track::close(&claim.event, Closed::Voicemail, now);
                    }
                }
            }
            Err(error) => tracing::error!(channel = self.settings.name, %error, "voicemails cannot be looked up"),
        }
    }

    fn free(&self, work: &UnderWay, now: Duration) -> usize {
        // A receiver that has refused us is tried with one message, not with all of them.
        let concurrency = if self.refusals > 0 { 1 } else { self.settings.concurrency };
        // Some may be waiting for the disk while others are sent.
        let slots = concurrency
            .saturating_sub(work.attempts.len())
            .min((UNSETTLED * concurrency).saturating_sub(work.claims()));
        match self.settings.rate {
            None => slots,
            Some(_) if self.next_turn <= now => slots.min(1),
            Some(_) => 0,
        }
    }

    /// What was settled since it was decided is not sent any more; the rest is.
    fn begin(&self, claim: Claim, work: &mut UnderWay, now: Timestamp) {
        if claim.delivery.attempts == 0 && claim.event.is_settled() {
            tracing::info!(delivery = %claim.delivery.id, channel = self.settings.name, "settled before it was sent");
            self.context.metrics.attempt(&self.settings.name, "withdrawn");
            work.settled.push(outbox::withdraw(claim, now));
            return;
        }
        work.held.push((claim.delivery.id, claim.lease));
        let context = self.context.clone();
        let channel = Arc::clone(&self.channel);
        let (locale, recording) = (self.settings.locale, self.settings.recording);
        work.attempts.push(Box::pin(async move {
            // A panic in one message must not end the lane; it counts as a failure of ours and comes again.
            let attempt = std::panic::AssertUnwindSafe(attempt(&claim, channel.as_ref(), &context, locale, recording));
            let outcome = attempt.catch_unwind().await.unwrap_or_else(|_| Outcome::RetryAfter {
                failure: outbox::Failure::new(outbox::FailureKind::Internal, "the attempt panicked; this is a bug"),
                wait: None,
            });
            (claim, outcome)
        }));
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
            Some((claim, outcome)) = attempts.next() => {
                self.ended(claim, outcome, work);
                // Whatever else has ended meanwhile goes into the same group.
                while let Some(Some((claim, outcome))) = work.attempts.next().now_or_never() {
                    self.ended(claim, outcome, work);
                }
            }
            else => std::future::pending().await,
        }
    }

    fn stored(&self, settled: Vec<Settled>, result: Result<(), StoreError>, work: &mut UnderWay) {
        work.settling = None;
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

    /// Counts and settles the end of an attempt, and pauses the lane when its outcome says so.
    fn ended(&mut self, claim: Claim, outcome: Outcome, work: &mut UnderWay) {
        work.held.retain(|(id, _)| *id != claim.delivery.id);
        let now = self.context.clock.moment();
        let name = self.settings.name.as_str();
        let seen_at = claim.delivery.seen_at;
        if let Outcome::RetryAfter { failure, wait } = &outcome
            && let Some(pause) = outbox::pause(failure, *wait, self.refusals + 1)
        {
            if failure.kind == outbox::FailureKind::Unauthorized && self.paused_until <= now.tick {
                self.refusals += 1;
                tracing::error!(
                    channel = name,
                    wait_seconds = pause.as_secs(),
                    failure = failure.text,
                    "the receiver refuses us: the channel waits; nothing is lost, but a person must mend the credentials"
                );
            } else if self.paused_until <= now.tick {
                tracing::warn!(channel = name, wait_seconds = pause.as_secs(), "the receiver asks for a pause");
            }
            self.paused_until = self.paused_until.max(now.tick + pause);
            self.metrics.paused(true);
        }
        if outcome == Outcome::Delivered {
            self.refusals = 0;
        }
        let draw = draw();
        let settled = outbox::settle(claim, outcome, now.at, &self.settings.retry, draw);
        self.context.health.attempted(&settled.delivery, now);
        self.report(&settled, seen_at, now.at);
        work.settled.push(settled);
    }

    fn report(&self, settled: &Settled, seen_at: Timestamp, now: Timestamp) {
        let name = self.settings.name.as_str();
        let Settled { delivery, .. } = settled;
        let failure = delivery.last_failure.as_ref();
        let (kind, why) = failure.map_or(("", ""), |failure| (failure.kind.as_str(), failure.text.as_str()));
        match delivery.state {
            State::Delivered { .. } => {
                let latency = Duration::try_from(now.duration_since(seen_at)).unwrap_or_default();
                self.metrics.delivered(latency);
                tracing::info!(
                    delivery = %delivery.id, channel = name, attempts = delivery.attempts,
                    latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), "delivered"
                );
            }
            State::Dead { .. } => {
                self.context.metrics.attempt(name, "dead");
                self.context.metrics.died(name);
                tracing::error!(
                    delivery = %delivery.id, channel = name, attempts = delivery.attempts, kind, why,
                    "given up: this message will not be sent unless somebody asks for it"
                );
            }
            State::Pending => {
                self.context.metrics.attempt(name, kind);
                tracing::warn!(
                    delivery = %delivery.id, channel = name, attempts = delivery.attempts, kind, why,
                    again_at = %delivery.due_at, "not delivered yet"
                );
            }
            State::Withdrawn { .. } => {}
        }
    }
}

impl Retired {
    /// For the lane that follows.
    pub fn pace(&self) -> Pace {
        let Lane { paused_until, refusals, next_turn, .. } = self.lane;
        Pace { paused_until, refusals, next_turn }
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
            // In memory only; a store that cannot do even that forgets its leases with this process.
            let _ = lane.context.store.release(&work.held, lane.context.clock.moment()).await;
        }
    }
}

/// The one place that draws chance.
#[expect(clippy::disallowed_methods, reason = "the one place that draws chance")]
fn draw() -> f64 {
    fastrand::f64()
}
