//! Whether every rule names channels that exist and can be reached.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::super::problems::Findings;
use super::super::shape::{Config, Route, When};
use super::{escalate, known_name, not_empty, reach};
use crate::event::EventType;
use crate::units::format_duration;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    not_empty("routes", config.routes.is_empty(), findings);
    let accounts = config.accounts.iter().map(|account| account.name.as_str());
    let channels = config.channels.iter().map(|channel| channel.common.name.as_str());
    // One that holds something wrong is there all the same.
    let schedules = (!findings.is_spoiled("schedules")).then(|| config.schedules.keys().map(String::as_str).collect());
    let schedules: Option<Vec<&str>> = schedules;
    let accounts = all_names("accounts", accounts, findings);
    let channels = all_names("channels", channels, findings);
    for (index, route) in config.routes.iter().enumerate() {
        let path = format!("routes[{index}]");
        targets(&path, route, findings);
        if let Some(known) = &channels {
            each_known(&format!("{path}.notify"), "channel", &route.notify, known, findings);
        }
        if let Some(known) = &accounts {
            each_known(&format!("{path}.when.account"), "account", &route.when.account, known, findings);
        }
        if let Some(known) = &schedules {
            for (key, names) in [("during", &route.when.during), ("outside", &route.when.outside)] {
                each_schedule(&format!("{path}.when.{key}"), names, known, findings);
            }
            if let Some(name) = &route.hold {
                schedule(&format!("{path}.hold"), name, known, findings);
            }
        }
        grouping(&path, route, config.watch.max_age, findings);
        patterns(&path, &route.when, findings);
        escalate::check(&path, route, config, [channels.as_deref(), schedules.as_deref()], findings);
    }
    for (index, test) in config.tests.iter().enumerate() {
        if let Some(known) = &channels {
            each_known(&format!("tests[{index}].expect"), "channel", &test.expect, known, findings);
        }
        if let Some(text) = &test.given.at
            && text.parse::<DateTime>().is_err()
            && text.parse::<Timestamp>().is_err()
        {
            let hint = Some("2026-11-23 08:07, by the wall clock of `timezone`".to_owned());
            findings.at(&format!("tests[{index}].given.at"), "expected a date and a time", hint);
        }
        if let (Some(known), Some(name)) = (&accounts, &test.given.account) {
            known_name(&format!("tests[{index}].given.account"), "account", name, known, findings);
        }
    }
    if !findings.is_incomplete("routes") {
        reach::check(&config.routes, accounts.as_deref(), findings);
    }
}

/// The names of a section; `None` when one of them could not be read: a name that seems unknown may be that.
pub(super) fn all_names<'n>(
    section: &str,
    names: impl Iterator<Item = &'n str>,
    findings: &Findings<'_>,
) -> Option<Vec<&'n str>> {
    let names: Vec<&str> = names.collect();
    let unread = |index| findings.is_spoiled(&format!("{section}[{index}].name"));
    (!findings.is_spoiled(section) && !(0..names.len()).any(unread)).then_some(names)
}

pub(super) fn each_known(path: &str, what: &str, names: &[String], known: &[&str], findings: &mut Findings<'_>) {
    for (index, name) in names.iter().enumerate() {
        known_name(&format!("{path}[{index}]"), what, name, known, findings);
    }
}

pub(super) fn each_schedule(path: &str, names: &[String], known: &[&str], findings: &mut Findings<'_>) {
    if known.is_empty() && !names.is_empty() {
        no_schedules(path, findings);
    } else {
        each_known(path, "schedule", names, known, findings);
    }
}

fn schedule(path: &str, name: &str, known: &[&str], findings: &mut Findings<'_>) {
    if known.is_empty() {
        no_schedules(path, findings);
    } else {
        known_name(path, "schedule", name, known, findings);
    }
}

/// `max_age` would turn every call of a longer window into old news.
fn grouping(path: &str, route: &Route, max_age: Duration, findings: &mut Findings<'_>) {
    let Some(group) = &route.group else { return };
    let wait = group.wait();
    if wait.is_zero() || wait >= max_age {
        let message = format!(
            "must be longer than 0s and shorter than `watch.max_age` ({}), found {}",
            format_duration(max_age),
            format_duration(wait)
        );
        findings.at(&format!("{path}.group.wait"), message, None);
    }
    let events = &route.when.event;
    if !events.is_empty() && !events.contains(&EventType::CallMissed) {
        let hint = Some("remove it, or let the rule match `call.missed`".to_owned());
        findings.at(&format!("{path}.group"), "groups calls, but this rule matches voicemails only", hint);
    }
}

/// Of other sections that there are none at all is told by itself.
pub(super) fn no_schedules(path: &str, findings: &mut Findings<'_>) {
    let hint = Some("name it under `schedules`: `office: {from: \"09:00\", to: \"18:00\"}`".to_owned());
    findings.at(path, "there are no schedules", hint);
}

fn targets(path: &str, route: &Route, findings: &mut Findings<'_>) {
    let notify = format!("{path}.notify");
    // What was given up below `notify` was meant to be something.
    if route.notify.is_empty() && !route.mute && !findings.is_incomplete(&notify) {
        findings.at(&notify, "at least one channel is required", Some("or say `mute: true` to tell nobody".to_owned()));
    } else if !route.notify.is_empty() && route.mute {
        let hint = Some("remove `notify`, or `mute`".to_owned());
        findings.at(&format!("{path}.mute"), "a muted rule notifies nobody, but `notify` is given", hint);
    }
}

fn patterns(path: &str, when: &When, findings: &mut Findings<'_>) {
    let texts = [
        ("queue", &when.queue, false),
        ("extension", &when.extension, false),
        ("number", &when.number, true),
        ("caller", &when.caller, true),
    ];
    for (key, items, prefixes) in texts {
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}.when.{key}[{index}]");
            if item.is_empty() {
                findings.at(&path, "must not be empty", None);
            } else if prefixes && (item.trim_end_matches('*').contains('*') || item.ends_with("**")) {
                let hint = Some("a prefix ends in one `*`: `0532*`".to_owned());
                findings.at(&path, "`*` may stand at the end only", hint);
            }
        }
    }
}
