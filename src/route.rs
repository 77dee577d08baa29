//! Who is told: the rules of the configuration, applied to one event. Pure.

use std::cell::RefCell;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::{Route, When};
use crate::cursor::ahead;
use crate::event::{Event, EventType, Step};
use crate::number::Pattern;
use crate::private::PhoneNumber;
use crate::schedule::Schedules;

/// The rules in their order.
#[derive(Debug, Clone)]
pub struct Router {
    rules: Vec<Rule>,
    schedules: Schedules,
}

/// A rule, and its patterns ready to be compared with.
#[derive(Debug, Clone)]
struct Rule {
    route: Route,
    number: Vec<Pattern>,
    caller: Vec<Pattern>,
}

/// What the rules say of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Tell these channels: each once, with the position of the rule that named it first.
    Notify(Vec<(String, usize)>),
    /// A rule says that nobody is told.
    Muted(usize),
    /// No rule matched.
    Unrouted,
}

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The account's name.
    pub account: &'a str,
    /// The type of event.
    pub event: EventType,
    /// The queue or ring group.
    pub queue: Option<&'a str>,
    /// The extension.
    pub extension: Option<&'a str>,
    /// The number that was called.
    pub number: Option<&'a PhoneNumber>,
    /// The caller.
    pub caller: Option<&'a PhoneNumber>,
    /// Whether the caller hid their number.
    pub withheld: bool,
    /// When the call began.
    pub at: Timestamp,
}

impl<'a> Subject<'a> {
    /// What rules see of `event` when it is told as `event_type`.
    pub fn of(event: &'a Event, event_type: EventType) -> Self {
        Self {
            account: &event.account,
            event: event_type,
            queue: event.called.queue.as_deref(),
            extension: event.called.extension.as_deref(),
            number: event.called.number.as_ref(),
            caller: event.caller.number.as_ref(),
            withheld: event.caller.withheld(),
            at: event.started_at,
        }
    }
}

impl Router {
    /// Takes the rules in, and the schedules that they name.
    pub fn new(routes: Vec<Route>, schedules: Schedules) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        let rule =
            |route: Route| Rule { number: patterns(&route.when.number), caller: patterns(&route.when.caller), route };
        Self { rules: routes.into_iter().map(rule).collect(), schedules }
    }

    /// The first rule that matches decides, and further ones as long as those before say `continue`.
    pub fn decide(&self, subject: &Subject<'_>) -> Decision {
        self.decision(&self.matching(subject))
    }

    /// The positions of the rules that decide, in their order.
    pub fn matching(&self, subject: &Subject<'_>) -> Vec<usize> {
        let mut matching = Vec::new();
        let open = Open { schedules: &self.schedules, at: subject.at, known: RefCell::default() };
        for (position, rule) in self.rules.iter().enumerate() {
            if matches(rule, subject, &open) {
                matching.push(position);
                if !rule.route.r#continue {
                    break;
                }
            }
        }
        matching
    }

    /// What the rules at these positions, those of [`Router::matching`], say together.
    pub fn decision(&self, matching: &[usize]) -> Decision {
        let mut channels: Vec<(String, usize)> = Vec::new();
        let mut muted = None;
        for (position, rule) in self.at(matching) {
            if rule.route.mute {
                muted = muted.or(Some(position));
            }
            for channel in &rule.route.notify {
                if !channels.iter().any(|(known, _)| known == channel) {
                    channels.push((channel.clone(), position));
                }
            }
        }
        match (channels.is_empty(), muted) {
            (false, _) => Decision::Notify(channels),
            (true, Some(position)) => Decision::Muted(position),
            (true, None) => Decision::Unrouted,
        }
    }

    /// Until when a rule holds back what it tells `channel`, when that is decided at `at`: while its schedule is closed.
    /// A position that is not, or no more, of a rule for this channel holds nothing.
    pub fn held_until(&self, position: usize, channel: &str, at: Timestamp) -> Option<Timestamp> {
        let name = self.route_to(position, channel)?.hold.as_deref()?;
        self.schedules.get(name)?.opens(at).filter(|opens| *opens > at)
    }

    /// How long a rule has the calls of one caller gather before it tells `channel`, when it does.
    pub fn gathers(&self, position: usize, channel: &str) -> Option<Duration> {
        Some(self.route_to(position, channel)?.group?.wait())
    }

    /// Whether any rule has calls gather.
    pub fn groups(&self) -> bool {
        self.rules.iter().any(|rule| rule.route.group.is_some())
    }

    fn route_to(&self, position: usize, channel: &str) -> Option<&Route> {
        let route = &self.rules.get(position)?.route;
        route.notify.iter().any(|known| known == channel).then_some(route)
    }

    /// Who is told, by the rules at these positions, when an event that is announced at `now` stays open: earliest first,
    /// no channel twice at one moment. A step whose schedule does not open for long enough is left out.
    pub fn steps(&self, matching: &[usize], now: Timestamp) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for (rule, Rule { route, .. }) in self.at(matching) {
            for step in &route.escalate {
                let at = match &step.during {
                    None => Some(ahead(now, step.after)),
                    Some(name) => self.schedules.get(name).and_then(|schedule| schedule.after(now, step.after)),
                };
                let Some(at) = at else { continue };
                for channel in &step.notify {
                    if !steps.iter().any(|known| known.at == at && known.channel == *channel) {
                        steps.push(Step { at, channel: channel.clone(), rule, turn: 1 });
                    }
                }
            }
        }
        steps.sort_by_key(|step| step.at);
        for later in 1..steps.len() {
            let (before, rest) = steps.split_at_mut(later);
            let last = before.iter().rfind(|step| step.channel == rest[0].channel);
            rest[0].turn = last.map_or(1, |step| step.turn + 1);
        }
        steps
    }

    fn at<'r>(&'r self, matching: &'r [usize]) -> impl Iterator<Item = (usize, &'r Rule)> {
        matching.iter().filter_map(|position| Some((*position, self.rules.get(*position)?)))
    }
}

/// Which schedules are open at one moment: asked of each once, however many rules name it.
struct Open<'r> {
    schedules: &'r Schedules,
    at: Timestamp,
    known: RefCell<Vec<(&'r str, bool)>>,
}

impl<'r> Open<'r> {
    fn is(&self, name: &'r str) -> bool {
        let mut known = self.known.borrow_mut();
        if let Some((_, open)) = known.iter().find(|(known, _)| *known == name) {
            return *open;
        }
        let open = self.schedules.get(name).is_some_and(|schedule| schedule.is_open(self.at));
        known.push((name, open));
        open
    }
}

/// All keys must match; a list matches any of its items, an empty one everything.
fn matches<'r>(rule: &'r Rule, subject: &Subject<'_>, open: &Open<'r>) -> bool {
    let Rule { route: Route { when, .. }, number, caller } = rule;
    let When { account, event, queue, extension, number: _, caller: _, withheld, during, outside } = when;
    any(account, |account| account == subject.account)
        && any(event, |event| *event == subject.event)
        && any(queue, |queue| subject.queue == Some(queue))
        && any(extension, |extension| subject.extension == Some(extension))
        && any(number, |pattern| subject.number.is_some_and(|number| pattern.matches(number)))
        && any(caller, |pattern| subject.caller.is_some_and(|caller| pattern.matches(caller)))
        && withheld.is_none_or(|withheld| withheld == subject.withheld)
        && any(during, |name| open.is(name))
        && any(outside, |name| !open.is(name))
}

fn any<'i, T>(items: &'i [T], matches: impl Fn(&'i T) -> bool) -> bool {
    items.is_empty() || items.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number;

    fn router(yaml: &str) -> Router {
        Router::new(serde_yaml::from_str(yaml).unwrap(), Schedules::default())
    }

    fn subject<'a>(event: EventType, queue: Option<&'a str>, caller: Option<&'a PhoneNumber>) -> Subject<'a> {
        Subject {
            account: "main",
            event,
            queue,
            extension: None,
            number: None,
            caller,
            withheld: caller.is_none(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn told(decision: &Decision) -> Vec<(&str, usize)> {
        match decision {
            Decision::Notify(channels) => channels.iter().map(|(name, rule)| (name.as_str(), *rule)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_match_wins_unless_it_says_continue() {
        let router = router(
            "[{when: {event: voicemail.new}, notify: [mail]},
              {when: {queue: ['201', sales]}, notify: [slack], continue: true},
              {notify: [mail, slack, crm]}]",
        );
        assert_eq!(told(&router.decide(&subject(EventType::VoicemailNew, Some("201"), None))), [("mail", 0)]);
        assert_eq!(
            told(&router.decide(&subject(EventType::CallMissed, Some("sales"), None))),
            [("slack", 1), ("mail", 2), ("crm", 2)]
        );
        assert_eq!(
            told(&router.decide(&subject(EventType::CallMissed, None, None))),
            [("mail", 2), ("slack", 2), ("crm", 2)]
        );
    }

    #[test]
    fn a_muted_caller_is_told_to_nobody_in_any_notation() {
        let router = router("[{when: {caller: ['0532*', '+903121234567']}, mute: true}, {notify: mail}]");
        for muted in ["05321112233", "903121234567"] {
            let caller = number::parse(muted).number;
            assert_eq!(router.decide(&subject(EventType::CallMissed, None, caller.as_ref())), Decision::Muted(0));
        }
        assert_eq!(told(&router.decide(&subject(EventType::CallMissed, None, None))), [("mail", 1)]);
    }

    #[test]
    fn a_rule_may_ask_when_the_call_began_and_whether_its_caller_is_hidden() {
        let schedules = serde_yaml::from_str("{office: [{days: [mon], from: '09:00', to: '18:00'}]}").unwrap();
        let schedules = Schedules::new(&schedules, &jiff::tz::TimeZone::get("Europe/Istanbul").unwrap());
        let rules = "[{when: {withheld: true, during: office}, mute: true}, {when: {outside: office}, notify: mail},
                      {when: {withheld: false}, notify: slack}]";
        let router = Router::new(serde_yaml::from_str(rules).unwrap(), schedules);
        let caller = number::parse("05321112233").number;
        let at = |time: &str, caller| {
            let at = time.parse().unwrap();
            router.decide(&Subject { at, ..subject(EventType::CallMissed, None, caller) })
        };
        let (open, closed) = ("2026-11-23T06:00:00Z", "2026-11-23T15:00:00Z");
        assert_eq!(at(open, None), Decision::Muted(0));
        assert_eq!(told(&at(closed, None)), [("mail", 1)]);
        assert_eq!(told(&at(open, caller.as_ref())), [("slack", 2)]);
    }

    #[test]
    fn steps_are_planned_by_time_over_all_rules_that_match_and_counted_for_each_channel() {
        let schedules = serde_yaml::from_str("{office: [{days: [mon], from: '09:00', to: '18:00'}]}").unwrap();
        let schedules = Schedules::new(&schedules, &jiff::tz::TimeZone::get("Europe/Istanbul").unwrap());
        let rules = "[{when: {queue: '201'}, notify: slack, continue: true, escalate: [
                         {after: 15m, notify: boss}, {after: 1h, during: office, notify: [boss, mail]}]},
                      {notify: mail, escalate: [{after: 15m, notify: [boss, crm]}, {after: 2h, notify: boss}]}]";
        let router = Router::new(serde_yaml::from_str(rules).unwrap(), schedules);
        // Half past five on a Monday afternoon: the office has half an hour left, and opens again a week later.
        let now = "2026-11-23T14:30:00Z".parse().unwrap();
        let planned = |queue| {
            let matching = router.matching(&subject(EventType::CallMissed, queue, None));
            let steps = router.steps(&matching, now);
            let line = |step: &Step| format!("{} {} {} {}", step.at, step.channel, step.rule, step.turn);
            (matching, steps.iter().map(line).collect::<Vec<_>>())
        };
        let (matching, steps) = planned(Some("201"));
        assert_eq!(matching, [0, 1]);
        assert_eq!(
            steps,
            [
                "2026-11-23T14:45:00Z boss 0 1",
                "2026-11-23T14:45:00Z crm 1 1",
                "2026-11-23T16:30:00Z boss 1 2",
                "2026-11-30T06:30:00Z boss 0 3",
                "2026-11-30T06:30:00Z mail 0 1",
            ]
        );
        let (matching, steps) = planned(None);
        assert_eq!((matching, steps.len()), (vec![1], 3));
    }

    #[test]
    fn what_no_rule_matches_is_said_to_be_unrouted() {
        let router = router("[{when: {account: branch}, notify: mail}]");
        assert_eq!(router.decide(&subject(EventType::CallMissed, None, None)), Decision::Unrouted);
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        /// A rule of no more than `check` allows: it tells somebody, or says that it tells nobody.
        fn rule() -> impl Strategy<Value = String> {
            let event = prop_oneof![Just(""), Just("event: call.missed, "), Just("event: voicemail.new, ")];
            let queue = prop_oneof![Just(""), Just("queue: '201', "), Just("queue: [a, '202'], ")];
            let withheld = prop_oneof![Just(""), Just("withheld: true, "), Just("withheld: false, ")];
            let then = prop_oneof![
                Just("mute: true"),
                Just("mute: true, continue: true"),
                Just("notify: mail"),
                Just("notify: [mail, crm]"),
                Just("notify: slack, continue: true"),
            ];
            (event, queue, withheld, then)
                .prop_map(|(event, queue, withheld, then)| format!("{{when: {{{event}{queue}{withheld}}}, {then}}}"))
        }

        proptest! {
            #[test]
            fn with_a_catch_all_every_event_reaches_a_channel_or_a_rule_that_says_mute(
                rules in prop::collection::vec(rule(), 0..12),
                last in prop_oneof![Just("notify: mail"), Just("mute: true")],
                missed in prop::bool::ANY,
                queue in prop_oneof![Just(None), Just(Some("201")), Just(Some("202")), Just(Some("other"))],
                withheld in prop::bool::ANY,
            ) {
                let all = [rules.as_slice(), &[format!("{{{last}}}")]].concat();
                let router = router(&format!("[{}]", all.join(", ")));
                let event = if missed { EventType::CallMissed } else { EventType::VoicemailNew };
                let caller = number::parse("05321112233").number;
                match router.decide(&subject(event, queue, caller.as_ref().filter(|_| !withheld))) {
                    Decision::Notify(channels) => prop_assert!(!channels.is_empty()),
                    Decision::Muted(position) => {
                        let says = rules.get(position).map_or(last, String::as_str);
                        prop_assert!(says.contains("mute: true"), "{says}");
                    }
                    Decision::Unrouted => prop_assert!(false, "nobody is told, and no rule says so"),
                }
            }
        }
    }
}
