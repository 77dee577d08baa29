//! The process under test: started, killed, stopped and started again, with one log over all its lives.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ringback::clock::Clock;
use tempfile::TempDir;

use super::say;
use super::town::Town;

/// SIGTERM allows ten seconds (contract, section 2); this machine may be busy.
const STOP: Duration = Duration::from_secs(15);

/// What it is started as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// The daemon.
    Run,
    /// What cron starts.
    Once,
}

/// One after the other. Dropping it kills it.
pub(super) struct Child {
    folder: Arc<TempDir>,
    binary: PathBuf,
    /// By which its wall clock is moved.
    faketime: Option<PathBuf>,
    process: Option<std::process::Child>,
}

impl Child {
    /// With `clock_moves` its wall clock can be moved, where Debian's package faketime is there.
    pub(super) fn new(town: &Town, clock_moves: bool) -> Self {
        Self::within(Arc::clone(&town.folder), clock_moves)
    }

    /// By the configuration in that folder.
    pub(super) fn within(folder: Arc<TempDir>, clock_moves: bool) -> Self {
        let faketime = if clock_moves { faketime() } else { None };
        if clock_moves && faketime.is_none() {
            say("SKIPPED: the moves of the wall clock; there is no libfaketime. hint: run scripts/setup");
        }
        let child = Self { folder, binary: binary(), faketime, process: None };
        child.move_clock(0);
        child
    }

    pub(super) fn start(&mut self, command: Command) {
        let log = OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut process = std::process::Command::new(&self.binary);
        process
            .arg(match command {
                Command::Run => "run",
                Command::Once => "once",
            })
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if let Some(library) = &self.faketime {
            process
                .env("LD_PRELOAD", library)
                .env("FAKETIME_TIMESTAMP_FILE", self.clock_file())
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("NO_FAKE_STAT", "1");
        }
        self.process = Some(process.spawn().unwrap());
    }

    /// SIGKILL. A daemon must have been there for it; `once` may have ended before, in one of its own ways.
    pub(super) fn kill(&mut self, command: Command) {
        let mut process = self.process.take().unwrap();
        let ended = process.try_wait().unwrap();
        process.kill().unwrap();
        let status = process.wait().unwrap();
        let in_order = match command {
            Command::Run => ended.is_none(),
            // Done; the PBX could not be read; something is undelivered.
            Command::Once => ended.is_none_or(|status| matches!(status.code(), Some(0 | 1 | 3))),
        };
        assert!(in_order, "it has ended by itself: {}\n{}", describe(status), self.log());
    }

    /// SIGTERM, and the end that must follow.
    pub(super) fn stop(&mut self) {
        self.signal("TERM");
        let mut process = self.process.take().unwrap();
        let clock = Clock::system();
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break status;
            }
            if clock.tick() > STOP {
                let _ = process.kill();
                panic!("it still runs {STOP:?} after SIGTERM\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "stopped: {}\n{}", describe(status), self.log());
    }

    /// STOP, CONT, TERM.
    pub(super) fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &id]).status().unwrap();
        assert!(sent.success(), "SIG{name} could not be sent\n{}", self.log());
    }

    /// Sets its wall clock so many minutes ahead of ours, or behind, from its next look on.
    pub(super) fn move_clock(&self, minutes: i64) {
        // Replaced as a whole: it is read in between.
        let fresh = self.folder.path().join("clock.new");
        std::fs::write(&fresh, format!("{minutes:+}m\n")).unwrap();
        std::fs::rename(fresh, self.clock_file()).unwrap();
    }

    pub(super) fn can_move_clock(&self) -> bool {
        self.faketime.is_some()
    }

    fn clock_file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    pub(super) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// The end of what it has logged.
    pub(super) fn log(&self) -> String {
        const LINES: usize = 120;
        let log = self.whole_log();
        let lines: Vec<&str> = log.lines().collect();
        let first = lines.len().saturating_sub(LINES);
        format!("the last {} of {} lines of its log:\n{}", lines.len() - first, lines.len(), lines[first..].join("\n"))
    }

    pub(super) fn whole_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Keeps the log where it can be looked at.
    pub(super) fn keep_log(&self) -> PathBuf {
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("crash.log");
        let _ = std::fs::copy(self.folder.path().join("log"), &kept);
        kept
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // Fails when it has ended already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "which build is tried: scripts/torture names the release build")]
fn binary() -> PathBuf {
    std::env::var_os("RINGBACK_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_ringback").into(), PathBuf::from)
}

fn faketime() -> Option<PathBuf> {
    let lib = std::fs::read_dir("/usr/lib").ok()?;
    let candidates = lib.filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketime.so.1")));
    candidates.into_iter().find(|path| File::open(path).is_ok())
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}
