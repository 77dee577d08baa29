//! Wiring and orderly stop, nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::channel::{Channel, email, slack, webhook};
use crate::clock::{Clock, Moment};
use crate::config::{self, ChannelKind, Config};
use crate::cursor::back;
use crate::dispatch::{self, Lane};
use crate::event::Kind;
use crate::health::Health;
use crate::heartbeat::{self, Heartbeat};
use crate::http;
use crate::metrics::Metrics;
use crate::outbox::State;
use crate::pbx::Pbx;
use crate::private::Secret;
use crate::recording::Recordings;
use crate::render::Renderer;
use crate::retry;
use crate::route::Router;
use crate::server;
use crate::store::sled::SledStore;
use crate::store::{Source, Store, StoreError};
use crate::track::Rules;
use crate::watch::{self, Watcher};
use crate::watchdog::{self, Recipient, Watchdog};

/// Served when the configuration does not say otherwise.
const DEFAULT_LISTEN: &str = "127.0.0.1:8380";

/// How often what is too old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Why ringback does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A part of the configuration cannot be used here.
    #[error("{0}")]
    Config(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The HTTP server.
    #[error("cannot listen on {address} (`http.listen`): {cause}\nhint: choose another address, or `off`")]
    Listen {
        /// As configured.
        address: String,
        /// The system's words.
        cause: std::io::Error,
    },
}

/// What everything runs on: one thread, beside that of the store. Measured, a fifth less CPU for each delivery than with
/// two, since nothing is handed over between them.
///
/// # Errors
/// When the system refuses what an event loop needs.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Everything, wired and not yet running.
pub struct App {
    watchers: Vec<Watcher>,
    lanes: Vec<Lane>,
    watchdog: Watchdog,
    heartbeat: Option<Heartbeat>,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    clock: Clock,
    keep: Duration,
    listen: Option<String>,
}

/// What `once` left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Sources that could not be read.
    pub unread: usize,
    /// Deliveries that are to be tried again.
    pub pending: usize,
    /// Deliveries that were given up.
    pub dead: usize,
}

impl App {
    /// Opens the store and makes every part of the configuration.
    ///
    /// # Errors
    /// [`StartError`], before anything runs.
    pub async fn new(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let store = SledStore::open(&config.store.path, clock.moment())?;
        let first_run = if store.replaces().is_some() { config.watch.max_age } else { config.watch.first_run };
        Self::with_store(config, clock, Arc::new(store), first_run).await
    }

    async fn with_store(
        config: &Config,
        clock: Clock,
        store: Arc<dyn Store>,
        first_run: Duration,
    ) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::default());
        let health = Arc::new(Health::default());
        let router = Arc::new(Router::new(enabled_routes(config)));
        let lanes: Vec<_> = config.channels.iter().filter(|channel| channel.common.enabled).collect();
        let settings: Vec<_> = lanes.iter().map(|channel| lane_settings(config, channel)).collect();
        let connections = settings.iter().map(|lane| lane.concurrency).max().unwrap_or(1);
        let client = http::client(connections).map_err(|error| StartError::Config(error.to_string()))?;
        let mut minters = HashMap::new();
        let mut watchers = Vec::new();
        for account in &config.accounts {
            let pbx = pbx(account, client.clone())?;
            minters.insert(account.name.clone(), (Arc::clone(&pbx), account.limits.recordings));
            for (kind, settings) in sources(config, account, first_run) {
                let source = Source { account: account.name.clone(), kind };
                // More often than the limit allows it cannot be read.
                let every = settings.every.max(Duration::from_secs(60) / settings.limit.max(1));
                health.expect(source.clone(), every, clock.moment());
                metrics.expect_source(&source);
                let context = watch::Context {
                    pbx: Arc::clone(&pbx),
                    store: Arc::clone(&store),
                    router: Arc::clone(&router),
                    clock: clock.clone(),
                    metrics: Arc::clone(&metrics),
                    health: Arc::clone(&health),
                };
                watchers.push(Watcher::new(source, settings, context).await?);
            }
        }
        let renderer = Arc::new(renderer(config)?);
        let context = dispatch::Context {
            store: Arc::clone(&store),
            renderer: Arc::clone(&renderer),
            recordings: Arc::new(Recordings::new(minters, clock.clone(), Arc::clone(&metrics))),
            clock: clock.clone(),
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
        };
        warn_of_parked(store.as_ref(), &settings, clock.moment()).await?;
        let mut recipients = Vec::new();
        let lanes = lanes
            .into_iter()
            .zip(settings)
            .map(|(channel, settings)| {
                health.expect_lane(settings.name.clone());
                let built = build_channel(channel, &settings, client.clone())?;
                if config.health.notify.contains(&settings.name) {
                    recipients.push(Recipient::new(settings.name.clone(), settings.locale, Arc::clone(&built)));
                }
                Ok(Lane::new(settings, built, context.clone()))
            })
            .collect::<Result<_, StartError>>()?;
        for name in config.health.notify.iter().filter(|name| recipients.iter().all(|one| one.name() != name.as_str()))
        {
            tracing::warn!(channel = name, "`health.notify` names a channel that is switched off: it is not told");
        }
        let heartbeat = config.health.heartbeat_url.as_ref().map(|url| {
            let context =
                heartbeat::Context { health: Arc::clone(&health), store: Arc::clone(&store), clock: clock.clone() };
            Heartbeat::new(url, client.clone(), context).map_err(StartError::Config)
        });
        let heartbeat = heartbeat.transpose()?;
        let context = watchdog::Context {
            health: Arc::clone(&health),
            store: Arc::clone(&store),
            renderer,
            clock: clock.clone(),
        };
        let watchdog = Watchdog::new(config.health.after, recipients, context);
        Ok(Self {
            watchers,
            lanes,
            watchdog,
            heartbeat,
            store,
            metrics,
            health,
            clock,
            keep: config.store.keep,
            listen: config.http.listen.clone(),
        })
    }

    /// The store that everything is kept in.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Runs until `stop`, then ends in order: the watchers at once, the lanes within ten seconds.
    ///
    /// # Errors
    /// When the address of `http.listen` cannot be had; nothing runs then.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StartError> {
        let mut tasks = JoinSet::new();
        if let Some(listener) = listen(self.listen.as_deref()).await? {
            let context = server::Context {
                health: self.health,
                metrics: Arc::clone(&self.metrics),
                store: Arc::clone(&self.store),
                clock: self.clock.clone(),
            };
            tasks.spawn(server::serve(listener, context, stop.clone()));
        }
        for watcher in self.watchers {
            tasks.spawn(watcher.run(stop.clone()));
        }
        count_dead(self.store.as_ref(), &self.metrics).await;
        for lane in self.lanes {
            tasks.spawn(lane.run(stop.clone()));
        }
        tasks.spawn(self.watchdog.run(stop.clone()));
        if let Some(heartbeat) = self.heartbeat {
            tasks.spawn(heartbeat.run(stop.clone()));
        }
        tasks.spawn(maintain(self.store, self.clock, self.keep, stop.clone()));
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "ringback runs");
        while let Some(ended) = tasks.join_next().await {
            if let Err(panic) = ended
                && !stop.is_cancelled()
            {
                // A part that is gone would be missed silently: better to end, and be started again by the supervisor.
                tracing::error!(%panic, "a part of ringback panicked; stopping");
                stop.cancel();
            }
        }
        Ok(())
    }

    /// One poll of everything, then what is due is delivered.
    ///
    /// # Errors
    /// When the store cannot be read at the end.
    pub async fn once(self) -> Result<Rest, StoreError> {
        let mut polls = JoinSet::new();
        for mut watcher in self.watchers {
            polls.spawn(async move { watcher.once().await });
        }
        let read = polls.join_all().await;
        let mut lanes = JoinSet::new();
        for mut lane in self.lanes {
            lanes.spawn(async move { lane.drain().await });
        }
        lanes.join_all().await;
        let rest = self.store.list(&|delivery| matches!(delivery.state, State::Pending | State::Dead { .. })).await?;
        let pending = rest.iter().filter(|delivery| delivery.state == State::Pending).count();
        Ok(Rest { unread: read.iter().filter(|read| !**read).count(), pending, dead: rest.len() - pending })
    }
}

/// Deliveries to channels that are gone, or switched off, wait: they are neither sent nor forgotten.
async fn warn_of_parked(store: &dyn Store, lanes: &[dispatch::Settings], now: Moment) -> Result<(), StoreError> {
    for waiting in store.backlog(now).await? {
        if waiting.pending > 0 && lanes.iter().all(|lane| lane.name != waiting.channel) {
            tracing::warn!(
                channel = waiting.channel,
                deliveries = waiting.pending,
                "deliveries wait for a channel that is not configured, or not enabled; they are sent when it is again"
            );
        }
    }
    Ok(())
}

/// The renderer of a configuration.
///
/// # Errors
/// Every template that cannot be used.
pub fn renderer(config: &Config) -> Result<Renderer, StartError> {
    let timezone = TimeZone::get(&config.timezone)
        .map_err(|error| StartError::Config(format!("`timezone` cannot be used: {error}")))?;
    Renderer::new(config.templates.as_deref(), timezone).map_err(|problems| StartError::Config(problems.join("\n")))
}

/// The settings of a channel's lane: its own keys over `delivery`.
pub fn lane_settings(config: &Config, channel: &config::Channel) -> dispatch::Settings {
    let common = &channel.common;
    let default_rate = matches!(channel.kind, ChannelKind::Slack(_)).then_some(slack::RATE);
    dispatch::Settings {
        name: common.name.clone(),
        locale: common.locale.unwrap_or(config.locale),
        recording: common.recording,
        retry: common.retry.over(&config.delivery.retry.over(&retry::Policy::default())),
        timeout: common.timeout.unwrap_or(config.delivery.timeout),
        concurrency: common.concurrency.unwrap_or(config.delivery.concurrency),
        rate: common.rate.or(default_rate),
    }
}

/// Makes a channel: the one place that knows all of their types.
///
/// # Errors
/// When a value that passed the configuration's checks cannot be used after all.
pub fn build_channel(
    channel: &config::Channel,
    settings: &dispatch::Settings,
    client: reqwest::Client,
) -> Result<Arc<dyn Channel>, StartError> {
    let built: Result<Arc<dyn Channel>, String> = match &channel.kind {
        ChannelKind::Email(config) => {
            email::Email::new(config, settings.concurrency, settings.timeout).map(|channel| Arc::new(channel) as _)
        }
        ChannelKind::Slack(config) => {
            slack::Slack::new(config, client, settings.timeout).map(|channel| Arc::new(channel) as _)
        }
        ChannelKind::Webhook(config) => {
            webhook::Webhook::new(config, client, settings.timeout).map(|channel| Arc::new(channel) as _)
        }
    };
    built.map_err(|error| StartError::Config(format!("channel `{}`: {error}", channel.common.name)))
}

/// The rules, without the channels that are switched off.
fn enabled_routes(config: &Config) -> Vec<config::Route> {
    let enabled =
        |name: &String| config.channels.iter().any(|channel| channel.common.enabled && channel.common.name == *name);
    let mut routes = config.routes.clone();
    for route in &mut routes {
        let named = !route.notify.is_empty();
        route.notify.retain(enabled);
        // All of its channels are switched off: it still matches, and says that nobody is told.
        route.mute |= named && route.notify.is_empty();
    }
    routes
}

fn pbx(account: &config::Account, client: reqwest::Client) -> Result<Arc<Pbx>, StartError> {
    let key = Secret::clone(&account.api_key);
    Pbx::new(client, &account.base_url, key, account.timeout)
        .map(Arc::new)
        .map_err(|error| StartError::Config(format!("account `{}`: {error}", account.name)))
}

fn sources(
    config: &Config,
    account: &config::Account,
    first_run: Duration,
) -> impl Iterator<Item = (Kind, watch::Settings)> {
    let (calls, voicemails, max_age) = (&config.watch.missed_calls, &config.watch.voicemails, config.watch.max_age);
    let call_settings = calls.enabled.then_some(watch::Settings {
        every: calls.every,
        lookback: calls.lookback,
        first_run,
        limit: account.limits.cdrs,
        rules: Rules { grace: calls.grace, min_wait: calls.min_wait, max_age, follow_up: calls.follow_up },
    });
    let voicemail_settings = voicemails.enabled.then_some(watch::Settings {
        every: voicemails.every,
        lookback: voicemails.lookback,
        first_run,
        limit: account.limits.voicemails,
        rules: Rules { grace: Duration::ZERO, min_wait: Duration::ZERO, max_age, follow_up: voicemails.lookback },
    });
    let calls = call_settings.map(|settings| (Kind::Call, settings));
    calls.into_iter().chain(voicemail_settings.map(|settings| (Kind::Voicemail, settings)))
}

async fn listen(address: Option<&str>) -> Result<Option<TcpListener>, StartError> {
    if address == Some("off") {
        return Ok(None);
    }
    let wanted = address.unwrap_or(DEFAULT_LISTEN);
    match (TcpListener::bind(wanted).await, address) {
        (Ok(listener), _) => {
            tracing::info!(address = wanted, "health and metrics are served");
            Ok(Some(listener))
        }
        (Err(cause), Some(address)) => Err(StartError::Listen { address: address.to_owned(), cause }),
        (Err(cause), None) => {
            // Nobody asked for this address; telling people of their calls matters more than being watched.
            tracing::warn!(
                address = wanted, %cause,
                "health and metrics are not served; set `http.listen` to a free address, or to `off`"
            );
            Ok(None)
        }
    }
}

/// Counts the dead of earlier runs, before a lane adds to them. What waits in the outbox is measured when the metrics
/// are asked for.
async fn count_dead(store: &dyn Store, metrics: &Metrics) {
    match store.list(&|delivery| matches!(delivery.state, State::Dead { .. })).await {
        Ok(dead) => {
            for delivery in dead {
                metrics.died(&delivery.channel);
            }
        }
        Err(error) => tracing::error!(%error, "dead deliveries cannot be counted"),
    }
}

/// Forgets at the start and once a day what is older than `keep`.
async fn maintain(store: Arc<dyn Store>, clock: Clock, keep: Duration, stop: CancellationToken) {
    let work = async {
        loop {
            match store.prune(back(clock.now(), keep)).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "forgot what is older than `store.keep`"),
                Err(error) => tracing::error!(%error, "what is older than `store.keep` could not be forgotten"),
            }
            clock.sleep(PRUNE_EVERY).await;
        }
    };
    stop.run_until_cancelled(work).await;
}
