//! What is told of an announced event that stays open: planned when it is announced, told when a look at the PBX has
//! shown that nobody has acted.

use jiff::Timestamp;

use super::Watcher;
use crate::event::{Event, Step};
use crate::outbox::Delivery;
use crate::store::codec::{self, MAX_ROW};
use crate::track;

/// What of a row is kept free of steps, in bytes: it grows a little while the event is open.
const SPARE: usize = 64;

impl Watcher {
    /// Notes with `event`, announced at `now`, what its rules say to tell while it stays open.
    pub(super) fn plan_steps(&self, event: &mut Event, now: Timestamp) {
        event.steps = self.context.router.steps(&event.rules, now);
        let planned = event.steps.len();
        let fits = |event: &Event| codec::encode(event).is_ok_and(|row| row.len() + SPARE <= MAX_ROW);
        while !event.steps.is_empty() && !fits(event) {
            event.steps.pop();
        }
        let left_out = planned - event.steps.len();
        if left_out > 0 {
            tracing::error!(
                event = %event.id, planned, left_out,
                "the last steps of its escalation are left out: they do not fit into its row; \
                 hint: `escalate` with fewer steps and channels"
            );
        }
    }

    /// The deliveries of those steps of `event` that have come due, which it is known to have reached open.
    pub(super) fn escalate(&self, event: &mut Event, known_at: Timestamp, now: Timestamp) -> Vec<Delivery> {
        let steps = track::take_due_steps(event, known_at, now, &self.settings.rules);
        steps.into_iter().map(|step| delivery(event, step, now)).collect()
    }
}

fn delivery(event: &Event, step: Step, now: Timestamp) -> Delivery {
    let Step { channel, rule, turn, .. } = step;
    Delivery {
        id: track::step_delivery(event, &channel, turn),
        event: event.kind.escalation(),
        // Not before what was told first, in whatever order a backlog goes out.
        happened_at: now.max(event.ended_at),
        seen_at: now,
        ..Delivery::new(event, channel, rule, now)
    }
}
