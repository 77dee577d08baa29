//! Whether everything that was to be told has been told, and nothing else: the conservation of messages.
//!
//! For each matter and each channel it compares three things: what happened at the PBX, what the receivers have taken,
//! and what the store says at the end.
//! - What was to be told was taken, or the receiver has refused it for good and the store has it as dead.
//! - What was to be told to nobody was told to nobody. No id is unknown, no row is left undone.
//! - The end of a story was told only where its beginning was, and after that.
//! - The facts are those of the PBX, on each attempt.
//! - What was taken twice has the same id, an interruption in between, and was in flight when that came: taken a moment
//!   before, and one of no more than the lane holds unsettled.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::tz::{TimeZone, offset};
use ringback::event::DeliveryId;
use ringback::outbox::{Delivery, State};
use ringback::store::Store as _;
use ringback::store::sled::SledStore;
use serde_json::{Value, json};

use super::child::Child;
use super::driver::{Cause, Interruption};
use super::ledger::{Answer, Arrival};
use super::story::{Fate, Matter};
use super::town::{ACCOUNT, CONCURRENCY, Place, Town};

/// What a lane holds whose outcome is not stored: dispatch claims up to four times its concurrency.
const IN_FLIGHT: usize = 4 * CONCURRENCY;

/// A yes that is older than this when the process is killed must have been stored. It takes milliseconds; a busy disk,
/// more.
const UNSTORED: Duration = Duration::from_secs(5);

/// By so much a receiver may note a request later than it was sent.
const DELAY: Duration = Duration::from_millis(500);

/// How many problems are told; the first ones tell most.
const SHOWN: usize = 12;

/// What a run has shown.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) kills: usize,
    pub(super) stops: usize,
    pub(super) matters: usize,
    pub(super) delivered: usize,
    pub(super) dead: usize,
    /// Messages that were taken more than once.
    pub(super) twice: usize,
    /// By one channel, for one interruption.
    most: usize,
    /// From the oldest yes that was lost to its interruption.
    oldest: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, stops, matters, delivered, dead, twice, most, oldest } = self;
        write!(
            f,
            "{kills} kills, {stops} stops, {matters} matters: {delivered} messages delivered, {dead} refused for good, \
             none lost, none invented; {twice} came twice (at most {most} on a channel for one kill, taken up to {} ms \
             before it)",
            oldest.as_millis()
        )
    }
}

/// Judges a run that is over.
///
/// # Errors
/// What is wrong, in words.
pub(super) async fn judge(town: &Town, child: &Child, interruptions: &[Interruption]) -> Result<Figures, String> {
    let store = SledStore::open(&child.store(), town.clock.moment()).map_err(|error| error.to_string())?;
    let rows = store.list(&|_| true).await.map_err(|error| error.to_string())?;
    let replaced = store.replaces().map(|aside| format!("the store was set aside as damaged: {aside}"));
    let mut trial = Trial::new(town, &rows);
    trial.problems.extend(replaced.map(|problem| (None, problem)));
    trial.arrivals(&town.ledger.arrivals);
    trial.stored(&rows);
    for place in Place::ALL {
        for matter in &town.story.matters {
            trial.told(matter, place);
        }
    }
    trial.ends(town);
    trial.told_twice(&town.ledger.arrivals, interruptions);
    let Trial { problems, mut figures, .. } = trial;
    let count = |cause| interruptions.iter().filter(|one| one.cause == cause && one.to > one.from).count();
    (figures.kills, figures.stops) = (count(Cause::Kill), count(Cause::Stop));
    figures.matters = town.story.matters.len();
    if problems.is_empty() { Ok(figures) } else { Err(report(&problems, child)) }
}

/// Those that are wrong, with what the log says of each.
fn report(problems: &[(Option<DeliveryId>, String)], child: &Child) -> String {
    let log = child.whole_log();
    let mut text = format!("{} problems, of which the first are:\n", problems.len());
    for (id, problem) in problems.iter().take(SHOWN) {
        let _ = writeln!(text, "- {problem}");
        let id = id.map(|id| id.to_string());
        for line in log.lines().filter(|line| id.as_ref().is_some_and(|id| line.contains(id))) {
            let _ = writeln!(text, "      {line}");
        }
    }
    text
}

struct Trial<'t> {
    mail_was_gone: bool,
    /// What may arrive, by its id.
    expected: HashMap<DeliveryId, (&'t Matter, Place)>,
    rows: HashMap<DeliveryId, &'t Delivery>,
    taken: HashSet<DeliveryId>,
    refused: HashSet<DeliveryId>,
    problems: Vec<(Option<DeliveryId>, String)>,
    figures: Figures,
}

impl<'t> Trial<'t> {
    fn new(town: &'t Town, rows: &'t [Delivery]) -> Self {
        let matters = || town.story.matters.iter();
        let at = |place: Place| matters().map(move |matter| (matter.delivery_id(place), (matter, place)));
        Self {
            mail_was_gone: town.weather.mail_was_gone,
            expected: Place::ALL.into_iter().flat_map(at).collect(),
            rows: rows.iter().map(|row| (row.id, row)).collect(),
            taken: HashSet::new(),
            refused: HashSet::new(),
            problems: Vec::new(),
            figures: Figures::default(),
        }
    }

    fn problem(&mut self, id: DeliveryId, what: String) {
        self.problems.push((Some(id), what));
    }

    /// Each is about something that has happened, and says so rightly.
    fn arrivals(&mut self, arrivals: &[Arrival]) {
        for arrival in arrivals {
            let place = arrival.place.name();
            let Some(id) = arrival.id else {
                self.problems.push((None, format!("{place} was sent a message that names nothing: {}", arrival.body)));
                continue;
            };
            match arrival.answer {
                Answer::Taken => drop(self.taken.insert(id)),
                Answer::Refused => drop(self.refused.insert(id)),
                Answer::Later => {}
            }
            match self.expected.get(&id) {
                Some((matter, expected)) if *expected == arrival.place => {
                    if let Some(wrong) = wrong_fact(arrival, matter) {
                        let (who, uuid) = (&matter.name, &matter.uuid);
                        self.problem(id, format!("{place} was told {wrong} than the PBX has of {who} ({uuid})"));
                    }
                }
                _ => self.problem(id, format!("{place} was told of {id}: nothing that has happened")),
            }
        }
    }

    /// Each row is about something that has happened, and nothing is left undone.
    fn stored(&mut self, rows: &[Delivery]) {
        for row in rows {
            if !self.expected.contains_key(&row.id) {
                self.problem(row.id, format!("the store has {}: nothing that has happened", row.id));
            }
            if row.state == State::Pending {
                let (attempts, due) = (row.attempts, row.due_at);
                let why = row.last_failure.as_ref().map_or("never tried", |failure| failure.text.as_str());
                let what = format!("{} is left undone, due at {due} after {attempts} attempts: {why}", row.id);
                self.problem(row.id, what);
            }
        }
    }

    /// The world, the receiver and the store agree on one message.
    fn told(&mut self, matter: &Matter, place: Place) {
        let id = matter.delivery_id(place);
        let state = self.rows.get(&id).map(|row| row.state);
        let what = format!("{} of {} ({}, {id})", matter.event, matter.name, matter.uuid);
        let taken = self.taken.contains(&id);
        let refused = self.refused.contains(&id) || (place == Place::Mail && self.mail_was_gone);
        match (matter.fate, state, taken) {
            // Taken, and dead all the same: taken before a kill, sent again after it, and refused then.
            (Fate::Told | Fate::Perhaps, Some(State::Dead { .. }), taken) if refused => {
                self.figures.dead += 1;
                self.figures.delivered += usize::from(taken);
            }
            (Fate::Told | Fate::Perhaps, Some(State::Delivered { .. }), true) => self.figures.delivered += 1,
            // As it should be, or told of above.
            (Fate::Perhaps | Fate::Never, None, false) | (Fate::Told | Fate::Perhaps, Some(State::Pending), _) => {}
            // Perhaps taken before a kill, and settled when it was looked at again.
            (Fate::Perhaps, Some(State::Withdrawn { .. }), taken) => self.figures.delivered += usize::from(taken),
            (Fate::Never, ..) => {
                let told = if taken { "was told to" } else { "is stored for" };
                self.problem(id, format!("{what} {told} {}, but is nobody's business", place.name()));
            }
            (_, state, taken) => {
                let says = state.map_or_else(|| "knows nothing of it".to_owned(), |state| format!("says {state:?}"));
                let came = if taken { "was taken by" } else { "has never arrived at" };
                self.problem(id, format!("{what} {came} {}; the store {says}", place.name()));
            }
        }
    }

    /// Nobody is told how it ended who was not told, before that, what it was.
    fn ends(&mut self, town: &Town) {
        let mut taken: HashMap<DeliveryId, Duration> = HashMap::new();
        for arrival in town.ledger.arrivals.iter().filter(|arrival| arrival.answer == Answer::Taken) {
            let first = arrival.id.map(|id| taken.entry(id).or_insert(arrival.at));
            let _ = first.map(|first| *first = arrival.at.min(*first));
        }
        for matter in town.story.matters.iter().filter(|matter| matter.event.is_follow_up()) {
            for place in Place::ALL {
                let id = matter.delivery_id(place);
                let Some(end) = taken.get(&id) else { continue };
                let (name, place_name) = (&matter.name, place.name());
                match taken.get(&matter.first_id(place)) {
                    Some(_) if place == Place::Mail => {
                        self.problem(id, format!("mail was told the end of {name}, which it has not asked for"));
                    }
                    Some(first) if first <= end => {}
                    _ => self.problem(id, format!("{place_name} was told the end of {name} before its beginning")),
                }
            }
        }
    }

    fn told_twice(&mut self, arrivals: &[Arrival], interruptions: &[Interruption]) {
        let mut times: BTreeMap<(Place, DeliveryId), Vec<Duration>> = BTreeMap::new();
        for arrival in arrivals.iter().filter(|arrival| arrival.answer == Answer::Taken) {
            if let Some(id) = arrival.id {
                times.entry((arrival.place, id)).or_default().push(arrival.at);
            }
        }
        let mut lost: BTreeMap<(Place, usize), usize> = BTreeMap::new();
        for ((place, id), mut times) in times {
            times.sort();
            self.figures.twice += times.len() - 1;
            for pair in times.windows(2) {
                let (first, second) = (pair[0], pair[1]);
                let what = format!("{id} was taken twice by {}, at {first:?} and {second:?}", place.name());
                let ended_after = |delay| interruptions.iter().position(|one| one.to + delay > first);
                let between = ended_after(Duration::ZERO).filter(|n| interruptions[*n].from < second);
                match between.or_else(|| ended_after(DELAY).filter(|n| interruptions[*n].from < second)) {
                    None => self.problem(id, format!("{what}, though nothing was interrupted in between")),
                    Some(n) => {
                        let age = interruptions[n].from.saturating_sub(first);
                        self.figures.oldest = self.figures.oldest.max(age);
                        if age > UNSTORED {
                            let note = &interruptions[n].note;
                            self.problem(id, format!("{what}: the yes was {age:?} old at {note}, and not stored"));
                        }
                        *lost.entry((place, n)).or_default() += 1;
                    }
                }
            }
        }
        for ((place, n), count) in lost {
            self.figures.most = self.figures.most.max(count);
            if count > IN_FLIGHT {
                let (place, note) = (place.name(), &interruptions[n].note);
                let what =
                    format!("{note}: {count} messages were told twice on {place}, of at most {IN_FLIGHT} in flight");
                self.problems.push((None, what));
            }
        }
    }
}

/// Which fact of the message is not the PBX's.
fn wrong_fact(arrival: &Arrival, matter: &Matter) -> Option<&'static str> {
    let number = &matter.number;
    if arrival.place == Place::Crm {
        let body: Value = serde_json::from_str(&arrival.body).unwrap_or_default();
        let data = &body["data"];
        let seconds = matter.end.duration_since(matter.start).as_secs();
        let facts = [
            (&body["type"], json!(matter.event.as_str()), "another event"),
            (&data["event_id"], json!(matter.event_id()), "another event id"),
            (&data["account"], json!(ACCOUNT), "another account"),
            (&data["uuid"], json!(matter.uuid), "another uuid"),
            (&data["test"], json!(false), "a test rather"),
            (&data["caller"]["number"], json!(number), "another number"),
            (&data["caller"]["e164"], json!(format!("+90{}", &number[1..])), "another number"),
            (&data["caller"]["name"], json!(matter.name), "another name"),
            (&data["started_at"], json!(matter.start.to_string()), "another start"),
            (&data["ended_at"], json!(matter.end.to_string()), "another end"),
            (&data["duration_seconds"], json!(seconds), "another duration"),
        ];
        return facts.iter().find(|(found, expected, _)| *found != expected).map(|(.., wrong)| *wrong);
    }
    // For people: in their notation and by their clock. Soft line breaks of a mail are none.
    let text = arrival.body.replace("=\r\n", "");
    let shown = format!("{} {} {} {}", &number[..4], &number[4..7], &number[7..9], &number[9..]);
    // An end names its own time, and that of the call below.
    let format = if matter.event.is_follow_up() { "%H:%M" } else { "(%H:%M)" };
    let time = matter.start.to_zoned(TimeZone::fixed(offset(3))).strftime(format).to_string();
    let facts = [(&matter.name, "another name"), (&shown, "another number"), (&time, "another time")];
    facts.iter().find(|(expected, _)| !text.contains(expected.as_str())).map(|(_, wrong)| *wrong)
}
