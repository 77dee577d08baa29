//! A generation: the watchers and lanes of one configuration, and what the next one takes over of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::plan::{Plan, sources};
use super::tasks::Tasks;
use super::upkeep::forget_old;
use super::vigil;
use super::{Core, keys};
use crate::clock::Clock;
use crate::config::{Account, Config};
use crate::dispatch::{self, Lane, Pace};
use crate::event::Kind;
use crate::heartbeat::Heartbeat;
use crate::names::{self, Names};
use crate::pbx::Pbx;
use crate::recording::Recordings;
use crate::server::Site;
use crate::store::{Source, StoreError};
use crate::summary::Summaries;
use crate::watch::{self, Asked, Watcher};
use crate::watchdog::Watchdog;

/// Calls that have ended while a watcher is busy; the read that follows is for all of them.
const MOST_REPORTS: usize = 256;

/// How long what waits at the start of the process may wait for the PBX's first answer: its dated queries were seen to
/// take 15 s and more.
const FIRST_LOOK: Duration = Duration::from_secs(20);

/// The parts of a configuration, wired and not yet running.
pub(super) struct Parts {
    pub(super) watchers: Vec<(Source, Watcher)>,
    pub(super) lanes: Vec<(String, Lane)>,
    /// Of the accounts with `names`.
    pub(super) names: Vec<names::Reader>,
    watchdog: Watchdog,
    heartbeat: Option<Heartbeat>,
    pub(super) summaries: Summaries,
    site: Site,
    /// For what is passed on.
    client: reqwest::Client,
    /// Of a process that has just started: its watchers' first looks, which the lanes wait for.
    first_looks: Vec<CancellationToken>,
    /// When those before them are through.
    summaries_after: Option<oneshot::Receiver<()>>,
    recordings: Arc<Recordings>,
    /// Of lanes that are to go on at the pace of the one before them: sent when that one claims nothing any more.
    paces: HashMap<String, oneshot::Receiver<Pace>>,
}

/// A configuration at work.
pub(super) struct Generation {
    pub(super) config: Config,
    recordings: Arc<Recordings>,
    retire: CancellationToken,
    asked: HashMap<Source, oneshot::Receiver<Asked>>,
    /// By account.
    names: HashMap<String, Names>,
    paces: HashMap<String, oneshot::Receiver<Pace>>,
    /// Says that the summaries are through.
    summed: Option<oneshot::Receiver<()>>,
}

/// What is left of a generation whose watchers have ended and whose lanes claim nothing any more.
pub(super) struct Legacy {
    config: Config,
    recordings: Arc<Recordings>,
    asked: HashMap<Source, Asked>,
    names: HashMap<String, Names>,
    paces: HashMap<String, oneshot::Receiver<Pace>>,
    summed: Option<oneshot::Receiver<()>>,
}

impl Parts {
    /// Wires the parts and lets the watchers read from the store where they stand. Tells metrics and health what to
    /// expect.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn wire(plan: &Plan, core: &Core, mut legacy: Option<Legacy>) -> Result<Self, StoreError> {
        let Plan { config, renderer, pbxs, channels, .. } = plan;
        let minters = config.accounts.iter().zip(pbxs);
        let minters =
            minters.map(|(account, pbx)| (account.name.clone(), (Arc::clone(pbx), account.limits.recordings)));
        let (store, metrics) = (Arc::clone(&core.store), Arc::clone(&core.metrics));
        let mut recordings = Recordings::new(minters.collect(), store, core.clock.clone(), metrics);
        let first_run = if core.replaced { config.watch.max_age } else { config.watch.first_run };
        let (mut watchers, mut readers, mut calls_ended) = (Vec::new(), Vec::new(), HashMap::new());
        for (account, pbx) in config.accounts.iter().zip(pbxs) {
            let before =
                legacy.as_mut().filter(|legacy| legacy.config.accounts.iter().any(|old| same_pbx(old, account)));
            if let Some(before) = &before {
                recordings.share(&account.name, account.limits.recordings, &before.recordings);
            }
            let known = before.as_ref().and_then(|before| before.names.get(&account.name).cloned());
            let names = account.names.then(|| known.unwrap_or_default());
            readers.extend(names.clone().map(|names| names::Reader {
                account: account.name.clone(),
                pbx: Arc::clone(pbx),
                names,
                clock: core.clock.clone(),
            }));
            let mut asked = before.map(|before| &mut before.asked);
            for (kind, settings) in sources(config, account, first_run) {
                let source = Source { account: account.name.clone(), kind };
                // More often than the limit allows it cannot be read.
                let every = settings.every.max(Duration::from_secs(60) / settings.limit.max(1));
                core.health.expect(source.clone(), every, core.clock.moment());
                core.metrics.expect_source(&source);
                let context = surroundings(plan, core, account, pbx, names.clone());
                let mut watcher = Watcher::new(source.clone(), settings, context).await?;
                if let Some(asked) = asked.as_mut().and_then(|asked| asked.remove(&source)) {
                    watcher.count_on(asked);
                }
                if kind == Kind::Call {
                    let (sender, reports) = mpsc::channel(MOST_REPORTS);
                    calls_ended.insert(account.name.clone(), sender);
                    watcher.listen(reports);
                } else if let Some(calls) = calls_ended.get(&account.name) {
                    watcher.ask(calls.clone());
                }
                watchers.push((source, watcher));
            }
        }
        let recordings = Arc::new(recordings);
        let links = plan.linker(&core.link_keys);
        if links.is_some() {
            keys::refresh(&core.link_keys, &core.store_path, config.http.link_ttl, core.clock.now());
        }
        let context = dispatch::Context {
            store: Arc::clone(&core.store),
            renderer: Arc::clone(renderer),
            recordings: Arc::clone(&recordings),
            links,
            clock: core.clock.clone(),
            metrics: Arc::clone(&core.metrics),
            health: Arc::clone(&core.health),
        };
        let mut lanes = Vec::new();
        for (settings, channel) in channels {
            core.health.expect_lane(settings.name.clone());
            lanes.push((settings.name.clone(), Lane::new(settings.clone(), Arc::clone(channel), context.clone())));
        }
        let starts = legacy.is_none();
        let first_looks = watchers.iter().filter(|_| starts).map(|(_, watcher)| watcher.looked()).collect();
        let sources: Vec<Source> = watchers.iter().map(|(source, _)| source.clone()).collect();
        let names: Vec<String> = lanes.iter().map(|(name, _)| name.clone()).collect();
        core.health.retain(&sources, &names);
        core.channels.set(lanes.iter().map(|(name, _)| name.clone()));
        warn_of_parked(core, &lanes).await?;
        let summaries_after = legacy.as_mut().and_then(|legacy| legacy.summed.take());
        let paces = legacy.map(|legacy| legacy.paces_of_unchanged(config)).unwrap_or_default();
        let (watchdog, heartbeat) = (vigil::watchdog(plan, core), vigil::heartbeat(plan, core));
        let summaries = vigil::summaries(plan, core);
        let (names, client) = (readers, plan.client.clone());
        let site = plan.site(&recordings, core, calls_ended);
        Ok(Self {
            watchers,
            lanes,
            names,
            watchdog,
            heartbeat,
            summaries,
            site,
            client,
            first_looks,
            summaries_after,
            recordings,
            paces,
        })
    }
}

impl Generation {
    /// Lets the parts run until `stop`, or until [`Generation::retire`].
    pub(super) fn start(
        config: Config,
        parts: Parts,
        core: &Core,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Self {
        let Parts {
            watchers,
            lanes,
            names: readers,
            watchdog,
            heartbeat,
            summaries,
            first_looks,
            summaries_after,
            site,
            client,
            recordings,
            paces: mut before,
        } = parts;
        core.sites.set(site);
        core.forward.aim(config.push.forward_to.clone(), client);
        let retire = stop.child_token();
        let (mut asked, mut paces) = (HashMap::new(), HashMap::new());
        for (source, watcher) in watchers {
            let (sender, receiver) = oneshot::channel();
            let name = format!("the watcher of the {} of account `{}`", source.kind.as_str(), source.account);
            asked.insert(source, receiver);
            let retire = retire.clone();
            let watching = async {
                // Nobody asks for it when the process stops.
                let _ = sender.send(watcher.run(retire).await);
            };
            match &core.readers {
                Some(readers) => tasks.add_on(readers, name, watching),
                None => tasks.add(name, watching),
            }
        }
        let mut names = HashMap::new();
        for reader in readers {
            names.insert(reader.account.clone(), reader.names.clone());
            let name = format!("the reader of the names of account `{}`", reader.account);
            let reading = reader.run(retire.clone());
            match &core.readers {
                Some(readers) => tasks.add_on(readers, name, reading),
                None => tasks.add(name, reading),
            }
        }
        let looked = looked(first_looks, core.clock.clone()).shared();
        for (channel, lane) in lanes {
            let (after, receiver) = oneshot::channel();
            let name = format!("the lane of channel `{channel}`");
            let before = before.remove(&channel);
            paces.insert(channel, receiver);
            let looked = looked.clone();
            let (retire, stop) = (retire.clone(), stop.clone());
            tasks.add(name, async move {
                retire.run_until_cancelled(looked).await;
                serve(lane, before, after, retire, stop).await;
            });
        }
        tasks.add("the watchdog", watchdog.run(retire.clone()));
        if let Some(heartbeat) = heartbeat {
            tasks.add("the heartbeat", heartbeat.run(retire.clone()));
        }
        let (after, summed) = oneshot::channel();
        tasks.add("the summaries", sum_up(summaries, summaries_after, after, retire.clone(), stop.clone()));
        if config.http.public_url.is_some() {
            let keeping =
                keys::keep(core.link_keys.clone(), core.store_path.clone(), config.http.link_ttl, core.clock.clone());
            let retired = retire.clone();
            tasks.add("the care of the links' keys", async move {
                retired.run_until_cancelled(keeping).await;
            });
        }
        let (core, keep, retired) = (core.clone(), config.store.keep, retire.clone());
        tasks.add("the housekeeping of the store", async move {
            retired.run_until_cancelled(forget_old(core, keep)).await;
        });
        Self { config, recordings, retire, asked, names, paces, summed: Some(summed) }
    }

    /// Ends the watchers at once and lets the lanes claim nothing more. Returns when whatever the watchers were about to
    /// commit is stored; attempts under way go on by themselves.
    pub(super) async fn retire(&mut self, core: &Core) -> Legacy {
        self.retire.cancel();
        let mut asked = HashMap::new();
        for (source, receiver) in self.asked.drain() {
            // A watcher that has panicked has nothing to hand over; the process is about to stop because of it.
            if let Ok(one) = receiver.await {
                asked.insert(source, one);
            }
        }
        for channel in self.paces.keys() {
            // Of one that is gone nobody would say it; a lane that keeps the pace says it anew.
            core.metrics.expect_channel(channel).paused(false);
        }
        // The store writes in order: its answer, even that it cannot write, means that it is through with what a
        // watcher ordered last. Read sooner, that would be decided anew.
        let _ = core.store.ping().await;
        Legacy {
            config: self.config.clone(),
            recordings: Arc::clone(&self.recordings),
            asked,
            names: std::mem::take(&mut self.names),
            paces: std::mem::take(&mut self.paces),
            summed: self.summed.take(),
        }
    }
}

impl Legacy {
    /// Another address, or other credentials, are as good as another receiver: nothing is known of its patience.
    fn paces_of_unchanged(self, config: &Config) -> HashMap<String, oneshot::Receiver<Pace>> {
        let Self { config: old, mut paces, .. } = self;
        paces.retain(|name, _| {
            let of = |config: &Config| {
                config.channels.iter().find(|channel| channel.common.name == *name).map(|channel| channel.kind.clone())
            };
            of(&old) == of(config)
        });
        paces
    }
}

/// What a watcher of `account` needs of the rest.
fn surroundings(plan: &Plan, core: &Core, account: &Account, pbx: &Arc<Pbx>, names: Option<Names>) -> watch::Context {
    watch::Context {
        pbx: Arc::clone(pbx),
        details: core.details(&account.name, account.limits.cdrs),
        store: Arc::clone(&core.store),
        router: Arc::clone(&plan.router),
        follow_ups: Arc::clone(&plan.follow_ups),
        clock: core.clock.clone(),
        metrics: Arc::clone(&core.metrics),
        names,
        health: Arc::clone(&core.health),
    }
}

fn same_pbx(old: &Account, new: &Account) -> bool {
    old.name == new.name && old.base_url == new.base_url && old.api_key == new.api_key
}

/// Ends when each source has been asked for its newest window, or has not answered in time. What waits in the store was
/// decided before this process began, and may have been settled since: it goes out only then.
async fn looked(first_looks: Vec<CancellationToken>, clock: Clock) {
    let all = async {
        for look in &first_looks {
            look.cancelled().await;
        }
    };
    tokio::select! {
        () = all => {}
        () = clock.sleep(FIRST_LOOK) => {}
    }
}

/// The life of a lane, from the pace of the one before it to the last attempt under way.
async fn serve(
    mut lane: Lane,
    before: Option<oneshot::Receiver<Pace>>,
    after: oneshot::Sender<Pace>,
    retire: CancellationToken,
    stop: CancellationToken,
) {
    if let Some(before) = before
        && let Ok(pace) = before.await
    {
        lane.keep_pace(&pace);
    }
    let retired = lane.run(retire).await;
    // Nobody asks for it when the process stops.
    let _ = after.send(retired.pace());
    retired.finish(stop).await;
}

/// The summaries, once those of the configuration before are through: one that is under way is not sent twice.
async fn sum_up(
    summaries: Summaries,
    before: Option<oneshot::Receiver<()>>,
    after: oneshot::Sender<()>,
    retire: CancellationToken,
    stop: CancellationToken,
) {
    if let Some(before) = before {
        // It ends in either way.
        let _ = before.await;
    }
    summaries.run(retire, stop).await;
    // Nobody asks for it when the process stops.
    let _ = after.send(());
}

/// Deliveries to channels that are gone, or switched off, wait: they are neither sent nor forgotten.
async fn warn_of_parked(core: &Core, lanes: &[(String, Lane)]) -> Result<(), StoreError> {
    for waiting in core.store.backlog(core.clock.moment()).await? {
        if waiting.pending > 0 && lanes.iter().all(|(name, _)| *name != waiting.channel) {
            tracing::warn!(
                channel = waiting.channel,
                deliveries = waiting.pending,
                "deliveries wait for a channel that is not configured, or not enabled; they are sent when it is again"
            );
        }
    }
    Ok(())
}
