//! Messages of sessions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder, Row};

use super::bigint::bigint;
use super::{Storage, StorageError};
use relive_session::{ContentType, Message, MessageId, MessageRole, NodeId, Revision, SessionId, Timestamp, ToolCall};

/// Which messages of a session to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    pub agent_id: Option<String>,
    pub node_id: Option<NodeId>,
    /// Created at this time or later.
    pub since: Option<Timestamp>,
    /// Created at this time or earlier.
    pub until: Option<Timestamp>,
}

/// At which end of a run to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

/// A message with its position: the revision that added it, in the history of the session itself
/// (depth 0) or of an ancestor.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedMessage {
    pub depth: u32,
    pub revision: Revision,
    pub message: Message,
}

impl PlacedMessage {
    #[must_use]
    pub fn cursor(&self) -> MessageCursor {
        MessageCursor { depth: self.depth, revision: self.revision }
    }
}

/// The last message of a page. Opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageCursor {
    pub depth: u32,
    pub revision: Revision,
}

impl MessageCursor {
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.depth.to_be_bytes());
        bytes[4..].copy_from_slice(&self.revision.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` when the text was not made by [`MessageCursor::encode`].
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 12] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (depth, revision) = bytes.split_first_chunk::<4>()?;
        let depth = u32::from_be_bytes(*depth);
        Some(Self { depth, revision: u64::from_be_bytes(revision.try_into().ok()?) })
    }
}

const MESSAGE: &str = "SELECT id, session_id, revision, node_id, agent_id, agent_name, role, content, token_count,
    is_thinking, created_at, tool_calls, tool_call_id, content_type FROM session_messages WHERE session_id = ";

impl Storage {
    /// Up to `limit` messages after revision `after` and up to `up_to`, in revision order.
    pub async fn messages_between(
        &self,
        session_id: SessionId,
        after: Revision,
        up_to: Revision,
        limit: u32,
    ) -> Result<Vec<(Revision, Message)>, StorageError> {
        let mut query = QueryBuilder::new(MESSAGE);
        query.push_bind(session_id.0).push(" AND revision > ").push_bind(bigint(after));
        query.push(" AND revision <= ").push_bind(bigint(up_to));
        query.push(" ORDER BY revision LIMIT ").push_bind(i64::from(limit));
        let rows: Vec<MessageRow> = query.build_query_as().fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|MessageRow(revision, message)| (revision, message)).collect())
    }
}

/// The ids of the newest calls of tools, newest first.
const CALLS: &str = "SELECT coalesce(asked.call->>'id', '') FROM session_messages
    CROSS JOIN json_array_elements(tool_calls) WITH ORDINALITY AS asked(call, place)
    WHERE session_id = $1 AND revision <= $2 AND tool_calls IS NOT NULL
    ORDER BY revision DESC, place DESC LIMIT $3";

impl Storage {
    /// The ids of the last `limit` calls of tools up to a revision, in their order.
    pub async fn tool_call_ids(
        &self,
        session_id: SessionId,
        up_to: Revision,
        limit: u32,
    ) -> Result<Vec<String>, StorageError> {
        let query = sqlx::query_scalar(CALLS).bind(session_id.0).bind(bigint(up_to)).bind(i64::from(limit));
        let mut ids: Vec<String> = query.fetch_all(&self.pool).await?;
        ids.reverse();
        Ok(ids)
    }
}

impl FromRow<'_, PgRow> for PlacedMessage {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let MessageRow(revision, message) = MessageRow::from_row(row)?;
        Ok(Self { depth: row.try_get::<i32, _>("depth")?.unsigned_abs(), revision, message })
    }
}

/// A message as a row, with its revision.
pub(super) struct MessageRow(pub Revision, pub Message);

impl FromRow<'_, PgRow> for MessageRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let role: &str = row.try_get("role")?;
        let tool_calls: Option<Json<Vec<ToolCall>>> = row.try_get("tool_calls")?;
        let message = Message {
            id: MessageId::new(row.try_get("id")?)
                .ok_or_else(|| sqlx::Error::Decode("the id of a message is none".into()))?,
            session_id: SessionId(row.try_get("session_id")?),
            node_id: NodeId::from(row.try_get::<&str, _>("node_id")?),
            agent_id: row.try_get("agent_id")?,
            agent_name: row.try_get("agent_name")?,
            role: MessageRole::parse(role)
                .ok_or_else(|| sqlx::Error::Decode(format!("unknown message role '{role}'").into()))?,
            content: row.try_get::<&str, _>("content")?.into(),
            is_thinking: row.try_get("is_thinking")?,
            is_streaming: false,
            token_count: row.try_get::<i64, _>("token_count")?.unsigned_abs(),
            created_at: row.try_get::<DateTime<Utc>, _>("created_at")?.into(),
            tool_calls: tool_calls.map(|Json(calls)| calls.into()),
            tool_call_id: row.try_get("tool_call_id")?,
            content_type: row.try_get::<Option<&str>, _>("content_type")?.and_then(ContentType::parse),
        };
        Ok(Self(row.try_get::<i64, _>("revision")?.unsigned_abs(), message))
    }
}
