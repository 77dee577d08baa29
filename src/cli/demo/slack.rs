//! A Slack message as text and as Slack shows it, as far as our templates use Block Kit.

use serde::Serialize;
use serde_json::Value;

/// A block as a page shows it; what a block of its kind has not is empty.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Block {
    header: String,
    text: Vec<Span>,
    fields: Vec<Vec<Span>>,
    buttons: Vec<Button>,
    context: Vec<Vec<Span>>,
}

/// A piece of text in one style.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    text: String,
    bold: bool,
    struck: bool,
    /// Where it leads to: `http`, `https` and `tel` only.
    href: Option<String>,
    /// A new line begins after it.
    ends: bool,
}

/// A button that is a link.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Button {
    text: String,
    url: Option<String>,
}

/// The blocks; of a message without any, its `text`.
pub(super) fn blocks(message: &Value) -> Vec<Block> {
    let all = |object: &Value, key: &str| object[key].as_array().cloned().unwrap_or_default();
    let blocks: Vec<Block> = all(message, "blocks")
        .iter()
        .map(|block| {
            let elements = all(block, "elements");
            let mut shown = Block::default();
            match block["type"].as_str().unwrap_or_default() {
                "header" => block["text"]["text"].as_str().unwrap_or_default().clone_into(&mut shown.header),
                "actions" => shown.buttons = elements.iter().map(button).collect(),
                "context" => shown.context = elements.iter().map(spans).collect(),
                _ => {
                    shown.text = spans(&block["text"]);
                    shown.fields = all(block, "fields").iter().map(spans).collect();
                }
            }
            shown
        })
        .collect();
    if blocks.is_empty() {
        let text = message["text"].as_str().unwrap_or_default();
        return vec![Block { text: mrkdwn(text), ..Block::default() }];
    }
    blocks
}

fn button(element: &Value) -> Button {
    let url = element["url"].as_str().and_then(address);
    Button { text: element["text"]["text"].as_str().unwrap_or_default().to_owned(), url }
}

fn spans(object: &Value) -> Vec<Span> {
    let text = object["text"].as_str().unwrap_or_default();
    if object["type"] == "mrkdwn" {
        return mrkdwn(text);
    }
    let mut spans = Vec::new();
    push(&mut spans, text, &Span::default());
    spans
}

/// mrkdwn with its bold, its struck-through text, its links and the three entities.
fn mrkdwn(text: &str) -> Vec<Span> {
    let (mut spans, mut style, mut plain) = (Vec::new(), Span::default(), String::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '*' | '~' => {
                push(&mut spans, &unescape(&std::mem::take(&mut plain)), &style);
                let switch = if c == '*' { &mut style.bold } else { &mut style.struck };
                *switch = !*switch;
            }
            '<' if after.contains('>') => {
                push(&mut spans, &unescape(&std::mem::take(&mut plain)), &style);
                let (link, behind) = after.split_once('>').unwrap_or((after, ""));
                let (url, label) = link.split_once('|').unwrap_or((link, link));
                let style = Span { href: address(&unescape(url)), ..style.clone() };
                push(&mut spans, &unescape(label), &style);
                rest = behind;
                continue;
            }
            c => plain.push(c),
        }
        rest = after;
    }
    push(&mut spans, &unescape(&plain), &style);
    spans
}

/// A span for each line of `text`.
fn push(spans: &mut Vec<Span>, text: &str, style: &Span) {
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let ends = lines.peek().is_some();
        if ends || !line.is_empty() {
            spans.push(Span { text: line.to_owned(), ends, ..style.clone() });
        }
    }
}

/// What a page may lead to.
fn address(url: &str) -> Option<String> {
    ["http://", "https://", "tel:"].iter().any(|scheme| url.starts_with(scheme)).then(|| url.to_owned())
}

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
    unescape(&out)
}

/// The ampersand last: an escaped entity stays one.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
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

    #[test]
    fn bold_struck_and_linked_text_is_shown_so_and_nothing_else_leads_anywhere() {
        let text = "~Missed: &lt;b&gt;~\n✓ *Called <tel:+90312|back>* <javascript:x|no>";
        let shown: Vec<String> = mrkdwn(text)
            .into_iter()
            .map(|Span { text, bold, struck, href, ends }| {
                let mark = |on: bool, mark: &'static str| if on { mark } else { "" };
                let href = href.unwrap_or_default();
                format!("{text}|{}{}{}|{href}", mark(bold, "b"), mark(struck, "s"), mark(ends, "n"))
            })
            .collect();
        assert_eq!(shown, ["Missed: <b>|s|", "|n|", "✓ ||", "Called |b|", "back|b|tel:+90312", " ||", "no||"]);
    }

    #[test]
    fn a_message_without_blocks_is_its_text_and_a_button_is_a_link() {
        assert_eq!(blocks(&json!({"text": "short"}))[0].text[0].text, "short");
        let button = json!({"type": "button", "text": {"type": "plain_text", "text": "Call"}, "url": "http://x/l/t"});
        let shown = blocks(&json!({"blocks": [{"type": "actions", "elements": [button]}]}));
        assert_eq!(shown[0].buttons, [Button { text: "Call".to_owned(), url: Some("http://x/l/t".to_owned()) }]);
    }
}
