//! Where everything stands in the file: one pass of an event parser that keeps marks, which also bounds what the
//! YAML parser proper is given.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser};

use super::problems::Place;

/// No honest configuration nests deeper; the YAML parser needs seconds for tens of thousands of brackets.
const MAX_DEPTH: usize = 100;
/// Counted with every alias expanded, so that a few lines of aliases cannot become gigabytes.
const MAX_VALUES: usize = 100_000;

/// Where a value stands, and where those within it do.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) inner: Inner,
}

#[derive(Debug, Clone)]
pub(super) enum Inner {
    /// A scalar, or an alias, whose inside stands elsewhere.
    None,
    List(Vec<Spot>),
    /// Keys and values in order.
    Map(Vec<(Place, Spot)>),
}

/// Why the file is not read further.
#[derive(Debug)]
pub(super) enum Stop {
    /// Not YAML; the YAML parser proper says it better.
    Syntax(Place, String),
    /// YAML, but not what a configuration may be.
    Refused { place: Place, message: String, hint: Option<String> },
}

fn refused(place: Place, message: impl Into<String>, hint: &str) -> Stop {
    Stop::Refused { place, message: message.into(), hint: Some(hint.to_owned()) }
}

fn too_deep(place: Place) -> Stop {
    refused(place, format!("nested more than {MAX_DEPTH} levels deep"), "is this the right file?")
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

/// A list or map whose end has not come yet.
struct Open {
    spot: Spot,
    /// The place of the key whose value comes next; only in maps.
    key: Option<Place>,
    anchor: usize,
    /// Values within, aliases expanded.
    values: usize,
}

/// Walks the events once.
///
/// # Errors
/// When the file is not YAML, holds no or more than one document, or nests or expands beyond the bounds.
pub(super) fn scan(text: &str) -> Result<Spot, Stop> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: BTreeMap<usize, usize> = BTreeMap::new();
    let mut document = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| match (place(*error.marker()), error.info()) {
            // Its own bound, which it meets before it tells of the brackets.
            (place, "recursion limit exceeded") => too_deep(place),
            (place, info) => Stop::Syntax(place, info.to_owned()),
        })?;
        let here = place(span.start);
        let (done, anchor, values) = match event {
            Event::DocumentStart(_) if document.is_some() => {
                return Err(refused(
                    here,
                    "a second YAML document begins here",
                    "one file holds one; remove the `---`",
                ));
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() == MAX_DEPTH {
                    return Err(too_deep(here));
                }
                let inner =
                    if matches!(event, Event::SequenceStart(..)) { Inner::List(vec![]) } else { Inner::Map(vec![]) };
                open.push(Open { spot: Spot { place: here, inner }, key: None, anchor, values: 1 });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(closed) => (closed.spot, closed.anchor, closed.values),
                None => continue,
            },
            Event::Scalar(_, _, anchor, _) => (Spot { place: here, inner: Inner::None }, anchor, 1),
            Event::Alias(anchor) => {
                let Some(values) = anchors.get(&anchor) else {
                    return Err(refused(here, "an alias stands inside its own anchor", "write the value out"));
                };
                (Spot { place: here, inner: Inner::None }, 0, *values)
            }
            _ => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, values);
        }
        match open.last_mut() {
            Some(parent) => {
                parent.values = parent.values.saturating_add(values);
                if parent.values > MAX_VALUES {
                    let message = format!("holds more than {MAX_VALUES} values when its aliases are expanded");
                    return Err(refused(here, message, "write the values out instead of using aliases (`*name`)"));
                }
                match (&mut parent.spot.inner, parent.key.take()) {
                    (Inner::List(items), _) => items.push(done),
                    (Inner::Map(entries), Some(key)) => entries.push((key, done)),
                    (Inner::Map(_) | Inner::None, _) => parent.key = Some(done.place),
                }
            }
            None => document = Some(done),
        }
    }
    document.ok_or(Stop::Refused {
        place: Place::default(),
        message: "the file holds no configuration".to_owned(),
        hint: Some("start from config.example.yaml".to_owned()),
    })
}
