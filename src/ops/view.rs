//! Deliveries and events as an operator sees them, here and in JSON: people masked unless they are to be revealed. Pure.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Closed, DeliveryId, Event, EventId, EventType, Kind, Quiet, Standing};
use crate::outbox::{Delivery, State};
use crate::private::{Mask, PersonName, PhoneNumber, mask_digits};

/// Where a delivery stands, without when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateName {
    /// To be tried.
    Pending,
    /// Will not be tried again unless a person says so.
    Dead,
    /// Its reason went away before it was sent.
    Withdrawn,
    /// The receiver took it.
    Delivered,
}

impl StateName {
    const ALL: [Self; 4] = [Self::Pending, Self::Dead, Self::Withdrawn, Self::Delivered];

    /// The name of a state.
    pub fn of(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Delivered { .. } => Self::Delivered,
            State::Dead { .. } => Self::Dead,
            State::Withdrawn { .. } => Self::Withdrawn,
        }
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StateName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown state `{text}`; there are pending, delivered, dead and withdrawn");
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(unknown)
    }
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// Its id.
    pub id: DeliveryId,
    /// What is told.
    pub event_id: EventId,
    /// As which event.
    pub event: EventType,
    /// The account of the event, while that is remembered; so are uuid and caller.
    pub account: Option<String>,
    /// The PBX's id of the call.
    pub uuid: Option<String>,
    /// Who is told.
    pub channel: String,
    /// Where it stands.
    pub state: StateName,
    /// Its channel is not configured, or not enabled: it is sent when it is again.
    pub parked: bool,
    /// Tries that the receiver was charged with.
    pub attempts: u32,
    /// When it was decided, or revived.
    pub created_at: Timestamp,
    /// When it is tried next; `None` when it is not.
    pub due_at: Option<Timestamp>,
    /// When it is tried next because its schedule opens then: until then it is held back.
    pub held_until: Option<Timestamp>,
    /// When it was delivered, given up or withdrawn.
    pub at: Option<Timestamp>,
    /// When the call ended.
    pub happened_at: Timestamp,
    /// Who called.
    pub caller: Party,
    /// The last failure.
    pub reason: Option<Reason>,
    /// What else its channel says of it: whom a mail did not reach. Lines.
    pub note: Option<String>,
    /// The rule that decided it: its position in `routes`, from 0.
    pub rule: usize,
}

/// Somebody with a number and a name; without a number it was withheld, or is not known any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// As the PBX wrote it.
    pub number: Option<String>,
    /// As people write it.
    pub display: Option<String>,
    /// As the PBX knows it.
    pub name: Option<String>,
}

/// Why the last attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What kind of trouble it was.
    pub kind: String,
    /// In words.
    pub text: String,
}

/// One call or voicemail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// Its id.
    pub id: EventId,
    /// As what it is first told.
    pub r#type: EventType,
    /// The account's name.
    pub account: String,
    /// `call` or `voicemail`.
    pub kind: Kind,
    /// The PBX's id of the call.
    pub uuid: String,
    /// Who called.
    pub caller: Party,
    /// What they called.
    pub called: CalledParty,
    /// When the call began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// When ringback first saw it.
    pub seen_at: Timestamp,
    /// How far its story has come, in plain words.
    pub standing: String,
    /// Since when, where that is known.
    pub at: Option<Timestamp>,
    /// Whether somebody still has to act.
    pub open: bool,
    /// What a person wrote when they closed it.
    pub note: Option<String>,
    /// The rules that decided who is told, by their positions in `routes`, from 0; empty when none matched.
    pub rules: Vec<usize>,
    /// Who was, or is to be, told.
    pub deliveries: Vec<Told>,
    /// Who is told later if it is still open then, earliest first.
    pub steps: Vec<NextStep>,
}

/// A step of an escalation that has not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    /// When it is due.
    pub at: Timestamp,
    /// Who is told then.
    pub channel: String,
    /// The position of the rule that says so.
    pub rule: usize,
}

/// What was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalledParty {
    /// The public number, and the name of the extension.
    #[serde(flatten)]
    pub party: Party,
    /// The extension that rang, or whose mailbox it is.
    pub extension: Option<String>,
    /// Number or name of the queue.
    pub queue: Option<String>,
    /// The name of the queue.
    #[serde(default)]
    pub queue_name: Option<String>,
}

/// One delivery of an event, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its id.
    pub id: DeliveryId,
    /// As what.
    pub event: EventType,
    /// Who is told.
    pub channel: String,
    /// Where it stands.
    pub state: StateName,
}

impl Told {
    pub(super) fn of(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id,
            event: delivery.event,
            channel: delivery.channel.clone(),
            state: StateName::of(delivery.state),
        }
    }
}

impl DeliveryView {
    pub(super) fn of(row: &Delivery, event: Option<&Event>, channels: &HashSet<String>, reveal: bool) -> Self {
        let mask = event.filter(|_| !reveal).map(people).unwrap_or_default();
        let (due_at, at) = match row.state {
            State::Pending => (Some(row.due_at), None),
            State::Delivered { at } | State::Dead { at } | State::Withdrawn { at } => (None, Some(at)),
        };
        Self {
            id: row.id,
            event_id: row.event_id,
            event: row.event,
            account: event.map(|event| event.account.clone()),
            uuid: event.map(|event| event.uuid.clone()),
            channel: row.channel.clone(),
            state: StateName::of(row.state),
            parked: !channels.contains(&row.channel),
            attempts: row.attempts,
            created_at: row.created_at,
            due_at,
            held_until: row.held_until.filter(|until| due_at == Some(*until)),
            at,
            happened_at: row.happened_at,
            caller: event.map(|event| caller(event, reveal)).unwrap_or_default(),
            reason: row
                .last_failure
                .as_ref()
                .map(|failure| Reason { kind: failure.kind.as_str().to_owned(), text: mask.apply(&failure.text) }),
            // The first line of a memo is for the channel.
            note: row.memo.as_deref().and_then(|memo| memo.split_once('\n')).map(|(_, words)| mask.apply(words)),
            rule: row.rule,
        }
    }
}

impl EventView {
    pub(super) fn of(event: &Event, mut deliveries: Vec<Told>, reveal: bool) -> Self {
        let mask = if reveal { Mask::default() } else { people(event) };
        // In the order of the story, which is not that of time: what is due together is told in any.
        let place = |event: EventType| (event.is_follow_up(), event.is_escalation());
        deliveries.sort_by(|a, b| (place(a.event), &a.channel).cmp(&(place(b.event), &b.channel)));
        let at = match event.standing {
            Standing::Announced { at } | Standing::Closed { at, .. } => Some(at),
            Standing::Waiting | Standing::Quiet { .. } => None,
        };
        Self {
            id: event.id,
            r#type: event.kind.first_event(),
            account: event.account.clone(),
            kind: event.kind,
            uuid: event.uuid.clone(),
            caller: caller(event, reveal),
            called: CalledParty {
                party: party(event.called.number.as_ref(), event.called.name.as_ref(), reveal),
                extension: event.called.extension.clone(),
                queue: event.called.queue.clone(),
                queue_name: event.called.queue_name.as_ref().map(|name| shown(name, reveal)),
            },
            started_at: event.started_at,
            ended_at: event.ended_at,
            seen_at: event.seen_at,
            standing: standing(event.standing).to_owned(),
            at,
            open: event.is_open(),
            note: event.note.as_ref().map(|note| mask.apply(note)),
            rules: event.rules.clone(),
            deliveries,
            steps: event
                .steps
                .iter()
                .map(|step| NextStep { at: step.at, channel: step.channel.clone(), rule: step.rule })
                .collect(),
        }
    }
}

/// How far a story has come, in plain words.
pub(super) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Waiting => "waiting",
        Standing::Announced { .. } => "announced",
        Standing::Closed { by, .. } => match by {
            Closed::Returned => "returned",
            Closed::CallerReached => "caller reached later",
            Closed::Answered => "answered",
            Closed::Heard => "heard",
            Closed::Voicemail => "told as a voicemail",
            Closed::Expired => "not watched any more",
            Closed::ByHand => "closed by hand",
        },
        Standing::Quiet { why } => match why {
            Quiet::FirstRun => "remembered: older than the first start",
            Quiet::MaxAge => "remembered: too old when first seen",
            Quiet::MinWait => "remembered: the caller hung up at once",
            Quiet::Muted => "remembered: muted by its route",
            Quiet::Unrouted => "remembered: no route matches",
        },
    }
}

fn caller(event: &Event, reveal: bool) -> Party {
    party(event.caller.number.as_ref(), event.caller.name.as_ref(), reveal)
}

fn party(number: Option<&PhoneNumber>, name: Option<&PersonName>, reveal: bool) -> Party {
    let form = |text: &str| if reveal { text.to_owned() } else { mask_digits(text) };
    Party {
        number: number.map(|number| form(&number.expose().raw)),
        display: number.map(|number| form(&number.expose().display)),
        name: name.map(|name| shown(name, reveal)),
    }
}

fn shown(name: &PersonName, reveal: bool) -> String {
    if reveal { name.expose().to_owned() } else { name.to_string() }
}

/// Shorter ones are in too many words and numbers that say nothing of a person.
const SHORTEST: usize = 3;

/// Hides the people of an event in texts that others wrote: receivers echo what they were sent.
fn people(event: &Event) -> Mask {
    let numbers = [&event.caller.number, &event.called.number].into_iter().flatten().map(PhoneNumber::expose);
    let numbers = numbers.flat_map(|digits| [Some(&digits.raw), digits.e164.as_ref(), Some(&digits.display)]);
    let names = [&event.caller.name, &event.called.name, &event.called.queue_name]
        .into_iter()
        .flatten()
        .map(PersonName::expose);
    let texts = numbers.flatten().map(String::as_str).chain(names);
    Mask::of(texts.filter(|text| text.chars().count() >= SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Failure, FailureKind};
    use crate::render::samples;

    fn delivery(event: &Event) -> Delivery {
        let at = event.ended_at;
        let failure = Failure::new(FailureKind::Rejected, "HTTP 410: no Mehmet Yılmaz at 0312 123 45 67, 03121234567");
        Delivery {
            id: DeliveryId::derive("main", EventType::CallMissed, "u1", "crm"),
            event_id: event.id,
            event: EventType::CallMissed,
            channel: "crm".to_owned(),
            rule: 1,
            happened_at: at,
            seen_at: at,
            created_at: at,
            due_at: at,
            attempts: 2,
            shared: None,
            digest_only: false,
            state: State::Dead { at },
            insisted: false,
            last_failure: Some(failure),
            memo: None,
            waits_since: None,
            paused_until: None,
            held_until: None,
            group: None,
        }
    }

    fn event() -> Event {
        let mut event = samples::event(EventType::CallMissed, "2026-11-22T05:08:29Z".parse().unwrap());
        event.note = Some("Mehmet Yılmaz called 03121234567".to_owned());
        event
    }

    #[test]
    fn people_are_masked_everywhere_unless_they_are_to_be_revealed() {
        let event = event();
        let channels = HashSet::new();
        let show = |reveal| {
            let delivery = DeliveryView::of(&delivery(&event), Some(&event), &channels, reveal);
            serde_json::to_string(&(delivery, EventView::of(&event, Vec::new(), reveal))).unwrap()
        };
        let people = ["Yılmaz", "03121234567", "0312 123 45 67", "902129876543", "0212 987 65 43"];
        let (masked, revealed) = (show(false), show(true));
        for person in people {
            assert!(!masked.contains(person), "{person}: {masked}");
            assert!(revealed.contains(person), "{person}: {revealed}");
        }
        assert!(masked.contains("0312 *** ** 67") && masked.contains("M***"), "{masked}");
        assert!(masked.contains("HTTP 410: no *** at ***, ***"), "{masked}");
    }

    #[test]
    fn every_key_of_a_delivery_is_always_there() {
        let row = delivery(&event());
        let view = DeliveryView::of(&Delivery { last_failure: None, ..row }, None, &["crm".to_owned()].into(), false);
        let json = serde_json::to_value(&view).unwrap();
        let null: Vec<&str> =
            json.as_object().unwrap().iter().filter(|(_, v)| v.is_null()).map(|(k, _)| &**k).collect();
        assert_eq!(null, ["account", "due_at", "held_until", "note", "reason", "uuid"]);
        assert_eq!(json.as_object().unwrap().len(), 18);
        assert_eq!(json["caller"], serde_json::json!({"number": null, "display": null, "name": null}));
        assert_eq!((&json["parked"], &json["state"]), (&false.into(), &"dead".into()));
        assert_eq!(serde_json::from_value::<DeliveryView>(json).unwrap(), view, "the command line reads it back");
    }

    #[test]
    fn a_delivery_is_held_until_its_opening_and_not_when_it_waits_for_anything_else() {
        let opening: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
        let held = |due_at, state| {
            let row = Delivery { held_until: Some(opening), due_at, state, ..delivery(&event()) };
            DeliveryView::of(&row, None, &HashSet::new(), false).held_until
        };
        assert_eq!(held(opening, State::Pending), Some(opening));
        assert_eq!(held(opening + jiff::SignedDuration::from_secs(5), State::Pending), None, "a retry");
        assert_eq!(held(opening, State::Dead { at: opening }), None);
    }

    #[test]
    fn a_state_reads_back_as_it_is_written() {
        for state in StateName::ALL {
            assert_eq!(state.to_string().parse(), Ok(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert!("gone".parse::<StateName>().unwrap_err().contains("pending, delivered, dead and withdrawn"));
    }
}
