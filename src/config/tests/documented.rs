//! The documented configuration, key by key: what this version has is taken, what it has not is refused by name.

use std::collections::BTreeSet;

use super::*;

/// The whole documented configuration, with everything switched on that it documents.
const DOCUMENTED: &str = r#"
locale: tr
timezone: Europe/Istanbul
templates: null
store: {path: ./ringback-data, url: "postgres://h/d", keep: 90d}
accounts:
  - name: main
    api_key: K12345678
    base_url: https://api.bulutsantralim.com
    timeout: 60s
    limits: {cdrs: 6, voicemails: 6, recordings: 5}
    names: true
watch:
  missed_calls: {enabled: true, every: 30s, grace: 60s, lookback: 2h, follow_up: 24h, min_wait: 0s}
  voicemails: {enabled: true, every: 60s, lookback: 7d}
  first_run: 15m
  max_age: 24h
delivery:
  timeout: 15s
  retry: {initial: 5s, multiplier: 2.5, max: 30m, jitter: 0.2, give_up_after: 72h}
  concurrency: 16
  digest_over: 20
channels:
  - name: office-mail
    type: email
    smtp: {host: smtp.example.com, port: 587, security: starttls, username: null, password: null}
    from: "Santral <santral@example.com>"
    to: [ofis@example.com]
    cc: [a@example.com]
    bcc: [b@example.com]
    reply_to: c@example.com
    recording: attach
    follow_up: true
    locale: null
    mask_numbers: true
  - name: sales-slack
    type: slack
    webhook_url: https://hooks.slack.com/services/T0/B0/x
    bot_token: null
    channel: null
    recording: link
    follow_up: true
  - name: sales-bot
    type: slack
    bot_token: xoxb
    channel: C1
  - name: crm
    type: webhook
    url: https://crm.example.com/hooks/calls
    method: POST
    headers: {}
    secret: null
    body_template: crm.hbs
    content_type: text/plain
    recording: none
    follow_up: true
    retry: {max: 1h}
    timeout: 5s
    concurrency: 2
    rate: 1
    max_age: 1h
    enabled: true
schedules:
  office: {days: [mon], from: "09:00", to: "18:00", holidays: tr, except: [2026-12-31]}
routes:
  - when:
      account: main
      event: [call.missed, call.returned, call.unreturned, voicemail.new, voicemail.heard, voicemail.unheard]
      queue: "201"
      extension: ["1001"]
      number: "0212*"
      caller: "0532*"
      withheld: true
      during: office
      outside: office
    notify: [office-mail]
    continue: false
    hold: office
    group: {by: caller, wait: 2m}
    escalate: [{after: 15m, notify: [crm], during: office}]
    mute: false
  - notify: [office-mail]
summaries: [{at: "18:00", days: [mon], notify: [office-mail], always: false}]
health: {after: 10m, notify: [crm], heartbeat_url: null}
http: {listen: "127.0.0.1:8380", public_url: "https://x.example.com", token: "0123456789abcdef", link_ttl: 7d}
callback: {extension: "1001", caller_id: null}
push: {secret: "0123456789abcdef", forward_to: null}
tests:
  - {given: {event: call.unreturned, queue: "201", withheld: true, at: "2026-11-22T09:00:00+03:00"}, expect: [sales-slack]}
"#;

#[test]
fn every_documented_key_is_taken_or_refused_as_not_supported() {
    let problems = parsed(DOCUMENTED).unwrap_err().0;
    let others: Vec<_> = problems.iter().filter(|problem| !problem.message.contains("is not supported")).collect();
    assert!(others.is_empty(), "{others:?}");
    // The word in question comes first.
    let refused: BTreeSet<&str> = problems.iter().filter_map(|problem| problem.message.split('`').nth(1)).collect();
    insta::assert_snapshot!("refused_keys", refused.into_iter().collect::<Vec<_>>().join("\n"));
}
