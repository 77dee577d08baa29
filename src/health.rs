//! Whether everything moves: what `/readyz` says.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::store::{Backlog, Source, Store};
use crate::units::format_duration;

/// A due delivery that nobody has taken for so long is overdue: a channel is paused, or its lane has stopped.
const OVERDUE: Duration = Duration::from_secs(120);

/// When each source was last read.
#[derive(Debug, Default)]
pub struct Health {
    sources: Mutex<HashMap<Source, Reading>>,
    lanes: Mutex<HashSet<String>>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    every: Duration,
    last: Duration,
}

impl Health {
    /// Forgets what was expected: a new configuration expects anew.
    pub fn clear(&self) {
        self.lock().clear();
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A source is going to be read `every` so often; `now` counts as its first reading.
    pub fn expect(&self, source: Source, every: Duration, now: Duration) {
        self.lock().insert(source, Reading { every, last: now });
    }

    /// A channel is going to be delivered to: what is overdue for others waits for a configuration, not for a lane.
    pub fn expect_lane(&self, channel: String) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).insert(channel);
    }

    /// A source was read, from tick `at` on.
    pub fn read(&self, source: &Source, at: Duration) {
        if let Some(reading) = self.lock().get_mut(source) {
            reading.last = at;
        }
    }

    /// Why ringback is not ready; empty when it is.
    pub async fn reasons(&self, store: &dyn Store, now: Moment) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Err(error) = store.ping().await {
            reasons.push(format!("store not writable: {error}"));
        }
        for (source, reading) in &*self.lock() {
            let age = now.tick.saturating_sub(reading.last);
            if age > 3 * reading.every {
                let (account, kind) = (&source.account, source.kind.as_str());
                reasons.push(format!("account `{account}`: {kind} not read for {}", whole_seconds(age)));
            }
        }
        match store.backlog(now).await {
            Ok(backlog) => {
                let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
                let overdue = |lane: &&Backlog| lane.overdue > OVERDUE && lanes.contains(&lane.channel);
                reasons.extend(backlog.iter().filter(overdue).map(|lane| {
                    format!("channel `{}`: a delivery is overdue since {}", lane.channel, whole_seconds(lane.overdue))
                }));
            }
            Err(error) => reasons.push(format!("store not readable: {error}")),
        }
        reasons.sort_unstable();
        reasons
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Source, Reading>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_seconds(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs()))
}
