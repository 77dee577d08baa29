//! The world outside, which outlives the process under test: a PBX where things happen, and three receivers.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Limits, PbxOptions, PbxSim};
use ringback::sim::receiver::{HttpReceiver, Kind};
use ringback::sim::smtp::{SmtpOptions, SmtpReceiver};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::story::{Fate, GRACE, Story};
use super::weather::Weather;

pub(super) const ACCOUNT: &str = "main";

/// `delivery.concurrency`.
pub(super) const CONCURRENCY: usize = 4;

/// `delivery.timeout`.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// How often the world moves.
const STEP: Duration = Duration::from_millis(20);

/// A receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    Mail,
    Slack,
    Crm,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Mail, Self::Slack, Self::Crm];

    /// The name of its channel.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Slack => "slack",
            Self::Crm => "crm",
        }
    }
}

/// The world, and what is known of it.
pub(super) struct Town {
    pub(super) clock: Clock,
    pub(super) pbx: Arc<PbxSim>,
    pub(super) mail: Arc<SmtpReceiver>,
    pub(super) slack: Arc<HttpReceiver>,
    pub(super) crm: Arc<HttpReceiver>,
    pub(super) folder: Arc<TempDir>,
    pub(super) story: Story,
    pub(super) weather: Weather,
    pub(super) ledger: Ledger,
    pace: Rng,
}

impl Town {
    /// Everything works, and nothing has happened yet.
    pub(super) fn start(seed: u64, clock_moves: bool) -> Self {
        let clock = super::clock();
        let options = PbxOptions { limits: Limits::NONE, retry_after: Some(1), ..PbxOptions::default() };
        let town = Self {
            pbx: Arc::new(PbxSim::start(clock.clone(), options).unwrap()),
            mail: Arc::new(SmtpReceiver::start(clock.clone(), SmtpOptions::default()).unwrap()),
            slack: Arc::new(HttpReceiver::start(clock.clone(), Kind::Slack).unwrap()),
            crm: Arc::new(HttpReceiver::start(clock.clone(), Kind::Plain).unwrap()),
            folder: Arc::new(TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()),
            story: Story::new(seed, clock_moves),
            weather: Weather::new(seed),
            ledger: Ledger::default(),
            pace: Rng::with_seed(seed),
            clock,
        };
        std::fs::write(town.folder.path().join("config.yaml"), town.yaml()).unwrap();
        town
    }

    /// The configuration: everything is short, so that much happens in a minute; and each message goes by itself, so that
    /// it has a fate of its own.
    fn yaml(&self) -> String {
        let (mail, store) = (self.mail.address(), self.folder.path().join("store"));
        format!(
            "locale: en
accounts:
  - name: {ACCOUNT}
    api_key: '{key}'
    base_url: '{pbx}'
    timeout: 2s
    limits: {{cdrs: 1000000, voicemails: 1000000, recordings: 1000000}}
watch:
  # The wall clock is moved by hours.
  missed_calls: {{every: 200ms, grace: {grace}s, lookback: 12h}}
  voicemails: {{every: 200ms}}
delivery:
  timeout: {timeout}s
  concurrency: {CONCURRENCY}
  retry: {{initial: 100ms, multiplier: 2, max: 1s}}
  digest_over: 1000000
channels:
  - name: mail
    type: email
    smtp: {{host: {host}, port: {port}, security: none}}
    from: Santral <santral@example.com>
    to: ofis@example.com
  - {{name: slack, type: slack, webhook_url: '{slack}', rate: 1000}}
  - {{name: crm, type: webhook, url: '{crm}'}}
store: {{path: '{store}'}}
http: {{listen: 'off'}}
routes: {{notify: [mail, slack, crm]}}
",
            key = self.pbx.key(),
            pbx = self.pbx.base_url(),
            grace = GRACE.as_secs(),
            timeout = TIMEOUT.as_secs(),
            host = mail.ip(),
            port = mail.port(),
            slack = self.slack.url(),
            crm = self.crm.url(),
            store = store.display(),
        )
    }

    /// Lives until `stop`, and until `least` things have happened: one each `pace` on average, while the receivers have
    /// their moods. Returns what it has become.
    pub(super) async fn live(mut self, pace: Duration, least: usize, stop: CancellationToken) -> Self {
        let mut next = self.clock.tick();
        while !stop.is_cancelled() || self.story.matters.len() < least {
            let now = self.clock.moment();
            while next <= now.tick {
                self.story.go_on(&self.pbx, now.at);
                next += pace.mul_f64(self.pace.f64() * 2.0);
            }
            self.step();
            self.weather.change(now.tick, [&self.slack, &self.crm], &self.mail, &self.pbx);
            tokio::time::sleep(STEP).await;
        }
        self
    }

    fn step(&mut self) {
        self.story.catch_up(&self.pbx, self.clock.now());
        self.ledger.collect(&self.slack, &self.crm, &self.mail);
    }

    /// Waits until everybody has been told all that they are to be told, or has refused it for good; no longer than
    /// `patience`. The oracle says what is missing.
    pub(super) async fn settle(&mut self, patience: Duration) {
        /// By then everything has been tried again: the longest wait, and an attempt.
        const QUIET: Duration = Duration::from_secs(5);
        /// An end whose beginning was under way is looked at again by then.
        const ENDS: Duration = Duration::from_secs(7);
        /// And one whose beginning was dated by a wall clock that was ahead.
        const ENDS_AFTER_A_LEAP: Duration = Duration::from_secs(66);
        let ends_by = if self.story.clock_moves { ENDS_AFTER_A_LEAP } else { ENDS };
        let begun = self.clock.tick();
        let (mut count, mut last) = (0, begun);
        loop {
            self.step();
            let now = self.clock.tick();
            if self.ledger.arrivals.len() > count {
                (count, last) = (self.ledger.arrivals.len(), now);
            }
            let missing = Place::ALL.map(|place| self.missing(place));
            // Which mails were refused for good the mail server does not say; those that were not come by themselves.
            let told = missing[1..] == [0, 0]
                && (missing[0] == 0 || self.weather.mail_was_gone && now.saturating_sub(last) > QUIET);
            let ends = self.story.matters.iter().any(|matter| matter.event.is_follow_up());
            let told = told && (!ends || now.saturating_sub(begun) > ends_by);
            if told || now.saturating_sub(begun) > patience {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// When the last channel was told of the `n`th matter.
    pub(super) fn told_everywhere(&self, n: usize) -> Option<Duration> {
        let times = Place::ALL.map(|place| {
            let id = self.story.matters[n].delivery_id(place);
            self.ledger.arrivals.iter().find(|arrival| arrival.id == Some(id)).map(|arrival| arrival.at)
        });
        times.into_iter().collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    fn missing(&self, place: Place) -> usize {
        let done = self.ledger.done(place);
        let told = self.story.matters.iter().filter(|matter| matter.fate == Fate::Told);
        told.filter(|matter| !done.contains(&matter.delivery_id(place))).count()
    }

    /// Returns once the process under test has read the PBX, before which nothing is a matter for it.
    pub(super) async fn has_been_read(&self) {
        let read = async {
            self.pbx.wait_for_requests(Endpoint::Cdrs, 1).await;
            self.pbx.wait_for_requests(Endpoint::Voicemails, 1).await;
        };
        tokio::time::timeout(Duration::from_secs(30), read).await.expect("the PBX was never read");
    }

    /// The same world, of which the facts can be changed.
    pub(super) fn copy_of_the_facts(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            pbx: Arc::clone(&self.pbx),
            mail: Arc::clone(&self.mail),
            slack: Arc::clone(&self.slack),
            crm: Arc::clone(&self.crm),
            folder: Arc::clone(&self.folder),
            story: self.story.clone(),
            weather: self.weather.clone(),
            ledger: self.ledger.clone(),
            pace: self.pace.clone(),
        }
    }
}
