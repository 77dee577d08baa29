//! A time of day on certain days, by the wall clock of a time zone: when a summary is due. Pure.
//!
//! Where the clock shows the time twice, it is the first of them; where it leaps over it, the moment of the leap.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::{DAY, Repeated, instant, minutes};
use crate::config::Day;

/// Between two days of a summary are six others at most, and a day may be missing where the date line was moved.
const WEEK: usize = 9;

/// At what time, on which days.
#[derive(Debug, Clone)]
pub struct Daily {
    /// In minutes from midnight, below 24 hours.
    at: u16,
    /// Monday first; at least one.
    days: [bool; 7],
    zone: TimeZone,
}

impl Daily {
    /// `at` is `18:00`; without `days` it is every day. `None` when `at` is no time of a day.
    pub fn new(at: &str, days: &[Day], zone: TimeZone) -> Option<Self> {
        let at = minutes(at).filter(|minutes| *minutes < DAY)?;
        let named = |day: usize| days.is_empty() || days.iter().any(|named| *named as usize == day);
        Some(Self { at, days: std::array::from_fn(named), zone })
    }

    /// The last due time until `now`, that moment included.
    pub fn last(&self, now: Timestamp) -> Option<Timestamp> {
        let tomorrow = now.to_zoned(self.zone.clone()).date().tomorrow().ok()?;
        let days = tomorrow.series((-1).day()).take(WEEK + 1);
        days.filter_map(|day| self.on(day)).find(|due| *due <= now)
    }

    /// The first due time after `now`.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let yesterday = now.to_zoned(self.zone.clone()).date().yesterday().ok()?;
        let days = yesterday.series(1.day()).take(WEEK + 1);
        days.filter_map(|day| self.on(day)).find(|due| *due > now)
    }

    /// The last due time before `due`: where the time begins that a summary of `due` is about.
    pub fn before(&self, due: Timestamp) -> Option<Timestamp> {
        self.last(due.checked_sub(1.nanosecond()).ok()?)
    }

    fn on(&self, day: jiff::civil::Date) -> Option<Timestamp> {
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if self.days[weekday] { instant(day, self.at, &self.zone, Repeated::First) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WORKING_DAYS: [Day; 5] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];

    fn daily(at: &str, days: &[Day], zone: &str) -> Daily {
        Daily::new(at, days, TimeZone::get(zone).unwrap()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_summary_of_working_days_covers_the_weekend_on_monday() {
        let daily = daily("18:00", &WORKING_DAYS, "Europe/Istanbul");
        let (friday, monday) = (at("2026-11-20T15:00:00Z"), at("2026-11-23T15:00:00Z"));
        assert_eq!(daily.last(monday), Some(monday), "it is due at that moment");
        assert_eq!(daily.before(monday), Some(friday));
        assert_eq!(daily.last(at("2026-11-23T14:59:59Z")), Some(friday));
        assert_eq!(daily.next(friday), Some(monday));
        assert_eq!(daily.next(at("2026-11-22T05:00:00Z")), Some(monday));
    }

    #[test]
    fn a_summary_of_one_day_covers_a_week_and_one_without_days_comes_daily() {
        let weekly = daily("9:05", &[Day::Mon], "Europe/Istanbul");
        assert_eq!(weekly.before(at("2026-11-23T06:05:00Z")), Some(at("2026-11-16T06:05:00Z")));
        let every_day = daily("00:00", &[], "Europe/Istanbul");
        assert_eq!(every_day.before(at("2026-11-22T21:00:00Z")), Some(at("2026-11-21T21:00:00Z")));
    }

    #[test]
    fn where_the_clock_is_changed_a_time_comes_once_a_day() {
        // Berlin leaps from 02:00 to 03:00 on 29 March 2026, and shows 02:00 to 03:00 twice on 25 October.
        let daily = daily("02:30", &[], "Europe/Berlin");
        assert_eq!(daily.next(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")), "the moment of the leap");
        assert_eq!(daily.next(at("2026-03-29T01:00:00Z")), Some(at("2026-03-30T00:30:00Z")));
        assert_eq!(daily.next(at("2026-10-24T12:00:00Z")), Some(at("2026-10-25T00:30:00Z")), "the first of the two");
        assert_eq!(daily.next(at("2026-10-25T00:30:00Z")), Some(at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn what_is_no_time_of_a_day_is_refused() {
        for text in ["24:00", "18", "18:60", "6pm", "", "-1:00"] {
            assert!(Daily::new(text, &[], TimeZone::UTC).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_periods_of_a_summary_leave_no_gap_and_do_not_overlap(
            seconds in 1_700_000_000_i64..2_000_000_000,
            minute in 0_u16..1440,
            days in proptest::collection::vec(prop::sample::select(WORKING_DAYS.to_vec()), 0..4),
            zone in prop::sample::select(vec!["Europe/Istanbul", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        ) {
            let daily = daily(&format!("{}:{:02}", minute / 60, minute % 60), &days, zone);
            let now = Timestamp::from_second(seconds).unwrap();
            let (last, next) = (daily.last(now).unwrap(), daily.next(now).unwrap());
            prop_assert!(last <= now && now < next);
            prop_assert_eq!(daily.before(next), Some(last));
            prop_assert_eq!(daily.next(last), Some(next));
        }
    }
}
