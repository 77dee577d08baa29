//! Whether every schedule can be read and opens at all.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::super::problems::Findings;
use super::super::shape::Config;
use super::is_usable_name;
use crate::schedule::Schedule;

pub(super) fn check(config: &Config, findings: &mut Findings<'_>) {
    // That there is no such zone is told by itself.
    let zone = TimeZoneDatabase::bundled().get(&config.timezone).unwrap_or(TimeZone::UTC);
    for (name, spans) in &config.schedules {
        let path = format!("schedules.{name}");
        if !is_usable_name(name) {
            let hint = Some("at most 64 letters, digits, `-`, `_` and `.`".to_owned());
            findings.at(&path, "is not usable as a name", hint);
        } else if spans.is_empty() {
            findings.at(&path, "at least one span is required", Some("{from: \"09:00\", to: \"18:00\"}".to_owned()));
        } else {
            match Schedule::new(spans, zone.clone()) {
                // Any day will do: a span that is left opens within a year of it.
                Ok(schedule) if schedule.opens(Timestamp::UNIX_EPOCH).is_none() => {
                    findings.at(&path, "never opens", Some("look at `days`, `holidays` and `except`".to_owned()));
                }
                Ok(_) => {}
                Err(wrong) => {
                    for wrong in wrong {
                        findings.at(&format!("{path}[{}].{}", wrong.span, wrong.key), wrong.message, None);
                    }
                }
            }
        }
    }
}
