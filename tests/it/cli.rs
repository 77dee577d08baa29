//! The command line of contract section 2, with the built program: commands, exit codes, stdout and stderr.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Fault, Limits, PbxOptions};
use ringback::sim::receiver::Mode;
use tempfile::TempDir;

use crate::binary::{Ended, configure, run, start};
use crate::harness::Office;

const PATIENCE: Duration = Duration::from_secs(20);

const SMALL: &str = "accounts: [{name: main, api_key: k}]
channels:
  - {name: mail, type: email, smtp: {host: localhost}, from: a@example.com, to: b@example.com}
  - {name: slack, type: slack, webhook_url: 'https://hooks.slack.com/services/T0/B0/X0'}
  - {name: crm, type: webhook, url: 'https://crm.example.com/hook'}
routes: [{notify: [mail, slack, crm]}]
http: {listen: 'off'}
";

/// An office whose calls are announced as soon as they are seen.
fn office() -> Office {
    let mut office = Office::on(Clock::system(), PbxOptions { limits: Limits::NONE, ..PbxOptions::default() });
    "grace: 0s, every: 1s".clone_into(&mut office.missed_calls);
    configure(office.folder.path(), &office.yaml());
    office
}

fn small() -> TempDir {
    let folder = TempDir::new().unwrap();
    configure(folder.path(), SMALL);
    folder
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let Ended { code, stdout, stderr } = run(folder, arguments);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes soon")
}

#[test]
fn help_and_version_are_data() {
    let folder = TempDir::new().unwrap();
    let help = ok(folder.path(), &["--help"]);
    for command in ["run", "once", "check", "send-test", "render", "route", "deliveries", "events", "schema", "demo"] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
    }
    assert_eq!(ok(folder.path(), &["--version"]), format!("ringback {}\n", env!("CARGO_PKG_VERSION")));
    assert!(ok(folder.path(), &["run", "--help"]).contains("--config <FILE>"));
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let folder = small();
    for arguments in [
        &["fly"][..],
        &[],
        &["run", "--fast"],
        &["render"],
        &["render", "mail", "--event", "call.dropped"],
        &["render", "nobody"],
        &["send-test", "nobody"],
        &["--log-format", "xml", "check"],
        &["--log-level", "loud", "check"],
    ] {
        let ended = run(folder.path(), arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn without_a_configuration_the_first_steps_are_shown() {
    let folder = TempDir::new().unwrap();
    let ended = run(folder.path(), &["run"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("error: no configuration") && ended.stderr.contains("\nhint: "), "{}", ended.stderr);
    let ended = run(folder.path(), &["check", "--config", "elsewhere.yaml"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("elsewhere.yaml"), "{}", ended.stderr);
}

#[test]
fn the_configuration_is_the_one_named_or_the_first_that_exists() {
    let folder = small();
    let named = folder.path().join("named.yaml");
    fs::write(&named, SMALL.replace("name: main", "name: other")).unwrap();
    assert!(ok(folder.path(), &["check"]).contains("config.yaml: ok"));
    for arguments in [["--config", "named.yaml", "check"], ["check", "--config", "named.yaml"]] {
        assert!(ok(folder.path(), &arguments).contains("named.yaml: ok"));
    }
    let by_variable =
        |arguments: &[&str]| start(folder.path(), arguments, &[("RINGBACK_CONFIG", "named.yaml")]).end(PATIENCE).stdout;
    assert!(by_variable(&["check"]).contains("named.yaml: ok"), "before ./config.yaml");
    assert!(by_variable(&["check", "--config", "config.yaml"]).contains("config.yaml: ok"), "after --config");
}

#[test]
fn check_prints_every_problem_with_its_place() {
    let folder = TempDir::new().unwrap();
    let yaml = SMALL
        .replace("name: main, api_key: k", "name: main, api_key: k, base_url: 'http://pbx.example.com'")
        .replace("webhook_url: ", "webhook: ")
        + "locale: de\n";
    configure(folder.path(), &yaml);
    let ended = run(folder.path(), &["check"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    for (place, key) in [
        ("config.yaml:1:", "accounts[0].base_url"),
        ("config.yaml:4:", "channels[1].webhook"),
        ("config.yaml:8:", "locale"),
    ] {
        let found = ended.stderr.lines().any(|line| line.contains(place) && line.contains(key));
        assert!(found, "{place} {key}\n{}", ended.stderr);
    }
    configure(folder.path(), &SMALL.replace("mail, slack, crm]", "mail, pager, fax]"));
    let ended = run(folder.path(), &["check"]);
    assert_eq!(ended.code, Some(2));
    for key in ["config.yaml:6:26: routes[0].notify[1]", "config.yaml:6:33: routes[0].notify[2]"] {
        assert!(ended.stderr.contains(key), "{key}\n{}", ended.stderr);
    }
}

#[test]
fn check_tries_templates_and_runs_the_tests_of_the_configuration() {
    let folder = small();
    let templates = folder.path().join("mine/tr/email");
    fs::create_dir_all(&templates).unwrap();
    fs::write(templates.join("call.missed.subject.txt.hbs"), "{{caller.numbr}}").unwrap();
    let tests = "tests:
  - {given: {caller: 0532 111 22 33}, expect: [mail, slack, crm]}
  - {given: {event: voicemail.new}, expect: [mail]}
";
    configure(folder.path(), &format!("{SMALL}templates: mine\n{tests}"));
    let ended = run(folder.path(), &["check"]);
    assert_eq!(ended.code, Some(2));
    insta::assert_snapshot!(ended.stderr, @"
    error: ./config.yaml:8:12: templates: mine/tr/email/call.missed.subject.txt.hbs:1:1: there is no variable `caller.numbr` (with the sample `full`)
    error: ./config.yaml:11:5: tests[1]: expected [mail], but [crm, mail, slack] would be told by routes[0]; not expected: crm, slack
    ");
}

#[test]
fn check_tells_each_mistake_of_a_template_once_with_the_key_that_names_it() {
    let folder = small();
    let templates = folder.path().join("mine/en/slack");
    fs::create_dir_all(&templates).unwrap();
    fs::write(templates.join("missed.json.hbs"), "{}").unwrap();
    fs::write(templates.join("call.missed.json.hbs"), "{{#if who}}").unwrap();
    fs::write(folder.path().join("b.hbs"), "{\n\"t\": \"{{titel}}\"}").unwrap();
    fs::write(folder.path().join("c.hbs"), "{\"t\": {{caller.display}}}").unwrap();
    let hook = |name: &str, template: &str| {
        format!("  - {{name: {name}, type: webhook, body_template: {template}, url: 'https://crm.example.com'}}\n")
    };
    let hooks = [hook("one", "b.hbs"), hook("two", "b.hbs"), hook("three", "c.hbs"), hook("four", "teams")].concat();
    configure(folder.path(), &SMALL.replace("routes:", &format!("{hooks}templates: mine\nroutes:")));
    let told = run(folder.path(), &["check"]).stderr;
    // All that can be replaced there.
    let (told, rest) = told.split_once("these can be replaced: ").unwrap();
    insta::assert_snapshot!(format!("{told}{}", rest.split_once('\n').unwrap().1), @"
    error: ./config.yaml:6:47: channels[3].body_template: b.hbs:2:7: there is no variable `titel` (with the sample `digest`)
    error: ./config.yaml:8:49: channels[5].body_template: c.hbs: gives no valid JSON: expected value at line 1 column 7 (with the sample `digest`)
    error: ./config.yaml:9:48: channels[6].body_template: teams: cannot be read: No such file or directory (os error 2)
      hint: the built-in recipe is named by `body_template: recipe:teams`
    error: ./config.yaml:10:12: templates: mine/en/slack/call.missed.json.hbs:1:12: a block is opened and not closed
    error: ./config.yaml:10:12: templates: mine/en/slack/missed.json.hbs: replaces no built-in template
      hint:
    ");
}

#[test]
fn check_looks_at_the_templates_of_a_configuration_that_is_wrong_elsewhere() {
    let folder = small();
    fs::create_dir_all(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/subject.hbs"), "").unwrap();
    fs::write(folder.path().join("b.hbs"), "{\"t\": \"{{titel}}\"}").unwrap();
    let hook = |keys: &str| format!("  - {{type: webhook, url: 'https://crm.example.com', {keys}}}\n");
    let hooks = [
        hook("name: one, body_template: b.hbs, recording: perhaps"),
        hook("name: two, body_template: [c.hbs]"),
        hook("name: three, body_template: d.hbs, content_type: application/jsn"),
        hook("name: four, body_template: '${NOWHERE}.hbs'"),
        hook("name: five, body_template: e.hbs"),
    ];
    let yaml = SMALL.replace("routes:", &format!("{}templates: mine\ntimezone: Mars/Olympus\nroutes:", hooks.concat()));
    configure(folder.path(), &yaml.replace("notify: [mail,", "when: {queue: '1'}, notify: [mial,"));
    let told = run(folder.path(), &["check"]).stderr;
    let lines: Vec<&str> = told.lines().filter(|line| !line.contains("these can be replaced")).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    error: ./config.yaml:6:79: channels[3].body_template: b.hbs:1:8: there is no variable `titel` (with the sample `digest`)
    error: ./config.yaml:6:97: channels[3].recording: unknown value `perhaps`; expected one of `attach`, `link`, `none`
    error: ./config.yaml:7:64: channels[4].body_template: expected text, found a list
    error: ./config.yaml:8:102: channels[5].content_type: is not a content type that bodies can be made for
      hint: application/json, application/x-www-form-urlencoded, application/xml, text/html, text/plain; always in UTF-8
    error: ./config.yaml:9:80: channels[6].body_template: the variable `NOWHERE` is not set
      hint: set it in the environment of ringback, or give a default: `${NOWHERE:-…}`
    error: ./config.yaml:10:80: channels[7].body_template: e.hbs: cannot be read: No such file or directory (os error 2)
    error: ./config.yaml:11:12: templates: mine/subject.hbs: replaces no built-in template
    error: ./config.yaml:12:11: timezone: there is no such time zone
      hint: an IANA name, such as Europe/Istanbul
    error: ./config.yaml:13:40: routes[0].notify[0]: there is no channel of this name
      hint: did you mean `mail`?
    ");
}

#[test]
fn render_shows_what_every_channel_would_be_sent() {
    let folder = small();
    for event in ["call.missed", "voicemail.new"] {
        let mail = ok(folder.path(), &["render", "mail", "--event", event]);
        for header in ["Message-ID: <dlv_", "Subject: ", "From: a@example.com", "To: b@example.com"] {
            assert!(mail.lines().any(|line| line.starts_with(header)), "{event} {header}\n{mail}");
        }
        assert!(mail.contains("Auto-Submitted: auto-generated") && mail.contains("multipart/alternative"), "{mail}");
        let slack: serde_json::Value =
            serde_json::from_str(&ok(folder.path(), &["render", "slack", "--event", event])).unwrap();
        assert_eq!((&slack["unfurl_links"], &slack["unfurl_media"]), (&false.into(), &false.into()));
        assert!(slack["text"].is_string() && slack["blocks"].is_array(), "{slack}");
        let webhook: serde_json::Value =
            serde_json::from_str(&ok(folder.path(), &["render", "crm", "--event", event])).unwrap();
        assert_eq!((&webhook["type"], &webhook["data"]["test"]), (&event.into(), &false.into()));
        assert_eq!(webhook["data"]["recording"].is_null(), event == "call.missed", "{webhook}");
    }
}

#[test]
fn render_shows_digests_and_notices_and_a_body_of_another_shape_byte_for_byte() {
    let folder = small();
    fs::write(folder.path().join("b.hbs"), "{\"t\":   \"{{title}}\"}\n").unwrap();
    let text = SMALL
        .replace("url: 'https://crm", "body_template: b.hbs, url: 'https://crm")
        .replace("type: email", "mask_numbers: true, type: email");
    configure(folder.path(), &text);
    let body = ok(folder.path(), &["render", "crm"]);
    assert!(body.starts_with("{\"t\":   \"Cevapsız çağrı: Mehmet Yılmaz 0312 123 45 67 ("), "{body}");
    for (event, part) in [
        ("digest", "1 cevapsız çağrı ve 1 sesli mesaj"),
        ("health.failing", "ringback: kanal iletemiyor"),
        ("health.recovered", "ringback: kanal yeniden iletiyor"),
    ] {
        let body = ok(folder.path(), &["render", "crm", "--event", event]);
        assert!(body.contains(part), "{event}: {body}");
        ok(folder.path(), &["render", "mail", "--event", event]);
        ok(folder.path(), &["render", "slack", "--event", event]);
    }
    let mail = ok(folder.path(), &["render", "mail"]);
    assert!(mail.contains("0312 *** ** 67") && !mail.contains("123 45 67") && !mail.contains("tel:"), "{mail}");

    fs::write(folder.path().join("b.hbs"), "{\n\"t\": \"{{titel}}\"}").unwrap();
    for arguments in [&["check"][..], &["render", "crm"]] {
        let ended = run(folder.path(), arguments);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains("b.hbs:2:7: there is no variable `titel`"), "{}", ended.stderr);
    }
    fs::remove_file(folder.path().join("b.hbs")).unwrap();
    let ended = run(folder.path(), &["check"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("b.hbs: cannot be read: "), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn send_test_delivers_samples_that_say_what_they_are() {
    let office = office();
    let stdout = ok(office.folder.path(), &["send-test"]);
    assert_eq!(stdout, "mail: delivered\nslack: delivered\ncrm: delivered\n");
    let webhook = office.webhook.received();
    assert_eq!((webhook.len(), &webhook[0].json().unwrap()["data"]["test"]), (1, &true.into()));
    assert_eq!((office.slack.accepted(), office.mail.received().len()), (1, 1));
    assert_eq!(ok(office.folder.path(), &["send-test", "crm", "--event", "voicemail.new"]), "crm: delivered\n");
    let ids: Vec<_> =
        office.webhook.received().iter().map(|got| got.header("webhook-id").unwrap().to_owned()).collect();
    assert_ne!(ids[0], ids[1], "a receiver that drops what it has seen shows every test");
    assert!(!office.folder.path().join("store").exists(), "tests leave no trace in the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn send_test_names_the_channel_that_failed_and_tries_the_others() {
    let office = office();
    office.slack.set_mode(Mode::StatusWith(403, Vec::new(), "invalid_token".to_owned()));
    let ended = run(office.folder.path(), &["send-test"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stdout.contains("slack: FAILED (unauthorized): ") && ended.stdout.contains("invalid_token"));
    assert!(ended.stdout.contains("mail: delivered") && ended.stdout.contains("crm: delivered"), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_says_by_its_exit_code_whether_all_is_delivered() {
    let office = office();
    office.miss("c1");
    let ended = run(office.folder.path(), &["once"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
    assert_eq!(office.told(), ["call.missed c1"]);
    office.webhook.set_mode(Mode::Status(503));
    office.miss("c2");
    assert_eq!(run(office.folder.path(), &["once"]).code, Some(3), "pending");
    office.webhook.set_mode(Mode::Status(410));
    office.miss("c3");
    assert_eq!(run(office.folder.path(), &["once"]).code, Some(3), "dead");
    assert_eq!(office.mail.received().len(), 3, "one channel's failure is its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_fails_when_the_pbx_cannot_be_read() {
    let office = office();
    office.pbx.fault(Endpoint::Cdrs, Fault::Html500, usize::MAX);
    let ended = run(office.folder.path(), &["once"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("could not be read"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_told_who_has_the_store() {
    let office = office();
    let daemon = start(office.folder.path(), &["run"], &[]);
    soon(office.pbx.wait_for_requests(Endpoint::Cdrs, 1)).await;
    let ended = run(office.folder.path(), &["once"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("is in use by process {}", daemon.id())), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: stop it first"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn run_tells_and_stops_in_order_on_sigterm_and_on_sigint() {
    for (signal, uuid) in [("TERM", "c1"), ("INT", "c2")] {
        let office = office();
        office.miss(uuid);
        let daemon = start(office.folder.path(), &["--log-format", "json", "run"], &[]);
        soon(office.webhook.wait_for(1)).await;
        soon(office.mail.wait_for(1)).await;
        soon(office.slack.wait_for(1)).await;
        daemon.signal(signal);
        let ended = daemon.end(Duration::from_secs(10));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{}", ended.stderr);
        let lines: Vec<serde_json::Value> =
            ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().any(|line| line["message"] == "delivered" && line["channel"] == "crm"));
        assert_eq!(lines.last().unwrap()["message"], "ringback has stopped");
        // What was settled is settled: nothing is told again.
        assert_eq!(run(office.folder.path(), &["once"]).code, Some(0));
        assert_eq!((office.webhook.total(), office.mail.received().len(), office.slack.total()), (1, 1, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_the_stop_cut_short_is_made_after_the_restart() {
    let office = office();
    office.webhook.set_mode(Mode::Hang);
    office.miss("c1");
    let daemon = start(office.folder.path(), &["run"], &[]);
    soon(office.webhook.wait_for_total(1)).await;
    daemon.signal("TERM");
    let ended = daemon.end(Duration::from_secs(10));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("given back unfinished"), "{}", ended.stderr);
    office.webhook.set_mode(Mode::Ok);
    let _daemon = start(office.folder.path(), &["run"], &[]);
    let got = soon(office.webhook.wait_for(1)).await;
    let all = office.webhook.received();
    assert_eq!(all[0].header("webhook-id"), got[0].header("webhook-id"), "the same delivery");
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_killed_loses_nothing() {
    let office = office();
    office.webhook.set_mode(Mode::Status(503));
    office.miss("c1");
    let daemon = start(office.folder.path(), &["run"], &[]);
    soon(office.webhook.wait_for_total(1)).await;
    soon(office.slack.wait_for(1)).await;
    daemon.signal("KILL");
    assert_eq!(daemon.end(PATIENCE).code, None);
    office.webhook.set_mode(Mode::Ok);
    let daemon = start(office.folder.path(), &["run"], &[]);
    soon(office.webhook.wait_for(1)).await;
    drop(daemon);
    assert_eq!(office.told(), ["call.missed c1"]);
}

#[test]
fn a_level_is_taken_from_rust_log_before_the_option() {
    let folder = small();
    let yaml = fs::read_to_string(folder.path().join("config.yaml")).unwrap();
    let unreachable = yaml.replace("api_key: k", "api_key: k, base_url: 'http://127.0.0.1:1', timeout: 1s");
    configure(folder.path(), &unreachable);
    let logs = |arguments: &[&str], variables: &[(&str, &str)]| {
        let ended = start(folder.path(), arguments, variables).end(PATIENCE);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        ended.stderr.lines().filter(|line| line.contains(" WARN ")).count()
    };
    assert!(logs(&["once"], &[]) > 0);
    assert_eq!(logs(&["once", "--log-level", "error"], &[]), 0);
    assert_eq!(logs(&["once"], &[("RUST_LOG", "error")]), 0);
    assert!(logs(&["once"], &[("RUST_LOG", "not=a=filter")]) > 0, "said, and passed over");
}
