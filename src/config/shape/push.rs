//! Instant detection: what the PBX posts when a call ends.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::private::Secret;

/// Instant detection: the PBX posts its hangup events to `/hooks/pbx/ACCOUNT/SECRET` of `http.public_url`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Push {
    /// The last part of that URL: at least 16 of `A-Z a-z 0-9 _ -`. Without one nothing is taken there. Or `secret_file`.
    pub secret: Option<Secret>,
    /// A URL that gets every event unchanged, since the PBX knows one URL only. Or `forward_to_file`.
    pub forward_to: Option<Secret>,
}
