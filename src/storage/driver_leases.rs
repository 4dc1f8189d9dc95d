//! Driver leases: until when an engine outside the server has to be heard of again. Which server executes a run of the
//! built-in engine is in `run_leases.rs`.
//!
//! All times are the database's, so that the clocks of servers do not matter.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Storage, StorageError};
use relive_session::SessionId;

/// How long a server may take to record that a lease has passed, before another one does it.
const CLAIM: Duration = Duration::from_secs(10);

/// A lease that has passed, and that this server is to record as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LapsedLease {
    pub session_id: SessionId,
    /// Tells this claim from later ones.
    claimed_until: DateTime<Utc>,
}

impl Storage {
    /// Renews the lease of a session's driver; returns whether the lease had passed, or there was none.
    ///
    /// # Errors
    ///
    /// [`StorageError::SessionGone`].
    pub async fn renew_driver_lease(&self, id: SessionId, time: Duration) -> Result<bool, StorageError> {
        let is_late: bool = sqlx::query_scalar(
            "WITH held AS (
                 SELECT is_claimed OR due_at <= clock_timestamp() AS is_late
                 FROM driver_leases WHERE session_id = $1 FOR UPDATE
             )
             INSERT INTO driver_leases (session_id, due_at)
             -- Counted, so that the row is read before it is changed.
             SELECT $1, clock_timestamp() + $2 * interval '1 second' FROM (SELECT count(*) FROM held) AS counted
             ON CONFLICT (session_id) DO UPDATE SET due_at = excluded.due_at, is_claimed = false
             RETURNING COALESCE((SELECT is_late FROM held), true)",
        )
        .bind(id.0)
        .bind(time.as_secs_f64())
        .fetch_one(&self.pool)
        .await?;
        Ok(is_late)
    }

    /// How long until the next lease passes; `None` if there is none.
    pub async fn next_driver_lease(&self) -> Result<Option<Duration>, StorageError> {
        let seconds: Option<f64> =
            sqlx::query_scalar("SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 FROM driver_leases")
                .fetch_one(&self.pool)
                .await?;
        Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
    }

    /// Claims up to `limit` leases that have passed. No other server is given them for some seconds.
    pub async fn claim_lapsed_leases(&self, limit: u32) -> Result<Vec<LapsedLease>, StorageError> {
        let claimed: Vec<(Uuid, DateTime<Utc>)> = sqlx::query_as(
            "UPDATE driver_leases SET due_at = clock_timestamp() + $2 * interval '1 second', is_claimed = true
             WHERE session_id IN (SELECT session_id FROM driver_leases WHERE due_at <= now()
                                  ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING session_id, due_at",
        )
        .bind(i64::from(limit))
        .bind(CLAIM.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        let lapsed = |(id, claimed_until)| LapsedLease { session_id: SessionId(id), claimed_until };
        Ok(claimed.into_iter().map(lapsed).collect())
    }

    /// Whether a lease was not renewed since it was claimed, nor claimed by another server.
    pub async fn is_still_lapsed(&self, lapsed: LapsedLease) -> Result<bool, StorageError> {
        let held = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM driver_leases WHERE session_id = $1 AND is_claimed AND due_at = $2)",
        )
        .bind(lapsed.session_id.0)
        .bind(lapsed.claimed_until)
        .fetch_one(&self.pool)
        .await?;
        Ok(held)
    }

    /// Deletes a lease that was recorded as passed, unless it was renewed meanwhile.
    pub async fn end_lapsed_lease(&self, lapsed: LapsedLease) -> Result<(), StorageError> {
        sqlx::query("DELETE FROM driver_leases WHERE session_id = $1 AND is_claimed AND due_at = $2")
            .bind(lapsed.session_id.0)
            .bind(lapsed.claimed_until)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
