//! No secret is in any log line at any level, nor in any stored row, whatever goes wrong; people are masked.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Fault, Limits, PbxOptions, SimCall, SimVoicemail};
use ringback::sim::receiver::Mode;
use ringback::sim::smtp::{SmtpFault, SmtpOptions, SmtpReceiver, Stage};

use crate::binary::{LIMIT, configure, start};
use crate::harness::{Office, WEBHOOK_SECRET};

const KEY: &str = "K12345678/1234+5678-4321=123456789012";
const PASSWORD: &str = "pa55/Word+geheim=";
const URL_TOKEN: &str = "hook-t0ken-4711-abcdef";
const QUERY_TOKEN: &str = "query+t0ken/0815=ghijkl";
const SLACK_TOKEN: &str = "XsLaCkT0kenXsLaCkT0ken99";
const HEADER: &str = "Bearer header+t0ken/1234567890";

const NUMBER: &str = "05321112233";
const NAME: &str = "Mehmet Gizlioğlu";

/// As they are, percent-encoded, and as SMTP writes them.
fn secrets() -> Vec<String> {
    let plain = BASE64.encode(format!("\0santral\0{PASSWORD}"));
    let coded = [BASE64.encode(PASSWORD), plain];
    let texts = [KEY, PASSWORD, URL_TOKEN, QUERY_TOKEN, SLACK_TOKEN, HEADER, WEBHOOK_SECRET].map(str::to_owned);
    let secrets: Vec<String> = texts.into_iter().chain(coded).chain([HEADER.replace("Bearer ", "")]).collect();
    secrets.iter().flat_map(|text| [text.clone(), encoded(text)]).collect()
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn yaml(office: &Office) -> String {
    let host = |url: &str| url.split('/').nth(2).unwrap().to_owned();
    format!(
        "accounts: [{{name: main, api_key: '{KEY}', base_url: '{pbx}', timeout: 500ms}}]
watch: {{missed_calls: {{grace: 0s}}}}
delivery: {{timeout: 500ms}}
channels:
  - name: mail
    type: email
    smtp: {{host: {host}, port: {port}, security: none, username: santral, password: '{PASSWORD}'}}
    from: santral@example.com
    to: ofis@example.com
  - {{name: slack, type: slack, webhook_url: 'http://{slack}/services/T0/B0/{SLACK_TOKEN}', rate: 1e10}}
  - name: crm
    type: webhook
    url: 'http://{webhook}/hooks/{URL_TOKEN}?token={token}'
    headers: {{Authorization: '{HEADER}'}}
    secret: {WEBHOOK_SECRET}
store: {{path: store}}
http: {{listen: 'off'}}
routes: [{{notify: [mail, slack, crm]}}]
",
        pbx = office.pbx.base_url(),
        host = office.mail.address().ip(),
        port = office.mail.address().port(),
        slack = host(office.slack.url()),
        webhook = host(office.webhook.url()),
        token = encoded(QUERY_TOKEN),
    )
}

fn office() -> Office {
    let options = PbxOptions { key: KEY.to_owned(), limits: Limits::NONE, ..PbxOptions::default() };
    let mut office = Office::on(Clock::system(), options);
    let auth = Some(("santral".to_owned(), PASSWORD.to_owned()));
    office.mail = SmtpReceiver::start(office.clock.clone(), SmtpOptions { auth, ..SmtpOptions::default() }).unwrap();
    configure(office.folder.path(), &yaml(&office));
    office
}

/// A call and a voicemail of one person, and what the process says while it tells of them.
fn once(office: &Office, n: usize) -> String {
    let now = office.now();
    let (number, name) = (NUMBER.to_owned(), Some(NAME.to_owned()));
    let mut call = SimCall::missed(format!("c{n}"), now, Duration::from_secs(5));
    (call.caller_number, call.caller_name) = (number.clone(), name.clone());
    office.pbx.add_call(call);
    let length = Duration::from_secs(3);
    let mut voicemail = SimVoicemail::unread(format!("v{n}"), now.checked_sub(length).unwrap(), length);
    (voicemail.caller_number, voicemail.caller_name) = (number, name);
    office.pbx.add_voicemail(voicemail);
    let variables = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")];
    let arguments = ["--log-format", "json", "once"];
    let ended = start(office.folder.path(), &arguments, &variables).end(LIMIT);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{n}: {:?} {}", ended.code, ended.stderr);
    assert!(ended.stderr.contains("\"TRACE\""), "{n}: the test sees what is logged");
    ended.stdout + &ended.stderr
}

/// The URLs of recordings that the webhook was sent, whole and their last part.
fn minted(office: &Office) -> Vec<String> {
    let received = office.webhook.received();
    let urls = received
        .iter()
        .filter_map(|received| Some(received.json().unwrap()["data"]["recording"]["url"].as_str()?.to_owned()));
    urls.flat_map(|url| [url.rsplit('/').next().unwrap().to_owned(), encoded(&url), url]).collect()
}

/// Every byte under `folder` as text, damaged where it is none.
fn stored(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            text += &stored(&entry.path());
        } else {
            text += &String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap());
        }
    }
    text
}

fn assert_none(what: &str, text: &str, secrets: &[String]) {
    for secret in secrets {
        if let Some(line) = text.lines().find(|line| line.contains(secret.as_str())) {
            let line: String = line.chars().take(600).collect();
            panic!("{what}: `{secret}` in {line}");
        }
    }
}

/// Lines above DEBUG, and lines that are no JSON: those of a panic.
fn above_debug(log: &str) -> String {
    let loud = |line: &&str| {
        let line: Result<serde_json::Value, _> = serde_json::from_str(line);
        line.map_or(true, |line| !matches!(line["level"].as_str(), Some("DEBUG" | "TRACE")))
    };
    log.lines().filter(loud).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_minted_url_is_logged_or_stored_whatever_goes_wrong() {
    let office = office();
    let mut log = once(&office, 0);
    assert_eq!(office.webhook.accepted(), 2, "{log}");
    // Each receiver echoes what it was sent: its own tokens, and messages.
    let urls: Vec<String> = minted(&office).into_iter().filter(|text| text.contains("http")).collect();
    let message = format!("{{\"url\":\"{}\"}} {} {NUMBER} {NAME}", urls[0], urls.join(" "));
    let crm = format!("/hooks/{URL_TOKEN}?token={} {QUERY_TOKEN} {HEADER} {message}", encoded(QUERY_TOKEN));
    let slack = format!("/services/T0/B0/{SLACK_TOKEN} {}", urls.join(" "));
    let mut modes: Vec<[Mode; 2]> = [400, 401, 429, 503, 302]
        .map(|status| [&crm, &slack].map(|echo| Mode::StatusWith(status, Vec::new(), echo.clone())))
        .into();
    let silent = [Mode::Hang, Mode::Drip, Mode::Reset, Mode::Garbage, Mode::BigBody(100_000)];
    modes.extend(silent.map(|mode| [mode.clone(), mode]));
    let reply = |code: u16| {
        SmtpFault::Reply(
            code,
            format!("5.0.0 {PASSWORD} {} {}", encoded(PASSWORD), BASE64.encode(format!("\0santral\0{PASSWORD}"))),
        )
    };
    let faults = [reply(550), reply(535), reply(451), reply(421), SmtpFault::Hang, SmtpFault::Reset];
    let stages = [Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::EndOfData];
    for (n, [crm, slack]) in modes.into_iter().enumerate() {
        office.webhook.set_mode(crm);
        office.slack.set_mode(slack);
        office.mail.clear_faults();
        office.mail.fault(stages[n % stages.len()].clone(), faults[n % faults.len()].clone(), usize::MAX);
        log += &once(&office, n + 1);
    }
    office.webhook.set_mode(Mode::Ok);
    office.slack.set_mode(Mode::Ok);
    office.mail.clear_faults();
    let echoed = |status| Fault::Status(status, format!("Gecersiz anahtar: {KEY} {}", encoded(KEY)), Vec::new());
    // What is worth another try is tried again after ten seconds when a URL is minted: it meets the lists only.
    let for_good = [Fault::BadKeyEcho, echoed(400), echoed(302), echoed(200), Fault::Garbage];
    let passing = [echoed(500), echoed(429), Fault::Hang, Fault::Reset, Fault::Truncate, Fault::Html500];
    let minting = for_good.clone().map(|fault| (fault, [Endpoint::RecordingUrl, Endpoint::VoicemailRecordingUrl]));
    let listing = for_good.into_iter().chain(passing).map(|fault| (fault, [Endpoint::Cdrs, Endpoint::Voicemails]));
    for (n, (fault, endpoints)) in minting.into_iter().chain(listing).enumerate() {
        for endpoint in endpoints {
            office.pbx.fault(endpoint, fault.clone(), 1);
        }
        log += &once(&office, n + 100);
        office.pbx.clear_faults();
    }
    let minted = minted(&office);
    assert!(minted.len() > 10, "URLs were minted");
    let secrets: Vec<String> = secrets().into_iter().chain(minted).collect();
    assert_none("the log", &log, &secrets);
    let people = [NUMBER, "5321112233", "0532 111 22 33", NAME, "Gizlio"].map(str::to_owned);
    assert_none("the log above DEBUG", &above_debug(&log), &people);
    let store = stored(&office.folder.path().join("store"));
    assert!(store.contains(NUMBER), "the test reads what is stored");
    assert_none("the store", &store, &secrets);
}
