//! The end of what was announced: who is told of it, and what is known of it.

use std::sync::Arc;
use std::time::Duration;

use super::Watcher;
use crate::event::{Closed, Direction, Ending, Event};
use crate::outbox::Delivery;
use crate::store::StoreError;
use crate::track;

/// What asking for the call by which another was returned may take; the commit waits for it.
const ANSWER: Duration = Duration::from_secs(10);

impl Watcher {
    /// The deliveries that tell the end of those of `events` that have come to it: on each channel that wants them and was
    /// told the first part or a step of the escalation, or is about to be. They are stored with the end itself, so that no crash can lose one.
    pub(super) async fn follow_ups(&mut self, events: &mut [Arc<Event>]) -> Result<Vec<Delivery>, StoreError> {
        let now = self.context.clock.now();
        let mut firsts: Vec<(usize, Delivery)> = Vec::new();
        for (n, event) in events.iter().enumerate() {
            let before = self.open.get(&event.id);
            if !before.is_some_and(|before| track::is_news(before, event, now, &self.settings.rules)) {
                continue;
            }
            for channel in self.context.follow_ups.iter() {
                firsts.extend(self.context.store.part_to_follow(event, channel).await?.map(|part| (n, part)));
            }
        }
        if let Some((n, _)) = firsts.iter().find(|(n, _)| is_unexplained(&events[*n])) {
            self.ask_who_returned(&Arc::clone(&events[*n]), events).await;
        }
        Ok(firsts.into_iter().map(|(n, first)| Delivery::follow_up(&events[n], first, now)).collect())
    }

    /// Fills in when and by whom `returned`, and others of `events` with it, were returned: when a request is to spare.
    async fn ask_who_returned(&mut self, returned: &Event, events: &mut [Arc<Event>]) {
        let now = self.context.clock.moment();
        let Some(uuid) = returned.return_uuid.as_deref().filter(|_| self.details.lock().take(now.tick)) else { return };
        let answer = tokio::select! {
            answer = self.context.pbx.call(uuid) => answer,
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
            Arc::make_mut(event).ending = Some(ending.clone());
        }
    }
}

/// Whether it is known only that an event was returned.
fn is_unexplained(event: &Event) -> bool {
    event.settled_by() == Some(Closed::Returned) && event.ending.is_none()
}
