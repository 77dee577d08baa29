//! Nothing is lost, invented or told twice beyond what was in flight, however often the process is killed.
//!
//! The built program (or `$RINGBACK_BINARY`) runs in a process of its own between a simulated PBX and simulated
//! receivers, which outlive it. Calls are missed and returned and voicemails left all the time; meanwhile the receivers
//! misbehave in turn, and the process is killed at random moments and started again. Then everything is mended, and what
//! has arrived is compared with what had happened, and with what the store says of it: see [`oracle`].
//!
//! Every decision is drawn from a seed that is printed; `RINGBACK_SEED` repeats it. The moments at which the machine
//! schedules things are not repeated, so a rare failure may take a few runs with its seed.
//!
//! The long form is `scripts/torture`: the tests here that are ignored.

use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use ringback::clock::Clock;
use ringback::sim::receiver::Mode;

use self::child::Command;
use self::driver::{Plan, torment};
use self::town::{Place, Town};

mod child;
mod driver;
mod later;
mod ledger;
mod oracle;
mod story;
mod town;
mod weather;

/// Said at once, whatever becomes of the test: a test's own output is shown only when it fails.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// A setting of a run.
#[expect(clippy::disallowed_methods, reason = "how a person repeats or lengthens a run")]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

fn kills(usually: usize) -> usize {
    setting("RINGBACK_KILLS").map_or(usually, |kills| usize::try_from(kills).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_invented_when_the_daemon_is_killed_twenty_times() {
    torment(Plan { kills: 20, ..Plan::named("killed twenty times") }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_invented_when_cron_starts_it_and_it_is_killed() {
    torment(Plan { kills: 10, command: Command::Once, ..Plan::named("cron") }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes of wall time: scripts/torture"]
async fn nothing_is_lost_or_invented_in_the_long_form() {
    torment(Plan { kills: kills(200), stops: true, clock_moves: true, ..Plan::named("long form") }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes of wall time: scripts/torture"]
async fn nothing_is_lost_or_invented_when_cron_starts_it_in_the_long_form() {
    let plan = Plan { kills: kills(200) / 2, command: Command::Once, clock_moves: true, ..Plan::named("cron, long") };
    torment(plan).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute of wall time: scripts/torture"]
async fn of_six_hundred_calls_with_twenty_five_kills_none_is_lost_and_the_ids_are_stable() {
    torment(Plan { kills: 25, matters: 600, ..Plan::named("600 calls, 25 kills") }).await;
}

/// With the webhook answering 503 and Slack saying nothing, the mails of forty calls arrive as if nothing were wrong;
/// when both are mended, everything arrives there too, and everything once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_webhook_and_a_hanging_slack_delay_no_mail_and_are_told_everything_later_once() {
    const CALLS: usize = 40;
    let mut town = Town::start(1, false);
    town.crm.set_mode(Mode::Status(503));
    town.slack.set_mode(Mode::Hang);
    let mut child = child::Child::new(&town, false);
    child.start(Command::Run);
    town.has_been_read().await;
    for _ in 0..CALLS {
        town.story.miss(&town.pbx, town.clock.now());
    }
    let begun = town.clock.tick();
    let mails = tokio::time::timeout(Duration::from_secs(20), town.mail.wait_for(CALLS)).await;
    assert!(mails.is_ok(), "{} of {CALLS} mails in 20 s\n{}", town.mail.received().len(), child.log());
    let took = town.clock.tick().saturating_sub(begun);
    assert!(took < story::GRACE + Duration::from_secs(8), "the mails took {took:?}\n{}", child.log());
    assert_eq!((town.crm.accepted(), town.slack.accepted()), (0, 0));
    town.crm.set_mode(Mode::Ok);
    town.slack.set_mode(Mode::Ok);
    town.settle(Duration::from_secs(30)).await;
    child.stop();
    for (place, count) in [(Place::Mail, town.mail.received().len()), (Place::Slack, town.slack.accepted())] {
        assert_eq!(count, CALLS, "{}", place.name());
    }
    assert_eq!(town.crm.accepted(), CALLS);
    let figures = oracle::judge(&town, &child, &[]).await.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(figures.twice, 0);
}

/// Makes the world differ from what was told, in one way.
type Harm = fn(&mut Town);

/// A driver that would find nothing proves nothing: what is lost, invented, changed or told twice is noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oracle_notices_what_is_lost_invented_changed_or_told_twice() {
    let mut town = Town::start(1, false);
    let mut child = child::Child::new(&town, false);
    child.start(Command::Run);
    town.has_been_read().await;
    let now = town.clock.now();
    for _ in 0..4 {
        town.story.miss(&town.pbx, now);
    }
    town.settle(Duration::from_secs(30)).await;
    child.stop();
    assert!(oracle::judge(&town, &child, &[]).await.is_ok());

    let harms: [(Harm, &str); 5] = [
        (|town| town.ledger.arrivals.retain(|arrival| arrival.place != Place::Slack), "has never arrived"),
        (|town| town.story.matters[1].fate = story::Fate::Never, "is nobody's business"),
        (|town| drop(town.story.matters.remove(3)), "nothing that has happened"),
        (|town| town.story.matters[2].number = "05320000000".to_owned(), "another number"),
        (
            |town| {
                let again = town.ledger.arrivals[0].clone();
                town.ledger.arrivals.push(again);
            },
            "though nothing was interrupted",
        ),
    ];
    for (harm, complaint) in harms {
        let mut harmed = town.copy_of_the_facts();
        harm(&mut harmed);
        let problems = oracle::judge(&harmed, &child, &[]).await.err().unwrap_or_default();
        assert!(problems.contains(complaint), "expected `{complaint}` in:\n{problems}");
    }
}

/// Whole seconds, as the PBX writes them.
fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}

/// The one clock of a run, by which the simulators count too.
fn clock() -> Clock {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Clock::system()
}
