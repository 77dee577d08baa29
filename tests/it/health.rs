//! ringback says it when it cannot work: once through a channel that is well, and once when it works again.

use std::net::TcpListener;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ringback::sim::pbx::{Endpoint, Fault};
use ringback::sim::receiver::{HttpReceiver, Kind, Mode};
use ringback::sim::smtp::{Mail, SmtpFault, Stage};
use serde_json::Value;

use crate::disk::Disk;
use crate::harness::{Office, WEBHOOK_SECRET, in_time};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

const FOR_EVER: usize = usize::MAX;

fn office(notify: &str) -> Office {
    let mut office = Office::new();
    office.extra = format!("health: {{after: 10m, notify: {notify}}}");
    office
}

fn break_pbx(office: &Office, fault: &Fault) {
    for endpoint in [Endpoint::Cdrs, Endpoint::CdrDetail, Endpoint::Voicemails] {
        office.pbx.fault(endpoint, fault.clone(), FOR_EVER);
    }
}

/// `=?utf-8?b?…?=` words put together, or what is there.
pub(crate) fn subject(mail: &Mail) -> String {
    let raw = mail.header("Subject").unwrap();
    let words =
        raw.split(' ').map(|word| match word.strip_prefix("=?utf-8?b?").and_then(|word| word.strip_suffix("?=")) {
            Some(word) => (String::from_utf8_lossy(&BASE64.decode(word).unwrap()).into_owned(), true),
            None => (word.to_owned(), false),
        });
    let mut subject = String::new();
    let mut before = true;
    for (word, encoded) in words {
        // Spaces between encoded words are not part of the text (RFC 2047 section 6.2).
        if !(subject.is_empty() || before && encoded) {
            subject.push(' ');
        }
        subject.push_str(&word);
        before = encoded;
    }
    subject
}

/// The subjects of the mails, of which there are so many at least. A mail may still be on its way when nothing else moves:
/// its server is looked up in a thread of its own.
async fn subjects(office: &Office, least: usize) -> Vec<String> {
    in_time(office.mail.wait_for(least)).await.iter().map(subject).collect()
}

/// The notices among what the webhook has accepted.
fn notices(office: &Office) -> Vec<Value> {
    let accepted = office.webhook.received().into_iter().filter(|received| received.answered == 200);
    let bodies = accepted.map(|received| received.json().unwrap());
    bodies.filter(|body| body["type"].as_str().unwrap().starts_with("health.")).collect()
}

#[tokio::test]
async fn a_wrong_key_is_told_once_by_mail_and_slack_and_once_when_it_is_right() {
    let office = office("[mail, slack]");
    office.once().await;
    break_pbx(&office, &Fault::BadKeyEcho);
    let running = office.run().await;
    office.pass(&running, 9 * MINUTE, 30 * SECOND).await;
    assert_eq!((office.mail.received().len(), office.slack.total()), (0, 0));
    office.pass(&running, 50 * MINUTE, MINUTE).await;
    assert_eq!(subjects(&office, 1).await, ["ringback: santral okunamıyor (main)"]);
    assert_eq!(office.slack.accepted(), 1);
    let message = office.slack.received()[0].json().unwrap();
    assert_eq!(message["blocks"][0]["text"]["text"], "ringback: santral okunamıyor (main)");
    let section = message["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(section.contains("API anahtarını kabul etmiyor") && section.contains("api_key"), "{section}");
    assert!(!message.to_string().contains(office.pbx.key()));
    office.pbx.clear_faults();
    office.pass(&running, 40 * MINUTE, MINUTE).await;
    running.stop().await;
    assert_eq!(subjects(&office, 2).await[1..], ["ringback: santral yeniden okunuyor (main)"]);
    assert_eq!((office.slack.total(), office.webhook.total()), (2, 0));
    let mails = office.mail.received();
    assert_eq!(mails[0].header("References"), mails[1].header("References"), "one conversation");
    assert_eq!(mails[0].header("Auto-Submitted").as_deref(), Some("auto-generated"));
}

#[tokio::test]
async fn a_pbx_that_cannot_be_reached_or_answers_429_or_nonsense_is_told_with_the_reason() {
    let busy = Fault::Status(429, "yavas".into(), Vec::new());
    for (fault, reason) in [(Fault::Reset, "cannot be reached"), (busy, "429"), (Fault::Garbage, "cannot be read")] {
        let office = office("crm");
        office.once().await;
        break_pbx(&office, &fault);
        let running = office.run().await;
        office.pass(&running, 20 * MINUTE, MINUTE).await;
        office.pbx.clear_faults();
        office.pass(&running, 20 * MINUTE, MINUTE).await;
        running.stop().await;
        let told = notices(&office);
        let types: Vec<&str> = told.iter().map(|body| body["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["health.failing", "health.recovered"], "{fault:?}");
        let data = &told[0]["data"];
        assert_eq!((&data["condition"], &data["account"]), (&"pbx_unreadable".into(), &"main".into()));
        assert_eq!((&data["source"], &data["channel"]), (&Value::Null, &Value::Null));
        assert!(data["reason"].as_str().unwrap().contains(reason), "{data}");
        assert!(data["text"].as_str().unwrap().contains("santral okunamıyor (main)"), "{data}");
        assert_eq!(told[1]["data"]["since"], data["since"]);
        let verifier = standardwebhooks::Webhook::new(WEBHOOK_SECRET).unwrap();
        for received in office.webhook.received() {
            let signature = received.header("webhook-signature").unwrap();
            let timestamp = received.header("webhook-timestamp").unwrap().parse().unwrap();
            let id = received.header("webhook-id").unwrap();
            assert_eq!(verifier.sign(id, timestamp, &received.body).unwrap(), signature);
        }
    }
}

#[tokio::test]
async fn one_list_that_cannot_be_read_is_told_as_that_list() {
    let office = office("crm");
    office.once().await;
    office.pbx.fault(Endpoint::Voicemails, Fault::Html500, FOR_EVER);
    let running = office.run().await;
    office.pass(&running, 20 * MINUTE, MINUTE).await;
    running.stop().await;
    let told = notices(&office);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["source"], "voicemails");
}

#[tokio::test]
async fn what_passes_within_after_is_told_to_nobody() {
    let office = office("[mail, slack, crm]");
    office.once().await;
    let running = office.run().await;
    for _ in 0..3 {
        break_pbx(&office, &Fault::Html500);
        office.pass(&running, 6 * MINUTE, MINUTE).await;
        office.pbx.clear_faults();
        office.pass(&running, 10 * MINUTE, MINUTE).await;
    }
    running.stop().await;
    assert_eq!((office.mail.received().len(), office.slack.total(), office.webhook.total()), (0, 0, 0));
}

#[tokio::test]
async fn a_webhook_that_always_fails_is_told_by_mail_and_not_to_itself() {
    for (mode, words) in
        [(Mode::Status(500), "HTTP 500"), (Mode::Status(401), "HTTP 401"), (Mode::Reset, "error sending request")]
    {
        let mut office = office("[mail, crm]");
        office.routes = "[{notify: crm}]".to_owned();
        office.once().await;
        office.webhook.set_mode(mode.clone());
        office.miss("c1");
        let running = office.run().await;
        office.pass(&running, 9 * MINUTE, 30 * SECOND).await;
        assert_eq!(office.mail.received().len(), 0, "{mode:?}");
        office.pass(&running, 20 * MINUTE, MINUTE).await;
        assert_eq!(subjects(&office, 1).await, ["ringback: kanal iletemiyor (crm)"], "{mode:?}");
        let mail = String::from_utf8_lossy(&office.mail.received()[0].data).replace("=\r\n", "");
        assert!(mail.contains(words), "{mode:?}: {mail}");
        office.webhook.set_mode(Mode::Ok);
        office.pass(&running, HOUR, MINUTE).await;
        running.stop().await;
        assert_eq!(subjects(&office, 2).await[1..], ["ringback: kanal yeniden iletiyor (crm)"], "{mode:?}");
        assert_eq!(office.told(), ["call.missed c1"]);
        assert_eq!(notices(&office), Vec::<Value>::new());
    }
}

#[tokio::test]
async fn deliveries_that_were_given_up_are_told_at_once_and_gathered() {
    let mut office = office("[mail, crm]");
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    office.webhook.set_mode(Mode::Status(410));
    for uuid in ["c1", "c2", "c3"] {
        office.miss(uuid);
    }
    let running = office.run().await;
    let told = office.pass_until(&running, 10 * MINUTE, 30 * SECOND, || !office.mail.received().is_empty()).await;
    assert!(told.is_some_and(|after| after <= 5 * MINUTE), "{told:?}");
    for uuid in ["c4", "c5"] {
        office.miss(uuid);
        office.pass(&running, 2 * MINUTE, 30 * SECOND).await;
    }
    assert_eq!(subjects(&office, 1).await, ["ringback: 3 ileti teslim edilemedi (crm)"]);
    office.pass(&running, HOUR, MINUTE).await;
    running.stop().await;
    assert_eq!(subjects(&office, 2).await[1..], ["ringback: 2 ileti teslim edilemedi (crm)"]);
    let mail = String::from_utf8_lossy(&office.mail.received()[0].data).replace("=\r\n", "");
    assert!(mail.contains("ringback deliveries retry --dead --channel crm"), "{mail}");
    assert_eq!(office.webhook.total(), 5, "the ill channel was not told");
}

#[tokio::test]
async fn a_notice_waits_for_its_channel_and_delays_no_message() {
    let office = office("[mail, slack]");
    office.once().await;
    office.pbx.fault(Endpoint::Voicemails, Fault::Html500, FOR_EVER);
    office.mail.fault(Stage::Connect, SmtpFault::Reply(421, "busy".into()), FOR_EVER);
    let running = office.run().await;
    office.pass(&running, 20 * MINUTE, MINUTE).await;
    assert_eq!((office.mail.received().len(), office.slack.accepted()), (0, 1));
    office.miss("c1");
    office.pass(&running, 2 * MINUTE, 30 * SECOND).await;
    assert_eq!(office.told(), ["call.missed c1"]);
    office.mail.clear_faults();
    office.pass(&running, 2 * MINUTE, 30 * SECOND).await;
    // The call and the notice.
    in_time(office.mail.wait_for(2)).await;
    running.stop().await;
    let subjects = subjects(&office, 2).await;
    assert!(subjects.contains(&"ringback: santralin sesli mesajları okunamıyor (main)".to_owned()), "{subjects:?}");
}

#[tokio::test]
async fn the_heart_beats_every_minute_while_everything_moves_and_at_no_other_time() {
    let mut office = Office::new();
    let monitor = HttpReceiver::start(office.clock.clone(), Kind::Plain).unwrap();
    office.extra = format!("health: {{heartbeat_url: '{}?token=t0ken'}}", monitor.url());
    let running = office.run().await;
    for minute in 1..=3 {
        office.pass(&running, MINUTE, 10 * SECOND).await;
        in_time(monitor.wait_for(minute)).await;
    }
    break_pbx(&office, &Fault::Html500);
    office.pass(&running, 4 * MINUTE, 10 * SECOND).await;
    let before = monitor.total();
    office.pass(&running, 20 * MINUTE, MINUTE).await;
    assert_eq!(monitor.total(), before);
    office.pbx.clear_faults();
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    in_time(monitor.wait_for(before + 1)).await;
    // A monitor that fails is asked again, and hurts nobody.
    monitor.set_mode(Mode::BigBody(10 << 20));
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    monitor.set_mode(Mode::Reset);
    office.miss("c1");
    office.pass(&running, 3 * MINUTE, 10 * SECOND).await;
    running.stop().await;
    assert_eq!(office.told(), ["call.missed c1"]);
    assert!(
        monitor.received().iter().all(|received| received.method == "GET" && received.path.ends_with("?token=t0ken"))
    );
}

/// The status, the content type and the body.
async fn get(address: &str, path: &str) -> (u16, String, String) {
    let client = ringback::http::client(1).unwrap();
    let request = client.get(format!("http://{address}{path}"));
    let answer = ringback::http::exchange(request, 1 << 20, 10 * SECOND).await.unwrap();
    let kind = answer.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
    (answer.status.as_u16(), kind.unwrap_or_default(), answer.text_lossy())
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn readyz_names_what_does_not_move_while_healthz_only_says_that_we_live() {
    let mut office = Office::new();
    office.listen = free_address();
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    let running = office.run().await;
    office.pass(&running, MINUTE, 10 * SECOND).await;
    assert_eq!(get(&office.listen, "/readyz").await.0, 200);
    // A receiver that wants to be left alone for an hour: what is due is not attempted.
    office.webhook.set_mode(Mode::StatusWith(429, vec![("Retry-After".into(), "3600".into())], String::new()));
    office.miss("c1");
    office.pass(&running, 3 * MINUTE, 30 * SECOND).await;
    break_pbx(&office, &Fault::Html500);
    office.pass(&running, 10 * MINUTE, MINUTE).await;
    let (status, kind, body) = get(&office.listen, "/readyz").await;
    assert_eq!((status, kind.as_str()), (503, "application/json"));
    let body: Value = serde_json::from_str(&body).unwrap();
    let reasons: Vec<&str> =
        body["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap()).collect();
    for part in ["account `main`: calls not read for", "account `main`: voicemails not read for", "channel `crm`"] {
        assert!(reasons.iter().any(|reason| reason.contains(part)), "{reasons:?}");
    }
    assert_eq!((body["ready"].as_bool(), reasons.len()), (Some(false), 3));
    assert_eq!(get(&office.listen, "/healthz").await.0, 200);
    office.pbx.clear_faults();
    office.webhook.set_mode(Mode::Ok);
    office.pass(&running, HOUR, MINUTE).await;
    let (status, _, body) = get(&office.listen, "/readyz").await;
    assert_eq!((status, body.as_str()), (200, r#"{"ready":true,"reasons":[]}"#));
    running.stop().await;
}

#[tokio::test]
async fn a_delivery_that_waits_for_its_next_attempt_is_not_overdue() {
    let mut office = Office::new();
    office.listen = free_address();
    office.routes = "[{notify: crm}]".to_owned();
    office.once().await;
    office.webhook.set_mode(Mode::Status(500));
    office.miss("c1");
    let running = office.run().await;
    office.pass(&running, 2 * HOUR, MINUTE).await;
    let (status, _, body) = get(&office.listen, "/readyz").await;
    assert_eq!(status, 200, "{body}");
    running.stop().await;
}

/// The samples of a scrape, by name and labels, read as strictly as text format 0.0.4 is written: every sample after
/// its own HELP and TYPE, every family in one block.
fn samples(text: &str) -> Vec<(String, String, f64)> {
    let mut samples = Vec::new();
    let mut family = (String::new(), String::new());
    let mut seen = std::collections::BTreeSet::new();
    assert!(text.ends_with('\n') && !text.contains("# EOF") && !text.contains("\n\n"));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(seen.insert(name.to_owned()) && !help.is_empty(), "{line}");
            family = (name.to_owned(), String::new());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name == family.0 && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            kind.clone_into(&mut family.1);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels));
            let base = match family.1.as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap(),
                _ => name,
            };
            assert_eq!(base, family.0, "{line}");
            assert!(name.starts_with("ringback_"), "{line}");
            samples.push((name.to_owned(), labels.trim_end_matches('}').to_owned(), value.parse().unwrap()));
        }
    }
    samples
}

#[tokio::test]
async fn a_scrape_shows_every_metric_of_the_contract_with_its_labels() {
    let mut office = Office::new();
    office.listen = free_address();
    office.once().await;
    office.leave_voicemail("v1");
    office.miss("c1");
    office.webhook.push_mode(Mode::Status(410), 1);
    let running = office.run().await;
    office.pass(&running, 3 * MINUTE, 30 * SECOND).await;
    let (status, kind, text) = get(&office.listen, "/metrics").await;
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    let samples = samples(&text);
    let allowed = ["account", "source", "channel", "type", "outcome", "state", "version", "le"];
    for (name, labels, _) in &samples {
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            assert!(allowed.contains(&label.split('=').next().unwrap()), "{name} {labels}");
        }
    }
    let value = |name: &str, labels: &[&str]| {
        let fits = |found: &str| labels.iter().all(|label| found.contains(label));
        samples.iter().filter(|(found, all, _)| found == name && fits(all)).map(|(.., value)| value).sum::<f64>()
    };
    let (main, calls, crm) = (r#"account="main""#, r#"source="calls""#, r#"channel="crm""#);
    assert!(value("ringback_polls_total", &[main, calls, r#"outcome="ok""#]) >= 3.0);
    assert!(value("ringback_poll_duration_seconds_count", &[main, calls]) >= 3.0);
    let last = value("ringback_last_poll_success_timestamp_seconds", &[main, calls]);
    assert!((office.now().as_second() as f64 - last).abs() < 61.0, "{last}");
    assert!(value("ringback_events_total", &[main, r#"type="voicemail.new""#]) >= 1.0);
    let zero = |name: &str, labels: &[&str]| {
        assert!(
            samples.iter().any(|(found, all, _)| found == name && labels.iter().all(|label| all.contains(label))),
            "{name}"
        );
        assert!(value(name, labels).abs() < 0.5, "{name}");
    };
    zero("ringback_malformed_records_total", &[main, calls]);
    zero("ringback_oldest_due_seconds", &[crm]);
    zero("ringback_channel_paused", &[crm]);
    zero("ringback_outbox_deliveries", &[crm, r#"state="pending""#]);
    let is = |name: &str, labels: &[&str], wanted: f64| {
        assert!((value(name, labels) - wanted).abs() < 0.5, "{name} {labels:?}: {}", value(name, labels));
    };
    is("ringback_outbox_deliveries", &[crm, r#"state="dead""#], 1.0);
    is("ringback_deliveries_total", &[crm, r#"outcome="dead""#], 1.0);
    is("ringback_deliveries_total", &[crm, r#"outcome="delivered""#], 1.0);
    is("ringback_delivery_latency_seconds_count", &[crm], 1.0);
    assert!(value("ringback_recording_urls_total", &[main, r#"outcome="minted""#]) >= 1.0);
    is("ringback_build_info", &[concat!("version=\"", env!("CARGO_PKG_VERSION"), "\"")], 1.0);
    running.stop().await;
    // After a restart the dead one is counted once.
    let running = office.run().await;
    office.pass(&running, MINUTE, 30 * SECOND).await;
    let (_, _, text) = get(&office.listen, "/metrics").await;
    assert!(text.contains("ringback_outbox_deliveries{channel=\"crm\",state=\"dead\"} 1\n"), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn a_reload_neither_repeats_what_was_told_nor_forgets_whom_to_tell_its_end() {
    let mut office = office("mail");
    office.once().await;
    office.pbx.fault(Endpoint::Voicemails, Fault::Html500, FOR_EVER);
    let running = office.run().await;
    office.pass(&running, 15 * MINUTE, MINUTE).await;
    assert_eq!(subjects(&office, 1).await.len(), 1);
    office.extra = "health: {after: 10m, notify: [mail, slack]}".to_owned();
    running.reload(office.config()).await.unwrap();
    office.pass(&running, 15 * MINUTE, MINUTE).await;
    // Slack is new to it, and is told what holds.
    assert_eq!((office.mail.received().len(), office.slack.accepted()), (1, 1));
    office.pbx.clear_faults();
    office.pass(&running, 10 * MINUTE, MINUTE).await;
    assert_eq!((subjects(&office, 2).await.len(), office.slack.accepted()), (2, 2));
    running.stop().await;
}

#[tokio::test]
async fn a_full_disk_is_told_past_the_store_once_and_once_when_there_is_room_and_stops_the_heart() {
    let mut office = Office::new();
    let Some(disk) = Disk::in_memory(&office.folder.path().join("store"), 6144) else { return };
    let monitor = HttpReceiver::start(office.clock.clone(), Kind::Plain).unwrap();
    let url = monitor.url();
    office.extra = format!("health: {{after: 10m, notify: [mail, slack, crm], heartbeat_url: '{url}'}}");
    let running = office.run().await;
    office.pass(&running, 2 * MINUTE, 10 * SECOND).await;
    in_time(monitor.wait_for(2)).await;
    disk.fill();
    // There is still room in the last page of the file that is written to.
    while running.store().ping().await.is_ok() {}
    let beats = monitor.total();
    office.pass(&running, 9 * MINUTE, 30 * SECOND).await;
    assert_eq!(notices(&office), Vec::<Value>::new());
    office.pass(&running, 20 * MINUTE, MINUTE).await;
    let told = notices(&office);
    assert_eq!((told.len(), &told[0]["data"]["condition"]), (1, &"store_unwritable".into()));
    assert!(told[0]["data"]["reason"].as_str().unwrap().contains("No space left"), "{}", told[0]);
    in_time(office.mail.wait_for(1)).await;
    assert_eq!((office.slack.accepted(), monitor.total()), (1, beats));
    disk.make_room();
    office.pass(&running, 10 * MINUTE, 30 * SECOND).await;
    let told = notices(&office);
    assert_eq!((told.len(), &told[1]["type"]), (2, &"health.recovered".into()), "{told:?}");
    assert_eq!((subjects(&office, 2).await.len(), office.slack.accepted()), (2, 2));
    in_time(monitor.wait_for(beats + 1)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_notice_is_tried_under_one_id_and_not_before_the_receiver_allows() {
    let office = office("crm");
    office.once().await;
    office.pbx.fault(Endpoint::Voicemails, Fault::Html500, FOR_EVER);
    let busy = vec![("Retry-After".to_owned(), "300".to_owned())];
    office.webhook.push_mode(Mode::StatusWith(429, busy, String::new()), 1);
    office.webhook.push_mode(Mode::Status(500), 2);
    let running = office.run().await;
    office.pass(&running, 30 * MINUTE, MINUTE).await;
    running.stop().await;
    let tries = office.webhook.received();
    let after: Vec<u64> = tries.iter().map(|one| (one.at.tick.as_secs() - tries[0].at.tick.as_secs()) / 60).collect();
    assert_eq!(after, [0, 5, 6, 7]);
    for one in &tries {
        assert_eq!((one.header("webhook-id"), &one.body), (tries[0].header("webhook-id"), &tries[0].body));
    }
}

#[tokio::test]
async fn a_notice_that_is_refused_for_good_is_not_repeated() {
    let office = office("crm");
    office.once().await;
    office.pbx.fault(Endpoint::Voicemails, Fault::Html500, FOR_EVER);
    office.webhook.set_mode(Mode::Status(404));
    let running = office.run().await;
    office.pass(&running, HOUR, MINUTE).await;
    running.stop().await;
    assert_eq!(office.webhook.total(), 1);
}
