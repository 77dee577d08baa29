//! The requests themselves: one account's key, one base URL, and the status codes in the vendor's use of them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder};
use url::{Host, Url};

use super::error::{PbxError, scrub};
use super::names::{self, NameList, NamePage};
use super::stamps;
use super::wire::{self, Page};
use crate::clock::{Clock, Moment};
use crate::cursor::{ahead, back};
use crate::event::{Direction, Kind, Record};
use crate::http::{self, Answer, HttpError};
use crate::private::Secret;

/// Rows of a full page: the vendor's maximum. The same on every request, since another limit would shift the pages.
pub const PAGE_ROWS: usize = 100;

const PAGE_BYTES: usize = 8 << 20;
const URL_BYTES: usize = 64 << 10;

/// What [`Pbx::check`] asks for: as few rows as a page can have.
const SHORT_WINDOW: Duration = Duration::from_secs(60);

/// By so much a row's start may miss the window that was asked for.
const TOLERANCE: Duration = Duration::from_secs(60);

/// The API of one account. Cheap to clone; keeps no count of its requests (see [`super::budget`]).
#[derive(Debug, Clone)]
pub struct Pbx {
    http: Client,
    base: Url,
    key: Secret,
    timeout: Duration,
    clock: Clock,
    /// What its own clock showed when it last said so, and our tick then.
    said: Arc<Mutex<Option<Moment>>>,
}

/// Which calls. `from` and `to` are about when a call began; the vendor takes windows of at most 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallQuery {
    /// Always sent: without it the vendor answers with today only.
    pub from: Timestamp,
    /// Up to now when `None`.
    pub to: Option<Timestamp>,
    /// Only missed calls, or only others.
    pub missed: Option<bool>,
    /// Only calls from outside.
    pub inbound: bool,
    /// From 1.
    pub page: u32,
}

/// Which voicemails. `from` and `to` as in [`CallQuery`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoicemailQuery {
    /// Always sent.
    pub from: Timestamp,
    /// Up to now when `None`.
    pub to: Option<Timestamp>,
    /// Only those that nobody has heard.
    pub unread: bool,
    /// From 1.
    pub page: u32,
}

impl Pbx {
    /// A client for `base_url`, whose path is kept. `timeout` is that of one request as a whole. `clock` is ours.
    ///
    /// # Errors
    /// A sentence when the URL is no http(s) URL, or plain http to anything but this machine: the key would travel in
    /// clear.
    pub fn new(http: Client, base_url: &str, key: Secret, timeout: Duration, clock: Clock) -> Result<Self, String> {
        let base = Url::parse(base_url).map_err(|error| format!("the base URL of the PBX cannot be read: {error}"))?;
        match base.scheme() {
            "https" => {}
            "http" if is_loopback(&base) => {}
            "http" => {
                return Err("the base URL of the PBX is plain http, which would show the API key to the network; \
                            hint: use https"
                    .to_owned());
            }
            other => return Err(format!("the base URL of the PBX must be https, found `{other}`")),
        }
        if base.query().is_some()
            || base.fragment().is_some()
            || !base.username().is_empty()
            || base.password().is_some()
        {
            return Err("the base URL of the PBX must have neither credentials nor a query nor a fragment".to_owned());
        }
        Ok(Self { http, base, key, timeout, clock, said: Arc::default() })
    }

    /// What the clock of the PBX shows now, by which its stamps are: the `Date` of its last answer, and the time since.
    /// Ticks have counted that time, so it stays right when our wall clock leaps. `None` until the PBX has said a date.
    pub fn its_time(&self) -> Option<Timestamp> {
        let said = (*self.said.lock().unwrap_or_else(PoisonError::into_inner))?;
        Some(ahead(said.at, self.clock.tick().saturating_sub(said.tick)))
    }

    /// One page of calls, newest first as a rule. Rows that the query did not ask for are left out, since the vendor
    /// was seen to ignore filters; [`Page::rows`] counts them.
    pub async fn calls(&self, query: &CallQuery) -> Result<Page, PbxError> {
        let mut url = self.list("cdrs", query.from, query.to, query.page);
        if let Some(missed) = query.missed {
            url.query_pairs_mut().append_pair("missed", if missed { "true" } else { "false" });
        }
        if query.inbound {
            url.query_pairs_mut().append_pair("direction", "inbound");
        }
        let undated = undated(query.to, self.clock.now());
        let body = self.ask(self.http.get(url), PAGE_BYTES).await.map_err(no_list)?;
        let mut page = wire::calls_page(&body, undated)?;
        page.records.retain(|call| {
            began_within(call, query.from, query.to)
                && query.missed.is_none_or(|missed| call.missed == missed)
                && (!query.inbound || call.direction == Direction::Inbound)
        });
        Ok(page)
    }

    /// One call, or `None` when the PBX does not know it.
    pub async fn call(&self, uuid: &str) -> Result<Option<Record>, PbxError> {
        // A URL's path cannot hold these as a segment: they would ask for the list.
        if matches!(uuid, "" | "." | "..") {
            return Ok(None);
        }
        let mut url = self.endpoint(&["cdrs", uuid]);
        url.query_pairs_mut().append_pair("key", self.key.expose());
        let undated = self.clock.now();
        match self.ask(self.http.get(url), PAGE_BYTES).await {
            Ok(body) => wire::call_detail(&body, undated).map(Some),
            Err(PbxError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One page of voicemails, with the same local check as [`Pbx::calls`].
    pub async fn voicemails(&self, query: &VoicemailQuery) -> Result<Page, PbxError> {
        let mut url = self.list("voicemail_messages", query.from, query.to, query.page);
        if query.unread {
            url.query_pairs_mut().append_pair("read", "false");
        }
        let undated = undated(query.to, self.clock.now());
        let body = self.ask(self.http.get(url), PAGE_BYTES).await.map_err(no_list)?;
        let mut page = wire::voicemails_page(&body, undated)?;
        page.records.retain(|voicemail| {
            began_within(voicemail, query.from, query.to) && (!query.unread || voicemail.read_at.is_none())
        });
        Ok(page)
    }

    /// One page, from 1 on, of a list of names. There is no way to ask for one extension: that answer holds its SIP
    /// password.
    pub async fn names(&self, list: NameList, page: u32) -> Result<NamePage, PbxError> {
        let mut url = self.endpoint(&[list.as_str()]);
        url.query_pairs_mut()
            .append_pair("key", self.key.expose())
            .append_pair("limit", &PAGE_ROWS.to_string())
            .append_pair("page", &page.to_string());
        let body = self.ask(self.http.get(url), PAGE_BYTES).await.map_err(no_list)?;
        names::page(list, &body)
    }

    /// Asks for the list of one kind, as cheaply as can be: whether the PBX is there, knows the key and answers with
    /// what it should. Counts as one request towards the limit of that list.
    pub async fn check(&self, kind: Kind) -> Result<(), PbxError> {
        let (from, to, page) = (back(self.clock.now(), SHORT_WINDOW), None, 1);
        match kind {
            Kind::Call => self.calls(&CallQuery { from, to, missed: Some(true), inbound: true, page }).await,
            Kind::Voicemail => self.voicemails(&VoicemailQuery { from, to, unread: true, page }).await,
        }
        .map(|_| ())
    }

    /// Mints the URL of a call's recording; it lives for an hour.
    pub async fn recording_url(&self, uuid: &str) -> Result<Secret, PbxError> {
        self.mint("recording_url", uuid).await
    }

    /// Mints the URL of a voicemail; it lives for an hour. This may mark the voicemail as heard.
    pub async fn voicemail_url(&self, uuid: &str) -> Result<Secret, PbxError> {
        self.mint("voicemail_recording_url", uuid).await
    }

    /// The vendor's pages end these two paths with a slash, and disagree on the name of the id: it goes under both.
    async fn mint(&self, endpoint: &str, uuid: &str) -> Result<Secret, PbxError> {
        let form = [("key", self.key.expose()), ("uuid", uuid), ("call_uuid", uuid)];
        let request = self.http.post(self.endpoint(&[endpoint, ""])).form(&form);
        let body = self.ask(request, URL_BYTES).await?;
        let url = wire::recording_url(&body)?;
        // It goes into messages, and the key does not.
        if url.holds(&self.key) {
            return Err(PbxError::Garbled { text: "a URL with the API key in it".to_owned() });
        }
        Ok(url)
    }

    pub(super) fn http(&self) -> &Client {
        &self.http
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn key(&self) -> &Secret {
        &self.key
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    pub(super) fn endpoint(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only URLs that cannot be a base have no segments: http(s) ones always can.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn list(&self, endpoint: &str, from: Timestamp, to: Option<Timestamp>, page: u32) -> Url {
        let mut url = self.endpoint(&[endpoint]);
        let mut pairs = url.query_pairs_mut();
        pairs
            .append_pair("key", self.key.expose())
            .append_pair("start_stamp_from", &stamps::query(from))
            .append_pair("limit", &PAGE_ROWS.to_string())
            .append_pair("page", &page.to_string());
        if let Some(to) = to {
            pairs.append_pair("start_stamp_to", &stamps::query(to));
        }
        drop(pairs);
        url
    }

    pub(super) async fn ask(&self, request: RequestBuilder, limit: usize) -> Result<Bytes, PbxError> {
        let answer = http::exchange(request, limit, self.timeout).await.map_err(|error| {
            PbxError::Unreachable(HttpError { text: scrub(&error.text, &self.key), kind: error.kind })
        })?;
        // The tick of the answer, not of the request: the two may be a minute apart.
        let now = self.clock.moment();
        if let Some(at) = answer.date() {
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(Moment { at, ..now });
        }
        if !answer.status.is_success() {
            return Err(self.refusal(&answer, now.at));
        }
        if answer.cut {
            return Err(PbxError::Garbled { text: format!("it is longer than {limit} bytes") });
        }
        Ok(answer.body)
    }

    fn refusal(&self, answer: &Answer, now: Timestamp) -> PbxError {
        let body = answer.text_lossy();
        let text = scrub(&body, &self.key);
        match answer.status.as_u16() {
            _ if wire::refuses_key(&body) => PbxError::Auth { text },
            401 | 403 => PbxError::Auth { text },
            404 => PbxError::NotFound,
            400 if body.contains("cannot find") => PbxError::NotFound,
            429 => PbxError::RateLimited { wait: answer.retry_after(now) },
            status if status == 408 || status >= 500 => PbxError::Trouble { status, text },
            status if answer.status.is_redirection() => {
                let text = "a redirect, which is not followed; hint: check `base_url`".to_owned();
                PbxError::Refused { status, text }
            }
            status => PbxError::Refused { status, text },
        }
    }
}

/// A list always exists: a 404 means that the base URL leads elsewhere.
fn no_list(error: PbxError) -> PbxError {
    match error {
        PbxError::NotFound => {
            PbxError::Refused { status: 404, text: "no such list; hint: check `base_url`".to_owned() }
        }
        other => other,
    }
}

/// What a row without any stamp is dated: within the window, since the server put it there.
fn undated(to: Option<Timestamp>, now: Timestamp) -> Timestamp {
    to.map_or(now, |to| to.min(now))
}

fn began_within(record: &Record, from: Timestamp, to: Option<Timestamp>) -> bool {
    let from = from.saturating_sub(TOLERANCE).unwrap_or(Timestamp::MIN);
    let to = to.and_then(|to| to.checked_add(TOLERANCE).ok());
    record.started_at >= from && to.is_none_or(|to| record.started_at <= to)
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
