//! Statistics of runs.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use relive_session::Timestamp;

/// The time that a bucket spans, in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum StatisticsBucketWidth {
    Minute,
    #[default]
    Hour,
    Day,
}

/// What runs are grouped by within a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum StatisticsGrouping {
    Workflow,
    Group,
    Tag,
    Model,
}

/// `GET /statistics`: the runs that ended in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct Statistics {
    /// Runs that ended at or after this time,
    pub from: Timestamp,
    /// and before this one.
    pub to: Timestamp,
    pub bucket: StatisticsBucketWidth,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<StatisticsGrouping>,
    /// False while runs are still being counted that ended before this version was installed.
    pub complete: bool,
    /// By time, then by key. Without runs there is no bucket.
    pub buckets: Vec<StatisticsBucket>,
}

/// The runs of one group that ended within a bucket's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct StatisticsBucket {
    /// Where it begins, which may be before `from`.
    pub start: Timestamp,
    /// With `groupBy`: the id of the workflow or group, the tag, or the model. Absent for runs that have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub runs: EndedRuns,
    /// Completed ones of all that ended: 0 to 1.
    pub success_rate: f64,
    /// Absent if none of them was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<DurationPercentiles>,
    /// By model: the tokens of that model.
    #[ts(type = "number")]
    pub total_tokens: u64,
    pub total_cost_usd: f64,
}

/// How many runs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct EndedRuns {
    #[ts(type = "number")]
    pub total: u64,
    #[ts(type = "number")]
    pub completed: u64,
    #[ts(type = "number")]
    pub failed: u64,
    #[ts(type = "number")]
    pub cancelled: u64,
}

/// Milliseconds from the start of a run to its end, that this part of the runs did not exceed: the nearest rank, so each
/// is the duration of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct DurationPercentiles {
    #[ts(type = "number")]
    pub p50: u64,
    #[ts(type = "number")]
    pub p95: u64,
    #[ts(type = "number")]
    pub p99: u64,
}
