//! The page of one event: small, whole in one file, without scripts, and readable without any of its colours.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use handlebars::Handlebars;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::board::kind;
use super::words::Words;
use crate::event::{Event, Kind};
use crate::message::Locale;
use crate::private::Secret;
use crate::render::helpers::{date, duration};
use crate::render::{self, Facts};

const CSS: &str = include_str!("../../../templates/web/link.css");

/// What a page shows.
pub(super) struct Page<'a> {
    pub(super) event: &'a Event,
    pub(super) locale: Locale,
    pub(super) timezone: &'a TimeZone,
    pub(super) mask_numbers: bool,
    /// Of the link: `/l/TOKEN`, behind the prefix of a proxy.
    pub(super) path: String,
    /// The extension that is rung unless another is named.
    pub(super) extension: Option<&'a str>,
    pub(super) play: Option<Play>,
    pub(super) said: Option<Said>,
}

/// Where the sound is had.
pub(super) struct Play {
    /// From the PBX.
    pub(super) direct: Secret,
    /// Through ringback, when the browser cannot have it from there.
    pub(super) through: String,
}

/// What came of a press.
pub(super) enum Said {
    Good(String),
    Bad(String),
    NoSound,
}

/// Why there is nothing to show.
#[derive(Clone, Copy)]
pub(super) enum Why {
    Forged,
    Expired,
    Gone,
    Busy,
}

static TEMPLATE: LazyLock<Result<Handlebars<'static>, String>> = LazyLock::new(|| {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    let text = include_str!("../../../templates/web/link.hbs");
    registry.register_template_string("link", text).map_err(|error| error.to_string())?;
    Ok(registry)
});

/// The one style that the page may have, by its digest.
static STYLE: LazyLock<String> = LazyLock::new(|| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(CSS))));

impl Page<'_> {
    pub(super) fn show(self) -> Response {
        let Self { event, locale, timezone, mask_numbers, path, extension, play, said } = self;
        let words = Words::of(locale);
        let facts = Facts::new(event, event.kind.first_event());
        let callable = event.caller.number.as_ref().and_then(crate::pbx::destination).is_some();
        let data = render::for_page(&facts, mask_numbers);
        let voicemail = event.kind == Kind::Voicemail;
        let (good, said) = match said {
            None => (false, None),
            Some(Said::Good(text)) => (true, Some(text)),
            Some(Said::Bad(text)) => (false, Some(text)),
            Some(Said::NoSound) => (false, Some(words.no_sound.to_owned())),
        };
        let media = play.as_ref().and_then(|play| origin(&play.direct));
        let audio = play.map(|play| json!({"direct": play.direct.expose(), "through": play.through}));
        let values = json!({
            "lang": locale.as_str(), "css": CSS, "words": words, "good": good, "said": said,
            "title": kind(event.kind, locale),
            "text": "",
            "event": {
                "account": data.account, "name": data.caller.name, "display": data.caller.display,
                "tel": data.caller.e164, "datetime": data.started_at,
                "when": date(event.started_at, timezone, locale),
                "duration": data.duration_seconds.map(|seconds| duration(u64::from(seconds), locale)),
                "duration_label": if voicemail { words.length } else { words.waited },
                "called": data.called.display, "extension": render::extension(&data.called), "queue": render::queue(&data.called),
                "standing": words.standing(event, locale), "recording": event.recording, "audio": audio,
                "callable": callable, "path": path, "own_extension": extension,
                "key": format!("{:032x}", random()),
            },
        });
        respond(&values, media.as_deref())
    }
}

/// The page of a link that opens nothing. It says no more than that.
pub(super) fn nothing(why: Why, locale: Locale) -> Response {
    let words = Words::of(locale);
    let (title, text) = match why {
        Why::Forged => (words.forged_title, words.forged),
        Why::Expired => (words.expired_title, words.expired),
        Why::Gone => (words.gone_title, words.gone),
        Why::Busy => (words.busy_title, words.busy),
    };
    let values = json!({
        "lang": locale.as_str(), "css": CSS, "words": words, "good": false, "said": Value::Null,
        "title": title, "text": text, "event": Value::Null,
    });
    respond(&values, None)
}

fn respond(values: &Value, media: Option<&str>) -> Response {
    let html = TEMPLATE
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|template| template.render("link", values).map_err(|error| error.to_string()));
    let html = match html {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(error, "the page of a link cannot be made, which is a bug");
            return (StatusCode::INTERNAL_SERVER_ERROR, "this page cannot be made\n").into_response();
        }
    };
    let policy = format!(
        "default-src 'none'; style-src {}; media-src 'self'{}{}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        *STYLE,
        if media.is_some() { " " } else { "" },
        media.unwrap_or_default()
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, policy),
        (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex, nofollow")),
    ];
    (headers, html).into_response()
}

/// Scheme, host and port of where the PBX keeps the sound. It may lead to another place by a redirect, which a browser
/// then refuses: the second source goes through ringback.
fn origin(url: &Secret) -> Option<String> {
    let url = url::Url::parse(url.expose()).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.origin().ascii_serialization())
}

/// Names one press.
fn random() -> u128 {
    let mut bytes = [0; 16];
    // Without one, presses of this page are told apart by their time alone.
    let _ = getrandom::fill(&mut bytes);
    u128::from_be_bytes(bytes)
}
