//! Recovers a state from the journal: the newest keyframe, and the fold of the events after it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use sqlx::types::Json;

use super::bigint::bigint;
use super::{Storage, StorageError};
use relive_session::{Actor, Event, Keyframe, Recorded, Revision, Session, SessionId};

impl Storage {
    /// The newest stored state of a session; `None` if there is no such session.
    ///
    /// # Errors
    ///
    /// If the history is damaged.
    pub async fn session(&self, session_id: SessionId) -> Result<Option<Session>, StorageError> {
        self.session_up_to(session_id, i64::MAX).await
    }

    /// The state of a session at `revision`; `None` if it never reached it.
    ///
    /// # Errors
    ///
    /// As for [`Storage::session`].
    pub async fn session_at(&self, session_id: SessionId, revision: Revision) -> Result<Option<Session>, StorageError> {
        let session = self.session_up_to(session_id, bigint(revision)).await?;
        Ok(session.filter(|session| session.revision == revision))
    }

    async fn session_up_to(&self, session_id: SessionId, revision: i64) -> Result<Option<Session>, StorageError> {
        let Some(first) = self.first_state(session_id).await? else { return Ok(None) };
        let mut session = self.newest_keyframe(&first, revision).await?.unwrap_or(first);
        let journal = self.journal(session_id).of(session.identity());
        let mut tail = journal.after(session.revision).up_to(revision.unsigned_abs()).recorded_stream();
        while let Some(recorded) = tail.try_next().await? {
            session.apply(&recorded)?;
        }
        Ok(Some(session))
    }

    async fn first_state(&self, id: SessionId) -> Result<Option<Session>, StorageError> {
        type Row = (DateTime<Utc>, Json<Event>, Option<Json<Arc<Actor>>>, i64, String);
        let row: Option<Row> = sqlx::query_as(
            "SELECT e.at, e.event, e.actor, s.incarnation, s.project_id
             FROM session_events AS e JOIN sessions AS s ON s.id = e.session_id
             WHERE e.session_id = $1 AND e.revision = 1",
        )
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await?;
        let Some((at, Json(event), actor, incarnation, project)) = row else { return Ok(None) };
        let by = actor.map(|Json(actor)| actor);
        let first = Recorded { session_id: id, revision: 1, at: at.into(), by, event };
        // Stored values were validated when they were written.
        let project = project.parse().unwrap_or_default();
        Ok(Some(Session::create(&first)?.with_incarnation(incarnation).in_project(project)))
    }

    async fn newest_keyframe(&self, first: &Session, up_to: i64) -> Result<Option<Session>, StorageError> {
        let row: Option<(i64, Json<Keyframe>)> = sqlx::query_as(
            "SELECT revision, state FROM session_keyframes
             WHERE session_id = $1 AND revision <= $2
                 AND EXISTS (SELECT FROM sessions WHERE id = $1 AND incarnation = $4
                     AND date_trunc('milliseconds', created_at) = $3)
             ORDER BY revision DESC LIMIT 1",
        )
        .bind(first.id.0)
        .bind(up_to)
        .bind(first.origin.created_at.as_datetime())
        .bind(first.origin.incarnation)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(revision, Json(keyframe))| keyframe.restore_stored(first, revision.unsigned_abs())))
    }

    /// Stores a whole state. Nothing is stored if the revision has a keyframe already, or the state does not belong
    /// to the stored history: the session may have been deleted and imported again.
    pub async fn store_keyframe(&self, session: &Session) -> Result<(), StorageError> {
        let state = Keyframe::of(session).to_json()?;
        sqlx::query(
            "INSERT INTO session_keyframes (session_id, revision, state)
             SELECT session_id, revision, $3::json FROM session_events AS last
             WHERE session_id = $1 AND revision = $2 AND at = $4
                 AND EXISTS (SELECT FROM sessions WHERE id = $1 AND created_at = $5 AND incarnation = $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(session.id.0)
        .bind(bigint(session.revision))
        .bind(state)
        .bind(session.updated_at.as_datetime())
        .bind(session.origin.created_at.as_datetime())
        .bind(session.origin.incarnation)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
