//! The real `ringback run`, measured from outside.

use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};

use crate::process;
use crate::world::Places;

/// What signs the deliveries.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The last part of the hook's URL.
const HOOK_SECRET: &str = "0123456789abcdef";

/// `watch.missed_calls` where only voicemails are measured.
const NO_CALLS: &str = "{enabled: false}";

/// Attempts under way at once.
pub(crate) const CONCURRENCY: usize = 16;

/// A running ringback.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts `binary` over the store in `folder`; it reads the PBX every `every`.
    pub(crate) fn start(binary: &str, places: &Places, folder: &Path, every: &str) -> Result<Self> {
        Self::start_as(binary, folder, &yaml(places, folder, every, NO_CALLS, "{listen: 'off'}", ""))
    }

    /// Starts `binary` with the default interval between its reads, and a hook at `port` for the PBX to post the ends of
    /// missed calls to, which are told without a grace.
    pub(crate) fn start_with_hook(binary: &str, places: &Places, folder: &Path, port: u16) -> Result<Self> {
        let (http, push) = (format!("{{listen: '127.0.0.1:{port}'}}"), format!("push: {{secret: {HOOK_SECRET}}}"));
        Self::start_as(binary, folder, &yaml(places, folder, "60s", "{grace: 0s}", &http, &push))
    }

    fn start_as(binary: &str, folder: &Path, yaml: &str) -> Result<Self> {
        let config = folder.join("config.yaml");
        std::fs::write(&config, yaml)?;
        let child = Command::new(binary)
            .arg("--config")
            .arg(config)
            .args(["--log-level", "error", "run"])
            .env_clear()
            .spawn()
            .context("cannot start ringback")?;
        Ok(Self(child))
    }

    /// User and system time so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.0.id())
    }

    /// Resident memory, in MB.
    pub(crate) fn memory(&self) -> Result<f64> {
        process::memory(self.0.id(), "VmRSS")
    }

    /// The most that resident memory has been, in MB.
    pub(crate) fn peak_memory(&self) -> Result<f64> {
        process::memory(self.0.id(), "VmHWM")
    }

    /// In order, by SIGTERM.
    pub(crate) fn stop(mut self) -> Result<()> {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        ensure!(sent.success(), "cannot stop ringback");
        let ended = self.0.wait()?;
        ensure!(ended.success(), "ringback ended with {ended}");
        Ok(())
    }
}

impl Drop for Daemon {
    /// After a failure of the benchmark; otherwise it has ended long ago.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the PBX posts, with [`Daemon::start_with_hook`].
pub(crate) fn hook(port: u16) -> String {
    format!("http://127.0.0.1:{port}/hooks/pbx/main/{HOOK_SECRET}")
}

fn yaml(places: &Places, folder: &Path, every: &str, calls: &str, http: &str, push: &str) -> String {
    let Places { pbx, key, receiver } = places;
    let store = folder.join("store");
    let store = store.display();
    format!(
        "accounts:
  - {{name: main, api_key: '{key}', base_url: '{pbx}', limits: {{cdrs: 100000, voicemails: 100000}}}}
watch:
  missed_calls: {calls}
  voicemails: {{every: {every}}}
delivery: {{concurrency: {CONCURRENCY}}}
channels:
  - {{name: crm, type: webhook, url: '{receiver}', secret: {SECRET}, recording: none}}
store: {{path: '{store}'}}
http: {http}
{push}
routes: {{notify: crm}}
"
    )
}
