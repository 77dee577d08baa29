//! What a configuration may be; `broken` holds what each broken one is answered with, `documented` the whole of it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::channel::email::Security;

mod broken;
mod documented;

const EXAMPLE: &str = include_str!("../../config.example.yaml");

/// The shortest that is right; tests break it or add to it.
const MINIMAL: &str = "\
accounts:
  - name: main
    api_key: K12345678
channels:
  - name: mail
    type: email
    smtp: {host: smtp.example.com}
    from: santral@example.com
    to: ofis@example.com
routes:
  - notify: mail
";

const WHSEC: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

fn env(name: &str) -> Option<String> {
    let value = match name {
        "BULUTSANTRALIM_API_KEY" => "K-from-env",
        "SLACK_WEBHOOK_URL" => "https://hooks.slack.com/services/T0/B0/topsecret",
        "SLACK_BOT_TOKEN" => "xoxb-topsecret",
        "SMTP_PASSWORD" => "hunter2hunter2",
        "RINGBACK_PUSH_SECRET" => "push-from-env-00",
        "CRM_SECRET" => WHSEC,
        "RINGBACK_TOKEN" => "token-from-env",
        "PORT" => "2525",
        "YES" => "true",
        "NO" => "false",
        "RATE" => "0.5",
        "EMPTY" => "",
        "TWO_LINES" => "hunter2\nX-Injected: yes",
        "STRUCTURE" => "{host: evil.example.com}",
        _ => return None,
    };
    Some(value.to_owned())
}

fn parsed(text: &str) -> Result<Config, Problems> {
    parse("config.yaml", text.as_bytes(), Path::new("/etc/ringback"), &env)
}

/// What is told of a broken configuration.
fn told(text: &str) -> String {
    parsed(text).expect_err("it is broken").to_string()
}

/// The same for the minimal one with `from` replaced by `to`.
fn told_when(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    told(&MINIMAL.replace(from, to))
}

fn minimal_and(more: &str) -> String {
    format!("{MINIMAL}{more}")
}

fn as_json(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

fn is_valid(yaml: &str) -> bool {
    jsonschema::validator_for(&schema()).unwrap().is_valid(&as_json(yaml))
}

#[test]
fn the_shortest_configuration_takes_every_default() {
    let config = parsed(MINIMAL).unwrap();
    assert_eq!(config.timezone, "Europe/Istanbul");
    assert_eq!(config.store.keep, Duration::from_secs(90 * 86_400));
    assert_eq!(config.accounts[0].base_url, "https://api.bulutsantralim.com");
    assert_eq!(config.accounts[0].limits.recordings, 5);
    assert_eq!(config.watch.missed_calls.every, Duration::from_secs(30));
    assert_eq!(config.channels[0].common.recording, RecordingMode::Link);
    let ChannelKind::Email(email) = &config.channels[0].kind else { panic!("an email channel") };
    assert_eq!((email.smtp.port(), email.smtp.security), (587, Security::Starttls));
    assert_eq!(email.to, ["ofis@example.com"]);
    assert_eq!(config.routes[0].notify, ["mail"]);
    assert!(config.http.listen.is_none());
    assert_eq!((config.health.after, config.health.notify.len()), (Duration::from_secs(600), 0));
    assert!(config.health.heartbeat_url.is_none());
}

#[test]
fn the_example_loads_and_states_the_defaults() {
    let example = parsed(EXAMPLE).unwrap_or_else(|problems| panic!("{problems}"));
    let minimal = parsed(MINIMAL).unwrap();
    assert_eq!(example.accounts[0].api_key.expose(), "K-from-env");
    let ChannelKind::Webhook(webhook) = &example.channels[3].kind else { panic!("a webhook channel") };
    assert_eq!(webhook.secret[0].expose(), WHSEC);
    assert_eq!(format!("{:?}", example.store), format!("{:?}", minimal.store));
    assert_eq!(format!("{:?}", example.watch), format!("{:?}", minimal.watch));
    assert_eq!(format!("{:?}", example.accounts[0].limits), format!("{:?}", minimal.accounts[0].limits));
    assert_eq!(example.accounts[0].timeout, minimal.accounts[0].timeout);
    let policy = crate::retry::Policy::default();
    assert_eq!(example.delivery.retry.over(&policy), policy);
    assert_eq!(example.delivery.timeout, minimal.delivery.timeout);
    assert_eq!(example.health.after, minimal.health.after);
    assert_eq!(example.delivery.concurrency, minimal.delivery.concurrency);
}

#[test]
fn the_example_is_valid_by_the_schema() {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(&as_json(EXAMPLE)).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    assert!(is_valid(MINIMAL));
}

#[test]
fn the_schema_refuses_a_typo_in_any_section() {
    for (right, typo) in [
        ("accounts:", "acounts:"),
        ("api_key:", "api_kye:"),
        ("smtp:", "smpt:"),
        ("host:", "hots:"),
        ("cdrs:", "cdr:"),
        ("notify:", "notfy:"),
        ("method:", "methode:"),
        ("webhook_url:", "webhok_url:"),
        ("extension:", "extention:"),
        ("every:", "evry:"),
    ] {
        assert!(!is_valid(&EXAMPLE.replacen(right, typo, 1)), "{typo}");
    }
}

#[test]
fn the_schema_knows_the_files_of_secrets_and_refuses_both_at_once() {
    assert!(is_valid(&MINIMAL.replace("api_key:", "api_key_file:")));
    assert!(!is_valid(&MINIMAL.replace("    api_key: K12345678\n", "")));
    assert!(!is_valid(&MINIMAL.replace("api_key: K", "api_key_file: /k\n    api_key: K")));
    assert!(is_valid(&MINIMAL.replace("host: smtp.example.com", "host: h, username: u, password_file: p")));
    assert!(!is_valid(&MINIMAL.replace("host: smtp.example.com", "host: h, password: q, password_file: p")));
    let slack = |keys: &str| {
        let (before, rest) = MINIMAL.split_once("channels:").unwrap();
        let (_, after) = rest.split_once("routes:").unwrap();
        format!("{before}channels: {{name: mail, type: slack, {keys}}}\nroutes:{after}")
    };
    for (keys, right) in [
        ("webhook_url: https://x.example", true),
        ("webhook_url_file: f, bot_token: null, channel: null", true),
        ("bot_token: xoxb-1, channel: C0123456789", true),
        ("bot_token_file: f, channel: '#x', api_url: https://slack-gov.com/api", true),
        ("bot_token: xoxb-1", false),
        ("channel: C0123456789", false),
        ("rate: 1", false),
    ] {
        assert_eq!(is_valid(&slack(keys)), right, "{keys}");
    }
}

#[test]
fn the_example_mentions_every_key_of_the_schema() {
    fn properties(schema: &Value, found: &mut std::collections::BTreeSet<String>) {
        match schema {
            Value::Object(object) => {
                if let Some(Value::Object(properties)) = object.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                object.values().for_each(|value| properties(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| properties(value, found)),
            _ => {}
        }
    }
    let mut found = std::collections::BTreeSet::new();
    properties(&schema(), &mut found);
    assert!(found.len() > 70 && found.contains("webhook_url_file"), "{found:?}");
    let missing: Vec<_> = found.into_iter().filter(|key| !EXAMPLE.contains(&format!("{key}:"))).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let windows = format!("\u{feff}{}", MINIMAL.replace('\n', "\r\n"));
    assert_eq!(format!("{:?}", parsed(&windows).unwrap()), format!("{:?}", parsed(MINIMAL).unwrap()));
    insta::assert_snapshot!(told(&windows.replace("host:", "hots:")), @"
    config.yaml:7:5: channels[0].smtp.host: is required, but missing
    config.yaml:7:12: channels[0].smtp.hots: unknown key
      hint: did you mean `host`?
    ");
}

#[test]
fn a_lone_placeholder_may_be_a_number_a_truth_value_or_nothing() {
    let text = MINIMAL
        .replace("host: smtp.example.com", "host: smtp.example.com, port: \"${PORT}\", username: \"${EMPTY}\"")
        .replace(
            "    type: email",
            "    type: email\n    enabled: ${NO}\n    rate: ${RATE}\n    concurrency: ${NONE:-7}",
        );
    let config = parsed(&text).unwrap();
    let common = &config.channels[0].common;
    assert_eq!((common.enabled, common.rate, common.concurrency), (false, Some(0.5), Some(7)));
    let ChannelKind::Email(email) = &config.channels[0].kind else { panic!("an email channel") };
    assert_eq!((email.smtp.port(), email.smtp.username.as_deref()), (2525, None));
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file_and_that_of_the_store_where_ringback_was_started() {
    let config = parsed(&minimal_and("templates: ./mine\nstore: {path: ../data}\n")).unwrap();
    assert_eq!(config.templates.as_deref(), Some(Path::new("/etc/ringback/mine")));
    assert_eq!(config.store.path, Path::new("../data"));
    assert_eq!(parsed(MINIMAL).unwrap().store.path, Path::new("./ringback-data"));
}

#[test]
fn one_item_may_stand_for_its_list_anywhere() {
    let text = "\
accounts: {name: main, api_key: K}
channels: {name: hook, type: webhook, url: \"http://10.0.0.2/x\", secret: whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX}
routes: {when: {event: call.missed}, notify: hook}
tests: {given: {}, expect: hook}
";
    let config = parsed(text).unwrap();
    assert_eq!((config.accounts.len(), config.channels.len(), config.routes.len(), config.tests.len()), (1, 1, 1, 1));
    assert!(is_valid(text));
    insta::assert_snapshot!(told(&text.replace("api_key: K", "api_key: \"\"")), @"
    config.yaml:1:33: accounts[0].api_key: must not be empty
      hint: the key stands in the Online İşlem Merkezi
    ");
}

#[test]
fn aliases_are_followed() {
    let text = MINIMAL.replace("from: santral@example.com", "from: &us santral@example.com\n    reply_to: *us");
    assert!(parsed(&text).is_ok());
    insta::assert_snapshot!(told(&text.replace("santral@example.com", "santral")), @"
    config.yaml:8:11: channels[0].from: is not an email address
      hint: `ofis@example.com` or `Santral <santral@example.com>`; several as a list
    config.yaml:9:15: channels[0].reply_to: is not an email address
      hint: `ofis@example.com` or `Santral <santral@example.com>`; several as a list
    ");
}

#[test]
fn secrets_come_from_files_without_their_last_line_break() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("key", "K-from-file\r\n");
    write("hooks", &format!("{WHSEC}\n{WHSEC}\n"));
    write("url", "https://example.com/$x\n");
    let text = "\
accounts: {name: main, api_key_file: key}
channels: {name: hook, type: webhook, url_file: ./url, secret_file: hooks}
routes: {notify: hook}
";
    let config = parse("config.yaml", text.as_bytes(), folder.path(), &env).unwrap();
    assert_eq!(config.accounts[0].api_key.expose(), "K-from-file");
    let ChannelKind::Webhook(webhook) = &config.channels[0].kind else { panic!("a webhook channel") };
    assert_eq!(webhook.url.expose(), "https://example.com/$x");
    assert_eq!(webhook.secret.len(), 2);

    write("key", "\n");
    write("hooks", &format!("{WHSEC}\nhunter2\n"));
    write("url", "hunter2");
    let problems = parse("config.yaml", text.as_bytes(), folder.path(), &env).unwrap_err().to_string();
    let problems = problems.replace(&*folder.path().to_string_lossy(), "/folder");
    insta::assert_snapshot!(problems, @"
    config.yaml:1:38: accounts[0].api_key_file: its file is empty
      hint: write the secret into it
    config.yaml:2:49: channels[0].url_file: expected an absolute URL, `https://…`
    config.yaml:2:69: channels[0].secret_file: expected `whsec_` and the base64 of 24 to 64 bytes
      hint: make one: `echo whsec_$(openssl rand -base64 32)`
    ");
}

#[test]
fn plain_http_is_fine_to_loopback() {
    for url in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1/x"] {
        let text = MINIMAL.replace("    api_key", &format!("    base_url: \"{url}\"\n    api_key"));
        assert!(parsed(&text).is_ok(), "{url}");
    }
}

#[test]
fn a_key_without_a_value_counts_as_not_written() {
    let config = parsed(&minimal_and("store:\nwatch:\n  missed_calls:\n    every:\ntests:\n")).unwrap();
    assert_eq!(config.watch.missed_calls.every, Duration::from_secs(30));
}

#[test]
fn events_that_no_rule_matches_are_noticed_and_one_is_told() {
    let account = "accounts:\n  - {name: branch, api_key: K1}\n";
    let unmatched = |rules: &[&str]| {
        let rules: Vec<_> = rules.iter().map(|when| format!("  - {{when: {{{when}}}, notify: mail}}\n")).collect();
        let text = MINIMAL.replace("accounts:\n", account);
        let text = text.replace("  - notify: mail\n", &rules.concat()) + "schedules: {office: {}, nights: {}}\n";
        unmatched(&parsed(&text).unwrap_or_else(|problems| panic!("{problems}")))
    };
    for (rules, example) in [
        (&["event: call.missed"][..], "a voicemail.new"),
        (&["queue: '1'", "extension: '7'"], "a call.missed, whose queue and extension no rule names"),
        (&["event: call.missed", "caller: '05*'"], "a voicemail.new, whose caller no rule names"),
        (&["withheld: true"], "a call.missed, from a number that is not withheld"),
        (&["caller: '*'"], "a call.missed, from a number that is withheld"),
        (&["number: '*'"], "a call.missed, without the number that was called"),
        (&["during: office", "event: call.missed"], "a voicemail.new, while `office` is closed"),
        (&["during: office", "outside: nights"], "a call.missed, while `nights` is open and `office` is closed"),
        (&["account: branch"], "a call.missed of the account `main`"),
        (
            &["account: main, during: office", "account: branch"],
            "a call.missed of the account `main`, while `office` is closed",
        ),
    ] {
        assert_eq!(unmatched(rules).as_deref(), Some(example), "{rules:?}");
    }
    for rules in [
        &["queue: '1'", ""][..],
        &["event: call.missed", "event: voicemail.new, account: [main, branch]"],
        &["withheld: true", "withheld: false"],
        &["during: office", "outside: office"],
    ] {
        assert_eq!(unmatched(rules), None, "{rules:?}");
    }
}

#[test]
fn of_what_is_not_watched_no_rule_needs_to_match_anything() {
    let rules = "routes: {when: {event: voicemail.new}, notify: mail}\n";
    let unmatched = |watch: &str| {
        let text = MINIMAL.replace("routes:\n  - notify: mail\n", &format!("{rules}watch: {{{watch}}}\n"));
        unmatched(&parsed(&text).unwrap_or_else(|problems| panic!("{problems}")))
    };
    assert_eq!(unmatched("missed_calls: {enabled: true}").as_deref(), Some("a call.missed"));
    assert_eq!(unmatched("missed_calls: {enabled: false}"), None);
}
