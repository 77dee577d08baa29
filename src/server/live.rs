//! `/live`: says to whoever has the board open that it has changed, by server-sent events.
//!
//! One task looks for all of them, once a second while there is anybody; what it looks at costs nothing.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::clock::Clock;

/// More streams than an office has people are refused; those go on without, by reading the page again.
const MOST: usize = 64;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Proxies end what is silent for a minute, and a line that cannot be written tells that the other end is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// A stream ends after this, and the browser opens another one: then it is asked again who it is.
const LONGEST: Duration = Duration::from_secs(600);

/// Who has the board open.
pub(super) struct Live {
    context: Context,
    /// The last fingerprint.
    state: watch::Sender<String>,
    seats: Arc<Semaphore>,
    /// Somebody has come.
    came: Notify,
    stop: CancellationToken,
}

impl Live {
    pub(super) fn new(context: Context, stop: CancellationToken) -> Self {
        let state = watch::Sender::new(fingerprint(&context));
        Self { context, state, seats: Arc::new(Semaphore::new(MOST)), came: Notify::new(), stop }
    }

    /// Looks for changes while somebody wants to know of them, until the stop.
    pub(super) async fn run(&self) {
        let looking = async {
            loop {
                if self.seats.available_permits() == MOST {
                    self.came.notified().await;
                }
                self.look();
                self.context.clock.sleep(PAUSE).await;
            }
        };
        self.stop.run_until_cancelled(looking).await;
    }

    fn look(&self) {
        let now = fingerprint(&self.context);
        self.state.send_if_modified(|state| {
            let changed = *state != now;
            *state = now;
            changed
        });
    }

    /// The stream; `None` when there are too many.
    pub(super) fn stream(&self) -> Option<Response> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        // What the page shows may be older than the last look, and that than what holds now.
        self.look();
        let clock = self.context.clock.clone();
        let mut state = self.state.subscribe();
        state.mark_changed();
        let ends = clock.tick() + LONGEST;
        let listener = Listener { state, clock, ends, stop: self.stop.clone(), _seat: seat };
        self.came.notify_one();
        let events = stream::unfold(listener, |mut listener| async {
            let event = listener.next().await?;
            Some((Ok::<_, Infallible>(event), listener))
        });
        // Without the last one nginx would gather what belongs to the moment.
        let headers = [
            (header::CONTENT_TYPE.as_str(), "text/event-stream"),
            (header::CACHE_CONTROL.as_str(), "no-store"),
            ("x-accel-buffering", "no"),
        ];
        Some((headers, Body::from_stream(events)).into_response())
    }
}

/// One stream.
struct Listener {
    state: watch::Receiver<String>,
    clock: Clock,
    ends: Duration,
    stop: CancellationToken,
    _seat: OwnedSemaphorePermit,
}

impl Listener {
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            changed = self.state.changed() => {
                changed.ok()?;
                let state = self.state.borrow_and_update();
                Some(format!("event: changed\ndata: {}\n\n", *state).into())
            }
            () = self.clock.sleep(KEEP_ALIVE) => Some(Bytes::from_static(b": still here\n\n")),
            () = self.clock.sleep_until(self.ends) => None,
            () = self.stop.cancelled() => None,
        }
    }
}

/// What changes when the board does.
pub(super) fn fingerprint(context: &Context) -> String {
    let mut hasher = DefaultHasher::new();
    for notice in context.health.holding(None, context.clock.moment()) {
        (notice.condition.as_str(), notice.condition.account(), notice.condition.channel()).hash(&mut hasher);
        notice.condition.source().hash(&mut hasher);
    }
    format!("{}-{:016x}", context.store.revision(), hasher.finish())
}
