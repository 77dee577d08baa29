//! `ringback check --online`: asks everybody whether they accept us, and sends nobody a notification.

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use url::Url;

use super::{Failure, say};
use crate::app;
use crate::channel::email::Security;
use crate::clock::Clock;
use crate::config::{Account, Channel, ChannelKind, Config};
use crate::event::Kind;
use crate::http;
use crate::outbox::{self, FailureKind};
use crate::pbx::PbxError;

/// What came of one question.
enum Verdict {
    /// They accept us; a remark says what remains in doubt.
    Ok(Option<String>),
    /// Not asked, and why.
    Skipped(&'static str),
    /// They do not, and what to do.
    Failed(String),
}

/// Asks all at once and prints one line for each, in the order of the configuration.
pub(super) async fn ask(config: &Config) -> Result<(), Failure> {
    let client = http::client(1).map_err(|error| Failure::Run(error.to_string()))?;
    let clock = Clock::system();
    let mut questions: FuturesOrdered<BoxFuture<'_, (String, Verdict)>> = FuturesOrdered::new();
    for account in &config.accounts {
        let subject = |list: &str| format!("account {}{list} ({})", account.name, host_of(&account.base_url));
        let kinds = watched(config);
        if kinds.is_empty() {
            let skipped = (subject(""), Verdict::Skipped("neither calls nor voicemails are watched"));
            questions.push_back(async { skipped }.boxed());
        }
        for (kind, list) in kinds {
            let (subject, client, clock) = (subject(list), client.clone(), &clock);
            questions.push_back(async move { (subject, ask_pbx(account, kind, client, clock).await) }.boxed());
        }
    }
    for channel in &config.channels {
        let subject = format!("channel {} ({})", channel.common.name, host(channel));
        let client = client.clone();
        questions.push_back(async move { (subject, ask_channel(config, channel, client).await) }.boxed());
    }
    let mut failed = 0;
    while let Some((subject, verdict)) = questions.next().await {
        say(&match verdict {
            Verdict::Ok(None) => format!("{subject}: ok"),
            Verdict::Ok(Some(remark)) => format!("{subject}: ok, but {remark}"),
            Verdict::Skipped(why) => format!("{subject}: skipped: {why}"),
            Verdict::Failed(why) => {
                failed += 1;
                format!("{subject}: FAILED: {why}")
            }
        });
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::Run("one of them does not accept us".to_owned())),
        _ => Err(Failure::Run(format!("{failed} of them do not accept us"))),
    }
}

/// The lists that are read, as `run` reads them.
fn watched(config: &Config) -> Vec<(Kind, &'static str)> {
    let lists = [
        (config.watch.missed_calls.enabled, Kind::Call, ", calls"),
        (config.watch.voicemails.enabled, Kind::Voicemail, ", voicemails"),
    ];
    lists.into_iter().filter(|(enabled, ..)| *enabled).map(|(_, kind, list)| (kind, list)).collect()
}

async fn ask_pbx(account: &Account, kind: Kind, client: reqwest::Client, clock: &Clock) -> Verdict {
    let pbx = match app::pbx(account, client, clock) {
        Ok(pbx) => pbx,
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    match pbx.check(kind).await {
        Ok(()) => Verdict::Ok(None),
        Err(error) => Verdict::Failed(hinted(error.to_string(), pbx_hint(&error))),
    }
}

fn pbx_hint(error: &PbxError) -> Option<&'static str> {
    match error {
        PbxError::RateLimited { .. } => {
            Some("ask again in a minute; whatever else uses this key, a running ringback too, has a share in `limits`")
        }
        PbxError::Unreachable(error) if error.kind == FailureKind::Timeout => {
            Some("the PBX is slow at times; raise `timeout` when this stays")
        }
        PbxError::Unreachable(error) if error.kind == FailureKind::Tls => None,
        PbxError::Unreachable(_) => Some("compare `base_url`; does a firewall let this machine out?"),
        PbxError::Trouble { .. } => Some("ask again later"),
        // These say what to do, or there is nothing more to say.
        PbxError::Auth { .. } | PbxError::NotFound | PbxError::Refused { .. } | PbxError::Garbled { .. } => None,
    }
}

async fn ask_channel(config: &Config, channel: &Channel, client: reqwest::Client) -> Verdict {
    if !channel.common.enabled {
        return Verdict::Skipped("it is switched off (`enabled: false`)");
    }
    let settings = app::lane_settings(config, channel);
    let built = match app::build_channel(channel, &settings, client) {
        Ok(built) => built,
        Err(error) => return Verdict::Failed(error.to_string()),
    };
    match built.check().await {
        Ok(None) => Verdict::Ok(None),
        Ok(Some(remark)) => {
            let hint = format!("`ringback send-test {}` shows whether it takes messages", channel.common.name);
            Verdict::Ok(Some(hinted(remark, Some(&hint))))
        }
        Err(failure) => Verdict::Failed(hinted(failure.text.clone(), channel_hint(channel, &failure).as_deref())),
    }
}

fn channel_hint(channel: &Channel, failure: &outbox::Failure) -> Option<String> {
    let text = match &channel.kind {
        ChannelKind::Email(keys) => match (failure.kind, keys.smtp.security, keys.smtp.port()) {
            (FailureKind::Unauthorized, ..) if failure.text.contains("authentication mechanism") => {
                "the server takes no login on this port; try another `smtp.port`, or leave out `smtp.username` and \
                 `smtp.password`"
            }
            (FailureKind::Unauthorized, ..) => {
                "compare `smtp.username` and `smtp.password`; some providers want a password made for apps"
            }
            (FailureKind::Tls, Security::Starttls, _) if failure.text.contains("STARTTLS") => {
                "the server offers no encryption on this port; try `security: tls` with port 465"
            }
            (FailureKind::Tls, Security::Tls, _) if failure.text.contains("not TLS") => {
                "try `security: starttls`, which ports 587 and 25 want"
            }
            (FailureKind::Timeout | FailureKind::Unreachable, Security::Starttls, 465) => {
                "port 465 usually wants `security: tls`"
            }
            (FailureKind::Timeout | FailureKind::Unreachable, ..) => {
                "compare `smtp.host` and `smtp.port`; many networks let nobody out to port 25"
            }
            (FailureKind::Receiver, ..) => "ask again later",
            _ => return None,
        },
        ChannelKind::Slack(keys) => match failure.kind {
            FailureKind::Rejected if keys.webhook_url.is_some() => {
                "make a new webhook in Slack, and put its URL into `webhook_url`"
            }
            FailureKind::Rejected if keys.api_url.is_some() => {
                "compare `api_url`; Slack's own is https://slack.com/api"
            }
            FailureKind::Timeout | FailureKind::Unreachable => "does a firewall let this machine out?",
            FailureKind::Receiver => "ask again later",
            _ => return None,
        },
        ChannelKind::Webhook(_) => match failure.kind {
            FailureKind::Rejected => {
                return Some(format!(
                    "compare `url`; if it knows POST alone, `ringback send-test {}` shows it",
                    channel.common.name
                ));
            }
            FailureKind::Timeout | FailureKind::Unreachable => {
                "compare `url`; is the receiver running, and does a firewall let this machine out?"
            }
            FailureKind::Receiver => "the receiver has trouble of its own: look at its log",
            _ => return None,
        },
    };
    Some(text.to_owned())
}

/// On one line, as each answer has one; at most one hint.
fn hinted(text: String, hint: Option<&str>) -> String {
    match hint {
        Some(hint) if !text.contains("hint: ") => format!("{text}; hint: {hint}"),
        _ => text,
    }
}

/// Host and port. The rest of a URL may hold a token.
fn host(channel: &Channel) -> String {
    match &channel.kind {
        ChannelKind::Email(keys) => format!("{}:{}", keys.smtp.host, keys.smtp.port()),
        ChannelKind::Slack(keys) => host_of(keys.address()),
        ChannelKind::Webhook(keys) => host_of(keys.url.expose()),
    }
}

fn host_of(url: &str) -> String {
    let Ok(url) = Url::parse(url) else { return "no URL".to_owned() };
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
