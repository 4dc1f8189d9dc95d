//! Bodies of HTTP requests and answers.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::session::{
    Agent, Command, Driver, GraphDefinition, Group, Message, NodeId, NodeStateSnapshot, NodeStatus, Progress, Recorded,
    Revision, SessionId, SessionSummary, Workflow,
};

/// `POST /sessions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct CreateSession {
    /// Chosen by the client, or made by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<SessionId>,
    /// A stored workflow; its graph is used unless `graph` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    /// Without a graph, nodes appear as they are first named.
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
}

/// `POST /sessions/{id}/commands`: one command, or several that are carried out all or not at all.
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

/// What `POST /sessions/{id}/control` can do.
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
}

impl NodeUpdate {
    #[must_use]
    pub fn into_command(self, node_id: NodeId) -> Command {
        let Self { status, name, node_type, progress, error, output } = self;
        Command::SetNodeStatus { node_id, status, name, node_type, progress, error, output }
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
}

/// `POST /sessions/{id}/signal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct SignalRequest {
    pub node_id: NodeId,
    #[ts(type = "unknown")]
    pub payload: Value,
}

/// What a reviewer decides.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub data: Option<Value>,
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
        Self::Signal { node_id: request.node_id, payload: serde_json::json!({ "review": review }) }
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
    /// Pass as `after` for the next page; absent when these are the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<String>,
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
