//! The measurements, one function each.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use ringback::clock::Clock;
use serde_json::Value;

use crate::daemon::{CONCURRENCY, Daemon, SECRET, hook};
use crate::limits::{Posted, Posts};
use crate::process::Dialogue;
use crate::stats::median;
use crate::world::{Order, Places, Report};

/// Milliseconds between two events that trickle in: 50 a second.
const TRICKLE_MS: u64 = 20;

/// Milliseconds between the ends of two calls: five a second, many times what an office has.
const PUSH_MS: u64 = 200;

/// Milliseconds from the end of a call until the PBX lists it.
const LISTED_AFTER_MS: u64 = 500;

/// How often the PBX is read in a burst: seldom enough that the next read does not fall into it.
const BURST_EVERY: &str = "2s";

/// And in a trickle, whose latency counts from the read that shows the event. Much longer than the latency that is
/// allowed, so that an event which waits for the next read is found out.
const TRICKLE_EVERY: &str = "200ms";

/// Where and how much is measured.
pub(crate) struct Bench<'a> {
    /// The ringback that is measured.
    pub(crate) binary: &'a str,
    /// For stores, on a real disk.
    pub(crate) folder: &'a Path,
    /// Bursts, and as many times plain POSTs.
    pub(crate) rounds: usize,
    /// Events of a burst.
    pub(crate) burst: usize,
    /// Events of the trickle.
    pub(crate) trickle: usize,
    /// Calls whose ends are posted.
    pub(crate) pushes: usize,
    /// Starts.
    pub(crate) starts: usize,
}

/// What one burst took.
pub(crate) struct Burst {
    /// Deliveries a second, from the first arrival to the last.
    pub(crate) rate: f64,
    /// Deliveries a second, from the first request of the PBX that could show the events to the last arrival.
    pub(crate) from_seen: f64,
    /// Seconds until all of them had been read.
    pub(crate) intake: f64,
    /// CPU seconds per 1,000 deliveries, reading them included.
    pub(crate) cpu: f64,
    /// The most resident memory, in MB.
    pub(crate) peak: f64,
    /// What was sent.
    pub(crate) body: String,
}

/// What as many plain POSTs took.
pub(crate) struct Plain {
    /// A second, from the first arrival to the last.
    pub(crate) rate: f64,
    /// CPU seconds per 1,000.
    pub(crate) cpu: f64,
}

/// What starting took, and doing nothing.
pub(crate) struct Starts {
    /// Milliseconds from the start of the process to its first request.
    pub(crate) first_poll: f64,
    /// Resident memory in MB, some seconds after.
    pub(crate) idle: f64,
}

impl Bench<'_> {
    /// All events at once; then ringback is started again over the same store, and must send nothing again.
    pub(crate) fn burst(&self) -> Result<Burst> {
        let folder = self.fresh("burst")?;
        let (mut world, places) = world()?;
        let daemon = self.start(&mut world, &places, &folder, BURST_EVERY)?;
        let before = daemon.cpu_seconds()?;
        let _: Value = world.ask(&Order::Burst(self.burst))?;
        // What was delivered is yet to be settled, and that belongs to the price.
        std::thread::sleep(Duration::from_millis(200));
        let events = self.burst as f64;
        let cpu = (daemon.cpu_seconds()? - before) / events * 1e3;
        let peak = daemon.peak_memory()?;
        daemon.stop()?;
        self.start(&mut world, &places, &folder, "100ms")?.stop()?;
        let report = conserved(&mut world, self.burst)?;
        world.end()?;
        let (rate, from_seen) = (events / report.span, events / report.from_seen);
        Ok(Burst { rate, from_seen, intake: report.intake, cpu, peak, body: report.body })
    }

    /// As many POSTs of `body` as there are events in a burst.
    pub(crate) fn plain(&self, body: &str, two_threads: bool) -> Result<Plain> {
        let (mut world, places) = world()?;
        let posts = Posts {
            url: places.receiver,
            secret: SECRET.to_owned(),
            body: body.to_owned(),
            count: self.burst,
            concurrency: CONCURRENCY,
            two_threads,
        };
        let posted: Posted = Dialogue::start("--post")?.ask_once(&posts)?;
        let report: Report = world.ask(&Order::Report)?;
        ensure!(report.ids == self.burst, "{} of {} plain POSTs arrived", report.ids, self.burst);
        world.end()?;
        let count = self.burst as f64;
        Ok(Plain { rate: count / report.span, cpu: posted.cpu_seconds / count * 1e3 })
    }

    /// Events one after the other: milliseconds from seen to delivered, sorted.
    pub(crate) fn trickle(&self) -> Result<Vec<f64>> {
        let folder = self.fresh("trickle")?;
        let (mut world, places) = world()?;
        let daemon = self.start(&mut world, &places, &folder, TRICKLE_EVERY)?;
        let _: Value = world.ask(&Order::Trickle { events: self.trickle, every_ms: TRICKLE_MS })?;
        daemon.stop()?;
        let report = conserved(&mut world, self.trickle)?;
        world.end()?;
        Ok(report.latencies)
    }

    /// Missed calls one after the other, each posted by the PBX when it ends and listed a moment later: milliseconds from
    /// the end to the delivery, sorted. The vendor's limit of requests is lifted: how it is kept is for the tests to show.
    pub(crate) fn pushed(&self) -> Result<Vec<f64>> {
        let folder = self.fresh("pushed")?;
        let (mut world, places) = world()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        world.say(&Order::Polls(1))?;
        let daemon = Daemon::start_with_hook(self.binary, &places, &folder, port)?;
        let _: Value = world.hear()?;
        let order =
            Order::Push { hook: hook(port), calls: self.pushes, every_ms: PUSH_MS, listed_after_ms: LISTED_AFTER_MS };
        let _: Value = world.ask(&order)?;
        daemon.stop()?;
        let report = conserved(&mut world, self.pushes)?;
        world.end()?;
        Ok(report.waits)
    }

    /// From nothing to the first request, and nothing to do after that.
    pub(crate) fn starts(&self) -> Result<Starts> {
        let (mut took, mut idle) = (Vec::new(), 0.0);
        for start in 0..self.starts {
            let folder = self.fresh("start")?;
            let (mut world, places) = world()?;
            world.say(&Order::Polls(1))?;
            let clock = Clock::system();
            let daemon = Daemon::start(self.binary, &places, &folder, "1s")?;
            let _: Value = world.hear()?;
            took.push(clock.tick().as_secs_f64() * 1e3);
            if start == 0 {
                std::thread::sleep(Duration::from_secs(3));
                idle = daemon.memory()?;
            }
            daemon.stop()?;
            world.end()?;
        }
        Ok(Starts { first_poll: median(took), idle })
    }

    fn fresh(&self, name: &str) -> Result<std::path::PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// A ringback that has read the PBX a few times.
    fn start(&self, world: &mut Dialogue, places: &Places, folder: &Path, every: &str) -> Result<Daemon> {
        world.say(&Order::Polls(2))?;
        let daemon = Daemon::start(self.binary, places, folder, every)?;
        let _: Value = world.hear()?;
        Ok(daemon)
    }
}

/// A new world, and where it is.
fn world() -> Result<(Dialogue, Places)> {
    let mut world = Dialogue::start("--world")?;
    let places = world.hear()?;
    Ok((world, places))
}

/// What came: every event, and each once.
fn conserved(world: &mut Dialogue, events: usize) -> Result<Report> {
    let report: Report = world.ask(&Order::Report)?;
    let Report { total, ids, told, .. } = report;
    ensure!(
        total == events && ids == events && told == events,
        "{events} events became {total} deliveries with {ids} ids, which tell of {told} events"
    );
    Ok(report)
}
