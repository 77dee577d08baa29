//! Waiting for something to become true without sleeping: whoever changes the state raises the signal.

use tokio::sync::watch;

pub(crate) struct Signal(watch::Sender<()>);

impl Signal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Makes every waiter look again.
    pub(crate) fn raise(&self) {
        self.0.send_replace(());
    }

    /// Looks now and after every raise until there is something.
    pub(crate) async fn until<R>(&self, mut look: impl FnMut() -> Option<R>) -> R {
        // Subscribed before the first look: a raise between the look and the wait is not lost.
        let mut raised = self.0.subscribe();
        loop {
            if let Some(found) = look() {
                return found;
            }
            // The sender lives in `self`: the channel cannot close here.
            let _ = raised.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_waiter_wakes_when_the_thing_is_there_and_not_before() {
        let (signal, count) = (Signal::new(), AtomicU32::new(0));
        let mut waiter =
            std::pin::pin!(signal.until(|| Some(count.load(Ordering::Relaxed)).filter(|count| *count >= 2)));
        for expected in 1..=2 {
            assert!(futures_util::poll!(&mut waiter).is_pending());
            count.store(expected, Ordering::Relaxed);
            signal.raise();
        }
        assert_eq!(waiter.await, 2);
    }
}
