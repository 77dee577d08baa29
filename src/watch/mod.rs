//! The watcher: one loop for each source of each account, which reads the PBX and commits what it finds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Moment};
use crate::cursor::{Cursor, ahead};
use crate::event::{Event, EventId, Standing};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::pbx::Pbx;
use crate::pbx::budget::{self, Budget};
use crate::pbx::report::Ended;
use crate::route::Router;
use crate::store::{Source, Store, StoreError};
use crate::track::{self, Rules};

mod announce;
mod completed;
mod endings;
mod escalate;
mod plan;
mod pushed;
mod read;
mod timing;
mod trouble;
mod walk;

use plan::{Agenda, Step};
use pushed::Pushed;
use trouble::{Trouble, condition, outcome};
use walk::Walk;

/// The settings of one source.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Time between two reads of the newest page.
    pub every: Duration,
    /// How far before the last complete read the newest window starts.
    pub lookback: Duration,
    /// How far back the very first start announces.
    pub first_run: Duration,
    /// Requests a minute.
    pub limit: u32,
    /// When to announce what.
    pub rules: Rules,
}

/// What a watcher needs of the rest.
#[derive(Clone)]
pub struct Context {
    /// The PBX.
    pub pbx: Arc<Pbx>,
    /// What may be asked of it about single calls.
    pub details: budget::Shared,
    /// Where what is found is committed.
    pub store: Arc<dyn Store>,
    /// Who is told.
    pub router: Arc<Router>,
    /// The channels that are told how what they were told has ended.
    pub follow_ups: Arc<[String]>,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the PBX calls people and places, where that is asked for.
    pub names: Option<Names>,
    /// Who is told that the PBX was read.
    pub health: Arc<Health>,
}

/// Watches one source of one account.
pub struct Watcher {
    source: Source,
    settings: Settings,
    context: Context,
    cursor: Cursor,
    /// Waiting and announced events: what may still change.
    open: HashMap<EventId, Arc<Event>>,
    budget: Budget,
    /// `/cdrs/{uuid}` has a limit of its own, and others who ask.
    details: budget::Shared,
    agenda: Agenda,
    /// What was announced and is in the newest window's list no more.
    gone: HashSet<EventId>,
    /// Read all pages: the list may have moved under the last walk, or nothing has been read yet.
    deep: bool,
    follow_up: Option<Walk>,
    catch_up: Option<Walk>,
    /// Answered calls have been read up to here.
    answered_until: Option<Timestamp>,
    failures: u32,
    /// What the PBX says by itself; `None` where nobody hears it.
    reports: Option<mpsc::Receiver<Ended>>,
    /// To the watcher of the calls, from that of the voicemails.
    calls: Option<mpsc::Sender<Ended>>,
    pushed: Pushed,
    looked: CancellationToken,
}

/// What a watcher has asked of the PBX lately: the vendor counts on over a reload.
#[derive(Debug, Clone)]
pub struct Asked(Budget);

impl Watcher {
    /// Takes up where the store says that the last one stopped.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn new(source: Source, settings: Settings, context: Context) -> Result<Self, StoreError> {
        let now = context.clock.moment();
        let cursor = context.store.cursor(&source).await?;
        let open = context.store.open_events(&source).await?;
        Ok(Self {
            cursor: cursor.unwrap_or_else(|| Cursor::first(now.at, settings.first_run)),
            open: open.into_iter().map(|event| (event.id, event)).collect(),
            budget: Budget::new(settings.limit),
            details: context.details.clone(),
            agenda: Agenda {
                head: now.tick,
                every: settings.every,
                confirm: None,
                pushed: None,
                follow_up: now.tick,
                catch_up: now.tick,
                gaps: false,
                last_follow_up: now.tick,
                last_catch_up: now.tick,
                last_head: None,
                not_before: Duration::ZERO,
            },
            gone: HashSet::new(),
            deep: true,
            follow_up: None,
            catch_up: None,
            answered_until: None,
            failures: 0,
            reports: None,
            calls: None,
            pushed: Pushed::default(),
            looked: CancellationToken::new(),
            source,
            settings,
            context,
        })
    }

    /// Takes the requests of the watcher before it into its own account.
    pub fn count_on(&mut self, Asked(lists): Asked) {
        self.budget = lists;
        self.budget.set_limit(self.settings.limit);
    }

    /// Cancelled once the newest window has been asked for, whether or not it could be read.
    pub fn looked(&self) -> CancellationToken {
        self.looked.clone()
    }

    /// Looks at once for the calls of which the PBX says that they have ended. Nothing of what it says is taken over: what
    /// has become of them is read.
    pub fn listen(&mut self, reports: mpsc::Receiver<Ended>) {
        self.reports = Some(reports);
    }

    /// Of voicemails: asks whoever hears `calls` to read those in which they were left.
    pub fn ask(&mut self, calls: mpsc::Sender<Ended>) {
        self.calls = Some(calls);
    }

    /// Watches until `stop`. A step under way is dropped: what it has committed stands, the rest is read again. A commit
    /// under way may still be made when this has returned.
    pub async fn run(mut self, stop: CancellationToken) -> Asked {
        let stopped = stop.clone();
        stopped
            .run_until_cancelled(async {
                loop {
                    self.hear_what_is_there();
                    match self.next_step() {
                        Step::Wait(until) => self.wait_or_tell(until).await,
                        step => {
                            // Failures are logged and waited for in `take`.
                            let _ = self.take(step).await;
                        }
                    }
                }
            })
            .await;
        Asked(self.budget)
    }

    /// Reads the newest window once, and of the rest what the budget allows without waiting. Returns whether the newest
    /// window was read.
    pub async fn once(&mut self) -> bool {
        if !self.take(Step::Head).await {
            return false;
        }
        loop {
            let gaps = !self.cursor.gaps.is_empty();
            match self.next_step_of(Agenda { head: Duration::MAX, confirm: None, gaps, ..self.agenda }) {
                Step::Head | Step::Wait(_) => return true,
                // What fails here is left to the next time.
                step => {
                    if !self.take(step).await {
                        return true;
                    }
                }
            }
        }
    }

    /// Until a tick. While the PBX cannot be read, what has waited for it long enough is told meanwhile: the next try may be
    /// minutes away.
    async fn wait_or_tell(&mut self, until: Duration) {
        if self.failures == 0 {
            return self.wait(until).await;
        }
        let now = self.context.clock.moment();
        let due = self.open.values().filter_map(|event| track::next_at(event, &self.settings.rules));
        // What is overdue already was tried, and is tried again with the next read.
        let overdue = due.map(|at| ahead(at, self.patience())).filter(|at| *at > now.at).min();
        let overdue = overdue.map(|at| now.tick + Duration::try_from(at.duration_since(now.at)).unwrap_or_default());
        self.wait(overdue.map_or(until, |overdue| overdue.min(until))).await;
        if overdue.is_some_and(|overdue| overdue < until && overdue <= self.context.clock.tick()) {
            self.announce_unconfirmed().await;
        }
    }

    /// Until a tick, or until the PBX says something.
    async fn wait(&mut self, until: Duration) {
        let clock = &self.context.clock;
        let Some(reports) = &mut self.reports else { return clock.sleep_until(until).await };
        let heard = tokio::select! {
            () = clock.sleep_until(until) => return,
            heard = reports.recv() => heard,
        };
        match heard {
            Some(Ended { uuid, heard }) => self.pushed.hear(uuid, heard),
            None => self.reports = None,
        }
    }

    /// What was said while the PBX was read.
    fn hear_what_is_there(&mut self) {
        while let Some(Ended { uuid, heard }) = self.reports.as_mut().and_then(|reports| reports.try_recv().ok()) {
            self.pushed.hear(uuid, heard);
        }
    }

    fn next_step(&self) -> Step {
        let now = self.context.clock.moment();
        let confirm = self.open.values().filter_map(|event| self.to_be_looked_at(event)).min();
        let confirm = confirm.map(|at| now.tick + Duration::try_from(at.duration_since(now.at)).unwrap_or_default());
        let (pushed, gaps) = (self.pushed.due(), !self.cursor.gaps.is_empty());
        self.next_step_of(Agenda { confirm, pushed, gaps, ..self.agenda })
    }

    fn next_step_of(&self, agenda: Agenda) -> Step {
        let now = self.context.clock.tick();
        plan::next(&agenda, self.settings.limit, now, |want| self.budget.next_free(now, want))
    }

    /// When an event is to be looked at for what is then told of it. What the last read could not find out of an announced
    /// one is for the next regular one: asking again at once would take from the others.
    fn to_be_looked_at(&self, event: &Event) -> Option<Timestamp> {
        let at = track::next_at(event, &self.settings.rules)?;
        let left = event.standing != Standing::Waiting && self.cursor.read_at.is_some_and(|read_at| at <= read_at);
        (!left).then_some(at)
    }

    /// How long what is due may wait for a read that confirms it.
    fn patience(&self) -> Duration {
        (self.settings.every * 2).max(Duration::from_secs(60))
    }

    /// What a person has closed need not be watched any more. The store keeps their word against news that was gathered
    /// before it; this keeps the memory of what is open in step.
    async fn forget_closed_by_hand(&mut self) -> Result<HashSet<EventId>, StoreError> {
        let closed = self.context.store.closed_by_hand().await?;
        self.open.retain(|id, _| !closed.contains(id));
        Ok(closed)
    }

    /// Does one step, and waits longer after each failure. Returns whether it went well.
    async fn take(&mut self, step: Step) -> bool {
        let started = self.context.clock.moment();
        let result = self.step(step, started).await;
        if step == Step::Head {
            let took = self.context.clock.tick().saturating_sub(started.tick);
            self.context.metrics.poll(&self.source, outcome(&result), took, started.at);
        }
        if step == Step::Head {
            match &result {
                Ok(()) => self.context.health.read(&self.source, started),
                Err(Trouble::Pbx(error)) => {
                    self.context.health.not_read(&self.source, condition(error), &error.to_string(), started);
                }
                // The store's own trouble is seen by asking the store.
                Err(Trouble::Store(_)) => {}
            }
            self.looked.cancel();
        }
        match result {
            Ok(()) => {
                if self.failures > 0 {
                    tracing::info!(account = self.source.account, source = self.source.kind.as_str(), "reads again");
                }
                self.failures = 0;
                true
            }
            Err(trouble) => {
                self.back_off(step, &trouble);
                self.announce_unconfirmed().await;
                false
            }
        }
    }

    async fn step(&mut self, step: Step, started: Moment) -> Result<(), Trouble> {
        self.forget_closed_by_hand().await?;
        match step {
            Step::Head => {
                self.agenda.last_head = Some(started.tick);
                self.agenda.head = started.tick + self.settings.every;
                self.head(started.at).await
            }
            Step::FollowUp => {
                self.agenda.last_follow_up = started.tick;
                self.follow_up(started.at).await
            }
            Step::CatchUp => {
                self.agenda.last_catch_up = started.tick;
                self.catch_up(started.at).await
            }
            Step::Wait(_) => Ok(()),
        }
    }
}
