//! `ringback deliveries` and `ringback events`: the outbox, while the daemon runs and when it does not.

use clap::Subcommand;
use serde::Serialize;

use super::daemon::reach;
use super::listing::{Zone, delivery_details, delivery_table, event_table};
use super::{Failure, say};
use crate::config::Config;
use crate::ops::{Done, Filter, StateName};
use crate::server::api::Which;

/// `ringback deliveries …`
#[derive(Debug, Subcommand)]
pub(super) enum DeliveriesCommand {
    /// Print the outbox, those of the newest calls last
    List {
        /// pending, delivered, dead or withdrawn
        #[arg(long)]
        state: Option<StateName>,
        /// Only those of this channel
        #[arg(long)]
        channel: Option<String>,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        show: Output,
    },
    /// Print one delivery and what it is about
    Show {
        /// Its id, or the beginning of it
        id: String,
        #[command(flatten)]
        show: Output,
    },
    /// Send deliveries now: dead, withdrawn and pending ones
    Retry {
        /// Their ids, or the beginnings of them
        #[arg(required_unless_present = "dead", conflicts_with = "dead")]
        id: Vec<String>,
        /// Every dead one
        #[arg(long)]
        dead: bool,
        /// Only those of this channel
        #[arg(long, requires = "dead", conflicts_with = "id")]
        channel: Option<String>,
    },
    /// Remove pending or dead deliveries for good: they are not sent
    Drop {
        /// Their ids, or the beginnings of them
        #[arg(required = true)]
        id: Vec<String>,
    },
}

/// `ringback events …`
#[derive(Debug, Subcommand)]
pub(super) enum EventsCommand {
    /// Print what was seen, the newest last
    List {
        /// Only missed calls that are not returned, and voicemails that are not heard
        #[arg(long)]
        open: bool,
        /// Only the newest N
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        show: Output,
    },
    /// Settle an event by hand: what is pending of it is not sent
    Close {
        /// Its id, or the beginning of it
        id: String,
        /// What there is to say about it, at most 300 bytes
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
}

/// How it is shown.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Output {
    /// For programs
    #[arg(long)]
    json: bool,
    /// Show numbers and names in full
    #[arg(long)]
    reveal: bool,
}

/// Runs one of `deliveries`.
pub(super) async fn deliveries(config: &Config, command: &DeliveriesCommand) -> Result<(), Failure> {
    let outbox = reach(config).await?;
    match command {
        DeliveriesCommand::List { state, channel, limit, show } => {
            let filter = Filter { state: *state, channel: channel.clone(), limit: *limit };
            let found = outbox.deliveries(&filter, show.reveal).await?;
            print(*show, &found.deliveries, || delivery_table(&found, &Zone::of(config)))
        }
        DeliveriesCommand::Show { id, show } => {
            let shown = outbox.delivery(id, show.reveal).await?;
            print(*show, &shown, || delivery_details(&shown, &Zone::of(config)))
        }
        DeliveriesCommand::Retry { id, dead, channel } => {
            let done = outbox.retry(Which { ids: id.clone(), dead: *dead, channel: channel.clone() }).await?;
            let later = if done.done > 0 && outbox.is_stopped() {
                "; ringback does not run, and sends when it does"
            } else {
                ""
            };
            say(&format!("{} due now{later}", are(done.done)));
            if done.parked > 0 {
                say(&format!(
                    "of these, {} waiting for a channel that is not configured, or not enabled",
                    are(done.parked)
                ));
            }
            refused(&done)
        }
        DeliveriesCommand::Drop { id } => {
            let done = outbox.drop(Which { ids: id.clone(), ..Which::default() }).await?;
            say(&format!("{} dropped", are(done.done)));
            refused(&done)
        }
    }
}

/// Runs one of `events`.
pub(super) async fn events(config: &Config, command: &EventsCommand) -> Result<(), Failure> {
    let outbox = reach(config).await?;
    match command {
        EventsCommand::List { open, limit, show } => {
            let found = outbox.events(*open, *limit, show.reveal).await?;
            print(*show, &found.events, || event_table(&found, *open, &Zone::of(config)))
        }
        EventsCommand::Close { id, note } => {
            let closed = outbox.close(id, note.as_deref()).await?;
            let stopped = if closed.stopped == 0 {
                String::new()
            } else {
                format!("; {} not sent any more", are(closed.stopped))
            };
            say(&format!("{} is closed by hand{stopped}", closed.event.id));
            Ok(())
        }
    }
}

fn print(show: Output, data: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
    if show.json {
        let json = serde_json::to_string_pretty(data);
        say(&json.map_err(|error| Failure::Run(format!("the answer cannot be written: {error}")))?);
    } else {
        say(&text());
    }
    Ok(())
}

fn refused(done: &Done) -> Result<(), Failure> {
    if done.refused.is_empty() { Ok(()) } else { Err(Failure::Run(done.refused.join("\nerror: "))) }
}

fn are(deliveries: usize) -> String {
    if deliveries == 1 { "1 delivery is".to_owned() } else { format!("{deliveries} deliveries are") }
}
