//! One read of the PBX over all its pages, and what it has found so far that is not stored yet. Pure.
//!
//! The list moves while it is read: a row may come again on the next page, one leg of a call may stand at the end of a
//! page and its answered twin at the start of the next. So what a page brings is kept until the next page has been seen.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;

use crate::event::{Event, EventId, Record};
use crate::pbx::PAGE_ROWS;

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
    pub staged: BTreeMap<EventId, Event>,
    /// Pages after the first that brought something new.
    pub late_news: bool,
    seen: HashSet<String>,
}

impl Walk {
    /// Starts at the newest page.
    pub(super) fn new(ask: Ask, read_at: Timestamp) -> Self {
        Self { ask, read_at, page: 1, staged: BTreeMap::new(), late_news: false, seen: HashSet::new() }
    }

    /// Takes note of a page and moves to the next. Returns whether there can be more.
    ///
    /// A page that is short ends the list, unless the PBX counts further pages; one that repeats only what this walk has
    /// seen ends it in any case.
    pub(super) fn turn(&mut self, rows: usize, total_pages: Option<u32>, uuids: &[String]) -> bool {
        let fresh = uuids.iter().filter(|uuid| self.seen.insert((*uuid).clone())).count();
        let more = rows >= PAGE_ROWS || total_pages.is_some_and(|total| total > self.page);
        self.page += 1;
        more && fresh > 0 && self.page <= MOST_PAGES
    }

    /// Whether this walk has come across a call or voicemail.
    pub(super) fn has_seen(&self, uuid: &str) -> bool {
        self.seen.contains(uuid)
    }
}

/// The answered calls among `records`, for `track::reached_later`.
pub(super) fn answered(records: Vec<Record>) -> Vec<Record> {
    records.into_iter().filter(Record::answered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk() -> Walk {
        Walk::new(Ask { from: Timestamp::UNIX_EPOCH, to: None, unsettled: true }, Timestamp::UNIX_EPOCH)
    }

    fn uuids(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|n| n.to_string()).collect()
    }

    #[test]
    fn a_short_page_ends_the_list_unless_the_pbx_counts_further_ones() {
        assert!(!walk().turn(99, None, &uuids(0..99)));
        assert!(!walk().turn(99, Some(1), &uuids(0..99)));
        assert!(walk().turn(50, Some(3), &uuids(0..50)));
        assert!(walk().turn(100, Some(0), &uuids(0..100)));
    }

    #[test]
    fn the_same_page_under_every_number_ends_the_walk() {
        let mut walk = walk();
        assert!(walk.turn(100, None, &uuids(0..100)));
        assert!(!walk.turn(100, None, &uuids(0..100)));
    }

    #[test]
    fn a_list_that_never_ends_is_given_up_at_the_page_cap() {
        let mut walk = walk();
        let pages = (0..).take_while(|n| walk.turn(100, Some(9999), &uuids(n * 100..n * 100 + 100))).count();
        assert_eq!(pages, 49);
    }
}
