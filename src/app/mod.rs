//! Wiring: what a configuration makes, how it starts, how another takes its place, and the orderly stop.
//!
//! A `plan` is made of the configuration alone; a `generation` of watchers and lanes runs by it; what outlives every
//! configuration (the `Core`, the `front`) belongs to `running`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::generation::Parts;
use self::plan::Plan;
use crate::callback::Callbacks;
use crate::clock::Clock;
use crate::config::Config;
use crate::event::Kind;
use crate::health::Health;
use crate::link::Keys;
use crate::metrics::Metrics;
use crate::ops::{Channels, Desk};
use crate::outbox::State;
use crate::pbx::budget;
use crate::server::{Forward, Sites};
use crate::store::sled::SledStore;
use crate::store::{Source, Store, StoreError};
use crate::watch::Watcher;

mod control;
mod front;
mod generation;
mod keys;
mod plan;
mod readers;
mod running;
mod tasks;
mod upkeep;
mod vigil;

pub use plan::{build_channel, lane_settings, pbx, renderer, template_problems, timezone};
pub use readers::Readers;
pub use running::{ReloadError, Reloads, RunError, Running};

/// Why ringback does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Parts of the configuration cannot be used here: one to a line.
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

/// An event loop on one thread: of the lanes and whatever else runs; watchers have another, see [`Readers`]. Measured, a
/// loop on several threads costs a fifth more CPU for each delivery, since everything is handed over between them.
///
/// # Errors
/// When the system refuses what an event loop needs.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// What outlives every configuration.
#[derive(Clone)]
struct Core {
    store: Arc<dyn Store>,
    store_path: PathBuf,
    /// The store has taken the place of a damaged one: it has forgotten what was announced.
    replaced: bool,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// What the current configuration delivers to.
    channels: Channels,
    /// What the server answers by.
    sites: Sites,
    /// Where the PBX's events are passed on.
    forward: Forward,
    /// What may be asked about single calls, by account: the vendor counts on over a reload.
    details: Arc<Mutex<HashMap<String, budget::Shared>>>,
    /// Who calls back.
    callbacks: Callbacks,
    /// What signs links.
    link_keys: Keys,
    clock: Clock,
    /// Where watchers run; beside everything else when there is no such place.
    readers: Option<Handle>,
}

impl Core {
    /// What may be asked of an account's PBX about single calls.
    fn details(&self, account: &str, limit: u32) -> budget::Shared {
        let mut details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = details.entry(account.to_owned()).or_insert_with(|| budget::Shared::new(limit));
        shared.lock().set_limit(limit);
        shared.clone()
    }

    /// Where an operator asks, and where the dead are counted.
    fn desk(&self) -> Desk {
        Desk { store: Arc::clone(&self.store), channels: self.channels.clone(), clock: self.clock.clone() }
    }
}

/// Everything, wired and not yet running.
pub struct App {
    core: Core,
    plan: Plan,
    parts: Parts,
}

/// What `once` left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Sources that could not be read.
    pub unread: usize,
    /// Deliveries and summaries that are to be tried again.
    pub pending: usize,
    /// Deliveries that were given up.
    pub dead: usize,
}

impl App {
    /// Makes every part of the configuration and opens the store.
    ///
    /// # Errors
    /// [`StartError`], before anything runs.
    pub async fn new(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let plan = Plan::make(config, &clock)?;
        let store = open_store(&config.store.path, &clock).await?;
        let replaced = store.replaces().is_some();
        let store: Arc<dyn Store> = Arc::new(store);
        let core = Core {
            store_path: config.store.path.clone(),
            replaced,
            details: Arc::default(),
            callbacks: Callbacks::new(Arc::clone(&store), clock.clone()),
            store,
            metrics: Arc::default(),
            health: Arc::default(),
            channels: Channels::default(),
            sites: Sites::default(),
            forward: Forward::default(),
            link_keys: Keys::default(),
            clock,
            readers: None,
        };
        let parts = Parts::wire(&plan, &core, None).await?;
        Ok(Self { core, plan, parts })
    }

    /// Lets the watchers run on an event loop of their own.
    #[must_use]
    pub fn read_on(mut self, readers: &Readers) -> Self {
        self.core.readers = Some(readers.handle().clone());
        self
    }

    /// The store that everything is kept in.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.core.store)
    }

    /// Lets everything run until `stop`.
    ///
    /// # Errors
    /// When the address of `http.listen` cannot be had; nothing runs then.
    pub async fn start(self, stop: CancellationToken) -> Result<Running, StartError> {
        Running::start(self.core, self.plan, self.parts, stop).await
    }

    /// [`App::start`] and [`Running::until_end`] in one.
    ///
    /// # Errors
    /// As they do.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        self.start(stop).await?.until_end().await
    }

    /// One poll of everything, then what is due is delivered.
    ///
    /// # Errors
    /// When the store cannot go on, or cannot be read at the end.
    pub async fn once(self) -> Result<Rest, StoreError> {
        // Calls first: a voicemail says what is known of its call.
        let (calls, voicemails): (Vec<_>, Vec<_>) =
            self.parts.watchers.into_iter().partition(|(source, _)| source.kind == Kind::Call);
        let poll = async |watchers: Vec<(Source, Watcher)>| {
            let mut polls = JoinSet::new();
            for (_, mut watcher) in watchers {
                polls.spawn(async move { watcher.once().await });
            }
            polls.join_all().await
        };
        // Dropped, and so ended, with this.
        let mut names = JoinSet::new();
        for reader in self.parts.names {
            names.spawn(reader.once());
        }
        let (lanes, summaries) = (self.parts.lanes, self.parts.summaries);
        let work = async {
            let mut read = poll(calls).await;
            read.extend(poll(voicemails).await);
            let mut draining = JoinSet::new();
            for (_, mut lane) in lanes {
                draining.spawn(async move { lane.drain().await });
            }
            draining.join_all().await;
            (read, summaries.once().await)
        };
        let (read, unsent) = tokio::select! {
            read = work => read,
            // The lanes would wait for it for ever.
            error = self.core.store.failed() => return Err(error),
        };
        let rest = self.core.store.list(&|delivery| matches!(delivery.state, State::Pending | State::Dead { .. }));
        let rest = rest.await?;
        let pending = rest.iter().filter(|delivery| delivery.state == State::Pending).count();
        Ok(Rest {
            unread: read.iter().filter(|read| !**read).count(),
            pending: pending + unsent,
            dead: rest.len() - pending,
        })
    }
}

/// Beside the event loop, which would hear no signal meanwhile: a large store takes its time.
async fn open_store(path: &Path, clock: &Clock) -> Result<SledStore, StoreError> {
    let (folder, now) = (path.to_owned(), clock.moment());
    let opened = tokio::task::spawn_blocking(move || SledStore::open(&folder, now)).await;
    opened.unwrap_or_else(|panic| {
        let path = path.display().to_string();
        Err(StoreError::Failed { path, action: "be opened", cause: panic.to_string() })
    })
}
