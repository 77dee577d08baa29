//! What many rules and a long memory cost: `cargo bench --bench scale [-- --quick]`.
//!
//! Routing: one event through a thousand rules of every kind, of which only the last matches. A poll: what ringback does
//! with a page of a hundred calls that it knows, from the bytes of the answer on, in a store of a thousand remembered
//! events and in one of a million; the rounds alternate, and the medians are compared.
//!
//! A missed limit is said and is no failure, since a busy machine must not break a build. `--quick` remembers a hundred
//! thousand.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

mod poll;
mod routing;
#[path = "../pipeline/stats.rs"]
mod stats;

use anyhow::Result;
use tempfile::TempDir;

/// For one event through a thousand rules, in microseconds.
const ROUTING: f64 = 50.0;

/// By how much a poll may cost more for the longer memory, in percent.
const GROWTH: f64 = 20.0;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    if !has("--bench") {
        println!("measures with `cargo bench --bench scale` only");
        return Ok(());
    }
    let routing = routing::measure()?;
    println!("one event through {} rules, of which the last matches", routing::RULES);
    println!("      median {:.1} µs, 99 of 100 within {:.1} µs", routing.median, routing.p99);
    verdict("routing one event, µs", routing.median, ROUTING);

    let remembered = if has("--quick") { 100_000 } else { 1_000_000 };
    // On the disk that the build uses: a store in memory would flatter.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let polls = poll::measure(folder.path(), remembered)?;
    println!("\na page of {} known calls, with 1,000 and with {remembered} remembered events", poll::PAGE);
    println!("      {:.0} µs and {:.0} µs; {:.0} s to remember them", polls.few, polls.many, polls.building);
    verdict("growth of a poll's cost, %", 100.0 * (polls.many / polls.few - 1.0), GROWTH);
    Ok(())
}

fn verdict(what: &str, found: f64, limit: f64) {
    println!("{}  {what:28} {found:7.1}  (limit {limit})", if found < limit { "PASS" } else { "MISS" });
}
