//! What a period was like: what was missed, returned and heard in it, and what was open at its end. Pure.
//!
//! A call belongs to the period in which ringback first saw it, and so to one only, however late it came to light. All is
//! told as it was at the end of the period: the same period gives the same tally whenever it is asked for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::event::{Closed, Event, Kind, Standing};
use crate::number;
use crate::private::PersonName;

/// From one summary to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Inclusive.
    pub from: Timestamp,
    /// Exclusive.
    pub until: Timestamp,
}

/// What a period was like. What nobody was to be told of (muted, too short, before the first start) is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Which one.
    pub period: Period,
    /// Calls of the period that nobody answered, without those that left a voicemail in the same call.
    pub missed: usize,
    /// Those of them that were returned, or whose caller was reached later.
    pub returned: usize,
    /// From the end of a missed call to its return: the median of `returned`.
    pub median_return: Option<Duration>,
    /// Calls and voicemails of the period that a person has closed.
    pub closed_by_hand: usize,
    /// Voicemails of the period.
    pub voicemails: usize,
    /// Those of them that were heard.
    pub heard: usize,
    /// Calls of earlier periods that were returned in this one.
    pub earlier_returned: usize,
    /// Voicemails of earlier periods that were heard in this one.
    pub earlier_heard: usize,
    /// What somebody still had to act on at its end, of whatever period, the longest waiting first.
    pub open: Vec<Open>,
    /// The calls of the period by queue, those with the most missed first.
    pub queues: Vec<Place>,
    /// The same by extension.
    pub extensions: Vec<Place>,
}

/// A voicemail, or the calls of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The voicemail, or the last of the calls.
    pub event: Event,
    /// When the first of the calls began.
    pub since: Timestamp,
    /// How many calls; those of withheld numbers stand each for itself.
    pub calls: usize,
    /// Whether its end would still be noticed (`follow_up` and `lookback` of the configuration).
    pub watched: bool,
}

/// A queue or an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The account's name.
    pub account: String,
    /// The number or name at the PBX.
    pub number: String,
    /// The name of the queue or the extension.
    pub name: Option<PersonName>,
    /// Calls of the period that nobody answered.
    pub missed: usize,
    /// Those of them that were returned.
    pub returned: usize,
    /// Those of them that were still to be returned at its end.
    pub open: usize,
}

/// What had become of an event by the end of the period.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Somebody had to act.
    Open,
    /// Nobody had acted for so long that nobody looked any more.
    Expired(Timestamp),
    Settled(Timestamp),
    ByHand,
}

impl Period {
    fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }

    /// What had become of `event`; `None` when it is not to be counted at all.
    fn fate(self, event: &Event) -> Option<Fate> {
        match event.standing {
            Standing::Waiting | Standing::Announced { .. } => Some(Fate::Open),
            // Not to be told, not missed after all, or told as its voicemail: whenever that came out.
            Standing::Quiet { .. } | Standing::Closed { by: Closed::Answered | Closed::Voicemail, .. } => None,
            Standing::Closed { at, .. } if at >= self.until => Some(Fate::Open),
            Standing::Closed { at, by: Closed::Expired } => Some(Fate::Expired(at)),
            Standing::Closed { by: Closed::ByHand, .. } => Some(Fate::ByHand),
            Standing::Closed { at, by: Closed::Returned | Closed::CallerReached | Closed::Heard } => {
                Some(Fate::Settled(at))
            }
        }
    }

    /// Whether somebody still had to act on `event` at its end. What had ceased to be watched in this period is still
    /// named: nobody has called back, and nobody would hear of it again.
    fn leaves_open(self, event: &Event) -> bool {
        event.seen_at < self.until
            && match self.fate(event) {
                Some(Fate::Open) => true,
                Some(Fate::Expired(at)) => at >= self.from,
                _ => false,
            }
    }

    /// Whether `event` matters to the tally of this period.
    pub fn concerns(self, event: &Event) -> bool {
        let settled_here = |event| matches!(self.fate(event), Some(Fate::Settled(at)) if self.contains(at));
        event.seen_at < self.until
            && (self.contains(event.seen_at) || self.leaves_open(event) || settled_here(event))
            && self.fate(event).is_some()
    }
}

impl Tally {
    /// Counts `events`, of which those that do not concern the period change nothing.
    pub fn new(period: Period, events: &[Event]) -> Self {
        let mut tally = Self {
            period,
            missed: 0,
            returned: 0,
            median_return: None,
            closed_by_hand: 0,
            voicemails: 0,
            heard: 0,
            earlier_returned: 0,
            earlier_heard: 0,
            open: Vec::new(),
            queues: Vec::new(),
            extensions: Vec::new(),
        };
        let (mut queues, mut extensions) = (BTreeMap::new(), BTreeMap::new());
        let mut waits = Vec::new();
        for event in events.iter().filter(|event| period.concerns(event)) {
            let Some(fate) = period.fate(event) else { continue };
            let here = period.contains(event.seen_at);
            let settled = matches!(fate, Fate::Settled(_));
            match (event.kind, here) {
                (Kind::Call, true) => {
                    tally.missed += 1;
                    tally.returned += usize::from(settled);
                    if settled {
                        waits.push(return_time(event));
                    }
                    let (called, open) = (&event.called, period.leaves_open(event));
                    count(&mut queues, event, called.queue.as_deref(), called.queue_name.as_ref(), settled, open);
                    count(&mut extensions, event, called.extension.as_deref(), called.name.as_ref(), settled, open);
                }
                (Kind::Call, false) => tally.earlier_returned += usize::from(settled),
                (Kind::Voicemail, true) => {
                    tally.voicemails += 1;
                    tally.heard += usize::from(settled);
                }
                (Kind::Voicemail, false) => tally.earlier_heard += usize::from(settled),
            }
            tally.closed_by_hand += usize::from(here && fate == Fate::ByHand);
        }
        tally.median_return = median(waits);
        tally.open = open(period, events);
        (tally.queues, tally.extensions) = (ranked(queues), ranked(extensions));
        tally
    }

    /// Whether there is nothing to tell: nothing was missed or left, and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.missed + self.voicemails == 0 && self.open.is_empty()
    }
}

/// Places by account and number.
type Places<'e> = BTreeMap<(&'e str, &'e str), Place>;

fn count<'e>(
    places: &mut Places<'e>,
    event: &'e Event,
    number: Option<&'e str>,
    name: Option<&PersonName>,
    returned: bool,
    open: bool,
) {
    let Some(number) = number.filter(|number| !number.is_empty()) else { return };
    let place = places.entry((&event.account, number)).or_insert_with(|| Place {
        account: event.account.clone(),
        number: number.to_owned(),
        name: None,
        missed: 0,
        returned: 0,
        open: 0,
    });
    place.missed += 1;
    place.returned += usize::from(returned);
    place.open += usize::from(open);
    if place.name.is_none() {
        place.name = name.cloned();
    }
}

/// Those with the most missed calls first; of as many, by number.
fn ranked(places: Places<'_>) -> Vec<Place> {
    let mut places: Vec<Place> = places.into_values().collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.missed));
    places
}

/// What is open: a voicemail for itself, the calls of one person as one, and no call whose voicemail stands there.
fn open(period: Period, events: &[Event]) -> Vec<Open> {
    let mut open: Vec<&Event> = events.iter().filter(|event| period.leaves_open(event)).collect();
    open.sort_by_key(|event| (event.started_at, event.id));
    let voicemails: HashSet<(&str, &str)> = open
        .iter()
        .filter(|event| event.kind == Kind::Voicemail)
        .map(|event| (&*event.account, &*event.uuid))
        .collect();
    let mut rows: Vec<Open> = Vec::new();
    let mut callers = HashMap::new();
    for event in open {
        let watched = period.fate(event) == Some(Fate::Open);
        if event.kind == Kind::Call && voicemails.contains(&(&*event.account, &*event.uuid)) {
            continue;
        }
        // Withheld callers are never taken for one person.
        let number = event.caller.number.as_ref().filter(|_| event.kind == Kind::Call);
        let place = number
            .map_or(rows.len(), |number| *callers.entry((&event.account, number::line(number))).or_insert(rows.len()));
        match rows.get_mut(place) {
            // It keeps its place: that person has waited since the first call.
            Some(row) => {
                row.calls += 1;
                row.watched |= watched;
                let name = row.event.caller.name.take();
                row.event = event.clone();
                row.event.caller.name = row.event.caller.name.take().or(name);
            }
            None => rows.push(Open { event: event.clone(), since: event.started_at, calls: 1, watched }),
        }
    }
    rows
}

/// From its end to its return, as well as that is known.
fn return_time(event: &Event) -> Duration {
    let at = event.settled_at().unwrap_or(event.ended_at);
    Duration::try_from(at.duration_since(event.ended_at)).unwrap_or_default()
}

/// Of an even number, the mean of the middle two.
fn median(mut values: Vec<Duration>) -> Option<Duration> {
    values.sort_unstable();
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2 })
}

#[cfg(test)]
mod tests;
