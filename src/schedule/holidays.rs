//! The public holidays of Türkiye, from law 2429 and, where the moon decides, from a table. Pure.

use jiff::civil::{Date, date};

/// How much of a day is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// All of it.
    Day,
    /// From 13:00 on: the eve of a feast (law 2429, article 2).
    Afternoon,
}

/// The eves of Ramazan Bayramı, which has three days, and of Kurban Bayramı, which has four.
///
/// Source: the calendar conversion of the Diyanet İşleri Başkanlığı (`vakithesaplama.diyanet.gov.tr/hicriden_miladiye.php`),
/// by which the government announces them. In 2033 there are two Ramazan Bayramı.
const EVES: [(Date, Date); 9] = [
    (date(2024, 4, 9), date(2024, 6, 15)),
    (date(2025, 3, 29), date(2025, 6, 5)),
    (date(2026, 3, 19), date(2026, 5, 26)),
    (date(2027, 3, 8), date(2027, 5, 15)),
    (date(2028, 2, 25), date(2028, 5, 4)),
    (date(2029, 2, 13), date(2029, 4, 23)),
    (date(2030, 2, 3), date(2030, 4, 12)),
    (date(2031, 1, 23), date(2031, 4, 1)),
    (date(2032, 1, 13), date(2032, 3, 21)),
];

/// The last year whose religious holidays are known here; of later ones only those of the fixed days are.
pub const LAST_YEAR: i16 = 2032;

/// Month and day of the holidays that the moon does not move (law 2429, articles 1 and 2).
const FIXED: [(i8, i8); 7] = [(1, 1), (4, 23), (5, 1), (5, 19), (7, 15), (8, 30), (10, 29)];

/// What of `day` is off.
pub fn off(day: Date) -> Option<Off> {
    let feast = |eve: Date, days: i32| match (day - eve).get_days() {
        0 => Some(Off::Afternoon),
        n if (1..=days).contains(&n) => Some(Off::Day),
        _ => None,
    };
    if FIXED.contains(&(day.month(), day.day())) {
        return Some(Off::Day);
    }
    let by_the_moon = EVES.iter().filter(|(ramazan, _)| ramazan.year() == day.year());
    let by_the_moon = by_the_moon.flat_map(|(ramazan, kurban)| [feast(*ramazan, 3), feast(*kurban, 4)]);
    // The eve of the day of the Republic.
    let eve = (day.month() == 10 && day.day() == 28).then_some(Off::Afternoon);
    by_the_moon.flatten().next().or(eve)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days_off(year: i16) -> Vec<(String, Off)> {
        let days = date(year, 1, 1).series(jiff::ToSpan::days(1)).take_while(|day| day.year() == year);
        days.filter_map(|day| Some((day.strftime("%d.%m").to_string(), off(day)?))).collect()
    }

    #[test]
    fn the_holidays_of_2026_are_those_of_the_official_calendar() {
        let whole = |day: &str| (day.to_owned(), Off::Day);
        let eve = |day: &str| (day.to_owned(), Off::Afternoon);
        let mut expected = vec![whole("01.01"), eve("19.03"), whole("20.03"), whole("21.03"), whole("22.03")];
        expected.extend([whole("23.04"), whole("01.05"), whole("19.05"), eve("26.05"), whole("27.05"), whole("28.05")]);
        expected.extend([whole("29.05"), whole("30.05"), whole("15.07"), whole("30.08"), eve("28.10"), whole("29.10")]);
        assert_eq!(days_off(2026), expected);
    }

    #[test]
    fn a_holiday_that_falls_on_the_eve_of_another_is_off_for_the_whole_day() {
        // Kurban Bayramı of 2029 begins on 24 April.
        assert_eq!(off(date(2029, 4, 23)), Some(Off::Day));
        assert_eq!(off(date(2029, 4, 27)), Some(Off::Day));
        assert_eq!(off(date(2029, 4, 28)), None);
    }

    #[test]
    fn every_year_of_the_table_has_both_feasts_in_its_order_and_in_its_place() {
        for (year, (ramazan, kurban)) in (2024..).zip(EVES) {
            assert_eq!((ramazan.year(), kurban.year()), (year, year));
            // 1 Şevval to 10 Zilhicce: 67 to 70 days.
            assert!((66..=70).contains(&(kurban - ramazan).get_days()), "{year}");
        }
        assert_eq!(LAST_YEAR, 2032);
        assert_eq!(days_off(2033).len(), 8, "the fixed ones and the eve of the day of the Republic");
    }
}
