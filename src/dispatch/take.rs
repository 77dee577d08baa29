//! What goes out next: claimed, looked at once more, and begun as a message of its own or as a digest of several.
//!
//! People would rather read one mail than forty. So when more than `digest_over` are due at once on a channel that people
//! read, one message tells them all; and what is old news goes into such a message on every channel, however few they are.

use std::time::Duration;

use super::attempt::URL_PATIENCE;
use super::{Lane, Parcel, UnderWay};
use crate::channel::email::upload_time;
use crate::clock::Moment;
use crate::config::RecordingMode;
use crate::cursor::back;
use crate::event::{Closed, DeliveryId, EventId, Kind};
use crate::message::ChannelType;
use crate::outbox::{self, Claim};
use crate::pbx::MOST_AUDIO;
use crate::recording::DOWNLOAD;
use crate::store::{StoreError, Together};
use crate::track;

/// On top of the longest attempt: a lease must outlive it.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

impl Lane {
    /// Claims and begins up to `free` messages. Returns whether there may be more to claim.
    pub(super) async fn take(&mut self, free: usize, work: &mut UnderWay, now: Moment) -> Result<bool, StoreError> {
        let name = self.settings.name.clone();
        let store = self.context.store.clone();
        if self.recovered {
            store.hurry(&name, now).await?;
            self.recovered = false;
        }
        let lease = self.lease();
        let (together, left) = store.claim_together(&name, &self.together(now), lease, now).await?;
        self.flooded = left > 0;
        if !together.is_empty() {
            self.take_together(together, work, now).await?;
            return Ok(true);
        }
        let singles = store.claim_due(&name, free, lease, now).await?;
        let full = singles.len() == free;
        for claim in self.look(singles, work, now).await {
            self.begin(claim, work, now);
        }
        Ok(full)
    }

    /// Longer than the longest attempt by construction.
    fn lease(&self) -> Duration {
        let lease = self.settings.timeout + URL_PATIENCE + LEASE_MARGIN;
        match self.settings.recording {
            // A mail that is too big for its server goes out once more, without the recording.
            RecordingMode::Attach => lease + DOWNLOAD + upload_time(MOST_AUDIO) + self.settings.timeout,
            RecordingMode::Link | RecordingMode::None => lease,
        }
    }

    /// What this channel tells together.
    fn together(&self, now: Moment) -> Together {
        let channel = self.sender.channel.channel_type();
        let over = match channel {
            _ if self.flooded => 0,
            ChannelType::Email | ChannelType::Slack => self.settings.digest_over,
            // A program does not mind how many there are.
            ChannelType::Webhook => usize::MAX,
        };
        let before = self.settings.max_age.map_or(jiff::Timestamp::MIN, |age| back(now.at, age));
        Together { over, before, most: crate::render::most_in_digest(channel) }
    }

    fn begin(&mut self, mut claim: Claim, work: &mut UnderWay, now: Moment) {
        work.held.insert((claim.delivery.id, claim.lease));
        let (sender, step) = (self.sender.clone(), self.pace.begin(now.tick));
        work.attempts.push(Box::pin(async move {
            let outcome = sender.send(&mut claim).await;
            (Parcel { claims: vec![claim], digest: false, step }, outcome)
        }));
    }

    /// Begins a digest of `claims`. What does not fit is given back for the next one; when nothing of it is left to be
    /// done, nobody is told.
    async fn take_together(&mut self, claims: Vec<Claim>, work: &mut UnderWay, now: Moment) -> Result<(), StoreError> {
        let mut claims = self.look_together(claims, work, now).await;
        if claims.is_empty() {
            return Ok(());
        }
        claims.sort_by_key(|claim| (claim.delivery.happened_at, claim.delivery.id));
        let made = self.sender.digest(&claims);
        let rest = made.as_ref().map_or(Vec::new(), |digest| claims.split_off(digest.rows.min(claims.len())));
        if !rest.is_empty() {
            self.flooded = true;
            let rest: Vec<_> = rest.iter().map(|claim| (claim.delivery.id, claim.lease)).collect();
            self.context.store.release(&rest, now).await?;
        }
        work.held.extend(claims.iter().map(|claim| (claim.delivery.id, claim.lease)));
        let (sender, step) = (self.sender.clone(), self.pace.begin(now.tick));
        work.attempts.push(Box::pin(async move {
            let mut claims = claims;
            let ids: Vec<DeliveryId> = claims.iter().map(|claim| claim.delivery.id).collect();
            // What was noted of the same digest before; others may be told together this time, and then the note, by its
            // id, is of another one.
            let mut memo = agreed_note(&claims).filter(|_| sender.channel.channel_type() == ChannelType::Email);
            let outcome = match made {
                Ok(digest) => sender.send_digest(DeliveryId::together(&ids), &digest, &mut memo).await,
                Err(outcome) => outcome,
            };
            for claim in &mut claims {
                claim.delivery.memo.clone_from(&memo);
            }
            (Parcel { claims, digest: true, step }, outcome)
        }));
        Ok(())
    }

    /// What was settled since it was decided is not told any more; the rest is returned.
    async fn look(&self, mut claims: Vec<Claim>, work: &mut UnderWay, now: Moment) -> Vec<Claim> {
        self.settle_by_voicemails(&mut claims, now).await;
        let (settled, open) = claims.into_iter().partition(|claim| self.moot(claim).is_some());
        self.withdraw(settled, work, now);
        open
    }

    /// The same for a digest: it says of each what has become of it, unless that is so of all. A call that is told by its
    /// voicemail is not listed besides, nor is what a person has closed.
    async fn look_together(&self, mut claims: Vec<Claim>, work: &mut UnderWay, now: Moment) -> Vec<Claim> {
        self.settle_by_voicemails(&mut claims, now).await;
        let done = claims.iter().all(|claim| self.moot(claim).is_some());
        let (gone, told) = claims
            .into_iter()
            .partition(|claim| done || matches!(self.moot(claim), Some(Closed::Voicemail | Closed::ByHand)));
        self.withdraw(gone, work, now);
        told
    }

    /// By what a claim has lost its reason; that which a person has asked for is told all the same.
    fn moot(&self, claim: &Claim) -> Option<Closed> {
        outbox::settled_by(claim, self.sender.plays()).filter(|_| !claim.delivery.insisted)
    }

    fn withdraw(&self, claims: Vec<Claim>, work: &mut UnderWay, now: Moment) {
        for claim in claims {
            let settled = outbox::withdraw(claim, now.at);
            self.report(&settled, now.at);
            work.settled.push(settled);
        }
    }

    /// A missed call and the voicemail that was left in it are one matter: while nobody has been told of the call, the
    /// voicemail speaks for both. The two are read side by side, so either may be stored first.
    async fn settle_by_voicemails(&self, claims: &mut [Claim], now: Moment) {
        let calls: Vec<&mut Claim> = claims.iter_mut().filter(|claim| claim.event.kind == Kind::Call).collect();
        if calls.is_empty() {
            return;
        }
        let ids: Vec<EventId> = calls.iter().map(|claim| track::voicemail_of(&claim.event)).collect();
        match self.context.store.events(&ids).await {
            Ok(voicemails) => {
                for (claim, voicemail) in calls.into_iter().zip(voicemails) {
                    if track::speaks_for_its_call(voicemail.as_ref()) {
                        claim.event = track::close(&claim.event, Closed::Voicemail, now.at);
                    }
                }
            }
            Err(error) => tracing::error!(channel = self.settings.name, %error, "voicemails cannot be looked up"),
        }
    }
}

/// The note that all of them carry.
fn agreed_note(claims: &[Claim]) -> Option<String> {
    let (first, rest) = claims.split_first()?;
    rest.iter().all(|claim| claim.delivery.memo == first.delivery.memo).then(|| first.delivery.memo.clone()).flatten()
}
