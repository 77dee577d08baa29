//! The world of the demo: a PBX and three receivers on loopback, a folder for the store, and the configuration.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::Failure;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::sim::audio;
use crate::sim::pbx::{Limits, PbxOptions, PbxSim};
use crate::sim::receiver::{HttpReceiver, Kind};
use crate::sim::smtp::{SmtpOptions, SmtpReceiver};

/// The account's name in the configuration.
pub(super) const ACCOUNT: &str = "istanbul";

/// How long a missed call may still be returned. The PBX writes whole seconds, so it can be up to one second less.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// Signs the webhooks of the demo; guards nothing.
pub(super) const WEBHOOK_SECRET: &str = "whsec_cmluZ2JhY2sgZGVtbyBzaWduaW5nIGtleQ==";

/// Everything outside of ringback.
pub(super) struct World {
    pub(super) pbx: PbxSim,
    pub(super) mail: SmtpReceiver,
    pub(super) slack: HttpReceiver,
    pub(super) webhook: HttpReceiver,
    folder: Folder,
}

impl World {
    pub(super) fn start(clock: &Clock) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Run(format!("the demo's servers cannot be started: {error}"));
        let options = PbxOptions {
            limits: Limits::NONE,
            audio: audio::tone(Duration::from_secs(3), 440.0).into(),
            ..PbxOptions::default()
        };
        Ok(Self {
            pbx: PbxSim::start(clock.clone(), options).map_err(failed)?,
            mail: SmtpReceiver::start(clock.clone(), SmtpOptions::default()).map_err(failed)?,
            slack: HttpReceiver::start(clock.clone(), Kind::Slack).map_err(failed)?,
            webhook: HttpReceiver::start(clock.clone(), Kind::Plain).map_err(failed)?,
            folder: Folder::make()?,
        })
    }

    /// The configuration, as the office's administrator would have written it; but for the short times and high limits,
    /// without which a story would take minutes.
    pub(super) fn config(&self, port: Option<u16>) -> Result<Config, Failure> {
        let mail = self.mail.address();
        let yaml = format!(
            "accounts:
  - name: {ACCOUNT}
    api_key: '{key}'
    base_url: '{pbx}'
    limits: {{cdrs: 600, voicemails: 600, recordings: 60}}
watch:
  missed_calls: {{every: 500ms, grace: {grace}s}}
  voicemails: {{every: 500ms}}
delivery:
  retry: {{initial: 1s, multiplier: 1.5, max: 5s}}
channels:
  - name: mail
    type: email
    smtp: {{host: {host}, port: {smtp}, security: none}}
    from: Santral <santral@ofis.example>
    to: ofis@ofis.example
  - {{name: slack, type: slack, webhook_url: '{slack}', locale: en}}
  - {{name: crm, type: webhook, url: '{webhook}', secret: {WEBHOOK_SECRET}}}
routes:
  - {{when: {{queue: '299'}}, mute: true}}
  - {{when: {{queue: '202'}}, notify: [mail, crm]}}
  - {{when: {{extension: '1005'}}, notify: mail}}
  - {{notify: [mail, slack, crm]}}
http: {{listen: '{listen}'}}
",
            key = self.pbx.key(),
            pbx = self.pbx.base_url(),
            grace = GRACE.as_secs(),
            host = mail.ip(),
            smtp = mail.port(),
            slack = self.slack.url(),
            webhook = self.webhook.url(),
            listen = port.map_or_else(|| "off".to_owned(), |port| format!("127.0.0.1:{port}")),
        );
        let mut config = config::parse("the demo's configuration", yaml.as_bytes(), Path::new("."), &|_| None)?;
        // Not in the text: a path may hold what YAML or the interpolation takes for its own.
        config.store.path = self.folder.0.join("store");
        Ok(config)
    }
}

/// A folder of our own, which goes with us.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let name = format!("ringback-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Failure::Run(format!(
                "cannot make the folder {} for the demo: {error}\nhint: $TMPDIR names another place",
                path.display()
            ))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing of worth is in it, and there is nobody left to tell.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
