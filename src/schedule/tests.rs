use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

fn schedule_in(zone: &str, yaml: &str) -> Schedule {
    let spans: Vec<config::Span> = serde_yaml::from_str(yaml).unwrap();
    Schedule::new(&spans, TimeZone::get(zone).unwrap()).unwrap()
}

fn schedule(yaml: &str) -> Schedule {
    schedule_in("Europe/Istanbul", yaml)
}

/// By the wall clock of the schedule's zone; the first of two.
fn at(schedule: &Schedule, text: &str) -> Timestamp {
    let time: jiff::civil::DateTime = text.parse().unwrap();
    time.to_zoned(schedule.zone.clone()).unwrap().timestamp()
}

fn shown(schedule: &Schedule, at: Option<Timestamp>) -> String {
    at.unwrap().to_zoned(schedule.zone.clone()).strftime("%a %d.%m.%Y %H:%M").to_string()
}

const OFFICE: &str =
    "[{days: [mon, tue, wed, thu, fri], from: '09:00', to: '18:00', holidays: tr, except: [2026-12-31]}]";

#[test]
fn an_office_is_open_from_its_first_minute_to_before_its_last() {
    let office = schedule(OFFICE);
    for (time, open) in [
        ("2026-11-23T08:59:59", false),
        ("2026-11-23T09:00", true),
        ("2026-11-23T17:59:59", true),
        ("2026-11-23T18:00", false),
        ("2026-11-22T12:00", false),
    ] {
        assert_eq!(office.is_open(at(&office, time)), open, "{time}");
    }
}

#[test]
fn after_closing_it_opens_on_the_next_day_that_is_not_off() {
    let office = schedule(OFFICE);
    let opens = |time: &str| shown(&office, office.opens(at(&office, time)));
    assert_eq!(opens("2026-11-23T12:00"), "Mon 23.11.2026 12:00", "it is open");
    assert_eq!(opens("2026-11-20T18:00"), "Mon 23.11.2026 09:00", "over the weekend");
    assert_eq!(opens("2026-12-30T20:00"), "Mon 04.01.2027 09:00", "an exception, New Year and a weekend");
    assert_eq!(opens("2026-10-28T13:00"), "Fri 30.10.2026 09:00", "the day of the Republic begins on its eve at one");
    assert_eq!(opens("2026-03-19T14:00"), "Mon 23.03.2026 09:00", "Ramazan Bayramı");
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    let nights = schedule("[{days: [mon], from: '22:00', to: '07:00', except: [2026-11-30]}]");
    for (time, open) in [
        ("2026-11-23T21:59", false),
        ("2026-11-23T22:00", true),
        ("2026-11-24T06:59", true),
        ("2026-11-24T07:00", false),
        ("2026-11-24T23:00", false),
        ("2026-11-30T23:00", false),
        ("2026-12-01T03:00", false),
    ] {
        assert_eq!(nights.is_open(at(&nights, time)), open, "{time}");
    }
}

#[test]
fn several_spans_are_open_while_any_of_them_is() {
    let shop =
        schedule("[{days: [mon], from: '9:00', to: '12:30'}, {days: [mon], from: '13:30', to: '18:00'}, {days: sat}]");
    assert!(shop.is_open(at(&shop, "2026-11-23T12:29")));
    assert_eq!(shown(&shop, shop.opens(at(&shop, "2026-11-23T12:30"))), "Mon 23.11.2026 13:30");
    assert_eq!(shown(&shop, shop.opens(at(&shop, "2026-11-23T18:00"))), "Sat 28.11.2026 00:00");
    assert!(shop.is_open(at(&shop, "2026-11-28T23:59")), "without times it is the whole day");
    assert!(!shop.is_open(at(&shop, "2026-11-29T00:00")));
}

#[test]
fn only_open_time_counts_where_it_is_asked_for() {
    let office = schedule(OFFICE);
    let after =
        |from: &str, minutes: u64| shown(&office, office.after(at(&office, from), Duration::from_secs(60 * minutes)));
    assert_eq!(after("2026-11-23T10:00", 15), "Mon 23.11.2026 10:15");
    assert_eq!(after("2026-11-20T17:50", 15), "Mon 23.11.2026 09:05", "ten minutes of Friday and five of Monday");
    assert_eq!(after("2026-11-21T12:00", 0), "Mon 23.11.2026 09:00");
    assert_eq!(after("2026-11-23T09:00", 9 * 60), "Mon 23.11.2026 18:00", "a whole day, to its end");
}

#[test]
fn spans_that_overlap_are_counted_once() {
    let both = schedule("[{from: '09:00', to: '12:00'}, {from: '10:00', to: '11:00'}, {from: '11:30', to: '13:00'}]");
    let from = at(&both, "2026-11-23T09:00");
    assert_eq!(shown(&both, both.after(from, Duration::from_secs(4 * 3600))), "Mon 23.11.2026 13:00");
    assert_eq!(shown(&both, both.after(from, Duration::from_secs(4 * 3600 + 60))), "Tue 24.11.2026 09:01");
}

#[test]
fn around_the_clock_is_always_open() {
    let always = schedule("[{from: '08:00', to: '08:00'}]");
    let now = at(&always, "2026-11-23T03:00");
    assert!(always.is_open(now));
    assert_eq!(
        always.after(now, Duration::from_secs(90 * 86_400)),
        now.checked_add(SignedDuration::from_hours(90 * 24)).ok()
    );
}

#[test]
fn what_never_opens_says_so() {
    let never = schedule("[{from: '14:00', to: '15:00', days: sat, except: []}]");
    assert!(never.opens(at(&never, "2026-11-23T03:00")).is_some());
    let never = Schedule { spans: Vec::new(), ..never };
    assert_eq!(never.opens(Timestamp::UNIX_EPOCH), None);
    assert_eq!(never.after(Timestamp::UNIX_EPOCH, Duration::from_secs(1)), None);
}

#[test]
fn where_the_clock_leaps_over_an_opening_it_opens_at_the_leap() {
    // In Berlin the clock goes from 02:00 to 03:00 on 29 March 2026.
    let early = schedule_in("Europe/Berlin", "[{from: '02:30', to: '04:00'}]");
    assert_eq!(shown(&early, early.opens(at(&early, "2026-03-29T00:00"))), "Sun 29.03.2026 03:00");
    let late = schedule_in("Europe/Berlin", "[{from: '01:00', to: '02:30'}]");
    let open = late.after(at(&late, "2026-03-29T00:00"), Duration::from_secs(3600));
    assert_eq!(shown(&late, open), "Sun 29.03.2026 03:00", "it is open for one hour");
}

#[test]
fn where_the_clock_shows_a_time_twice_it_is_open_from_the_first_to_the_second() {
    // In Berlin the clock goes from 03:00 back to 02:00 on 25 October 2026.
    let night = schedule_in("Europe/Berlin", "[{from: '02:15', to: '02:45'}]");
    let first = night.opens(at(&night, "2026-10-25T00:00")).unwrap();
    assert_eq!(first, "2026-10-25T00:15:00Z".parse().unwrap());
    assert!(night.is_open("2026-10-25T01:44:00Z".parse().unwrap()));
    assert!(!night.is_open("2026-10-25T01:45:00Z".parse().unwrap()));
    // A shift of a whole night has its eight hours on other days, and nine on this one.
    let shift = schedule_in("Europe/Berlin", "[{days: sat, from: '22:00', to: '06:00'}]");
    let from = at(&shift, "2026-10-24T22:00");
    assert_eq!(shown(&shift, shift.after(from, Duration::from_secs(9 * 3600))), "Sun 25.10.2026 06:00");
}

#[test]
fn what_is_no_time_or_date_is_named_by_its_place() {
    let spans: Vec<config::Span> =
        serde_yaml::from_str("[{from: '9', to: '24:01'}, {from: '24:00', except: [2026-12-31, 31.12.2026]}]").unwrap();
    let wrong = Schedule::new(&spans, TimeZone::UTC).unwrap_err();
    let places: Vec<_> = wrong.iter().map(|wrong| (wrong.span, wrong.key.as_str())).collect();
    assert_eq!(places, [(0, "from"), (0, "to"), (1, "from"), (1, "except[1]")]);
}

#[test]
fn a_time_has_two_digits_for_the_minutes_and_one_or_two_for_the_hour() {
    for (text, wanted) in [("9:00", Some(540)), ("09:05", Some(545)), ("24:00", Some(1440)), ("00:00", Some(0))] {
        assert_eq!(minutes(text), wanted, "{text}");
    }
    for wrong in ["", ":", "9", "9:0", "009:00", "09:60", "24:01", "+9:00", "09.00", "9:00 ", "a9:00"] {
        assert_eq!(minutes(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn what_opens_is_open_then_and_not_before(
        days in prop::collection::vec(0_usize..7, 0..4), from in 0_u16..1440, to in 0_u16..=1440,
        at in 1_770_000_000_i64..1_900_000_000, minutes in 0_u64..10_000, zone in prop::sample::select(vec!["Europe/Istanbul", "Europe/Berlin", "America/Sao_Paulo"]),
    ) {
        const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let days: Vec<&str> = days.into_iter().map(|day| DAYS[day]).collect();
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let yaml = format!("[{{days: [{}], from: '{}', to: '{}', holidays: tr}}]", days.join(", "), time(from), time(to));
        let schedule = schedule_in(zone, &yaml);
        let at = Timestamp::from_second(at).unwrap();
        let opens = schedule.opens(at).unwrap();
        prop_assert!(opens >= at && schedule.is_open(opens));
        prop_assert_eq!(schedule.is_open(at), opens == at);
        if opens > at {
            let moment = SignedDuration::from_nanos(1);
            prop_assert!(!schedule.is_open(opens.checked_sub(moment).unwrap()));
        }
        // Open time passes no faster than time, and not at all while it is closed.
        let open = Duration::from_secs(60 * minutes);
        if let Some(after) = schedule.after(at, open) {
            prop_assert!(after >= opens && after.duration_since(at) >= SignedDuration::try_from(open).unwrap());
        }
    }
}
