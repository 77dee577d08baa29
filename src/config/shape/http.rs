//! The HTTP server: where it listens, how browsers reach it, and who may.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::private::Secret;
use crate::units::{DurationText, duration};

/// The HTTP server: health and metrics, the pages that messages link to, the board and the API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Http {
    /// Address and port; `off` switches it off. Without this key ringback listens on 127.0.0.1:8380, and goes on
    /// without the server when that is taken.
    pub listen: Option<String>,
    /// How browsers reach it, with the path of a reverse proxy if there is one: `https://calls.example.com/ringback`.
    /// Switches on the links in messages.
    pub public_url: Option<String>,
    /// Whoever has it may use the board and the API. Or `token_file`.
    pub token: Option<Secret>,
    /// A header that only the reverse proxy before it can set, with the name of whom it has let in: whoever comes with it
    /// sees the board without logging in. Needs `token`.
    pub trusted_header: Option<String>,
    /// How long the links in messages work.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub link_ttl: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: None,
            public_url: None,
            token: None,
            trusted_header: None,
            link_ttl: Duration::from_secs(7 * 86_400),
        }
    }
}
