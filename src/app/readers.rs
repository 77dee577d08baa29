//! The thread that reads the PBX: large pages are parsed and decided there, and no delivery waits for it.

use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running event loop of its own. Dropping it ends it.
pub struct Readers {
    handle: Handle,
    /// Dropped before the thread is waited for.
    running: Option<DropGuard>,
    thread: Option<JoinHandle<()>>,
}

impl Readers {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses a thread, or what an event loop needs.
    pub fn start() -> std::io::Result<Self> {
        let runtime = super::runtime()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let running = Some(stop.clone().drop_guard());
        let thread =
            std::thread::Builder::new().name("readers".to_owned()).spawn(move || runtime.block_on(stop.cancelled()))?;
        Ok(Self { handle, running, thread: Some(thread) })
    }

    /// What watchers are spawned on.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // It panics only with its loop, and that has ended either way.
            let _ = thread.join();
        }
    }
}
