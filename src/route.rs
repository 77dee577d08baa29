//! Who is told: the rules of the configuration, applied to one event. Pure.

use crate::config::{Route, When};
use crate::event::{Event, EventType};
use crate::number;
use crate::private::PhoneNumber;

/// The rules in their order.
#[derive(Debug, Clone)]
pub struct Router {
    routes: Vec<Route>,
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
        }
    }
}

impl Router {
    /// Takes the rules in.
    pub fn new(routes: Vec<Route>) -> Self {
        Self { routes }
    }

    /// The first rule that matches decides, and further ones as long as those before say `continue`.
    pub fn decide(&self, subject: &Subject<'_>) -> Decision {
        let mut channels: Vec<(String, usize)> = Vec::new();
        let mut muted = None;
        for (position, route) in self.routes.iter().enumerate() {
            if !matches(&route.when, subject) {
                continue;
            }
            if route.mute {
                muted = muted.or(Some(position));
            }
            for channel in &route.notify {
                if !channels.iter().any(|(known, _)| known == channel) {
                    channels.push((channel.clone(), position));
                }
            }
            if !route.r#continue {
                break;
            }
        }
        match (channels.is_empty(), muted) {
            (false, _) => Decision::Notify(channels),
            (true, Some(position)) => Decision::Muted(position),
            (true, None) => Decision::Unrouted,
        }
    }
}

/// All keys must match; a list matches any of its items, an empty one everything.
fn matches(when: &When, subject: &Subject<'_>) -> bool {
    any(&when.account, |account| account == subject.account)
        && any(&when.event, |event| *event == subject.event)
        && any(&when.queue, |queue| subject.queue == Some(queue))
        && any(&when.extension, |extension| subject.extension == Some(extension))
        && any(&when.number, |pattern| subject.number.is_some_and(|number| number::matches(pattern, number)))
        && any(&when.caller, |pattern| subject.caller.is_some_and(|caller| number::matches(pattern, caller)))
}

fn any<T>(items: &[T], matches: impl Fn(&T) -> bool) -> bool {
    items.is_empty() || items.iter().any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(yaml: &str) -> Router {
        Router::new(serde_yaml::from_str(yaml).unwrap())
    }

    fn subject<'a>(event: EventType, queue: Option<&'a str>, caller: Option<&'a PhoneNumber>) -> Subject<'a> {
        Subject { account: "main", event, queue, extension: None, number: None, caller }
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
    fn what_no_rule_matches_is_said_to_be_unrouted() {
        let router = router("[{when: {account: branch}, notify: mail}]");
        assert_eq!(router.decide(&subject(EventType::CallMissed, None, None)), Decision::Unrouted);
    }
}
