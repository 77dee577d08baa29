//! Who is told when ringback itself cannot work.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::private::Secret;
use crate::units::{DurationText, OneOrManySchema, duration, one_or_many};

/// Who is told when ringback itself cannot work.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Health {
    /// The PBX cannot be read, or a channel delivers nothing, for this long: then it is told.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "DurationText")]
    pub after: Duration,
    /// The channels that are told, once, and once more when it is well again.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub notify: Vec<String>,
    /// Asked (GET) every minute while everything moves. Or `heartbeat_url_file`.
    pub heartbeat_url: Option<Secret>,
}

impl Default for Health {
    fn default() -> Self {
        Self { after: Duration::from_secs(600), notify: Vec::new(), heartbeat_url: None }
    }
}
