//! Responses of several handlers.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{ETAG, LOCATION};
use axum::response::{IntoResponse as _, Response};

use relive_session::{Revision, Session};

/// The content type of exports: an object of JSON on each line.
pub const NDJSON: &str = "application/x-ndjson";

/// The response for a session that was created.
pub fn created(session: &Session) -> Response {
    let location = format!("/api/v1/sessions/{}", session.id);
    (StatusCode::CREATED, [(LOCATION, location)], with_etag(session)).into_response()
}

/// A session with its `ETag`, which is its revision.
pub fn with_etag(session: &Session) -> Response {
    ([(ETAG, etag(session.revision))], Json(session.snapshot())).into_response()
}

pub fn etag(revision: Revision) -> String {
    format!("\"{revision}\"")
}
