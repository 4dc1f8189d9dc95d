//! Memories: storing them, reading them, and searching them by vector ([`vector`](mod@vector)) or by
//! words ([`words`]).
//!
//! A memory is stored whether or not it has an embedding yet; [`unembedded`] is the queue of those
//! that still need one.

pub(super) mod indexes;
mod search_pool;
mod strategies;
mod unembedded;
mod vector;
mod words;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::link::STATEMENT;
use super::{Page, PageCursor, Storage, StorageError};
use relive_session::{Memory, ProjectId, SessionId, Timestamp};

pub(super) use search_pool::search_pool;
pub(super) use strategies::Strategies;
pub use unembedded::Unembedded;
pub(super) use words::containing;

/// A memory to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewMemory<'a> {
    pub project_id: &'a ProjectId,
    pub id: Uuid,
    pub group_id: Option<Uuid>,
    pub agent_id: Option<&'a str>,
    pub session_id: Option<SessionId>,
    pub content: &'a str,
    /// Validated: of the server's dimension, and not zero.
    pub embedding: Option<&'a [f32]>,
    pub metadata: Option<&'a Value>,
    pub at: Timestamp,
}

/// The scope of a search. Every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryScope {
    pub project_id: ProjectId,
    pub group_id: Option<Uuid>,
    pub agent_id: Option<String>,
    pub session_id: Option<SessionId>,
}

/// Which memories a page by time begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeOrder {
    OldestFirst,
    NewestFirst,
}

/// How many memories a search returns, and their least score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchLimits {
    pub limit: u32,
    pub min_score: Option<f64>,
}

pub(super) const COLUMNS: &str =
    "id, group_id, agent_id, session_id, content, metadata, embedding IS NOT NULL AS embedded, created_at";

impl MemoryScope {
    /// Adds `AND …` for each condition.
    fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" AND project_id = ").push_bind(self.project_id.as_str().to_owned());
        if let Some(group_id) = self.group_id {
            query.push(" AND group_id = ").push_bind(group_id);
        }
        if let Some(agent_id) = &self.agent_id {
            query.push(" AND agent_id = ").push_bind(agent_id.clone());
        }
        if let Some(session_id) = self.session_id {
            query.push(" AND session_id = ").push_bind(session_id.0);
        }
    }
}

/// Stores a memory on the caller's connection, as part of its transaction.
pub(super) async fn insert(connection: &mut PgConnection, memory: &NewMemory<'_>) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO memories (id, group_id, agent_id, session_id, content, embedding, metadata, created_at, project_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(memory.id)
    .bind(memory.group_id)
    .bind(memory.agent_id)
    .bind(memory.session_id.map(|id| id.0))
    .bind(memory.content)
    .bind(memory.embedding.map(|embedding| pgvector::Vector::from(embedding.to_vec())))
    .bind(memory.metadata.map(Json))
    .bind(memory.at.as_datetime())
    .bind(memory.project_id.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

impl Storage {
    /// Stores a memory outside a run.
    ///
    /// # Errors
    ///
    /// [`StorageError::Constraint`] if the id is taken or there is no such group,
    /// [`StorageError::SessionGone`] if there is no such session.
    pub async fn add_memory(&self, memory: &NewMemory<'_>) -> Result<(), StorageError> {
        let mut connection = self.pool.acquire().await?;
        connection.run(STATEMENT, async |connection| insert(connection, memory).await).await?;
        if memory.embedding.is_none() {
            self.unembedded.notify_one();
        }
        Ok(())
    }

    /// A memory of a project, with its embedding.
    pub async fn memory(&self, project: &ProjectId, id: Uuid) -> Result<Option<Memory>, StorageError> {
        let sql = format!("SELECT {COLUMNS}, embedding FROM memories WHERE id = $1 AND project_id = $2");
        let row =
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(project.as_str()).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let embedding: Option<pgvector::Vector> = row.try_get("embedding")?;
        Ok(Some(Memory { embedding: embedding.map(Into::into), ..read_memory(&row)? }))
    }

    /// Deletes a memory of a project; false if there was none.
    pub async fn delete_memory(&self, project: &ProjectId, id: Uuid) -> Result<bool, StorageError> {
        let delete =
            sqlx::query("DELETE FROM memories WHERE id = $1 AND project_id = $2").bind(id).bind(project.as_str());
        let deleted = delete.execute(&self.pool).await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// A page of the memories in a scope, by the time at which they were added.
    pub async fn memories_by_time(
        &self,
        scope: &MemoryScope,
        order: TimeOrder,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<Memory>, StorageError> {
        let mut query = QueryBuilder::new("");
        push_page(&mut query, scope, order, after, limit);
        // A plan for a scope with many memories must not be used for one with few.
        let rows = query.build().persistent(false).fetch_all(&self.pool).await?;
        let rows = rows.iter().map(read_memory).collect::<sqlx::Result<Vec<_>>>()?;
        Ok(Page::cut(rows, limit, |memory| PageCursor { created_at: memory.created_at, id: memory.id }))
    }

    /// The plan with which the database reads such a page: `EXPLAIN (ANALYZE, FORMAT JSON)`.
    pub async fn explain_memories(
        &self,
        scope: &MemoryScope,
        order: TimeOrder,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Value, StorageError> {
        let mut query = QueryBuilder::new("EXPLAIN (ANALYZE, FORMAT JSON) ");
        push_page(&mut query, scope, order, after, limit);
        let Json(plan) = query.build().persistent(false).fetch_one(&self.pool).await?.try_get(0)?;
        Ok(plan)
    }
}

/// Appends the query of [`Storage::memories_by_time`].
fn push_page(
    query: &mut QueryBuilder<Postgres>,
    scope: &MemoryScope,
    order: TimeOrder,
    after: Option<PageCursor>,
    limit: u32,
) {
    query.push("SELECT ").push(COLUMNS).push(" FROM memories WHERE TRUE");
    scope.push_to(query);
    if let Some(cursor) = after {
        query.push(match order {
            TimeOrder::OldestFirst => " AND (created_at, id) > (",
            TimeOrder::NewestFirst => " AND (created_at, id) < (",
        });
        query.push_bind(cursor.created_at.as_datetime()).push(", ").push_bind(cursor.id).push(")");
    }
    query.push(match order {
        TimeOrder::OldestFirst => " ORDER BY created_at, id LIMIT ",
        TimeOrder::NewestFirst => " ORDER BY created_at DESC, id DESC LIMIT ",
    });
    query.push_bind(i64::from(limit) + 1);
}

/// Needs the columns of `COLUMNS`.
pub(super) fn read_memory(row: &PgRow) -> sqlx::Result<Memory> {
    Ok(Memory {
        id: row.try_get("id")?,
        group_id: row.try_get("group_id")?,
        agent_id: row.try_get("agent_id")?,
        session_id: row.try_get::<Option<Uuid>, _>("session_id")?.map(SessionId),
        content: row.try_get("content")?,
        metadata: row.try_get::<Option<Json<_>>, _>("metadata")?.map(|Json(value)| value),
        embedded: row.try_get("embedded")?,
        embedding: None,
        score: None,
        created_at: row.try_get::<DateTime<Utc>, _>("created_at")?.into(),
    })
}
