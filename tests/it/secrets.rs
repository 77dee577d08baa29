//! No secret is in any log line at any level, nor in any stored row, whatever goes wrong; people are masked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};
use ringback::clock::Clock;
use ringback::config;
use ringback::sim::pbx::{Endpoint, Fault, Limits, PbxOptions, SimCall, SimVoicemail};
use ringback::sim::receiver::{BOT_TOKEN, CHANNEL_ID, Mode};
use ringback::sim::smtp::{SmtpFault, SmtpOptions, SmtpReceiver, Stage};

use crate::binary::{Ended, LIMIT, configure, start};
use crate::harness::{Office, WEBHOOK_SECRET};
use crate::layering::sources;

const KEY: &str = "K12345678/1234+5678-4321=123456789012";
const PASSWORD: &str = "pa55/Word+geheim=";
const URL_TOKEN: &str = "hook-t0ken-4711-abcdef";
const QUERY_TOKEN: &str = "query+t0ken/0815=ghijkl";
const SLACK_TOKEN: &str = "XsLaCkT0kenXsLaCkT0ken99";
const HEADER: &str = "Bearer header+t0ken/1234567890";
const BEAT_TOKEN: &str = "beat-t0ken-0815-mnopqr";

const NUMBER: &str = "05321112233";
const NAME: &str = "Mehmet Gizlioğlu";

/// What people may ask for while or after things go wrong. A command that shows something of the store or the
/// configuration belongs here: what it prints is searched for secrets.
const ASKED: [&[&str]; 12] = [
    &["check"],
    &["check", "--online"],
    &["deliveries", "list", "--json", "--reveal"],
    &["events", "list", "--reveal"],
    &["store", "export"],
    &["render", "mail"],
    &["render", "slack", "--event", "voicemail.new"],
    &["render", "crm"],
    &["send-test"],
    &["schema"],
    &["once"],
    &["run", "--help"],
];

/// Of these the people are searched for too.
const MASKED: [&[&str]; 5] = [
    &["deliveries", "list"],
    &["deliveries", "list", "--json"],
    &["deliveries", "list", "--state", "dead"],
    &["events", "list"],
    &["events", "list", "--open", "--json"],
];

/// What a browser or Prometheus may ask for. As with [`ASKED`].
const SERVED: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/"];

/// Each secret in every spelling in which something else may carry it on.
fn secrets() -> Vec<String> {
    let plain = BASE64.encode(format!("\0santral\0{PASSWORD}"));
    let texts = [KEY, PASSWORD, URL_TOKEN, QUERY_TOKEN, SLACK_TOKEN, BOT_TOKEN, HEADER, BEAT_TOKEN, WEBHOOK_SECRET];
    let texts = texts.map(str::to_owned);
    let bare = [HEADER.replace("Bearer ", ""), WEBHOOK_SECRET.replace("whsec_", ""), plain, BOT_TOKEN[5..].to_owned()];
    texts.into_iter().chain(bare).flat_map(|text| spellings(&text)).collect()
}

/// As it is, percent-encoded in two ways, base64 in two alphabets, escaped as in JSON, and as a list of bytes.
fn spellings(text: &str) -> Vec<String> {
    let every = text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let json = serde_json::to_string(text).unwrap();
    let slashes = text.replace('/', "\\/");
    let bytes = format!("{:?}", text.as_bytes());
    let spellings = [
        text.to_owned(),
        encoded(text),
        encoded(text).to_ascii_lowercase(),
        every,
        BASE64.encode(text),
        BASE64_URL.encode(text),
        json.trim_matches('"').to_owned(),
        slashes,
        bytes.trim_matches(['[', ']']).to_owned(),
    ];
    spellings.into()
}

/// One person in every notation, none of which is for a log above DEBUG.
fn people() -> Vec<String> {
    let numbers = ["05321112233", "5321112233", "0532 111 22 33", "532 111 22 33", "0532-111-22-33", "(0532)"];
    let names = [NAME, "Gizlio", "Gİzlİo", "GİZLİO", "Mehmet Giz"];
    let texts = numbers.into_iter().chain(names);
    texts.flat_map(|text| [text.to_owned(), encoded(text), BASE64.encode(text)]).collect()
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
health: {{after: 1s, notify: [mail, slack, crm], heartbeat_url: 'https://beat.example/{BEAT_TOKEN}'}}
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

/// The same with a bot instead of Slack's webhook.
fn yaml_of_bot(office: &Office) -> String {
    let (before, after) = ("webhook_url: 'http://", format!("/services/T0/B0/{SLACK_TOKEN}'"));
    let bot = format!("bot_token: '{BOT_TOKEN}', channel: {CHANNEL_ID}, api_url: 'http://");
    with(&with(&yaml(office), before, &bot), &after, "/api'")
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
    let format = if n.is_multiple_of(2) { "json" } else { "text" };
    let ended = ask(office, &["--log-format", format, "once"]);
    assert!(matches!(ended.code, Some(0 | 1 | 3)), "{n}: {:?} {}", ended.code, ended.stderr);
    assert!(ended.stderr.contains("TRACE"), "{n}: the test sees what is logged");
    ended.stdout + &ended.stderr
}

/// A command that says all that it can.
fn ask(office: &Office, arguments: &[&str]) -> Ended {
    start(office.folder.path(), arguments, &VARIABLES).end(LIMIT)
}

const VARIABLES: [(&str, &str); 2] = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")];

/// The URLs of recordings that the webhook was sent, whole and their last part.
fn minted(office: &Office) -> Vec<String> {
    let received = office.webhook.received();
    let urls = received
        .iter()
        .filter_map(|received| Some(received.json().unwrap()["data"]["recording"]["url"].as_str()?.to_owned()));
    urls.flat_map(|url| [url.rsplit('/').next().unwrap().to_owned(), encoded(&url), url]).collect()
}

/// Every byte under `folder` as text, damaged where it is none; but for the configuration, where the secrets are from.
fn stored(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_name() == "config.yaml" {
            continue;
        }
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

/// Lines above DEBUG in either format, and lines without a level: those of a panic, and of a message that breaks.
fn above_debug(log: &str) -> String {
    let loud = |line: &&str| {
        let level = match serde_json::from_str::<serde_json::Value>(line) {
            Ok(line) => line["level"].as_str().unwrap_or_default().to_owned(),
            Err(_) => line.split_whitespace().nth(1).unwrap_or_default().to_owned(),
        };
        !matches!(level.as_str(), "DEBUG" | "TRACE")
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
    let mut modes: Vec<[Mode; 2]> = [400, 401, 403, 404, 429, 500, 503, 302]
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
    let for_good = for_good.into_iter().chain([echoed(401), echoed(403), echoed(404)]);
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
    assert_kept(&office, &log);
}

/// No secret is in what was said, nor in any file, and no person in what is said to everybody.
fn assert_kept(office: &Office, said: &str) {
    let minted = minted(office);
    assert!(minted.len() > 3, "URLs were minted");
    let secrets: Vec<String> = secrets().into_iter().chain(minted).collect();
    assert_none("what was said", said, &secrets);
    assert_none("the log above DEBUG", &above_debug(said), &people());
    let stored = stored(office.folder.path());
    assert!(stored.contains(NUMBER), "the test reads what is stored");
    assert_none("what is stored", &stored, &secrets);
}

/// `yaml` with `from` replaced, which is there.
fn with(yaml: &str, from: &str, to: &str) -> String {
    assert!(yaml.contains(from), "{from}");
    yaml.replace(from, to)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_by_what_is_refused_for_a_wrong_secret_or_cannot_be_reached() {
    let office = office();
    let right = yaml(&office);
    let mut log = once(&office, 0);
    let pbx = office.pbx.base_url();
    let (wrong_key, tls) = (PbxOptions::default().key, |url: &str| url.replacen("http://", "https://", 1));
    assert_ne!(wrong_key, KEY);
    office.pbx.configure(|options| options.key = wrong_key);
    log += &once(&office, 1);
    office.pbx.configure(|options| options.key = KEY.to_owned());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("http://{closed}");
    let host = office.webhook.url().split('/').nth(2).unwrap();
    for (n, yaml) in [
        with(&right, pbx, &tls(pbx)),
        with(&right, pbx, &gone),
        with(&right, "security: none", "security: tls"),
        with(&right, "security: none", "security: starttls"),
        with(&right, &format!("port: {}", office.mail.address().port()), &format!("port: {}", closed.port())),
        with(&right, &format!("http://{host}"), &format!("https://{host}")),
        with(&right, host, &closed.to_string()),
        with(&right, host, "no-such-host.invalid"),
    ]
    .into_iter()
    .enumerate()
    {
        configure(office.folder.path(), &yaml);
        log += &once(&office, n + 10);
    }
    configure(office.folder.path(), &right);
    // The server knows another password, and says which one it was given.
    let auth = Some(("santral".to_owned(), "another".to_owned()));
    let mail = SmtpReceiver::start(office.clock.clone(), SmtpOptions { auth, ..SmtpOptions::default() }).unwrap();
    let reply = format!("5.7.8 no {PASSWORD} {}", BASE64.encode(PASSWORD));
    mail.fault(Stage::Auth, SmtpFault::Reply(535, reply), usize::MAX);
    let port = |mail: &SmtpReceiver| format!("port: {}", mail.address().port());
    configure(office.folder.path(), &with(&right, &port(&office.mail), &port(&mail)));
    log += &once(&office, 30);
    assert_kept(&office, &log);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_bot_is_logged_shown_and_stored_nowhere() {
    let office = office();
    configure(office.folder.path(), &yaml_of_bot(&office));
    let mut log = once(&office, 0);
    assert_eq!(office.slack.posts().len(), 2, "{log}");
    let echo = format!("Bearer {BOT_TOKEN} {} {}", encoded(BOT_TOKEN), &BOT_TOKEN[5..]);
    let json = format!("{{\"ok\": false, \"error\": \"{echo}\"}}");
    for (n, (status, body)) in [(200, &json), (200, &echo), (400, &echo), (401, &json), (503, &echo)].iter().enumerate()
    {
        office.slack.set_mode(Mode::StatusWith(*status, Vec::new(), (*body).clone()));
        log += &once(&office, n + 1);
    }
    office.slack.set_mode(Mode::Hang);
    log += &once(&office, 10);
    assert_kept(&office, &log);
    assert_none("what is shown", &all_that_is_shown(&office), &secrets());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_by_a_template_that_fails_or_a_store_that_is_damaged() {
    let office = office();
    let folder = office.folder.path();
    let mut log = once(&office, 0);
    // It fails with the data of some events only: at run time, not when it is loaded.
    for (name, text) in [
        ("tr/email/call.missed.txt.hbs", "{{recording.url.x}} {{date caller.name}}"),
        ("tr/slack/call.missed.json.hbs", "{\"text\": {{caller.name}}}"),
        ("tr/email/voicemail.new.html.hbs", "{{date recording.url}}"),
    ] {
        let path = folder.join("templates").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    configure(folder, &format!("templates: templates\n{}", yaml(&office)));
    log += &once(&office, 1);
    assert!(log.contains("voicemail.new.html.hbs"), "a template failed");
    std::fs::write(folder.join("templates/tr/email/call.missed.txt.hbs"), "{{#if").unwrap();
    for command in [["once"], ["check"]] {
        let ended = ask(&office, &command);
        assert_eq!(ended.code, Some(2));
        log += &(ended.stdout + &ended.stderr);
    }
    configure(folder, &yaml(&office));
    for (n, damage) in [b"x".repeat(4096), Vec::new(), b"\0".repeat(100_000)].into_iter().enumerate() {
        damage_store(&folder.join("store"), &damage);
        log += &once(&office, n + 2);
    }
    assert!(log.contains("set aside"), "{log}");
    assert_kept(&office, &log);
}

/// Puts `damage` over the first half of every file of the store but its lock.
fn damage_store(store: &Path, damage: &[u8]) {
    for entry in std::fs::read_dir(store).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            damage_store(&entry.path(), damage);
        } else if entry.file_name() != "lock" {
            let bytes = std::fs::read(entry.path()).unwrap();
            let half = bytes.len() / 2;
            let over: Vec<u8> = damage.iter().copied().take(half).chain(bytes[half..].iter().copied()).collect();
            std::fs::write(entry.path(), over).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_to_whoever_asks_what_ringback_knows_and_does() {
    let office = office();
    let mut log = once(&office, 0);
    let crm = format!("/hooks/{URL_TOKEN}?token={} {HEADER}", encoded(QUERY_TOKEN));
    office.webhook.set_mode(Mode::StatusWith(503, Vec::new(), crm));
    office.slack.set_mode(Mode::StatusWith(404, Vec::new(), format!("/services/T0/B0/{SLACK_TOKEN}")));
    office.mail.fault(Stage::EndOfData, SmtpFault::Reply(550, format!("5.0.0 {PASSWORD}")), usize::MAX);
    log += &once(&office, 1);
    let mut shown = all_that_is_shown(&office);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    configure(office.folder.path(), &with(&yaml(&office), "listen: 'off'", &format!("listen: '{port}'")));
    let running = start(office.folder.path(), &["--log-format", "text", "run"], &VARIABLES);
    let mut served = String::new();
    for path in SERVED {
        served += &get(port, path);
    }
    assert!(served.contains("ringback_build_info"), "{served}");
    // Now by the control socket.
    shown += &all_that_is_shown(&office);
    for wrong in [format!("['{KEY}', 1]"), format!("'{KEY} {KEY}'"), format!("'{KEY}', {KEY}")] {
        let before = running.stderr().matches("stays in force").count();
        configure(office.folder.path(), &with(&yaml(&office), &format!("'{KEY}'"), &wrong));
        running.signal("HUP");
        let clock = Clock::system();
        while running.stderr().matches("stays in force").count() == before {
            assert!(clock.tick() < LIMIT, "the reload was not refused: {}", running.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    running.signal("TERM");
    let ended = running.end(LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let said = [log, shown, served, ended.stdout, ended.stderr].concat();
    let secrets = secrets();
    assert_none("what was said", &said, &secrets);
    assert_none("what is stored", &stored(office.folder.path()), &secrets);
}

/// What every command of [`ASKED`] and [`MASKED`] prints.
fn all_that_is_shown(office: &Office) -> String {
    let mut shown = String::new();
    for command in ASKED.iter().chain(&MASKED) {
        let ended = ask(office, command);
        assert!(ended.code.is_some(), "{command:?}: {}", ended.stderr);
        if MASKED.contains(command) {
            assert_eq!(ended.code, Some(0), "{command:?}: {}", ended.stderr);
            assert!(!ended.stdout.trim().is_empty(), "{command:?} shows something");
            assert_none(&command.join(" "), &ended.stdout, &people());
        }
        shown += &(ended.stdout + &ended.stderr);
    }
    shown
}

/// An answer with its headers. Asks again until somebody listens.
fn get(at: SocketAddr, path: &str) -> String {
    let clock = Clock::system();
    let mut stream = loop {
        match TcpStream::connect(at) {
            Ok(stream) => break stream,
            Err(error) => assert!(clock.tick() < LIMIT, "nobody listens: {error}"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn no_secret_is_shown_by_a_configuration_that_is_wrong() {
    let office = office();
    // With both ways of Slack.
    let bot = yaml_of_bot(&office).lines().find(|line| line.contains("name: slack")).unwrap().to_owned();
    let bot = bot.replace("name: slack", "name: bot");
    let right = with(&yaml(&office), "  - name: crm\n", &format!("{bot}\n  - name: crm\n"));
    let parse = |yaml: &str| config::parse("config.yaml", yaml.as_bytes(), office.folder.path(), &|_| None);
    let secrets = secrets();
    assert_none("a configuration, printed", &format!("{:#?}", parse(&right).unwrap()), &secrets);

    let mut wrong: Vec<String> = Vec::new();
    // Cut off, a character or a line lost, and written as something that it is not.
    let ends = right.char_indices().map(|(at, _)| at);
    wrong.extend(ends.clone().step_by(3).map(|at| right[..at].to_owned()));
    let without =
        |at: usize| [&right[..at], right[at..].split_at(right[at..].chars().next().unwrap().len_utf8()).1].concat();
    wrong.extend(ends.filter(|at| "'{}[]:,\n ".contains(right[*at..].chars().next().unwrap())).map(without));
    for secret in [KEY, PASSWORD, URL_TOKEN, SLACK_TOKEN, BOT_TOKEN, HEADER, WEBHOOK_SECRET] {
        for other in [
            format!("{secret} {secret}"),
            format!("{secret}\u{1}"),
            format!("${{{secret}"),
            format!("${{X:-{secret}\t}}"),
        ] {
            wrong.push(right.replace(secret, &other));
        }
        for quoted in [format!("'{secret}'"), secret.to_owned()] {
            for other in [
                format!("[{quoted}, {quoted}]"),
                format!("{{{quoted}: 1}}"),
                format!("!tag {quoted}"),
                format!("*{secret}"),
                format!("\"{secret}"),
            ] {
                wrong.push(right.replace(&quoted, &other));
            }
        }
    }
    let mut refused = 0;
    for yaml in &wrong {
        if let Err(problems) = parse(yaml) {
            refused += 1;
            assert_none(yaml, &format!("{problems}\n{problems:?}"), &secrets);
        }
    }
    assert!(refused * 2 > wrong.len(), "most of them are wrong: {refused} of {}", wrong.len());
}

/// The files that look behind a secret's mask, and what for. Numbers and names have a list of their own.
const REVEALERS: [(&str, &str); 29] = [
    ("private.rs", "defines it"),
    ("pbx/audio.rs", "fetches what the link leads to"),
    ("pbx/client.rs", "sends the key"),
    ("pbx/crm.rs", "sends the key and the URL of the hook"),
    ("cli/push.rs", "makes the URL of the hook, and shows that of somebody else"),
    ("pbx/error.rs", "masks the key in what the PBX says"),
    ("channel/email.rs", "logs in, and masks the password in what the server says"),
    ("channel/slack.rs", "sends to the URL, and masks it and the token in the answer"),
    ("channel/slack/bot.rs", "sends the token"),
    ("channel/webhook.rs", "sends to the URL, signs, and masks both in the answer"),
    ("cli/online.rs", "names the host of a URL"),
    ("config/check.rs", "looks whether a key can be one"),
    ("config/check/health.rs", "looks whether the URL of the heartbeat can be used"),
    ("config/check/push.rs", "looks whether secret and URL can be used"),
    ("config/check/channels.rs", "looks whether URLs, headers and secrets can be used"),
    ("heartbeat.rs", "asks the URL"),
    ("server/auth.rs", "compares the token"),
    ("server/push/forward.rs", "posts to the URL"),
    ("render/facts.rs", "puts the link, the number and the name into the message"),
    ("render/mod.rs", "makes the thread of a caller's number"),
    ("render/summary.rs", "names the queues and extensions of a day"),
    ("number.rs", "compares numbers"),
    ("names.rs", "finds a caller's number in the phone book"),
    ("pbx/probe.rs", "sends the key"),
    ("pbx/originate.rs", "sends the key, and the number that is to be called"),
    ("server/links/mod.rs", "gives the URL to the program that has pressed"),
    ("server/board/view.rs", "shows number and name to whoever has the token"),
    ("server/links/page.rs", "plays the URL, on the page of whoever has pressed"),
    ("ops/view.rs", "shows an operator who says `--reveal` the number and the name"),
];

#[test]
fn only_files_with_a_reason_look_behind_a_mask() {
    let demo = |path: &str| path.starts_with("cli/demo/") || path.starts_with("sim/");
    let revealing: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.code.contains(".expose()") || source.code.contains("::expose"))
        .map(|source| source.path)
        .collect();
    for path in revealing.iter().filter(|path| !demo(path)) {
        assert!(
            REVEALERS.iter().any(|(known, _)| known == path),
            "src/{path} calls expose()\nhint: keep the mask on, or add the file and what for to REVEALERS"
        );
    }
    for (path, why) in REVEALERS.iter().filter(|(path, _)| *path != "private.rs") {
        assert!(revealing.iter().any(|other| other == path), "src/{path} does not look any more: `{why}` can go");
    }
}
