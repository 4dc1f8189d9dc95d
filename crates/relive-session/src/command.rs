//! Commands of clients.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    ContentType, GraphEdge, GraphNode, LabelFields, LogLevel, MessageId, NodeId, NodeKind, NodeStatus, Progress,
    Refusal, Retry, Revision, Timestamp, ToolCall,
};

/// Who speaks in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "session.ts")]
pub enum MessageRole {
    User,
    #[default]
    Agent,
    System,
    /// The result of a tool call.
    Tool,
}

impl MessageRole {
    pub const ALL: [Self; 4] = [Self::User, Self::Agent, Self::System, Self::Tool];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Agent => "agent",
            Self::System => "system",
            Self::Tool => "tool",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// A request to change a session. It may be refused; only events are facts.
///
/// The same union travels over HTTP, WebSocket and in-process calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub enum Command {
    /// Begin: pending → running.
    Start,
    /// Running → paused. Running nodes may finish; an engine starts no others.
    Pause,
    /// Running or paused → paused, with all clocks stopped until it is resumed: what an import does to a
    /// run of the built-in engine. Clients cannot send it.
    #[serde(skip)]
    #[ts(skip)]
    #[schema(ignore)]
    Hold,
    /// Paused → running.
    Resume,
    /// The driver is there, and will be heard of again within these seconds. Clients send `leaseSeconds` instead.
    #[serde(skip)]
    #[ts(skip)]
    #[schema(ignore)]
    RenewLease {
        seconds: u32,
        /// The lease had passed, or there was none.
        is_late: bool,
    },
    /// The driver's lease has passed, if it was not renewed since this revision. The server's own.
    #[serde(skip)]
    #[ts(skip)]
    #[schema(ignore)]
    Stall { granted: Option<Revision> },
    /// The session's parent is not there any more. What the deletion of the parent leads to; clients cannot send it.
    #[serde(skip)]
    #[ts(skip)]
    #[schema(ignore)]
    LeaveParent,
    /// Running → completed. Refused while a node is running or suspended.
    #[serde(rename_all = "camelCase")]
    Complete {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        outputs: Option<Value>,
    },
    /// Running or paused → failed.
    #[serde(rename_all = "camelCase")]
    Fail { error: String },
    /// A person's way to end a run early: running or paused → failed.
    #[serde(rename_all = "camelCase")]
    Stop {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Anything not ended → cancelled.
    #[serde(rename_all = "camelCase")]
    Cancel {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Report a node's status, or new facts about it under the same status.
    #[serde(rename_all = "camelCase")]
    SetNodeStatus {
        node_id: NodeId,
        status: NodeStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node_type: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<Progress>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        output: Option<Value>,
        /// That the node will be retried, and when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
        /// The attempt's input, such as a prompt as it was sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        input: Option<Value>,
        /// Which of its next nodes follow, when a node that decides has completed; absent: all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_ids: Option<Vec<NodeId>>,
        /// The node that it is a step of. With a graph, a node under another one need not be in the graph.
        /// Without a graph, a parent that is unknown appears as a pending node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_node_id: Option<NodeId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<NodeKind>,
        /// Texts, numbers and booleans, merged into those that the node has; `null` removes one. At most 8 KiB
        /// in all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "Record<string, string | number | boolean | null>", optional)]
        #[schema(value_type = Value, required = false)]
        attributes: Option<Map<String, Value>>,
        /// When the attempt began by the client's clock. By default the time of recording.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        /// When the attempt ended by the client's clock, for a node that has ended; not before its start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        completed_at: Option<Timestamp>,
    },
    /// Add to a node's and the session's token counts and cost.
    #[serde(rename_all = "camelCase")]
    RecordUsage {
        node_id: NodeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        #[ts(type = "number")]
        input_tokens: u64,
        #[ts(type = "number")]
        output_tokens: u64,
        /// Input tokens that the provider had cached; whether `inputTokens` includes them depends on the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number", optional)]
        cached_input_tokens: Option<u64>,
        /// Output tokens of the model's reasoning; whether `outputTokens` includes them depends on the provider.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number", optional)]
        reasoning_tokens: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "super::money::optional_usd")]
        #[ts(type = "number", optional)]
        #[schema(value_type = Option<f64>)]
        cost_usd: Option<Decimal>,
    },
    /// Set one entry of the context data, or several; `null` removes an entry. What is held already makes no revision.
    #[serde(rename_all = "camelCase")]
    SetContext {
        /// Goes with `value`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        #[serde(default, deserialize_with = "super::json::present", skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        value: Option<Value>,
        /// Instead of `key` and `value`: values by their keys.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "Record<string, unknown>", optional)]
        #[schema(value_type = Value, required = false)]
        values: Option<Map<String, Value>>,
    },
    /// Add nodes and edges to the graph of a session that has one. The nodes are pending.
    #[serde(rename_all = "camelCase")]
    AddNodes {
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[ts(as = "Option<BTreeMap<String, GraphNode>>", optional)]
        #[schema(required = false)]
        nodes: BTreeMap<NodeId, GraphNode>,
        /// Edges to and from nodes that are there, besides the new nodes' `nextIds`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(as = "Option<Vec<GraphEdge>>", optional)]
        #[schema(required = false)]
        edges: Vec<GraphEdge>,
    },
    /// Replace the proposal the run works on.
    #[serde(rename_all = "camelCase")]
    SetProposal {
        #[ts(type = "unknown")]
        proposal: Value,
    },
    /// Name and tag the session; also after its end.
    SetLabels(LabelFields),
    /// Send a payload to a running or suspended node.
    #[serde(rename_all = "camelCase")]
    Signal {
        node_id: NodeId,
        #[ts(type = "unknown")]
        payload: Value,
        /// Which of the interrupts it answers, of a node that waits for several. Their ids are the engine's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interrupt_id: Option<String>,
    },
    /// Store a finished message. The server creates the id if none is given.
    #[serde(rename_all = "camelCase")]
    AddMessage {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
        node_id: NodeId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<String>,
        /// The agent's name when it spoke; looked up by the server.
        #[serde(skip)]
        #[ts(skip)]
        #[schema(ignore)]
        agent_name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<MessageRole>,
        content: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        is_thinking: Option<bool>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number", optional)]
        token_count: Option<u64>,
        /// The calls of tools that the message asks for; at most 128, and 1 MiB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_calls: Option<Vec<ToolCall>>,
        /// The call whose result the message is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_call_id: Option<String>,
        /// The format of `content`; by default `text/markdown`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        content_type: Option<ContentType>,
    },
    /// Store a log line of a node.
    #[serde(rename_all = "camelCase")]
    AddLog {
        node_id: NodeId,
        level: LogLevel,
        /// At most 64 KiB.
        text: String,
        /// When it was written by the client's clock. By default the time of recording.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
        /// Texts, numbers and booleans; at most 8 KiB.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "Record<string, string | number | boolean>", optional)]
        #[schema(value_type = Value, required = false)]
        attributes: Option<Map<String, Value>>,
    },
    /// Store a memory. The server creates the id if none is given.
    #[serde(rename_all = "camelCase")]
    AddMemory {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory_id: Option<Uuid>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<String>,
        content: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        embedding: Option<Vec<f32>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        metadata: Option<Value>,
    },
}

impl Command {
    /// The command's name on the wire; a label for logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Hold => "hold",
            Self::Resume => "resume",
            Self::RenewLease { .. } => "lease",
            Self::Stall { .. } => "stall",
            Self::LeaveParent => "leaveParent",
            Self::Complete { .. } => "complete",
            Self::Fail { .. } => "fail",
            Self::Stop { .. } => "stop",
            Self::Cancel { .. } => "cancel",
            Self::SetNodeStatus { .. } => "setNodeStatus",
            Self::RecordUsage { .. } => "recordUsage",
            Self::SetContext { .. } => "setContext",
            Self::AddNodes { .. } => "addNodes",
            Self::SetProposal { .. } => "setProposal",
            Self::SetLabels(_) => "setLabels",
            Self::Signal { .. } => "signal",
            Self::AddMessage { .. } => "addMessage",
            Self::AddLog { .. } => "addLog",
            Self::AddMemory { .. } => "addMemory",
        }
    }

    /// One entry of the context data.
    #[must_use]
    pub fn set_context(key: impl Into<String>, value: Value) -> Self {
        Self::SetContext { key: Some(key.into()), value: Some(value), values: None }
    }

    /// A signal to the node as a whole.
    #[must_use]
    pub fn signal(node_id: impl Into<NodeId>, payload: Value) -> Self {
        Self::Signal { node_id: node_id.into(), payload, interrupt_id: None }
    }

    /// The entries that a `setContext` sets: one, or several. Other commands set none.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`] if it is neither of the two.
    pub(super) fn context_entries(&self) -> Result<Vec<(&str, &Value)>, Refusal> {
        let Self::SetContext { key, value, values } = self else { return Ok(Vec::new()) };
        match (key, value, values) {
            (Some(key), Some(value), None) => Ok(vec![(key, value)]),
            (None, None, Some(values)) => Ok(values.iter().map(|(key, value)| (key.as_str(), value)).collect()),
            _ => Err(Refusal::Invalid { field: "setContext", problem: "needs either `key` and `value`, or `values`" }),
        }
    }

    /// How many events it can lead to.
    #[must_use]
    pub fn changes(&self) -> usize {
        match self {
            Self::SetContext { values: Some(values), .. } => values.len().max(1),
            _ => 1,
        }
    }

    /// Gives messages and memories without an id a new one.
    ///
    /// Deciding is pure, so identifiers are made before it; doing it once, when the command
    /// arrives, also keeps the id the same when the command has to be decided again.
    pub fn assign_ids(&mut self, generate: impl FnOnce() -> Uuid) {
        match self {
            Self::AddMessage { message_id: id @ None, .. } => *id = Some(generate().into()),
            Self::AddMemory { memory_id: id @ None, .. } => *id = Some(generate()),
            _ => {}
        }
    }
}
