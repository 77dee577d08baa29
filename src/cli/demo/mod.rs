//! `ringback demo`: an office on this machine, with the real pipeline between a simulated PBX and real receivers.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use self::hall::Hall;
use self::stage::Stage;
use self::world::{Door, Folder, World};
use super::Failure;
use super::run::stop_on_signals;
use crate::app::App;
use crate::clock::Clock;
use crate::units;

mod hall;
mod ledger;
mod mail;
mod page;
mod screen;
mod signature;
mod slack;
mod stage;
mod story;
mod view;
mod visitors;
mod world;

/// Shorter, and nothing could be told.
const SHORTEST: Duration = Duration::from_secs(5);

/// The arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Show the page of the demo on this port of 127.0.0.1; without it on 8380, or on another one when that is taken
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// End after this long, such as 15s or 5m; without it the demo runs until Ctrl-C. The written part of the story
    /// takes 12 s, then chance goes on
    #[arg(long, value_name = "DURATION", value_parser = length)]
    r#for: Option<Duration>,

    /// Show everything in the terminal alone; there is a page only when a --port for it is named
    #[arg(long)]
    headless: bool,
}

/// Plays the story, shows what is told, and compares the two. An error when they differ.
pub(super) async fn demo(options: &Options, colour: bool) -> Result<(), Failure> {
    let clock = Clock::system();
    let folder = Folder::make()?;
    let door = Door::choose()?;
    let world = World::start(&clock, &door)?;
    let config = world.config(&door, &folder)?;
    let app = App::new(&config, clock.clone()).await?;
    let zone = TimeZone::get(&config.timezone)
        .map_err(|error| Failure::Run(format!("the time zone of the demo is missing: {error}")))?;
    let (hall, mut pressed) = Hall::new(world, door, zone);
    let hall = Arc::new(hall);
    let listener =
        if options.headless && options.port.is_none() { None } else { Some(page::listen(options.port).await?) };
    let mut stage = Stage::new(Arc::clone(&hall), clock.clone(), app.store(), colour)?;
    let (stop, interrupted) = (CancellationToken::new(), CancellationToken::new());
    stop_on_signals(interrupted.clone(), None)?;
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    stage.introduce(&config, options, address.map(|address| format!("http://{address}/")).as_deref());
    let mut running = tokio::spawn(app.run(stop.clone()));
    let page = listener.map(|listener| page::serve(listener, hall, clock, stop.clone())).transpose()?.map(tokio::spawn);
    tokio::select! {
        ended = &mut running => {
            ended.map_err(panicked)??;
            return Err(Failure::Run("ringback has stopped by itself; see the log above".to_owned()));
        }
        () = stage.perform(options.r#for, &interrupted, &mut pressed) => {}
    }
    stop.cancel();
    running.await.map_err(panicked)??;
    if let Some(page) = page {
        page.await.map_err(panicked)?;
    }
    if stage.is_deserted() {
        return Ok(());
    }
    // What was on its way when ringback was stopped.
    stage.read().await;
    stage.sum_up()
}

fn panicked(panic: JoinError) -> Failure {
    Failure::Run(format!("ringback has panicked: {panic}"))
}

fn length(text: &str) -> Result<Duration, String> {
    let length = units::parse_duration(text)?;
    let shortest = units::format_duration(SHORTEST);
    if length < SHORTEST { Err(format!("nothing could be told in less than {shortest}")) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_too_short_to_tell_anything_is_refused() {
        assert_eq!(length("15s"), Ok(Duration::from_secs(15)));
        assert!(length("4s").is_err_and(|error| error.contains("5s")));
    }
}
