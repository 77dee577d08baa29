//! The world around ringback, in a process of its own: a simulated PBX and a receiver that notes arrivals.
//!
//! It takes one order a line on stdin and answers each with one line of JSON. Everything runs on one thread and is as
//! cheap as it can be: the machine's other cores belong to what is measured.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ringback::clock::Clock;
use ringback::sim::pbx::{Crm, Endpoint, Limits, PbxOptions, PbxSim, Request, SimCall, SimVoicemail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use crate::receiver::{Arrival, Receiver};

/// How long what must arrive may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rows of a page, as ringback asks for them.
const PAGE_ROWS: usize = 100;

/// What the driver asks of the world.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Answers once voicemails have been asked for so often from now on.
    Polls(usize),
    /// So many voicemails appear together; answers once as many deliveries have come.
    Burst(usize),
    /// So many voicemails appear one after the other; answers once as many deliveries have come.
    Trickle {
        /// How many.
        events: usize,
        /// Milliseconds from one to the next.
        every_ms: u64,
    },
    /// So many calls are missed, one after the other; their ends are posted at once. Answers once as many deliveries have
    /// come.
    Push {
        /// Where to post.
        hook: String,
        /// How many.
        calls: usize,
        /// Milliseconds from one to the next.
        every_ms: u64,
        /// Milliseconds from the end of a call until the PBX lists it.
        listed_after_ms: u64,
    },
    /// Says what has come: [`Report`].
    Report,
}

/// Where the world can be found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Places {
    pub(crate) pbx: String,
    pub(crate) key: String,
    pub(crate) receiver: String,
}

/// What has come to the receiver.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Deliveries.
    pub(crate) total: usize,
    /// Different delivery ids.
    pub(crate) ids: usize,
    /// Events of this world that were told.
    pub(crate) told: usize,
    /// Seconds from the first arrival to the last.
    pub(crate) span: f64,
    /// Seconds from the first request that could show the events to the last arrival.
    pub(crate) from_seen: f64,
    /// Seconds from the first request that could show the events to the request for the last page of them.
    pub(crate) intake: f64,
    /// Milliseconds from the request that first showed an event to its arrival, sorted.
    pub(crate) latencies: Vec<f64>,
    /// Milliseconds from the end of a call to its arrival, sorted: with [`Order::Push`].
    pub(crate) waits: Vec<f64>,
    /// The body of the first delivery.
    pub(crate) body: String,
}

struct World {
    clock: Clock,
    pbx: PbxSim,
    receiver: Arc<Receiver>,
    /// Uuid, and the tick from which it was listed.
    listed: Vec<(String, Duration)>,
}

/// Serves until stdin ends.
pub(crate) fn run() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<()> {
    let clock = Clock::system();
    let pbx = PbxSim::start(clock.clone(), PbxOptions { limits: Limits::NONE, ..PbxOptions::default() })?;
    let (receiver, address) = Receiver::start(clock.clone()).await?;
    let places = Places { pbx: pbx.base_url().to_owned(), key: pbx.key().to_owned(), receiver: address };
    let mut world = World { clock, pbx, receiver, listed: Vec::new() };
    say(&places)?;
    let (sender, mut orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            // Either end has gone away: so does this thread.
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = orders.recv().await {
        let order: Order = serde_json::from_str(&line)?;
        tokio::time::timeout(PATIENCE, world.follow(order)).await.context("what was awaited did not come")??;
    }
    Ok(())
}

impl World {
    async fn follow(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Polls(n) => {
                let before = self.polls().count();
                self.pbx.wait_for_requests(Endpoint::Voicemails, before + n).await;
                say(&json!({}))
            }
            Order::Burst(events) => {
                self.list(events);
                self.receiver.wait_for(events).await;
                say(&json!({}))
            }
            Order::Trickle { events, every_ms } => {
                let mut beat = tokio::time::interval(Duration::from_millis(every_ms));
                for _ in 0..events {
                    beat.tick().await;
                    self.list(1);
                }
                self.receiver.wait_for(events).await;
                say(&json!({}))
            }
            Order::Push { hook, calls, every_ms, listed_after_ms } => {
                self.pbx.configure(|options| {
                    options.crm = Crm { hangup: true, notification_url: Some(hook), ..Crm::default() };
                });
                let mut beat = tokio::time::interval(Duration::from_millis(every_ms));
                for _ in 0..calls {
                    beat.tick().await;
                    self.miss(Duration::from_millis(listed_after_ms));
                }
                self.receiver.wait_for(calls).await;
                say(&json!({}))
            }
            Order::Report => say(&self.report()),
        }
    }

    fn polls(&self) -> impl Iterator<Item = Request> {
        self.pbx.requests().into_iter().filter(|request| request.endpoint == Endpoint::Voicemails)
    }

    /// So many more voicemails, which ended just now.
    fn list(&mut self, events: usize) {
        let length = Duration::from_secs(12);
        let moment = self.clock.moment();
        let start = moment.at.checked_sub(length).unwrap_or(moment.at);
        let first = self.listed.len();
        let uuids: Vec<String> = (first..first + events).map(uuid).collect();
        self.pbx.change(|data| {
            for uuid in &uuids {
                let mut voicemail = SimVoicemail::unread(uuid.clone(), start, length);
                voicemail.caller_name = Some("Mehmet Yılmaz".to_owned());
                data.add_voicemail(voicemail);
            }
        });
        self.listed.extend(uuids.into_iter().map(|uuid| (uuid, moment.tick)));
    }

    /// One more missed call, which ended just now.
    fn miss(&mut self, visible_after: Duration) {
        let moment = self.clock.moment();
        let uuid = uuid(self.listed.len());
        let call = SimCall::missed(uuid.clone(), moment.at, Duration::from_secs(20));
        // Whoever called before is another caller: nobody's call settles that of another.
        let caller_number = format!("0312{:07}", self.listed.len());
        self.pbx.add_call(SimCall { visible_after, caller_number, ..call });
        self.listed.push((uuid, moment.tick));
    }

    fn report(&self) -> Report {
        let arrivals = self.receiver.arrivals();
        let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else { return Report::default() };
        let told: HashSet<&str> = arrivals.iter().map(|arrival| arrival.uuid.as_str()).collect();
        let ids: HashSet<&str> = arrivals.iter().map(|arrival| arrival.id.as_str()).collect();
        let mut report = Report {
            total: arrivals.len(),
            ids: ids.len(),
            told: self.listed.iter().filter(|(uuid, _)| told.contains(uuid.as_str())).count(),
            span: last.tick.saturating_sub(first.tick).as_secs_f64(),
            body: self.receiver.body(),
            ..Report::default()
        };
        let polls: Vec<(Duration, usize)> = self.polls().map(|request| (request.at.tick, page(&request))).collect();
        let seen_at = |listed: Duration| polls.iter().find(|(at, page)| *page == 1 && *at >= listed).map(|poll| poll.0);
        if let Some(seen) = self.listed.first().and_then(|(_, listed)| seen_at(*listed)) {
            report.from_seen = last.tick.saturating_sub(seen).as_secs_f64();
            let pages = self.listed.len().div_ceil(PAGE_ROWS);
            let read = polls.iter().find(|(at, page)| *page == pages && *at >= seen);
            report.intake = read.map_or(0.0, |(at, _)| at.saturating_sub(seen).as_secs_f64());
        }
        report.waits = self.latencies(arrivals.clone(), Some);
        report.latencies = self.latencies(arrivals, seen_at);
        report
    }

    fn latencies(&self, arrivals: Vec<Arrival>, seen_at: impl Fn(Duration) -> Option<Duration>) -> Vec<f64> {
        let arrived: HashMap<String, Duration> =
            arrivals.into_iter().map(|arrival| (arrival.uuid, arrival.tick)).collect();
        let mut latencies: Vec<f64> = self
            .listed
            .iter()
            .filter_map(|(uuid, listed)| {
                let took = arrived.get(uuid)?.saturating_sub(seen_at(*listed)?);
                Some(took.as_secs_f64() * 1e3)
            })
            .collect();
        latencies.sort_by(f64::total_cmp);
        latencies
    }
}

fn uuid(n: usize) -> String {
    format!("651f8a68-782e-11e7-a6b6-{n:012x}")
}

fn page(request: &Request) -> usize {
    request.params.get("page").and_then(|page| page.parse().ok()).unwrap_or(1)
}

fn say(what: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    out.flush().context("cannot answer the driver")
}
