//! From the bytes of a file to the tree: the one place that uses `serde_yaml`.
//!
//! It is archived but works. What it does not do is done around it: byte order marks, size and nesting bounds
//! (`places`), duplicate keys, places. The way out is another parser behind [`tree`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

use super::node::{Data, Node, Origin, pattern};
use super::places::{self, Inner, Spot, Stop};
use super::problems::{Findings, Place, Problems, join, segment};
use super::{files, syntax, unknown};

/// A hundred times the longest honest configuration.
const MAX_BYTES: usize = 1 << 20;

/// So many are read in moments, wherever they stand.
const MAX_BRACKETS: usize = 2_000;

/// Sections that are lists: one item may be written as the item, here as everywhere.
const LISTS: [&str; 6] = ["accounts", "channels", "routes", "schedules.*", "summaries", "tests"];

/// Reads the file, at most a little over the limit.
///
/// # Errors
/// When it cannot be read, in words for each of the usual reasons.
pub(super) fn read_file(file: &str, path: &Path) -> Result<Vec<u8>, Problems> {
    files::read(path, MAX_BYTES).map_err(|unreadable| {
        let missing = path.symlink_metadata().is_err();
        let hint = unreadable.hint.or(missing.then_some("start from config.example.yaml"));
        Findings::only(file, Place::default(), unreadable.message, hint.map(str::to_owned))
    })
}

/// The text of the file, without its byte order mark.
///
/// # Errors
/// When it is too long, not UTF-8, or not text at all.
pub(super) fn text<'t>(file: &str, bytes: &'t [u8]) -> Result<&'t str, Problems> {
    let cannot = |place, message: &str, hint: &str| Findings::only(file, place, message, Some(hint.to_owned()));
    let whole = Place::default();
    if bytes.len() > MAX_BYTES {
        return Err(cannot(
            whole,
            "is larger than 1 MiB",
            "a configuration is a few kilobytes; is this the right file?",
        ));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(cannot(whole, "is UTF-16 text, expected UTF-8", "save it as UTF-8"));
    }
    if bytes.contains(&0) {
        return Err(cannot(whole, "is not text: it holds zero bytes", "is this the right file?"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        cannot(Place { line, column }, "holds bytes that are not UTF-8", "save it as UTF-8")
    })
}

/// The tree of the text; duplicate and unusable keys are added to the findings.
///
/// # Errors
/// When it is not YAML, or not what a configuration may be.
pub(super) fn tree(file: &str, text: &str, findings: &mut Findings<'_>) -> Result<Node, Problems> {
    if let Some(place) = syntax::odd_indentation(text) {
        let hint =
            Some("replace it by plain spaces; it often comes with text that is copied from a web page".to_owned());
        return Err(Findings::only(file, place, "is indented with a blank that is no space", hint));
    }
    let scanned = match places::scan(text) {
        Ok(spot) => Ok(spot),
        Err(Stop::Syntax(place, message)) => Err((place, message)),
        Err(Stop::Refused { place, message, hint }) => return Err(Findings::only(file, place, message, hint)),
    };
    // The YAML parser proper, which says better what is wrong, takes minutes for hundreds of thousands of brackets.
    if let Err((place, message)) = &scanned
        && text.matches(['[', '{']).nth(MAX_BRACKETS).is_some()
    {
        return Err(syntax::problem(file, text, *place, message));
    }
    let nowhere = Spot { place: Place { line: 1, column: 1 }, inner: Inner::None };
    let spot = scanned.as_ref().unwrap_or(&nowhere);
    let seed = Seed { path: String::new(), key_place: spot.place, place: spot.place, spot: Some(spot), findings };
    match (seed.deserialize(serde_yaml::Deserializer::from_str(text)), &scanned) {
        (Ok(root), Ok(_)) => Ok(root),
        // Only one of the two parsers understands it: better not to guess what is meant.
        (Ok(_), Err((place, message))) => Err(syntax::problem(file, text, *place, message)),
        (Err(error), scanned) => {
            let at = error.location();
            match (at, scanned) {
                // What the YAML parser proper has no place for, such as a second document that is none.
                (None, Err((place, message))) => Err(syntax::problem(file, text, *place, message)),
                (at, _) => {
                    let (line, column) = at.map_or((0, 0), |at| (at.line(), at.column()));
                    let place = syntax::place(text, line, column);
                    // The place is told already; that of the context, which may follow, is not.
                    let own = format!(" at line {line} column {column}");
                    Err(syntax::problem(file, text, place, &error.to_string().replacen(&own, "", 1)))
                }
            }
        }
    }
}

/// Makes the node for one value, with the place that the scan found for it.
struct Seed<'s, 'f, 'n> {
    path: String,
    key_place: Place,
    place: Place,
    /// `None` inside an alias.
    spot: Option<&'s Spot>,
    findings: &'f mut Findings<'n>,
}

impl Seed<'_, '_, '_> {
    fn node(self, data: Data) -> Node {
        // Of a section, and of a value that is not there, the key is what can be pointed at.
        let pointed = matches!(data, Data::Map(_) | Data::List(_) | Data::Null);
        let place = if pointed { self.key_place } else { self.place };
        self.findings.locate(&self.path, place);
        Node { path: self.path, key_place: self.key_place, place, data, origin: Origin::Written }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_, '_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_, '_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(self.node(Data::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(self.node(Data::Bool(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(self.node(Data::Unsigned(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(self.node(Data::Signed(value)))
    }

    // Too large to be any setting. As a float, no message shows its digits, which may be a secret's.
    fn visit_u128<E: Error>(self, value: u128) -> Result<Node, E> {
        Ok(self.node(Data::Float(value as f64)))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Node, E> {
        Ok(self.node(Data::Float(value as f64)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(self.node(Data::Float(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(self.node(Data::Text(value.to_owned())))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        Err(A::Error::custom("tags (`!name`) are not used in a configuration"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let spot = match self.spot.map(|spot| &spot.inner) {
                Some(Inner::List(spots)) => spots.get(items.len()),
                _ => None,
            };
            let place = spot.map_or(self.place, |spot| spot.place);
            let path = format!("{}[{}]", self.path, items.len());
            match access.next_element_seed(Seed {
                path,
                key_place: place,
                place,
                spot,
                findings: &mut *self.findings,
            })? {
                Some(item) => items.push(item),
                None => return Ok(self.node(Data::List(items))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let pattern = pattern(&self.path);
        let section = format!("{pattern}[]");
        let path = if LISTS.contains(&pattern.as_str()) { format!("{}[0]", self.path) } else { self.path.clone() };
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        let mut position = 0;
        while let Some(key) = access.next_key_seed(Key)? {
            let spot = match self.spot.map(|spot| &spot.inner) {
                Some(Inner::Map(spots)) => spots.get(position),
                _ => None,
            };
            position += 1;
            let key_place = spot.map_or(self.key_place, |(place, _)| *place);
            let place = spot.map_or(self.place, |(_, spot)| spot.place);
            let spot = spot.map(|(_, spot)| spot);
            let Some(key) = key else {
                self.findings.add(&path, key_place, "a key must be a word", None);
                access.next_value::<serde::de::IgnoredAny>()?;
                continue;
            };
            let below = join(&path, &key);
            if let Some(line) = lines.insert(key.clone(), key_place.line) {
                let message = format!("this key is already given on line {line}");
                self.findings.add(&below, key_place, message, Some("remove one of the two".to_owned()));
                access.next_value::<serde::de::IgnoredAny>()?;
                continue;
            }
            let seed = Seed { path: below, key_place, place, spot, findings: &mut *self.findings };
            entries.push((key, access.next_value_seed(seed)?));
        }
        if path == self.path {
            return Ok(self.node(Data::Map(entries)));
        }
        if !entries.is_empty() && entries.iter().all(|(key, _)| !unknown::is_known(&section, key)) {
            let hint =
                format!("begin each item with `- `, and put its name behind: `- name: {}`", segment(&entries[0].0));
            let hint = matches!(&*self.path, "accounts" | "channels").then_some(hint);
            self.findings.add(&self.path, self.key_place, "expected a list, found a section with keys", hint);
            self.findings.spoil(&self.path);
            return Ok(self.node(Data::Filler));
        }
        // One item written without its list.
        let (key_place, findings) = (self.key_place, &mut *self.findings);
        findings.locate(&path, key_place);
        let item = Node { path, key_place, place: key_place, data: Data::Map(entries), origin: Origin::Written };
        Ok(self.node(Data::List(vec![item])))
    }
}

/// A key as text; `None` when it is something that cannot be one.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<String>, E> {
        Ok(Some(key.to_owned()))
    }

    fn visit_bool<E: Error>(self, key: bool) -> Result<Option<String>, E> {
        Ok(Some(key.to_string()))
    }

    fn visit_u64<E: Error>(self, key: u64) -> Result<Option<String>, E> {
        Ok(Some(key.to_string()))
    }

    fn visit_i64<E: Error>(self, key: i64) -> Result<Option<String>, E> {
        Ok(Some(key.to_string()))
    }

    fn visit_f64<E: Error>(self, key: f64) -> Result<Option<String>, E> {
        Ok(Some(key.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Option<String>, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Option<String>, A::Error> {
        while access.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Option<String>, A::Error> {
        while access.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}
