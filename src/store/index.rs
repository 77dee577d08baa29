//! The due order of pending deliveries, in memory: rebuilt from the rows when the store is opened. Pure.
//!
//! When a row is due is counted in ticks, so that a corrected wall clock can neither hide a due row nor hurry one; which
//! of the due ones comes first is told by their calls, so that a backlog goes out in the order in which it arose. Leases
//! are kept here only: the store is locked by one process, and with that process its claims are gone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Moment;
use crate::event::DeliveryId;
use crate::outbox::Delivery;
use crate::store::Together;

/// How far apart by tick may be what was held back until the same time.
const SAME_OPENING: Duration = Duration::from_secs(30);

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
    /// … what a schedule has held back …
    held: BTreeSet<(Timestamp, DeliveryId)>,
    /// … and what only a digest tells.
    together: BTreeSet<(Timestamp, DeliveryId)>,
    /// Those that are, or become, one message with others, by what they share; in whatever place they are.
    groups: IdMap<DeliveryId, BTreeSet<DeliveryId>>,
}

/// Among which of the due ones a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Single,
    Held,
    Together,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
struct Turn {
    tick: Duration,
    happened_at: Timestamp,
    place: Place,
    group: Option<DeliveryId>,
    /// Nothing has been tried yet.
    untouched: bool,
    /// It waits because the receiver was in trouble.
    held_up: bool,
    /// Until when the receiver has asked for a pause.
    paused_until: Option<Duration>,
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
            place: match delivery.held_until {
                _ if delivery.digest_only => Place::Together,
                Some(_) => Place::Held,
                None => Place::Single,
            },
            group: delivery.group.as_ref().map(|group| group.message),
            untouched: delivery.attempts == 0 && delivery.last_failure.is_none(),
            held_up: delivery.last_failure.as_ref().is_some_and(|failure| failure.kind.is_trouble()),
            paused_until: delivery.pause_left(now.at).map(|left| now.tick + left),
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

    /// Leases the due deliveries of a channel whose calls were the earliest, and those that are one message with them; not
    /// those that only a digest tells. A lease that ended makes its delivery due again.
    pub(super) fn claim(
        &mut self,
        channel: &str,
        limit: usize,
        lease: Duration,
        now: Duration,
    ) -> Vec<(DeliveryId, u64)> {
        let Some(lane) = self.lanes.get_mut(channel) else { return Vec::new() };
        lane.ripen(now);
        let due = |(_, id): &&(Timestamp, DeliveryId)| lane.is_due(*id, now);
        let mut rows: Vec<_> = lane.single.iter().filter(due).take(limit).copied().collect();
        if !lane.held.is_empty() {
            rows.extend(lane.held.iter().filter(due).take(limit));
            rows.sort_unstable();
            rows.truncate(limit);
        }
        let ids = lane.with_companions(rows.into_iter().map(|(_, id)| id).collect());
        self.lease(channel, ids, now + lease)
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
        let all = lane.single.len() + lane.held.len() + lane.together.len();
        let flood = all.saturating_sub(lane.companions()) > together.over;
        let held = flood || (together.held && lane.has_many_held());
        let singles = lane.single.iter().take_while(|(happened_at, _)| flood || *happened_at < together.before);
        let due = |(_, id): &&(Timestamp, DeliveryId)| lane.is_due(*id, now);
        let mut rows: Vec<(Timestamp, DeliveryId)> = singles.filter(due).take(together.most).copied().collect();
        rows.extend(lane.held.iter().filter(due).take(if held { together.most } else { 0 }));
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

    /// What nobody holds, was not tried yet, and waits for others to become one message with it.
    pub(super) fn gathering(&self, now: Duration) -> Vec<DeliveryId> {
        let waits = |lane: &Lane, id: &DeliveryId| {
            lane.turns.get(id).is_some_and(|turn| turn.lease == 0 && turn.untouched && turn.tick > now)
        };
        let lanes = self.lanes.values();
        lanes.flat_map(|lane| lane.groups.values().flatten().filter(|id| waits(lane, id)).copied()).collect()
    }

    /// Until when a receiver has asked for a pause.
    pub(super) fn paused_until(&self, channel: &str) -> Option<Duration> {
        self.lanes.get(channel)?.turns.values().filter_map(|turn| turn.paused_until).max()
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
        if let Some(group) = turn.group {
            self.groups.entry(group).or_default().insert(id);
        }
        self.waiting.insert((turn.tick, id));
    }

    fn take_out(&mut self, id: DeliveryId) {
        let Some(old) = self.turns.remove(&id) else { return };
        if let Some(key) = old.group
            && let Some(group) = self.groups.get_mut(&key)
        {
            group.remove(&id);
            if group.is_empty() {
                self.groups.remove(&key);
            }
        }
        if !self.waiting.remove(&(old.tick, id)) {
            self.since.remove(&(old.tick, id));
            self.by_call(old.place).remove(&(old.happened_at, id));
        }
    }

    fn by_call(&mut self, place: Place) -> &mut BTreeSet<(Timestamp, DeliveryId)> {
        match place {
            Place::Single => &mut self.single,
            Place::Held => &mut self.held,
            Place::Together => &mut self.together,
        }
    }

    /// Moves on what has come due.
    fn ripen(&mut self, now: Duration) {
        let mut opened = false;
        while let Some(&(tick, id)) = self.waiting.first().filter(|(tick, _)| *tick <= now) {
            self.waiting.pop_first();
            if let Some(Turn { place, happened_at, untouched, .. }) = self.turns.get(&id).copied() {
                self.since.insert((tick, id));
                self.by_call(place).insert((happened_at, id));
                opened |= place == Place::Held && untouched;
            }
        }
        if opened {
            self.open(now);
        }
    }

    /// What waits for the same opening comes due with the first of it: their ticks were reckoned by a wall clock that may
    /// have been set by a little since.
    fn open(&mut self, now: Duration) {
        let soon = self.waiting.iter().take_while(|(tick, _)| *tick <= now + SAME_OPENING);
        let turns = soon.filter_map(|(_, id)| Some((*id, *self.turns.get(id)?)));
        let same = |turn: &Turn| turn.place == Place::Held && turn.untouched && turn.lease == 0;
        let rest: Vec<(DeliveryId, Turn)> = turns.filter(|(_, turn)| same(turn)).collect();
        for (id, turn) in rest {
            self.place(id, Turn { tick: now, ..turn });
            self.waiting.remove(&(now, id));
            self.since.insert((now, id));
            self.held.insert((turn.happened_at, id));
        }
    }

    /// These, and the free ones that are one message with one of them.
    fn with_companions(&self, mut ids: Vec<DeliveryId>) -> Vec<DeliveryId> {
        if self.groups.is_empty() {
            return ids;
        }
        let mut known: HashSet<DeliveryId> = ids.iter().copied().collect();
        let group = |id: &DeliveryId| self.groups.get(&self.turns.get(id)?.group?);
        for companions in ids.clone().iter().filter_map(group) {
            let free = companions.iter().filter(|id| self.turns.get(*id).is_some_and(|turn| turn.lease == 0));
            ids.extend(free.filter(|id| known.insert(**id)));
        }
        ids
    }

    /// How many of the due ones add no message, since they are one with another.
    fn companions(&self) -> usize {
        let due = |id: &&DeliveryId| self.turns.get(*id).is_some_and(|turn| self.since.contains(&(turn.tick, **id)));
        self.groups.values().map(|group| group.iter().filter(due).count().saturating_sub(1)).sum()
    }

    /// Whether what was held back is more than one message.
    fn has_many_held(&self) -> bool {
        let mut messages =
            self.held.iter().map(|(_, id)| self.turns.get(id).and_then(|turn| turn.group).unwrap_or(*id));
        messages.next().is_some_and(|first| messages.any(|other| other != first))
    }

    /// Whether what was due at some tick is so at this one, which a late caller may have read before.
    fn is_due(&self, id: DeliveryId, now: Duration) -> bool {
        self.turns.get(&id).is_some_and(|turn| turn.tick <= now)
    }
}
