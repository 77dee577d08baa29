//! One attempt: the message made of what is known now, and given to the channel.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::Context;
use crate::channel::{Channel, Earlier, Parcel};
use crate::config::RecordingMode;
use crate::event::{DeliveryId, EventType};
use crate::outbox::{self, Calls, Claim, Delivery, Failure, FailureKind, Outcome};
use crate::pbx::Audio;
use crate::recording::{Held, Link};
use crate::render::{Digest, Facts, File, InDigest, Look, Recording, Repeated};

/// A message waits this long for a recording URL after its own due time, then goes without.
pub(super) const URL_PATIENCE: Duration = Duration::from_secs(60);

/// What a lane sends, and how.
#[derive(Clone)]
pub(super) struct Sender {
    pub channel: Arc<dyn Channel>,
    pub context: Context,
    pub look: Look,
    pub recording: RecordingMode,
}

impl Sender {
    /// Whether attempts ask for recordings.
    fn plays(&self) -> bool {
        self.recording != RecordingMode::None
    }

    /// Tries once, under `id`. The channel bounds its own part; the wait for a link is bounded by [`URL_PATIENCE`].
    ///
    /// Of several claims, calls of one caller, the last is the latest. `earlier` is what the channel has taken of the same
    /// matter before.
    pub(super) async fn send(&self, id: DeliveryId, claims: &mut [Claim], earlier: Option<&Delivery>) -> Outcome {
        let repeated = repeated(claims, earlier);
        let Some((claim, others)) = claims.split_last_mut() else { return Outcome::Delivered };
        if others.iter().any(|other| other.delivery.memo != claim.delivery.memo) {
            // Of other messages.
            claim.delivery.memo = None;
        }
        let outcome = guarded(self.attempt(id, claim, earlier, repeated)).await;
        for other in others {
            other.delivery.memo.clone_from(&claim.delivery.memo);
        }
        outcome
    }

    async fn attempt(
        &self,
        id: DeliveryId,
        claim: &mut Claim,
        earlier: Option<&Delivery>,
        repeated: Option<Repeated>,
    ) -> Outcome {
        let context = &self.context;
        // Of what is over nobody needs to hear the recording.
        let wanted = claim.event.recording && !claim.delivery.event.is_follow_up();
        let link = if wanted && self.plays() {
            let now = context.clock.moment();
            let late = Duration::try_from(now.at.duration_since(claim.delivery.due_at)).unwrap_or_default();
            let deadline = (now.tick + URL_PATIENCE).saturating_sub(late);
            Some(context.recordings.link(&claim.event, deadline).await)
        } else {
            None
        };
        // In memory until the mail is sent.
        let mut held = None;
        let recording = match link {
            None => Recording::None,
            Some(None) => Recording::Elsewhere,
            Some(Some(link)) => {
                held = self.fetch(claim, &link).await;
                let Link { url, expires_at } = link;
                let attach = self.recording == RecordingMode::Attach;
                if attach { Recording::LinkInstead { url, expires_at } } else { Recording::Link { url, expires_at } }
            }
        };
        let (event_type, waited) = (claim.delivery.event, outbox::waited(claim));
        let page = context
            .links
            .as_ref()
            .and_then(|links| links.page(claim.event.id, &claim.delivery.channel, context.clock.now()));
        let facts = Facts { event: &claim.event, event_type, recording, test: false, waited, repeated, page };
        let mut rendered = context.renderer.render(&self.look, &facts);
        if let Some(Held { audio, .. }) = &held {
            let Audio { content_type, extension, stem, bytes } = audio.clone();
            let file = File { stem, extension, content_type, bytes };
            rendered = context.renderer.attach(rendered, &self.look, &facts, file);
        }
        if let Some(failure) = &rendered.failure {
            self.degraded(&claim.delivery.channel, failure);
        }
        let earlier = earlier.map(|earlier| Earlier {
            id: earlier.message_id(),
            memo: earlier.memo.as_deref(),
            shared: earlier.shared.is_some(),
        });
        let parcel = Parcel { id, message: &rendered.message, now: context.clock.now(), earlier };
        self.channel.send(parcel, &mut claim.delivery.memo).await
    }

    /// The recording itself, where the channel attaches it. A mail that its server did not take in time is tried without
    /// it from then on: a slow line would fail with it again and again.
    async fn fetch(&self, claim: &Claim, link: &Link) -> Option<Held> {
        let too_slow = claim.delivery.last_failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Timeout);
        if self.recording != RecordingMode::Attach || too_slow {
            return None;
        }
        self.context.recordings.audio(&claim.event, link).await
    }

    /// Makes the digest of as many of `claims` as one message holds, from the first on. A panic counts as a failure of
    /// ours, with which they come again.
    pub(super) fn digest(&self, claims: &[Claim]) -> Result<Digest, Outcome> {
        let make = || {
            let of = |claim| outbox::settled_by(claim);
            let rows: Vec<InDigest<'_>> = claims
                .iter()
                .map(|claim| InDigest { event: &claim.event, event_type: claim.delivery.event, settled: of(claim) })
                .collect();
            self.context.renderer.digest(&self.look, &rows)
        };
        let digest = catch_unwind(AssertUnwindSafe(make)).map_err(|_| panicked())?;
        if let (Some(failure), Some(first)) = (&digest.failure, claims.first()) {
            self.degraded(&first.delivery.channel, failure);
        }
        Ok(digest)
    }

    /// Counts a message that its template has not made. The first of each place in a template is logged: a busy day must
    /// not fill the log with one mistake.
    fn degraded(&self, channel: &str, failure: &str) {
        self.context.metrics.degraded(channel);
        if self.context.renderer.is_news(failure) {
            tracing::error!(
                channel,
                failure,
                "the template failed: its messages go out in a built-in plain form until it is mended; \
                 hint: `ringback check` tries it with samples"
            );
        }
    }

    /// Sends a digest once.
    pub(super) async fn send_digest(&self, id: DeliveryId, digest: &Digest, memo: &mut Option<String>) -> Outcome {
        let parcel = Parcel { id, message: &digest.message, now: self.context.clock.now(), earlier: None };
        guarded(self.channel.send(parcel, memo)).await
    }
}

/// What a message says of the calls that it stands for: those of `claims`, and those under whose message it goes.
fn repeated(claims: &[Claim], earlier: Option<&Delivery>) -> Option<Repeated> {
    let delivery = &claims.first()?.delivery;
    let follows = earlier.is_some() && delivery.event == EventType::CallMissed;
    let before = delivery.group.as_ref()?.before.clone();
    let before = if follows { before } else { Calls::default() };
    let Calls { count, times } = before.with(claims.iter().map(|claim| claim.event.started_at));
    (count > 1).then_some(Repeated { count, times, follows })
}

/// A panic in one message must not end the lane; it counts as a failure of ours and comes again.
async fn guarded(attempt: impl Future<Output = Outcome>) -> Outcome {
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| panicked())
}

fn panicked() -> Outcome {
    let failure = Failure::new(FailureKind::Internal, "the attempt panicked; this is a bug");
    Outcome::RetryAfter { failure, wait: None }
}
