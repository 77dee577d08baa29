//! What goes out next: claimed, looked at once more, and begun as a message of its own or as a digest of several.
//!
//! People would rather read one mail than forty. So when more than `digest_over` are due at once on a channel that people
//! read, one message tells them all; and what is old news goes into such a message on every channel, however few they are.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::attempt::URL_PATIENCE;
use super::ready::{self, Ready};
use super::{Lane, Parcel, STORE_PAUSE, UnderWay};
use crate::channel::email::upload_time;
use crate::clock::Moment;
use crate::config::RecordingMode;
use crate::cursor::{ahead, back};
use crate::event::{Closed, DeliveryId, EventId, EventType};
use crate::message::ChannelType;
use crate::outbox::{self, Claim, Delivery, Shared, State, Turn};
use crate::pbx::MOST_AUDIO;
use crate::recording::DOWNLOAD;
use crate::store::{StoreError, Together};
use crate::track;

/// What belongs under a message that is just being sent is looked at again after this.
const CALL_FIRST: Duration = Duration::from_secs(2);

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
        let full = singles.len() >= free;
        for ready in self.look(singles, work, now).await {
            self.begin(ready, work, now);
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
        let held = channel != ChannelType::Webhook;
        Together { over, before, held, most: crate::render::most_in_digest(channel) }
    }

    fn begin(&mut self, ready: Ready, work: &mut UnderWay, now: Moment) {
        let Ready { mut claims, earlier } = ready;
        for claim in &mut claims {
            if claim.delivery.shared.take().is_some() {
                // The note of a digest that did not get through is not of this message.
                claim.delivery.memo = None;
            }
        }
        let Some(id) = outbox::pin(&mut claims) else { return };
        work.held.extend(claims.iter().map(|claim| (claim.delivery.id, claim.lease)));
        let (sender, step) = (self.sender.clone(), self.pace.begin(now.tick));
        work.attempts.push(Box::pin(async move {
            let outcome = sender.send(id, &mut claims, earlier.as_ref()).await;
            (Parcel { claims, digest: false, step }, outcome)
        }));
    }

    /// Begins a digest of `claims`. What does not fit is given back for the next one; when nothing of it is left to be
    /// done, nobody is told.
    async fn take_together(&mut self, claims: Vec<Claim>, work: &mut UnderWay, now: Moment) -> Result<(), StoreError> {
        let mut claims = self.look_together(claims, work, now).await;
        if claims.is_empty() {
            return Ok(());
        }
        if ready::are_one(&claims) && claims.iter().all(|claim| is_held(claim) && !claim.delivery.digest_only) {
            // The others were settled in the night.
            for ready in self.look(claims, work, now).await {
                self.begin(ready, work, now);
            }
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
                let settled = outbox::settled_by(claim).is_some_and(Closed::is_an_end);
                claim.delivery.shared = Some(if settled { Shared::Settled } else { Shared::Open });
            }
            (Parcel { claims, digest: true, step }, outcome)
        }));
        Ok(())
    }

    /// What was settled since it was decided is not told any more, and an end only to who was told the beginning; the rest
    /// is returned.
    async fn look(&self, mut claims: Vec<Claim>, work: &mut UnderWay, now: Moment) -> Vec<Ready> {
        self.settle_by_voicemails(&mut claims, now).await;
        let (settled, open): (Vec<_>, Vec<_>) = claims.into_iter().partition(|claim| moot(claim).is_some());
        self.withdraw(settled, work, now);
        let mut ready = Vec::with_capacity(open.len());
        for claim in open {
            let earlier = match claim.delivery.event {
                EventType::VoicemailNew => self.earlier_call(&claim, work, now).await,
                event if event.is_follow_up() => self.first_part(&claim, &work.unstored, now).await,
                event if event.is_escalation() => self.told_before(&claim, &work.unstored, now).await,
                _ => self.earlier_of_caller(&claim, work, now).await,
            };
            match earlier {
                Ok(earlier) => ready.push(Ready::one(claim, earlier)),
                Err(turn) => self.set_aside(claim, turn, work, now),
            }
        }
        ready::join(ready)
    }

    /// The same for a digest: it says of each what has become of it, unless that is so of all. A call that is told by its
    /// voicemail is not listed besides, nor is what a person has closed, nor the end of what this digest tells first.
    async fn look_together(&self, mut claims: Vec<Claim>, work: &mut UnderWay, now: Moment) -> Vec<Claim> {
        self.settle_by_voicemails(&mut claims, now).await;
        let (follow_ups, firsts): (Vec<_>, Vec<_>) =
            claims.into_iter().partition(|claim| claim.delivery.event.is_follow_up());
        let here: HashSet<DeliveryId> = firsts.iter().map(|claim| claim.delivery.id).collect();
        let mut told = Vec::with_capacity(follow_ups.len() + firsts.len());
        for claim in follow_ups {
            let both = track::parts(&claim.event, &self.settings.name).any(|id| here.contains(&id));
            match if both { Err(Turn::Withdraw) } else { self.first_part(&claim, &work.unstored, now).await } {
                Ok(_) => told.push(claim),
                Err(turn) => self.set_aside(claim, turn, work, now),
            }
        }
        // What is told first in this digest need not be told once more in it.
        let (again, firsts): (Vec<_>, Vec<_>) = firsts.into_iter().partition(|claim| {
            claim.delivery.event.is_escalation() && self.parts_before(claim).any(|id| here.contains(&id))
        });
        self.withdraw(again, work, now);
        let done = told.is_empty() && firsts.iter().all(|claim| moot(claim).is_some());
        let (gone, rest): (Vec<_>, Vec<_>) = firsts.into_iter().partition(|claim| match moot(claim) {
            Some(Closed::Voicemail | Closed::ByHand) => true,
            // What was settled before the office opened need not be told to it.
            by => done || (by.is_some() && is_held(claim)),
        });
        self.withdraw(gone, work, now);
        told.extend(rest);
        told
    }

    /// The deliveries by which the channel may have been told of the event of an escalation before it.
    fn parts_before(&self, claim: &Claim) -> impl Iterator<Item = DeliveryId> {
        let own = claim.delivery.id;
        track::parts(&claim.event, &self.settings.name).take_while(move |id| *id != own)
    }

    /// What the channel was told of the event of an escalation. Who is told the beginning only now, after an outage of the
    /// receiver say, need not be told besides that it is still open.
    async fn told_before(
        &self,
        claim: &Claim,
        unstored: &HashMap<DeliveryId, State>,
        now: Moment,
    ) -> Result<Option<Delivery>, Turn> {
        let mut told = None;
        for id in self.parts_before(claim) {
            let part = self.context.store.delivery(id).await.map_err(|error| self.cannot_look_up(&error, now))?;
            let Some(part) = part else { continue };
            match part.state {
                // The store need not be waited for.
                State::Pending if matches!(unstored.get(&id), Some(State::Withdrawn { .. })) => {}
                State::Pending => return Err(outbox::after(&part, now.at)),
                State::Delivered { at } if at > claim.delivery.created_at && !claim.delivery.insisted => {
                    return Err(Turn::Withdraw);
                }
                State::Delivered { .. } => told = told.or(Some(part)),
                State::Dead { .. } | State::Withdrawn { .. } => {}
            }
        }
        Ok(told)
    }

    /// What the channel was told first of the event of a follow-up.
    async fn first_part(
        &self,
        claim: &Claim,
        unstored: &HashMap<DeliveryId, State>,
        now: Moment,
    ) -> Result<Option<Delivery>, Turn> {
        let (mut taken, mut turn) = (None, Turn::Withdraw);
        for id in track::parts(&claim.event, &self.settings.name) {
            let part = self.context.store.delivery(id).await.map_err(|error| self.cannot_look_up(&error, now))?;
            match outbox::turn(&claim.event, part.as_ref(), now.at) {
                Turn::Go => return Ok(part),
                // The store need not be waited for.
                Turn::Wait(_) if matches!(unstored.get(&id), Some(State::Withdrawn { .. })) => {}
                wait @ Turn::Wait(_) if turn == Turn::Withdraw => turn = wait,
                Turn::Wait(_) | Turn::Withdraw => {}
            }
            taken = taken.or(part.filter(|part| matches!(part.state, State::Delivered { .. })));
        }
        let insisted = claim.delivery.insisted && claim.event.settled_by().is_some();
        if insisted { Ok(taken) } else { Err(turn) }
    }

    /// What the channel was told of the call in which a voicemail was left.
    fn earlier_call(
        &self,
        claim: &Claim,
        work: &UnderWay,
        now: Moment,
    ) -> impl Future<Output = Result<Option<Delivery>, Turn>> + Send + use<'_> {
        self.taken(Some(track::call_delivery(&claim.event, &self.settings.name)), work, now)
    }

    /// The message of the caller's earlier calls, when the channel has taken it.
    fn earlier_of_caller(
        &self,
        claim: &Claim,
        work: &UnderWay,
        now: Moment,
    ) -> impl Future<Output = Result<Option<Delivery>, Turn>> + Send + use<'_> {
        let group = claim.delivery.group.as_ref();
        self.taken(group.map(|group| group.first).filter(|first| *first != claim.delivery.id), work, now)
    }

    /// The delivery `id`, when the channel has taken it; one that is being sent at this moment is waited for.
    fn taken(
        &self,
        id: Option<DeliveryId>,
        work: &UnderWay,
        now: Moment,
    ) -> impl Future<Output = Result<Option<Delivery>, Turn>> + Send + use<'_> {
        let under_way = id.is_some_and(|id| {
            let taken = matches!(work.unstored.get(&id), Some(State::Delivered { .. }));
            taken || work.held.iter().any(|(held, _)| *held == id)
        });
        async move {
            let Some(id) = id else { return Ok(None) };
            if under_way {
                return Err(Turn::Wait(ahead(now.at, CALL_FIRST)));
            }
            let earlier = self.context.store.delivery(id).await.map_err(|error| self.cannot_look_up(&error, now))?;
            Ok(earlier.filter(|earlier| matches!(earlier.state, State::Delivered { .. })))
        }
    }

    fn cannot_look_up(&self, error: &StoreError, now: Moment) -> Turn {
        tracing::error!(channel = self.settings.name, %error, "what was told before cannot be looked up");
        Turn::Wait(ahead(now.at, STORE_PAUSE))
    }

    /// Not now, or not at all.
    fn set_aside(&self, claim: Claim, turn: Turn, work: &mut UnderWay, now: Moment) {
        match turn {
            Turn::Go | Turn::Withdraw => self.withdraw(vec![claim], work, now),
            Turn::Wait(until) => {
                tracing::debug!(delivery = %claim.delivery.id, channel = self.settings.name, %until, "put off");
                work.settled.push(outbox::put_off(claim, until, now.at));
            }
        }
    }

    fn withdraw(&self, claims: Vec<Claim>, work: &mut UnderWay, now: Moment) {
        for claim in claims {
            let settled = outbox::withdraw(claim, now.at);
            self.report(&settled, now.at);
            work.unstored.insert(settled.delivery.id, settled.delivery.state);
            work.settled.push(settled);
        }
    }

    /// A missed call and the voicemail that was left in it are one matter: while nobody has been told of the call, the
    /// voicemail speaks for both. The two are read side by side, so either may be stored first.
    async fn settle_by_voicemails(&self, claims: &mut [Claim], now: Moment) {
        let calls: Vec<&mut Claim> =
            claims.iter_mut().filter(|claim| claim.delivery.event == EventType::CallMissed).collect();
        if calls.is_empty() {
            return;
        }
        let ids: Vec<EventId> = calls.iter().map(|claim| track::voicemail_of(&claim.event)).collect();
        match self.context.store.events(&ids).await {
            Ok(voicemails) => {
                for (claim, voicemail) in calls.into_iter().zip(voicemails) {
                    if track::speaks_for_its_call(voicemail.as_deref()) {
                        claim.event = track::close(&claim.event, Closed::Voicemail, now.at).into();
                    }
                }
            }
            Err(error) => tracing::error!(channel = self.settings.name, %error, "voicemails cannot be looked up"),
        }
    }
}

/// By what a claim has lost its reason; that which a person has asked for is told all the same, and what tells an end has
/// it for its reason.
fn moot(claim: &Claim) -> Option<Closed> {
    let asked_for = claim.delivery.insisted || claim.delivery.event.is_follow_up();
    outbox::settled_by(claim).filter(|_| !asked_for)
}

/// Whether a schedule has held it back.
fn is_held(claim: &Claim) -> bool {
    claim.delivery.held_until.is_some()
}

/// The note that all of them carry.
fn agreed_note(claims: &[Claim]) -> Option<String> {
    let (first, rest) = claims.split_first()?;
    rest.iter().all(|claim| claim.delivery.memo == first.delivery.memo).then(|| first.delivery.memo.clone()).flatten()
}
