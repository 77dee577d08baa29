//! What every page of the board has around it, and pages that only say something.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::auth::Visitor;
use super::board::{Filter, Words};
use super::page::page;
use super::{Site, assets};

/// What templates see of the frame.
#[derive(Debug, Serialize)]
pub(super) struct Frame<'a> {
    lang: &'static str,
    prefix: &'a str,
    assets: &'static assets::Names,
    t: &'static Words,
    title: String,
    csrf: &'a str,
    filter: &'a Filter,
    /// The board with this filter.
    here: String,
    /// Whether the page keeps itself as it is on the server.
    live: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn new(site: &'a Site, title: String, filter: &'a Filter, visitor: Option<&'a Visitor>) -> Self {
        Self {
            lang: site.locale.as_str(),
            prefix: site.prefix(),
            assets: &assets::NAMES,
            t: Words::of(site.locale),
            title,
            csrf: visitor.map_or("", |visitor| &visitor.csrf),
            filter,
            here: filter.address(site.prefix(), "", None),
            live: false,
        }
    }

    /// A page that changes with what it shows.
    pub(super) fn live(self) -> Self {
        Self { live: true, ..self }
    }
}

/// A page that says one thing.
pub(super) fn notice(site: &Site, status: StatusCode, heading: &'static str, text: &'static str) -> Response {
    #[derive(Serialize)]
    struct Notice<'a> {
        #[serde(flatten)]
        frame: Frame<'a>,
        heading: &'static str,
        text: &'static str,
        /// Whether there is a board to go back to.
        back: bool,
    }
    let filter = Filter::default();
    let frame = Frame::new(site, format!("{heading} – ringback"), &filter, None);
    page(status, "board.notice", &Notice { frame, heading, text, back: site.token.is_some() })
}
