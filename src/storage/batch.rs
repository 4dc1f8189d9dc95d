//! What one commit writes, and how a write whose answer was lost is looked up.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::time::Instant;
use uuid::Uuid;

use super::bigint::bigint;
use super::{Storage, StorageError};
use relive_session::{Origin, Recorded, Revision, Session, SessionId};

/// One event to insert.
#[derive(Debug)]
pub struct EventRow<'a> {
    pub recorded: &'a Recorded,
    /// The event's JSON, where it is there already.
    pub json: Option<Arc<RawValue>>,
    /// The session's project and group, for memories.
    pub origin: Option<&'a Origin>,
}

impl<'a> From<&'a Recorded> for EventRow<'a> {
    /// An event that adds no memory.
    fn from(recorded: &'a Recorded) -> Self {
        Self { recorded, json: None, origin: None }
    }
}

/// A command id that was carried out, with the revision it is answered with.
#[derive(Debug)]
pub struct CommandRow<'a> {
    pub session_id: SessionId,
    pub command_id: &'a str,
    pub revision: u64,
}

/// A session's row, to be changed from the state before the batch to the state after it.
#[derive(Debug)]
pub struct ProjectionRow<'a> {
    pub before: &'a Session,
    pub after: &'a Session,
}

/// What one commit writes, atomically.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// Identifies this write, so that it can be looked up after a lost connection.
    pub id: i64,
    pub events: Vec<EventRow<'a>>,
    pub commands: Vec<CommandRow<'a>>,
    /// One per session.
    pub projections: Vec<ProjectionRow<'a>>,
    /// The deadline: after it the batch must not be written any more.
    pub deadline: Option<Instant>,
}

impl Storage {
    /// Whether this batch took effect, judged by one event of each of its sessions: a write is atomic,
    /// but a session may have been deleted since. False for a batch without events.
    pub async fn has_batch(&self, batch: &Batch<'_>) -> Result<bool, StorageError> {
        let found = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM session_events JOIN UNNEST($1::uuid[], $2::bigint[])
             AS first (session_id, revision) USING (session_id, revision) WHERE batch = $3)",
        )
        .bind(batch.projections.iter().map(|row| row.after.id.0).collect::<Vec<_>>())
        .bind(batch.projections.iter().map(|row| bigint(row.before.revision + 1)).collect::<Vec<_>>())
        .bind(batch.id)
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// The batches that these events were written with; events that do not exist are left out.
    pub async fn batches_of(
        &self,
        events: &[(SessionId, Revision)],
    ) -> Result<HashMap<(SessionId, Revision), i64>, StorageError> {
        let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
            "SELECT session_id, revision, batch FROM session_events JOIN UNNEST($1::uuid[], $2::bigint[])
             AS asked (session_id, revision) USING (session_id, revision)",
        )
        .bind(events.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, revision)| bigint(*revision)).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        let found = rows.into_iter().map(|(id, revision, batch)| ((SessionId(id), revision.unsigned_abs()), batch));
        Ok(found.collect())
    }
}
