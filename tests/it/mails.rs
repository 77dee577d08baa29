//! Every kind of mail, read by those who read mails elsewhere: Python's email package, `SpamAssassin`, and a mail server
//! with TLS and a password. `scripts/setup` installs them; without them the tests are skipped, and say so.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ringback::channel::email::{self, Email};
use ringback::channel::{Earlier, Parcel};
use ringback::clock::Clock;
use ringback::condition::{Cause, Condition, News, Notice, PbxTrouble, Reason};
use ringback::event::{Closed, DeliveryId, Event, EventType};
use ringback::message::{ChannelType, Locale, Message};
use ringback::private::Secret;
use ringback::render::{Facts, File, InDigest, Look, Recording, Renderer, samples};
use ringback::sim::pbx::{PbxOptions, SimCall};
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Ended, LIMIT, configure, root, start};
use crate::harness::Office;
use crate::interop::{ask, python, referee};
use crate::tls::{Authority, Certificate};

const URL: &str = "https://api.bulutsantralim.com/recording/R651f8a68-782e-11e7-a6b6-5bedc26e2ab3";

fn now() -> Timestamp {
    "2026-11-22T05:08:29Z".parse().unwrap()
}

fn renderer() -> Renderer {
    Renderer::new(None, TimeZone::get("Europe/Istanbul").unwrap()).unwrap()
}

fn channel() -> Email {
    let config = email::Config {
        smtp: email::Smtp {
            host: "127.0.0.1".to_owned(),
            port: Some(1),
            security: email::Security::None,
            username: None,
            password: None,
        },
        from: "Santral <santral@example.com>".to_owned(),
        to: vec!["Çağrı Işık <ofis@example.com>".to_owned()],
        cc: Vec::new(),
        bcc: vec!["mudur@example.com".to_owned()],
        reply_to: None,
    };
    Email::new("office-mail", &config, 1, Duration::from_secs(1)).unwrap()
}

fn bytes(message: &Message, event: EventType) -> Vec<u8> {
    let id = |event| DeliveryId::derive("main", event, "c1", "office-mail");
    let earlier = (event == EventType::VoicemailNew).then(|| Earlier {
        id: id(EventType::CallMissed),
        memo: None,
        shared: false,
    });
    let parcel = Parcel { id: id(event), message, now: now(), earlier };
    let Message::Email(mail) = message else { panic!("not a mail") };
    channel().letter(parcel, mail).unwrap().chunks().flat_map(std::borrow::Cow::into_owned).collect()
}

fn link() -> Recording {
    Recording::Link { url: Secret::new(URL), expires_at: now() + Duration::from_secs(3600) }
}

/// The mail of one event, with a link where there is audio.
fn told(renderer: &Renderer, locale: Locale, event: &Event, event_type: EventType) -> Message {
    let waited = samples::waited(event_type);
    let facts = Facts { event, event_type, recording: link(), test: false, waited, repeated: None, page: None };
    let rendered = renderer.render(&Look::new(ChannelType::Email, locale), &facts);
    assert_eq!(rendered.failure, None);
    rendered.message
}

/// Each kind of mail that leaves ringback, with a name.
fn every_kind() -> Vec<(String, Vec<u8>)> {
    let renderer = renderer();
    let mut mails = Vec::new();
    for locale in Locale::ALL {
        let look = Look::new(ChannelType::Email, locale);
        let name = |kind: &str| format!("{} {kind}", locale.as_str());
        for event_type in EventType::ALL {
            for (sample, event) in samples::all(event_type, now()).into_iter().take(5) {
                let mail = told(&renderer, locale, &event, event_type);
                mails.push((name(&format!("{event_type} {sample}")), bytes(&mail, event_type)));
            }
            if event_type.is_follow_up() {
                continue;
            }
            let event = samples::event(event_type, now());
            let waited = samples::waited(event_type);
            let facts =
                Facts { event: &event, event_type, recording: link(), test: true, waited, repeated: None, page: None };
            let rendered = renderer.render(&look, &facts);
            let audio = ringback::sim::audio::tone(Duration::from_secs(2), 440.0);
            let (content_type, bytes_) = ("audio/wav".to_owned(), audio.into());
            let file = File { stem: None, extension: "wav", content_type, bytes: bytes_ };
            let attached = renderer.attach(rendered, &look, &facts, file);
            mails.push((name(&format!("{event_type} attached")), bytes(&attached.message, event_type)));
        }
        let events: Vec<Event> =
            samples::all(EventType::CallMissed, now()).into_iter().map(|(_, event)| event).collect();
        let by = [None, Some(Closed::Returned)].into_iter().cycle();
        let rows: Vec<InDigest<'_>> = events
            .iter()
            .zip(by)
            .map(|(event, settled)| InDigest { event, event_type: EventType::CallMissed, settled })
            .collect();
        let digest = renderer.digest(&look, &rows);
        assert_eq!((digest.rows, digest.failure), (rows.len(), None));
        mails.push((name("digest"), bytes(&digest.message, EventType::CallMissed)));
        let reason = Reason::new(Cause::Pbx(PbxTrouble::WrongKey), "HTTP 401: Gecersiz anahtar");
        for (kind, news) in [("failing", News::Failing(reason)), ("recovered", News::Recovered)] {
            let condition = Condition::PbxUnreadable { account: "main".to_owned(), source: None };
            let notice = Notice { covers: vec![condition.clone()], condition, since: now(), at: now(), news };
            let notice = renderer.notice(&look, &notice).message;
            mails.push((name(kind), bytes(&notice, EventType::CallMissed)));
        }
    }
    mails
}

/// The names of the header lines, in lower case.
fn header_names(mail: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(mail).into_owned();
    let head = text.split("\r\n\r\n").next().unwrap();
    let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    lines.map(|line| line.split(':').next().unwrap().to_ascii_lowercase()).collect()
}

#[test]
fn nothing_that_a_caller_is_called_adds_a_header_or_markup() {
    let renderer = renderer();
    let usual = header_names(&bytes(
        &told(&renderer, Locale::Tr, &samples::event(EventType::CallMissed, now()), EventType::CallMissed),
        EventType::CallMissed,
    ));
    assert!(usual.contains(&"list-id".to_owned()) && !usual.contains(&"bcc".to_owned()), "{usual:?}");
    for locale in Locale::ALL {
        for event_type in EventType::ALL {
            for (sample, event) in samples::all(event_type, now()) {
                let message = told(&renderer, locale, &event, event_type);
                let mail = bytes(&message, event_type);
                assert_eq!(header_names(&mail), usual, "{sample}");
                assert!(mail.is_ascii(), "{sample}");
                let Message::Email(mail) = &message else { unreachable!() };
                assert!(!mail.subject.contains(['\r', '\n']), "{sample}");
                let html = &mail.html;
                assert!(!html.contains("<script") && !html.contains("<!channel") && !html.contains("49</"), "{html}");
            }
        }
    }
}

#[test]
fn python_reads_every_kind_of_mail_without_a_defect() {
    let reader = || referee("interop-venv", &python(), "read_mail.py");
    if reader().is_none() {
        return;
    }
    for (kind, mail) in every_kind() {
        read(&kind, &mail, &reader);
    }
}

/// The mail as Python's email package reads it.
fn read(kind: &str, mail: &[u8], reader: &impl Fn() -> Option<Command>) -> Value {
    let (code, stdout, stderr) = ask(reader().unwrap(), mail);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{kind}\n{}", String::from_utf8_lossy(mail));
    let read: Value = serde_json::from_str(&stdout).unwrap();
    let types: Vec<&str> = read["parts"].as_array().unwrap().iter().map(|p| p["type"].as_str().unwrap()).collect();
    let attached: &[&str] = if kind.ends_with("attached") { &["audio/wav"] } else { &[] };
    assert_eq!(types, [&["text/plain", "text/html"], attached].concat(), "{kind}");
    for name in ["from", "to", "subject", "date", "message-id", "in-reply-to", "references", "list-id"] {
        assert_eq!(read["headers"][name].as_array().map_or(0, Vec::len), 1, "{kind}: {name}: {}", read["headers"]);
    }
    assert_eq!(read["headers"]["auto-submitted"][0], "auto-generated", "{kind}");
    assert!(read["headers"]["bcc"].is_null(), "{kind}");
    read
}

#[test]
fn spamassassin_finds_nothing_in_any_kind_of_mail() {
    let Some(mut judge) = spamassassin() else { return };
    let folder = TempDir::new().unwrap();
    let mails = every_kind();
    for (index, (_, mail)) in mails.iter().enumerate() {
        let path = folder.path().join(format!("{index:02}.eml"));
        fs::write(&path, mail).unwrap();
        judge.arg(path);
    }
    // The test mail of all filters for unsolicited bulk mail, without which a judge that looks at nothing would pass.
    let spam = folder.path().join("spam.eml");
    fs::write(&spam, "Subject: x\r\n\r\nXJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n")
        .unwrap();
    judge.arg(spam);
    let (code, stdout, stderr) = ask(judge, b"");
    assert_eq!(code, Some(0), "{stderr}");
    let scores: Vec<&str> = stdout.lines().collect();
    assert_eq!(scores.len(), mails.len() + 1, "{stderr}");
    assert!(scores.last().is_some_and(|line| line.contains("GTUBE")), "{scores:?}");
    for ((kind, _), line) in mails.iter().zip(scores) {
        let score: f64 = line.split(' ').next().unwrap().parse().unwrap();
        assert!(score < 1.0, "{kind}: {line}");
    }
}

fn spamassassin() -> Option<Command> {
    let mut command = Command::new("perl");
    command.arg(root().join("tests/interop/score_mail.pl")).current_dir(root());
    let (code, ..) = ask(Command::new("perl").args(["-e", "require Mail::SpamAssassin"]), b"");
    if code != Some(0) {
        skipped("SpamAssassin");
        return None;
    }
    Some(command)
}

fn skipped(what: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "SKIPPED: no {what}. hint: run scripts/setup");
}

/// chasquid, a mail server of Debian's, in a folder of its own. Dropping it kills it.
struct MailServer {
    child: Child,
    folder: TempDir,
    starttls: u16,
    tls: u16,
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const USER: &str = "santral@example.com";
const PASSWORD: &str = "parola;1";

impl MailServer {
    /// None, loudly, where it is not installed. It knows the users `santral` and `ofis` of example.com.
    fn start(authority: &Authority) -> Option<Self> {
        let programs = root().join("target/chasquid/usr/bin");
        if !programs.join("chasquid").exists() {
            skipped("target/chasquid");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["etc/certs/127.0.0.1", "etc/domains/example.com", "data", "mail"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let (certificate, key) = authority.pem(Certificate::Good);
        fs::write(path("etc/certs/127.0.0.1/fullchain.pem"), certificate).unwrap();
        fs::write(path("etc/certs/127.0.0.1/privkey.pem"), key).unwrap();
        // One file for each mail and recipient, whole from the moment it is there.
        let deliver = "#!/bin/sh\nmkdir -p \"$1/$2\" && cat >\"$1/$2/.$$\" && mv \"$1/$2/.$$\" \"$1/$2/$$.eml\"\n";
        fs::write(path("deliver"), deliver).unwrap();
        fs::set_permissions(path("deliver"), fs::Permissions::from_mode(0o755)).unwrap();
        let [smtp, starttls, tls] = free_ports();
        let shown = |name: &str| path(name).display().to_string();
        let config = format!(
            "hostname: \"127.0.0.1\"\nsmtp_address: \"127.0.0.1:{smtp}\"\n\
             submission_address: \"127.0.0.1:{starttls}\"\nsubmission_over_tls_address: \"127.0.0.1:{tls}\"\n\
             mail_delivery_agent_bin: \"{}\"\nmail_delivery_agent_args: \"{}\"\n\
             mail_delivery_agent_args: \"%to_user%\"\ndata_dir: \"{}\"\nmail_log_path: \"{}\"\n\
             max_data_size_mb: 1\n",
            shown("deliver"),
            shown("mail"),
            shown("data"),
            shown("log"),
        );
        fs::write(path("etc/chasquid.conf"), config).unwrap();
        for user in [USER, "ofis@example.com"] {
            let mut add = Command::new(programs.join("chasquid-util"));
            add.arg(format!("-C={}", shown("etc"))).args(["user-add", user, &format!("--password={PASSWORD}")]);
            let (code, _, stderr) = ask(&mut add, b"");
            assert_eq!(code, Some(0), "{stderr}");
        }
        let child = Command::new(programs.join("chasquid"))
            .arg(format!("-config_dir={}", shown("etc")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(path("stderr")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { child, folder, starttls, tls };
        server.until(|server| {
            let listens = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            listens(server.starttls) && listens(server.tls)
        });
        Some(server)
    }

    /// Waits for another process, at most as long as for a command of ours.
    fn until(&self, holds: impl Fn(&Self) -> bool) {
        let clock = Clock::system();
        while !holds(self) {
            assert!(clock.tick() < LIMIT, "{}", fs::read_to_string(self.folder.path().join("stderr")).unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn mailbox(&self, user: &str) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("mail").join(user)) else { return Vec::new() };
        let files = entries.map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "eml")).collect()
    }
}

/// Ports that nobody listened on just now.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn ringback(folder: &Path, yaml: &str, arguments: &[&str], trusted: &Path) -> Ended {
    configure(folder, yaml);
    start(folder, arguments, &[("SSL_CERT_FILE", trusted.to_str().unwrap())]).end(LIMIT)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_mail_server_takes_our_mails_over_tls_with_a_password_and_delivers_them_whole() {
    let authority = Authority::new();
    let Some(server) = MailServer::start(&authority) else { return };
    let folder = TempDir::new().unwrap();
    let trusted = authority.trusted(folder.path());
    let mut office = Office::on(Clock::system(), PbxOptions::default());
    "grace: 0s".clone_into(&mut office.missed_calls);
    "[{notify: mail}]".clone_into(&mut office.routes);
    "    recording: attach\n    locale: en".clone_into(&mut office.mail_keys);
    let mut call = SimCall::missed("c1", office.now(), Duration::from_secs(20));
    call.caller_name = Some(samples::HOSTILE_NAMES[0].to_owned());
    office.pbx.add_call(call);
    office.leave_voicemail("v1");
    let yaml = |port: u16, security: &str, password: &str| {
        let smtp = format!(
            "smtp: {{host: 127.0.0.1, port: {port}, security: {security}, username: '{USER}', password: '{password}'}}"
        );
        let own = office.mail.address();
        let yaml = office
            .yaml()
            .replace(&format!("smtp: {{host: {}, port: {}, security: none}}", own.ip(), own.port()), &smtp);
        let yaml = yaml.replace(
            "to: ofis@example.com",
            "to: [ofis@example.com, gone@example.com, 'Santral <santral@example.com>']",
        );
        assert!(yaml.contains(&smtp) && yaml.contains("gone@"));
        yaml
    };
    for (port, security) in [(server.starttls, "starttls"), (server.tls, "tls")] {
        let ended = ringback(folder.path(), &yaml(port, security, PASSWORD), &["check", "--online"], &trusted);
        assert!(ended.stdout.contains("channel mail") && ended.code == Some(0), "{security}: {ended:?}");
        let ended = ringback(folder.path(), &yaml(port, security, "wrong"), &["check", "--online"], &trusted);
        assert!(ended.stdout.contains("FAILED: permanent error (535)"), "{security}: {ended:?}");
    }
    // Nobody whom this machine trusts has issued its certificate.
    let ended = start(folder.path(), &["check", "--online"], &[]).end(LIMIT);
    assert!(ended.stdout.contains("was issued by nobody whom this machine trusts"), "{ended:?}");
    let ended = ringback(folder.path(), &yaml(server.starttls, "starttls", PASSWORD), &["once"], &trusted);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("g***@example.com") && !ended.stderr.contains("gone@example.com"), "{ended:?}");
    let ended =
        ringback(folder.path(), &yaml(server.tls, "tls", PASSWORD), &["deliveries", "list", "--json"], &trusted);
    assert!(ended.stdout.contains("g***@example.com: permanent error (550)"), "{ended:?}");
    server.until(|server| ["ofis", "santral"].iter().all(|user| server.mailbox(user).len() == 2));
    let reader = || referee("interop-venv", &python(), "read_mail.py");
    if reader().is_none() {
        return;
    }
    let mut subjects = Vec::new();
    for path in server.mailbox("ofis") {
        let mail = fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&mail).into_owned();
        assert!(text.contains("ESMTPSA") && text.contains("TLS-1.3"), "{text}");
        let kind = if text.contains("multipart/mixed") { "delivered attached" } else { "delivered" };
        let read = read(kind, &mail, &reader);
        if kind.ends_with("attached") {
            assert_eq!(read["parts"][2]["size"], PbxOptions::default().audio.len());
        }
        subjects.push(read["headers"]["subject"][0].as_str().unwrap().to_owned());
    }
    subjects.sort_unstable();
    assert!(subjects[0].starts_with("Missed call: A Bcc: evil@example.com… 0312 123 45 67"), "{subjects:?}");
    assert!(subjects[1].starts_with("New voicemail: "), "{subjects:?}");
    assert_eq!(server.mailbox("gone").len(), 0);
}
