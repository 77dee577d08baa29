//! What was written a moment ago, as it was before it became bytes: most deliveries are claimed right after they were
//! stored, and need not be decoded for it. Pure.
//!
//! Every write of a row goes through here, so what is here is what the row says. It is emptied when the rows are moved
//! into sled, and so never larger than what the journal holds.

use std::sync::Arc;

use super::writer::Write;
use crate::event::{DeliveryId, Event, EventId};
use crate::outbox::Delivery;
use crate::store::index::IdMap;

/// Events and pending deliveries.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    events: IdMap<EventId, Arc<Event>>,
    deliveries: IdMap<DeliveryId, Delivery>,
}

impl Fresh {
    /// An event as it was written last; `None` when it must be read.
    pub(super) fn event(&self, id: EventId) -> Option<Arc<Event>> {
        self.events.get(&id).cloned()
    }

    /// A pending delivery, once: whoever claims it again reads it.
    pub(super) fn take(&mut self, id: DeliveryId) -> Option<Delivery> {
        self.deliveries.remove(&id)
    }

    /// A new delivery is pending.
    pub(super) fn put(&mut self, delivery: &Delivery) {
        self.deliveries.insert(delivery.id, delivery.clone());
    }

    /// A write is acknowledged; `closed` says whether a person has closed its event, which then stays as it is.
    pub(super) fn note(&mut self, write: &Write, closed: impl Fn(EventId) -> bool) {
        match write {
            Write::Event(event, _) if !closed(event.id) => {
                self.events.insert(event.id, Arc::clone(event));
            }
            Write::Close(id, _) => {
                self.events.remove(id);
            }
            Write::Settled(settled, _) => {
                self.deliveries.remove(&settled.delivery.id);
            }
            Write::Revive(_, delivery, _) | Write::Drop(_, delivery) => {
                self.deliveries.remove(&delivery.id);
            }
            // By key, and seldom.
            Write::Remove(_) => self.clear(),
            _ => {}
        }
    }

    /// The rows are moved.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
