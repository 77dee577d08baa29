//! The embedded store: sled, made durable.
//!
//! sled's own flush does not survive a power cut (it calls `sync_file_range`; measured: 15 of 30 stores broken). So there
//! is one writer thread: it gathers what is waiting, applies it as one batch, flushes, syncs the data file, and only
//! then answers. Rows stay under 4 KB, `len()` is never called, and opening is guarded against sled's panics on
//! damaged files.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::codec::{RowError, decode, encode};
use super::index::Index;
use super::{Backlog, Batch, Source, Store, StoreError};
use crate::clock::Moment;
use crate::cursor::Cursor;
use crate::event::{DeliveryId, Event, EventId};
use crate::outbox::{Claim, Delivery, Settled, State};

/// The format of the keys and trees, kept under [`FORMAT_KEY`]; rows have versions of their own.
const FORMAT: u32 = 1;
const FORMAT_KEY: &[u8] = b"m/format";
/// Written by [`Store::ping`].
const PING_KEY: &[u8] = b"m/ping";
/// Set in a store that replaces a broken one: it has forgotten what was announced.
const REPLACES_KEY: &[u8] = b"m/replaces";

const OPEN_EVENT: &[u8] = b"eo/";
const CLOSED_EVENT: &[u8] = b"ec/";
const PENDING: &[u8] = b"dp/";
const FINISHED: &[u8] = b"df/";

/// Enough for every open row of an office; sled's own default is 1 GB.
const CACHE_BYTES: u64 = 16 << 20;

/// A stored due time further ahead than this was written under a clock that was wrong.
const FURTHEST_DUE: Duration = Duration::from_secs(24 * 3600);

/// The embedded store.
pub struct SledStore {
    path: String,
    tree: sled::Tree,
    shared: Arc<Shared>,
    writer: Option<(mpsc::Sender<Order>, std::thread::JoinHandle<()>)>,
    replaces: Option<String>,
}

/// What the writer thread and the callers both see.
struct Shared {
    index: Mutex<Index>,
    lanes: Mutex<HashMap<String, Arc<Notify>>>,
}

/// One call, encoded by its caller.
struct Order {
    writes: Vec<Write>,
    now: Moment,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// A change of the rows and of what the index knows of them.
enum Write {
    Put(Vec<u8>, Vec<u8>),
    Event(EventId, bool, Vec<u8>),
    NewDelivery(Delivery, Vec<u8>),
    Settled(Settled, Vec<u8>),
    Revive(Delivery, Vec<u8>),
    Remove(Vec<u8>),
}

impl SledStore {
    /// Opens the store, or makes it (mode 0700). A damaged one is set aside under another name and a fresh one made in
    /// its place; [`SledStore::replaces`] then says so.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Format`] when a newer version wrote it,
    /// [`StoreError::Failed`] when the folder cannot be used.
    pub fn open(path: &Path, now: Moment) -> Result<Self, StoreError> {
        match Self::try_open(path, now) {
            Err(Opening::Damaged(cause)) => {
                let aside = set_aside(path, now.at)?;
                tracing::error!(
                    store = %path.display(), quarantined = %aside.display(), cause,
                    "the store is damaged: it was set aside and a fresh one is used; what was pending in it is not sent, \
                     and missed calls and voicemails that are still open may be announced again"
                );
                let mut fresh = Self::try_open(path, now).map_err(|opening| opening.into_error(path))?;
                fresh.mark_replacing(&aside)?;
                fresh.replaces = Some(aside.display().to_string());
                Ok(fresh)
            }
            other => other.map_err(|opening| opening.into_error(path)),
        }
    }

    /// Where the damaged store is that this one replaces: announcing starts from `watch.max_age`, not from
    /// `watch.first_run`, since being told twice is better than never.
    pub fn replaces(&self) -> Option<&str> {
        self.replaces.as_deref()
    }

    fn try_open(path: &Path, now: Moment) -> Result<Self, Opening> {
        make_folder(path).map_err(|error| Opening::failed("make its folder", &error))?;
        let owner = path.join("owner");
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        // sled panics on some damaged files. The closure owns nothing that a panic could leave half done.
        let db = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => db,
            Ok(Err(sled::Error::Io(error))) if is_lock(&error) => {
                return Err(Opening::Locked(std::fs::read_to_string(owner).unwrap_or_default()));
            }
            Ok(Err(error @ (sled::Error::Corruption { .. } | sled::Error::ReportableBug(_)))) => {
                return Err(Opening::Damaged(error.to_string()));
            }
            Ok(Err(error)) => return Err(Opening::failed("be opened", &error)),
            Err(_) => return Err(Opening::Damaged("the store library panicked on its files".to_owned())),
        };
        let note = |error: &std::io::Error| Opening::failed("note its owner", error);
        File::create(owner)
            .and_then(|mut file| write!(file, "process {}", std::process::id()))
            .map_err(|e| note(&e))?;
        let data = OpenOptions::new()
            .write(true)
            .open(path.join("db"))
            .map_err(|error| Opening::failed("open its data file", &error))?;
        // The names of fresh files must be as durable as what is written into them.
        File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| Opening::failed("sync", &error))?;

        let tree = (*db).clone();
        check_format(&tree)?;
        let shared = Arc::new(Shared { index: Mutex::default(), lanes: Mutex::default() });
        load_index(&tree, &shared, now)?;
        let replaces = tree
            .get(REPLACES_KEY)
            .map_err(|error| Opening::failed("be read", &error))?
            .map(|value| String::from_utf8_lossy(&value).into_owned());
        let (writer, orders) = mpsc::channel();
        let work =
            Writer { db, tree: tree.clone(), data, shared: Arc::clone(&shared), path: path.display().to_string() };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || work.run(&orders))
            .map_err(|error| Opening::failed("start its writer", &error))?;
        Ok(Self { path: path.display().to_string(), tree, shared, writer: Some((writer, thread)), replaces })
    }

    fn mark_replacing(&self, aside: &Path) -> Result<(), StoreError> {
        self.tree
            .insert(REPLACES_KEY, aside.display().to_string().into_bytes())
            .map(drop)
            .map_err(|error| self.failed("be written", &error))
    }

    fn failed(&self, action: &'static str, cause: &dyn std::fmt::Display) -> StoreError {
        StoreError::Failed { path: self.path.clone(), action, cause: cause.to_string() }
    }

    fn encoded<T: serde::Serialize>(&self, row: &T) -> Result<Vec<u8>, StoreError> {
        encode(row).map_err(|error| self.failed("write a row", &error))
    }

    fn decoded<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        decode(bytes).map_err(|error| self.failed("read a row", &error))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        let value = self.tree.get(key).map_err(|error| self.failed("be read", &error))?;
        value.map(|bytes| self.decoded(&bytes)).transpose()
    }

    fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        match self.read(&key(OPEN_EVENT, id.bytes()))? {
            Some(event) => Ok(Some(event)),
            None => self.read(&key(CLOSED_EVENT, id.bytes())),
        }
    }

    async fn write(&self, writes: Vec<Write>, now: Moment) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let gone = || self.failed("be written", &"its writer has stopped");
        let (writer, _) = self.writer.as_ref().ok_or_else(gone)?;
        writer.send(Order { writes, now, done }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    fn rows<'s, T: serde::de::DeserializeOwned + 's>(
        &'s self,
        prefix: &'static [u8],
    ) -> impl Iterator<Item = Result<T, StoreError>> + 's {
        self.tree.scan_prefix(prefix).map(|pair| {
            let (_, value) = pair.map_err(|error| self.failed("be read", &error))?;
            self.decoded(&value)
        })
    }
}

#[async_trait]
impl Store for SledStore {
    async fn commit(&self, batch: Batch, now: Moment) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(batch.events.len() + batch.deliveries.len() + 1);
        for event in &batch.events {
            writes.push(Write::Event(event.id, event.is_open(), self.encoded(event)?));
        }
        for delivery in batch.deliveries {
            let row = self.encoded(&delivery)?;
            writes.push(Write::NewDelivery(delivery, row));
        }
        if let Some((source, cursor)) = &batch.cursor {
            writes.push(Write::Put(cursor_key(source), self.encoded(cursor)?));
        }
        self.write(writes, now).await
    }

    async fn events(&self, ids: &[EventId]) -> Result<Vec<Option<Event>>, StoreError> {
        ids.iter().map(|id| self.event(*id)).collect()
    }

    async fn open_events(&self, source: &Source) -> Result<Vec<Event>, StoreError> {
        let ours = |event: &Event| event.account == source.account && event.kind == source.kind;
        self.rows::<Event>(OPEN_EVENT).filter(|event| event.as_ref().map_or(true, ours)).collect()
    }

    async fn cursor(&self, source: &Source) -> Result<Option<Cursor>, StoreError> {
        self.read(&cursor_key(source))
    }

    async fn claim_due(
        &self,
        channel: &str,
        limit: usize,
        lease: Duration,
        now: Moment,
    ) -> Result<Vec<Claim>, StoreError> {
        let leased = lock(&self.shared.index).claim(channel, limit, lease, now.tick);
        let mut claims = Vec::with_capacity(leased.len());
        for (id, lease) in leased {
            // A row that cannot be read must not stop the others: it stays leased, is logged, and comes up again.
            let delivery = self.read::<Delivery>(&key(PENDING, id.bytes()));
            let event = match &delivery {
                Ok(Some(delivery)) => self.event(delivery.event_id),
                _ => Ok(None),
            };
            match (delivery, event) {
                (Ok(Some(delivery)), Ok(Some(event))) => claims.push(Claim { lease, delivery, event }),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(delivery = %id, channel, %error, "a pending delivery cannot be read");
                }
                _ => tracing::error!(delivery = %id, channel, "a pending delivery has no row or no event"),
            }
        }
        Ok(claims)
    }

    async fn next_due(&self, channel: &str) -> Result<Option<Duration>, StoreError> {
        Ok(lock(&self.shared.index).next_due(channel))
    }

    async fn changed(&self, channel: &str) {
        self.shared.lane(channel).notified().await;
    }

    async fn settle(&self, settled: &[Settled], now: Moment) -> Result<(), StoreError> {
        let writes = settled
            .iter()
            .map(|settled| Ok(Write::Settled(settled.clone(), self.encoded(&settled.delivery)?)))
            .collect::<Result<_, StoreError>>()?;
        self.write(writes, now).await
    }

    async fn release(&self, claims: &[(DeliveryId, u64)], now: Moment) -> Result<(), StoreError> {
        let mut index = lock(&self.shared.index);
        for (id, lease) in claims {
            index.release(*id, *lease, now.tick);
        }
        Ok(())
    }

    async fn list(&self, wanted: &(dyn for<'d> Fn(&'d Delivery) -> bool + Sync)) -> Result<Vec<Delivery>, StoreError> {
        self.rows::<Delivery>(PENDING)
            .chain(self.rows::<Delivery>(FINISHED))
            .filter(|delivery| delivery.as_ref().map_or(true, wanted))
            .collect()
    }

    async fn revive(&self, ids: &[DeliveryId], now: Moment) -> Result<usize, StoreError> {
        let mut writes = Vec::new();
        for id in ids {
            let Some(mut delivery) = self.read::<Delivery>(&key(FINISHED, id.bytes()))? else { continue };
            if matches!(delivery.state, State::Dead { .. } | State::Withdrawn { .. }) {
                delivery.state = State::Pending;
                delivery.due_at = now.at;
                // Or the deadline that it died of would end it again after one try.
                delivery.created_at = now.at;
                let row = self.encoded(&delivery)?;
                writes.push(Write::Revive(delivery, row));
            }
        }
        let count = writes.len();
        self.write(writes, now).await?;
        Ok(count)
    }

    async fn backlog(&self, now: Moment) -> Result<Vec<Backlog>, StoreError> {
        let index = lock(&self.shared.index);
        Ok(index
            .backlog(now.tick)
            .map(|(channel, pending, overdue)| Backlog { channel: channel.to_owned(), pending, overdue })
            .collect())
    }

    async fn prune(&self, before: Timestamp) -> Result<usize, StoreError> {
        let mut writes = Vec::new();
        for event in self.rows::<Event>(CLOSED_EVENT) {
            let event = event?;
            if event.seen_at < before {
                writes.push(Write::Remove(key(CLOSED_EVENT, event.id.bytes())));
            }
        }
        for delivery in self.rows::<Delivery>(FINISHED) {
            let delivery = delivery?;
            if delivery.created_at < before {
                writes.push(Write::Remove(key(FINISHED, delivery.id.bytes())));
            }
        }
        let count = writes.len();
        let mut writes = writes.into_iter().peekable();
        while writes.peek().is_some() {
            // Small batches, so that a commit never waits long behind them.
            let now = Moment { at: before, tick: Duration::ZERO };
            self.write(writes.by_ref().take(500).collect(), now).await?;
        }
        Ok(count)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let now = Moment { at: Timestamp::UNIX_EPOCH, tick: Duration::ZERO };
        self.write(vec![Write::Put(PING_KEY.to_vec(), vec![1])], now).await
    }
}

impl Drop for SledStore {
    /// Waits for the writer, which holds sled's lock: whoever opens the store next finds it free.
    fn drop(&mut self) {
        if let Some((orders, thread)) = self.writer.take() {
            drop(orders);
            // A writer that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

/// The one thread that writes.
struct Writer {
    db: sled::Db,
    tree: sled::Tree,
    data: File,
    shared: Arc<Shared>,
    path: String,
}

/// How many calls share one sync at most.
const GROUP: usize = 256;

impl Writer {
    /// Ends when the store is dropped.
    fn run(self, orders: &mpsc::Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let mut group = vec![first];
            group.extend(orders.try_iter().take(GROUP - 1));
            let result = self.apply(&group).map_err(|cause| StoreError::Failed {
                path: self.path.clone(),
                action: "be written",
                cause,
            });
            if result.is_ok() {
                self.publish(&group);
            }
            for order in group {
                // A caller that has gone away needs no answer.
                let _ = order.done.send(result.clone());
            }
        }
    }

    /// One batch, one flush, one sync for all of `group`.
    fn apply(&self, group: &[Order]) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        {
            let index = lock(&self.shared.index);
            for write in group.iter().flat_map(|order| &order.writes) {
                self.add(write, &index, &mut batch).map_err(|error| error.to_string())?;
            }
        }
        self.tree.apply_batch(batch).map_err(|error| error.to_string())?;
        self.db.flush().map_err(|error| error.to_string())?;
        self.data.sync_all().map_err(|error| error.to_string())
    }

    fn add(&self, write: &Write, index: &Index, batch: &mut sled::Batch) -> Result<(), sled::Error> {
        match write {
            Write::Put(key, row) => batch.insert(key.as_slice(), row.as_slice()),
            Write::Remove(key) => batch.remove(key.as_slice()),
            Write::Event(id, open, row) => {
                let (now_in, no_more_in) = if *open { (OPEN_EVENT, CLOSED_EVENT) } else { (CLOSED_EVENT, OPEN_EVENT) };
                let old = key(no_more_in, id.bytes());
                if self.tree.contains_key(&old)? {
                    batch.remove(old);
                }
                batch.insert(key(now_in, id.bytes()), row.as_slice());
            }
            Write::NewDelivery(delivery, row) => {
                if !self.is_known(delivery, index)? {
                    batch.insert(key(PENDING, delivery.id.bytes()), row.as_slice());
                }
            }
            Write::Settled(settled, row) => {
                let delivery = &settled.delivery;
                if index.holds(&delivery.channel, delivery.id, settled.lease) {
                    let pending = key(PENDING, delivery.id.bytes());
                    if delivery.state == State::Pending {
                        batch.insert(pending, row.as_slice());
                    } else {
                        batch.remove(pending);
                        batch.insert(key(FINISHED, delivery.id.bytes()), row.as_slice());
                    }
                }
            }
            Write::Revive(delivery, row) => {
                batch.remove(key(FINISHED, delivery.id.bytes()));
                batch.insert(key(PENDING, delivery.id.bytes()), row.as_slice());
            }
        }
        Ok(())
    }

    fn is_known(&self, delivery: &Delivery, index: &Index) -> Result<bool, sled::Error> {
        Ok(index.contains(delivery) || self.tree.contains_key(key(FINISHED, delivery.id.bytes()))?)
    }

    /// What is durable now may be seen and claimed.
    fn publish(&self, group: &[Order]) {
        let mut index = lock(&self.shared.index);
        let mut wake: Vec<&str> = Vec::new();
        for order in group {
            for write in &order.writes {
                let delivery = match write {
                    Write::NewDelivery(delivery, _) if !index.contains(delivery) => {
                        // Known and finished: the batch left it alone, so must the index.
                        if self.tree.contains_key(key(FINISHED, delivery.id.bytes())).unwrap_or(true) {
                            continue;
                        }
                        delivery
                    }
                    Write::Revive(delivery, _) => delivery,
                    Write::Settled(settled, _) => {
                        let delivery = &settled.delivery;
                        if !index.holds(&delivery.channel, delivery.id, settled.lease) {
                            continue;
                        }
                        if delivery.state != State::Pending {
                            index.remove(&delivery.channel, delivery.id);
                            continue;
                        }
                        delivery
                    }
                    _ => continue,
                };
                index.put(delivery, order.now);
                if !wake.contains(&delivery.channel.as_str()) {
                    wake.push(&delivery.channel);
                }
            }
        }
        drop(index);
        for channel in wake {
            self.shared.lane(channel).notify_one();
        }
    }
}

impl Shared {
    fn lane(&self, channel: &str) -> Arc<Notify> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(channel) {
            return Arc::clone(lane);
        }
        Arc::clone(lanes.entry(channel.to_owned()).or_default())
    }
}

/// Why a store did not open.
enum Opening {
    Locked(String),
    Damaged(String),
    Format(String),
    Failed(&'static str, String),
}

impl Opening {
    fn failed(action: &'static str, error: &dyn std::fmt::Display) -> Self {
        Self::Failed(action, error.to_string())
    }

    fn into_error(self, path: &Path) -> StoreError {
        let path = path.display().to_string();
        match self {
            Self::Locked(owner) if owner.is_empty() => StoreError::Locked { path, owner: "another process".to_owned() },
            Self::Locked(owner) => StoreError::Locked { path, owner },
            Self::Format(found) => StoreError::Format { path, found, known: FORMAT },
            Self::Damaged(cause) => StoreError::Failed { path, action: "be opened", cause },
            Self::Failed(action, cause) => StoreError::Failed { path, action, cause },
        }
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// sled reports a held lock as an I/O error with these words.
fn is_lock(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, StoreError> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}.broken-{stamp}"));
    std::fs::rename(path, &aside).map_err(|error| StoreError::Failed {
        path: path.display().to_string(),
        action: "be set aside, though it is damaged",
        cause: error.to_string(),
    })?;
    Ok(aside)
}

fn check_format(tree: &sled::Tree) -> Result<(), Opening> {
    let failed = |error: sled::Error| Opening::failed("be read", &error);
    match tree.get(FORMAT_KEY).map_err(failed)? {
        Some(found) if *found == *FORMAT.to_string().as_bytes() => Ok(()),
        Some(found) => Err(Opening::Format(String::from_utf8_lossy(&found).into_owned())),
        None => tree.insert(FORMAT_KEY, FORMAT.to_string().into_bytes()).map(drop).map_err(failed),
    }
}

fn load_index(tree: &sled::Tree, shared: &Shared, now: Moment) -> Result<(), Opening> {
    let mut index = lock(&shared.index);
    let latest = now.at.saturating_add(FURTHEST_DUE).unwrap_or(Timestamp::MAX);
    for pair in tree.scan_prefix(PENDING) {
        let (_, row) = pair.map_err(|error| Opening::failed("be read", &error))?;
        match decode::<Delivery>(&row) {
            Ok(mut delivery) => {
                delivery.due_at = delivery.due_at.min(latest);
                index.put(&delivery, now);
            }
            Err(RowError::Version(version)) => return Err(Opening::Format(format!("row version {version}"))),
            Err(error) => tracing::error!(%error, "a pending delivery cannot be read; it is kept, and not sent"),
        }
    }
    Ok(())
}

fn key(prefix: &[u8], id: &[u8]) -> Vec<u8> {
    [prefix, id].concat()
}

fn cursor_key(source: &Source) -> Vec<u8> {
    format!("c/{}/{}", source.kind.as_str(), source.account).into_bytes()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
