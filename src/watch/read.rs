//! What is read of the PBX in one step, and what it changes: staged in a walk, committed page by page.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Watcher;
use super::trouble::{Trouble, rate_limit_wait};
use super::walk::{self, Ask, Walk};
use crate::cursor::{ahead, back};
use crate::event::{Closed, Event, EventId, Kind, Record, Standing};
use crate::pbx::{CallQuery, Page, PbxError, VoicemailQuery};
use crate::store::StoreError;
use crate::track;

/// The wider read while announced calls are open: after so many regular ones, and at the latest after [`FOLLOW_UP_EVERY`].
const FOLLOW_UP_AFTER: u32 = 10;

/// See [`FOLLOW_UP_AFTER`].
const FOLLOW_UP_EVERY: Duration = Duration::from_secs(5 * 60);

/// How much longer than it is watched for the wider read looks back for an open call, which is dated by its start.
const LONG_CALL: Duration = Duration::from_secs(2 * 3600);

/// The PBX answers for no longer range (domain: 31 days).
const WIDEST: Duration = Duration::from_secs(31 * 86_400);

/// The wider read when nothing is open: a sweep for what became visible later than `lookback` allows for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

impl Watcher {
    /// The newest window: all pages that bring something new.
    pub(super) async fn head(&mut self, read_at: Timestamp) -> Result<(), Trouble> {
        let from = self.cursor.head_from(read_at, self.settings.lookback);
        let mut walk = Walk::new(Ask { from, to: None, unsettled: true }, read_at);
        let began = self.context.clock.tick();
        let whole = loop {
            let page = self.page(walk.ask, walk.page).await?;
            let (first, more) = (walk.page == 1, walk.turn(&page));
            let news = self.stage(&mut walk, page.records).await?;
            walk.late_news |= news && !first;
            if !more || !(news || self.deep || self.confirms_further(&walk)) {
                break !more;
            }
        };
        self.pushed.looked(began, |uuid| walk.has_listed(uuid));
        let mut cursor = self.cursor.clone();
        cursor.advance(read_at, self.settings.lookback);
        self.look_up_unseen(&mut walk).await?;
        if whole {
            self.note_gone(&walk);
        }
        self.commit(walk.staged, read_at, Some(cursor)).await?;
        self.deep = walk.late_news;
        Ok(())
    }

    /// What was announced and has left the list since, which was read as a `walk` to its end, has been answered or heard, or
    /// is about to be found so: the wider read that says which need not wait for its time. Once for each: a message that
    /// was deleted stays away for ever, and one that our own asking has marked is not heard for that.
    fn note_gone(&mut self, walk: &Walk) {
        let announced = |event: &&Arc<Event>| matches!(event.standing, Standing::Announced { .. });
        let listed = |event: &&Arc<Event>| event.started_at >= walk.ask.from;
        let gone = self.open.values().filter(announced).filter(listed).filter(|event| !walk.has_seen(&event.uuid));
        let gone: HashSet<EventId> = gone.map(|event| event.id).collect();
        if !gone.is_subset(&self.gone) {
            self.agenda.follow_up = self.agenda.follow_up.min(self.context.clock.tick());
        }
        self.gone = gone;
    }

    /// One page of the wider read. It is begun anew when the last one is through.
    pub(super) async fn follow_up(&mut self, now: Timestamp) -> Result<(), Trouble> {
        let mut walk = match self.follow_up.take() {
            Some(mut walk) => {
                self.drop_overtaken(&mut walk).await?;
                walk
            }
            None => Walk::new(self.wider_ask(now), now),
        };
        let page = self.page(walk.ask, walk.page).await?;
        let more = walk.turn(&page);
        if walk.ask.unsettled || self.source.kind == Kind::Voicemail {
            self.stage(&mut walk, page.records).await?;
        } else {
            self.stage_reached(&mut walk, &page.records, now);
        }
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
        let every = if self.open.is_empty() { SWEEP_EVERY } else { self.follow_up_every() };
        self.agenda.follow_up = self.context.clock.tick() + every;
        Ok(())
    }

    /// From one wider read to the next, while something is open.
    pub(super) fn follow_up_every(&self) -> Duration {
        self.settings.every.saturating_mul(FOLLOW_UP_AFTER).min(FOLLOW_UP_EVERY)
    }

    fn wider_ask(&self, now: Timestamp) -> Ask {
        let follow_up = self.settings.rules.follow_up.max(self.settings.lookback);
        let Some(oldest) = self.open.values().map(|event| event.started_at).min() else {
            // A sweep reaches as far as the follow-up would.
            return Ask { from: back(now, follow_up), to: None, unsettled: true };
        };
        // Only as far back as something is open; it began before it ended, from when on it is watched.
        let from = oldest.max(back(now, (follow_up + LONG_CALL).min(WIDEST)));
        // A voicemail that was heard is not in the list of the unheard, and that it is not there proves nothing.
        Ask { from, to: None, unsettled: self.source.kind == Kind::Call }
    }

    pub(super) fn answered_from(&self, now: Timestamp) -> Timestamp {
        let oldest = self.open.values().map(|event| event.started_at).min().unwrap_or(now);
        let unread = self.answered_until.map_or(oldest, |until| back(until, self.settings.lookback));
        oldest.max(unread)
    }

    /// One page of the newest window that a pause left unread.
    pub(super) async fn catch_up(&mut self, now: Timestamp) -> Result<(), Trouble> {
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
        let more = walk.turn(&page);
        self.stage(&mut walk, page.records).await?;
        if more {
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
                pbx.calls(&CallQuery { from, to, missed, inbound: true, page }).await?
            }
            Kind::Voicemail => pbx.voicemails(&VoicemailQuery { from, to, unread: unsettled, page }).await?,
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
    async fn stage(&mut self, walk: &mut Walk, records: Vec<Record>) -> Result<bool, Trouble> {
        // Seen when it was asked for, not when the answer had been read: what is due at once is then due in this walk.
        let now = walk.read_at;
        let account = self.source.account.as_str();
        let first = self.source.kind.first_event();
        let mut records = track::merge_copies(records);
        for record in &mut records {
            let id = EventId::derive(account, first, &record.uuid);
            if let Some(at) = record.read_at
                && (self.open.contains_key(&id) || walk.staged.contains_key(&id))
                && track::heard_by_us(at, &self.context.store.fetches(id).await?)
            {
                record.read_at = None;
            }
        }
        let ids: Vec<_> = records.iter().map(|record| EventId::derive(account, first, &record.uuid)).collect();
        let unknown: Vec<EventId> =
            ids.iter().filter(|id| !walk.staged.contains_key(id) && !self.open.contains_key(id)).copied().collect();
        let stored = self.context.store.events(&unknown).await?;
        let stored: HashMap<EventId, Arc<Event>> =
            stored.into_iter().flatten().map(|event| (event.id, event)).collect();

        let mut staged = BTreeMap::new();
        let mut news = false;
        for (record, id) in records.iter().zip(ids) {
            let known = walk.staged.get(&id).or_else(|| self.open.get(&id)).or_else(|| stored.get(&id));
            let (from, rules) = (self.cursor.announce_from, &self.settings.rules);
            let changed = track::observe(known.map(Arc::as_ref), record, account, from, now, rules).map(Arc::new);
            news |= known.is_none() && changed.is_some();
            // Unchanged, but seen: what is due of it may be told.
            let due = |event: &&Arc<Event>| event.standing == Standing::Waiting || self.is_due(event, now);
            if let Some(event) = changed.or_else(|| known.filter(due).cloned()) {
                // Taken back from the page before: this copy of the row has the last word.
                walk.staged.remove(&id);
                staged.insert(id, event);
            }
        }
        // Old news waits for the end of the walk, so that one digest tells of a whole pause and not one of each page.
        let old = |_: &EventId, event: &mut Arc<Event>| {
            event.standing != Standing::Waiting || !track::is_old_news(event, &self.settings.rules)
        };
        let earlier: BTreeMap<EventId, Arc<Event>> = walk.staged.extract_if(.., old).collect();
        walk.staged.append(&mut staged);
        if !earlier.is_empty() {
            self.commit(earlier, walk.read_at, None).await?;
        }
        Ok(news)
    }

    /// Whether an event that is due has not come up in this walk yet.
    fn confirms_further(&self, walk: &Walk) -> bool {
        self.due(walk.read_at).any(|event| event.started_at >= walk.ask.from && !walk.has_seen(&event.uuid))
    }

    /// The open events of which something is to be told, as they are known at `read_at`.
    pub(super) fn due(&self, read_at: Timestamp) -> impl Iterator<Item = &Arc<Event>> {
        self.open.values().filter(move |event| self.is_due(event, read_at))
    }

    pub(super) fn is_due(&self, event: &Event, read_at: Timestamp) -> bool {
        track::next_at(event, &self.settings.rules).is_some_and(|at| at <= read_at)
    }

    /// A due call that the PBX does not list as missed any more, or not in this window, is looked at by itself: somebody
    /// may have answered or returned it. When that cannot be found out, it is announced: better once too often than never.
    /// That it is still open is told when it is found out, or after a while without.
    async fn look_up_unseen(&mut self, walk: &mut Walk) -> Result<(), Trouble> {
        if self.source.kind == Kind::Voicemail {
            self.look_up_voicemails(walk).await?;
        }
        let unseen: Vec<Arc<Event>> =
            self.due(walk.read_at).filter(|event| !walk.has_seen(&event.uuid)).cloned().collect();
        let overdue_at = back(walk.read_at, self.patience());
        for event in unseen {
            let found = if event.kind == Kind::Call { self.look_up_call(&event).await } else { None };
            let as_last_seen = event.standing == Standing::Waiting || self.is_due(&event, overdue_at);
            if let Some(current) = found.or_else(|| as_last_seen.then_some(event)) {
                walk.staged.insert(current.id, current);
            }
        }
        Ok(())
    }

    /// What has become of an open call; `None` when that cannot be found out now.
    async fn look_up_call(&mut self, event: &Arc<Event>) -> Option<Arc<Event>> {
        let now = self.context.clock.moment();
        if !self.details.lock().take(now.tick) {
            return None;
        }
        let record = match self.context.pbx.call(&event.uuid).await {
            Ok(Some(record)) => record,
            // The PBX knows no more of it than we do.
            Ok(None) => return Some(Arc::clone(event)),
            Err(error) => {
                tracing::debug!(event = %event.id, %error, "could not be looked at by itself");
                return None;
            }
        };
        if !record.missed && record.return_uuid.is_none() {
            return Some(track::close(event, Closed::Answered, now.at).into());
        }
        let (account, from, rules) = (&self.source.account, self.cursor.announce_from, &self.settings.rules);
        let changed = track::observe(Some(event), &record, account, from, now.at, rules);
        // What was announced is not described anew by a page that leaves out half of it.
        let changed = changed.filter(|changed| event.standing == Standing::Waiting || !changed.is_open());
        Some(changed.map_or_else(|| Arc::clone(event), Arc::new))
    }

    /// Announced voicemails that are not in the list of the unheard are looked for in that of all, which says whether it
    /// was a person who heard them: the part of it in which they are, with requests to spare.
    async fn look_up_voicemails(&mut self, walk: &mut Walk) -> Result<(), Trouble> {
        let unseen = self.due(walk.read_at).filter(|event| event.standing != Standing::Waiting);
        let began: Vec<Timestamp> =
            unseen.filter(|event| !walk.has_seen(&event.uuid)).map(|event| event.started_at).collect();
        let (Some(from), Some(last)) = (began.iter().min(), began.iter().max()) else { return Ok(()) };
        let ask = Ask { from: *from, to: Some(ahead(*last, Duration::from_secs(1))), unsettled: false };
        let mut all = Walk::new(ask, walk.read_at);
        while self.can_ask_and_leave(1) {
            let page = match self.page(all.ask, all.page).await {
                Ok(page) => page,
                Err(error) => {
                    self.note_refusal(&error);
                    tracing::debug!(account = self.source.account, %error, "voicemails could not be looked up");
                    break;
                }
            };
            let more = all.turn(&page);
            walk.saw(&page);
            self.stage(walk, page.records).await?;
            if !more {
                break;
            }
        }
        Ok(())
    }

    /// Open calls whose caller was reached later, or that another leg has answered, are settled.
    fn stage_reached(&self, walk: &mut Walk, records: &[Record], now: Timestamp) {
        for event in self.open.values() {
            if let Some(reached) = records.iter().find_map(|record| track::reached(event, record, now)) {
                walk.staged.insert(event.id, reached.into());
            }
        }
    }

    /// Before calls are announced: the calls by which another leg of them was answered, or their callers were reached
    /// later, and whether these are all of them. Only with requests to spare, of which `left` must be left for the newest
    /// page: a missed call is told without asking when the budget is busy.
    pub(super) async fn settling_since(&mut self, from: Timestamp, left: u32) -> (Vec<Record>, bool) {
        let mut walk = Walk::new(Ask { from, to: None, unsettled: false }, self.context.clock.now());
        let mut settling = Vec::new();
        while self.can_ask_and_leave(left) {
            match self.page(walk.ask, walk.page).await {
                Ok(page) => {
                    let more = walk.turn(&page);
                    settling.extend(walk::settling(page.records));
                    if !more {
                        return (settling, true);
                    }
                }
                Err(error) => {
                    self.note_refusal(&error);
                    tracing::debug!(account = self.source.account, %error, "answered calls could not be read");
                    break;
                }
            }
        }
        (settling, false)
    }

    /// Whether one request can be made and so many are `left` for the newest page, as far as the limit has as many.
    fn can_ask_and_leave(&self, left: u32) -> bool {
        self.budget.free(self.context.clock.tick()) >= (left + 1).min(self.settings.limit)
    }

    fn note_refusal(&mut self, error: &PbxError) {
        if let PbxError::RateLimited { wait } = error {
            self.budget.exhaust(self.context.clock.tick() + rate_limit_wait(*wait));
        }
    }
}
