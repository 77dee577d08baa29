//! Email by SMTP, with lettre.

use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use schemars::JsonSchema;
use serde::Deserialize;

use super::smtp::Server;
use super::{Channel, Parcel, wrong_form};
use crate::event::DeliveryId;
use crate::message::{ChannelType, Mail, Message};
use crate::outbox::{Failure, FailureKind, Outcome};
use crate::private::{Mask, Secret};
use crate::tls;
use crate::units::{OneOrManySchema, one_or_many};

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
    from: Mailbox,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
    reply_to: Option<Mailbox>,
    mask: Mask,
    timeout: Duration,
}

impl Email {
    /// Makes the channel of a configuration; connects at the first mail. Connections are kept and reused, `connections`
    /// at most.
    ///
    /// # Errors
    /// A sentence that names the key that cannot be used.
    pub fn new(config: &Config, connections: usize, timeout: Duration) -> Result<Self, String> {
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
        Ok(Self {
            server: Server::new((smtp.host.clone(), smtp.port()), tls, credentials, timeout, connections),
            from: mailbox("from", &config.from)?,
            to: mailboxes("to", &config.to)?,
            cc: mailboxes("cc", &config.cc)?,
            bcc: mailboxes("bcc", &config.bcc)?,
            reply_to: config.reply_to.as_deref().map(|text| mailbox("reply_to", text)).transpose()?,
            mask: mask(smtp),
            timeout,
        })
    }

    /// The mail as it goes out, with its headers.
    ///
    /// The Message-ID is that of the delivery, so a mail that was sent twice is one mail to its receiver. `References`
    /// names an id that no mail has: the common root of a caller's mails of one day (RFC 5322 section 3.6.4).
    ///
    /// # Errors
    /// When lettre cannot make it.
    pub fn message(&self, id: DeliveryId, mail: &Mail, now: Timestamp) -> Result<lettre::Message, String> {
        let domain = self.from.email.domain();
        let root = format!("<{}@{domain}>", mail.thread);
        let mut builder = lettre::Message::builder()
            .message_id(Some(format!("<{id}@{domain}>")))
            .date(now.into())
            .from(self.from.clone())
            .subject(mail.subject.clone())
            .in_reply_to(root.clone())
            .references(root)
            // RFC 3834 section 5: no vacation notices in return.
            .raw_header(HeaderValue::new(
                HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ));
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        for cc in &self.cc {
            builder = builder.cc(cc.clone());
        }
        for bcc in &self.bcc {
            builder = builder.bcc(bcc.clone());
        }
        if let Some(reply_to) = &self.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        let text = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(mail.text.clone());
        let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(mail.html.clone());
        builder
            .multipart(MultiPart::alternative().singlepart(text).singlepart(html))
            .map_err(|error| format!("the mail cannot be made: {error}"))
    }
}

fn mailbox(key: &str, text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| format!("`{key}`: `{text}` is not an address: {error}"))
}

fn mailboxes(key: &str, texts: &[String]) -> Result<Vec<Mailbox>, String> {
    texts.iter().map(|text| mailbox(key, text)).collect()
}

#[async_trait]
impl Channel for Email {
    fn channel_type(&self) -> ChannelType {
        ChannelType::Email
    }

    async fn send(&self, parcel: Parcel<'_>, _memo: &mut Option<String>) -> Outcome {
        let Message::Email(mail) = parcel.message else { return wrong_form(ChannelType::Email) };
        let message = match self.message(parcel.id, mail, parcel.now) {
            Ok(message) => message,
            Err(text) => return Outcome::Permanent(Failure::new(FailureKind::Internal, text)),
        };
        // lettre's own timeout is one for each command; this one is over the whole dialogue.
        tokio::time::timeout(self.timeout, self.dialogue(&message, parcel.now))
            .await
            .unwrap_or_else(|_| Outcome::RetryAfter { failure: self.too_late(), wait: None })
    }

    async fn check(&self) -> Result<Option<String>, Failure> {
        match tokio::time::timeout(self.timeout, self.server.login()).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(error)) => Err(failure(&error, &self.mask)),
            Err(_) => Err(self.too_late()),
        }
    }
}

impl Email {
    fn too_late(&self) -> Failure {
        let text = format!("no complete SMTP dialogue within {}", crate::units::format_duration(self.timeout));
        Failure::new(FailureKind::Timeout, text)
    }

    /// One dialogue for all recipients. lettre ends it at the first one that the server refuses, before anybody was sent
    /// anything: then each gets a dialogue of their own, so that a dead address keeps nobody else from being told.
    async fn dialogue(&self, message: &lettre::Message, now: Timestamp) -> Outcome {
        let (envelope, mail) = (message.envelope(), message.formatted());
        let outcome = self.deliver(envelope, &mail, now).await;
        if !matches!(&outcome, Outcome::Permanent(_)) || envelope.to().len() < 2 {
            return outcome;
        }
        let mut refused = 0;
        let mut worst = None;
        for to in envelope.to() {
            let one = match Envelope::new(envelope.from().cloned(), vec![to.clone()]) {
                Ok(one) => one,
                Err(error) => return Outcome::Permanent(Failure::new(FailureKind::Internal, error.to_string())),
            };
            match self.deliver(&one, &mail, now).await {
                Outcome::Delivered => {}
                Outcome::Permanent(failure) => {
                    refused += 1;
                    tracing::error!(
                        kind = failure.kind.as_str(),
                        why = failure.text,
                        "a recipient of a mail is refused"
                    );
                }
                again @ Outcome::RetryAfter { .. } => worst = Some(again),
            }
        }
        match worst {
            // Who has it already gets it once more, under the same Message-ID.
            Some(again) => again,
            None if refused < envelope.to().len() => Outcome::Delivered,
            None => outcome,
        }
    }

    async fn deliver(&self, envelope: &Envelope, mail: &[u8], now: Timestamp) -> Outcome {
        match self.server.send(envelope, mail, now).await {
            Ok(()) => Outcome::Delivered,
            Err(error) => classify(&error, &self.mask),
        }
    }
}

/// The password as it is, and as AUTH PLAIN and LOGIN write it (RFC 4616).
fn mask(smtp: &Smtp) -> Mask {
    let Some(password) = &smtp.password else { return Mask::default() };
    let user = smtp.username.as_deref().unwrap_or_default();
    let plain = BASE64.encode(format!("\0{user}\0{}", password.expose()));
    Mask::of([password.expose(), &BASE64.encode(password.expose()), &plain])
}

/// 5yz is for good, but for a refused login, which a person must mend; everything else comes again, a lost connection
/// like a 451 (RFC 5321 section 3.8).
fn classify(error: &lettre::transport::smtp::Error, mask: &Mask) -> Outcome {
    let failure = failure(error, mask);
    match failure.kind {
        FailureKind::Rejected => Outcome::Permanent(failure),
        _ => Outcome::RetryAfter { failure, wait: None },
    }
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
