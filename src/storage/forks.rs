//! Forks: what they share with their ancestors (see the migration `0005_forks`).

use serde_json::Value;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::bigint::bigint;
use super::sessions::{NewSession, insert_session};
use super::usage::{UsageColumns, UsageRow};
use super::{Storage, StorageError};
use relive_session::{OutputRef, Revision, SessionId};

/// Stores a fork on the caller's connection, as part of its transaction; returns whether webhooks are told of it.
async fn insert_fork(
    connection: &mut PgConnection,
    new: &NewSession<'_>,
    parent_id: SessionId,
    revision: Revision,
) -> Result<bool, StorageError> {
    let fork_id = new.session.id;
    lock_ancestry(&mut *connection, parent_id).await?;
    let is_noticed = insert_session(&mut *connection, new).await?;
    sqlx::query(
        "INSERT INTO session_lineage (session_id, depth, ancestor_id, revision)
         SELECT $1, 1, $2, $3
         UNION ALL SELECT $1, depth + 1, ancestor_id, revision FROM session_lineage WHERE session_id = $2",
    )
    .bind(fork_id.0)
    .bind(parent_id.0)
    .bind(bigint(revision))
    .execute(&mut *connection)
    .await?;
    let sql = format!(
        "INSERT INTO session_usage
            (node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd, session_id)
         SELECT usage.*, $3 FROM ({USAGE_AT}) AS usage"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(parent_id.0)
        .bind(bigint(revision))
        .bind(fork_id.0)
        .execute(&mut *connection)
        .await?;
    Ok(is_noticed)
}

impl Storage {
    /// Stores a fork of `parent_id` at `revision` with its first event, its ancestry, and the usage up to there.
    ///
    /// # Errors
    ///
    /// [`StorageError::SessionGone`] if the parent no longer exists; otherwise as for
    /// [`Storage::create_session`].
    pub async fn create_fork(
        &self,
        new: &NewSession<'_>,
        parent_id: SessionId,
        revision: Revision,
    ) -> Result<(), StorageError> {
        let mut transaction = self.pool.begin().await?;
        let is_noticed =
            transaction.run(async |connection| insert_fork(connection, new, parent_id, revision).await).await?;
        transaction.commit().await?;
        self.outbox_filled(is_noticed);
        Ok(())
    }

    /// The number of a session's ancestors.
    pub async fn count_ancestors(&self, session_id: SessionId) -> Result<usize, StorageError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM session_lineage WHERE session_id = $1")
            .bind(session_id.0)
            .fetch_one(&self.pool)
            .await?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The output of a node, from the journal position that its session's state keeps.
    pub async fn output(&self, session_id: SessionId, place: OutputRef) -> Result<Option<Value>, StorageError> {
        let output: Option<Json<Value>> = sqlx::query_scalar(
            "WITH place AS (
                SELECT $1 AS id WHERE $2 = 0
                UNION ALL SELECT ancestor_id FROM session_lineage WHERE session_id = $1 AND depth = $2)
             SELECT event -> 'output' FROM place JOIN session_events ON session_id = place.id AND revision = $3
                WHERE event -> 'output' IS NOT NULL
             UNION ALL SELECT output FROM place JOIN ancestor_outputs ON ancestor_id = place.id AND revision = $3",
        )
        .bind(session_id.0)
        .bind(i32::try_from(place.depth).unwrap_or(i32::MAX))
        .bind(bigint(place.revision))
        .fetch_optional(&self.pool)
        .await?;
        Ok(output.map(|Json(output)| output))
    }

    /// The input of a node, recorded at this revision of its session.
    pub async fn input(&self, session_id: SessionId, revision: Revision) -> Result<Option<Value>, StorageError> {
        let input: Option<Json<Value>> = sqlx::query_scalar(
            "SELECT event -> 'input' FROM session_events
             WHERE session_id = $1 AND revision = $2 AND event -> 'input' IS NOT NULL",
        )
        .bind(session_id.0)
        .bind(bigint(revision))
        .fetch_optional(&self.pool)
        .await?;
        Ok(input.map(|Json(input)| input))
    }
}

impl Storage {
    /// A session's usage as it was at a revision, by node, agent and model.
    pub async fn usage_at(&self, session_id: SessionId, revision: Revision) -> Result<Vec<UsageRow>, StorageError> {
        let query = sqlx::query_as::<_, UsageColumns>(USAGE_AT).bind(session_id.0).bind(bigint(revision));
        Ok(query.fetch_all(&self.pool).await?.into_iter().map(UsageRow::from_columns).collect())
    }
}

/// The usage of session `$1` as it was at revision `$2`: the current sum without what came later.
pub(super) const USAGE_AT: &str = "
    SELECT node_id, agent_id, model, sum(calls)::bigint AS calls, sum(input_tokens)::bigint AS input_tokens,
           sum(output_tokens)::bigint AS output_tokens, sum(cost_usd) AS cost_usd
    FROM (
        SELECT node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd
        FROM session_usage WHERE session_id = $1
        UNION ALL
        SELECT event ->> 'nodeId', COALESCE(event ->> 'agentId', ''), COALESCE(event ->> 'model', ''), -1,
               -(event ->> 'inputTokens')::bigint, -(event ->> 'outputTokens')::bigint,
               -(event ->> 'costUsd')::numeric
        FROM session_events
        WHERE session_id = $1 AND revision > $2 AND event ->> 'type' = 'usageRecorded'
    ) AS changes
    GROUP BY node_id, agent_id, model HAVING sum(calls) > 0";

/// Locks every session of an ancestry against deletion until the transaction ends. Sessions that were
/// deleted before are kept as mere ancestors for as long as they have descendants.
async fn lock_ancestry(connection: &mut PgConnection, parent_id: SessionId) -> Result<(), StorageError> {
    let held: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM sessions
         WHERE id = $1 OR id IN (SELECT ancestor_id FROM session_lineage WHERE session_id = $1)
         ORDER BY id FOR KEY SHARE",
    )
    .bind(parent_id.0)
    .fetch_all(connection)
    .await?;
    if held.contains(&parent_id.0) { Ok(()) } else { Err(StorageError::SessionGone) }
}
