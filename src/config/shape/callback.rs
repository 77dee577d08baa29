//! Calling back through the PBX.

use schemars::JsonSchema;
use serde::Deserialize;

/// Calling back from a link, the board or the API: the extension is rung first, and the caller when it answers.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Callback {
    /// The extension that is rung; a channel (`callback_extension`) or whoever presses may name another.
    pub extension: Option<String>,
    /// The number that the caller sees, `908505320000`; without it the extension's own.
    pub caller_id: Option<String>,
}
