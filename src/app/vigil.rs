//! What watches over the work of a configuration: the watchdog and the heartbeat.

use std::sync::Arc;

use super::Core;
use super::plan::Plan;
use crate::heartbeat::{self, Heartbeat};
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
