//! Messages of a session.

use axum::Json;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::extract::{Path, Query};
use super::session_query::limit;
use super::state::Api;
use crate::storage::{MessageCursor, MessageFilter, MessageOrder};
use relive_protocol::{MessagePage, Problem};
use relive_session::{NodeId, SessionId, Timestamp};

/// Messages on a page by default, and at most.
const LIMIT: (u32, u32) = (100, 1_000);

/// The end to begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    Asc,
    Desc,
}

impl From<Order> for MessageOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Asc => Self::OldestFirst,
            Order::Desc => Self::NewestFirst,
        }
    }
}

/// Which messages to read.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct MessageQuery {
    agent_id: Option<String>,
    #[param(value_type = Option<String>)]
    node_id: Option<NodeId>,
    /// Only messages of this time or later.
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Only messages of this time or earlier. With `order=desc`, the first page begins there.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
    /// `asc`, the oldest first, is the default; `desc`, the newest first.
    #[param(inline)]
    order: Option<Order>,
    /// `nextAfter` of the page before, which was read in the same order.
    after: Option<String>,
    /// Messages at most: 1 to 1000, by default 100.
    limit: Option<u32>,
}

/// A session's messages, in chronological or reverse order.
///
/// Those of a fork begin with the messages of its ancestors, up to the revisions where they were forked;
/// `sessionId` is the session in which a message was added.
#[utoipa::path(get, path = "/sessions/{id}/messages", operation_id = "list_messages", tag = "sessions",
    params(("id" = SessionId, Path), MessageQuery),
    responses(
        (status = 200, description = "A page of messages", body = MessagePage),
        (status = 400, description = "A parameter is invalid", body = Problem),
        (status = 404, description = "No such session", body = Problem),
    ))]
pub async fn list(
    api: Api,
    Path(id): Path<SessionId>,
    Query(query): Query<MessageQuery>,
) -> Result<Json<MessagePage>, ApiError> {
    let limit = limit(query.limit, LIMIT.0, LIMIT.1)?;
    let after = query
        .after
        .map(|text| {
            MessageCursor::decode(&text).ok_or_else(|| ApiError::bad_request("after is not one from this server"))
        })
        .transpose()?;
    let has_nul = |text: &str| text.contains('\0');
    if query.agent_id.as_deref().is_some_and(has_nul) || query.node_id.as_ref().is_some_and(|id| has_nul(id.as_str())) {
        return Err(ApiError::bad_request("ids do not contain the character NUL"));
    }
    // An empty page and a missing session are different answers.
    let of = api.readable(id).await?;
    let order = query.order.unwrap_or(Order::Asc).into();
    let MessageQuery { agent_id, node_id, since, until, .. } = query;
    let filter = MessageFilter { agent_id, node_id, since, until };
    let mut found = api.messages(of, &filter, order, after, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_after = found.last().filter(|_| more).map(|last| last.cursor().encode());
    Ok(Json(MessagePage { messages: found.into_iter().map(|placed| placed.message).collect(), next_after }))
}
