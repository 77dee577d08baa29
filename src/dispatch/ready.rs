//! What is ready to go out as a message of its own: one delivery, or the calls of one caller that are one message. Pure.

use crate::event::DeliveryId;
use crate::outbox::{Claim, Delivery};

/// Claims that are to be sent as one message, earliest call first, and what the channel has taken of the matter before.
pub(super) struct Ready {
    pub(super) claims: Vec<Claim>,
    pub(super) earlier: Option<Delivery>,
}

impl Ready {
    pub(super) fn one(claim: Claim, earlier: Option<Delivery>) -> Self {
        Self { claims: vec![claim], earlier }
    }

    fn key(&self) -> Option<DeliveryId> {
        message(self.claims.first()?)
    }

    fn add(&mut self, other: Self) {
        let first = other.claims.first().and_then(|claim| Some(claim.delivery.group.as_ref()?.first));
        // The first message of the matter is the one that all others are under.
        if self.earlier.is_none() || other.earlier.as_ref().is_some_and(|earlier| Some(earlier.id) == first) {
            self.earlier = other.earlier;
        }
        self.claims.extend(other.claims);
        self.claims.sort_by_key(|claim| (claim.event.started_at, claim.delivery.id));
    }
}

/// Puts together what is one message, in the order of the first of each.
pub(super) fn join(ready: Vec<Ready>) -> Vec<Ready> {
    let mut joined: Vec<Ready> = Vec::with_capacity(ready.len());
    for one in ready {
        let same = |other: &&mut Ready| one.key().is_some_and(|key| other.key() == Some(key));
        match joined.iter_mut().find(same) {
            Some(other) => other.add(one),
            None => joined.push(one),
        }
    }
    joined
}

/// Whether these are one message without a digest.
pub(super) fn are_one(claims: &[Claim]) -> bool {
    let Some((first, rest)) = claims.split_first() else { return false };
    rest.is_empty() || (message(first).is_some() && rest.iter().all(|claim| message(claim) == message(first)))
}

fn message(claim: &Claim) -> Option<DeliveryId> {
    claim.delivery.group.as_ref().map(|group| group.message)
}
