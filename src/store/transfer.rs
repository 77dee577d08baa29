//! The store as JSON lines: what `ringback store export` writes and `ringback store import` reads. Pure.
//!
//! The first line is a header with the format, the last one says how many rows there were: a file that was cut short is
//! not taken for a whole one. Rows hold no secrets, but names and numbers of people.

use std::collections::HashSet;
use std::io::{self, BufRead, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cursor::Cursor;
use crate::event::{DeliveryId, Event, EventId, Kind};
use crate::outbox::Delivery;
use crate::store::Source;

/// The format that is written, and the only one there has been. Fields may be added to it with a default; a change of
/// meaning takes a new number, and an arm in [`read`] for the old one.
pub const FORMAT: u32 = 1;

/// One row, in the words of the domain: keys and indexes are the store's own affair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "most rows are of the large variants")]
pub enum Row {
    /// What was seen.
    Event(Event),
    /// What is told of it.
    Delivery(Delivery),
    /// How far a source has been read.
    Cursor {
        /// The account's name.
        account: String,
        /// What is read from it.
        kind: Kind,
        /// How far.
        cursor: Cursor,
    },
    /// That ringback has fetched a recording.
    Fetch(Fetch),
    /// Until when a summary has been dealt with.
    Summary(SummaryNote),
}

/// Until when a summary has been dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryNote {
    /// Of which summary, for which channel.
    pub id: DeliveryId,
    /// The due time of the last one that was sent, or had nothing to say.
    pub until: Timestamp,
}

/// That ringback has fetched a recording, which may have marked the voicemail as heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Of which voicemail.
    pub event: EventId,
    /// When it began to.
    pub at: Timestamp,
}

impl Row {
    /// A cursor with its source.
    pub fn cursor(source: Source, cursor: Cursor) -> Self {
        Self::Cursor { account: source.account, kind: source.kind, cursor }
    }

    /// What no second row may have.
    fn identity(&self) -> String {
        match self {
            Self::Event(event) => event.id.to_string(),
            Self::Delivery(delivery) => delivery.id.to_string(),
            Self::Cursor { account, kind, .. } => format!("{} {account}", kind.as_str()),
            Self::Fetch(Fetch { event, at }) => format!("the fetch of {event} at {at}"),
            Self::Summary(SummaryNote { id, .. }) => format!("the summary {id}"),
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    ringback_store: u32,
    /// The version that wrote it, for people.
    ringback: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    rows: usize,
}

/// Why lines cannot be taken for a store.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file or the pipe.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Another version's.
    #[error(
        "line 1: format {found}, this version reads {FORMAT}\nhint: import it with the ringback that wrote it, {by}"
    )]
    Format {
        /// What the header says.
        found: u32,
        /// The version that wrote it.
        by: String,
    },
    /// Not what it should be.
    #[error("line {line}: {cause}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What was found, and what was expected.
        cause: String,
    },
}

/// Writes rows, with header and end.
///
/// # Errors
/// Those of `out`.
pub fn write(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let header = Header { ringback_store: FORMAT, ringback: env!("CARGO_PKG_VERSION").to_owned() };
    line(&header, out)?;
    for row in rows {
        line(row, out)?;
    }
    line(&End { rows: rows.len() }, out)?;
    out.flush()
}

fn line(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Reads all rows, or none.
///
/// # Errors
/// [`Unreadable`], with the number of the line.
pub fn read(from: impl BufRead) -> Result<Vec<Row>, Unreadable> {
    let mut lines = from.lines().enumerate().map(|(at, line)| line.map(|line| (at + 1, line)));
    let wrong = |line, cause: String| Unreadable::Line { line, cause };
    let (_, first) = lines.next().transpose()?.unwrap_or_default();
    let header: Header = serde_json::from_str(&first)
        .map_err(|_| wrong(1, "not the header of an export: expected {\"ringback_store\":…".to_owned()))?;
    if header.ringback_store != FORMAT {
        return Err(Unreadable::Format { found: header.ringback_store, by: header.ringback });
    }
    let (mut rows, mut known) = (Vec::new(), HashSet::new());
    let mut last = 1;
    for line in lines.by_ref() {
        let (at, text) = line?;
        last = at;
        let row: Row = match serde_json::from_str(&text) {
            Ok(row) => row,
            Err(error) => {
                let Ok(end) = serde_json::from_str::<End>(&text) else {
                    // The parser's words may quote the line, and with it somebody's number: only the place is told.
                    return Err(wrong(at, format!("not a row, from column {} on", error.column())));
                };
                if end.rows != rows.len() {
                    return Err(wrong(at, format!("the end of {} rows, though there are {}", end.rows, rows.len())));
                }
                return match lines.next().transpose()? {
                    None => Ok(rows),
                    Some((at, _)) => Err(wrong(at, "something behind the end".to_owned())),
                };
            }
        };
        if !known.insert(row.identity()) {
            return Err(wrong(at, format!("{} is there already", row.identity())));
        }
        rows.push(row);
    }
    Err(wrong(last + 1, "the end is missing: the export was cut short".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(rows: usize) -> String {
        let source = |n| Source { account: format!("account {n}"), kind: Kind::Call };
        let cursor = Cursor::first("2026-11-22T05:00:00Z".parse().unwrap(), std::time::Duration::ZERO);
        let rows: Vec<Row> = (0..rows).map(|n| Row::cursor(source(n), cursor.clone())).collect();
        let mut out = Vec::new();
        write(&rows, &mut out).unwrap();
        assert_eq!(read(&*out).unwrap(), rows);
        String::from_utf8(out).unwrap()
    }

    fn refused(text: &str) -> String {
        read(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_export_that_was_cut_anywhere_is_refused() {
        let text = export(3);
        for cut in (0..text.len() - 1).filter(|cut| text.is_char_boundary(*cut)) {
            assert!(refused(&text[..cut]).starts_with("line "), "{cut}");
        }
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let text = export(3);
        let lines: Vec<&str> = text.lines().collect();
        assert!(refused("").starts_with("line 1: not the header"));
        assert!(refused("BEGIN;\n").starts_with("line 1: not the header"));
        assert_eq!(refused(&text.replace(lines[2], "{\"cursor\":{}}")), "line 3: not a row, from column 12 on");
        assert_eq!(refused(&text.replace(lines[3], lines[1])), "line 4: calls account 0 is there already");
        assert_eq!(
            refused(&text.replace(&format!("{}\n", lines[3]), "")),
            "line 4: the end of 3 rows, though there are 2"
        );
        assert_eq!(refused(&format!("{text}more\n")), "line 6: something behind the end");
    }

    #[test]
    fn an_export_of_another_format_is_refused_with_the_version_that_reads_it() {
        let text = export(0).replace("\"ringback_store\":1", "\"ringback_store\":7");
        let text = text.replace(env!("CARGO_PKG_VERSION"), "9.1.0");
        let refused = refused(&text);
        assert!(refused.starts_with("line 1: format 7, this version reads 1"), "{refused}");
        assert!(refused.contains("hint: ") && refused.contains("9.1.0"), "{refused}");
    }
}
