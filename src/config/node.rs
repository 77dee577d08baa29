//! The configuration as a tree whose every value knows its key path and place.

use super::problems::Place;

/// A value in the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// `channels[1].smtp.host`
    pub(super) path: String,
    /// Where the key stands, or the item of a list.
    pub(super) key_place: Place,
    /// Where the value stands.
    pub(super) place: Place,
    pub(super) data: Data,
    pub(super) origin: Origin,
}

#[derive(Debug, Clone)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<(String, Node)>),
    /// Stands for a value that was reported: reads as a value of whatever type is asked for, so that reading goes on.
    Filler,
}

/// Where a text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// It stands in the file.
    Written,
    /// From variables.
    Variables {
        /// As it stands in the file: `${PORT}`. Shown instead of the value, which may be a secret.
        written: String,
        /// One placeholder and nothing else: may be a number or a truth value as well.
        whole: bool,
    },
    /// From the file that an `x_file` key names.
    File,
}

impl Node {
    /// A filler at the same place.
    pub(super) fn filler(&self, path: String) -> Self {
        Self { path, key_place: self.key_place, place: self.place, data: Data::Filler, origin: Origin::Written }
    }

    /// The value of a key, when this is a map that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.data {
            Data::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Takes a key out of a map.
    pub(super) fn remove(&mut self, key: &str) -> Option<Self> {
        match &mut self.data {
            Data::Map(entries) => {
                let index = entries.iter().position(|(name, _)| name == key)?;
                Some(entries.remove(index).1)
            }
            _ => None,
        }
    }

    /// Puts a key into a map, instead of what it held.
    pub(super) fn set(&mut self, key: &str, node: Self) {
        self.remove(key);
        if let Data::Map(entries) = &mut self.data {
            entries.push((key.to_owned(), node));
        }
    }

    /// Those directly within.
    pub(super) fn children_mut(&mut self) -> Box<dyn Iterator<Item = &mut Self> + '_> {
        match &mut self.data {
            Data::List(items) => Box::new(items.iter_mut()),
            Data::Map(entries) => Box::new(entries.iter_mut().map(|(_, node)| node)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// The node at a key path.
    pub(super) fn find_mut(&mut self, path: &str) -> Option<&mut Self> {
        if self.path == path {
            return Some(self);
        }
        self.children_mut().find_map(|child| child.find_mut(path))
    }

    /// The key path without numbers: `channels[].smtp`.
    pub(super) fn pattern(&self) -> String {
        pattern(&self.path)
    }

    /// What kind of value it is, in words; never the value, which may be a secret.
    pub(super) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Unsigned(_) | Data::Signed(_) | Data::Float(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a section with keys",
            Data::Filler => "a value",
        }
    }
}
/// A key path without numbers, and with `*` for the name of a schedule, which is a key of the user's choice.
pub(super) fn pattern(path: &str) -> String {
    let mut inside = false;
    let pattern: String = path
        .chars()
        .filter(|c| {
            inside = *c == '[' || (inside && *c != ']');
            !inside || *c == '['
        })
        .collect();
    match pattern.strip_prefix("schedules.") {
        Some(named) => format!("schedules.*{}", named.find('[').map_or("", |end| &named[end..])),
        None => pattern,
    }
}
