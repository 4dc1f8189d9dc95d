//! Schedules: workflows that are run at times.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::json::present;
use super::{SessionId, Timestamp};

/// What a schedule does when it is due and one of its runs has not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "schedules.ts")]
pub enum Overlap {
    /// Nothing.
    #[default]
    Skip,
    /// It starts another run beside it.
    Allow,
    /// It cancels that run, and starts another.
    CancelRunning,
}

impl Overlap {
    pub const ALL: [Self; 3] = [Self::Skip, Self::Allow, Self::CancelRunning];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Allow => "allow",
            Self::CancelRunning => "cancelRunning",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == name)
    }
}

/// The fields of a schedule that its owner sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "schedules.ts", optional_fields)]
pub struct ScheduleFields {
    pub workflow_id: Uuid,
    /// For people; its runs have it as their name. At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Minute, hour, day of the month, month, day of the week (0 or 7: Sunday); with six fields, the first is the
    /// second. Also `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. At most 256 bytes.
    pub cron: String,
    /// The name of an IANA time zone, such as `Europe/Berlin`. Default: `UTC`.
    #[serde(default = "utc")]
    #[ts(as = "Option<String>", optional)]
    #[schema(required = false)]
    pub timezone: String,
    /// The inputs of its runs.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub inputs: Option<Arc<Value>>,
    /// Default: `skip`.
    #[serde(default)]
    #[ts(as = "Option<Overlap>", optional)]
    #[schema(required = false)]
    pub overlap: Overlap,
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    #[schema(required = false)]
    pub enabled: bool,
    /// For how long a run that was missed, because no server was there, is still started: 0 to 604,800. Of several,
    /// the last one. Default: 3,600.
    #[serde(default = "an_hour")]
    #[ts(as = "Option<u32>", optional)]
    #[schema(required = false)]
    pub catch_up_seconds: u32,
}

/// What came of a time at which a schedule was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "schedules.ts")]
pub enum ScheduleOutcome {
    /// A run was started.
    Started,
    /// A run before it had not ended.
    Skipped,
    /// No server was there in time.
    Missed,
    /// The run could not be started.
    Failed,
}

impl ScheduleOutcome {
    pub const ALL: [Self; 4] = [Self::Started, Self::Skipped, Self::Missed, Self::Failed];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
            Self::Failed => "failed",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// The last time at which a schedule was due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "schedules.ts", optional_fields)]
pub struct LastRun {
    pub at: Timestamp,
    pub outcome: ScheduleOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A workflow that is run at times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "schedules.ts", optional_fields)]
pub struct Schedule {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: ScheduleFields,
    /// Absent: never again, or it is not enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn yes() -> bool {
    true
}

fn an_hour() -> u32 {
    3_600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_their_json() {
        for overlap in Overlap::ALL {
            assert_eq!(serde_json::to_value(overlap).expect("JSON"), overlap.as_str());
            assert_eq!(Overlap::parse(overlap.as_str()), Some(overlap));
        }
        for outcome in ScheduleOutcome::ALL {
            assert_eq!(serde_json::to_value(outcome).expect("JSON"), outcome.as_str());
            assert_eq!(ScheduleOutcome::parse(outcome.as_str()), Some(outcome));
        }
    }

    #[test]
    fn fields_that_are_not_given_have_their_defaults() {
        let json = r#"{"workflowId": "00000000-0000-7000-8000-000000000001", "cron": "@daily"}"#;
        let fields: ScheduleFields = serde_json::from_str(json).expect("a schedule");
        let ScheduleFields { timezone, overlap, enabled, catch_up_seconds, .. } = fields;
        assert_eq!((timezone.as_str(), overlap, enabled, catch_up_seconds), ("UTC", Overlap::Skip, true, 3_600));
    }
}
