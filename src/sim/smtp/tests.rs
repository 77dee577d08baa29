use jiff::Timestamp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

fn start(options: SmtpOptions) -> SmtpReceiver {
    SmtpReceiver::start(Clock::manual(Timestamp::UNIX_EPOCH), options).unwrap()
}

fn transport(receiver: &SmtpReceiver) -> lettre::transport::smtp::AsyncSmtpTransportBuilder {
    Transport::builder_dangerous("127.0.0.1").port(receiver.address().port()).timeout(Some(Duration::from_secs(20)))
}

fn message(body: &str) -> Message {
    let builder = Message::builder().from("Santral <santral@example.com>".parse().unwrap());
    let builder = builder.to("ofis@example.com".parse().unwrap()).to("b@example.com".parse().unwrap());
    builder.subject("Kaçan çağrı: İpek").body(body.to_owned()).unwrap()
}

/// The code of the server's refusal.
async fn refusal(transport: lettre::transport::smtp::AsyncSmtpTransportBuilder) -> Option<String> {
    let sent = transport.build::<Tokio1Executor>().send(message("x")).await;
    sent.err().and_then(|error| error.status()).map(|code| code.to_string())
}

/// Sends everything at once, as PIPELINING allows, and reads until the server closes.
async fn pipelined(receiver: &SmtpReceiver, wire: &[u8]) -> String {
    let mut stream = TcpStream::connect(receiver.address()).await.unwrap();
    stream.write_all(wire).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// The codes of the final lines of the replies.
fn codes(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|line| &line[..3]).collect()
}

#[tokio::test]
async fn a_mail_from_a_real_client_comes_through_whole() {
    let receiver = start(SmtpOptions::default());
    let message = message(".dots\r\n..at the beginning\r\n.\r\nand ğüşıöç İ\r\n");
    transport(&receiver).build::<Tokio1Executor>().send(message.clone()).await.unwrap();
    let mails = receiver.wait_for(1).await;
    assert_eq!(mails[0].from, "santral@example.com");
    assert_eq!(mails[0].to, ["ofis@example.com", "b@example.com"]);
    let sent = message.formatted();
    assert_eq!(String::from_utf8_lossy(&mails[0].data).trim_end(), String::from_utf8_lossy(&sent).trim_end());
    assert_eq!(mails[0].header("FROM").as_deref(), Some("Santral <santral@example.com>"));
}

#[tokio::test]
async fn with_a_password_plain_and_login_are_taken_and_nothing_else() {
    let auth = Some(("user".to_owned(), "pässword".to_owned()));
    let receiver = start(SmtpOptions { auth, ..SmtpOptions::default() });
    for mechanism in [Mechanism::Plain, Mechanism::Login] {
        for (password, code) in [("pässword", None), ("password", Some("535"))] {
            let credentials = Credentials::new("user".into(), password.into());
            let transport = transport(&receiver).credentials(credentials).authentication(vec![mechanism]);
            assert_eq!(refusal(transport).await.as_deref(), code, "{mechanism}");
        }
    }
    assert_eq!(refusal(transport(&receiver)).await.as_deref(), Some("530"));
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn every_stage_refuses_with_the_code_that_was_asked_for_and_then_recovers() {
    let receiver = start(SmtpOptions::default());
    let stages = [
        (Stage::Connect, 421),
        (Stage::Connect, 554),
        (Stage::Mail, 451),
        (Stage::Rcpt, 550),
        (Stage::RcptTo("b@example.com".into()), 450),
        (Stage::Data, 452),
        (Stage::EndOfData, 552),
    ];
    for (stage, code) in stages {
        receiver.fault(stage.clone(), SmtpFault::Reply(code, "no".into()), 1);
        assert_eq!(refusal(transport(&receiver)).await, Some(code.to_string()), "{stage:?}");
    }
    assert_eq!(refusal(transport(&receiver)).await, None);
    assert_eq!((receiver.received().len(), receiver.connections()), (1, 8));
}

#[tokio::test]
async fn one_recipient_may_be_refused_and_the_others_served() {
    let receiver = start(SmtpOptions::default());
    receiver.fault(Stage::RcptTo("b@x.example".into()), SmtpFault::Reply(550, "5.1.1 Nobody".into()), usize::MAX);
    let wire = b"EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n\
        Subject: x\r\n\r\n..\r\n.\r\nQUIT\r\n";
    let text = pipelined(&receiver, wire).await;
    assert_eq!(codes(&text), ["220", "250", "250", "550", "250", "354", "250", "221"]);
    let mail = &receiver.received()[0];
    assert_eq!((mail.to.join(" "), &mail.data[..]), ("c@x.example".into(), &b"Subject: x\r\n\r\n.\r\n"[..]));
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let receiver = start(SmtpOptions::default());
    let wire = b"MAIL FROM:<a@x.example>\r\nHELO me\r\nRCPT TO:<b@x.example>\r\nDATA\r\nMAIL FROM:<>\r\nDATA\r\n\
        MAIL FROM:<>\r\nRSET\r\nRCPT TO:<b@x.example>\r\nNOOP\r\nAUTH PLAIN\r\nQUIT\r\n";
    let text = pipelined(&receiver, wire).await;
    let expected = ["220", "503", "250", "503", "503", "250", "554", "503", "250", "503", "250", "502", "221"];
    assert_eq!(codes(&text), expected);
}

#[tokio::test]
async fn what_is_offered_is_what_is_taken() {
    let text = pipelined(&start(SmtpOptions::default()), b"EHLO me\r\nQUIT\r\n").await;
    for extension in ["PIPELINING", "SIZE 26214400", "8BITMIME", "SMTPUTF8"] {
        assert!(text.contains(&format!("250-{extension}\r\n")), "{text}");
    }
    assert!(!text.contains("AUTH"), "{text}");
    let plain = start(SmtpOptions { eight_bit: false, utf8: false, ..SmtpOptions::default() });
    let wire = "EHLO me\r\nMAIL FROM:<ş@x.example> SMTPUTF8\r\nMAIL FROM:<ş@x.example>\r\n\
        MAIL FROM:<a@x.example> BODY=8BITMIME\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<ş@x.example>\r\nQUIT\r\n";
    let text = pipelined(&plain, wire.as_bytes()).await;
    assert!(!text.contains("8BITMIME\r\n") && !text.contains("250-SMTPUTF8"), "{text}");
    assert_eq!(codes(&text), ["220", "250", "555", "553", "555", "250", "553", "221"]);
}

#[tokio::test]
async fn a_message_that_is_too_big_is_read_to_its_end_and_refused() {
    let receiver = start(SmtpOptions { max_size: 100, ..SmtpOptions::default() });
    let mut wire = b"EHLO me\r\nMAIL FROM:<> SIZE=101\r\nMAIL FROM:<>\r\nRCPT TO:<b@x.example>\r\nDATA\r\n".to_vec();
    wire.extend(b"0123456789\r\n".repeat(9));
    wire.extend(b".\r\nQUIT\r\n");
    let text = pipelined(&receiver, &wire).await;
    assert_eq!(codes(&text), ["220", "250", "552", "250", "250", "354", "552", "221"]);
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_message_that_breaks_the_rules_of_text_is_refused() {
    let receiver = start(SmtpOptions::default());
    let long = "x".repeat(999);
    for (body, parameter, code) in [
        ("bare\nLF", "", "554"),
        ("smuggled\n.\nend", "", "554"),
        ("bare\rCR", "", "554"),
        (&*long, "", "554"),
        (&long[1..], "", "250"),
        ("ş", "", "554"),
        ("ş", " BODY=8BITMIME", "250"),
    ] {
        let wire =
            format!("EHLO me\r\nMAIL FROM:<>{parameter}\r\nRCPT TO:<b@x.example>\r\nDATA\r\n{body}\r\n.\r\nQUIT\r\n");
        let text = pipelined(&receiver, wire.as_bytes()).await;
        assert_eq!(codes(&text)[5], code, "{body}: {text}");
    }
}

#[tokio::test]
async fn a_reset_after_acceptance_loses_the_acknowledgement_and_not_the_mail() {
    let receiver = start(SmtpOptions::default());
    receiver.fault(Stage::EndOfData, SmtpFault::Reset, 1);
    receiver.fault(Stage::Accepted, SmtpFault::Reset, 1);
    for kept in [0, 1] {
        let sent = transport(&receiver).build::<Tokio1Executor>().send(message("x")).await;
        assert!(sent.is_err());
        assert_eq!(receiver.received().len(), kept);
    }
}

#[tokio::test]
async fn a_silent_server_outlasts_the_clients_patience_and_a_slow_one_does_not() {
    let receiver = start(SmtpOptions::default());
    receiver.fault(Stage::Mail, SmtpFault::Hang, 1);
    // The client's own timeout is for connecting only.
    let sent = tokio::time::timeout(Duration::from_millis(300), refusal(transport(&receiver)));
    assert!(sent.await.is_err());
    receiver.fault(Stage::Mail, SmtpFault::Slow(Duration::from_millis(50)), 1);
    assert_eq!(refusal(transport(&receiver)).await, None);
}

#[tokio::test]
async fn a_folded_header_is_read_as_one_line() {
    let data = b"To: a@x.example,\r\n b@x.example\r\nSubject: x\r\n\r\nBcc: c\r\n".to_vec();
    let at = Clock::manual(Timestamp::UNIX_EPOCH).moment();
    let mail = Mail { from: String::new(), to: Vec::new(), data, at };
    assert_eq!(mail.header("to").as_deref(), Some("a@x.example, b@x.example"));
    assert_eq!(mail.header("bcc"), None);
}

#[tokio::test]
async fn mails_that_have_been_seen_do_not_come_again() {
    let receiver = start(SmtpOptions::default());
    for subject in ["a", "b"] {
        transport(&receiver).build::<Tokio1Executor>().send(message(subject)).await.unwrap();
    }
    assert_eq!((receiver.since(0).len(), receiver.since(1).len(), receiver.since(2).len()), (2, 1, 0));
}
