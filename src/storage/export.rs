//! Reads a session for its export, in pages whose size in memory is bounded.
//!
//! Each page is a query of its own. The history of a session up to a revision never changes,
//! so the pages together are one consistent view, and no transaction is open while a slow
//! client reads a page.

use futures_util::{Stream, TryStreamExt as _};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::bigint::bigint;
use super::forks::USAGE_AT;
use super::memories::{COLUMNS, read_memory};
use super::message_history::history_query;
use super::usage::{UsageColumns, UsageRow};
use super::{MessageCursor, PageCursor, PlacedMessage, Storage, StorageError, StoredEvent};
use relive_session::{Memory, Revision, SessionId, Timestamp};

/// Bytes of a page, roughly: it ends with the row that reaches them.
const PAGE_BYTES: usize = 256 * 1024;
/// Rows of a page at most.
const PAGE_ROWS: u32 = 2_000;

/// An ancestor of a fork, up to the revision at which it was forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    pub depth: u32,
    pub session_id: SessionId,
    pub revision: Revision,
}

/// The number of rows to query, adapted to their size: rows that do not fit into the page are read in vain.
#[derive(Clone, Copy, Debug)]
pub struct PageSize(u32);

impl Default for PageSize {
    fn default() -> Self {
        Self(64)
    }
}

impl PageSize {
    /// Reads rows until they have enough bytes, and adapts the size of the next page.
    async fn read_step<T, E>(
        &mut self,
        mut rows: impl Stream<Item = Result<T, E>> + Unpin,
        bytes_of: impl Fn(&T) -> usize,
    ) -> Result<Vec<T>, StorageError>
    where
        StorageError: From<E>,
    {
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = rows.try_next().await?
        {
            bytes += bytes_of(&row);
            page.push(row);
        }
        let taken = u32::try_from(page.len()).unwrap_or(PAGE_ROWS);
        self.0 = if taken < self.0 { taken.max(1) + 1 } else { self.0.saturating_mul(2) }.min(PAGE_ROWS);
        Ok(page)
    }
}

impl Storage {
    /// The next events after `after`, up to `up_to`; empty at the end.
    pub async fn export_events(
        &self,
        session_id: SessionId,
        after: Revision,
        up_to: Revision,
        size: &mut PageSize,
    ) -> Result<Vec<StoredEvent>, StorageError> {
        let rows = self.journal(session_id).after(after).up_to(up_to).stored_stream(size.0);
        size.read_step(rows, |stored| stored.event.get().len() + 64).await
    }

    /// The next messages of the session and its ancestors, in order; empty at the end.
    pub async fn export_messages(
        &self,
        session_id: SessionId,
        after: Option<MessageCursor>,
        size: &mut PageSize,
    ) -> Result<Vec<PlacedMessage>, StorageError> {
        let query = history_query(session_id, after, size.0);
        size.read_step(query.fetch(&self.pool), |placed| placed.message.content.len() + 256).await
    }

    /// The next memories with their embeddings, of those stored by `before`; empty at the end.
    pub async fn export_memories(
        &self,
        session_id: SessionId,
        after: Option<PageCursor>,
        before: Timestamp,
        size: &mut PageSize,
    ) -> Result<Vec<Memory>, StorageError> {
        let sql = format!(
            "SELECT {COLUMNS}, embedding FROM memories
             WHERE session_id = $1 AND created_at <= $2 AND ($3::timestamptz IS NULL OR (created_at, id) > ($3, $4))
             ORDER BY created_at, id LIMIT $5"
        );
        let rows = sqlx::query_as::<_, WholeMemory>(sqlx::AssertSqlSafe(sql))
            .bind(session_id.0)
            .bind(before.as_datetime())
            .bind(after.map(|cursor| cursor.created_at.as_datetime()))
            .bind(after.map(|cursor| cursor.id))
            .bind(i64::from(size.0))
            .fetch(&self.pool);
        let bytes_of = |WholeMemory(memory): &WholeMemory| {
            memory.content.len() + memory.embedding.as_ref().map_or(0, |numbers| numbers.len() * 4) + 256
        };
        Ok(size.read_step(rows, bytes_of).await?.into_iter().map(|WholeMemory(memory)| memory).collect())
    }

    /// The number of messages and memories that an export has now.
    pub async fn export_counts(&self, session_id: SessionId, up_to: Revision) -> Result<(u64, u64), StorageError> {
        let (messages, memories): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM session_messages WHERE session_id = $1 AND revision <= $2)
                  + COALESCE((SELECT sum((SELECT count(*) FROM session_messages AS own
                                WHERE own.session_id = ancestry.ancestor_id AND own.revision <= ancestry.revision)
                             + (SELECT count(*) FROM ancestor_messages AS kept
                                WHERE kept.ancestor_id = ancestry.ancestor_id AND kept.revision <= ancestry.revision))
                       FROM session_lineage AS ancestry WHERE ancestry.session_id = $1), 0)::bigint,
                    (SELECT count(*) FROM memories WHERE session_id = $1)",
        )
        .bind(session_id.0)
        .bind(bigint(up_to))
        .fetch_one(&self.pool)
        .await?;
        Ok((messages.unsigned_abs(), memories.unsigned_abs()))
    }

    /// The sessions that a session descends from, the nearest first.
    pub async fn ancestors(&self, session_id: SessionId) -> Result<Vec<Ancestor>, StorageError> {
        let rows: Vec<(i32, Uuid, i64)> = sqlx::query_as(
            "SELECT depth, COALESCE(ancestors.session_id, ancestor_id), revision
             FROM session_lineage AS line LEFT JOIN ancestors ON ancestors.id = line.ancestor_id
             WHERE line.session_id = $1 ORDER BY depth",
        )
        .bind(session_id.0)
        .fetch_all(&self.pool)
        .await?;
        let ancestor = |(depth, id, revision): (i32, Uuid, i64)| Ancestor {
            depth: depth.unsigned_abs(),
            session_id: SessionId(id),
            revision: revision.unsigned_abs(),
        };
        Ok(rows.into_iter().map(ancestor).collect())
    }

    /// The usage at the beginning of a fork, by node, agent and model.
    pub async fn inherited_usage(&self, session_id: SessionId) -> Result<Vec<UsageRow>, StorageError> {
        let sql = format!("{USAGE_AT} ORDER BY node_id COLLATE \"C\", agent_id COLLATE \"C\", model COLLATE \"C\"");
        let rows: Vec<UsageColumns> =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(session_id.0).bind(1_i64).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(UsageRow::from_columns).collect())
    }
}

/// A memory with its embedding.
struct WholeMemory(Memory);

impl FromRow<'_, PgRow> for WholeMemory {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let embedding: Option<pgvector::Vector> = row.try_get("embedding")?;
        Ok(Self(Memory { embedding: embedding.map(Into::into), ..read_memory(row)? }))
    }
}
