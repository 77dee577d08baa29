//! A value that does not fit its type: the error of the reader, in words for people.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::node::{Data, Node, Origin};
use super::problems::{Findings, did_you_mean, join};
use super::secrets;

/// What a map is called.
pub(super) const SECTION: &str = "a section with keys";

/// A longer text may be a secret in the wrong place, which no message shows.
const LONGEST_SHOWN: usize = 20;

/// A value that does not fit.
#[derive(Debug)]
pub(super) struct Misfit {
    /// Key path of the node; set by the innermost node that it passes on its way out.
    path: Option<String>,
    kind: MisfitKind,
}

#[derive(Debug)]
enum MisfitKind {
    Missing { key: &'static str, hint: Option<String> },
    Other { message: String, hint: Option<String> },
}

impl Misfit {
    pub(super) fn other(message: String, hint: Option<String>) -> Self {
        Self { path: None, kind: MisfitKind::Other { message, hint } }
    }

    pub(super) fn missing(key: &'static str, hint: Option<String>) -> Self {
        Self { path: None, kind: MisfitKind::Missing { key, hint } }
    }

    /// Names the node, and hides what may be secret: what variables put into it, and long texts.
    pub(super) fn at(mut self, node: &Node) -> Self {
        if self.path.is_some() {
            return self;
        }
        self.path = Some(node.path.clone());
        let (MisfitKind::Other { message, hint }, Data::Text(text)) = (&mut self.kind, &node.data) else { return self };
        let shown = match &node.origin {
            Origin::Variables { written, .. } => {
                // It is about the value.
                *hint = None;
                written
            }
            _ if text.chars().count() > LONGEST_SHOWN => "…",
            _ => return self,
        };
        if !text.is_empty() {
            *message = message.replace(&**text, shown);
        }
        self
    }

    /// Adds it to the findings and puts a filler in its place; `None` when reading cannot go on.
    pub(super) fn report(self, root: &mut Node, findings: &mut Findings<'_>) -> Option<()> {
        let node = root.find_mut(&self.path.unwrap_or_default())?;
        match self.kind {
            MisfitKind::Missing { key, hint } => {
                let path = join(&node.path, key);
                let place = node.get(key).map_or(node.key_place, |empty| empty.key_place);
                let file = secrets::is_file_key(&node.pattern(), &format!("{key}_file"));
                let hint =
                    hint.or_else(|| file.then(|| format!("or give the path of a file that holds it: `{key}_file`")));
                findings.add(&path, place, "is required, but missing", hint);
                findings.spoil(&path);
                let filler = node.filler(path);
                node.set(key, filler);
                // Only a map can miss a key.
                matches!(node.data, Data::Map(_)).then_some(())
            }
            // A filler that fits nowhere: what it stands for is reported.
            MisfitKind::Other { .. } if matches!(node.data, Data::Filler) => None,
            MisfitKind::Other { message, hint } => {
                findings.add(&node.path, node.place, message, hint);
                findings.spoil(&node.path);
                node.data = Data::Filler;
                Some(())
            }
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            MisfitKind::Missing { key, .. } => write!(f, "`{key}` is missing"),
            MisfitKind::Other { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::other(message.to_string(), None)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::missing(field, None)
    }

    // Shows no value: a secret may stand where another type is expected.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found_words = match found {
            Unexpected::Bool(_) => "true or false",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
            Unexpected::Float(_) => "a number with a decimal point",
            Unexpected::Str(_) => "text",
            Unexpected::Unit | Unexpected::Option => "nothing",
            Unexpected::Seq => "a list",
            Unexpected::Map => SECTION,
            _ => "something else",
        };
        let expected = in_words(expected);
        let scalar = matches!(found, Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_));
        let quotable = expected == "text" || expected == "one item or a list of items";
        let hint = match found {
            Unexpected::Str(text) => hint_on_text(text, &expected),
            _ => (scalar && quotable).then_some("put it in quotes"),
        };
        let hint = hint.map(str::to_owned);
        Self::other(format!("expected {expected}, found {found_words}"), hint)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unsigned(number) => number.to_string(),
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Float(number) => number.to_string(),
            _ => "something else".to_owned(),
        };
        Self::other(format!("expected {}, found {found}", in_words(expected)), None)
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        let message = format!("unknown value `{found}`; expected one of {}", listed(known.iter().copied()));
        Self::other(message, did_you_mean(found, known.iter().copied()))
    }
}

/// For what a person takes for a number or a truth value, and YAML for a text.
fn hint_on_text(text: &str, expected: &str) -> Option<&'static str> {
    match expected {
        "true or false" => match text.to_ascii_lowercase().as_str() {
            "yes" | "y" | "on" | "evet" | "true" => Some("write `true`, without quotes"),
            "no" | "n" | "off" | "hayır" | "false" => Some("write `false`, without quotes"),
            _ => None,
        },
        _ if !expected.contains("number") => None,
        _ if text.parse::<f64>().is_ok() => Some("write it without quotes and leading zeros"),
        _ if text.replacen(',', ".", 1).parse::<f64>().is_ok() => Some("write a decimal point instead of the comma"),
        _ => None,
    }
}

fn in_words(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" | "usize" => "a whole number, 0 or more".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "text".to_owned(),
        other => other.to_owned(),
    }
}

/// Words in backticks, in order.
pub(super) fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let mut words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.sort_unstable();
    words.join(", ")
}
