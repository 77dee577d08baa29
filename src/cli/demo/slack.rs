//! A Slack message as text, as far as our templates use Block Kit.

use serde_json::Value;

/// The text of the header block; of a message without one, its `text`.
pub(super) fn title(message: &Value) -> &str {
    let blocks = message["blocks"].as_array().into_iter().flatten();
    let header = blocks.filter(|block| block["type"] == "header").find_map(|block| block["text"]["text"].as_str());
    header.or_else(|| message["text"].as_str()).unwrap_or_default()
}

/// Everything below the header, a line for each field.
pub(super) fn lines(message: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for block in message["blocks"].as_array().into_iter().flatten() {
        match block["type"].as_str() {
            Some("section") => {
                let text_lines = block.get("text").map(|object| text(object, "\n"));
                lines.extend(text_lines.iter().flat_map(|text| text.lines().map(str::to_owned)));
                lines.extend(block["fields"].as_array().into_iter().flatten().map(|field| text(field, ": ")));
            }
            Some("context") => {
                let elements = block["elements"].as_array().into_iter().flatten();
                lines.push(elements.map(|element| text(element, " ")).collect::<Vec<_>>().join(" "));
            }
            _ => {}
        }
    }
    lines
}

/// A text object on one line.
fn text(object: &Value, newline: &str) -> String {
    let text = object["text"].as_str().unwrap_or_default();
    let text = if object["type"] == "mrkdwn" { plain(text) } else { text.to_owned() };
    text.replace('\n', newline)
}

/// mrkdwn without its markup: bold, links and the three entities.
fn plain(mrkdwn: &str) -> String {
    let mut out = String::new();
    let mut rest = mrkdwn;
    while let Some((before, after)) = rest.split_once('<') {
        let Some((link, behind)) = after.split_once('>') else { break };
        out.push_str(&before.replace('*', ""));
        match link.split_once('|') {
            Some((url, label)) if url.starts_with("tel:") => out.push_str(label),
            Some((url, label)) => out.extend([label, " ", url]),
            None => out.push_str(link),
        }
        rest = behind;
    }
    out.push_str(&rest.replace('*', ""));
    // The ampersand last: an escaped entity stays one.
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_reads_as_slack_shows_it() {
        let message = json!({"text": "short", "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Missed call: a*b"}},
            {"type": "section", "fields": [
                {"type": "mrkdwn", "text": "*Number*\n<tel:+903121234567|0312 123 45 67>"},
                {"type": "plain_text", "text": "Queue\n2*1"}]},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*<http://x/y|Listen>*\nUntil &lt;noon&gt; &amp;lt;"}},
            {"type": "context", "elements": [{"type": "plain_text", "text": "ringback"}]}]});
        assert_eq!(title(&message), "Missed call: a*b");
        let expected = ["Number: 0312 123 45 67", "Queue: 2*1", "Listen http://x/y", "Until <noon> &lt;", "ringback"];
        assert_eq!(lines(&message), expected);
        assert_eq!(title(&json!({"text": "short"})), "short");
    }
}
