//! Events: one vocabulary for the domain, the journal and the wire.
//!
//! Stored kinds only ever gain optional fields, so that a journal written by any earlier version
//! can be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::json::present;
use super::{
    Actor, ContentType, Driver, GraphDefinition, GraphEdge, GraphNode, Keyframe, LabelFields, LogAdded, Message,
    MessageId, MessageRole, Moment, NodeId, NodeKind, NodeStatus, Progress, Retry, Revision, Session, SessionId,
    Timestamp, ToolCall, TraceContext, TraceParent, TraceState,
};

/// The first event of every session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct Created {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    /// The graph at that time; later edits of the workflow do not affect this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Arc<GraphDefinition>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub proposal: Option<Arc<Value>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub inputs: Option<Arc<Value>>,
    #[serde(default)]
    pub driver: Driver,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = Value, required = false)]
    pub metadata: Option<Map<String, Value>>,
    /// The session that started this one, if another one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_session_id: Option<SessionId>,
    /// The node of that session which did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_node_id: Option<NodeId>,
    /// The trace of the request that created it (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub traceparent: Option<TraceParent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tracestate: Option<TraceState>,
    /// Present when this session continues another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<Forked>,
}

/// Where a forked session comes from, with the state it starts from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct Forked {
    pub parent_id: SessionId,
    #[ts(type = "number")]
    pub revision: Revision,
    #[ts(type = "Record<string, unknown>")]
    #[schema(value_type = Object)]
    pub state: Box<Keyframe>,
}

impl Created {
    /// The labels that the session begins with.
    #[must_use]
    pub fn labels(&self) -> LabelFields {
        LabelFields { name: self.name.clone(), tags: self.tags.clone(), metadata: self.metadata.clone() }
    }

    /// Adds the trace of the request that creates the session, unless another one is known.
    #[must_use]
    pub fn traced(mut self, trace: Option<&TraceContext>) -> Self {
        if let (None, Some(TraceContext { parent, state })) = (self.traceparent, trace) {
            (self.traceparent, self.tracestate) = (Some(*parent), state.clone());
        }
        self
    }

    /// The first event of a session that continues from the state of `parent`. A run of the built-in engine is
    /// held there until it is resumed.
    #[must_use]
    pub fn fork_of(parent: &Session) -> Self {
        let origin = &parent.origin;
        Self {
            workflow_id: origin.workflow_id,
            workflow_name: origin.workflow_name.clone(),
            group_id: origin.group_id,
            graph: origin.graph.clone(),
            // The state is known to have it, and the labels.
            proposal: None,
            name: None,
            tags: None,
            metadata: None,
            inputs: origin.inputs.clone(),
            driver: origin.driver,
            parent_session_id: parent.parent(),
            parent_node_id: parent.parent_node().cloned(),
            // That of its own request.
            traceparent: None,
            tracestate: None,
            forked: Some(Forked {
                parent_id: parent.id,
                revision: parent.revision,
                state: Box::new(Keyframe::of(parent).inherited(origin.driver)),
            }),
        }
    }
}

/// A message was stored. Its text lives in the message's own row, not in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct MessageAdded {
    pub message_id: MessageId,
    pub node_id: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// The agent's name when it spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    pub role: MessageRole,
    pub is_thinking: bool,
    #[ts(type = "number")]
    pub token_count: u64,
    /// The tool call whose result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
    /// Present only on the way to its row and to live viewers.
    #[serde(skip)]
    #[schema(ignore)]
    pub content: Option<Arc<str>>,
    /// As `content`.
    #[serde(skip)]
    #[schema(ignore)]
    pub tool_calls: Option<Arc<[ToolCall]>>,
}

impl MessageAdded {
    /// The message itself; `None` if the event was read without its text.
    #[must_use]
    pub fn message(&self, session_id: SessionId, at: Timestamp) -> Option<Message> {
        Some(Message {
            id: self.message_id.clone(),
            session_id,
            node_id: self.node_id.clone(),
            agent_id: self.agent_id.clone(),
            agent_name: self.agent_name.clone(),
            role: self.role,
            content: Arc::clone(self.content.as_ref()?),
            is_thinking: self.is_thinking,
            is_streaming: false,
            token_count: self.token_count,
            created_at: at,
            tool_calls: self.tool_calls.clone(),
            tool_call_id: self.tool_call_id.clone(),
            content_type: self.content_type,
        })
    }
}

/// A memory was stored. Its text and embedding live in the memory's own row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct MemoryAdded {
    pub memory_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Text, embedding and metadata; present only on the way to its row.
    #[serde(skip)]
    #[schema(ignore)]
    #[ts(skip)]
    pub row: Option<Arc<MemoryRow>>,
}

/// The part of a memory that is stored in its row and not in its event.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryRow {
    pub content: String,
    pub embedding: Option<Vec<f32>>,
    pub metadata: Option<Value>,
}

/// An event. Durable once recorded, and never changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub enum Event {
    Created(Box<Created>),
    Started,
    Paused {
        /// True when an import paused a run, which then waits until it is resumed. Until then its clocks are
        /// stopped.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        held: bool,
    },
    Resumed,
    /// Pending nodes become `skipped`.
    #[serde(rename_all = "camelCase")]
    Completed {
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        outputs: Option<Arc<Value>>,
    },
    /// Pending and suspended nodes become `skipped`, running ones `failed`.
    #[serde(rename_all = "camelCase")]
    Failed {
        error: String,
        /// True when a person stopped the run, rather than the run failing by itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[ts(as = "Option<bool>", optional)]
        stopped: bool,
    },
    /// Nodes end as on `failed`.
    #[serde(rename_all = "camelCase")]
    Cancelled {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    NodeStatusChanged {
        node_id: NodeId,
        status: NodeStatus,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number", optional)]
        attempt: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node_type: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<Progress>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        output: Option<Arc<Value>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry: Option<Retry>,
        /// The attempt's input.
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        #[ts(type = "unknown", optional)]
        input: Option<Arc<Value>>,
        /// Which of its next nodes follow; absent when all do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_ids: Option<Vec<NodeId>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_node_id: Option<NodeId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<NodeKind>,
        /// What was merged into the node's attributes; `null`: the entry was removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "Record<string, string | number | boolean | null>", optional)]
        #[schema(value_type = Value, required = false)]
        attributes: Option<Map<String, Value>>,
        /// By the client's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started_at: Option<Timestamp>,
        /// By the client's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        completed_at: Option<Timestamp>,
    },
    #[serde(rename_all = "camelCase")]
    UsageRecorded {
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
        /// Absent when unknown: usage of a model without a price, for which no cost was given.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "super::money::optional_usd")]
        #[ts(type = "number", optional)]
        #[schema(value_type = Option<f64>)]
        cost_usd: Option<Decimal>,
    },
    #[serde(rename_all = "camelCase")]
    ContextSet {
        key: String,
        /// `null`: the entry was removed.
        #[ts(type = "unknown")]
        value: Arc<Value>,
    },
    #[serde(rename_all = "camelCase")]
    ProposalSet {
        #[ts(type = "unknown")]
        proposal: Arc<Value>,
    },
    LabelsSet(LabelFields),
    #[serde(rename_all = "camelCase")]
    Signalled {
        node_id: NodeId,
        #[ts(type = "unknown")]
        payload: Arc<Value>,
        /// Which of the node's interrupts it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interrupt_id: Option<String>,
    },
    MessageAdded(MessageAdded),
    LogAdded(LogAdded),
    MemoryAdded(MemoryAdded),
    /// The driver was there, and holds a lease of so many seconds from now on. Renewals are recorded once a minute;
    /// always the first, one of another length, and one that was late.
    #[serde(rename_all = "camelCase")]
    DriverSeen {
        lease_seconds: u32,
    },
    /// The driver's lease has passed.
    Stalled,
    /// Nodes and edges were added to the graph. The nodes are pending.
    #[serde(rename_all = "camelCase")]
    NodesAdded {
        #[ts(as = "BTreeMap<String, GraphNode>")]
        nodes: BTreeMap<NodeId, GraphNode>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[ts(as = "Option<Vec<GraphEdge>>", optional)]
        #[schema(required = false)]
        edges: Vec<GraphEdge>,
    },
    /// The session that started this one was deleted: this one has no parent any more.
    ParentRemoved,
}

impl Event {
    /// The event's name on the wire and in the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Started => "started",
            Self::Paused { .. } => "paused",
            Self::Resumed => "resumed",
            Self::Completed { .. } => "completed",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::NodeStatusChanged { .. } => "nodeStatusChanged",
            Self::UsageRecorded { .. } => "usageRecorded",
            Self::ContextSet { .. } => "contextSet",
            Self::ProposalSet { .. } => "proposalSet",
            Self::LabelsSet(_) => "labelsSet",
            Self::Signalled { .. } => "signalled",
            Self::MessageAdded(_) => "messageAdded",
            Self::LogAdded(_) => "logAdded",
            Self::MemoryAdded(_) => "memoryAdded",
            Self::DriverSeen { .. } => "driverSeen",
            Self::Stalled => "stalled",
            Self::NodesAdded { .. } => "nodesAdded",
            Self::ParentRemoved => "parentRemoved",
        }
    }
}

/// An event with its position in a session's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct Recorded {
    pub session_id: SessionId,
    #[ts(type = "number")]
    pub revision: Revision,
    /// Never earlier than the event before it.
    pub at: Timestamp,
    /// Whose command led to it, if the caller was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<Actor>>,
    pub event: Event,
}

impl Recorded {
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { revision: self.revision, at: self.at }
    }
}
