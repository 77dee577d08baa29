//! Whether Slack would take a payload: the documented limits of an incoming webhook and of Block Kit.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

pub(crate) mod workspace;

type Verdict = Result<(), &'static str>;

const PAYLOAD: &str = "invalid_payload";
const BLOCKS: &str = "invalid_blocks";

/// Judges the body of a POST; an error is the word that Slack answers with.
///
/// Stricter than Slack in one thing, on purpose: a live `<!channel>`, `<!here>` or `<!everyone>` is refused, since
/// whoever calls a telephone must not be able to page a room.
pub(crate) fn check(body: &[u8]) -> Verdict {
    let Ok(Value::Object(payload)) = serde_json::from_slice(body) else { return Err(PAYLOAD) };
    let text = match payload.get("text") {
        None => "",
        Some(Value::String(text)) => text,
        Some(_) => return Err(PAYLOAD),
    };
    if text.chars().count() > 40_000 {
        return Err("msg_too_long");
    }
    mrkdwn(text, PAYLOAD)?;
    for key in ["unfurl_links", "unfurl_media"] {
        if payload.get(key).is_some_and(|value| !value.is_boolean()) {
            return Err(PAYLOAD);
        }
    }
    match payload.get("blocks") {
        None if text.is_empty() => Err("no_text"),
        None => Ok(()),
        Some(Value::Array(blocks)) if !blocks.is_empty() => all_blocks(blocks),
        Some(_) => Err(BLOCKS),
    }
}

fn all_blocks(blocks: &[Value]) -> Verdict {
    if blocks.len() > 50 {
        return Err(BLOCKS);
    }
    let mut ids = BTreeSet::new();
    for value in blocks {
        let fields = value.as_object().ok_or(BLOCKS)?;
        if let Some(id) = fields.get("block_id") {
            let id = id.as_str().filter(|id| (1..=255).contains(&id.chars().count())).ok_or(BLOCKS)?;
            demand(ids.insert(id))?;
        }
        block(fields)?;
    }
    // Not documented, but met in the field (slackapi/bolt-js#2509).
    if blocks.iter().map(characters).sum::<usize>() > 13_200 { Err("msg_blocks_too_long") } else { Ok(()) }
}

fn block(fields: &Map<String, Value>) -> Verdict {
    match fields.get("type").and_then(Value::as_str) {
        Some("header") => {
            let header = fields.get("text").ok_or(BLOCKS)?;
            demand(header["type"] == "plain_text")?;
            text(header, 150)
        }
        Some("section") => section(fields),
        Some("context") => {
            for element in list(fields, "elements", 10)? {
                if element["type"] == "image" { image(element)? } else { text(element, 3_000)? }
            }
            Ok(())
        }
        Some("actions") => list(fields, "elements", 25)?.iter().try_for_each(element),
        Some("image") => image(&Value::Object(fields.clone())),
        Some("divider") => Ok(()),
        Some("rich_text") => list(fields, "elements", usize::MAX).map(drop),
        Some("markdown") => demand(fields.get("text").is_some_and(|text| length(text, 12_000))),
        _ => Err(BLOCKS),
    }
}

fn section(fields: &Map<String, Value>) -> Verdict {
    demand(fields.contains_key("text") || fields.contains_key("fields"))?;
    if let Some(value) = fields.get("text") {
        text(value, 3_000)?;
    }
    if fields.contains_key("fields") {
        list(fields, "fields", 10)?.iter().try_for_each(|field| text(field, 2_000))?;
    }
    match fields.get("accessory") {
        Some(accessory) if accessory["type"] == "image" => image(accessory),
        Some(accessory) => element(accessory),
        None => Ok(()),
    }
}

fn element(element: &Value) -> Verdict {
    let optional = |key: &str, longest: usize| element.get(key).is_none_or(|value| length(value, longest));
    demand(optional("action_id", 255) && optional("value", 2_000) && optional("url", 3_000))?;
    match element["type"].as_str() {
        Some("button") => {
            demand(element["text"]["type"] == "plain_text")?;
            text(&element["text"], 75)
        }
        Some("overflow" | "static_select" | "datepicker" | "users_select" | "checkboxes" | "radio_buttons") => Ok(()),
        _ => Err(BLOCKS),
    }
}

fn image(image: &Value) -> Verdict {
    demand(length(&image["image_url"], 3_000) && length(&image["alt_text"], 2_000))
}

/// A text object.
fn text(value: &Value, longest: usize) -> Verdict {
    demand(length(&value["text"], longest))?;
    match value["type"].as_str() {
        Some("plain_text") => demand(value.get("emoji").is_none_or(Value::is_boolean)),
        Some("mrkdwn") => {
            demand(value.get("emoji").is_none())?;
            mrkdwn(value["text"].as_str().unwrap_or_default(), BLOCKS)
        }
        _ => Err(BLOCKS),
    }
}

fn mrkdwn(text: &str, word: &'static str) -> Verdict {
    let pages = ["<!channel", "<!here", "<!everyone"].iter().any(|mention| text.contains(mention));
    if pages { Err(word) } else { Ok(()) }
}

fn list<'a>(fields: &'a Map<String, Value>, key: &str, longest: usize) -> Result<&'a Vec<Value>, &'static str> {
    fields.get(key).and_then(Value::as_array).filter(|list| !list.is_empty() && list.len() <= longest).ok_or(BLOCKS)
}

/// Whether this is a text of 1 to `longest` characters.
fn length(value: &Value, longest: usize) -> bool {
    value.as_str().is_some_and(|text| (1..=longest).contains(&text.chars().count()))
}

/// Those of every `text` within.
fn characters(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if key == "text" => text.chars().count(),
                other => characters(other),
            })
            .sum(),
        Value::Array(items) => items.iter().map(characters).sum(),
        _ => 0,
    }
}

fn demand(holds: bool) -> Verdict {
    if holds { Ok(()) } else { Err(BLOCKS) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(payload: &Value) -> Verdict {
        check(payload.to_string().as_bytes())
    }

    fn section_of(text: &str) -> Value {
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    }

    #[test]
    fn a_text_or_blocks_are_enough() {
        assert_eq!(verdict(&json!({"text": "hello"})), Ok(()));
        assert_eq!(verdict(&json!({"blocks": [section_of("hello"), {"type": "divider"}]})), Ok(()));
        assert_eq!(verdict(&json!({})), Err("no_text"));
        assert_eq!(verdict(&json!({"text": ""})), Err("no_text"));
        assert_eq!(check(b"hello"), Err("invalid_payload"));
        assert_eq!(verdict(&json!({"text": "hello", "blocks": []})), Err("invalid_blocks"));
        assert_eq!(verdict(&json!({"text": "hello", "unfurl_links": "no"})), Err("invalid_payload"));
    }

    #[test]
    fn every_documented_length_has_its_limit() {
        let long = |n: usize| "ş".repeat(n);
        let plain = |n: usize| json!({"type": "plain_text", "text": long(n)});
        let button = |n: usize| json!({"type": "button", "text": plain(n)});
        let cases: [(&dyn Fn(usize) -> Value, usize); 7] = [
            (&|n| json!({"text": long(n)}), 40_000),
            (&|n| json!({"blocks": [{"type": "header", "text": plain(n)}]}), 150),
            (&|n| json!({"blocks": [section_of(&long(n))]}), 3_000),
            (&|n| json!({"blocks": [{"type": "section", "fields": [plain(n)]}]}), 2_000),
            (&|n| json!({"blocks": [{"type": "section", "fields": vec![plain(1); n]}]}), 10),
            (&|n| json!({"blocks": [{"type": "actions", "elements": [button(n)]}]}), 75),
            (&|n| json!({"blocks": vec![json!({"type": "divider"}); n]}), 50),
        ];
        for (payload, most) in cases {
            assert_eq!(verdict(&payload(most)), Ok(()), "{most}");
            assert!(verdict(&payload(most + 1)).is_err(), "{most}");
        }
        let many = json!({"blocks": vec![section_of(&long(3_000)); 5]});
        assert_eq!(verdict(&many), Err("msg_blocks_too_long"));
    }

    #[test]
    fn a_header_is_plain_text_and_an_unknown_block_is_refused() {
        let header = json!({"blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]});
        assert_eq!(verdict(&header), Err("invalid_blocks"));
        assert_eq!(verdict(&json!({"blocks": [{"type": "headline"}]})), Err("invalid_blocks"));
        assert_eq!(verdict(&json!({"blocks": ["section"]})), Err("invalid_blocks"));
        let twice = json!({"type": "divider", "block_id": "a"});
        assert_eq!(verdict(&json!({"blocks": [twice, twice]})), Err("invalid_blocks"));
    }

    #[test]
    fn nobody_pages_a_channel_but_the_words_may_be_shown() {
        assert!(verdict(&json!({"text": "from <!channel>"})).is_err());
        assert!(verdict(&json!({"blocks": [section_of("<!here|here>")]})).is_err());
        assert_eq!(verdict(&json!({"blocks": [section_of("&lt;!here&gt;")]})), Ok(()));
        let plain = json!({"type": "section", "text": {"type": "plain_text", "text": "<!channel>"}});
        assert_eq!(verdict(&json!({"blocks": [plain]})), Ok(()));
    }
}
