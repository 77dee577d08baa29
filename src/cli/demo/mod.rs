//! `ringback demo`: an office on this machine, with the real pipeline between a simulated PBX and real receivers.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::stage::Stage;
use self::world::World;
use super::Failure;
use super::run::stop_on_signals;
use crate::app::{App, RunError, StartError};
use crate::clock::Clock;
use crate::units;

mod ledger;
mod mail;
mod screen;
mod signature;
mod slack;
mod stage;
mod story;
mod world;

/// Shorter, and nothing could be told.
const SHORTEST: Duration = Duration::from_secs(8);

/// The arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Serve health and metrics on this port of 127.0.0.1; without it they are not served
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// End after this long, such as 15s or 5m; without it the demo runs until Ctrl-C. The written part of the story
    /// takes 12 s, then chance goes on
    #[arg(long, value_name = "DURATION", value_parser = length)]
    r#for: Option<Duration>,

    /// Show everything in the terminal and open no page; there is no page yet, so this is what happens anyway
    #[arg(long)]
    headless: bool,
}

/// Plays the story, shows what is told, and compares the two. An error when they differ.
pub(super) async fn demo(options: &Options, colour: bool) -> Result<(), Failure> {
    let clock = Clock::system();
    let world = World::start(&clock)?;
    let config = world.config(options.port)?;
    let app = App::new(&config, clock.clone()).await?;
    let mut stage = Stage::new(world, clock, &config, colour)?;
    let (stop, interrupted) = (CancellationToken::new(), CancellationToken::new());
    stop_on_signals(interrupted.clone(), None)?;
    stage.introduce(&config, options);
    let mut running = tokio::spawn(app.run(stop.clone()));
    tokio::select! {
        ended = &mut running => {
            ended.map_err(|panic| Failure::Run(format!("ringback has panicked: {panic}")))?.map_err(stopped)?;
            return Err(Failure::Run("ringback has stopped by itself; see the log above".to_owned()));
        }
        () = stage.perform(options.r#for, &interrupted) => {}
    }
    stop.cancel();
    running.await.map_err(|panic| Failure::Run(format!("ringback has panicked: {panic}")))??;
    if stage.is_deserted() {
        return Ok(());
    }
    // What was on its way when ringback was stopped.
    stage.read().await;
    stage.sum_up()
}

fn length(text: &str) -> Result<Duration, String> {
    let length = units::parse_duration(text)?;
    let shortest = units::format_duration(SHORTEST);
    if length < SHORTEST { Err(format!("nothing could be told in less than {shortest}")) } else { Ok(length) }
}

/// There is no `http.listen` to change here.
fn stopped(error: RunError) -> Failure {
    match error {
        RunError::Start(StartError::Listen { address, cause }) => {
            Failure::Run(format!("cannot listen on {address}: {cause}\nhint: choose another --port, or none"))
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_too_short_to_tell_anything_is_refused() {
        assert_eq!(length("15s"), Ok(Duration::from_secs(15)));
        assert!(length("7s").is_err_and(|error| error.contains("8s")));
    }
}
