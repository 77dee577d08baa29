//! What systemd is told: ready, reloading, stopping, alive (`sd_notify(3)`). Nothing, when it did not start us.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::clock::Clock;
use crate::store::Store;

/// How long a supervisor that does not listen is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything runs; `status` is what `systemctl status` shows. Also the end of a reload, whatever came of it.
pub(super) async fn ready(status: String) {
    tell(vec![NotifyState::Ready], status).await;
}

/// A reload begins: systemd waits for the next [`ready`].
pub(super) async fn reloading() {
    // The crate's own reading of the clock: the time when systemd asked must be comparable with systemd's. No decision
    // of ours hangs on it.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(vec![NotifyState::Reloading, now], "reloading the configuration".to_owned()).await,
        Err(error) => {
            tracing::warn!(%error, "systemd cannot be told of the reload: the monotonic clock cannot be read");
        }
    }
}

/// The orderly stop begins.
pub(super) async fn stopping() {
    tell(vec![NotifyState::Stopping], "stopping: attempts under way may end".to_owned()).await;
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
            _ = store.ping() => tell(vec![NotifyState::Watchdog], String::new()).await,
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

/// Beside the event loop: the socket of a supervisor that does not listen fills up, and then blocks.
async fn tell(states: Vec<NotifyState<'static>>, status: String) {
    let told = tokio::task::spawn_blocking(move || {
        let status = (!status.is_empty()).then_some(NotifyState::Status(&status));
        let states: Vec<NotifyState<'_>> = states.into_iter().chain(status).collect();
        sd_notify::notify(&states)
    });
    match tokio::time::timeout(PATIENCE, told).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(
            %error, "systemd cannot be told how it goes; $NOTIFY_SOCKET must name a socket in the file system"
        ),
        Ok(Err(panic)) => tracing::error!(%panic, "systemd cannot be told how it goes"),
        Err(_) => tracing::warn!("systemd does not listen to how it goes"),
    }
}
