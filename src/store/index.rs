//! The due order of pending deliveries, in memory: rebuilt from the rows when the store is opened. Pure.
//!
//! It counts in ticks, so that a corrected wall clock can neither hide a due row nor hurry one. Leases are kept here
//! only: the store is locked by one process, and with that process its claims are gone.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Moment;
use crate::event::DeliveryId;
use crate::outbox::Delivery;

/// Hashes ids and keys that end in one: they are digests already, so eight of their bytes are as good as any hash.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        match bytes.last_chunk::<8>() {
            Some(tail) => self.0 ^= u64::from_ne_bytes(*tail),
            None => bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte)),
        }
    }

    /// The length of a key says nothing.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map by ids, or by keys that end in one.
pub(super) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Pending deliveries, channel by channel.
#[derive(Debug, Default)]
pub(super) struct Index {
    lanes: HashMap<String, Lane>,
    next_lease: u64,
}

#[derive(Debug, Default)]
struct Lane {
    order: BTreeSet<Turn>,
    turns: IdMap<DeliveryId, Turn>,
}

/// Whose turn it is: the earliest due first, of those the earliest call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    tick: Duration,
    happened_at: Timestamp,
    id: DeliveryId,
    /// 0 when nobody holds it.
    lease: u64,
}

impl Index {
    /// Whether a delivery is pending.
    pub(super) fn contains(&self, delivery: &Delivery) -> bool {
        self.lanes.get(&delivery.channel).is_some_and(|lane| lane.turns.contains_key(&delivery.id))
    }

    /// Puts a pending delivery into its place, free of any lease.
    pub(super) fn put(&mut self, delivery: &Delivery, now: Moment) {
        let wait = Duration::try_from(delivery.due_at.duration_since(now.at)).unwrap_or_default();
        let turn = Turn { tick: now.tick + wait, happened_at: delivery.happened_at, id: delivery.id, lease: 0 };
        if !self.lanes.contains_key(&delivery.channel) {
            self.lanes.insert(delivery.channel.clone(), Lane::default());
        }
        if let Some(lane) = self.lanes.get_mut(&delivery.channel) {
            lane.place(turn);
        }
    }

    /// Takes a delivery out.
    pub(super) fn remove(&mut self, channel: &str, id: DeliveryId) {
        if let Some(lane) = self.lanes.get_mut(channel)
            && let Some(turn) = lane.turns.remove(&id)
        {
            lane.order.remove(&turn);
        }
    }

    /// Leases the earliest due deliveries of a channel. A lease that ended makes its delivery due again.
    pub(super) fn claim(
        &mut self,
        channel: &str,
        limit: usize,
        lease: Duration,
        now: Duration,
    ) -> Vec<(DeliveryId, u64)> {
        let Some(lane) = self.lanes.get_mut(channel) else { return Vec::new() };
        let due: Vec<Turn> = lane.order.iter().take_while(|turn| turn.tick <= now).take(limit).copied().collect();
        due.into_iter()
            .map(|turn| {
                self.next_lease += 1;
                lane.place(Turn { tick: now + lease, lease: self.next_lease, ..turn });
                (turn.id, self.next_lease)
            })
            .collect()
    }

    /// Whether `lease` is the one under which a delivery is held now.
    pub(super) fn holds(&self, channel: &str, id: DeliveryId, lease: u64) -> bool {
        self.lanes.get(channel).and_then(|lane| lane.turns.get(&id)).is_some_and(|turn| turn.lease == lease)
    }

    /// Whether nobody holds a delivery.
    pub(super) fn is_free(&self, channel: &str, id: DeliveryId) -> bool {
        self.holds(channel, id, 0) || self.lanes.get(channel).is_none_or(|lane| !lane.turns.contains_key(&id))
    }

    /// Gives a claim back, due at once, and says in which channel; `None` when the lease has gone to somebody else.
    pub(super) fn release(&mut self, id: DeliveryId, lease: u64, now: Duration) -> Option<&str> {
        self.lanes.iter_mut().find_map(|(channel, lane)| {
            let turn = lane.turns.get(&id).copied().filter(|turn| turn.lease == lease)?;
            lane.place(Turn { tick: now, lease: 0, ..turn });
            Some(channel.as_str())
        })
    }

    /// Takes a claimed delivery out whose row is gone.
    pub(super) fn forget(&mut self, channel: &str, id: DeliveryId, lease: u64) {
        if self.holds(channel, id, lease) {
            self.remove(channel, id);
        }
    }

    /// The earliest tick of a channel, leased ones included.
    pub(super) fn next_due(&self, channel: &str) -> Option<Duration> {
        self.lanes.get(channel)?.order.first().map(|turn| turn.tick)
    }

    /// Channel, number of pending deliveries, and for how long the oldest unleased one has been due.
    pub(super) fn backlog(&self, now: Duration) -> impl Iterator<Item = (&str, usize, Duration)> {
        self.lanes.iter().map(move |(channel, lane)| {
            let oldest = lane.order.iter().find(|turn| turn.lease == 0).map_or(now, |turn| turn.tick);
            (channel.as_str(), lane.turns.len(), now.saturating_sub(oldest))
        })
    }
}

impl Lane {
    fn place(&mut self, turn: Turn) {
        if let Some(old) = self.turns.insert(turn.id, turn) {
            self.order.remove(&old);
        }
        self.order.insert(turn);
    }
}
