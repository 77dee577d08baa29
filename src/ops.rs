//! What an operator may ask of the store, and do to it: the outbox and the events, seen from outside.
//!
//! The commands call this on the store itself while no daemon has it, and through the control socket while one does;
//! either way the answers are the same.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::event::{Closed, DeliveryId, Ending, Event, EventId, Standing};
use crate::number::printable;
use crate::outbox::{Delivery, State};
use crate::store::{Batch, Store, StoreError};
use crate::track;

mod board;
mod pick;
mod view;

pub use board::{Board, Matter};
pub use view::{CalledParty, DeliveryView, EventView, NextStep, Party, Reason, StateName, Told};

/// Why an operator does not get what they asked for.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// It cannot be an id.
    #[error("`{given}` is not {a_what} id: expected `{prefix}` and hex digits, or the beginning of that")]
    NotAnId {
        /// As it was given.
        given: String,
        /// Of which kind it should be.
        a_what: &'static str,
        /// Of such ids.
        prefix: &'static str,
    },
    /// Nothing has this id.
    #[error("no {what} has the id `{given}`\nhint: `ringback {list}` shows what there is")]
    Unknown {
        /// As it was given.
        given: String,
        /// A delivery, an event.
        what: &'static str,
        /// The command that lists them.
        list: &'static str,
    },
    /// Several have it.
    #[error("`{given}` is the beginning of {} ids: {}{}\nhint: write more of it", .candidates.len(), first(.candidates), more(.candidates))]
    Ambiguous {
        /// As it was given.
        given: String,
        /// The whole ids.
        candidates: Vec<String>,
    },
    /// It can be found, and cannot be done.
    #[error("{0}")]
    Refused(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many candidates are named.
const NAMED: usize = 10;

fn first(candidates: &[String]) -> String {
    candidates.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn more(candidates: &[String]) -> &'static str {
    if candidates.len() > NAMED { ", …" } else { "" }
}

/// The channels that are delivered to. Clones share it, so that a reload can replace what is in it.
#[derive(Debug, Clone, Default)]
pub struct Channels(Arc<Mutex<HashSet<String>>>);

impl Channels {
    /// From now on these are delivered to, and no others.
    pub fn set(&self, names: impl IntoIterator<Item = String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names.into_iter().collect();
    }

    fn now(&self) -> HashSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those that stand so.
    pub state: Option<StateName>,
    /// Only those of this channel.
    pub channel: Option<String>,
    /// The newest so many.
    pub limit: Option<usize>,
}

/// Deliveries, those of the newest calls last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deliveries {
    /// As many as were asked for.
    pub deliveries: Vec<DeliveryView>,
    /// How many there are in each state, those past the limit too.
    pub counts: BTreeMap<StateName, usize>,
}

/// Events, the newest last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Events {
    /// As many as were asked for.
    pub events: Vec<EventView>,
    /// How many there are, those past the limit too.
    pub total: usize,
}

/// One delivery and what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// Its event, while that is remembered.
    pub about: Option<EventView>,
}

/// What became of an order about several deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// With how many it was done.
    pub done: usize,
    /// How many of these wait for a channel that is not configured, or not enabled.
    pub parked: usize,
    /// A sentence for each with which it was not.
    pub refused: Vec<String>,
}

/// An event that was closed by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedByHand {
    /// As it is now.
    pub event: EventView,
    /// Pending deliveries that are not sent any more.
    pub stopped: usize,
}

/// Where an operator asks.
#[derive(Clone)]
pub struct Desk {
    /// What is asked about.
    pub store: Arc<dyn Store>,
    /// What is delivered to.
    pub channels: Channels,
    /// The time.
    pub clock: Clock,
}

impl Desk {
    /// The outbox. `reveal` shows numbers and names in full.
    ///
    /// # Errors
    /// [`OpsError::Store`].
    pub async fn deliveries(&self, filter: &Filter, reveal: bool) -> Result<Deliveries, OpsError> {
        let wanted = |delivery: &Delivery| {
            filter.state.is_none_or(|state| state == StateName::of(delivery.state))
                && filter.channel.as_ref().is_none_or(|channel| *channel == delivery.channel)
        };
        let mut rows = self.store.list(&wanted).await?;
        let mut counts = BTreeMap::new();
        for row in &rows {
            *counts.entry(StateName::of(row.state)).or_default() += 1;
        }
        rows.sort_by(|a, b| {
            (a.happened_at, a.event_id, &a.channel, a.id).cmp(&(b.happened_at, b.event_id, &b.channel, b.id))
        });
        rows.drain(..rows.len().saturating_sub(filter.limit.unwrap_or(usize::MAX)));
        let ids: Vec<EventId> = rows.iter().map(|row| row.event_id).collect();
        let events = self.store.events(&ids).await?;
        let channels = self.channels.now();
        let views = rows.iter().zip(&events);
        let deliveries = views.map(|(row, event)| DeliveryView::of(row, event.as_deref(), &channels, reveal)).collect();
        Ok(Deliveries { deliveries, counts })
    }

    /// One delivery, by its id or the beginning of it.
    ///
    /// # Errors
    /// [`OpsError`] when there is not exactly one.
    pub async fn delivery(&self, id: &str, reveal: bool) -> Result<Shown, OpsError> {
        let rows = pick::deliveries(self.store.as_ref(), &[id.to_owned()]).await?;
        let Some(row) = rows.first() else { return Err(OpsError::Refused("no id was given".to_owned())) };
        let event = self.store.events(&[row.event_id]).await?.pop().flatten();
        let delivery = DeliveryView::of(row, event.as_deref(), &self.channels.now(), reveal);
        let about = match event {
            Some(event) => self.views(vec![Arc::unwrap_or_clone(event)], reveal).await?.pop(),
            None => None,
        };
        Ok(Shown { delivery, about })
    }

    /// Makes deliveries due now: dead, withdrawn and pending ones, not what was delivered. They are sent although their
    /// event is settled: a person asks for them by name.
    ///
    /// # Errors
    /// [`OpsError`] when an id is not that of one delivery; nothing is done then.
    pub async fn retry(&self, ids: &[String]) -> Result<Done, OpsError> {
        let rows = pick::deliveries(self.store.as_ref(), ids).await?;
        let (rows, refused) = sort_out(rows, |delivery| match delivery.state {
            State::Delivered { at } => Some(format!("{} was delivered at {at:.0}: it is not sent again", delivery.id)),
            _ => None,
        });
        Ok(Done { refused, ..self.revive(&rows, true).await? })
    }

    /// Makes every dead delivery due now, of all channels or of one.
    ///
    /// # Errors
    /// [`OpsError::Store`].
    pub async fn retry_dead(&self, channel: Option<&str>) -> Result<Done, OpsError> {
        let wanted =
            |delivery: &Delivery| is_dead(delivery) && channel.is_none_or(|channel| channel == delivery.channel);
        let rows = self.store.list(&wanted).await?;
        self.revive(&rows, false).await
    }

    async fn revive(&self, rows: &[Delivery], insist: bool) -> Result<Done, OpsError> {
        let channels = self.channels.now();
        let done = self.store.revive(&ids(rows), insist, self.clock.moment()).await?;
        let parked = rows.iter().filter(|row| !channels.contains(&row.channel)).count();
        Ok(Done { done, parked, refused: Vec::new() })
    }

    /// Removes pending and dead deliveries for good. Their events stay.
    ///
    /// # Errors
    /// [`OpsError`] when an id is not that of one delivery; nothing is done then.
    pub async fn drop(&self, given: &[String]) -> Result<Done, OpsError> {
        let rows = pick::deliveries(self.store.as_ref(), given).await?;
        let (rows, mut refused) = sort_out(rows, |delivery| {
            let (how, at) = match delivery.state {
                State::Pending | State::Dead { .. } => return None,
                State::Delivered { at } => ("delivered", at),
                State::Withdrawn { at } => ("withdrawn", at),
            };
            Some(format!("{} was {how} at {at:.0}: it is forgotten after `store.keep`", delivery.id))
        });
        let done = self.store.drop_deliveries(&ids(&rows), self.clock.moment()).await?;
        if done < rows.len() {
            refused.push(format!("{} were delivered at this very moment", rows.len() - done));
        }
        Ok(Done { done, parked: 0, refused })
    }

    /// What was seen; `open`: only what somebody still has to act on. `limit`: the newest so many.
    ///
    /// # Errors
    /// [`OpsError::Store`].
    pub async fn events(&self, open: bool, limit: Option<usize>, reveal: bool) -> Result<Events, OpsError> {
        let mut events = self.store.list_events(&|event| !open || event.is_open()).await?;
        let total = events.len();
        events.sort_by_key(|event| (event.ended_at, event.id));
        events.drain(..total.saturating_sub(limit.unwrap_or(usize::MAX)));
        Ok(Events { events: self.views(events, reveal).await?, total })
    }

    /// Settles an event by hand: it is not watched any more, and what is pending of it is not sent.
    ///
    /// # Errors
    /// [`OpsError`] when there is not exactly one such event, when it is settled already, and when the note is too long.
    pub async fn close(&self, id: &str, note: Option<&str>) -> Result<ClosedByHand, OpsError> {
        let note = note.map(|note| printable(note, Event::MAX_NOTE + 1)).filter(|note| !note.is_empty());
        if note.as_ref().is_some_and(|note| note.len() > Event::MAX_NOTE) {
            return Err(OpsError::Refused(format!(
                "the note is longer than the {} bytes that are kept",
                Event::MAX_NOTE
            )));
        }
        let event = pick::event(self.store.as_ref(), id).await?;
        if event.is_settled() {
            let standing = view::standing(event.standing);
            return Err(OpsError::Refused(format!("{} is settled already: {standing}", event.id)));
        }
        let now = self.clock.moment();
        let closed = Event { note, ..track::close(&event, Closed::ByHand, now.at) };
        self.store.close(&closed, now).await?;
        let of_it = |row: &Delivery| row.event_id == closed.id && row.state == State::Pending && !row.insisted;
        let stopped = self.store.list(&of_it).await?;
        // Claimed now rather than when they would have been due, they are withdrawn now.
        self.store.revive(&ids(&stopped), false, now).await?;
        let Some(event) = self.views(vec![closed], false).await?.pop() else {
            return Err(OpsError::Refused(format!("{} is gone", event.id)));
        };
        Ok(ClosedByHand { event, stopped: stopped.len() })
    }

    /// One event, by its id or the beginning of it.
    ///
    /// # Errors
    /// [`OpsError`] when there is not exactly one.
    pub async fn event(&self, id: &str) -> Result<Event, OpsError> {
        pick::event(self.store.as_ref(), id).await
    }

    /// Settles a voicemail that somebody has heard by ringback, and tells those of `follow_ups` who were told of it. Gives it as
    /// it is then; `None` when it was settled before.
    ///
    /// # Errors
    /// When the store cannot be asked. What is told is stored after the end itself: a crash between the two leaves it out.
    pub async fn heard(&self, event: &Event, follow_ups: &[String]) -> Result<Option<Event>, StoreError> {
        if !event.is_open() {
            return Ok(None);
        }
        let now = self.clock.moment();
        let ending = Some(Ending { at: now.at, extension: None });
        let closed = Event { ending, ..track::close(event, Closed::Heard, now.at) };
        let mut deliveries = Vec::new();
        for channel in follow_ups.iter().filter(|_| event.standing != Standing::Waiting) {
            let told = self.store.part_to_follow(event, channel).await?;
            deliveries.extend(told.map(|told| Delivery::follow_up(&closed, told, now.at)));
        }
        self.store.close(&closed, now).await?;
        self.store.commit(Batch { deliveries, ..Batch::default() }, now).await?;
        Ok(Some(closed))
    }

    /// How many deliveries of each channel are dead; 0 for the channels that have others only.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn dead(&self) -> Result<BTreeMap<String, usize>, StoreError> {
        let counts: Mutex<BTreeMap<String, usize>> = Mutex::default();
        for channel in self.channels.now() {
            counts.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, 0);
        }
        let count = |delivery: &Delivery| {
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(delivery.channel.clone()).or_default() += usize::from(is_dead(delivery));
            false
        };
        self.store.list(&count).await?;
        Ok(counts.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn views(&self, events: Vec<Event>, reveal: bool) -> Result<Vec<EventView>, StoreError> {
        let wanted: HashSet<EventId> = events.iter().map(|event| event.id).collect();
        let mut told: HashMap<EventId, Vec<Told>> = HashMap::new();
        for delivery in self.store.list(&|delivery| wanted.contains(&delivery.event_id)).await? {
            told.entry(delivery.event_id).or_default().push(Told::of(&delivery));
        }
        let view = |event: &Event| EventView::of(event, told.remove(&event.id).unwrap_or_default(), reveal);
        Ok(events.iter().map(view).collect())
    }
}

fn is_dead(delivery: &Delivery) -> bool {
    matches!(delivery.state, State::Dead { .. })
}

fn ids(rows: &[Delivery]) -> Vec<DeliveryId> {
    rows.iter().map(|row| row.id).collect()
}

/// Those with which it can be done, and for each other one why it cannot.
fn sort_out(rows: Vec<Delivery>, refuse: impl Fn(&Delivery) -> Option<String>) -> (Vec<Delivery>, Vec<String>) {
    let mut refused = Vec::new();
    let mut rows = rows;
    rows.retain(|row| match refuse(row) {
        Some(why) => {
            refused.push(why);
            false
        }
        None => true,
    });
    (rows, refused)
}
