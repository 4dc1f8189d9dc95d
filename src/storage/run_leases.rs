//! Run leases: which server executes which run of the built-in engine. Leases of engines outside the server are in
//! `driver_leases.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use sqlx::types::Json;
use uuid::Uuid;

use super::bigint::bigint;
use super::{Storage, StorageError};
use relive_session::{Revision, SessionId, Timestamp};

/// A session that waits and needs no driver meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    pub session_id: SessionId,
    /// It waits until its revision is beyond this one …
    pub revision: Revision,
    /// … or until this time has passed.
    pub wake_after: Option<Duration>,
}

/// A session whose lease was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedLease {
    pub session_id: SessionId,
    /// Its revision.
    pub revision: Revision,
    /// How often in a row the lease of a holder expired without a release; counted from the second time on only
    /// if the revision had not changed in between.
    pub crashes: u32,
    /// The database's time.
    pub at: Timestamp,
}

impl Storage {
    /// Claims the leases of sessions that no other server holds, for `time`; returns those claimed.
    pub async fn claim_leases(
        &self,
        holder: Uuid,
        sessions: &[SessionId],
        time: Duration,
    ) -> Result<Vec<ClaimedLease>, StorageError> {
        let claimed: Vec<(Uuid, i64, i32, DateTime<Utc>)> = sqlx::query_as(
            "WITH claimed AS (
                 INSERT INTO session_leases AS held (session_id, holder, expires_at, taken_revision)
                 SELECT id, $1, now() + $3 * interval '1 millisecond', revision
                    FROM sessions WHERE id = ANY($2) ORDER BY id
                 ON CONFLICT (session_id) DO UPDATE
                     SET holder = $1, expires_at = excluded.expires_at, parked_revision = NULL, wake_at = NULL,
                         taken_revision = excluded.taken_revision,
                         -- The lease was not released: its holder disappeared, or could not renew it.
                         crashes = CASE WHEN held.holder IS NULL THEN 0
                                        WHEN held.taken_revision = excluded.taken_revision THEN held.crashes + 1
                                        ELSE 1 END
                     WHERE held.holder IS NULL OR held.holder = $1 OR held.expires_at < now()
                 RETURNING session_id, taken_revision, crashes
             ), parked AS (
                 -- A row that is being written now loses the mark by that.
                 SELECT id FROM sessions WHERE id IN (SELECT session_id FROM claimed) AND is_parked
                 ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
             ), marked AS (
                 UPDATE sessions SET is_parked = false FROM parked WHERE sessions.id = parked.id
             )
             SELECT session_id, taken_revision, crashes, clock_timestamp() FROM claimed",
        )
        .bind(holder)
        .bind(sessions.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(millis(time))
        .fetch_all(&self.pool)
        .await?;
        let claimed = claimed.into_iter().map(|(id, revision, crashes, at)| ClaimedLease {
            session_id: SessionId(id),
            revision: revision.unsigned_abs(),
            crashes: crashes.unsigned_abs(),
            at: at.into(),
        });
        Ok(claimed.collect())
    }

    /// Renews the leases of these sessions that the holder still has, for `time`; returns those renewed. Other
    /// leases of the holder, whose release failed, expire. If another server has claimed one, the crash counted
    /// for it is subtracted again: this server has not crashed, but could not renew its lease.
    pub async fn renew_leases(
        &self,
        holder: Uuid,
        sessions: &[SessionId],
        time: Duration,
    ) -> Result<Vec<SessionId>, StorageError> {
        let renewed: Vec<Uuid> = sqlx::query_scalar(
            "WITH renewed AS (
                 UPDATE session_leases SET expires_at = now() + $3 * interval '1 millisecond'
                 WHERE session_id = ANY($2) AND holder = $1 RETURNING session_id
             ), taken AS (
                 UPDATE session_leases SET crashes = crashes - 1
                 WHERE session_id = ANY($2) AND holder <> $1 AND crashes > 0
             )
             SELECT session_id FROM renewed",
        )
        .bind(holder)
        .bind(sessions.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(millis(time))
        .fetch_all(&self.pool)
        .await?;
        Ok(renewed.into_iter().map(SessionId).collect())
    }

    /// Releases leases of sessions that any server may drive at once, or that have ended.
    ///
    /// # Errors
    ///
    /// If the database is away; the leases then expire.
    pub async fn release_leases(&self, holder: Uuid, sessions: &[SessionId]) -> Result<(), StorageError> {
        sqlx::query("DELETE FROM session_leases WHERE session_id = ANY($1) AND holder = $2")
            .bind(sessions.iter().map(|id| id.0).collect::<Vec<_>>())
            .bind(holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Parks sessions: releases their leases until they change or are due.
    ///
    /// # Errors
    ///
    /// As [`Storage::release_leases`].
    pub async fn park_leases(&self, holder: Uuid, parked: &[Parked]) -> Result<(), StorageError> {
        sqlx::query(
            "WITH parked AS (
                 UPDATE session_leases AS held
                 SET holder = NULL, parked_revision = p.revision, wake_at = now() + p.wake * interval '1 millisecond'
                 FROM UNNEST($2::uuid[], $3::bigint[], $4::float8[]) AS p (id, revision, wake)
                 WHERE held.session_id = p.id AND held.holder = $1
                 RETURNING session_id, parked_revision
             ), unchanged AS (
                 -- A row that is being written now will not be at this revision any more.
                 SELECT id FROM sessions JOIN parked ON session_id = id AND parked_revision = revision
                 FOR NO KEY UPDATE OF sessions SKIP LOCKED
             )
             UPDATE sessions SET is_parked = true FROM unchanged WHERE sessions.id = unchanged.id",
        )
        .bind(holder)
        .bind(parked.iter().map(|parked| parked.session_id.0).collect::<Vec<_>>())
        .bind(parked.iter().map(|parked| bigint(parked.revision)).collect::<Vec<_>>())
        .bind(parked.iter().map(|parked| parked.wake_after.map(millis)).collect::<Vec<_>>())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Up to `limit` sessions of the built-in engine that have work and no driver, the oldest first. Those that wait
    /// are not read.
    pub async fn undriven_sessions(&self, limit: u32) -> Result<Vec<SessionId>, StorageError> {
        let ids: Vec<Uuid> = sqlx::query_scalar(UNDRIVEN).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        Ok(ids.into_iter().map(SessionId).collect())
    }

    /// The plan with which the database finds them: `EXPLAIN (ANALYZE, FORMAT JSON)`.
    pub async fn explain_undriven(&self, limit: u32) -> Result<serde_json::Value, StorageError> {
        let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE, FORMAT JSON) {UNDRIVEN}"));
        let Json(plan) = sqlx::query_scalar(explain).bind(i64::from(limit)).fetch_one(&self.pool).await?;
        Ok(plan)
    }

    /// Corrects some sessions that are marked as parked and are not, or the reverse: a server of the version before
    /// does not know the mark, and parking leaves out what is being written. Returns whether there may be more.
    pub async fn correct_parked(&self) -> Result<bool, StorageError> {
        let corrected = sqlx::query(
            "WITH wrong AS (
                 SELECT s.id FROM sessions AS s LEFT JOIN session_leases AS held ON held.session_id = s.id
                 WHERE s.driver = 'builtin' AND s.status IN ('running', 'paused') AND s.is_parked IS DISTINCT FROM
                     (held.session_id IS NOT NULL AND held.holder IS NULL
                      AND held.parked_revision IS NOT DISTINCT FROM s.revision)
                 LIMIT $1 FOR NO KEY UPDATE OF s SKIP LOCKED
             )
             UPDATE sessions SET is_parked = NOT is_parked FROM wrong WHERE sessions.id = wrong.id",
        )
        .bind(CORRECTED)
        .execute(&self.pool)
        .await?;
        Ok(corrected.rows_affected() >= CORRECTED.unsigned_abs())
    }
}

/// Marks that one statement corrects.
const CORRECTED: i64 = 500;

/// Each part has an index of its own. The last is for sessions that a server of the version before has left.
const UNDRIVEN: &str = "
SELECT id FROM (
    (SELECT s.id, s.created_at FROM sessions AS s LEFT JOIN session_leases AS held ON held.session_id = s.id
     WHERE s.driver = 'builtin' AND s.status IN ('running', 'paused') AND NOT s.is_parked
       AND (held.session_id IS NULL
            OR (held.holder IS NOT NULL AND held.expires_at < now())
            OR (held.holder IS NULL AND (held.parked_revision IS DISTINCT FROM s.revision OR held.wake_at <= now())))
     ORDER BY s.created_at LIMIT $1)
    UNION
    (SELECT s.id, s.created_at FROM session_leases AS held JOIN sessions AS s ON s.id = held.session_id
     WHERE held.holder IS NULL AND held.wake_at <= now()
       AND s.driver = 'builtin' AND s.status IN ('running', 'paused')
     ORDER BY held.wake_at LIMIT $1)
    UNION
    (SELECT s.id, s.created_at FROM session_leases AS held JOIN sessions AS s ON s.id = held.session_id
     WHERE held.holder IS NOT NULL AND held.expires_at < now()
       AND s.driver = 'builtin' AND s.status IN ('running', 'paused')
     LIMIT $1)
) AS undriven ORDER BY created_at LIMIT $1";

/// Milliseconds, as the factor that PostgreSQL multiplies intervals by.
#[allow(clippy::cast_possible_truncation)]
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
