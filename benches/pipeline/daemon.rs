//! The real `ringback run`, measured from outside.

use std::path::Path;
use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};

use crate::process;
use crate::world::Places;

/// What signs the deliveries.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Attempts under way at once.
pub(crate) const CONCURRENCY: usize = 16;

/// A running ringback.
pub(crate) struct Daemon(Child);

impl Daemon {
    /// Starts `binary` over the store in `folder`; it reads the PBX every `every`.
    pub(crate) fn start(binary: &str, places: &Places, folder: &Path, every: &str) -> Result<Self> {
        let config = folder.join("config.yaml");
        std::fs::write(&config, yaml(places, folder, every))?;
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

fn yaml(places: &Places, folder: &Path, every: &str) -> String {
    let Places { pbx, key, receiver } = places;
    let store = folder.join("store");
    let store = store.display();
    format!(
        "accounts:
  - {{name: main, api_key: '{key}', base_url: '{pbx}', limits: {{voicemails: 100000}}}}
watch:
  missed_calls: {{enabled: false}}
  voicemails: {{every: {every}}}
delivery: {{concurrency: {CONCURRENCY}}}
channels:
  - {{name: crm, type: webhook, url: '{receiver}', secret: {SECRET}, recording: none}}
store: {{path: '{store}'}}
http: {{listen: 'off'}}
routes: {{notify: crm}}
"
    )
}
