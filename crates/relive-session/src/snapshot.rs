//! Snapshots and summaries, as viewers and lists are sent them.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ContentType, ContextValue, MessageId, MessageRole, Node, NodeCounts, NodeId, NodeStatus, ProjectId, Revision,
    Session, SessionId, SessionIdentity, SessionStatus, Timestamp, ToolCall, TraceParent, TraceState,
};

/// The snapshot every viewer is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct WorkflowSession {
    pub id: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    pub status: SessionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    #[ts(type = "Record<string, NodeStateSnapshot>")]
    #[schema(value_type = BTreeMap<String, super::NodeStateSnapshot>)]
    pub nodes: OrdMap<NodeId, Arc<Node>>,
    /// Running or suspended; empty once the session has ended.
    #[ts(type = "Array<string>")]
    #[schema(value_type = Vec<String>)]
    pub active_node_ids: OrdSet<NodeId>,
    #[ts(type = "number")]
    pub total_tokens: u64,
    #[serde(with = "super::money::usd")]
    #[ts(type = "number")]
    #[schema(value_type = f64)]
    pub total_cost_usd: Decimal,
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    #[ts(
        type = "{ score_history?: Array<{ round: number; score: number; timestamp?: string }>; [key: string]: unknown }",
        optional
    )]
    #[schema(value_type = Object, required = false)]
    pub context_data: OrdMap<String, Arc<ContextValue>>,
    /// Dense, durable, starts at 1; the only ordering key.
    #[ts(type = "number")]
    pub revision: Revision,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub forked_from_revision: Option<Revision>,
    /// Given by `POST /sessions` or `setLabels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "super::labels::no_tags")]
    #[ts(type = "Array<string>", optional)]
    #[schema(value_type = Vec<String>, required = false)]
    pub tags: Arc<[String]>,
    #[serde(default, skip_serializing_if = "super::labels::no_metadata")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = BTreeMap<String, super::MetadataValue>, required = false)]
    pub metadata: Arc<Map<String, Value>>,
    /// When an engine with a lease was last seen: by its last command, and by renewals at most a minute ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_seen_at: Option<Timestamp>,
    /// True from when the engine's lease has passed until its next command.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    #[schema(required = false)]
    pub is_stalled: bool,
    /// The session that started this one, while it is there. That of a fork is `parentId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_id: Option<SessionId>,
    /// The node of that session which did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_node_id: Option<NodeId>,
    /// Where nodes or edges were last added to the graph; absent if it is as it was at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub graph_revision: Option<Revision>,
    /// The trace of the request that created the session (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub traceparent: Option<TraceParent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tracestate: Option<TraceState>,
}

/// A session in a list: without nodes and context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct SessionSummary {
    pub id: SessionId,
    /// Absent: `default`.
    #[serde(default, skip_serializing_if = "ProjectId::is_default")]
    #[ts(optional, as = "Option<ProjectId>")]
    pub project_id: ProjectId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    pub status: SessionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    #[ts(type = "number")]
    pub revision: Revision,
    #[ts(type = "number")]
    pub total_tokens: u64,
    #[serde(with = "super::money::usd")]
    #[ts(type = "number")]
    #[schema(value_type = f64)]
    pub total_cost_usd: Decimal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    pub node_counts: NodeCounts,
    /// See [`SessionIdentity::incarnation`](super::SessionIdentity::incarnation). Not sent to clients.
    #[serde(skip)]
    #[ts(skip)]
    #[schema(ignore)]
    pub incarnation: i64,
    /// Given by `POST /sessions` or `setLabels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "super::labels::no_tags")]
    #[ts(type = "Array<string>", optional)]
    #[schema(value_type = Vec<String>, required = false)]
    pub tags: Arc<[String]>,
    #[serde(default, skip_serializing_if = "super::labels::no_metadata")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = BTreeMap<String, super::MetadataValue>, required = false)]
    pub metadata: Arc<Map<String, Value>>,
    /// When an engine with a lease was last seen: by its last command, and by renewals at most a minute ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_seen_at: Option<Timestamp>,
    /// True from when the engine's lease has passed until its next command.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    #[schema(required = false)]
    pub is_stalled: bool,
    /// The session that started this one, while it is there. That of a fork is `parentId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_id: Option<SessionId>,
    /// The node of that session which did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_node_id: Option<NodeId>,
    /// How many sessions this one has started that are there. Not part of the state: it can change without a revision.
    #[serde(default)]
    #[ts(type = "number")]
    #[schema(required = true)]
    pub child_count: u64,
}

/// The stored row, with the inputs and the proposal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct SessionEntity {
    pub id: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    pub status: SessionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub proposal: Option<Arc<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub inputs: Option<Arc<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub outputs: Option<Arc<Value>>,
    #[ts(type = "Record<string, NodeStatus>")]
    #[schema(value_type = BTreeMap<String, NodeStatus>)]
    pub node_statuses: BTreeMap<NodeId, NodeStatus>,
    #[ts(type = "number")]
    pub revision: Revision,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A message of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct Message {
    pub id: MessageId,
    pub session_id: SessionId,
    pub node_id: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    pub role: MessageRole,
    pub content: Arc<str>,
    pub is_thinking: bool,
    /// True only in a client's own view, while chunks are still arriving.
    pub is_streaming: bool,
    #[ts(type = "number")]
    pub token_count: u64,
    pub created_at: Timestamp,
    /// The calls of tools that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(as = "Option<Vec<ToolCall>>", optional)]
    #[schema(value_type = Option<Vec<ToolCall>>)]
    pub tool_calls: Option<Arc<[ToolCall]>>,
    /// The call whose result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The format of `content`; absent: `text/markdown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
}

impl SessionSummary {
    #[must_use]
    pub fn identity(&self) -> SessionIdentity {
        SessionIdentity { created_at: self.created_at, incarnation: self.incarnation }
    }
}

impl Session {
    /// This state as viewers see it. Shares the nodes; costs nothing per node.
    #[must_use]
    pub fn snapshot(&self) -> WorkflowSession {
        WorkflowSession {
            id: self.id,
            workflow_id: self.origin.workflow_id,
            group_id: self.origin.group_id,
            status: self.status,
            started_at: self.started_at,
            completed_at: self.completed_at,
            nodes: self.nodes.clone(),
            active_node_ids: self.active.clone(),
            total_tokens: self.total_tokens,
            total_cost_usd: self.total_cost_usd,
            context_data: self.context.clone(),
            revision: self.revision,
            created_at: self.origin.created_at,
            updated_at: self.updated_at,
            error: self.error.clone(),
            parent_id: self.origin.parent_id,
            forked_from_revision: self.origin.forked_from_revision,
            name: self.labels.name.clone(),
            tags: Arc::clone(&self.labels.tags),
            metadata: Arc::clone(&self.labels.metadata),
            driver_seen_at: self.driver_seen_at(),
            is_stalled: self.is_stalled(),
            parent_session_id: self.parent(),
            parent_node_id: self.parent_node().cloned(),
            graph_revision: self.graph_revision,
            traceparent: self.origin.trace.as_ref().map(|trace| trace.parent),
            tracestate: self.origin.trace.as_ref().and_then(|trace| trace.state.clone()),
        }
    }

    /// This state as a summary for lists, without the number of its children: only the database knows that.
    #[must_use]
    pub fn summary(&self) -> SessionSummary {
        SessionSummary {
            id: self.id,
            project_id: self.origin.project_id.clone(),
            workflow_id: self.origin.workflow_id,
            workflow_name: self.origin.workflow_name.clone(),
            group_id: self.origin.group_id,
            status: self.status,
            started_at: self.started_at,
            completed_at: self.completed_at,
            created_at: self.origin.created_at,
            updated_at: self.updated_at,
            revision: self.revision,
            total_tokens: self.total_tokens,
            total_cost_usd: self.total_cost_usd,
            error: self.error.clone(),
            node_counts: self.node_counts,
            incarnation: self.origin.incarnation,
            name: self.labels.name.clone(),
            tags: Arc::clone(&self.labels.tags),
            metadata: Arc::clone(&self.labels.metadata),
            driver_seen_at: self.driver_seen_at(),
            is_stalled: self.is_stalled(),
            parent_session_id: self.parent(),
            parent_node_id: self.parent_node().cloned(),
            child_count: 0,
        }
    }

    /// This state as its stored row.
    #[must_use]
    pub fn entity(&self) -> SessionEntity {
        SessionEntity {
            id: self.id,
            workflow_id: self.origin.workflow_id,
            group_id: self.origin.group_id,
            status: self.status,
            proposal: self.proposal.clone(),
            inputs: self.origin.inputs.clone(),
            outputs: self.outputs.clone(),
            node_statuses: self.nodes.iter().map(|(id, node)| (id.clone(), node.snapshot.status)).collect(),
            revision: self.revision,
            started_at: self.started_at,
            ended_at: self.completed_at,
            created_at: self.origin.created_at,
            updated_at: self.updated_at,
        }
    }
}
