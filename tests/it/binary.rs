//! The built program in a process of its own, which ends with the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ringback::clock::Clock;
use tempfile::TempDir;

/// Longer than any command here takes on a machine that builds something else meanwhile; what is not over by then hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A running command. Dropping it kills it.
pub(crate) struct Program {
    child: Child,
    output: TempDir,
}

/// The built program, or another build of it: `$RINGBACK_BINARY`.
#[expect(clippy::disallowed_methods, reason = "how the scripts of the long forms name the release build")]
pub(crate) fn program() -> PathBuf {
    std::env::var_os("RINGBACK_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_ringback").into(), PathBuf::from)
}

/// A command in `folder` with an environment of `PATH` and `variables` alone.
pub(crate) fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Program {
    start_as(Command::new(program()).args(arguments), folder, variables)
}

/// The same by a command of the test's own, which becomes the program.
pub(crate) fn start_as(command: &mut Command, folder: &Path, variables: &[(&str, &str)]) -> Program {
    let output = TempDir::new().unwrap();
    let file = |name: &str| Stdio::from(File::create(output.path().join(name)).unwrap());
    let child = command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .spawn()
        .unwrap();
    Program { child, output }
}

/// Runs a command to its end.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Ended {
    start(folder, arguments, &[]).end(LIMIT)
}

impl Program {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.output.path().join("stderr")).unwrap()
    }

    /// SIGTERM, SIGHUP, …
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end, at most `limit`. Blocks, so simulators need a runtime with threads.
    pub(crate) fn end(mut self, limit: Duration) -> Ended {
        let clock = Clock::system();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(clock.tick() < limit, "it still runs after {limit:?}\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(10));
        };
        let stdout = fs::read_to_string(self.output.path().join("stdout")).unwrap();
        Ended { code: status.code(), stdout, stderr: self.stderr() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a configuration into `folder` and gives its path.
pub(crate) fn configure(folder: &Path, yaml: &str) -> PathBuf {
    let path = folder.join("config.yaml");
    fs::write(&path, yaml).unwrap();
    path
}

/// The root of the package.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
