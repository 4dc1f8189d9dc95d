//! Messages: what a run says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Postgres, QueryBuilder, Row};

use super::journal::bigint;
use super::{Storage, StorageError};
use crate::session::{Message, MessageRole, NodeId, Revision, SessionId};

/// Which messages of a session to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    pub agent_id: Option<String>,
    pub node_id: Option<NodeId>,
}

/// A message with its place: the revision that added it, in the history of the session itself
/// (depth 0) or of one that it descends from.
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
    is_thinking, created_at FROM session_messages WHERE session_id = ";

/// The messages of session `$1` and, up to where it leaves their lines, of those it descends from.
const LINE: &str = "
    WITH line AS (
        SELECT depth, ancestor_id, revision AS up_to FROM session_lineage WHERE session_id = $1
        UNION ALL SELECT 0, $1, 9223372036854775807
    ), wanted AS (
        SELECT depth, ancestor_id, up_to,
               CASE WHEN depth = $2 THEN $3 ELSE 0 END AS after FROM line WHERE depth <= $2
    )
    SELECT depth, message.* FROM wanted CROSS JOIN LATERAL (
        (SELECT id, session_id, revision, node_id, agent_id, agent_name, role, content, token_count, is_thinking,
                created_at
         FROM session_messages
         WHERE session_id = ancestor_id AND revision <= up_to AND revision > after
           AND ($4::text IS NULL OR agent_id = $4) AND ($5::text IS NULL OR node_id = $5)
         ORDER BY revision LIMIT $6)
        UNION ALL
        (SELECT messages.id, ancestors.session_id, revision, node_id, agent_id, agent_name, role, content,
                token_count, is_thinking, created_at
         FROM ancestor_messages AS messages JOIN ancestors ON ancestors.id = messages.ancestor_id
         WHERE messages.ancestor_id = wanted.ancestor_id AND revision <= up_to AND revision > after
           AND ($4::text IS NULL OR agent_id = $4) AND ($5::text IS NULL OR node_id = $5)
         ORDER BY revision LIMIT $6)
    ) AS message
    ORDER BY depth DESC, revision LIMIT $6";

impl Storage {
    /// Up to `limit` messages in the order in which they were said: first those of the sessions it
    /// descends from, up to where it was forked, then its own.
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
    ) -> Result<Vec<PlacedMessage>, StorageError> {
        Ok(line_query(session_id, filter, after, limit).fetch_all(&self.pool).await?)
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

/// Within a session, times never decrease along revisions, and a fork begins no earlier than where
/// it leaves its parent: so this is also the order of `created_at`.
pub(super) fn line_query(
    session_id: SessionId,
    filter: &MessageFilter,
    after: Option<MessageCursor>,
    limit: u32,
) -> QueryAs<'static, Postgres, PlacedMessage, PgArguments> {
    let after = after.unwrap_or(MessageCursor { depth: u32::MAX, revision: 0 });
    sqlx::query_as(LINE)
        .bind(session_id.0)
        .bind(i32::try_from(after.depth).unwrap_or(i32::MAX))
        .bind(bigint(after.revision))
        .bind(filter.agent_id.clone())
        .bind(filter.node_id.as_ref().map(|id| id.as_str().to_owned()))
        .bind(i64::from(limit))
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
