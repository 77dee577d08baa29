//! Kills the process at moments drawn from the seed, and says what came of it.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, PbxSim};
use ringback::sim::receiver::HttpReceiver;
use ringback::sim::smtp::SmtpReceiver;
use tokio_util::sync::CancellationToken;

use super::child::{Child, Command};
use super::town::{TIMEOUT, Town};
use super::{oracle, say, setting};

/// Between two things that happen at the PBX, on average.
const PACE: Duration = Duration::from_millis(60);

/// The furthest that the wall clock is moved. The town's configuration looks further back than that.
const FURTHEST_MINUTES: i64 = 5 * 60;

/// For what is still to be told when all is well again.
const PATIENCE: Duration = Duration::from_secs(90);

/// For a call that comes after everything: its grace, a look at the PBX, and an attempt.
const FRESH: Duration = Duration::from_secs(15);

/// What is done to the process.
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) command: Command,
    pub(super) kills: usize,
    /// At least so many things happen.
    pub(super) matters: usize,
    /// SIGSTOP and SIGCONT between the kills.
    pub(super) stops: bool,
    /// Its wall clock moves by hours, either way.
    pub(super) clock_moves: bool,
}

impl Plan {
    pub(super) fn named(name: &'static str) -> Self {
        Self { name, command: Command::Run, kills: 0, matters: 0, stops: false, clock_moves: false }
    }
}

/// What interrupted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Kill,
    Stop,
}

/// A time in which it did not run.
#[derive(Debug, Clone)]
pub(super) struct Interruption {
    pub(super) cause: Cause,
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) note: String,
}

struct Driver {
    plan: Plan,
    rng: Rng,
    clock: Clock,
    pbx: Arc<PbxSim>,
    receivers: [Arc<HttpReceiver>; 2],
    mail: Arc<SmtpReceiver>,
    child: Child,
    interruptions: Vec<Interruption>,
}

/// Carries out a plan, and panics with all that helps to understand it when the oracle finds fault.
pub(super) async fn torment(plan: Plan) {
    let seed = setting("RINGBACK_SEED").unwrap_or_else(|| fastrand::u64(..));
    let name = plan.name;
    say(&format!("{name}: RINGBACK_SEED={seed}"));
    let mut town = Town::start(seed, plan.clock_moves);
    let mut driver = Driver {
        rng: Rng::with_seed(seed.rotate_left(32)),
        clock: town.clock.clone(),
        pbx: Arc::clone(&town.pbx),
        receivers: [Arc::clone(&town.slack), Arc::clone(&town.crm)],
        mail: Arc::clone(&town.mail),
        child: Child::new(&town, plan.clock_moves),
        interruptions: Vec::new(),
        plan,
    };
    driver.child.start(driver.plan.command);
    town.has_been_read().await;

    let end = CancellationToken::new();
    let living = tokio::spawn(town.live(PACE, driver.plan.matters, end.clone()));
    driver.kill_again_and_again().await;
    end.cancel();
    town = living.await.unwrap();

    town.weather.clear(town.clock.tick(), [&town.slack, &town.crm], &town.mail, &town.pbx);
    driver.child.move_clock(0);
    town.settle(PATIENCE).await;
    let n = town.story.miss(&town.pbx, town.clock.now());
    let asked = town.clock.tick();
    town.settle(FRESH).await;
    let fresh = town.told_everywhere(n).unwrap_or(Duration::MAX).saturating_sub(asked);
    driver.child.stop();

    match oracle::judge(&town, &driver.child, &driver.interruptions).await {
        Ok(figures) => say(&format!("{name}: {figures}; a fresh call was told after {:.1} s", fresh.as_secs_f64())),
        Err(problems) => {
            let log = driver.child.keep_log();
            panic!(
                "{name}, RINGBACK_SEED={seed}:\n{problems}\n\nwhat was done to it:\n{}\n\n{}\n\nthe whole log: {}",
                history(&town, &driver.interruptions),
                driver.child.log(),
                log.display()
            )
        }
    }
}

impl Driver {
    async fn kill_again_and_again(&mut self) {
        for n in 1..=self.plan.kills {
            if self.plan.stops && self.rng.u32(0..3) == 0 {
                self.stop_and_continue().await;
            }
            if self.child.can_move_clock() && self.rng.u32(0..3) == 0 {
                self.move_clock();
            }
            let moment = self.moment().await;
            let from = self.clock.tick();
            self.child.kill(self.plan.command);
            // A supervisor is quick, cron is not.
            tokio::time::sleep(Duration::from_millis(self.rng.u64(0..250))).await;
            // The last life is that of a daemon, which delivers the rest.
            let next = if n < self.plan.kills { self.plan.command } else { Command::Run };
            self.child.start(next);
            let note = format!("kill {n}, {moment}");
            self.interruptions.push(Interruption { cause: Cause::Kill, from, to: self.clock.tick(), note });
        }
    }

    /// Waits for a moment that is worth a kill, and says which.
    async fn moment(&mut self) -> &'static str {
        let patience = Duration::from_secs(2);
        let (what, soon) = match self.rng.u32(0..5) {
            0 => ("while it starts", self.rng.u64(0..400)),
            1 => ("at any moment", self.rng.u64(300..2_500)),
            2 => {
                let place = self.rng.usize(0..2);
                let receiver = &self.receivers[place];
                let _ = tokio::time::timeout(patience, receiver.wait_for(receiver.accepted() + 1)).await;
                ("as slack or the webhook said yes", self.rng.u64(0..6))
            }
            3 => {
                let _ = tokio::time::timeout(patience, self.mail.wait_for(self.mail.accepted() + 1)).await;
                ("as the mail server said yes", self.rng.u64(0..6))
            }
            _ => {
                let next = self.pbx.wait_for_requests(Endpoint::Cdrs, self.pbx.asked(Endpoint::Cdrs) + 1);
                let _ = tokio::time::timeout(patience, next).await;
                ("as the PBX was read", self.rng.u64(0..20))
            }
        };
        tokio::time::sleep(Duration::from_millis(soon)).await;
        what
    }

    async fn stop_and_continue(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.rng.u64(100..800))).await;
        let length = Duration::from_millis(self.rng.u64(50..2_800));
        let from = self.clock.tick();
        self.child.signal("STOP");
        tokio::time::sleep(length).await;
        self.child.signal("CONT");
        let note = format!("stopped for {length:?}");
        self.interruptions.push(Interruption { cause: Cause::Stop, from, to: self.clock.tick(), note });
        // What was under way ends in its own time.
        tokio::time::sleep(TIMEOUT / 4).await;
    }

    fn move_clock(&mut self) {
        // Straight again as often as not.
        let minutes = if self.rng.bool() { 0 } else { self.rng.i64(-FURTHEST_MINUTES..=FURTHEST_MINUTES) };
        self.child.move_clock(minutes);
        let (now, note) = (self.clock.tick(), format!("its wall clock is {minutes:+} minutes wrong"));
        self.interruptions.push(Interruption { cause: Cause::Stop, from: now, to: now, note });
    }
}

/// Everything that was done to the process and to the world, in its order.
fn history(town: &Town, interruptions: &[Interruption]) -> String {
    let done = interruptions.iter().map(|one| (one.from, one.note.clone()));
    let mut lines: Vec<(Duration, String)> = done.chain(town.weather.history.iter().cloned()).collect();
    lines.sort();
    let lines: Vec<String> = lines.iter().map(|(at, what)| format!("{:8.3} s  {what}", at.as_secs_f64())).collect();
    lines.join("\n")
}
