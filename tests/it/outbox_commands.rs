//! The outbox from outside: `deliveries` and `events`, through the control socket of a running ringback and on the store
//! of one that does not run.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ringback::clock::Clock;
use ringback::sim::pbx::{Limits, PbxOptions, SimCall};
use ringback::sim::receiver::Mode;
use serde_json::Value;

use crate::binary::{Ended, LIMIT, Program, configure, start};
use crate::harness::{Office, in_time};

const NUMBER: &str = "05321112233";
const NAME: &str = "Mehmet Gizlioğlu";
const MINUTE: Duration = Duration::from_secs(60);

/// An office that tells one webhook, at once.
fn office(clock: Clock) -> Office {
    let mut office = Office::on(clock, PbxOptions { limits: Limits::NONE, ..PbxOptions::default() });
    "[{notify: [crm]}]".clone_into(&mut office.routes);
    "grace: 0s, every: 1s".clone_into(&mut office.missed_calls);
    configure(office.folder.path(), &office.yaml());
    office
}

fn on_manual_clock() -> Office {
    office(Clock::manual(crate::harness::MORNING.parse().unwrap()))
}

fn call(office: &Office, uuid: &str) {
    let mut call = SimCall::missed(uuid, office.now(), Duration::from_secs(20));
    (call.caller_number, call.caller_name) = (NUMBER.to_owned(), Some(NAME.to_owned()));
    office.pbx.add_call(call);
}

fn socket(office: &Office) -> PathBuf {
    office.folder.path().join("store/control.sock")
}

/// Runs a command beside whatever runs in this thread.
async fn ask(office: &Office, arguments: &[&str]) -> Ended {
    let folder = office.folder.path().to_owned();
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let asked = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        start(&folder, &arguments, &[]).end(LIMIT)
    });
    asked.await.unwrap()
}

async fn said(office: &Office, arguments: &[&str]) -> String {
    let ended = ask(office, arguments).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    ended.stdout
}

async fn refused(office: &Office, arguments: &[&str]) -> String {
    let ended = ask(office, arguments).await;
    assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
    ended.stderr
}

async fn json(office: &Office, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(office, arguments).await).unwrap()
}

/// The states of the deliveries, those of the newest calls last.
async fn states(office: &Office) -> Vec<String> {
    let rows = json(office, &["deliveries", "list", "--json"]).await;
    rows.as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect()
}

async fn ids(office: &Office) -> Vec<String> {
    let rows = json(office, &["deliveries", "list", "--json"]).await;
    rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// A dead delivery, a delivered one and a pending one, in the order of their calls.
async fn with_one_of_each(office: &Office) {
    office.once().await;
    for (uuid, mode) in [("dead", Mode::Status(410)), ("delivered", Mode::Ok), ("pending", Mode::Status(503))] {
        office.webhook.set_mode(mode);
        call(office, uuid);
        office.once_after(Duration::from_secs(2)).await;
    }
    office.webhook.set_mode(Mode::Ok);
}

/// Every promise holds with a daemon and without.
macro_rules! with_and_without_a_daemon {
    ($($promise:ident)+) => {
        mod beside_a_daemon {
            $(#[tokio::test]
            async fn $promise() {
                let office = super::on_manual_clock();
                super::with_one_of_each(&office).await;
                let running = office.run().await;
                office.idle(&running).await;
                super::$promise(&office, true).await;
                running.stop().await;
            })+
        }
        mod without_a_daemon {
            $(#[tokio::test]
            async fn $promise() {
                let office = super::on_manual_clock();
                super::with_one_of_each(&office).await;
                super::$promise(&office, false).await;
            })+
        }
    };
}

with_and_without_a_daemon! {
    the_outbox_is_listed_for_people_and_for_programs
    people_are_masked_unless_they_are_to_be_revealed
    what_is_delivered_is_not_sent_again
    a_dropped_delivery_is_gone_and_its_event_stays
    an_id_that_is_not_one_ends_with_1_and_a_sentence
    an_event_is_closed_once
}

async fn the_outbox_is_listed_for_people_and_for_programs(office: &Office, _: bool) {
    let list = said(office, &["deliveries", "list"]).await;
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("ID") && lines[0].ends_with("REASON"), "{list}");
    assert!(lines[1].starts_with("dlv_") && lines[1].contains("  dead ") && lines[1].contains("410"), "{list}");
    assert!(lines[1].contains("2026-11-22 08:00:"), "in the office's time: {list}");
    assert!(lines[3].contains("  pending ") && lines[3].contains("503"), "{list}");
    assert_eq!(lines[4], "3 deliveries: 1 pending, 1 dead, 1 delivered");
    let rows = json(office, &["deliveries", "list", "--json"]).await;
    assert_eq!(states(office).await, ["dead", "delivered", "pending"]);
    let dead = &rows[0];
    assert_eq!((&dead["uuid"], &dead["channel"], &dead["attempts"]), (&"dead".into(), &"crm".into(), &1.into()));
    assert_eq!((&dead["event"], &dead["account"], &dead["rule"]), (&"call.missed".into(), &"main".into(), &0.into()));
    assert_eq!((&dead["reason"]["kind"], &dead["parked"]), (&"rejected".into(), &false.into()));
    assert!(dead["at"].is_string() && dead["due_at"].is_null() && rows[2]["due_at"].is_string(), "{rows}");
    assert_eq!(rows[1]["reason"], Value::Null);
    let only = json(office, &["deliveries", "list", "--json", "--state", "dead", "--channel", "crm"]).await;
    assert_eq!(only, Value::Array(vec![dead.clone()]));
    let newest = said(office, &["deliveries", "list", "--limit", "1"]).await;
    assert!(newest.ends_with("the newest 1 of 3 deliveries: 1 pending, 1 dead, 1 delivered\n"), "{newest}");
    assert_eq!(said(office, &["deliveries", "list", "--channel", "mail"]).await, "no deliveries\n");
    let show = said(office, &["deliveries", "show", &dead["id"].as_str().unwrap()[..16]]).await;
    for line in ["state:     dead", "channel:   crm (routes[0])", "call:      dead", "standing:  announced since"] {
        assert!(show.contains(line), "{line}: {show}");
    }
    let show = json(office, &["deliveries", "show", "--json", dead["id"].as_str().unwrap()]).await;
    assert_eq!((&show["state"], &show["about"]["uuid"]), (&"dead".into(), &"dead".into()));
    let events = said(office, &["events", "list", "--open"]).await;
    assert!(events.contains("crm dead") && events.ends_with("\n3 open events\n"), "{events}");
    let events = json(office, &["events", "list", "--json"]).await;
    assert_eq!((&events[2]["kind"], &events[2]["open"]), (&"call".into(), &true.into()));
    assert_eq!((&events[2]["standing"], &events[2]["note"]), (&"announced".into(), &Value::Null));
    assert_eq!(events[2]["deliveries"][0]["state"], "pending");
}

async fn people_are_masked_unless_they_are_to_be_revealed(office: &Office, _: bool) {
    let id = ids(office).await.remove(0);
    for what in [&["deliveries", "list"][..], &["deliveries", "show", &id], &["events", "list"]] {
        for form in [&[][..], &["--json"]] {
            let masked = said(office, &[what, form].concat()).await;
            for person in [NUMBER, "0532 111 22 33", "5321112233", NAME, "Gizlio"] {
                assert!(!masked.contains(person), "{what:?}: {masked}");
            }
            assert!(masked.contains("0532 *** ** 33") && masked.contains("M***"), "{what:?}: {masked}");
            let revealed = said(office, &[what, form, &["--reveal"]].concat()).await;
            assert!(revealed.contains("0532 111 22 33") && revealed.contains(NAME), "{what:?}: {revealed}");
        }
    }
}

async fn what_is_delivered_is_not_sent_again(office: &Office, _: bool) {
    let id = ids(office).await.remove(1);
    let sent = office.webhook.total();
    let ended = ask(office, &["deliveries", "retry", &id]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), "0 deliveries are due now\n"));
    assert!(ended.stderr.starts_with(&format!("error: {id} was delivered at 2026-11-22T")), "{}", ended.stderr);
    assert!(refused(office, &["deliveries", "drop", &id]).await.contains("it is forgotten after `store.keep`"));
    assert_eq!(office.webhook.total(), sent);
}

async fn a_dropped_delivery_is_gone_and_its_event_stays(office: &Office, _: bool) {
    let all = ids(office).await;
    let sent = office.webhook.total();
    assert_eq!(said(office, &["deliveries", "drop", &all[0], &all[2]]).await, "2 deliveries are dropped\n");
    assert_eq!(states(office).await, ["delivered"]);
    assert_eq!(json(office, &["events", "list", "--json"]).await.as_array().unwrap().len(), 3);
    assert_eq!(office.webhook.total(), sent);
    assert!(refused(office, &["deliveries", "show", &all[0]]).await.contains("no delivery has the id"));
}

async fn an_id_that_is_not_one_ends_with_1_and_a_sentence(office: &Office, _: bool) {
    let before = states(office).await;
    for (arguments, sentence) in [
        (&["deliveries", "show", "dlv_0123456789"][..], "no delivery has the id `dlv_0123456789`"),
        (&["deliveries", "show", "../events"], "`../events` is not a delivery id: expected `dlv_`"),
        (&["deliveries", "retry", "."], "is not a delivery id"),
        (&["deliveries", "drop", ""], "`` is not a delivery id"),
        (&["events", "close", "dlv_12"], "`dlv_12` is not an event id"),
        (&["events", "close", "evt_12345678901"], "no event has the id"),
    ] {
        let stderr = refused(office, arguments).await;
        assert!(stderr.starts_with("error: ") && stderr.contains(sentence), "{arguments:?}: {stderr}");
    }
    assert_eq!(states(office).await, before);
}

async fn an_event_is_closed_once(office: &Office, daemon: bool) {
    let events = json(office, &["events", "list", "--json"]).await;
    let id = events[2]["id"].as_str().unwrap();
    let closed = said(office, &["events", "close", &id[4..20], "--note", "  aradım,\n0532 111 22 33 "]).await;
    assert_eq!(closed, format!("{id} is closed by hand; 1 delivery is not sent any more\n"));
    let events = json(office, &["events", "list", "--json"]).await;
    assert_eq!((&events[2]["standing"], &events[2]["open"]), (&"closed by hand".into(), &false.into()));
    assert_eq!(events[2]["note"], "aradım, ***");
    assert!(refused(office, &["events", "close", id]).await.contains("is settled already: closed by hand"));
    let long = "x".repeat(301);
    let other = events[1]["id"].as_str().unwrap();
    if daemon {
        assert_eq!(states(office).await, ["dead", "delivered", "withdrawn"], "it is withdrawn at once");
    }
    let two_bytes = "ş".repeat(151);
    for (note, kept) in [(&long, false), (&two_bytes, false), (&"ş".repeat(150), true)] {
        let ended = ask(office, &["events", "close", other, "--note", note]).await;
        assert_eq!(ended.code, Some(i32::from(!kept)), "{ended:?}");
        assert!(kept || ended.stderr.contains("longer than the 300 bytes that are kept"), "{}", ended.stderr);
    }
    assert!(said(office, &["events", "list", "--open"]).await.ends_with("\n1 open event\n"));
}

#[tokio::test]
async fn a_dead_delivery_that_is_asked_for_is_delivered_by_the_daemon() {
    let office = on_manual_clock();
    with_one_of_each(&office).await;
    let running = office.run().await;
    office.idle(&running).await;
    let sent = office.webhook.accepted();
    assert_eq!(said(&office, &["deliveries", "retry", "--dead"]).await, "1 delivery is due now\n");
    office.idle(&running).await;
    assert_eq!(office.webhook.accepted(), sent + 1);
    assert_eq!(states(&office).await, ["delivered", "delivered", "pending"]);
    // The pending one waits for its next try no longer.
    let pending = ids(&office).await.remove(2);
    assert_eq!(said(&office, &["deliveries", "retry", &pending]).await, "1 delivery is due now\n");
    office.idle(&running).await;
    assert_eq!(states(&office).await, ["delivered", "delivered", "delivered"]);
    assert_eq!(
        said(&office, &["deliveries", "retry", "--dead", "--channel", "crm"]).await,
        "0 deliveries are due now\n"
    );
    running.stop().await;
    assert_eq!(office.told(), ["call.missed dead", "call.missed delivered", "call.missed pending"]);
}

#[tokio::test]
async fn what_is_asked_for_without_a_daemon_is_sent_by_the_next_one() {
    let office = on_manual_clock();
    with_one_of_each(&office).await;
    let ordered = said(&office, &["deliveries", "retry", "--dead"]).await;
    assert_eq!(ordered, "1 delivery is due now; ringback does not run, and sends when it does\n");
    // By the system's clock that was another day than the office's.
    let running = office.run().await;
    office.pass(&running, 25 * 60 * MINUTE, 60 * MINUTE).await;
    running.stop().await;
    assert_eq!(states(&office).await, ["delivered", "delivered", "delivered"]);
}

#[tokio::test]
async fn deliveries_of_a_channel_that_is_gone_are_parked_and_say_so() {
    let mut office = on_manual_clock();
    with_one_of_each(&office).await;
    ", enabled: false".clone_into(&mut office.crm);
    configure(office.folder.path(), &office.yaml());
    let list = said(&office, &["deliveries", "list"]).await;
    assert!(list.contains("pending, parked"), "{list}");
    let running = office.run().await;
    let rows = json(&office, &["deliveries", "list", "--json"]).await;
    assert!(rows.as_array().unwrap().iter().all(|row| row["parked"] == true), "{rows}");
    let ordered = said(&office, &["deliveries", "retry", "--dead"]).await;
    assert!(ordered.contains("of these, 1 delivery is waiting for a channel that is not configured"), "{ordered}");
    // It is there again, without a restart.
    office.crm.clear();
    running.reload(office.config()).await.unwrap();
    office.pass(&running, MINUTE, Duration::from_secs(10)).await;
    let rows = json(&office, &["deliveries", "list", "--json"]).await;
    assert!(rows.as_array().unwrap().iter().all(|row| row["parked"] == false), "{rows}");
    assert_eq!(states(&office).await, ["delivered", "delivered", "delivered"]);
    running.stop().await;
}

#[tokio::test]
async fn what_a_person_closes_is_not_sent_and_stays_closed_whatever_the_pbx_says() {
    let mut office = on_manual_clock();
    "grace: 60s".clone_into(&mut office.missed_calls);
    configure(office.folder.path(), &office.yaml());
    office.once().await;
    office.webhook.set_mode(Mode::Status(503));
    let running = office.run().await;
    office.miss("tried");
    office.pass(&running, 2 * MINUTE, Duration::from_secs(30)).await;
    assert!(office.webhook.total() > 0, "it was tried");
    office.miss("waiting");
    office.pass(&running, Duration::from_secs(30), Duration::from_secs(30)).await;
    let events = json(&office, &["events", "list", "--json", "--open"]).await;
    let standing = |events: &Value| {
        let all = events.as_array().unwrap().iter().map(|event| event["standing"].as_str().unwrap().to_owned());
        all.collect::<Vec<_>>()
    };
    assert_eq!(standing(&events), ["announced", "waiting"]);
    for event in events.as_array().unwrap() {
        said(&office, &["events", "close", event["id"].as_str().unwrap()]).await;
    }
    office.idle(&running).await;
    let sent = office.webhook.total();
    office.webhook.set_mode(Mode::Ok);
    // The watcher goes on reading both calls as missed, and one of them as returned.
    office.pass(&running, 10 * MINUTE, Duration::from_secs(30)).await;
    office.pbx.set_returned("tried", "r1");
    office.pass(&running, 10 * MINUTE, Duration::from_secs(30)).await;
    assert_eq!(office.webhook.total(), sent, "nothing of it is sent");
    let events = json(&office, &["events", "list", "--json"]).await;
    assert_eq!(standing(&events), ["closed by hand", "closed by hand"]);
    assert_eq!(states(&office).await, ["withdrawn"]);
    running.stop().await;
    let running = office.run().await;
    office.pass(&running, 10 * MINUTE, Duration::from_secs(30)).await;
    assert_eq!(office.webhook.total(), sent, "nor after a restart");
    let withdrawn = ids(&office).await.remove(0);
    // Asked for by its id, it is sent all the same.
    said(&office, &["deliveries", "retry", &withdrawn]).await;
    office.idle(&running).await;
    assert_eq!(office.told(), ["call.missed tried"]);
    running.stop().await;
}

#[tokio::test]
async fn the_control_socket_is_for_its_owner_and_goes_with_the_daemon() {
    let office = on_manual_clock();
    let running = office.run().await;
    office.idle(&running).await;
    let found = fs::metadata(socket(&office)).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    running.stop().await;
    assert!(!socket(&office).exists());
}

/// As `nobody`, with every file of the office open to everybody.
#[tokio::test]
async fn another_user_sees_nothing() {
    let office = on_manual_clock();
    with_one_of_each(&office).await;
    let running = office.run().await;
    office.idle(&running).await;
    let folder = office.folder.path().to_owned();
    for (path, mode) in [("", 0o777), ("store", 0o777), ("store/control.sock", 0o666)] {
        fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let program = folder.join("ringback");
    fs::copy(env!("CARGO_BIN_EXE_ringback"), &program).unwrap();
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(["deliveries", "list"])
            .current_dir(folder)
            .env_clear()
            .uid(65534)
            .gid(65534)
            .output()
    });
    match asked.await.unwrap() {
        Ok(output) => {
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!((output.status.code(), &*stdout), (Some(1), ""), "{stderr}");
            assert!(stderr.contains("does not answer"), "{stderr}");
        }
        Err(error) => {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "SKIPPED another_user_sees_nothing: needs root to be another: {error}")
                .unwrap();
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn garbage_over_the_socket_does_no_harm() {
    let office = on_manual_clock();
    with_one_of_each(&office).await;
    let running = office.run().await;
    office.idle(&running).await;
    let path = socket(&office);
    let answers = tokio::task::spawn_blocking(move || {
        let ask = |bytes: &[u8]| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            // It may hang up before all is written.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
        };
        let post = |path: &str, body: &str| {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
            ask(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes())
        };
        let get = |path: &str| ask(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes());
        [
            ask(b"\x00\x01\x02\xff\r\n\r\n"),
            ask(&b"x".repeat(1 << 20)),
            ask(b""),
            ask(b"GET /api/v1/deliveries HTTP/1.1\r\n"),
            post("/api/v1/deliveries/retry", "{"),
            post("/api/v1/deliveries/retry", "{\"ids\": [], \"dead\": false}"),
            post("/api/v1/deliveries/drop", "{\"dead\": true}"),
            post("/api/v1/deliveries/drop", "[1]"),
            post("/api/v1/events/%ff/close", "{}"),
            post("/api/v1/events", "{}"),
            get("/api/v1/deliveries?state=all"),
            get("/api/v1/deliveries?limit=-1"),
            get("/api/v1/deliveries?what=1"),
            get("/api/v1/deliveries/%00"),
            get("/api/v2"),
        ]
    });
    let answers = in_time(answers).await.unwrap();
    let status = |answer: &String| answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
    let statuses: Vec<u16> = answers.iter().map(status).collect();
    assert_eq!(statuses, [400, 431, 0, 0, 400, 400, 400, 422, 400, 405, 400, 400, 400, 400, 404], "{answers:?}");
    assert_eq!(states(&office).await, ["dead", "delivered", "pending"]);
    running.stop().await;
}

/// A daemon in a process of its own, up and listening.
async fn daemon(office: &Office) -> Program {
    let program = start(office.folder.path(), &["run"], &[]);
    in_time(async {
        while UnixStream::connect(socket(office)).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    program
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_leaves_a_socket_that_stops_nobody() {
    let office = office(Clock::system());
    let program = daemon(&office).await;
    program.signal("KILL");
    program.end(LIMIT);
    assert!(socket(&office).exists(), "it was left behind");
    assert_eq!(said(&office, &["deliveries", "list"]).await, "no deliveries\n");
    assert_eq!(said(&office, &["events", "list"]).await, "no events\n");
    let program = daemon(&office).await;
    call(&office, "after");
    in_time(async {
        while office.told().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    in_time(async {
        while states(&office).await != ["delivered"] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    program.signal("TERM");
    assert_eq!(program.end(LIMIT).code, Some(0));
    assert!(!socket(&office).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_answers_nothing_is_said_to() {
    let office = office(Clock::system());
    let program = daemon(&office).await;
    program.signal("STOP");
    let stderr = refused(&office, &["deliveries", "list"]).await;
    assert!(stderr.contains("the running ringback does not answer at") && stderr.contains("control.sock"), "{stderr}");
    program.signal("CONT");
    assert_eq!(said(&office, &["deliveries", "list"]).await, "no deliveries\n");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_said_and_stops_nobody() {
    let office = on_manual_clock();
    let folder = "long".repeat(30);
    let yaml = office.yaml().replace("/store'", &format!("/{folder}'"));
    configure(office.folder.path(), &yaml);
    let program = start(office.folder.path(), &["run"], &[]);
    in_time(async {
        while !program.stderr().contains("ringback runs") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(program.stderr().contains("no control socket") && program.stderr().contains("shorter `store.path`"));
    let stderr = refused(&office, &["deliveries", "list"]).await;
    assert!(stderr.contains(&format!("in use by process {}", program.id())), "{stderr}");
    assert!(stderr.contains("it has no control socket that could be asked instead"), "{stderr}");
    program.signal("TERM");
    assert_eq!(program.end(LIMIT).code, Some(0));
    assert_eq!(said(&office, &["deliveries", "list"]).await, "no deliveries\n");
}

#[tokio::test]
async fn without_a_store_nothing_is_made() {
    let office = on_manual_clock();
    let stderr = refused(&office, &["deliveries", "list"]).await;
    assert!(stderr.contains("there is no store at") && stderr.contains("\nhint: `ringback run` makes it"), "{stderr}");
    assert!(!office.folder.path().join("store").exists());
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_2() {
    let office = on_manual_clock();
    for arguments in [
        &["deliveries"][..],
        &["deliveries", "list", "--state", "gone"],
        &["deliveries", "retry"],
        &["deliveries", "retry", "dlv_1", "--dead"],
        &["deliveries", "retry", "--channel", "crm", "dlv_1"],
        &["deliveries", "drop"],
        &["events", "close"],
        &["events", "list", "--closed"],
    ] {
        assert_eq!(ask(&office, arguments).await.code, Some(2), "{arguments:?}");
    }
}
