//! What systemd is told: ready, reloading, stopping, alive (`sd_notify(3)`). Nothing, when it did not start us.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock::Clock;
use crate::store::Store;

/// Everything runs; `status` is what `systemctl status` shows. Also the end of a reload, whatever came of it.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A reload begins: systemd waits for the next [`ready`].
pub(super) fn reloading() {
    // The crate's own reading of the clock: the time when systemd asked must be comparable with systemd's. No decision
    // of ours hangs on it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading the configuration")]),
        Err(error) => {
            tracing::warn!(%error, "systemd cannot be told of the reload: the monotonic clock cannot be read");
        }
    }
}

/// The orderly stop begins.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: attempts under way may end")]);
}

/// How often systemd expects a sign of life (`WatchdogSec=`), if it does.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Gives a sign of life at half of `limit`, as long as the event loop turns and the store's writer answers. That it
/// cannot write is an answer too: a restart would not make room on the disk.
pub(super) async fn keep_alive(limit: Duration, store: Arc<dyn Store>, clock: Clock) {
    loop {
        let next = clock.tick() + limit / 2;
        tokio::select! {
            _ = store.ping() => tell(&[NotifyState::Watchdog]),
            () = clock.sleep_until(next) => {
                tracing::error!(
                    seconds = (limit / 2).as_secs(),
                    "the store does not answer; if it does not soon, systemd ends this process and starts another"
                );
            }
        }
        clock.sleep_until(next).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd cannot be told how it goes; $NOTIFY_SOCKET must name a socket in the file system");
    }
}
