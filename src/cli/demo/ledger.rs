//! What was to be told, and what was: the books of the demo, which decide its exit code.

use std::collections::{BTreeMap, HashMap};

use super::world::ACCOUNT;
use crate::event::{DeliveryId, EventType};

/// A receiver of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Place {
    Mail,
    Slack,
    Webhook,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Mail, Self::Slack, Self::Webhook];

    /// For people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Mail => "Mail",
            Self::Slack => "Slack",
            Self::Webhook => "Webhook",
        }
    }

    /// The channel's name in the configuration.
    fn channel(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Slack => "slack",
            Self::Webhook => "crm",
        }
    }
}

/// One thing that the PBX lists, and what is to become of it.
#[derive(Debug, Clone)]
pub(super) struct Matter {
    /// As what it would be told.
    pub(super) event: EventType,
    pub(super) uuid: String,
    /// The number as Slack's messages have it.
    pub(super) caller: String,
    pub(super) fate: Fate,
}

/// Who is to be told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Told(&'static [Place]),
    /// All of these or nobody, as a visitor likes.
    Perhaps(&'static [Place]),
    /// Nobody, for this reason.
    Quiet(&'static str),
}

/// Everything that was to be told, with how often it was.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    /// The entry of each delivery.
    deliveries: HashMap<String, usize>,
    /// Requests for each `webhook-id`.
    attempts: HashMap<String, u32>,
    /// What nobody was to be told, and what came a second time.
    surplus: Vec<String>,
    /// Links of mails that gave audio.
    played: usize,
}

struct Entry {
    matter: Matter,
    told: [u32; Place::ALL.len()],
}

impl Ledger {
    /// Notes what is to be told, before it can be. What has been noted before stays as it was noted.
    pub(super) fn expect(&mut self, matter: Matter) {
        if self.of(matter.event, &matter.uuid).is_some() {
            return;
        }
        for place in Place::ALL {
            let id = DeliveryId::derive(ACCOUNT, matter.event, &matter.uuid, place.channel()).to_string();
            self.deliveries.insert(id, self.entries.len());
        }
        self.entries.push(Entry { matter, told: [0; Place::ALL.len()] });
    }

    /// A mail has come; its Message-ID begins with the delivery's id.
    pub(super) fn mail(&mut self, message_id: &str) {
        let id = message_id.trim_start_matches('<').split('@').next().unwrap_or_default();
        self.delivered(Place::Mail, id);
    }

    /// A request to the webhook; returns how many there have been with its id.
    pub(super) fn webhook(&mut self, id: &str, accepted: bool) -> u32 {
        if accepted {
            self.delivered(Place::Webhook, id);
        }
        let attempts = self.attempts.entry(id.to_owned()).or_default();
        *attempts += 1;
        *attempts
    }

    /// A message that Slack has taken. It carries no id: its title has to do, which names the event and the number.
    pub(super) fn slack(&mut self, title: &str) {
        let about = |entry: &Entry| {
            let words = match entry.matter.event {
                EventType::CallMissed => "Missed call: ",
                EventType::CallUnreturned => "Still not called back: ",
                EventType::CallReturned => "Called back: ",
                EventType::VoicemailNew => "New voicemail: ",
                EventType::VoicemailUnheard => "Still not heard: ",
                EventType::VoicemailHeard => "Voicemail heard: ",
            };
            // A follow-up is short: its title ends in the time.
            let end = |who: &str| match who.rsplit_once(" (") {
                Some((who, _)) if entry.matter.event.is_follow_up() => who.ends_with(&entry.matter.caller),
                _ => who.ends_with(&entry.matter.caller),
            };
            title.strip_prefix(words).is_some_and(end)
        };
        // Withheld callers look alike: the one that has not been told of comes first.
        let open = |entry: &Entry| Self::wanted(entry, Place::Slack) && entry.told[Place::Slack as usize] == 0;
        let found = (0..self.entries.len()).rev().find(|n| open(&self.entries[*n]) && about(&self.entries[*n]));
        self.tell(Place::Slack, found, title);
    }

    /// Whether everybody has been told who was to be; `None` when there is no such matter.
    pub(super) fn is_told(&self, event: EventType, uuid: &str) -> Option<bool> {
        self.of(event, uuid).map(|entry| Self::missing_at(entry).next().is_none())
    }

    /// What has not been told, and how it is about its call: event and uuid.
    pub(super) fn untold(&self) -> Vec<(EventType, String)> {
        let missing = |entry: &&Entry| Self::missing_at(entry).next().is_some();
        let entries = self.entries.iter().filter(missing);
        entries.map(|entry| (entry.matter.event, entry.matter.uuid.clone())).collect()
    }

    /// Nobody has to be told any more, for this reason.
    pub(super) fn excuse(&mut self, event: EventType, uuid: &str, why: &'static str) {
        let entry = self.entries.iter_mut().find(|entry| entry.matter.event == event && entry.matter.uuid == uuid);
        if let Some(entry) = entry {
            entry.matter.fate = Fate::Quiet(why);
        }
    }

    fn of(&self, event: EventType, uuid: &str) -> Option<&Entry> {
        // The newest first: those are asked for.
        self.entries.iter().rev().find(|entry| entry.matter.event == event && entry.matter.uuid == uuid)
    }

    /// Somebody has followed the link of a message.
    pub(super) fn pressed_play(&mut self, sounded: bool) {
        self.played += usize::from(sounded);
    }

    /// Whether everything that was to be told has been.
    pub(super) fn is_complete(&self) -> bool {
        self.missing().next().is_none()
    }

    /// How many messages were to be told at `place` and have been.
    pub(super) fn told(&self, place: Place) -> u32 {
        self.entries.iter().filter(|entry| Self::wanted(entry, place)).map(|entry| entry.told[place as usize]).sum()
    }

    /// How many calls and voicemails the PBX has listed.
    pub(super) fn happened(&self) -> (usize, usize) {
        let count = |event| self.entries.iter().filter(|entry| entry.matter.event == event).count();
        (count(EventType::CallMissed), count(EventType::VoicemailNew))
    }

    /// How many matters somebody was to be told of.
    pub(super) fn to_tell(&self) -> usize {
        let told = self.entries.iter().filter(|entry| matches!(entry.matter.fate, Fate::Told(_)));
        told.filter(|entry| !entry.matter.event.is_follow_up()).count()
    }

    /// Of how many it was to be told how they ended.
    pub(super) fn to_follow_up(&self) -> usize {
        let told = |entry: &&Entry| match entry.matter.fate {
            Fate::Told(_) => true,
            Fate::Perhaps(_) => entry.told.iter().any(|times| *times > 0),
            Fate::Quiet(_) => false,
        };
        self.entries.iter().filter(|entry| entry.matter.event.is_follow_up()).filter(told).count()
    }

    /// Deliveries to the webhook that took more than one request, and the requests that failed.
    pub(super) fn recovered(&self) -> (usize, u32) {
        let failed = self.attempts.values().filter(|attempts| **attempts > 1);
        (failed.clone().count(), failed.map(|attempts| attempts - 1).sum())
    }

    /// Why nobody was told, and how often.
    pub(super) fn quiet(&self) -> BTreeMap<&'static str, usize> {
        let mut quiet = BTreeMap::new();
        for entry in &self.entries {
            if let Fate::Quiet(why) = entry.matter.fate {
                *quiet.entry(why).or_default() += 1;
            }
        }
        quiet
    }

    /// Links that played.
    pub(super) fn played(&self) -> usize {
        self.played
    }

    /// What is not as it should be; empty when all is well.
    pub(super) fn problems(&self) -> Vec<String> {
        let missing = self.missing().map(|(matter, place)| {
            format!("{} of {} was not told on {}", matter.event, matter.caller, place.channel())
        });
        let mut problems: Vec<String> = missing.chain(self.surplus.iter().cloned()).collect();
        let told = |entry: &&Entry| entry.told[Place::Mail as usize] > 0;
        let voicemails = self.entries.iter().filter(|entry| entry.matter.event == EventType::VoicemailNew);
        let voicemails = voicemails.filter(told).count();
        if self.played < voicemails {
            problems.push(format!("of {voicemails} voicemails in mails only {} could be played", self.played));
        }
        problems
    }

    fn missing(&self) -> impl Iterator<Item = (&Matter, Place)> {
        self.entries.iter().flat_map(|entry| Self::missing_at(entry).map(|place| (&entry.matter, place)))
    }

    fn missing_at(entry: &Entry) -> impl Iterator<Item = Place> {
        let begun = !matches!(entry.matter.fate, Fate::Perhaps(_)) || entry.told.iter().any(|times| *times > 0);
        let untold = move |place: &Place| begun && Self::wanted(entry, *place) && entry.told[*place as usize] == 0;
        Place::ALL.into_iter().filter(untold)
    }

    fn delivered(&mut self, place: Place, id: &str) {
        self.tell(place, self.deliveries.get(id).copied(), id);
    }

    fn tell(&mut self, place: Place, entry: Option<usize>, what: &str) {
        let Some(entry) = entry.and_then(|n| self.entries.get_mut(n)).filter(|entry| Self::wanted(entry, place)) else {
            self.surplus
                .push(format!("{} was told of something that it should not have been: {what}", place.channel()));
            return;
        };
        entry.told[place as usize] += 1;
        if entry.told[place as usize] > 1 {
            let matter = &entry.matter;
            self.surplus.push(format!("{} of {} was told twice on {}", matter.event, matter.caller, place.channel()));
        }
    }

    fn wanted(entry: &Entry, place: Place) -> bool {
        matches!(entry.matter.fate, Fate::Told(places) | Fate::Perhaps(places) if places.contains(&place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: EventType = EventType::CallMissed;

    fn ledger(fate: Fate) -> Ledger {
        let mut ledger = Ledger::default();
        for uuid in ["a", "b"] {
            ledger.expect(Matter { event: EVENT, uuid: uuid.to_owned(), caller: "Withheld number".to_owned(), fate });
        }
        ledger
    }

    fn id(uuid: &str, channel: &str) -> String {
        DeliveryId::derive(ACCOUNT, EVENT, uuid, channel).to_string()
    }

    #[test]
    fn all_is_well_when_everything_was_told_exactly_once() {
        let mut ledger = ledger(Fate::Told(&Place::ALL));
        for uuid in ["a", "b"] {
            ledger.mail(&format!("<{}@ofis.example>", id(uuid, "mail")));
            ledger.slack("Missed call: Withheld number");
            assert_eq!(ledger.webhook(&id(uuid, "crm"), false), 1);
            assert!(!ledger.is_complete());
            assert_eq!(ledger.webhook(&id(uuid, "crm"), true), 2);
        }
        assert!(ledger.is_complete());
        assert_eq!(ledger.problems(), Vec::<String>::new());
        assert_eq!(ledger.recovered(), (2, 2));
        assert_eq!(ledger.told(Place::Slack), 2);
    }

    #[test]
    fn what_is_missing_or_comes_twice_or_should_not_have_come_is_a_problem() {
        let mut told = ledger(Fate::Told(&[Place::Slack]));
        assert_eq!(told.problems().len(), 2);
        for _ in 0..3 {
            told.slack("Missed call: Withheld number");
        }
        assert_eq!(told.problems().len(), 1, "the third message is one too many");
        told.webhook(&id("a", "crm"), true);
        assert_eq!(told.problems().len(), 2, "not to be told there");

        let mut quiet = ledger(Fate::Quiet("answered"));
        assert_eq!((quiet.problems().len(), quiet.quiet()["answered"]), (0, 2));
        quiet.mail(&id("a", "mail"));
        quiet.slack("Missed call: Withheld number");
        assert_eq!(quiet.problems().len(), 2);
    }

    #[test]
    fn what_a_visitor_may_do_is_told_to_all_or_to_nobody() {
        let mut ledger = ledger(Fate::Perhaps(&[Place::Slack, Place::Webhook]));
        assert!(ledger.is_complete());
        ledger.slack("Missed call: Withheld number");
        assert_eq!(ledger.problems().len(), 1, "and not the other one");
        let [(event, uuid)] = &ledger.untold()[..] else { panic!("{:?}", ledger.untold()) };
        assert_eq!(ledger.is_told(*event, uuid), Some(false));
        ledger.webhook(&id(uuid, "crm"), true);
        assert!(ledger.is_complete());
        ledger.mail(&id(uuid, "mail"));
        assert_eq!(ledger.problems().len(), 1, "mail was not to be told");
    }

    #[test]
    fn what_somebody_has_closed_by_hand_need_not_be_told() {
        let mut ledger = ledger(Fate::Told(&[Place::Mail]));
        for uuid in ["a", "b"] {
            assert_eq!(ledger.is_told(EVENT, uuid), Some(false));
            ledger.excuse(EVENT, uuid, "closed by hand");
            assert_eq!(ledger.is_told(EVENT, uuid), Some(true));
        }
        assert!(ledger.is_complete());
        assert_eq!(ledger.is_told(EventType::VoicemailNew, "a"), None);
    }

    #[test]
    fn a_voicemail_whose_link_does_not_play_is_a_problem() {
        let mut ledger = Ledger::default();
        let event = EventType::VoicemailNew;
        let fate = Fate::Told(&[Place::Mail]);
        ledger.expect(Matter { event, uuid: "v".to_owned(), caller: "0312 123 45 67".to_owned(), fate });
        ledger.mail(&format!("<{}@x>", DeliveryId::derive(ACCOUNT, event, "v", "mail")));
        ledger.pressed_play(false);
        assert_eq!(ledger.problems().len(), 1);
        ledger.pressed_play(true);
        assert!(ledger.problems().is_empty());
    }
}
