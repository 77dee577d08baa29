//! Logging in to the board with the token, and out of it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

use super::Site;
use super::auth::Denied;
use super::board::{Filter, Words};
use super::frame::Frame;
use super::page::page;
use super::pages::{Pages, Refused, field, see};

type Shared = State<Arc<Pages>>;

type Answer = Result<Response, Refused>;

/// `GET /login`
pub(super) async fn form(State(pages): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Answer {
    let filter = Filter::read(&query.unwrap_or_default());
    match pages.enter(&headers, &filter) {
        Ok((site, _)) => Ok(see(&filter.address(site.prefix(), "", None))),
        Err(Refused::Stranger(_)) => Ok(show(&pages.open_site()?.0, StatusCode::OK, None, &filter)),
        Err(refused) => Err(refused),
    }
}

/// `POST /login`
pub(super) async fn enter(State(pages): Shared, body: Bytes) -> Answer {
    let (site, token) = pages.open_site()?;
    let filter = Filter::read(&String::from_utf8_lossy(&body));
    // Pasted tokens bring a space or a line break with them.
    let given = field(&body, "token").unwrap_or_default();
    let now = pages.clock().tick();
    let words = Words::of(site.locale);
    Ok(match pages.gate.token(given.trim().as_bytes(), &token, now) {
        Ok(()) => {
            let cookie = pages.gate.open(&site, &token, now);
            let board = see(&filter.address(site.prefix(), "", None));
            ([(header::SET_COOKIE, cookie)], board).into_response()
        }
        Err(Denied::Wrong) => show(&site, StatusCode::UNAUTHORIZED, Some(words.wrong_token), &filter),
        Err(Denied::TooMany(wait)) => {
            let answer = show(&site, StatusCode::TOO_MANY_REQUESTS, Some(words.too_many), &filter);
            ([(header::RETRY_AFTER, wait.as_secs().max(1).to_string())], answer).into_response()
        }
    })
}

/// `POST /logout`
pub(super) async fn leave(State(pages): Shared, headers: HeaderMap, body: Bytes) -> Answer {
    let form = pages.sent(&headers, &body)?;
    let cookie = pages.gate.close(&headers, &form.site);
    let login = see(&format!("{}/login", form.site.prefix()));
    Ok(([(header::SET_COOKIE, cookie)], login).into_response())
}

fn show(site: &Site, status: StatusCode, trouble: Option<&'static str>, filter: &Filter) -> Response {
    #[derive(Serialize)]
    struct Login<'a> {
        #[serde(flatten)]
        frame: Frame<'a>,
        trouble: Option<&'static str>,
    }
    let title = format!("{} – ringback", Words::of(site.locale).login);
    page(status, "board.login", &Login { frame: Frame::new(site, title, filter, None), trouble })
}
