//! The HTTP server: health and metrics, the API and the board, and the hook for the PBX.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::callback::Callbacks;
use crate::clock::Clock;
use crate::health::Health;
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::ops::Desk;
use crate::store::Store;

pub mod api;
mod assets;
mod auth;
mod board;
pub mod control;
mod frame;
mod links;
mod live;
mod login;
mod page;
mod pages;
pub mod push;
pub mod serve;
pub mod site;

use self::pages::Pages;
pub use push::Forward;
pub use serve::Limits;
pub use site::{Callback, ChannelFacts, Site, Sites};

/// A client that is slow to read, or a command that is being answered, must not hold up the stop.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// What the server shows.
#[derive(Clone)]
pub struct Context {
    /// Whether everything moves.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where deliveries wait.
    pub store: Arc<dyn Store>,
    /// Who knows of deliveries and events.
    pub desk: Desk,
    /// Who calls back.
    pub callbacks: Callbacks,
    /// The configuration in force.
    pub sites: Sites,
    /// Where the PBX's events are passed on.
    pub forward: Forward,
    /// The time.
    pub clock: Clock,
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, context: Context, limits: Limits, stop: CancellationToken) {
    let sites = context.sites.clone();
    let pages = Arc::new(Pages::new(context.clone(), stop.clone()));
    let router = router(context, &pages);
    tokio::join!(serve::serve(listener, router, sites, limits, stop), pages.live.run());
}

/// What is served over TCP.
fn router(context: Context, pages: &Arc<Pages>) -> axum::Router {
    let of_api = api::Context {
        desk: context.desk.clone(),
        metrics: Arc::clone(&context.metrics),
        callbacks: context.callbacks.clone(),
        sites: context.sites.clone(),
    };
    let links = links::router(links::Context {
        store: Arc::clone(&context.store),
        desk: context.desk.clone(),
        sites: context.sites.clone(),
        callbacks: context.callbacks.clone(),
        clock: context.clock.clone(),
    });
    axum::Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(push::router())
        .with_state(context)
        .nest("/api/v1", api::guarded(of_api, Arc::clone(pages)))
        .merge(board::router(Arc::clone(pages)))
        .merge(links)
}

/// Serves `router` to whoever is on this machine until `stop`, and then waits so long for slow clients.
pub(crate) async fn serve_until<L>(listener: L, router: axum::Router, patience: Duration, stop: CancellationToken)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        // An error here is one of accepting, which axum waits out by itself.
        _ = server => {}
        () = given_up => {}
    }
}

async fn ready(State(context): State<Context>) -> impl IntoResponse {
    let reasons = context.health.audit(context.store.as_ref(), context.clock.moment()).await.reasons();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({"ready": reasons.is_empty(), "reasons": reasons})))
}

async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    if let Ok(backlog) = context.store.backlog(context.clock.moment()).await {
        for lane in backlog {
            context.metrics.backlog(&lane.channel, lane.pending, lane.overdue);
        }
    }
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], context.metrics.encode())
}
