//! What pages and API need of the configuration in force: replaced as a whole by a reload.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderName;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;
use url::Url;

use crate::callback::Line;
use crate::link::{Key, Linker};
use crate::message::Locale;
use crate::pbx::report::Ended;
use crate::pbx::{Pbx, budget};
use crate::private::Secret;
use crate::recording::Recordings;

/// One configuration, as the server sees it.
pub struct Site {
    /// Of the board and the API; without one both are closed.
    pub token: Option<Secret>,
    /// Whoever comes with it is let in to the board: `http.trusted_header`.
    pub trusted_header: Option<HeaderName>,
    /// How browsers reach the server: `http.public_url`.
    pub public_url: Option<Url>,
    /// Makes and opens the links in messages; with `public_url` only.
    pub links: Option<Linker>,
    /// Of pages that belong to no channel.
    pub locale: Locale,
    /// For times on pages.
    pub timezone: TimeZone,
    /// By name, the enabled ones.
    pub channels: HashMap<String, ChannelFacts>,
    /// By name, with what may be asked about single calls.
    pub accounts: HashMap<String, (Arc<Pbx>, budget::Shared)>,
    /// Rung first where nobody names another, and the number that callers see.
    pub callback: Callback,
    /// The channels that are told how what they were told has ended.
    pub follow_ups: Arc<[String]>,
    /// What the PBX must know to post its events here; without one it cannot.
    pub push_secret: Option<Secret>,
    /// By account: whoever reads its calls. None where they are not watched.
    pub calls_ended: HashMap<String, mpsc::Sender<Ended>>,
    /// Where recordings are had.
    pub recordings: Arc<Recordings>,
}

/// What a page for those who are told by a channel must know of it.
#[derive(Debug, Clone)]
pub struct ChannelFacts {
    /// Its language.
    pub locale: Locale,
    /// It sees no full numbers.
    pub mask_numbers: bool,
    /// Rung first by its links.
    pub callback_extension: Option<String>,
}

/// The site in force. Clones share it, so that a reload can put another in its place.
#[derive(Clone, Default)]
pub struct Sites(Arc<RwLock<Option<Arc<Site>>>>);

impl Sites {
    /// From now on requests are answered by `site`; those under way end by the one before.
    pub fn set(&self, site: Site) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(site));
    }

    /// `None` while the first configuration is not in force yet.
    pub fn current(&self) -> Option<Arc<Site>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How callers are called back: `callback` of the configuration.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Rung first.
    pub extension: Option<String>,
    /// What callers see.
    pub caller_id: Option<String>,
}

impl Site {
    /// The extension that is rung for those who are told by `channel`.
    pub fn callback_extension<'s>(&'s self, channel: Option<&'s ChannelFacts>) -> Option<&'s str> {
        let own = channel.and_then(|channel| channel.callback_extension.as_deref());
        own.or(self.callback.extension.as_deref())
    }

    /// What signs and opens links; nothing without `public_url`.
    pub fn link_keys(&self) -> Arc<[Key]> {
        self.links.as_ref().map(|links| links.keys().now()).unwrap_or_default()
    }

    /// By what an event of `account` is called back; `None` when the account is gone.
    pub fn line<'s>(&'s self, account: &str, extension: Option<&'s str>) -> Option<Line<'s>> {
        let (pbx, details) = self.accounts.get(account)?;
        Some(Line { pbx, details, extension, caller_id: self.callback.caller_id.as_deref() })
    }

    /// The path under which a reverse proxy shows the server, without a slash at its end: `/ringback`, or nothing.
    pub fn prefix(&self) -> &str {
        self.public_url.as_ref().map_or("", |url| url.path().trim_end_matches('/'))
    }
}
