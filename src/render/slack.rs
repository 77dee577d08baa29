//! Fits a rendered Slack message to Slack's limits, so that a long text is shortened rather than refused.
//!
//! Limits: docs.slack.dev, reference for blocks and composition objects. Slack counts as JavaScript does, in UTF-16.
//!
//! In the built-in templates a link is a link in `mrkdwn`, not a button with a `url`: Slack reports a click on any button
//! to the app, and shows a warning beside it when the app takes no reports, as ours does not
//! (slackapi/node-slack-sdk#869, slackapi/slack-github-action#513).

use bytes::Bytes;
use serde_json::{Map, Value};

const BLOCKS: usize = 50;
const TEXT: usize = 40_000;
/// With blocks, `text` is for notifications alone, and a longer one cannot be changed (docs.slack.dev, chat.update).
const TEXT_BESIDE_BLOCKS: usize = 4000;
const HEADER: usize = 150;
const SECTION: usize = 3000;
const FIELDS: usize = 10;
const FIELD: usize = 2000;
const ELEMENTS: usize = 10;
const BUTTON: usize = 75;
/// The longest URL that a button may have.
const URL: usize = 3000;

/// All texts of the blocks together. Not documented, but met in the field (slackapi/bolt-js#2509).
const BLOCKS_TEXT: usize = 13_200;

/// All of it, in the parts of [`share_that_fits`].
pub(super) const WHOLE: usize = 1000;

/// How many of [`WHOLE`] parts of what a template made Slack takes without a cut: at least `WHOLE` when it takes all.
///
/// # Errors
/// When it is no JSON.
pub(super) fn share_that_fits(json: &str) -> Result<usize, String> {
    let message: Value = serde_json::from_str(json).map_err(|error| format!("gives no valid JSON: {error}"))?;
    let blocks = message["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let longest = blocks.iter().map(|block| block["text"]["text"].as_str().map_or(0, utf16)).max().unwrap_or_default();
    let all = blocks.iter().map(texts).sum();
    let share = |(most, found): (usize, usize)| WHOLE * most / found.max(1);
    let shares = [(BLOCKS, blocks.len()), (SECTION, longest), (BLOCKS_TEXT, all)].map(share);
    Ok(shares.into_iter().min().unwrap_or(WHOLE))
}

/// The length of all texts in `value`.
fn texts(value: &Value) -> usize {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if key == "text" => utf16(text),
                other => texts(other),
            })
            .sum(),
        Value::Array(list) => list.iter().map(texts).sum(),
        _ => 0,
    }
}

/// Parses what a template made, shortens it to the limits, and writes it again.
///
/// # Errors
/// Says in what way it is not a Slack message; never quotes it.
pub(super) fn fit(json: &str) -> Result<Bytes, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| format!("gives no valid JSON: {error}"))?;
    let Value::Object(mut message) = value else { return Err("gives no JSON object".to_owned()) };
    let most = if message.contains_key("blocks") { TEXT_BESIDE_BLOCKS } else { TEXT };
    match message.get_mut("text") {
        Some(Value::String(text)) if !text.trim().is_empty() => shorten(text, most, true),
        _ => return Err("gives no `text`, which Slack shows in notifications".to_owned()),
    }
    match message.get_mut("blocks") {
        Some(Value::Array(blocks)) => {
            blocks.truncate(BLOCKS);
            blocks.iter_mut().filter_map(Value::as_object_mut).for_each(fit_block);
        }
        None => {}
        Some(_) => return Err("gives `blocks` that are not a list".to_owned()),
    }
    // The recording's URL works for whoever opens it, Slack's preview included.
    message.insert("unfurl_links".to_owned(), false.into());
    message.insert("unfurl_media".to_owned(), false.into());
    serde_json::to_vec(&message).map(Bytes::from).map_err(|error| format!("cannot be written as JSON: {error}"))
}

fn fit_block(block: &mut Map<String, Value>) {
    let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
    let (text, elements) = match kind {
        "header" => (HEADER, 0),
        "context" => (FIELD, ELEMENTS),
        "actions" => (BUTTON, 25),
        _ => (SECTION, usize::MAX),
    };
    if let Some(object) = block.get_mut("text") {
        fit_text(object, text);
    }
    if let Some(Value::Array(fields)) = block.get_mut("fields") {
        fields.truncate(FIELDS);
        for field in fields {
            fit_text(field, FIELD);
        }
    }
    if let Some(Value::Array(parts)) = block.get_mut("elements") {
        parts.truncate(elements);
        for part in parts {
            fit_element(part, text);
        }
    }
    if let Some(accessory) = block.get_mut("accessory") {
        fit_element(accessory, BUTTON);
    }
}

/// A text object, or something that holds one under `text`, such as a button.
fn fit_element(element: &mut Value, max: usize) {
    let Some(object) = element.as_object_mut() else { return };
    if object.get("url").and_then(Value::as_str).is_some_and(|url| utf16(url) > URL) {
        // Half a URL leads nowhere.
        object.remove("url");
    }
    match object.get_mut("text") {
        Some(inner @ Value::Object(_)) => fit_text(inner, max),
        _ => fit_text(element, max),
    }
}

fn fit_text(object: &mut Value, max: usize) {
    let mrkdwn = object.get("type").and_then(Value::as_str) == Some("mrkdwn");
    if let Some(Value::String(text)) = object.get_mut("text") {
        if text.trim().is_empty() {
            // Slack refuses the whole message for one empty text.
            "–".clone_into(text);
        }
        shorten(text, max, mrkdwn);
    }
}

fn utf16(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Cuts to `max` UTF-16 units, an ellipsis included, and in mrkdwn not inside of an entity or a link.
fn shorten(text: &mut String, max: usize, mrkdwn: bool) {
    if utf16(text) <= max {
        return;
    }
    let mut units = 0;
    let mut end = 0;
    for (start, c) in text.char_indices() {
        units += c.len_utf16();
        if units > max - 1 {
            break;
        }
        end = start + c.len_utf8();
    }
    if mrkdwn {
        for (open, close) in [('<', '>'), ('&', ';')] {
            if let Some(start) = text[..end].rfind(open)
                && !text[start..end].contains(close)
            {
                end = start;
            }
        }
    }
    text.truncate(end);
    text.push('…');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fitted(value: &Value) -> Value {
        serde_json::from_slice(&fit(&value.to_string()).unwrap()).unwrap()
    }

    #[test]
    fn a_message_over_the_limits_is_shortened_to_them() {
        let long = "ğ".repeat(50_000);
        let text = |kind: &str| json!({"type": kind, "text": long});
        let button = json!({"type": "button", "text": text("plain_text"), "url": format!("https://{long}")});
        let section = json!({"type": "section", "text": text("mrkdwn"), "fields": vec![text("plain_text"); 12],
            "accessory": button});
        let mut blocks = vec![
            json!({"type": "header", "text": text("plain_text")}),
            section,
            json!({"type": "context", "elements": [text("mrkdwn")]}),
            json!({"type": "actions", "elements": [button]}),
        ];
        blocks.resize(60, json!({"type": "divider"}));
        let message = fitted(&json!({"text": long, "blocks": blocks}));

        let length = |pointer: &str| message.pointer(pointer).unwrap().as_str().unwrap().chars().count();
        assert_eq!(length("/text"), TEXT_BESIDE_BLOCKS);
        assert_eq!(fitted(&json!({"text": long}))["text"].as_str().unwrap().chars().count(), TEXT);
        assert_eq!(message["blocks"].as_array().unwrap().len(), BLOCKS);
        assert_eq!(length("/blocks/0/text/text"), HEADER);
        assert_eq!(length("/blocks/1/text/text"), SECTION);
        assert_eq!(message["blocks"][1]["fields"].as_array().unwrap().len(), FIELDS);
        assert_eq!(length("/blocks/1/fields/9/text"), FIELD);
        assert_eq!(length("/blocks/1/accessory/text/text"), BUTTON);
        assert_eq!(length("/blocks/2/elements/0/text"), FIELD);
        assert_eq!(length("/blocks/3/elements/0/text/text"), BUTTON);
        assert_eq!(message["blocks"][3]["elements"][0].get("url"), None);
    }

    #[test]
    fn a_cut_leaves_no_half_of_a_link_an_entity_or_an_emoji() {
        for (text, wanted) in [
            ("abc <https://example.com|x>", "abc …"),
            ("abcdef &amp; g", "abcdef …"),
            ("abc & d; <x> abcdefgh", "abc & d; …"),
            ("abcdefgh😀😀", "abcdefgh…"),
        ] {
            let mut short = text.to_owned();
            shorten(&mut short, 10, true);
            assert_eq!(short, wanted);
        }
    }

    #[test]
    fn links_are_never_unfurled_and_no_text_is_empty() {
        let message = fitted(&json!({"text": "x", "unfurl_links": true,
            "blocks": [{"type": "section", "text": {"type": "plain_text", "text": " "}}]}));
        assert_eq!(message["unfurl_links"], false);
        assert_eq!(message["unfurl_media"], false);
        assert_eq!(message["blocks"][0]["text"]["text"], "–");
    }

    #[test]
    fn what_is_no_slack_message_is_refused() {
        for (text, part) in [
            ("{", "no valid JSON"),
            ("[]", "no JSON object"),
            ("{}", "no `text`"),
            (r#"{"text": ""}"#, "no `text`"),
            (r#"{"text": "x", "blocks": {}}"#, "not a list"),
        ] {
            let error = fit(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
