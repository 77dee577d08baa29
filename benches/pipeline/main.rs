//! The whole pipeline, measured end to end: `cargo bench --bench pipeline [-- --quick]`.
//!
//! Three processes: this driver, which only waits; the world (a simulated PBX and a receiver); and the real
//! `ringback run` between them, measured from outside. In the same run, against the same receiver: plain POSTs of the
//! same body by the same channel, and flushed appends of the same rows to the same disk. The rounds alternate, and the
//! medians are shown.
//!
//! A missed limit is said and is no failure, since a busy machine must not break a build; a delivery that is lost or
//! comes twice is one.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

mod daemon;
mod limits;
mod process;
mod receiver;
mod world;

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use ringback::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;

use daemon::{CONCURRENCY, Daemon, SECRET};
use limits::{Posted, Posts};
use process::Dialogue;
use world::{Order, Places, Report};

/// How much is measured.
struct Scale {
    rounds: usize,
    burst: usize,
    trickle: usize,
    appends: usize,
    starts: usize,
}

const FULL: Scale = Scale { rounds: 5, burst: 5000, trickle: 1000, appends: 5000, starts: 5 };
const QUICK: Scale = Scale { rounds: 3, burst: 1000, trickle: 250, appends: 500, starts: 3 };

/// Milliseconds between two events that trickle in: 50 a second.
const TRICKLE_MS: u64 = 20;

/// How often the PBX is read in a burst: seldom enough that the next read does not fall into it.
const BURST_EVERY: &str = "2s";

/// And in a trickle, whose latency counts from the read: as often as can be configured.
const TRICKLE_EVERY: &str = "10ms";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    if has("--world") {
        return world::run();
    }
    if has("--post") {
        return limits::post();
    }
    if !has("--bench") {
        println!("measures with `cargo bench --bench pipeline [-- --quick]` only");
        return Ok(());
    }
    // On the disk that the build uses: a store in memory would flatter.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    measure(folder.path(), if has("--quick") { &QUICK } else { &FULL })
}

/// What one burst took.
struct Burst {
    rate: f64,
    from_seen: f64,
    intake: f64,
    cpu: f64,
    peak: f64,
}

fn measure(folder: &Path, scale: &Scale) -> Result<()> {
    let (idle, first_poll) = starts(folder, scale)?;
    let (mut bursts, mut plain, mut body) = (Vec::new(), Vec::new(), String::new());
    for round in 0..scale.rounds {
        let (burst, sample) = burst(&folder.join(format!("burst-{round}")), scale)?;
        body = sample;
        bursts.push(burst);
        plain.push(posts(&body, scale)?);
    }
    let latencies = trickle(&folder.join("trickle"), scale)?;
    let singly = limits::appends(folder, scale.appends, 1)?;
    let grouped = limits::appends(folder, scale.appends, 100)?;

    let of = |value: fn(&Burst) -> f64| median(bursts.iter().map(value).collect());
    let (rate, cpu, peak) = (of(|b| b.rate), of(|b| b.cpu), bursts.iter().map(|b| b.peak).fold(0.0, f64::max));
    let (plain_rate, plain_cpu) =
        (median(plain.iter().map(|p| p.0).collect()), median(plain.iter().map(|p| p.1).collect()));
    let p99 = quantile(&latencies, 0.99);
    let share = median(bursts.iter().zip(&plain).map(|(burst, plain)| 100.0 * burst.rate / plain.0).collect());

    println!(
        "\n{} events at once, one webhook, concurrency {CONCURRENCY}, body of {} bytes; medians of {} rounds",
        scale.burst,
        body.len(),
        scale.rounds
    );
    println!("                                   ringback  plain POSTs");
    println!("deliveries a second               {rate:9.0}  {plain_rate:11.0}");
    println!("  from the first sight on         {:9.0}", of(|b| b.from_seen));
    println!("  seconds to read them all        {:9.2}", of(|b| b.intake));
    println!("CPU seconds per 1,000             {cpu:9.3}  {plain_cpu:11.3}");
    println!("flushed appends a second          {singly:9.0}  one at a time; {grouped:.0} in groups of 100");
    println!(
        "trickle of 50 a second, ms        p50 {:.1}, p99 {p99:.1}, max {:.1}",
        quantile(&latencies, 0.5),
        quantile(&latencies, 1.0)
    );
    println!();
    verdict("share of plain POSTs, %", share, 60.0, share >= 60.0);
    verdict("seen to delivered, p99, ms", p99, 50.0, p99 < 50.0);
    verdict("peak resident memory, MB", peak, 40.0, peak < 40.0);
    verdict("idle resident memory, MB", idle, 15.0, idle < 15.0);
    verdict("start to first poll, ms", first_poll, 100.0, first_poll < 100.0);
    println!("PASS  every event delivered once, also over a restart");
    Ok(())
}

fn verdict(what: &str, found: f64, limit: f64, kept: bool) {
    println!("{}  {what:28} {found:7.1}  (limit {limit})", if kept { "PASS" } else { "MISS" });
}

/// A new world, and where it is.
fn world() -> Result<(Dialogue, Places)> {
    let mut world = Dialogue::start("--world")?;
    let places = world.hear()?;
    Ok((world, places))
}

/// Idle memory in MB, and milliseconds from the start of the process to its first request.
fn starts(folder: &Path, scale: &Scale) -> Result<(f64, f64)> {
    let (mut took, mut idle) = (Vec::new(), 0.0);
    for start in 0..scale.starts {
        let folder = folder.join(format!("start-{start}"));
        std::fs::create_dir(&folder)?;
        let (mut world, places) = world()?;
        world.say(&Order::Polls(1))?;
        let clock = Clock::system();
        let daemon = Daemon::start(&places, &folder, "1s")?;
        let _: Value = world.hear()?;
        took.push(clock.tick().as_secs_f64() * 1e3);
        if start == 0 {
            std::thread::sleep(Duration::from_secs(3));
            idle = daemon.memory()?;
        }
        daemon.stop()?;
        world.end()?;
    }
    Ok((idle, median(took)))
}

/// All events at once; then ringback is started again over the same store, and must send nothing again.
fn burst(folder: &Path, scale: &Scale) -> Result<(Burst, String)> {
    std::fs::create_dir(folder)?;
    let (mut world, places) = world()?;
    let daemon = start(&mut world, &places, folder, BURST_EVERY)?;
    let before = daemon.cpu_seconds()?;
    let _: Value = world.ask(&Order::Burst(scale.burst))?;
    // What was delivered is settled, and belongs to the price.
    std::thread::sleep(Duration::from_millis(200));
    let cpu = (daemon.cpu_seconds()? - before) / scale.burst as f64 * 1e3;
    let peak = daemon.peak_memory()?;
    daemon.stop()?;
    start(&mut world, &places, folder, "100ms")?.stop()?;
    let report = conserved(&mut world, scale.burst)?;
    world.end()?;
    std::fs::remove_dir_all(folder)?;
    let events = scale.burst as f64;
    let burst =
        Burst { rate: events / report.span, from_seen: events / report.from_seen, intake: report.intake, cpu, peak };
    Ok((burst, report.body))
}

/// A ringback that has read the PBX a few times.
fn start(world: &mut Dialogue, places: &Places, folder: &Path, every: &str) -> Result<Daemon> {
    world.say(&Order::Polls(2))?;
    let daemon = Daemon::start(places, folder, every)?;
    let _: Value = world.hear()?;
    Ok(daemon)
}

/// Deliveries a second, and CPU seconds per 1,000.
fn posts(body: &str, scale: &Scale) -> Result<(f64, f64)> {
    let (mut world, places) = world()?;
    let posts = Posts {
        url: places.receiver,
        secret: SECRET.to_owned(),
        body: body.to_owned(),
        count: scale.burst,
        concurrency: CONCURRENCY,
    };
    let posted: Posted = Dialogue::start("--post")?.ask_once(&posts)?;
    let report: Report = world.ask(&Order::Report)?;
    ensure!(report.ids == scale.burst, "{} of {} plain POSTs arrived", report.ids, scale.burst);
    world.end()?;
    let count = scale.burst as f64;
    Ok((count / report.span, posted.cpu_seconds / count * 1e3))
}

/// Milliseconds from seen to delivered, sorted.
fn trickle(folder: &Path, scale: &Scale) -> Result<Vec<f64>> {
    std::fs::create_dir(folder)?;
    let (mut world, places) = world()?;
    let daemon = start(&mut world, &places, folder, TRICKLE_EVERY)?;
    let _: Value = world.ask(&Order::Trickle { events: scale.trickle, every_ms: TRICKLE_MS })?;
    daemon.stop()?;
    let report = conserved(&mut world, scale.trickle)?;
    world.end()?;
    Ok(report.latencies)
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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Of sorted values, the nearest by rank.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the values")]
    let rank = (q * last).round() as usize;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}
