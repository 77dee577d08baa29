//! The due order of pending deliveries, in memory: rebuilt from the rows when the store is opened. Pure.
//!
//! When a row is due is counted in ticks, so that a corrected wall clock can neither hide a due row nor hurry one; which
//! of the due ones comes first is told by their calls, so that a backlog goes out in the order in which it arose. Leases
//! are kept here only: the store is locked by one process, and with that process its claims are gone.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Moment;
use crate::event::DeliveryId;
use crate::outbox::Delivery;
use crate::store::Together;

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
    turns: IdMap<DeliveryId, Turn>,
    /// By when it is due, or when its lease ends. Moved on when the time has come.
    waiting: BTreeSet<(Duration, DeliveryId)>,
    /// What has come due, by since when.
    since: BTreeSet<(Duration, DeliveryId)>,
    /// The same, by when the call was: what may go as a message of its own …
    single: BTreeSet<(Timestamp, DeliveryId)>,
    /// … and what only a digest tells.
    together: BTreeSet<(Timestamp, DeliveryId)>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
struct Turn {
    tick: Duration,
    happened_at: Timestamp,
    digest_only: bool,
    /// It waits because the receiver was in trouble.
    held_up: bool,
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
        let turn = Turn {
            tick: now.tick + wait,
            happened_at: delivery.happened_at,
            digest_only: delivery.digest_only,
            held_up: delivery.last_failure.as_ref().is_some_and(|failure| failure.kind.is_trouble()),
            lease: 0,
        };
        if !self.lanes.contains_key(&delivery.channel) {
            self.lanes.insert(delivery.channel.clone(), Lane::default());
        }
        if let Some(lane) = self.lanes.get_mut(&delivery.channel) {
            lane.place(delivery.id, turn);
        }
    }

    /// Takes a delivery out.
    pub(super) fn remove(&mut self, channel: &str, id: DeliveryId) {
        if let Some(lane) = self.lanes.get_mut(channel) {
            lane.take_out(id);
        }
    }

    /// Leases the due deliveries of a channel whose calls were the earliest; not those that only a digest tells. A lease
    /// that ended makes its delivery due again.
    pub(super) fn claim(
        &mut self,
        channel: &str,
        limit: usize,
        lease: Duration,
        now: Duration,
    ) -> Vec<(DeliveryId, u64)> {
        let Some(lane) = self.lanes.get_mut(channel) else { return Vec::new() };
        lane.ripen(now);
        let due = lane.single.iter().filter(|(_, id)| lane.is_due(*id, now)).take(limit);
        let due = due.map(|(_, id)| *id).collect();
        self.lease(channel, due, now + lease)
    }

    /// Leases what one digest is to tell, earliest call first, and says how many more are to be told so.
    pub(super) fn claim_together(
        &mut self,
        channel: &str,
        together: &Together,
        lease: Duration,
        now: Duration,
    ) -> (Vec<(DeliveryId, u64)>, usize) {
        let Some(lane) = self.lanes.get_mut(channel) else { return (Vec::new(), 0) };
        lane.ripen(now);
        let all = lane.single.len() + lane.together.len();
        let flood = all > together.over;
        let singles = lane.single.iter().take_while(|(happened_at, _)| flood || *happened_at < together.before);
        let due = |(_, id): &&(Timestamp, DeliveryId)| lane.is_due(*id, now);
        let mut rows: Vec<(Timestamp, DeliveryId)> = singles.filter(due).take(together.most).copied().collect();
        rows.extend(lane.together.iter().filter(due).take(together.most));
        rows.sort_unstable();
        rows.truncate(together.most);
        let left = if flood { all - rows.len() } else { 0 };
        (self.lease(channel, rows.into_iter().map(|(_, id)| id).collect(), now + lease), left)
    }

    fn lease(&mut self, channel: &str, ids: Vec<DeliveryId>, until: Duration) -> Vec<(DeliveryId, u64)> {
        let Some(lane) = self.lanes.get_mut(channel) else { return Vec::new() };
        let mut leased = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(turn) = lane.turns.get(&id).copied() {
                self.next_lease += 1;
                lane.place(id, Turn { tick: until, lease: self.next_lease, ..turn });
                leased.push((id, self.next_lease));
            }
        }
        leased
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
            lane.place(id, Turn { tick: now, lease: 0, ..turn });
            Some(channel.as_str())
        })
    }

    /// Takes a claimed delivery out whose row is gone.
    pub(super) fn forget(&mut self, channel: &str, id: DeliveryId, lease: u64) {
        if self.holds(channel, id, lease) {
            self.remove(channel, id);
        }
    }

    /// Makes due what waits because the receiver of a channel was in trouble.
    pub(super) fn hurry(&mut self, channel: &str, now: Duration) {
        let Some(lane) = self.lanes.get_mut(channel) else { return };
        let waiting = lane.turns.iter().filter(|(_, turn)| turn.held_up && turn.lease == 0 && turn.tick > now);
        for (id, turn) in waiting.map(|(id, turn)| (*id, *turn)).collect::<Vec<_>>() {
            lane.place(id, Turn { tick: now, ..turn });
        }
    }

    /// The earliest tick of a channel, leased ones included.
    pub(super) fn next_due(&self, channel: &str) -> Option<Duration> {
        let lane = self.lanes.get(channel)?;
        lane.since.first().or_else(|| lane.waiting.first()).map(|(tick, _)| *tick)
    }

    /// Channel, number of pending deliveries, and for how long the oldest unleased one has been due.
    pub(super) fn backlog(&self, now: Duration) -> impl Iterator<Item = (&str, usize, Duration)> {
        self.lanes.iter().map(move |(channel, lane)| {
            let free = |(_, id): &&(Duration, DeliveryId)| lane.turns.get(id).is_some_and(|turn| turn.lease == 0);
            let oldest = lane.since.iter().chain(&lane.waiting).find(free).map_or(now, |(tick, _)| *tick);
            (channel.as_str(), lane.turns.len(), now.saturating_sub(oldest))
        })
    }
}

impl Lane {
    fn place(&mut self, id: DeliveryId, turn: Turn) {
        self.take_out(id);
        self.turns.insert(id, turn);
        self.waiting.insert((turn.tick, id));
    }

    fn take_out(&mut self, id: DeliveryId) {
        if let Some(old) = self.turns.remove(&id)
            && !self.waiting.remove(&(old.tick, id))
        {
            self.since.remove(&(old.tick, id));
            let by_call = if old.digest_only { &mut self.together } else { &mut self.single };
            by_call.remove(&(old.happened_at, id));
        }
    }

    /// Moves on what has come due.
    fn ripen(&mut self, now: Duration) {
        while let Some(&(tick, id)) = self.waiting.first().filter(|(tick, _)| *tick <= now) {
            self.waiting.pop_first();
            if let Some(turn) = self.turns.get(&id) {
                self.since.insert((tick, id));
                let by_call = if turn.digest_only { &mut self.together } else { &mut self.single };
                by_call.insert((turn.happened_at, id));
            }
        }
    }

    /// Whether what was due at some tick is so at this one, which a late caller may have read before.
    fn is_due(&self, id: DeliveryId, now: Duration) -> bool {
        self.turns.get(&id).is_some_and(|turn| turn.tick <= now)
    }
}
