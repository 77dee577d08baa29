//! The seats of the server: so many connections at once, and who gives theirs up when another knocks.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// All of them.
pub(super) struct Seats {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
}

/// The connections, the oldest first.
#[derive(Default)]
struct Taken {
    last: u64,
    seats: BTreeMap<u64, Arc<Place>>,
}

struct Place {
    busy: AtomicBool,
    given_up: CancellationToken,
}

/// The seat of one connection; free again when it is dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    id: u64,
    place: Arc<Place>,
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), taken: Mutex::default() })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a new connection. When all are taken, the connection that has been there longest of those that wait for
    /// their client is given up; when none waits, the first that is through makes room.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Seat> {
        if self.is_full() {
            self.give_one_up();
        }
        #[expect(clippy::expect_used, reason = "nobody closes the semaphore")]
        let permit = Arc::clone(&self.free).acquire_owned().await.expect("open for ever");
        let place = Arc::new(Place { busy: AtomicBool::new(false), given_up: CancellationToken::new() });
        let mut taken = self.taken();
        taken.last += 1;
        let id = taken.last;
        taken.seats.insert(id, Arc::clone(&place));
        Arc::new(Seat { seats: Arc::clone(self), id, place, _permit: permit })
    }

    fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    fn give_one_up(&self) {
        let mut taken = self.taken();
        let waiting = taken.seats.iter().find(|(_, place)| !place.busy.load(Ordering::Relaxed));
        if let Some(id) = waiting.map(|(id, _)| *id)
            && let Some(place) = taken.seats.remove(&id)
        {
            place.given_up.cancel();
        }
    }
}

impl Seat {
    /// The server works for this connection until the answer drops what this returns.
    pub(super) fn busy(&self) -> Busy {
        self.place.busy.store(true, Ordering::Relaxed);
        Busy(Arc::clone(&self.place))
    }

    /// Whether others could use it: the connection should end with its answer.
    pub(super) fn is_wanted(&self) -> bool {
        self.seats.is_full()
    }

    /// Returns when the seat is needed by another.
    pub(super) async fn given_up(&self) {
        self.place.given_up.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken().seats.remove(&self.id);
    }
}

/// While it lives, its connection is not given up.
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

/// The body of an answer, which keeps its connection busy to its end.
pub(super) struct Held {
    body: Body,
    _busy: Busy,
}

impl Held {
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn who_has_waited_longest_makes_room_and_who_is_being_served_does_not() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().await, seats.take().await);
        let busy = first.busy();
        assert!(first.is_wanted());
        let mut third = std::pin::pin!(seats.take());
        assert!(poll!(&mut third).is_pending());
        assert!(second.place.given_up.is_cancelled() && !first.place.given_up.is_cancelled());
        drop(second);
        let third = third.await;
        drop(busy);
        let mut fourth = std::pin::pin!(seats.take());
        assert!(poll!(&mut fourth).is_pending());
        assert!(first.place.given_up.is_cancelled() && !third.place.given_up.is_cancelled());
    }

    #[tokio::test]
    async fn while_all_are_being_served_the_next_waits() {
        let seats = Seats::new(1);
        let first = seats.take().await;
        let busy = first.busy();
        let mut next = std::pin::pin!(seats.take());
        assert!(poll!(&mut next).is_pending());
        assert!(!first.place.given_up.is_cancelled());
        drop((busy, first));
        next.await;
    }
}
