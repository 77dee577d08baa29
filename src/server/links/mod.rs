//! `/l/TOKEN`: the page that a link in a message opens, and what its buttons do (contract section 5).
//!
//! Opening it, however often and by whatever program, asks nothing of the PBX: only a press does. Whoever has the link
//! may press, so it is short-lived and made for one event; what it shows is masked where its channel's messages are.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use bytes::Bytes;
use serde_json::json;

use self::page::{Page, Play, Said};
use super::site::{ChannelFacts, Site, Sites};
use crate::callback::{CallbackError, Callbacks, Order};
use crate::clock::Clock;
use crate::event::{Event, Kind};
use crate::link::{Link, LinkError};
use crate::message::Locale;
use crate::ops::Desk;
use crate::store::Store;

mod audio;
mod page;
mod words;

pub(super) use self::words::refusal;

/// A press waits so long for a URL: somebody looks at the page meanwhile.
const URL_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// How long a page that was pressed goes on to play through ringback: as long as the URL of the PBX does.
const PLAYS: std::time::Duration = std::time::Duration::from_secs(3600);

/// What the pages are made of.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) store: Arc<dyn Store>,
    pub(super) desk: Desk,
    pub(super) sites: Sites,
    pub(super) callbacks: Callbacks,
    pub(super) clock: Clock,
}

/// What a token that can be opened leads to.
struct Opened {
    site: Arc<Site>,
    link: Link,
    event: Arc<Event>,
    token: String,
    channel: Option<ChannelFacts>,
}

/// Nothing, with what to say about it.
struct Closed {
    status: StatusCode,
    locale: Locale,
    why: page::Why,
}

pub(super) fn router(context: Context) -> Router {
    Router::new()
        .route("/l/{token}", get(show))
        .route("/l/{token}/listen", get(show).post(listen))
        .route("/l/{token}/callback", get(show).post(call_back))
        .route("/l/{token}/audio", get(play))
        .with_state(context)
}

impl Context {
    /// The event behind a token.
    async fn open(&self, token: &str, headers: &HeaderMap) -> Result<Opened, Closed> {
        let site = self.sites.current();
        // Of a link that opens nothing nobody knows whose it was.
        let locale = language(headers).or(site.as_ref().map(|site| site.locale)).unwrap_or_default();
        let closed = |status, why| Closed { status, locale, why };
        let site = site.ok_or_else(|| closed(StatusCode::SERVICE_UNAVAILABLE, page::Why::Busy))?;
        let link = Link::open(&site.link_keys(), token, self.clock.now()).map_err(|error| match error {
            LinkError::Forged => closed(StatusCode::NOT_FOUND, page::Why::Forged),
            LinkError::Expired => closed(StatusCode::GONE, page::Why::Expired),
        })?;
        let found = self.store.events(&[link.event]).await.map_err(|error| {
            tracing::error!(event = %link.event, %error, "a page cannot be shown: the store cannot be read");
            closed(StatusCode::SERVICE_UNAVAILABLE, page::Why::Busy)
        })?;
        let Some(event) = found.into_iter().flatten().next() else {
            return Err(closed(StatusCode::GONE, page::Why::Gone));
        };
        let channel = site.channels.iter().find(|(name, _)| link.is_for(name)).map(|(_, facts)| facts.clone());
        Ok(Opened { site, link, event, token: token.to_owned(), channel })
    }
}

impl Opened {
    fn locale(&self) -> Locale {
        self.channel.as_ref().map_or(self.site.locale, |channel| channel.locale)
    }

    fn extension(&self) -> Option<&str> {
        self.site.callback_extension(self.channel.as_ref())
    }

    fn page(&self, play: Option<Play>, said: Option<Said>) -> Response {
        let page = Page {
            event: &self.event,
            locale: self.locale(),
            timezone: &self.site.timezone,
            // Whoever has taken the channel away has not said that its readers may see more.
            mask_numbers: self.channel.as_ref().is_none_or(|channel| channel.mask_numbers),
            path: format!("{}/l/{}", self.site.prefix(), self.token),
            extension: self.extension(),
            play,
            said,
        };
        page.show()
    }
}

async fn show(State(context): State<Context>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    match context.open(&token, &headers).await {
        Ok(opened) => opened.page(None, None),
        Err(closed) => closed.into_response(),
    }
}

/// Mints a URL, and shows the page with the sound.
async fn listen(State(context): State<Context>, Path(token): Path<String>, headers: HeaderMap) -> Response {
    let mut opened = match context.open(&token, &headers).await {
        Ok(opened) => opened,
        Err(closed) => return closed.into_response(),
    };
    let now = context.clock.moment();
    let link = if opened.event.recording {
        opened.site.recordings.link(&opened.event, now.tick + URL_PATIENCE).await
    } else {
        None
    };
    let Some(link) = link else {
        return if wants_page(&headers) {
            opened.page(None, Some(Said::NoSound))
        } else {
            let status = if opened.event.recording { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NOT_FOUND };
            (status, Json(json!({"error": "the recording cannot be had"}))).into_response()
        };
    };
    if opened.event.kind == Kind::Voicemail {
        match context.desk.heard(&opened.event, &opened.site.follow_ups).await {
            // The page shows what the press has changed.
            Ok(Some(heard)) => opened.event = heard.into(),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(event = %opened.event.id, %error, "that a voicemail was heard cannot be stored");
            }
        }
    }
    if !wants_page(&headers) {
        let expires_at = format!("{:.0}", link.expires_at);
        return Json(json!({"url": link.url.expose(), "expires_at": expires_at})).into_response();
    }
    let keys = opened.site.link_keys();
    let Some(key) = keys.first() else { return opened.page(None, Some(Said::NoSound)) };
    let ticket = opened.link.ticket(key, crate::cursor::ahead(now.at, PLAYS));
    let through = format!("{}/l/{token}/audio?t={ticket}", opened.site.prefix());
    opened.page(Some(Play { direct: link.url, through }), None)
}

/// The sound through ringback, for browsers that cannot have it from the PBX. Only with the ticket of a press.
async fn play(
    State(context): State<Context>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let opened = match context.open(&token, &headers).await {
        Ok(opened) => opened,
        Err(closed) => return closed.into_response(),
    };
    let now = context.clock.moment();
    let pairs = url::form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let ticket = pairs.into_owned().find(|(key, _)| key == "t").map(|(_, ticket)| ticket).unwrap_or_default();
    let keys = opened.site.link_keys();
    if !opened.link.admits(&keys, &ticket, now.at) {
        return (StatusCode::FORBIDDEN, "press play on the page of the link\n").into_response();
    }
    let recordings = &opened.site.recordings;
    let Some(link) = recordings.link(&opened.event, now.tick + URL_PATIENCE).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the recording cannot be had at the moment\n").into_response();
    };
    match recordings.audio(&opened.event, &link).await {
        Some(held) => audio::answer(&held.audio, headers.get(header::RANGE).and_then(|range| range.to_str().ok())),
        None => (StatusCode::BAD_GATEWAY, "the recording cannot be had at the moment\n").into_response(),
    }
}

/// Rings an extension and then the caller. A browser's form gets the page, a program JSON.
async fn call_back(
    State(context): State<Context>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let opened = match context.open(&token, &headers).await {
        Ok(opened) => opened,
        Err(closed) => return closed.into_response(),
    };
    let order = match order(&headers, &body) {
        Ok(order) => order,
        Err(error) => return (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response(),
    };
    let Some(line) = opened.site.line(&opened.event.account, opened.extension()) else {
        let error = CallbackError::Pbx("its account is not configured any more".to_owned());
        return told(&opened, &headers, &Err(error));
    };
    let outcome = context.callbacks.press(opened.event.id, order, line).await;
    told(&opened, &headers, &outcome)
}

fn told(opened: &Opened, headers: &HeaderMap, outcome: &Result<crate::callback::Done, CallbackError>) -> Response {
    if !wants_page(headers) {
        return outcome_json(outcome);
    }
    let locale = opened.locale();
    let said = match outcome {
        Ok(done) => Said::Good(words::ringing(&done.extension, locale)),
        Err(error) => Said::Bad(refusal(error, locale)),
    };
    let mut page = opened.page(None, Some(said));
    if let Err(error) = outcome {
        *page.status_mut() = status(error);
    }
    page
}

/// What became of a press, for programs.
pub(super) fn outcome_json(outcome: &Result<crate::callback::Done, CallbackError>) -> Response {
    match outcome {
        Ok(done) => {
            let (at, extension, call_uuid) = (format!("{:.0}", done.at), &done.extension, &done.call_uuid);
            Json(json!({"status": "ringing", "extension": extension, "call_uuid": call_uuid, "at": at})).into_response()
        }
        Err(error) => (status(error), Json(json!({"error": error.to_string()}))).into_response(),
    }
}

fn status(error: &CallbackError) -> StatusCode {
    match error {
        CallbackError::Unknown => StatusCode::NOT_FOUND,
        CallbackError::NoNumber | CallbackError::Settled(_) => StatusCode::CONFLICT,
        CallbackError::NoExtension | CallbackError::BadExtension => StatusCode::BAD_REQUEST,
        CallbackError::TooMany => StatusCode::TOO_MANY_REQUESTS,
        CallbackError::Pbx(_) | CallbackError::Unsure(_) => StatusCode::BAD_GATEWAY,
        CallbackError::Store => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What a form, or a JSON object, says of a callback; nothing is fine. A program may give its key in a header.
pub(super) fn order(headers: &HeaderMap, body: &[u8]) -> Result<Order, String> {
    let mut order = Order::default();
    let header = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    order.key = header.map(str::to_owned);
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.trim().starts_with("application/json"));
    let pairs: Vec<(String, String)> = if body.is_empty() {
        Vec::new()
    } else if json {
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(body).map_err(|_| "expected a JSON object".to_owned())?;
        let text = |(key, value): (String, serde_json::Value)| match value {
            serde_json::Value::String(text) => Ok((key, text)),
            serde_json::Value::Number(number) => Ok((key, number.to_string())),
            serde_json::Value::Null => Ok((key, String::new())),
            _ => Err(format!("`{key}` must be a text")),
        };
        fields.into_iter().map(text).collect::<Result<_, _>>()?
    } else {
        url::form_urlencoded::parse(body).into_owned().collect()
    };
    for (key, value) in pairs {
        match key.as_str() {
            "extension" if !value.trim().is_empty() => order.extension = Some(value.trim().to_owned()),
            "key" if !value.is_empty() && order.key.is_none() => order.key = Some(value),
            _ => {}
        }
    }
    Ok(order)
}

/// A browser asks for a page; what asks for anything, or for JSON, is a program.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("text/html")
}

/// The language of a browser, for pages that belong to no channel.
fn language(headers: &HeaderMap) -> Option<Locale> {
    let accepted = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    match accepted.trim_start().get(..2)? {
        "tr" => Some(Locale::Tr),
        "en" => Some(Locale::En),
        _ => None,
    }
}

impl IntoResponse for Closed {
    fn into_response(self) -> Response {
        let mut page = page::nothing(self.why, self.locale);
        *page.status_mut() = self.status;
        page
    }
}
