//! A running ringback: it takes another configuration when it is given one, and stops as a whole.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::front::Front;
use super::generation::{Generation, Parts};
use super::plan::Plan;
use super::tasks::{Panicked, Tasks};
use super::{Core, StartError};
use crate::config::Config;
use crate::store::StoreError;

/// Why a ringback that ran does not run any more, or never began to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A part is gone. It would be missed silently: better to end, and be started again by the supervisor.
    #[error("{0} has panicked, which is a bug; everything else was stopped in order")]
    Panicked(String),
    /// The store cannot go on in this process: every write would fail.
    #[error("{0}")]
    StoreLost(StoreError),
    /// A new configuration could not be begun with.
    #[error("the new configuration cannot be begun with: {0}")]
    Store(#[from] StoreError),
}

/// Why a new configuration is not taken. The old one goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be used.
    #[error(transparent)]
    Refused(#[from] StartError),
    /// There is nothing left to take it.
    #[error("ringback is stopping")]
    Stopping,
}

struct Request {
    config: Config,
    answer: oneshot::Sender<Result<(), StartError>>,
}

/// Gives a running ringback another configuration. Cloning shares it.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<Request>);

impl Reloads {
    /// Makes everything of `config`, and only then puts it into the place of what runs: the watchers end, lanes claim
    /// nothing more and finish what they have under way beside the new ones. Deliveries that were decided stay as they
    /// are; those of a channel that is gone wait for it.
    ///
    /// # Errors
    /// Why it cannot be used; everything is as it was then.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Request { config, answer }).await.map_err(|_| ReloadError::Stopping)?;
        Ok(answered.await.map_err(|_| ReloadError::Stopping)??)
    }
}

/// Everything at work.
pub struct Running {
    core: Core,
    generation: Generation,
    front: Front,
    tasks: Tasks,
    reloads: Reloads,
    requests: mpsc::Receiver<Request>,
    stop: CancellationToken,
}

impl Running {
    /// What belongs to the process and outlives its configurations is begun here, beside the [`Front`].
    pub(super) async fn start(
        core: Core,
        plan: Plan,
        parts: Parts,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        let mut tasks = Tasks::default();
        let front = Front::open(plan.config.http.listen.as_deref(), &core, &mut tasks, &stop)?;
        // Before a lane adds to them, or one that dies meanwhile would be counted twice.
        stop.run_until_cancelled(super::upkeep::count_dead(&core)).await;
        super::control::open(&core, &mut tasks, &stop);
        let forward = core.forward.clone().run(core.clock.clone(), Arc::clone(&core.metrics), stop.clone());
        tasks.add("the passing on of the PBX's events", forward);
        let generation = Generation::start(plan.config, parts, &core, &mut tasks, &stop);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "ringback runs");
        let (sender, requests) = mpsc::channel(1);
        Ok(Self { core, generation, front, tasks, reloads: Reloads(sender), requests, stop })
    }

    /// For whoever hears of new configurations.
    pub fn reloads(&self) -> Reloads {
        self.reloads.clone()
    }

    /// Runs `work` beside the rest until the stop, over every reload; its panic ends the process as that of any part does.
    /// `name` completes "… has panicked".
    pub fn add(&mut self, name: &str, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.add(name, async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Takes new configurations until the stop, then ends in order: the watchers at once, the lanes within eight seconds.
    ///
    /// # Errors
    /// When it stopped because of itself.
    pub async fn until_end(mut self) -> Result<(), RunError> {
        let mut result = Ok(());
        let stop = self.stop.clone();
        let store = Arc::clone(&self.core.store);
        let mut lost = store.failed();
        loop {
            let trouble = tokio::select! {
                ended = self.tasks.next_end() => match ended {
                    None => return result,
                    Some(Ok(())) => continue,
                    Some(Err(Panicked(part))) => RunError::Panicked(part),
                },
                error = &mut lost, if !stop.is_cancelled() => RunError::StoreLost(error),
                Some(request) = self.requests.recv(), if !stop.is_cancelled() => {
                    // Boxed: it is large, and rare.
                    match stop.run_until_cancelled(Box::pin(self.reload(request))).await {
                        None | Some(Ok(())) => continue,
                        Some(Err(error)) => RunError::Store(error),
                    }
                }
            };
            tracing::error!(%trouble, "ringback stops because of itself");
            if result.is_ok() {
                result = Err(trouble);
            }
            stop.cancel();
        }
    }

    /// Answers a request. The error is for what cannot be undone: the old generation has ended, the new one cannot begin.
    async fn reload(&mut self, Request { config, answer }: Request) -> Result<(), StoreError> {
        let made = self.make(&config).await;
        let plan = match made {
            Ok(plan) => plan,
            Err(error) => {
                // Whoever asked may have gone away.
                let _ = answer.send(Err(error));
                return Ok(());
            }
        };
        if config.store.path != self.core.store_path {
            tracing::warn!(
                used = %self.core.store_path.display(), configured = %config.store.path.display(),
                "`store.path` is changed by a restart only; the store that is open stays in use"
            );
        }
        let legacy = self.generation.retire(&self.core).await;
        let parts = Parts::wire(&plan, &self.core, Some(legacy)).await?;
        tracing::info!(
            accounts = config.accounts.len(),
            channels = parts.lanes.len(),
            routes = config.routes.len(),
            "the new configuration is in force"
        );
        self.generation = Generation::start(plan.config, parts, &self.core, &mut self.tasks, &self.stop);
        let _ = answer.send(Ok(()));
        Ok(())
    }

    /// All that can fail because of a new configuration. The address goes last: it is the only thing that is changed.
    async fn make(&mut self, config: &Config) -> Result<Plan, StartError> {
        let plan = Plan::make(config, &self.core.clock)?;
        plan.try_templates()?;
        let Self { core, front, tasks, stop, .. } = self;
        front.move_to(config.http.listen.as_deref(), core, tasks, stop).await?;
        Ok(plan)
    }
}
