//! Reading statistics.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::{FromRow, Row as _};

use super::COUNTED;
use crate::storage::{Storage, StorageError};
use relive_session::{ProjectId, Timestamp};

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Minute,
    Hour,
    Day,
}

/// What runs are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    All,
    Workflow,
    Group,
    Tag,
    Model,
}

/// The runs that are asked for: those that ended from one time on and before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunPeriod {
    pub from: Timestamp,
    pub to: Timestamp,
    pub width: Width,
}

/// The runs of one group within a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct RunBucket {
    pub start: Timestamp,
    /// `None`: of runs without one, or of all.
    pub key: Option<String>,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// The 50th, 95th and 99th in milliseconds; `None` if none was started.
    pub percentiles: Option<[u64; 3]>,
    pub total_tokens: u64,
    pub total_cost_usd: f64,
}

impl Width {
    /// The name under which it is added up; minutes are not.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Minute => None,
            Self::Hour => Some("hour"),
            Self::Day => Some("day"),
        }
    }

    /// Never in days, which have another length when clocks are set.
    fn delta(self) -> TimeDelta {
        match self {
            Self::Minute => TimeDelta::minutes(1),
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::hours(24),
        }
    }

    fn interval(self) -> PgInterval {
        PgInterval { months: 0, days: 0, microseconds: self.delta().num_microseconds().unwrap_or(i64::MAX) }
    }

    fn floor(self, time: DateTime<Utc>) -> DateTime<Utc> {
        // Only times that a count of nanoseconds cannot express are refused; they have no runs.
        time.duration_trunc(self.delta()).unwrap_or(time)
    }
}

impl Grouping {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Workflow => "workflow",
            Self::Group => "group",
            Self::Tag => "tag",
            Self::Model => "model",
        }
    }
}

impl RunPeriod {
    /// How many buckets it reaches into.
    #[must_use]
    pub fn buckets(&self) -> u64 {
        let (from, to) = (self.width.floor(self.from.as_datetime()), self.to.as_datetime());
        let width = self.width.delta().num_milliseconds();
        let millis = (to - from).num_milliseconds().max(0);
        ((millis + width - 1) / width).unsigned_abs()
    }

    /// The buckets that are only partly in it.
    fn partial(&self) -> Vec<DateTime<Utc>> {
        let ends = [self.from, self.to].map(Timestamp::as_datetime);
        ends.into_iter()
            .map(|end| (end, self.width.floor(end)))
            .filter(|(end, start)| end > start)
            .map(|(_, start)| start)
            .collect()
    }
}

/// The sums of runs, as in `run_statistics`.
macro_rules! sums {
    () => {
        "count(*) FILTER (WHERE status = 'completed') AS completed, count(*) FILTER (WHERE status = 'failed') AS failed,
         count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
         percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms) AS percentiles,
         sum(total_tokens::numeric) AS total_tokens, sum(total_cost_usd) AS total_cost_usd"
    };
}
pub(super) use sums;

macro_rules! columns {
    () => {
        "SELECT bucket, key, completed, failed, cancelled, percentiles,
             LEAST(total_tokens, 9007199254740991)::bigint AS total_tokens,
             total_cost_usd::float8 AS total_cost_usd FROM "
    };
}

/// `$1` project, `$2` grouping, `$3` and `$4` period, `$5` interval, `$6` rows.
const OF_RUNS: &str = concat!(
    columns!(),
    "(SELECT date_bin($5, ended_at, 'epoch') AS bucket, key, ",
    sums!(),
    " FROM ended_runs_by WHERE grouping = $2 AND project_id = $1 AND ended_at >= $3 AND ended_at < $4
      GROUP BY 1, 2) AS summed ORDER BY bucket, key LIMIT $6"
);

/// The same, `$7` the name of the width, `$8` the beginning of the first bucket, `$9` the buckets that are only partly
/// in the period. One statement, so that each run is either in what was added up or in what is read here.
const ADDED_UP: &str = concat!(
    "WITH stale AS (
         SELECT bucket FROM statistics_stale
         WHERE project_id = $1 AND width = $7 AND bucket >= $8 AND bucket < $4
         UNION SELECT date_bin($5, ended_at, 'epoch') FROM statistics_changes
         WHERE project_id = $1 AND ended_at >= $8 AND ended_at < $4
         UNION SELECT unnest($9::timestamptz[])
     ), summed AS (
         SELECT bucket, key, completed, failed, cancelled, percentiles, total_tokens, total_cost_usd
         FROM run_statistics
         WHERE project_id = $1 AND width = $7 AND grouping = $2 AND bucket >= $8 AND bucket < $4
             AND bucket NOT IN (SELECT bucket FROM stale)
         UNION ALL
         SELECT bucket, runs.* FROM stale CROSS JOIN LATERAL (
             SELECT key, ",
    sums!(),
    " FROM ended_runs_by
             WHERE grouping = $2 AND project_id = $1 AND ended_at >= GREATEST(bucket, $3)
                 AND ended_at < LEAST(bucket + $5, $4)
             GROUP BY key
         ) AS runs
     ) ",
    columns!(),
    "summed ORDER BY bucket, key LIMIT $6"
);

impl FromRow<'_, PgRow> for RunBucket {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let count = |column: &str| Ok::<u64, sqlx::Error>(row.try_get::<i64, _>(column)?.unsigned_abs());
        let percentiles: Option<Vec<Option<i64>>> = row.try_get("percentiles")?;
        let percentiles = percentiles.and_then(|values| match values[..] {
            [Some(p50), Some(p95), Some(p99)] => Some([p50, p95, p99].map(i64::unsigned_abs)),
            _ => None,
        });
        Ok(Self {
            start: row.try_get::<DateTime<Utc>, _>("bucket")?.into(),
            key: Some(row.try_get::<String, _>("key")?).filter(|key| !key.is_empty()),
            completed: count("completed")?,
            failed: count("failed")?,
            cancelled: count("cancelled")?,
            percentiles,
            total_tokens: count("total_tokens")?,
            total_cost_usd: row.try_get("total_cost_usd")?,
        })
    }
}

impl Storage {
    /// The runs of a project that ended in a period, by bucket and key; `limit` rows at most.
    pub async fn run_statistics(
        &self,
        project: &ProjectId,
        period: &RunPeriod,
        grouping: Grouping,
        limit: u32,
    ) -> Result<Vec<RunBucket>, StorageError> {
        let RunPeriod { from, to, width } = *period;
        let text = if width.name().is_some() { ADDED_UP } else { OF_RUNS };
        let mut query = sqlx::query_as(text)
            .bind(project.as_str())
            .bind(grouping.name())
            .bind(from.as_datetime())
            .bind(to.as_datetime())
            .bind(width.interval())
            .bind(i64::from(limit));
        if let Some(name) = width.name() {
            query = query.bind(name).bind(width.floor(from.as_datetime())).bind(period.partial());
        }
        // Planned with the values: the runs by other groupings are left out then.
        Ok(query.persistent(false).fetch_all(&self.pool).await?)
    }

    /// Whether all runs are counted that ended before this version was installed.
    pub async fn has_counted_runs(&self) -> Result<bool, StorageError> {
        let sql = "SELECT EXISTS (SELECT FROM settings WHERE name = $1 AND value = 'true')";
        Ok(sqlx::query_scalar(sql).bind(COUNTED).fetch_one(&self.pool).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(from: &str, to: &str, width: Width) -> RunPeriod {
        let time = |text: &str| text.parse().expect("a time");
        RunPeriod { from: time(from), to: time(to), width }
    }

    #[test]
    fn a_period_reaches_into_the_buckets_at_its_ends() {
        for (from, to, buckets, partial) in [
            ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", 24, 0),
            ("2026-01-01T00:00:00.001Z", "2026-01-02T00:00:00Z", 24, 1),
            ("2026-01-01T00:30:00Z", "2026-01-02T00:30:00Z", 25, 2),
            ("2026-01-01T00:10:00Z", "2026-01-01T00:20:00Z", 1, 2),
            ("1969-12-31T23:30:00Z", "1970-01-01T01:00:00Z", 2, 1),
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 0, 0),
        ] {
            let period = period(from, to, Width::Hour);
            assert_eq!((period.buckets(), period.partial().len()), (buckets, partial), "{from} to {to}");
        }
    }
}
