//! Broken configurations, and all that is told of each.

use std::fmt::Write as _;

use super::*;

#[test]
fn a_variable_cannot_change_the_structure() {
    insta::assert_snapshot!(told_when("{host: smtp.example.com}", "${STRUCTURE}"), @"config.yaml:7:11: channels[0].smtp: expected a section with keys, found text");
}

#[test]
fn secret_files_that_cannot_be_taken_are_named() {
    insta::assert_snapshot!(told_when("api_key: K12345678", "api_key_file: /nowhere/key\n    api_key: K12345678"), @"
    config.yaml:3:19: accounts[0].api_key_file: both `api_key` and `api_key_file` are given
      hint: remove one of the two
    ");
    insta::assert_snapshot!(told_when("api_key: K12345678", "api_key_file: /nowhere/key"), @"config.yaml:3:19: accounts[0].api_key_file: `/nowhere/key`: there is no such file");
    insta::assert_snapshot!(told_when("api_key: K12345678", "api_key_file: [a]"), @"config.yaml:3:5: accounts[0].api_key_file: expected the path of a file, found a list");
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
    insta::assert_snapshot!(told("none.yaml"), @"
    /folder/none.yaml: there is no such file
      hint: start from config.example.yaml
    ");
    insta::assert_snapshot!(told(""), @"
    /folder/: is a folder
      hint: name the file in it
    ");
    insta::assert_snapshot!(told("large.yaml"), @"
    /folder/large.yaml: is larger than 1 MiB
      hint: a configuration is a few kilobytes; is this the right file?
    ");
    insta::assert_snapshot!(told("binary.yaml"), @"
    /folder/binary.yaml: is not text: it holds zero bytes
      hint: is this the right file?
    ");
    insta::assert_snapshot!(told("latin.yaml"), @"
    /folder/latin.yaml:2:8: holds bytes that are not UTF-8
      hint: save it as UTF-8
    ");
    insta::assert_snapshot!(told("utf16.yaml"), @"
    /folder/utf16.yaml: is UTF-16 text, expected UTF-8
      hint: save it as UTF-8
    ");
    insta::assert_snapshot!(told("empty.yaml"), @"
    /folder/empty.yaml: the file holds no configuration
      hint: start from config.example.yaml
    ");
    assert_eq!(load(&folder.path().join("good.yaml"), &env).unwrap().accounts.len(), 1);
}

#[test]
fn what_is_not_one_yaml_document_is_refused_with_its_place() {
    insta::assert_snapshot!(told("# nothing yet\n"), @"
    config.yaml: the file holds no configuration
      hint: start from config.example.yaml
    ");
    insta::assert_snapshot!(told("---\n"), @"
    config.yaml: the file holds no configuration
      hint: start from config.example.yaml
    ");
    insta::assert_snapshot!(told(&minimal_and("---\nlocale: tr\n")), @"
    config.yaml:12:1: a second YAML document begins here
      hint: one file holds one; remove the `---`
    ");
    insta::assert_snapshot!(told_when("    api_key", "\tapi_key"), @"
    config.yaml:3:1: not valid YAML: found a tab character that violates indentation, while scanning a plain scalar at line 2 column 11
      hint: indent with spaces; YAML does not allow tabs there
    ");
    insta::assert_snapshot!(told_when("K12345678", "\"K12345678"), @"
    config.yaml:3:14: not valid YAML: found unexpected end of stream, while scanning a quoted scalar
      hint: a quotation mark is not closed
    ");
    insta::assert_snapshot!(told_when("  - notify: mail", "  - notify: [mail"), @"
    config.yaml:11:13: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence
      hint: a comma is missing, or a `[` is not closed
    ");
    insta::assert_snapshot!(told_when("name: main", "name: main: x"), @"
    config.yaml:2:15: not valid YAML: mapping values are not allowed in this context
      hint: put a text that holds `: ` into quotes, and check the indentation
    ");
    insta::assert_snapshot!(told_when("name: main", "name: *nobody"), @"
    config.yaml:2:11: not valid YAML: unknown anchor
      hint: `*` begins an alias in YAML: put the text into quotes
    ");
    insta::assert_snapshot!(told_when("name: main", "name: !secret main"), @"config.yaml:2:11: not valid YAML: accounts[0].name: tags (`!name`) are not used in a configuration");
    insta::assert_snapshot!(told("- a\n- b\n"), @"
    config.yaml:1:1: expected a section with keys, found a list
      hint: write its keys as `key: value`, without a `-` or a `[` before them
    ");
    insta::assert_snapshot!(told("hello"), @"
    config.yaml:1:1: expected a section with keys, found text
      hint: write its keys below it, each with a colon and a space: `key: value`
    ");
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        writeln!(bomb, "a{level}: &a{level} [{}]", [&*below; 10].join(", ")).unwrap();
    }
    insta::assert_snapshot!(told(&bomb), @"
    config.yaml:5:55: holds more than 100000 values when its aliases are expanded
      hint: write the values out instead of using aliases (`*name`)
    ");
    insta::assert_snapshot!(told("a: &a [*a]\n"), @"
    config.yaml:1:8: an alias stands inside its own anchor
      hint: write the value out
    ");
    insta::assert_snapshot!(told(&"[".repeat(20_000)), @"
    config.yaml:1:256: nested more than 100 levels deep
      hint: is this the right file?
    ");
    insta::assert_snapshot!(told(&format!("a: {}{}", "{b: ".repeat(200), "}".repeat(200))), @"
    config.yaml:1:400: nested more than 100 levels deep
      hint: is this the right file?
    ");
}

#[test]
fn duplicate_keys_are_told_with_both_places() {
    let text = MINIMAL.replace("    api_key", "    name: other\n    api_key");
    insta::assert_snapshot!(told(&format!("locale: tr\n{text}locale: en\n")), @"
    config.yaml:4:5: accounts[0].name: this key is already given on line 3
      hint: remove one of the two
    config.yaml:14:1: locale: this key is already given on line 1
      hint: remove one of the two
    ");
}

#[test]
fn unknown_keys_are_told_all_at_once_with_what_was_meant() {
    let text = MINIMAL
        .replace("api_key:", "api_kee: x\n    api_key:")
        .replace("type: email", "type: email\n    webhook_url: x\n    timeuot: 5s\n    subject: Hello")
        .replace("host:", "prot: 25, host:")
        .replace("notify:", "when: {queu: \"1\"}\n    notify:");
    insta::assert_snapshot!(told(&format!("{text}wach: {{}}\nwatch: {{missed_calls: {{evry: 5s}}}}\n")), @"
    config.yaml:3:5: accounts[0].api_kee: unknown key
      hint: did you mean `api_key`?
    config.yaml:8:5: channels[0].webhook_url: unknown key
      hint: the keys here are `bcc`, `callback_extension`, `cc`, `concurrency`, `enabled`, `follow_up`, `from`, `locale`, `mask_numbers`, `max_age`, `name`, `rate`, `recording`, `reply_to`, `retry`, `smtp`, `timeout`, `to`, `type`
    config.yaml:9:5: channels[0].timeuot: unknown key
      hint: did you mean `timeout`?
    config.yaml:10:5: channels[0].subject: unknown key
      hint: the keys here are `bcc`, `callback_extension`, `cc`, `concurrency`, `enabled`, `follow_up`, `from`, `locale`, `mask_numbers`, `max_age`, `name`, `rate`, `recording`, `reply_to`, `retry`, `smtp`, `timeout`, `to`, `type`
    config.yaml:11:12: channels[0].smtp.prot: unknown key
      hint: did you mean `port`?
    config.yaml:15:12: routes[0].when.queu: unknown key
      hint: did you mean `queue`?
    config.yaml:17:1: wach: unknown key
      hint: did you mean `watch`?
    config.yaml:18:24: watch.missed_calls.evry: unknown key
      hint: did you mean `every`?
    ");
}

#[test]
fn missing_keys_are_told_all_at_once() {
    insta::assert_snapshot!(told("locale: tr\n"), @"
    config.yaml:1:1: accounts: is required, but missing
    config.yaml:1:1: channels: is required, but missing
    config.yaml:1:1: routes: is required, but missing
    ");
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
    insta::assert_snapshot!(told(text), @"
    config.yaml:3:5: accounts[0].api_key: is required, but missing
      hint: or give the path of a file that holds it: `api_key_file`
    config.yaml:4:5: accounts[1].name: is required, but missing
    config.yaml:4:5: accounts[1].api_key: is required, but missing
      hint: or give the path of a file that holds it: `api_key_file`
    config.yaml:6:5: channels[0].from: is required, but missing
    config.yaml:6:5: channels[0].to: is required, but missing
    config.yaml:8:5: channels[0].smtp.host: is required, but missing
    config.yaml:10:5: channels[1].webhook_url: is required, but missing, and so is `bot_token`
      hint: the URL of an incoming webhook, or else the token of a bot and the `channel` that it posts to; each may be in a file: `webhook_url_file`, `bot_token_file`
    config.yaml:12:5: channels[2].url: is required, but missing
      hint: or give the path of a file that holds it: `url_file`
    config.yaml:14:5: channels[3].type: is required, but missing
      hint: it is one of `email`, `slack`, `webhook`
    config.yaml:15:5: channels[4].name: is required, but missing
    config.yaml:15:11: channels[4].type: unknown value `fax`; expected one of `email`, `slack`, `webhook`
    config.yaml:17:5: routes[0].notify: at least one channel is required
      hint: or say `mute: true` to tell nobody
    config.yaml:19:5: tests[0].given: is required, but missing
    config.yaml:19:5: tests[0].expect: is required, but missing
    ");
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
    insta::assert_snapshot!(told(text), @"
    config.yaml:1:9: locale: unknown value `de`; expected one of `en`, `tr`
    config.yaml:2:11: timezone: there is no such time zone
      hint: did you mean `Europe/Istanbul`?
    config.yaml:3:8: store: expected a section with keys, found text
      hint: write its keys below it, each with a colon and a space: `key: value`
    config.yaml:5:5: accounts[0].name: expected text, found a list
    config.yaml:6:14: accounts[0].api_key: expected text, found a number
      hint: put it in quotes
    config.yaml:7:14: accounts[0].timeout: `5 minutes` is not a duration; expected a whole number and a unit, such as 250ms, 30s, 5m, 6h or 90d
    config.yaml:8:20: accounts[0].limits.cdrs: expected a whole number, 0 or more, found text
    config.yaml:8:38: accounts[0].limits.voicemails: expected a whole number, 0 or more, found -1
    config.yaml:8:54: accounts[0].limits.recordings: expected a whole number, 0 or more, found a number with a decimal point
    config.yaml:10:27: watch.missed_calls.enabled: expected true or false, found text
    config.yaml:10:41: watch.missed_calls.every: expected a whole number with a unit, such as 250ms, 30s, 5m, 6h or 90d, found a number
    config.yaml:12:23: delivery.retry.multiplier: expected a number, found text
    config.yaml:13:16: delivery.concurrency: must be between 1 and 256, found 0
    config.yaml:17:14: channels[0].enabled: expected true or false, found text
      hint: write `true`, without quotes
    config.yaml:18:42: channels[0].smtp.port: expected a whole number from 0 to 65535, found 70000
    config.yaml:18:59: channels[0].smtp.security: unknown value `ssl`; expected one of `none`, `starttls`, `tls`
    config.yaml:20:5: channels[0].to: expected text, found a section with keys
    config.yaml:21:16: channels[0].recording: unknown value `yes`; expected one of `attach`, `link`, `none`
    config.yaml:22:5: channels[1]: expected a section with keys, found text
      hint: write its keys below it, each with a colon and a space: `key: value`
    config.yaml:24:19: routes[0].when.queue: expected one item or a list of items, found a number
      hint: put it in quotes
    config.yaml:24:36: routes[0].when.extension[0]: expected text, found a number
      hint: put it in quotes
    config.yaml:24:58: routes[0].when.event: unknown value `call.lost`; expected one of `call.missed`, `call.returned`, `call.unreturned`, `voicemail.heard`, `voicemail.new`, `voicemail.unheard`
    config.yaml:25:20: routes[0].notify[1]: expected text, found a list
    config.yaml:26:15: routes[0].continue: expected true or false, found a number
    config.yaml:27:16: http.listen: expected text, found a number
      hint: put it in quotes
    ");
}

#[test]
fn variables_that_cannot_be_put_in_are_told_at_their_place() {
    let text = MINIMAL
        .replace("K12345678", "${NO_SUCH_KEY}")
        .replace("smtp.example.com", "\"${SMTP:?name the mail server}\"")
        .replace("from: santral@example.com", "from: ${TWO_LINES}\n    timeout: ${EMPTY}\n    rate: ${SMTP_PASSWORD}")
        .replace("ofis@example.com", "ofis@${DOMAIN")
        .replace("notify: mail", "notify: ${bad name}");
    insta::assert_snapshot!(told(&text), @"
    config.yaml:3:14: accounts[0].api_key: the variable `NO_SUCH_KEY` is not set
      hint: set it in the environment of ringback, or give a default: `${NO_SUCH_KEY:-…}`
    config.yaml:7:18: channels[0].smtp.host: the variable `SMTP` is not set or is empty: name the mail server
    config.yaml:8:11: channels[0].from: holds a line break or another control character
      hint: a variable's value must be one line; a secret may come from a file: `…_file`
    config.yaml:10:11: channels[0].rate: expected a number, found text
    config.yaml:11:9: channels[0].to: a placeholder `${` has no closing `}`
      hint: close the placeholder, or write `$$` for a dollar sign
    config.yaml:13:13: routes[0].notify: a placeholder holds no valid variable name
      hint: letters, digits and `_`: `${NAME}`; write `$$` for a dollar sign
    ");
}

#[test]
fn keys_of_other_versions_are_refused_by_name_and_their_defaults_accepted() {
    let text = MINIMAL
        .replace("    api_key", "    names: false\n    api_key")
        .replace("    type: email", "    type: email\n    follow_up: false")
        .replace("notify: mail", "notify: mail\n    hold: null\n    group: null\n    escalate: []");
    let off = "schedules: null\ncallback: null\nsummaries: []\nstore: {url: null}\n\
               http: {public_url: null, token: null}\n";
    parsed(&format!("{text}{off}")).unwrap_or_else(|problems| panic!("{problems}"));

    let text = MINIMAL.replace("notify: mail", "notify: mail\n    when: {event: call.returned}");
    let on = "store: {url: \"postgres://u:hunter2@h/d\"}\n";
    insta::assert_snapshot!("keys_of_other_versions", told(&format!("{text}{on}")));
}

#[test]
fn a_push_secret_that_keeps_nobody_out_and_a_forwarding_of_nothing_are_refused() {
    let with = |section: &str| told(&format!("{MINIMAL}{section}\n"));
    assert!(with("push: {secret: ''}").contains("push.secret: must not be empty"));
    assert!(with("push: {secret: 'with a space in it'}").contains("cannot stand in a URL"));
    let forward = with("push: {forward_to: 'https://crm.example.com/x'}");
    assert!(forward.contains("push.forward_to: there is nothing to pass on"), "{forward}");
    let forward = with("push: {secret: 0123456789abcdef, forward_to: crm.example.com/s3cr3t}");
    assert!(forward.contains("push.forward_to: expected an absolute URL") && !forward.contains("s3cr3t"), "{forward}");
    let off = with("push: {secret: abcdefghijklmnop}\nhttp: {listen: 'off'}");
    assert!(off.contains("push.secret: the PBX would post to a server that is switched off"), "{off}");
}

#[test]
fn an_escalation_that_cannot_be_told_as_it_is_written_is_refused() {
    let text = MINIMAL.replace(
        "- notify: mail",
        "- when: {event: call.missed}
    notify: mail
    escalate:
      - {after: 1h, notify: mail}
      - {after: 30m, notify: [mail, mali, mail]}
      - {after: 10m, notify: mail, during: ofice}
      - {after: 0s, notify: [], during: office}
      - {after: 24h}
      - {notify: mail}
  - {when: {event: voicemail.new}, mute: true, escalate: {after: 10d, notify: mail}}
  - {notify: mail, escalate: [{after: 1h, notify: mail}, {after: 1h, notify: mail}]}
  - {when: {event: voicemail.unheard}, notify: mail}",
    );
    insta::assert_snapshot!("escalation", told(&format!("{text}schedules: {{office: {{}}}}\n")));
}

#[test]
fn a_rule_holds_by_a_schedule_that_is_there_and_groups_calls_for_a_while() {
    let rule = |keys: &str| MINIMAL.replace("notify: mail", &format!("notify: mail\n    {keys}"));
    let schedules = "schedules: {office: {from: \"09:00\", to: \"18:00\"}}\n";
    let good = rule("hold: office\n    group: {by: caller, wait: 5m}");
    parsed(&format!("{good}{schedules}")).unwrap_or_else(|problems| panic!("{problems}"));
    insta::assert_snapshot!("hold_without_schedules", told(&rule("hold: office")));
    let text = rule("hold: ofice\n    group: {by: queue, wait: 0s}");
    insta::assert_snapshot!("hold_and_group", told(&format!("{text}{schedules}")));
    let text = rule("when: {event: voicemail.new}\n    group: {wait: 24h}");
    insta::assert_snapshot!("group_of_voicemails", told(&text));
}

#[test]
fn slack_has_exactly_one_way() {
    let text = "\
accounts: {name: main, api_key: K}
channels:
  - {name: a, type: slack}
  - {name: b, type: slack, webhook_url: \"https://hooks.slack.com/hunter2\", bot_token: hunter2, channel: C1}
  - {name: c, type: slack, bot_token: hunter2}
  - {name: d, type: slack, webhook_url: \"https://hooks.slack.com/hunter2\", channel: C1, api_url: \"https://x.example\"}
  - {name: e, type: slack, bot_token: \"hunter2 \", channel: \"# x\", api_url: \"http://slack.com/api?hunter2\"}
  - {name: f, type: slack, bot_token_file: /run/none, channel: C1}
  - {name: g, type: slack, webhook_url_file: /run/none}
  - {name: h, type: slack, bot_token: xoxb-1, channel: \"#sales\", api_url: \"https://slack-gov.com/api\"}
  - {name: i, type: slack, bot_token: xoxe.xoxp-1, channel: C0123456789}
  - {name: j, type: slack, webhook_url: \"https://hooks.slack.com/x\", bot_token: null, channel: null}
routes: {notify: a}
";
    let told = told(text);
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told, @r##"
    config.yaml:3:5: channels[0].webhook_url: is required, but missing, and so is `bot_token`
      hint: the URL of an incoming webhook, or else the token of a bot and the `channel` that it posts to; each may be in a file: `webhook_url_file`, `bot_token_file`
    config.yaml:4:87: channels[1].bot_token: both `webhook_url` and `bot_token` are given
      hint: remove `webhook_url` to post as a bot, or `bot_token` and `channel` to post by the webhook
    config.yaml:5:5: channels[2].channel: is required with a `bot_token`
      hint: its id (C0123456789) or its name, in quotes because of the sign: "#sales"
    config.yaml:6:85: channels[3].channel: is for a `bot_token`, which is not given
      hint: remove it, or post as a bot: a webhook posts to the channel that it was made for
    config.yaml:6:98: channels[3].api_url: is for a `bot_token`, which is not given
      hint: remove it, or post as a bot: a webhook posts to the channel that it was made for
    config.yaml:7:39: channels[4].bot_token: is not a token
      hint: the Bot User OAuth Token of the Slack app, which begins with `xoxb-`
    config.yaml:7:60: channels[4].channel: is not the id or the name of a channel
      hint: C0123456789, or "#sales"
    config.yaml:7:76: channels[4].api_url: plain http is refused except to loopback
      hint: the token would travel readable; use https
    config.yaml:7:76: channels[4].api_url: must not hold a user, a query or a fragment
      hint: the scheme, the host and perhaps a path: `https://slack.com/api`
    config.yaml:8:44: channels[5].bot_token_file: `/run/none`: there is no such file
    config.yaml:9:46: channels[6].webhook_url_file: `/run/none`: there is no such file
    "##);
}

#[test]
fn empty_lists_where_one_is_required_are_told() {
    insta::assert_snapshot!(told("accounts: []\nchannels: []\nroutes: []\n"), @"
    config.yaml:1:1: accounts: at least one is required
    config.yaml:2:1: channels: at least one is required
    config.yaml:3:1: routes: at least one is required
    ");
    insta::assert_snapshot!(told_when("to: ofis@example.com", "to: []"), @"config.yaml:9:5: channels[0].to: at least one is required");
}

#[test]
fn a_password_needs_a_name_and_a_protected_way() {
    insta::assert_snapshot!(told_when("host: smtp.example.com", "host: smtp.example.com, username: u"), @"config.yaml:7:46: channels[0].smtp.username: is given without a `password`");
    insta::assert_snapshot!(told_when("host: smtp.example.com", "host: h, security: none, username: u, password: hunter2"), @"
    config.yaml:7:31: channels[0].smtp.security: `none` is refused with a password except to loopback: it would travel readable
      hint: use `security: starttls` or `tls`
    ");
    for host in ["localhost", "127.0.0.1", "\"::1\""] {
        let smtp = format!("host: {host}, security: none, username: u, password: p");
        assert!(parsed(&MINIMAL.replace("host: smtp.example.com", &smtp)).is_ok(), "{host}");
    }
}

#[test]
fn routes_that_are_never_reached_are_told_with_the_one_in_the_way() {
    let routes = |rules: &str| MINIMAL.replace("routes:\n  - notify: mail\n", &format!("routes:\n{rules}"));
    insta::assert_snapshot!(told(&routes("  - notify: mail\n  - {when: {queue: \"1\"}, notify: mail}\n")), @"
    config.yaml:12:5: routes[1]: is never reached: routes[0] on line 11 takes every event that it matches
      hint: put it before routes[0], or say `continue: true` there
    ");
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
fn routes_that_several_together_leave_nothing_or_that_ask_for_the_impossible_are_told() {
    let text = MINIMAL.replace(
        "  - notify: mail",
        "  - {when: {during: office}, notify: mail}
  - {when: {during: office, queue: \"1\"}, mute: true}
  - {when: {outside: office, event: call.missed}, notify: mail}
  - {when: {outside: office, event: voicemail.new}, notify: mail}
  - {when: {withheld: true, caller: \"0532*\"}, mute: true}
  - {when: {during: office, outside: office}, mute: true}
  - {when: {caller: gizli}, mute: true}
  - {when: {number: [\"0\"]}, mute: true}
  - {when: {caller: \"\"}, mute: true}
  - mute: true",
    );
    insta::assert_snapshot!(told(&format!("{text}schedules: {{office: {{}}}}\n")), @"
    config.yaml:12:5: routes[1]: is never reached: routes[0] on line 11 takes every event that it matches
      hint: put it before routes[0], or say `continue: true` there
    config.yaml:15:6: routes[4].when: can never match: who withholds the number has none that `caller` could match
      hint: remove one of the two; for either, write two rules
    config.yaml:16:6: routes[5].when: can never match: `office` is never open and closed at once
      hint: remove `during` or `outside`
    config.yaml:17:6: routes[6].when: can never match: `caller` names no number
      hint: say `withheld: true` for callers who hide theirs
    config.yaml:18:6: routes[7].when: can never match: `number` names no number
      hint: write the number that was called, or its beginning and a `*`
    config.yaml:19:21: routes[8].when.caller[0]: must not be empty
    config.yaml:20:5: routes[9]: is never reached: the rules before it take every event that it matches
      hint: remove it, or put it before those that take what is meant for it
    ");
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

#[test]
fn a_secret_variable_in_the_wrong_place_is_shown_as_it_is_written() {
    let text = MINIMAL.replace(
        "    type: email",
        "    type: ${SMTP_PASSWORD}\n    locale: x${SMTP_PASSWORD}\n    timeout: ${SMTP_PASSWORD}\n    rate: ${SMTP_PASSWORD}",
    );
    let more =
        "timezone: ${SMTP_PASSWORD}\nstore: {keep: \"${SMTP_PASSWORD}\"}\nhttp: {listen: \"${SMTP_PASSWORD}\"}\n";
    let told = told(&format!("{text}{more}"));
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told, @"
    config.yaml:6:11: channels[0].type: unknown value `${SMTP_PASSWORD}`; expected one of `email`, `slack`, `webhook`
    config.yaml:7:13: channels[0].locale: unknown value `x${SMTP_PASSWORD}`; expected one of `en`, `tr`
    config.yaml:8:14: channels[0].timeout: `${SMTP_PASSWORD}` is not a duration; expected a whole number and a unit, such as 250ms, 30s, 5m, 6h or 90d
    config.yaml:9:11: channels[0].rate: expected a number, found text
    config.yaml:15:11: timezone: there is no such time zone
      hint: an IANA name, such as Europe/Istanbul
    config.yaml:16:15: store.keep: `${SMTP_PASSWORD}` is not a duration; expected a whole number and a unit, such as 250ms, 30s, 5m, 6h or 90d
    config.yaml:17:16: http.listen: expected an address and a port, or `off`
      hint: `127.0.0.1:8380` for this machine only, `0.0.0.0:8380` for all, or `off`
    ");
}

#[test]
fn a_name_that_comes_from_a_variable_is_listed_as_it_is_written() {
    // Found by the fuzzer.
    let text = MINIMAL.replace("name: mail", "name: ${SMTP_PASSWORD}-m");
    insta::assert_snapshot!(told(&text), @"
    config.yaml:11:13: routes[0].notify[0]: there is no channel of this name
      hint: the channels are ${SMTP_PASSWORD}-m
    ");
}

#[test]
fn values_of_sections_that_make_no_sense_are_told_all_at_once() {
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
  digest_over: 0
channels: {name: hook, type: webhook, url: \"https://example.com\", max_age: 1h}
routes: {notify: hook}
http: {listen: localhost}
";
    let told = told(text);
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told, @"
    config.yaml:1:11: timezone: there is no such time zone
      hint: an IANA name, such as Europe/Istanbul
    config.yaml:2:15: store.keep: must be at least 35d, found 30d
    config.yaml:5:14: accounts[0].api_key: holds spaces or line breaks, which no key does
    config.yaml:6:15: accounts[0].base_url: plain http is refused except to loopback
      hint: the API key would travel readable; use https
    config.yaml:6:15: accounts[0].base_url: must not hold a user, a query or a fragment
      hint: the scheme, the host and perhaps a path: `https://api.bulutsantralim.com`
    config.yaml:7:14: accounts[0].timeout: must be at least 10ms, found 0ms
    config.yaml:8:20: accounts[0].limits.cdrs: must be at least 1 a minute
    config.yaml:9:11: accounts[1].name: this name is already taken
      hint: names are unique
    config.yaml:10:14: accounts[1].api_key: must not be empty
      hint: the key stands in the Online İşlem Merkezi
    config.yaml:11:15: accounts[1].base_url: expected an absolute URL, `https://…`
    config.yaml:13:3: watch.missed_calls.lookback: must be longer than `grace` (3h) and `every` (1ms) of missed_calls together, found 2h
      hint: a call is read again until `grace` is over
    config.yaml:13:25: watch.missed_calls.every: must be at least 10ms, found 1ms
    config.yaml:13:52: watch.missed_calls.follow_up: must be at most 31d, found 60d
      hint: the PBX answers for at most 31 days at once
    config.yaml:14:26: watch.voicemails.lookback: must be longer than `every`, which is 1m
    config.yaml:15:14: watch.first_run: must be at most 31d, found 40d
      hint: the PBX answers for at most 31 days at once
    config.yaml:16:12: watch.max_age: must be longer than `grace` (3h) and `every` (1ms) of missed_calls together, found 1m
      hint: what is older goes into a digest, and a call waits for `grace` first: every call would
    config.yaml:18:12: delivery.timeout: must be at least 10ms, found 1ms
    config.yaml:19:16: delivery.concurrency: must be between 1 and 256, found 257
    config.yaml:20:20: delivery.retry.initial: `initial` (1h) must not be longer than `max` (30m)
    config.yaml:20:36: delivery.retry.multiplier: must be between 1 and 1000, found 0.5
    config.yaml:20:49: delivery.retry.jitter: must be between 0 and 1, found 1.5
    config.yaml:21:16: delivery.digest_over: must be at least 1, found 0
      hint: 1 makes a digest of any two that are due at once; there is no way to have digests only
    config.yaml:22:76: channels[0].max_age: must be longer than `grace` (3h) and `every` (1ms) of missed_calls together, found 1h
      hint: what is older goes into a digest, and a call waits for `grace` first: every call would
    config.yaml:24:16: http.listen: expected an address and a port, or `off`
      hint: `127.0.0.1:8380` for this machine only, `0.0.0.0:8380` for all, or `off`
    ");
}

#[test]
fn values_of_channels_that_make_no_sense_are_told_without_their_secrets() {
    let text = "\
accounts: {name: main, api_key: K}
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
routes: {notify: hook}
";
    let told = told(text);
    assert!(!told.contains("hunter2") && !told.contains("aHVudGVyMg"), "{told}");
    insta::assert_snapshot!(told, @"
    config.yaml:3:11: channels[0].name: is not usable as a name
      hint: at most 64 letters, digits, `-`, `_` and `.`
    config.yaml:5:18: channels[0].smtp.host: expected the name or address of a server
      hint: `smtp.example.com`; the port stands in `port`
    config.yaml:5:46: channels[0].smtp.port: must be between 1 and 65535, found 0
    config.yaml:5:59: channels[0].smtp.password: is given without a `username`
    config.yaml:5:78: channels[0].smtp.security: `none` is refused with a password except to loopback: it would travel readable
      hint: use `security: starttls` or `tls`
    config.yaml:6:11: channels[0].from: is not an email address
      hint: `ofis@example.com` or `Santral <santral@example.com>`; several as a list
    config.yaml:7:28: channels[0].to[1]: is not an email address
      hint: `ofis@example.com` or `Santral <santral@example.com>`; several as a list
    config.yaml:8:9: channels[0].cc[0]: is not an email address
      hint: `ofis@example.com` or `Santral <santral@example.com>`; several as a list
    config.yaml:9:15: channels[0].reply_to: is not an email address
      hint: `ofis@example.com` or `Santral <santral@example.com>`; several as a list
    config.yaml:10:11: channels[0].rate: must be more than 0 messages a second, found 0
    config.yaml:11:14: channels[0].timeout: must be at least 10ms, found 0ms
    config.yaml:12:18: channels[0].retry.max: `initial` (5s) must not be longer than `max` (1s)
    config.yaml:12:34: channels[0].retry.multiplier: must be between 1 and 1000, found NaN
    config.yaml:15:10: channels[1].url: expected an absolute URL, `https://…`
    config.yaml:16:14: channels[1].secret[0]: expected `whsec_` and the base64 of 24 to 64 bytes
      hint: make one: `echo whsec_$(openssl rand -base64 32)`
    config.yaml:16:23: channels[1].secret[1]: expected `whsec_` and the base64 of 24 to 64 bytes
      hint: make one: `echo whsec_$(openssl rand -base64 32)`
    config.yaml:17:27: channels[1].headers.Webhook-Id: ringback sets this header itself
      hint: remove it
    config.yaml:17:37: channels[1].headers.a…: is not a valid header name
    config.yaml:17:48: channels[1].headers.X-Name: is not a valid header value
      hint: visible ASCII characters only
    config.yaml:18:18: channels[1].concurrency: must be between 1 and 256, found 0
    config.yaml:21:18: channels[2].webhook_url: plain http is refused except to loopback
      hint: the URL is the key to the channel; use https
    config.yaml:22:11: channels[3].name: this name is already taken
      hint: names are unique
    config.yaml:24:18: channels[3].webhook_url: expected an absolute URL, `https://…`
    ");
}

#[test]
fn names_that_nothing_has_and_rules_that_make_no_sense_are_told() {
    let text = "\
accounts: {name: main, api_key: K}
channels:
  - {name: hook, type: webhook, url: \"https://example.com\"}
  - {name: slack, type: slack, webhook_url: \"https://hooks.slack.com/x\"}
routes:
  - when: {queue: \"\", caller: \"05*32\", account: mian}
    notify: [hok, nobody]
  - when: {event: call.missed}
  - notify: hook
    mute: true
tests:
  - {given: {account: other}, expect: [slak]}
";
    insta::assert_snapshot!(told(text), @"
    config.yaml:6:19: routes[0].when.queue[0]: must not be empty
    config.yaml:6:31: routes[0].when.caller[0]: `*` may stand at the end only
      hint: a prefix ends in one `*`: `0532*`
    config.yaml:6:49: routes[0].when.account[0]: there is no account of this name
      hint: did you mean `main`?
    config.yaml:7:14: routes[0].notify[0]: there is no channel of this name
      hint: did you mean `hook`?
    config.yaml:7:19: routes[0].notify[1]: there is no channel of this name
      hint: the channels are hook, slack
    config.yaml:8:5: routes[1].notify: at least one channel is required
      hint: or say `mute: true` to tell nobody
    config.yaml:10:11: routes[2].mute: a muted rule notifies nobody, but `notify` is given
      hint: remove `notify`, or `mute`
    config.yaml:12:23: tests[0].given.account: there is no account of this name
      hint: the accounts are main
    config.yaml:12:40: tests[0].expect[0]: there is no channel of this name
      hint: did you mean `slack`?
    ");
}

#[test]
fn names_are_held_to_what_could_be_read_of_the_sections_they_stand_for() {
    let text = "\
accounts:
  - {name: main, api_key: K, timeout: soon}
channels:
  - {name: hook, type: webhook, url: \"https://example.com\", rate: fast, colour: red}
  - {name: slack, type: fax}
routes:
  - {when: {account: mian}, notify: [hok, slack]}
  - notify: nobody
tests:
  - {given: {account: other}, expect: [slak]}
";
    insta::assert_snapshot!(told(text), @"
    config.yaml:2:39: accounts[0].timeout: `soon` is not a duration; expected a whole number and a unit, such as 250ms, 30s, 5m, 6h or 90d
    config.yaml:4:67: channels[0].rate: expected a number, found text
    config.yaml:4:73: channels[0].colour: unknown key
      hint: the keys here are `body_template`, `callback_extension`, `concurrency`, `content_type`, `enabled`, `follow_up`, `headers`, `locale`, `mask_numbers`, `max_age`, `method`, `name`, `rate`, `recording`, `retry`, `secret_file`, `secret`, `timeout`, `type`, `url_file`, `url`
    config.yaml:5:25: channels[1].type: unknown value `fax`; expected one of `email`, `slack`, `webhook`
    config.yaml:7:22: routes[0].when.account[0]: there is no account of this name
      hint: did you mean `main`?
    config.yaml:7:38: routes[0].notify[0]: there is no channel of this name
      hint: did you mean `hook`?
    config.yaml:8:13: routes[1].notify[0]: there is no channel of this name
      hint: the channels are hook, slack
    config.yaml:10:23: tests[0].given.account: there is no account of this name
      hint: the accounts are main
    config.yaml:10:40: tests[0].expect[0]: there is no channel of this name
      hint: did you mean `slack`?
    ");
    // One that could not be read may be the one that is meant.
    for unread in ["[slack]", "\"${NO_SUCH_NAME}\"", ""] {
        let told = told(&text.replace("name: slack", &format!("name: {unread}")));
        assert!(told.contains("channels[1].name: ") && told.contains("no account of this name"), "{told}");
        assert!(!told.contains("no channel of this name"), "{told}");
    }
    let told = told(&text.replace("{name: slack, type: fax}", "text"));
    assert!(told.contains("channels[1]: ") && !told.contains("no channel of this name"), "{told}");
}

#[test]
fn a_body_that_cannot_be_made_is_told_with_the_key_that_is_wrong() {
    let text = |keys: &str| {
        MINIMAL
            .replace("routes:", &format!("  - {{name: b, type: webhook, url: \"https://b.example\", {keys}}}\nroutes:"))
    };
    for (keys, wanted) in [
        (
            "body_template: recipe:team",
            "channels[1].body_template: there is no recipe of this name; there are teams, discord",
        ),
        (
            "body_template: b.hbs, content_type: application/zip",
            "channels[1].content_type: is not a content type that bodies",
        ),
        (
            "body_template: b.hbs, content_type: text/plain; charset=latin5",
            "channels[1].content_type: is not a content type",
        ),
        ("content_type: text/plain", "channels[1].content_type: the default body is application/json"),
        (
            "body_template: recipe:ntfy, content_type: application/json",
            "channels[1].content_type: the recipe is text/plain",
        ),
        (
            "headers: {content-Type: text/plain}",
            "channels[1].headers.content-Type: has a key of its own\n  hint: use `content_type`",
        ),
    ] {
        let told = told(&text(keys));
        assert!(told.contains(wanted), "{told}");
    }
    let config = parsed(&text("body_template: b.hbs, content_type: text/xml, mask_numbers: true")).unwrap();
    let ChannelKind::Webhook(keys) = &config.channels[1].kind else { panic!() };
    assert_eq!((keys.content_type(), config.channels[1].common.mask_numbers), ("text/xml", true));
    let config = parsed(&text("body_template: recipe:ntfy")).unwrap();
    let ChannelKind::Webhook(keys) = &config.channels[1].kind else { panic!() };
    assert_eq!(keys.content_type(), "text/plain; charset=utf-8");
}

#[test]
fn a_long_list_of_nonsense_is_answered_and_bounded() {
    let keys: String = (0..10_000).fold(String::new(), |keys, n| keys + &format!("k{n}: 1\n"));
    assert_eq!(parsed(&keys).unwrap_err().0.len(), 10_003);
    let items = format!("channels: [{}]\n", "1,".repeat(10_000));
    assert!(!parsed(&items).unwrap_err().0.is_empty());
    assert_eq!(parsed(&format!("{}: 1\n", "k".repeat(1_000))).unwrap_err().0.len(), 4);
}

#[test]
fn whom_health_tells_must_be_there_and_the_heartbeat_keeps_its_url_secret() {
    let health = "health: {after: 1ms, notify: [mial, mail, mail], heartbeat_url: \"http://example.com/hunter2\"}\n";
    insta::assert_snapshot!(told(&minimal_and(health)), @"
    config.yaml:12:17: health.after: must be at least 10ms, found 1ms
    config.yaml:12:31: health.notify[0]: there is no channel of this name
      hint: did you mean `mail`?
    config.yaml:12:43: health.notify[2]: this channel is named already
      hint: remove one of the two
    config.yaml:12:65: health.heartbeat_url: plain http is refused except to loopback
      hint: whoever has the URL can beat in our place; use https
    ");
    let both = "health: {heartbeat_url: \"hunter2\", heartbeat_url_file: /nowhere/url, notfy: mail}\n";
    insta::assert_snapshot!(told(&minimal_and(both)), @"
    config.yaml:12:56: health.heartbeat_url_file: both `heartbeat_url` and `heartbeat_url_file` are given
      hint: remove one of the two
    config.yaml:12:70: health.notfy: unknown key
      hint: did you mean `notify`?
    ");
}

#[test]
fn a_schedule_that_cannot_be_read_or_is_not_there_is_told_by_its_place() {
    let text = MINIMAL.replace(
        "notify: mail",
        "notify: mail\n    continue: true\n    when: {during: offic}\n  - notify: mail\n    when: {outside: [nights, mornings]}\n    \
         continue: true\n  - notify: mail",
    );
    let schedules = "schedules:\n  office: {days: [mon, monday], from: 9, holidays: de, excpt: []}\n  \
                     nights: [{from: \"22:00\", to: \"7\"}, {except: [31.12.2026]}]\n  lunch: []\n";
    insta::assert_snapshot!(told(&format!("{text}{schedules}tests: [{{given: {{at: tomorrow}}, expect: mail}}]\n")), @r#"
    config.yaml:13:20: routes[0].when.during[0]: there is no schedule of this name
      hint: did you mean `office`?
    config.yaml:15:30: routes[1].when.outside[1]: there is no schedule of this name
      hint: the schedules are lunch, nights, office
    config.yaml:19:24: schedules.office[0].days[1]: unknown value `monday`; expected one of `fri`, `mon`, `sat`, `sun`, `thu`, `tue`, `wed`
    config.yaml:19:39: schedules.office[0].from: expected text, found a number
      hint: put it in quotes
    config.yaml:19:52: schedules.office[0].holidays: unknown value `de`; expected one of `tr`
    config.yaml:19:56: schedules.office[0].excpt: unknown key
      hint: did you mean `except`?
    config.yaml:20:32: schedules.nights[0].to: expected a time of day, "09:00"
    config.yaml:20:48: schedules.nights[1].except[0]: expected a date, 2026-12-31
    config.yaml:21:3: schedules.lunch: at least one span is required
      hint: {from: "09:00", to: "18:00"}
    config.yaml:22:22: tests[0].given.at: expected a date and a time
      hint: 2026-11-23 08:07, by the wall clock of `timezone`
    "#);
    insta::assert_snapshot!(told(&text), @r#"
    config.yaml:13:20: routes[0].when.during: there are no schedules
      hint: name it under `schedules`: `office: {from: "09:00", to: "18:00"}`
    config.yaml:15:12: routes[1].when.outside: there are no schedules
      hint: name it under `schedules`: `office: {from: "09:00", to: "18:00"}`
    "#);
    insta::assert_snapshot!(told(&format!("{text}schedules: {{office: {{}}, nights: {{days: mon}}}}\n")), @"
    config.yaml:13:20: routes[0].when.during[0]: there is no schedule of this name
      hint: did you mean `office`?
    config.yaml:15:30: routes[1].when.outside[1]: there is no schedule of this name
      hint: the schedules are nights, office
    ");
}

#[test]
fn a_line_ends_where_an_editor_ends_it() {
    // By YAML 1.1, which the parser follows, lines end at more than that.
    let text = told("a: 1\u{2028}\nb: x\u{85} y\u{2029} `z`\nc: [`\n");
    assert!(text.starts_with("config.yaml:3:5: "), "{text}");
    let text = told("a: 1\r\n# \u{2028}\r\nb: [1, 'x\u{2029}\r\nc: 2\r\n");
    assert!(text.starts_with("config.yaml:3:8: ") && text.contains("a quotation mark is not closed"), "{text}");
    // A fuzzer's find: beyond the end of the file.
    let text = told("{a: {name: b\u{2028}c\u{2028}d..\n\nTok, url: k}, X: {`X-A: b}}");
    assert!(text.starts_with("config.yaml:3:19: "), "{text}");
}

#[test]
fn a_trusted_header_is_one_that_only_a_proxy_sets_and_needs_the_token() {
    let told = |http: &str| match parsed(&format!("{MINIMAL}http: {{{http}}}\n")) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    };
    let token = "token: a-token-of-the-board";
    assert_eq!(told(&format!("{token}, trusted_header: X-Forwarded-User")), "");
    assert_eq!(told(&format!("{token}, trusted_header: Remote-User")), "");
    for everybodys in ["Cookie", "accept-language", "Sec-Fetch-Site", "X-Forwarded-For", "te"] {
        let told = told(&format!("{token}, trusted_header: {everybodys}"));
        assert!(told.contains("http.trusted_header: browsers or proxies send this header"), "{everybodys}: {told}");
    }
    for broken in ["''", "'X User'", "'X:'", "Kullanıcı"] {
        let told = told(&format!("{token}, trusted_header: {broken}"));
        assert!(told.contains("http.trusted_header: not the name of a header"), "{broken}: {told}");
    }
    let alone = told("trusted_header: X-Forwarded-User");
    assert!(alone.contains("http.trusted_header: without `http.token` the board is closed"), "{alone}");
}

#[test]
fn a_public_url_whose_path_could_be_one_of_the_servers_own_is_refused() {
    let told = |url: &str| match parsed(&format!("{MINIMAL}http: {{public_url: '{url}'}}\n")) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    };
    for right in ["", "/", "/ringback", "/ringback/l/", "/lines", "/tel/api"] {
        assert_eq!(told(&format!("https://calls.example.com{right}")), "", "{right}");
    }
    for wrong in ["/l", "/l/", "/api/ringback", "/hooks", "/healthz", "/live/x"] {
        let told = told(&format!("https://calls.example.com{wrong}"));
        let first = wrong.split('/').nth(1).unwrap();
        let expected = format!("http.public_url: its path begins with `/{first}`, as paths of ringback's own do");
        assert!(told.contains(&expected) && told.contains("hint: another path"), "{wrong}: {told}");
    }
}
