//! The board: what is open, what could not be delivered, what was settled today; and what may be done about it.
//!
//! Forms answer with a redirection to the board, so that everything works without a script and a reload repeats nothing.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use jiff::Timestamp;

use self::view::View;
use super::frame::{self, Frame};
use super::page::page;
use super::pages::{Form, Pages, Refused};
use super::{Site, assets, live, login};
use crate::callback::{CallbackError, Order};
use crate::ops::OpsError;

mod filter;
mod view;
mod words;

pub(super) use self::filter::Filter;
pub(super) use self::words::{Said, Words, kind};

/// The board and what belongs to it.
pub(super) fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/live", get(follow))
        .route("/login", get(login::form).post(login::enter))
        .route("/logout", post(login::leave))
        .route("/events/{id}/close", post(close))
        .route("/events/{id}/callback", post(call_back))
        .route("/deliveries/retry", post(retry_all))
        .route("/deliveries/{id}/retry", post(retry))
        .route("/assets/{name}", get(assets::serve))
        .with_state(pages)
}

type Shared = State<Arc<Pages>>;
type Answer = Result<Response, Refused>;

async fn show(State(pages): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Answer {
    let query = query.unwrap_or_default();
    let filter = Filter::read(&query);
    let (site, visitor) = pages.enter(&headers, &filter)?;
    let context = &pages.context;
    let now = context.clock.moment();
    // Before the store is read: what changes meanwhile is shown by a further reading.
    let print = live::fingerprint(context);
    let audit = context.health.audit(context.store.as_ref(), now).await;
    let notices = context.health.holding(Some(&audit), now);
    let board = match context.desk.board(start_of_day(now.at, &site)).await {
        Ok(board) => board,
        Err(error) => return Ok(unreadable(&site, &error.into())),
    };
    let view = View::new(&board, &notices, &filter, Said::read(&query), &site, &context.callbacks, now.at);
    let title = format!("{} – ringback", view.counts());
    let frame = Frame::new(&site, title, &filter, Some(&visitor)).live();
    let answer = page(StatusCode::OK, "board", &Whole { frame, view, print, leave: !visitor.by_proxy });
    Ok(match visitor.cookie {
        Some(cookie) => ([(header::SET_COOKIE, cookie)], answer).into_response(),
        None => answer,
    })
}

/// The page of the board.
#[derive(serde::Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    frame: Frame<'a>,
    #[serde(flatten)]
    view: View,
    /// What the stream of changes tells apart.
    print: String,
    /// Whether there is something to log out of.
    leave: bool,
}

fn start_of_day(now: Timestamp, site: &Site) -> Timestamp {
    // There is a first moment of every day that a calendar can name.
    now.to_zoned(site.timezone.clone()).start_of_day().map_or(now, |start| start.timestamp())
}

async fn follow(State(pages): Shared, headers: HeaderMap) -> Answer {
    match pages.enter(&headers, &Filter::default()) {
        Ok(_) => Ok(pages.live.stream().unwrap_or_else(|| {
            (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open; this one reads itself again\n").into_response()
        })),
        // A stream that is sent elsewhere says nothing to a browser; that it is refused does.
        Err(Refused::Stranger(_)) => Ok(StatusCode::UNAUTHORIZED.into_response()),
        Err(refused) => Err(refused),
    }
}

async fn close(State(pages): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let form = pages.sent(&headers, &body)?;
    let note = form.field("note").filter(|note| !note.trim().is_empty());
    Ok(match pages.context.desk.close(&id, note.as_deref()).await {
        Ok(_) => form.back(Said::Closed),
        Err(OpsError::Refused(_)) if note.is_some_and(|note| note.len() > crate::event::Event::MAX_NOTE) => {
            form.back(Said::LongNote)
        }
        Err(error @ OpsError::Store(_)) => unreadable(&form.site, &error),
        Err(_) => form.back(Said::SettledBefore),
    })
}

async fn call_back(State(pages): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let form = pages.sent(&headers, &body)?;
    let event = match pages.context.desk.event(&id).await {
        Ok(event) => event,
        Err(error @ OpsError::Store(_)) => return Ok(unreadable(&form.site, &error)),
        Err(_) => return Ok(form.back(Said::SettledBefore)),
    };
    let order = Order { extension: form.field("ring").map(|ring| ring.trim().to_owned()), key: None };
    let Some(line) = form.site.line(&event.account, form.site.callback_extension(None)) else {
        return Ok(form.back(Said::NotRung));
    };
    Ok(form.back(match pages.context.callbacks.press(event.id, order, line).await {
        Ok(_) => Said::Rung,
        Err(CallbackError::Settled(_) | CallbackError::Unknown) => Said::SettledBefore,
        Err(_) => Said::NotRung,
    }))
}

async fn retry(State(pages): Shared, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Answer {
    let form = pages.sent(&headers, &body)?;
    Ok(match pages.context.desk.retry(&[id]).await {
        Ok(done) => pages.retried(&form, done.done).await,
        Err(error @ OpsError::Store(_)) => unreadable(&form.site, &error),
        Err(_) => form.back(Said::NotRetried),
    })
}

async fn retry_all(State(pages): Shared, headers: HeaderMap, body: Bytes) -> Answer {
    let form = pages.sent(&headers, &body)?;
    Ok(match pages.context.desk.retry_dead(None).await {
        Ok(done) => pages.retried(&form, done.done).await,
        Err(error) => unreadable(&form.site, &error),
    })
}

impl Pages {
    async fn retried(&self, form: &Form, done: usize) -> Response {
        // What a person did to dead deliveries no lane has counted.
        match self.context.desk.dead().await {
            Ok(all) => all.iter().for_each(|(channel, dead)| self.context.metrics.dead(channel, *dead)),
            Err(error) => tracing::warn!(%error, "the dead deliveries could not be counted"),
        }
        form.back(if done > 0 { Said::Retried } else { Said::NotRetried })
    }
}

/// The reason is for the log.
fn unreadable(site: &Site, error: &OpsError) -> Response {
    tracing::error!(%error, "a request to the board could not be answered");
    let words = Words::of(site.locale);
    frame::notice(site, StatusCode::SERVICE_UNAVAILABLE, words.unreadable_title, words.unreadable_text)
}
