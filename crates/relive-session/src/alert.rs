//! Alerts: conditions on the runs of a project, of which somebody is told when they begin to hold, and when they no
//! longer do.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::money::usd;
use super::{DeliveryStatus, SessionId, Timestamp};

/// When an alert is raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[ts(export_to = "alerts.ts")]
pub enum AlertCondition {
    /// So many runs have failed within the last minutes.
    #[serde(rename_all = "camelCase")]
    Failures {
        /// 1 to 1,000.
        count: u32,
        /// 1 to 10,080: a week.
        within_minutes: u32,
    },
    /// A run goes on for longer than 99 of 100 that were completed before.
    #[serde(rename_all = "camelCase")]
    SlowRun {
        /// How many times as long, from 1 to 1,000. Default: 1.
        #[serde(default = "once")]
        #[ts(as = "Option<f64>", optional)]
        #[schema(required = false)]
        factor: f64,
        /// Runs that must have been completed before, 1 to 10,000. Default: 20.
        #[serde(default = "twenty")]
        #[ts(as = "Option<u32>", optional)]
        #[schema(required = false)]
        minimum_runs: u32,
    },
    /// The runs of a day, in UTC, have cost more.
    #[serde(rename_all = "camelCase")]
    Budget {
        #[serde(with = "usd")]
        #[ts(type = "number")]
        #[schema(value_type = f64)]
        usd_per_day: Decimal,
    },
}

impl AlertCondition {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Failures { .. } => "failures",
            Self::SlowRun { .. } => "slowRun",
            Self::Budget { .. } => "budget",
        }
    }
}

/// Which runs an alert concerns. Every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct AlertFilter {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl AlertFilter {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who is told, besides webhooks whose `types` have `alert.raised` or `alert.resolved`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct AlertNotify {
    /// Webhooks of the project that are told whatever their `types` and `filter` are; 10 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Uuid>>", optional)]
    #[schema(required = false)]
    pub webhook_ids: Vec<Uuid>,
    /// Addresses such as `ada@example.org`, without names; 10 at most. The server needs `RELIVE_SMTP_URL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<String>>", optional)]
    #[schema(required = false)]
    pub emails: Vec<String>,
}

/// The fields of an alert that its owner sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct AlertFields {
    /// For people: 1 to 200 characters on one line.
    pub name: String,
    pub condition: AlertCondition,
    #[serde(default, skip_serializing_if = "AlertFilter::is_empty")]
    #[ts(as = "Option<AlertFilter>", optional)]
    #[schema(required = false)]
    pub filter: AlertFilter,
    #[serde(default)]
    #[ts(as = "Option<AlertNotify>", optional)]
    #[schema(required = false)]
    pub notify: AlertNotify,
    /// Default: true. One that is not enabled is not raised; if it was, it is resolved.
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    #[schema(required = false)]
    pub enabled: bool,
}

/// What `PATCH` takes: each field that is given replaces the one that was there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct ChangeAlert {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<AlertCondition>,
    /// `{}`: all runs of the project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<AlertFilter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<AlertNotify>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

impl ChangeAlert {
    /// The fields after the change.
    #[must_use]
    pub fn apply(self, fields: AlertFields) -> AlertFields {
        AlertFields {
            name: self.name.unwrap_or(fields.name),
            condition: self.condition.unwrap_or(fields.condition),
            filter: self.filter.unwrap_or(fields.filter),
            notify: self.notify.unwrap_or(fields.notify),
            enabled: self.enabled.unwrap_or(fields.enabled),
        }
    }
}

/// Whether the condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "alerts.ts")]
pub enum AlertStatus {
    /// It did not when it was looked at last.
    Resolved,
    /// It did, from `raisedAt` on.
    Raised,
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct Alert {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: AlertFields,
    pub status: AlertStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What was found when an alert was raised or resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
#[ts(export_to = "alerts.ts")]
pub enum AlertObservation {
    #[serde(rename_all = "camelCase")]
    Failures {
        /// Runs that failed within the time; no more than 1,000 are counted.
        count: u32,
        /// The last one that did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        session_id: Option<SessionId>,
    },
    #[serde(rename_all = "camelCase")]
    SlowRun {
        /// The run that has gone on for the longest. Absent: none goes on for too long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        session_id: Option<SessionId>,
        /// For how long it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number", optional)]
        running_ms: Option<u64>,
        /// The 99th percentile of those before.
        #[ts(type = "number")]
        p99_ms: u64,
        /// How many of those there are.
        runs: u32,
    },
    #[serde(rename_all = "camelCase")]
    Budget {
        /// The day, such as `2026-05-28`.
        day: String,
        #[serde(with = "usd")]
        #[ts(type = "number")]
        #[schema(value_type = f64)]
        cost_usd: Decimal,
    },
}

/// What has become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "alerts.ts")]
pub enum AlertChange {
    /// The condition began to hold.
    Raised,
    /// It holds no longer, or the alert is not enabled any more.
    Resolved,
}

impl AlertChange {
    pub const ALL: [Self; 2] = [Self::Raised, Self::Resolved];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Resolved => "resolved",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.as_str() == name)
    }
}

/// An e-mail about an event of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct AlertEmail {
    pub to: String,
    pub status: DeliveryStatus,
    pub attempts: u32,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// An alert was raised, or resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct AlertEvent {
    /// The events of an alert are numbered from 1.
    #[ts(type = "number")]
    pub number: u64,
    #[serde(rename = "type")]
    pub change: AlertChange,
    pub at: Timestamp,
    /// As it was then.
    pub condition: AlertCondition,
    /// Absent if the alert was resolved because it is not enabled any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<AlertObservation>,
    /// What was sent of it by e-mail. Deliveries to webhooks are listed with those.
    pub emails: Vec<AlertEmail>,
}

fn once() -> f64 {
    1.0
}

fn twenty() -> u32 {
    20
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_their_json() {
        for change in AlertChange::ALL {
            assert_eq!(serde_json::to_value(change).expect("JSON"), change.as_str());
            assert_eq!(AlertChange::parse(change.as_str()), Some(change));
        }
        for condition in [
            AlertCondition::Failures { count: 1, within_minutes: 1 },
            AlertCondition::SlowRun { factor: 1.0, minimum_runs: 1 },
            AlertCondition::Budget { usd_per_day: Decimal::ONE },
        ] {
            assert_eq!(serde_json::to_value(&condition).expect("JSON")["type"], condition.name());
        }
    }

    #[test]
    fn fields_that_are_not_given_have_their_defaults_and_keep_what_they_were() {
        let fields: AlertFields =
            serde_json::from_str(r#"{"name": "slow", "condition": {"type": "slowRun"}}"#).expect("an alert");
        assert_eq!(fields.condition, AlertCondition::SlowRun { factor: 1.0, minimum_runs: 20 });
        assert!(fields.enabled && fields.filter.is_empty() && fields.notify == AlertNotify::default());
        let change: ChangeAlert = serde_json::from_str(r#"{"enabled": false}"#).expect("a change");
        let changed = change.apply(fields.clone());
        assert_eq!(changed, AlertFields { enabled: false, ..fields });
    }
}
