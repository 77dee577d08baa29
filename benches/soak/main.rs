//! Whether ringback grows: `cargo bench --bench soak [-- [--quick] [--restless]]`.
//!
//! Hours of a busy office with faults, as fast as they go: every minute calls are missed and voicemails left, and for
//! some minutes of each hour the webhook, Slack, the mail server or the PBX is out of order. Between two such hours
//! twelve quiet days pass, so that `store.keep` forgets what the fourth hour before has brought: from then on memory and
//! store must stay as they are. The last third of the hours is compared with the middle third.
//!
//! With `--restless` the daemon has no second to itself in all that time, in which it would put its store in order.
//!
//! ringback runs in a process of its own, of which the kernel says the memory; it runs by a clock that this driver
//! moves, as the simulated world does. A missed limit is said and is no failure, since a busy machine must not break a
//! build; an event that is never told is one.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it has measured")]

mod daemon;
#[path = "../pipeline/process.rs"]
#[expect(dead_code, reason = "the other benchmark measures more")]
mod process;
mod world;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ringback::outbox::State;
use ringback::store::Store as _;
use ringback::store::sled::SledStore;
use tempfile::TempDir;

use process::{Dialogue, memory};
use world::World;

/// The most that memory may be above the middle third in the last, in percent.
const MEMORY_GROWTH: f64 = 5.0;

/// The same for the store: sled's file breathes, as space is used again in its own time.
const STORE_GROWTH: f64 = 30.0;

/// In truth, between two hours: the store moves its journal when nothing has been asked of it for a second.
const REST: Duration = Duration::from_secs(3);

/// What an hour has left behind.
struct Hour {
    events: usize,
    /// Resident, in MB.
    memory: f64,
    /// Of the store's files, in MB.
    store: f64,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    if has("--daemon") {
        return daemon::run();
    }
    if !has("--bench") {
        println!("measures with `cargo bench --bench soak` only");
        return Ok(());
    }
    let hours = if has("--quick") { 12 } else { 36 };
    // On the disk that the build uses: a store in memory would flatter.
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
    let rest = if has("--restless") { Duration::ZERO } else { REST };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let passed = runtime.block_on(soak(folder.path(), hours, rest))?;
    let third = passed.len() / 3;
    let (middle, last) = (&passed[third..2 * third], &passed[2 * third..]);
    println!();
    let (before, after) = (mean(middle, |hour| hour.memory), mean(last, |hour| hour.memory));
    verdict("resident memory, MB", before, after, MEMORY_GROWTH);
    let (before, after) = (mean(middle, |hour| hour.store), mean(last, |hour| hour.store));
    verdict("store, MB", before, after, STORE_GROWTH);
    println!("PASS  every event of {hours} hours told");
    Ok(())
}

async fn soak(folder: &Path, hours: usize, rest: Duration) -> Result<Vec<Hour>> {
    let mut world = World::start()?;
    let config = folder.join("config.yaml");
    std::fs::write(&config, world.yaml(folder))?;
    let mut daemon = Dialogue::start("--daemon")?;
    let id: u32 = daemon.ask(&daemon::Beginning { config, at: world.now() })?;
    println!("hour  events  told at the webhook  memory, MB  store, MB");
    let mut passed = Vec::with_capacity(hours);
    for n in 1..=hours {
        if let Err(error) = world.hour(&mut daemon).await {
            daemon.end()?;
            explain(&folder.join("store"), &world).await?;
            return Err(error);
        }
        let hour = Hour {
            events: world.events(),
            memory: memory(id, "VmRSS")?,
            store: size(&folder.join("store"))? as f64 / 1e6,
        };
        println!("{n:4}  {:6}  {:19}  {:10.1}  {:9.1}", hour.events, world.told(), hour.memory, hour.store);
        passed.push(hour);
        tokio::time::sleep(rest).await;
        world.quiet_days(&mut daemon).await?;
    }
    daemon.end()?;
    let store = SledStore::open(&folder.join("store"), world.moment())?;
    let deliveries = store.list(&|_| true).await?.len();
    println!("{deliveries} deliveries are kept, of {}", 3 * world.events());
    Ok(passed)
}

/// What the store knows of this hour's events that the webhook was not told of by a message of its own.
async fn explain(store: &Path, world: &World) -> Result<()> {
    let store = SledStore::open(store, world.moment())?;
    let deliveries = store.list(&|delivery| delivery.channel == "crm").await?;
    for event in store.list_events(&|event| world.is_of_this_hour(&event.uuid)).await? {
        let told: Vec<_> = deliveries.iter().filter(|delivery| delivery.event_id == event.id).collect();
        if !told.iter().any(|delivery| matches!(delivery.state, State::Delivered { .. }) && delivery.shared.is_none()) {
            println!("not told: {event:?} {told:?}");
        }
    }
    Ok(())
}

fn mean(hours: &[Hour], of: impl Fn(&Hour) -> f64) -> f64 {
    hours.iter().map(of).sum::<f64>() / hours.len() as f64
}

fn verdict(what: &str, before: f64, after: f64, limit: f64) {
    let growth = 100.0 * (after / before - 1.0);
    let word = if growth <= limit { "PASS" } else { "MISS" };
    println!(
        "{word}  {what:20} {before:6.1} in the middle third, {after:6.1} in the last: {growth:+.1} % (limit {limit} %)"
    );
}

/// Bytes of the files of a folder.
fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            bytes += size(&entry.path())?;
        } else if kind.is_file() {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
