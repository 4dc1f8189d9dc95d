//! Adding up hours and days in the background.
//!
//! ```text
//! commit ─▶ ended_runs + statistics_changes ─▶ statistics_stale ─▶ run_statistics
//! ```
//!
//! What has changed is noted as stale before it is forgotten, in one transaction, and added up anew after that is
//! forgotten, in another. So whenever a request looks, a bucket whose sums lack a run is marked by one of the two.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;

use super::lock;
use super::read::sums;
use crate::storage::{Storage, StorageError};

/// Changes that are noted by one transaction.
const CHANGES: i64 = 10_000;
/// Buckets that are looked up at once.
const DUE: i64 = 64;

/// A bucket that is to be added up.
type Stale = (String, String, DateTime<Utc>);

const NOTE: &str = "
    WITH moved AS (
        DELETE FROM statistics_changes WHERE ctid = ANY(ARRAY(SELECT ctid FROM statistics_changes LIMIT $1))
        RETURNING project_id, ended_at
    ), noted AS (
        INSERT INTO statistics_stale
        SELECT DISTINCT project_id, width, date_bin(step, ended_at, 'epoch')
        FROM moved CROSS JOIN (VALUES ('hour', interval '1 hour'), ('day', interval '24 hours')) AS widths (width, step)
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) FROM moved";

const NOTE_ALL: &str = "
    INSERT INTO statistics_stale
    SELECT DISTINCT project_id, width, bucket FROM run_statistics
    UNION
    SELECT DISTINCT project_id, width, date_bin(step, ended_at, 'epoch')
    FROM ended_runs CROSS JOIN (VALUES ('hour', interval '1 hour'), ('day', interval '24 hours')) AS widths (width, step)
    ON CONFLICT DO NOTHING";

/// Those that are over: what goes on would be stale again at once.
const OVER: &str = "
    SELECT project_id, width, bucket FROM statistics_stale
    WHERE bucket + CASE width WHEN 'hour' THEN interval '1 hour' ELSE interval '24 hours' END <= clock_timestamp()
    ORDER BY bucket, width, project_id LIMIT $1";

const ADD_UP: &str = concat!(
    "INSERT INTO run_statistics
         (project_id, width, grouping, bucket, key, completed, failed, cancelled, percentiles, total_tokens,
          total_cost_usd)
     SELECT $1::text, $2::text, grouping, $3::timestamptz, key, ",
    sums!(),
    " FROM ended_runs_by
     WHERE project_id = $1 AND ended_at >= $3
         AND ended_at < $3::timestamptz + CASE $2::text WHEN 'hour' THEN interval '1 hour' ELSE interval '24 hours' END
     GROUP BY grouping, key"
);

impl Storage {
    /// Notes what has changed as stale; returns whether there may be more. Nothing is done while another server does
    /// it.
    pub async fn note_stale_statistics(&self) -> Result<bool, StorageError> {
        let mut transaction = self.pool.begin().await?;
        let note = async |connection: &mut PgConnection| {
            if !lock(&mut *connection).await? {
                return Ok(0);
            }
            Ok::<i64, StorageError>(sqlx::query_scalar(NOTE).bind(CHANGES).fetch_one(connection).await?)
        };
        let moved = transaction.run(note).await?;
        transaction.commit().await?;
        Ok(moved >= CHANGES)
    }

    /// Adds up some of the stale buckets that are over; returns whether there may be more, or `None` if another server is
    /// doing it.
    pub async fn add_up_statistics(&self) -> Result<Option<bool>, StorageError> {
        let over: Vec<Stale> = sqlx::query_as(OVER).bind(DUE).fetch_all(&self.pool).await?;
        for bucket in &over {
            let mut transaction = self.pool.long_running().begin().await?;
            let is_mine = transaction.run(async |connection| add_up(connection, bucket).await).await?;
            if !is_mine {
                return Ok(None);
            }
            transaction.commit().await?;
        }
        Ok(Some(i64::try_from(over.len()).is_ok_and(|number| number >= DUE)))
    }

    /// Notes every bucket as stale. False if a server is adding up at this moment.
    pub(super) async fn note_all_statistics(&self) -> Result<bool, StorageError> {
        let mut transaction = self.pool.long_running().begin().await?;
        let note = async |connection: &mut PgConnection| {
            if !lock(&mut *connection).await? {
                return Ok(false);
            }
            sqlx::query(NOTE_ALL).execute(connection).await?;
            Ok::<bool, StorageError>(true)
        };
        let is_noted = transaction.run(note).await?;
        transaction.commit().await?;
        Ok(is_noted)
    }

    /// Deletes some of what deleted projects have left; returns whether there may be more.
    pub async fn forget_statistics_of_deleted_projects(&self) -> Result<bool, StorageError> {
        const ROWS: i64 = 1_000;
        const GONE: [&str; 2] = [
            "DELETE FROM ended_runs WHERE session_id IN (
                 SELECT session_id FROM ended_runs
                 WHERE project_id IN (SELECT id FROM projects WHERE deleted_at IS NOT NULL) LIMIT $1)",
            "DELETE FROM run_statistics WHERE (project_id, width, grouping, bucket, key) IN (
                 SELECT project_id, width, grouping, bucket, key FROM run_statistics
                 WHERE project_id IN (SELECT id FROM projects WHERE deleted_at IS NOT NULL) LIMIT $1)",
        ];
        let mut deleted = 0;
        for sql in GONE {
            deleted += sqlx::query(sql).bind(ROWS).execute(&self.pool).await?.rows_affected();
        }
        Ok(deleted > 0)
    }
}

/// False if another server is adding up. Each statement sees what was committed before it: a run that comes after the
/// first one is noted as a change by its own commit.
async fn add_up(connection: &mut PgConnection, (project, width, bucket): &Stale) -> Result<bool, StorageError> {
    if !lock(&mut *connection).await? {
        return Ok(false);
    }
    let noted = "DELETE FROM statistics_stale WHERE project_id = $1 AND width = $2 AND bucket = $3";
    let former = "DELETE FROM run_statistics WHERE project_id = $1 AND width = $2 AND bucket = $3
        AND grouping IN ('all', 'workflow', 'group', 'tag', 'model')";
    for sql in [noted, former, ADD_UP] {
        sqlx::query(sql).bind(project).bind(width).bind(bucket).execute(&mut *connection).await?;
    }
    Ok(true)
}
