//! Messages: what a run says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, QueryBuilder, Row};

use super::journal::bigint;
use super::{Storage, StorageError};
use crate::session::{Message, MessageRole, NodeId, Revision, SessionId, Timestamp};

/// Which messages of a session to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    pub agent_id: Option<String>,
    pub node_id: Option<NodeId>,
}

/// The last message of a page. Opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageCursor {
    pub created_at: Timestamp,
    pub revision: Revision,
}

impl MessageCursor {
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.created_at.as_millis().to_be_bytes());
        bytes[8..].copy_from_slice(&self.revision.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` when the text was not made by [`MessageCursor::encode`].
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (millis, revision) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            created_at: Timestamp::from_millis(i64::from_be_bytes(*millis))?,
            revision: u64::from_be_bytes(revision.try_into().ok()?),
        })
    }
}

const MESSAGE: &str = "SELECT id, session_id, revision, node_id, agent_id, agent_name, role, content, token_count,
    is_thinking, created_at FROM session_messages WHERE session_id = ";

impl Storage {
    /// Up to `limit` messages in the order in which they were said, each with its revision.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn messages(
        &self,
        session_id: SessionId,
        filter: &MessageFilter,
        after: Option<MessageCursor>,
        limit: u32,
    ) -> Result<Vec<(Revision, Message)>, StorageError> {
        let mut query = QueryBuilder::new(MESSAGE);
        query.push_bind(session_id.0);
        if let Some(agent_id) = &filter.agent_id {
            query.push(" AND agent_id = ").push_bind(agent_id);
        }
        if let Some(node_id) = &filter.node_id {
            query.push(" AND node_id = ").push_bind(node_id.as_str());
        }
        if let Some(cursor) = after {
            query.push(" AND (created_at, revision) > (").push_bind(cursor.created_at.as_datetime());
            query.push(", ").push_bind(bigint(cursor.revision)).push(")");
        }
        query.push(" ORDER BY created_at, revision LIMIT ").push_bind(i64::from(limit));
        let rows: Vec<MessageRow> = query.build_query_as().fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|MessageRow(revision, message)| (revision, message)).collect())
    }

    /// Up to `limit` messages after revision `after` and up to `up_to`, in revision order.
    ///
    /// # Errors
    ///
    /// When the database is away.
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

/// A message as a row, with its revision.
pub(super) struct MessageRow(pub Revision, pub Message);

impl FromRow<'_, PgRow> for MessageRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let role: &str = row.try_get("role")?;
        let message = Message {
            id: row.try_get("id")?,
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
        };
        Ok(Self(row.try_get::<i64, _>("revision")?.unsigned_abs(), message))
    }
}
