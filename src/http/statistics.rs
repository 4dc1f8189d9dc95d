//! Statistics of runs.

use std::time::Duration;

use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;
use super::extract::Query;
use super::state::Api;
use crate::storage::{Grouping, RunBucket, RunPeriod, Width};
use relive_protocol::{
    DurationPercentiles, EndedRuns, ErrorCode, Problem, Statistics, StatisticsBucket, StatisticsBucketWidth,
    StatisticsGrouping,
};
use relive_session::Timestamp;

/// Buckets of a period at most.
const BUCKETS: u64 = 1_500;
/// Rows of an answer at most: one for each bucket and group.
const ROWS: u32 = 20_000;

/// Which runs, and how they are added up.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct StatisticsQuery {
    /// Runs that ended at or after this time; by default 60 minutes, 24 hours or 30 days before `to`.
    #[param(value_type = Option<String>)]
    from: Option<Timestamp>,
    /// Runs that ended before this time; by default now.
    #[param(value_type = Option<String>)]
    to: Option<Timestamp>,
    /// `minute`, `hour` (the default) or `day`, in UTC. A period may have up to 1,500 of them.
    #[param(inline)]
    bucket: Option<StatisticsBucketWidth>,
    /// `workflow`, `group`, `tag` or `model`. A run with several tags, or of several models, is in the group of each.
    #[param(inline)]
    group_by: Option<StatisticsGrouping>,
}

/// Statistics of the runs that ended in a period: how they ended, how long they took, tokens and cost, by time and
/// group.
///
/// They are exact, and those of every run that has ended, whether or not its session was deleted since. Late usage and
/// changed tags count as they are now, at the time of the run's end.
#[utoipa::path(get, path = "/statistics", operation_id = "read_statistics", tag = "sessions", params(StatisticsQuery), responses(
    (status = 200, description = "The buckets that have runs", body = Statistics),
    (status = 400, description = "The period ends before it begins, or has more than 1,500 buckets", body = Problem),
    (status = 413, description = "There are more than 20,000 buckets and groups: ask for a shorter period", body = Problem),
))]
pub async fn read(api: Api, Query(query): Query<StatisticsQuery>) -> Result<Json<Statistics>, ApiError> {
    let bucket = query.bucket.unwrap_or_default();
    let period = period(&query, bucket)?;
    let (rows, complete) = api.run_statistics(&period, grouping(query.group_by), ROWS + 1).await?;
    if rows.len() > ROWS as usize {
        let problem =
            format!("there are more than {ROWS} buckets and groups: ask for a shorter period or longer buckets");
        return Err(ApiError::new(ErrorCode::TooLarge, problem));
    }
    let buckets = rows.into_iter().map(shown).collect();
    Ok(Json(Statistics { from: period.from, to: period.to, bucket, group_by: query.group_by, complete, buckets }))
}

fn period(query: &StatisticsQuery, bucket: StatisticsBucketWidth) -> Result<RunPeriod, ApiError> {
    let (width, usual) = match bucket {
        StatisticsBucketWidth::Minute => (Width::Minute, Duration::from_hours(1)),
        StatisticsBucketWidth::Hour => (Width::Hour, Duration::from_hours(24)),
        StatisticsBucketWidth::Day => (Width::Day, Duration::from_hours(30 * 24)),
    };
    let to = query.to.unwrap_or_else(Timestamp::now);
    let from = query.from.or_else(|| to.before(usual)).unwrap_or(to);
    if from > to {
        return Err(ApiError::bad_request("from lies after to"));
    }
    let period = RunPeriod { from, to, width };
    let buckets = period.buckets();
    if buckets > BUCKETS {
        let problem = format!("the period has {buckets} buckets, and at most {BUCKETS} can be asked for");
        return Err(ApiError::bad_request(problem));
    }
    Ok(period)
}

fn grouping(named: Option<StatisticsGrouping>) -> Grouping {
    match named {
        None => Grouping::All,
        Some(StatisticsGrouping::Workflow) => Grouping::Workflow,
        Some(StatisticsGrouping::Group) => Grouping::Group,
        Some(StatisticsGrouping::Tag) => Grouping::Tag,
        Some(StatisticsGrouping::Model) => Grouping::Model,
    }
}

fn shown(row: RunBucket) -> StatisticsBucket {
    let RunBucket { start, key, completed, failed, cancelled, percentiles, total_tokens, total_cost_usd } = row;
    let total = completed + failed + cancelled;
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let success_rate = completed as f64 / total.max(1) as f64;
    StatisticsBucket {
        start,
        key,
        runs: EndedRuns { total, completed, failed, cancelled },
        success_rate,
        duration_ms: percentiles.map(|[p50, p95, p99]| DurationPercentiles { p50, p95, p99 }),
        total_tokens,
        total_cost_usd,
    }
}
