//! The life of the daemon: reload, orderly stop, and what systemd is told of them.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use ringback::app::{App, ReloadError, RunError};
use ringback::clock::Clock;
use ringback::config::Config;
use ringback::outbox::State;
use ringback::sim::pbx::{Endpoint, Fault, Limits, PbxOptions};
use ringback::sim::receiver::Mode;
use ringback::store::Store;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::binary::{Program, configure, start};
use crate::harness::{Office, PATIENCE, Running, free_port, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Tells of `channels` alone.
fn told_to(office: &Office, channels: &[&str]) -> Config {
    let mut config = office.config();
    config.channels.retain(|channel| channels.contains(&channel.common.name.as_str()));
    config.routes[0].notify = channels.iter().map(|&name| name.to_owned()).collect();
    config
}

/// A call is missed, and the grace passes.
async fn miss(office: &Office, running: &Running, uuid: &str) {
    office.miss(uuid);
    office.pass(running, 2 * MINUTE, 10 * SECOND).await;
}

async fn pending(store: &dyn Store, channel: &str) -> usize {
    store.list(&|delivery| delivery.channel == channel && delivery.state == State::Pending).await.unwrap().len()
}

/// Blocks, for at most the patience of a test.
fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

async fn asked(port: u16, path: &'static str) -> String {
    in_time(tokio::task::spawn_blocking(move || get(port, path))).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_reload_tells_by_the_new_configuration_what_happens_after_it() {
    let office = Office::new();
    let running = office.run_with(&told_to(&office, &["mail"])).await;
    miss(&office, &running, "c1").await;
    in_time(office.mail.wait_for(1)).await;
    assert_eq!(office.webhook.total(), 0);
    running.reload(told_to(&office, &["crm"])).await.unwrap();
    miss(&office, &running, "c2").await;
    assert_eq!(office.told(), ["call.missed c2"]);
    assert_eq!(office.mail.received().len(), 1, "nothing is told again");
    running.stop().await;
}

#[tokio::test]
async fn a_call_within_its_grace_is_told_once_over_a_reload() {
    let office = Office::new();
    let running = office.run().await;
    office.miss("c1");
    office.pass(&running, 40 * SECOND, 10 * SECOND).await;
    assert_eq!(office.webhook.total(), 0);
    running.reload(office.config()).await.unwrap();
    office.pass(&running, 5 * MINUTE, 10 * SECOND).await;
    in_time(office.mail.wait_for(1)).await;
    assert_eq!((office.told().len(), office.webhook.total(), office.mail.received().len()), (1, 1, 1));
    running.stop().await;
}

#[tokio::test]
async fn what_was_decided_is_not_decided_anew() {
    let office = Office::new();
    let running = office
        .run_with(&{
            let mut config = office.config();
            config.routes[0].notify = vec!["crm".to_owned()];
            config
        })
        .await;
    office.webhook.set_mode(Mode::Status(503));
    miss(&office, &running, "c1").await;
    let tried = office.webhook.total();
    assert!(tried > 0);
    office.webhook.set_mode(Mode::Ok);
    let mut config = office.config();
    config.routes[0].notify = vec!["mail".to_owned()];
    running.reload(config).await.unwrap();
    office.pass(&running, 40 * MINUTE, MINUTE).await;
    assert_eq!(office.told(), ["call.missed c1"], "the row stands, and its channel is there");
    assert_eq!(office.mail.received().len(), 0);
    running.stop().await;
}

#[tokio::test]
async fn deliveries_of_a_removed_channel_wait_without_alarm_and_go_out_when_it_is_back() {
    let office = Office::new();
    let port = free_port();
    let listening = |mut config: Config| {
        config.http.listen = Some(format!("127.0.0.1:{port}"));
        config
    };
    let running = office.run_with(&listening(office.config())).await;
    office.webhook.set_mode(Mode::Status(503));
    miss(&office, &running, "c1").await;
    running.reload(listening(told_to(&office, &["mail", "slack"]))).await.unwrap();
    office.webhook.set_mode(Mode::Ok);
    let tried = office.webhook.total();
    office.pass(&running, 60 * MINUTE, MINUTE).await;
    assert_eq!(office.webhook.total(), tried, "not sent");
    assert_eq!(pending(running.store(), "crm").await, 1, "listed");
    assert!(asked(port, "/readyz").await.starts_with("HTTP/1.1 200"), "nobody has to act");
    let mut disabled = listening(office.config());
    disabled.channels.iter_mut().for_each(|channel| channel.common.enabled = channel.common.name != "crm");
    running.reload(disabled).await.unwrap();
    office.pass(&running, 10 * MINUTE, MINUTE).await;
    assert_eq!((office.webhook.total(), pending(running.store(), "crm").await), (tried, 1), "nor when it is disabled");
    running.reload(listening(office.config())).await.unwrap();
    office.idle(&running).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    assert_eq!((office.mail.received().len(), office.slack.accepted()), (1, 1), "the others were told once");
    let ids: Vec<_> =
        office.webhook.received().iter().map(|got| got.header("webhook-id").unwrap().to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    running.stop().await;
}

#[tokio::test]
async fn an_attempt_under_way_ends_under_the_configuration_that_began_it() {
    let office = Office::new();
    let running = office.run_with(&told_to(&office, &["crm"])).await;
    // Longer than a reload takes on a busy machine, which tries every template.
    office.webhook.set_mode(Mode::Slow(6 * SECOND));
    office.miss("c1");
    let begun = || office.webhook.total() == 1;
    assert!(office.pass_until(&running, 3 * MINUTE, 10 * SECOND, begun).await.is_some());
    let mut moved = told_to(&office, &["crm", "slack"]);
    // The old address is gone for the new lanes.
    moved.channels.iter_mut().for_each(|channel| {
        if let ringback::config::ChannelKind::Webhook(webhook) = &mut channel.kind {
            webhook.url = ringback::private::Secret::new("http://127.0.0.1:1/");
        }
    });
    running.reload(moved).await.unwrap();
    assert_eq!(pending(running.store(), "crm").await, 1, "still under way");
    // The new lanes work beside it.
    miss(&office, &running, "c2").await;
    assert_eq!(office.slack.accepted(), 1);
    let delivered = |delivery: &ringback::outbox::Delivery| matches!(delivery.state, State::Delivered { .. });
    in_time(async {
        while running
            .store()
            .list(&|delivery| delivery.channel == "crm" && delivered(delivery))
            .await
            .unwrap()
            .is_empty()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(office.webhook.total(), 1, "and nobody made it a second time");
    running.stop().await;
}

#[tokio::test]
async fn a_pause_that_the_receiver_asked_for_outlasts_a_reload() {
    let office = Office::new();
    let running = office.run().await;
    let wait = vec![("Retry-After".to_owned(), "600".to_owned())];
    office.webhook.push_mode(Mode::StatusWith(429, wait, String::new()), 1);
    miss(&office, &running, "c1").await;
    assert_eq!(office.webhook.total(), 1);
    for _ in 0..3 {
        running.reload(office.config()).await.unwrap();
        office.pass(&running, MINUTE, 10 * SECOND).await;
    }
    assert_eq!(office.webhook.total(), 1, "it is left alone");
    office.pass(&running, 10 * MINUTE, 10 * SECOND).await;
    assert_eq!((office.webhook.total(), office.told().len()), (2, 1));
    running.stop().await;
}

#[tokio::test]
async fn mended_credentials_are_tried_as_soon_as_they_are_there() {
    let mut office = Office::new();
    office.crm = ", headers: {Authorization: wrong}".to_owned();
    let running = office.run().await;
    office.webhook.set_mode(Mode::Status(401));
    miss(&office, &running, "c1").await;
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    let tried = office.webhook.total();
    office.webhook.set_mode(Mode::Ok);
    running.reload(office.config()).await.unwrap();
    office.idle(&running).await;
    assert_eq!(office.webhook.total(), tried, "they are the same still");
    office.crm = ", headers: {Authorization: right}".to_owned();
    running.reload(office.config()).await.unwrap();
    office.idle(&running).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    running.stop().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_changes_nothing() {
    let office = Office::new();
    let running = office.run().await;
    let templates = office.folder.path().join("mine/tr/email");
    std::fs::create_dir_all(&templates).unwrap();
    std::fs::write(templates.join("call.missed.subject.txt.hbs"), "{{caller.numbr}}").unwrap();
    let mut broken = told_to(&office, &["slack"]);
    broken.templates = Some(office.folder.path().join("mine"));
    let refusal = running.reload(broken).await.unwrap_err();
    assert!(refusal.to_string().contains("call.missed.subject.txt"), "{refusal}");
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut nowhere = told_to(&office, &["slack"]);
    nowhere.http.listen = Some(taken.local_addr().unwrap().to_string());
    let refusal = running.reload(nowhere).await.unwrap_err();
    assert!(refusal.to_string().contains("cannot listen on"), "{refusal}");
    let mut keyless = told_to(&office, &["slack"]);
    keyless.accounts[0].base_url = "http://pbx.example.com".to_owned();
    assert!(matches!(running.reload(keyless).await, Err(ReloadError::Refused(_))));
    miss(&office, &running, "c1").await;
    in_time(office.mail.wait_for(1)).await;
    assert_eq!((office.told().len(), office.slack.accepted()), (1, 1));
    running.stop().await;
}

#[tokio::test]
async fn a_store_path_is_changed_by_a_restart_only() {
    let office = Office::new();
    let running = office.run().await;
    let mut moved = office.config();
    moved.store.path = office.folder.path().join("elsewhere");
    running.reload(moved.clone()).await.unwrap();
    miss(&office, &running, "c1").await;
    assert_eq!(office.told(), ["call.missed c1"]);
    assert!(!moved.store.path.exists());
    running.stop().await;
}

#[tokio::test]
async fn the_pbx_is_asked_no_more_often_because_of_reloads() {
    let mut office = Office::new();
    office.account = ", limits: {cdrs: 3, voicemails: 3}".to_owned();
    let running = office.run().await;
    for number in 0..12 {
        if number % 4 == 0 {
            office.leave_voicemail(&format!("v{number}"));
        }
        running.reload(office.config()).await.unwrap();
        office.pass(&running, 5 * SECOND, 5 * SECOND).await;
    }
    // A request that a reload drops before it is sent counts all the same; now what is left comes.
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    for endpoint in [Endpoint::Cdrs, Endpoint::Voicemails] {
        assert!(office.asked(endpoint).len() >= 3, "it is asked all the same");
        let most = office.pbx.max_in_window(endpoint, MINUTE);
        assert!(most <= 3, "{endpoint:?}: {most}");
    }
    assert_eq!(office.told().len(), 3);
    running.stop().await;
}

#[tokio::test]
async fn the_server_moves_and_its_metrics_count_on() {
    let office = Office::new();
    let (first, second) = (free_port(), free_port());
    let at = |address: String| {
        let mut config = office.config();
        config.http.listen = Some(address);
        config
    };
    let running = office.run_with(&at(format!("127.0.0.1:{first}"))).await;
    office.webhook.push_mode(Mode::Status(410), 1);
    miss(&office, &running, "c1").await;
    let lines = [
        "ringback_deliveries_total{channel=\"slack\",outcome=\"delivered\"} 1",
        "ringback_outbox_deliveries{channel=\"crm\",state=\"dead\"} 1",
    ];
    let shows = |metrics: &str| lines.iter().all(|line| metrics.lines().any(|found| found == *line));
    let counted = |metrics: &str| assert!(shows(metrics), "{metrics}");
    in_time(async { while !shows(&asked(first, "/metrics").await) {} }).await;
    running.reload(at(format!("127.0.0.1:{second}"))).await.unwrap();
    counted(&asked(second, "/metrics").await);
    assert!(get(first, "/healthz").is_err(), "the old one is closed");
    // The same port, which the old one holds.
    running.reload(at(format!("0.0.0.0:{second}"))).await.unwrap();
    counted(&asked(second, "/metrics").await);
    running.reload(at("off".to_owned())).await.unwrap();
    assert!(get(second, "/healthz").is_err());
    running.reload(at(format!("127.0.0.1:{first}"))).await.unwrap();
    counted(&asked(first, "/metrics").await);
    running.stop().await;
    assert!(get(first, "/healthz").is_err());
}

#[tokio::test]
async fn a_part_that_panics_stops_the_others_in_order_and_is_an_error() {
    let office = Office::new();
    let app = App::new(&office.config(), office.clock.clone()).await.unwrap();
    let stop = CancellationToken::new();
    let mut running = app.start(stop.clone()).await.unwrap();
    running.add("the part under test", async { panic!("on purpose") });
    let error = in_time(running.until_end()).await.unwrap_err();
    assert!(matches!(&error, RunError::Panicked(part) if part == "the part under test"), "{error}");
    assert!(stop.is_cancelled());
    // The store was given up in order.
    office.once().await;
}

/// An office by the real clock, whose calls are announced as soon as they are seen.
fn office() -> Office {
    let mut office = Office::on(Clock::system(), PbxOptions { limits: Limits::NONE, ..PbxOptions::default() });
    "grace: 0s, every: 1s".clone_into(&mut office.missed_calls);
    ", limits: {cdrs: 600, voicemails: 600}".clone_into(&mut office.account);
    office
}

/// Writes the office's configuration with another `http.listen`.
fn configure_at(office: &Office, port: u16) {
    let yaml = office.yaml().replace("listen: 'off'", &format!("listen: '127.0.0.1:{port}'"));
    configure(office.folder.path(), &yaml);
}

/// Waits for what the daemon writes to stderr.
async fn says(daemon: &Program, what: &str) {
    in_time(async {
        while !daemon.stderr().contains(what) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// Waits until the daemon catches SIGHUP, SIGINT and SIGTERM.
async fn listens(daemon: &Program) {
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
        let mask = u64::from_str_radix(&mask, 16).unwrap();
        [1, 2, 15].iter().all(|signal| mask >> (signal - 1) & 1 == 1)
    };
    in_time(async {
        while !caught() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_within_ten_seconds_whatever_hangs_and_nothing_is_lost() {
    let office = office();
    let port = free_port();
    configure_at(&office, port);
    office.webhook.set_mode(Mode::Hang);
    office.miss("c1");
    let daemon = start(office.folder.path(), &["run"], &[]);
    in_time(office.webhook.wait_for_total(1)).await;
    in_time(office.mail.wait_for(1)).await;
    // What hangs now is held by the lane of a generation that is gone.
    daemon.signal("HUP");
    says(&daemon, "the new configuration is in force").await;
    office.pbx.fault(Endpoint::Cdrs, Fault::Drip { bytes: 1, every: SECOND }, usize::MAX);
    let before = office.asked(Endpoint::Cdrs).len();
    in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, before + 1)).await;
    let mut slow = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").unwrap();
    daemon.signal("TERM");
    says(&daemon, "stopping: ").await;
    daemon.signal("HUP");
    let ended = daemon.end(10 * SECOND);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert!(ended.stderr.contains("given back unfinished"), "{}", ended.stderr);
    office.pbx.clear_faults();
    office.webhook.set_mode(Mode::Ok);
    let _daemon = start(office.folder.path(), &["run"], &[]);
    let got = in_time(office.webhook.wait_for(1)).await;
    let all = office.webhook.received();
    assert_eq!(all[0].header("webhook-id"), got[0].header("webhook-id"), "the same delivery");
    assert_eq!((office.told().len(), office.mail.received().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let office = office();
    configure(office.folder.path(), &office.yaml());
    office.webhook.set_mode(Mode::Hang);
    office.miss("c1");
    let daemon = start(office.folder.path(), &["run"], &[]);
    in_time(office.webhook.wait_for_total(1)).await;
    daemon.signal("INT");
    says(&daemon, "stopping: ").await;
    daemon.signal("TERM");
    assert_eq!(daemon.end(5 * SECOND).code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_obeyed_from_the_first_moment() {
    let office = office();
    configure(office.folder.path(), &office.yaml());
    let daemon = start(office.folder.path(), &["run"], &[]);
    listens(&daemon).await;
    daemon.signal("HUP");
    says(&daemon, "the new configuration is in force").await;
    daemon.signal("TERM");
    assert_eq!(daemon.end(10 * SECOND).code, Some(0));
    let daemon = start(office.folder.path(), &["run"], &[]);
    listens(&daemon).await;
    daemon.signal("TERM");
    let ended = daemon.end(10 * SECOND);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_with_a_wrong_file_says_every_problem_and_leaves_the_old_one_in_force() {
    let office = office();
    let yaml = office.yaml();
    configure(office.folder.path(), &yaml);
    let daemon = start(office.folder.path(), &["run"], &[]);
    in_time(office.pbx.wait_for_requests(Endpoint::Cdrs, 1)).await;
    configure(
        office.folder.path(),
        &format!("{}locale: de\n", yaml.replace("notify: [mail, slack, crm]", "notify: [pager]")),
    );
    daemon.signal("HUP");
    says(&daemon, "the old configuration stays in force").await;
    let stderr = daemon.stderr();
    for problem in ["routes[0].notify[0]: there is no channel", "the channels are mail, slack, crm", "locale: unknown"]
    {
        assert!(stderr.contains(problem), "{problem}\n{stderr}");
    }
    office.miss("c1");
    in_time(office.webhook.wait_for(1)).await;
    in_time(office.slack.wait_for(1)).await;
    // Mended, and said several times: it is the last that counts.
    configure(office.folder.path(), &yaml.replace("notify: [mail, slack, crm]", "notify: [slack]"));
    for _ in 0..5 {
        daemon.signal("HUP");
    }
    says(&daemon, "the new configuration is in force").await;
    office.miss("c2");
    in_time(office.slack.wait_for(2)).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    daemon.signal("TERM");
    assert_eq!(daemon.end(10 * SECOND).code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_waits_for_a_removed_channel_is_said() {
    let office = office();
    let yaml = office.yaml();
    configure(office.folder.path(), &yaml);
    office.webhook.set_mode(Mode::Status(503));
    office.miss("c1");
    office.miss("c2");
    let daemon = start(office.folder.path(), &["run"], &[]);
    in_time(office.slack.wait_for(2)).await;
    in_time(office.webhook.wait_for_total(2)).await;
    let without: String =
        yaml.lines().filter(|line| !line.contains("name: crm")).flat_map(|line| [line, "\n"]).collect();
    configure(office.folder.path(), &without.replace("[mail, slack, crm]", "[mail, slack]"));
    daemon.signal("HUP");
    says(&daemon, "the new configuration is in force").await;
    let stderr = daemon.stderr();
    let line = stderr.lines().find(|line| line.contains("deliveries wait for a channel")).unwrap();
    assert!(line.contains("channel=\"crm\"") && line.contains("deliveries=2"), "{line}");
}

/// What systemd would hear, message by message.
struct Systemd {
    folder: TempDir,
    socket: UnixDatagram,
}

impl Systemd {
    fn listen() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { folder, socket }
    }

    fn address(&self) -> String {
        self.folder.path().join("notify").display().to_string()
    }

    /// The next message of which a line begins with `line`; others are passed over.
    fn hears(&self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no `{line}`: {error}"));
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if message.lines().any(|found| found.starts_with(line)) {
                return message;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_ready_reloading_alive_and_stopping() {
    let office = office();
    let port = free_port();
    configure_at(&office, port);
    let systemd = Systemd::listen();
    let address = systemd.address();
    let variables = [("NOTIFY_SOCKET", address.as_str()), ("WATCHDOG_USEC", "500000")];
    let daemon = start(office.folder.path(), &["run"], &variables);
    let ready = systemd.hears("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains("accounts: 1"), "{ready}");
    assert!(asked(port, "/healthz").await.starts_with("HTTP/1.1 200"), "it is what it says");
    systemd.hears("WATCHDOG=1");
    systemd.hears("WATCHDOG=1");
    daemon.signal("HUP");
    let reloading = systemd.hears("RELOADING=1");
    let asked_at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(asked_at.parse::<u64>().unwrap() > 0);
    systemd.hears("READY=1");
    configure(office.folder.path(), "nonsense: true\n");
    daemon.signal("HUP");
    systemd.hears("RELOADING=1");
    let refused = systemd.hears("READY=1");
    assert!(refused.contains("STATUS=the configuration file was refused"), "{refused}");
    daemon.signal("TERM");
    systemd.hears("STOPPING=1");
    let ended = daemon.end(10 * SECOND);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_does_not_listen_holds_up_nothing() {
    let office = office();
    configure(office.folder.path(), &office.yaml());
    let systemd = Systemd::listen();
    let address = systemd.address();
    // Its socket is full from the start.
    let other = UnixDatagram::unbound().unwrap();
    other.connect(&address).unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send(b"STATUS=noise").is_ok() {}
    let variables = [("NOTIFY_SOCKET", address.as_str()), ("WATCHDOG_USEC", "100000")];
    let daemon = start(office.folder.path(), &["run"], &variables);
    office.miss("c1");
    in_time(office.webhook.wait_for(1)).await;
    says(&daemon, "systemd does not listen").await;
    daemon.signal("HUP");
    says(&daemon, "the new configuration is in force").await;
    daemon.signal("TERM");
    let ended = daemon.end(10 * SECOND);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
