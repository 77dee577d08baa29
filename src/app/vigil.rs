//! What watches over the work of a configuration and tells of it: the watchdog, the heartbeat and the summaries.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Core;
use super::plan::Plan;
use super::plan::timezone;
use crate::config;
use crate::heartbeat::{self, Heartbeat};
use crate::schedule::daily::Daily;
use crate::summary::{self, Summaries, Summary};
use crate::watchdog::{self, Recipient, Watchdog};

/// The watchdog, which tells the channels of `health.notify`.
pub(super) fn watchdog(plan: &Plan, core: &Core) -> Watchdog {
    let health = &plan.config.health;
    let mut recipients = Vec::new();
    for name in &health.notify {
        match plan.channels.iter().find(|(settings, _)| settings.name == *name) {
            Some((settings, channel)) => {
                recipients.push(Recipient::new(name.clone(), settings.look.clone(), Arc::clone(channel)));
            }
            None => {
                tracing::warn!(channel = name, "`health.notify` names a channel that is switched off: it is not told");
            }
        }
    }
    let context = watchdog::Context {
        health: Arc::clone(&core.health),
        store: Arc::clone(&core.store),
        renderer: Arc::clone(&plan.renderer),
        clock: core.clock.clone(),
    };
    Watchdog::new(health.after, recipients, context)
}

/// The heartbeat, when somebody listens for it.
pub(super) fn heartbeat(plan: &Plan, core: &Core) -> Option<Heartbeat> {
    let context = heartbeat::Context {
        health: Arc::clone(&core.health),
        store: Arc::clone(&core.store),
        clock: core.clock.clone(),
    };
    let url = plan.heartbeat_url.clone()?;
    Some(Heartbeat::new(url, plan.client.clone(), context))
}

/// The summaries, each for each of its channels.
pub(super) fn summaries(plan: &Plan, core: &Core) -> Summaries {
    let mut summaries = Vec::new();
    // A zone that cannot be used has stopped the plan already.
    let zone = timezone(&plan.config).unwrap_or(TimeZone::UTC);
    for settings in &plan.config.summaries {
        for name in &settings.notify {
            let Some((lane, channel)) = plan.channels.iter().find(|(lane, _)| lane.name == *name) else {
                tracing::warn!(channel = name, "`summaries` names a channel that is switched off: it is sent none");
                continue;
            };
            let Some(daily) = Daily::new(&settings.at, &settings.days, zone.clone()) else { continue };
            let recipient = summary::Recipient {
                name: name.clone(),
                look: lane.look.clone(),
                retry: lane.retry.clone(),
                channel: Arc::clone(channel),
            };
            summaries.push(Summary::new(&times(settings), daily, settings.always, recipient));
        }
    }
    let context = summary::Context {
        store: Arc::clone(&core.store),
        renderer: Arc::clone(&plan.renderer),
        clock: core.clock.clone(),
    };
    Summaries::new(summaries, context)
}

/// `18:00 0 1 2 3 4`: what names a summary over restarts. Another time or other days are another summary, which owes
/// nothing of before.
fn times(settings: &config::Summary) -> String {
    let mut days: Vec<String> = settings.days.iter().map(|day| (*day as usize).to_string()).collect();
    days.sort_unstable();
    days.dedup();
    format!("{} {}", settings.at, days.join(" "))
}
