//! The dead man's switch: asks `health.heartbeat_url` every minute while everything moves, so that somebody else
//! notices when nothing does.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::health::Health;
use crate::http::exchange;
use crate::private::Secret;
use crate::store::Store;

const EVERY: Duration = Duration::from_secs(60);

/// Of one request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// At most so many bytes of an answer are read; they say nothing that matters.
const MAX_ANSWER: usize = 4096;

/// What the heartbeat needs of the rest.
#[derive(Clone)]
pub struct Context {
    /// What is known.
    pub health: Arc<Health>,
    /// Whether it can be written.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Clock,
}

/// Where `health.heartbeat_url` leads.
///
/// # Errors
/// When it is not a URL; its text is not in the error.
pub fn address(url: &Secret) -> Result<reqwest::Url, String> {
    url.expose().parse().map_err(|error| format!("`health.heartbeat_url` is not a URL: {error}"))
}

/// Beats.
pub struct Heartbeat {
    client: reqwest::Client,
    url: reqwest::Url,
    context: Context,
    state: Beat,
}

/// How it went the last time; what changes is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beat {
    Well,
    Withheld,
    Failed,
}

impl Heartbeat {
    /// Beats at `url`.
    pub fn new(url: reqwest::Url, client: reqwest::Client, context: Context) -> Self {
        Self { client, url, context, state: Beat::Well }
    }

    /// Beats every minute until `stop`, the first time after a minute.
    pub async fn run(mut self, stop: CancellationToken) {
        let beats = async {
            loop {
                self.context.clock.sleep(EVERY).await;
                self.beat().await;
            }
        };
        stop.run_until_cancelled(beats).await;
    }

    /// Beats once, if everything moves.
    pub async fn beat(&mut self) {
        let Context { health, store, clock } = &self.context;
        let audit = health.audit(store.as_ref(), clock.moment()).await;
        if !audit.passes() {
            if self.state != Beat::Withheld {
                let reasons = audit.reasons().join("; ");
                let reasons = if reasons.is_empty() { "a source has not been read yet".to_owned() } else { reasons };
                tracing::warn!(reasons, "not everything moves: the heartbeat is withheld");
            }
            self.state = Beat::Withheld;
            return;
        }
        let answer = exchange(self.client.get(self.url.clone()), MAX_ANSWER, TIMEOUT).await;
        let failure = match answer {
            Ok(answer) if answer.status.is_success() => None,
            Ok(answer) if answer.status.is_redirection() => Some(format!(
                "HTTP {}: redirects are not followed; hint: configure the final address",
                answer.status.as_u16()
            )),
            Ok(answer) => Some(format!("HTTP {}", answer.status.as_u16())),
            Err(error) => Some(error.text),
        };
        match (failure, self.state) {
            (None, Beat::Withheld | Beat::Failed) => {
                tracing::info!("the heartbeat goes out again");
                self.state = Beat::Well;
            }
            (Some(why), Beat::Well | Beat::Withheld) => {
                tracing::warn!(why, "`health.heartbeat_url` does not take the heartbeat; everything else goes on");
                self.state = Beat::Failed;
            }
            // As before: said already.
            (None, Beat::Well) | (Some(_), Beat::Failed) => {}
        }
    }
}
