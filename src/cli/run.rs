//! `ringback run` and `ringback once`.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;

/// The daemon, until SIGTERM or SIGINT. A second one of these ends it at once.
pub(super) async fn run(config: &Config) -> Result<(), Failure> {
    let app = App::new(config, Clock::system()).await?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    app.run(stop).await?;
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

pub(super) fn stop_on_signals(stop: CancellationToken) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Run(format!("cannot listen for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
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
            stop.cancel();
        }
    });
    Ok(())
}
