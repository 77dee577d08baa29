//! `ringback push`: tells the PBX where to post the ends of calls, and shows what it was told.

use url::Url;

use super::{Failure, say};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::http;
use crate::pbx::crm::Integration;
use crate::pbx::{Pbx, PbxError};
use crate::private::Secret;

/// What is to be done.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Tell the PBX to post its hangup events here; what posts elsewhere is left alone unless --force says otherwise
    Install {
        /// The account
        #[arg(long, value_name = "NAME")]
        account: String,
        /// Replace a URL that is not ours
        #[arg(long)]
        force: bool,
    },
    /// Show what is set at the PBX of each account
    Status,
}

pub(super) async fn push(config: &Config, command: &Command) -> Result<(), Failure> {
    let hooks = Hooks::of(config)?;
    match command {
        Command::Install { account, force } => install(config, &hooks, account, *force).await,
        Command::Status => status(config, &hooks).await,
    }
}

/// Our own URLs.
struct Hooks {
    base: Url,
    secret: Secret,
}

impl Hooks {
    fn of(config: &Config) -> Result<Self, Failure> {
        let (Some(public), Some(secret)) = (&config.http.public_url, &config.push.secret) else {
            let missing = if config.http.public_url.is_none() { "http.public_url" } else { "push.secret" };
            return Err(Failure::Usage(format!(
                "`{missing}` is not set: the PBX must know a URL under which it reaches ringback, and its secret\n\
                 hint: set `http.public_url` and `push.secret`; config.example.yaml shows them"
            )));
        };
        let base =
            Url::parse(public).map_err(|error| Failure::Usage(format!("`http.public_url` cannot be read: {error}")))?;
        Ok(Self { base, secret: secret.clone() })
    }

    fn url(&self, account: &str, secret: &str) -> Url {
        let mut url = self.base.clone();
        // An http(s) URL always has segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["hooks", "pbx", account, secret]);
        }
        url
    }

    fn secret_url(&self, account: &str) -> Secret {
        Secret::new(self.url(account, self.secret.expose()))
    }

    /// Whether a URL leads here, by whatever secret.
    fn are_meant_by(&self, url: &Secret) -> bool {
        url.expose().starts_with(self.url("", "").as_str().trim_end_matches('/'))
    }

    /// A URL for people: in full when it is somebody else's, since they must know it, without the secret when it is ours.
    fn shown(&self, account: &str, url: &Secret) -> String {
        if self.are_meant_by(url) { self.url(account, "***").to_string() } else { url.expose().to_owned() }
    }
}

async fn install(config: &Config, hooks: &Hooks, name: &str, force: bool) -> Result<(), Failure> {
    let pbx = client_of(config, name)?;
    let failed = |error: PbxError| Failure::Run(format!("account `{name}`: {error}"));
    let before = pbx.integration().await.map_err(failed)?;
    let ours = hooks.secret_url(name);
    say(&format!("account {name}, before: {}", described(hooks, name, &before)));
    if before.hangup && before.notification_url.as_ref() == Some(&ours) {
        say(&format!("account {name}: nothing to do"));
        return Ok(());
    }
    let foreign = before.notification_url.as_ref().filter(|url| !hooks.are_meant_by(url));
    if foreign.is_some() && !force {
        return Err(Failure::Run(format!(
            "account `{name}`: the PBX posts to somebody else, and knows one URL only; nothing was changed\n\
             hint: put their URL into `push.forward_to`, which passes every event on to it, and say `--force`"
        )));
    }
    let wanted = Integration { hangup: true, notification_url: Some(ours), ..before.clone() };
    pbx.set_integration(&wanted).await.map_err(failed)?;
    let after = pbx.integration().await.map_err(failed)?;
    say(&format!("account {name}, now: {}", described(hooks, name, &after)));
    if !after.hangup || after.notification_url != wanted.notification_url {
        return Err(Failure::Run(format!(
            "account `{name}`: the PBX has accepted the URL, and does not show it\n\
             hint: `ringback push status` asks again; does the PBX reach `http.public_url` from outside?"
        )));
    }
    if foreign.is_some() {
        say(&"hint: whoever was posted to before gets nothing any more unless their URL is in `push.forward_to`");
    }
    Ok(())
}

async fn status(config: &Config, hooks: &Hooks) -> Result<(), Failure> {
    let mut unread = Vec::new();
    for account in &config.accounts {
        let name = &account.name;
        match client_of(config, name)?.integration().await {
            Ok(found) => say(&format!("account {name}: {}", described(hooks, name, &found))),
            Err(error) => unread.push(format!("account `{name}`: {error}")),
        }
    }
    if unread.is_empty() { Ok(()) } else { Err(Failure::Run(unread.join("\nerror: "))) }
}

fn client_of(config: &Config, name: &str) -> Result<std::sync::Arc<Pbx>, Failure> {
    let Some(account) = config.accounts.iter().find(|account| account.name == name) else {
        let known: Vec<_> = config.accounts.iter().map(|account| account.name.as_str()).collect();
        return Err(Failure::Usage(format!("there is no account `{name}`\nhint: there is {}", known.join(", "))));
    };
    let client = http::client(1).map_err(|error| Failure::Run(error.to_string()))?;
    Ok(app::pbx(account, client, &Clock::system())?)
}

fn described(hooks: &Hooks, account: &str, found: &Integration) -> String {
    let Some(url) = &found.notification_url else { return "the PBX posts nothing: no URL is set".to_owned() };
    let word = |on| if on { "on" } else { "off" };
    let whose = match (hooks.are_meant_by(url), *url == hooks.secret_url(account)) {
        (_, true) => "ours",
        (true, false) => "ours, but by another secret or account",
        (false, false) => "not ours",
    };
    format!(
        "the PBX posts to {} ({whose}); ringing {}, answered {}, hangup {}",
        hooks.shown(account, url),
        word(found.ringing),
        word(found.answered),
        word(found.hangup)
    )
}
