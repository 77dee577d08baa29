//! `ringback store export` and `ringback store import`: backup, moving, compacting.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::sled::SledStore;
use crate::store::transfer::{self, Row};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write every row as JSON lines, without secrets but with names and numbers. Stop the daemon first
    Export {
        /// The file; stdout when none is named
        file: Option<PathBuf>,
    },
    /// Read an export into a store that is new or empty: all of it or, when a line is wrong, nothing
    Import {
        /// The file; stdin when none is named
        file: Option<PathBuf>,
    },
}

pub(super) async fn store(config: &Config, command: &Command) -> Result<(), Failure> {
    match command {
        Command::Export { file } => export(config, file.as_deref()),
        Command::Import { file } => import(config, file.as_deref()).await,
    }
}

fn export(config: &Config, file: Option<&Path>) -> Result<(), Failure> {
    let path = &config.store.path;
    let store = SledStore::open_existing(path, Clock::system().moment())?;
    let (rows, unreadable) = store.all_rows()?;
    match file.filter(|file| *file != Path::new("-")) {
        None => transfer::write(&rows, &mut io::stdout().lock()).map_err(|error| cannot("write to stdout", &error)),
        Some(file) => to_file(&rows, file).map_err(|error| cannot(&format!("write {}", file.display()), &error)),
    }?;
    tracing::info!(store = %path.display(), rows = rows.len(), "exported");
    if unreadable > 0 {
        return Err(Failure::Run(format!(
            "{unreadable} rows of the store {} cannot be read and are not in the export; see the log above",
            path.display()
        )));
    }
    Ok(())
}

/// Whole or not at all, and for its owner alone.
fn to_file(rows: &[Row], file: &Path) -> io::Result<()> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let out = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
    let written = transfer::write(rows, &mut io::BufWriter::new(&out)).and_then(|()| out.sync_all());
    match written {
        Ok(()) => std::fs::rename(&partial, file),
        Err(error) => {
            // The disk is full, say: what could be written of it would only be in the way.
            let _ = std::fs::remove_file(&partial);
            Err(error)
        }
    }
}

async fn import(config: &Config, file: Option<&Path>) -> Result<(), Failure> {
    let (name, rows) = match file.filter(|file| *file != Path::new("-")) {
        None => ("stdin".to_owned(), transfer::read(io::stdin().lock())),
        Some(file) => {
            let opened = File::open(file).map_err(|error| cannot(&format!("read {}", file.display()), &error))?;
            (file.display().to_string(), transfer::read(BufReader::new(opened)))
        }
    };
    // The whole of it is read before a store is made.
    let rows = rows.map_err(|error| Failure::Run(format!("{name}: {error}; nothing was imported")))?;
    let path = &config.store.path;
    let now = Clock::system().moment();
    let store = SledStore::open(path, now)?;
    store.fill(&rows, now).await?;
    tracing::info!(store = %path.display(), rows = rows.len(), "imported");
    Ok(())
}

fn cannot(what: &str, error: &io::Error) -> Failure {
    Failure::Run(format!("cannot {what}: {error}"))
}
