//! How a simulated PBX behaves and writes, where the vendor's pages disagree or keep silent.

use std::time::Duration;

use bytes::Bytes;
use jiff::tz::{Offset, offset};

use super::push::Crm;
use crate::sim::audio;

/// The choices; the default is what the vendor's pages say.
#[derive(Debug, Clone)]
pub struct PbxOptions {
    /// The only key that is accepted.
    pub key: String,
    /// How much may be asked in 60 s.
    pub limits: Limits,
    /// `Retry-After` of a 429, in seconds; the vendor documents none.
    pub retry_after: Option<u64>,
    /// Of the stamps, and of the day that is meant when no dates are sent.
    pub offset: Offset,
    /// Real time that every answer takes.
    pub latency: Duration,
    /// How `missed` is written.
    pub missed: Flag,
    /// How `recording_present` is written.
    pub recording_present: Flag,
    /// Language of `direction`.
    pub directions: Language,
    /// How durations are written.
    pub durations: Durations,
    /// How a fact that is not there is written.
    pub absent: Absent,
    /// How the answer to a request for a recording's URL is written.
    pub url_form: UrlForm,
    /// How a wrong key is answered; the body is the same always.
    pub bad_key: BadKey,
    /// Status of the answer for a uuid that is not known: 400, or 404 on some pages.
    pub unknown_uuid: u16,
    /// What becomes of a `limit` below 10 or above 100.
    pub limit_rule: LimitRule,
    /// What the `pagination` object holds.
    pub pagination: Pagination,
    /// Answers with the first page whichever is asked for.
    pub same_page: bool,
    /// Takes no notice of any filter but the dates.
    pub ignore_filters: bool,
    /// When a voicemail counts as heard.
    pub marks_read: MarksRead,
    /// What is posted where; `POST /crm_integrations` changes it.
    pub crm: Crm,
    /// Life of a recording's URL.
    pub url_life: Duration,
    /// What a recording's URL serves.
    pub audio: Bytes,
    /// Its `Content-Type`.
    pub audio_type: String,
    /// The extensions that there are: others cannot be rung.
    pub extensions: Vec<String>,
}

impl Default for PbxOptions {
    fn default() -> Self {
        Self {
            key: "K12345678-1234-5678-4321-123456789012".into(),
            limits: Limits::default(),
            retry_after: None,
            offset: offset(3),
            latency: Duration::ZERO,
            missed: Flag::Text,
            recording_present: Flag::Text,
            directions: Language::Turkish,
            durations: Durations::Clock,
            absent: Absent::Null,
            url_form: UrlForm::Text,
            bad_key: BadKey::Status400,
            unknown_uuid: 400,
            limit_rule: LimitRule::Clamp,
            pagination: Pagination::Full,
            same_page: false,
            ignore_filters: false,
            marks_read: MarksRead::OnMint,
            crm: Crm::default(),
            url_life: Duration::from_secs(3600),
            audio: audio::tone(Duration::from_millis(1500), 440.0).into(),
            audio_type: "audio/wav".into(),
            extensions: ["1001", "1002", "1014"].map(String::from).into(),
        }
    }
}

/// Requests in any 60 s; `None` is no limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `GET /cdrs`.
    pub cdrs: Option<usize>,
    /// `GET /cdrs/UUID`.
    pub cdr_detail: Option<usize>,
    /// `GET /voicemail_messages`.
    pub voicemails: Option<usize>,
    /// `POST /recording_url` and `POST /voicemail_recording_url` together.
    pub recordings: Option<usize>,
    /// `GET /contacts`, `GET /extensions` and `GET /queues`, each. Documented for the last one only.
    pub names: Option<usize>,
    /// `GET /originate`.
    pub originate: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cdrs: Some(6),
            cdr_detail: Some(6),
            voicemails: Some(6),
            recordings: Some(5),
            names: Some(10),
            originate: Some(100),
        }
    }
}

impl Limits {
    /// As much as anybody likes.
    pub const NONE: Self =
        Self { cdrs: None, cdr_detail: None, voicemails: None, recordings: None, names: None, originate: None };
}

/// Ways to write yes and no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// `"true"`.
    Text,
    /// `true`.
    Bool,
    /// `1`.
    Number,
}

/// Ways to write a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `Gelen`, `Giden (API)`, `Santral içi`.
    Turkish,
    /// `inbound`, `outbound`, `internal`.
    English,
}

/// Ways to write a duration of 65 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durations {
    /// `"00:01:05"`.
    Clock,
    /// `"01:05"`.
    Short,
    /// `"00:1:5"`, as in the older samples.
    Unpadded,
    /// `65`.
    Seconds,
}

/// Ways to write that there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// `null`.
    Null,
    /// `""`.
    Empty,
    /// No such key.
    Missing,
}

/// Ways to answer with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlForm {
    /// The bare URL.
    Text,
    /// The URL in quotation marks, and a newline.
    Quoted,
    /// `{"url": …, "expires_at": …}`.
    Json,
}

/// The status of an answer that says `Gecersiz anahtar: KEY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadKey {
    /// As on the pages for calls and voicemails.
    Status400,
    /// As on the pages for the phone book.
    Status401,
    /// As seen in the field.
    Status200,
}

/// What becomes of a `limit` out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitRule {
    /// The nearest that is allowed.
    Clamp,
    /// 400.
    Reject,
}

/// What `pagination` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pagination {
    /// The truth.
    Full,
    /// Zero for the counts.
    Zeroed,
    /// Nothing: there is no such object.
    Omitted,
}

/// When a voicemail gets its `read_stamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarksRead {
    /// When its URL is asked for.
    OnMint,
    /// When the URL is fetched.
    OnFetch,
    /// Only by [`PbxSim::mark_read`](super::PbxSim::mark_read).
    Never,
}
