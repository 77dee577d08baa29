//! From the tree to the typed configuration, reporting everything that does not fit in one go.
//!
//! Reading stops at the first misfit, as serde does. That one is reported and replaced by a filler, which reads as a
//! value of whatever type is asked for, and the reading starts again, until it reaches the end. What was read past a
//! filler is still good for further checks, never for use.

use std::cell::{Cell, RefCell};

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::misfit::{Misfit, SECTION, listed};
use super::node::{Data, Node, Origin};
use super::problems::{Findings, Place};
use super::shape::{CHANNEL_PARTS, Config};
use super::{secrets, unknown};

/// Past this many misfits nobody reads on.
const MAX_MISFITS: usize = 200;

/// Text that fits wherever text is asked for: also a duration.
const FILLER_TEXT: &str = "1s";

/// The whole configuration, for checks only when the findings are not empty.
pub(super) fn config(root: &mut Node, findings: &mut Findings<'_>) -> Option<Config> {
    for _ in 0..MAX_MISFITS {
        let unknown = RefCell::default();
        match Config::deserialize(Reader { node: root, view: View::Whole, unknown: &unknown }) {
            Ok(config) => {
                for (path, place, message, hint) in unknown.into_inner() {
                    findings.add(&path, place, message, Some(hint));
                    findings.spoil(&path);
                }
                return Some(config);
            }
            Err(misfit) => misfit.report(root, findings)?,
        }
    }
    None
}

/// Path, place, message and hint.
type Unknown = (String, Place, String, String);

/// As what a node is read. A channel is one map in the file and two structs in the program: both read the same node.
#[derive(Clone, Copy)]
enum View<'a> {
    /// As it stands.
    Whole,
    /// A channel: its common keys. Notes which they are, and leaves the others alone.
    ChannelCommon(&'a Cell<&'static [&'static str]>),
    /// A channel: as the type that its key `type` names.
    ChannelKind(&'a Cell<&'static [&'static str]>),
    /// A channel: the keys of its type. The common ones are known too.
    ChannelOwn(&'a Cell<&'static [&'static str]>),
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    view: View<'a>,
    /// Keys that nothing asked for.
    unknown: &'a RefCell<Vec<Unknown>>,
}

impl<'a> Reader<'a> {
    fn of(self, node: &'a Node) -> Self {
        Self { node, view: View::Whole, unknown: self.unknown }
    }

    fn wrong_type<T>(self, expected: &str) -> Result<T, Misfit> {
        let hint = match (&self.node.data, expected) {
            (Data::List(_), SECTION) => {
                Some("write its keys as `key: value`, without a `-` or a `[` before them".to_owned())
            }
            (Data::Text(_), SECTION) => {
                Some("write its keys below it, each with a colon and a space: `key: value`".to_owned())
            }
            _ => None,
        };
        Err(Misfit::other(format!("expected {expected}, found {}", self.node.kind()), hint))
    }

    /// The text, when it is one placeholder and nothing else, so that it may be another scalar.
    fn placeholder(self) -> Option<&'a str> {
        match (&self.node.data, &self.node.origin) {
            (Data::Text(text), Origin::Variables { whole: true, .. }) => Some(text),
            _ => None,
        }
    }

    fn number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Some(text) = self.placeholder() else {
            return match self.node.data {
                Data::Filler => visitor.visit_u64(1),
                _ => self.deserialize_any(visitor),
            };
        };
        if let Ok(number) = text.parse::<u64>() {
            visitor.visit_u64(number)
        } else if let Ok(number) = text.parse::<i64>() {
            visitor.visit_i64(number)
        } else if let Ok(number) = text.parse::<f64>() {
            visitor.visit_f64(number)
        } else {
            visitor.visit_str(text)
        }
    }

    fn check_keys(self, entries: &[(String, Node)], fields: &'static [&'static str]) {
        let common = match self.view {
            View::Whole | View::ChannelKind(_) => &[],
            View::ChannelCommon(noted) => return noted.set(fields),
            View::ChannelOwn(noted) => noted.get(),
        };
        let own = matches!(self.view, View::ChannelOwn(_)).then_some("type");
        let section = self.node.pattern();
        let files: Vec<_> = fields.iter().map(|key| format!("{key}_file")).collect();
        let files = files.iter().filter(|key| secrets::is_file_key(&section, key)).map(String::as_str);
        let known: Vec<&str> = fields.iter().chain(common).copied().chain(own).chain(files).collect();
        for (key, node) in entries.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let hint = unknown::hint(key, &section, &known);
            self.unknown.borrow_mut().push((node.path.clone(), node.key_place, "unknown key".to_owned(), hint));
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.node.data {
            Data::Null => visitor.visit_unit(),
            Data::Bool(value) => visitor.visit_bool(*value),
            Data::Unsigned(value) => visitor.visit_u64(*value),
            Data::Signed(value) => visitor.visit_i64(*value),
            Data::Float(value) => visitor.visit_f64(*value),
            Data::Text(value) => visitor.visit_str(value),
            Data::List(items) => visitor.visit_seq(Items { reader: self, items: items.iter() }),
            Data::Map(_) => self.deserialize_map(visitor),
            Data::Filler => visitor.visit_seq(Items { reader: self, items: [].iter() }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match (self.placeholder(), &self.node.data) {
            (Some("true"), _) => visitor.visit_bool(true),
            (Some("false"), _) | (None, Data::Filler) => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.number(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.node.data {
            Data::Filler => visitor.visit_str(FILLER_TEXT),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match (self.placeholder(), &self.node.data) {
            (Some(""), _) | (None, Data::Null | Data::Filler) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.node.data {
            Data::List(_) | Data::Filler => self.deserialize_any(visitor),
            _ => self.wrong_type("a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let entries: &[_] = match &self.node.data {
            Data::Map(entries) => entries,
            Data::Null | Data::Filler => &[],
            _ => return self.wrong_type(SECTION),
        };
        visitor.visit_map(Entries::new(self, entries.iter().map(|(key, node)| (key.as_str(), self.of(node)))))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let entries: &[_] = match &self.node.data {
            Data::Map(entries) => entries,
            Data::Null => &[],
            Data::Filler => return visitor.visit_map(Entries::new(self, fields.iter().map(|key| (*key, self)))),
            _ => return self.wrong_type(SECTION),
        };
        if fields == CHANNEL_PARTS {
            let noted = Cell::new(&[][..]);
            let views = [View::ChannelCommon(&noted), View::ChannelKind(&noted)];
            let parts = CHANNEL_PARTS.into_iter().zip(views.map(|view| Reader { view, ..self }));
            return visitor.visit_map(Entries::new(self, parts));
        }
        self.check_keys(entries, fields);
        // A key without a value counts as not written.
        let written =
            entries.iter().filter(|(key, node)| fields.contains(&key.as_str()) && !matches!(node.data, Data::Null));
        visitor.visit_map(Entries::new(self, written.map(|(key, node)| (key.as_str(), self.of(node)))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let (name, inside) = match self.view {
            View::ChannelKind(noted) => match self.node.get("type") {
                None | Some(Node { data: Data::Null, .. }) => {
                    let hint = Some(format!("it is one of {}", listed(variants.iter().copied())));
                    return Err(Misfit::missing("type", hint));
                }
                // What its keys should be cannot be known.
                Some(name @ Node { data: Data::Filler, .. }) => (name, self.of(name)),
                Some(name) => (name, Reader { view: View::ChannelOwn(noted), ..self }),
            },
            _ => (self.node, self),
        };
        let variant = match (&name.data, variants) {
            (Data::Text(text), _) => text,
            (Data::Filler, [first, ..]) => *first,
            _ => {
                let message = format!("expected one of {}, found {}", listed(variants.iter().copied()), name.kind());
                return Err(Misfit::other(message, None).at(name));
            }
        };
        visitor.visit_enum(Choice { variant, name, inside })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { i8 i16 i32 i64 i128 u8 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier }
}

struct Items<'a, I> {
    reader: Reader<'a>,
    items: I,
}

impl<'de, 'a, I: Iterator<Item = &'a Node>> SeqAccess<'de> for Items<'a, I> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let item = self.items.next();
        item.map(|node| seed.deserialize(self.reader.of(node)).map_err(|misfit| misfit.at(node))).transpose()
    }
}

struct Entries<'a, I> {
    entries: I,
    value: Reader<'a>,
}

impl<'a, I> Entries<'a, I> {
    fn new(reader: Reader<'a>, entries: I) -> Self {
        Self { entries, value: reader }
    }
}

impl<'de, 'k, 'a, I: Iterator<Item = (&'k str, Reader<'a>)>> MapAccess<'de> for Entries<'a, I> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = value;
        let key: StrDeserializer<'_, Misfit> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(self.value).map_err(|misfit| misfit.at(self.value.node))
    }
}

/// The variant of an enum, the node that names it, and what is within.
struct Choice<'a> {
    variant: &'a str,
    name: &'a Node,
    inside: Reader<'a>,
}

impl<'de, 'a> EnumAccess<'de> for Choice<'a> {
    type Error = Misfit;
    type Variant = Reader<'a>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Reader<'a>), Misfit> {
        let variant: StrDeserializer<'_, Misfit> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant).map_err(|misfit| misfit.at(self.name))?, self.inside))
    }
}

impl<'de> VariantAccess<'de> for Reader<'_> {
    type Error = Misfit;

    fn unit_variant(self) -> Result<(), Misfit> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Misfit> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Misfit> {
        self.wrong_type("a word")
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Misfit> {
        self.wrong_type("a word")
    }
}
