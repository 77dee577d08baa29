//! The connections to one SMTP server: kept between mails, and never used again after a dialogue that did not end well.
//!
//! lettre's own pool takes a connection back even when its dialogue was given up in the middle, by a deadline. The next
//! mail then reads the answers to that one, and may take a yes for its own: it would be noted as delivered and never
//! have arrived. Here a connection belongs to its dialogue until that has ended well, and ends with it otherwise.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use super::email::Letter;

/// Servers end a dialogue that says nothing after some minutes (RFC 5321 section 4.5.3.2.7), routers sooner.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// One SMTP server, and the connections to it that wait for the next mail.
pub(super) struct Server {
    address: (String, u16),
    tls: Tls,
    credentials: Option<Credentials>,
    /// For one command; the whole dialogue is bounded by whoever calls.
    timeout: Duration,
    /// How many connections are kept.
    keep: usize,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: Timestamp,
}

impl Server {
    pub(super) fn new(
        address: (String, u16),
        tls: Tls,
        credentials: Option<Credentials>,
        timeout: Duration,
        keep: usize,
    ) -> Self {
        Self { address, tls, credentials, timeout, keep, idle: Mutex::default() }
    }

    /// Sends one mail in one transaction, by a connection that is there or by a new one. What the server says to each
    /// recipient comes back in their order; who got no refusal has it.
    ///
    /// # Errors
    /// What has kept it from everybody.
    pub(super) async fn send(
        &self,
        letter: &Letter,
        to: &[&Address],
        now: Timestamp,
    ) -> Result<Vec<Option<Error>>, Trouble> {
        let mut connection = self.connection(now).await?;
        let answer = transaction(&mut connection, letter, to).await;
        let keeps_order = match &answer {
            Ok(answers) => answers.iter().any(Option::is_none) || connection.command(Rset).await.is_ok(),
            // The server has spoken, and waits for what comes next; 421 is its farewell.
            Err(Trouble::Server(error)) if speaks_on(error) => connection.command(Rset).await.is_ok(),
            Err(Trouble::NeedsUtf8) => true,
            Err(Trouble::Server(_)) => false,
        };
        if keeps_order {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < self.keep {
                idle.push(Idle { connection, since: now });
            }
        }
        answer
    }

    /// All that comes before a mail: greeting, EHLO, STARTTLS, AUTH; then QUIT. Returns whether the server offers
    /// SMTPUTF8.
    ///
    /// # Errors
    /// What the server or the way to it has answered.
    pub(super) async fn login(&self) -> Result<bool, Error> {
        let mut connection = self.connect().await?;
        let utf8 = connection.server_info().supports_feature(Extension::SmtpUtfEight);
        // All was well; a server that fails at the farewell takes mails all the same.
        let _ = connection.quit().await;
        Ok(utf8)
    }

    async fn connection(&self, now: Timestamp) -> Result<AsyncSmtpConnection, Error> {
        while let Some(mut connection) = self.take_idle(now) {
            // NOOP: the server may have ended it meanwhile.
            if connection.test_connected().await {
                return Ok(connection);
            }
        }
        self.connect().await
    }

    fn take_idle(&self, now: Timestamp) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes none of them older.
        idle.retain(|idle| Duration::try_from(now.duration_since(idle.since)).is_ok_and(|age| age <= LONGEST_IDLE));
        idle.pop().map(|idle| idle.connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let hello = ClientId::default();
        let (at_once, later) = match &self.tls {
            Tls::Wrapper(parameters) => (Some(parameters.clone()), None),
            Tls::Required(parameters) | Tls::Opportunistic(parameters) => (None, Some(parameters.clone())),
            Tls::None => (None, None),
        };
        let address = (self.address.0.as_str(), self.address.1);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(address, Some(self.timeout), &hello, at_once, None).await?;
        if let Some(parameters) = later {
            connection.starttls(parameters, &hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

/// Why nobody gets a mail.
#[derive(Debug)]
pub(super) enum Trouble {
    /// What the server or the way to it has answered.
    Server(Error),
    /// An address needs SMTPUTF8 (RFC 6531), which the server does not offer.
    NeedsUtf8,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

/// MAIL, RCPT for each, and DATA when somebody was accepted (RFC 5321 section 3.3).
async fn transaction(
    connection: &mut AsyncSmtpConnection,
    letter: &Letter,
    to: &[&Address],
) -> Result<Vec<Option<Error>>, Trouble> {
    let is_ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    let mut parameters = Vec::new();
    if !letter.is_ascii() || !is_ascii(letter.from()) || !to.iter().all(|address| is_ascii(address)) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(Trouble::NeedsUtf8);
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    // A server with SMTPUTF8 has 8BITMIME (RFC 6531 section 3.1).
    if !letter.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    connection.command(Mail::new(Some(letter.from().clone()), parameters)).await?;
    let mut answers = Vec::with_capacity(to.len());
    for address in to {
        match connection.command(Rcpt::new((*address).clone(), Vec::new())).await {
            Ok(_) => answers.push(None),
            Err(error) if speaks_on(&error) => answers.push(Some(error)),
            Err(error) => return Err(error.into()),
        }
    }
    if answers.iter().any(Option::is_none) {
        connection.command(Data).await?;
        connection.message_iter(letter.chunks()).await?;
    }
    Ok(answers)
}

/// Whether it is an answer after which the dialogue goes on: 421 ends it, and 530 is for everybody.
fn speaks_on(error: &Error) -> bool {
    error.status().is_some_and(|code| !matches!(u16::from(code), 421 | 530))
}
