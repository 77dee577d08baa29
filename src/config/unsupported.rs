//! Keys of the documented configuration that this version does not have: refused by name, not as unknown.

use super::node::{Data, Node};
use super::problems::{Findings, join};

/// Section and key. Such a key may hold nothing, `false` or an empty list, which ask for nothing.
const KEYS: &[(&str, &str)] = &[("store", "url"), ("store", "url_file")];

const VALUES: [(&str, &[&str]); 2] = [("routes[].when.event", &LATER_EVENTS), ("tests[].given.event", &LATER_EVENTS)];

const LATER_EVENTS: [&str; 4] = ["call.returned", "call.unreturned", "voicemail.heard", "voicemail.unheard"];

/// What follows up what: it goes where the first part went.
const FOLLOW_UPS: [(&str, &str); 2] = [("call.returned", "call.missed"), ("voicemail.heard", "voicemail.new")];

/// What tells that something is still open, and what that was told as first.
const ESCALATIONS: [(&str, &str); 2] = [("call.unreturned", "call.missed"), ("voicemail.unheard", "voicemail.new")];

/// Reports such keys and values, and takes them out of the tree.
pub(super) fn refuse(node: &mut Node, findings: &mut Findings<'_>) {
    let pattern = node.pattern();
    for (_, key) in KEYS.iter().filter(|(section, _)| *section == pattern) {
        if let Some(found) = node.remove(key)
            && !asks_for_nothing(&found.data)
        {
            let message = format!("`{key}` is not supported by this version of ringback");
            let path = join(&node.path, key);
            findings.add(&path, found.key_place, message, Some("remove it".to_owned()));
            findings.spoil(&path);
        }
    }
    let pattern = pattern.trim_end_matches("[]");
    if let Data::Text(text) = &node.data
        && VALUES.iter().any(|(place, values)| *place == pattern && values.contains(&text.as_str()))
    {
        let told_first =
            |of: &[(&str, &'static str)]| of.iter().find(|(later, _)| later == text).map(|(_, first)| *first);
        let (message, hint) = match (told_first(&FOLLOW_UPS), told_first(&ESCALATIONS)) {
            (Some(first), _) => (
                format!("`{text}` is not supported in routes: it goes to the channels that were told of `{first}`"),
                Some("say `follow_up: true` or `false` in the channel".to_owned()),
            ),
            (_, Some(first)) => (
                format!("`{text}` is not supported in routes: it goes to the channels that `escalate` names"),
                Some(format!("say `escalate: [{{after: 15m, notify: [a-channel]}}]` in the rule for `{first}`")),
            ),
            (None, None) => (format!("`{text}` is not supported by this version of ringback"), None),
        };
        findings.add(&node.path, node.place, message, hint);
        findings.spoil(&node.path);
        node.data = Data::Filler;
    }
    for child in node.children_mut() {
        refuse(child, findings);
    }
}

fn asks_for_nothing(data: &Data) -> bool {
    match data {
        Data::Null | Data::Bool(false) => true,
        Data::List(items) => items.is_empty(),
        _ => false,
    }
}
