//! When what was decided goes out: held back until its schedule opens, or gathering with further calls of its caller.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Watcher;
use super::announce::Told;
use crate::clock::Moment;
use crate::event::{DeliveryId, Event, EventId, EventType, Kind};
use crate::outbox::{Calls, Delivery, Group, State};
use crate::store::{Batch, StoreError};
use crate::track;

impl Watcher {
    /// Gives the new deliveries of `batch` their times, as the rules that decided them say.
    pub(super) async fn time(&self, batch: &mut Batch, now: Moment) -> Result<(), StoreError> {
        let router = &self.context.router;
        for delivery in &mut batch.deliveries {
            if let Some(opens) = router.held_until(delivery.rule, &delivery.channel, now.at) {
                delivery.held_until = Some(opens);
                delivery.due_at = delivery.due_at.max(opens);
            }
        }
        let gathers = |row: &Delivery| {
            let wait = router.gathers(row.rule, &row.channel)?;
            (row.event == EventType::CallMissed && !row.digest_only).then_some(wait)
        };
        if !router.groups() || !batch.deliveries.iter().any(|row| gathers(row).is_some()) {
            return Ok(());
        }
        let events: HashMap<EventId, &Arc<Event>> = batch.events.iter().map(|event| (event.id, event)).collect();
        let mut windows = self.context.store.gathering(now).await?;
        for delivery in &mut batch.deliveries {
            let Some(wait) = gathers(delivery) else { continue };
            let Some(event) = events.get(&delivery.event_id).filter(|event| !event.caller.withheld()) else { continue };
            let joins =
                windows.iter().any(|(window, call)| track::same_matter(call, event) && delivery.join(window, now.at));
            if !joins {
                let told = self.told_before(event, &delivery.channel, &events).await?;
                let until = delivery.held_until.unwrap_or_else(|| crate::cursor::ahead(now.at, wait));
                delivery.due_at = until;
                delivery.group = Some(Group::open(delivery.id, until, told));
                windows.push((delivery.clone(), Arc::clone(event)));
            }
        }
        Ok(())
    }

    /// The calls of the caller of `event` that are open still and that `channel` was told, or is about to be, and the
    /// delivery under which.
    async fn told_before(
        &self,
        event: &Event,
        channel: &str,
        changed: &HashMap<EventId, &Arc<Event>>,
    ) -> Result<Option<(DeliveryId, Calls)>, StoreError> {
        let mut told: Vec<(Timestamp, DeliveryId)> = Vec::new();
        for call in self.open.values().filter(|call| call.id != event.id && track::same_matter(call, event)) {
            if changed.get(&call.id).is_some_and(|call| !call.is_open()) {
                continue;
            }
            let row = self.context.store.delivery(track::first_delivery(call, channel)).await?;
            let row = row.filter(|row| matches!(row.state, State::Delivered { .. } | State::Pending));
            if let Some(group) = row.and_then(|row| row.group) {
                told.push((call.started_at, group.first));
            }
        }
        told.sort_unstable();
        let Some((_, first)) = told.first().copied() else { return Ok(None) };
        Ok(Some((first, Calls::default().with(told.into_iter().map(|(at, _)| at)))))
    }

    /// Whoever has left one of these voicemails is not waited for any more: their calls go out now. That they do is not
    /// worth failing for, they go out anyway when their window ends.
    pub(super) async fn end_windows(&self, voicemails: &[Arc<Event>], now: Moment) {
        let store = &self.context.store;
        let ended = async {
            let windows = store.gathering(now).await?;
            let ends = |call: &Event| voicemails.iter().any(|voicemail| track::same_caller(call, voicemail));
            let ids = windows.iter().filter(|(row, call)| row.held_until.is_none_or(|at| at <= now.at) && ends(call));
            let ids: Vec<DeliveryId> = ids.map(|(row, _)| row.id).collect();
            if ids.is_empty() { Ok(()) } else { store.hasten(&ids, now).await }
        };
        let ended: Result<(), StoreError> = ended.await;
        if let Err(error) = ended {
            tracing::warn!(account = self.source.account, %error, "calls of who has left a voicemail go out a little later");
        }
    }

    /// The voicemails among `events` whose callers' calls may be gathering.
    pub(super) fn end_of_windows(&self, told: &Told, events: &[Arc<Event>]) -> Vec<Arc<Event>> {
        if self.source.kind != Kind::Voicemail || !self.context.router.groups() {
            return Vec::new();
        }
        let new = |event: &&Arc<Event>| told.contains_key(&(event.id, EventType::VoicemailNew));
        events.iter().filter(new).cloned().collect()
    }
}
