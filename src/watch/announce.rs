//! From staged events to what is stored and who is told: in one commit.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::Watcher;
use crate::cursor::{Cursor, back};
use crate::event::{Caller, Closed, Event, EventId, EventType, Kind, Quiet, Record, Standing};
use crate::outbox::Delivery;
use crate::private::PhoneNumber;
use crate::route::{Decision, Subject};
use crate::store::{Batch, StoreError};
use crate::track;

/// To how many channels a commit tells something of an event.
pub(super) type Told = HashMap<(EventId, EventType), usize>;

impl Watcher {
    /// Announces what is due and stores it with the rest of `staged`, in one commit.
    pub(super) async fn commit(
        &mut self,
        staged: impl IntoIterator<Item = (EventId, Arc<Event>)>,
        read_at: Timestamp,
        cursor: Option<Cursor>,
    ) -> Result<(), StoreError> {
        let closed = self.forget_closed_by_hand().await?;
        let staged = staged.into_iter().filter(|(id, _)| !closed.contains(id));
        let mut events: Vec<Arc<Event>> = staged.map(|(_, event)| event).collect();
        self.settle_with_returned(&mut events, self.context.clock.now());
        let due = |event: &Event| self.is_due(event, read_at);
        // Of old news it would take all requests of many minutes to read who was reached since.
        let news = |event: &&Arc<Event>| due(event) && !track::is_old_news(event, &self.settings.rules);
        let oldest_due = events.iter().filter(news).map(|event| self.may_be_settled_since(event, read_at)).min();
        let mut asked = true;
        if self.source.kind == Kind::Call && events.iter().any(|event| due(event)) {
            let mut settling = Vec::new();
            if let Some(from) = oldest_due {
                // A step waits for this answer, and the newest page was read a moment ago.
                let steps = events.iter().any(|event| due(event) && event.standing != Standing::Waiting);
                (settling, asked) = self.settling_since(from, u32::from(!steps)).await;
            }
            self.settle_before_announcing(&mut events, &settling, read_at).await?;
        }
        self.complete_by_calls(&mut events, read_at).await?;
        let names = self.context.names.as_ref();
        if let Some(names) = names
            && events.iter().any(|event| event.standing == Standing::Waiting && self.is_due(event, read_at))
        {
            names.asked(&self.context.clock).await;
        }
        let deliveries = self.follow_ups(&mut events).await?;
        let now = self.context.clock.moment();
        let cursor_row = cursor.clone().map(|cursor| (self.source.clone(), cursor));
        let mut batch = Batch { cursor: cursor_row, deliveries, ..Batch::default() };
        // That a call is still open can wait for the next read, for a while, when nobody has said so yet.
        let known_at = if asked { read_at } else { read_at.min(back(now.at, self.patience())) };
        for mut event in events {
            if event.standing != Standing::Waiting {
                if self.is_due(&event, known_at) {
                    batch.deliveries.extend(self.escalate(Arc::make_mut(&mut event), known_at, now.at));
                }
            } else if self.is_due(&event, read_at) {
                let announced = Arc::make_mut(&mut event);
                if let Some(names) = &self.context.names {
                    names.complete(announced);
                }
                self.announce(announced, now.at, &mut batch.deliveries);
                if track::expired(&event, now.at, &self.settings.rules) {
                    // Old news: it is told, but too old to be watched for its end.
                    event = track::close(&event, Closed::Expired, now.at).into();
                }
            }
            if self.open.get(&event.id) != Some(&event) {
                batch.events.push(event);
            }
        }
        self.time(&mut batch, now).await?;
        if !batch.is_empty() {
            let events = batch.events.clone();
            let mut told: Told = HashMap::new();
            for delivery in &batch.deliveries {
                *told.entry((delivery.event_id, delivery.event)).or_default() += 1;
            }
            let voicemails = self.end_of_windows(&told, &events);
            self.context.store.commit(batch, now).await?;
            if !voicemails.is_empty() {
                self.end_windows(&voicemails, now).await;
            }
            let idle = self.open.is_empty();
            for event in events {
                self.report(&event, &told);
                if event.is_open() {
                    self.open.insert(event.id, event);
                } else {
                    self.open.remove(&event.id);
                }
            }
            if idle && !self.open.is_empty() {
                // Until now nothing was followed, and so the next wider read may be an hour away.
                self.agenda.follow_up = self.agenda.follow_up.min(now.tick + self.follow_up_every());
            }
        }
        if let Some(cursor) = cursor {
            self.cursor = cursor;
        }
        Ok(())
    }

    /// From when on calls may settle `event` that no read has shown yet.
    fn may_be_settled_since(&self, event: &Event, now: Timestamp) -> Timestamp {
        match event.standing {
            Standing::Waiting => event.started_at,
            // Of an announced one the wider reads have looked before.
            _ => event.started_at.max(self.answered_from(now)),
        }
    }

    /// Calls whose caller was reached meanwhile, or has left a voicemail in the same call, are not announced; nor is told
    /// of them that they are still open.
    async fn settle_before_announcing(
        &self,
        events: &mut [Arc<Event>],
        settling: &[Record],
        read_at: Timestamp,
    ) -> Result<(), StoreError> {
        let now = self.context.clock.now();
        let ids: Vec<_> = events.iter().map(|event| track::voicemail_of(event)).collect();
        let voicemails = self.context.store.events(&ids).await?;
        for (event, voicemail) in events.iter_mut().zip(voicemails) {
            let waiting = event.standing == Standing::Waiting;
            if !waiting && !self.is_due(event, read_at) {
                continue;
            }
            if let Some(reached) = settling.iter().find_map(|record| track::reached(event, record, now)) {
                *event = reached.into();
            } else if waiting && track::speaks_for_its_call(voicemail.as_deref()) {
                *event = track::close(event, Closed::Voicemail, now).into();
            } else if !waiting && track::escalates_for_its_call(voicemail.as_deref()) {
                Arc::make_mut(event).steps.retain(|step| step.at > read_at);
            }
        }
        Ok(())
    }

    /// A returned call settles the earlier ones of the same caller too.
    fn settle_with_returned(&self, events: &mut Vec<Arc<Event>>, now: Timestamp) {
        let returned: Vec<Arc<Event>> = events
            .iter()
            .filter(|event| matches!(event.standing, Standing::Closed { by: Closed::Returned, .. }))
            .cloned()
            .collect();
        if returned.is_empty() {
            return;
        }
        let settled =
            |event: &Arc<Event>| returned.iter().find_map(|returned| track::returned_with(event, returned, now));
        for event in events.iter_mut() {
            if let Some(settled) = settled(event) {
                *event = settled.into();
            }
        }
        for event in self.open.values().filter_map(settled) {
            if !events.iter().any(|changed| changed.id == event.id) {
                events.push(event.into());
            }
        }
    }

    /// Decides who is told of `event`, now and while it stays open, and makes the deliveries of now.
    fn announce(&self, event: &mut Event, now: Timestamp, deliveries: &mut Vec<Delivery>) {
        let event_type = event.kind.first_event();
        let router = &self.context.router;
        event.rules = router.matching(&Subject::of(event, event_type));
        event.standing = match router.decision(&event.rules) {
            Decision::Notify(channels) => {
                let digest_only = track::is_old_news(event, &self.settings.rules);
                let new = |(channel, rule)| Delivery { digest_only, ..Delivery::new(event, channel, rule, now) };
                deliveries.extend(channels.into_iter().map(new));
                self.plan_steps(event, now);
                Standing::Announced { at: now }
            }
            Decision::Muted(rule) => {
                tracing::info!(event = %event.id, r#type = %event_type, rule, "muted by its route");
                Standing::Quiet { why: Quiet::Muted }
            }
            Decision::Unrouted => {
                tracing::warn!(event = %event.id, r#type = %event_type, "no route matches, nobody is told");
                Standing::Quiet { why: Quiet::Unrouted }
            }
        };
    }

    /// Logs and counts what is stored now: a store that refuses is asked again and again.
    fn report(&self, event: &Event, told: &Told) {
        if let Standing::Quiet { why } = event.standing {
            self.context.metrics.quiet(&event.account, why);
        }
        let kind = event.kind;
        for (event_type, what) in [
            (kind.first_event(), "announced"),
            (kind.escalation(), "still open: told those who are next"),
            (kind.follow_up(), "followed up"),
        ] {
            if let Some(channels) = told.get(&(event.id, event_type)) {
                tracing::info!(
                    event = %event.id, r#type = %event_type, account = event.account, channels,
                    caller = %masked(&event.caller), "{what}"
                );
                self.context.metrics.event(&event.account, event_type);
            }
        }
    }

    /// Tells of calls that have waited for a confirming read long past their grace, or past the time of a step: the PBX
    /// cannot be read, and being told of a call that was returned meanwhile is better than not being told.
    pub(super) async fn announce_unconfirmed(&mut self) {
        let now = self.context.clock.now();
        let known_at = back(now, self.patience());
        let staged: Vec<(EventId, Arc<Event>)> =
            self.due(known_at).map(|event| (event.id, Arc::clone(event))).collect();
        if staged.is_empty() {
            return;
        }
        tracing::warn!(
            account = self.source.account,
            events = staged.len(),
            "told as last seen: the PBX cannot be asked whether they have been returned"
        );
        // Nothing may be spent on further questions here, so the announcing half of `commit` does without them.
        self.budget.exhaust(self.agenda.not_before);
        if let Err(error) = self.commit(staged, known_at, None).await {
            tracing::error!(account = self.source.account, %error, "could not be stored; tried again with the next read");
        }
    }

    /// Events that were watched long enough are closed.
    pub(super) async fn expire(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let rules = &self.settings.rules;
        let expired: Vec<(EventId, Arc<Event>)> = self
            .open
            .values()
            .filter(|event| track::expired(event, now, rules))
            .map(|event| (event.id, track::close(event, Closed::Expired, now).into()))
            .collect();
        if expired.is_empty() { Ok(()) } else { self.commit(expired, now, None).await }
    }
}

/// For the log.
fn masked(caller: &Caller) -> String {
    caller.number.as_ref().map_or_else(|| "withheld".to_owned(), PhoneNumber::masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_a_caller_by_a_masked_number_and_one_without_as_withheld() {
        let number = crate::number::parse("05321112233").number;
        assert_eq!(masked(&Caller { number, name: None }), "0532 *** ** 33");
        assert_eq!(masked(&Caller::default()), "withheld");
    }
}
