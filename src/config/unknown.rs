//! A key that nothing asks for: what its writer most likely meant.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::misfit::listed;
use super::problems::did_you_mean;
use super::schema::schema;

/// The keys of each section, such as `channels[].smtp`.
static SECTIONS: LazyLock<BTreeMap<String, Vec<String>>> = LazyLock::new(|| {
    let root = schema();
    let mut sections = BTreeMap::new();
    walk(&root, &root, "", &mut sections);
    sections
});

/// More places than these are no help.
const MOST_HOMES: usize = 3;

/// Whether a section, such as `channels[]`, has the key.
pub(super) fn is_known(section: &str, key: &str) -> bool {
    SECTIONS.get(section).is_some_and(|keys| keys.iter().any(|known| known == key))
}

/// What to do about `key`, which is none of those that are `known` in this `section`.
pub(super) fn hint(key: &str, section: &str, known: &[&str]) -> String {
    let first_word = key.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    if key == "<<" {
        return "keys are not merged: write them out here".to_owned();
    }
    if key.contains("${") {
        return "variables are replaced in values, not in keys".to_owned();
    }
    if first_word != key && known.contains(&first_word) {
        return if key.contains('.') {
            format!("write it as a section: `{first_word}:`, and its keys indented below it")
        } else {
            format!("write a colon and a space after the key: `{first_word}: …`")
        };
    }
    if let Some(hint) = did_you_mean(key, known.iter().copied()) {
        return hint;
    }
    let homes: Vec<&str> = SECTIONS
        .iter()
        .filter(|(_, keys)| keys.iter().any(|k| k == key))
        .map(|(section, _)| section.as_str())
        .collect();
    match homes.as_slice() {
        // Of another type of channel.
        _ if homes.contains(&section) => format!("the keys here are {}", listed(known.iter().copied())),
        [""] => format!("`{key}` stands at the top of the file, without indentation"),
        [_, ..] if homes.len() <= MOST_HOMES => format!("`{key}` is a key of {}", listed(homes)),
        _ => format!("the keys here are {}", listed(known.iter().copied())),
    }
}

fn walk(root: &Value, schema: &Value, path: &str, sections: &mut BTreeMap<String, Vec<String>>) {
    if let Some(definition) = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        walk(root, root.pointer(definition).unwrap_or(&Value::Null), path, sections);
    }
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let keys = sections.entry(path.to_owned()).or_default();
        if !keys.contains(key) {
            keys.push(key.clone());
        }
        let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        walk(root, value, &below, sections);
    }
    if schema["additionalProperties"].is_object() {
        walk(root, &schema["additionalProperties"], &format!("{path}.*"), sections);
    }
    for choices in ["oneOf", "anyOf", "allOf"].map(|choices| schema[choices].as_array()).into_iter().flatten() {
        let has_list = choices.iter().any(|choice| choice["type"] == "array");
        for choice in choices {
            // One item may stand for its list: it is the item that has the keys.
            let is_item = has_list && choice["type"] != "array";
            walk(root, choice, &if is_item { format!("{path}[]") } else { path.to_owned() }, sections);
        }
    }
    if schema["items"].is_object() {
        walk(root, &schema["items"], &format!("{path}[]"), sections);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_found_with_its_keys() {
        for (section, key) in [
            ("", "accounts"),
            ("accounts[]", "api_key"),
            ("accounts[]", "api_key_file"),
            ("accounts[].limits", "cdrs"),
            ("channels[]", "webhook_url"),
            ("channels[].smtp", "host"),
            ("channels[].retry", "jitter"),
            ("routes[].when", "caller"),
            ("tests[].given", "caller"),
            ("watch.missed_calls", "grace"),
        ] {
            assert!(is_known(section, key), "{section} {key}: {:?}", *SECTIONS);
        }
        assert!(!is_known("channels[]", "host") && !is_known("channels", "name") && !is_known("", "name"));
    }

    #[test]
    fn a_key_of_elsewhere_is_sent_home() {
        assert_eq!(hint("host", "channels[]", &["name", "smtp"]), "`host` is a key of `channels[].smtp`");
        let known = ["name", "to"];
        assert_eq!(hint("webhook_url", "channels[]", &known), "the keys here are `name`, `to`", "of another type");
        assert_eq!(
            hint("routes", "accounts[]", &["name"]),
            "`routes` stands at the top of the file, without indentation"
        );
        assert_eq!(hint("subject", "channels[]", &["from", "to"]), "the keys here are `from`, `to`");
    }
}
