//! The watcher: one loop for each source of each account, which reads the PBX and commits what it finds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cursor::{Cursor, back};
use crate::event::{Closed, DeliveryId, Event, EventId, EventType, Kind, Quiet, Record, Standing};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::outbox::{Delivery, State};
use crate::pbx::budget::Budget;
use crate::pbx::{CallQuery, Page, Pbx, PbxError, VoicemailQuery};
use crate::route::{Decision, Router, Subject};
use crate::store::{Batch, Source, Store, StoreError};
use crate::track::{self, Rules};

mod plan;
mod walk;

use plan::{Agenda, Step};
use walk::{Ask, Walk};

/// The wider read while announced calls are open.
const FOLLOW_UP_EVERY: Duration = Duration::from_secs(5 * 60);

/// The wider read when nothing is open: a sweep for what became visible later than `lookback` allows for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The longest wait after a failure of the PBX: a missed call should not wait much longer than the outage.
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);

/// The longest wait after a refused key: a person must act, and a storm of requests would not help them.
const LONGEST_REFUSAL: Duration = Duration::from_secs(300);

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
    /// Where what is found is committed.
    pub store: Arc<dyn Store>,
    /// Who is told.
    pub router: Arc<Router>,
    /// The time.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
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
    open: HashMap<EventId, Event>,
    budget: Budget,
    /// `/cdrs/{uuid}` has a limit of its own.
    details: Budget,
    agenda: Agenda,
    /// Read all pages: the list may have moved under the last walk, or nothing has been read yet.
    deep: bool,
    follow_up: Option<Walk>,
    catch_up: Option<Walk>,
    /// Answered calls have been read up to here.
    answered_until: Option<Timestamp>,
    failures: u32,
}

/// Why a read ended early.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Pbx(#[from] PbxError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

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
            details: Budget::new(settings.limit),
            agenda: Agenda {
                head: now.tick,
                confirm: None,
                follow_up: now.tick,
                catch_up: now.tick,
                gaps: false,
                last_head: None,
                not_before: Duration::ZERO,
            },
            deep: true,
            follow_up: None,
            catch_up: None,
            answered_until: None,
            failures: 0,
            source,
            settings,
            context,
        })
    }

    /// Watches until `stop`. A step under way is dropped: what it has committed stands, the rest is read again.
    pub async fn run(mut self, stop: CancellationToken) {
        let stopped = stop.clone();
        stopped
            .run_until_cancelled(async {
                loop {
                    match self.next_step() {
                        Step::Wait(until) => self.context.clock.sleep_until(until).await,
                        step => {
                            // Failures are logged and waited for in `take`.
                            let _ = self.take(step).await;
                        }
                    }
                }
            })
            .await;
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

    fn next_step(&self) -> Step {
        let now = self.context.clock.moment();
        let confirm = self.waiting().map(|event| track::announce_at(event, &self.settings.rules)).min();
        let confirm = confirm.map(|at| now.tick + Duration::try_from(at.duration_since(now.at)).unwrap_or_default());
        self.next_step_of(Agenda { confirm, gaps: !self.cursor.gaps.is_empty(), ..self.agenda })
    }

    fn next_step_of(&self, agenda: Agenda) -> Step {
        let now = self.context.clock.tick();
        plan::next(&agenda, self.settings.limit, now, |want| self.budget.next_free(now, want))
    }

    fn waiting(&self) -> impl Iterator<Item = &Event> {
        self.open.values().filter(|event| event.standing == Standing::Waiting)
    }

    /// Does one step, and waits longer after each failure. Returns whether it went well.
    async fn take(&mut self, step: Step) -> bool {
        let started = self.context.clock.moment();
        let result = match step {
            Step::Head => {
                self.agenda.last_head = Some(started.tick);
                self.agenda.head = started.tick + self.settings.every;
                self.head(started.at).await
            }
            Step::FollowUp => self.follow_up(started.at).await,
            Step::CatchUp => self.catch_up(started.at).await,
            Step::Wait(_) => Ok(()),
        };
        if step == Step::Head {
            let took = self.context.clock.tick().saturating_sub(started.tick);
            self.context.metrics.poll(&self.source, outcome(&result), took, started.at);
        }
        if step == Step::Head && result.is_ok() {
            self.context.health.read(&self.source, started.tick);
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

    fn back_off(&mut self, step: Step, trouble: &Trouble) {
        let now = self.context.clock.tick();
        self.failures = self.failures.saturating_add(1);
        let doubled = self.settings.every.saturating_mul(1 << (self.failures.clamp(1, 8) - 1));
        let wait = match trouble {
            Trouble::Pbx(PbxError::Auth { .. }) => {
                doubled.max(Duration::from_secs(60)).min(LONGEST_REFUSAL.max(self.settings.every))
            }
            Trouble::Pbx(PbxError::RateLimited { wait }) => rate_limit_wait(*wait),
            Trouble::Pbx(_) | Trouble::Store(_) => doubled.min(LONGEST_BACKOFF.max(self.settings.every)),
        };
        match (trouble, step) {
            (Trouble::Pbx(PbxError::RateLimited { .. }), _) => self.budget.exhaust(now + wait),
            (Trouble::Pbx(PbxError::Auth { .. }) | Trouble::Store(_), _) | (_, Step::Head | Step::Wait(_)) => {
                self.agenda.not_before = now + wait;
            }
            // Deep and dated pages are slow and may time out: the newest page is not late because of them.
            (_, Step::FollowUp) => self.agenda.follow_up = now + wait.max(Duration::from_secs(60)),
            (_, Step::CatchUp) => self.agenda.catch_up = now + wait.max(Duration::from_secs(60)),
        }
        let (account, source) = (self.source.account.as_str(), self.source.kind.as_str());
        let again_in = crate::units::format_duration(Duration::from_secs(wait.as_secs().max(1)));
        if self.failures > 1 {
            let failures = self.failures;
            tracing::debug!(account, source, again_in, failures, error = %trouble, "still cannot be read");
        } else if let Trouble::Pbx(PbxError::Auth { .. }) = trouble {
            tracing::error!(
                account, source, again_in, error = %trouble,
                "the PBX refuses the API key: nothing is seen until it is mended; check `api_key` of this account"
            );
        } else {
            tracing::warn!(account, source, again_in, error = %trouble, "the PBX could not be read");
        }
    }

    /// The newest window: all pages that bring something new.
    async fn head(&mut self, read_at: Timestamp) -> Result<(), Trouble> {
        let from = self.cursor.head_from(read_at, self.settings.lookback);
        let mut walk = Walk::new(Ask { from, to: None, unsettled: true }, read_at);
        loop {
            let page = self.page(walk.ask, walk.page).await?;
            let news = self.stage(&mut walk, &page).await?;
            walk.late_news |= news && walk.page > 1;
            let more = walk.turn(&page);
            if !more || !(news || self.deep || self.confirms_further(&walk)) {
                break;
            }
        }
        let mut cursor = self.cursor.clone();
        cursor.advance(read_at, self.settings.lookback);
        self.stage_vanished(&mut walk).await;
        self.commit(walk.staged, read_at, Some(cursor)).await?;
        self.deep = walk.late_news;
        Ok(())
    }

    /// One page of the wider read. It is begun anew when the last one is through.
    async fn follow_up(&mut self, now: Timestamp) -> Result<(), Trouble> {
        let mut walk = match self.follow_up.take() {
            Some(mut walk) => {
                self.drop_overtaken(&mut walk).await?;
                walk
            }
            None => Walk::new(self.wider_ask(now), now),
        };
        let page = self.page(walk.ask, walk.page).await?;
        let more = if walk.ask.unsettled {
            self.stage(&mut walk, &page).await?;
            walk.turn(&page)
        } else {
            let more = walk.turn(&page);
            self.stage_reached(&mut walk, &page.records, now);
            more
        };
        if more {
            self.follow_up = Some(walk);
            return Ok(());
        }
        let staged = std::mem::take(&mut walk.staged);
        self.commit(staged, walk.read_at, None).await?;
        if walk.ask.unsettled && self.source.kind == Kind::Call && !self.open.is_empty() {
            // The second half: calls of the same people that were answered later.
            let from = self.answered_from(walk.read_at);
            self.follow_up = Some(Walk::new(Ask { from, to: None, unsettled: false }, walk.read_at));
            return Ok(());
        }
        if !walk.ask.unsettled {
            self.answered_until = Some(walk.read_at);
        }
        self.expire(now).await?;
        let every = if self.open.is_empty() { SWEEP_EVERY } else { FOLLOW_UP_EVERY };
        self.agenda.follow_up = self.context.clock.tick() + every;
        Ok(())
    }

    fn wider_ask(&self, now: Timestamp) -> Ask {
        let widest = back(now, self.settings.rules.follow_up.max(self.settings.lookback));
        // With something open, only as far back as that reaches; a sweep reaches as far as the follow-up would.
        let from = self.open.values().map(|event| event.started_at).min().map_or(widest, |oldest| oldest.max(widest));
        Ask { from, to: None, unsettled: true }
    }

    fn answered_from(&self, now: Timestamp) -> Timestamp {
        let oldest = self.open.values().map(|event| event.started_at).min().unwrap_or(now);
        let unread = self.answered_until.map_or(oldest, |until| back(until, self.settings.lookback));
        oldest.max(unread)
    }

    /// One page of the newest window that a pause left unread.
    async fn catch_up(&mut self, now: Timestamp) -> Result<(), Trouble> {
        let Some(window) = self.cursor.next_gap() else { return Ok(()) };
        let ask = Ask { from: window.from, to: Some(window.to), unsettled: true };
        let mut walk = match self.catch_up.take() {
            Some(mut walk) if walk.ask == ask => {
                self.drop_overtaken(&mut walk).await?;
                walk
            }
            _ => Walk::new(ask, now),
        };
        let page = self.page(walk.ask, walk.page).await?;
        self.stage(&mut walk, &page).await?;
        if walk.turn(&page) {
            self.catch_up = Some(walk);
            return Ok(());
        }
        let mut cursor = self.cursor.clone();
        cursor.close_gap(window);
        self.commit(walk.staged, walk.read_at, Some(cursor)).await?;
        tracing::info!(
            account = self.source.account, source = self.source.kind.as_str(),
            from = %window.from, to = %window.to, windows_left = self.cursor.gaps.len(), "caught up with a pause"
        );
        Ok(())
    }

    /// A read that goes on over several steps has staged what it found before the other steps: what they have decided
    /// since then stands.
    async fn drop_overtaken(&self, walk: &mut Walk) -> Result<(), StoreError> {
        let ids: Vec<EventId> = walk.staged.keys().copied().collect();
        for stored in self.context.store.events(&ids).await?.into_iter().flatten() {
            if walk.staged.get(&stored.id).is_some_and(|staged| track::overtaken(staged, &stored)) {
                walk.staged.remove(&stored.id);
            }
        }
        Ok(())
    }

    /// Asks for one page, when the budget allows it.
    async fn page(&mut self, ask: Ask, page: u32) -> Result<Page, PbxError> {
        let clock = self.context.clock.clone();
        while !self.budget.take(clock.tick()) {
            clock.sleep_until(self.budget.next_free(clock.tick(), 1)).await;
        }
        let Ask { from, to, unsettled } = ask;
        let pbx = &self.context.pbx;
        let page = match self.source.kind {
            Kind::Call => {
                let missed = unsettled.then_some(true);
                pbx.calls(&CallQuery { from, to, missed, inbound: true, page }, clock.now()).await?
            }
            Kind::Voicemail => {
                pbx.voicemails(&VoicemailQuery { from, to, unread: unsettled, page }, clock.now()).await?
            }
        };
        if page.malformed > 0 {
            self.context.metrics.malformed(&self.source, page.malformed);
            tracing::warn!(
                account = self.source.account,
                source = self.source.kind.as_str(),
                rows = page.malformed,
                "rows could not be read; the others of the page were"
            );
        }
        Ok(page)
    }

    /// What a page changes goes to the walk's stage; what the page before left there, and this one did not take back, is
    /// committed. Returns whether the page brought anything new.
    async fn stage(&mut self, walk: &mut Walk, page: &Page) -> Result<bool, Trouble> {
        // Seen when it was asked for, not when the answer had been read: what is due at once is then due in this walk.
        let now = walk.read_at;
        let account = self.source.account.as_str();
        let first = self.source.kind.first_event();
        let records = track::merge_copies(page.records.clone());
        let ids: Vec<_> = records.iter().map(|record| EventId::derive(account, first, &record.uuid)).collect();
        let unknown: Vec<EventId> =
            ids.iter().filter(|id| !walk.staged.contains_key(id) && !self.open.contains_key(id)).copied().collect();
        let stored = self.context.store.events(&unknown).await?;
        let stored: HashMap<EventId, Event> = stored.into_iter().flatten().map(|event| (event.id, event)).collect();

        let mut staged = std::collections::BTreeMap::new();
        let mut news = false;
        for (record, id) in records.iter().zip(ids) {
            let known = walk.staged.get(&id).or_else(|| self.open.get(&id)).or_else(|| stored.get(&id));
            let (from, rules) = (self.cursor.announce_from, &self.settings.rules);
            let changed = track::observe(known, record, account, from, now, rules);
            news |= known.is_none() && changed.is_some();
            let waiting = known.filter(|event| event.standing == Standing::Waiting);
            if let Some(event) = changed.or_else(|| waiting.cloned()) {
                // Taken back from the page before: this copy of the row has the last word.
                walk.staged.remove(&id);
                staged.insert(id, event);
            }
        }
        let earlier = std::mem::replace(&mut walk.staged, staged);
        if !earlier.is_empty() {
            self.commit(earlier, walk.read_at, None).await?;
        }
        Ok(news)
    }

    /// Whether an event that is due has not come up in this walk yet.
    fn confirms_further(&self, walk: &Walk) -> bool {
        self.due(walk.read_at).any(|event| event.started_at >= walk.ask.from && !walk.has_seen(&event.uuid))
    }

    fn due(&self, read_at: Timestamp) -> impl Iterator<Item = &Event> {
        self.waiting().filter(move |event| track::announce_at(event, &self.settings.rules) <= read_at)
    }

    /// A due call that the PBX does not list as missed any more is looked at by itself: somebody may have answered it
    /// after all. When that cannot be found out, it is announced: better once too often than never.
    async fn stage_vanished(&mut self, walk: &mut Walk) {
        let vanished: Vec<Event> =
            self.due(walk.read_at).filter(|event| !walk.has_seen(&event.uuid)).cloned().collect();
        for event in vanished {
            let now = self.context.clock.moment();
            let mut current = event.clone();
            if event.kind == Kind::Call && self.details.take(now.tick) {
                match self.context.pbx.call(&event.uuid, now.at).await {
                    Ok(Some(record)) if !record.missed && record.return_uuid.is_none() => {
                        current = track::close(&event, Closed::Answered, now.at);
                    }
                    Ok(Some(record)) => {
                        let (from, rules) = (self.cursor.announce_from, &self.settings.rules);
                        if let Some(changed) =
                            track::observe(Some(&event), &record, &self.source.account, from, now.at, rules)
                        {
                            current = changed;
                        }
                    }
                    Ok(None) => {}
                    Err(error) => tracing::debug!(event = %event.id, %error, "could not be looked at by itself"),
                }
            }
            walk.staged.insert(current.id, current);
        }
    }

    /// Open calls whose caller was reached later, or that another leg has answered, are settled.
    fn stage_reached(&self, walk: &mut Walk, records: &[Record], now: Timestamp) {
        for event in self.open.values() {
            if let Some(by) = records.iter().find_map(|record| track::reached(event, record)) {
                walk.staged.insert(event.id, track::close(event, by, now));
            }
        }
    }

    /// Before calls are announced: whether another leg of them was answered, or their callers were reached later. Only
    /// with requests to spare; a busy budget announces without asking.
    async fn settling_since(&mut self, from: Timestamp) -> Vec<Record> {
        let mut walk = Walk::new(Ask { from, to: None, unsettled: false }, self.context.clock.now());
        let mut settling = Vec::new();
        while self.budget.free(self.context.clock.tick()) >= 2.min(self.settings.limit) {
            match self.page(walk.ask, walk.page).await {
                Ok(page) => {
                    let more = walk.turn(&page);
                    settling.extend(walk::settling(page.records));
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    if let PbxError::RateLimited { wait } = error {
                        self.budget.exhaust(self.context.clock.tick() + rate_limit_wait(wait));
                    }
                    tracing::debug!(account = self.source.account, %error, "answered calls could not be read");
                    break;
                }
            }
        }
        settling
    }

    /// Announces what is due and stores it with the rest of `staged`, in one commit.
    async fn commit(
        &mut self,
        staged: impl IntoIterator<Item = (EventId, Event)>,
        read_at: Timestamp,
        cursor: Option<Cursor>,
    ) -> Result<(), StoreError> {
        let mut events: Vec<Event> = staged.into_iter().map(|(_, event)| event).collect();
        self.settle_with_returned(&mut events, self.context.clock.now());
        let due = |event: &Event| {
            event.standing == Standing::Waiting && track::announce_at(event, &self.settings.rules) <= read_at
        };
        let oldest_due = events.iter().filter(|event| due(event)).map(|event| event.started_at).min();
        if let (Kind::Call, Some(from)) = (self.source.kind, oldest_due) {
            let settling = self.settling_since(from).await;
            self.settle_before_announcing(&mut events, &settling).await?;
        }
        let now = self.context.clock.moment();
        let mut batch =
            Batch { cursor: cursor.clone().map(|cursor| (self.source.clone(), cursor)), ..Batch::default() };
        for mut event in events {
            if event.standing == Standing::Waiting && track::announce_at(&event, &self.settings.rules) <= read_at {
                event.standing = self.announce(&event, now.at, &mut batch.deliveries);
            }
            if let Standing::Quiet { why } = event.standing {
                self.context.metrics.quiet(&event.account, why);
            }
            if self.open.get(&event.id) != Some(&event) {
                batch.events.push(event);
            }
        }
        if !batch.is_empty() {
            let events = batch.events.clone();
            self.context.store.commit(batch, now).await?;
            for event in events {
                if event.is_open() {
                    self.open.insert(event.id, event);
                } else {
                    self.open.remove(&event.id);
                }
            }
        }
        if let Some(cursor) = cursor {
            self.cursor = cursor;
        }
        Ok(())
    }

    /// Waiting calls whose caller was reached meanwhile, or has left a voicemail in the same call, are not announced.
    async fn settle_before_announcing(&self, events: &mut [Event], settling: &[Record]) -> Result<(), StoreError> {
        let now = self.context.clock.now();
        let voicemail = EventType::VoicemailNew;
        let ids: Vec<_> = events.iter().map(|event| EventId::derive(&event.account, voicemail, &event.uuid)).collect();
        let voicemails = self.context.store.events(&ids).await?;
        for (event, voicemail) in events.iter_mut().zip(voicemails) {
            if event.standing != Standing::Waiting {
                continue;
            }
            if let Some(by) = settling.iter().find_map(|record| track::reached(event, record)) {
                *event = track::close(event, by, now);
            } else if voicemail.is_some_and(|voicemail| !matches!(voicemail.standing, Standing::Quiet { .. })) {
                *event = track::close(event, Closed::Voicemail, now);
            }
        }
        Ok(())
    }

    /// A returned call settles the earlier ones of the same caller too.
    fn settle_with_returned(&self, events: &mut Vec<Event>, now: Timestamp) {
        let returned: Vec<Event> = events
            .iter()
            .filter(|event| matches!(event.standing, Standing::Closed { by: Closed::Returned, .. }))
            .cloned()
            .collect();
        if returned.is_empty() {
            return;
        }
        let reached = |event: &Event| returned.iter().any(|returned| track::reached_with(event, returned));
        for event in events.iter_mut() {
            if reached(event) {
                *event = track::close(event, Closed::CallerReached, now);
            }
        }
        for event in self.open.values() {
            if reached(event) && !events.iter().any(|changed| changed.id == event.id) {
                events.push(track::close(event, Closed::CallerReached, now));
            }
        }
    }

    /// Decides who is told of `event`, and makes their deliveries.
    fn announce(&self, event: &Event, now: Timestamp, deliveries: &mut Vec<Delivery>) -> Standing {
        let event_type = event.kind.first_event();
        match self.context.router.decide(&Subject::of(event, event_type)) {
            Decision::Notify(channels) => {
                tracing::info!(
                    event = %event.id, r#type = %event_type, account = event.account, channels = channels.len(),
                    caller = ?event.caller.number, "announced"
                );
                self.context.metrics.event(&event.account, event_type);
                deliveries.extend(channels.into_iter().map(|(channel, rule)| Delivery {
                    id: DeliveryId::derive(&event.account, event_type, &event.uuid, &channel),
                    event_id: event.id,
                    event: event_type,
                    channel,
                    rule,
                    happened_at: event.ended_at,
                    seen_at: event.seen_at,
                    created_at: now,
                    due_at: now,
                    attempts: 0,
                    state: State::Pending,
                    last_failure: None,
                }));
                Standing::Announced { at: now }
            }
            Decision::Muted(rule) => {
                tracing::info!(event = %event.id, r#type = %event_type, rule, "muted by its route");
                Standing::Quiet { why: Quiet::Muted }
            }
            Decision::Unrouted => {
                tracing::warn!(event = %event.id, r#type = %event_type, "no route matches, nobody is told");
                Standing::Quiet { why: Quiet::Unrouted }
            }
        }
    }

    /// Announces calls that have waited for a confirming read long past their grace: the PBX cannot be read, and being
    /// told of a call that was returned meanwhile is better than not being told.
    async fn announce_unconfirmed(&mut self) {
        let now = self.context.clock.now();
        let patience = (self.settings.every * 2).max(Duration::from_secs(60));
        let known_at = back(now, patience);
        let staged: Vec<(EventId, Event)> = self.due(known_at).map(|event| (event.id, event.clone())).collect();
        if staged.is_empty() {
            return;
        }
        tracing::warn!(
            account = self.source.account,
            events = staged.len(),
            "announced as last seen: the PBX cannot be asked whether they have been returned"
        );
        // Nothing may be spent on further questions here, so the announcing half of `commit` does without them.
        self.budget.exhaust(self.agenda.not_before);
        if let Err(error) = self.commit(staged, known_at, None).await {
            tracing::error!(account = self.source.account, %error, "could not be stored; tried again with the next read");
        }
    }

    /// Events that were watched long enough are closed.
    async fn expire(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let rules = &self.settings.rules;
        let expired: Vec<(EventId, Event)> = self
            .open
            .values()
            .filter(|event| track::expired(event, now, rules))
            .map(|event| (event.id, track::close(event, Closed::Expired, now)))
            .collect();
        if expired.is_empty() { Ok(()) } else { self.commit(expired, now, None).await }
    }
}

/// The vendor names no wait with a 429; when it does, it is kept to, within reason.
fn rate_limit_wait(named: Option<Duration>) -> Duration {
    named.unwrap_or(Duration::from_secs(30)).min(Duration::from_secs(3600))
}

fn outcome(result: &Result<(), Trouble>) -> &'static str {
    match result {
        Ok(()) => "ok",
        Err(Trouble::Store(_)) => "store",
        Err(Trouble::Pbx(error)) => match error {
            PbxError::Auth { .. } => "auth",
            PbxError::RateLimited { .. } => "rate_limited",
            PbxError::Unreachable(_) => "unreachable",
            PbxError::NotFound | PbxError::Refused { .. } => "refused",
            PbxError::Trouble { .. } => "trouble",
            PbxError::Garbled { .. } => "garbled",
        },
    }
}
