//! One attempt: the link is minted, the message made of what is known now, and given to the channel.

use std::time::Duration;

use super::Context;
use crate::channel::{Channel, Parcel};
use crate::config::RecordingMode;
use crate::message::Locale;
use crate::outbox::{Claim, Outcome};
use crate::render::{Facts, Recording};

/// A message waits this long for a recording URL after its own due time, then goes without.
pub(super) const URL_PATIENCE: Duration = Duration::from_secs(60);

/// Tries once. The channel bounds its own part; the wait for a link is bounded by [`URL_PATIENCE`].
pub(super) async fn attempt(
    claim: &Claim,
    channel: &dyn Channel,
    context: &Context,
    locale: Locale,
    mode: RecordingMode,
) -> Outcome {
    let recording = match mode {
        RecordingMode::Link if claim.event.recording => {
            let now = context.clock.moment();
            let late = Duration::try_from(now.at.duration_since(claim.delivery.due_at)).unwrap_or_default();
            let deadline = (now.tick + URL_PATIENCE).saturating_sub(late);
            match context.recordings.link(&claim.event, deadline).await {
                Some(link) => Recording::Link { url: link.url, expires_at: link.expires_at },
                None => Recording::Elsewhere,
            }
        }
        RecordingMode::Link | RecordingMode::None => Recording::None,
    };
    let facts = Facts { event: &claim.event, event_type: claim.delivery.event, recording, test: false };
    let rendered = context.renderer.render(channel.channel_type(), locale, &facts);
    if let Some(failure) = rendered.failure {
        context.metrics.degraded(&claim.delivery.channel);
        tracing::error!(
            delivery = %claim.delivery.id, channel = claim.delivery.channel, failure,
            "the template failed: the message goes out as plain text"
        );
    }
    channel.send(Parcel { id: claim.delivery.id, message: &rendered.message, now: context.clock.now() }).await
}
