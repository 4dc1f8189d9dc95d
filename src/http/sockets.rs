//! The WebSocket addresses. What happens on them is in [`crate::ws`].

use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::app::App;
use super::error::ApiError;
use super::extract::{Path, Query};
use super::session_query::SessionQuery;
use crate::protocol::{CloseCode, Mode, Problem, Subscribe};
use crate::session::{Revision, SessionId};
use crate::ws::{Opening, upgrade};

/// Many sessions on one socket.
#[utoipa::path(get, path = "/ws", operation_id = "watch_many", tag = "sockets", responses(
    (status = 101, description = "A WebSocket"),
    (status = 426, description = "Not a WebSocket handshake", body = Problem),
    (status = 503, description = "Too many sockets", body = Problem),
))]
pub async fn many(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    Ok(upgrade(&app.gateway, request, Opening::Many)?)
}

/// How to watch a session.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// `snapshot`, `delta` or `events`; snapshot if not given.
    #[param(value_type = Option<String>)]
    mode: Option<Mode>,
    /// The last revision the client holds.
    after: Option<Revision>,
    /// Whether to send messages as well.
    messages: Option<bool>,
    /// The least time between two states, in milliseconds.
    min_interval_ms: Option<u64>,
}

/// One session: subscribed already; the first frame is the state.
#[utoipa::path(get, path = "/ws/sessions/{id}", operation_id = "watch_session", tag = "sockets", params(("id" = SessionId, Path), WatchQuery),
    responses(
        (status = 101, description = "A WebSocket; closed with 4504 when there is no such session"),
        (status = 426, description = "Not a WebSocket handshake", body = Problem),
    ))]
pub async fn one(
    State(app): State<App>,
    id: Result<Path<SessionId>, ApiError>,
    query: Result<Query<WatchQuery>, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    // A browser sees nothing of a refused handshake, so what is wrong is said over the socket.
    let opening = match (id, query) {
        (Err(_), _) => Opening::Refused(CloseCode::NoSuchSession, "there is no such session".to_owned()),
        (_, Err(error)) => Opening::Refused(CloseCode::NotThisProtocol, error.detail().to_owned()),
        (Ok(Path(session_id)), Ok(Query(query))) => Opening::One(Subscribe {
            session_id,
            mode: query.mode,
            after: query.after,
            messages: query.messages,
            min_interval_ms: query.min_interval_ms,
        }),
    };
    Ok(upgrade(&app.gateway, request, opening)?)
}

/// A live list: first the newest sessions that match, then every change.
#[utoipa::path(get, path = "/ws/sessions", operation_id = "watch_list", tag = "sockets", params(SessionQuery), responses(
    (status = 101, description = "A WebSocket"),
    (status = 426, description = "Not a WebSocket handshake", body = Problem),
))]
pub async fn list(
    State(app): State<App>,
    query: Result<Query<SessionQuery>, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    let opening = match query.and_then(|Query(query)| Ok((query.filter()?, query.limit()?))) {
        Ok((filter, limit)) => Opening::List(filter, limit),
        Err(error) => Opening::Refused(CloseCode::NotThisProtocol, error.detail().to_owned()),
    };
    Ok(upgrade(&app.gateway, request, opening)?)
}
