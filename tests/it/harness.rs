//! An office in a box: a PBX, a mail server, Slack and a webhook receiver on loopback, a manual clock, and ringback
//! between them.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use ringback::app::{App, ReloadError, Reloads, Rest};
use ringback::clock::Clock;
use ringback::config::{self, Config};
use ringback::sim::pbx::{Direction, Endpoint, PbxOptions, PbxSim, Request, SimCall, SimVoicemail};
use ringback::sim::receiver::{HttpReceiver, Kind};
use ringback::sim::smtp::{SmtpOptions, SmtpReceiver};
use ringback::store::Store;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A Sunday morning in Istanbul: 08:00.
pub(crate) const MORNING: &str = "2026-11-22T05:00:00Z";

/// The secret that the webhook channel signs with.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The simulated world and what ringback keeps of it.
pub(crate) struct Office {
    pub(crate) clock: Clock,
    pub(crate) pbx: PbxSim,
    pub(crate) mail: SmtpReceiver,
    pub(crate) slack: HttpReceiver,
    pub(crate) webhook: HttpReceiver,
    pub(crate) folder: TempDir,
    /// Further lines of the configuration: whole sections, which must not be those that [`Office::yaml`] has.
    pub(crate) extra: String,
    /// Replaces the routes.
    pub(crate) routes: String,
    /// Inside `watch.missed_calls`.
    pub(crate) missed_calls: String,
    /// Further lines of the mail channel, indented by four spaces.
    pub(crate) mail_keys: String,
    /// Inside the webhook channel: begins with a comma.
    pub(crate) crm: String,
    /// Inside the account: begins with a comma.
    pub(crate) account: String,
    /// Inside `store`: begins with a comma.
    pub(crate) store: String,
    /// Where the HTTP server listens, or `off`.
    pub(crate) listen: String,
    /// Inside `http`: begins with a comma.
    pub(crate) http: String,
}

/// A ringback that runs in this process.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
    store: Arc<dyn Store>,
    reloads: Reloads,
}

/// A free port that nobody gets by chance: below those that the system hands out.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    let next = || 15_000 + (first + TAKEN.fetch_add(1, Ordering::Relaxed)) % 15_000;
    std::iter::repeat_with(next).find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()).unwrap()
}

/// How long a test waits for what must come, in real time: a failure ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Ends a wait that would never end.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("what was waited for has not come")
}

impl Running {
    /// Stops it as SIGTERM does, and waits for its end.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        in_time(self.task).await.unwrap();
    }

    /// Ends it in the middle of whatever it does, as SIGKILL does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        let store = Arc::downgrade(&self.store);
        drop(self.store);
        // Its parts are dropped one by one; the last one unlocks the store.
        in_time(async {
            while store.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Gives it another configuration, as SIGHUP does.
    pub(crate) async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        in_time(self.reloads.reload(config)).await
    }

    /// What is stored.
    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }
}

impl Office {
    /// Everything works, and nothing has happened yet.
    pub(crate) fn new() -> Self {
        Self::with(PbxOptions::default())
    }

    pub(crate) fn with(options: PbxOptions) -> Self {
        Self::on(Clock::manual(MORNING.parse().unwrap()), options)
    }

    /// By a clock of the test's choice: the system's for a ringback in a process of its own.
    pub(crate) fn on(clock: Clock, options: PbxOptions) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self {
            pbx: PbxSim::start(clock.clone(), options).unwrap(),
            mail: SmtpReceiver::start(clock.clone(), SmtpOptions::default()).unwrap(),
            slack: HttpReceiver::start(clock.clone(), Kind::Slack).unwrap(),
            webhook: HttpReceiver::start(clock.clone(), Kind::Plain).unwrap(),
            folder: TempDir::new().unwrap(),
            extra: String::new(),
            routes: "[{notify: [mail, slack, crm]}]".to_owned(),
            missed_calls: String::new(),
            mail_keys: String::new(),
            crm: String::new(),
            store: String::new(),
            account: String::new(),
            listen: "off".to_owned(),
            http: String::new(),
            clock,
        }
    }

    /// The configuration of this office, as its administrator would have written it.
    pub(crate) fn yaml(&self) -> String {
        let mail = self.mail.address();
        format!(
            "accounts:
  - {{name: main, api_key: '{key}', base_url: '{pbx}'{account}}}
watch:
  missed_calls: {{{missed_calls}}}
channels:
  - name: mail
    type: email
    smtp: {{host: {host}, port: {port}, security: none}}
    from: Santral <santral@example.com>
    to: ofis@example.com
{mail_keys}
  - {{name: slack, type: slack, webhook_url: '{slack}', rate: 1e10}}
  - {{name: crm, type: webhook, url: '{webhook}', secret: {secret}{crm}}}
store: {{path: '{store}'{keep}}}
http: {{listen: '{listen}'{http}}}
routes: {routes}
{extra}
",
            key = self.pbx.key(),
            pbx = self.pbx.base_url(),
            missed_calls = self.missed_calls,
            mail_keys = self.mail_keys,
            crm = self.crm,
            account = self.account,
            keep = self.store,
            listen = self.listen,
            http = self.http,
            host = mail.ip(),
            port = mail.port(),
            slack = self.slack.url(),
            webhook = self.webhook.url(),
            secret = WEBHOOK_SECRET,
            store = self.folder.path().join("store").display(),
            routes = self.routes,
            extra = self.extra,
        )
    }

    pub(crate) fn config(&self) -> Config {
        let yaml = self.yaml();
        config::parse("config.yaml", yaml.as_bytes(), self.folder.path(), &|_| None)
            .unwrap_or_else(|problems| panic!("{problems}\n{yaml}"))
    }

    /// One poll of everything and what follows from it, by a ringback that has just been started.
    pub(crate) async fn once(&self) -> Rest {
        let app = App::new(&self.config(), self.clock.clone()).await.unwrap();
        in_time(app.once()).await.unwrap()
    }

    /// Time passes, then [`Office::once`].
    pub(crate) async fn once_after(&self, wait: Duration) -> Rest {
        self.clock.advance(wait);
        self.once().await
    }

    /// A ringback that goes on running.
    pub(crate) async fn run(&self) -> Running {
        self.run_with(&self.config()).await
    }

    pub(crate) async fn run_with(&self, config: &Config) -> Running {
        let app = App::new(config, self.clock.clone()).await.unwrap();
        let (stop, store) = (CancellationToken::new(), app.store());
        let running = app.start(stop.clone()).await.unwrap();
        let reloads = running.reloads();
        Running { stop, task: tokio::spawn(async move { running.until_end().await.unwrap() }), store, reloads }
    }

    /// Returns when nothing moves any more until the clock does. World and ringback share the one thread of the test, so
    /// that they have all had their turns when this one comes again; only the store's writer has a thread of its own, and
    /// an answer of it means that it has done all that was ordered before. Lanes hold outcomes back for a moment of real
    /// time, by timers of the same loop: one that is set later, and for longer, goes off after them.
    pub(crate) async fn idle(&self, running: &Running) {
        let at_first = self.movements();
        loop {
            self.calm().await;
            let before = self.movements();
            if before != at_first {
                tokio::time::sleep(2 * ringback::dispatch::GATHER).await;
            }
            // Even that it cannot write is an answer.
            let _ = in_time(running.store.ping()).await;
            self.calm().await;
            if self.movements() == before {
                return;
            }
        }
    }

    /// Returns when a hundred turns of everything have moved nothing, and no mail is on its way.
    async fn calm(&self) {
        let mut before = None;
        while before != Some(self.movements()) {
            before = Some(self.movements());
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            while self.mail.is_receiving() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    fn movements(&self) -> (usize, usize, usize, usize, usize) {
        let lists = [Endpoint::Cdrs, Endpoint::CdrDetail, Endpoint::Voicemails, Endpoint::RecordingUrl];
        let names = [Endpoint::Contacts, Endpoint::Extensions, Endpoint::Queues];
        let asked = lists.into_iter().chain(names).map(|endpoint| self.pbx.max_in_window(endpoint, Duration::MAX));
        let mails = self.mail.received().len();
        (asked.sum(), self.webhook.total(), self.slack.total(), mails, self.mail.connections())
    }

    /// Time passes in steps, each of which begins when everything that the one before has set off is done.
    pub(crate) async fn pass(&self, running: &Running, time: Duration, step: Duration) {
        self.pass_until(running, time, step, || false).await;
    }

    /// Time passes until something holds, which is looked at after each step, but no longer than `time`. Returns how long
    /// it took; `None` when it did not come to hold.
    pub(crate) async fn pass_until(
        &self,
        running: &Running,
        time: Duration,
        step: Duration,
        holds: impl Fn() -> bool,
    ) -> Option<Duration> {
        let mut passed = Duration::ZERO;
        self.idle(running).await;
        while !holds() {
            if passed >= time {
                return None;
            }
            self.clock.advance(step);
            passed += step;
            self.idle(running).await;
        }
        Some(passed)
    }

    /// The requests to one endpoint so far.
    pub(crate) fn asked(&self, endpoint: Endpoint) -> Vec<Request> {
        self.pbx.requests().into_iter().filter(|request| request.endpoint == endpoint).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A call that nobody answered has just ended.
    pub(crate) fn miss(&self, uuid: &str) {
        self.pbx.add_call(SimCall::missed(uuid, self.now(), Duration::from_secs(20)));
    }

    /// A call that began so long ago and that nobody answered has just ended.
    pub(crate) fn miss_after(&self, uuid: &str, length: Duration) {
        self.pbx.add_call(SimCall::missed(uuid, self.now(), length));
    }

    /// Extension 1014 calls back, for 30 seconds until now.
    pub(crate) fn call_back(&self, uuid: &str) {
        let call = SimCall::answered("r1", self.now(), Duration::from_secs(30));
        self.pbx.add_call(SimCall {
            direction: Direction::Outbound,
            caller_number: "1014 (902129876543)".into(),
            destination_number: "03121234567".into(),
            ..call
        });
        self.pbx.set_returned(uuid, "r1");
    }

    /// Somebody has just left a message.
    pub(crate) fn leave_voicemail(&self, uuid: &str) {
        let length = Duration::from_secs(12);
        let start = self.now().checked_sub(length).unwrap();
        self.pbx.add_voicemail(SimVoicemail::unread(uuid, start, length));
    }

    /// The ids of the calls that the webhook was told of, with the event's type, sorted; `digest` before it when it was told
    /// in one.
    pub(crate) fn told(&self) -> Vec<String> {
        let name = |kind: &serde_json::Value, event: &serde_json::Value| {
            format!("{} {}", kind.as_str().unwrap(), event["uuid"].as_str().unwrap())
        };
        let accepted = self.webhook.received().into_iter().filter(|received| received.answered == 200);
        let mut told: Vec<String> = accepted
            .flat_map(|received| {
                let json = received.json().unwrap();
                match json["data"]["events"].as_array() {
                    Some(events) => {
                        events.iter().map(|event| format!("digest {}", name(&event["type"], event))).collect()
                    }
                    None => vec![name(&json["type"], &json["data"])],
                }
            })
            .collect();
        told.sort_unstable();
        told
    }
}
