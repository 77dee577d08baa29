//! The embedded store: sled, made durable.
//!
//! sled's own flush does not survive a power cut (it calls `sync_file_range`; measured: 15 of 30 stores broken), and a
//! put costs tens of microseconds. So there is one writer thread: it gathers what is waiting, appends it to a journal,
//! syncs that, and only then answers; when it is idle it moves the journal into sled, flushes, and syncs the data file.
//! Rows stay under 4 KB, `len()` is never called, and opening is guarded against sled's panics on damaged files.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{oneshot, watch};

use self::writer::{Order, Seen, Shared, Write};
use super::codec::{decode, encode};
use super::transfer::{Fetch, SummaryNote};
use super::{Backlog, Batch, Source, Store, StoreError, Together};
use crate::clock::Moment;
use crate::cursor::Cursor;
use crate::event::{DeliveryId, Event, EventId};
use crate::outbox::{Claim, Delivery, Settled, State};

mod aside;
mod fresh;
mod journal;
mod moving;
mod open;
mod overlay;
mod panics;
mod reclaim;
mod room;
#[cfg(test)]
mod tests;
mod whole;
mod writer;

/// For the fuzzer, which lives in a package of its own: no other reader of a file is handed bytes that nobody checked.
#[doc(hidden)]
pub use self::journal::frames as journal_frames;

/// Rows that are read at a time; others have their turn between.
const SLICE: usize = 256;

/// Written by [`Store::ping`].
const PING_KEY: &[u8] = b"m/ping";

/// Up to which journal everything has been moved into sled.
const MOVED_KEY: &[u8] = b"m/moved";

const CURSOR: &[u8] = b"c/";
const OPEN_EVENT: &[u8] = b"eo/";
const CLOSED_EVENT: &[u8] = b"ec/";
const PENDING: &[u8] = b"dp/";
const FINISHED: &[u8] = b"df/";
/// One row for each fetch of a recording, so that no two writers can be in each other's way.
const FETCH: &[u8] = b"f/";
const SUMMARY: &[u8] = b"s/";

/// The embedded store.
pub struct SledStore {
    path: String,
    shared: Arc<Shared>,
    writer: Option<(mpsc::Sender<Order>, std::thread::JoinHandle<()>)>,
    /// Why the writer has ended, when that was not by order.
    failure: watch::Receiver<Option<String>>,
    replaces: Option<String>,
}

impl SledStore {
    /// Where the damaged store is that this one replaces: announcing starts from `watch.max_age`, not from
    /// `watch.first_run`, since being told twice is better than never.
    pub fn replaces(&self) -> Option<&str> {
        self.replaces.as_deref()
    }

    fn error(&self, action: &'static str, cause: &dyn std::fmt::Display) -> StoreError {
        StoreError::Failed { path: self.path.clone(), action, cause: cause.to_string() }
    }

    fn encoded<T: serde::Serialize>(&self, row: &T) -> Result<Vec<u8>, StoreError> {
        encode(row).map_err(|error| self.error("write a row", &error))
    }

    fn decoded<T: serde::de::DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, StoreError> {
        decode(bytes).map_err(|error| self.error("read a row", &error))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        let value = self.shared.get(key).map_err(|error| self.error("be read", &error))?;
        value.map(|bytes| self.decoded(&bytes)).transpose()
    }

    fn event(&self, id: EventId) -> Result<Option<Arc<Event>>, StoreError> {
        let fresh = lock(&self.shared.fresh).event(id);
        if fresh.is_some() {
            return Ok(fresh);
        }
        // Nearly all that is asked for is closed, and in a long memory a look in vain costs as much as one that finds. One
        // that is closed between the first two looks is found by the third.
        for prefix in [CLOSED_EVENT, OPEN_EVENT, CLOSED_EVENT] {
            if let Some(event) = self.read(&key(prefix, id.bytes()))? {
                return Ok(Some(Arc::new(event)));
            }
        }
        Ok(None)
    }

    /// A delivery, and the row that it was read from.
    fn seen(&self, id: DeliveryId) -> Result<Option<(Seen, Delivery)>, StoreError> {
        for prefix in [PENDING, FINISHED] {
            let key = key(prefix, id.bytes());
            if let Some(row) = self.shared.get(&key).map_err(|error| self.error("be read", &error))? {
                let delivery = self.decoded(&row)?;
                return Ok(Some((Seen { key, row: row.to_vec() }, delivery)));
            }
        }
        Ok(None)
    }

    /// The rows of leased deliveries, with their events.
    fn claims(&self, channel: &str, leased: Vec<(DeliveryId, u64)>) -> Vec<Claim> {
        let mut claims = Vec::with_capacity(leased.len());
        for (id, lease) in leased {
            // A row that cannot be read must not stop the others: it stays leased, is logged, and comes up again.
            let fresh = lock(&self.shared.fresh).take(id);
            let delivery = match fresh {
                Some(delivery) => Ok(Some(delivery)),
                None => self.read::<Delivery>(&key(PENDING, id.bytes())),
            };
            let event = match &delivery {
                Ok(Some(delivery)) => self.event(delivery.event_id),
                _ => Ok(None),
            };
            match (delivery, event) {
                (Ok(Some(delivery)), Ok(Some(event))) => claims.push(Claim { lease, delivery, event }),
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(delivery = %id, channel, %error, "a pending delivery cannot be read");
                }
                // Settled by whoever held it before, in the moment in which that lease ended.
                (Ok(None), _) => lock(&self.shared.index).forget(channel, id, lease),
                (Ok(Some(_)), Ok(None)) => tracing::error!(delivery = %id, channel, "a pending delivery has no event"),
            }
        }
        claims
    }

    async fn write(&self, writes: Vec<Write>, now: Moment) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let gone = || self.error("be written", &"its writer has stopped");
        let (writer, _) = self.writer.as_ref().ok_or_else(gone)?;
        writer.send(Order { writes, now, done }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// The rows under a prefix: those of sled that have not changed since, then the others.
    fn rows<'s, T: serde::de::DeserializeOwned + 's>(
        &'s self,
        prefix: &'static [u8],
    ) -> impl Iterator<Item = Result<T, StoreError>> + 's {
        let changed = Arc::new(lock(&self.shared.overlay).scan(prefix));
        let later = Arc::clone(&changed);
        let unchanged = self.shared.tree.scan_prefix(prefix).filter_map(move |pair| match pair {
            Ok((key, _)) if changed.contains_key(&*key) => None,
            Ok((_, value)) => Some(self.decoded(&value)),
            Err(error) => Some(Err(self.error("be read", &error))),
        });
        let changed: Vec<_> = later.values().flatten().cloned().collect();
        unchanged.chain(changed.into_iter().map(|value| self.decoded(&value)))
    }
}

#[async_trait]
impl Store for SledStore {
    async fn commit(&self, batch: Batch, now: Moment) -> Result<(), StoreError> {
        let mut writes = Vec::with_capacity(batch.events.len() + batch.deliveries.len() + 1);
        for event in batch.events {
            let row = self.encoded(&*event)?;
            writes.push(Write::Event(event, row));
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

    async fn events(&self, ids: &[EventId]) -> Result<Vec<Option<Arc<Event>>>, StoreError> {
        ids.iter().map(|id| self.event(*id)).collect()
    }

    async fn open_events(&self, source: &Source) -> Result<Vec<Arc<Event>>, StoreError> {
        let ours = |event: &Event| event.account == source.account && event.kind == source.kind;
        let open = self.rows::<Event>(OPEN_EVENT).filter(|event| event.as_ref().map_or(true, ours));
        open.map(|event| event.map(Arc::new)).collect()
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
        Ok(self.claims(channel, leased))
    }

    async fn claim_together(
        &self,
        channel: &str,
        together: &Together,
        lease: Duration,
        now: Moment,
    ) -> Result<(Vec<Claim>, usize), StoreError> {
        let (leased, left) = lock(&self.shared.index).claim_together(channel, together, lease, now.tick);
        Ok((self.claims(channel, leased), left))
    }

    async fn gathering(&self, now: Moment) -> Result<Vec<(Delivery, Arc<Event>)>, StoreError> {
        let ids = lock(&self.shared.index).gathering(now.tick);
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            // Claimed meanwhile, or damaged: nothing to join then.
            if let Some((_, delivery)) = self.seen(id)?
                && let Some(event) = self.event(delivery.event_id)?
                && delivery.gathers(now.at)
            {
                found.push((delivery, event));
            }
        }
        Ok(found)
    }

    async fn hasten(&self, ids: &[DeliveryId], now: Moment) -> Result<(), StoreError> {
        let mut writes = Vec::new();
        for id in ids {
            let Some((seen, mut delivery)) = self.seen(*id)? else { continue };
            if delivery.state != State::Pending {
                continue;
            }
            (delivery.due_at, delivery.waits_since) = (now.at, Some(now.at));
            if let Some(group) = &mut delivery.group {
                group.until = group.until.min(now.at);
            }
            let row = self.encoded(&delivery)?;
            writes.push(Write::Revive(seen, delivery, row));
        }
        self.write(writes, now).await
    }

    async fn hurry(&self, channel: &str, now: Moment) -> Result<(), StoreError> {
        lock(&self.shared.index).hurry(channel, now.tick);
        self.shared.lane(channel).notify_one();
        Ok(())
    }

    async fn paused_until(&self, channel: &str) -> Result<Option<Duration>, StoreError> {
        Ok(lock(&self.shared.index).paused_until(channel))
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
            if let Some(channel) = index.release(*id, *lease, now.tick) {
                self.shared.lane(channel).notify_one();
            }
        }
        Ok(())
    }

    async fn list(&self, wanted: &(dyn for<'d> Fn(&'d Delivery) -> bool + Sync)) -> Result<Vec<Delivery>, StoreError> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for (at, delivery) in self.rows::<Delivery>(PENDING).chain(self.rows::<Delivery>(FINISHED)).enumerate() {
            let delivery = delivery?;
            // One that is settled meanwhile is met twice: what it was when it was first met is as good.
            if wanted(&delivery) && seen.insert(delivery.id) {
                found.push(delivery);
            }
            give_way(at).await;
        }
        Ok(found)
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        Ok(self.seen(id)?.map(|(_, delivery)| delivery))
    }

    async fn revive(&self, ids: &[DeliveryId], insist: bool, now: Moment) -> Result<usize, StoreError> {
        let mut writes = Vec::new();
        for id in ids {
            let Some((seen, mut delivery)) = self.seen(*id)? else { continue };
            match delivery.state {
                State::Delivered { .. } => continue,
                State::Pending => {}
                State::Dead { .. } | State::Withdrawn { .. } => {
                    delivery.state = State::Pending;
                    // Or the deadline that it died of would end it again after one try.
                    delivery.created_at = now.at;
                }
            }
            delivery.due_at = now.at;
            delivery.waits_since = Some(now.at);
            delivery.insisted |= insist;
            let row = self.encoded(&delivery)?;
            writes.push(Write::Revive(seen, delivery, row));
        }
        let count = writes.len();
        self.write(writes, now).await?;
        Ok(count)
    }

    async fn drop_deliveries(&self, ids: &[DeliveryId], now: Moment) -> Result<usize, StoreError> {
        let (mut writes, mut found) = (Vec::new(), Vec::new());
        for id in ids {
            if let Some((seen, delivery)) = self.seen(*id)?
                && !matches!(delivery.state, State::Delivered { .. })
            {
                found.push(*id);
                writes.push(Write::Drop(seen, delivery));
            }
        }
        self.write(writes, now).await?;
        let mut gone = 0;
        for id in found {
            // One that was settled at this very moment is still there.
            gone += usize::from(self.seen(id)?.is_none());
        }
        Ok(gone)
    }

    async fn list_events(&self, wanted: &(dyn for<'e> Fn(&'e Event) -> bool + Sync)) -> Result<Vec<Event>, StoreError> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for (at, event) in self.rows::<Event>(OPEN_EVENT).chain(self.rows::<Event>(CLOSED_EVENT)).enumerate() {
            let event = event?;
            // As in `list`: one that is closed meanwhile is met twice.
            if wanted(&event) && seen.insert(event.id) {
                found.push(event);
            }
            give_way(at).await;
        }
        Ok(found)
    }

    async fn close(&self, event: &Event, now: Moment) -> Result<(), StoreError> {
        self.write(vec![Write::Close(event.id, self.encoded(event)?)], now).await
    }

    async fn closed_by_hand(&self) -> Result<HashSet<EventId>, StoreError> {
        Ok(lock(&self.shared.closed).clone())
    }

    async fn backlog(&self, now: Moment) -> Result<Vec<Backlog>, StoreError> {
        let index = lock(&self.shared.index);
        Ok(index
            .backlog(now.tick)
            .map(|(channel, pending, overdue)| Backlog { channel: channel.to_owned(), pending, overdue })
            .collect())
    }

    async fn note_fetch(&self, event: EventId, now: Moment) -> Result<(), StoreError> {
        let fetch = Fetch { event, at: now.at };
        self.write(vec![Write::Put(fetch_key(&fetch), self.encoded(&fetch)?)], now).await
    }

    async fn fetches(&self, event: EventId) -> Result<Vec<Timestamp>, StoreError> {
        let rows = self.pairs(&key(FETCH, event.bytes()))?;
        rows.iter().map(|(_, row)| Ok(self.decoded::<Fetch>(row)?.at)).collect()
    }

    async fn note_summary(&self, id: DeliveryId, until: Timestamp, now: Moment) -> Result<(), StoreError> {
        let note = SummaryNote { id, until };
        self.write(vec![Write::Put(key(SUMMARY, id.bytes()), self.encoded(&note)?)], now).await
    }

    async fn summary_until(&self, id: DeliveryId) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.read::<SummaryNote>(&key(SUMMARY, id.bytes()))?.map(|note| note.until))
    }

    async fn prune(&self, before: Timestamp) -> Result<usize, StoreError> {
        let mut writes = Vec::new();
        // What is still to be told needs its event.
        let mut needed = HashSet::new();
        for (at, delivery) in self.rows::<Delivery>(PENDING).enumerate() {
            needed.insert(delivery?.event_id);
            give_way(at).await;
        }
        for (at, delivery) in self.rows::<Delivery>(FINISHED).enumerate() {
            let delivery = delivery?;
            give_way(at).await;
            if delivery.created_at < before {
                writes.push(Write::Remove(key(FINISHED, delivery.id.bytes())));
            } else {
                needed.insert(delivery.event_id);
            }
        }
        for (at, event) in self.rows::<Event>(CLOSED_EVENT).enumerate() {
            let event = event?;
            give_way(at).await;
            if event.seen_at < before && !needed.contains(&event.id) {
                writes.push(Write::Remove(key(CLOSED_EVENT, event.id.bytes())));
            }
        }
        for (at, fetch) in self.rows::<Fetch>(FETCH).enumerate() {
            let fetch = fetch?;
            give_way(at).await;
            if fetch.at < before {
                writes.push(Write::Remove(fetch_key(&fetch)));
            }
        }
        for note in self.rows::<SummaryNote>(SUMMARY) {
            let note = note?;
            if note.until < before {
                writes.push(Write::Remove(key(SUMMARY, note.id.bytes())));
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

    fn revision(&self) -> u64 {
        self.shared.revision.load(Ordering::Relaxed)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let now = Moment { at: Timestamp::UNIX_EPOCH, tick: Duration::ZERO };
        self.write(vec![Write::Put(PING_KEY.to_vec(), vec![1])], now).await
    }

    async fn failed(&self) -> StoreError {
        let mut failure = self.failure.clone();
        let cause = match failure.wait_for(Option::is_some).await {
            Ok(cause) => cause.clone().unwrap_or_default(),
            Err(_) => "its writer has ended".to_owned(),
        };
        self.error("go on", &format!("{cause}\nhint: nothing is lost; start ringback again"))
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

/// A long scan must not keep the lanes from their receivers: they all share one thread.
async fn give_way(at: usize) {
    if at % SLICE == SLICE - 1 {
        tokio::task::yield_now().await;
    }
}

fn key(prefix: &[u8], id: &[u8]) -> Vec<u8> {
    [prefix, id].concat()
}

fn cursor_key(source: &Source) -> Vec<u8> {
    format!("c/{}/{}", source.kind.as_str(), source.account).into_bytes()
}

fn fetch_key(fetch: &Fetch) -> Vec<u8> {
    [FETCH, fetch.event.bytes(), &fetch.at.as_millisecond().to_be_bytes()].concat()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
