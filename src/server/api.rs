//! The outbox and the events as JSON (contract section 5): the same as the command line, which asks here too.
//!
//! Numbers and names are masked unless the query says `reveal=true`. Whoever mounts this router says who may come.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::ops::{ClosedByHand, Deliveries, Desk, Done, Events, Filter, OpsError, Shown};

/// What answers are made of.
#[derive(Clone)]
pub struct Context {
    /// Who knows.
    pub desk: Desk,
    /// What is counted of the outbox.
    pub metrics: Arc<Metrics>,
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

/// `/api/v1`.
pub fn router(context: Context) -> Router {
    Router::new()
        .route("/api/v1/deliveries", get(deliveries))
        .route("/api/v1/deliveries/retry", post(retry))
        .route("/api/v1/deliveries/drop", post(drop_these))
        .route("/api/v1/deliveries/{id}", get(delivery))
        .route("/api/v1/deliveries/{id}/retry", post(retry_one))
        .route("/api/v1/deliveries/{id}/drop", post(drop_one))
        .route("/api/v1/events", get(events))
        .route("/api/v1/events/{id}/close", post(close))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .with_state(context)
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
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl From<OpsError> for Refusal {
    fn from(error: OpsError) -> Self {
        let status = match error {
            OpsError::NotAnId { .. } => StatusCode::BAD_REQUEST,
            OpsError::Unknown { .. } => StatusCode::NOT_FOUND,
            OpsError::Ambiguous { .. } | OpsError::Refused(_) => StatusCode::CONFLICT,
            OpsError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(error: JsonRejection) -> Self {
        Self::new(error.status(), error.body_text())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(Trouble { error: self.text })).into_response()
    }
}
