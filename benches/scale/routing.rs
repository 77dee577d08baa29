//! One event through many rules.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use anyhow::{Result, ensure};
use jiff::tz::TimeZone;
use ringback::clock::Clock;
use ringback::config;
use ringback::event::EventType;
use ringback::render::samples;
use ringback::route::{Decision, Router, Subject};
use ringback::schedule::Schedules;

use crate::stats::{median, quantile};

/// How many rules there are.
pub(crate) const RULES: usize = 1000;

/// Of each round, the mean is one value.
const ROUNDS: usize = 200;
const EVENTS: u32 = 100;

/// In microseconds for one event.
pub(crate) struct Routing {
    pub(crate) median: f64,
    pub(crate) p99: f64,
}

pub(crate) fn measure() -> Result<Routing> {
    let config = config::parse("config.yaml", yaml().as_bytes(), Path::new(""), &|_| None)?;
    let zone = TimeZone::get(&config.timezone)?;
    let router = Router::new(config.routes, Schedules::new(&config.schedules, &zone));
    let event = samples::event(EventType::CallMissed, "2026-11-23T09:00:00Z".parse()?);
    let subject = Subject::of(&event, EventType::CallMissed);
    let Decision::Notify(channels) = router.decide(&subject) else { anyhow::bail!("nobody is told") };
    ensure!(channels == [("crm".to_owned(), RULES - 1)], "another rule matched: {channels:?}");
    let clock = Clock::system();
    let mut means: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        let before = clock.tick();
        for _ in 0..EVENTS {
            black_box(router.decide(black_box(&subject)));
        }
        means.push(clock.tick().saturating_sub(before).as_secs_f64() * 1e6 / f64::from(EVENTS));
    }
    means.sort_by(f64::total_cmp);
    Ok(Routing { median: median(means.iter().copied()), p99: quantile(&means, 0.99) })
}

/// Rules of every kind that look at all of an event before they let it pass, and one for the rest. The call comes on a
/// Monday at noon, from 0312 123 45 67 to queue 201 and extension 1002.
fn yaml() -> String {
    let mut yaml = String::from(
        "accounts: {name: main, api_key: k}
channels:
  - {name: crm, type: webhook, url: 'https://crm.example.com/hooks'}
schedules:
  office: {days: [mon, tue, wed, thu, fri], from: '09:00', to: '18:00', holidays: tr}
  nights: [{from: '22:00', to: '07:00'}, {days: [sat, sun]}]
  lunch: {days: [mon, tue, wed, thu, fri], from: '12:30', to: '13:30', except: [2026-12-31]}
routes:
",
    );
    for rule in 0..RULES - 1 {
        let when = match rule % 8 {
            0 => format!("caller: '0532 {:03} {:02} {:02}'", rule % 1000, rule % 100, rule % 89),
            1 => format!("queue: '201', caller: ['0{}*', '+49{rule}*']", 400 + rule % 500),
            2 => format!("event: call.missed, extension: '{}'", 2000 + rule),
            3 => format!("number: ['0216 {:03}*', '0850*'], queue: '201'", rule % 1000),
            4 => format!("queue: '201', extension: '1002', during: nights, caller: '0*', number: '021{}*'", rule % 10),
            5 => "during: nights, withheld: false".to_owned(),
            6 => format!("outside: office, queue: ['201', '{rule}']"),
            _ => format!("account: main, during: lunch, outside: nights, extension: ['1002', '{rule}']"),
        };
        // So that none is refused as never reached: each of these stands there many times.
        let _ = writeln!(yaml, "  - {{when: {{{when}}}, notify: crm, continue: true}}");
    }
    yaml.push_str("  - {notify: crm}\n");
    yaml
}
