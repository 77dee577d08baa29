//! What is told of a voicemail beside what its own list says: number, queue and outcome of the call in which it was left.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Watcher;
use crate::event::{Event, Kind, Standing};
use crate::pbx::report::Ended;
use crate::store::StoreError;
use crate::track;

/// So many calls at most are asked for, for one commit: when more voicemails come at once, the requests are left to those
/// who ask what has become of a call.
const MOST_ASKED: usize = 3;

/// What asking for them may take; the commit waits for it.
const ANSWERS: Duration = Duration::from_secs(5);

/// How often the store is asked whether the list of calls has been read.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Watcher {
    /// Fills in what the calls of the voicemails say that are about to be announced, so that rules for a queue or a number
    /// hold for them too. A call that was not seen yet, or was not missed, is asked for when a request is to spare;
    /// without it the voicemail is told as it is.
    pub(super) async fn complete_by_calls(
        &self,
        events: &mut [Arc<Event>],
        read_at: Timestamp,
    ) -> Result<(), StoreError> {
        if self.source.kind != Kind::Voicemail {
            return Ok(());
        }
        let told: Vec<&mut Arc<Event>> = events
            .iter_mut()
            .filter(|event| event.standing == Standing::Waiting && self.is_due(event, read_at))
            .collect();
        let ids: Vec<_> = told.iter().map(|event| track::call_of(event)).collect();
        let calls = self.context.store.events(&ids).await?;
        let mut unknown = Vec::new();
        for (event, call) in told.into_iter().zip(calls) {
            match call {
                Some(call) => track::complete(Arc::make_mut(event), &call.as_facts()),
                None if !track::is_old_news(event, &self.settings.rules) => unknown.push(event),
                None => {}
            }
        }
        if unknown.len() > MOST_ASKED {
            return Ok(());
        }
        tokio::select! {
            result = self.ask_for_calls(unknown) => result,
            () = self.context.clock.sleep(ANSWERS) => Ok(()),
        }
    }

    /// By itself first, which shows those too that are not missed. But that answer was seen without the queue (vendor page
    /// `cdrs.md`); a missed call that lacks it is about to be in the list of calls, or already is.
    async fn ask_for_calls(&self, voicemails: Vec<&mut Arc<Event>>) -> Result<(), StoreError> {
        let mut listed = Vec::new();
        for voicemail in voicemails {
            if !self.details.lock().take(self.context.clock.tick()) {
                break;
            }
            match self.context.pbx.call(&voicemail.uuid).await {
                Ok(Some(call)) => {
                    track::complete(Arc::make_mut(voicemail), &call.as_facts());
                    if call.missed && voicemail.called.queue.is_none() {
                        listed.push(voicemail);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(event = %voicemail.id, %error, "the call in which it was left could not be looked up");
                    break;
                }
            }
        }
        self.wait_for_the_list(listed).await
    }

    /// Has the list of calls read at once, and waits until it has shown the calls of `voicemails`.
    async fn wait_for_the_list(&self, mut voicemails: Vec<&mut Arc<Event>>) -> Result<(), StoreError> {
        let Some(calls) = self.calls.as_ref().filter(|calls| !calls.is_closed()) else { return Ok(()) };
        for voicemail in &voicemails {
            // A watcher with so many reports reads the list anyway.
            let _ = calls.try_send(Ended { uuid: voicemail.uuid.clone(), heard: self.context.clock.tick() });
        }
        loop {
            let ids: Vec<_> = voicemails.iter().map(|event| track::call_of(event)).collect();
            let calls = self.context.store.events(&ids).await?;
            let mut found = calls.into_iter();
            voicemails.retain_mut(|voicemail| match found.next().flatten() {
                Some(call) => {
                    track::complete(Arc::make_mut(voicemail), &call.as_facts());
                    false
                }
                None => true,
            });
            if voicemails.is_empty() {
                return Ok(());
            }
            self.context.clock.sleep(LOOK_AGAIN).await;
        }
    }
}
