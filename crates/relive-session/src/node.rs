//! One node's state.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{NodeId, NodeStatus, Revision, Timestamp};

/// The progress of a long node: 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, TS, ToSchema)]
#[serde(transparent)]
#[ts(as = "f64", export_to = "session.ts")]
#[schema(value_type = f64)]
pub struct Progress(f64);

// Never NaN: the constructor refuses it.
impl Eq for Progress {}

impl Progress {
    /// `None` outside of 0 to 1.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (0.0..=1.0).contains(&value).then_some(Self(value))
    }

    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Progress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("progress must lie between 0 and 1"))
    }
}

/// Tokens read and written by language models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts")]
pub struct TokenUsage {
    #[ts(type = "number")]
    pub input_tokens: u64,
    #[ts(type = "number")]
    pub output_tokens: u64,
}

impl TokenUsage {
    #[must_use]
    pub fn saturating_add(self, input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(input_tokens),
            output_tokens: self.output_tokens.saturating_add(output_tokens),
        }
    }
}

/// The retries of a node since it was entered. A new round of a loop, or a client that sets an ended node back
/// to `pending` or `running`, starts without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct Retry {
    /// Attempts after the first, including the one that is due.
    #[serde(default)]
    pub tries: u32,
    /// Attempts in a row that were interrupted because their server went down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub cut_off: Option<u32>,
    /// When the next attempt may begin; absent once it has begun. For a waiting node: when its time is
    /// up, if a clock was set back while it waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

/// What a node does, whatever its type is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "session.ts")]
pub enum NodeKind {
    /// Decides by itself what to do next.
    Agent,
    /// Steps in a fixed order.
    Chain,
    /// A call of a language model.
    Llm,
    /// A call of a tool.
    Tool,
    /// Finds documents.
    Retriever,
    /// Makes vectors of texts.
    Embedding,
    /// Checks what goes in or comes out.
    Guardrail,
    /// A person's part.
    Human,
    /// Anything else.
    Task,
}

/// A node as viewers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct NodeStateSnapshot {
    pub id: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    pub status: NodeStatus,
    /// The client's time if it gave one, otherwise the time of recording; `completedAt` likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_usage: Option<TokenUsage>,
    /// 0 to 1, for long nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// 1 on the first run, one more on each re-entry (loop, retry).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Present once the node is, or was, to be retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// For a node that has decided: which of its next nodes follow. Absent if all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ids: Option<Vec<NodeId>>,
    /// The node that it is a step of. That one is among the session's nodes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_node_id: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<NodeKind>,
    #[serde(default, skip_serializing_if = "super::labels::no_metadata")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = std::collections::BTreeMap<String, super::MetadataValue>, required = false)]
    pub attributes: Arc<Map<String, Value>>,
}

/// The journal position of a node's last output or input, and a fingerprint to recognise the same one again.
///
/// Both can be large and no snapshot shows them, so the state keeps only this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputRef {
    pub revision: Revision,
    pub digest: u64,
    /// Which journal: 0 is the session's own, 1 that of the session it was forked from, and so on. Not an id,
    /// so that it stays valid when an ancestor is deleted or the session imported.
    #[serde(default, skip_serializing_if = "is_own")]
    pub depth: u32,
}

impl OutputRef {
    /// Whether it refers to the same output.
    #[must_use]
    pub fn is_of(self, output: &serde_json::Value) -> bool {
        self.digest == super::json::digest(output)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_own(depth: &u32) -> bool {
    *depth == 0
}

/// A position and time in a session's history at which something began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    pub revision: Revision,
    pub at: Timestamp,
}

/// One node's state: what viewers see, and what only the server needs.
///
/// Immutable; a change creates a new one. Therefore its JSON can be cached in it, and a snapshot of a large
/// graph encodes only the nodes that changed.
#[derive(Debug)]
pub struct Node {
    pub snapshot: NodeStateSnapshot,
    pub output: Option<OutputRef>,
    /// The input of its last attempt. Always in the session's own journal: a fork begins without.
    pub input: Option<OutputRef>,
    /// Since when it has had its status, on its attempt; the time is the client's if it gave one. `None` in a
    /// state that was restored from a keyframe of a version that did not keep it.
    pub since: Option<Moment>,
    encoded: OnceLock<Box<RawValue>>,
}

impl Node {
    #[must_use]
    pub fn new(snapshot: NodeStateSnapshot, output: Option<OutputRef>) -> Self {
        Self { snapshot, output, input: None, since: None, encoded: OnceLock::new() }
    }

    #[must_use]
    pub fn given(mut self, input: Option<OutputRef>) -> Self {
        self.input = input;
        self
    }

    #[must_use]
    pub fn since(mut self, since: Option<Moment>) -> Self {
        self.since = since;
        self
    }

    /// What remains of [`Retry`] when the node becomes `status` and the change does not say otherwise.
    #[must_use]
    pub(super) fn retry_after(&self, status: NodeStatus) -> Option<Retry> {
        let held = &self.snapshot;
        if held.status.is_final() && !status.is_final() {
            return None;
        }
        let begins = held.status != status;
        held.retry.map(|retry| Retry { due_at: retry.due_at.filter(|_| !begins), ..retry })
    }

    /// A node that has not run.
    #[must_use]
    pub fn pending(id: NodeId, name: Option<String>, node_type: Option<String>) -> Self {
        let snapshot = NodeStateSnapshot {
            id,
            name,
            node_type,
            status: NodeStatus::Pending,
            started_at: None,
            completed_at: None,
            token_usage: None,
            progress: None,
            attempt: None,
            error: None,
            retry: None,
            next_ids: None,
            parent_node_id: None,
            kind: None,
            attributes: Arc::default(),
        };
        Self::new(snapshot, None)
    }
}

/// Since when a node has its status, given what was held of it before the change at `moment`.
pub(super) fn since(held: Option<&Node>, node: &NodeStateSnapshot, moment: Moment) -> Option<Moment> {
    let Some(held) = held else { return Some(told(node, moment)) };
    let (status, attempt) = (held.snapshot.status, held.snapshot.attempt);
    if (status, attempt) == (node.status, node.attempt) {
        // A time that was told, or corrected, later.
        return held.since.map(|since| if since == told(&held.snapshot, since) { told(node, since) } else { since });
    }
    let goes_on = status.is_active() && node.status == NodeStatus::Running && attempt == node.attempt;
    Some(if goes_on { moment } else { told(node, moment) })
}

/// When a node's run began, or ended, as viewers are shown it.
fn told(node: &NodeStateSnapshot, moment: Moment) -> Moment {
    let at = match node.status {
        NodeStatus::Running => node.started_at,
        status if status.is_final() => node.completed_at,
        _ => None,
    };
    Moment { at: at.unwrap_or(moment.at), ..moment }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.snapshot == other.snapshot && self.output == other.output && self.input == other.input
    }
}

// Shared pointers to the same node compare equal without comparing their contents.
impl Eq for Node {}

/// As viewers see it, from the cached JSON.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(encoded) = self.encoded.get() {
            return encoded.serialize(serializer);
        }
        let encoded = serde_json::value::to_raw_value(&self.snapshot).map_err(serde::ser::Error::custom)?;
        self.encoded.get_or_init(|| encoded).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        NodeStateSnapshot::deserialize(deserializer).map(|snapshot| Self::new(snapshot, None))
    }
}
