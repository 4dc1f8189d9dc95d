//! Reading the journal.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt as _};
use sqlx::types::Json;
use uuid::Uuid;

use super::{Storage, StorageError};
use relive_session::{Event, Recorded, Revision, SessionId, Timestamp};

/// A row of `session_events`, without the session it belongs to.
pub(super) type EventColumns = (i64, DateTime<Utc>, Json<Event>);

pub(super) fn recorded(session_id: SessionId, (revision, at, Json(event)): EventColumns) -> Recorded {
    Recorded { session_id, revision: revision.unsigned_abs(), at: at.into(), event }
}

/// Revisions are `bigint`s; no history is long enough to tell the difference.
pub(super) fn bigint(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

impl Storage {
    /// Up to `limit` events after revision `after`, in order.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn events(
        &self,
        session_id: SessionId,
        after: Revision,
        limit: u32,
    ) -> Result<Vec<Recorded>, StorageError> {
        let rows: Vec<EventColumns> = sqlx::query_as(
            "SELECT revision, at, event FROM session_events
             WHERE session_id = $1 AND revision > $2 ORDER BY revision LIMIT $3",
        )
        .bind(session_id.0)
        .bind(bigint(after))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| recorded(session_id, row)).collect())
    }

    /// The events after revision `after` up to `up_to`, in order, as they are asked for. It holds a
    /// connection until it is dropped: for readers that wait for nobody else.
    pub fn event_stream(
        &self,
        session_id: SessionId,
        after: Revision,
        up_to: Revision,
    ) -> impl Stream<Item = Result<Recorded, StorageError>> + Unpin + Send + '_ {
        sqlx::query_as::<_, EventColumns>(
            "SELECT revision, at, event FROM session_events
             WHERE session_id = $1 AND revision > $2 AND revision <= $3 ORDER BY revision",
        )
        .bind(session_id.0)
        .bind(bigint(after))
        .bind(bigint(up_to))
        .fetch(&self.pool)
        .map_ok(move |row| recorded(session_id, row))
        .map_err(StorageError::from)
    }

    /// The newest revision that was reached at or before `time`; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn revision_at(&self, session_id: SessionId, time: Timestamp) -> Result<Option<Revision>, StorageError> {
        // Times never decrease along revisions, so the first event after `time` can be found by
        // halving, each probe one look-up by primary key.
        let head: Option<i64> = sqlx::query_scalar("SELECT revision FROM sessions WHERE id = $1")
            .bind(session_id.0)
            .fetch_optional(&self.pool)
            .await?;
        let Some(head) = head else { return Ok(None) };
        let (mut reached, mut beyond) = (0, head + 1);
        while beyond - reached > 1 {
            let middle = reached + (beyond - reached) / 2;
            let at: Option<DateTime<Utc>> =
                sqlx::query_scalar("SELECT at FROM session_events WHERE session_id = $1 AND revision = $2")
                    .bind(session_id.0)
                    .bind(middle)
                    .fetch_optional(&self.pool)
                    .await?;
            match at {
                Some(at) if Timestamp::from(at) <= time => reached = middle,
                _ => beyond = middle,
            }
        }
        Ok(u64::try_from(reached).ok().filter(|revision| *revision > 0))
    }

    /// The revision a command id was answered with, if the session has carried it out.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn command_revision(
        &self,
        session_id: SessionId,
        command_id: &str,
    ) -> Result<Option<Revision>, StorageError> {
        let revision: Option<i64> =
            sqlx::query_scalar("SELECT revision FROM session_commands WHERE session_id = $1 AND command_id = $2")
                .bind(session_id.0)
                .bind(command_id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(revision.map(i64::unsigned_abs))
    }

    /// As [`Storage::command_revision`], for many; those that were not carried out are left out.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn command_revisions(
        &self,
        commands: Vec<(SessionId, Arc<str>)>,
    ) -> Result<HashMap<(SessionId, Arc<str>), Revision>, StorageError> {
        if commands.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(
            "SELECT session_id, command_id, revision FROM session_commands
             JOIN UNNEST($1::uuid[], $2::text[]) AS asked (session_id, command_id) USING (session_id, command_id)",
        )
        .bind(commands.iter().map(|(session_id, _)| session_id.0).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, command_id)| &**command_id).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        let known = rows
            .into_iter()
            .map(|(id, command_id, revision)| ((SessionId(id), Arc::from(command_id)), revision.unsigned_abs()));
        Ok(known.collect())
    }
}
