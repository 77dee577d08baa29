//! Whether the steps of an escalation can be told, and in the order in which they are written.

use std::time::Duration;

use super::super::problems::Findings;
use super::super::shape::{Config, EscalationStep, Route};
use super::routes::{each_known, no_schedules};
use super::{SHORTEST, at_least, known_name};
use crate::event::EventType;
use crate::units::format_duration;

/// Each is noted with every event that the rule announces, in one row of the store.
const MOST: usize = 8;

/// `path` is that of the rule; the names are those of the channels and of the schedules, where they are known.
pub(super) fn check(
    path: &str,
    route: &Route,
    config: &Config,
    [channels, schedules]: [Option<&[&str]>; 2],
    findings: &mut Findings<'_>,
) {
    let path = format!("{path}.escalate");
    if route.mute && !route.escalate.is_empty() {
        let hint = Some("remove `escalate`, or `mute`".to_owned());
        findings.at(&path, "a muted rule tells nobody, later neither", hint);
    }
    let told: usize = route.escalate.iter().map(|step| step.notify.len()).sum();
    if told > MOST {
        findings.at(
            &path,
            format!("names {told} channels in all its steps together, at most {MOST} can be noted"),
            None,
        );
    }
    let watched = watched(route, config);
    for (index, step) in route.escalate.iter().enumerate() {
        let path = format!("{path}[{index}]");
        after(&path, step, &route.escalate[..index], watched, findings);
        let notify = format!("{path}.notify");
        if step.notify.is_empty() && !findings.is_incomplete(&notify) {
            findings.at(&notify, "at least one channel is required", None);
        }
        if let Some(known) = channels {
            each_known(&notify, "channel", &step.notify, known, findings);
        }
        for (position, name) in step.notify.iter().enumerate() {
            if step.notify[..position].contains(name) {
                let hint = Some("remove one of the two".to_owned());
                findings.at(&format!("{notify}[{position}]"), "this channel is named already", hint);
            }
        }
        let during = format!("{path}.during");
        match (schedules, &step.during) {
            (Some([]), Some(_)) => no_schedules(&during, findings),
            (Some(known), Some(name)) => known_name(&during, "schedule", name, known, findings),
            _ => {}
        }
    }
}

/// Steps are compared where the same time counts for both; by different schedules either may come first.
fn after(
    path: &str,
    step: &EscalationStep,
    before: &[EscalationStep],
    (key, watched): (&str, Duration),
    findings: &mut Findings<'_>,
) {
    let path = format!("{path}.after");
    if findings.is_spoiled(&path) {
        return;
    }
    at_least(&path, step.after, SHORTEST, findings);
    let found = format_duration(step.after);
    if let Some((index, earlier)) =
        before.iter().enumerate().find(|(_, earlier)| earlier.during == step.during && earlier.after > step.after)
    {
        let message =
            format!("would be due before step {} ({}), found {found}", index + 1, format_duration(earlier.after));
        let hint = "steps stand in their order, and each counts from the first message on".to_owned();
        findings.at(&path, message, Some(hint));
    }
    if step.after >= watched {
        let message = format!("is never reached: nothing is watched for longer than {}", format_duration(watched));
        findings.at(&path, message, Some(format!("`{key}` says so")));
    }
}

/// How long what the rule may match is watched at most, and by which key.
fn watched(route: &Route, config: &Config) -> (&'static str, Duration) {
    let matches = |event| route.when.event.is_empty() || route.when.event.contains(&event);
    let calls = ("watch.missed_calls.follow_up", config.watch.missed_calls.follow_up);
    let voicemails = ("watch.voicemails.lookback", config.watch.voicemails.lookback);
    match (matches(EventType::CallMissed), matches(EventType::VoicemailNew)) {
        (true, false) => calls,
        (false, true) => voicemails,
        _ if calls.1 > voicemails.1 => calls,
        _ => voicemails,
    }
}
