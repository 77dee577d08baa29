//! The command line: one file per group of commands.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::app::{self, RunError, StartError};
use crate::config::{self, Config};
use crate::event::EventType;
use crate::store::StoreError;

mod check;
mod daemon;
mod demo;
mod listing;
mod messages;
mod online;
mod outbox;
mod probe;
mod push;
mod route;
mod run;
mod store;
mod systemd;
mod table;

/// Tells the right people once, promptly, about missed calls and unheard voicemails of a Bulutsantralim cloud PBX.
#[derive(Debug, Parser)]
#[command(name = "ringback", version, max_term_width = 100)]
#[expect(clippy::doc_markdown, reason = "these texts are the help, where backticks would be shown")]
struct Args {
    /// The configuration file [default: $RINGBACK_CONFIG, ./config.yaml or /etc/ringback/config.yaml, whichever is
    /// first]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// How log lines are written to stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// error, warn, info, debug or trace; RUST_LOG overrides it [default: info; of `demo`: warn]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<tracing::Level>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch and tell, until SIGTERM
    Run,
    /// One poll of everything, then deliver what is due: for cron. Exit code 3: something is still pending or dead
    Once,
    /// Validate configuration and templates, and run the configuration's tests
    Check {
        /// Also ask the PBX, the mail servers and the endpoints whether they accept us; sends no notification
        #[arg(long)]
        online: bool,
    },
    /// Send a sample, marked as a test, and report each channel's outcome
    SendTest {
        /// Channels to try; all that are enabled when none is named
        channels: Vec<String>,
        /// Which event to send
        #[arg(long, value_name = "TYPE", default_value = "call.missed")]
        event: EventType,
    },
    /// Print what would be sent: the mail with its headers, the JSON
    Render {
        /// The channel
        channel: String,
        /// Which event to render; also `digest`, `summary`, `health.failing` and `health.recovered`
        #[arg(long, value_name = "TYPE", default_value = "call.missed")]
        event: messages::Sample,
    },
    /// Print which channels an event reaches, and by which rule
    Route(route::Options),
    /// The outbox: what is sent, waits, or was given up, while the daemon runs and when it does not
    #[command(subcommand)]
    Deliveries(outbox::DeliveriesCommand),
    /// What was seen: missed calls and voicemails
    #[command(subcommand)]
    Events(outbox::EventsCommand),
    /// Instant detection: where the PBX posts the ends of calls
    #[command(subcommand)]
    Push(push::Command),
    /// Every row as JSON lines: backup, moving, compacting
    #[command(subcommand)]
    Store(store::Command),
    /// Ask the PBX once per endpoint and print the shape of its answers, every value masked: for bug reports
    Probe,
    /// Print the JSON Schema of the configuration
    Schema,
    /// Everything on this machine: a simulated PBX, real receivers, the real pipeline between them
    Demo(demo::Options),
}

/// Why a command failed, with its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 1.
    #[error("{0}")]
    Run(String),
    /// Exit code 3: `once` left something undelivered. Already said.
    #[error("something is still undelivered")]
    Undelivered,
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(_) => Self::Usage(error.to_string()),
            StartError::Store(_) | StartError::Listen { .. } => Self::Run(error.to_string()),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Start(error) => error.into(),
            RunError::Panicked(_) | RunError::StoreLost(_) | RunError::Store(_) => Self::Run(error.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Run(error.to_string())
    }
}

impl From<config::Problems> for Failure {
    fn from(problems: config::Problems) -> Self {
        let lines: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
        Self::Usage(lines.join("\nerror: "))
    }
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors and go to stdout; when nobody listens there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    start_logs(&args);
    // Fails only if it was installed before, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let failure = match dispatch(&args) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    let code = match &failure {
        Failure::Usage(_) => 2,
        Failure::Run(_) => 1,
        Failure::Undelivered => return ExitCode::from(3),
    };
    complain(&failure);
    ExitCode::from(code)
}

fn dispatch(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Run => block_on(run::run(&config_path(args)?)),
        Command::Once => block_on(run::once(&load(args)?)),
        Command::Check { online } => {
            let config = check::check(&config_path(args)?, &environment)?;
            if *online { block_on(online::ask(&config)) } else { Ok(()) }
        }
        Command::SendTest { channels, event } => block_on(messages::send_test(&load(args)?, channels, *event)),
        Command::Render { channel, event } => messages::render(&load(args)?, channel, event),
        Command::Route(options) => route::route(&load(args)?, options),
        Command::Deliveries(command) => block_on(outbox::deliveries(&load(args)?, command)),
        Command::Events(command) => block_on(outbox::events(&load(args)?, command)),
        Command::Push(command) => block_on(push::push(&load(args)?, command)),
        Command::Store(command) => block_on(store::store(&load(args)?, command)),
        Command::Probe => block_on(probe::probe(&load(args)?)),
        Command::Schema => check::schema(),
        Command::Demo(options) => {
            // no-color.org: set and not empty.
            let colour = environment("NO_COLOR").is_none_or(|value| value.is_empty());
            block_on(demo::demo(options, colour))
        }
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = app::runtime().map_err(|error| Failure::Run(format!("cannot start: {error}")))?;
    let result = runtime.block_on(work);
    // Looking up a name blocks a thread for as long as the resolver likes; the end of the process does not wait for it.
    runtime.shutdown_background();
    result
}

fn load(args: &Args) -> Result<Config, Failure> {
    Ok(config::load(&config_path(args)?, &environment)?)
}

/// The first that exists, unless one is named.
fn config_path(args: &Args) -> Result<PathBuf, Failure> {
    if let Some(path) = &args.config {
        return Ok(path.clone());
    }
    if let Some(path) = environment("RINGBACK_CONFIG").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let places = ["./config.yaml", "/etc/ringback/config.yaml"];
    places.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned).ok_or_else(|| {
        Failure::Usage(format!(
            "no configuration: neither {} nor {} exists\n\
             hint: name one with --config FILE or $RINGBACK_CONFIG; config.example.yaml is a start, and `ringback demo` needs none",
            places[0], places[1]
        ))
    })
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Logs go to stderr; a filter in `RUST_LOG` that cannot be read is said there and passed over.
fn start_logs(args: &Args) {
    // The demo shows everything by itself.
    let usual = if matches!(args.command, Command::Demo(_)) { tracing::Level::WARN } else { tracing::Level::INFO };
    let level = args.log_level.unwrap_or(usual).to_string();
    let filter = match environment("RUST_LOG").filter(|text| !text.is_empty()) {
        Some(text) => EnvFilter::try_new(&text).unwrap_or_else(|error| {
            complain(&format!("RUST_LOG is not a filter, `{level}` is used: {error}"));
            EnvFilter::new(&level)
        }),
        None => EnvFilter::new(&level),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Fails only if logs are on already, as in a test that calls this twice.
    let _ = match args.log_format {
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
}

/// One line, or several, to the person at the terminal.
#[expect(clippy::print_stderr, reason = "the one place that complains to the terminal")]
fn complain(what: &dyn std::fmt::Display) {
    eprintln!("error: {what}");
}

/// Data for whoever asked for it. Who has stopped reading (`| head`) has what they wanted.
fn say(what: &dyn std::fmt::Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{what}")
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        complain(&format!("stdout cannot be written: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_that_hangs_does_not_hold_up_the_end() {
        let (release, hangs) = std::sync::mpsc::channel::<()>();
        let ended = block_on(async {
            tokio::task::spawn_blocking(move || hangs.recv());
            Ok(())
        });
        assert!(ended.is_ok());
        // Only now may it end: the line above was reached while it hung.
        drop(release);
    }
}
