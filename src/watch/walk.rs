//! One read of the PBX over all its pages, and what it has found so far that is not stored yet. Pure.
//!
//! The list moves while it is read: a row may come again on the next page, one leg of a call may stand at the end of a
//! page and its answered twin at the start of the next. So what a page brings is kept until the next page has been seen.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::event::{Event, EventId, Record};
use crate::pbx::{PAGE_ROWS, Page};

/// A list that never ends is broken; the next read starts again at its newest page.
const MOST_PAGES: u32 = 50;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    /// From this start of a call on.
    pub from: Timestamp,
    /// Up to this start of a call.
    pub to: Option<Timestamp>,
    /// Only what is missed or unread; otherwise everything inbound.
    pub unsettled: bool,
}

/// A read under way.
#[derive(Debug)]
pub(super) struct Walk {
    /// What is asked for.
    pub ask: Ask,
    /// When its first page was asked for: what it shows is at least as fresh.
    pub read_at: Timestamp,
    /// The page to read next, from 1.
    pub page: u32,
    /// Changed events, and unchanged ones that are due to be announced, of the last page.
    pub staged: BTreeMap<EventId, Arc<Event>>,
    /// Pages after the first that brought something new.
    pub late_news: bool,
    /// Ids of all rows, wanted or not: a page without a new one ends the walk.
    rows: HashSet<String>,
    /// Ids of the rows that are what was asked for.
    seen: HashSet<String>,
}

impl Walk {
    /// Starts at the newest page.
    pub(super) fn new(ask: Ask, read_at: Timestamp) -> Self {
        Self {
            ask,
            read_at,
            page: 1,
            staged: BTreeMap::new(),
            late_news: false,
            rows: HashSet::new(),
            seen: HashSet::new(),
        }
    }

    /// Takes note of a page and moves to the next. Returns whether there can be more.
    ///
    /// A page that is short ends the list, unless the PBX counts further pages; one that repeats only what this walk has
    /// seen ends it in any case.
    pub(super) fn turn(&mut self, page: &Page) -> bool {
        let fresh = page.uuids.iter().filter(|uuid| self.rows.insert((*uuid).clone())).count();
        self.saw(page);
        let more = page.rows >= PAGE_ROWS || page.total_pages.is_some_and(|total| total > self.page);
        self.page += 1;
        more && fresh > 0 && self.page <= MOST_PAGES
    }

    /// Takes note of what a read beside this one has brought.
    pub(super) fn saw(&mut self, page: &Page) {
        self.seen.extend(page.records.iter().map(|record| record.uuid.clone()));
    }

    /// Whether the PBX has listed it, as whatever.
    pub(super) fn has_listed(&self, uuid: &str) -> bool {
        self.rows.contains(uuid)
    }

    /// Whether a call or voicemail is still what was asked for. A row that a PBX without filters lists all the same, as
    /// answered or heard, does not count.
    pub(super) fn has_seen(&self, uuid: &str) -> bool {
        self.seen.contains(uuid)
    }
}

/// The calls among `records` that may settle others, for `track::reached`.
pub(super) fn settling(records: Vec<Record>) -> impl Iterator<Item = Record> {
    records.into_iter().filter(|record| record.answered() || record.return_uuid.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk() -> Walk {
        Walk::new(Ask { from: Timestamp::UNIX_EPOCH, to: None, unsettled: true }, Timestamp::UNIX_EPOCH)
    }

    /// A page of rows that nobody asked for.
    fn page(rows: usize, total_pages: Option<u32>, uuids: std::ops::Range<usize>) -> Page {
        let uuids = uuids.map(|n| n.to_string()).collect();
        Page { records: Vec::new(), rows, uuids, malformed: 0, total_pages }
    }

    #[test]
    fn a_short_page_ends_the_list_unless_the_pbx_counts_further_ones() {
        assert!(!walk().turn(&page(99, None, 0..99)));
        assert!(!walk().turn(&page(99, Some(1), 0..99)));
        assert!(walk().turn(&page(50, Some(3), 0..50)));
        assert!(walk().turn(&page(100, Some(0), 0..100)));
    }

    #[test]
    fn the_same_page_under_every_number_ends_the_walk() {
        let mut walk = walk();
        assert!(walk.turn(&page(100, None, 0..100)));
        assert!(!walk.turn(&page(100, None, 0..100)));
    }

    #[test]
    fn a_list_that_never_ends_is_given_up_at_the_page_cap() {
        let mut walk = walk();
        let pages = (0..100).take_while(|n| walk.turn(&page(100, Some(9999), n * 100..n * 100 + 100))).count();
        assert_eq!(pages, 49);
    }

    #[test]
    fn a_row_that_is_not_what_was_asked_for_does_not_count_as_seen() {
        let mut walk = walk();
        walk.turn(&page(1, None, 7..8));
        assert!(!walk.has_seen("7"));
    }
}
