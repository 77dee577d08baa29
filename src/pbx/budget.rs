//! Requests a minute, as the vendor allows them: a sliding window over monotonic ticks. Pure.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a request counts. A minute, and a margin: the server counts when requests reach it, and one may be slower on
/// its way than the next.
pub const WINDOW: Duration = Duration::from_millis(60_500);

/// What may still be asked of one endpoint of one account.
#[derive(Debug, Clone)]
pub struct Budget {
    per_minute: u32,
    /// Ticks of the requests that still count, oldest first.
    taken: VecDeque<Duration>,
    /// Nothing is free before.
    blocked: Duration,
}

/// A budget of several who ask. Clones share it.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<Budget>>);

impl Shared {
    /// As [`Budget::new`].
    pub fn new(per_minute: u32) -> Self {
        Self(Arc::new(Mutex::new(Budget::new(per_minute))))
    }

    /// The budget itself, which must not be held over a wait.
    pub fn lock(&self) -> MutexGuard<'_, Budget> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// `per_minute` requests in any 60 seconds.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, taken: VecDeque::new(), blocked: Duration::ZERO }
    }

    /// From now on `per_minute`; what was taken still counts.
    pub fn set_limit(&mut self, per_minute: u32) {
        self.per_minute = per_minute;
    }

    /// How many requests may be made at tick `now`.
    pub fn free(&self, now: Duration) -> u32 {
        if now < self.blocked {
            return 0;
        }
        let counting = self.taken.iter().filter(|at| counts(**at, now)).count();
        self.per_minute.saturating_sub(u32::try_from(counting).unwrap_or(u32::MAX))
    }

    /// Takes one request at tick `now`; `false` when none is free.
    #[must_use]
    pub fn take(&mut self, now: Duration) -> bool {
        while self.taken.front().is_some_and(|at| !counts(*at, now)) {
            self.taken.pop_front();
        }
        let free = self.free(now) > 0;
        if free {
            // Callers share one clock but not one lock around reading it: keep the order.
            let last = self.taken.back().copied().unwrap_or_default();
            self.taken.push_back(now.max(last));
        }
        free
    }

    /// Takes the next free request at or after tick `now`, if that is not later than `latest`; returns its tick.
    pub fn reserve(&mut self, now: Duration, latest: Duration) -> Option<Duration> {
        while self.taken.front().is_some_and(|at| !counts(*at, now)) {
            self.taken.pop_front();
        }
        let slot = self.next_free(now, 1);
        if slot > latest {
            return None;
        }
        let last = self.taken.back().copied().unwrap_or_default();
        self.taken.push_back(slot.max(last));
        Some(slot)
    }

    /// The tick, not before `now`, from which at least `want` requests are free, if nobody else takes any.
    /// More than the limit is taken for the limit. Never ([`Duration::MAX`]) when the limit is 0.
    pub fn next_free(&self, now: Duration, want: u32) -> Duration {
        if self.per_minute == 0 {
            return Duration::MAX;
        }
        let room = self.per_minute - want.min(self.per_minute);
        // At most `room` requests may still count.
        let leaving = self.taken.len().saturating_sub(usize::try_from(room).unwrap_or(usize::MAX));
        let left = match leaving.checked_sub(1).and_then(|last| self.taken.get(last)) {
            Some(at) => at.saturating_add(WINDOW),
            None => now,
        };
        left.max(now).max(self.blocked)
    }

    /// After a 429: nothing is free before tick `until`.
    pub fn exhaust(&mut self, until: Duration) {
        self.blocked = self.blocked.max(until);
    }
}

fn counts(at: Duration, now: Duration) -> bool {
    now < at.saturating_add(WINDOW)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn six_a_minute_are_six_in_any_minute() {
        let mut budget = Budget::new(6);
        for second in 0..6 {
            assert!(budget.take(s(second)));
        }
        assert_eq!(budget.free(s(5)), 0);
        assert!(!budget.take(s(60)), "the margin is not over");
        assert_eq!(budget.next_free(s(5), 1), s(60) + Duration::from_millis(500));
        assert_eq!(budget.next_free(s(5), 2), s(61) + Duration::from_millis(500));
        assert!(budget.take(s(61)));
    }

    #[test]
    fn a_429_empties_it_until_it_is_over() {
        let mut budget = Budget::new(6);
        budget.exhaust(s(30));
        budget.exhaust(s(20));
        assert_eq!(budget.free(s(29)), 0);
        assert!(!budget.take(s(29)));
        assert_eq!(budget.next_free(s(1), 6), s(30));
        assert_eq!(budget.free(s(30)), 6);
    }

    #[test]
    fn wanting_more_than_the_limit_is_wanting_the_limit() {
        let mut budget = Budget::new(2);
        assert_eq!(budget.next_free(s(7), 100), s(7));
        assert!(budget.take(s(7)));
        assert_eq!(budget.next_free(s(7), 100), s(67) + Duration::from_millis(500));
        assert_eq!(budget.next_free(s(7), 0), s(7));
    }

    #[test]
    fn a_limit_of_nothing_is_never_free() {
        let mut budget = Budget::new(0);
        assert!(!budget.take(s(1)));
        assert_eq!(budget.next_free(s(1), 1), Duration::MAX);
    }

    #[test]
    fn who_cannot_be_served_in_time_is_told_at_once_and_takes_nobodys_turn() {
        let mut budget = Budget::new(2);
        let slots: Vec<_> = (0..4).map(|_| budget.reserve(s(10), s(75))).collect();
        let later = s(70) + Duration::from_millis(500);
        assert_eq!(slots, [Some(s(10)), Some(s(10)), Some(later), Some(later)]);
        assert_eq!(budget.reserve(s(10), s(75)), None);
        assert_eq!(budget.reserve(s(72), s(150)), Some(s(131)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_limit_in_any_minute(limit in 1_u32..8, steps in prop::collection::vec(0_u64..30_000, 1..120)) {
            let mut budget = Budget::new(limit);
            let (mut now, mut taken) = (Duration::ZERO, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                let free = budget.free(now);
                prop_assert_eq!(budget.take(now), free > 0);
                if free > 0 {
                    taken.push(now);
                }
            }
            for start in &taken {
                let minute = taken.iter().filter(|at| *start <= **at && **at < *start + s(60)).count();
                prop_assert!(minute <= limit as usize);
            }
        }

        #[test]
        fn next_free_is_the_first_tick_at_which_so_many_are_free(
            limit in 1_u32..8, want in 1_u32..10, block in 0_u64..100, steps in prop::collection::vec(0_u64..30_000, 0..20),
        ) {
            let mut budget = Budget::new(limit);
            budget.exhaust(s(block));
            let mut now = Duration::ZERO;
            for step in steps {
                now += Duration::from_millis(step);
                let _ = budget.take(now);
            }
            let next = budget.next_free(now, want);
            prop_assert!(next >= now && budget.free(next) >= want.min(limit));
            if next > now {
                prop_assert!(budget.free(next.saturating_sub(Duration::from_millis(1))) < want.min(limit));
            }
        }
    }
}
