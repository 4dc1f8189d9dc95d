//! Deleting many sessions: by a request, and by rules.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use relive_session::{NodeId, NodeStatus, SessionId, Timestamp};

/// One text, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(untagged)]
#[ts(export_to = "protocol.ts")]
pub enum Names {
    /// One, or several separated by commas.
    One(String),
    Several(Vec<String>),
}

/// `POST /sessions/delete`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct DeleteSessions {
    pub filter: SessionSelection,
    /// `true`: only count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// The filters of `GET /sessions`. Every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct SessionSelection {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    /// Any of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Names>,
    /// Together with `nodeStatus`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_status: Option<NodeStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_after: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_after: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_after: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Names>,
    /// All of these entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<bool>,
}

/// The answer to `POST /sessions/delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct DeletedSessions {
    /// Sessions that were found, and with `dryRun` would be deleted.
    #[ts(type = "number")]
    pub matched: u64,
    /// 0 with `dryRun`.
    #[ts(type = "number")]
    pub deleted: u64,
    pub dry_run: bool,
    /// True if there are more: a request deletes up to 10,000 in up to 20 s, and counts up to 100,000. Send it again.
    pub has_more: bool,
}

/// `GET` and `PUT /retention`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct Retention {
    /// At most 100. A session is removed if one of them applies to it: by the first, if several do.
    pub rules: Vec<RetentionRule>,
    /// Sessions that were removed, also by rules that are not there any more. Not read from requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub removed: Option<u64>,
    /// When all rules were last applied to the end. Not read from requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Timestamp>,
    /// Not read from requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

/// Which sessions are deleted or archived, how long after their end. Every given condition must hold; a rule never
/// concerns sessions that have not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct RetentionRule {
    /// Any of `completed`, `failed` and `cancelled`; by default all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Names>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Days since the end: 0 to 36500, fractions too.
    pub older_than_days: f64,
    /// By default they are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<RetentionEffect>,
    /// Sessions that it has removed. Not read from requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub removed: Option<u64>,
    /// Not read from requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_removed_at: Option<Timestamp>,
}

/// What a rule of retention does with a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum RetentionEffect {
    #[default]
    Delete,
    Archive,
}
