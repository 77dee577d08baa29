//! The ways out: one file per type of channel. A new one is a file, a variant with its arm here, and its templates.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::event::DeliveryId;
use crate::message::{ChannelType, Message};
use crate::outbox::{Failure, FailureKind, Outcome};

pub mod email;
mod http;
pub mod slack;
mod smtp;
pub mod webhook;

/// A rendered message with what belongs to its delivery.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The same on every attempt.
    pub id: DeliveryId,
    /// In the form of the channel.
    pub message: &'a Message,
    /// The time of this attempt.
    pub now: Timestamp,
    /// What this channel has taken of the same matter before, when there is something: the message belongs under it.
    pub earlier: Option<Earlier<'a>>,
}

/// A message of the same matter that the channel has taken before.
#[derive(Debug, Clone, Copy)]
pub struct Earlier<'a> {
    /// Its delivery.
    pub id: DeliveryId,
    /// What the channel noted of it.
    pub memo: Option<&'a str>,
    /// It told others too, as a digest does: a message may follow it, and must not replace it.
    pub shared: bool,
}

/// A way out. One call is one attempt, and ends within the channel's timeout; with an attachment later, by
/// [`email::upload_time`] and, when it is too big for its server, once more the timeout.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Which type it is.
    fn channel_type(&self) -> ChannelType;

    /// Tries once. `memo` is the channel's own note of this delivery: what it left there at an earlier attempt, and what
    /// it leaves for the next one, or for a message that follows this one. At most [`Delivery::MAX_MEMO`] bytes;
    /// lines after the first are shown to the operator.
    ///
    /// [`Delivery::MAX_MEMO`]: crate::outbox::Delivery::MAX_MEMO
    async fn send(&self, parcel: Parcel<'_>, memo: &mut Option<String>) -> Outcome;

    /// Asks whether the receiver is there and would take us, with nothing that it could take for a message. Ends within
    /// the channel's timeout. `Ok` may hold a remark: what the answer leaves in doubt.
    ///
    /// # Errors
    /// When messages would surely not arrive.
    async fn check(&self) -> Result<Option<String>, Failure>;
}

/// For a message in the form of another channel: a bug of ours, said instead of sent.
fn wrong_form(channel: ChannelType) -> Outcome {
    let text = format!("the message was not made for a channel of type {}", channel.as_str());
    Outcome::Permanent(Failure::new(FailureKind::Internal, text))
}

#[cfg(test)]
mod contract;
