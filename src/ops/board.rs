//! What the board shows of the store: what is open, what was given up, what was settled lately.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::{Desk, is_dead};
use crate::event::{Closed, Event, EventId, Standing};
use crate::outbox::Delivery;
use crate::store::StoreError;

/// A look at the store.
#[derive(Debug, Default)]
pub struct Board {
    /// What somebody still has to act on, the latest first.
    pub open: Vec<Matter>,
    /// What came to its end since the time that was asked for, the latest first. A call whose voicemail is told in its
    /// place has not.
    pub settled: Vec<Matter>,
    /// What was given up, the latest first, with its event while that is remembered.
    pub dead: Vec<(Delivery, Option<Arc<Event>>)>,
}

/// One call or voicemail, and who was, or is to be, told of it.
#[derive(Debug)]
pub struct Matter {
    /// The call or voicemail.
    pub event: Event,
    /// In the order in which they were decided.
    pub deliveries: Vec<Delivery>,
}

impl Desk {
    /// Looks at the whole store; what was settled, since `since`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn board(&self, since: Timestamp) -> Result<Board, StoreError> {
        let wanted = |event: &Event| event.is_open() || settled(event).is_some_and(|at| at >= since);
        let events = self.store.list_events(&wanted).await?;
        let ids: HashSet<EventId> = events.iter().map(|event| event.id).collect();
        let rows = self.store.list(&|row| is_dead(row) || ids.contains(&row.event_id)).await?;
        let dead = self.with_events(rows.iter().filter(|row| is_dead(row)).cloned().collect()).await?;
        let mut board = Board { dead, ..Board::default() };
        let mut of: HashMap<EventId, Vec<Delivery>> = HashMap::new();
        for row in rows {
            of.entry(row.event_id).or_default().push(row);
        }
        for event in events {
            let mut deliveries = of.remove(&event.id).unwrap_or_default();
            deliveries.sort_by(|a, b| (a.created_at, &a.channel, a.id).cmp(&(b.created_at, &b.channel, b.id)));
            let list = if event.is_open() { &mut board.open } else { &mut board.settled };
            list.push(Matter { event, deliveries });
        }
        board.open.sort_by_key(|matter| std::cmp::Reverse((matter.event.ended_at, matter.event.id)));
        board.settled.sort_by_key(|matter| std::cmp::Reverse((settled(&matter.event), matter.event.id)));
        Ok(board)
    }

    async fn with_events(&self, mut dead: Vec<Delivery>) -> Result<Vec<(Delivery, Option<Arc<Event>>)>, StoreError> {
        dead.sort_by_key(|row| std::cmp::Reverse((row.happened_at, row.id)));
        let ids: Vec<EventId> = dead.iter().map(|row| row.event_id).collect();
        Ok(dead.into_iter().zip(self.store.events(&ids).await?).collect())
    }
}

/// When that was noticed.
fn settled(event: &Event) -> Option<Timestamp> {
    match event.standing {
        Standing::Closed { at, by } => Some(at).filter(|_| by != Closed::Voicemail),
        Standing::Waiting | Standing::Announced { .. } | Standing::Quiet { .. } => None,
    }
}
