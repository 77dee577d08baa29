//! Email by SMTP, with lettre.

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use schemars::JsonSchema;
use serde::Deserialize;

use self::letter::Addresses;
pub use self::letter::Letter;
use self::recipients::Recipients;
use super::smtp::{Server, Trouble};
use super::{Channel, Parcel, wrong_form};
use crate::message::{ChannelType, Mail, Message};
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::{Mask, Secret};
use crate::tls;
use crate::units::{OneOrManySchema, one_or_many};

mod letter;
mod recipients;

/// What an attachment may take a second at least, on top of the timeout: the uplink of an office.
const SLOWEST: usize = 128 << 10;

/// The keys of a channel of type `email`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Config {
    /// The server that takes the mail.
    pub smtp: Smtp,
    /// Sender: `Santral <santral@example.com>`.
    pub from: String,
    /// Recipients.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub to: Vec<String>,
    /// Recipients of a copy.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub cc: Vec<String>,
    /// Recipients that the others do not see.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub bcc: Vec<String>,
    /// Where answers go, when not to `from`.
    #[serde(default)]
    pub reply_to: Option<String>,
}

/// The server that takes the mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Smtp {
    /// Name or address.
    pub host: String,
    /// 587 for `starttls`, 465 for `tls`, 25 for `none` when missing.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub security: Security,
    /// With a password only.
    #[serde(default)]
    pub username: Option<String>,
    /// Or `password_file`.
    #[serde(default)]
    pub password: Option<Secret>,
}

impl Smtp {
    /// The configured port, or the usual one of the kind of security.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        })
    }
}

/// How the connection to the SMTP server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Plain at first, then TLS; refused when the server does not offer it.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Nothing. A password is then refused except to loopback.
    None,
}

/// Sends through one SMTP server.
pub struct Email {
    server: Server,
    addresses: Addresses,
    /// Everybody, once.
    recipients: Vec<Address>,
    mask: Mask,
    timeout: Duration,
}

/// How a dialogue has ended.
enum Ended {
    With(Outcome),
    /// The server takes no mail of this size.
    TooBig(Failure),
}

/// How much longer than the channel's timeout an attempt may take that sends an attachment of so many bytes.
pub fn upload_time(bytes: usize) -> Duration {
    Duration::from_secs((bytes / SLOWEST) as u64)
}

impl Email {
    /// Makes the channel `name` of a configuration; connects at the first mail. Connections are kept and reused,
    /// `connections` at most.
    ///
    /// # Errors
    /// A sentence that names the key that cannot be used.
    pub fn new(name: &str, config: &Config, connections: usize, timeout: Duration) -> Result<Self, String> {
        let smtp = &config.smtp;
        let tls = || {
            TlsParameters::new(smtp.host.clone())
                .map_err(|error| format!("`smtp.host` cannot be used with TLS: {error}"))
        };
        let tls = match smtp.security {
            Security::Starttls => Tls::Required(tls()?),
            Security::Tls => Tls::Wrapper(tls()?),
            Security::None => Tls::None,
        };
        let credentials = smtp.username.as_ref().zip(smtp.password.as_ref());
        let credentials =
            credentials.map(|(user, password)| Credentials::new(user.clone(), password.expose().to_owned()));
        let from = mailbox("from", &config.from)?;
        let addresses = Addresses {
            list_id: letter::list_id(name, &from.email),
            from,
            to: mailboxes("to", &config.to)?,
            cc: mailboxes("cc", &config.cc)?,
            bcc: mailboxes("bcc", &config.bcc)?,
            reply_to: config.reply_to.as_deref().map(|text| mailbox("reply_to", text)).transpose()?,
        };
        let mut recipients: Vec<Address> = Vec::new();
        for mailbox in addresses.to.iter().chain(&addresses.cc).chain(&addresses.bcc) {
            if !recipients.contains(&mailbox.email) {
                recipients.push(mailbox.email.clone());
            }
        }
        Ok(Self {
            server: Server::new((smtp.host.clone(), smtp.port()), tls, credentials, timeout, connections),
            addresses,
            recipients,
            mask: mask(smtp),
            timeout,
        })
    }

    /// A mail as it goes out, with its headers.
    ///
    /// # Errors
    /// When it cannot be made; a bug.
    pub fn letter(&self, parcel: Parcel<'_>, mail: &Mail) -> Result<Letter, String> {
        Letter::write(&self.addresses, parcel.id, mail, parcel.earlier, parcel.now)
            .map_err(|error| format!("the mail cannot be made: {error}"))
    }
}

/// A domain goes by its ASCII name (RFC 5891), which every server knows.
fn mailbox(key: &str, text: &str) -> Result<Mailbox, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("`{key}`: `{text}` is not an address: {error}");
    let mailbox: Mailbox = text.parse().map_err(|error| wrong(&error))?;
    let Mailbox { name, email } = mailbox;
    if email.domain().is_ascii() {
        return Ok(Mailbox { name, email });
    }
    let domain = url::Host::parse(email.domain()).map_err(|error| wrong(&error))?;
    let email = Address::new(email.user(), domain.to_string()).map_err(|error| wrong(&error))?;
    Ok(Mailbox { name, email })
}

fn mailboxes(key: &str, texts: &[String]) -> Result<Vec<Mailbox>, String> {
    texts.iter().map(|text| mailbox(key, text)).collect()
}

#[async_trait]
impl Channel for Email {
    fn channel_type(&self) -> ChannelType {
        ChannelType::Email
    }

    async fn send(&self, parcel: Parcel<'_>, memo: &mut Option<String>) -> Outcome {
        let Message::Email(mail) = parcel.message else { return wrong_form(ChannelType::Email) };
        let mut done = Recipients::read(parcel.id, memo.as_deref());
        let outcome = match (self.attempt(parcel, mail, &mut done).await, &mail.attachment) {
            (Ended::With(outcome), _) => outcome,
            (Ended::TooBig(failure), Some(attachment)) => {
                tracing::warn!(
                    delivery = %parcel.id, bytes = attachment.bytes.len(), why = failure.text,
                    "the mail server takes no mail of this size: it is sent without the recording"
                );
                match self.attempt(parcel, &attachment.instead, &mut done).await {
                    Ended::With(outcome) => outcome,
                    Ended::TooBig(failure) => Outcome::Permanent(failure),
                }
            }
            (Ended::TooBig(failure), None) => Outcome::Permanent(failure),
        };
        *memo = done.note(&outcome);
        outcome
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        match tokio::time::timeout(self.timeout, self.server.login()).await {
            Ok(Ok(false)) if !self.is_ascii() => Err(no_utf8()),
            Ok(Ok(_)) => Ok(None),
            Ok(Err(error)) => Err(failure(&error, &self.mask)),
            Err(_) => Err(too_late(self.timeout)),
        }
    }
}

impl Email {
    /// Whether no server needs SMTPUTF8 to take its mails.
    fn is_ascii(&self) -> bool {
        let Addresses { from, reply_to, .. } = &self.addresses;
        let others = reply_to.iter().chain([from]).map(|mailbox| &mailbox.email);
        self.recipients.iter().chain(others).all(|address| AsRef::<str>::as_ref(address).is_ascii())
    }

    async fn attempt(&self, parcel: Parcel<'_>, mail: &Mail, done: &mut Recipients) -> Ended {
        let letter = match self.letter(parcel, mail) {
            Ok(letter) => letter,
            Err(text) => return Ended::With(Outcome::Permanent(Failure::new(FailureKind::Internal, text))),
        };
        let attached = mail.attachment.as_ref().map_or(0, |attachment| attachment.bytes.len());
        let limit = self.timeout + upload_time(attached);
        // lettre's own timeout is one for each command; this one is over the whole dialogue.
        tokio::time::timeout(limit, self.dialogue(&letter, done, &parcel))
            .await
            .unwrap_or_else(|_| Ended::With(Outcome::RetryAfter { failure: too_late(limit), wait: None }))
    }

    /// Sends to all who are not done with yet. A recipient whom the server refuses keeps nobody else from being told.
    async fn dialogue(&self, letter: &Letter, done: &mut Recipients, parcel: &Parcel<'_>) -> Ended {
        let all = &self.recipients;
        let mut open = done.open(all);
        let mut refused = None;
        while !open.is_empty() {
            let answers = match self.server.send(letter, &open, parcel.now).await {
                Ok(answers) => answers,
                Err(trouble) => return self.trouble(&trouble, done),
            };
            let progress = answers.iter().any(Option::is_none);
            let mut again = None;
            let mut rest = Vec::new();
            for (address, answer) in open.into_iter().zip(answers) {
                let Some(error) = answer else {
                    done.took(address);
                    continue;
                };
                let failure = failure(&error, &self.mask);
                if failure.kind == FailureKind::Rejected {
                    tracing::error!(
                        delivery = %parcel.id,
                        recipient = recipients::masked(address),
                        why = failure.text,
                        "the mail server refuses a recipient for good: the others are told, this one is not; hint: mend \
                         the channel's `to`, `cc` or `bcc`; `ringback deliveries show` keeps whom a mail did not reach"
                    );
                    done.refuse(address, &failure.text);
                    refused.get_or_insert(failure);
                } else {
                    // RFC 5321 section 4.5.3.1.10: too many at once are sent to in several turns.
                    let one_too_many = error.status().is_some_and(|code| u16::from(code) == 452);
                    rest.push((address, one_too_many));
                    again.get_or_insert((recipients::masked(address), failure));
                }
            }
            let Some((whose, failure)) = again else { break };
            if !(progress && rest.iter().any(|(_, one_too_many)| *one_too_many)) {
                return Ended::With(later(&whose, failure, rest.len(), all.len(), done.holders(all)));
            }
            open = rest.into_iter().map(|(address, _)| address).collect();
        }
        Ended::With(match (done.holders(all), refused) {
            (0, Some(failure)) => Outcome::Permanent(failure),
            // Refused at an earlier attempt, all of them.
            (0, None) => {
                let words = done.words().first().map_or("the mail server has refused every recipient", String::as_str);
                Outcome::Permanent(Failure::new(FailureKind::Rejected, words))
            }
            _ => Outcome::Delivered,
        })
    }

    /// What has kept the mail from all who were tried.
    fn trouble(&self, trouble: &Trouble, done: &Recipients) -> Ended {
        let Trouble::Server(error) = trouble else { return Ended::With(Outcome::Permanent(no_utf8())) };
        let mut failure = failure(error, &self.mask);
        let holders = done.holders(&self.recipients);
        if holders > 0 {
            let missing = self.recipients.len() - holders;
            failure = Failure::new(
                failure.kind,
                format!("not yet with {missing} of {} recipients: {}", self.recipients.len(), failure.text),
            );
        }
        match failure.kind {
            FailureKind::Rejected if is_too_big(error) => Ended::TooBig(failure),
            // 5yz is for good, but for a refused login, which a person must mend; everything else comes again, a lost
            // connection like a 451 (RFC 5321 section 3.8).
            FailureKind::Rejected => Ended::With(Outcome::Permanent(failure)),
            _ => Ended::With(Outcome::RetryAfter { failure, wait: None }),
        }
    }
}

/// Some are to be tried again. When others were accepted, it is not the server that is in trouble, and the other mails
/// of the lane need not wait for it.
fn later(whose: &str, failure: Failure, waiting: usize, all: usize, holders: usize) -> Outcome {
    let kind = if holders > 0 && failure.kind == FailureKind::Receiver { FailureKind::Rejected } else { failure.kind };
    let text = if all == 1 {
        failure.text
    } else {
        format!("{waiting} of {all} recipients cannot be told yet, among them {whose}: {}", failure.text)
    };
    Outcome::RetryAfter { failure: Failure::new(kind, text), wait: None }
}

fn too_late(limit: Duration) -> Failure {
    let text = format!("no complete SMTP dialogue within {}", crate::units::format_duration(limit));
    Failure::new(FailureKind::Timeout, text)
}

fn no_utf8() -> Failure {
    let text = "an address of this channel has letters beyond ASCII before its `@`, and the mail server does not offer \
                SMTPUTF8; hint: give an address without them, or another server";
    Failure::new(FailureKind::Rejected, text)
}

/// RFC 1870 section 6.1, and the enhanced codes of RFC 3463 for it.
fn is_too_big(error: &lettre::transport::smtp::Error) -> bool {
    let text = error.to_string();
    error.status().is_some_and(|code| matches!(u16::from(code), 523 | 552))
        || ["5.3.4", "5.2.3"].iter().any(|code| text.contains(code))
}

/// The password as it is, and as AUTH PLAIN and LOGIN write it (RFC 4616).
fn mask(smtp: &Smtp) -> Mask {
    let Some(password) = &smtp.password else { return Mask::default() };
    let user = smtp.username.as_deref().unwrap_or_default();
    let plain = BASE64.encode(format!("\0{user}\0{}", password.expose()));
    Mask::of([password.expose(), &BASE64.encode(password.expose()), &plain])
}

fn failure(error: &lettre::transport::smtp::Error, mask: &Mask) -> Failure {
    // Which lettre calls a lost connection.
    if let Some(text) = tls::explain(error) {
        return Failure::new(FailureKind::Tls, text);
    }
    // Bounds the work of masking; a failure's text holds less.
    let mut text = describe(error);
    text.truncate(text.floor_char_boundary(1000));
    let text = mask.apply(&text);
    let kind = match error.status().map(u16::from) {
        // RFC 4954 section 6: authentication required, or refused.
        Some(530 | 534 | 535 | 538) => FailureKind::Unauthorized,
        _ if error.is_permanent() => FailureKind::Rejected,
        _ if error.is_transient() => FailureKind::Receiver,
        _ if error.is_timeout() => FailureKind::Timeout,
        _ if error.is_tls() => FailureKind::Tls,
        // lettre's own checks of what the server offers.
        _ if error.is_client() && text.contains("STARTTLS") => FailureKind::Tls,
        _ if error.is_client() && text.contains("authentication mechanism") => FailureKind::Unauthorized,
        _ => FailureKind::Unreachable,
    };
    Failure::new(kind, text)
}

fn describe(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    // What lettre finds missing in a server is no fault of its own.
    if let Some(words) = text.strip_prefix("internal client error: ") {
        text = words.to_owned();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
