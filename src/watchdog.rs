//! Says it when ringback cannot work: looks at everything now and then, and tells the channels of `health.notify`.
//!
//! It goes to the channels directly, not by the outbox: the store may be what is broken. So a notice that was told just
//! before a crash may be told again, and after a restart a condition is told anew once it has held for `health.after`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::channel::{Channel, Parcel};
use crate::clock::Clock;
use crate::condition::Notice;
use crate::health::{Health, Telling};
use crate::outbox::{Failure, Outcome};
use crate::render::{Look, Rendered, Renderer};
use crate::store::Store;

/// Between two looks; less when `health.after` is short.
const LONGEST_PERIOD: Duration = Duration::from_secs(60);
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// What the watchdog needs of the rest.
#[derive(Clone)]
pub struct Context {
    /// What is known.
    pub health: Arc<Health>,
    /// Whether it can be written.
    pub store: Arc<dyn Store>,
    /// Makes the notices.
    pub renderer: Arc<Renderer>,
    /// The time.
    pub clock: Clock,
}

/// A channel of `health.notify`.
pub struct Recipient {
    name: String,
    look: Look,
    channel: Arc<dyn Channel>,
    /// The receiver has asked not to be tried before this tick.
    not_before: Duration,
    /// The last try failed, and that was logged.
    failing: bool,
}

impl Recipient {
    /// The channel of this name, told in this look.
    pub fn new(name: String, look: Look, channel: Arc<dyn Channel>) -> Self {
        Self { name, look, channel, not_before: Duration::ZERO, failing: false }
    }
}

/// Looks and tells.
pub struct Watchdog {
    telling: Telling,
    recipients: Vec<Recipient>,
    context: Context,
}

impl Watchdog {
    /// Tells `recipients` of what has held for `after`.
    pub fn new(after: Duration, recipients: Vec<Recipient>, context: Context) -> Self {
        let names = recipients.iter().map(|recipient| recipient.name.clone()).collect();
        Self { telling: Telling { after, recipients: names }, recipients, context }
    }

    /// Watches until `stop`; without recipients there is nothing to watch for.
    pub async fn run(mut self, stop: CancellationToken) {
        if self.recipients.is_empty() {
            return;
        }
        let period = (self.telling.after / 4).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
        let rounds = async {
            loop {
                self.context.clock.sleep(period).await;
                self.round().await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// Looks once, and tries once to tell each recipient all that it is to be told.
    async fn round(&mut self) {
        let Context { health, store, clock, .. } = &self.context;
        let audit = health.audit(store.as_ref(), clock.moment()).await;
        for condition in health.look(&audit, &self.telling, clock.moment()) {
            if self.recipients.iter().all(|recipient| condition.channel() == Some(&recipient.name)) {
                tracing::error!(
                    ?condition,
                    "ringback cannot do its work, and nobody else can be told; hint: name another channel in `health.notify`"
                );
            }
        }
        let (context, telling) = (&self.context, &self.telling);
        join_all(self.recipients.iter_mut().map(|recipient| recipient.tell(context, telling))).await;
    }
}

impl Recipient {
    /// Stops at the first failure: what the channel does not take now it takes in a later round.
    async fn tell(&mut self, context: &Context, telling: &Telling) {
        let now = context.clock.moment();
        if self.not_before > now.tick {
            return;
        }
        for notice in context.health.to_tell(&self.name, telling, now) {
            let Rendered { message, failure } = context.renderer.notice(&self.look, &notice);
            if let Some(failure) = failure.filter(|failure| context.renderer.is_news(failure)) {
                tracing::error!(
                    channel = self.name,
                    failure,
                    "the template failed: notices go out in a built-in plain form"
                );
            }
            let parcel = Parcel { id: notice.id(&self.name), message: &message, now: now.at, earlier: None };
            match self.channel.send(parcel, &mut None).await {
                Outcome::Delivered => {
                    self.failing = false;
                    context.health.told(&self.name, &notice, telling, now);
                    self.log(&notice);
                }
                Outcome::Permanent(failure) => {
                    context.health.told(&self.name, &notice, telling, now);
                    let (kind, why, notice) = (failure.kind.as_str(), &failure.text, notice.event_type());
                    tracing::error!(channel = self.name, notice, kind, why, "a notice is refused for good");
                }
                Outcome::RetryAfter { failure, wait } => {
                    self.not_before = now.tick + wait.unwrap_or_default();
                    self.log_failure(&failure);
                    return;
                }
            }
        }
    }

    fn log(&self, notice: &Notice) {
        let (condition, about) = (notice.condition.as_str(), notice.condition.account().or(notice.condition.channel()));
        let (channel, about, since) = (self.name.as_str(), about.unwrap_or_default(), notice.since);
        if let Some(reason) = notice.reason() {
            let why = reason.detail.as_str();
            tracing::error!(condition, about, %since, why, channel, "ringback cannot do its work: told");
        } else {
            tracing::info!(condition, about, %since, channel, "ringback works again: told");
        }
    }

    fn log_failure(&mut self, failure: &Failure) {
        let (channel, kind, why) = (self.name.as_str(), failure.kind.as_str(), failure.text.as_str());
        if self.failing {
            tracing::debug!(channel, kind, why, "a notice can still not be told");
        } else {
            tracing::warn!(channel, kind, why, "a notice cannot be told; tried again every round");
        }
        self.failing = true;
    }
}
