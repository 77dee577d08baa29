//! How far the PBX has been read: what a watcher keeps in the store besides events. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How far one source of one account has been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// What ended before this is remembered, not announced: the very first start less `watch.first_run`.
    pub announce_from: Timestamp,
    /// When the last complete read of the newest window began.
    pub read_at: Option<Timestamp>,
    /// What a pause left unread, oldest first; each window is read from its newest end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Window>,
}

/// A span of time by the start of the calls in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Inclusive.
    pub from: Timestamp,
    /// Inclusive.
    pub to: Timestamp,
}

/// A pause that the newest window still covers by itself. Longer ones become a gap, so that the newest page comes
/// first and soon whatever the length of the pause.
const REACH: Duration = Duration::from_secs(3600);

/// The vendor refuses more than 31 days. A week keeps the pages shallow: deep ones time out.
const WIDEST: Duration = Duration::from_secs(7 * 86_400);

/// How far back a pause is caught up with: the PBX itself forgets after 90 days.
const OLDEST: Duration = Duration::from_secs(90 * 86_400);

/// More pauses than this, none of them caught up with, become fewer and wider: a cursor is one stored row, which must
/// not outgrow what a row may hold.
const MOST_GAPS: usize = 12;

impl Cursor {
    /// For a source that was never read.
    pub fn first(now: Timestamp, first_run: Duration) -> Self {
        Self { announce_from: back(now, first_run), read_at: None, gaps: Vec::new() }
    }

    /// Where the newest window starts: `lookback` before the last complete read.
    pub fn head_from(&self, now: Timestamp, lookback: Duration) -> Timestamp {
        match self.read_at {
            // A clock that was set back must not move the window into the future.
            Some(read_at) if within_reach(read_at, now) => back(read_at.min(now), lookback),
            _ => back(now, lookback),
        }
    }

    /// After a complete read of the newest window that began at `read_at`: moves on, and notes the gap that the window
    /// did not reach.
    pub fn advance(&mut self, read_at: Timestamp, lookback: Duration) {
        if let Some(last) = self.read_at
            && !within_reach(last, read_at)
        {
            let from = back(last, lookback).max(back(read_at, OLDEST));
            let to = back(read_at, lookback);
            if from < to {
                self.gaps.push(Window { from, to });
                if self.gaps.len() > MOST_GAPS {
                    // What lies between the two was read already; once more does no harm.
                    let oldest = self.gaps.remove(0);
                    self.gaps[0].from = oldest.from;
                }
            }
        }
        self.read_at = Some(read_at);
    }

    /// The window to catch up with next: of the newest gap, its newest end, at most a week.
    pub fn next_gap(&self) -> Option<Window> {
        let gap = self.gaps.last()?;
        Some(Window { from: gap.from.max(back(gap.to, WIDEST)), to: gap.to })
    }

    /// `window`, which came from [`Cursor::next_gap`], has been read to its end.
    pub fn close_gap(&mut self, window: Window) {
        if let Some(gap) = self.gaps.last_mut()
            && gap.to == window.to
        {
            gap.to = window.from;
            if gap.to <= gap.from {
                self.gaps.pop();
            }
        }
    }
}

fn within_reach(last: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(last)).unwrap_or_default() <= REACH
}

/// `now` less `span`, or the beginning of time.
pub fn back(now: Timestamp, span: Duration) -> Timestamp {
    now.saturating_sub(span).unwrap_or(Timestamp::MIN)
}

/// `now` and `span`, or the end of time.
pub fn ahead(now: Timestamp, span: Duration) -> Timestamp {
    now.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const LOOKBACK: Duration = Duration::from_secs(7200);

    #[test]
    fn a_short_pause_widens_the_newest_window_and_leaves_no_gap() {
        let mut cursor = Cursor::first(at("2026-11-22T08:00:00Z"), Duration::from_secs(900));
        cursor.advance(at("2026-11-22T08:00:00Z"), LOOKBACK);
        assert_eq!(cursor.head_from(at("2026-11-22T08:50:00Z"), LOOKBACK), at("2026-11-22T06:00:00Z"));
        cursor.advance(at("2026-11-22T08:50:00Z"), LOOKBACK);
        assert_eq!(cursor.gaps, []);
    }

    #[test]
    fn forty_days_down_are_caught_up_with_in_windows_inside_the_vendors_31_days_newest_first() {
        let mut cursor = Cursor::first(at("2026-10-01T08:00:00Z"), Duration::from_secs(900));
        cursor.advance(at("2026-10-01T08:00:00Z"), LOOKBACK);
        let now = at("2026-11-10T08:00:00Z");
        assert_eq!(cursor.head_from(now, LOOKBACK), at("2026-11-10T06:00:00Z"));
        cursor.advance(now, LOOKBACK);
        let mut windows = Vec::new();
        while let Some(window) = cursor.next_gap() {
            windows.push(window);
            cursor.close_gap(window);
        }
        assert_eq!(windows.len(), 6);
        assert_eq!(windows[0].to, at("2026-11-10T06:00:00Z"));
        assert_eq!(windows[5].from, at("2026-10-01T06:00:00Z"));
        for pair in windows.windows(2) {
            assert_eq!(pair[1].to, pair[0].from);
        }
        assert!(windows.iter().all(|w| w.to.duration_since(w.from).as_hours() <= 31 * 24));
    }

    #[test]
    fn a_clock_set_back_asks_for_no_future_window() {
        let mut cursor = Cursor::first(at("2026-11-22T08:00:00Z"), Duration::ZERO);
        cursor.advance(at("2026-11-22T08:00:00Z"), LOOKBACK);
        assert_eq!(cursor.head_from(at("2026-11-20T08:00:00Z"), LOOKBACK), at("2026-11-20T06:00:00Z"));
    }

    #[test]
    fn pauses_that_are_never_caught_up_with_do_not_grow_the_cursor_without_end() {
        let start = at("2026-01-01T00:00:00Z");
        let mut cursor = Cursor::first(start, Duration::ZERO);
        for day in 0..100 {
            cursor.advance(ahead(start, Duration::from_secs(day * 86_400)), LOOKBACK);
        }
        assert_eq!(cursor.gaps.len(), MOST_GAPS);
        assert_eq!(cursor.gaps[0].from, back(start, LOOKBACK), "and none is forgotten");
    }

    proptest! {
        #[test]
        fn head_and_gaps_together_cover_every_moment_since_the_last_read(pauses in prop::collection::vec(1_i64..5_000_000, 1..40)) {
            let start = at("2026-01-01T00:00:00Z");
            let mut cursor = Cursor::first(start, Duration::ZERO);
            let mut now = start;
            let mut covered: Vec<(Timestamp, Timestamp)> = Vec::new();
            for pause in pauses {
                now = now.checked_add(jiff::SignedDuration::from_secs(pause)).unwrap();
                covered.push((cursor.head_from(now, LOOKBACK), now));
                cursor.advance(now, LOOKBACK);
            }
            while let Some(window) = cursor.next_gap() {
                prop_assert!(window.to.duration_since(window.from).as_hours() <= 31 * 24);
                covered.push((window.from, window.to));
                cursor.close_gap(window);
            }
            covered.sort_unstable();
            let mut reached = back(now, OLDEST).max(covered[0].0);
            for (from, to) in covered {
                prop_assert!(from <= reached.max(from.min(back(now, OLDEST))), "a hole before {from}");
                reached = reached.max(to);
            }
            prop_assert_eq!(reached, now);
        }
    }
}
