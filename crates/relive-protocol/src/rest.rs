//! Bodies of HTTP requests and answers.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use relive_session::{
    Agent, Alert, AlertEvent, Command, Delivery, Driver, GraphDefinition, Group, Log, Memory, Message, MessageId,
    NodeId, NodeKind, NodeStateSnapshot, NodeStatus, Progress, Recorded, Retry, Revision, Schedule, SessionId,
    SessionSummary, Timestamp, Webhook, Workflow, optional_usd,
};

/// `POST /sessions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct CreateSession {
    /// Chosen by the client, or created by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SessionId>,
    /// A stored workflow; its graph is used unless `graph` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    /// Without a graph, nodes appear when they are first named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphDefinition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub proposal: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub inputs: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At most 20, each different, of 1 to 64 characters, none of them a control character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// At most 50 entries and 16 KiB as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = Object, required = false)]
    pub metadata: Option<Map<String, Value>>,
    /// The session that starts this one: its parent. A fork's parent is another thing (`parentId`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_id: Option<SessionId>,
    /// The node of that session which starts it. It need not be known there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_node_id: Option<NodeId>,
}

/// `POST /sessions/{id}/fork`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ForkSession {
    /// The revision whose state the fork begins with.
    #[ts(type = "number")]
    pub revision: Revision,
    /// Start the fork if that state is pending, or resume it if it is paused. Otherwise its status is
    /// unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<bool>,
}

/// `POST /sessions/{id}/commands`: one command, or several that are carried out atomically.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(untagged)]
#[ts(export_to = "protocol.ts")]
pub enum Commands {
    Several(Vec<Command>),
    One(Box<Command>),
}

/// The answer to accepted commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct CommandReceipt {
    /// The revision the session reached by these commands.
    #[ts(type = "number")]
    pub revision: Revision,
    /// True when the `commandId` had been carried out before; nothing has changed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<bool>,
}

/// The actions of `POST /sessions/{id}/control`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum ControlAction {
    Start,
    Pause,
    Resume,
    Complete,
    Stop,
    Cancel,
}

/// `POST /sessions/{id}/control`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ControlRequest {
    pub action: ControlAction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sender drives the session, and renews its lease: 5 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

impl From<ControlRequest> for Command {
    fn from(request: ControlRequest) -> Self {
        let reason = request.reason;
        match request.action {
            ControlAction::Start => Self::Start,
            ControlAction::Pause => Self::Pause,
            ControlAction::Resume => Self::Resume,
            ControlAction::Complete => Self::Complete { outputs: None },
            ControlAction::Stop => Self::Stop { reason },
            ControlAction::Cancel => Self::Cancel { reason },
        }
    }
}

/// `PUT /sessions/{id}/nodes/{nodeId}`: the fields of `setNodeStatus`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct NodeUpdate {
    pub status: NodeStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub output: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The attempt's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub input: Option<Value>,
    /// Which of its next nodes follow, if not all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ids: Option<Vec<NodeId>>,
    /// The node that it is a step of. With a graph, a node under another one need not be in the graph.
    /// Without a graph, a parent that is unknown appears as a pending node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_node_id: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<NodeKind>,
    /// Texts, numbers and booleans, merged into those that the node has; `null` removes one. At most 8 KiB in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "Record<string, string | number | boolean | null>", optional)]
    #[schema(value_type = Value, required = false)]
    pub attributes: Option<Map<String, Value>>,
    /// When the attempt began by the client's clock. By default the time of recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the attempt ended by the client's clock, for a node that has ended; not before its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The sender drives the session, and renews its lease: 5 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

impl NodeUpdate {
    #[must_use]
    pub fn into_command(self, node_id: NodeId) -> Command {
        let Self {
            status,
            name,
            node_type,
            progress,
            error,
            output,
            input,
            next_ids,
            retry,
            parent_node_id,
            kind,
            attributes,
            started_at,
            completed_at,
            lease_seconds: _,
        } = self;
        Command::SetNodeStatus {
            node_id,
            status,
            name,
            node_type,
            progress,
            error,
            output,
            input,
            next_ids,
            retry,
            parent_node_id,
            kind,
            attributes,
            started_at,
            completed_at,
        }
    }
}

/// `GET /sessions/{id}/nodes/{nodeId}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct NodeDetail {
    #[serde(flatten)]
    pub node: NodeStateSnapshot,
    /// The last output reported for the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub output: Option<Value>,
    /// The input of the last attempt, such as a prompt as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub input: Option<Value>,
}

/// `POST /sessions/{id}/signal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct SignalRequest {
    pub node_id: NodeId,
    #[ts(type = "unknown")]
    pub payload: Value,
    /// Which of the interrupts it answers, of a node that waits for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupt_id: Option<String>,
    /// The sender drives the session, and renews its lease: 5 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

/// One chunk of `POST /sessions/{id}/tokens`: the fields of a `token` frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct TokenChunk {
    pub node_id: NodeId,
    /// Of the message that is being written, and that `addMessage` stores when it is finished.
    pub message_id: MessageId,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_thinking: Option<bool>,
}

/// A reviewer's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum ReviewAction {
    Approve,
    Reject,
    Modify,
}

/// `POST /sessions/{id}/review`: a signal whose payload is `{review: {action, reviewer?, data?}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ReviewRequest {
    pub node_id: NodeId,
    pub action: ReviewAction,
    /// Who reviews. While access control is on, the server puts the name of the caller here: that of the key, or
    /// of whoever has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub data: Option<Value>,
    /// Which of the interrupts it answers, of a node that waits for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupt_id: Option<String>,
    /// The sender drives the session, and renews its lease: 5 to 3600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
}

impl From<ReviewRequest> for Command {
    fn from(request: ReviewRequest) -> Self {
        let mut review = serde_json::json!({ "action": request.action });
        if let Some(reviewer) = request.reviewer {
            review["reviewer"] = reviewer.into();
        }
        if let Some(data) = request.data {
            review["data"] = data;
        }
        let payload = serde_json::json!({ "review": review });
        Self::Signal { node_id: request.node_id, payload, interrupt_id: request.interrupt_id }
    }
}

/// `GET /sessions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct SessionPage {
    pub sessions: Vec<SessionSummary>,
    /// Pass as `cursor` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /sessions/count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct SessionCount {
    /// How many sessions the list has; 10,000 at most.
    #[ts(type = "number")]
    pub count: u64,
    /// Whether there are more than `count`, which are not counted.
    pub has_more: bool,
}

/// `GET /sessions/{id}/events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct EventPage {
    pub events: Vec<Recorded>,
    /// Pass as `after` for the next page; absent when these are the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub next_after: Option<Revision>,
}

/// `GET /sessions/{id}/messages`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct MessagePage {
    pub messages: Vec<Message>,
    /// Pass as `after` for the next page; absent when there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}

/// `GET /sessions/{id}/logs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct LogPage {
    pub logs: Vec<Log>,
    /// Pass as `after` for the next page; absent when there are no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}

/// `POST /memories`: a memory outside a run, or of a run that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "memory.ts", optional_fields)]
pub struct CreateMemory {
    /// Chosen by the client, or created by the server. A client that chooses can repeat the request
    /// without storing the memory twice: the second is a `conflict`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// By default that of the session, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    pub content: String,
    /// Created by the server if it is not given and there is an embeddings endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub metadata: Option<Value>,
}

/// `POST /memories/search`: by `embedding` or by `text`, within the given scope.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "memory.ts", optional_fields)]
pub struct SearchMemories {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Memories at most: 1 to 100, by default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub limit: Option<u32>,
    /// Only memories with at least this score: -1 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_score: Option<f64>,
}

/// How memories were compared with what was searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "memory.ts")]
pub enum SearchMethod {
    /// By the cosine of their embeddings: a score of 1 is identical, 0 unrelated, -1 opposite.
    Vector,
    /// By words: a score of 1 has all the words and no others. Used if there is no embedding to compare with.
    Text,
}

/// Search results, best first, each memory with its `score`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "memory.ts")]
pub struct FoundMemories {
    pub memories: Vec<Memory>,
    /// Scores of the two methods cannot be compared with each other.
    pub method: SearchMethod,
}

/// `GET /sessions/{id}/memories` and `GET /memories`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "memory.ts", optional_fields)]
pub struct MemoryPage {
    pub memories: Vec<Memory>,
    /// How they were compared; absent when they are ordered by time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<SearchMethod>,
    /// Pass as `after` for the next page; absent when there are no more, and by similarity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
}

/// Tokens and cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct Usage {
    /// How often usage was recorded.
    #[ts(type = "number")]
    pub calls: u64,
    #[ts(type = "number")]
    pub input_tokens: u64,
    #[ts(type = "number")]
    pub output_tokens: u64,
    /// Absent when unknown: all of it is of models without a price, and no cost was given.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_usd")]
    #[ts(type = "number", optional)]
    #[schema(value_type = Option<f64>)]
    pub cost_usd: Option<Decimal>,
}

/// `GET /sessions/{id}/usage`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct UsageReport {
    pub total: Usage,
    #[ts(type = "Record<string, Usage>")]
    pub by_node: BTreeMap<String, Usage>,
    /// By agent id; usage without an agent is left out.
    #[ts(type = "Record<string, Usage>")]
    pub by_agent: BTreeMap<String, Usage>,
    /// By model; usage without a model is left out.
    #[ts(type = "Record<string, Usage>")]
    pub by_model: BTreeMap<String, Usage>,
    /// With `descendants=true`: how many sessions were added up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub sessions: Option<u64>,
    /// True if there is more than that: only 10,000 descendants are added up, and named are the 10,000 nodes, agents and
    /// models with the most tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub truncated: Option<bool>,
}

/// `GET /groups`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct GroupPage {
    pub groups: Vec<Group>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /agents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct AgentPage {
    pub agents: Vec<Agent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /workflows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct WorkflowPage {
    pub workflows: Vec<Workflow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /webhooks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct WebhookPage {
    pub webhooks: Vec<Webhook>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /webhooks/{id}/deliveries`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "webhooks.ts", optional_fields)]
pub struct DeliveryPage {
    pub deliveries: Vec<Delivery>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /schedules`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "schedules.ts", optional_fields)]
pub struct SchedulePage {
    pub schedules: Vec<Schedule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /alerts`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct AlertPage {
    pub alerts: Vec<Alert>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `GET /alerts/{id}/events`, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "alerts.ts", optional_fields)]
pub struct AlertEventPage {
    pub events: Vec<AlertEvent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
