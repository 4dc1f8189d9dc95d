//! The queue of memories that need an embedding: those that have none, and after them those whose
//! embedding has another dimension than the server's, from before that setting was changed. Several servers
//! share the work.
//!
//! A transaction that stays open during a request to the endpoint would hold its rows' locks that long, and
//! deleting their session would wait for it. So claiming is a statement of its own: it skips rows that others
//! are claiming at that moment (`SKIP LOCKED`), and moves `embed_after` on, which is a lease. If the server
//! dies, the lease expires and the memory is claimed again.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use crate::storage::{Storage, StorageError};

/// A memory that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unembedded {
    pub id: Uuid,
    pub content: String,
}

impl Storage {
    /// Completes when this process has stored memories without an embedding since the last call. For one
    /// caller.
    pub async fn unembedded_stored(&self) {
        self.unembedded.notified().await;
    }

    /// Claims up to `limit` memories for the time of `lease`; returns at most `characters` of each text. When
    /// all have an embedding, those that have one of another dimension than `dimension` come next.
    pub async fn claim_unembedded(
        &self,
        limit: u32,
        lease: Duration,
        characters: u32,
        dimension: u32,
    ) -> Result<Vec<Unembedded>, StorageError> {
        let claimed = self.claim_where("embedding IS NULL", limit, lease, characters).await?;
        if !claimed.is_empty() {
            return Ok(claimed);
        }
        // While servers with different settings run side by side, as in an update, only those with the newest
        // setting claim these: otherwise each would undo the other's work all that time.
        let others = format!(
            "vector_dims(unit) <> {dimension}
             AND (SELECT value = '{dimension}' FROM settings WHERE name = 'embedding_dimension')"
        );
        self.claim_where(&others, limit, lease, characters).await
    }

    async fn claim_where(
        &self,
        condition: &str,
        limit: u32,
        lease: Duration,
        characters: u32,
    ) -> Result<Vec<Unembedded>, StorageError> {
        let sql = format!(
            "WITH claimed AS MATERIALIZED (
                 SELECT id FROM memories WHERE {condition} AND embed_after <= now()
                 ORDER BY embed_after LIMIT $1 FOR UPDATE SKIP LOCKED)
             UPDATE memories SET embed_after = now() + make_interval(secs => $2) FROM claimed
             WHERE memories.id = claimed.id RETURNING memories.id, left(content, $3) AS content"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(i64::from(limit))
            .bind(lease.as_secs_f64())
            .bind(i32::try_from(characters).unwrap_or(i32::MAX))
            .fetch_all(&self.pool)
            .await?;
        let read =
            |row: &sqlx::postgres::PgRow| Ok(Unembedded { id: row.try_get("id")?, content: row.try_get("content")? });
        Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
    }

    /// Stores embeddings. Memories that were deleted meanwhile, or have such an embedding by now, are skipped.
    pub async fn store_embeddings(&self, embeddings: Vec<(Uuid, Vec<f32>)>) -> Result<(), StorageError> {
        let (ids, vectors): (Vec<Uuid>, Vec<pgvector::Vector>) =
            embeddings.into_iter().map(|(id, embedding)| (id, embedding.into())).unzip();
        sqlx::query(
            "UPDATE memories SET embedding = e.embedding FROM UNNEST($1::uuid[], $2::vector[]) AS e (id, embedding)
             WHERE memories.id = e.id AND vector_dims(memories.embedding) IS DISTINCT FROM vector_dims(e.embedding)",
        )
        .bind(ids)
        .bind(vectors)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How many memories have no embedding, or one of another dimension, counted up to `limit` each.
    pub async fn count_unembedded(&self, limit: u32, dimension: u32) -> Result<u32, StorageError> {
        let sql = format!(
            "SELECT count(*) FROM ((SELECT FROM memories WHERE embedding IS NULL LIMIT $1)
                 UNION ALL (SELECT FROM memories WHERE vector_dims(unit) <> {dimension} LIMIT $1)) AS waiting"
        );
        let count: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(i64::from(limit)).fetch_one(&self.pool).await?;
        Ok(u32::try_from(count).unwrap_or(limit))
    }

    /// Releases memories, to be claimed again after `pause`.
    pub async fn release_unembedded(&self, ids: &[Uuid], pause: Duration) -> Result<(), StorageError> {
        sqlx::query("UPDATE memories SET embed_after = now() + make_interval(secs => $2) WHERE id = ANY($1)")
            .bind(ids)
            .bind(pause.as_secs_f64())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
