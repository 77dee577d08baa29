//! What a configuration makes and what can be wrong with it: nothing here runs, and the store is not asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use super::{Core, StartError};
use crate::body::{Body, BodyFormat};
use crate::channel::{Channel, email, slack, webhook};
use crate::clock::Clock;
use crate::config::{self, ChannelKind, Config};
use crate::dispatch;
use crate::event::Kind;
use crate::heartbeat;
use crate::http;
use crate::link::{Keys, Linker};
use crate::pbx::Pbx;
use crate::pbx::report::Ended;
use crate::private::Secret;
use crate::recording::Recordings;
use crate::render::{Look, Renderer};
use crate::retry;
use crate::route::Router;
use crate::schedule::Schedules;
use crate::server::{Callback, ChannelFacts, Site};
use crate::track::Rules;
use crate::watch;

/// A configuration, and everything of it that had to be made to know that it can be used.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) router: Arc<Router>,
    pub(super) renderer: Arc<Renderer>,
    /// In the order of the accounts.
    pub(super) pbxs: Vec<Arc<Pbx>>,
    /// Those that are enabled.
    pub(super) channels: Vec<(dispatch::Settings, Arc<dyn Channel>)>,
    /// The enabled channels that are told how what they were told has ended.
    pub(super) follow_ups: Arc<[String]>,
    /// For the heartbeat.
    pub(super) client: reqwest::Client,
    pub(super) heartbeat_url: Option<reqwest::Url>,
    pub(super) public_url: Option<url::Url>,
    pub(super) timezone: TimeZone,
}

impl Plan {
    /// Makes it all.
    ///
    /// # Errors
    /// [`StartError::Config`] with everything that cannot be made, one to a line.
    pub(super) fn make(config: &Config, clock: &Clock) -> Result<Self, StartError> {
        let enabled = config.channels.iter().filter(|channel| channel.common.enabled);
        let lanes: Vec<_> = enabled.map(|channel| (channel, lane_settings(config, channel))).collect();
        let connections = lanes.iter().map(|(_, settings)| settings.concurrency).max().unwrap_or(1);
        let client = http::client(connections).map_err(|error| StartError::Config(error.to_string()))?;
        let mut problems = Vec::new();
        let renderer = renderer(config).map_err(|error| problems.push(error.to_string())).ok();
        let accounts = config.accounts.iter();
        let pbxs = accounts.filter_map(|account| {
            pbx(account, client.clone(), clock).map_err(|error| problems.push(error.to_string())).ok()
        });
        let pbxs: Vec<_> = pbxs.collect();
        let channels = lanes.into_iter().filter_map(|(channel, settings)| {
            let built = build_channel(channel, &settings, client.clone());
            built.map_err(|error| problems.push(error.to_string())).ok().map(|built| (settings, built))
        });
        let channels: Vec<_> = channels.collect();
        let heartbeat_url = config
            .health
            .heartbeat_url
            .as_ref()
            .and_then(|url| heartbeat::address(url).map_err(|problem| problems.push(problem)).ok());
        let public_url = config.http.public_url.as_deref().and_then(|text| {
            let wrong = |error| problems.push(format!("`http.public_url` cannot be read: {error}"));
            url::Url::parse(text).map_err(wrong).ok()
        });
        match renderer {
            Some(renderer) if problems.is_empty() => Ok(Self {
                router: Arc::new(router(config)?),
                renderer: Arc::new(renderer),
                follow_ups: follow_ups(config),
                config: config.clone(),
                pbxs,
                channels,
                client,
                heartbeat_url,
                public_url,
                timezone: timezone(config)?,
            }),
            _ => Err(StartError::Config(problems.join("\n"))),
        }
    }

    /// Makes the links in messages, when browsers can reach the server.
    pub(super) fn linker(&self, keys: &Keys) -> Option<Linker> {
        let base = self.public_url.as_ref()?;
        Some(Linker::new(base.as_str(), keys.clone(), self.config.http.link_ttl))
    }

    /// What the server answers by.
    pub(super) fn site(
        &self,
        recordings: &Arc<Recordings>,
        core: &Core,
        calls_ended: HashMap<String, mpsc::Sender<Ended>>,
    ) -> Site {
        let Self { config, pbxs, .. } = self;
        let enabled = config.channels.iter().filter(|channel| channel.common.enabled);
        let facts = |channel: &config::Channel| ChannelFacts {
            locale: channel.common.locale.unwrap_or(config.locale),
            mask_numbers: channel.common.mask_numbers,
            callback_extension: channel.common.callback_extension.clone(),
        };
        let line = |(account, pbx): (&config::Account, &Arc<Pbx>)| {
            (account.name.clone(), (Arc::clone(pbx), core.details(&account.name, account.limits.cdrs)))
        };
        Site {
            token: config.http.token.clone(),
            // One that is no name has not passed the configuration's checks.
            trusted_header: config.http.trusted_header.as_ref().and_then(|name| name.parse().ok()),
            public_url: self.public_url.clone(),
            links: self.linker(&core.link_keys),
            locale: config.locale,
            timezone: self.timezone.clone(),
            channels: enabled.map(|channel| (channel.common.name.clone(), facts(channel))).collect(),
            accounts: config.accounts.iter().zip(pbxs).map(line).collect(),
            callback: Callback {
                extension: config.callback.extension.clone(),
                caller_id: config.callback.caller_id.clone(),
            },
            follow_ups: Arc::clone(&self.follow_ups),
            push_secret: config.push.secret.clone(),
            calls_ended,
            recordings: Arc::clone(recordings),
        }
    }

    /// Templates that can be compiled and fail all the same, tried with samples.
    ///
    /// # Errors
    /// [`StartError::Config`] with all of them, one to a line.
    pub(super) fn try_templates(&self) -> Result<(), StartError> {
        let problems = self.renderer.check();
        if problems.is_empty() { Ok(()) } else { Err(StartError::Config(problems.join("\n"))) }
    }
}

/// The renderer of a configuration.
///
/// # Errors
/// Every template that cannot be used.
pub fn renderer(config: &Config) -> Result<Renderer, StartError> {
    let timezone = timezone(config)?;
    let bodies: Vec<Body> = config.channels.iter().filter_map(body).collect();
    let made = match Renderer::new(config.templates.as_deref(), timezone.clone()) {
        Ok(renderer) => renderer.with_bodies(bodies),
        // What else is wrong is told with it.
        Err(mut problems) => {
            let bare = Renderer::new(None, timezone);
            problems.extend(bare.and_then(|bare| bare.with_bodies(bodies)).err().unwrap_or_default());
            Err(problems)
        }
    };
    made.map_err(|problems| StartError::Config(problems.join("\n")))
}

/// Every template that cannot be used, or fails with a sample, with the key of the configuration that names it.
/// Something else may be wrong with the configuration; `is_read` says which of its keys hold what was written.
pub fn template_problems(config: &Config, is_read: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    // A zone that is not there is told by itself, and no template fails by it.
    let timezone = timezone(config).unwrap_or(TimeZone::UTC);
    let mut problems = Vec::new();
    let mut add = |key: &str, found: Vec<String>| problems.extend(found.into_iter().map(|what| (key.to_owned(), what)));
    let folder = config.templates.as_deref().filter(|_| is_read("templates"));
    let renderer = Renderer::new(folder, timezone.clone());
    let found = renderer.as_ref().map_or_else(Vec::clone, Renderer::check);
    add("templates", found);
    if let Ok(mut renderer) = renderer.or_else(|_| Renderer::new(None, timezone)) {
        let mut tried: Vec<Body> = Vec::new();
        for (index, channel) in config.channels.iter().enumerate() {
            let key = |key: &str| format!("channels[{index}].{key}");
            let is_read = ["body_template", "content_type"].iter().all(|name| is_read(&key(name)));
            // What several channels share is told of the first.
            if let Some(body) = body(channel).filter(|body| is_read && !tried.contains(body)) {
                add(&key("body_template"), renderer.try_body(&body));
                tried.push(body);
            }
        }
    }
    problems
}

/// How a channel's messages look.
fn look(config: &Config, channel: &config::Channel) -> Look {
    Look {
        channel: channel.kind.channel_type(),
        locale: channel.common.locale.unwrap_or(config.locale),
        mask_numbers: channel.common.mask_numbers,
        body: body(channel),
    }
}

/// The body of a webhook that is not the default one.
fn body(channel: &config::Channel) -> Option<Body> {
    let ChannelKind::Webhook(keys) = &channel.kind else { return None };
    let template = keys.body_template.clone()?;
    // One that is not known has not passed the configuration's checks.
    let format = BodyFormat::of(keys.content_type())?;
    Some(Body { template, format })
}

/// The settings of a channel's lane: its own keys over `delivery`.
pub fn lane_settings(config: &Config, channel: &config::Channel) -> dispatch::Settings {
    let common = &channel.common;
    let default_rate = matches!(channel.kind, ChannelKind::Slack(_)).then_some(slack::RATE);
    dispatch::Settings {
        name: common.name.clone(),
        look: look(config, channel),
        recording: common.recording,
        retry: common.retry.over(&config.delivery.retry.over(&retry::Policy::default())),
        timeout: common.timeout.unwrap_or(config.delivery.timeout),
        concurrency: common.concurrency.unwrap_or(config.delivery.concurrency),
        rate: common.rate.or(default_rate),
        digest_over: config.delivery.digest_over,
        max_age: common.max_age,
    }
}

/// Makes a channel: the one place that knows all of their types.
///
/// # Errors
/// When a value that passed the configuration's checks cannot be used after all.
pub fn build_channel(
    channel: &config::Channel,
    settings: &dispatch::Settings,
    client: reqwest::Client,
) -> Result<Arc<dyn Channel>, StartError> {
    let built: Result<Arc<dyn Channel>, String> = match &channel.kind {
        ChannelKind::Email(config) => email::Email::new(&settings.name, config, settings.concurrency, settings.timeout)
            .map(|channel| Arc::new(channel) as _),
        ChannelKind::Slack(config) => {
            slack::Slack::new(config, client, settings.timeout).map(|channel| Arc::new(channel) as _)
        }
        ChannelKind::Webhook(config) => {
            webhook::Webhook::new(config, client, settings.timeout).map(|channel| Arc::new(channel) as _)
        }
    };
    built.map_err(|error| StartError::Config(format!("channel `{}`: {error}", channel.common.name)))
}

/// Who is told: the rules, without the channels that are switched off.
///
/// # Errors
/// When a value that passed the configuration's checks cannot be used after all.
pub(super) fn router(config: &Config) -> Result<Router, StartError> {
    Ok(Router::new(enabled_routes(config), Schedules::new(&config.schedules, &timezone(config)?)))
}

/// The zone of times in messages and of schedules.
///
/// # Errors
/// When a value that passed the configuration's checks cannot be used after all.
pub fn timezone(config: &Config) -> Result<TimeZone, StartError> {
    TimeZone::get(&config.timezone).map_err(|error| StartError::Config(format!("`timezone` cannot be used: {error}")))
}

fn follow_ups(config: &Config) -> Arc<[String]> {
    let follow = config.channels.iter().filter(|channel| channel.common.enabled && channel.follows_up());
    follow.map(|channel| channel.common.name.clone()).collect()
}

/// The rules, without the channels that are switched off.
fn enabled_routes(config: &Config) -> Vec<config::Route> {
    let enabled =
        |name: &String| config.channels.iter().any(|channel| channel.common.enabled && channel.common.name == *name);
    let mut routes = config.routes.clone();
    for route in &mut routes {
        let named = !route.notify.is_empty();
        route.notify.retain(enabled);
        for step in &mut route.escalate {
            step.notify.retain(enabled);
        }
        // All of its channels are switched off: it still matches, and says that nobody is told.
        route.mute |= named && route.notify.is_empty();
    }
    routes
}

/// The client of an account.
///
/// # Errors
/// When a value that passed the configuration's checks cannot be used after all.
pub fn pbx(account: &config::Account, client: reqwest::Client, clock: &Clock) -> Result<Arc<Pbx>, StartError> {
    let key = Secret::clone(&account.api_key);
    Pbx::new(client, &account.base_url, key, account.timeout, clock.clone())
        .map(Arc::new)
        .map_err(|error| StartError::Config(format!("account `{}`: {error}", account.name)))
}

/// What is watched of an account.
pub(super) fn sources(
    config: &Config,
    account: &config::Account,
    first_run: Duration,
) -> impl Iterator<Item = (Kind, watch::Settings)> + use<> {
    let (calls, voicemails, max_age) = (&config.watch.missed_calls, &config.watch.voicemails, config.watch.max_age);
    let call_settings = calls.enabled.then_some(watch::Settings {
        every: calls.every,
        lookback: calls.lookback,
        first_run,
        limit: account.limits.cdrs,
        rules: Rules { grace: calls.grace, min_wait: calls.min_wait, max_age, follow_up: calls.follow_up },
    });
    let voicemail_settings = voicemails.enabled.then_some(watch::Settings {
        every: voicemails.every,
        lookback: voicemails.lookback,
        first_run,
        limit: account.limits.voicemails,
        rules: Rules { grace: Duration::ZERO, min_wait: Duration::ZERO, max_age, follow_up: voicemails.lookback },
    });
    let calls = call_settings.map(|settings| (Kind::Call, settings));
    calls.into_iter().chain(voicemail_settings.map(|settings| (Kind::Voicemail, settings)))
}
