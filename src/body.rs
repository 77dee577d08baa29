//! What a webhook's body is made from: its template, and the format that its content type asks for. Pure.

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// Stands before the name of a recipe where a path could stand.
const RECIPE: &str = "recipe:";

/// The format of a body, by which values in its template are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFormat {
    /// Values go between the quotes of a string.
    Json,
    /// Values are percent-encoded: `application/x-www-form-urlencoded`.
    Form,
    /// HTML and XML: values become entities.
    Markup,
    /// Values stay as they are.
    Text,
}

impl BodyFormat {
    /// The content types that are understood, for hints.
    pub const KNOWN: &'static str =
        "application/json, application/x-www-form-urlencoded, application/xml, text/html, text/plain";

    /// The format of a content type such as `application/json; charset=utf-8`. `None` for what has no escaping that could
    /// be chosen, and for a charset that is not UTF-8: bodies are.
    pub fn of(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
        let essence = parts.next().unwrap_or_default();
        let other_charset = |part: String| {
            let charset = part.strip_prefix("charset=").map(|name| name.trim_matches('"').to_owned());
            charset.is_some_and(|name| name != "utf-8" && name != "utf8")
        };
        if parts.any(other_charset) {
            return None;
        }
        let (kind, subtype) = essence.split_once('/')?;
        match (kind, subtype) {
            (_, "json") => Some(Self::Json),
            (_, subtype) if subtype.ends_with("+json") => Some(Self::Json),
            ("application", "x-www-form-urlencoded") => Some(Self::Form),
            ("text" | "application", "html" | "xml") => Some(Self::Markup),
            (_, subtype) if subtype.ends_with("+xml") => Some(Self::Markup),
            ("text", subtype) if !subtype.is_empty() => Some(Self::Text),
            _ => None,
        }
    }
}

/// A built-in template for a service that people use: `templates/recipes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// Microsoft Teams, the webhook of a workflow.
    Teams,
    /// A Discord webhook.
    Discord,
    /// A Mattermost incoming webhook.
    Mattermost,
    /// A Google Chat incoming webhook.
    GoogleChat,
    /// Telegram, `sendMessage` of a bot.
    Telegram,
    /// ntfy: the URL of a topic.
    Ntfy,
}

impl Recipe {
    /// Every recipe; tests loop over it.
    pub const ALL: [Self; 6] =
        [Self::Teams, Self::Discord, Self::Mattermost, Self::GoogleChat, Self::Telegram, Self::Ntfy];

    /// The name after `recipe:`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Teams => "teams",
            Self::Discord => "discord",
            Self::Mattermost => "mattermost",
            Self::GoogleChat => "google-chat",
            Self::Telegram => "telegram",
            Self::Ntfy => "ntfy",
        }
    }

    /// What the service wants to be told that the body is.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Ntfy => "text/plain; charset=utf-8",
            _ => JSON,
        }
    }
}

/// The content type of a body that nobody has chosen another for.
pub const JSON: &str = "application/json";

/// The key `body_template`: the path of a file, or `recipe:` and the name of a built-in one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum BodyTemplate {
    /// A built-in one.
    Recipe(Recipe),
    /// A file of the user.
    File(PathBuf),
}

impl BodyTemplate {
    /// Its content type, when none is configured.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Recipe(recipe) => recipe.content_type(),
            Self::File(_) => JSON,
        }
    }
}

impl FromStr for BodyTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected the path of a file, or `recipe:` and a name".to_owned());
        }
        let Some(name) = text.strip_prefix(RECIPE) else { return Ok(Self::File(PathBuf::from(text))) };
        Recipe::ALL.into_iter().find(|recipe| recipe.as_str() == name).map(Self::Recipe).ok_or_else(|| {
            let known: Vec<_> = Recipe::ALL.iter().map(|recipe| recipe.as_str()).collect();
            format!("there is no recipe of this name; there are {}", known.join(", "))
        })
    }
}

impl TryFrom<String> for BodyTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A body that is not the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// What makes it.
    pub template: BodyTemplate,
    /// How values are escaped in it.
    pub format: BodyFormat,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_chooses_how_values_are_escaped() {
        for (content_type, format) in [
            ("application/json", Some(BodyFormat::Json)),
            ("Application/JSON; charset=UTF-8", Some(BodyFormat::Json)),
            ("text/json", Some(BodyFormat::Json)),
            ("application/vnd.api+json", Some(BodyFormat::Json)),
            ("application/x-www-form-urlencoded", Some(BodyFormat::Form)),
            ("text/xml", Some(BodyFormat::Markup)),
            ("application/soap+xml; charset=\"utf-8\"", Some(BodyFormat::Markup)),
            ("text/html", Some(BodyFormat::Markup)),
            ("text/plain;charset=utf-8", Some(BodyFormat::Text)),
            ("text/markdown", Some(BodyFormat::Text)),
            ("text/plain; charset=iso-8859-9", None),
            ("application/octet-stream", None),
            ("multipart/form-data", None),
            ("json", None),
            ("text/", None),
            ("", None),
        ] {
            assert_eq!(BodyFormat::of(content_type), format, "{content_type}");
        }
    }

    #[test]
    fn a_body_template_is_a_file_or_a_recipe_that_there_is() {
        assert_eq!("recipe:teams".parse(), Ok(BodyTemplate::Recipe(Recipe::Teams)));
        assert_eq!("crm.json.hbs".parse(), Ok(BodyTemplate::File("crm.json.hbs".into())));
        assert!("recipe:team".parse::<BodyTemplate>().unwrap_err().contains("teams, discord"));
        for recipe in Recipe::ALL {
            assert_eq!(format!("recipe:{}", recipe.as_str()).parse(), Ok(BodyTemplate::Recipe(recipe)));
            assert!(BodyFormat::of(recipe.content_type()).is_some());
        }
    }
}
