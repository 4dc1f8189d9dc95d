//! The comparison of two runs.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use relive_session::{NodeId, NodeStatus, Revision, SessionId, SessionStatus, optional_usd, usd};

/// `GET /sessions/{id}/diff?with=`: two runs beside each other, their nodes matched by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct RunComparison {
    /// The session in the path.
    pub from: ComparedRun,
    /// The session of `with`.
    pub to: ComparedRun,
    /// Every node that one of them has, by its id.
    #[ts(type = "Record<string, ComparedNode>")]
    pub nodes: BTreeMap<NodeId, ComparedNode>,
}

/// One of two runs that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ComparedRun {
    pub session_id: SessionId,
    #[ts(type = "number")]
    pub revision: Revision,
    pub status: SessionStatus,
    /// From the start to the end; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub duration_ms: Option<u64>,
    #[ts(type = "number")]
    pub total_tokens: u64,
    #[serde(with = "usd")]
    #[ts(type = "number")]
    #[schema(value_type = f64)]
    pub total_cost_usd: Decimal,
}

/// A node in both runs, or in one of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ComparedNode {
    /// Absent: that run has no such node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<NodeFigures>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<NodeFigures>,
    /// Whether the last outputs are the same JSON; also if there is none in both. Absent if one run has no such node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_equal: Option<bool>,
}

/// What a comparison says of a node in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct NodeFigures {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    pub status: NodeStatus,
    /// Of the last attempt, from its start to its end; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub duration_ms: Option<u64>,
    /// 0 before the first.
    pub attempts: u32,
    #[ts(type = "number")]
    pub input_tokens: u64,
    #[ts(type = "number")]
    pub output_tokens: u64,
    /// Absent when unknown: all of its usage is of models without a price, and no cost was given.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_usd")]
    #[ts(type = "number", optional)]
    #[schema(value_type = Option<f64>)]
    pub cost_usd: Option<Decimal>,
}
