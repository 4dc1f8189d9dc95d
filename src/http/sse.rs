//! Server-sent events (SSE): the frames of a socket as the body of an answer (`text/event-stream`).

use axum::Extension;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;

use super::cross_site::LAST_EVENT_ID;
use super::error::ApiError;
use super::extract::{Path, Query, single};
use super::session_query::{ListQuery, SessionQuery};
use super::sockets::WatchQuery;
use super::state::Api;
use crate::ws::{ClientIp, EventStream, Streamed};
use relive_protocol::Problem;
use relive_session::{Revision, SessionId};

/// Noted on answers that are event streams.
#[derive(Clone, Copy, Debug)]
pub struct Streaming;

/// A session as server-sent events: what `/ws/sessions/{id}` sends.
///
/// `event:` is the frame's type, `data:` the frame. `id:` is its revision, where the client holds everything up to
/// it: a browser sends the last one as `Last-Event-ID` when it connects again, and misses nothing. Nothing follows
/// the frame `end`. A comment is sent every 15 s. If the credential expires or is revoked, if the session is
/// deleted or the server stops, the last event is an `error`.
#[utoipa::path(get, path = "/sessions/{id}/stream", operation_id = "stream_session", tag = "streams",
    params(
        ("id" = SessionId, Path), WatchQuery,
        ("Last-Event-ID" = Option<Revision>, Header, description = "The last `id:` received; counts before `after`"),
    ),
    responses(
        (status = 200, description = "An event stream", content_type = "text/event-stream", body = String),
        (status = 404, description = "No such session", body = Problem),
        (status = 429, description = "Too many sockets of this caller", body = Problem),
    ))]
pub async fn session(
    api: Api,
    Path(id): Path<SessionId>,
    Query(query): Query<WatchQuery>,
    Extension(client): Extension<ClientIp>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut subscribe = query.subscribe(id);
    if let Some(revision) = last_event_id(&headers)? {
        subscribe.after = Some(revision);
    }
    open(&api, client, Streamed::Session(subscribe)).await
}

/// A live list as server-sent events: what `/ws/sessions` sends. A client that connects again is sent the whole
/// list first.
#[utoipa::path(get, path = "/sessions/stream", operation_id = "stream_list", tag = "streams", params(SessionQuery),
    responses(
        (status = 200, description = "An event stream", content_type = "text/event-stream", body = String),
        (status = 429, description = "Too many sockets of this caller", body = Problem),
    ))]
pub async fn list(
    api: Api,
    ListQuery(query): ListQuery,
    Extension(client): Extension<ClientIp>,
) -> Result<Response, ApiError> {
    let (filter, limit) = (query.filter(&api)?, query.limit()?);
    open(&api, client, Streamed::List(Box::new(filter), limit)).await
}

/// Opens a stream and answers with it.
pub async fn open(api: &Api, ClientIp(ip): ClientIp, streamed: Streamed) -> Result<Response, ApiError> {
    let stream = EventStream::open(&api.services.gateway, api.scoped(), ip, streamed).await?;
    let mut response = Response::new(stream.into_body());
    response.extensions_mut().insert(Streaming);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would gather events before it passes them on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Revision>, ApiError> {
    let value = single(headers, LAST_EVENT_ID.as_str()).map_err(ApiError::bad_request)?;
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let revision = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    revision.map(Some).ok_or_else(|| ApiError::bad_request("Last-Event-ID must be a revision, as in `id:`"))
}
