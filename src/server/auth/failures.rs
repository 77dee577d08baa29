//! How many wrong tokens came lately. Pure.

use std::collections::VecDeque;
use std::time::Duration;

/// After so many wrong tokens …
const MOST: usize = 10;

/// … within this time, those that follow are put off.
const WINDOW: Duration = Duration::from_secs(60);

/// The latest wrong tokens, at most [`MOST`].
#[derive(Debug, Default)]
pub(super) struct Failures(VecDeque<Duration>);

impl Failures {
    /// How long to wait until one more may be tried, when that is not now.
    pub(super) fn pause(&mut self, now: Duration) -> Option<Duration> {
        while self.0.front().is_some_and(|first| *first + WINDOW <= now) {
            self.0.pop_front();
        }
        let first = self.0.front().filter(|_| self.0.len() >= MOST)?;
        Some((*first + WINDOW).saturating_sub(now))
    }

    /// Counts one. Returns whether it was the last one of the minute.
    pub(super) fn count(&mut self, now: Duration) -> bool {
        self.0.push_back(now);
        self.0.len() >= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_failures_of_one_minute_put_off_the_next_until_the_first_is_a_minute_old() {
        let second = Duration::from_secs(1);
        let mut failures = Failures::default();
        let last: Vec<bool> = (0..10).map(|n| failures.count(n * second)).collect();
        assert_eq!(last.iter().position(|last| *last), Some(9));
        assert_eq!(failures.pause(10 * second), Some(50 * second));
        assert_eq!(failures.pause(59 * second), Some(second));
        assert_eq!(failures.pause(60 * second), None);
        assert!(failures.count(60 * second));
        assert_eq!(failures.pause(60 * second), Some(second));
    }
}
