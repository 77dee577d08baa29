//! What a configuration may be, and what each broken one is answered with.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::channel::email::Security;

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
        "SMTP_PASSWORD" => "hunter2hunter2",
        "CRM_SECRET" => WHSEC,
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
}

#[test]
fn the_example_loads_and_states_the_defaults() {
    let example = parsed(EXAMPLE).unwrap_or_else(|problems| panic!("{problems}"));
    let minimal = parsed(MINIMAL).unwrap();
    assert_eq!(example.accounts[0].api_key.expose(), "K-from-env");
    let ChannelKind::Webhook(webhook) = &example.channels[2].kind else { panic!("a webhook channel") };
    assert_eq!(webhook.secret[0].expose(), WHSEC);
    assert_eq!(format!("{:?}", example.store), format!("{:?}", minimal.store));
    assert_eq!(format!("{:?}", example.watch), format!("{:?}", minimal.watch));
    assert_eq!(format!("{:?}", example.accounts[0].limits), format!("{:?}", minimal.accounts[0].limits));
    assert_eq!(example.accounts[0].timeout, minimal.accounts[0].timeout);
    let policy = crate::retry::Policy::default();
    assert_eq!(example.delivery.retry.over(&policy), policy);
    assert_eq!(example.delivery.timeout, minimal.delivery.timeout);
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
    insta::assert_snapshot!(told(&windows.replace("host:", "hots:")), @"");
}

#[test]
fn a_lone_placeholder_may_be_a_number_a_truth_value_or_nothing() {
    let text = MINIMAL
        .replace("host: smtp.example.com", "host: smtp.example.com, port: \"${PORT}\", username: \"${EMPTY}\"")
        .replace("    type: email", "    type: email\n    enabled: ${NO}\n    rate: ${RATE}\n    concurrency: ${NONE:-7}");
    let config = parsed(&text).unwrap();
    let common = &config.channels[0].common;
    assert_eq!((common.enabled, common.rate, common.concurrency), (false, Some(0.5), Some(7)));
    let ChannelKind::Email(email) = &config.channels[0].kind else { panic!("an email channel") };
    assert_eq!((email.smtp.port(), email.smtp.username.as_deref()), (2525, None));
}

#[test]
fn a_variable_cannot_change_the_structure() {
    insta::assert_snapshot!(told_when("{host: smtp.example.com}", "${STRUCTURE}"), @"");
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let config = parsed(&minimal_and("templates: ./mine\nstore: {path: ../data}\n")).unwrap();
    assert_eq!(config.templates.as_deref(), Some(Path::new("/etc/ringback/mine")));
    assert_eq!(config.store.path, Path::new("/etc/ringback/../data"));
    assert_eq!(parsed(MINIMAL).unwrap().store.path, Path::new("/etc/ringback/ringback-data"));
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
    insta::assert_snapshot!(told(&text.replace("api_key: K", "api_key: \"\"")), @"");
}

#[test]
fn aliases_are_followed() {
    let text = MINIMAL.replace("from: santral@example.com", "from: &us santral@example.com\n    reply_to: *us");
    assert!(parsed(&text).is_ok());
    insta::assert_snapshot!(told(&text.replace("santral@example.com", "santral")), @"");
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
    insta::assert_snapshot!(problems, @"");
}

#[test]
fn secret_files_that_cannot_be_taken_are_named() {
    insta::assert_snapshot!(told_when("api_key: K12345678", "api_key_file: /nowhere/key\n    api_key: K12345678"), @"");
    insta::assert_snapshot!(told_when("api_key: K12345678", "api_key_file: /nowhere/key"), @"");
    insta::assert_snapshot!(told_when("api_key: K12345678", "api_key_file: [a]"), @"");
}

#[test]
fn a_file_that_cannot_be_read_is_told_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let told = |name: &str| {
        let problems = load(&folder.path().join(name), &env).unwrap_err().to_string();
        problems.replace(&*folder.path().to_string_lossy(), "/folder")
    };
    std::fs::write(folder.path().join("large.yaml"), "a: b # filler\n".repeat(800_000)).unwrap();
    std::fs::write(folder.path().join("binary.yaml"), b"\x7fELF\x02\x01\x01\x00\x00").unwrap();
    std::fs::write(folder.path().join("latin.yaml"), b"a: b\nname: m\xfcd\xfcr\n").unwrap();
    std::fs::write(folder.path().join("utf16.yaml"), b"\xff\xfea\x00:\x00").unwrap();
    std::fs::write(folder.path().join("empty.yaml"), "").unwrap();
    std::fs::write(folder.path().join("good.yaml"), MINIMAL).unwrap();
    insta::assert_snapshot!(told("none.yaml"), @"");
    insta::assert_snapshot!(told(""), @"");
    insta::assert_snapshot!(told("large.yaml"), @"");
    insta::assert_snapshot!(told("binary.yaml"), @"");
    insta::assert_snapshot!(told("latin.yaml"), @"");
    insta::assert_snapshot!(told("utf16.yaml"), @"");
    insta::assert_snapshot!(told("empty.yaml"), @"");
    assert_eq!(load(&folder.path().join("good.yaml"), &env).unwrap().store.path, folder.path().join("ringback-data"));
}

#[test]
fn what_is_not_one_yaml_document_is_refused_with_its_place() {
    insta::assert_snapshot!(told("# nothing yet\n"), @"");
    insta::assert_snapshot!(told("---\n"), @"");
    insta::assert_snapshot!(told(&minimal_and("---\nlocale: tr\n")), @"");
    insta::assert_snapshot!(told_when("    api_key", "\tapi_key"), @"");
    insta::assert_snapshot!(told_when("K12345678", "\"K12345678"), @"");
    insta::assert_snapshot!(told_when("  - notify: mail", "  - notify: [mail"), @"");
    insta::assert_snapshot!(told_when("name: main", "name: main: x"), @"");
    insta::assert_snapshot!(told_when("name: main", "name: *nobody"), @"");
    insta::assert_snapshot!(told_when("name: main", "name: !!python/object main"), @"");
    insta::assert_snapshot!(told_when("name: main", "name: !secret main"), @"");
    insta::assert_snapshot!(told("- a\n- b\n"), @"");
    insta::assert_snapshot!(told("hello"), @"");
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [&*below; 10].join(", ")));
    }
    insta::assert_snapshot!(told(&bomb), @"");
    insta::assert_snapshot!(told("a: &a [*a]\n"), @"");
    insta::assert_snapshot!(told(&"[".repeat(20_000)), @"");
    insta::assert_snapshot!(told(&format!("a: {}{}", "{b: ".repeat(200), "}".repeat(200))), @"");
}

#[test]
fn duplicate_keys_are_told_with_both_places() {
    let text = MINIMAL.replace("    api_key", "    name: other\n    api_key");
    insta::assert_snapshot!(told(&format!("locale: tr\n{text}locale: en\n")), @"");
}

#[test]
fn unknown_keys_are_told_all_at_once_with_what_was_meant() {
    let text = MINIMAL
        .replace("api_key:", "api_kee: x\n    api_key:")
        .replace("type: email", "type: email\n    webhook_url: x\n    timeuot: 5s\n    subject: Hello")
        .replace("host:", "prot: 25, host:")
        .replace("notify:", "when: {queu: \"1\"}\n    notify:");
    insta::assert_snapshot!(told(&minimal_and("wach: {}\nwatch: {missed_calls: {evry: 5s}}\n") .replace(MINIMAL, &text)), @"");
}

#[test]
fn missing_keys_are_told_all_at_once() {
    insta::assert_snapshot!(told("locale: tr\n"), @"");
    let text = "\
accounts:
  - name: main
    api_key:
  - base_url: https://example.com
channels:
  - name: a
    type: email
    smtp:
      port: 25
  - name: b
    type: slack
  - name: c
    type: webhook
  - name: d
  - type: fax
routes:
  - {}
tests:
  - {}
";
    insta::assert_snapshot!(told(text), @"");
}

#[test]
fn wrong_types_are_told_all_at_once_and_other_checks_go_on() {
    let text = "\
locale: de
timezone: Europe/Istanbull
store: here
accounts:
  - name: [main]
    api_key: 12345678
    timeout: 5 minutes
    limits: {cdrs: many, voicemails: -1, recordings: 2.5}
watch:
  missed_calls: {enabled: maybe, every: 30}
delivery:
  retry: {multiplier: x}
  concurrency: 0
channels:
  - name: mail
    type: email
    enabled: \"yes\"
    smtp: {host: smtp.example.com, port: 70000, security: ssl}
    from: santral@example.com
    to: {a: b}
    recording: yes
  - text
routes:
  - when: {queue: 201, extension: [1001, \"1002\"], event: call.lost}
    notify: [mail, [mail]]
    continue: 1
http: {listen: 8380}
";
    insta::assert_snapshot!(told(text), @"");
}

#[test]
fn variables_that_cannot_be_put_in_are_told_at_their_place() {
    let text = MINIMAL
        .replace("K12345678", "${NO_SUCH_KEY}")
        .replace("smtp.example.com", "\"${SMTP:?name the mail server}\"")
        .replace("from: santral@example.com", "from: ${TWO_LINES}\n    timeout: ${EMPTY}\n    rate: ${SMTP_PASSWORD}")
        .replace("ofis@example.com", "ofis@${DOMAIN")
        .replace("notify: mail", "notify: ${bad name}");
    insta::assert_snapshot!(told(&text), @"");
}

#[test]
fn keys_of_other_versions_are_refused_by_name_and_their_defaults_accepted() {
    let text = MINIMAL
        .replace("    api_key", "    names: false\n    api_key")
        .replace(
            "    type: email",
            "    type: email\n    follow_up: false\n    mask_numbers: false\n    max_age: null\n    content_type: application/json",
        )
        .replace("notify: mail", "notify: mail\n    hold: null\n    group: null\n    escalate: []");
    let off = "schedules: null\nhealth: null\ncallback: null\npush: null\nsummaries: []\nstore: {url: null}\n\
               delivery: {digest_over: null}\nhttp: {public_url: null, token: null}\n";
    parsed(&format!("{text}{off}")).unwrap_or_else(|problems| panic!("{problems}"));

    let text = MINIMAL
        .replace("    api_key", "    names: true\n    api_key")
        .replace("    type: email", "    type: email\n    follow_up: true\n    mask_numbers: true\n    max_age: 5h\n    recording: attach")
        .replace(
            "notify: mail",
            "notify: mail\n    when: {event: call.returned, outside: office, withheld: false}\n    hold: office\n    escalate: [{after: 15m}]",
        );
    let on = "schedules: {}\nhealth: {}\ncallback: {}\npush: {secret: hunter2}\nsummaries: [{at: \"18:00\"}]\n\
              store: {url: \"postgres://u:hunter2@h/d\"}\ndelivery: {digest_over: 20}\n\
              http: {public_url: \"https://x\", token: hunter2, link_ttl: 7d}\n\
              tests: [{given: {during: office}, expect: mail}]\n";
    insta::assert_snapshot!(told(&format!("{text}{on}")), @"");
}

#[test]
fn slack_by_token_is_refused_by_name() {
    let text = "channels: [{name: s, type: slack, bot_token: hunter2, channel: \"#x\"}]\n";
    insta::assert_snapshot!(told(&MINIMAL.replace(&MINIMAL[MINIMAL.find("channels").unwrap()..MINIMAL.find("routes").unwrap()], text)), @"");
}

#[test]
fn values_that_make_no_sense_are_told_all_at_once() {
    let text = "\
timezone: Turkey/Ankara
store: {keep: 30d}
accounts:
  - name: main
    api_key: \"two words\"
    base_url: http://api.example.com/?key=hunter2
    timeout: 0s
    limits: {cdrs: 0}
  - name: main
    api_key: ${EMPTY}
    base_url: api.example.com
watch:
  missed_calls: {every: 1ms, grace: 3h, follow_up: 60d}
  voicemails: {lookback: 30s}
  first_run: 40d
  max_age: 1m
delivery:
  timeout: 1ms
  concurrency: 257
  retry: {initial: 1h, multiplier: 0.5, jitter: 1.5}
channels:
  - name: two words
    type: email
    smtp: {host: \"smtp://example.com\", port: 0, password: hunter2, security: none}
    from: santral
    to: [ofis@example.com, \"a@b, c@d\"]
    cc: nobody
    reply_to: \"\"
    rate: 0
    timeout: 0s
    retry: {max: 1s, multiplier: .nan}
  - name: hook
    type: webhook
    url: ftp://hunter2@example.com
    secret: [hunter2, whsec_aHVudGVyMg==]
    headers: {Webhook-Id: x, \"a b\": x, X-Name: \"İstanbul hunter2\"}
    concurrency: 0
  - name: slack
    type: slack
    webhook_url: http://hooks.slack.com/hunter2
  - name: slack
    type: slack
    webhook_url: hunter2
routes:
  - when: {queue: \"\", caller: \"05*32\", account: mian}
    notify: [hok, nobody]
  - when: {event: call.missed}
  - notify: hook
    mute: true
http: {listen: localhost}
tests:
  - {given: {account: other}, expect: [slak]}
";
    let told = told(text);
    assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg"), "{told}");
    insta::assert_snapshot!(told, @"");
}

#[test]
fn empty_lists_where_one_is_required_are_told() {
    insta::assert_snapshot!(told("accounts: []\nchannels: []\nroutes: []\n"), @"");
    insta::assert_snapshot!(told_when("to: ofis@example.com", "to: []"), @"");
}

#[test]
fn a_password_needs_a_name_and_a_protected_way() {
    insta::assert_snapshot!(told_when("host: smtp.example.com", "host: smtp.example.com, username: u"), @"");
    insta::assert_snapshot!(told_when("host: smtp.example.com", "host: h, security: none, username: u, password: hunter2"), @"");
    for host in ["localhost", "127.0.0.1", "\"::1\""] {
        let smtp = format!("host: {host}, security: none, username: u, password: p");
        assert!(parsed(&MINIMAL.replace("host: smtp.example.com", &smtp)).is_ok(), "{host}");
    }
}

#[test]
fn plain_http_is_fine_to_loopback() {
    for url in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:1/x"] {
        let text = MINIMAL.replace("    api_key", &format!("    base_url: \"{url}\"\n    api_key"));
        assert!(parsed(&text).is_ok(), "{url}");
    }
}

#[test]
fn routes_that_are_never_reached_are_told_with_the_one_in_the_way() {
    let routes = |rules: &str| MINIMAL.replace("routes:\n  - notify: mail\n", &format!("routes:\n{rules}"));
    insta::assert_snapshot!(told(&routes("  - notify: mail\n  - {when: {queue: \"1\"}, notify: mail}\n")), @"");
    for unreached in [
        "  - {when: {queue: [\"1\", \"2\"]}, notify: mail}\n  - {when: {queue: \"2\", caller: \"1\"}, mute: true}\n",
        "  - {when: {caller: \"0532*\"}, notify: mail}\n  - {when: {caller: [\"05321*\", \"05322\"]}, notify: mail}\n",
        "  - {when: {event: [call.missed, voicemail.new], account: main}, notify: mail}\n  - notify: mail\n",
    ] {
        let told = told(&routes(unreached));
        assert!(told.contains("routes[1]: is never reached") && told.lines().count() == 2, "{told}");
    }
    for reached in [
        "  - {when: {}, notify: mail, continue: true}\n  - notify: mail\n",
        "  - {when: {queue: \"1\"}, notify: mail}\n  - {when: {queue: [\"1\", \"2\"]}, notify: mail}\n",
        "  - {when: {queue: \"1\"}, notify: mail}\n  - {when: {caller: \"1\"}, notify: mail}\n",
        "  - {when: {caller: \"0532*\"}, notify: mail}\n  - {when: {caller: \"053*\"}, notify: mail}\n",
        "  - {when: {event: call.missed}, notify: mail}\n  - notify: mail\n",
    ] {
        assert!(parsed(&routes(reached)).is_ok(), "{reached}");
    }
}

#[test]
fn no_wrong_type_in_the_place_of_a_secret_shows_it() {
    for secret in ["12345678901", "98765432109876543210", "1234.5678", "[hunter2]", "{hunter2: 1}", "true"] {
        for key in ["api_key: K12345678", "host: smtp.example.com"] {
            let name = if key.starts_with("api") { "api_key: " } else { "host: h, username: u, password: " };
            let told = told_when(key, &format!("{name}{secret}"));
            let inside = secret.trim_matches(['[', '{', ']', '}']);
            assert!(told.contains("expected text") && !told.contains(inside) || secret == "true", "{told}");
        }
    }
}
