//! One connection: the dialogue from greeting to QUIT.

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::command::{self, Command, Sender};
use super::{Arriving, Shared, SmtpFault, Stage};
use crate::sim::server::{reset, until_gone};

/// RFC 4954 allows 12,288 octets in a line of AUTH; other lines are shorter.
const MAX_COMMAND: usize = 12_288;
/// RFC 5321, section 4.5.3.1.6, without the line end.
const MAX_TEXT_LINE: usize = 998;
const MAX_RECIPIENTS: usize = 100;

/// Serves one connection until either side ends it.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    shared.connected();
    let mut session = Session {
        stream,
        buffer: BytesMut::new(),
        shared,
        greeted: false,
        authenticated: false,
        sender: None,
        recipients: Vec::new(),
    };
    // An error is the client's leaving in the middle.
    if let Ok(End::Reset) = session.dialogue().await {
        reset(session.stream);
    }
}

/// How a connection ends.
enum End {
    Close,
    Reset,
}

/// What comes after a command.
enum Next {
    Command,
    End(End),
}

struct Session {
    stream: TcpStream,
    buffer: BytesMut,
    shared: Arc<Shared>,
    greeted: bool,
    authenticated: bool,
    sender: Option<Sender>,
    recipients: Vec<String>,
}

impl Session {
    async fn dialogue(&mut self) -> io::Result<End> {
        match self.fault(&Stage::Connect).await? {
            Some(Next::End(end)) => return Ok(end),
            Some(Next::Command) => return self.refused().await,
            None => self.say("220 sim.localhost ESMTP").await?,
        }
        loop {
            let Some(line) = self.line(MAX_COMMAND).await? else { return Ok(End::Close) };
            let next = match String::from_utf8(line) {
                Ok(line) => match command::parse(&line, &self.shared.options) {
                    Ok(command) => self.obey(command).await?,
                    Err(refusal) => self.answer(&refusal).await?,
                },
                Err(_) => self.answer("500 5.5.2 Not UTF-8").await?,
            };
            if let Next::End(end) = next {
                return Ok(end);
            }
        }
    }

    /// After a greeting that refuses, only QUIT is obeyed (RFC 5321, section 3.1).
    async fn refused(&mut self) -> io::Result<End> {
        while let Some(line) = self.line(MAX_COMMAND).await? {
            if line.eq_ignore_ascii_case(b"QUIT") {
                self.say("221 2.0.0 Bye").await?;
                break;
            }
            self.say("503 5.5.1 Not here").await?;
        }
        Ok(End::Close)
    }

    async fn obey(&mut self, command: Command) -> io::Result<Next> {
        match command {
            Command::Ehlo => self.ehlo().await,
            Command::Helo => {
                self.forget();
                self.greeted = true;
                self.answer("250 sim.localhost").await
            }
            Command::Auth(mechanism, initial) => self.auth(&mechanism, initial).await,
            Command::Mail(sender) => self.mail(sender).await,
            Command::Rcpt(address) => self.rcpt(address).await,
            Command::Data => self.data().await,
            Command::Rset => {
                self.forget();
                self.answer("250 2.0.0 Forgotten").await
            }
            Command::Noop => self.answer("250 2.0.0 Ok").await,
            Command::Vrfy => self.answer("252 2.5.0 Send and see").await,
            Command::Quit => {
                self.say("221 2.0.0 Bye").await?;
                Ok(Next::End(End::Close))
            }
        }
    }

    async fn ehlo(&mut self) -> io::Result<Next> {
        self.forget();
        self.greeted = true;
        let options = &self.shared.options;
        let mut lines = vec!["sim.localhost".to_owned(), "PIPELINING".to_owned(), format!("SIZE {}", options.max_size)];
        if options.eight_bit {
            lines.push("8BITMIME".into());
        }
        if options.utf8 {
            lines.push("SMTPUTF8".into());
        }
        if options.auth.is_some() {
            lines.push("AUTH PLAIN LOGIN".into());
        }
        lines.push("ENHANCEDSTATUSCODES".into());
        let last = lines.len() - 1;
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }))
            .collect();
        self.answer(&text.join("\r\n")).await
    }

    async fn auth(&mut self, mechanism: &str, initial: Option<String>) -> io::Result<Next> {
        let Some((user, password)) = self.shared.options.auth.clone() else {
            return self.answer("502 5.5.1 No AUTH here").await;
        };
        if !self.greeted || self.authenticated || self.sender.is_some() {
            return self.answer("503 5.5.1 Not now").await;
        }
        if let Some(next) = self.fault(&Stage::Auth).await? {
            return Ok(next);
        }
        let given = if mechanism.eq_ignore_ascii_case("PLAIN") {
            // authzid NUL user NUL password (RFC 4616).
            self.secret(initial, "").await?.and_then(|text| {
                let mut parts = text.splitn(3, '\0').skip(1).map(str::to_owned);
                Some((parts.next()?, parts.next()?))
            })
        } else if mechanism.eq_ignore_ascii_case("LOGIN") {
            match self.secret(initial, "Username:").await? {
                Some(name) => self.secret(None, "Password:").await?.map(|word| (name, word)),
                None => None,
            }
        } else {
            return self.answer("504 5.5.4 Unknown mechanism").await;
        };
        match given {
            None => self.answer("501 5.5.2 Not a response").await,
            Some(given) if given == (user, password) => {
                self.authenticated = true;
                self.answer("235 2.7.0 Welcome").await
            }
            Some(_) => self.answer("535 5.7.8 Wrong user or password").await,
        }
    }

    /// The initial response, or the answer to a challenge; `None` when it is not base64, or `*` for "never mind".
    async fn secret(&mut self, initial: Option<String>, challenge: &str) -> io::Result<Option<String>> {
        let text = if let Some(text) = initial {
            // RFC 4954: an empty initial response is written as an equals sign.
            if text == "=" { Vec::new() } else { text.into_bytes() }
        } else {
            self.say(&format!("334 {}", BASE64_STANDARD.encode(challenge))).await?;
            self.line(MAX_COMMAND).await?.ok_or(io::ErrorKind::UnexpectedEof)?
        };
        Ok(BASE64_STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    async fn mail(&mut self, sender: Sender) -> io::Result<Next> {
        if !self.greeted || self.sender.is_some() {
            return self.answer("503 5.5.1 Not now").await;
        }
        if self.shared.options.auth.is_some() && !self.authenticated {
            return self.answer("530 5.7.0 Authentication required").await;
        }
        if !sender.address.is_ascii() && !sender.utf8 {
            return self.answer("553 5.6.7 Such an address needs SMTPUTF8").await;
        }
        if let Some(next) = self.fault(&Stage::Mail).await? {
            return Ok(next);
        }
        self.sender = Some(sender);
        self.answer("250 2.1.0 Ok").await
    }

    async fn rcpt(&mut self, address: String) -> io::Result<Next> {
        let Some(sender) = &self.sender else { return self.answer("503 5.5.1 MAIL first").await };
        if !address.is_ascii() && !sender.utf8 {
            return self.answer("553 5.6.7 Such an address needs SMTPUTF8").await;
        }
        if self.recipients.len() == MAX_RECIPIENTS {
            return self.answer("452 4.5.3 Too many recipients").await;
        }
        for stage in [Stage::RcptTo(address.clone()), Stage::Rcpt] {
            if let Some(next) = self.fault(&stage).await? {
                return Ok(next);
            }
        }
        self.recipients.push(address);
        self.answer("250 2.1.5 Ok").await
    }

    async fn data(&mut self) -> io::Result<Next> {
        if self.sender.is_none() {
            return self.answer("503 5.5.1 MAIL first").await;
        }
        if self.recipients.is_empty() {
            return self.answer("554 5.5.1 No valid recipients").await;
        }
        if let Some(next) = self.fault(&Stage::Data).await? {
            return Ok(next);
        }
        self.say("354 End with a dot").await?;
        let message = self.message().await?;
        let sender = self.sender.take();
        let recipients = std::mem::take(&mut self.recipients);
        let (Some(sender), Some(message)) = (sender, message) else {
            return self.answer(&command::too_big()).await;
        };
        if let Some(refusal) = fault_of_text(&message, sender.eight_bit) {
            return self.answer(refusal).await;
        }
        if let Some(next) = self.fault(&Stage::EndOfData).await? {
            return Ok(next);
        }
        self.shared.accept(sender.address, recipients, message);
        match self.fault(&Stage::Accepted).await? {
            Some(next) => Ok(next),
            None => self.answer("250 2.0.0 Queued").await,
        }
    }

    /// The message up to the dot; `None` when it was too big, and then it is read to its end all the same.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let _arriving = Arriving::of(&self.shared);
        let max_size = self.shared.options.max_size;
        let mut message = Vec::new();
        let mut too_big = false;
        loop {
            let line = self.line(max_size + 1).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line == b"." {
                return Ok((!too_big).then_some(message));
            }
            let line = line.strip_prefix(b".").unwrap_or(&line);
            too_big |= message.len() + line.len() + 2 > max_size;
            if !too_big {
                message.extend_from_slice(line);
                message.extend_from_slice(b"\r\n");
            }
        }
    }

    fn forget(&mut self) {
        self.sender = None;
        self.recipients.clear();
    }

    async fn fault(&mut self, stage: &Stage) -> io::Result<Option<Next>> {
        Ok(match self.shared.fault(stage) {
            None => None,
            Some(SmtpFault::Reply(code, text)) => {
                self.say(&format!("{code} {text}")).await?;
                Some(if code == 421 { Next::End(End::Close) } else { Next::Command })
            }
            Some(SmtpFault::Hang) => {
                until_gone(&mut self.stream).await;
                Some(Next::End(End::Close))
            }
            Some(SmtpFault::Reset) => Some(Next::End(End::Reset)),
            Some(SmtpFault::Slow(wait)) => {
                tokio::time::sleep(wait).await;
                None
            }
        })
    }

    /// The next line without its CRLF, `None` at the end of the connection. A bare LF ends no line.
    async fn line(&mut self, longest: usize) -> io::Result<Option<Vec<u8>>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..].windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[..searched + at].to_vec();
                self.buffer.advance(searched + at + 2);
                return Ok(Some(line));
            }
            // The CR may be the last byte so far.
            searched = self.buffer.len().saturating_sub(1);
            if self.buffer.len() > longest + 2 {
                self.say("500 5.5.2 The line is too long").await?;
                return Ok(None);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn answer(&mut self, reply: &str) -> io::Result<Next> {
        self.say(reply).await?;
        Ok(Next::Command)
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.stream.write_all(format!("{reply}\r\n").as_bytes()).await
    }
}

/// What no message may hold: bare line ends (RFC 5321, section 2.3.8), lines that are too long, undeclared 8-bit bytes.
fn fault_of_text(message: &[u8], eight_bit: bool) -> Option<&'static str> {
    let text = message.strip_suffix(b"\r\n").unwrap_or(message);
    let lines = || text.split(|byte| *byte == b'\n');
    let count = lines().count();
    for (n, line) in lines().enumerate() {
        let whole = if n + 1 < count { line.strip_suffix(b"\r") } else { Some(line) };
        match whole {
            Some(line) if line.contains(&b'\r') => return Some("554 5.6.0 A bare CR"),
            Some(line) if line.len() > MAX_TEXT_LINE => return Some("554 5.6.0 A line is too long"),
            Some(_) => {}
            None => return Some("554 5.6.0 A bare LF"),
        }
    }
    (!eight_bit && !message.is_ascii()).then_some("554 5.6.1 8-bit bytes without BODY=8BITMIME")
}
