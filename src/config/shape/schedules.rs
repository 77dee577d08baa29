//! When it is open: named schedules, for routes and escalations.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{OneOrManySchema, one_or_many};

/// On which days, from when to when. A schedule is open while any of its spans is.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Span {
    /// The days on which it begins; every day when missing.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<Day>")]
    pub days: Vec<Day>,
    /// `"09:00"`; midnight when missing.
    pub from: Option<String>,
    /// `"18:00"`, at most `"24:00"`, which it is when missing; not later than `from`: on the next day.
    pub to: Option<String>,
    /// Public holidays on which it does not begin; from 13:00 on the eves of feasts.
    pub holidays: Option<Holidays>,
    /// Further dates on which it does not begin: `2026-12-31`.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrManySchema<String>")]
    pub except: Vec<String>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// Built-in public holidays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Holidays {
    /// Those of Türkiye (law 2429).
    Tr,
}
