//! The board as its template shows it. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::filter::Filter;
use super::words::{self, Said, Standing, Words};
use crate::callback::{Callbacks, Progress};
use crate::condition::Notice;
use crate::event::{DeliveryId, Event, EventId, Kind};
use crate::message::Locale;
use crate::ops::{Board, Matter};
use crate::outbox::{Delivery, State};
use crate::pbx::destination;
use crate::private::{PersonName, PhoneNumber};
use crate::render::{self, helpers};
use crate::server::Site;
use crate::server::links::refusal;

/// Lists go on to this many; who has more than that to do is helped by a filter, and by `deliveries list`.
const MOST_OPEN: usize = 200;
const MOST_DEAD: usize = 50;
const MOST_SETTLED: usize = 50;

/// What the template of the board sees besides its frame.
#[derive(Debug, Serialize)]
pub(super) struct View {
    counts: String,
    said: Option<Message>,
    troubles: Vec<Trouble>,
    choices: Vec<Choice>,
    filtered: bool,
    nothing: &'static str,
    open_count: usize,
    open: Vec<Row>,
    open_more: Option<String>,
    dead_count: usize,
    dead: Vec<DeadRow>,
    dead_more: Option<String>,
    settled_count: usize,
    settled: Vec<SettledRow>,
    settled_more: Option<String>,
}

#[derive(Debug, Serialize)]
struct Message {
    good: bool,
    text: &'static str,
}

/// Something that keeps ringback from its work.
#[derive(Debug, Serialize)]
struct Trouble {
    title: String,
    lines: Vec<String>,
}

/// A list to choose from for the filter.
#[derive(Debug, Serialize)]
struct Choice {
    name: &'static str,
    label: &'static str,
    options: Vec<Chosen>,
}

#[derive(Debug, Serialize)]
struct Chosen {
    value: String,
    chosen: bool,
}

/// A time for machines and for people.
#[derive(Debug, Serialize)]
struct Time {
    iso: String,
    text: String,
}

/// Who called.
#[derive(Debug, Serialize)]
struct Caller {
    /// The name, else the number, else that it was withheld.
    who: String,
    /// The number, or that it was withheld, where `who` is the name.
    number: Option<String>,
    /// For a `tel:` link.
    tel: Option<String>,
}

/// One open call or voicemail.
#[derive(Debug, Serialize)]
struct Row {
    id: EventId,
    voicemail: bool,
    kind: &'static str,
    #[serde(flatten)]
    caller: Caller,
    /// Where there are several.
    account: Option<String>,
    queue: Option<String>,
    extension: Option<String>,
    at: Time,
    waiting: String,
    /// Somebody has been reminded of it.
    late: bool,
    told: Vec<Told>,
    /// Why there is nothing in `told`.
    untold: &'static str,
    next: Vec<Next>,
    /// What became of pressing its button.
    rung: Vec<Rung>,
    /// The button that calls back, when the caller can be called.
    callback: Option<Callback>,
}

#[derive(Debug, Serialize)]
struct Rung {
    at: Time,
    state: &'static str,
    words: String,
}

#[derive(Debug, Serialize)]
struct Callback {
    /// Whether it must ask for the extension that is to ring.
    ask: bool,
}

#[derive(Debug, Serialize)]
struct Told {
    channel: String,
    /// For the look: `delivered`, `pending`, `dead`, `withdrawn`.
    state: &'static str,
    what: Option<&'static str>,
    words: &'static str,
    at: Option<Time>,
}

#[derive(Debug, Serialize)]
struct Next {
    at: Time,
    channel: String,
}

#[derive(Debug, Serialize)]
struct DeadRow {
    id: DeliveryId,
    kind: &'static str,
    #[serde(flatten)]
    caller: Caller,
    channel: String,
    at: Time,
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct SettledRow {
    kind: &'static str,
    #[serde(flatten)]
    caller: Caller,
    ended: Time,
    outcome: String,
    note: Option<String>,
}

/// In which language, zone and moment it is told.
struct Teller<'a> {
    locale: Locale,
    zone: &'a TimeZone,
    now: Timestamp,
    words: &'static Words,
    several_accounts: bool,
    callbacks: &'a Callbacks,
    /// Somebody has said which extension rings when nobody says so.
    extension: bool,
}

impl View {
    pub(super) fn new(
        board: &Board,
        notices: &[Notice],
        filter: &Filter,
        said: Option<Said>,
        site: &Site,
        callbacks: &Callbacks,
        now: Timestamp,
    ) -> Self {
        let (locale, zone) = (site.locale, &site.timezone);
        let teller = Teller {
            locale,
            zone,
            now,
            words: Words::of(locale),
            several_accounts: site.accounts.len() > 1,
            callbacks,
            extension: site.callback_extension(None).is_some(),
        };
        let taken = |matter: &&Matter| filter.takes(&matter.event);
        let open: Vec<&Matter> = board.open.iter().filter(taken).collect();
        let settled: Vec<&Matter> = board.settled.iter().filter(taken).collect();
        let of_filter =
            |event: &Option<Arc<Event>>| event.as_ref().map_or(filter.is_all(), |event| filter.takes(event));
        let dead: Vec<_> = board.dead.iter().filter(|(_, event)| of_filter(event)).collect();
        let calls = open.iter().filter(|matter| matter.event.kind == Kind::Call).count();
        let trouble = |notice: &Notice| {
            let (title, lines) = render::in_words(notice, locale, zone);
            Trouble { title: capital(&title, locale), lines }
        };
        Self {
            counts: words::counts(calls, open.len() - calls, dead.len(), locale),
            said: said.map(|said| Message { good: said.is_good(), text: said.in_words(locale) }),
            troubles: notices.iter().map(trouble).collect(),
            choices: choices(board, filter, teller.words),
            filtered: !filter.is_all(),
            nothing: if filter.is_all() { teller.words.nothing } else { teller.words.nothing_so },
            open_count: open.len(),
            open_more: words::more(open.len().saturating_sub(MOST_OPEN), locale),
            open: open.into_iter().take(MOST_OPEN).map(|matter| teller.open(matter)).collect(),
            dead_count: dead.len(),
            dead_more: words::more(dead.len().saturating_sub(MOST_DEAD), locale),
            dead: dead.into_iter().take(MOST_DEAD).map(|(row, event)| teller.dead(row, event.as_deref())).collect(),
            settled_count: settled.len(),
            settled_more: words::more(settled.len().saturating_sub(MOST_SETTLED), locale),
            settled: settled
                .into_iter()
                .take(MOST_SETTLED)
                .filter_map(|matter| teller.settled(&matter.event))
                .collect(),
        }
    }

    pub(super) fn counts(&self) -> &str {
        &self.counts
    }
}

/// What there is to choose from among all that is open, and what is chosen already.
fn choices(board: &Board, filter: &Filter, words: &'static Words) -> Vec<Choice> {
    let events = || board.open.iter().map(|matter| &matter.event);
    let choice = |name, label, found: BTreeSet<&String>, chosen: &Option<String>| {
        let values: BTreeSet<&String> = found.into_iter().chain(chosen).collect();
        let option = |value: &String| Chosen { value: value.clone(), chosen: chosen.as_ref() == Some(value) };
        // Of one value there is nothing to choose, unless it is to be given up.
        (values.len() > 1 || chosen.is_some()).then(|| Choice {
            name,
            label,
            options: values.into_iter().map(option).collect(),
        })
    };
    let accounts = events().map(|event| &event.account).collect();
    let queues = events().filter_map(|event| event.called.queue.as_ref()).collect();
    let extensions = events().filter_map(|event| event.called.extension.as_ref()).collect();
    let all = [
        choice("account", words.account, accounts, &filter.account),
        choice("queue", words.queue, queues, &filter.queue),
        choice("extension", words.extension, extensions, &filter.extension),
    ];
    all.into_iter().flatten().collect()
}

impl Teller<'_> {
    fn open(&self, Matter { event, deliveries }: &Matter) -> Row {
        Row {
            id: event.id,
            voicemail: event.kind == Kind::Voicemail,
            kind: words::kind(event.kind, self.locale),
            caller: self.caller(Some(event)),
            account: self.several_accounts.then(|| event.account.clone()),
            queue: queue(event),
            extension: extension(event),
            at: self.time(event.started_at),
            waiting: words::waiting(self.now.duration_since(event.ended_at).as_secs(), self.locale),
            late: event.escalated > 0,
            told: deliveries.iter().map(|row| self.told(row)).collect(),
            untold: match event.standing {
                crate::event::Standing::Waiting => self.words.in_grace,
                _ => self.words.nobody,
            },
            next: event
                .steps
                .iter()
                .map(|step| Next { at: self.time(step.at), channel: step.channel.clone() })
                .collect(),
            rung: self.callbacks.progress(event.id).iter().map(|press| self.rung(press)).collect(),
            callback: event.caller.number.as_ref().and_then(destination).map(|_| Callback { ask: !self.extension }),
        }
    }

    fn rung(&self, press: &Progress) -> Rung {
        let (state, words) = match &press.result {
            None => ("pending", words::ringing(&press.extension, self.locale)),
            Some(Ok(())) => ("delivered", words::rung(&press.extension, self.locale)),
            Some(Err(error)) => ("dead", refusal(error, self.locale)),
        };
        Rung { at: self.time(press.at), state, words }
    }

    fn told(&self, row: &Delivery) -> Told {
        let (state, standing, at) = match row.state {
            State::Delivered { at } => ("delivered", Standing::Delivered, Some(at)),
            State::Dead { at } => ("dead", Standing::Dead, Some(at)),
            State::Withdrawn { .. } => ("withdrawn", Standing::Withdrawn, None),
            State::Pending if row.due_at <= self.now => ("pending", Standing::Soon, None),
            State::Pending if row.last_failure.is_some() => ("pending", Standing::Again, Some(row.due_at)),
            State::Pending => ("pending", Standing::Held, Some(row.due_at)),
        };
        Told {
            channel: row.channel.clone(),
            state,
            what: words::part(row.event, self.locale),
            words: standing.in_words(self.locale),
            at: at.map(|at| self.time(at)),
        }
    }

    fn dead(&self, row: &Delivery, event: Option<&Event>) -> DeadRow {
        let at = if let State::Dead { at } = row.state { at } else { row.due_at };
        DeadRow {
            id: row.id,
            kind: words::kind(row.event.kind(), self.locale),
            caller: self.caller(event),
            channel: row.channel.clone(),
            at: self.time(at),
            reason: row.last_failure.as_ref().map(|failure| failure.text.clone()),
        }
    }

    fn settled(&self, event: &Event) -> Option<SettledRow> {
        let crate::event::Standing::Closed { at, by } = event.standing else { return None };
        let outcome = words::outcome(by, self.locale).to_owned();
        let extension = event.ending.as_ref().and_then(|ending| ending.extension.as_deref());
        Some(SettledRow {
            kind: words::kind(event.kind, self.locale),
            caller: self.caller(Some(event)),
            ended: self.time(event.settled_at().unwrap_or(at)),
            outcome: match extension {
                Some(extension) => format!("{outcome} ({extension})"),
                None => outcome,
            },
            note: event.note.clone(),
        })
    }

    fn caller(&self, event: Option<&Event>) -> Caller {
        let Some(event) = event else {
            return Caller { who: self.words.forgotten.to_owned(), number: None, tel: None };
        };
        let digits = event.caller.number.as_ref().map(PhoneNumber::expose);
        let display = digits.map(|digits| digits.display.clone());
        let name = event.caller.name.as_ref().map(PersonName::expose).filter(|name| !name.trim().is_empty());
        let tel = digits.and_then(|digits| dialled(digits.e164.as_deref().unwrap_or(&digits.raw)));
        let withheld = || self.words.withheld.to_owned();
        match (name, display) {
            (Some(name), number) => Caller { who: name.to_owned(), number: number.or_else(|| Some(withheld())), tel },
            (None, Some(number)) => Caller { who: number, number: None, tel },
            (None, None) => Caller { who: withheld(), number: None, tel: None },
        }
    }

    /// The time alone while it is of today.
    fn time(&self, at: Timestamp) -> Time {
        let day = |at: Timestamp| at.to_zoned(self.zone.clone()).date();
        let text = if day(at) == day(self.now) {
            helpers::time(at, self.zone)
        } else {
            helpers::date(at, self.zone, self.locale)
        };
        Time { iso: format!("{at:.0}"), text }
    }
}

/// The queue with its name, or what is known of it.
fn queue(event: &Event) -> Option<String> {
    let queue = event.called.queue.clone()?;
    match event.called.queue_name.as_ref().map(PersonName::expose).filter(|name| **name != queue) {
        Some(name) => Some(format!("{queue} ({name})")),
        None => Some(queue),
    }
}

/// The extension with its name.
fn extension(event: &Event) -> Option<String> {
    let name = event.called.name.as_ref().map(PersonName::expose).filter(|name| !name.trim().is_empty());
    match (&event.called.extension, name) {
        (Some(extension), Some(name)) if extension != name => Some(format!("{extension} ({name})")),
        (Some(extension), _) => Some(extension.clone()),
        (None, name) => name.map(str::to_owned),
    }
}

/// What a telephone can dial: whatever a caller sent as their number is looked at once more before it is a link.
fn dialled(number: &str) -> Option<String> {
    let digits = number.strip_prefix('+').unwrap_or(number);
    let fine = (2..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fine.then(|| number.to_owned())
}

/// Titles of notices begin small, after the name of the program. The Turkish capital of i is İ.
fn capital(text: &str, locale: Locale) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some('i') if locale == Locale::Tr => format!("İ{}", letters.as_str()),
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
