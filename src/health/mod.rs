//! Whether everything moves: what watchers and lanes report, what `/readyz` says of it, and what is to be told.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::condition::{Cause, Condition, News, Notice, PbxTrouble, Reason};
use crate::outbox::{Delivery, FailureKind, State};
use crate::store::{Backlog, Source, Store, StoreError};
use crate::units::format_duration;

mod ledger;

use ledger::{Deaths, Ledger, Sighting};

/// A due delivery that nobody has taken for so long is overdue: its lane waits for the receiver's pause to end, sends
/// slower than deliveries come, or has stopped. One that waits for its next attempt after a failure is not due.
const OVERDUE: Duration = Duration::from_secs(120);

/// A store that has not answered by then is as good as one that refuses.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// What watchers and lanes have reported, shared by all.
#[derive(Debug, Default)]
pub struct Health {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    sources: HashMap<Source, Reading>,
    lanes: BTreeMap<String, Option<Trouble>>,
    /// Given up since the last look, by channel.
    dead: BTreeMap<String, Deaths>,
    ledger: Ledger,
}

#[derive(Debug)]
struct Reading {
    every: Duration,
    /// When it was said that it would be read.
    expected: Moment,
    /// When it was last read.
    read: Option<Moment>,
    trouble: Option<Trouble>,
}

#[derive(Debug, Clone)]
struct Trouble {
    since: Moment,
    reason: Reason,
}

impl Reading {
    fn last(&self) -> Moment {
        self.read.unwrap_or(self.expected)
    }

    /// How long it has not been read, when that is too long.
    fn stale(&self, now: Moment) -> Option<Duration> {
        Some(now.tick.saturating_sub(self.last().tick)).filter(|age| *age > 3 * self.every)
    }
}

/// Whom [`Health::to_tell`] may name, and when.
#[derive(Debug, Clone)]
pub struct Telling {
    /// A condition that has held for so long is told.
    pub after: Duration,
    /// The channels of `health.notify`.
    pub recipients: Vec<String>,
}

/// What was found when everything was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Why the store cannot be written.
    unwritable: Option<String>,
    /// Sources that were not read for three intervals, and for how long.
    stale: Vec<(Source, Duration)>,
    /// Channels with an overdue delivery, and for how long it has been due.
    overdue: Vec<(String, Duration)>,
    /// Sources that have not been read once.
    unread: usize,
}

impl Audit {
    /// Why ringback is not ready, in sentences; empty when it is.
    pub fn reasons(&self) -> Vec<String> {
        let store = self.unwritable.iter().map(|why| format!("store not writable: {why}"));
        let sources = self.stale.iter().map(|(source, age)| {
            format!("account `{}`: {} not read for {}", source.account, source.kind.as_str(), whole_seconds(*age))
        });
        let lanes = self.overdue.iter().map(|(channel, by)| {
            format!("channel `{channel}`: a delivery has been due for {}, and nobody has taken it", whole_seconds(*by))
        });
        store.chain(sources).chain(lanes).collect()
    }

    /// Whether everything moves: ringback is ready, and every source has been read since the start.
    pub fn passes(&self) -> bool {
        self.unread == 0 && self.reasons().is_empty()
    }
}

impl Health {
    /// A source is going to be read `every` so often. One that is new counts as read `now`, for readiness only.
    pub fn expect(&self, source: Source, every: Duration, now: Moment) {
        let reading = Reading { every, expected: now, read: None, trouble: None };
        self.known().sources.entry(source).or_insert(reading).every = every;
    }

    /// A channel is going to be delivered to: what is overdue for others waits for a configuration, not for a lane.
    pub fn expect_lane(&self, channel: String) {
        self.known().lanes.entry(channel).or_default();
    }

    /// Forgets every source and lane that is not among these, with all that would have been told of them: they are not
    /// ill any more, nor well, but gone from the configuration.
    pub fn retain(&self, sources: &[Source], channels: &[String]) {
        let known = &mut *self.known();
        known.sources.retain(|source, _| sources.contains(source));
        known.lanes.retain(|channel, _| channels.contains(channel));
        known.ledger.retain(|condition| {
            let source =
                |kind| sources.iter().any(|one| Some(one.account.as_str()) == condition.account() && one.kind == kind);
            condition.source().is_none_or(source)
                && condition.channel().is_none_or(|name| channels.iter().any(|one| one == name))
        });
    }

    /// A source was read, from `at` on.
    pub fn read(&self, source: &Source, at: Moment) {
        if let Some(reading) = self.known().sources.get_mut(source) {
            reading.read = Some(at);
            reading.trouble = None;
        }
    }

    /// A source could not be read; `detail` is for people, without secrets.
    pub fn not_read(&self, source: &Source, why: PbxTrouble, detail: &str, now: Moment) {
        if let Some(reading) = self.known().sources.get_mut(source) {
            let since = reading.trouble.as_ref().map_or(now, |trouble| trouble.since);
            reading.trouble = Some(Trouble { since, reason: Reason::new(Cause::Pbx(why), detail) });
        }
    }

    /// An attempt has made this of a delivery.
    ///
    /// A receiver that refuses one message for good is not failing: it is there, and the message is told as given up.
    pub fn attempted(&self, delivery: &Delivery, now: Moment) {
        let known = &mut *self.known();
        let Some(lane) = known.lanes.get_mut(&delivery.channel) else { return };
        let failure = delivery.last_failure.as_ref();
        let reason = failure.map(|failure| Reason::new(Cause::Receiver(failure.kind), &failure.text));
        match (delivery.state, failure, reason) {
            (State::Delivered { .. }, ..) => *lane = None,
            (State::Pending | State::Dead { .. }, Some(failure), Some(reason)) => {
                if failure.kind != FailureKind::Rejected {
                    let since = lane.as_ref().map_or(now, |trouble| trouble.since);
                    *lane = Some(Trouble { since, reason: reason.clone() });
                }
                if matches!(delivery.state, State::Dead { .. }) {
                    let none = Deaths { count: 0, first: now.at, reason: reason.clone() };
                    let dead = known.dead.entry(delivery.channel.clone()).or_insert(none);
                    dead.count += 1;
                    dead.reason = reason;
                }
            }
            _ => {}
        }
    }

    /// Looks at everything. Writes into the store, as the only way to know whether it can be.
    pub async fn audit(&self, store: &dyn Store, now: Moment) -> Audit {
        let asked = async {
            store.ping().await?;
            store.backlog(now).await
        };
        let (unwritable, backlog) = match tokio::time::timeout(STORE_PATIENCE, asked).await {
            Ok(Ok(backlog)) => (None, backlog),
            Ok(Err(error)) => (Some(first_line(&error)), Vec::new()),
            Err(_) => (Some(format!("no answer within {}", format_duration(STORE_PATIENCE))), Vec::new()),
        };
        let known = self.known();
        let stale = |(source, reading): (&Source, &Reading)| Some((source.clone(), reading.stale(now)?));
        let mut stale: Vec<_> = known.sources.iter().filter_map(stale).collect();
        stale.sort_unstable_by(|(one, _), (other, _)| (&one.account, one.kind).cmp(&(&other.account, other.kind)));
        let overdue = |lane: &Backlog| lane.overdue > OVERDUE && known.lanes.contains_key(&lane.channel);
        let overdue = backlog.into_iter().filter(overdue).map(|lane| (lane.channel, lane.overdue));
        let mut overdue: Vec<_> = overdue.collect();
        overdue.sort_unstable();
        let unread = known.sources.values().filter(|reading| reading.read.is_none()).count();
        Audit { unwritable, stale, overdue, unread }
    }

    /// What holds now, each as the notice of it would be told. Without an audit: what watchers and lanes have reported,
    /// which costs nothing to ask.
    pub fn holding(&self, audit: Option<&Audit>, now: Moment) -> Vec<Notice> {
        let known = self.known();
        let nothing = Audit { unwritable: None, stale: Vec::new(), overdue: Vec::new(), unread: 0 };
        let sightings = known.conditions(audit.unwrap_or(&nothing), now);
        let mut notices: Vec<Notice> = sightings
            .into_iter()
            .map(|Sighting { condition, since, reason }| {
                let since = known.ledger.since(&condition).unwrap_or(since.at).min(since.at);
                let covers = vec![condition.clone()];
                Notice { condition, covers, since, at: now.at, news: News::Failing(reason) }
            })
            .collect();
        notices.sort_by(|one, other| one.condition.cmp(&other.condition));
        notices
    }

    /// Takes note of what holds now. Returns what has just held for `telling.after`.
    pub fn look(&self, audit: &Audit, telling: &Telling, now: Moment) -> Vec<Condition> {
        let known = &mut *self.known();
        let present = known.conditions(audit, now);
        let dead = std::mem::take(&mut known.dead);
        let recipients: Vec<&str> = telling.recipients.iter().map(String::as_str).collect();
        known.ledger.look(present, dead, &recipients, telling.after, now)
    }

    /// What `recipient` is to be told now: the same again until [`Health::told`].
    pub fn to_tell(&self, recipient: &str, telling: &Telling, now: Moment) -> Vec<Notice> {
        self.known().ledger.to_tell(recipient, telling.after, now.tick)
    }

    /// `recipient` has taken a notice, or has refused it for good.
    pub fn told(&self, recipient: &str, notice: &Notice, telling: &Telling, now: Moment) {
        self.known().ledger.told(recipient, notice, telling.after, now.tick);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn conditions(&self, audit: &Audit, now: Moment) -> Vec<Sighting> {
        let mut present = Vec::new();
        if let Some(why) = &audit.unwritable {
            let reason = Reason::new(Cause::Disk, why);
            present.push(Sighting { condition: Condition::StoreUnwritable, since: now, reason });
        }
        for (source, reading) in &self.sources {
            let trouble = reading.trouble.clone().or_else(|| {
                // Nothing is taken in while it cannot be stored: that is told once, as what it is. When it can again, the
                // next read has its time, so this counts from now on and not from the last one.
                let age = reading.stale(now).filter(|_| audit.unwritable.is_none())?;
                let detail = format!("no read has ended for {}", whole_seconds(age));
                Some(Trouble { since: now, reason: Reason::new(Cause::Pbx(PbxTrouble::Silent), &detail) })
            });
            if let Some(Trouble { since, reason }) = trouble {
                let condition = Condition::PbxUnreadable { account: source.account.clone(), source: Some(source.kind) };
                present.push(Sighting { condition, since, reason });
            }
        }
        for (channel, trouble) in &self.lanes {
            if let Some(Trouble { since, reason }) = trouble.clone() {
                let condition = Condition::ChannelFailing { channel: channel.clone() };
                present.push(Sighting { condition, since, reason });
            }
        }
        for (channel, by) in &audit.overdue {
            let detail = format!("a delivery has been due for {}, and nobody has taken it", whole_seconds(*by));
            let condition = Condition::DeliveryOverdue { channel: channel.clone() };
            present.push(Sighting { condition, since: now, reason: Reason::new(Cause::Waiting, &detail) });
        }
        present
    }
}

/// Without the hint, which is for the terminal.
fn first_line(error: &StoreError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn whole_seconds(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs()))
}

#[cfg(test)]
mod tests;
