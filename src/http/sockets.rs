//! The WebSocket routes. The protocol is in [`crate::ws`].

use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use super::extract::{Path, Query};
use super::parameters::UnknownParameter;
use super::session_query::{ListQuery, SessionQuery};
use super::state::Api;
use crate::replay::{Point, Speed};
use crate::ws::{ReplayRequest, SocketKind, upgrade};
use relive_protocol::{CloseCode, ErrorCode, Mode, Problem, Subscribe};
use relive_session::{Revision, SessionId, Texts};

/// Many sessions on one socket.
#[utoipa::path(get, path = "/ws", operation_id = "watch_many", tag = "sockets", responses(
    (status = 101, description = "A WebSocket"),
    (status = 426, description = "Not a WebSocket handshake", body = Problem),
    (status = 503, description = "Too many sockets", body = Problem),
))]
pub async fn many(api: Api, request: Request) -> Result<Response, ApiError> {
    let opening = match request.extensions().get() {
        Some(UnknownParameter(problem)) => SocketKind::Refused(CloseCode::NotThisProtocol, problem.clone()),
        None => SocketKind::Many,
    };
    Ok(upgrade(&api.services.gateway, api.scoped(), request, opening)?)
}

/// How to watch a session.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// `snapshot`, `delta` or `events`, by default `snapshot`.
    #[param(value_type = Option<String>)]
    mode: Option<Mode>,
    /// The last revision the client holds.
    after: Option<Revision>,
    /// Whether to send messages as well.
    messages: Option<bool>,
    /// Whether to send log lines as well.
    logs: Option<bool>,
    /// The least time between two states, in milliseconds.
    min_interval_ms: Option<u64>,
}

impl WatchQuery {
    pub fn subscribe(self, session_id: SessionId) -> Subscribe {
        let Self { mode, after, messages, logs, min_interval_ms } = self;
        Subscribe { session_id, mode, after, messages, logs, min_interval_ms }
    }
}

/// One session: subscribed already; the first frame is the state.
#[utoipa::path(get, path = "/ws/sessions/{id}", operation_id = "watch_session", tag = "sockets", params(("id" = SessionId, Path), WatchQuery),
    responses(
        (status = 101, description = "A WebSocket; closed with 4504 when there is no such session"),
        (status = 426, description = "Not a WebSocket handshake", body = Problem),
    ))]
pub async fn one(
    api: Api,
    id: Result<Path<SessionId>, ApiError>,
    query: Result<Query<WatchQuery>, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    // Browsers do not show the answer to a refused handshake, so errors are sent over the socket.
    let opening = match (id, query) {
        (Err(_), _) => SocketKind::Refused(CloseCode::NoSuchSession, "there is no such session".to_owned()),
        (_, Err(error)) => refused(&error),
        (Ok(Path(session_id)), Ok(Query(query))) => SocketKind::One(query.subscribe(session_id)),
    };
    Ok(upgrade(&api.services.gateway, api.scoped(), request, opening)?)
}

/// How to replay a session.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ReplayQuery {
    /// 0.1 to 1000 times the recorded pace, or `max`: as fast as the client reads; by default 1.
    speed: Option<String>,
    /// Where to begin: a revision, or an RFC 3339 time; by default the first revision.
    from: Option<String>,
    /// Where to stop: a revision, or an RFC 3339 time; by default the session's end.
    to: Option<String>,
    /// Idle gaps longer than this many milliseconds are shortened to it.
    skip_idle_ms: Option<u64>,
    /// `snapshot`, `delta` or `events`, by default `snapshot`.
    #[param(value_type = Option<String>)]
    mode: Option<Mode>,
    /// Whether to send messages as well.
    messages: Option<bool>,
    /// Whether to send log lines as well.
    logs: Option<bool>,
    /// The least time between two states, in milliseconds.
    min_interval_ms: Option<u64>,
    /// Whether to start paused.
    paused: Option<bool>,
}

impl ReplayQuery {
    fn request(self, session_id: SessionId) -> Result<ReplayRequest, ApiError> {
        let point = |name, text: Option<String>| text.map(|text| point(name, &text)).transpose();
        let (from, to) = (point("from", self.from)?, point("to", self.to)?);
        if let (Some(Point::Revision(from)), Some(Point::Revision(to))) = (from, to)
            && to < from
        {
            return Err(ApiError::bad_request("to lies before from"));
        }
        Ok(ReplayRequest {
            session_id,
            mode: self.mode.unwrap_or_default(),
            texts: Texts { messages: self.messages.unwrap_or(false), logs: self.logs.unwrap_or(false) },
            min_interval: Duration::from_millis(self.min_interval_ms.unwrap_or(0)),
            speed: self.speed.as_deref().map_or(Ok(Speed::RECORDED), speed)?,
            from,
            to,
            skip_idle: self.skip_idle_ms.map(Duration::from_millis),
            paused: self.paused.unwrap_or(false),
        })
    }
}

fn speed(text: &str) -> Result<Speed, ApiError> {
    let speed = if text == "max" { Some(Speed::Max) } else { text.parse().ok().and_then(Speed::times) };
    speed.ok_or_else(|| {
        let (slowest, fastest) = (Speed::SLOWEST, Speed::FASTEST);
        ApiError::bad_request(format!("speed must lie between {slowest} and {fastest}, or be 'max'"))
    })
}

/// A revision or a time.
fn point(name: &str, text: &str) -> Result<Point, ApiError> {
    if let Ok(revision) = text.parse::<Revision>() {
        return Ok(Point::Revision(i64::try_from(revision).unwrap_or(i64::MAX)));
    }
    text.parse().map(Point::Time).map_err(|_| {
        ApiError::bad_request(format!("{name} must be a revision, or a time such as 2026-01-31T08:15:30.250Z"))
    })
}

/// A replay of a stored session: the frames of a live one, and `replayState` frames with its position.
/// Controlled by `replay` frames.
#[utoipa::path(get, path = "/ws/sessions/{id}/replay", operation_id = "replay_session", tag = "sockets", params(("id" = SessionId, Path), ReplayQuery),
    responses(
        (status = 101, description = "A WebSocket; closed with 4504 when there is no such session"),
        (status = 426, description = "Not a WebSocket handshake", body = Problem),
    ))]
pub async fn replay(
    api: Api,
    id: Result<Path<SessionId>, ApiError>,
    query: Result<Query<ReplayQuery>, ApiError>,
    request: Request,
) -> Result<Response, ApiError> {
    let opening = match id {
        Err(_) => SocketKind::Refused(CloseCode::NoSuchSession, "there is no such session".to_owned()),
        Ok(Path(id)) => match query.and_then(|Query(query)| query.request(id)) {
            Ok(replay) => SocketKind::Replay(replay),
            Err(error) => refused(&error),
        },
    };
    Ok(upgrade(&api.services.gateway, api.scoped(), request, opening)?)
}

/// A live list: first the newest sessions that match, then every change.
#[utoipa::path(get, path = "/ws/sessions", operation_id = "watch_list", tag = "sockets", params(SessionQuery), responses(
    (status = 101, description = "A WebSocket"),
    (status = 426, description = "Not a WebSocket handshake", body = Problem),
))]
pub async fn list(api: Api, query: Result<ListQuery, ApiError>, request: Request) -> Result<Response, ApiError> {
    let opening = match query.and_then(|ListQuery(query)| Ok((query.filter(&api)?, query.limit()?))) {
        Ok((filter, limit)) => SocketKind::List(Box::new(filter), limit),
        Err(error) => refused(&error),
    };
    Ok(upgrade(&api.services.gateway, api.scoped(), request, opening)?)
}

/// The address is not understood, or says what the caller may not see.
fn refused(error: &ApiError) -> SocketKind {
    let code = match error.code() {
        ErrorCode::Forbidden => CloseCode::Forbidden,
        _ => CloseCode::NotThisProtocol,
    };
    SocketKind::Refused(code, error.detail().to_owned())
}
