//! Routes for operators and their tools.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::error::ApiError;
use super::ingress::PublicBase;
use super::openapi::OpenApiDocument;
use super::state::App;
use crate::storage::Readiness;
use crate::telemetry;
use relive_protocol::ErrorCode;

/// How long the database may take to answer; probes have short time limits.
const READINESS_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "server", responses((status = 200, description = "Alive")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the server can do its work: its database answers and takes writes.
#[utoipa::path(get, path = "/readyz", tag = "server", responses(
    (status = 200, description = "Ready"),
    (status = 503, description = "The database does not answer, is read-only, or its disk is full; `detail` says which", body = relive_protocol::Problem)
))]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, ApiError> {
    match tokio::time::timeout(READINESS_TIMEOUT, app.storage().readiness()).await {
        Ok(Ok(Readiness::Writable)) => Ok("ready\n"),
        Ok(Ok(Readiness::ReadOnly)) => Err(ApiError::new(ErrorCode::Unavailable, "the database is read-only")),
        Ok(Ok(Readiness::Full)) => Err(ApiError::new(ErrorCode::Unavailable, "the database has no room on its disk")),
        Ok(Err(_)) | Err(_) => Err(ApiError::new(ErrorCode::Unavailable, "the database does not answer")),
    }
}

/// Metrics in the Prometheus text format.
#[utoipa::path(get, path = "/metrics", tag = "server", responses(
    (status = 200, description = "Metrics", content_type = "text/plain", body = String)
))]
pub async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, StatusCode> {
    let handle = app.metrics.ok_or(StatusCode::NOT_IMPLEMENTED)?;
    metrics::gauge!("relive_live_sessions").set(app.hub.live_sessions() as f64);
    telemetry::observe_process();
    let connections = app.storage().connections();
    metrics::gauge!("relive_database_connections", "state" => "used").set(connections.used as f64);
    metrics::gauge!("relive_database_connections", "state" => "idle").set(connections.idle as f64);
    metrics::gauge!("relive_database_connections_max").set(connections.most as f64);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()))
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "server", responses(
    (status = 200, description = "The OpenAPI document", content_type = "application/json")
))]
pub async fn openapi(Extension(document): Extension<OpenApiDocument>, base: PublicBase) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], document.below(base.as_str()))
}
