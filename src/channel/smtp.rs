//! The connections to one SMTP server: kept between mails, and never used again after a dialogue that did not end well.
//!
//! lettre's own pool takes a connection back even when its dialogue was given up in the middle, by a deadline. The next
//! mail then reads the answers to that one, and may take a yes for its own: it would be noted as delivered and never
//! have arrived. Here a connection belongs to its dialogue until that has ended well, and ends with it otherwise.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::extension::ClientId;

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

    /// Sends one mail, by a connection that is there or by a new one.
    ///
    /// # Errors
    /// What the server or the way to it has answered.
    pub(super) async fn send(&self, envelope: &Envelope, mail: &[u8], now: Timestamp) -> Result<(), Error> {
        let mut connection = self.connection(now).await?;
        connection.send(envelope, mail).await?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.keep {
            idle.push(Idle { connection, since: now });
        }
        Ok(())
    }

    /// All that comes before a mail: greeting, EHLO, STARTTLS, AUTH; then QUIT.
    ///
    /// # Errors
    /// As [`Server::send`].
    pub(super) async fn login(&self) -> Result<(), Error> {
        let mut connection = self.connect().await?;
        // All was well; a server that fails at the farewell takes mails all the same.
        let _ = connection.quit().await;
        Ok(())
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
