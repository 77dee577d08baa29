//! ringback in a process of its own, by a clock that its parent moves.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use ringback::app::{self, App};
use ringback::clock::Clock;
use ringback::config;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The first line of the parent, answered by the process id. Each further one is a number of milliseconds by which time
/// passes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Beginning {
    pub(crate) config: PathBuf,
    pub(crate) at: Timestamp,
}

/// Runs until stdin ends, as the daemon does until SIGTERM.
pub(crate) fn run() -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Not kept: the thread below wants the lock on stdin.
    let first = std::io::stdin().lines().next().context("no first line")??;
    let beginning: Beginning = serde_json::from_str(&first)?;
    let config = config::load(&beginning.config, &|_| None).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    answer(&json!(std::process::id()))?;
    let clock = Clock::manual(beginning.at);
    let stop = CancellationToken::new();
    let (hand, end) = (clock.clone(), stop.clone());
    // The one who moves the clock has a thread of its own, so that the daemon has its thread to itself.
    let mover = std::thread::spawn(move || {
        let moved = move_clock(&hand);
        end.cancel();
        moved
    });
    app::runtime()?.block_on(async { App::new(&config, clock).await?.run(stop).await })?;
    mover.join().map_err(|_| anyhow::anyhow!("the mover of the clock has panicked"))?
}

fn move_clock(clock: &Clock) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        clock.advance(Duration::from_millis(line?.parse()?));
        answer(&json!({}))?;
    }
    Ok(())
}

fn answer(value: &Value) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, value)?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}
