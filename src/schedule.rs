//! When it is open: the schedules of the configuration, by the wall clock of their time zone. Pure.
//!
//! A span of a day begins on that day and may end on the next one; a day that is off (a holiday, an exception) is one on
//! which no span begins. Where the clocks are changed, a span begins when the wall clock first shows its beginning or
//! more, and ends when it has shown its end for the last time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::config;

pub mod daily;
pub mod holidays;

const DAY: u16 = 24 * 60;

/// The eve of a feast is off from then on.
const AFTERNOON: u16 = 13 * 60;

/// How far ahead is looked for an opening: the days between two of them are few, but for a date that comes once a year.
const HORIZON: usize = 400;

/// The schedules of a configuration, by their names.
#[derive(Debug, Clone, Default)]
pub struct Schedules(BTreeMap<String, Schedule>);

impl Schedules {
    /// Takes in those that can be read; what is wrong with others is told by [`Schedule::new`].
    pub fn new(schedules: &BTreeMap<String, Vec<config::Span>>, zone: &TimeZone) -> Self {
        let read = |(name, spans): (&String, &Vec<config::Span>)| {
            Some((name.clone(), Schedule::new(spans, zone.clone()).ok()?))
        };
        Self(schedules.iter().filter_map(read).collect())
    }

    /// The schedule of this name.
    pub fn get(&self, name: &str) -> Option<&Schedule> {
        self.0.get(name)
    }
}

/// One schedule: it is open while any of its spans is.
#[derive(Debug, Clone)]
pub struct Schedule {
    spans: Vec<Span>,
    zone: TimeZone,
}

/// On which days, and from when to when.
#[derive(Debug, Clone)]
struct Span {
    /// Monday first.
    days: [bool; 7],
    /// In minutes from midnight, below 24 hours.
    from: u16,
    /// Likewise, later than `from` and at most 24 hours later: what is over midnight is above 24 hours.
    to: u16,
    holidays: bool,
    except: BTreeSet<Date>,
}

/// What cannot be read of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The position of the span.
    pub span: usize,
    /// The key, with the position in its list: `except[1]`.
    pub key: String,
    /// What was expected.
    pub message: String,
}

impl Schedule {
    /// Takes in the spans of the configuration.
    ///
    /// # Errors
    /// Every text that is no time or no date.
    pub fn new(spans: &[config::Span], zone: TimeZone) -> Result<Self, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let spans = spans.iter().enumerate().map(|(index, span)| Span::new(index, span, &mut wrong)).collect();
        if wrong.is_empty() { Ok(Self { spans, zone }) } else { Err(wrong) }
    }

    /// Whether it is open at that moment.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.opens(at) == Some(at)
    }

    /// When it is open next: `at` itself while it is open. `None` when that is not within 400 days.
    pub fn opens(&self, at: Timestamp) -> Option<Timestamp> {
        self.open_times(at).next().map(|(from, _)| from)
    }

    /// When so much of its open time has passed since `from`. `None` when that takes more than 400 days.
    pub fn after(&self, from: Timestamp, open: Duration) -> Option<Timestamp> {
        let mut left = SignedDuration::try_from(open).ok()?;
        for (start, end) in self.open_times(from) {
            let here = end.duration_since(start);
            if here >= left {
                return start.checked_add(left).ok();
            }
            left -= here;
        }
        None
    }

    /// The times from `from` on in which it is open, in their order; two that touch are given one by one.
    fn open_times(&self, from: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = from.to_zoned(self.zone.clone()).date();
        // A span lasts a day at most, so none before yesterday's reaches into today.
        let days = today.yesterday().unwrap_or(today).series(1.day()).take(HORIZON);
        let mut until = from;
        days.flat_map(|day| {
            let mut spans: Vec<_> = self.spans.iter().filter_map(|span| span.on(day, &self.zone)).collect();
            spans.sort_unstable();
            spans
        })
        .filter_map(move |(start, end)| {
            let start = start.max(until);
            until = until.max(end);
            (start < end).then_some((start, end))
        })
    }
}

impl Span {
    fn new(index: usize, span: &config::Span, wrong: &mut Vec<Wrong>) -> Self {
        let mut note = |key: String, message: String| wrong.push(Wrong { span: index, key, message });
        let mut time = |key: &str, text: Option<&str>, default: u16| match text.map(minutes) {
            None => default,
            Some(Some(minutes)) => minutes,
            Some(None) => {
                note(key.to_owned(), "expected a time of day, \"09:00\"".to_owned());
                default
            }
        };
        let from = time("from", span.from.as_deref(), 0);
        let to = time("to", span.to.as_deref(), DAY);
        if from == DAY {
            note("from".to_owned(), "no day begins at 24:00".to_owned());
        }
        let mut except = BTreeSet::new();
        for (position, text) in span.except.iter().enumerate() {
            match text.parse::<Date>() {
                Ok(date) => _ = except.insert(date),
                Err(_) => note(format!("except[{position}]"), "expected a date, 2026-12-31".to_owned()),
            }
        }
        let named = |day: usize| span.days.is_empty() || span.days.iter().any(|named| *named as usize == day);
        let holidays = span.holidays.is_some();
        // Over midnight, or around the clock.
        let to = if to <= from { to + DAY } else { to };
        Self { days: std::array::from_fn(named), from: from % DAY, to, holidays, except }
    }

    /// From when to when it is open if it begins on `day`.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !self.days[weekday] || self.except.contains(&day) {
            return None;
        }
        let to = match holidays::off(day).filter(|_| self.holidays) {
            Some(holidays::Off::Day) => return None,
            Some(holidays::Off::Afternoon) => self.to.min(AFTERNOON),
            None => self.to,
        };
        if self.from >= to {
            return None;
        }
        Some((instant(day, self.from, zone, Repeated::First)?, instant(day, to, zone, Repeated::Last)?))
    }
}

/// Which of two moments, where the wall clock shows a time twice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeated {
    First,
    Last,
}

/// When the wall clock shows so many minutes after the midnight of `day`; where it leaps over that, the moment of the leap.
fn instant(day: Date, minutes: u16, zone: &TimeZone, repeated: Repeated) -> Option<Timestamp> {
    let day = if minutes >= DAY { day.tomorrow().ok()? } else { day };
    let minutes = i8::try_from(minutes % DAY / 60).ok().zip(i8::try_from(minutes % 60).ok());
    let time = minutes.map(|(hour, minute)| day.at(hour, minute, 0, 0))?;
    let shown = zone.to_ambiguous_timestamp(time);
    match shown.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(time).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            // By the clock of after the leap it is before it.
            let before = after.to_timestamp(time).ok()?;
            zone.following(before).next().map(|leap| leap.timestamp())
        }
        AmbiguousOffset::Fold { before, after } => {
            let offset = if repeated == Repeated::First { before } else { after };
            offset.to_timestamp(time).ok()
        }
    }
}

/// `9:00` or `09:00`, to `24:00`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
    let (hours, minutes) =
        ((1..=2).contains(&hours.len()).then(|| number(hours))??, number(minutes).filter(|_| minutes.len() == 2)?);
    let all = hours * 60 + minutes;
    (minutes < 60 && all <= DAY).then_some(all)
}

#[cfg(test)]
mod tests;
