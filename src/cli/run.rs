//! `ringback run` and `ringback once`, and the signals that the daemon obeys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, environment, systemd};
use crate::app::{App, Readers, ReloadError, Reloads, StartError};
use crate::clock::Clock;
use crate::config::{self, Config, Problems};

/// When whatever still hangs after a signal is left behind: contract section 2 allows ten seconds. Everything in order
/// takes eight at most; a disk that does not answer can take for ever.
const LAST_CALL: Duration = Duration::from_millis(9500);

/// The daemon, until SIGTERM or SIGINT. A second one of these ends it at once; SIGHUP reloads the configuration.
pub(super) async fn run(path: &Path) -> Result<(), Failure> {
    // First of all: an early signal must neither kill what is only starting nor be lost.
    let hangups = listen_for(SignalKind::hangup())?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone(), Some(LAST_CALL))?;
    let clock = Clock::system();
    let making = async {
        let config = load(path).await?;
        Ok::<_, Failure>((summary(&config), App::new(&config, clock.clone()).await?))
    };
    let Some(made) = stop.run_until_cancelled(making).await else {
        tracing::info!("ringback was stopped before it began");
        return Ok(());
    };
    let (summary, app) = made?;
    let store = app.store();
    let readers = Readers::start().map_err(|error| Failure::Run(format!("cannot start: {error}")))?;
    let mut running = app.read_on(&readers).start(stop.clone()).await?;
    running.add("the reload on SIGHUP", reload_on(hangups, path.to_owned(), running.reloads()));
    if let Some(limit) = systemd::watchdog() {
        running.add("the watchdog of systemd", systemd::keep_alive(limit, store, clock));
    }
    let told = tokio::spawn(async move {
        systemd::ready(summary).await;
        stop.cancelled().await;
        systemd::stopping().await;
    });
    let ended = running.until_end().await;
    // It began with the stop and waits for nobody long; without it the process could be gone before systemd is told why.
    let _ = told.await;
    ended?;
    tracing::info!("ringback has stopped");
    Ok(())
}

/// One poll of everything, then what is due is delivered.
pub(super) async fn once(config: &Config) -> Result<(), Failure> {
    let rest = App::new(config, Clock::system()).await?.once().await?;
    if rest.pending + rest.dead > 0 {
        tracing::warn!(pending = rest.pending, dead = rest.dead, "not everything is delivered");
        return Err(Failure::Undelivered);
    }
    if rest.unread > 0 {
        return Err(Failure::Run(format!("{} of the PBX's lists could not be read; see the log above", rest.unread)));
    }
    Ok(())
}

/// SIGTERM and SIGINT cancel `stop`. What then still hangs after `last_call` is left behind, with exit code 0: all that
/// was acknowledged is on the disk, and what was not is done again.
pub(super) fn stop_on_signals(stop: CancellationToken, last_call: Option<Duration>) -> Result<(), Failure> {
    let (mut terminate, mut interrupt) = (listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop.is_cancelled() {
                std::process::exit(1);
            }
            tracing::info!("stopping: attempts under way may end, the others are given back");
            if let Some(last_call) = last_call {
                // A thread: what hangs may be the event loop itself, in waiting for the store's writer.
                std::thread::spawn(move || {
                    std::thread::sleep(last_call);
                    tracing::warn!("not everything has ended in time; what was not acknowledged is done again");
                    std::process::exit(0);
                });
            }
            stop.cancel();
        }
    });
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Run(format!("cannot listen for signals: {error}")))
}

/// Reads the configuration again for every SIGHUP. Several that come meanwhile are one more.
async fn reload_on(mut hangups: Signal, path: PathBuf, reloads: Reloads) {
    while hangups.recv().await.is_some() {
        systemd::reloading().await;
        tracing::info!(file = %path.display(), "reloading the configuration");
        let status = match reload(&path, &reloads).await {
            Ok(summary) => summary,
            Err(problems) => {
                for problem in &problems {
                    tracing::error!("the new configuration cannot be used: {problem}");
                }
                let number = problems.len();
                tracing::error!(
                    problems = number,
                    "the old configuration stays in force; mend the file and reload again"
                );
                format!("the configuration file was refused ({number} problems, see the log): the old one is in force")
            }
        };
        systemd::ready(status).await;
    }
}

/// What is wrong is an entry each.
async fn reload(path: &Path, reloads: &Reloads) -> Result<String, Vec<String>> {
    let config = load(path).await.map_err(|problems| problems.0.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let summary = summary(&config);
    match reloads.reload(config).await {
        Ok(()) => Ok(summary),
        Err(ReloadError::Refused(StartError::Config(problems))) => Err(problems.lines().map(str::to_owned).collect()),
        Err(error) => Err(vec![error.to_string()]),
    }
}

/// Reads the file beside the event loop, which hears the signals: the file may be on a disk that does not answer.
async fn load(path: &Path) -> Result<Config, Problems> {
    let path = path.to_owned();
    let loaded = tokio::task::spawn_blocking(move || config::load(&path, &environment)).await;
    loaded.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// For `systemctl status`.
fn summary(config: &Config) -> String {
    let channels = config.channels.iter().filter(|channel| channel.common.enabled).count();
    format!("watching (accounts: {}), telling (channels: {channels})", config.accounts.len())
}
