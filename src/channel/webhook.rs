//! A signed HTTP request: Standard Webhooks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::private::Secret;
use crate::units::{OneOrManySchema, one_or_many};

/// The keys of a channel of type `webhook`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct Config {
    /// Where the request goes. May hold a token, so it is masked like a secret. Or `url_file`.
    pub url: Secret,
    /// The request's method.
    #[serde(default)]
    pub method: Method,
    /// Further headers; their values are masked like secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// `whsec_…`; a list rotates: every one signs, new first. Or `secret_file`.
    #[serde(default, deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub secret: Vec<Secret>,
}

/// The request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The usual one.
    #[default]
    Post,
    /// For receivers that want it.
    Put,
    /// For receivers that want it.
    Patch,
}
