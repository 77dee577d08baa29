//! The housekeeping of the store: counting what is dead at the start, and forgetting what is old.

use std::time::Duration;

use super::Core;
use crate::cursor::back;

/// How often what is too old is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Counts the dead, once for a process. What waits in the outbox is measured when the metrics are asked for.
pub(super) async fn count_dead(core: &Core) {
    match core.desk().dead().await {
        Ok(counts) => counts.iter().for_each(|(channel, dead)| core.metrics.dead(channel, *dead)),
        Err(error) => tracing::error!(%error, "dead deliveries cannot be counted"),
    }
}

/// Forgets at once and then once a day what is older than `keep`.
pub(super) async fn forget_old(core: Core, keep: Duration) {
    loop {
        match core.store.prune(back(core.clock.now(), keep)).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "forgot what is older than `store.keep`"),
            Err(error) => tracing::error!(%error, "what is older than `store.keep` could not be forgotten"),
        }
        core.clock.sleep(PRUNE_EVERY).await;
    }
}
