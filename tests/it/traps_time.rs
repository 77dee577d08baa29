//! Dates, zones and long pauses: every query has a date, and everything that is still worth telling is told.

use std::process::{Command, Output};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Limits, PbxOptions, Request, SimCall};

use crate::harness::Office;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn date(request: &Request, key: &str) -> Option<Timestamp> {
    let text = request.params.get(key)?;
    let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S UTC", text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Some(Offset::UTC.to_timestamp(civil).unwrap())
}

/// A call of a caller of its own that ended so long ago.
fn call(office: &Office, uuid: &str, ago: Duration) -> SimCall {
    let end = office.now().checked_sub(ago).unwrap();
    let caller_number = format!("05321{:06}", ago.as_secs());
    SimCall { caller_number, ..SimCall::missed(uuid, end, 20 * SECOND) }
}

/// Reads of the newest window, of missed calls.
fn heads(office: &Office) -> Vec<Request> {
    let recent = |request: &Request| {
        let from = date(request, "start_stamp_from").unwrap();
        request.at.at.duration_since(from) <= jiff::SignedDuration::from_hours(4)
    };
    let asked = office.asked(Endpoint::Cdrs).into_iter();
    asked
        .filter(|request| {
            request.params.contains_key("missed") && !request.params.contains_key("start_stamp_to") && recent(request)
        })
        .collect()
}

fn longest_pause(requests: &[Request]) -> Duration {
    requests.windows(2).map(|pair| pair[1].at.tick.saturating_sub(pair[0].at.tick)).max().unwrap()
}

#[tokio::test]
async fn forty_days_down_are_caught_up_with_inside_the_limits_and_without_making_the_newest_page_late() {
    let mut office = Office::new();
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    office.clock.advance(40 * DAY);
    for (uuid, ago) in [
        ("now", 2 * MINUTE),
        ("three-hours", 3 * HOUR),
        ("nearly-a-day", 23 * HOUR + 30 * MINUTE),
        ("over-a-day", 24 * HOUR + 30 * MINUTE),
        ("a-week", 7 * DAY),
        ("twenty-days", 20 * DAY),
        ("forty-days", 39 * DAY + 23 * HOUR),
    ] {
        office.pbx.add_call(call(&office, uuid, ago));
    }
    let running = office.run().await;
    office.pass(&running, 10 * MINUTE, 5 * SECOND).await;
    let told = [
        "call.missed nearly-a-day",
        "call.missed now",
        "call.missed three-hours",
        "digest call.missed a-week",
        "digest call.missed forty-days",
        "digest call.missed over-a-day",
        "digest call.missed twenty-days",
    ];
    assert_eq!(office.told(), told);
    running.stop().await;

    let asked = office.asked(Endpoint::Cdrs);
    assert!(asked.iter().all(|request| request.answered == 200), "no window was too wide, and no minute too full");
    assert!(office.pbx.max_in_window(Endpoint::Cdrs, MINUTE) <= 6);
    let widest = asked.iter().map(|request| {
        let to = date(request, "start_stamp_to").unwrap_or(request.at.at);
        to.duration_since(date(request, "start_stamp_from").unwrap())
    });
    assert!(widest.max().unwrap() <= jiff::SignedDuration::from_hours(31 * 24));
    let pause = longest_pause(&heads(&office)[1..]);
    assert!(pause <= 35 * SECOND, "the newest page was {pause:?} apart");
}

#[tokio::test]
async fn a_429_while_catching_up_does_not_starve_the_newest_page() {
    let mut office = Office::new();
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    office.clock.advance(40 * DAY);
    // Less than the configuration believes.
    office.pbx.configure(|options| options.limits = Limits { cdrs: Some(3), ..Limits::default() });
    office.pbx.add_call(call(&office, "three-hours", 3 * HOUR));
    let running = office.run().await;
    office.pass(&running, 4 * MINUTE, 5 * SECOND).await;
    office.miss("new");
    let told = office.pass_until(&running, 10 * MINUTE, 5 * SECOND, || {
        office.told() == ["call.missed new", "call.missed three-hours"]
    });
    assert!(told.await.is_some_and(|after| after <= 4 * MINUTE));
    office.pass(&running, 15 * MINUTE, 5 * SECOND).await;
    running.stop().await;
    assert!(office.asked(Endpoint::Cdrs).iter().any(|request| request.answered == 429), "the limit was met");
    let read: Vec<Request> = heads(&office)[1..].iter().filter(|request| request.answered == 200).cloned().collect();
    let pause = longest_pause(&read);
    assert!(pause <= 95 * SECOND, "the newest page was {pause:?} apart");
    assert_eq!(office.told(), ["call.missed new", "call.missed three-hours"]);
}

#[tokio::test]
async fn a_cron_job_that_stood_still_for_two_days_catches_up_too() {
    let office = Office::new();
    office.once().await;
    office.clock.advance(2 * DAY);
    office.pbx.add_call(call(&office, "five-hours", 5 * HOUR));
    office.pbx.add_call(call(&office, "over-a-day", 25 * HOUR));
    for _ in 0..3 {
        office.once_after(61 * SECOND).await;
    }
    assert_eq!(office.told(), ["call.missed five-hours"]);
}

#[tokio::test]
async fn a_call_just_before_midnight_is_told_just_after_it() {
    let office = Office::new();
    office.once().await;
    // 23:59:50 in Istanbul.
    office.clock.advance(15 * HOUR + 59 * MINUTE + 50 * SECOND);
    office.once().await;
    office.miss("late");
    office.leave_voicemail("late-message");
    office.once_after(30 * SECOND).await;
    office.once_after(61 * SECOND).await;
    assert_eq!(office.told(), ["call.missed late", "voicemail.new late-message"]);
}

#[tokio::test]
async fn every_list_is_asked_for_from_a_date_in_utc() {
    let office = Office::new();
    office.once().await;
    office.miss("c1");
    office.leave_voicemail("v1");
    office.once_after(DAY).await;
    office.once_after(90 * SECOND).await;
    let mut lists = office.asked(Endpoint::Cdrs);
    lists.extend(office.asked(Endpoint::Voicemails));
    assert!(lists.len() > 6);
    for list in lists {
        assert!(date(&list, "start_stamp_from").is_some(), "{:?}", list.params.keys());
        assert_eq!(list.answered, 200);
    }
}

#[tokio::test]
async fn the_zone_of_the_machine_changes_no_query() {
    for zone in ["America/New_York", "Asia/Tokyo", "Europe/Istanbul"] {
        let office = Office::on(Clock::system(), PbxOptions::default());
        std::fs::write(office.folder.path().join("config.yaml"), office.yaml()).unwrap();
        let call = SimCall::missed("c1", office.now().checked_sub(2 * MINUTE).unwrap(), 20 * SECOND);
        office.pbx.add_call(call);
        let config = office.folder.path().join("config.yaml");
        let once = tokio::task::spawn_blocking(move || -> Output {
            let mut command = Command::new(env!("CARGO_BIN_EXE_ringback"));
            command.args(["--config".as_ref(), config.as_os_str(), "once".as_ref()]).env("TZ", zone).output().unwrap()
        });
        let output = crate::harness::in_time(once).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(office.told(), ["call.missed c1"], "{zone}");
        let head = &heads(&office)[0];
        let back = head.at.at.duration_since(date(head, "start_stamp_from").unwrap());
        assert!((7195..=7210).contains(&back.as_secs()), "{zone}: {back:?}");
    }
}

#[tokio::test]
async fn a_clock_that_jumps_and_is_set_right_again_tells_nothing_twice_and_loses_nothing() {
    let office = Office::new();
    office.once().await;
    office.miss("before");
    office.once_after(90 * SECOND).await;
    let right = office.now();
    office.clock.set_wall(right.checked_add(40 * DAY).unwrap());
    office.once_after(90 * SECOND).await;
    office.clock.set_wall(right.checked_add(90 * SECOND).unwrap());
    office.once_after(90 * SECOND).await;
    office.pbx.add_call(call(&office, "after", SECOND));
    office.once_after(61 * SECOND).await;
    office.once_after(61 * SECOND).await;
    assert_eq!(office.told(), ["call.missed after", "call.missed before"]);
}
