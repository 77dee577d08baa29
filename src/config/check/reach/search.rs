//! Whether a rule is left any event by those before it: a search over all that rules can tell apart. Pure.
//!
//! Whatever is not surely so is taken for possible: a schedule is open or closed as it pleases, and a number may be any
//! that its pattern names. What is said to be left may be an event that never comes; what is not left never is.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::When;
use crate::event::EventType;
use crate::number::Pattern;

/// How many rules are looked at for one question, once those are set aside that ask for something else altogether.
const MAX_STEPS: usize = 10_000;

/// And for all questions together: a configuration that is made to be hard is read in moments too.
const MAX_STEPS_IN_ALL: usize = 100_000;

/// What a rule may ask of an event, but for the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    Event,
    Account,
    Queue,
    Extension,
    Number,
    Caller,
}

impl Aspect {
    pub(super) const ALL: [Self; 6] =
        [Self::Event, Self::Account, Self::Queue, Self::Extension, Self::Number, Self::Caller];

    /// Its key.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Account => "account",
            Self::Queue => "queue",
            Self::Extension => "extension",
            Self::Number => "number",
            Self::Caller => "caller",
        }
    }
}

/// What an event may have there, as far as rules can tell.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'r> {
    Name(&'r str),
    /// Some number that the pattern names, and no narrower one does.
    Number(&'r Pattern),
    /// Something that no rule names.
    Other,
    /// There is none: of a caller, it is withheld.
    None,
}

/// What a rule asks for, ready to be compared. Nothing in a list: whatever it is.
pub(super) struct Asked<'r> {
    /// Where it does not take everything.
    aspects: Vec<Aspect>,
    /// By the aspects from [`Aspect::Event`] to [`Aspect::Extension`].
    names: [BTreeSet<&'r str>; 4],
    number: Vec<Pattern>,
    caller: Vec<Pattern>,
    withheld: Option<bool>,
    during: &'r [String],
    outside: &'r [String],
}

impl<'r> Asked<'r> {
    pub(super) fn new(when: &'r When) -> Self {
        let When { account, event, queue, extension, number, caller, withheld, during, outside } = when;
        let names = |names: &'r [String]| names.iter().map(String::as_str).collect();
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        let mut asked = Self {
            aspects: Vec::new(),
            names: [event.iter().map(|event| event.as_str()).collect(), names(account), names(queue), names(extension)],
            number: patterns(number),
            caller: patterns(caller),
            withheld: *withheld,
            during,
            outside,
        };
        let open = |aspect: &Aspect| match aspect {
            Aspect::Number => asked.number.is_empty(),
            Aspect::Caller => asked.caller.is_empty() && asked.withheld.is_none(),
            aspect => asked.names[*aspect as usize].is_empty(),
        };
        asked.aspects = Aspect::ALL.into_iter().filter(|aspect| !open(aspect)).collect();
        asked
    }

    /// How many keys there are to miss it by.
    fn keys(&self) -> usize {
        self.aspects.len() + self.times().count()
    }

    /// The schedules that it names, and whether one of them must be open, or closed.
    pub(super) fn times(&self) -> impl Iterator<Item = (&'r [String], bool)> + use<'r> {
        [(self.during, true), (self.outside, false)].into_iter().filter(|(names, _)| !names.is_empty())
    }

    pub(super) fn names_callers(&self) -> bool {
        !self.caller.is_empty()
    }

    fn takes(&self, aspect: Aspect, value: Value<'_>) -> bool {
        match aspect {
            Aspect::Number => named(&self.number, value),
            Aspect::Caller => {
                let withheld = matches!(value, Value::None);
                self.withheld.is_none_or(|asked| asked == withheld) && named(&self.caller, value)
            }
            aspect => {
                let names = &self.names[aspect as usize];
                names.is_empty() || matches!(value, Value::Name(name) if names.contains(name))
            }
        }
    }

    /// What a value of this aspect may be in an event that it takes.
    fn values(&'r self, aspect: Aspect, world: &World<'r>) -> Vec<Value<'r>> {
        match aspect {
            Aspect::Event => {
                let events = world.events.iter().map(|event| Value::Name(event.as_str()));
                events.filter(|value| self.takes(aspect, *value)).collect()
            }
            Aspect::Number => numbers(&self.number),
            Aspect::Caller => numbers(&self.caller).into_iter().filter(|value| self.takes(aspect, *value)).collect(),
            Aspect::Account | Aspect::Queue | Aspect::Extension => {
                let names = &self.names[aspect as usize];
                let accounts = world.accounts.filter(|_| aspect == Aspect::Account).unwrap_or_default();
                let values: Vec<_> = if names.is_empty() {
                    accounts.iter().map(|name| Value::Name(name)).collect()
                } else {
                    names.iter().map(|name| Value::Name(name)).collect()
                };
                if values.is_empty() { vec![Value::Other] } else { values }
            }
        }
    }
}

fn named(patterns: &[Pattern], value: Value<'_>) -> bool {
    patterns.is_empty()
        || match value {
            Value::Number(number) => patterns.iter().any(|pattern| pattern.covers(number)),
            Value::Other => patterns.iter().any(Pattern::names_all),
            Value::Name(_) | Value::None => false,
        }
}

fn numbers(patterns: &[Pattern]) -> Vec<Value<'_>> {
    if patterns.is_empty() {
        return vec![Value::Other, Value::None];
    }
    patterns.iter().filter(|pattern| !pattern.names_nothing()).map(Value::Number).collect()
}

/// What events there are at all.
pub(super) struct World<'r> {
    /// `None` when it is not known what they are called.
    pub(super) accounts: Option<&'r [&'r str]>,
    pub(super) events: &'r [EventType],
}

/// Events that are left by the rules so far: any of the values, with the schedules as they are given here.
#[derive(Debug, Clone)]
pub(super) struct Left<'r> {
    values: [Vec<Value<'r>>; 6],
    open: BTreeMap<&'r str, bool>,
}

/// What the search has found.
#[derive(Debug)]
pub(super) enum Answer<'r> {
    Something(Left<'r>),
    Nothing,
    /// It would take too long.
    Unknown,
}

impl Answer<'_> {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// Answers questions for as long as that does not take too long.
pub(super) struct Search<'r> {
    world: World<'r>,
    steps: usize,
}

impl<'r> Search<'r> {
    pub(super) fn new(world: World<'r>) -> Self {
        Self { world, steps: MAX_STEPS_IN_ALL }
    }

    /// Looks for an event that `asked` takes and none of `earlier` does.
    pub(super) fn left(
        &mut self,
        asked: &'r Asked<'r>,
        earlier: impl IntoIterator<Item = &'r Asked<'r>>,
    ) -> Answer<'r> {
        let values = Aspect::ALL.map(|aspect| asked.values(aspect, &self.world));
        let all = Left { values, open: BTreeMap::new() };
        if all.values.iter().any(Vec::is_empty) {
            return Answer::Nothing;
        }
        let mut earlier: Vec<_> = earlier.into_iter().filter(|rule| !all.is_beside(rule)).collect();
        // Those that leave little are in the way of much.
        earlier.sort_by_key(|rule| rule.keys());
        let mut steps = self.steps.min(MAX_STEPS);
        self.steps -= steps;
        let answer = search(&all, asked, &earlier, &mut steps);
        self.steps += steps;
        answer
    }
}

fn search<'r>(all: &Left<'r>, asked: &Asked<'r>, earlier: &[&Asked<'r>], steps: &mut usize) -> Answer<'r> {
    for start in all.times(asked) {
        let mut open = vec![(start, 0)];
        while let Some((left, from)) = open.pop() {
            let next = (from..earlier.len()).find(|next| !left.is_beside(earlier[*next]));
            let Some(next) = next else { return Answer::Something(left) };
            let Some(fewer) = steps.checked_sub(next - from + 1) else { return Answer::Unknown };
            *steps = fewer;
            open.extend(left.past(earlier[next]).into_iter().rev().map(|left| (left, next + 1)));
        }
    }
    Answer::Nothing
}

impl<'r> Left<'r> {
    /// The ways in which the schedules can be as `asked` wants them.
    fn times(&self, asked: &Asked<'r>) -> impl Iterator<Item = Self> {
        let one_of = |names: &'r [String]| -> Vec<Option<&'r str>> {
            if names.is_empty() { vec![None] } else { names.iter().map(|name| Some(name.as_str())).collect() }
        };
        let outside = one_of(asked.outside);
        let pairs = one_of(asked.during)
            .into_iter()
            .flat_map(move |open| outside.clone().into_iter().map(move |closed| (open, closed)));
        pairs.filter_map(|(open, closed)| self.at(open, true)?.at(closed, false))
    }

    /// Those of a time when these schedules are all open, or all closed.
    fn at(&self, names: impl IntoIterator<Item = &'r str>, open: bool) -> Option<Self> {
        let mut left = self.clone();
        names.into_iter().all(|name| *left.open.entry(name).or_insert(open) == open).then_some(left)
    }

    /// Whether a rule takes none of them, whatever becomes of what is not given.
    fn is_beside(&self, rule: &Asked<'r>) -> bool {
        rule.aspects.iter().any(|aspect| self.is_beside_by(*aspect, rule)) || self.time_beside(rule).is_some()
    }

    pub(super) fn is_beside_by(&self, aspect: Aspect, rule: &Asked<'_>) -> bool {
        self.values[aspect as usize].iter().all(|value| !rule.takes(aspect, *value))
    }

    /// The schedules by which a rule takes none of them, and whether these are open here.
    pub(super) fn time_beside(&self, rule: &Asked<'r>) -> Option<(&'r [String], bool)> {
        let all = |names: &[String], open| names.iter().all(|name| self.open.get(name.as_str()) == Some(&open));
        rule.times().map(|(names, open)| (names, !open)).find(|(names, open)| all(names, *open))
    }

    /// Any of the values will do.
    pub(super) fn first(&self, aspect: Aspect) -> Value<'r> {
        self.values[aspect as usize].first().copied().unwrap_or(Value::Other)
    }

    /// Those that a rule does not take, by the key that they differ in: no event of one is one of those before it, as
    /// far as that can be said.
    fn past(&self, rule: &Asked<'r>) -> Vec<Self> {
        let mut rest = self.clone();
        let mut past = Vec::new();
        for (names, open) in rule.times() {
            past.extend(rest.at(names.iter().map(String::as_str), !open));
            if let [only] = names {
                let Some(others) = rest.at([only.as_str()], open) else { return past };
                rest = others;
            }
        }
        for aspect in rule.aspects.iter().copied() {
            let values = std::mem::take(&mut rest.values[aspect as usize]);
            let (taken, beside): (Vec<_>, Vec<_>) = values.into_iter().partition(|value| rule.takes(aspect, *value));
            if !beside.is_empty() {
                rest.values[aspect as usize] = beside;
                past.push(rest.clone());
            }
            if taken.is_empty() {
                break;
            }
            rest.values[aspect as usize] = taken;
        }
        past
    }
}

#[cfg(test)]
mod tests;
