//! `ringback route`, and the `tests:` of the configuration: which channels an event would reach, and by which rule.

use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

use super::{Failure, say};
use crate::app;
use crate::clock::Clock;
use crate::config::{Config, Given, Route, RouteTest};
use crate::event::EventType;
use crate::number;
use crate::private::PhoneNumber;
use crate::route::{Decision, Router, Subject};
use crate::schedule::Schedules;
use crate::units::format_duration;

/// The event; what is not given is not known of it.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// Which event
    #[arg(long, value_name = "TYPE", default_value = "call.missed")]
    event: EventType,
    /// Queue or ring group, by number or name
    #[arg(long)]
    queue: Option<String>,
    /// The extension that rang, or whose mailbox it is
    #[arg(long)]
    extension: Option<String>,
    /// The number that was called, in any notation
    #[arg(long)]
    number: Option<String>,
    /// The caller, in any notation; `withheld` for one who hid the number
    #[arg(long)]
    caller: Option<String>,
    /// Name of the account [default: the first one]
    #[arg(long)]
    account: Option<String>,
    /// When the call began, by the wall clock of `timezone`: "2026-11-23 08:07", or 08:07 for today [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// Prints which channels such an event reaches, and by which rule.
pub(super) fn route(config: &Config, options: &Options) -> Result<(), Failure> {
    let Options { event, queue, extension, number, caller, account, at } = options.clone();
    if let Some(name) = &account
        && !config.accounts.iter().any(|account| account.name == *name)
    {
        let known: Vec<&str> = config.accounts.iter().map(|account| account.name.as_str()).collect();
        let hint = format!("the configuration has {}", known.join(", "));
        return Err(Failure::Usage(format!("--account: there is no account `{name}`\nhint: {hint}")));
    }
    let given = Given { event: Some(event), account, queue, extension, number, caller, withheld: None, at };
    if !EventType::FIRST.contains(&event) {
        let hint = "it goes where what was told first went (`follow_up` of the channel), or where `escalate` says";
        return Err(Failure::Usage(format!("--event: no rule decides on `{event}`\nhint: {hint}")));
    }
    let rules = Rules::new(config)?;
    let sample = rules.sample(config, &given).map_err(|what| Failure::Usage(format!("--at: {what}")))?;
    let matching = rules.router.matching(&sample.subject());
    match rules.router.decision(&matching) {
        Decision::Notify(channels) => {
            for (channel, rule) in channels {
                let (aside, held) = (aside(config, &channel), rules.held(rule, &channel, sample.at));
                let grouped = rules.grouped(rule, &channel, &sample);
                say(&format!("{channel}: by routes[{rule}]{aside}{held}{grouped}"));
            }
            for rule in matching {
                for line in config.routes.get(rule).into_iter().flat_map(|route| escalation(config, route)) {
                    say(&format!("{line}: by routes[{rule}]"));
                }
            }
        }
        Decision::Muted(rule) => say(&format!("nobody: routes[{rule}] says `mute`")),
        Decision::Unrouted => say(&"nobody: no rule matches"),
    }
    Ok(())
}

/// Why a channel is not told all the same.
fn aside(config: &Config, channel: &str) -> &'static str {
    let off = config.channels.iter().any(|known| known.common.name == channel && !known.common.enabled);
    if off { " (switched off: `enabled: false`)" } else { "" }
}

/// Who is told while it stays open, one line for each step.
fn escalation(config: &Config, route: &Route) -> impl Iterator<Item = String> {
    route.escalate.iter().map(|step| {
        let during = step.during.as_ref().map(|name| format!(" (during {name})")).unwrap_or_default();
        let channels: Vec<String> = step.notify.iter().map(|name| format!("{name}{}", aside(config, name))).collect();
        format!("then after {}{during}: {}", format_duration(step.after), channels.join(", "))
    })
}

/// What the tests of the configuration find: key and sentence for each that fails.
pub(super) fn test_problems(config: &Config) -> Vec<(String, String)> {
    let rules = match Rules::new(config) {
        Ok(rules) => rules,
        Err(failure) => return vec![("timezone".to_owned(), failure.to_string())],
    };
    let tests = config.tests.iter().enumerate();
    tests.filter_map(|(position, test)| rules.test_problem(config, position, test)).collect()
}

/// The rules as they are written: those of a channel that is switched off included.
struct Rules {
    router: Router,
    zone: TimeZone,
    now: Timestamp,
}

impl Rules {
    fn new(config: &Config) -> Result<Self, Failure> {
        let zone = app::timezone(config)?;
        let router = Router::new(config.routes.clone(), Schedules::new(&config.schedules, &zone));
        Ok(Self { router, zone, now: Clock::system().now() })
    }

    /// Until when it would be held back.
    fn held(&self, rule: usize, channel: &str, at: Timestamp) -> String {
        let until = self.router.held_until(rule, channel, at);
        let show = |until: Timestamp| until.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
        until.map(|until| format!(", held until {}", show(until))).unwrap_or_default()
    }

    /// How long it would wait for further calls of its caller.
    fn grouped(&self, rule: usize, channel: &str, sample: &Sample) -> String {
        let groups = sample.event == EventType::CallMissed && !sample.withheld;
        let wait = self.router.gathers(rule, channel).filter(|_| groups);
        wait.map(|wait| format!(", grouped for {}", format_duration(wait))).unwrap_or_default()
    }

    fn sample(&self, config: &Config, given: &Given) -> Result<Sample, String> {
        let first_account = config.accounts.first().map(|account| account.name.clone());
        let withheld = |text: &String| number::parse(text).number.is_none();
        let parse = |text: &Option<String>| text.as_deref().and_then(|text| number::parse(text).number);
        Ok(Sample {
            account: given.account.clone().or(first_account).unwrap_or_default(),
            event: given.event.unwrap_or(EventType::CallMissed),
            queue: given.queue.clone(),
            extension: given.extension.clone(),
            number: parse(&given.number),
            caller: parse(&given.caller),
            withheld: given.withheld.unwrap_or_else(|| given.caller.as_ref().is_some_and(withheld)),
            at: given.at.as_deref().map_or(Ok(self.now), |text| self.time(text))?,
        })
    }

    fn time(&self, text: &str) -> Result<Timestamp, String> {
        if let Ok(at) = text.parse() {
            return Ok(at);
        }
        let today = self.now.to_zoned(self.zone.clone()).date();
        let local = text.parse::<DateTime>().or_else(|_| text.parse::<Time>().map(|time| today.to_datetime(time)));
        let local = local.map_err(|_| format!("`{text}` is no time; expected 2026-11-23 08:07, or 08:07 for today"))?;
        let zoned = local.to_zoned(self.zone.clone()).map_err(|error| format!("`{text}`: {error}"))?;
        Ok(zoned.timestamp())
    }

    fn test_problem(&self, config: &Config, position: usize, test: &RouteTest) -> Option<(String, String)> {
        let sample = match self.sample(config, &test.given) {
            Ok(sample) => sample,
            Err(what) => return Some((format!("tests[{position}].given.at"), what)),
        };
        let (mut told, rules) = match self.router.decide(&sample.subject()) {
            Decision::Notify(channels) => channels.into_iter().unzip(),
            Decision::Muted(rule) => (Vec::new(), vec![rule]),
            Decision::Unrouted => (Vec::new(), Vec::new()),
        };
        let mut expected = test.expect.clone();
        told.sort_unstable();
        expected.sort_unstable();
        if told == expected {
            return None;
        }
        let without = |these: &[String], those: &[String]| -> Vec<String> {
            these.iter().filter(|name| !those.contains(name)).cloned().collect()
        };
        let (missing, besides) = (without(&expected, &told), without(&told, &expected));
        let mut rules: Vec<String> = rules.iter().map(|rule| format!("routes[{rule}]")).collect();
        rules.dedup();
        let mut problem = format!(
            "expected [{}], but [{}] would be told{}{}",
            expected.join(", "),
            told.join(", "),
            if rules.is_empty() { ": no route matches" } else { " by " },
            rules.join(", ")
        );
        for (what, names) in [("missing", missing), ("not expected", besides)] {
            if !names.is_empty() {
                // Writing into a String cannot fail.
                let _ = write!(problem, "; {what}: {}", names.join(", "));
            }
        }
        Some((format!("tests[{position}]"), problem))
    }
}

/// An event as rules see it.
struct Sample {
    account: String,
    event: EventType,
    queue: Option<String>,
    extension: Option<String>,
    number: Option<PhoneNumber>,
    caller: Option<PhoneNumber>,
    withheld: bool,
    at: Timestamp,
}

impl Sample {
    fn subject(&self) -> Subject<'_> {
        Subject {
            account: &self.account,
            event: self.event,
            queue: self.queue.as_deref(),
            extension: self.extension.as_deref(),
            number: self.number.as_ref(),
            caller: self.caller.as_ref(),
            withheld: self.withheld,
            at: self.at,
        }
    }
}
