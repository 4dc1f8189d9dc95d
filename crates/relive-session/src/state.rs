//! A session's state at one revision.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use imbl::{OrdMap, OrdSet};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{
    Instances, Labels, Moment, Nesting, Node, NodeCounts, NodeId, NodeStateSnapshot, Origin, Revision, SessionId,
    SessionIdentity, SessionStatus, Timestamp, limits,
};

/// A signal that a suspended node has not yet handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingSignal {
    pub revision: Revision,
    pub payload: Arc<Value>,
}

/// A time during which a run of the built-in engine was held: from the moment it was forked at, or its
/// last event before an import, until it was resumed. None of its clocks run in that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldInterval {
    pub from: Timestamp,
    /// Absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// One entry of the context data, with its JSON cached on first use.
#[derive(Debug)]
pub struct ContextValue {
    value: Arc<Value>,
    encoded: OnceLock<Box<RawValue>>,
}

impl ContextValue {
    #[must_use]
    pub fn new(value: Arc<Value>) -> Self {
        Self { value, encoded: OnceLock::new() }
    }

    #[must_use]
    pub fn value(&self) -> &Arc<Value> {
        &self.value
    }
}

impl PartialEq for ContextValue {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl Eq for ContextValue {}

impl Serialize for ContextValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(encoded) = self.encoded.get() {
            return encoded.serialize(serializer);
        }
        let encoded = serde_json::value::to_raw_value(&self.value).map_err(serde::ser::Error::custom)?;
        self.encoded.get_or_init(|| encoded).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ContextValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Arc::<Value>::deserialize(deserializer).map(Self::new)
    }
}

/// The state of a session at one revision: the fold of its events up to there.
///
/// Cloning is cheap and shares structure, so the staged state, the committed state and the state
/// each viewer was last sent can all be plain values.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub id: SessionId,
    pub origin: Arc<Origin>,
    pub status: SessionStatus,
    /// Since when it has had this status; `None` as in [`Node::since`].
    pub status_since: Option<Moment>,
    pub revision: Revision,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub error: Option<Arc<str>>,
    pub labels: Labels,
    pub proposal: Option<Arc<Value>>,
    pub outputs: Option<Arc<Value>>,
    pub nodes: OrdMap<NodeId, Arc<Node>>,
    /// The graph's nodes that have instances, with the data of their summaries.
    pub instances: OrdMap<NodeId, Instances>,
    /// How nodes nest. Always equal to `Nesting::of` the nodes.
    pub nesting: Nesting,
    /// The running and suspended nodes.
    pub active: OrdSet<NodeId>,
    /// The number of nodes in each status. Always equal to a recount of `nodes`.
    pub node_counts: NodeCounts,
    pub total_tokens: u64,
    pub total_cost_usd: Decimal,
    pub context: OrdMap<String, Arc<ContextValue>>,
    /// Bytes of the context data as JSON. Always equal to a recount of `context`.
    pub context_bytes: usize,
    /// Undelivered signals, by suspended node. A node that leaves `suspended` has received its own.
    pub signals: OrdMap<NodeId, Arc<PendingSignal>>,
    /// When the run was held, in order; at most [`limits::HOLDS`].
    pub holds: Arc<Vec<HeldInterval>>,
}

impl Session {
    /// The status of a node, or `None` when this session does not know it.
    #[must_use]
    pub fn node_status(&self, node_id: &NodeId) -> Option<super::NodeStatus> {
        self.nodes.get(node_id).map(|node| node.snapshot.status)
    }

    /// This state, as that of a session with this incarnation.
    #[must_use]
    pub fn with_incarnation(mut self, incarnation: i64) -> Self {
        Arc::make_mut(&mut self.origin).incarnation = incarnation;
        self
    }

    #[must_use]
    pub fn identity(&self) -> SessionIdentity {
        SessionIdentity { created_at: self.origin.created_at, incarnation: self.origin.incarnation }
    }

    /// Whether `later` can be a later state of this session, or the same. If not, it is another session that was
    /// stored under the same id after this one was deleted.
    #[must_use]
    pub fn is_continued_by(&self, later: &Self) -> bool {
        later.identity() == self.identity() && later.revision >= self.revision
    }

    /// Whether the run is held until it is resumed.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.holds.last().is_some_and(|hold| hold.to.is_none())
    }

    /// The time from `since` until `now`, without the periods in which the run was held.
    #[must_use]
    pub fn elapsed(&self, since: Timestamp, now: Timestamp) -> Duration {
        let (since, now) = (since.as_millis(), now.as_millis());
        let held = self.holds.iter().map(|hold| {
            let to = hold.to.map_or(now, Timestamp::as_millis).min(now);
            to.saturating_sub(hold.from.as_millis().max(since)).max(0)
        });
        let passed = now.saturating_sub(since).saturating_sub(held.sum());
        Duration::from_millis(passed.try_into().unwrap_or_default())
    }
}

/// Stops the clocks of a run at a time.
pub(super) fn hold(holds: &mut Arc<Vec<HeldInterval>>, from: Timestamp) {
    let holds = Arc::make_mut(holds);
    holds.push(HeldInterval { from, to: None });
    let excess = holds.len().saturating_sub(limits::HOLDS);
    holds.drain(..excess);
}

impl Session {
    /// What was reported of a node: for one with instances, of the node alone.
    #[must_use]
    pub fn reported(&self, node_id: &NodeId) -> Option<&NodeStateSnapshot> {
        match self.instances.get(node_id) {
            Some(instances) => Some(&instances.reported),
            None => self.nodes.get(node_id).map(|node| &node.snapshot),
        }
    }

    /// Stores what was reported of a node, and updates summaries: that of its node if it is an instance, its own if
    /// it has instances.
    pub(super) fn put_reported(&mut self, node: Node, moment: Moment) {
        let id = node.snapshot.id.clone();
        if let Some(instances) = self.instances.get_mut(&id) {
            instances.reported = node.snapshot;
            let summary = instances.summary();
            self.put_node(Node::new(summary, node.output).given(node.input), moment);
            return;
        }
        let Some(of) = self.origin.node_of_instance(&id).cloned() else { return self.put_node(node, moment) };
        let held = self.nodes.get(&id).cloned();
        let Some(shown) = self.nodes.get(&of).cloned() else { return self.put_node(node, moment) };
        let instances = self.instances.entry(of).or_insert_with(|| Instances::of(shown.snapshot.clone()));
        instances.replace(held.as_deref().map(|node| &node.snapshot), &node.snapshot);
        let summary = instances.summary();
        self.put_node(node, moment);
        self.put_node(Node::new(summary, shown.output).given(shown.input), moment);
    }
}
