//! Summaries of a day: when, and for whom.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Day;
use crate::units::{OneOrManySchema, one_or_many};

/// A summary of what was missed, returned and is still open since the one before it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Summary {
    /// The time of day by the clock of `timezone`: `"18:00"`.
    pub at: String,
    /// The days on which it is sent; every day when missing. The first one after days without it covers those too.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<Day>")]
    pub days: Vec<Day>,
    /// Names of channels: at least one.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub notify: Vec<String>,
    /// Sent also when nothing was missed and nothing is open.
    #[serde(default)]
    pub always: bool,
}
