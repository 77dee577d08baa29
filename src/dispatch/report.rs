//! What a lane says of its attempts: one line in the log for each message, and the counters.

use std::time::Duration;

use jiff::Timestamp;

use super::Lane;
use super::pace::News;
use crate::outbox::{Settled, State};

impl Lane {
    /// Says what the end of an attempt changes for the lane as a whole.
    pub(super) fn report_pace(&self, news: News, failure: &str) {
        let name = self.settings.name.as_str();
        match news {
            News::None => return,
            News::Refused(wait) => tracing::error!(
                channel = name,
                wait_seconds = wait.as_secs(),
                failure,
                "the receiver refuses us: the channel waits; nothing is lost, but a person must mend the credentials"
            ),
            News::Asked(wait) => {
                tracing::warn!(channel = name, wait_seconds = wait.as_secs(), "the receiver asks for a pause");
            }
            // One failure is told with its delivery; the second makes it the channel's.
            News::Trouble { streak: 2, wait } => tracing::warn!(
                channel = name,
                probe_in_seconds = wait.as_secs(),
                failure,
                "the receiver is in trouble: it is probed with one message at a time until it answers, the others wait"
            ),
            News::Trouble { .. } => {}
            News::Recovered => {
                tracing::info!(channel = name, "the receiver is well again: what has waited for it goes out");
            }
        }
        self.metrics.paused(news != News::Recovered);
    }

    /// Says what became of a message of its own.
    pub(super) fn report(&self, settled: &Settled, now: Timestamp) {
        self.count(settled, now);
        let name = self.settings.name.as_str();
        let Settled { delivery, .. } = settled;
        let failure = delivery.last_failure.as_ref();
        let (kind, why) = failure.map_or(("", ""), |failure| (failure.kind.as_str(), failure.text.as_str()));
        match delivery.state {
            State::Delivered { .. } => {
                let latency = latency(settled, now);
                tracing::info!(
                    delivery = %delivery.id, channel = name, attempts = delivery.attempts,
                    latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), "delivered"
                );
            }
            State::Dead { .. } => tracing::error!(
                delivery = %delivery.id, channel = name, attempts = delivery.attempts, kind, why,
                "given up: this message will not be sent unless somebody asks for it"
            ),
            State::Pending => tracing::warn!(
                delivery = %delivery.id, channel = name, attempts = delivery.attempts, kind, why,
                again_at = %delivery.due_at, "not delivered yet"
            ),
            State::Withdrawn { .. } if delivery.event.is_follow_up() => {
                tracing::info!(delivery = %delivery.id, channel = name, "what it would follow up was not told");
            }
            State::Withdrawn { .. } if delivery.event.is_escalation() => tracing::info!(
                delivery = %delivery.id, channel = name,
                "settled before it was told, or its channel was told of it only now"
            ),
            State::Withdrawn { .. } => {
                tracing::info!(delivery = %delivery.id, channel = name, "settled before it was told");
            }
        }
    }

    /// Says what became of a message of several deliveries, which share their end but for those that have no time left.
    /// `message`: what it is, for people.
    pub(super) fn report_together(&self, settled: &[Settled], message: &str, now: Timestamp) {
        let name = self.settings.name.as_str();
        for one in settled {
            self.count(one, now);
        }
        let dead = settled.iter().filter(|one| matches!(one.delivery.state, State::Dead { .. })).count();
        let Some(Settled { delivery, .. }) = settled.iter().find(|one| one.delivery.state == State::Pending) else {
            let why = settled.iter().find_map(|one| one.delivery.last_failure.as_ref());
            if let Some(why) = why {
                tracing::error!(
                    channel = name,
                    message,
                    deliveries = dead,
                    kind = why.kind.as_str(),
                    why = why.text,
                    "given up: this message will not be sent unless somebody asks for its deliveries"
                );
            } else {
                tracing::info!(channel = name, message, deliveries = settled.len(), "delivered in one message");
            }
            return;
        };
        let failure = delivery.last_failure.as_ref();
        let (kind, why) = failure.map_or(("", ""), |failure| (failure.kind.as_str(), failure.text.as_str()));
        tracing::warn!(
            channel = name, message, deliveries = settled.len(), dead, kind, why, again_at = %delivery.due_at,
            "not delivered yet"
        );
    }

    fn count(&self, settled: &Settled, now: Timestamp) {
        let name = self.settings.name.as_str();
        let metrics = &self.context.metrics;
        match settled.delivery.state {
            State::Delivered { .. } => self.metrics.delivered(latency(settled, now)),
            State::Dead { .. } => {
                metrics.attempt(name, "dead");
                metrics.died(name);
            }
            State::Pending => {
                let failure = settled.delivery.last_failure.as_ref();
                metrics.attempt(name, failure.map_or("", |failure| failure.kind.as_str()));
            }
            State::Withdrawn { .. } => metrics.attempt(name, "withdrawn"),
        }
    }
}

/// From the record being seen to its being taken; what its rule had it wait for does not count.
fn latency(settled: &Settled, now: Timestamp) -> Duration {
    let seen_at = settled.delivery.seen_at;
    let since = settled.delivery.not_before().map_or(seen_at, |at| at.max(seen_at));
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
