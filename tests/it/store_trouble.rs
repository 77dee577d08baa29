//! A broken store: a full disk, damaged files, a second process, another format, and the way out by export and import.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Limits, PbxOptions};
use ringback::sim::receiver::Mode;
use serde_json::Value;

use crate::binary::{Ended, LIMIT, Program, configure, program, run, start, start_as};
use crate::disk::Disk;
use crate::harness::{Office, WEBHOOK_SECRET, in_time};

const HOUR: Duration = Duration::from_secs(3600);

/// An office for the built program, which tells at once and tries again soon.
fn office() -> Office {
    let mut office = Office::on(Clock::system(), PbxOptions { limits: Limits::NONE, ..PbxOptions::default() });
    "grace: 0s, every: 200ms, lookback: 48h".clone_into(&mut office.missed_calls);
    ", limits: {cdrs: 100000, voicemails: 100000, recordings: 100000}".clone_into(&mut office.account);
    ", retry: {initial: 200ms, max: 500ms}".clone_into(&mut office.crm);
    configure(office.folder.path(), &office.yaml());
    office
}

fn ringback(office: &Office, arguments: &[&str]) -> Ended {
    run(office.folder.path(), arguments)
}

fn daemon(office: &Office) -> Program {
    start(office.folder.path(), &["run"], &[])
}

fn store(office: &Office) -> PathBuf {
    office.folder.path().join("store")
}

/// Waits for what comes about in another process.
async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let holds = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(LIMIT, holds).await.is_ok(), "{what} does not come about");
}

fn set_aside(office: &Office) -> Vec<PathBuf> {
    let entries = fs::read_dir(office.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("store.broken-")).collect()
}

/// Status and text of a page; 0 when nobody answers.
#[expect(clippy::disallowed_methods, reason = "what a person with curl would do")]
async fn get(address: &str, page: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{address}/{page}")).await;
    let Ok(answer) = answer else { return (0, String::new()) };
    (answer.status().as_u16(), answer.text().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_the_intake_and_not_the_deliveries_and_all_goes_on_when_there_is_room() {
    let office = office();
    let Some(disk) = Disk::in_memory(&store(&office), 6144) else { return };
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let yaml = office.yaml().replace("listen: 'off'", &format!("listen: '{address}'"));
    configure(office.folder.path(), &yaml);
    office.webhook.set_mode(Mode::Status(503));
    let first = daemon(&office);
    for n in 0..20 {
        office.miss(&format!("stored {n}"));
    }
    in_time(office.slack.wait_for(20)).await;
    in_time(office.mail.wait_for(20)).await;
    in_time(office.webhook.wait_for_total(20)).await;
    until("readiness", async || get(&address, "readyz").await.0 == 200).await;

    // The journal's last page has some room even then: the notes of the failing webhook fill it.
    disk.fill();
    until("red readiness", async || get(&address, "readyz").await.0 == 503).await;
    office.miss("new");
    let (_, reasons) = get(&address, "readyz").await;
    assert!(reasons.contains("store not writable") && reasons.contains("No space left"), "{reasons}");
    until("what is new", async || first.stderr().contains("what was read could not be stored")).await;
    let log = first.stderr();
    assert!(log.contains("no room on the disk: nothing new is taken in until there is"), "{log}");
    assert_eq!(log.matches(" announced ").count(), 20, "what is not stored is not said to be announced: {log}");

    office.webhook.set_mode(Mode::Ok);
    in_time(office.webhook.wait_for(20)).await;
    assert_eq!(office.told().len(), 20, "what is stored is delivered");
    assert_eq!((office.slack.total(), office.mail.received().len()), (20, 20), "and nothing else is announced");

    // Even a crash with the disk still full forgets nothing.
    let before = office.webhook.total();
    let is_noted = async || {
        let metrics = get(&address, "metrics").await.1;
        let mut waiting = metrics.lines().filter(|line| line.starts_with("ringback_outbox_deliveries{"));
        waiting.any(|line| line.contains("\"crm\"") && line.contains("\"pending\"") && line.ends_with(" 0"))
    };
    until("the note of it", is_noted).await;
    first.signal("KILL");
    first.end(LIMIT);
    let second = daemon(&office);
    let polls = office.asked(Endpoint::Cdrs).len();
    in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, polls + 2)).await;
    assert_eq!((office.webhook.total(), office.slack.total()), (before, 20), "{}", second.stderr());

    disk.make_room();
    in_time(office.webhook.wait_for(21)).await;
    in_time(office.slack.wait_for(21)).await;
    in_time(office.mail.wait_for(21)).await;
    until("readiness", async || get(&address, "readyz").await.0 == 200).await;
    assert!(office.told().contains(&"call.missed new".to_owned()));
    second.signal("TERM");
    assert_eq!(second.end(LIMIT).code, Some(0));
    assert_eq!(ringback(&office, &["once"]).code, Some(0));
    assert_eq!((office.webhook.accepted(), office.slack.total(), office.mail.received().len()), (21, 21, 21));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_go_on_ends_the_process_and_the_next_one_goes_on() {
    let office = office();
    // So rarely that the store finds a second to move what has gathered.
    configure(office.folder.path(), &office.yaml().replace("every: 200ms", "every: 3s"));
    office.miss("c1");
    assert_eq!(ringback(&office, &["once"]).code, Some(0));
    let polls = office.asked(Endpoint::Cdrs).len();
    let daemon = daemon(&office);
    in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, polls + 1)).await;
    // Even a process that has it open can write it no more.
    let Some(frozen) = Frozen::new(store(&office).join("db")) else { return };
    office.miss("c2");
    let ended = daemon.end(LIMIT);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let sentence = format!("error: the store {} cannot go on: ", store(&office).display());
    assert!(ended.stderr.contains(&sentence) && ended.stderr.contains("hint: nothing is lost"), "{}", ended.stderr);
    drop(frozen);
    office.miss("c3");
    assert_eq!(ringback(&office, &["once"]).code, Some(0));
    assert_eq!(ringback(&office, &["once"]).code, Some(0));
    assert_eq!(office.told(), ["call.missed c1", "call.missed c2", "call.missed c3"]);
    assert!(set_aside(&office).is_empty());
}

/// A file that nobody can write, not even who has it open.
struct Frozen(PathBuf);

impl Frozen {
    #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
    fn new(path: PathBuf) -> Option<Self> {
        let frozen = Command::new("chattr").arg("+i").arg(&path).output();
        if frozen.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        eprintln!("SKIPPED: chattr +i does not work here (needs root and ext4): a data file that fails is not tested");
        None
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(&self.0).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_set_aside_and_what_is_open_and_young_is_told_again() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("an empty data file", |store| fs::write(store.join("db"), "").unwrap()),
        ("a data file cut short", |store| {
            fs::File::options().write(true).open(store.join("db")).unwrap().set_len(900).unwrap();
        }),
        ("a data file overwritten", |store| {
            let length = usize::try_from(fs::metadata(store.join("db")).unwrap().len()).unwrap();
            fs::write(store.join("db"), vec![0x55; length]).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let office = office();
        let ago = |hours: u32| office.now() - HOUR * hours;
        let ring = Duration::from_secs(20);
        office.pbx.add_call(ringback::sim::pbx::SimCall::missed("old", ago(30), ring));
        office.pbx.add_call(ringback::sim::pbx::SimCall::missed("this morning", ago(3), ring));
        office.miss("now");
        assert_eq!(ringback(&office, &["once"]).code, Some(0));
        assert_eq!(office.told(), ["call.missed now"], "{what}");
        let id = office.webhook.received()[0].header("webhook-id").unwrap().to_owned();

        damage(&store(&office));
        let ended = ringback(&office, &["once"]);
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
        let [aside] = &*set_aside(&office) else { panic!("{what}: not set aside\n{}", ended.stderr) };
        let said: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("the store is damaged")).collect();
        let [said] = &*said else { panic!("{what}: said {} times\n{}", said.len(), ended.stderr) };
        for part in [&*store(&office).to_string_lossy(), &*aside.to_string_lossy(), "watch.max_age"] {
            assert!(said.contains(part), "{what}: {part}\n{said}");
        }
        assert!(!ended.stderr.contains("panicked at") && !ended.stderr.contains("RUST_BACKTRACE"), "{}", ended.stderr);
        assert_eq!(office.told(), ["call.missed now", "call.missed now", "call.missed this morning"], "{what}");
        let again = office.webhook.received();
        assert!(again[1..].iter().any(|got| got.header("webhook-id") == Some(&id)), "under the same id");
        assert_eq!(ringback(&office, &["once"]).code, Some(0));
        assert_eq!(office.told().len(), 3, "{what}: once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_had_is_an_error_with_its_path() {
    let office = office();
    let path = store(&office);
    fs::write(&path, "a letter").unwrap();
    let ended = ringback(&office, &["once"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let sentence =
        format!("error: the store {} cannot be opened: there is something else of that name", path.display());
    assert!(ended.stderr.contains(&sentence) && ended.stderr.contains("hint: "), "{}", ended.stderr);
    assert_eq!(fs::read(&path).unwrap(), b"a letter");
    fs::remove_file(&path).unwrap();

    // Root may read everything, so somebody else tries.
    assert_eq!(ringback(&office, &["once"]).code, Some(0));
    fs::set_permissions(office.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut other = Command::new(program());
    if fs::read_dir("/root").is_ok() {
        other.uid(65534).gid(65534);
    } else {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    let Ended { code, stderr, .. } = start_as(other.arg("once"), office.folder.path(), &[]).end(LIMIT);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains(&format!("error: the store {} cannot", path.display())), "{stderr}");
    assert!(stderr.contains("Permission denied"), "{stderr}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(set_aside(&office).is_empty(), "it is not damaged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_note_of_an_owner_that_was_killed_is_no_lock() {
    let office = office();
    let first = daemon(&office);
    in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, 1)).await;
    first.signal("KILL");
    first.end(LIMIT);
    let polls = office.asked(Endpoint::Cdrs).len();
    let second = daemon(&office);
    in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, polls + 1)).await;
    for command in [&["once"][..], &["store", "export"], &["store", "import", "config.yaml"]] {
        let ended = ringback(&office, command);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
        if command[1..] != ["import", "config.yaml"] {
            let sentence = format!("the store {} is in use by process {}", store(&office).display(), second.id());
            assert!(
                ended.stderr.contains(&sentence) && ended.stderr.contains("hint: stop it first"),
                "{}",
                ended.stderr
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_version_is_left_as_it_is() {
    let office = office();
    office.miss("c1");
    assert_eq!(ringback(&office, &["once"]).code, Some(0));
    fs::write(store(&office).join("journal-900"), "ringjnl2, of which nothing is known").unwrap();
    for command in [&["run"][..], &["once"], &["store", "export"]] {
        let ended = ringback(&office, command);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("has format a journal of version 2, this version reads 1"), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: run the newer ringback"), "{}", ended.stderr);
    }
    assert!(set_aside(&office).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_exported_and_imported_goes_on_where_it_was() {
    let office = office();
    office.webhook.set_mode(Mode::Status(503));
    office.miss("c1");
    office.leave_voicemail("v1");
    assert_eq!(ringback(&office, &["once"]).code, Some(3), "the webhook still waits for both");
    let file = office.folder.path().join("backup.jsonl");
    let ended = ringback(&office, &["store", "export", "backup.jsonl"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "it holds names and numbers");
    let export = fs::read_to_string(&file).unwrap();
    assert_eq!(ringback(&office, &["store", "export"]).stdout, export, "the same on stdout");
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["ringback_store"], 1);
    // Two events, three deliveries of each, two cursors, and that the voicemail was asked for.
    assert_eq!(lines.last().unwrap()["rows"], 11);
    for secret in [office.pbx.key(), WEBHOOK_SECRET] {
        assert!(!export.contains(secret), "a secret is in the export");
    }

    let ended = ringback(&office, &["store", "import", "backup.jsonl"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("it has rows already") && ended.stderr.contains("hint: "), "{}", ended.stderr);
    fs::rename(store(&office), office.folder.path().join("moved away")).unwrap();
    let broken = export.replace(export.lines().nth(4).unwrap(), "{\"event\": 7}");
    fs::write(office.folder.path().join("broken.jsonl"), broken).unwrap();
    let ended = ringback(&office, &["store", "import", "broken.jsonl"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("broken.jsonl: line 5: not a row"), "{}", ended.stderr);
    assert!(!store(&office).exists(), "nothing was imported");
    let ended = ringback(&office, &["store", "import", "backup.jsonl"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ringback(&office, &["store", "export"]).stdout, export, "as it was");

    office.webhook.set_mode(Mode::Ok);
    office.miss("c2");
    let daemon = daemon(&office);
    in_time(office.webhook.wait_for(3)).await;
    in_time(office.slack.wait_for(3)).await;
    in_time(office.mail.wait_for(3)).await;
    daemon.signal("TERM");
    assert_eq!(daemon.end(LIMIT).code, Some(0));
    assert_eq!(ringback(&office, &["once"]).code, Some(0));
    assert_eq!(office.told(), ["call.missed c1", "call.missed c2", "voicemail.new v1"]);
    assert_eq!((office.slack.total(), office.mail.received().len()), (3, 3), "nothing is told twice");
}

#[test]
fn without_a_store_there_is_nothing_to_export() {
    let office = tokio::runtime::Runtime::new().unwrap().block_on(async { office() });
    let ended = ringback(&office, &["store", "export"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
    assert!(ended.stderr.contains("cannot be opened: there is none") && !store(&office).exists(), "{}", ended.stderr);
}
