//! The stage of the demo: plays the scenes, shows what is told, keeps the books, and sums up.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::Failure;
use super::hall::{Hall, Press};
use super::ledger::{Ledger, Place};
use super::screen::{Screen, Who};
use super::story::{self, Deed, Scene};
use super::visitors::Visitors;
use super::world::{GRACE, WEBHOOK_SECRET, World};
use super::{Options, mail, signature, slack};
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::sim::pbx::Endpoint;
use crate::sim::receiver::{Post, Received};
use crate::sim::smtp::Mail;
use crate::store::Store;
use crate::units;

/// Before the end nothing new happens for this long: what has happened is still to be told.
const CURTAIN: Duration = Duration::from_secs(GRACE.as_secs() + 1);

/// How much longer than it was asked to, and than the last message came, the demo runs when something has not been told.
const PATIENCE: Duration = Duration::from_secs(6);

/// Recordings are longer on a real PBX; here a few seconds of a tone.
const MAX_AUDIO: usize = 1024 * 1024;

/// Messages of Slack that are looked at each time; between two looks there are a few at most.
const POSTS: usize = 50;

/// The world, the books and the terminal.
pub(super) struct Stage {
    pub(super) hall: Arc<Hall>,
    pub(super) clock: Clock,
    screen: Screen,
    pub(super) ledger: Ledger,
    pub(super) rng: fastrand::Rng,
    client: reqwest::Client,
    pub(super) store: Arc<dyn Store>,
    seen: Seen,
    pub(super) visitors: Visitors,
    /// The calls that were returned, by their uuids.
    pub(super) returned: HashSet<String>,
    /// When the last message came, by the clock's tick.
    last_message: Duration,
}

/// How many messages have been shown.
#[derive(Default)]
struct Seen {
    mail: usize,
    slack: usize,
    /// Slack's name for the last one.
    post: String,
    webhook: usize,
}

impl Stage {
    pub(super) fn new(hall: Arc<Hall>, clock: Clock, store: Arc<dyn Store>, colour: bool) -> Result<Self, Failure> {
        Ok(Self {
            screen: Screen::new(hall.zone.clone(), colour),
            ledger: Ledger::default(),
            rng: fastrand::Rng::new(),
            seen: Seen::default(),
            client: http::client(1).map_err(|error| Failure::Run(error.to_string()))?,
            visitors: Visitors::default(),
            returned: HashSet::new(),
            last_message: Duration::ZERO,
            store,
            hall,
            clock,
        })
    }

    /// Whether nobody reads what is shown any more.
    pub(super) fn is_deserted(&self) -> bool {
        self.screen.is_closed()
    }

    /// `page` is the address of the page, if there is one.
    pub(super) fn introduce(&mut self, config: &Config, options: &Options, page: Option<&str>) {
        let calls = &config.watch.missed_calls;
        let ends = match options.r#for {
            Some(length) => format!("It ends by itself after {}.", units::format_duration(length)),
            None => "Ctrl-C ends it.".to_owned(),
        };
        let Hall { world: World { pbx, mail, slack, webhook }, door, .. } = &*self.hall;
        let lines = [
            "ringback demo: an office in Istanbul, on this machine only.".to_owned(),
            String::new(),
            format!("  simulated   PBX          {}", pbx.base_url()),
            format!("  receivers   mail         {} (SMTP), in Turkish", mail.address()),
            format!("              Slack        {}, in English", origin(slack.url())),
            format!("              webhook      {}", webhook.url()),
            format!("  real        ringback     {}, which polls the one and tells the others", door.url),
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
        if let Some(page) = page {
            self.screen.plain("");
            let word = if options.headless { "The page is at" } else { "Open" };
            self.screen
                .plain(&format!("{word} {page} in a browser: the board, every message as it looks, and buttons."));
        }
        self.screen.plain("");
    }

    /// Until the time is over, or somebody has had enough, and everything that has happened was told.
    pub(super) async fn perform(
        &mut self,
        length: Option<Duration>,
        interrupted: &CancellationToken,
        pressed: &mut mpsc::Receiver<Press>,
    ) {
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
            if now >= curtain {
                self.mend_all();
            } else if scenes.is_empty() {
                by_chance += 1;
                scenes.extend(story::chance(&mut self.rng, by_chance, now.saturating_sub(start)));
            }
            // What has begun goes on: who was to be called back is called back.
            scenes.retain(|scene| start + scene.begins < curtain);
            let late = end.max(self.last_message).saturating_add(PATIENCE);
            let is_over = scenes.is_empty() && self.visitors.is_over() && self.ledger.is_complete();
            if now >= end && (is_over || now >= late) {
                break;
            }
            let idle = [curtain, end, late].into_iter().find(|next| now < *next).unwrap_or(late);
            let next = scenes.front().map_or(idle, |scene| start + scene.at);
            let wake = self.visitors.next(now).map_or(next, |due| due.min(next)).min(idle);
            let World { pbx, mail, slack, webhook } = &self.hall.world;
            tokio::select! {
                _ = mail.wait_for(self.seen.mail + 1) => {}
                _ = slack.wait_for_total(self.seen.slack + 1) => {}
                _ = webhook.wait_for_total(self.seen.webhook + 1) => {}
                _ = pbx.wait_for_requests(Endpoint::Originate, self.visitors.rung() + 1) => {}
                Some(press) = pressed.recv() => self.pressed(press, self.clock.tick() < curtain),
                () = interrupted.cancelled(), if now < end => {}
                () = self.clock.sleep_until(wake) => {}
            }
            while let Some(scene) = scenes.pop_front_if(|scene| start + scene.at <= self.clock.tick()) {
                self.play(scene);
            }
            self.read().await;
            self.ring();
            self.return_due();
        }
        self.excuse().await;
    }

    /// Makes a scene happen now, and notes what is to be told of it.
    pub(super) fn play(&mut self, scene: Scene) {
        let now = self.clock.now();
        if let Deed::Returned { uuid } = &scene.deed
            && !self.returned.insert(uuid.clone())
        {
            // A visitor was faster than the story, or the other way around.
            return;
        }
        let who = if matches!(scene.deed, Deed::Breakdown { .. }) { Who::Webhook } else { Who::Pbx };
        self.tell(who, now, &scene.line);
        scene.play(&self.hall.world, now);
        self.visitors.watch(&scene);
        for matter in scene.matters {
            self.ledger.expect(matter);
        }
    }

    /// Says on the terminal and on the page that something has happened.
    pub(super) fn tell(&mut self, who: Who, at: Timestamp, line: &str) {
        self.screen.show(who, at, line, &[], &[]);
        self.hall.note(who, at, line);
    }

    /// Shows what has come since the last time.
    pub(super) async fn read(&mut self) {
        let hall = Arc::clone(&self.hall);
        let World { mail, slack, webhook, .. } = &hall.world;
        for mail in mail.since(self.seen.mail) {
            self.seen.mail += 1;
            self.last_message = self.clock.tick();
            self.read_mail(&mail).await;
        }
        for request in slack.since(self.seen.slack) {
            self.seen.slack += 1;
            self.read_slack(&request);
        }
        for post in slack.newest_posts(POSTS) {
            if post.ts > self.seen.post {
                self.seen.post.clone_from(&post.ts);
                self.last_message = self.clock.tick();
                self.read_post(&post);
            }
        }
        for request in webhook.since(self.seen.webhook) {
            self.seen.webhook += 1;
            self.last_message = self.clock.tick();
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
        let audio = format!("{}/recording/", self.hall.world.pbx.base_url());
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
        self.tell(Who::Office, self.clock.now(), &line);
    }

    /// What Slack has taken stands in its channel.
    fn read_slack(&mut self, request: &Received) {
        if request.answered != 200 {
            let message = request.json().unwrap_or_default();
            let line = format!("{}: {}: it will be tried again", slack::title(&message), outcome(request));
            self.tell(Who::Slack, request.at.at, &line);
        } else if request.path.ends_with("/chat.update") {
            let message = request.json().unwrap_or_default();
            let line = format!("the earlier message is changed: {}", slack::title(&message));
            self.screen.show(Who::Slack, request.at.at, &line, &[], &[]);
        }
    }

    fn read_post(&mut self, post: &Post) {
        let title = slack::title(&post.message);
        self.ledger.slack(title);
        self.screen.show(Who::Slack, self.clock.now(), title, &slack::lines(&post.message), &[' ']);
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
        let then = match (accepted, attempt) {
            (true, 1) => "",
            (true, _) => ": the same message, the same id",
            (false, _) => ": it will be tried again",
        };
        let line = format!("{event}, attempt {attempt}, {}{then}", outcome(request));
        if !accepted || attempt > 1 {
            self.hall.note(Who::Webhook, request.at.at, &line);
        }
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

/// How a request was answered.
pub(super) fn outcome(request: &Received) -> String {
    match request.answered {
        0 => "not answered".to_owned(),
        status => format!("answered with {status}"),
    }
}

/// Scheme, host and port: the path of a Slack webhook is a secret, also one that opens nothing.
fn origin(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}

fn messages(count: u32) -> String {
    format!("{count:4} message{}", if count == 1 { "" } else { "s" })
}
