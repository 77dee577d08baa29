//! Email by SMTP.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::private::Secret;
use crate::units::{OneOrManySchema, one_or_many};

/// The keys of a channel of type `email`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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
    /// The port, or the usual one of the security.
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
