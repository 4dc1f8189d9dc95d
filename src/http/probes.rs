//! What operators and their tools ask for.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::app::App;
use super::error::ApiError;
use super::openapi::Document;
use crate::hub::HubError;

/// How long the database may take to answer; whoever asks wants to know soon.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "Alive")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the server can do its work: it reaches its database, and that takes writes.
#[utoipa::path(get, path = "/readyz", tag = "server", responses(
    (status = 200, description = "Ready"),
    (status = 503, description = "The database does not answer, or takes no writes", body = crate::protocol::Problem)
))]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, ApiError> {
    match tokio::time::timeout(PATIENCE, app.storage().can_write()).await {
        Ok(answer) => answer?,
        Err(_) => return Err(HubError::Unavailable.into()),
    }
    Ok("ready\n")
}

/// Metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "server", responses(
    (status = 200, description = "Metrics", content_type = "text/plain", body = String)
))]
pub async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, StatusCode> {
    let handle = app.metrics.ok_or(StatusCode::NOT_IMPLEMENTED)?;
    metrics::gauge!("relive_live_sessions").set(app.hub.live_sessions() as f64);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()))
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "server", responses(
    (status = 200, description = "The OpenAPI document", content_type = "application/json")
))]
pub async fn openapi(Extension(Document(json)): Extension<Document>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], json)
}
