//! Whether every rule is left events to match, and every event a rule.

use super::super::problems::Findings;
use super::super::shape::{Config, Route, When};
use crate::event::{EventType, Kind};
use crate::number::Pattern;

mod example;
mod search;

use example::example;
use search::{Answer, Asked, Search, World};

/// Whether every rule is left an event by those before it.
pub(super) fn check(routes: &[Route], accounts: Option<&[&str]>, findings: &mut Findings<'_>) {
    let mut search = Search::new(World { accounts, events: &EventType::FIRST });
    let asked = asked(routes);
    for (index, route) in routes.iter().enumerate() {
        let path = format!("routes[{index}]");
        if search.left(&asked[index], []).is_nothing() {
            if let Some((message, hint)) = contradiction(&route.when) {
                findings.at(&format!("{path}.when"), message, Some(hint));
            }
            continue;
        }
        let before = || (0..index).filter(|earlier| !routes[*earlier].r#continue);
        if !search.left(&asked[index], before().map(|earlier| &asked[earlier])).is_nothing() {
            continue;
        }
        let alone = before().find(|earlier| search.left(&asked[index], [&asked[*earlier]]).is_nothing());
        let (message, hint) = match alone {
            Some(earlier) => {
                let line = findings.place(&format!("routes[{earlier}]")).line;
                (
                    format!("is never reached: routes[{earlier}] on line {line} takes every event that it matches"),
                    format!("put it before routes[{earlier}], or say `continue: true` there"),
                )
            }
            None => (
                "is never reached: the rules before it take every event that it matches".to_owned(),
                "remove it, or put it before those that take what is meant for it".to_owned(),
            ),
        };
        findings.at(&path, message, Some(hint));
    }
}

/// Why there is no event that a rule could ever match, and what to do. `None` when a text is empty, which is told by
/// itself.
fn contradiction(when: &When) -> Option<(String, String)> {
    let When { number, caller, withheld, during, outside, .. } = when;
    let no_numbers = |texts: &[String]| {
        let nothing = |text: &String| !text.is_empty() && Pattern::new(text).names_nothing();
        !texts.is_empty() && texts.iter().all(nothing)
    };
    let (what, hint) = if *withheld == Some(true) && !caller.is_empty() {
        let what = "who withholds the number has none that `caller` could match";
        (what.to_owned(), "remove one of the two; for either, write two rules")
    } else if let ([name, ..], [_, ..]) = (during.as_slice(), outside.as_slice())
        && during.iter().chain(outside).all(|other| other == name)
    {
        (format!("`{name}` is never open and closed at once"), "remove `during` or `outside`")
    } else if no_numbers(caller) {
        ("`caller` names no number".to_owned(), "say `withheld: true` for callers who hide theirs")
    } else if no_numbers(number) {
        ("`number` names no number".to_owned(), "write the number that was called, or its beginning and a `*`")
    } else {
        return None;
    };
    Some((format!("can never match: {what}"), hint.to_owned()))
}

/// An event that no rule matches, in words, if there is any: nobody would be told of it.
pub(crate) fn unmatched(config: &Config) -> Option<String> {
    let accounts: Vec<&str> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    let watched = |event: &EventType| match event.kind() {
        Kind::Call => config.watch.missed_calls.enabled,
        Kind::Voicemail => config.watch.voicemails.enabled,
    };
    let events: Vec<EventType> = EventType::FIRST.into_iter().filter(watched).collect();
    let everything = When::default();
    let (everything, asked) = (Asked::new(&everything), asked(&config.routes));
    match Search::new(World { accounts: Some(&accounts), events: &events }).left(&everything, &asked) {
        Answer::Something(left) => Some(example(&left, &asked)),
        Answer::Nothing | Answer::Unknown => None,
    }
}

fn asked(routes: &[Route]) -> Vec<Asked<'_>> {
    routes.iter().map(|route| Asked::new(&route.when)).collect()
}
