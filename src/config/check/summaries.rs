//! Whether every summary has a time, and channels that exist.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::super::problems::Findings;
use super::super::shape::{Config, Summary};
use super::routes::{all_names, each_known};
use crate::schedule::daily::Daily;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    let channels = config.channels.iter().map(|channel| channel.common.name.as_str());
    let channels = all_names("channels", channels, findings);
    for (index, summary) in config.summaries.iter().enumerate() {
        let path = format!("summaries[{index}]");
        if Daily::new(&summary.at, &summary.days, TimeZone::UTC).is_none() {
            findings.at(&format!("{path}.at"), "expected a time of day, \"18:00\"", None);
        }
        let notify = format!("{path}.notify");
        if summary.notify.is_empty() && !findings.is_incomplete(&notify) {
            findings.at(&notify, "at least one channel is required", None);
        }
        if let Some(known) = &channels {
            each_known(&notify, "channel", &summary.notify, known, findings);
        }
        for (position, name) in summary.notify.iter().enumerate() {
            let twin = |other: &&Summary| times(other) == times(summary) && other.notify.contains(name);
            let hint = Some("remove one of the two".to_owned());
            if summary.notify[..position].contains(name) {
                findings.at(&format!("{notify}[{position}]"), "this channel is named already", hint);
            } else if config.summaries[..index].iter().any(|other| twin(&other)) {
                let message = "this channel is sent another summary at the same times";
                findings.at(&format!("{notify}[{position}]"), message, hint);
            }
        }
    }
}

/// The same for two summaries that are always due together.
fn times(summary: &Summary) -> (&str, BTreeSet<usize>) {
    let days = summary.days.iter().map(|day| *day as usize);
    let days: BTreeSet<usize> = if summary.days.is_empty() { (0..7).collect() } else { days.collect() };
    (summary.at.trim_start_matches('0'), days)
}
