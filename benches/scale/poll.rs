//! A page of known calls, in a short memory and in a long one.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use ringback::clock::Clock;
use ringback::event::{Audio, Closed, Direction, Event, EventId, EventType, Record, Standing};
use ringback::pbx::wire;
use ringback::render::samples;
use ringback::store::sled::SledStore;
use ringback::store::{Batch, Store};
use ringback::track::{self, Rules};
use serde_json::{Value, json};

use crate::stats::median;

/// The calls of one page.
pub(crate) const PAGE: usize = 100;

const FEW: usize = 1000;
const ROUNDS: usize = 400;

/// Rows of one commit while the memory is made.
const BATCH: usize = 5000;

pub(crate) struct Polls {
    /// In microseconds for a page.
    pub(crate) few: f64,
    pub(crate) many: f64,
    /// In seconds.
    pub(crate) building: f64,
}

pub(crate) fn measure(folder: &Path, remembered: usize) -> Result<Polls> {
    let runtime = ringback::app::runtime()?;
    runtime.block_on(async {
        let clock = Clock::system();
        let few = Memory::make(&folder.join("few"), FEW, &clock).await?;
        let before = clock.tick();
        let many = Memory::make(&folder.join("many"), remembered, &clock).await?;
        let building = clock.tick().saturating_sub(before).as_secs_f64();
        let (mut few_costs, mut many_costs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // The first rounds fill caches, which hold in a daemon too: it asks for the same rows twice a minute.
            let warm = round >= ROUNDS / 10;
            for (memory, costs) in [(&few, &mut few_costs), (&many, &mut many_costs)] {
                let cost = memory.poll(&clock).await?;
                costs.extend(warm.then_some(cost));
            }
        }
        Ok(Polls { few: median(few_costs), many: median(many_costs), building })
    })
}

/// A store, and the newest page of what it remembers.
struct Memory {
    store: SledStore,
    /// As it comes over the wire.
    body: Vec<u8>,
    page: Vec<Record>,
}

impl Memory {
    async fn make(folder: &Path, events: usize, clock: &Clock) -> Result<Self> {
        let now = clock.moment();
        let store = SledStore::open(folder, now)?;
        for start in (0..events).step_by(BATCH) {
            let events = (start..events.min(start + BATCH)).map(|n| event(n, now.at).into()).collect();
            store.commit(Batch { events, ..Batch::default() }, now).await?;
        }
        // Opened anew: what was written a moment ago would be answered from memory.
        drop(store);
        let store = SledStore::open(folder, now)?;
        let newest: Vec<Event> = (events - PAGE..events).map(|n| event(n, now.at)).collect();
        let rows: Vec<Value> = newest.iter().map(row).collect();
        let body = serde_json::to_vec(&json!({"cdrs": rows, "pagination": {"page": 1, "total_pages": 50}}))?;
        Ok(Self { store, body, page: newest.iter().map(record).collect() })
    }

    /// What the watcher does with a page, in microseconds.
    async fn poll(&self, clock: &Clock) -> Result<f64> {
        let rules = Rules {
            grace: Duration::from_secs(60),
            min_wait: Duration::ZERO,
            max_age: Duration::from_secs(86_400),
            follow_up: Duration::from_secs(86_400),
        };
        let records = self.page.clone();
        let now = clock.now();
        let before = clock.tick();
        let read = black_box(wire::calls_page(&self.body, now)?);
        ensure!(read.records.len() == PAGE, "{} rows of the page were read", read.records.len());
        let records = track::merge_copies(records);
        let ids = records.iter().map(|record| EventId::derive("main", EventType::CallMissed, &record.uuid));
        let ids: Vec<EventId> = ids.collect();
        let known = self.store.events(&ids).await?;
        let mut changed = 0;
        for (known, record) in known.iter().zip(&records) {
            ensure!(known.is_some(), "a remembered call is not found");
            let event = track::observe(known.as_deref(), record, "main", Timestamp::UNIX_EPOCH, now, &rules);
            changed += usize::from(black_box(event).is_some());
        }
        let cost = clock.tick().saturating_sub(before).as_secs_f64() * 1e6;
        ensure!(changed == 0, "{changed} known calls have changed");
        Ok(cost)
    }
}

/// Two of a page are still open, and of a thousand; the others are returned.
fn event(n: usize, now: Timestamp) -> Event {
    let uuid = format!("651f8a68-782e-11e7-a6b6-{n:012}");
    let standing = if n.is_multiple_of(50) && n % FEW >= FEW - PAGE {
        Standing::Announced { at: now }
    } else {
        Standing::Closed { at: now, by: Closed::Returned }
    };
    let id = EventId::derive("main", EventType::CallMissed, &uuid);
    Event { id, uuid, standing, ..samples::event(EventType::CallMissed, now) }
}

/// As the PBX writes it.
fn row(event: &Event) -> Value {
    json!({
        "call_uuid": event.uuid, "direction": "Gelen", "missed": "true", "result": "Cevapsız", "queue": "201",
        "caller_id_name": "Mehmet Yılmaz", "caller_id_number": "03121234567", "destination_name": "Dahili 1",
        "destination_number": "902129876543 (1002)", "start_stamp": "2026-11-22 08:07:05 +0300", "answer_stamp": null,
        "end_stamp": "2026-11-22 08:07:35 +0300", "duration": "00:00:30", "queue_wait_seconds": "00:00:10",
        "return_uuid": event.uuid, "recording_present": "false", "sip_hangup_disposition": "caller",
    })
}

/// As it is read.
fn record(event: &Event) -> Record {
    Record {
        kind: event.kind,
        uuid: event.uuid.clone(),
        direction: Direction::Inbound,
        caller: event.caller.clone(),
        calling_extension: None,
        called: event.called.clone(),
        started_at: event.started_at,
        answered_at: None,
        ended_at: Some(event.ended_at),
        duration: event.duration,
        queue_wait: event.queue_wait,
        result: event.result.clone(),
        missed: true,
        return_uuid: event.return_uuid.clone(),
        audio: if event.recording { Audio::Present } else { Audio::None },
        read_at: None,
    }
}
