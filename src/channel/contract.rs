//! What every type of channel must do, over real sockets. The tests loop over [`ChannelType::ALL`], so that none can
//! opt out.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Channel, Earlier, Parcel, email, slack, webhook};
use crate::clock::Clock;
use crate::event::{DeliveryId, EventType};
use crate::message::{Attachment, ChannelType, Mail, Message};
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::Secret;
use crate::sim::receiver::{HttpReceiver, Kind, Mode};
use crate::sim::smtp::{SmtpFault, SmtpOptions, SmtpReceiver, Stage};

const NOW: &str = "2026-11-22T05:00:00Z";
const TIMEOUT: Duration = Duration::from_millis(400);
/// More than any answer here takes, for attempts that must end by themselves.
const PATIENT: Duration = Duration::from_secs(20);

const TOKEN: &str = "tok3n/XyZ+secret=";
const PASSWORD: &str = "pa55/Word+secret=";
const HEADER: &str = "Bearer h3ader+secret/";
const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn clock() -> Clock {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Clock::manual(now())
}

/// Where messages of a type go.
enum Far {
    Http(HttpReceiver),
    Smtp(SmtpReceiver),
}

impl Far {
    fn of(channel: ChannelType) -> Self {
        match channel {
            ChannelType::Email => {
                let auth = Some(("santral".to_owned(), PASSWORD.to_owned()));
                Self::Smtp(SmtpReceiver::start(clock(), SmtpOptions { auth, ..SmtpOptions::default() }).unwrap())
            }
            ChannelType::Slack => Self::Http(HttpReceiver::start(clock(), Kind::Slack).unwrap()),
            ChannelType::Webhook => Self::Http(HttpReceiver::start(clock(), Kind::Plain).unwrap()),
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Http(receiver) => receiver.url().split('/').nth(2).unwrap().parse().unwrap(),
            Self::Smtp(receiver) => receiver.address(),
        }
    }

    fn hang(&self) {
        match self {
            Self::Http(receiver) => receiver.set_mode(Mode::Hang),
            Self::Smtp(receiver) => receiver.fault(Stage::Mail, SmtpFault::Hang, usize::MAX),
        }
    }

    fn reset(&self) {
        match self {
            Self::Http(receiver) => receiver.set_mode(Mode::Reset),
            Self::Smtp(receiver) => receiver.fault(Stage::Mail, SmtpFault::Reset, usize::MAX),
        }
    }

    /// Refuses the credentials in these words.
    fn refuse(&self, words: &str) {
        match self {
            Self::Http(receiver) => receiver.set_mode(Mode::StatusWith(401, Vec::new(), words.to_owned())),
            Self::Smtp(receiver) => receiver.fault(Stage::Auth, SmtpFault::Reply(535, words.to_owned()), usize::MAX),
        }
    }

    fn arrived(&self) -> usize {
        match self {
            Self::Http(receiver) => receiver.accepted(),
            Self::Smtp(receiver) => receiver.received().len(),
        }
    }
}

/// A channel with every secret that its type knows, and these secrets in each form in which they travel.
fn channel(channel: ChannelType, host: &str, port: u16, timeout: Duration) -> (Box<dyn Channel>, Vec<String>, String) {
    let _ = clock();
    let client = crate::http::client(1).unwrap();
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let token = encoded(TOKEN);
    let url = format!("http://{host}:{port}/services/{token}?key={token}");
    let seen_as = |secrets: &[&str]| secrets.iter().flat_map(|text| [(*text).to_owned(), encoded(text)]).collect();
    match channel {
        ChannelType::Email => {
            let config = smtp(host, port, email::Security::None);
            let plain = BASE64.encode(format!("\0santral\0{PASSWORD}"));
            let secrets = seen_as(&[PASSWORD, &BASE64.encode(PASSWORD), &plain]);
            (Box::new(email::Email::new("mail", &config, 1, timeout).unwrap()), secrets, format!("{config:?}"))
        }
        ChannelType::Slack => {
            let config = slack::Config { webhook_url: Some(Secret::new(&url)), ..slack::Config::default() };
            let made = slack::Slack::new(&config, client, timeout).unwrap();
            (Box::new(made), seen_as(&[TOKEN]), format!("{config:?}"))
        }
        ChannelType::Webhook => {
            let config = webhook::Config {
                url: Secret::new(&url),
                method: webhook::Method::Post,
                headers: [("Authorization".to_owned(), Secret::new(HEADER))].into(),
                secret: vec![Secret::new(SIGNING)],
                body_template: None,
                content_type: None,
            };
            let made = webhook::Webhook::new(&config, client, timeout).unwrap();
            (Box::new(made), seen_as(&[TOKEN, HEADER, SIGNING]), format!("{config:?}"))
        }
    }
}

fn smtp(host: &str, port: u16, security: email::Security) -> email::Config {
    email::Config {
        smtp: email::Smtp {
            host: host.to_owned(),
            port: Some(port),
            security,
            username: Some("santral".to_owned()),
            password: Some(Secret::new(PASSWORD)),
        },
        from: "Santral <santral@example.com>".to_owned(),
        to: vec!["ofis@example.com".to_owned()],
        cc: Vec::new(),
        bcc: Vec::new(),
        reply_to: None,
    }
}

fn message(channel: ChannelType) -> Message {
    match channel {
        ChannelType::Email => Message::Email(Mail {
            subject: "Cevapsız çağrı".to_owned(),
            text: "0532 111 22 33".to_owned(),
            html: "<p>0532 111 22 33</p>".to_owned(),
            thread: "t1".to_owned(),
            attachment: None,
        }),
        ChannelType::Slack => Message::Slack(Bytes::from_static(b"{\"text\":\"0532 111 22 33\"}").into()),
        ChannelType::Webhook => Message::Webhook(Bytes::from_static(b"{\"type\":\"call.missed\"}").into()),
    }
}

/// One attempt. It ends by itself, or the test fails.
async fn send(channel: &dyn Channel) -> Outcome {
    let message = message(channel.channel_type());
    let id = DeliveryId::derive("main", EventType::CallMissed, "c1", "any");
    let mut memo = None;
    let attempt = channel.send(Parcel { id, message: &message, now: now(), earlier: None }, &mut memo);
    tokio::time::timeout(2 * PATIENT, attempt).await.expect("an attempt ends within its timeout")
}

async fn send_to(kind: ChannelType, far: &Far, timeout: Duration) -> Outcome {
    let address = far.address();
    send(channel(kind, &address.ip().to_string(), address.port(), timeout).0.as_ref()).await
}

fn failure(outcome: &Outcome) -> &Failure {
    match outcome {
        Outcome::RetryAfter { failure, .. } | Outcome::Permanent(failure) => failure,
        Outcome::Delivered => panic!("delivered"),
    }
}

fn again(outcome: &Outcome) -> FailureKind {
    match outcome {
        Outcome::RetryAfter { failure, .. } => failure.kind,
        other => panic!("not again: {other:?}"),
    }
}

fn http_channels() -> impl Iterator<Item = ChannelType> {
    ChannelType::ALL.into_iter().filter(|kind| matches!(Far::of(*kind), Far::Http(_)))
}

/// `again(Kind)`, or dead, or delivered, for every status that contract section 4 names and some more.
pub(super) const STATUSES: [(u16, Option<FailureKind>, bool); 24] = [
    (200, None, false),
    (201, None, false),
    (202, None, false),
    (204, None, false),
    (301, Some(FailureKind::Rejected), false),
    (302, Some(FailureKind::Rejected), false),
    (304, Some(FailureKind::Rejected), false),
    (308, Some(FailureKind::Rejected), false),
    (400, Some(FailureKind::Rejected), false),
    (401, Some(FailureKind::Unauthorized), true),
    (403, Some(FailureKind::Unauthorized), true),
    (404, Some(FailureKind::Rejected), false),
    (405, Some(FailureKind::Rejected), false),
    (408, Some(FailureKind::Receiver), true),
    (409, Some(FailureKind::Rejected), false),
    (410, Some(FailureKind::Rejected), false),
    (413, Some(FailureKind::Rejected), false),
    (422, Some(FailureKind::Rejected), false),
    (425, Some(FailureKind::Receiver), true),
    (429, Some(FailureKind::RateLimited), true),
    (500, Some(FailureKind::Receiver), true),
    (502, Some(FailureKind::Receiver), true),
    (503, Some(FailureKind::Receiver), true),
    (504, Some(FailureKind::Receiver), true),
];

#[test]
fn every_type_is_made_and_dropped_without_a_runtime() {
    // `check` and `render` have none.
    for kind in ChannelType::ALL {
        assert_eq!(channel(kind, "localhost", 1, PATIENT).0.channel_type(), kind);
    }
}

#[tokio::test]
async fn every_type_delivers() {
    for kind in ChannelType::ALL {
        let far = Far::of(kind);
        assert_eq!(send_to(kind, &far, PATIENT).await, Outcome::Delivered, "{kind:?}");
        assert_eq!(far.arrived(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn a_message_in_the_form_of_another_channel_is_refused_unsent() {
    for kind in ChannelType::ALL {
        let far = Far::of(kind);
        let address = far.address();
        let (channel, ..) = channel(kind, &address.ip().to_string(), address.port(), PATIENT);
        for other in ChannelType::ALL.into_iter().filter(|other| *other != kind) {
            let id = DeliveryId::derive("main", EventType::CallMissed, "c1", "any");
            let outcome =
                channel.send(Parcel { id, message: &message(other), now: now(), earlier: None }, &mut None).await;
            assert!(matches!(&outcome, Outcome::Permanent(f) if f.kind == FailureKind::Internal), "{outcome:?}");
        }
        assert_eq!(far.arrived(), 0);
    }
}

#[tokio::test]
async fn every_status_has_its_outcome() {
    for kind in http_channels() {
        let far = Far::of(kind);
        let Far::Http(receiver) = &far else { unreachable!() };
        for (status, expected, comes_again) in STATUSES {
            receiver.set_mode(Mode::StatusWith(status, Vec::new(), String::new()));
            let outcome = send_to(kind, &far, PATIENT).await;
            let found = match &outcome {
                Outcome::Delivered => (None, false),
                Outcome::RetryAfter { failure, wait: None } => (Some(failure.kind), true),
                Outcome::Permanent(failure) => (Some(failure.kind), false),
                Outcome::RetryAfter { .. } => panic!("{kind:?} {status}: a wait from nowhere"),
            };
            assert_eq!(found, (expected, comes_again), "{kind:?} {status}");
            if expected.is_some() {
                assert!(failure(&outcome).text.contains(&status.to_string()), "{kind:?} {status}: {outcome:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    for kind in http_channels() {
        let (far, elsewhere) = (Far::of(kind), Far::of(ChannelType::Webhook));
        let (Far::Http(receiver), Far::Http(other)) = (&far, &elsewhere) else { unreachable!() };
        receiver.set_mode(Mode::Redirect(other.url().to_owned()));
        assert!(failure(&send_to(kind, &far, PATIENT).await).text.contains("configure the final address"));
        assert_eq!(other.total(), 0);
    }
}

#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date() {
    let cases = [
        ("120", Some(120)),
        (" 7 ", Some(7)),
        ("0", Some(0)),
        ("Sun, 22 Nov 2026 05:02:00 GMT", Some(120)),
        ("Sun, 22 Nov 2026 04:00:00 GMT", Some(0)),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ];
    for kind in http_channels() {
        let far = Far::of(kind);
        let Far::Http(receiver) = &far else { unreachable!() };
        for status in [429, 503] {
            for (text, expected) in cases {
                let header = vec![("Retry-After".to_owned(), text.to_owned())];
                receiver.set_mode(Mode::StatusWith(status, header, String::new()));
                let Outcome::RetryAfter { wait, .. } = send_to(kind, &far, PATIENT).await else { panic!("{status}") };
                assert_eq!(wait, expected.map(Duration::from_secs), "{kind:?} {status} {text}");
            }
        }
    }
}

#[tokio::test]
async fn one_deadline_is_over_the_whole_attempt() {
    for kind in ChannelType::ALL {
        let far = Far::of(kind);
        far.hang();
        assert_eq!(again(&send_to(kind, &far, TIMEOUT).await), FailureKind::Timeout, "{kind:?}");
        if let Far::Http(receiver) = &far {
            // Each byte comes well within the timeout, the whole does not.
            receiver.set_mode(Mode::Drip);
            assert_eq!(again(&send_to(kind, &far, TIMEOUT).await), FailureKind::Timeout, "{kind:?} drips");
        }
    }
}

#[tokio::test]
async fn a_mail_server_that_hangs_anywhere_or_is_slow_everywhere_meets_the_same_deadline() {
    let stages = [Stage::Connect, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::EndOfData];
    for stage in &stages {
        let far = Far::of(ChannelType::Email);
        let Far::Smtp(server) = &far else { unreachable!() };
        server.fault(stage.clone(), SmtpFault::Hang, usize::MAX);
        let outcome = send_to(ChannelType::Email, &far, TIMEOUT).await;
        assert_eq!(again(&outcome), FailureKind::Timeout, "{stage:?}");
    }
    let far = Far::of(ChannelType::Email);
    let Far::Smtp(server) = &far else { unreachable!() };
    for stage in stages {
        server.fault(stage, SmtpFault::Slow(TIMEOUT / 2), usize::MAX);
    }
    assert_eq!(again(&send_to(ChannelType::Email, &far, TIMEOUT).await), FailureKind::Timeout);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_tried_again() {
    for kind in ChannelType::ALL {
        let far = Far::of(kind);
        far.reset();
        assert_eq!(again(&send_to(kind, &far, PATIENT).await), FailureKind::Unreachable, "{kind:?} resets");
        let address = {
            let gone = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            gone.local_addr().unwrap()
        };
        let (refused, ..) = channel(kind, "127.0.0.1", address.port(), PATIENT);
        assert_eq!(again(&send(refused.as_ref()).await), FailureKind::Unreachable, "{kind:?} refuses");
        // RFC 2606: no such name, ever. Without a resolver it may also take too long to find that out.
        let (unknown, ..) = channel(kind, "ringback.invalid", 80, 5 * TIMEOUT);
        let found = again(&send(unknown.as_ref()).await);
        assert!(matches!(found, FailureKind::Unreachable | FailureKind::Timeout), "{kind:?} {found:?}");
    }
}

#[tokio::test]
async fn whoever_is_asked_is_sent_no_message_and_meets_the_same_deadline() {
    for kind in ChannelType::ALL {
        let far = Far::of(kind);
        let address = far.address();
        let asked = |timeout| channel(kind, "127.0.0.1", address.port(), timeout);
        assert_eq!(asked(PATIENT).0.check().await, Ok(None), "{kind:?}");
        match &far {
            Far::Http(receiver) => {
                let received = receiver.received();
                assert!(received.iter().all(|got| got.method == "HEAD" && got.body.is_empty()), "{received:?}");
                assert!(received.iter().all(|got| got.header("webhook-id").is_none()), "{received:?}");
            }
            Far::Smtp(server) => {
                assert!(server.received().is_empty());
                server.fault(Stage::Auth, SmtpFault::Hang, usize::MAX);
            }
        }
        far.hang();
        assert_eq!(asked(TIMEOUT).0.check().await.unwrap_err().kind, FailureKind::Timeout, "{kind:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_answer_are_tried_again() {
    for kind in http_channels() {
        let far = Far::of(kind);
        let Far::Http(receiver) = &far else { unreachable!() };
        receiver.set_mode(Mode::Garbage);
        assert_eq!(again(&send_to(kind, &far, PATIENT).await), FailureKind::Unreachable, "{kind:?}");
    }
}

#[tokio::test]
async fn of_an_answer_that_does_not_end_only_the_beginning_is_read() {
    for kind in http_channels() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (channel, ..) = channel(kind, "127.0.0.1", port, PATIENT);
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 16 * 1024]).await.unwrap() > 0);
            let head = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 1000000000000\r\n\r\n";
            let mut sent = stream.write(head).await;
            while sent.is_ok() {
                sent = stream.write(&[b'x'; 16 * 1024]).await;
            }
        });
        assert_eq!(again(&send(channel.as_ref()).await), FailureKind::Receiver, "{kind:?}: read to a limit");
        // The connection is given up with the rest of the answer.
        tokio::time::timeout(PATIENT, server).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn refused_credentials_pause_the_channel() {
    for kind in ChannelType::ALL {
        let far = Far::of(kind);
        far.refuse("5.7.8 no");
        let outcome = send_to(kind, &far, PATIENT).await;
        assert_eq!(again(&outcome), FailureKind::Unauthorized, "{kind:?}");
    }
}

#[tokio::test]
async fn no_secret_is_in_any_outcome_however_the_receiver_echoes_it() {
    let shows = |what: &str, text: &dyn Debug, secrets: &[String]| {
        let text = format!("{text:?}");
        for secret in secrets {
            assert!(!text.contains(secret.as_str()), "{what}: {text} holds {secret}");
        }
    };
    for kind in ChannelType::ALL {
        let far = Far::of(kind);
        let address = far.address();
        let (channel, secrets, config) = channel(kind, &address.ip().to_string(), address.port(), TIMEOUT);
        shows("the configuration", &config, &secrets);
        let all = secrets.join(" ");
        let long = "0532 ".repeat(200);
        let cut = format!("{}{all}", "x".repeat(Failure::MAX_TEXT - 40));
        for words in [format!("you sent {all}"), all.replace(' ', ""), long, cut] {
            far.refuse(&words);
            if let Far::Smtp(server) = &far {
                // Each script goes on to the next words only when this one is through.
                server.clear_faults();
                server.fault(Stage::Auth, SmtpFault::Reply(550, words.clone()), usize::MAX);
            }
            let outcome = send(channel.as_ref()).await;
            let failure = failure(&outcome);
            shows("a refusal", &outcome, &secrets);
            assert!(failure.text.len() <= Failure::MAX_TEXT, "{kind:?}: {} bytes", failure.text.len());
            assert!(failure.text.contains("***") || words.starts_with("0532"), "{kind:?}: {}", failure.text);
        }
        if let Far::Smtp(server) = &far {
            server.clear_faults();
        }
        far.hang();
        shows("a timeout", &send(channel.as_ref()).await, &secrets);
        drop(far);
        shows("nobody", &send(channel.as_ref()).await, &secrets);
    }
}

#[tokio::test]
async fn a_telephone_number_that_a_receiver_echoes_is_masked() {
    for kind in http_channels() {
        let far = Far::of(kind);
        let Far::Http(receiver) = &far else { unreachable!() };
        let body = "bad caller 05321112233 (+905321112233), line 201, error 40013";
        receiver.set_mode(Mode::StatusWith(400, Vec::new(), body.to_owned()));
        let outcome = send_to(kind, &far, PATIENT).await;
        let expected = "HTTP 400 Bad Request: bad caller 0532*****33 (+9053******33), line 201, error 40013";
        assert_eq!(failure(&outcome).text, expected);
    }
}

#[tokio::test]
async fn slacks_own_words_decide() {
    let table = [
        (400, "invalid_payload", FailureKind::Rejected, false),
        (400, "invalid_blocks", FailureKind::Rejected, false),
        (400, "invalid_blocks_format", FailureKind::Rejected, false),
        (400, "no_text", FailureKind::Rejected, false),
        (400, "too_many_attachments", FailureKind::Rejected, false),
        (400, "missing_text_or_fallback_or_attachments", FailureKind::Rejected, false),
        (400, "user_not_found", FailureKind::Rejected, false),
        (403, "action_prohibited", FailureKind::Unauthorized, true),
        (403, "invalid_token", FailureKind::Unauthorized, true),
        (403, "no_team", FailureKind::Unauthorized, true),
        (403, "team_disabled", FailureKind::Unauthorized, true),
        (403, "posting_to_general_channel_denied", FailureKind::Unauthorized, true),
        (400, "no_service_id", FailureKind::Unauthorized, true),
        (404, "no_service", FailureKind::Unauthorized, true),
        (404, "no_active_hooks", FailureKind::Unauthorized, true),
        (404, "channel_not_found", FailureKind::Unauthorized, true),
        (410, "channel_is_archived", FailureKind::Unauthorized, true),
        (500, "rollup_error", FailureKind::Receiver, true),
        (400, "some_new_word", FailureKind::Rejected, false),
        (500, "some_new_word", FailureKind::Receiver, true),
        (200, "{\"ok\":false,\"error\":\"invalid_blocks\"}", FailureKind::Rejected, false),
        (429, "{\"retry_after\":1,\"ok\":false,\"error\":\"rate_limited\"}", FailureKind::RateLimited, true),
    ];
    let far = Far::of(ChannelType::Slack);
    let Far::Http(receiver) = &far else { unreachable!() };
    for (status, word, kind, comes_again) in table {
        receiver.set_mode(Mode::StatusWith(status, Vec::new(), format!("{word}\n")));
        let outcome = send_to(ChannelType::Slack, &far, PATIENT).await;
        let found = (failure(&outcome).kind, matches!(outcome, Outcome::RetryAfter { .. }));
        assert_eq!(found, (kind, comes_again), "{status} {word}");
    }
}

#[tokio::test]
async fn every_smtp_code_has_its_outcome_at_every_stage() {
    let stages = [Stage::Connect, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::EndOfData];
    for stage in stages {
        for (code, kind, comes_again) in [
            (421, FailureKind::Receiver, true),
            (450, FailureKind::Receiver, true),
            (451, FailureKind::Receiver, true),
            (452, FailureKind::Receiver, true),
            (550, FailureKind::Rejected, false),
            (552, FailureKind::Rejected, false),
            (553, FailureKind::Rejected, false),
            (554, FailureKind::Rejected, false),
        ] {
            let far = Far::of(ChannelType::Email);
            let Far::Smtp(server) = &far else { unreachable!() };
            server.fault(stage.clone(), SmtpFault::Reply(code, "5.0.0 not so".to_owned()), usize::MAX);
            let outcome = send_to(ChannelType::Email, &far, PATIENT).await;
            let found = (failure(&outcome).kind, matches!(outcome, Outcome::RetryAfter { .. }));
            assert_eq!(found, (kind, comes_again), "{stage:?} {code}");
            let text = &failure(&outcome).text;
            assert!(text.contains(&code.to_string()) && text.contains("not so"), "{stage:?} {code}: {text}");
            assert_eq!(far.arrived(), 0);
        }
    }
    for (code, kind) in [
        (454, FailureKind::Receiver),
        (530, FailureKind::Unauthorized),
        (534, FailureKind::Unauthorized),
        (535, FailureKind::Unauthorized),
    ] {
        let far = Far::of(ChannelType::Email);
        let Far::Smtp(server) = &far else { unreachable!() };
        server.fault(Stage::Auth, SmtpFault::Reply(code, "5.7.0 no".to_owned()), usize::MAX);
        assert_eq!(again(&send_to(ChannelType::Email, &far, PATIENT).await), kind, "{code}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_neither_password_nor_mail_when_tls_is_demanded() {
    let far = Far::of(ChannelType::Email);
    let address = far.address();
    for security in [email::Security::Starttls, email::Security::Tls] {
        let config = smtp(&address.ip().to_string(), address.port(), security);
        let channel = email::Email::new("mail", &config, 1, PATIENT.min(5 * TIMEOUT)).unwrap();
        let outcome = send(&channel).await;
        let kind = again(&outcome);
        assert!(matches!(kind, FailureKind::Tls | FailureKind::Timeout | FailureKind::Unreachable), "{outcome:?}");
        if security == email::Security::Starttls {
            assert_eq!(kind, FailureKind::Tls, "{outcome:?}");
        }
    }
    assert_eq!(far.arrived(), 0);
}

#[tokio::test]
async fn a_password_for_a_server_that_takes_none_needs_a_person() {
    let server = SmtpReceiver::start(clock(), SmtpOptions::default()).unwrap();
    let outcome = send_to(ChannelType::Email, &Far::Smtp(server), PATIENT).await;
    assert_eq!(again(&outcome), FailureKind::Unauthorized);
}

/// A channel that writes to these, by a server of its own.
fn office(server: &SmtpReceiver, to: &[&str]) -> email::Email {
    let address = server.address();
    let mut config = smtp(&address.ip().to_string(), address.port(), email::Security::None);
    config.to = to.iter().map(|to| (*to).to_owned()).collect();
    email::Email::new("mail", &config, 1, PATIENT).unwrap()
}

/// One attempt of the same delivery, with what was noted of it.
async fn attempt(channel: &dyn Channel, message: &Message, memo: &mut Option<String>) -> Outcome {
    let id = DeliveryId::derive("main", EventType::CallMissed, "c1", "any");
    channel.send(Parcel { id, message, now: now(), earlier: None }, memo).await
}

fn addressed(server: &SmtpReceiver) -> Vec<Vec<String>> {
    server.received().into_iter().map(|mail| mail.to).collect()
}

#[tokio::test]
async fn one_dead_address_keeps_nobody_else_from_being_told() {
    let far = Far::of(ChannelType::Email);
    let Far::Smtp(server) = &far else { unreachable!() };
    let channel = office(server, &["a@example.com", "gone@example.com", "b@example.com"]);
    let message = message(ChannelType::Email);
    let dead = Stage::RcptTo("gone@example.com".to_owned());
    server.fault(dead, SmtpFault::Reply(550, "5.1.1 no such user".to_owned()), usize::MAX);
    let mut memo = None;
    assert_eq!(attempt(&channel, &message, &mut memo).await, Outcome::Delivered);
    assert_eq!(addressed(server), [["a@example.com", "b@example.com"]], "in one dialogue");
    let note = memo.unwrap();
    assert!(note.contains("g***@example.com: permanent error (550): 5.1.1 no such user"), "{note}");
    server.fault(Stage::Rcpt, SmtpFault::Reply(550, "5.1.1 no such user".to_owned()), usize::MAX);
    assert!(matches!(send(&channel).await, Outcome::Permanent(_)), "nobody is left");
    server.clear_faults();
    assert_eq!(send(&channel).await, Outcome::Delivered);
    assert_eq!(server.connections(), 1, "a refusal is no reason to hang up");
}

#[tokio::test]
async fn a_recipient_who_must_wait_is_tried_again_alone_and_nobody_gets_it_twice() {
    let far = Far::of(ChannelType::Email);
    let Far::Smtp(server) = &far else { unreachable!() };
    let channel = office(server, &["a@example.com", "full@example.com", "gone@example.com", "b@example.com"]);
    let message = message(ChannelType::Email);
    let reply = |code, text: &str| SmtpFault::Reply(code, text.to_owned());
    server.fault(Stage::RcptTo("gone@example.com".to_owned()), reply(550, "5.1.1 no such user"), 1);
    server.fault(Stage::RcptTo("full@example.com".to_owned()), reply(450, "4.2.1 later"), 2);
    let mut memo = None;
    for _ in 0..2 {
        let outcome = attempt(&channel, &message, &mut memo).await;
        let text = &failure(&outcome).text;
        assert!(text.starts_with("1 of 4 recipients cannot be told yet, among them f***@example.com: "), "{text}");
        assert!(text.contains("450") && !failure(&outcome).kind.is_trouble(), "the server works: {outcome:?}");
    }
    assert_eq!(addressed(server), [["a@example.com", "b@example.com"]]);
    // Nothing of the third dialogue reaches anybody, and what is known of the others stays known.
    server.fault(Stage::Mail, reply(451, "4.3.0 not now"), 1);
    let outcome = attempt(&channel, &message, &mut memo).await;
    assert!(failure(&outcome).text.starts_with("not yet with 2 of 4 recipients: "), "{outcome:?}");
    // Somebody joins meanwhile.
    let channel = office(server, &["new@example.com", "gone@example.com", "full@example.com", "a@example.com"]);
    assert_eq!(attempt(&channel, &message, &mut memo).await, Outcome::Delivered);
    assert_eq!(addressed(server)[1..], [["new@example.com", "full@example.com"]]);
}

#[tokio::test]
async fn a_server_that_takes_few_recipients_at_once_is_sent_to_in_turns() {
    let far = Far::of(ChannelType::Email);
    let Far::Smtp(server) = &far else { unreachable!() };
    // The simulated server takes 100, as RFC 5321 section 4.5.3.1.8 wants it at least.
    let to: Vec<String> = (0..230).map(|n| format!("a{n}@example.com")).collect();
    let channel = office(server, &to.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(send(&channel).await, Outcome::Delivered);
    assert_eq!(addressed(server).iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 30]);
    assert_eq!(addressed(server).concat(), to);
}

#[tokio::test]
async fn a_mail_that_is_too_big_for_its_server_goes_out_without_the_recording() {
    let options = SmtpOptions { max_size: 200_000, ..SmtpOptions::default() };
    let server = SmtpReceiver::start(clock(), options).unwrap();
    let address = server.address();
    let mut config = smtp(&address.ip().to_string(), address.port(), email::Security::None);
    (config.smtp.username, config.smtp.password) = (None, None);
    let channel = email::Email::new("mail", &config, 1, PATIENT).unwrap();
    let Message::Email(plain) = message(ChannelType::Email) else { unreachable!() };
    for (length, arrives_with_it) in [(100_000, true), (200_000, false)] {
        let attachment = Attachment {
            name: "mesaj.wav".to_owned(),
            content_type: "audio/wav".to_owned(),
            bytes: vec![7; length].into(),
            instead: Mail { subject: "Yalnızca bağlantı".to_owned(), ..plain.clone() },
        };
        let mail = Message::Email(Mail { attachment: Some(Box::new(attachment)), ..plain.clone() });
        assert_eq!(attempt(&channel, &mail, &mut None).await, Outcome::Delivered);
        let mail = server.received().pop().unwrap();
        assert_eq!(String::from_utf8_lossy(&mail.data).contains("multipart/mixed"), arrives_with_it, "{length}");
    }
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn an_address_beyond_ascii_is_written_to_by_servers_that_know_such_addresses_only() {
    for utf8 in [true, false] {
        let server = SmtpReceiver::start(clock(), SmtpOptions { utf8, eight_bit: utf8, ..SmtpOptions::default() });
        let server = server.unwrap();
        let make = |from: &str, to: &str| {
            let address = server.address();
            let mut config = smtp(&address.ip().to_string(), address.port(), email::Security::None);
            (config.smtp.username, config.smtp.password) = (None, None);
            (config.from, config.to) = (from.to_owned(), vec![to.to_owned()]);
            email::Email::new("mail", &config, 1, PATIENT).unwrap()
        };
        // Names are encoded, and domains have an ASCII form.
        let channel = make("Çağrı <santral@example.com>", "Işık <ofis@örnek.com.tr>");
        assert_eq!(send(&channel).await, Outcome::Delivered);
        assert_eq!(channel.check().await, Ok(None));
        assert_eq!(addressed(&server), [["ofis@xn--rnek-4qa.com.tr"]]);
        assert!(server.received()[0].data.is_ascii());
        for channel in [make("santral@example.com", "ışık@example.com"), make("çağrı@example.com", "ofis@example.com")]
        {
            if utf8 {
                assert_eq!(send(&channel).await, Outcome::Delivered);
                assert_eq!(channel.check().await, Ok(None));
            } else {
                let outcome = send(&channel).await;
                let Outcome::Permanent(failure) = &outcome else { panic!("{outcome:?}") };
                assert!(failure.text.contains("SMTPUTF8"), "{failure:?}");
                assert!(channel.check().await.is_err_and(|failure| failure.text.contains("SMTPUTF8")));
            }
        }
        assert_eq!(server.received().len(), if utf8 { 3 } else { 1 });
    }
}

#[tokio::test]
async fn a_mail_says_to_whom_it_answers_and_hides_who_is_not_to_be_seen() {
    let far = Far::of(ChannelType::Email);
    let (address, Far::Smtp(server)) = (far.address(), &far) else { unreachable!() };
    let mut config = smtp(&address.ip().to_string(), address.port(), email::Security::None);
    config.cc = vec!["Ofis <ofis@example.com>".to_owned(), "cc@example.com".to_owned()];
    config.bcc = vec!["secret@example.com".to_owned()];
    let channel = email::Email::new("office-mail", &config, 1, PATIENT).unwrap();
    let (id, first) = (
        DeliveryId::derive("main", EventType::VoicemailNew, "c1", "any"),
        DeliveryId::derive("main", EventType::CallMissed, "c1", "any"),
    );
    let message = message(ChannelType::Email);
    let after = |shared| Some(Earlier { id: first, memo: None, shared });
    for earlier in [None, after(false), after(true)] {
        let parcel = Parcel { id, message: &message, now: now(), earlier };
        assert_eq!(channel.send(parcel, &mut None).await, Outcome::Delivered);
    }
    let mails = server.received();
    assert_eq!(mails[0].to, ["ofis@example.com", "cc@example.com", "secret@example.com"], "each of them once");
    assert!(!String::from_utf8_lossy(&mails[0].data).contains("secret@example.com"));
    let header = |index: usize, name: &str| mails[index].header(name).unwrap();
    assert_eq!(header(0, "Message-ID"), header(1, "Message-ID"));
    assert_eq!(header(0, "Date"), "Sun, 22 Nov 2026 05:00:00 +0000");
    assert_eq!(header(0, "List-Id"), "ringback <office-mail.ringback.example.com>");
    assert_eq!(header(0, "Auto-Submitted"), "auto-generated");
    assert!(mails[0].header("Precedence").is_none());
    let root = "<t1@example.com>";
    assert_eq!((header(0, "In-Reply-To"), header(0, "References")), (root.to_owned(), root.to_owned()));
    assert_eq!((header(2, "In-Reply-To"), header(2, "References")), (root.to_owned(), root.to_owned()), "of a digest");
    let earlier = format!("<{first}@example.com>");
    assert_eq!((header(1, "In-Reply-To"), header(1, "References")), (earlier.clone(), format!("{root} {earlier}")));
}

#[tokio::test]
async fn a_dialogue_that_was_given_up_leaves_no_connection_on_which_the_next_mail_could_read_its_answers() {
    let far = Far::of(ChannelType::Email);
    let (address, Far::Smtp(server)) = (far.address(), &far) else { unreachable!() };
    let config = smtp(&address.ip().to_string(), address.port(), email::Security::None);
    let channel = email::Email::new("mail", &config, 1, TIMEOUT).unwrap();
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        let (before, mails) = (server.connections(), server.received().len());
        server.fault(stage.clone(), SmtpFault::Slow(TIMEOUT * 3 / 2), 1);
        assert_eq!(again(&send(&channel).await), FailureKind::Timeout, "{stage:?}");
        assert_eq!(send(&channel).await, Outcome::Delivered, "{stage:?}");
        assert_eq!(server.received().len(), mails + 1, "{stage:?}: a yes is for this mail");
        assert_eq!(send(&channel).await, Outcome::Delivered, "{stage:?}");
        let new = if before == 0 { 2 } else { 1 };
        assert_eq!(server.connections(), before + new, "{stage:?}: what ended well is used again");
    }
}

#[tokio::test]
async fn the_answers_to_a_mail_that_was_broken_off_are_not_taken_for_those_of_the_next() {
    let far = Far::of(ChannelType::Email);
    let (address, Far::Smtp(server)) = (far.address(), &far) else { unreachable!() };
    let config = smtp(&address.ip().to_string(), address.port(), email::Security::None);
    let channel = email::Email::new("mail", &config, 4, 5 * TIMEOUT).unwrap();
    // The server's yes comes when nobody waits for it any more, and belongs to the first mail.
    server.fault(Stage::Accepted, SmtpFault::Slow(7 * TIMEOUT), 1);
    assert_eq!(again(&send(&channel).await), FailureKind::Timeout);
    assert_eq!(server.received().len(), 1);
    server.fault(Stage::EndOfData, SmtpFault::Reply(451, "4.3.0 not now".to_owned()), usize::MAX);
    // Whatever keeps connections has its turn.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    again(&send(&channel).await);
    assert_eq!(server.received().len(), 1);
}
