//! The outbox and the events as JSON (contract section 5): the same as the command line, which asks here too.
//!
//! Numbers and names are masked unless the query says `reveal=true`. Over the control socket whoever reaches it may ask
//! ([`router`]), over TCP whoever has the token (`guarded`), and is not told what is wrong inside.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::auth::Denied;
use super::pages::Pages;
use super::{Sites, links};
use crate::callback::Callbacks;
use crate::metrics::Metrics;
use crate::ops::{ClosedByHand, Deliveries, Desk, Done, Events, Filter, OpsError, Shown};

/// What answers are made of.
#[derive(Clone)]
pub struct Context {
    /// Who knows.
    pub desk: Desk,
    /// What is counted of the outbox.
    pub metrics: Arc<Metrics>,
    /// Who calls back.
    pub callbacks: Callbacks,
    /// The configuration in force.
    pub sites: Sites,
}

/// An order about several deliveries: these, or all that are dead.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Which {
    /// Ids, or the beginnings of ids.
    pub ids: Vec<String>,
    /// Every dead one.
    pub dead: bool,
    /// Of this channel only; with `dead`.
    pub channel: Option<String>,
}

/// How an event is closed.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Closing {
    /// What there is to say about it.
    pub note: Option<String>,
}

/// The answer to what cannot be answered otherwise.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// What was attempted, what was found, what to do.
    pub error: String,
}

/// `/api/v1` for whoever reaches it.
pub fn router(context: Context) -> Router {
    Router::new().nest("/api/v1", routes(context)).fallback(nothing_here)
}

/// The same, to be nested at `/api/v1`, for whoever has the token.
pub(super) fn guarded(context: Context, pages: Arc<Pages>) -> Router {
    routes(context).layer(from_fn_with_state(pages, guard))
}

fn routes(context: Context) -> Router {
    Router::new()
        .route("/deliveries", get(deliveries))
        .route("/deliveries/retry", post(retry))
        .route("/deliveries/drop", post(drop_these))
        .route("/deliveries/{id}", get(delivery))
        .route("/deliveries/{id}/retry", post(retry_one))
        .route("/deliveries/{id}/drop", post(drop_one))
        .route("/events", get(events))
        .route("/events/{id}/close", post(close))
        .route("/events/{id}/callback", post(call_back))
        .fallback(nothing_here)
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .with_state(context)
}

async fn nothing_here() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path")
}

/// Lets requests with the right token through, and nothing out that is not for strangers.
async fn guard(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let site = match pages.site() {
        Ok(site) => site,
        Err(text) => return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
    };
    let Some(token) = &site.token else {
        let text = "the API is closed: there is no `http.token`\nhint: set it in the configuration";
        return Refusal::new(StatusCode::FORBIDDEN, text).into_response();
    };
    let now = pages.clock().tick();
    let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let denied = match given.and_then(bearer) {
        Some(given) => pages.gate.token(given, token, now).err(),
        None => Some(pages.gate.pause(now).map_or(Denied::Wrong, Denied::TooMany)),
    };
    match denied {
        None => outward(next.run(request).await),
        Some(Denied::TooMany(wait)) => {
            let wait = wait.as_secs().max(1);
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; try again later");
            ([(header::RETRY_AFTER, wait.to_string())], refusal).into_response()
        }
        Some(Denied::Wrong) => {
            let text = "this needs the token\nhint: send `Authorization: Bearer TOKEN` with that of `http.token`";
            let refusal = Refusal::new(StatusCode::UNAUTHORIZED, text);
            ([(header::WWW_AUTHENTICATE, "Bearer realm=\"ringback\"")], refusal).into_response()
        }
    }
}

/// The token of an `Authorization` header. The scheme is written in any case (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// What went wrong inside is for the log.
fn outward(answer: Response) -> Response {
    match answer.extensions().get::<Inside>() {
        Some(Inside(detail)) => {
            tracing::error!(detail, "a request to the API could not be answered");
            let text = "the store cannot be read or written; the log of ringback says why";
            Refusal::new(answer.status(), text).into_response()
        }
        None => answer,
    }
}

type Answer<T> = Result<Json<T>, Refusal>;

async fn deliveries(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer<Deliveries> {
    let query = Query::read(query.as_deref(), &["state", "channel", "limit", "reveal"])?;
    let filter =
        Filter { state: query.parsed("state")?, channel: query.parsed("channel")?, limit: query.parsed("limit")? };
    Ok(Json(context.desk.deliveries(&filter, query.is_set("reveal")?).await?))
}

async fn delivery(State(context): State<Context>, Path(id): Path<String>, RawQuery(query): RawQuery) -> Answer<Shown> {
    let query = Query::read(query.as_deref(), &["reveal"])?;
    Ok(Json(context.desk.delivery(&id, query.is_set("reveal")?).await?))
}

async fn retry(State(context): State<Context>, which: Result<Json<Which>, JsonRejection>) -> Answer<Done> {
    let Json(which) = which?;
    let done = match (which.dead, which.ids.is_empty(), &which.channel) {
        (true, true, channel) => context.desk.retry_dead(channel.as_deref()).await?,
        (false, false, None) => context.desk.retry(&which.ids).await?,
        _ => return Err(Refusal::new(StatusCode::BAD_REQUEST, "expected `ids`, or `dead` with or without `channel`")),
    };
    recount(&context).await?;
    Ok(Json(done))
}

async fn drop_these(State(context): State<Context>, which: Result<Json<Which>, JsonRejection>) -> Answer<Done> {
    let Json(which) = which?;
    if which.ids.is_empty() || which.dead || which.channel.is_some() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "expected `ids` and nothing else"));
    }
    let done = context.desk.drop(&which.ids).await?;
    recount(&context).await?;
    Ok(Json(done))
}

async fn retry_one(State(context): State<Context>, Path(id): Path<String>) -> Answer<Done> {
    let done = context.desk.retry(&[id]).await?;
    recount(&context).await?;
    done_with_all(done)
}

async fn drop_one(State(context): State<Context>, Path(id): Path<String>) -> Answer<Done> {
    let done = context.desk.drop(&[id]).await?;
    recount(&context).await?;
    done_with_all(done)
}

async fn events(State(context): State<Context>, RawQuery(query): RawQuery) -> Answer<Events> {
    let query = Query::read(query.as_deref(), &["open", "limit", "reveal"])?;
    let (open, reveal) = (query.is_set("open")?, query.is_set("reveal")?);
    Ok(Json(context.desk.events(open, query.parsed("limit")?, reveal).await?))
}

async fn close(
    State(context): State<Context>,
    Path(id): Path<String>,
    closing: Result<Json<Closing>, JsonRejection>,
) -> Answer<ClosedByHand> {
    let Json(closing) = closing?;
    Ok(Json(context.desk.close(&id, closing.note.as_deref()).await?))
}

/// Rings an extension and then the caller: of the body's `extension`, or `callback.extension`. The same `Idempotency-Key`
/// rings once.
async fn call_back(
    State(context): State<Context>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let order = links::order(&headers, &body).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error))?;
    let event = context.desk.event(&id).await?;
    let starting = || Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "ringback is starting; try again in a moment");
    let site = context.sites.current().ok_or_else(starting)?;
    let Some(line) = site.line(&event.account, site.callback_extension(None)) else {
        return Err(Refusal::new(StatusCode::CONFLICT, "the account of this event is not configured any more"));
    };
    Ok(links::outcome_json(&context.callbacks.press(event.id, order, line).await))
}

/// Of one delivery, what cannot be done is no half success.
fn done_with_all(done: Done) -> Answer<Done> {
    match done.refused.first() {
        Some(why) => Err(Refusal::new(StatusCode::CONFLICT, why)),
        None => Ok(Json(done)),
    }
}

/// What a person did to dead deliveries no lane has counted.
async fn recount(context: &Context) -> Result<(), OpsError> {
    for (channel, dead) in context.desk.dead().await? {
        context.metrics.dead(&channel, dead);
    }
    Ok(())
}

/// The pairs of a query string.
struct Query(Vec<(String, String)>);

impl Query {
    fn read(text: Option<&str>, known: &[&str]) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect();
        match pairs.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            Some((key, _)) => {
                let text = format!("unknown parameter `{key}`; there are {}", known.join(", "));
                Err(Refusal::new(StatusCode::BAD_REQUEST, text))
            }
            None => Ok(Self(pairs)),
        }
    }

    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(&self, key: &str) -> Result<Option<T>, Refusal> {
        let Some((_, value)) = self.0.iter().find(|(name, _)| name == key) else { return Ok(None) };
        let wrong = |error| Refusal::new(StatusCode::BAD_REQUEST, format!("`{key}`: {error}"));
        value.parse().map(Some).map_err(wrong)
    }

    fn is_set(&self, key: &str) -> Result<bool, Refusal> {
        Ok(self.parsed(key)?.unwrap_or(false))
    }
}

/// An answer that is none.
struct Refusal {
    status: StatusCode,
    text: String,
    /// The text is for whoever runs ringback.
    inside: bool,
}

/// Marks an answer whose text must not leave this machine; holds that text.
#[derive(Clone)]
struct Inside(String);

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), inside: false }
    }
}

impl From<OpsError> for Refusal {
    fn from(error: OpsError) -> Self {
        let (status, inside) = match error {
            OpsError::NotAnId { .. } => (StatusCode::BAD_REQUEST, false),
            OpsError::Unknown { .. } => (StatusCode::NOT_FOUND, false),
            OpsError::Ambiguous { .. } | OpsError::Refused(_) => (StatusCode::CONFLICT, false),
            OpsError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, true),
        };
        Self { status, text: error.to_string(), inside }
    }
}

impl From<JsonRejection> for Refusal {
    fn from(error: JsonRejection) -> Self {
        Self::new(error.status(), error.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let inside = self.inside.then(|| Inside(self.text.clone()));
        let mut answer = (self.status, Json(Trouble { error: self.text })).into_response();
        if let Some(inside) = inside {
            answer.extensions_mut().insert(inside);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn a_bearer_token_is_read_in_the_spellings_of_the_scheme() {
        assert_eq!(bearer(b"Bearer t0ken"), Some(&b"t0ken"[..]));
        assert_eq!(bearer(b"bearer  t0ken "), Some(&b"t0ken"[..]));
        for other in ["", "Basic dDprZW4=", "Bearer", "t0ken", "Bearert0ken"] {
            assert_eq!(bearer(other.as_bytes()), None, "{other}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_the_store_stays_inside() {
        let failed = || StoreError::Failed { path: "/var/lib/x".into(), action: "be read", cause: "EIO".into() };
        let read = |answer: Response| async {
            let status = answer.status();
            let bytes = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
            (status, String::from_utf8(bytes.into()).unwrap())
        };
        let (status, body) = read(outward(Refusal::from(OpsError::from(failed())).into_response())).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("the log of ringback says why") && !body.contains("/var/lib/x"), "{body}");
        let (_, body) = read(Refusal::from(OpsError::from(failed())).into_response()).await;
        assert!(body.contains("/var/lib/x"), "the operator on this machine is told: {body}");
        let refused = OpsError::Refused("it is settled already".to_owned());
        assert!(read(outward(Refusal::from(refused).into_response())).await.1.contains("settled already"));
    }
}
