//! The world of the demo: a PBX and three receivers on loopback, a folder for the store, and the configuration.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::Failure;
use super::ledger::Place;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::sim::audio;
use crate::sim::pbx::{Crm, Limits, PbxOptions, PbxSim};
use crate::sim::receiver::{BOT_TOKEN, CHANNEL_ID, HttpReceiver, Kind, Mode};
use crate::sim::smtp::{self, SmtpFault, SmtpOptions, SmtpReceiver};

/// The account's name in the configuration.
pub(super) const ACCOUNT: &str = "istanbul";

/// How long a missed call may still be returned. The PBX writes whole seconds, so it can be up to one second less.
pub(super) const GRACE: Duration = Duration::from_secs(3);

/// Signs the webhooks of the demo; guards nothing.
pub(super) const WEBHOOK_SECRET: &str = "whsec_cmluZ2JhY2sgZGVtbyBzaWduaW5nIGtleQ==";

/// The extension of the office that is rung first when somebody calls back; one that the simulated PBX has.
pub(super) const EXTENSION: &str = "1014";

/// What is wrong with a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// It answers everything with 500, or 451 where SMTP is spoken.
    Fails,
    /// It never answers.
    Hangs,
}

/// Where ringback itself is to be reached.
pub(super) struct Door {
    /// `http://127.0.0.1:PORT`, without a slash at its end.
    pub(super) url: String,
    /// Of the board. Whoever sees the page of the demo sees it: it guards invented calls.
    pub(super) token: String,
    /// The last part of the hook's URL.
    push_secret: String,
}

impl Door {
    /// A port that is free now, and secrets of this demo alone.
    ///
    /// # Errors
    /// When this machine has none.
    pub(super) fn choose() -> Result<Self, Failure> {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(|error| Failure::Run(format!("no port of 127.0.0.1 can be had: {error}")))?;
        let secret = || format!("{:032x}", fastrand::u128(..));
        Ok(Self { url: format!("http://{address}"), token: secret(), push_secret: secret() })
    }

    fn listen(&self) -> &str {
        self.url.trim_start_matches("http://")
    }
}

/// Everything outside of ringback.
pub(super) struct World {
    pub(super) pbx: PbxSim,
    pub(super) mail: SmtpReceiver,
    pub(super) slack: HttpReceiver,
    pub(super) webhook: HttpReceiver,
}

impl World {
    /// Everything listens; the PBX posts the ends of calls to ringback behind `door`.
    pub(super) fn start(clock: &Clock, door: &Door) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::Run(format!("the demo's servers cannot be started: {error}"));
        let hook = format!("{}/hooks/pbx/{ACCOUNT}/{}", door.url, door.push_secret);
        let options = PbxOptions {
            limits: Limits::NONE,
            crm: Crm { hangup: true, notification_url: Some(hook), ..Crm::default() },
            audio: audio::tone(Duration::from_secs(3), 440.0).into(),
            ..PbxOptions::default()
        };
        Ok(Self {
            pbx: PbxSim::start(clock.clone(), options).map_err(failed)?,
            mail: SmtpReceiver::start(clock.clone(), SmtpOptions::default()).map_err(failed)?,
            slack: HttpReceiver::start(clock.clone(), Kind::Slack).map_err(failed)?,
            webhook: HttpReceiver::start(clock.clone(), Kind::Plain).map_err(failed)?,
        })
    }

    /// Breaks or mends a receiver, from the next message on. Whoever hangs already stays hanging.
    pub(super) fn set(&self, place: Place, trouble: Trouble) {
        let mode = match trouble {
            Trouble::None => Mode::Ok,
            Trouble::Fails => Mode::Status(500),
            Trouble::Hangs => Mode::Hang,
        };
        match place {
            Place::Slack => self.slack.set_mode(mode),
            Place::Webhook => self.webhook.set_mode(mode),
            Place::Mail => {
                self.mail.clear_faults();
                let fault = match trouble {
                    Trouble::None => return,
                    Trouble::Fails => SmtpFault::Reply(451, "4.3.0 the mail server is broken".to_owned()),
                    Trouble::Hangs => SmtpFault::Hang,
                };
                // Not at the greeting, which a connection that is kept open has behind it.
                self.mail.fault(smtp::Stage::Mail, fault, usize::MAX);
            }
        }
    }

    /// The configuration, as the office's administrator would have written it; but for the short times and high limits,
    /// without which a story would take minutes.
    pub(super) fn config(&self, door: &Door, folder: &Folder) -> Result<Config, Failure> {
        let mail = self.mail.address();
        let yaml = format!(
            "locale: en
accounts:
  - name: {ACCOUNT}
    api_key: '{key}'
    base_url: '{pbx}'
    limits: {{cdrs: 600, voicemails: 600, recordings: 60}}
watch:
  missed_calls: {{every: 500ms, grace: {grace}s}}
  voicemails: {{every: 500ms}}
delivery:
  timeout: 3s
  retry: {{initial: 1s, multiplier: 1.2, max: 2s}}
  digest_over: 10000
channels:
  - name: mail
    type: email
    locale: tr
    smtp: {{host: {host}, port: {smtp}, security: none}}
    from: Santral <santral@ofis.example>
    to: ofis@ofis.example
  - {{name: slack, type: slack, bot_token: '{BOT_TOKEN}', channel: '{CHANNEL_ID}', api_url: '{slack}'}}
  - {{name: crm, type: webhook, url: '{webhook}', secret: {WEBHOOK_SECRET}}}
routes:
  - {{when: {{queue: '299'}}, mute: true}}
  - {{when: {{queue: '202'}}, notify: [mail, crm]}}
  - {{when: {{extension: '1005'}}, notify: mail}}
  - {{notify: [mail, slack, crm]}}
http: {{listen: '{listen}', public_url: '{url}', token: '{token}'}}
callback: {{extension: '{EXTENSION}'}}
push: {{secret: '{secret}'}}
",
            key = self.pbx.key(),
            pbx = self.pbx.base_url(),
            grace = GRACE.as_secs(),
            host = mail.ip(),
            smtp = mail.port(),
            slack = self.slack.api_url(),
            webhook = self.webhook.url(),
            listen = door.listen(),
            url = door.url,
            token = door.token,
            secret = door.push_secret,
        );
        let mut config = config::parse("the demo's configuration", yaml.as_bytes(), Path::new("."), &|_| None)?;
        // Not in the text: a path may hold what YAML or the interpolation takes for its own.
        config.store.path = folder.0.join("store");
        Ok(config)
    }
}

/// A folder of our own, which goes with us.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn make() -> Result<Self, Failure> {
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
