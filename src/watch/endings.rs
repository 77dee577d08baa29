//! The end of what was announced: who is told of it, and what is known of it.

use std::time::Duration;

use jiff::Timestamp;

use super::Watcher;
use crate::event::{Closed, DeliveryId, Direction, Ending, Event};
use crate::outbox::{Delivery, Shared, State};
use crate::store::StoreError;
use crate::track;

/// What asking for the call by which another was returned may take; the commit waits for it.
const ANSWER: Duration = Duration::from_secs(10);

impl Watcher {
    /// The deliveries that tell the end of those of `events` that have come to it: on each channel that wants them and was
    /// told the first part or a step of the escalation, or is about to be. They are stored with the end itself, so that no crash can lose one.
    pub(super) async fn follow_ups(&mut self, events: &mut [Event]) -> Result<Vec<Delivery>, StoreError> {
        let now = self.context.clock.now();
        let mut firsts: Vec<(usize, Delivery)> = Vec::new();
        for (n, event) in events.iter().enumerate() {
            let before = self.open.get(&event.id);
            if !before.is_some_and(|before| track::is_news(before, event, now, &self.settings.rules)) {
                continue;
            }
            for channel in self.context.follow_ups.iter() {
                firsts.extend(self.part_to_follow(event, channel).await?.map(|part| (n, part)));
            }
        }
        if let Some((n, _)) = firsts.iter().find(|(n, _)| is_unexplained(&events[*n])) {
            self.ask_who_returned(&events[*n].clone(), events).await;
        }
        Ok(firsts.into_iter().map(|(n, first)| follow_up(&events[n], first, now)).collect())
    }

    /// By what a channel was told of `event`, or is about to be.
    async fn part_to_follow(&self, event: &Event, channel: &str) -> Result<Option<Delivery>, StoreError> {
        for id in track::parts(event, channel) {
            let part = self.context.store.delivery(id).await?.filter(may_be_followed);
            if part.is_some() {
                return Ok(part);
            }
        }
        Ok(None)
    }

    /// Fills in when and by whom `returned`, and others of `events` with it, were returned: when a request is to spare.
    async fn ask_who_returned(&mut self, returned: &Event, events: &mut [Event]) {
        let now = self.context.clock.moment();
        let Some(uuid) = returned.return_uuid.as_deref().filter(|_| self.details.take(now.tick)) else { return };
        let answer = tokio::select! {
            answer = self.context.pbx.call(uuid, now.at) => answer,
            () = self.context.clock.sleep(ANSWER) => return,
        };
        let ending = match answer {
            Ok(Some(call)) => {
                let extension = call.calling_extension.filter(|_| call.direction == Direction::Outbound);
                Ending { at: call.started_at.min(now.at), extension }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(event = %returned.id, %error, "the call by which it was returned could not be looked up");
                return;
            }
        };
        for event in
            events.iter_mut().filter(|event| is_unexplained(event) && event.return_uuid == returned.return_uuid)
        {
            event.ending = Some(ending.clone());
        }
    }
}

/// Whether it is known only that an event was returned.
fn is_unexplained(event: &Event) -> bool {
    event.settled_by() == Some(Closed::Returned) && event.ending.is_none()
}

/// Who was not told the first part, and will not be, is not told the end; neither is who was told both at once.
fn may_be_followed(first: &Delivery) -> bool {
    match first.state {
        State::Pending => true,
        State::Delivered { .. } => first.shared != Some(Shared::Settled),
        State::Dead { .. } | State::Withdrawn { .. } => false,
    }
}

fn follow_up(event: &Event, first: Delivery, now: Timestamp) -> Delivery {
    let event_type = event.kind.follow_up();
    Delivery {
        id: DeliveryId::derive(&event.account, event_type, &event.uuid, &first.channel),
        event: event_type,
        // Not before the first part, in whatever order a backlog goes out.
        happened_at: event.settled_at().unwrap_or(now).max(event.ended_at),
        seen_at: now,
        group: first.group.as_ref().map(|group| group.of_ends(now)),
        ..Delivery::new(event, first.channel, first.rule, now)
    }
}
