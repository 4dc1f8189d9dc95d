//! Traces whose sessions are to be ended by the server.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::{Storage, StorageError};
use relive_session::{ProjectId, SessionId};

/// A trace that has not ended.
#[derive(Clone, Copy, Debug)]
pub struct OpenTrace {
    pub session_id: SessionId,
    /// Since its first span came.
    pub age: Duration,
}

impl Storage {
    /// Notes a trace, to be looked at after this time.
    pub async fn note_open_trace(
        &self,
        project: &ProjectId,
        id: SessionId,
        after: Duration,
    ) -> Result<(), StorageError> {
        sqlx::query(
            "INSERT INTO open_traces (session_id, project_id, look_at)
             VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
             ON CONFLICT (session_id) DO NOTHING",
        )
        .bind(id.0)
        .bind(project.as_str())
        .bind(after.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Traces that are due to be looked at. They are due again after `again`, for this and for other servers.
    pub async fn due_traces(&self, again: Duration, limit: u32) -> Result<Vec<OpenTrace>, StorageError> {
        let rows = sqlx::query(
            "UPDATE open_traces SET look_at = clock_timestamp() + make_interval(secs => $1)
             WHERE session_id = ANY(ARRAY(
                 SELECT session_id FROM open_traces WHERE look_at <= clock_timestamp()
                 ORDER BY look_at LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING session_id, extract(epoch FROM clock_timestamp() - noted_at)::float8 AS age",
        )
        .bind(again.as_secs_f64())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let trace = |row: sqlx::postgres::PgRow| {
            let age: f64 = row.try_get("age")?;
            let id: Uuid = row.try_get("session_id")?;
            Ok(OpenTrace { session_id: SessionId(id), age: Duration::try_from_secs_f64(age).unwrap_or_default() })
        };
        rows.into_iter().map(trace).collect()
    }

    /// Looks at a trace not before this time has passed.
    pub async fn defer_open_trace(&self, id: SessionId, time: Duration) -> Result<(), StorageError> {
        sqlx::query(
            "UPDATE open_traces SET look_at = clock_timestamp() + make_interval(secs => $2) WHERE session_id = $1",
        )
        .bind(id.0)
        .bind(time.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// A trace has ended.
    pub async fn forget_open_trace(&self, id: SessionId) -> Result<(), StorageError> {
        sqlx::query("DELETE FROM open_traces WHERE session_id = $1").bind(id.0).execute(&self.pool).await?;
        Ok(())
    }
}
