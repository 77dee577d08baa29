//! An event that no rule matches, in words: by what it differs from each of them, and no more. Pure.

use std::collections::BTreeMap;

use super::search::{Asked, Aspect, Left, Value};

/// What is told of it so far.
#[derive(Default)]
struct Told<'r> {
    aspects: Vec<Aspect>,
    schedules: BTreeMap<&'r str, bool>,
}

/// One of the events that `rules` leave.
pub(super) fn example<'r>(left: &Left<'r>, rules: &[Asked<'r>]) -> String {
    let mut told = Told { aspects: vec![Aspect::Event], ..Told::default() };
    for rule in rules {
        if told.aspects.iter().any(|aspect| left.is_beside_by(*aspect, rule)) || told.is_beside_by_time(rule) {
            continue;
        }
        if let Some((names, open)) = left.time_beside(rule) {
            told.schedules.extend(names.iter().map(|name| (name.as_str(), open)));
        } else if let Some(aspect) = Aspect::ALL.into_iter().find(|aspect| left.is_beside_by(*aspect, rule)) {
            told.aspects.push(aspect);
        }
    }
    told.in_words(left, rules)
}

impl Told<'_> {
    fn is_beside_by_time(&self, rule: &Asked<'_>) -> bool {
        rule.times().any(|(names, open)| names.iter().all(|name| self.schedules.get(name.as_str()) == Some(&!open)))
    }

    fn in_words(&self, left: &Left<'_>, rules: &[Asked<'_>]) -> String {
        let mut words = String::from("an event");
        let mut unnamed = Vec::new();
        let mut more = Vec::new();
        for aspect in Aspect::ALL.into_iter().filter(|aspect| self.aspects.contains(aspect)) {
            match (aspect, left.first(aspect)) {
                (Aspect::Event, Value::Name(name)) => words = format!("a {name}"),
                (Aspect::Account, Value::Name(name)) => words = format!("{words} of the account `{name}`"),
                (Aspect::Number, Value::None) => more.push("without the number that was called".to_owned()),
                (Aspect::Caller, Value::None) => more.push("from a number that is withheld".to_owned()),
                (Aspect::Caller, _) if !rules.iter().any(Asked::names_callers) => {
                    more.push("from a number that is not withheld".to_owned());
                }
                (aspect, _) => unnamed.push(aspect.as_str()),
            }
        }
        if let Some((last, others)) = unnamed.split_last() {
            let others = others.join(", ");
            let and = if others.is_empty() { "" } else { " and " };
            more.insert(0, format!("whose {others}{and}{last} no rule names"));
        }
        if !self.schedules.is_empty() {
            let state = |(name, open): (&&str, &bool)| format!("`{name}` is {}", if *open { "open" } else { "closed" });
            let states: Vec<String> = self.schedules.iter().map(state).collect();
            more.push(format!("while {}", states.join(" and ")));
        }
        [vec![words], more].concat().join(", ")
    }
}
