//! The one thread that writes: it gathers what is waiting, applies it as one batch, syncs, and only then answers.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::{Arc, Mutex, mpsc};

use tokio::sync::{Notify, oneshot};

use super::{CLOSED_EVENT, FINISHED, OPEN_EVENT, PENDING, key, lock};
use crate::clock::Moment;
use crate::event::{DeliveryId, EventId};
use crate::outbox::{Delivery, Settled, State};
use crate::store::StoreError;
use crate::store::index::Index;

/// One call, encoded by its caller.
pub(super) struct Order {
    pub(super) writes: Vec<Write>,
    pub(super) now: Moment,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// A change of the rows and of what the index knows of them.
pub(super) enum Write {
    Put(Vec<u8>, Vec<u8>),
    Event(EventId, bool, Vec<u8>),
    NewDelivery(Delivery, Vec<u8>),
    Settled(Settled, Vec<u8>),
    Revive(Delivery, Vec<u8>),
    Remove(Vec<u8>),
}

/// What the thread owns.
pub(super) struct Writer {
    pub(super) db: sled::Db,
    pub(super) tree: sled::Tree,
    pub(super) data: File,
    pub(super) shared: Arc<Shared>,
    pub(super) path: String,
}

/// How many calls share one sync at most.
const GROUP: usize = 256;

impl Writer {
    /// Ends when the store is dropped.
    pub(super) fn run(self, orders: &mpsc::Receiver<Order>) {
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
        let mut fresh = HashSet::new();
        {
            let index = lock(&self.shared.index);
            for write in group.iter().flat_map(|order| &order.writes) {
                self.add(write, &index, &mut fresh, &mut batch).map_err(|error| error.to_string())?;
            }
        }
        self.tree.apply_batch(batch).map_err(|error| error.to_string())?;
        self.db.flush().map_err(|error| error.to_string())?;
        self.data.sync_all().map_err(|error| error.to_string())
    }

    /// `fresh` are the deliveries that are new with this group.
    fn add(
        &self,
        write: &Write,
        index: &Index,
        fresh: &mut HashSet<DeliveryId>,
        batch: &mut sled::Batch,
    ) -> Result<(), sled::Error> {
        match write {
            Write::Put(key, row) => batch.insert(key.as_slice(), row.as_slice()),
            Write::Remove(key) => batch.remove(key.as_slice()),
            Write::Event(id, open, row) => {
                let (now_in, no_more_in) = if *open { (OPEN_EVENT, CLOSED_EVENT) } else { (CLOSED_EVENT, OPEN_EVENT) };
                // Not looked up: an earlier call of the same group may be what puts it there.
                batch.remove(key(no_more_in, id.bytes()));
                batch.insert(key(now_in, id.bytes()), row.as_slice());
            }
            Write::NewDelivery(delivery, row) => {
                if !self.is_known(delivery, index)? && fresh.insert(delivery.id) {
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
    pub(super) fn lane(&self, channel: &str) -> Arc<Notify> {
        let mut lanes = lock(&self.lanes);
        if let Some(lane) = lanes.get(channel) {
            return Arc::clone(lane);
        }
        Arc::clone(lanes.entry(channel.to_owned()).or_default())
    }
}

/// What the writer thread and the callers both see.
pub(super) struct Shared {
    pub(super) index: Mutex<Index>,
    pub(super) lanes: Mutex<HashMap<String, Arc<Notify>>>,
}
