//! The idle gaps of a run, for replays.

use chrono::{DateTime, Utc};
use sqlx::postgres::types::PgInterval;

use super::bigint::bigint;
use super::{Storage, StorageError};
use relive_session::{Revision, SessionId, Timestamp};

impl Storage {
    /// The longest gaps of more than `threshold_ms` between two successive events of a range,
    /// at most `limit`, in chronological order. Reads every event of the range.
    pub async fn idle_gaps(
        &self,
        session_id: SessionId,
        (first, last): (Revision, Revision),
        threshold_ms: i64,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Timestamp)>, StorageError> {
        let threshold = PgInterval { months: 0, days: 0, microseconds: threshold_ms.saturating_mul(1_000) };
        let mut idle_gaps: Vec<(DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
            "SELECT began, ended FROM (
                SELECT max(at) OVER (ORDER BY revision ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS began,
                       at AS ended
                FROM session_events WHERE session_id = $1 AND revision BETWEEN $2 AND $3) AS gaps
             WHERE ended - began > $4 ORDER BY ended - began DESC LIMIT $5",
        )
        .bind(session_id.0)
        .bind(bigint(first))
        .bind(bigint(last))
        .bind(threshold)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        idle_gaps.sort_unstable();
        Ok(idle_gaps.into_iter().map(|(from, to)| (from.into(), to.into())).collect())
    }
}
