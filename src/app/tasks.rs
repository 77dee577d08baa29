//! The parts that run side by side. Each has a name, and none is missed silently.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Running parts.
#[derive(Default)]
pub(super) struct Tasks(JoinSet<Result<(), Panicked>>);

/// The name of a part that has panicked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Panicked(pub(super) String);

impl Tasks {
    /// Runs `work` beside the others. `name` completes "… has panicked".
    pub(super) fn add(&mut self, name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(named(name.into(), work));
    }

    /// The same on another event loop.
    pub(super) fn add_on(
        &mut self,
        handle: &Handle,
        name: impl Into<String>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.0.spawn_on(named(name.into(), work), handle);
    }

    /// How the next part ended; `None` when there is none left.
    pub(super) async fn next_end(&mut self) -> Option<Result<(), Panicked>> {
        let ended = self.0.join_next().await?;
        // Only a part that was aborted would be an error here, and nobody aborts one.
        Some(ended.unwrap_or_else(|error| Err(Panicked(format!("a part ({error})")))))
    }
}

async fn named(name: String, work: impl Future<Output = ()>) -> Result<(), Panicked> {
    // Nothing of `work` is looked at after a panic.
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_is_named_and_the_others_go_on() {
        let mut tasks = Tasks::default();
        let (goes_on, wait) = tokio::sync::oneshot::channel::<()>();
        tasks.add("the lane of `crm`", async { panic!("on purpose") });
        tasks.add("the HTTP server", async { wait.await.unwrap() });
        assert_eq!(tasks.next_end().await, Some(Err(Panicked("the lane of `crm`".to_owned()))));
        goes_on.send(()).unwrap();
        assert_eq!(tasks.next_end().await, Some(Ok(())));
        assert_eq!(tasks.next_end().await, None);
    }
}
