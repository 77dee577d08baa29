//! A delivery and its way from pending to delivered or dead. Pure: [`settle`] is the whole state machine.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cursor::ahead;
use crate::event::{Closed, DeliveryId, Event, EventId, EventType, Standing};
use crate::retry;

pub use self::group::{Calls, Group, pin};

mod group;

/// A receiver may ask for a pause, but not for ever.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A clock that was ahead by more was not merely corrected: it was wrong, and so was what was read from it.
const CLOCK_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// One event for one channel: one stored row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Never changes: `webhook-id`, and the left part of the Message-ID.
    pub id: DeliveryId,
    /// What is told.
    pub event_id: EventId,
    /// As which event.
    pub event: EventType,
    /// The channel's name in the configuration.
    pub channel: String,
    /// The rule that decided it: its position in `routes`, from 0.
    pub rule: usize,
    /// When the call ended: backlogs go out in this order.
    pub happened_at: Timestamp,
    /// When the record was first seen; latency is counted from here.
    pub seen_at: Timestamp,
    /// When it was decided.
    pub created_at: Timestamp,
    /// Not to be tried before.
    pub due_at: Timestamp,
    /// Tries that the receiver was charged with.
    pub attempts: u32,
    /// Taken as part of a message that tells others too: `memo` is of that whole message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Shared>,
    /// Told by a digest only, since it was old news when it was first seen (`watch.max_age`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub digest_only: bool,
    /// Where it stands.
    pub state: State,
    /// A person asked for this one by its id: it is sent although its event is settled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insisted: bool,
    /// The last failure, in a sentence without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// What the channel noted of it at its last attempt; at most [`Delivery::MAX_MEMO`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// Since when it waits for `due_at`, by the clock of then; since `created_at` when it has never been put off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Until then its receiver wanted to be left alone when it was last tried: the whole channel waits, and this says so to
    /// the next process. It is due all the same, and others see that it is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// The schedule of its rule was closed when it was decided, and opens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// It is, or may become, one message with further calls of the same caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

impl Delivery {
    /// Keeps a stored row well under the store's limit for one value.
    pub const MAX_MEMO: usize = 1000;

    /// Tells the channel of `first` how `event`, which it was told by that one, has ended.
    pub fn follow_up(event: &Event, first: Self, now: Timestamp) -> Self {
        let event_type = event.kind.follow_up();
        Self {
            id: DeliveryId::derive(&event.account, event_type, &event.uuid, &first.channel),
            event: event_type,
            // Not before the first part, in whatever order a backlog goes out.
            happened_at: event.settled_at().unwrap_or(now).max(event.ended_at),
            seen_at: now,
            group: first.group.as_ref().map(|group| group.of_ends(now)),
            ..Self::new(event, first.channel, first.rule, now)
        }
    }

    /// Whether the channel is told the end too. Who was not told the first part, and will not be, is not; neither is who
    /// was told both at once.
    pub fn may_be_followed(&self) -> bool {
        match self.state {
            State::Pending => true,
            State::Delivered { .. } => self.shared != Some(Shared::Settled),
            State::Dead { .. } | State::Withdrawn { .. } => false,
        }
    }

    /// The first part of the story of `event` for `channel`, as the rule at `rule` has decided at `now`: due at once.
    pub fn new(event: &Event, channel: String, rule: usize, now: Timestamp) -> Self {
        let event_type = event.kind.first_event();
        Self {
            id: DeliveryId::derive(&event.account, event_type, &event.uuid, &channel),
            event_id: event.id,
            event: event_type,
            channel,
            rule,
            happened_at: event.ended_at,
            seen_at: event.seen_at,
            created_at: now,
            due_at: now,
            attempts: 0,
            shared: None,
            digest_only: false,
            state: State::Pending,
            insisted: false,
            last_failure: None,
            memo: None,
            waits_since: None,
            paused_until: None,
            held_until: None,
            group: None,
        }
    }

    /// Since when it could be sent, when its rule had it wait: what is late, or given up, is counted from then.
    pub fn not_before(&self) -> Option<Timestamp> {
        self.held_until.max(self.group.as_ref().map(|group| group.until))
    }

    /// The id of the message that told it: its own, unless that told others too.
    pub fn message_id(&self) -> DeliveryId {
        self.group.as_ref().map_or(self.id, |group| group.message)
    }

    /// When it is due for a process that starts at `now`: never later than it was to wait when that was decided. A wall
    /// clock that has been set back since, as one that came up wrong is, would otherwise hide it for hours.
    ///
    /// An opening is a time on the wall: it stays when the clock was ahead, but not for longer than a day.
    pub fn due_after_restart(&self, now: Timestamp) -> Timestamp {
        let since = self.waits_since.unwrap_or(self.created_at);
        if self.held_until == Some(self.due_at) && since <= ahead(now, CLOCK_AHEAD) {
            return self.due_at;
        }
        let wait = Duration::try_from(self.due_at.duration_since(since)).unwrap_or_default();
        self.due_at.min(ahead(now, wait))
    }

    /// How much is left at `now` of the pause that its receiver has asked for; never more than that was, whatever the wall
    /// clock has done since.
    pub fn pause_left(&self, now: Timestamp) -> Option<Duration> {
        let (until, since) = (self.paused_until?, self.waits_since.unwrap_or(self.created_at));
        let from = |at| Duration::try_from(until.duration_since(at)).unwrap_or_default();
        Some(from(now).min(from(since)))
    }
}

/// What a message that tells many (a digest) has said of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shared {
    /// That somebody must act.
    Open,
    /// Its end too: there is nothing to follow up.
    Settled,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// To be tried at `due_at`.
    Pending,
    /// The receiver took it.
    Delivered {
        /// When it said so.
        at: Timestamp,
    },
    /// Will not be tried again unless a person says so.
    Dead {
        /// When it was given up.
        at: Timestamp,
    },
    /// Its reason went away before the receiver had taken it.
    Withdrawn {
        /// When that was noticed.
        at: Timestamp,
    },
}

/// The three outcomes of an attempt. Classified where the status code or reply is still in hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// Not now: again later, not sooner than `wait` when the receiver named one.
    RetryAfter {
        /// What went wrong.
        failure: Failure,
        /// The receiver's own floor for the wait (`Retry-After`).
        wait: Option<Duration>,
    },
    /// Never: the receiver refuses this message or this address for good.
    Permanent(Failure),
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of trouble it is; decides who is charged.
    pub kind: FailureKind,
    /// For people, masked, at most [`Failure::MAX_TEXT`] bytes.
    pub text: String,
}

impl Failure {
    /// Keeps a stored row well under the store's limit for one value.
    pub const MAX_TEXT: usize = 300;

    /// Shortens the text to what a row may hold.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > Self::MAX_TEXT {
            let end = text.floor_char_boundary(Self::MAX_TEXT - '…'.len_utf8());
            text.truncate(end);
            text.push('…');
        }
        Self { kind, text }
    }
}

/// What kind of trouble a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No answer in time.
    Timeout,
    /// Refused, reset, unresolvable: nothing that speaks our protocol was there.
    Unreachable,
    /// The certificate or the handshake.
    Tls,
    /// The receiver asked for fewer requests: the channel pauses, the delivery is not charged.
    RateLimited,
    /// The receiver does not accept our credentials: the channel pauses, a person must act.
    Unauthorized,
    /// The receiver is there and has trouble of its own.
    Receiver,
    /// The receiver refuses this message, for good or for some of those whom it is for; it works otherwise.
    Rejected,
    /// Ours: the message could not be made or the channel is not there.
    Internal,
}

impl FailureKind {
    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Receiver => "receiver",
            Self::Rejected => "rejected",
            Self::Internal => "internal",
        }
    }

    /// Whether it is the receiver as a whole that cannot take messages now, and not this one that is at fault.
    pub fn is_trouble(self) -> bool {
        matches!(self, Self::Timeout | Self::Unreachable | Self::Tls | Self::Receiver)
    }

    /// Whether the channel's wait is the receiver's word, which a restart does not take back. Refused credentials may be
    /// mended by one.
    pub fn outlives_a_restart(self) -> bool {
        self == Self::RateLimited
    }

    /// Whether the whole channel waits rather than this delivery, which then costs it no attempt.
    pub fn pauses_channel(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unauthorized)
    }
}

/// A due delivery in the hands of one worker, with what it is about. Settled or released, never dropped:
/// a dropped claim comes back when its lease ends.
#[derive(Debug)]
pub struct Claim {
    /// Names the lease: a settle under an older one is too late, and changes nothing.
    pub lease: u64,
    /// The row as it was claimed.
    pub delivery: Delivery,
    /// The event as it is known now, shared with whoever else knows it.
    pub event: Arc<Event>,
}

/// A claim's new row, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The lease under which the claim was held.
    pub lease: u64,
    /// The row that replaces the claimed one.
    pub delivery: Delivery,
}

/// What an attempt makes of a delivery. `draw` is uniform in 0..1 and jitters the wait.
pub fn settle(claim: Claim, outcome: Outcome, now: Timestamp, policy: &retry::Policy, draw: f64) -> Settled {
    let failures = claim.delivery.attempts + 1;
    settle_after(failures, claim, outcome, now, policy, draw)
}

/// What the attempt of a digest makes of its deliveries. They wait for the same time, that of the one that has been tried
/// most often, and so are told together again.
pub fn settle_together(
    claims: Vec<Claim>,
    outcome: &Outcome,
    now: Timestamp,
    policy: &retry::Policy,
    draw: f64,
) -> Vec<Settled> {
    let failures = claims.iter().map(|claim| claim.delivery.attempts + 1).max().unwrap_or(1);
    let settle = |claim| settle_after(failures, claim, outcome.clone(), now, policy, draw);
    claims.into_iter().map(settle).collect()
}

/// `failures` are those that the wait is for.
fn settle_after(
    failures: u32,
    claim: Claim,
    outcome: Outcome,
    now: Timestamp,
    policy: &retry::Policy,
    draw: f64,
) -> Settled {
    let mut delivery = claim.delivery;
    (delivery.waits_since, delivery.paused_until) = (Some(now), None);
    match outcome {
        Outcome::Delivered => {
            delivery.attempts += 1;
            delivery.state = State::Delivered { at: now };
            delivery.last_failure = None;
        }
        Outcome::Permanent(failure) => {
            delivery.attempts += 1;
            delivery.state = State::Dead { at: now };
            delivery.last_failure = Some(failure);
        }
        Outcome::RetryAfter { failure, wait } => {
            // Not of the time that a weekend takes, nor of one that only some of a group have.
            let began = delivery.not_before().map_or(delivery.created_at, |at| at.max(delivery.created_at));
            let deadline = ahead(began, policy.give_up_after);
            if failure.kind.pauses_channel() {
                // The channel waits, see `pause`; the delivery keeps its turn and is not charged.
                delivery.due_at = now;
            } else {
                delivery.attempts += 1;
                let wait = policy.wait(failures, draw).max(asked(wait));
                // The last try falls on the deadline itself, not short of it.
                delivery.due_at = ahead(now, wait).min(deadline.max(now));
            }
            if now >= deadline {
                delivery.state = State::Dead { at: now };
            }
            delivery.last_failure = Some(failure);
        }
    }
    Settled { lease: claim.lease, delivery }
}

/// The wait that a receiver asks for, within reason.
pub fn asked(wait: Option<Duration>) -> Duration {
    wait.unwrap_or_default().min(LONGEST_WAIT)
}

/// Why nobody needs to be told of a claimed delivery any more, when that is so.
pub fn settled_by(claim: &Claim) -> Option<Closed> {
    let Standing::Closed { by, .. } = claim.event.standing else { return None };
    claim.event.is_settled().then_some(by)
}

/// What a claimed follow-up is to do, by what has become of the `first` part of its story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is told.
    Go,
    /// The first part may be on its way: it is looked at again at that time.
    Wait(Timestamp),
    /// There is nothing to follow up.
    Withdraw,
}

/// How soon a follow-up is looked at again whose first part is not settled yet.
const SOON: Duration = Duration::from_secs(5);

/// How much later it may be looked at when the first part waits for long.
const LATER: Duration = Duration::from_secs(60);

/// Whether it is the turn of a follow-up, of an event that has come to its end, on a channel whose `first` delivery of
/// that event stands like this; `None` when there is no such delivery any more.
pub fn turn(event: &Event, first: Option<&Delivery>, now: Timestamp) -> Turn {
    let Some(first) = first.filter(|_| event.settled_by().is_some()) else { return Turn::Withdraw };
    match (first.state, first.shared) {
        (State::Delivered { .. }, None | Some(Shared::Open)) => Turn::Go,
        // It is under way, or will be withdrawn when it is due.
        (State::Pending, _) => after(first, now),
        (State::Delivered { .. }, Some(Shared::Settled)) | (State::Dead { .. } | State::Withdrawn { .. }, _) => {
            Turn::Withdraw
        }
    }
}

/// When to look again at what waits for a pending delivery of the same matter.
pub fn after(first: &Delivery, now: Timestamp) -> Turn {
    Turn::Wait(first.due_at.max(ahead(now, SOON)).min(ahead(now, LATER)))
}

/// How long an event had been waiting for somebody when it was decided to tell so; `None` of what tells anything else.
pub fn waited(claim: &Claim) -> Option<Duration> {
    let Claim { delivery, event, .. } = claim;
    let waited = || Duration::try_from(delivery.happened_at.duration_since(event.ended_at)).unwrap_or_default();
    delivery.event.is_escalation().then(waited)
}

/// Puts a claimed delivery off, which costs it no attempt.
pub fn put_off(claim: Claim, until: Timestamp, now: Timestamp) -> Settled {
    let mut delivery = claim.delivery;
    (delivery.due_at, delivery.waits_since) = (until, Some(now));
    Settled { lease: claim.lease, delivery }
}

/// The shortest pause of a channel.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// How long the whole channel waits after `failure`, when it does. `streak` counts such failures in a row, from 1.
pub fn pause(failure: &Failure, wait: Option<Duration>, streak: u32) -> Option<Duration> {
    match failure.kind {
        FailureKind::RateLimited => Some(match wait {
            Some(wait) if wait >= SHORTEST_PAUSE => wait.min(LONGEST_WAIT),
            // "At once", or a time that is past: taken at its word it would be asked thousands of times a second.
            Some(_) => SHORTEST_PAUSE * 2_u32.pow(streak.clamp(1, 6) - 1),
            None => Duration::from_secs(30),
        }),
        // A person must act; until then one try now and then shows whether they have.
        FailureKind::Unauthorized => Some(Duration::from_secs(60) * 2_u32.pow(streak.clamp(1, 6) - 1)),
        _ => None,
    }
}

/// Takes a delivery out of the queue because its reason went away before it was taken by its receiver.
pub fn withdraw(claim: Claim, now: Timestamp) -> Settled {
    let mut delivery = claim.delivery;
    delivery.state = State::Withdrawn { at: now };
    Settled { lease: claim.lease, delivery }
}

#[cfg(test)]
mod tests;
