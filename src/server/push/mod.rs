//! `POST /hooks/pbx/ACCOUNT/SECRET`: the PBX says that a call has ended. Answered at once; nothing of it is stored.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;

use super::Context;
use crate::pbx::report::{self, Ended, Report};

mod forward;

pub use forward::Forward;

/// The hooks of all accounts.
pub(super) fn router() -> Router<Context> {
    Router::new().route("/hooks/pbx/{account}/{secret}", post(take))
}

/// Whoever does not know the secret is told that there is nothing here, whichever account they name. Whoever does gets
/// 200 whatever they post: the PBX tries a URL with an empty post, and what cannot be read would be posted again.
async fn take(
    State(context): State<Context>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, StatusCode> {
    let Path((account, given)) = path.map_err(|_| StatusCode::NOT_FOUND)?;
    let site = context.sites.current().ok_or(StatusCode::NOT_FOUND)?;
    let secret = site.push_secret.as_ref().filter(|secret| secret.is(&given)).ok_or(StatusCode::NOT_FOUND)?;
    if secret.is_empty() || !site.accounts.contains_key(&account) {
        return Err(StatusCode::NOT_FOUND);
    }
    let report = report::read(&body);
    let outcome = match &report {
        Report::MayBeMissed(_) => "read",
        Report::Other => "nothing",
        Report::Empty => "empty",
        Report::Unreadable => "unreadable",
    };
    context.metrics.push(&account, outcome);
    tracing::debug!(account, outcome, bytes = body.len(), "the PBX has posted");
    if report != Report::Empty {
        context.forward.take(headers.get(header::CONTENT_TYPE).cloned(), body);
    }
    if let Report::MayBeMissed(uuid) = report
        && let Some(calls) = site.calls_ended.get(&account)
    {
        // Full: the read for those before it shows this one too. Closed: a reload, which reads the newest page anyway.
        let _ = calls.try_send(Ended { uuid, heard: context.clock.tick() });
    }
    Ok("ok\n")
}
