//! Where the state is kept: the verbs that ringback needs, in its own words. sled is the store behind them.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Moment;
use crate::cursor::Cursor;
use crate::event::{DeliveryId, Event, EventId, Kind};
use crate::outbox::{Claim, Delivery, Settled};

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
    pub events: Vec<Event>,
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

/// The verbs. Every implementation passes `contract::exercise`.
#[async_trait]
pub trait Store: Send + Sync {
    /// Stores a batch, whole and durably, before it returns.
    async fn commit(&self, batch: Batch, now: Moment) -> Result<(), StoreError>;

    /// The events of these ids, in their order.
    async fn events(&self, ids: &[EventId]) -> Result<Vec<Option<Event>>, StoreError>;

    /// The events of a source that somebody still has to act on.
    async fn open_events(&self, source: &Source) -> Result<Vec<Event>, StoreError>;

    /// How far a source has been read.
    async fn cursor(&self, source: &Source) -> Result<Option<Cursor>, StoreError>;

    /// Takes up to `limit` due deliveries of `channel`, earliest first. Nobody else gets them until the lease ends.
    async fn claim_due(
        &self,
        channel: &str,
        limit: usize,
        lease: Duration,
        now: Moment,
    ) -> Result<Vec<Claim>, StoreError>;

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

    /// Makes dead or withdrawn deliveries pending again, due now. Returns how many there were.
    async fn revive(&self, ids: &[DeliveryId], now: Moment) -> Result<usize, StoreError>;

    /// What waits, channel by channel.
    async fn backlog(&self, now: Moment) -> Result<Vec<Backlog>, StoreError>;

    /// Forgets closed and quiet events, and finished deliveries, that are older than `before`. Returns how many.
    async fn prune(&self, before: Timestamp) -> Result<usize, StoreError>;

    /// Whether it can write, tried by writing.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Returns, with the reason, when the store cannot go on in this process: whoever runs on it must end, and be
    /// started again.
    async fn failed(&self) -> StoreError;
}
