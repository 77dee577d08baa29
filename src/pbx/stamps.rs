//! The PBX's stamps and durations, with the broken forms that its own pages show. Pure.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

/// Reads `2017-08-03 12:30:32 +0300` and its relatives: `T` between date and time, fractions of a second, `Z`, `UTC`,
/// `+03:00`, `+03`. `None` for nothing and for what cannot be read.
///
/// Two forms in the vendor's samples are repaired: `017-08-03 …` lost the first digit of its year, `… +030` the last
/// of its zone. The stamp's own zone counts; one without is local to the vendor (Europe/Istanbul).
pub fn timestamp(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.trim().split_once([' ', 'T', 't'])?;
    let rest = rest.trim_start();
    let split = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(split);
    let local = civil(date, time)?;
    let zone = zone.trim();
    match zone {
        "" => istanbul().to_ambiguous_timestamp(local).compatible().ok(),
        "Z" | "z" | "UTC" | "GMT" => Offset::UTC.to_timestamp(local).ok(),
        _ => offset(zone)?.to_timestamp(local).ok(),
    }
}

/// Seconds of `00:01:05`, `00:0:35`, `01:05`, `65` or `65.4`; the largest number that fits when there are more.
/// `None` for nothing and for what cannot be read.
pub fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    let whole = text.split_once(['.', ',']).map_or(text, |(whole, _)| whole);
    let parts: Vec<&str> = whole.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut total: u64 = 0;
    for part in parts {
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        // Only digits: the one way to fail is to be too large.
        total = total.saturating_mul(60).saturating_add(part.parse().unwrap_or(u64::MAX));
    }
    Some(u32::try_from(total).unwrap_or(u32::MAX))
}

/// A stamp for a query: `2026-11-22 05:07:24 UTC`, the only form with evidence from production.
pub fn query(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn civil(date: &str, time: &str) -> Option<DateTime> {
    let mut date = date.split('-');
    let year = date.next()?;
    let year = match year.len() {
        4 => year.parse().ok()?,
        3 => 2000_i16.checked_add(year.strip_prefix('0')?.parse().ok()?)?,
        _ => return None,
    };
    let (month, day) = (date.next()?.parse().ok()?, date.next()?.parse().ok()?);
    let (time, fraction) = time.split_once(['.', ',']).unwrap_or((time, ""));
    let mut time = time.split(':');
    let (hour, minute) = (time.next()?.parse().ok()?, time.next()?.parse().ok()?);
    // A leap second is read as the one before.
    let second = time.next().map_or(Some(0), |second| second.parse().ok())?.min(59);
    if date.next().is_some() || time.next().is_some() {
        return None;
    }
    let nanosecond = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    DateTime::new(year, month, day, hour, minute, second, nanosecond).ok()
}

/// `+0300`, `+03:00`, `+03`, `+3:00`, and `+030`, whose lost last digit can only have been a zero.
fn offset(zone: &str) -> Option<Offset> {
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b':') {
        return None;
    }
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None => digits.split_at_checked(2)?,
    };
    let minutes = format!("{minutes:0<2}");
    if minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

fn istanbul() -> TimeZone {
    // The zone is in the bundled database; should it ever leave, Turkey is at +03 since 2016.
    TimeZone::get("Europe/Istanbul").unwrap_or_else(|_| TimeZone::fixed(jiff::tz::offset(3)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> Option<String> {
        timestamp(text).map(|at| at.to_string())
    }

    #[test]
    fn a_stamp_is_read_in_every_form_that_was_seen() {
        for text in [
            "2017-08-03 12:30:32 +0300",
            "2017-08-03 12:30:32 +03:00",
            "2017-08-03 12:30:32 +030",
            "2017-08-03 12:30:32 +03",
            "2017-08-03 12:30:32+03:00",
            "017-08-03 12:30:32 +0300",
            "2017-08-03T12:30:32+0300",
            "2017-08-03T12:30:32",
            "2017-08-03 12:30:32",
            "2017-08-03  12:30:32  +0300 ",
            "2017-08-03 09:30:32 UTC",
            "2017-08-03T09:30:32Z",
            "2017-08-03 04:30:32 -0500",
            "2017-08-03 15:00:32 +0530",
        ] {
            assert_eq!(utc(text).as_deref(), Some("2017-08-03T09:30:32Z"), "{text}");
        }
        assert_eq!(utc("2026-11-22T05:07:24.125Z").as_deref(), Some("2026-11-22T05:07:24.125Z"));
        assert_eq!(utc("2026-11-22 08:07").as_deref(), Some("2026-11-22T05:07:00Z"));
    }

    #[test]
    fn a_stamp_without_a_zone_follows_the_zone_of_its_day() {
        assert_eq!(utc("2016-01-15 12:00:00").as_deref(), Some("2016-01-15T10:00:00Z"), "winter time of then: +02");
        assert_eq!(utc("2026-01-15 12:00:00").as_deref(), Some("2026-01-15T09:00:00Z"));
    }

    #[test]
    fn the_zone_of_a_stamp_counts_and_not_the_local_one() {
        assert_eq!(utc("2026-01-15 12:00:00 +0200").as_deref(), Some("2026-01-15T10:00:00Z"));
    }

    #[test]
    fn nothing_and_garbage_are_no_stamp() {
        for text in [
            "",
            " ",
            "null",
            "-",
            "2017-08-03",
            "12:30:32",
            "03.08.2017 12:30:32",
            "2017-13-03 12:30:32",
            "0000-00-00 00:00:00",
            "2017-08-03 25:00:00",
            "2017-08-03 12:30:32 +9900",
            "2017-08-03 12:30:32 EST",
            "17-08-03 12:30:32",
            "317-08-03 12:30:32",
            "2017-08-03 12:30:32 +",
            "2017-08-03 ş",
            "2017-08-03-04 12:30:32",
        ] {
            assert_eq!(utc(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_read_in_every_form_that_was_seen() {
        for (text, expected) in [
            ("00:01:05", Some(65)),
            ("00:0:35", Some(35)),
            ("01:05", Some(65)),
            ("65", Some(65)),
            ("65.9", Some(65)),
            (" 165 ", Some(165)),
            ("99999999999999999999999", Some(u32::MAX)),
            ("99999999999:99:99", Some(u32::MAX)),
            ("", None),
            ("null", None),
            ("-5", None),
            ("1:2:3:4", None),
            ("1::2", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn a_query_says_utc() {
        assert_eq!(query("2026-11-22T08:07:24.9+03:00".parse().unwrap()), "2026-11-22 05:07:24 UTC");
    }

    proptest! {
        #[test]
        fn any_text_is_a_stamp_or_none(text in "\\PC*|[0-9T:. +-]{0,30}") {
            let _ = timestamp(&text);
            let _ = seconds(&text);
        }

        #[test]
        fn what_a_query_says_reads_back(second in 0_i64..4_102_444_800) {
            let at = Timestamp::from_second(second).unwrap();
            prop_assert_eq!(timestamp(&query(at)), Some(at));
        }
    }
}
