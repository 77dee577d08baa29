//! Fresh recording URLs: minted for the attempt, shared by the channels that send at the same time, and given up in time.
//!
//! A URL lives for an hour and is never stored. At most `limits.recordings` are asked for in any minute; who would have to
//! wait longer than their deadline is told so at once, and the message goes without.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::{Clock, Moment};
use crate::cursor::ahead;
use crate::event::{Event, EventId, Kind};
use crate::metrics::Metrics;
use crate::pbx::budget::Budget;
use crate::pbx::{Audio, Pbx, PbxError};
use crate::private::Secret;
use crate::store::{Store, StoreError};

/// How long the PBX keeps a URL alive (vendor page "Telesekreter": URL yaşam süresi 1 saat).
const LIFE: Duration = Duration::from_secs(3600);

/// A URL is shared until it is this old: the receiver then still has half of its hour, and the attempt some minutes.
const SHARED: Duration = Duration::from_secs(25 * 60);

/// A recording may not be ready when its call is: asked again after this, then after twice as long, as the deadline
/// allows. Few enough tries to leave the others of that minute some of the budget.
const NOT_READY: Duration = Duration::from_secs(10);

/// What a request may take when the message is late already.
const ANSWER: Duration = Duration::from_secs(10);

/// What fetching the audio may take, with the wait for those before it: real time, like all talk with a receiver.
pub const DOWNLOAD: Duration = Duration::from_secs(45);

/// Recordings in memory at once, of all channels: 40 MB at most.
const IN_MEMORY: usize = 4;

/// A minted URL.
#[derive(Debug, Clone)]
pub struct Link {
    /// Gives the audio to whoever has it.
    pub url: Secret,
    /// When the PBX ends it.
    pub expires_at: Timestamp,
}

/// A recording in memory, which counts against the others there until it is dropped.
#[derive(Debug)]
pub struct Held {
    /// The recording.
    pub audio: Audio,
    _room: OwnedSemaphorePermit,
}

/// Mints for the accounts.
pub struct Recordings {
    accounts: HashMap<String, Account>,
    store: Arc<dyn Store>,
    room: Arc<Semaphore>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

struct Account {
    pbx: Arc<Pbx>,
    budget: Arc<Mutex<Budget>>,
    /// A lock for each event, so that channels that ask at the same time wait for one answer.
    minted: Arc<Mutex<HashMap<EventId, Cell>>>,
}

type Cell = Arc<tokio::sync::Mutex<Option<Minted>>>;

struct Minted {
    link: Link,
    at: Duration,
}

impl Recordings {
    /// `accounts` by name, each with its requests a minute. What is fetched is noted in `store`.
    pub fn new(
        accounts: HashMap<String, (Arc<Pbx>, u32)>,
        store: Arc<dyn Store>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let accounts = accounts
            .into_iter()
            .map(|(name, (pbx, limit))| {
                let budget = Arc::new(Mutex::new(Budget::new(limit)));
                (name, Account { pbx, budget, minted: Arc::default() })
            })
            .collect();
        Self { accounts, store, room: Arc::new(Semaphore::new(IN_MEMORY)), clock, metrics }
    }

    /// Shares links and budget of `account` with `before`, which may still have attempts under way: the vendor counts on
    /// over a reload.
    pub fn share(&mut self, account: &str, limit: u32, before: &Self) {
        if let (Some(now), Some(before)) = (self.accounts.get_mut(account), before.accounts.get(account)) {
            now.budget = Arc::clone(&before.budget);
            now.minted = Arc::clone(&before.minted);
            now.lock_budget().set_limit(limit);
        }
    }

    /// A URL for the recording of `event` with at least half an hour left, or `None` when none can be had before the tick
    /// `deadline`.
    pub async fn link(&self, event: &Event, deadline: Duration) -> Option<Link> {
        let account = self.accounts.get(&event.account)?;
        let cell = account.cell(event.id, self.clock.tick());
        let asked_at = self.clock.tick();
        // The channel that mints for all may have a later deadline than this message.
        let minted = tokio::select! {
            biased;
            minted = cell.lock() => Some(minted),
            () = self.clock.sleep_until(deadline) => None,
        };
        // Who has waited for that channel in vain does not begin anew.
        let in_time = |now| now == asked_at || now < deadline;
        let Some(mut minted) = minted.filter(|minted| minted.is_some() || in_time(self.clock.tick())) else {
            self.metrics.recording_url(&event.account, "not_ready");
            return None;
        };
        if let Some(known) = &*minted
            && self.clock.tick().saturating_sub(known.at) <= SHARED
        {
            return Some(known.link.clone());
        }
        let (link, outcome) = self.mint(account, event, deadline).await;
        self.metrics.recording_url(&event.account, outcome);
        let link = link?;
        *minted = Some(Minted { link: link.clone(), at: self.clock.tick() });
        Some(link)
    }

    /// Notes that the PBX is about to be asked for the URL or the audio of a voicemail, which may mark it as heard: the
    /// mark is then not taken for a person's. To be called, and to have succeeded, before each request.
    ///
    /// # Errors
    /// When the note cannot be stored; the request must not be made then.
    pub async fn note_fetch(&self, event: &Event) -> Result<(), StoreError> {
        if event.kind == Kind::Call {
            return Ok(());
        }
        let now = self.clock.moment();
        // By the PBX's clock, as the mark will be.
        let its_time = self.accounts.get(&event.account).and_then(|account| account.pbx.its_time());
        self.store.note_fetch(event.id, Moment { at: its_time.unwrap_or(now.at), ..now }).await
    }

    /// The recording of `event` itself, by a link to it. This marks a voicemail as heard. `None` when it cannot be had
    /// within [`DOWNLOAD`], is none, or is too long.
    pub async fn audio(&self, event: &Event, link: &Link) -> Option<Held> {
        let pbx = &self.accounts.get(&event.account)?.pbx;
        let fetch = async {
            let room = Arc::clone(&self.room).acquire_owned().await.map_err(|error| error.to_string())?;
            self.note_fetch(event).await.map_err(|error| error.to_string())?;
            Ok(Held { audio: pbx.audio(&link.url, DOWNLOAD).await?, _room: room })
        };
        let held = tokio::time::timeout(DOWNLOAD, fetch).await;
        let held = held.unwrap_or_else(|_| Err("others before it took too long".to_owned()));
        let why = match held {
            Ok(held) => return Some(held),
            Err(why) => why,
        };
        tracing::warn!(
            event = %event.id, account = event.account, why,
            "the recording cannot be fetched: the message carries the link to it instead"
        );
        None
    }

    async fn mint(&self, account: &Account, event: &Event, deadline: Duration) -> (Option<Link>, &'static str) {
        let mut pause = NOT_READY;
        loop {
            let Some(slot) = account.reserve(self.clock.tick(), deadline) else { return (None, "no_budget") };
            self.clock.sleep_until(slot).await;
            let dated = account.pbx.its_time().is_some();
            if let Err(error) = self.note_fetch(event).await {
                tracing::error!(event = %event.id, %error, "no recording URL: that it was asked for cannot be noted");
                return (None, "refused");
            }
            let asked_at = self.clock.moment();
            let ask = async {
                match event.kind {
                    Kind::Call => account.pbx.recording_url(&event.uuid).await,
                    Kind::Voicemail => account.pbx.voicemail_url(&event.uuid).await,
                }
            };
            let patience = if deadline > asked_at.tick { deadline } else { asked_at.tick + ANSWER };
            let answer = tokio::select! {
                answer = ask => answer,
                () = self.clock.sleep_until(patience) => return (None, "not_ready"),
            };
            // Dated by our own clock, which may be another than that by which the PBX has just set its mark.
            if !dated
                && account.pbx.its_time().is_some()
                && let Err(error) = self.note_fetch(event).await
            {
                tracing::error!(event = %event.id, %error, "that a recording URL was asked for cannot be noted anew");
            }
            let again = match answer {
                Ok(url) => return (Some(Link { url, expires_at: ahead(asked_at.at, LIFE) }), "minted"),
                Err(PbxError::RateLimited { wait }) => {
                    let until = self.clock.tick() + wait.unwrap_or(Duration::from_secs(30));
                    account.lock_budget().exhaust(until);
                    until
                }
                Err(PbxError::NotFound | PbxError::Unreachable(_) | PbxError::Trouble { .. }) => {
                    let again = self.clock.tick() + pause;
                    pause *= 2;
                    again
                }
                Err(error) => {
                    tracing::warn!(event = %event.id, account = event.account, %error, "no recording URL");
                    return (None, "refused");
                }
            };
            if again > deadline {
                tracing::debug!(event = %event.id, account = event.account, "no recording URL in time");
                return (None, "not_ready");
            }
            self.clock.sleep_until(again).await;
        }
    }
}

impl Account {
    fn cell(&self, event: EventId, now: Duration) -> Cell {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody uses, and that hold nothing to share any more.
        minted.retain(|_, cell| {
            let fresh = |minted: &Minted| now.saturating_sub(minted.at) <= SHARED;
            Arc::strong_count(cell) > 1 || cell.try_lock().is_ok_and(|cell| cell.as_ref().is_some_and(fresh))
        });
        Arc::clone(minted.entry(event).or_default())
    }

    fn reserve(&self, now: Duration, deadline: Duration) -> Option<Duration> {
        self.lock_budget().reserve(now, deadline.max(now))
    }

    fn lock_budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
