//! What is found of the runs that an alert concerns. Each is one statement, over rows that an index finds, and over no
//! more of them than the constants say.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::DueAlert;
use crate::storage::{Storage, StorageError};
use relive_session::{AlertFilter, ProjectId, SessionId, Timestamp};

/// Runs of a project that are looked at for one condition: the failed ones, those that have ended, or those that go on.
const LOOKED_AT: i64 = 100_000;
/// Failed runs that are counted.
const COUNTED_FAILURES: i64 = 1_000;
/// Completed runs that others are compared with, the last ones.
const COMPARED: i64 = 10_000;
/// How old these may be.
const COMPARED_AGE: Duration = Duration::from_hours(30 * 24);
/// How long the percentile of them is used.
const COMPARED_FOR: Duration = Duration::from_mins(5);
/// How long that of none or a few is.
const FEW_COMPARED_FOR: Duration = Duration::from_mins(1);
/// Runs of a day whose cost is added up one by one, if the filter of the alert has several conditions.
const ADDED_UP_SINGLY: i64 = 1_000_000;

/// Runs that have failed lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRuns {
    /// 1,000 at most.
    pub count: u32,
    /// The one that failed last.
    pub last: Option<SessionId>,
}

/// What runs are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsualRuns {
    /// How many were completed.
    pub runs: u32,
    /// The 99th percentile of how long they took; `None` without any.
    pub p99: Option<Duration>,
    /// How long ago that was found.
    pub age: Duration,
}

impl UsualRuns {
    /// Whether it has to be found anew, if so many runs are needed.
    #[must_use]
    pub fn is_outdated(&self, minimum_runs: u32) -> bool {
        self.age > if self.runs < minimum_runs { FEW_COMPARED_FOR } else { COMPARED_FOR }
    }
}

/// A run that goes on for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowRun {
    pub id: SessionId,
    pub running: Duration,
}

pub(super) fn read_usual(row: &PgRow) -> sqlx::Result<Option<UsualRuns>> {
    let found = row.try_get::<Option<DateTime<Utc>>, _>("compared_at")?;
    let Some(found) = found else { return Ok(None) };
    let now: DateTime<Utc> = row.try_get("now")?;
    let runs = row.try_get::<Option<i64>, _>("runs")?.unwrap_or_default();
    let age = (now - found).to_std().unwrap_or_default();
    Ok(Some(UsualRuns { runs: u32::try_from(runs).unwrap_or(u32::MAX), p99: millis(row, "p99_ms")?, age }))
}

fn millis(row: &PgRow, column: &str) -> sqlx::Result<Option<Duration>> {
    let millis: Option<i64> = row.try_get(column)?;
    Ok(millis.map(|millis| Duration::from_millis(millis.unsigned_abs())))
}

/// A condition on runs, with the parameters from `$2` to `$4`.
macro_rules! concerns {
    () => {
        "($2::uuid IS NULL OR workflow_id = $2) AND ($3::uuid IS NULL OR group_id = $3)
         AND ($4::text IS NULL OR $4 = ANY (tags))"
    };
}

const FAILED: &str = concat!(
    "SELECT count(*) AS count, (array_agg(session_id ORDER BY ended_at DESC))[1] AS last FROM (
         SELECT session_id, ended_at FROM (
             SELECT session_id, ended_at, workflow_id, group_id, tags FROM ended_runs
             WHERE project_id = $1 AND status = 'failed' AND ended_at > now() - make_interval(mins => $5)
             ORDER BY ended_at DESC LIMIT $6
         ) AS recent WHERE ",
    concerns!(),
    " ORDER BY ended_at DESC LIMIT $7) AS counted"
);

const USUAL: &str = concat!(
    "WITH found AS (
         SELECT count(*) AS runs, percentile_disc(0.99) WITHIN GROUP (ORDER BY duration_ms) AS p99_ms FROM (
             SELECT duration_ms FROM (
                 SELECT status, duration_ms, ended_at, workflow_id, group_id, tags FROM ended_runs
                 WHERE project_id = $1 AND ended_at > now() - make_interval(secs => $5)
                 ORDER BY ended_at DESC LIMIT $6
             ) AS recent WHERE status = 'completed' AND duration_ms IS NOT NULL AND ",
    concerns!(),
    " ORDER BY ended_at DESC LIMIT $7) AS compared
     ), kept AS (
         UPDATE alerts SET runs = found.runs, p99_ms = found.p99_ms, compared_at = clock_timestamp()
         FROM found WHERE id = $8 AND version = $9
     )
     SELECT runs, p99_ms FROM found"
);

/// The oldest ones first: the newest cannot have gone on for long.
const SLOW: &str = concat!(
    "SELECT id, running_ms FROM (
         SELECT id, (extract(epoch FROM now() - started_at) * 1000)::bigint AS running_ms, workflow_id, group_id, tags
         FROM sessions WHERE project_id = $1 AND ended_nodes IS NULL AND ended_at IS NULL
         ORDER BY created_at, id LIMIT $6
     ) AS live WHERE running_ms > $5 AND ",
    concerns!(),
    " ORDER BY running_ms DESC, id LIMIT 1"
);

/// The cost so far of runs that go on; of those alone that have done something since `$5`.
macro_rules! cost_of_live {
    () => {
        concat!(
            "COALESCE((SELECT sum(total_cost_usd) FROM (
                 SELECT total_cost_usd, updated_at, workflow_id, group_id, tags FROM sessions
                 WHERE project_id = $1 AND ended_nodes IS NULL AND ended_at IS NULL
                 ORDER BY created_at DESC, id DESC LIMIT $6
             ) AS live WHERE updated_at >= $5 AND ",
            concerns!(),
            "), 0)"
        )
    };
}

/// With the hours that were added up, as statistics read them: `$7` what they are grouped by, `$8` the key.
const SPENT: &str = concat!(
    "WITH stale AS (
         SELECT bucket FROM statistics_stale WHERE project_id = $1 AND width = 'hour' AND bucket >= $5
         UNION SELECT date_bin(interval '1 hour', ended_at, 'epoch') FROM statistics_changes
         WHERE project_id = $1 AND ended_at >= $5
         UNION SELECT date_bin(interval '1 hour', now(), 'epoch')
     )
     SELECT LEAST(1000000000, round(COALESCE((SELECT sum(total_cost_usd) FROM run_statistics
             WHERE project_id = $1 AND width = 'hour' AND grouping = $7 AND key = $8 AND bucket >= $5
                 AND bucket NOT IN (SELECT bucket FROM stale)), 0)
         + COALESCE((SELECT sum(of_hour.cost) FROM stale CROSS JOIN LATERAL (
             SELECT sum(total_cost_usd) AS cost FROM ended_runs
             WHERE project_id = $1 AND ended_at >= GREATEST(stale.bucket, $5)
                 AND ended_at < stale.bucket + interval '1 hour' AND ",
    concerns!(),
    ") AS of_hour), 0) + ",
    cost_of_live!(),
    ", 9))"
);

/// Run by run: nothing is added up by several conditions together. `$7` how many.
const SPENT_SINGLY: &str = concat!(
    "SELECT LEAST(1000000000, round(COALESCE((SELECT sum(total_cost_usd) FROM (
             SELECT total_cost_usd, workflow_id, group_id, tags FROM ended_runs
             WHERE project_id = $1 AND ended_at >= $5 ORDER BY ended_at DESC LIMIT $7
         ) AS recent WHERE ",
    concerns!(),
    "), 0) + ",
    cost_of_live!(),
    ", 9))"
);

/// The group of statistics that has just the runs of a filter; `None` if it has several conditions.
fn grouping(filter: &AlertFilter) -> Option<(&'static str, String)> {
    match (filter.workflow_id, filter.group_id, filter.tag.as_deref()) {
        (None, None, None) => Some(("all", String::new())),
        (Some(id), None, None) => Some(("workflow", id.to_string())),
        (None, Some(id), None) => Some(("group", id.to_string())),
        (None, None, Some(tag)) => Some(("tag", tag.to_owned())),
        _ => None,
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Planned with the values each time: what is read by an index depends on them.
fn about<'q>(sql: &'static str, project: &'q ProjectId, filter: &'q AlertFilter) -> Query<'q> {
    sqlx::query(sql).bind(project.as_str()).bind(filter.workflow_id).bind(filter.group_id).bind(filter.tag.as_deref())
}

impl Storage {
    /// The runs that have failed within the last minutes.
    pub async fn failed_runs(
        &self,
        project: &ProjectId,
        filter: &AlertFilter,
        minutes: u32,
    ) -> Result<FailedRuns, StorageError> {
        let query = about(FAILED, project, filter).bind(i32::try_from(minutes).unwrap_or(i32::MAX));
        let row = query.bind(LOOKED_AT).bind(COUNTED_FAILURES).fetch_one(&self.pool).await?;
        let count = u32::try_from(row.try_get::<i64, _>("count")?).unwrap_or(u32::MAX);
        Ok(FailedRuns { count, last: row.try_get::<Option<Uuid>, _>("last")?.map(SessionId) })
    }

    /// How long runs have taken that were completed, which is kept with the alert.
    pub async fn find_usual_runs(&self, due: &DueAlert) -> Result<UsualRuns, StorageError> {
        let row = about(USUAL, &due.project, &due.alert.fields.filter)
            .bind(COMPARED_AGE.as_secs_f64())
            .bind(LOOKED_AT)
            .bind(COMPARED)
            .bind(due.alert.id)
            .bind(due.version)
            .fetch_one(&self.pool)
            .await?;
        let runs = u32::try_from(row.try_get::<i64, _>("runs")?).unwrap_or(u32::MAX);
        Ok(UsualRuns { runs, p99: millis(&row, "p99_ms")?, age: Duration::ZERO })
    }

    /// Of the runs that have gone on for longer than this, the one that has for the longest.
    pub async fn slow_run(
        &self,
        project: &ProjectId,
        filter: &AlertFilter,
        longer_than: Duration,
    ) -> Result<Option<SlowRun>, StorageError> {
        let limit = i64::try_from(longer_than.as_millis()).unwrap_or(i64::MAX);
        let row = about(SLOW, project, filter).bind(limit).bind(LOOKED_AT).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let running = millis(&row, "running_ms")?.unwrap_or_default();
        Ok(Some(SlowRun { id: SessionId(row.try_get("id")?), running }))
    }

    /// What runs have cost since then, rounded, and at most a billion, as clients are sent it: those that ended, and so far those that go on.
    /// `day` is the beginning of an hour.
    pub async fn spent_since(
        &self,
        project: &ProjectId,
        filter: &AlertFilter,
        day: Timestamp,
    ) -> Result<Decimal, StorageError> {
        let query = if let Some((grouping, key)) = grouping(filter) {
            let query = about(SPENT, project, filter).bind(day.as_datetime());
            query.bind(LOOKED_AT).bind(grouping).bind(key)
        } else {
            let query = about(SPENT_SINGLY, project, filter).bind(day.as_datetime());
            query.bind(LOOKED_AT).bind(ADDED_UP_SINGLY)
        };
        let row = query.fetch_one(&self.pool.long_running()).await?;
        Ok(row.try_get(0)?)
    }
}
