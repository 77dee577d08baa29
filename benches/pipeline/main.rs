//! The whole pipeline, measured end to end: `cargo bench --bench pipeline [-- --quick] [--burst] [--push] [--binary FILE]`.
//!
//! Three processes: this driver, which only waits; the world (a simulated PBX and a receiver); and the real
//! `ringback run` between them, measured from outside. In the same run, against the same receiver: plain POSTs of the
//! same body by the same channel, and flushed appends of the same rows to the same disk. The rounds alternate, and the
//! medians are shown.
//!
//! A missed limit is said and is no failure, since a busy machine must not break a build; a delivery that is lost or
//! comes twice is one. `--quick` measures less of everything; `--burst` leaves out all but the burst and the plain
//! POSTs, for a profiler; `--push` all but the calls that the PBX posts; `--binary` measures another build of ringback.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

mod daemon;
mod limits;
mod measure;
mod process;
mod receiver;
mod stats;
mod world;

use anyhow::Result;
use tempfile::TempDir;

use daemon::CONCURRENCY;
use measure::{Bench, Burst, Plain};
use stats::{median, quantile};

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
        println!("measures with `cargo bench --bench pipeline` only");
        return Ok(());
    }
    let binary = words.iter().skip_while(|word| *word != "--binary").nth(1);
    // On the disk that the build uses: a store in memory would flatter.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut bench = Bench {
        binary: binary.map_or(env!("CARGO_BIN_EXE_ringback"), |binary| binary),
        folder: folder.path(),
        rounds: 5,
        burst: 5000,
        trickle: 1000,
        pushes: 200,
        starts: 5,
    };
    if has("--quick") {
        bench = Bench { rounds: 3, burst: 1000, trickle: 250, pushes: 50, starts: 3, ..bench };
    }
    if has("--push") {
        pushed(&bench)?;
    } else {
        bursts(&bench)?;
        if !has("--burst") {
            others(&bench)?;
        }
    }
    println!("PASS  every event delivered once, also over a restart");
    Ok(())
}

fn bursts(bench: &Bench<'_>) -> Result<()> {
    let (mut bursts, mut plain, mut two_threads) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let burst = bench.burst()?;
        plain.push(bench.plain(&burst.body, false)?);
        two_threads.push(bench.plain(&burst.body, true)?);
        bursts.push(burst);
    }
    let of = |value: fn(&Burst) -> f64| median(bursts.iter().map(value));
    let of_plain = |value: fn(&Plain) -> f64| median(plain.iter().map(value));
    let size = bursts.first().map_or(0, |burst| burst.body.len());
    println!(
        "\n{} events at once, one webhook, concurrency {CONCURRENCY}, body of {size} bytes; medians of {} rounds",
        bench.burst, bench.rounds
    );
    println!("                                   ringback  plain POSTs");
    println!("deliveries a second               {:9.0}  {:11.0}", of(|b| b.rate), of_plain(|p| p.rate));
    println!("  counted from the first sight on {:9.0}", of(|b| b.from_seen));
    println!("  seconds to read them all        {:9.2}", of(|b| b.intake));
    println!("CPU seconds per 1,000             {:9.3}  {:11.3}", of(|b| b.cpu), of_plain(|p| p.cpu));
    let most = median(two_threads.iter().map(|plain| plain.rate));
    println!("  plain POSTs on two threads: {most:.0} a second");
    println!();
    let share = median(bursts.iter().zip(&plain).map(|(burst, plain)| 100.0 * burst.rate / plain.rate));
    verdict("share of plain POSTs, %", share, 60.0, share >= 60.0);
    let peak = bursts.iter().map(|burst| burst.peak).fold(0.0, f64::max);
    verdict("peak resident memory, MB", peak, 40.0, peak < 40.0);
    Ok(())
}

fn others(bench: &Bench<'_>) -> Result<()> {
    let starts = bench.starts()?;
    verdict("idle resident memory, MB", starts.idle, 15.0, starts.idle < 15.0);
    verdict("start to first poll, ms", starts.first_poll, 100.0, starts.first_poll < 100.0);
    let latencies = bench.trickle()?;
    let p99 = quantile(&latencies, 0.99);
    verdict("seen to delivered, p99, ms", p99, 50.0, p99 < 50.0);
    println!("      at 50 a second: median {:.1}, longest {:.1}", quantile(&latencies, 0.5), quantile(&latencies, 1.0));
    pushed(bench)?;
    let singly = limits::appends(bench.folder, bench.burst, 1)?;
    let grouped = limits::appends(bench.folder, bench.burst, 100)?;
    println!("      flushed appends a second: {singly:.0} one at a time, {grouped:.0} in groups of 100");
    Ok(())
}

fn pushed(bench: &Bench<'_>) -> Result<()> {
    let waits = bench.pushed()?;
    let p99 = quantile(&waits, 0.99);
    verdict("end of call to delivered, p99, ms", p99, 1500.0, p99 < 1500.0);
    println!(
        "      by push, listed 500 ms after: median {:.0}, longest {:.0}",
        quantile(&waits, 0.5),
        quantile(&waits, 1.0)
    );
    Ok(())
}

fn verdict(what: &str, found: f64, limit: f64, kept: bool) {
    println!("{}  {what:28} {found:7.1}  (limit {limit})", if kept { "PASS" } else { "MISS" });
}
