//! The office: what an hour brings, and what is out of order in it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use ringback::clock::{Clock, Moment};
use ringback::sim::pbx::{Data, Endpoint, Fault, Limits, MarksRead, PbxOptions, PbxSim, SimCall, SimVoicemail};
use ringback::sim::receiver::{HttpReceiver, Kind, Mode};
use ringback::sim::smtp::{SmtpFault, SmtpOptions, SmtpReceiver, Stage};
use serde_json::Value;

use crate::process::Dialogue;

const MORNING: &str = "2026-11-22T05:00:00Z";

/// Time passes in steps of this …
const STEP: Duration = Duration::from_secs(30);

/// … each of which takes so long in truth, and longer while it sets anything off. A lease is two minutes, which must not
/// be over while an attempt of [`TIMEOUT_MS`] is under way.
const BREATH: Duration = Duration::from_millis(20);

/// `delivery.timeout`, which counts in true time.
const TIMEOUT_MS: u64 = 100;

/// What comes in a minute of a busy hour.
const CALLS: usize = 7;
const VOICEMAILS: usize = 3;

/// Three of them are longer than `store.keep`.
const QUIET_DAYS: u32 = 12;

/// How long the rest of an hour may take, by the moved clock.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

pub(crate) struct World {
    clock: Clock,
    pbx: PbxSim,
    mail: SmtpReceiver,
    slack: HttpReceiver,
    crm: HttpReceiver,
    events: usize,
}

impl World {
    pub(crate) fn start() -> Result<Self> {
        let clock = Clock::manual(MORNING.parse()?);
        // A minute may pass by this clock while a recording is asked for: its mark would be taken for a person's.
        let options = PbxOptions { limits: Limits::NONE, marks_read: MarksRead::Never, ..PbxOptions::default() };
        let world = Self {
            pbx: PbxSim::start(clock.clone(), options)?,
            mail: SmtpReceiver::start(clock.clone(), SmtpOptions::default())?,
            slack: HttpReceiver::start(clock.clone(), Kind::Slack)?,
            crm: HttpReceiver::start(clock.clone(), Kind::Plain)?,
            events: 0,
            clock,
        };
        world.crm.count_only();
        world.slack.count_only();
        Ok(world)
    }

    /// The defaults, but for what the simulators cannot do and what would take real time.
    pub(crate) fn yaml(&self, folder: &Path) -> String {
        let (mail, store) = (self.mail.address(), folder.join("store"));
        format!(
            "accounts:
  - {{name: main, api_key: '{key}', base_url: '{pbx}', limits: {{recordings: 100000}}}}
delivery: {{timeout: {TIMEOUT_MS}ms}}
channels:
  - name: mail
    type: email
    smtp: {{host: {host}, port: {port}, security: none}}
    from: Santral <santral@example.com>
    to: ofis@example.com
  - {{name: slack, type: slack, webhook_url: '{slack}', rate: 1e10}}
  - {{name: crm, type: webhook, url: '{crm}'}}
store: {{path: '{store}', keep: 35d}}
http: {{listen: 'off'}}
routes: {{notify: [mail, slack, crm]}}
",
            key = self.pbx.key(),
            pbx = self.pbx.base_url(),
            host = mail.ip(),
            port = mail.port(),
            slack = self.slack.url(),
            crm = self.crm.url(),
            store = store.display(),
        )
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn moment(&self) -> Moment {
        self.clock.moment()
    }

    /// Everything that is to be told so far.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    /// What the webhook's receiver has taken.
    pub(crate) fn told(&self) -> usize {
        self.crm.accepted()
    }

    /// Whether it is an event of the hour that passes.
    pub(crate) fn is_of_this_hour(&self, uuid: &str) -> bool {
        let n = uuid.rsplit('-').next().and_then(|n| usize::from_str_radix(n, 16).ok());
        n.is_some_and(|n| n + 60 * (CALLS + VOICEMAILS) > self.events)
    }

    /// An hour passes, and what is left of it is told.
    pub(crate) async fn hour(&mut self, daemon: &mut Dialogue) -> Result<()> {
        for minute in 0..60 {
            self.trouble(minute);
            (0..CALLS).for_each(|_| self.miss());
            (0..VOICEMAILS).for_each(|_| self.leave_voicemail());
            for _ in 0..2 {
                self.pass(daemon, STEP).await?;
            }
        }
        let latest = self.clock.tick() + PATIENCE;
        while self.told() < self.events {
            ensure!(self.clock.tick() < latest, "{} of {} events were told in time", self.told(), self.events);
            self.pass(daemon, STEP).await?;
        }
        Ok(())
    }

    /// Days in which nothing happens; the PBX forgets.
    pub(crate) async fn quiet_days(&mut self, daemon: &mut Dialogue) -> Result<()> {
        self.pbx.change(|data| *data = Data::default());
        for _ in 0..QUIET_DAYS {
            for _ in 0..4 {
                self.pass(daemon, Duration::from_secs(6 * 3600)).await?;
            }
        }
        Ok(())
    }

    async fn pass(&self, daemon: &mut Dialogue, time: Duration) -> Result<()> {
        self.clock.advance(time);
        let _: Value = daemon.ask(&time.as_millis())?;
        loop {
            let before = self.movements();
            tokio::time::sleep(BREATH).await;
            if self.movements() == before {
                return Ok(());
            }
        }
    }

    /// Grows with whatever ringback does.
    fn movements(&self) -> usize {
        let asked = [Endpoint::Cdrs, Endpoint::Voicemails, Endpoint::VoicemailRecordingUrl];
        let asked: usize = asked.map(|endpoint| self.pbx.asked(endpoint)).iter().sum();
        asked + self.crm.total() + self.slack.total() + self.mail.accepted()
    }

    fn trouble(&self, minute: usize) {
        match minute {
            5 => self.crm.set_mode(Mode::Status(503)),
            15 => self.crm.set_mode(Mode::Ok),
            20 => self.slack.push_mode(Mode::Hang, 20),
            25 => self.mail.fault(Stage::EndOfData, SmtpFault::Reply(451, "4.3.0 Out of order".into()), usize::MAX),
            30 => self.mail.clear_faults(),
            35 => self.pbx.fault(Endpoint::Cdrs, Fault::Html500, 5),
            40 => self.crm.push_mode(Mode::Reset, 50),
            45 => self.pbx.fault(Endpoint::Voicemails, Fault::Truncate, 5),
            50 => self.crm.push_mode(Mode::BigBody(10_000_000), 5),
            _ => {}
        }
    }

    fn miss(&mut self) {
        let (uuid, number) = self.caller();
        let call = SimCall::missed(uuid, self.now(), Duration::from_secs(20));
        self.pbx.add_call(SimCall { caller_number: number, ..call });
    }

    fn leave_voicemail(&mut self) {
        let (uuid, number) = self.caller();
        let length = Duration::from_secs(12);
        let start = self.now().checked_sub(length).unwrap_or(self.now());
        self.pbx.add_voicemail(SimVoicemail { caller_number: number, ..SimVoicemail::unread(uuid, start, length) });
    }

    /// Everybody calls once: one that calls again is one matter with the call before.
    fn caller(&mut self) -> (String, String) {
        self.events += 1;
        let n = self.events;
        (format!("651f8a68-782e-11e7-a6b6-{n:012x}"), format!("0532{:07}", 1_000_000 + n))
    }
}
