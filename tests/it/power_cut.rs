//! A power cut: the program is at work, the disk is copied as it is at one moment, and the program started from the copy.
//!
//! What has left the process was acknowledged by its store: a request for a delivery means that there is a row of it, and
//! what a receiver has said yes to is noted, but for what was in flight. Ignored by default, since it needs root and takes
//! minutes: `scripts/power-cut`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Limits, PbxOptions};
use serde_json::Value;

use crate::binary::{LIMIT, Program, configure, run, start};
use crate::disk::{Disk, copy, format};
use crate::harness::{Office, in_time};

/// Attempts under way at once, of each channel.
const CONCURRENCY: usize = 4;

/// Claims in the hands of one lane: what has been said yes to and may not be noted yet.
const IN_FLIGHT: usize = 4 * CONCURRENCY;

/// What is known of the world outside when the power goes.
struct Outside {
    /// Deliveries that were asked for, by channel.
    requested: HashMap<&'static str, HashSet<String>>,
    /// Those that the receiver has said yes to.
    accepted: HashMap<&'static str, HashSet<String>>,
}

impl Outside {
    fn of(office: &Office) -> Self {
        let webhook = office.webhook.received();
        let id = |got: &ringback::sim::receiver::Received| got.header("webhook-id").unwrap().to_owned();
        let mails: HashSet<String> = office.mail.received().iter().map(mail_id).collect();
        Self {
            requested: HashMap::from([("crm", webhook.iter().map(id).collect()), ("mail", mails.clone())]),
            accepted: HashMap::from([
                ("crm", webhook.iter().filter(|got| got.answered == 200).map(id).collect()),
                ("mail", mails),
            ]),
        }
    }
}

/// `<dlv_…@host>`.
fn mail_id(mail: &ringback::sim::smtp::Mail) -> String {
    let header = mail.header("Message-ID").unwrap();
    header.trim_start_matches('<').split_once('@').unwrap().0.to_owned()
}

/// What the store says: id and whether it is finished.
fn rows(export: &str) -> HashMap<String, bool> {
    let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let events: HashSet<&str> = lines.iter().filter_map(|line| line["event"]["id"].as_str()).collect();
    let deliveries = lines.iter().map(|line| &line["delivery"]).filter(|row| !row.is_null());
    deliveries
        .map(|row| {
            assert!(events.contains(row["event_id"].as_str().unwrap()), "a delivery without its event: {row}");
            (row["id"].as_str().unwrap().to_owned(), row["state"] != "pending")
        })
        .collect()
}

/// Calls and messages come in bursts; the PBX is asked so rarely that the journal is moved in the pauses.
async fn work(office: &Office, random: &mut Rng, calls: &mut usize) {
    for _ in 0..random.usize(1..5) {
        for _ in 0..random.usize(1..30) {
            *calls += 1;
            if random.bool() {
                office.miss(&format!("call-{calls}"));
            } else {
                office.leave_voicemail(&format!("voicemail-{calls}"));
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(50..2500))).await;
    }
    tokio::time::sleep(Duration::from_millis(random.u64(0..300))).await;
}

/// Returns when no thread of it runs any more, also none in the kernel.
async fn stop_dead(daemon: &Program) {
    daemon.signal("STOP");
    let stopped = || {
        fs::read_dir(format!("/proc/{}/task", daemon.id())).unwrap().all(|task| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            stat.rsplit_once(") ").unwrap().1.starts_with('T')
        })
    };
    in_time(async {
        while !stopped() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    // What it has sent is on its way to the receivers.
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn number(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how a script tells an ignored test how long to go on")]
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn no_store_was_set_aside(disk: &Path) {
    let names =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    for name in names(disk).into_iter().chain(names(&disk.join("store"))) {
        assert!(!name.to_string_lossy().contains("broken"), "set aside: {}", name.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and takes minutes: scripts/power-cut"]
#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
async fn what_was_acknowledged_survives_a_power_cut() {
    let (rounds, seed) = (number("RINGBACK_ROUNDS", 40), number("RINGBACK_SEED", fastrand::u64(..)));
    println!("power cuts: {rounds}, RINGBACK_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let mut office = Office::on(Clock::system(), PbxOptions { limits: Limits::NONE, ..PbxOptions::default() });
    "grace: 0s, every: 1500ms".clone_into(&mut office.missed_calls);
    ", limits: {cdrs: 100000, voicemails: 100000, recordings: 100000}".clone_into(&mut office.account);
    office.extra = format!("delivery: {{concurrency: {CONCURRENCY}, digest_over: 100000}}");
    let folder = office.folder.path().to_owned();
    let (image, cut, scratch, at) =
        (folder.join("image"), folder.join("cut"), folder.join("scratch"), folder.join("disk"));
    let yaml = office.yaml().replace(&format!("{}/store", folder.display()), &format!("{}/store", at.display()));
    configure(&folder, &yaml.replace("missed_calls: {", "voicemails: {every: 1500ms}\n  missed_calls: {"));
    let has_ext4 = format(&image, 64);
    let Some(mut disk) = has_ext4.then(|| Disk::of_image(&at, &image)).flatten() else {
        println!("SKIPPED: no ext4 on a loop device here (needs root, mkfs.ext4 and /dev/loop*): nothing was shown");
        return;
    };
    let mut before: HashMap<String, bool> = HashMap::new();
    let (mut calls, mut again, mut in_flight, mut torn) = (0, 0, 0, 0);
    for round in 1..=rounds {
        let (polls, seen) = (office.asked(Endpoint::Cdrs).len(), office.webhook.total());
        let daemon = start(&folder, &["--log-level", "warn", "run"], &[]);
        in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, polls + 1)).await;
        work(&office, &mut random, &mut calls).await;
        stop_dead(&daemon).await;
        let outside = Outside::of(&office);
        copy(&image, &cut);
        daemon.signal("KILL");
        let log = daemon.end(LIMIT).stderr;
        drop(disk);
        // Looked at in a copy of its own: the next process finds the disk as the cut has left it.
        copy(&cut, &scratch);
        fs::rename(&cut, &image).unwrap();
        let looked_at = Disk::of_image(&at, &scratch).unwrap();
        let export = run(&folder, &["store", "export"]);
        let context = format!("cut {round}\n{log}\n{}", export.stderr);
        assert_eq!(export.code, Some(0), "{context}");
        no_store_was_set_aside(&at);
        torn += usize::from(export.stderr.contains("was not finished"));
        drop(looked_at);
        let rows = rows(&export.stdout);
        for (channel, requested) in &outside.requested {
            let missing: Vec<_> = requested.iter().filter(|id| !rows.contains_key(*id)).collect();
            assert!(missing.is_empty(), "{channel}: sent, and not in the store: {missing:?}\n{context}");
            let open = outside.accepted[channel].iter().filter(|id| !rows[*id]).count();
            assert!(open <= IN_FLIGHT, "{channel}: {open} were delivered and are not noted\n{context}");
            in_flight = in_flight.max(open);
            again += open;
        }
        for (id, finished) in &before {
            assert!(rows.get(id).is_some_and(|now| now >= finished), "{id} was acknowledged earlier\n{context}");
        }
        let repeated = office.webhook.since(seen);
        let repeated = repeated.iter().filter(|got| before.get(got.header("webhook-id").unwrap()) == Some(&true));
        assert_eq!(repeated.count(), 0, "sent again though it was noted as delivered\n{context}");
        before = rows;
        disk = Disk::of_image(&at, &image).unwrap();
    }
    let daemon = start(&folder, &["--log-level", "warn", "run"], &[]);
    office.miss("the last one");
    let everything = async {
        let wanted = calls + 1;
        while HashSet::<String>::from_iter(office.told()).len() < wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    in_time(everything).await;
    daemon.signal("TERM");
    assert_eq!(daemon.end(LIMIT).code, Some(0));
    no_store_was_set_aside(&at);
    let rows = rows(&run(&folder, &["store", "export"]).stdout);
    assert_eq!(rows.len(), 3 * (calls + 1), "each on three channels");
    println!(
        "{rounds} power cuts, {calls} calls and voicemails, {} deliveries: none unopenable, none lost; \
         {again} of two channels were accepted and not noted yet at a cut (at most {in_flight} of one channel at one, \
         {IN_FLIGHT} may be), and sent again under their ids; {torn} cuts tore the last write",
        rows.len()
    );
}
