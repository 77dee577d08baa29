//! Where the state is kept: the verbs that ringback needs, in its own words. sled is the store behind them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Moment;
use crate::cursor::Cursor;
use crate::event::{DeliveryId, Event, EventId, Kind};
use crate::outbox::{Claim, Delivery, Settled};
use crate::track;

pub mod codec;
#[cfg(test)]
mod contract;
mod index;
pub mod sled;
pub mod transfer;

/// What one read of the PBX changes: stored all or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// New and changed events.
    pub events: Vec<Arc<Event>>,
    /// New deliveries. One that is there already, in whatever state, is left as it is.
    pub deliveries: Vec<Delivery>,
    /// How far the source has been read with this.
    pub cursor: Option<(Source, Cursor)>,
}

impl Batch {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.deliveries.is_empty() && self.cursor.is_none()
    }
}

/// One kind of record of one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The account's name.
    pub account: String,
    /// What is read from it.
    pub kind: Kind,
}

/// The store could not do it. Nothing of the call has been acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error("the store {path} is in use by {owner}\nhint: stop it first, or give this one a `store.path` of its own")]
    Locked {
        /// The store's folder.
        path: String,
        /// As well as it is known.
        owner: String,
    },
    /// It was written by a version that this one does not understand.
    #[error("the store {path} has format {found}, this version reads {known}\nhint: {}", way_out(found, *known))]
    Format {
        /// The store's folder.
        path: String,
        /// What it says of itself.
        found: String,
        /// What this version writes.
        known: u32,
    },
    /// The disk or the library failed.
    #[error("the store {path} cannot {action}: {cause}")]
    Failed {
        /// The store's folder.
        path: String,
        /// What was attempted.
        action: &'static str,
        /// What went wrong.
        cause: String,
    },
}

/// An export has a format of its own, which more than one version reads.
fn way_out(found: &str, known: u32) -> &'static str {
    if found.parse().is_ok_and(|found: u32| found < known) {
        "bring it over: `ringback store export FILE` with the version that wrote it, `ringback store import FILE` with this one into a new `store.path`"
    } else {
        "run the newer ringback that wrote it, or point `store.path` to a new folder"
    }
}

/// How many deliveries a channel has in each state that waits for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The channel's name, also one that is not configured any more.
    pub channel: String,
    /// Deliveries to be tried.
    pub pending: usize,
    /// How long the oldest due one has been due.
    pub overdue: Duration,
}

/// Which of a channel's due deliveries are told together, in a digest: those that are for a digest only, and besides …
#[derive(Debug, Clone, Copy)]
pub struct Together {
    /// … all of them, when more than this many are due …
    pub over: usize,
    /// … or those whose call ended before this.
    pub before: Timestamp,
    /// … or those that a schedule has held back, when they are several; they are in the first case too, not in the second.
    pub held: bool,
    /// At most this many at once.
    pub most: usize,
}

/// The verbs. Every implementation passes `contract::exercise`.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a batch, whole and durably, before it returns.
    async fn commit(&self, batch: Batch, now: Moment) -> Result<(), StoreError>;

    /// The events of these ids, in their order.
    async fn events(&self, ids: &[EventId]) -> Result<Vec<Option<Arc<Event>>>, StoreError>;

    /// The events of a source that somebody still has to act on.
    async fn open_events(&self, source: &Source) -> Result<Vec<Arc<Event>>, StoreError>;

    /// How far a source has been read.
    async fn cursor(&self, source: &Source) -> Result<Option<Cursor>, StoreError>;

    /// Takes up to `limit` due deliveries of `channel`, those of the earliest calls first, without those that only a
    /// digest tells. With one come those that are one message with it, over the limit. Nobody else gets them until the
    /// lease ends.
    async fn claim_due(
        &self,
        channel: &str,
        limit: usize,
        lease: Duration,
        now: Moment,
    ) -> Result<Vec<Claim>, StoreError>;

    /// Takes the due deliveries of `channel` that one message is to tell together, those of the earliest calls first, and
    /// says how many more there are to be told so.
    async fn claim_together(
        &self,
        channel: &str,
        together: &Together,
        lease: Duration,
        now: Moment,
    ) -> Result<(Vec<Claim>, usize), StoreError>;

    /// Deliveries that nobody has tried yet and that wait for others to become one message with them; see
    /// [`Delivery::gathers`].
    async fn gathering(&self, now: Moment) -> Result<Vec<(Delivery, Arc<Event>)>, StoreError>;

    /// Makes pending deliveries due now, and with them the end of their window; other ones stay as they are.
    async fn hasten(&self, ids: &[DeliveryId], now: Moment) -> Result<(), StoreError>;

    /// Makes due now what waits because an attempt found the receiver of `channel` in trouble: it is well again. Only
    /// until the process ends; what is stored stays as it is.
    async fn hurry(&self, channel: &str, now: Moment) -> Result<(), StoreError>;

    /// The tick until which the receiver of `channel` has asked for a pause, by what it last said to a delivery that is
    /// still pending; may be in the past.
    async fn paused_until(&self, channel: &str) -> Result<Option<Duration>, StoreError>;

    /// The tick at which the next delivery of `channel` can be claimed; may be in the past.
    async fn next_due(&self, channel: &str) -> Result<Option<Duration>, StoreError>;

    /// Returns when a delivery of `channel` may have become due sooner than [`Store::next_due`] last said.
    async fn changed(&self, channel: &str);

    /// Stores what attempts made of their deliveries, durably. Those whose lease has gone to somebody else are passed
    /// over.
    async fn settle(&self, settled: &[Settled], now: Moment) -> Result<(), StoreError>;

    /// Gives claims back as they were: for our own shutdown, which costs no attempt.
    async fn release(&self, claims: &[(DeliveryId, u64)], now: Moment) -> Result<(), StoreError>;

    /// Every delivery, or those that `wanted` keeps.
    async fn list(&self, wanted: &(dyn for<'d> Fn(&'d Delivery) -> bool + Sync)) -> Result<Vec<Delivery>, StoreError>;

    /// One delivery, in whatever state.
    async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError>;

    /// The delivery by which `channel` was told of `event`, or is about to be: what the end of it follows.
    async fn part_to_follow(&self, event: &Event, channel: &str) -> Result<Option<Delivery>, StoreError> {
        for id in track::parts(event, channel) {
            let part = self.delivery(id).await?.filter(Delivery::may_be_followed);
            if part.is_some() {
                return Ok(part);
            }
        }
        Ok(None)
    }

    /// Makes dead or withdrawn deliveries pending again, and these and pending ones due now. `insist`: they are sent
    /// although their event is settled. One that somebody is sending at this moment is left to them. Returns how many
    /// there were.
    async fn revive(&self, ids: &[DeliveryId], insist: bool, now: Moment) -> Result<usize, StoreError>;

    /// Removes pending, dead and withdrawn deliveries for good; an attempt under way changes nothing of that. Returns
    /// how many there were.
    async fn drop_deliveries(&self, ids: &[DeliveryId], now: Moment) -> Result<usize, StoreError>;

    /// Every event, or those that `wanted` keeps.
    async fn list_events(&self, wanted: &(dyn for<'e> Fn(&'e Event) -> bool + Sync)) -> Result<Vec<Event>, StoreError>;

    /// Stores an event as a person has closed it. From then on no [`Store::commit`] changes it.
    async fn close(&self, event: &Event, now: Moment) -> Result<(), StoreError>;

    /// What was closed by [`Store::close`] since the store was opened: who keeps open events in memory drops these.
    async fn closed_by_hand(&self) -> Result<HashSet<EventId>, StoreError>;

    /// What waits, channel by channel.
    async fn backlog(&self, now: Moment) -> Result<Vec<Backlog>, StoreError>;

    /// Notes, durably, that ringback is about to fetch the recording of a voicemail, which may mark it as heard.
    async fn note_fetch(&self, event: EventId, now: Moment) -> Result<(), StoreError>;

    /// When the recording of a voicemail was fetched by ringback, or was about to be.
    async fn fetches(&self, event: EventId) -> Result<Vec<Timestamp>, StoreError>;

    /// Notes, durably, until when a summary has been dealt with; `id` names the summary and its channel.
    async fn note_summary(&self, id: DeliveryId, until: Timestamp, now: Moment) -> Result<(), StoreError>;

    /// Until when a summary has been dealt with; `None` when nothing is noted of it.
    async fn summary_until(&self, id: DeliveryId) -> Result<Option<Timestamp>, StoreError>;

    /// Forgets closed and quiet events, finished deliveries and notes that are older than `before`. Returns how many.
    async fn prune(&self, before: Timestamp) -> Result<usize, StoreError>;

    /// A number that has grown when an event or a delivery has changed, or is new, since it was last asked for: whoever
    /// shows them need not read them all to know. Begins anew with the process.
    fn revision(&self) -> u64;

    /// Whether it can write, tried by writing.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Returns, with the reason, when the store cannot go on in this process: whoever runs on it must end, and be
    /// started again.
    async fn failed(&self) -> StoreError;
}
