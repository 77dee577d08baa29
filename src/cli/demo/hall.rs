//! What the stage and the page of the demo share: the world, what has happened, what is broken, and the visitors' presses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::ledger::Place;
use super::screen::Who;
use super::world::{Door, Trouble, World};

/// Lines of the story that the page shows.
const LINES: usize = 40;

/// Presses that wait for the stage; more at once is not a person.
const PRESSES: usize = 64;

/// A visitor presses a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Press {
    /// Somebody calls, and nobody answers.
    Miss,
    /// Somebody leaves a voicemail.
    Voicemail,
    /// The last call that nobody has returned is returned.
    Return,
    /// A receiver breaks, or is mended.
    Set(Place, Trouble),
}

/// Something that has happened, and when.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) who: Who,
    pub(super) at: Timestamp,
    pub(super) text: String,
}

/// Shared by the stage and the page.
pub(super) struct Hall {
    pub(super) world: World,
    pub(super) door: Door,
    /// For times.
    pub(super) zone: TimeZone,
    lines: Mutex<VecDeque<Line>>,
    troubles: Mutex<[Trouble; Place::ALL.len()]>,
    /// Counts what of this has changed.
    revision: AtomicU64,
    presses: mpsc::Sender<Press>,
}

impl Hall {
    /// With the receiving end of the presses.
    pub(super) fn new(world: World, door: Door, zone: TimeZone) -> (Self, mpsc::Receiver<Press>) {
        let (presses, pressed) = mpsc::channel(PRESSES);
        let (lines, troubles, revision) = Default::default();
        (Self { world, door, zone, lines, troubles, revision, presses }, pressed)
    }

    /// Somebody presses a button; `false` when nobody can do anything about it any more.
    pub(super) fn press(&self, press: Press) -> bool {
        self.presses.try_send(press).is_ok()
    }

    /// Something has happened.
    pub(super) fn note(&self, who: Who, at: Timestamp, text: &str) {
        let mut lines = lock(&self.lines);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(Line { who, at, text: text.to_owned() });
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// What has happened, the newest first.
    pub(super) fn lines(&self) -> Vec<Line> {
        lock(&self.lines).iter().rev().cloned().collect()
    }

    /// Breaks or mends a receiver.
    pub(super) fn set(&self, place: Place, trouble: Trouble) {
        self.world.set(place, trouble);
        lock(&self.troubles)[place as usize] = trouble;
        self.revision.fetch_add(1, Ordering::Relaxed);
    }

    /// What is wrong with a receiver.
    pub(super) fn trouble(&self, place: Place) -> Trouble {
        lock(&self.troubles)[place as usize]
    }

    /// Another text whenever the page would look different.
    pub(super) fn print(&self) -> String {
        let World { mail, slack, webhook, .. } = &self.world;
        let revision = self.revision.load(Ordering::Relaxed);
        format!("{revision}-{}-{}-{}", mail.accepted(), slack.total(), webhook.total())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
