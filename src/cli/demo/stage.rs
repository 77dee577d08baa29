//! The stage of the demo: plays the scenes, shows what is told, keeps the books, and sums up.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use super::super::Failure;
use super::ledger::{Ledger, Place};
use super::screen::{Screen, Who};
use super::story::{self, Deed, Scene};
use super::world::{GRACE, WEBHOOK_SECRET, World};
use super::{Options, mail, signature, slack};
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::sim::receiver::Received;
use crate::sim::smtp::Mail;
use crate::units;

/// Before the end nothing new happens for this long: what has happened is still to be told.
const CURTAIN: Duration = Duration::from_secs(GRACE.as_secs() + 2);

/// How much longer than it was asked to the demo runs when something has not been told yet.
const PATIENCE: Duration = Duration::from_secs(6);

/// Recordings are longer on a real PBX; here a few seconds of a tone.
const MAX_AUDIO: usize = 1024 * 1024;

/// The world, the books and the terminal.
pub(super) struct Stage {
    world: World,
    clock: Clock,
    screen: Screen,
    ledger: Ledger,
    rng: fastrand::Rng,
    client: reqwest::Client,
    seen: Seen,
}

/// How many messages have been shown.
#[derive(Default)]
struct Seen {
    mail: usize,
    slack: usize,
    webhook: usize,
}

impl Stage {
    pub(super) fn new(world: World, clock: Clock, config: &Config, colour: bool) -> Result<Self, Failure> {
        let zone = TimeZone::get(&config.timezone)
            .map_err(|error| Failure::Run(format!("the time zone of the demo is missing: {error}")))?;
        Ok(Self {
            screen: Screen::new(zone, colour),
            ledger: Ledger::default(),
            rng: fastrand::Rng::new(),
            seen: Seen::default(),
            client: http::client(1).map_err(|error| Failure::Run(error.to_string()))?,
            world,
            clock,
        })
    }

    /// Whether nobody reads what is shown any more.
    pub(super) fn is_deserted(&self) -> bool {
        self.screen.is_closed()
    }

    pub(super) fn introduce(&mut self, config: &Config, options: &Options) {
        let calls = &config.watch.missed_calls;
        let ends = match options.r#for {
            Some(length) => format!("It ends by itself after {}.", units::format_duration(length)),
            None => "Ctrl-C ends it.".to_owned(),
        };
        let World { pbx, mail, slack, webhook, .. } = &self.world;
        let lines = [
            "ringback demo: an office in Istanbul, on this machine only.".to_owned(),
            String::new(),
            format!("  simulated   PBX          {}", pbx.base_url()),
            format!("  receivers   mail         {} (SMTP), in Turkish", mail.address()),
            format!("              Slack        {}, in English", origin(slack.url())),
            format!("              webhook      {}", webhook.url()),
            "  real        ringback, which polls the one and tells the others".to_owned(),
            String::new(),
            format!(
                "So that the story fits into seconds, ringback asks every {} (usual: 30s), a missed call",
                units::format_duration(calls.every)
            ),
            format!(
                "is told {} after its end (usual: 1m), and this PBX sets no limit (the vendor's: 6 requests a",
                units::format_duration(calls.grace)
            ),
            format!("minute). Times are Istanbul's. {ends}"),
        ];
        for line in lines {
            self.screen.plain(&line);
        }
        if let Some(port) = options.port {
            let line = format!("Health and metrics: http://127.0.0.1:{port}/healthz, /readyz and /metrics.");
            self.screen.plain(&line);
        }
        self.screen.plain("");
    }

    /// Until the time is over, or somebody has had enough, and everything that has happened was told.
    pub(super) async fn perform(&mut self, length: Option<Duration>, interrupted: &CancellationToken) {
        let start = self.clock.tick();
        let mut end = length.map_or(Duration::MAX, |length| start.saturating_add(length));
        let mut curtain = end.saturating_sub(CURTAIN);
        let mut scenes: VecDeque<Scene> = story::script(&mut self.rng).into();
        let mut by_chance = 0;
        while !self.screen.is_closed() {
            let now = self.clock.tick();
            if interrupted.is_cancelled() && now < end {
                self.screen.plain("Ending: what has happened is still told. A second Ctrl-C ends at once.");
                (end, curtain) = (end.min(now), curtain.min(now));
            }
            if scenes.is_empty() && now < curtain {
                by_chance += 1;
                scenes.extend(story::chance(&mut self.rng, by_chance, now.saturating_sub(start)));
            }
            // What has begun goes on: who was to be called back is called back.
            scenes.retain(|scene| start + scene.begins < curtain);
            let late = end.saturating_add(PATIENCE);
            if now >= end && scenes.is_empty() && (self.ledger.is_complete() || now >= late) {
                break;
            }
            let idle = if now < end { end } else { late };
            let wake = scenes.front().map_or(idle, |scene| start + scene.at);
            tokio::select! {
                _ = self.world.mail.wait_for(self.seen.mail + 1) => {}
                _ = self.world.slack.wait_for_total(self.seen.slack + 1) => {}
                _ = self.world.webhook.wait_for_total(self.seen.webhook + 1) => {}
                () = interrupted.cancelled(), if now < end => {}
                () = self.clock.sleep_until(wake) => {}
            }
            while let Some(scene) = scenes.pop_front_if(|scene| start + scene.at <= self.clock.tick()) {
                self.play(scene);
            }
            self.read().await;
        }
    }

    fn play(&mut self, scene: Scene) {
        let now = self.clock.now();
        let who = if matches!(scene.deed, Deed::Breakdown { .. }) { Who::Webhook } else { Who::Pbx };
        self.screen.show(who, now, &scene.line, &[], &[]);
        scene.play(&self.world, now);
        for matter in scene.matters {
            self.ledger.expect(matter);
        }
    }

    /// Shows what has come since the last time.
    pub(super) async fn read(&mut self) {
        for mail in self.world.mail.since(self.seen.mail) {
            self.seen.mail += 1;
            self.read_mail(&mail).await;
        }
        for message in self.world.slack.since(self.seen.slack) {
            self.seen.slack += 1;
            self.read_slack(&message);
        }
        for request in self.world.webhook.since(self.seen.webhook) {
            self.seen.webhook += 1;
            self.read_webhook(&request);
        }
    }

    async fn read_mail(&mut self, mail: &Mail) {
        self.ledger.mail(&mail.header("Message-ID").unwrap_or_default());
        let letter = mail::read(&mail.data);
        let mut body = vec![format!("From: {}", letter.from), format!("To: {}", letter.to)];
        // Blank lines are for a mail program's window.
        body.extend(letter.text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        self.screen.show(Who::Mail, mail.at.at, &letter.subject, &body, &[' ']);
        let audio = format!("{}/recording/", self.world.pbx.base_url());
        if let Some(at) = letter.text.find(&audio) {
            let url = letter.text[at..].split_whitespace().next().unwrap_or_default();
            self.press_play(url).await;
        }
    }

    /// What the recipient of a mail does with its link.
    async fn press_play(&mut self, url: &str) {
        let answer = http::exchange(self.client.get(url), MAX_AUDIO, Duration::from_secs(5)).await;
        let (sounded, words) = match answer {
            Ok(answer) => {
                let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("nothing");
                let sounded = answer.status.is_success() && answer.body.starts_with(b"RIFF");
                (sounded, format!("{}, {} bytes of {kind}", answer.status.as_u16(), answer.body.len()))
            }
            Err(error) => (false, error.to_string()),
        };
        self.ledger.pressed_play(sounded);
        let line = format!("follows the link of this mail to listen: {words}");
        self.screen.show(Who::Office, self.clock.now(), &line, &[], &[]);
    }

    fn read_slack(&mut self, request: &Received) {
        let message = request.json().unwrap_or_default();
        let title = slack::title(&message);
        if request.answered == 200 {
            self.ledger.slack(title);
            self.screen.show(Who::Slack, request.at.at, title, &slack::lines(&message), &[' ']);
        } else {
            let line = format!("{title}: refused with {}", request.answered);
            self.screen.show(Who::Slack, request.at.at, &line, &[], &[]);
        }
    }

    fn read_webhook(&mut self, request: &Received) {
        let id = request.header("webhook-id").unwrap_or("none");
        let accepted = request.answered == 200;
        let attempt = self.ledger.webhook(id, accepted);
        let message = request.json().unwrap_or_default();
        let event = message["type"].as_str().unwrap_or("unknown");
        let signed = if signature::holds(request, WEBHOOK_SECRET) { "verified" } else { "WRONG" };
        let mut body = vec![format!("webhook-id {id}, signature {signed}")];
        if accepted {
            body.push(String::from_utf8_lossy(&request.body).into_owned());
        }
        let outcome = match (accepted, attempt) {
            (true, 1) => "",
            (true, _) => ": the same message, the same id",
            (false, _) => ": it will be tried again",
        };
        let line = format!("{event}, attempt {attempt}, answered with {}{outcome}", request.answered);
        self.screen.show(Who::Webhook, request.at.at, &line, &body, &[',', '{']);
    }

    /// What has happened, what was told of it, and whether that is right.
    pub(super) fn sum_up(&mut self) -> Result<(), Failure> {
        let ledger = &self.ledger;
        let (repeated, failed) = ledger.recovered();
        let retried = match failed {
            0 => String::new(),
            _ => format!("; {failed} failed requests, after which {repeated} came again under the same id"),
        };
        let (calls, voicemails) = ledger.happened();
        let mut lines = vec![
            String::new(),
            "Summary".to_owned(),
            format!("  PBX         {calls:4} calls, {voicemails} of them with a voicemail"),
            format!("  to be told  {:4} of them, and how {} ended", ledger.to_tell(), ledger.to_follow_up()),
            format!("  mail        {}", messages(ledger.told(Place::Mail))),
            format!("  Slack       {}", messages(ledger.told(Place::Slack))),
            format!("  webhook     {}{retried}", messages(ledger.told(Place::Webhook))),
            format!("  listened    {:4} recordings by the links of mails", ledger.played()),
        ];
        lines.extend(ledger.quiet().iter().map(|(why, times)| format!("  kept quiet  {times:4} {why}")));
        lines.push(String::new());
        let problems = ledger.problems();
        lines.extend(problems.iter().map(|problem| format!("  WRONG: {problem}")));
        if problems.is_empty() {
            lines.push("Everything that was to be told was told exactly once, and nothing else was.".to_owned());
        }
        for line in lines {
            self.screen.plain(&line);
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Failure::Run("what was told is not what was to be told; see above".to_owned()))
        }
    }
}

/// Scheme, host and port: the path of a Slack webhook is a secret, also one that opens nothing.
fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

fn messages(count: u32) -> String {
    format!("{count:4} message{}", if count == 1 { "" } else { "s" })
}
