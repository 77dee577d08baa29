//! The control socket: had as long as the process has the store, whatever its configuration.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::Core;
use super::tasks::Tasks;
use crate::server::{api, control};

/// Serves until `stop`. Without a socket everything else runs all the same.
pub(super) fn open(core: &Core, tasks: &mut Tasks, stop: &CancellationToken) {
    let Some(socket) = control::listen(&core.store_path) else { return };
    let router = api::router(api::Context {
        desk: core.desk(),
        metrics: Arc::clone(&core.metrics),
        callbacks: core.callbacks.clone(),
        sites: core.sites.clone(),
    });
    tasks.add("the control socket", socket.serve(router, stop.clone()));
}
