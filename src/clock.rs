//! The only reader of time: the system's clock for the daemon, a manual one for tests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

/// A point in time by both hands of the clock.
///
/// Waits, leases and budgets count in `tick`, which no correction of the wall clock can move; what is stored and shown
/// is `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, UTC.
    pub at: Timestamp,
    /// Monotonic time since the clock was made.
    pub tick: Duration,
}

/// A clock that can be read and waited for. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Clock(Hand);

#[derive(Debug, Clone)]
enum Hand {
    System { start: Instant },
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: Mutex<Moment>,
    moved: watch::Sender<()>,
}

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "this file is the one reader of time")]
    pub fn system() -> Self {
        Self(Hand::System { start: Instant::now() })
    }

    /// A clock that stands still at `at` until it is moved.
    pub fn manual(at: Timestamp) -> Self {
        let now = Mutex::new(Moment { at, tick: Duration::ZERO });
        Self(Hand::Manual(Arc::new(Manual { now, moved: watch::Sender::new(()) })))
    }

    /// Both hands at once.
    #[expect(clippy::disallowed_methods, reason = "this file is the one reader of time")]
    pub fn moment(&self) -> Moment {
        match &self.0 {
            Hand::System { start } => Moment { at: Timestamp::now(), tick: start.elapsed() },
            Hand::Manual(manual) => *manual.now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.moment().at
    }

    /// Monotonic time since the clock was made.
    pub fn tick(&self) -> Duration {
        self.moment().tick
    }

    /// Returns once the monotonic hand has reached `tick`.
    pub async fn sleep_until(&self, tick: Duration) {
        match &self.0 {
            // Past what an Instant can hold, as `Duration::MAX` is: never.
            Hand::System { start } => match start.checked_add(tick) {
                Some(instant) => tokio::time::sleep_until(instant.into()).await,
                None => std::future::pending().await,
            },
            Hand::Manual(manual) => {
                let mut moved = manual.moved.subscribe();
                while self.tick() < tick {
                    // The sender lives in `manual`, which `self` holds: the channel cannot close here.
                    let _ = moved.changed().await;
                }
            }
        }
    }

    /// Returns after `wait` has passed.
    pub async fn sleep(&self, wait: Duration) {
        self.sleep_until(self.tick().saturating_add(wait)).await;
    }

    /// Moves a manual clock on and wakes whoever waits for what has now come. The system's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Hand::Manual(manual) = &self.0 {
            let mut now = manual.now.lock().unwrap_or_else(PoisonError::into_inner);
            now.tick = now.tick.saturating_add(by);
            now.at = now.at.saturating_add(by).unwrap_or(Timestamp::MAX);
            drop(now);
            manual.moved.send_replace(());
        }
    }

    /// Sets the wall hand of a manual clock and leaves the monotonic one, as a correction by NTP does.
    pub fn set_wall(&self, at: Timestamp) {
        if let Hand::Manual(manual) = &self.0 {
            manual.now.lock().unwrap_or_else(PoisonError::into_inner).at = at;
            manual.moved.send_replace(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_a_manual_clock_passes_its_tick_and_not_before() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut sleeper = std::pin::pin!(clock.sleep(Duration::from_secs(60)));
        assert!(futures_util::poll!(&mut sleeper).is_pending());
        clock.advance(Duration::from_secs(59));
        assert!(futures_util::poll!(&mut sleeper).is_pending());
        clock.advance(Duration::from_secs(1));
        sleeper.await;
        assert_eq!(clock.now(), Timestamp::from_second(60).unwrap());
    }

    #[tokio::test]
    async fn a_corrected_wall_clock_moves_no_sleeper() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let mut sleeper = std::pin::pin!(clock.sleep(Duration::from_secs(60)));
        clock.set_wall(Timestamp::from_second(1_000_000).unwrap());
        assert!(futures_util::poll!(&mut sleeper).is_pending());
        assert_eq!(clock.tick(), Duration::ZERO);
    }
}
