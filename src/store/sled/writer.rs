//! The one thread that writes: it gathers what is waiting, appends it to the journal as one frame, and only then
//! answers. What has gathered there it writes into sled when it has nothing else to do.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::fresh::Fresh;
use super::journal::{Change, Journal};
use super::moving::{Files, Moving, Progress};
use super::overlay::Overlay;
use super::room::{Room, is_full};
use super::{CLOSED_EVENT, FINISHED, OPEN_EVENT, PENDING, key, lock};
use crate::clock::Moment;
use crate::event::{DeliveryId, Event, EventId};
use crate::outbox::{Delivery, Settled, State};
use crate::store::StoreError;
use crate::store::index::Index;

/// One call, encoded by its caller.
pub(super) struct Order {
    pub(super) writes: Vec<Write>,
    pub(super) now: Moment,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

impl Order {
    /// Whether it brings what nobody has been told of. What was told, and what a person has decided, is written down as
    /// long as anything can be.
    fn is_news(&self) -> bool {
        let is_kept =
            |write: &Write| matches!(write, Write::Settled(..) | Write::Remove(_) | Write::Drop(..) | Write::Close(..));
        !self.writes.iter().all(is_kept)
    }
}

/// A change of the rows and of what the index knows of them.
pub(super) enum Write {
    Put(Vec<u8>, Vec<u8>),
    Event(Arc<Event>, Vec<u8>),
    NewDelivery(Delivery, Vec<u8>),
    Settled(Settled, Vec<u8>),
    Revive(Seen, Delivery, Vec<u8>),
    Drop(Seen, Delivery),
    Close(EventId, Vec<u8>),
    Remove(Vec<u8>),
    #[cfg(test)]
    Panic,
}

impl Write {
    /// Whether it is about an event or a delivery, not what is noted beside them. What is removed is old.
    pub(super) fn shows(&self) -> bool {
        match self {
            Self::Event(..)
            | Self::NewDelivery(..)
            | Self::Settled(..)
            | Self::Revive(..)
            | Self::Drop(..)
            | Self::Close(..) => true,
            Self::Put(..) | Self::Remove(_) => false,
            #[cfg(test)]
            Self::Panic => false,
        }
    }
}

/// A row that is changed only if it is still as its reader saw it.
pub(super) struct Seen {
    pub(super) key: Vec<u8>,
    pub(super) row: Vec<u8>,
}

/// What the writer thread and the callers both see.
pub(super) struct Shared {
    pub(super) tree: sled::Tree,
    pub(super) overlay: Mutex<Overlay>,
    pub(super) index: Mutex<Index>,
    pub(super) lanes: Mutex<HashMap<String, Arc<Notify>>>,
    /// Events that a person has closed since the store was opened: older news of them must not open them again.
    pub(super) closed: Mutex<HashSet<EventId>>,
    pub(super) fresh: Mutex<Fresh>,
    /// Grows with each write that shows.
    pub(super) revision: AtomicU64,
}

impl Shared {
    /// A row as it was last acknowledged.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Row>, sled::Error> {
        let known = lock(&self.overlay).get(key).cloned();
        match known {
            Some(value) => Ok(value.map(Row::Overlay)),
            None => Ok(self.tree.get(key)?.map(Row::Sled)),
        }
    }

    pub(super) fn lane(&self, channel: &str) -> Arc<Notify> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(channel) {
            return Arc::clone(lane);
        }
        Arc::clone(lanes.entry(channel.to_owned()).or_default())
    }
}

/// The bytes of a row, wherever they are.
pub(super) enum Row {
    Overlay(Arc<[u8]>),
    Sled(sled::IVec),
}

impl std::ops::Deref for Row {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Overlay(bytes) => bytes,
            Self::Sled(bytes) => bytes,
        }
    }
}

/// What the thread owns.
pub(super) struct Writer {
    pub(super) files: Files,
    pub(super) journal: Journal,
    /// The journal and the rows that are being written into sled.
    pub(super) moving: Option<Moving>,
    pub(super) shared: Arc<Shared>,
    pub(super) path: String,
    pub(super) room: Room,
    /// Why sled has failed: it does not recover, only another process can open its files again.
    pub(super) broken: Option<String>,
}

/// How many calls share one sync at most.
const GROUP: usize = 256;

/// How long nothing must have been asked before the journal is moved into sled: a burst is over then.
const IDLE: Duration = Duration::from_secs(1);

/// Past this the journal is moved also while there is work: its rows are in memory.
const MOST_BYTES: usize = 8 << 20;

/// The same for the journal, which holds every version of a row: a store that is never idle would let it grow.
const LONG_JOURNAL: u64 = 16 << 20;

/// Past this nothing new is written, and past twice this nothing at all: sled has not taken anything for long.
const MOST_JOURNAL: u64 = 64 << 20;

/// After a journal could not be begun or removed.
const MOVE_PAUSE: Duration = Duration::from_secs(30);

impl Writer {
    /// Ends when the store is dropped, with everything in sled.
    ///
    /// # Errors
    /// Why it cannot go on in this process, though another one might.
    pub(super) fn run(mut self, orders: &Receiver<Order>) -> Result<(), String> {
        let mut wait = IDLE;
        loop {
            match orders.recv_timeout(wait) {
                Ok(first) => {
                    let mut group = vec![first];
                    group.extend(orders.try_iter().take(GROUP - 1));
                    self.serve(group);
                    if !self.must_move() {
                        wait = IDLE;
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // While the disk is full another process could not open it either.
            if let Some(cause) = &self.broken
                && self.room.look(lock(&self.shared.overlay).bytes())
            {
                return Err(cause.clone());
            }
            wait = self.move_logged();
        }
        while self.move_slice().is_ok_and(|more| more) {}
        Ok(())
    }

    /// Whether rows are to be moved though there is other work: too many wait, or some are on their way.
    fn must_move(&self) -> bool {
        self.moving.is_some()
            || self.journal.length() >= LONG_JOURNAL
            || lock(&self.shared.overlay).bytes() >= MOST_BYTES
    }

    /// Moves a slice into sled and returns how long to wait before the next.
    fn move_logged(&mut self) -> Duration {
        let was_broken = self.broken.is_some();
        match self.move_slice() {
            Ok(true) => Duration::ZERO,
            Ok(false) => IDLE,
            Err(cause) => {
                if !was_broken {
                    tracing::error!(
                        store = self.path,
                        cause,
                        "the journal cannot be moved into the store; nothing is lost, but it grows until it can"
                    );
                }
                // Nothing is to be waited for but room, to end in.
                if self.broken.is_some() { IDLE } else { MOVE_PAUSE }
            }
        }
    }

    fn serve(&mut self, mut group: Vec<Order>) {
        if group.iter().any(Order::is_news)
            && let Some(cause) = self.refusal()
        {
            group = self.refuse_news(group, &cause);
        }
        let mut result = self.append(&group);
        if let Err(error) = &result
            && is_full(error)
            && self.room.give_up(error)
        {
            group = self.refuse_news(group, &error.to_string());
            result = self.append(&group);
        }
        if result.is_ok() {
            self.publish(&group);
            if group.iter().flat_map(|order| &order.writes).any(Write::shows) {
                self.shared.revision.fetch_add(1, Ordering::Relaxed);
            }
        }
        let result = result.map_err(|error| self.failed(&error.to_string()));
        for order in group {
            // A caller that has gone away needs no answer.
            let _ = order.done.send(result.clone());
        }
    }

    /// Why nothing new can be taken in.
    fn refusal(&mut self) -> Option<String> {
        if let Some(cause) = &self.broken {
            return Some(format!("its data file has failed: {cause}"));
        }
        if self.room.short().is_some() {
            self.room.look(lock(&self.shared.overlay).bytes());
        }
        if self.journal.length() > MOST_JOURNAL {
            // Whoever brings so much waits for it.
            while self.move_slice().is_ok_and(|more| more) {}
        }
        match self.room.short() {
            Some(cause) => Some(format!("nothing new is taken in until there is room on the disk: {cause}")),
            None if self.journal.length() > MOST_JOURNAL => {
                Some(format!("its journal has grown to {} MiB", self.journal.length() >> 20))
            }
            None => None,
        }
    }

    /// Answers what is new, and returns the rest.
    fn refuse_news(&self, group: Vec<Order>, cause: &str) -> Vec<Order> {
        let (news, rest): (Vec<_>, Vec<_>) = group.into_iter().partition(Order::is_news);
        for order in news {
            let _ = order.done.send(Err(self.failed(cause)));
        }
        rest
    }

    fn failed(&self, cause: &str) -> StoreError {
        StoreError::Failed { path: self.path.clone(), action: "be written", cause: cause.to_owned() }
    }

    /// One frame and one sync for all of `group`; readers see it from then on.
    fn append(&mut self, group: &[Order]) -> io::Result<()> {
        if self.journal.length() > 2 * MOST_JOURNAL {
            return Err(io::Error::other("its journal is full, since nothing can be moved into its data file"));
        }
        let mut changes = Vec::new();
        let (mut fresh, mut closed) = (HashSet::new(), HashSet::new());
        {
            let index = lock(&self.shared.index);
            for write in group.iter().flat_map(|order| &order.writes) {
                self.add(write, &index, &mut fresh, &mut closed, &mut changes).map_err(io::Error::other)?;
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.journal.append(&changes)?;
        lock(&self.shared.closed).extend(closed);
        let mut overlay = lock(&self.shared.overlay);
        for (key, value) in changes {
            overlay.put(key, value.map(Arc::from));
        }
        Ok(())
    }

    /// `fresh` are the deliveries that are new with this group, `closed` the events that it closes by hand.
    fn add(
        &self,
        write: &Write,
        index: &Index,
        fresh: &mut HashSet<DeliveryId>,
        closed: &mut HashSet<EventId>,
        changes: &mut Vec<Change>,
    ) -> Result<(), sled::Error> {
        match write {
            Write::Put(key, row) => changes.push((key.clone(), Some(row.clone()))),
            Write::Remove(key) => changes.push((key.clone(), None)),
            // Its writer has not heard yet that a person has closed it.
            Write::Event(event, _) if closed.contains(&event.id) || lock(&self.shared.closed).contains(&event.id) => {}
            Write::Event(event, row) => {
                let (id, open) = (event.id, event.is_open());
                let (now_in, no_more_in) = if open { (OPEN_EVENT, CLOSED_EVENT) } else { (CLOSED_EVENT, OPEN_EVENT) };
                // Not looked up: an earlier call of the same group may be what puts it there.
                changes.push((key(no_more_in, id.bytes()), None));
                changes.push((key(now_in, id.bytes()), Some(row.clone())));
            }
            Write::NewDelivery(delivery, row) => {
                let known = index.contains(delivery) || self.shared.get(&key(FINISHED, delivery.id.bytes()))?.is_some();
                if !known && fresh.insert(delivery.id) {
                    changes.push((key(PENDING, delivery.id.bytes()), Some(row.clone())));
                }
            }
            Write::Settled(settled, row) => {
                let delivery = &settled.delivery;
                if index.holds(&delivery.channel, delivery.id, settled.lease) {
                    let pending = key(PENDING, delivery.id.bytes());
                    if delivery.state == State::Pending {
                        changes.push((pending, Some(row.clone())));
                    } else {
                        changes.push((pending, None));
                        changes.push((key(FINISHED, delivery.id.bytes()), Some(row.clone())));
                    }
                }
            }
            Write::Revive(seen, delivery, row) => {
                if index.is_free(&delivery.channel, delivery.id) && self.is_as(seen, changes)? {
                    changes.push((seen.key.clone(), None));
                    changes.push((key(PENDING, delivery.id.bytes()), Some(row.clone())));
                }
            }
            Write::Drop(seen, _) => {
                if self.is_as(seen, changes)? {
                    changes.push((seen.key.clone(), None));
                }
            }
            Write::Close(id, row) => {
                closed.insert(*id);
                changes.push((key(OPEN_EVENT, id.bytes()), None));
                changes.push((key(CLOSED_EVENT, id.bytes()), Some(row.clone())));
            }
            #[cfg(test)]
            Write::Panic => panic!("a test wants to know what happens then"),
        }
        Ok(())
    }

    /// Whether a row has not been changed since, neither before this group nor by it.
    fn is_as(&self, seen: &Seen, changes: &[Change]) -> Result<bool, sled::Error> {
        let changed = changes.iter().any(|(key, _)| *key == seen.key);
        Ok(!changed && self.shared.get(&seen.key)?.is_some_and(|row| *row == *seen.row))
    }

    /// What is durable now may be claimed.
    fn publish(&self, group: &[Order]) {
        let mut index = lock(&self.shared.index);
        let mut fresh = lock(&self.shared.fresh);
        let closed = lock(&self.shared.closed);
        let mut wake: Vec<&str> = Vec::new();
        for order in group {
            for write in &order.writes {
                fresh.note(write, |id| closed.contains(&id));
                let delivery = match write {
                    Write::NewDelivery(delivery, _) if !index.contains(delivery) => {
                        // Known and finished: the journal has left it alone, so must the index.
                        if !self.is_pending(delivery.id) {
                            continue;
                        }
                        delivery
                    }
                    Write::Revive(_, delivery, row) => {
                        // Claimed meanwhile, or not written at all: it is as its holder leaves it.
                        let key = key(PENDING, delivery.id.bytes());
                        let written = self.is_now(&key, Some(row));
                        if !written || !index.is_free(&delivery.channel, delivery.id) {
                            continue;
                        }
                        delivery
                    }
                    Write::Drop(seen, delivery) => {
                        if seen.key.starts_with(PENDING) && self.is_now(&seen.key, None) {
                            index.remove(&delivery.channel, delivery.id);
                        }
                        continue;
                    }
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
                if let Write::NewDelivery(..) = write {
                    fresh.put(delivery);
                }
                index.put(delivery, order.now);
                if !wake.contains(&delivery.channel.as_str()) {
                    wake.push(&delivery.channel);
                }
            }
        }
        drop((index, fresh, closed));
        for channel in wake {
            self.shared.lane(channel).notify_one();
        }
    }

    /// Whether this group has left a row as this.
    fn is_now(&self, key: &[u8], row: Option<&[u8]>) -> bool {
        lock(&self.shared.overlay).get(key).is_some_and(|value| value.as_deref() == row)
    }

    /// Whether this group has made it pending: then its row is in the overlay.
    fn is_pending(&self, id: DeliveryId) -> bool {
        matches!(lock(&self.shared.overlay).get(&key(PENDING, id.bytes())), Some(Some(_)))
    }

    /// Writes some rows of the journal into sled, and begins a new journal when none is on its way. Returns whether
    /// there is more to do. A journal is removed only when sled's file is synced; what is written twice is the same.
    fn move_slice(&mut self) -> Result<bool, String> {
        if let Some(cause) = &self.broken {
            return Err(cause.clone());
        }
        let Some(moving) = &mut self.moving else {
            let waiting = lock(&self.shared.overlay).bytes();
            // Said by the room itself.
            if lock(&self.shared.overlay).is_unchanged() || !self.room.look(waiting) {
                return Ok(false);
            }
            let next = self.journal.next().map_err(|error| error.to_string())?;
            let journal = std::mem::replace(&mut self.journal, next);
            self.moving = Some(Moving::of(journal, lock(&self.shared.overlay).freeze()));
            lock(&self.shared.fresh).clear();
            return Ok(true);
        };
        match moving.slice(&mut self.files) {
            Ok(Progress::More) => return Ok(true),
            Ok(Progress::Durable) => {}
            Err(cause) => {
                self.broken = Some(cause.clone());
                return Err(cause);
            }
        }
        moving.journal.remove().map_err(|error| error.to_string())?;
        self.moving = None;
        lock(&self.shared.overlay).forget();
        Ok(!lock(&self.shared.overlay).is_unchanged())
    }
}
