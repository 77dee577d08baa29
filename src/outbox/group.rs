//! Calls of one caller that are one message: which rows belong together, and what was told before them. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Claim, Delivery, State};
use crate::event::{DeliveryId, EventType};

/// What the delivery of a grouped call knows of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Deliveries of a channel with the same one are one message. At first a name for those of one window; since an
    /// attempt the id of the message that was tried, so that none that comes later gets into it.
    pub message: DeliveryId,
    /// The delivery of the first call that is still open: this one belongs under its message, when it is not part of it.
    pub first: DeliveryId,
    /// Until when further calls join.
    pub until: Timestamp,
    /// The calls whose message this one belongs under.
    #[serde(default, skip_serializing_if = "Calls::is_empty")]
    pub before: Calls,
}

impl Group {
    /// The window that `leader` opens. `told`: the first delivery of the calls before it, and those calls.
    pub fn open(leader: DeliveryId, until: Timestamp, told: Option<(DeliveryId, Calls)>) -> Self {
        let (first, before) = told.unwrap_or((leader, Calls::default()));
        Self { message: DeliveryId::together(&[leader]), first, until, before }
    }

    /// That of the follow-ups of what was told under `first`: one message for all of the calls.
    #[must_use]
    pub fn of_ends(&self, now: Timestamp) -> Self {
        // Twice: another name than that of a window, or of a message.
        let message = DeliveryId::together(&[self.first, self.first]);
        Self { message, first: self.first, until: now, before: Calls::default() }
    }
}

impl Delivery {
    /// Whether further calls of the caller may still join it at `now`: nothing of it was tried, and it is not due. What
    /// is due may be on its way, and its id names what it says.
    pub fn gathers(&self, now: Timestamp) -> bool {
        let untouched = self.attempts == 0 && self.last_failure.is_none() && self.state == State::Pending;
        self.group.is_some() && self.event == EventType::CallMissed && untouched && self.due_at > now
    }

    /// Joins the window of `other`, when that is open to it.
    pub fn join(&mut self, other: &Self, now: Timestamp) -> bool {
        let same = self.channel == other.channel && self.held_until == other.held_until;
        let joins = same && other.gathers(now);
        if joins {
            self.group.clone_from(&other.group);
            self.due_at = other.due_at;
        }
        joins
    }
}

/// When calls began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// How many there were.
    pub count: u32,
    /// When the latest [`Calls::MOST`] of them began, earliest first.
    pub times: Vec<Timestamp>,
}

impl Calls {
    /// Keeps a stored row well under the store's limit for one value, and a message readable.
    pub const MOST: usize = 20;

    /// These calls and those that began at `times`.
    #[must_use]
    pub fn with(mut self, times: impl IntoIterator<Item = Timestamp>) -> Self {
        let before = self.times.len();
        self.times.extend(times);
        self.count = self.count.saturating_add(u32::try_from(self.times.len() - before).unwrap_or(u32::MAX));
        self.times.sort_unstable();
        self.times.drain(..self.times.len().saturating_sub(Self::MOST));
        self
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// Makes one message of `claims`, and returns its id: the same for the same ones, at whatever attempt. A single one keeps
/// its own.
pub fn pin(claims: &mut [Claim]) -> Option<DeliveryId> {
    let id = match &*claims {
        [] => return None,
        [one] => one.delivery.id,
        many => DeliveryId::together(&many.iter().map(|claim| claim.delivery.id).collect::<Vec<_>>()),
    };
    for group in claims.iter_mut().filter_map(|claim| claim.delivery.group.as_mut()) {
        group.message = id;
    }
    Some(id)
}
