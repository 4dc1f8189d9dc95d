//! What tools take. Their JSON schemas come from these types.

use rmcp::schemars::{self, JsonSchema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// An id that the server makes.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = "uuid"))]
pub struct Id(#[schemars(with = "String")] pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SessionStatusArgument {
    Pending,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum NodeStatusArgument {
    Pending,
    Running,
    Completed,
    Failed,
    Skipped,
    Suspended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogLevelArgument {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListSessions {
    /// Sessions in one of these statuses
    pub status: Option<Vec<SessionStatusArgument>>,
    /// Part of the name, of a tag, of the workflow's name or of the error, or the beginning of the id
    pub text: Option<String>,
    /// Sessions that have all of these tags
    pub tags: Option<Vec<String>>,
    /// Runs of this stored workflow
    pub workflow_id: Option<Id>,
    /// Runs of this group
    pub group_id: Option<Id>,
    /// Runs that this session has started
    pub parent_session_id: Option<Id>,
    /// Whether to list only runs whose engine has stopped reporting
    pub stalled: Option<bool>,
    /// Runs that started after this RFC 3339 time
    pub started_after: Option<String>,
    /// Runs that started before this RFC 3339 time
    pub started_before: Option<String>,
    /// Sessions at most, by default 20
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// `nextCursor` of the page before
    pub cursor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Search {
    /// What to search for
    pub text: String,
    /// Sessions, and memories, at most; by default 20
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadSession {
    /// The session's id
    pub session_id: Id,
    /// As it was at this revision; by default as it is now
    pub revision: Option<u64>,
    /// Only nodes in one of these statuses
    pub node_status: Option<Vec<NodeStatusArgument>>,
    /// Nodes at most, by default 100: those that failed first, then those that wait or run
    #[schemars(range(min = 1, max = 1000))]
    pub nodes: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadNode {
    /// The session's id
    pub session_id: Id,
    /// The node's id
    pub node_id: String,
    /// Characters of the input and of the output each, by default 4,000; what is longer is cut
    #[schemars(range(min = 100, max = 100_000))]
    pub characters: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadEvents {
    /// The session's id
    pub session_id: Id,
    /// Only events after this revision
    pub after: Option<u64>,
    /// Events at most, by default 20
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Characters of an event, by default 4,000; what is longer is cut
    #[schemars(range(min = 100, max = 100_000))]
    pub characters: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadMessages {
    /// The session's id
    pub session_id: Id,
    /// Only messages of this node
    pub node_id: Option<String>,
    /// Whether the newest come first
    pub newest_first: Option<bool>,
    /// `nextAfter` of the page before, read in the same order
    pub after: Option<String>,
    /// Messages at most, by default 20
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Characters of a message, by default 4,000; what is longer is cut
    #[schemars(range(min = 100, max = 100_000))]
    pub characters: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadLogs {
    /// The session's id
    pub session_id: Id,
    /// Only lines of this node
    pub node_id: Option<String>,
    /// Lines of this level and of those above it
    pub level: Option<LogLevelArgument>,
    /// Only lines with this text in them, ignoring case
    pub text: Option<String>,
    /// Whether the newest come first
    pub newest_first: Option<bool>,
    /// `nextAfter` of the page before, read in the same order
    pub after: Option<String>,
    /// Lines at most, by default 20
    #[schemars(range(min = 1, max = 200))]
    pub limit: Option<u32>,
    /// Characters of a line, by default 4,000; what is longer is cut
    #[schemars(range(min = 100, max = 100_000))]
    pub characters: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExplainFailure {
    /// The session's id
    pub session_id: Id,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StartRun {
    /// The id of a stored workflow for the built-in engine
    pub workflow_id: Id,
    /// The inputs of the run
    pub inputs: Option<Map<String, Value>>,
    /// A name for people
    pub name: Option<String>,
    /// Tags by which it can be found
    pub tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForkSession {
    /// The id of the session to fork
    pub session_id: Id,
    /// The revision whose state the new session begins with
    pub revision: u64,
    /// Whether to start or resume the new session at once
    pub start: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlSession {
    /// The session's id
    pub session_id: Id,
    /// `stop` ends it as failed, `cancel` as cancelled: neither can be undone
    pub action: ControlAction,
    /// Why; of `stop` and `cancel`, and shown to whoever watches
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ControlAction {
    Start,
    Pause,
    Resume,
    Stop,
    Cancel,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReviewNode {
    /// The session's id
    pub session_id: Id,
    /// The id of a node that waits for a review
    pub node_id: String,
    /// `modify` approves with changes, which are given as `data`
    pub action: ReviewAction,
    /// Of `modify`: what to go on with
    pub data: Option<Value>,
    /// Which question it answers, of a node that waits for several
    pub interrupt_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum ReviewAction {
    Approve,
    Reject,
    Modify,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SendSignal {
    /// The session's id
    pub session_id: Id,
    /// The id of a node that runs or waits
    pub node_id: String,
    /// What it is sent
    pub payload: Value,
    /// Which question it answers, of a node that waits for several
    pub interrupt_id: Option<String>,
}
