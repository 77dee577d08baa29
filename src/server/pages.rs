//! What the board, the login and the guard of the API share: who asks, and what a form of theirs says.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::auth::{Gate, Visitor};
use super::board::{Filter, Said, Words};
use super::live::Live;
use super::{Context, Site, frame};
use crate::clock::Clock;
use crate::private::Secret;

/// What pages are made of, and who may see them.
pub(super) struct Pages {
    pub(super) context: Context,
    pub(super) gate: Gate,
    pub(super) live: Live,
}

/// A form that was sent by whoever was shown it.
pub(super) struct Form {
    pub(super) site: Arc<Site>,
    /// What the page that it stood in was narrowed to.
    filter: Filter,
    body: Bytes,
}

/// Why somebody does not get what they asked the board for.
pub(super) enum Refused {
    /// There is no configuration in force yet.
    Starting(&'static str),
    /// There is no token: nobody gets in.
    Closed(Arc<Site>),
    /// They have to log in, at this address.
    Stranger(String),
    /// Their form is none that this process has shown them.
    OldForm(Arc<Site>),
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Starting(text) => (StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
            Self::Closed(site) => {
                let words = Words::of(site.locale);
                frame::notice(&site, StatusCode::FORBIDDEN, words.closed_title, words.closed_text)
            }
            Self::Stranger(login) => see(&login),
            Self::OldForm(site) => {
                let words = Words::of(site.locale);
                frame::notice(&site, StatusCode::FORBIDDEN, words.old_form_title, words.old_form_text)
            }
        }
    }
}

impl Pages {
    pub(super) fn new(context: Context, stop: CancellationToken) -> Self {
        Self { live: Live::new(context.clone(), stop), gate: Gate::new(), context }
    }

    /// The configuration in force.
    ///
    /// # Errors
    /// Words for whoever asks before there is one.
    pub(super) fn site(&self) -> Result<Arc<Site>, &'static str> {
        self.context.sites.current().ok_or("ringback is starting; try again in a moment")
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.context.clock
    }

    /// The configuration in force and its token.
    ///
    /// # Errors
    /// [`Refused::Starting`] and [`Refused::Closed`].
    pub(super) fn open_site(&self) -> Result<(Arc<Site>, Secret), Refused> {
        let site = self.site().map_err(Refused::Starting)?;
        match site.token.clone() {
            Some(token) => Ok((site, token)),
            None => Err(Refused::Closed(site)),
        }
    }

    /// Who asks for a page of the board.
    ///
    /// # Errors
    /// As [`Pages::open_site`], and [`Refused::Stranger`].
    pub(super) fn enter(&self, headers: &HeaderMap, filter: &Filter) -> Result<(Arc<Site>, Visitor), Refused> {
        let (site, token) = self.open_site()?;
        match self.gate.visitor(headers, &site, &token, self.clock().tick()) {
            Some(visitor) => Ok((site, visitor)),
            None => Err(Refused::Stranger(filter.address(site.prefix(), "login", None))),
        }
    }

    /// The form of somebody who was let in, and whom this process has shown it.
    ///
    /// # Errors
    /// As [`Pages::enter`], and [`Refused::OldForm`].
    pub(super) fn sent(&self, headers: &HeaderMap, body: &Bytes) -> Result<Form, Refused> {
        let filter = Filter::read(&String::from_utf8_lossy(body));
        let (site, visitor) = self.enter(headers, &filter)?;
        match field(body, "csrf") {
            Some(csrf) if visitor.sent(&csrf) => Ok(Form { site, filter, body: body.clone() }),
            _ => Err(Refused::OldForm(site)),
        }
    }
}

impl Form {
    /// A field of it.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        field(&self.body, name)
    }

    /// Back to the page that it stood in, which says what was done.
    pub(super) fn back(&self, said: Said) -> Response {
        see(&self.filter.address(self.site.prefix(), "", Some(("said", said.as_str()))))
    }
}

/// A field of a form, as browsers encode it.
pub(super) fn field(body: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Answers by another page, which is asked for with GET.
pub(super) fn see(address: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response()
}
