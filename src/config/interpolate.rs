//! `${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `$$` in the texts of the tree.
//!
//! It runs after parsing and on values only, so a variable can never change the structure.

use super::node::{Data, Node, Origin};
use super::problems::Findings;

/// Replaces the placeholders of every text below `node`; what cannot be replaced is reported and given up.
pub(super) fn interpolate(node: &mut Node, env: &dyn Fn(&str) -> Option<String>, findings: &mut Findings<'_>) {
    if let Data::Text(written) = &node.data {
        let env = |name: &str| env(name).inspect(|value| findings.note_variable(name, value));
        let expanded = refuse_odd_quotes(written).and_then(|()| expand(written, &env));
        match expanded.and_then(refuse_control_characters) {
            Ok(expanded) => {
                if expanded.from_variable {
                    node.origin = Origin::Variables { written: written.clone(), whole: expanded.whole };
                }
                node.data = Data::Text(expanded.text);
            }
            Err((message, hint)) => {
                findings.add(&node.path, node.place, message, hint);
                findings.spoil(&node.path);
                node.data = Data::Filler;
            }
        }
    }
    for child in node.children_mut() {
        interpolate(child, env, findings);
    }
}

type Trouble = (String, Option<String>);

/// What word processors make of quotation marks; YAML takes them for letters.
fn refuse_odd_quotes(written: &str) -> Result<(), Trouble> {
    if written.starts_with(['“', '”', '„', '‘', '’', '«']) && written.ends_with(['“', '”', '‘', '’', '»'])
    {
        let hint = "replace them by plain ones: `\"` or `'`";
        return Err(("stands in typographic quotation marks".to_owned(), Some(hint.to_owned())));
    }
    Ok(())
}

fn refuse_control_characters(expanded: Expanded) -> Result<Expanded, Trouble> {
    if !expanded.text.chars().any(char::is_control) {
        return Ok(expanded);
    }
    let hint = if expanded.from_variable {
        "a variable's value must be one line; a secret may come from a file: `…_file`"
    } else {
        "write the value on one line; in YAML, `|` and `>` keep the line break, and in double quotes a backslash begins \
         an escape"
    };
    Err(("holds a line break or another control character".to_owned(), Some(hint.to_owned())))
}

#[derive(Debug, PartialEq, Eq)]
struct Expanded {
    text: String,
    from_variable: bool,
    /// The text was one placeholder and nothing else.
    whole: bool,
}

/// Values that are put in are not looked through again.
fn expand(written: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, Trouble> {
    let mut text = String::new();
    let mut from_variable = false;
    let mut whole = false;
    let mut rest = written;
    while let Some(dollar) = rest.find('$') {
        text.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some(end) = after.find('}') else {
                // The text is not shown: it may be a password that happens to hold `${`.
                let hint = "close the placeholder, or write `$$` for a dollar sign";
                return Err(("a placeholder `${` has no closing `}`".to_owned(), Some(hint.to_owned())));
            };
            text.push_str(&value(&after[..end], env)?);
            from_variable = true;
            rest = &after[end + 1..];
            whole = written.len() == "${}".len() + end;
        } else {
            text.push('$');
            rest = after;
        }
    }
    text.push_str(rest);
    Ok(Expanded { text, from_variable, whole })
}

/// What stands for the inside of one placeholder.
fn value(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Trouble> {
    let (name, otherwise) = inside.split_once(':').map_or((inside, None), |(name, rest)| (name, Some(rest)));
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let hint = "letters, digits and `_`: `${NAME}`; write `$$` for a dollar sign";
        return Err(("a placeholder holds no valid variable name".to_owned(), Some(hint.to_owned())));
    }
    let found = env(name);
    // As in a shell, the forms with a colon take an empty variable for a missing one.
    let full = found.clone().filter(|value| !value.is_empty());
    match otherwise {
        None => found.ok_or_else(|| {
            let hint = format!("set it in the environment of ringback, or give a default: `${{{name}:-…}}`");
            (format!("the variable `{name}` is not set"), Some(hint))
        }),
        Some(otherwise) => match (full, otherwise.split_at_checked(1)) {
            (Some(value), Some(("-" | "?", _))) => Ok(value),
            (None, Some(("-", default))) => Ok(default.to_owned()),
            (None, Some(("?", message))) => {
                Err((format!("the variable `{name}` is not set or is empty: {message}"), None))
            }
            _ => {
                let hint = format!("`${{{name}}}`, `${{{name}:-default}}` or `${{{name}:?message}}`");
                Err((format!("the placeholder of `{name}` has an unknown form"), Some(hint)))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(written: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "PORT" => Some("587".to_owned()),
            "EMPTY" => Some(String::new()),
            "SLY" => Some("${PORT}".to_owned()),
            _ => None,
        };
        expand(written, &env).map(|expanded| expanded.text).map_err(|(message, _)| message)
    }

    #[test]
    fn every_form_of_a_placeholder_is_replaced() {
        assert_eq!(expanded("a${PORT}b${PORT}").as_deref(), Ok("a587b587"));
        assert_eq!(expanded("${NONE:-x y}").as_deref(), Ok("x y"));
        assert_eq!(expanded("${EMPTY:-x}").as_deref(), Ok("x"));
        assert_eq!(expanded("${PORT:-x}${PORT:?y}").as_deref(), Ok("587587"));
        assert_eq!(expanded("${EMPTY}").as_deref(), Ok(""));
        assert_eq!(
            expanded("${NONE:?ask the office}"),
            Err("the variable `NONE` is not set or is empty: ask the office".into())
        );
        assert_eq!(expanded("${NONE}"), Err("the variable `NONE` is not set".into()));
    }

    #[test]
    fn two_dollars_are_one_and_one_alone_stays() {
        assert_eq!(expanded("$${PORT} 5$ $PORT $").as_deref(), Ok("${PORT} 5$ $PORT $"));
    }

    #[test]
    fn a_value_is_not_looked_through_again() {
        assert_eq!(expanded("${SLY}").as_deref(), Ok("${PORT}"));
    }

    #[test]
    fn a_malformed_placeholder_is_refused_without_showing_what_it_holds() {
        for wrong in ["${hunter2", "${hunter 2}", "${}", "${2hunter}"] {
            assert!(!expanded(wrong).unwrap_err().contains("hunter"), "{wrong}");
        }
        assert!(expanded("${PORT:=1}").is_err());
    }

    #[test]
    fn only_a_lone_placeholder_is_whole() {
        let env = |_: &str| Some(String::new());
        let whole = |written| expand(written, &env).unwrap().whole;
        assert!(whole("${A}") && whole("${A:-1}"));
        assert!(!whole("${A}${A}") && !whole("x${A}") && !whole("${A}x") && !whole("$$") && !whole("$${A}"));
    }
}
