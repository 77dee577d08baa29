//! Webhook bodies of a shape of their own: the variables that one template needs for every kind of message, and what
//! stands in when it fails.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::facts::{Context, Data, Facts};
use super::helpers::time;
use super::text::clean;
use super::{Look, Renderer, digest, fallback, samples};
use crate::body::{Body, BodyFormat, BodyTemplate};
use crate::event::EventType;
use crate::message::{Locale, WebhookMessage};

/// The longest `title` and `text`, in bytes: whatever the unit in which a service counts, they fit. Discord takes 4096
/// characters of a description, Telegram 4096 of a message, ntfy 4096 bytes.
const MAX_TITLE: usize = 250;
pub(super) const MAX_TEXT: usize = 1800;

/// A body that a template makes is not longer, in bytes.
const MAX_BODY: usize = 65_536;

/// A message in the words that every kind of message has.
pub(super) struct Story {
    /// One line: what, who, when.
    pub(super) title: String,
    /// A few lines, without links.
    pub(super) lines: Vec<String>,
    /// Where to listen, with the words for it.
    pub(super) link: Option<(String, String)>,
}

impl Story {
    /// That of one event.
    pub(super) fn of(context: &Context<'_>, timezone: &TimeZone) -> Self {
        let link = context.data.recording.as_ref().map(|recording| {
            let until = time(recording.expires_at.0, timezone);
            let words = match context.locale {
                Locale::Tr => format!("Ses kaydını dinle (saat {until} olana kadar)"),
                Locale::En => format!("Listen to the recording (until {until})"),
            };
            (recording.url.to_owned(), words)
        });
        Self { title: fallback::title(context, timezone), lines: fallback::facts(context, timezone), link }
    }
}

/// A template's result, or what goes out instead of it.
pub(super) struct Made {
    pub(super) message: WebhookMessage,
    pub(super) failure: Option<String>,
}

impl Renderer {
    /// Puts a message into the body that `look` asks for; into the default one, which is `default`, when it asks for none.
    /// `facts` are the variables of its kind, if it has any.
    pub(super) fn dress(
        &self,
        look: &Look,
        default: Bytes,
        names: Vec<String>,
        facts: Option<&impl Serialize>,
        story: impl FnOnce() -> Story,
    ) -> Made {
        let Some(body) = &look.body else {
            return Made { message: WebhookMessage { body: default, names }, failure: None };
        };
        let story = Story::fitted(story());
        let made = self.variables(look.locale, &default, facts, &story).and_then(|values| {
            let made = self.templates.render_body(&body.template, body.format, &values)?;
            valid(&made, body.format)
                .map_err(|problem| format!("{}: {problem}", self.templates.body_place(&body.template)))
        });
        let (body, failure) = match made {
            Ok(made) => (made, None),
            Err(failure) => (plain(body.format, &default, &story), Some(failure)),
        };
        Made { message: WebhookMessage { body, names }, failure }
    }

    /// Every name is there for every kind of message; what does not apply is null, or an empty list.
    fn variables(
        &self,
        locale: Locale,
        default: &Bytes,
        facts: Option<&impl Serialize>,
        story: &Story,
    ) -> Result<handlebars::Context, String> {
        let wrong = |error| format!("cannot give the facts to a template: {error}");
        let body: Value = serde_json::from_slice(default).map_err(wrong)?;
        let mut values = absent(&self.timezone);
        if let Some(facts) = facts {
            let Value::Object(facts) = serde_json::to_value(facts).map_err(wrong)? else {
                return Err("the facts are no object".to_owned());
            };
            values.extend(facts);
        }
        let account = body["data"]["account"].clone();
        if !account.is_null() {
            values.insert("account".to_owned(), account);
        }
        for (name, value) in [
            ("type", body["type"].clone()),
            ("timestamp", body["timestamp"].clone()),
            ("locale", json!(locale.as_str())),
            ("title", json!(story.title)),
            ("text", json!(story.lines.join("\n"))),
            ("lines", json!(story.lines)),
            ("link", json!(story.link.as_ref().map(|(url, _)| url))),
            ("link_text", json!(story.link.as_ref().map(|(_, words)| words))),
            ("body", body),
        ] {
            values.insert(name.to_owned(), value);
        }
        super::wrap(&values)
    }
}

impl Story {
    /// Within the limits. What is cut ends in `…`.
    fn fitted(story: Self) -> Self {
        let Self { title, lines, link } = story;
        let title = shorten(clean(&title, MAX_TITLE).into_owned(), MAX_TITLE);
        let lines = shorten(lines.join("\n"), MAX_TEXT).lines().map(str::to_owned).collect();
        Self { title, lines, link }
    }
}

fn shorten(mut text: String, max: usize) -> String {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

/// What a receiver of this format can read.
fn valid(made: &str, format: BodyFormat) -> Result<Bytes, String> {
    let made = made.trim();
    if made.is_empty() {
        return Err("gives an empty body".to_owned());
    }
    if made.len() > MAX_BODY {
        return Err(format!("gives {} bytes, which is more than 64 KiB", made.len()));
    }
    match format {
        BodyFormat::Json => {
            serde_json::from_str::<IgnoredAny>(made).map_err(|error| format!("gives no valid JSON: {error}"))?;
        }
        BodyFormat::Form if made.contains(|c: char| !c.is_ascii_graphic()) => {
            return Err("gives spaces, line breaks or letters that a form has percent-encoded only".to_owned());
        }
        BodyFormat::Form | BodyFormat::Markup | BodyFormat::Text => {}
    }
    Ok(Bytes::copy_from_slice(made.as_bytes()))
}

/// Without a template, in the format that the receiver has been promised.
fn plain(format: BodyFormat, default: &Bytes, story: &Story) -> Bytes {
    let mut text = story.lines.join("\n");
    if let Some((url, _)) = &story.link {
        text.push('\n');
        text.push_str(url);
    }
    let title = &story.title;
    match format {
        BodyFormat::Json => default.clone(),
        BodyFormat::Text => format!("{title}\n\n{text}\n").into(),
        BodyFormat::Form => url::form_urlencoded::Serializer::new(String::new())
            .append_pair("title", title)
            .append_pair("text", &text)
            .finish()
            .into(),
        BodyFormat::Markup => format!("<pre>{}</pre>", handlebars::html_escape(&format!("{title}\n\n{text}"))).into(),
    }
}

/// The names of all variables that a message of any kind has, with nothing in them.
fn absent(timezone: &TimeZone) -> Map<String, Value> {
    let event = samples::event(EventType::CallMissed, Timestamp::UNIX_EPOCH);
    let facts = Facts::new(&event, EventType::CallMissed);
    let data = Data::new(&facts, 0);
    let one = serde_json::to_value(Context::new(&data, &facts, Locale::Tr));
    let many = digest::nothing(timezone);
    let mut values = Map::new();
    for kind in [one.unwrap_or_default(), many] {
        if let Value::Object(kind) = nothing(kind) {
            values.extend(kind);
        }
    }
    values
}

fn nothing(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, nothing(value))).collect::<Map<_, _>>().into(),
        Value::Array(_) => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}

/// The name of a template among the others.
pub(super) fn name(template: &BodyTemplate) -> String {
    match template {
        BodyTemplate::Recipe(recipe) => {
            let format = if BodyFormat::of(recipe.content_type()) == Some(BodyFormat::Json) { "json" } else { "txt" };
            format!("recipes/{}.{format}", recipe.as_str())
        }
        BodyTemplate::File(path) => format!("body {}", path.display()),
    }
}

/// Those of `bodies` that are files.
pub(super) fn files(bodies: &[Body]) -> impl Iterator<Item = (&Body, &std::path::Path)> {
    bodies.iter().filter_map(|body| match &body.template {
        BodyTemplate::File(path) => Some((body, path.as_path())),
        BodyTemplate::Recipe(_) => None,
    })
}

#[cfg(test)]
mod tests;
