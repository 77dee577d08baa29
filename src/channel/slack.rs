//! A Slack incoming webhook.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::private::Secret;

/// The keys of a channel of type `slack`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Config {
    /// The incoming webhook's URL, which is a secret. Or `webhook_url_file`.
    pub webhook_url: Secret,
}
