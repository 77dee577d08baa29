//! The wait before the next try: exponential, jittered, computed from the stored number of attempts. Pure.
//!
//! The backoff crate is fenced in here. Its own jitter and deadline are switched off: its generator cannot be seeded,
//! its jitter exceeds the cap, and its deadline dies with the process. The way out is the one call below.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// How long and how often a delivery is tried again. The keys of `delivery.retry`.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Before the second attempt.
    pub initial: Duration,
    /// By which each further wait grows.
    pub multiplier: f64,
    /// No wait is longer, jitter included.
    pub max: Duration,
    /// A share of the wait, 0 to 1, by which it varies either way.
    pub jitter: f64,
    /// Counted from when the delivery was decided.
    pub give_up_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(5),
            multiplier: 2.5,
            max: Duration::from_secs(30 * 60),
            jitter: 0.2,
            give_up_after: Duration::from_secs(72 * 3600),
        }
    }
}

/// What jitter leaves of a wait, at least: with a jitter of 1 an unlucky draw would be no wait at all.
const LEAST: f64 = 0.1;

impl Policy {
    /// The wait after `attempts` failed ones; `draw` is uniform in 0..1.
    pub fn wait(&self, attempts: u32, draw: f64) -> Duration {
        let base = self.without_jitter(attempts);
        let factor = 1.0 + self.jitter * (2.0 * draw - 1.0);
        base.mul_f64(factor.max(LEAST)).min(self.max)
    }

    fn without_jitter(&self, attempts: u32) -> Duration {
        let grown = self.multiplier.powi(i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX));
        // Past the cap the exact power does not matter, and it may not fit into a Duration.
        let current = Duration::try_from_secs_f64(self.initial.as_secs_f64() * grown).unwrap_or(self.max);
        let mut policy = ExponentialBackoff {
            current_interval: current.min(self.max),
            initial_interval: self.initial,
            randomization_factor: 0.0,
            multiplier: self.multiplier,
            max_interval: self.max,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        policy.next_backoff().unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_grow_by_the_multiplier_up_to_the_cap() {
        let policy = Policy { jitter: 0.0, ..Policy::default() };
        let waits: Vec<_> = (1..=9).map(|attempts| policy.wait(attempts, 0.5).as_secs_f64()).collect();
        assert_eq!(waits, [5.0, 12.5, 31.25, 78.125, 195.312_5, 488.281_25, 1_220.703_125, 1800.0, 1800.0]);
        assert_eq!(policy.wait(u32::MAX, 0.5), policy.max);
    }

    proptest! {
        #[test]
        fn a_wait_stays_within_its_jitter_and_under_the_cap(attempts in 1_u32..1_000, draw in 0.0..1.0_f64) {
            let policy = Policy::default();
            let plain = policy.without_jitter(attempts).as_secs_f64();
            let wait = policy.wait(attempts, draw).as_secs_f64();
            prop_assert!(wait <= policy.max.as_secs_f64());
            prop_assert!(wait >= plain * 0.8 - 1e-6 && wait <= plain * 1.2 + 1e-6);
        }

        #[test]
        fn whatever_the_policy_a_wait_is_some_time_and_no_more_than_the_cap_and_grows_with_the_attempts(
            initial in 10_u64..100_000_000, further in 0_u64..100_000_000, multiplier in 1.0..1000.0_f64,
            jitter in 0.0..=1.0_f64, draw in 0.0..1.0_f64, attempts in 0_u32..u32::MAX,
        ) {
            let (initial, max) = (Duration::from_millis(initial), Duration::from_millis(initial + further));
            let policy = Policy { initial, multiplier, max, jitter, give_up_after: max };
            let wait = policy.wait(attempts, draw);
            prop_assert!(wait > Duration::ZERO && wait <= max);
            let (plain, next) = (policy.without_jitter(attempts), policy.without_jitter(attempts + 1));
            // The crate counts in floating point.
            let rounding = Duration::from_micros(1);
            prop_assert!(initial <= plain + rounding && plain <= next + rounding && next <= max + rounding);
            prop_assert!(wait.as_secs_f64() >= plain.as_secs_f64() * (1.0 - jitter).max(LEAST) - 1e-6);
        }
    }
}
