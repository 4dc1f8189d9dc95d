//! Log lines of a session.

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use super::extract::{Path, Query};
use super::messages::Order;
use super::session_query::limit;
use super::state::Api;
use crate::storage::{LogFilter, MessageCursor};
use relive_protocol::{LogPage, Problem};
use relive_session::{LogLevel, NodeId, SessionId};

/// Lines on a page by default, and at most.
const LIMIT: (u32, u32) = (100, 1_000);
/// Characters of a text that is searched for.
const TEXT_CHARACTERS: usize = 200;

/// Which log lines to read.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    #[param(value_type = Option<String>)]
    node_id: Option<NodeId>,
    /// `debug`, `info`, `warn` or `error`: lines of this level and of those above it.
    #[param(inline)]
    level: Option<LogLevel>,
    /// Only lines with this text in them, ignoring case; at most 200 characters.
    text: Option<String>,
    /// `asc`, in the order of recording, is the default; `desc`, the newest first.
    #[param(inline)]
    order: Option<Order>,
    /// `nextAfter` of the page before, which was read in the same order; or a revision of the session itself.
    after: Option<String>,
    /// Lines at most: 1 to 1000, by default 100.
    limit: Option<u32>,
}

/// A session's log lines, in the order of recording or the reverse.
///
/// Those of a fork begin with the lines of its ancestors, up to the revisions where they were forked; `sessionId` is
/// the session in which a line was added. With `level` or `text`, a page looks through a limited number of
/// revisions: it may have few lines or none and a `nextAfter` all the same.
#[utoipa::path(get, path = "/sessions/{id}/logs", operation_id = "list_logs", tag = "sessions",
    params(("id" = SessionId, Path), LogQuery),
    responses(
        (status = 200, description = "A page of log lines", body = LogPage),
        (status = 400, description = "A parameter is invalid", body = Problem),
        (status = 404, description = "No such session", body = Problem),
    ))]
pub async fn list(
    api: Api,
    Path(id): Path<SessionId>,
    Query(query): Query<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let limit = limit(query.limit, LIMIT.0, LIMIT.1)?;
    let after = query.after.map(|text| place(&text)).transpose()?;
    if query.node_id.as_ref().is_some_and(|id| id.as_str().contains('\0')) {
        return Err(ApiError::bad_request("ids do not contain the character NUL"));
    }
    let is_possible = |text: &String| text.chars().count() <= TEXT_CHARACTERS && !text.contains('\0');
    if !query.text.as_ref().is_none_or(is_possible) {
        return Err(ApiError::bad_request(format!("text has at most {TEXT_CHARACTERS} characters, none of them NUL")));
    }
    // An empty page and a missing session are different answers.
    let of = api.readable(id).await?;
    let order = query.order.unwrap_or(Order::Asc).into();
    let text = query.text.filter(|text| !text.is_empty());
    let filter = LogFilter { node_id: query.node_id, level: query.level, text };
    let found = api.logs(of, &filter, order, after, limit).await?;
    Ok(Json(LogPage { logs: found.logs, next_after: found.next.map(|next| next.encode()) }))
}

/// A cursor, or a revision of the session.
fn place(text: &str) -> Result<MessageCursor, ApiError> {
    let revision = || text.parse().ok().map(|revision| MessageCursor { depth: 0, revision });
    MessageCursor::decode(text)
        .or_else(revision)
        .ok_or_else(|| ApiError::bad_request("after is neither a revision nor one from this server"))
}
