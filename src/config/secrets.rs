//! Secrets that may come from a file: every `x` of this list may be given as `x_file` instead.

use std::path::Path;

use super::files;
use super::node::{Data, Node, Origin};
use super::problems::Findings;

/// Section and key of every secret.
pub(super) const SECRETS: [(&str, &str); 10] = [
    ("accounts[]", "api_key"),
    ("channels[]", "bot_token"),
    ("channels[]", "secret"),
    ("channels[]", "url"),
    ("channels[]", "webhook_url"),
    ("channels[].smtp", "password"),
    ("health", "heartbeat_url"),
    ("http", "token"),
    ("push", "forward_to"),
    ("push", "secret"),
];

/// The one secret of which there may be several, one a line.
const ONE_A_LINE: (&str, &str) = ("channels[]", "secret");

/// A secret is a line or a few; a larger file is a mistake.
const MAX_BYTES: usize = 16 * 1024;

/// Whether `key` is an `x_file` key of the section.
pub(super) fn is_file_key(section: &str, key: &str) -> bool {
    SECRETS.iter().any(|(place, name)| *place == section && key.strip_suffix("_file") == Some(name))
}

/// Puts the content of every `x_file` in the place of `x`. Relative paths start at `base`.
pub(super) fn read_files(node: &mut Node, base: &Path, findings: &mut Findings<'_>) {
    let section = node.pattern();
    for (_, key) in SECRETS.iter().filter(|(place, _)| *place == section) {
        let Some(mut named) = node.remove(&format!("{key}_file")) else { continue };
        if matches!(named.data, Data::Null) {
            continue;
        }
        let taken = if node.get(key).is_some_and(|given| !matches!(given.data, Data::Null)) {
            Err((format!("both `{key}` and `{key}_file` are given"), Some("remove one of the two".to_owned())))
        } else {
            read(&named, base)
        };
        // From here on it is the secret itself, at the place of the key that is written.
        named.data = match taken {
            Ok(Some(lines)) if (section.as_str(), *key) == ONE_A_LINE => Data::List(
                lines
                    .lines()
                    .map(|line| Node { data: Data::Text(line.to_owned()), origin: Origin::File, ..named.clone() })
                    .collect(),
            ),
            Ok(Some(text)) => Data::Text(text),
            Ok(None) => Data::Filler,
            Err((message, hint)) => {
                findings.add(&named.path, named.place, message, hint);
                findings.spoil(&named.path);
                findings.spoil(&super::problems::join(&node.path, key));
                Data::Filler
            }
        };
        named.origin = Origin::File;
        node.set(key, named);
    }
    for child in node.children_mut() {
        read_files(child, base, findings);
    }
}

/// The content without its last line break; nothing when the path was already given up.
fn read(named: &Node, base: &Path) -> Result<Option<String>, (String, Option<String>)> {
    let path = match &named.data {
        Data::Text(path) => base.join(path),
        Data::Filler => return Ok(None),
        _ => return Err((format!("expected the path of a file, found {}", named.kind()), None)),
    };
    // A single word may be the secret itself, which belongs into the other key.
    let word = matches!(&named.data, Data::Text(text) if !text.starts_with(['/', '.', '~']));
    let shown = match &named.origin {
        Origin::Variables { written, .. } => format!("`{written}`"),
        _ if word => "its file".to_owned(),
        _ => format!("`{}`", path.display()),
    };
    let bytes = files::read(&path, MAX_BYTES).map_err(|unreadable| {
        let key = named.path.rsplit('.').next().and_then(|key| key.strip_suffix("_file")).unwrap_or_default();
        let missing = word.then(|| {
            format!("this key takes the path of a file, from the folder of the configuration on; the secret itself belongs into `{key}`")
        });
        (format!("{shown}: {}", unreadable.message), unreadable.hint.map(str::to_owned).or(missing))
    })?;
    if bytes.len() > MAX_BYTES {
        return Err((format!("{shown} is larger than a secret can be (16 KiB)"), None));
    }
    let text = String::from_utf8(bytes).map_err(|_| (format!("{shown} is not UTF-8 text"), None))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if text.trim().is_empty() {
        return Err((format!("{shown} is empty"), Some("write the secret into it".to_owned())));
    }
    Ok(Some(text.to_owned()))
}
