//! Every metric in one place (contract section 6). Labels are `account`, `source`, `channel`, `type`, `outcome` only.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::event::{EventType, Quiet};
use crate::store::Source;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PollLabels {
    account: String,
    source: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    account: String,
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    account: String,
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AccountOutcome {
    account: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelOutcome {
    channel: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelState {
    channel: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabels {
    channel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

/// Of [`Metrics::encode`]: the format that every version of Prometheus and everything like it reads
/// (prometheus.io, "Exposition formats").
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `OpenMetrics` 1.0, which the library writes, as Prometheus text 0.0.4: there a counter is introduced by the name of
/// its samples, `_total` included, and nothing marks the end.
fn as_prometheus_text(open_metrics: &str) -> String {
    let counters: HashSet<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        let introduced = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "))
            .and_then(|rest| rest.split_once(' '))
            .filter(|(name, _)| counters.contains(name));
        match introduced {
            Some((name, rest)) => text.extend([&line[.."# TYPE ".len()], name, "_total ", rest, "\n"]),
            None => text.extend([line, "\n"]),
        }
    }
    text
}

/// Bounds in seconds, as one shared constructor for every family of histograms.
#[derive(Debug, Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// From an answer on loopback to the slowest dated query.
const POLL_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0];
/// From a webhook on the same machine to a receiver that was down for a day.
const LATENCY_SECONDS: &[f64] =
    &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 90.0, 300.0, 1800.0, 3600.0, 21_600.0, 86_400.0];

/// The counters of one channel that move with every message: looked up once.
#[derive(Debug, Clone)]
pub struct ChannelMetrics {
    delivered: Counter,
    latency: Histogram,
    paused: Gauge<i64, AtomicI64>,
}

impl ChannelMetrics {
    /// A delivery was accepted, this long after its record was seen.
    pub fn delivered(&self, latency: Duration) {
        self.delivered.inc();
        self.latency.observe(latency.as_secs_f64());
    }

    /// Whether the channel waits as a whole.
    pub fn paused(&self, paused: bool) {
        self.paused.set(paused.into());
    }
}

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    polls: Family<PollLabels, Counter>,
    poll_duration: Family<SourceLabels, Histogram, Buckets>,
    last_success: Family<SourceLabels, Gauge<f64, AtomicU64>>,
    events: Family<EventLabels, Counter>,
    quiet: Family<AccountOutcome, Counter>,
    malformed: Family<SourceLabels, Counter>,
    deliveries: Family<ChannelOutcome, Counter>,
    latency: Family<ChannelLabels, Histogram, Buckets>,
    outbox: Family<ChannelState, Gauge<i64, AtomicI64>>,
    oldest_due: Family<ChannelLabels, Gauge<f64, AtomicU64>>,
    paused: Family<ChannelLabels, Gauge<i64, AtomicI64>>,
    recording_urls: Family<AccountOutcome, Counter>,
    degraded: Family<ChannelLabels, Counter>,
    pushes: Family<AccountOutcome, Counter>,
    forwards: Family<Outcome, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ringback");
        let metrics = Self {
            polls: Family::default(),
            poll_duration: Family::new_with_constructor(Buckets(POLL_SECONDS)),
            last_success: Family::default(),
            events: Family::default(),
            quiet: Family::default(),
            malformed: Family::default(),
            deliveries: Family::default(),
            latency: Family::new_with_constructor(Buckets(LATENCY_SECONDS)),
            outbox: Family::default(),
            oldest_due: Family::default(),
            paused: Family::default(),
            recording_urls: Family::default(),
            degraded: Family::default(),
            pushes: Family::default(),
            forwards: Family::default(),
            registry: Registry::default(),
        };
        // The library appends `_total` to counters by itself.
        registry.register("polls", "Reads of the PBX", metrics.polls.clone());
        registry.register("poll_duration_seconds", "How long a read of the PBX took", metrics.poll_duration.clone());
        registry.register(
            "last_poll_success_timestamp_seconds",
            "When the PBX was last read without error",
            metrics.last_success.clone(),
        );
        registry.register("events", "Events that were announced", metrics.events.clone());
        registry.register(
            "remembered_events",
            "Events that were seen and announced to nobody, by the reason",
            metrics.quiet.clone(),
        );
        registry.register("malformed_records", "Rows of the PBX that could not be read", metrics.malformed.clone());
        registry.register("deliveries", "Attempts by their outcome", metrics.deliveries.clone());
        registry.register(
            "delivery_latency_seconds",
            "From the record being seen to the receiver's acceptance",
            metrics.latency.clone(),
        );
        registry.register("outbox_deliveries", "Deliveries in the outbox", metrics.outbox.clone());
        registry.register(
            "oldest_due_seconds",
            "For how long the oldest due delivery has been due",
            metrics.oldest_due.clone(),
        );
        registry.register("channel_paused", "1 while a channel waits as a whole", metrics.paused.clone());
        registry.register("recording_urls", "Recording URLs that were asked for", metrics.recording_urls.clone());
        registry.register(
            "degraded_messages",
            "Messages sent as plain text because their template failed",
            metrics.degraded.clone(),
        );
        registry.register("pushes", "Posts of the PBX by what came of them", metrics.pushes.clone());
        registry.register("forwards", "Posts of the PBX that were to be passed on", metrics.forwards.clone());
        let build = Family::<BuildLabels, Gauge<i64, AtomicI64>>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION") }).set(1);
        registry.register("build_info", "This build", build);
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// Shows what is going to be counted of a source from the start, as zero: a rate needs a first value.
    pub fn expect_source(&self, source: &Source) {
        let account = source.account.clone();
        let labels = SourceLabels { account: account.clone(), source: source.kind.as_str() };
        drop(self.polls.get_or_create(&PollLabels { account, source: source.kind.as_str(), outcome: "ok" }));
        drop(self.poll_duration.get_or_create(&labels));
        drop(self.last_success.get_or_create(&labels));
        drop(self.malformed.get_or_create(&labels));
        let (account, event) = (source.account.clone(), source.kind.first_event());
        drop(self.events.get_or_create(&EventLabels { account: account.clone(), r#type: event.as_str() }));
        drop(self.recording_urls.get_or_create(&AccountOutcome { account, outcome: "minted" }));
    }

    /// Shows what is going to be counted of a channel from the start, and gives what moves with every message.
    pub fn expect_channel(&self, channel: &str) -> ChannelMetrics {
        let labels = ChannelLabels { channel: channel.to_owned() };
        let delivered = ChannelOutcome { channel: channel.to_owned(), outcome: "delivered" };
        drop(self.degraded.get_or_create(&labels));
        drop(self.oldest_due.get_or_create(&labels));
        // Created, not set: a lane that follows another goes on counting.
        for state in ["pending", "dead"] {
            drop(self.outbox.get_or_create(&ChannelState { channel: channel.to_owned(), state }));
        }
        ChannelMetrics {
            delivered: self.deliveries.get_or_create(&delivered).clone(),
            latency: self.latency.get_or_create(&labels).clone(),
            paused: self.paused.get_or_create(&labels).clone(),
        }
    }

    /// A read of the PBX has ended; `at` is when it began.
    pub fn poll(&self, source: &Source, outcome: &'static str, took: Duration, at: Timestamp) {
        let account = source.account.clone();
        let labels = SourceLabels { account: account.clone(), source: source.kind.as_str() };
        self.polls.get_or_create(&PollLabels { account, source: source.kind.as_str(), outcome }).inc();
        self.poll_duration.get_or_create(&labels).observe(took.as_secs_f64());
        if outcome == "ok" {
            self.last_success.get_or_create(&labels).set(at.as_millisecond() as f64 / 1e3);
        }
    }

    /// Rows could not be read.
    pub fn malformed(&self, source: &Source, rows: usize) {
        let labels = SourceLabels { account: source.account.clone(), source: source.kind.as_str() };
        self.malformed.get_or_create(&labels).inc_by(rows as u64);
    }

    /// An event was announced.
    pub fn event(&self, account: &str, event: EventType) {
        self.events.get_or_create(&EventLabels { account: account.to_owned(), r#type: event.as_str() }).inc();
    }

    /// An event was remembered without being announced.
    pub fn quiet(&self, account: &str, why: Quiet) {
        self.quiet.get_or_create(&AccountOutcome { account: account.to_owned(), outcome: why.as_str() }).inc();
    }

    /// An attempt has ended.
    pub fn attempt(&self, channel: &str, outcome: &'static str) {
        self.deliveries.get_or_create(&ChannelOutcome { channel: channel.to_owned(), outcome }).inc();
    }

    /// What waits in the outbox for a channel.
    pub fn backlog(&self, channel: &str, pending: usize, oldest_due: Duration) {
        let state = ChannelState { channel: channel.to_owned(), state: "pending" };
        self.outbox.get_or_create(&state).set(i64::try_from(pending).unwrap_or(i64::MAX));
        self.oldest_due.get_or_create(&ChannelLabels { channel: channel.to_owned() }).set(oldest_due.as_secs_f64());
    }

    /// How many deliveries of a channel are dead.
    pub fn dead(&self, channel: &str, dead: usize) {
        let state = ChannelState { channel: channel.to_owned(), state: "dead" };
        self.outbox.get_or_create(&state).set(i64::try_from(dead).unwrap_or(i64::MAX));
    }

    /// One more delivery of a channel is dead.
    pub fn died(&self, channel: &str) {
        self.outbox.get_or_create(&ChannelState { channel: channel.to_owned(), state: "dead" }).inc();
    }

    /// A recording URL was asked for.
    pub fn recording_url(&self, account: &str, outcome: &'static str) {
        self.recording_urls.get_or_create(&AccountOutcome { account: account.to_owned(), outcome }).inc();
    }

    /// A message was sent as plain text because its template failed.
    pub fn degraded(&self, channel: &str) {
        self.degraded.get_or_create(&ChannelLabels { channel: channel.to_owned() }).inc();
    }

    /// The PBX has posted something.
    pub fn push(&self, account: &str, outcome: &'static str) {
        self.pushes.get_or_create(&AccountOutcome { account: account.to_owned(), outcome }).inc();
    }

    /// What the PBX has posted was passed on, or not.
    pub fn forward(&self, outcome: &'static str) {
        self.forwards.get_or_create(&Outcome { outcome }).inc();
    }

    /// The text that Prometheus reads ([`CONTENT_TYPE`]).
    pub fn encode(&self) -> String {
        let mut buffer = String::new();
        // Writing into a String cannot fail.
        let _ = text::encode(&mut buffer, &self.registry);
        as_prometheus_text(&buffer)
    }
}
