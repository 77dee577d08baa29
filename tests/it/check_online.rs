//! `check --online`: whether they accept us, told apart, without a notification to anybody.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use ringback::clock::Clock;
use ringback::sim::pbx::{Endpoint, Fault, Limits, PbxOptions, PbxSim};
use ringback::sim::receiver::{BOT_TOKEN, CHANNEL_ID, CHANNEL_NAME, HttpReceiver, Kind, Mode};
use ringback::sim::smtp::{SmtpFault, SmtpOptions, SmtpReceiver, Stage};
use tempfile::TempDir;

use crate::binary::{Ended, LIMIT, configure, run, start};
use crate::harness::Office;
use crate::tls::{Authority, Certificate, Front};

const KEY: &str = "K12345678/1234+5678-4321=123456789012";
const PASSWORD: &str = "pa55/Word+geheim=";
const TOKEN: &str = "hook-t0ken-4711-abcdef";

fn clock() -> Clock {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Clock::system()
}

fn pbx() -> PbxSim {
    PbxSim::start(clock(), PbxOptions { key: KEY.to_owned(), ..PbxOptions::default() }).unwrap()
}

fn receiver(mode: Mode) -> HttpReceiver {
    let receiver = HttpReceiver::start(clock(), Kind::Plain).unwrap();
    receiver.set_mode(mode);
    receiver
}

fn mail(auth: bool) -> SmtpReceiver {
    let auth = auth.then(|| ("santral".to_owned(), PASSWORD.to_owned()));
    SmtpReceiver::start(clock(), SmtpOptions { auth, ..SmtpOptions::default() }).unwrap()
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn host_of(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}

/// A configuration of these accounts and channels, one a line.
fn yaml(accounts: &[String], channels: &[String]) -> String {
    let list = |items: &[String]| format!("  - {{{}}}", items.join("}\n  - {"));
    format!(
        "delivery: {{timeout: 10s}}\naccounts:\n{}\nchannels:\n{}\nroutes: [{{mute: true}}]\nhttp: {{listen: 'off'}}\n",
        list(accounts),
        list(channels)
    )
}

fn account(name: &str, url: &str) -> String {
    format!("name: {name}, api_key: '{KEY}', base_url: '{url}'")
}

fn webhook(name: &str, url: &str) -> String {
    format!("name: {name}, type: webhook, url: '{url}'")
}

fn email(name: &str, address: SocketAddr, more: &str) -> String {
    let (host, port) = (address.ip(), address.port());
    format!(
        "name: {name}, type: email, from: a@example.com, to: b@example.com, smtp: {{host: {host}, port: {port}, {more}}}"
    )
}

/// Runs it, and tells the answers from each other: what is told of all others must not be told of it.
fn check(yaml: &str, variables: &[(&str, &str)]) -> Ended {
    let folder = TempDir::new().unwrap();
    configure(folder.path(), yaml);
    let ended = start(folder.path(), &["check", "--online"], variables).end(LIMIT);
    for secret in [KEY, PASSWORD, TOKEN, "K12345678", "geheim", "t0ken"] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret}: {ended:?}");
    }
    ended
}

/// The answers, without the first line, which is that of `check`; ports are replaced, since they are others each time.
fn answers(ended: &Ended) -> String {
    let (_, mut rest) = ended.stdout.split_once('\n').unwrap_or_default();
    let mut told = String::new();
    while let Some(at) = rest.find("127.0.0.1:") {
        let (before, after) = rest.split_at(at + "127.0.0.1:".len());
        told += before;
        told += "PORT";
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    told + rest
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_asked_and_nobody_is_sent_a_notification() {
    let mut office = Office::on(clock(), PbxOptions::default());
    office.mail = mail(true);
    let off = "  - {name: old, type: webhook, enabled: false, url: 'https://old.example.com/x'}\nstore:";
    let login = format!("security: none, username: santral, password: '{PASSWORD}'");
    let yaml = office.yaml().replace("store:", off).replace("security: none", &login);
    let ended = check(&yaml, &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
    insta::assert_snapshot!(answers(&ended), @"
    account main, calls (127.0.0.1:PORT): ok
    account main, voicemails (127.0.0.1:PORT): ok
    channel mail (127.0.0.1:PORT): ok
    channel slack (127.0.0.1:PORT): ok
    channel crm (127.0.0.1:PORT): ok
    channel old (old.example.com): skipped: it is switched off (`enabled: false`)
    ");
    for (endpoint, asked) in [(Endpoint::Cdrs, 1), (Endpoint::Voicemails, 1), (Endpoint::RecordingUrl, 0)] {
        assert_eq!(office.asked(endpoint).len(), asked, "{endpoint:?}");
    }
    for receiver in [&office.webhook, &office.slack] {
        let received = receiver.received();
        assert_eq!((received.len(), received[0].method.as_str(), received[0].body.len()), (1, "HEAD", 0));
        assert!(received[0].headers.iter().all(|(name, _)| !name.starts_with("webhook-")), "{received:?}");
    }
    assert_eq!((office.mail.connections(), office.mail.received().len()), (1, 0));
    assert!(!office.folder.path().join("store").exists(), "it leaves no trace in the store");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_in_which_a_pbx_does_not_answer_is_told_apart() {
    let answering = |fault: Fault| {
        let pbx = pbx();
        pbx.fault(Endpoint::Cdrs, fault, usize::MAX);
        pbx
    };
    let status = |status, body: &str| answering(Fault::Status(status, body.to_owned(), Vec::new()));
    let pbxes = [
        ("wrong-key", answering(Fault::BadKeyEcho)),
        ("page", status(200, "<!DOCTYPE html><html><title>Santral</title></html>")),
        ("elsewhere", status(404, "<html>no such page</html>")),
        ("moved", status(302, "")),
        ("broken", answering(Fault::Html500)),
        ("busy", status(429, "Istek limiti asildi")),
        ("silent", answering(Fault::Hang)),
        ("good", pbx()),
    ];
    let mut accounts: Vec<String> = pbxes.iter().map(|(name, pbx)| account(name, pbx.base_url())).collect();
    accounts[6] += ", timeout: 500ms";
    accounts.push(account("nobody", &format!("http://{}", nobody())));
    let yaml = yaml(&accounts, &[webhook("crm", receiver(Mode::Ok).url()) + ", enabled: false"]);
    let ended = check(&(yaml + "watch: {voicemails: {enabled: false}}\n"), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "error: 8 of them do not accept us\n"));
    insta::assert_snapshot!(answers(&ended), @"
    account wrong-key, calls (127.0.0.1:PORT): FAILED: the PBX refused the API key: Gecersiz anahtar: ***; hint: compare it with the one in Online İşlem Merkezi, Santral Ayarlarım
    account page, calls (127.0.0.1:PORT): FAILED: the PBX's answer cannot be read: expected JSON, found an HTML page; hint: check `base_url`
    account elsewhere, calls (127.0.0.1:PORT): FAILED: the PBX refused the request (404): no such list; hint: check `base_url`
    account moved, calls (127.0.0.1:PORT): FAILED: the PBX refused the request (302): a redirect, which is not followed; hint: check `base_url`
    account broken, calls (127.0.0.1:PORT): FAILED: the PBX is in trouble (500): <html><head><title>500 Internal Server Error</title></head><body><hr>nginx</body></html>; hint: ask again later
    account busy, calls (127.0.0.1:PORT): FAILED: the PBX was asked too often (429); hint: ask again in a minute; whatever else uses this key, a running ringback too, has a share in `limits`
    account silent, calls (127.0.0.1:PORT): FAILED: the PBX cannot be reached: no complete answer within 500ms; hint: the PBX is slow at times; raise `timeout` when this stays
    account good, calls (127.0.0.1:PORT): ok
    account nobody, calls (127.0.0.1:PORT): FAILED: the PBX cannot be reached: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111); hint: compare `base_url`; does a firewall let this machine out?
    channel crm (127.0.0.1:PORT): skipped: it is switched off (`enabled: false`)
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_of_a_pbx_of_which_nothing_is_watched() {
    let (pbx, crm) = (pbx(), receiver(Mode::Ok));
    let yaml = yaml(&[account("main", pbx.base_url())], &[webhook("crm", crm.url())]);
    let ended = check(&(yaml + "watch: {missed_calls: {enabled: false}, voicemails: {enabled: false}}\n"), &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("): skipped: neither calls nor voicemails are watched\n"), "{}", ended.stdout);
    assert!(pbx.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_apart_whatever_the_limit() {
    let pbx = PbxSim::start(
        clock(),
        PbxOptions { limits: Limits { cdrs: Some(0), ..Limits::NONE }, ..PbxOptions::default() },
    );
    let pbx = pbx.unwrap();
    let ended = check(&yaml(&[account("main", pbx.base_url())], &[webhook("crm", receiver(Mode::Ok).url())]), &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("account main, calls (127.0.0.1:"), "{}", ended.stdout);
    assert_eq!(ended.stdout.matches("FAILED: the PBX refused the API key").count(), 2, "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_an_endpoint_is_told_apart() {
    let echo = |status| Mode::StatusWith(status, Vec::new(), format!("/hooks/{TOKEN}"));
    let modes = [
        ("ok", Mode::Ok),
        ("post-only", echo(405)),
        ("fussy", echo(400)),
        ("unknown-method", echo(501)),
        ("signed", echo(401)),
        ("forbidden", echo(403)),
        ("busy", echo(429)),
        ("moved", Mode::Redirect(format!("https://example.com/{TOKEN}"))),
        ("not-there", echo(404)),
        ("gone", echo(410)),
        ("broken", echo(500)),
        ("down", echo(503)),
        ("silent", Mode::Hang),
        ("reset", Mode::Reset),
        ("garbage", Mode::Garbage),
    ];
    let receivers: Vec<_> = modes.into_iter().map(|(name, mode)| (name, receiver(mode))).collect();
    let url = |receiver: &HttpReceiver| format!("http://{}/hooks/{TOKEN}?token={TOKEN}", host_of(receiver.url()));
    let mut channels: Vec<_> = receivers.iter().map(|(name, receiver)| webhook(name, &url(receiver))).collect();
    channels[12] += ", timeout: 500ms";
    channels.push(webhook("nobody", &format!("http://{}/{TOKEN}", nobody())));
    let slack =
        |name: &str, receiver: &HttpReceiver| format!("name: {name}, type: slack, webhook_url: '{}'", url(receiver));
    channels.push(slack("slack", &receivers[1].1));
    channels.push(slack("old-slack", &receivers[8].1));
    let pbx = pbx();
    let ended = check(&yaml(&[account("main", pbx.base_url())], &channels), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "error: 9 of them do not accept us\n"));
    insta::assert_snapshot!(answers(&ended), @"
    account main, calls (127.0.0.1:PORT): ok
    account main, voicemails (127.0.0.1:PORT): ok
    channel ok (127.0.0.1:PORT): ok
    channel post-only (127.0.0.1:PORT): ok
    channel fussy (127.0.0.1:PORT): ok
    channel unknown-method (127.0.0.1:PORT): ok
    channel signed (127.0.0.1:PORT): ok, but it answers HTTP 401 Unauthorized to a question; it may want the signature that messages have; hint: `ringback send-test signed` shows whether it takes messages
    channel forbidden (127.0.0.1:PORT): ok, but it answers HTTP 403 Forbidden to a question; it may want the signature that messages have; hint: `ringback send-test forbidden` shows whether it takes messages
    channel busy (127.0.0.1:PORT): ok, but it answers HTTP 429 Too Many Requests, so it is there; hint: `ringback send-test busy` shows whether it takes messages
    channel moved (127.0.0.1:PORT): ok, but it answers HTTP 307 Temporary Redirect (redirects are not followed: configure the final address); hint: `ringback send-test moved` shows whether it takes messages
    channel not-there (127.0.0.1:PORT): FAILED: HTTP 404 Not Found: nothing takes messages at this address; hint: compare `url`; if it knows POST alone, `ringback send-test not-there` shows it
    channel gone (127.0.0.1:PORT): FAILED: HTTP 410 Gone: nothing takes messages at this address; hint: compare `url`; if it knows POST alone, `ringback send-test gone` shows it
    channel broken (127.0.0.1:PORT): FAILED: HTTP 500 Internal Server Error; hint: the receiver has trouble of its own: look at its log
    channel down (127.0.0.1:PORT): FAILED: HTTP 503 Service Unavailable; hint: the receiver has trouble of its own: look at its log
    channel silent (127.0.0.1:PORT): FAILED: no complete answer within 500ms; hint: compare `url`; is the receiver running, and does a firewall let this machine out?
    channel reset (127.0.0.1:PORT): FAILED: error sending request: client error (SendRequest): connection error: Connection reset by peer (os error 104); hint: compare `url`; is the receiver running, and does a firewall let this machine out?
    channel garbage (127.0.0.1:PORT): FAILED: error sending request: client error (SendRequest): invalid HTTP version parsed; hint: compare `url`; is the receiver running, and does a firewall let this machine out?
    channel nobody (127.0.0.1:PORT): FAILED: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111); hint: compare `url`; is the receiver running, and does a firewall let this machine out?
    channel slack (127.0.0.1:PORT): ok
    channel old-slack (127.0.0.1:PORT): FAILED: HTTP 404 Not Found: nothing takes messages at this address; hint: make a new webhook in Slack, and put its URL into `webhook_url`
    ");
    assert!(receivers.iter().all(|(_, receiver)| receiver.received().iter().all(|got| got.method == "HEAD")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bots_token_and_channel_are_asked_for_and_each_fault_is_told_apart() {
    let bot = |name: &str, url: &str, token: &str, channel: &str| {
        format!("name: {name}, type: slack, bot_token: '{token}', channel: '{channel}', api_url: '{url}'")
    };
    let workspace = || HttpReceiver::start(clock(), Kind::Slack).unwrap();
    let (good, scoped, elsewhere, silent) = (workspace(), workspace(), receiver(Mode::Status(404)), workspace());
    silent.set_mode(Mode::Hang);
    let rights = vec![("X-OAuth-Scopes".to_owned(), "users:read".to_owned())];
    scoped.set_mode(Mode::StatusWith(200, rights, r#"{"ok": true}"#.to_owned()));
    let authority = Authority::new();
    let expired = Front::start(&authority, Certificate::Expired, host_of(good.url()).parse().unwrap()).await;
    let channels = [
        bot("good", &good.api_url(), BOT_TOKEN, CHANNEL_ID),
        bot("named", &good.api_url(), BOT_TOKEN, CHANNEL_NAME),
        bot("wrong-token", &good.api_url(), &format!("xoxb-{TOKEN}"), CHANNEL_ID),
        bot("no-right", &scoped.api_url(), BOT_TOKEN, CHANNEL_ID),
        bot("elsewhere", &elsewhere.url().replace("hook", "api"), BOT_TOKEN, CHANNEL_ID),
        bot("silent", &silent.api_url(), BOT_TOKEN, CHANNEL_ID) + ", timeout: 500ms",
        bot("nobody", &format!("http://{}/api", nobody()), BOT_TOKEN, CHANNEL_ID),
        bot("expired", &format!("https://{}/api", expired.address), BOT_TOKEN, CHANNEL_ID),
    ];
    let pbx = pbx();
    let folder = TempDir::new().unwrap();
    let trusted = authority.trusted(folder.path());
    let yaml = yaml(&[account("main", pbx.base_url())], &channels);
    let ended = check(&yaml, &[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
    assert!(!(ended.stdout.clone() + &ended.stderr).contains(&BOT_TOKEN[5..]), "{ended:?}");
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "error: 6 of them do not accept us\n"));
    insta::assert_snapshot!(answers(&ended), @"
    account main, calls (127.0.0.1:PORT): ok
    account main, voicemails (127.0.0.1:PORT): ok
    channel good (127.0.0.1:PORT): ok
    channel named (127.0.0.1:PORT): ok, but whether it may write to `channel` is not known: Slack tells that of an id (C0123456789) only; hint: `ringback send-test named` shows whether it takes messages
    channel wrong-token (127.0.0.1:PORT): FAILED: Slack answers: invalid_auth; hint: copy the Bot User OAuth Token (xoxb-…) of the app once more into `bot_token`
    channel no-right (127.0.0.1:PORT): FAILED: the token may not write; hint: give the app the scope `chat:write`, and install it once more
    channel elsewhere (127.0.0.1:PORT): FAILED: HTTP 404 Not Found; hint: compare `api_url`; Slack's own is https://slack.com/api
    channel silent (127.0.0.1:PORT): FAILED: no complete answer within 500ms; hint: does a firewall let this machine out?
    channel nobody (127.0.0.1:PORT): FAILED: error sending request: client error (Connect): tcp connect error: Connection refused (os error 111); hint: does a firewall let this machine out?
    channel expired (127.0.0.1:PORT): FAILED: the server's TLS certificate has expired; hint: whoever runs the server must renew it; if it is new, look at this machine's clock
    ");
    assert!(good.posts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_has_no_address_is_told_by_its_name() {
    // RFC 6761 section 6.4: there is nothing under `invalid`. What a machine without a resolver says is its own.
    let channel = webhook("crm", &format!("https://ringback.invalid/{TOKEN}"));
    let ended = check(&yaml(&[account("main", pbx().base_url())], &[channel]), &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("channel crm (ringback.invalid): FAILED: "), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_in_which_a_mail_server_does_not_take_us_is_told_apart() {
    let password = |word: &str| format!("security: none, username: santral, password: '{word}'");
    let good = mail(true);
    let refusing = |stage, code, text: &str| {
        let server = mail(true);
        server.fault(stage, SmtpFault::Reply(code, text.to_owned()), usize::MAX);
        server
    };
    let echoing = refusing(Stage::Auth, 535, &format!("5.7.8 not {PASSWORD}"));
    let closed = refusing(Stage::Connect, 554, "5.3.2 no mail here");
    let busy = refusing(Stage::Connect, 421, "4.3.2 come back later");
    let silent = mail(false);
    silent.fault(Stage::Connect, SmtpFault::Hang, usize::MAX);
    let open = mail(false);
    let channels = [
        email("good", good.address(), &password(PASSWORD)),
        email("no-login", open.address(), "security: none"),
        email("wrong-password", good.address(), &password("hunter2hunter2")),
        email("echoing", echoing.address(), &password(PASSWORD)),
        email("takes-no-login", open.address(), &password(PASSWORD)),
        email("no-starttls", open.address(), "security: starttls"),
        email("closed", closed.address(), "security: none"),
        email("busy", busy.address(), "security: none"),
        email("nobody", nobody(), "security: none"),
        email("silent", silent.address(), "security: none") + ", timeout: 500ms",
    ];
    let pbx = pbx();
    let ended = check(&yaml(&[account("main", pbx.base_url())], &channels), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), "error: 8 of them do not accept us\n"));
    insta::assert_snapshot!(answers(&ended), @"
    account main, calls (127.0.0.1:PORT): ok
    account main, voicemails (127.0.0.1:PORT): ok
    channel good (127.0.0.1:PORT): ok
    channel no-login (127.0.0.1:PORT): ok
    channel wrong-password (127.0.0.1:PORT): FAILED: permanent error (535): 5.7.8 Wrong user or password; hint: compare `smtp.username` and `smtp.password`; some providers want a password made for apps
    channel echoing (127.0.0.1:PORT): FAILED: permanent error (535): 5.7.8 not ***; hint: compare `smtp.username` and `smtp.password`; some providers want a password made for apps
    channel takes-no-login (127.0.0.1:PORT): FAILED: No compatible authentication mechanism was found; hint: the server takes no login on this port; try another `smtp.port`, or leave out `smtp.username` and `smtp.password`
    channel no-starttls (127.0.0.1:PORT): FAILED: STARTTLS is not supported on this server; hint: the server offers no encryption on this port; try `security: tls` with port 465
    channel closed (127.0.0.1:PORT): FAILED: permanent error (554): 5.3.2 no mail here
    channel busy (127.0.0.1:PORT): FAILED: transient error (421): 4.3.2 come back later; hint: ask again later
    channel nobody (127.0.0.1:PORT): FAILED: Connection error: Connection refused (os error 111); hint: compare `smtp.host` and `smtp.port`; many networks let nobody out to port 25
    channel silent (127.0.0.1:PORT): FAILED: no complete SMTP dialogue within 500ms; hint: compare `smtp.host` and `smtp.port`; many networks let nobody out to port 25
    ");
    for server in [&good, &open, &echoing] {
        assert!(server.received().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_certificate_is_told_apart() {
    const CERTIFICATES: [Certificate; 5] = [
        Certificate::Good,
        Certificate::Expired,
        Certificate::OtherName,
        Certificate::SelfSigned,
        Certificate::Stranger,
    ];
    let authority = Authority::new();
    let (crm, mail, pbx) = (receiver(Mode::Ok), mail(false), pbx());
    let (crm_address, pbx_address) = (host_of(crm.url()).parse().unwrap(), host_of(pbx.base_url()).parse().unwrap());
    let mut fronts = Vec::new();
    let (mut accounts, mut channels) = (Vec::new(), Vec::new());
    for kind in CERTIFICATES {
        let https = Front::start(&authority, kind, crm_address).await;
        let smtps = Front::start(&authority, kind, mail.address()).await;
        let starttls = Front::starttls(&authority, kind, "220 2.0.0 Go on", mail.address()).await;
        let api = Front::start(&authority, kind, pbx_address).await;
        accounts.push(account(&format!("{kind:?}"), &format!("https://{}", api.address)));
        channels.push(webhook(&format!("https-{kind:?}"), &format!("https://{}/{TOKEN}", https.address)));
        channels.push(email(&format!("smtps-{kind:?}"), smtps.address, "security: tls"));
        channels.push(email(&format!("starttls-{kind:?}"), starttls.address, "security: starttls"));
        fronts.extend([https, smtps, starttls, api]);
    }
    let refused =
        Front::starttls(&authority, Certificate::Good, "454 4.7.0 TLS is not available", mail.address()).await;
    channels.push(email("refused", refused.address, "security: starttls"));
    channels.push(email("plain", mail.address(), "security: tls"));
    let folder = TempDir::new().unwrap();
    let trusted = authority.trusted(folder.path());
    let yaml = yaml(&accounts, &channels) + "watch: {voicemails: {enabled: false}}\n";
    let ended = check(&yaml, &[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(1), "error: 18 of them do not accept us\n"),
        "{}",
        ended.stdout
    );
    insta::assert_snapshot!(answers(&ended), @"
    account Good, calls (127.0.0.1:PORT): ok
    account Expired, calls (127.0.0.1:PORT): FAILED: the PBX cannot be reached: the server's TLS certificate has expired; hint: whoever runs the server must renew it; if it is new, look at this machine's clock
    account OtherName, calls (127.0.0.1:PORT): FAILED: the PBX cannot be reached: the server's TLS certificate is not for `127.0.0.1` but for pbx.example.com; hint: configure the name that it is for
    account SelfSigned, calls (127.0.0.1:PORT): FAILED: the PBX cannot be reached: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    account Stranger, calls (127.0.0.1:PORT): FAILED: the PBX cannot be reached: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    channel https-Good (127.0.0.1:PORT): ok
    channel smtps-Good (127.0.0.1:PORT): ok
    channel starttls-Good (127.0.0.1:PORT): ok
    channel https-Expired (127.0.0.1:PORT): FAILED: the server's TLS certificate has expired; hint: whoever runs the server must renew it; if it is new, look at this machine's clock
    channel smtps-Expired (127.0.0.1:PORT): FAILED: the server's TLS certificate has expired; hint: whoever runs the server must renew it; if it is new, look at this machine's clock
    channel starttls-Expired (127.0.0.1:PORT): FAILED: the server's TLS certificate has expired; hint: whoever runs the server must renew it; if it is new, look at this machine's clock
    channel https-OtherName (127.0.0.1:PORT): FAILED: the server's TLS certificate is not for `127.0.0.1` but for pbx.example.com; hint: configure the name that it is for
    channel smtps-OtherName (127.0.0.1:PORT): FAILED: the server's TLS certificate is not for `127.0.0.1` but for pbx.example.com; hint: configure the name that it is for
    channel starttls-OtherName (127.0.0.1:PORT): FAILED: the server's TLS certificate is not for `127.0.0.1` but for pbx.example.com; hint: configure the name that it is for
    channel https-SelfSigned (127.0.0.1:PORT): FAILED: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    channel smtps-SelfSigned (127.0.0.1:PORT): FAILED: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    channel starttls-SelfSigned (127.0.0.1:PORT): FAILED: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    channel https-Stranger (127.0.0.1:PORT): FAILED: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    channel smtps-Stranger (127.0.0.1:PORT): FAILED: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    channel starttls-Stranger (127.0.0.1:PORT): FAILED: the server's TLS certificate was issued by nobody whom this machine trusts; hint: for an authority of your own, add it to the system's certificates, or name its file in SSL_CERT_FILE
    channel refused (127.0.0.1:PORT): FAILED: transient error (454): 4.7.0 TLS is not available; hint: ask again later
    channel plain (127.0.0.1:PORT): FAILED: the server answers with something that is not TLS; hint: try `security: starttls`, which ports 587 and 25 want
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_wrong_configuration_nobody_is_asked() {
    let (pbx, crm) = (pbx(), receiver(Mode::Ok));
    let folder = TempDir::new().unwrap();
    let yaml = yaml(&[account("main", pbx.base_url())], &[webhook("crm", crm.url())]);
    configure(folder.path(), &(yaml + "tests: [{given: {caller: '1'}, expect: [crm]}]\n"));
    let ended = run(folder.path(), &["check", "--online"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{}", ended.stderr);
    assert!(pbx.requests().is_empty() && crm.total() == 0);
}
