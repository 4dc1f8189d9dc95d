//! Keyframes: stored whole states, from which recovery and seeking start.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ContextValue, Driver, DriverLease, GraphDefinition, HeldInterval, Instances, Labels, Moment, Nesting, Node,
    NodeCounts, NodeId, NodeStateSnapshot, NodeStatus, Origin, OutputRef, PendingSignal, Refusal, Revision, Session,
    SessionId, SessionStatus, Timestamp, attributes, limits, nesting, validate,
};

/// Everything of a state that its `created` event does not already say.
///
/// Like events, stored keyframes only ever gain optional fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Keyframe {
    status: SessionStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status_since: Option<Moment>,
    updated_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "has_no_labels")]
    labels: Labels,
    #[serde(default, deserialize_with = "super::json::present", skip_serializing_if = "Option::is_none")]
    proposal: Option<Arc<Value>>,
    #[serde(default, deserialize_with = "super::json::present", skip_serializing_if = "Option::is_none")]
    outputs: Option<Arc<Value>>,
    nodes: Vec<KeyframeNode>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    instances: BTreeMap<NodeId, Instances>,
    total_tokens: u64,
    #[serde(with = "rust_decimal::serde::str")]
    total_cost_usd: Decimal,
    #[serde(default)]
    context: BTreeMap<String, Arc<Value>>,
    #[serde(default)]
    signals: BTreeMap<NodeId, PendingSignal>,
    #[serde(default, skip_serializing_if = "no_holds")]
    holds: Arc<Vec<HeldInterval>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<DriverLease>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_released: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    answers: BTreeMap<NodeId, BTreeMap<String, PendingSignal>>,
    /// Present if nodes or edges were added to the graph that the `created` event has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    graph: Option<Arc<GraphDefinition>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    graph_revision: Option<Revision>,
}

fn has_no_labels(labels: &Labels) -> bool {
    *labels == Labels::default()
}

fn no_holds(holds: &Arc<Vec<HeldInterval>>) -> bool {
    holds.is_empty()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeyframeNode {
    node: NodeStateSnapshot,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<OutputRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<OutputRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Moment>,
}

impl KeyframeNode {
    fn check(&self) -> Result<(), Refusal> {
        let Self { node, output, input, since: _ } = self;
        validate::id("nodeId", node.id.as_str())?;
        validate::optional(node.name.as_deref(), |name| validate::name("name", name))?;
        validate::optional(node.node_type.as_deref(), |node_type| validate::name("type", node_type))?;
        validate::optional(node.error.as_deref(), |error| validate::text("error", error, limits::ERROR_BYTES))?;
        validate::optional(node.next_ids.as_deref(), validate::next)?;
        attributes::check(&*node.attributes)?;
        validate::times(node.started_at, node.completed_at)?;
        if output.is_some_and(|output| output.depth == 0 || output.revision == 0) {
            return Err(Refusal::Invalid { field: "output", problem: "must stand in the history of an ancestor" });
        }
        if input.is_some() {
            return Err(Refusal::Invalid { field: "input", problem: "must stand in the session's own history" });
        }
        Ok(())
    }
}

/// Events between two keyframes of a small session. In a large one the interval is the number of its nodes,
/// so that keyframes never cost more to write than the events they save reading.
const INTERVAL: u64 = 256;

/// Why a stored keyframe cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("unreadable keyframe: {0}")]
pub struct KeyframeError(#[from] serde_json::Error);

impl Keyframe {
    /// Whether a keyframe should be stored, `after` having been reached from revision `before`.
    #[must_use]
    pub fn is_due(before: Revision, after: &Session) -> bool {
        let interval = INTERVAL.max(after.nodes.len() as u64);
        before / interval != after.revision / interval
    }

    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self {
            status: session.status,
            status_since: session.status_since,
            updated_at: session.updated_at,
            started_at: session.started_at,
            completed_at: session.completed_at,
            error: session.error.clone(),
            labels: session.labels.clone(),
            proposal: session.proposal.clone(),
            outputs: session.outputs.clone(),
            nodes: session
                .nodes
                .values()
                .map(|node| KeyframeNode {
                    node: node.snapshot.clone(),
                    output: node.output,
                    input: node.input,
                    since: node.since,
                })
                .collect(),
            instances: session.instances.iter().map(|(id, of)| (id.clone(), of.clone())).collect(),
            total_tokens: session.total_tokens,
            total_cost_usd: session.total_cost_usd,
            context: session.context.iter().map(|(key, value)| (key.clone(), Arc::clone(value.value()))).collect(),
            signals: session.signals.iter().map(|(id, signal)| (id.clone(), PendingSignal::clone(signal))).collect(),
            holds: Arc::clone(&session.holds),
            lease: session.lease,
            is_released: session.is_released,
            answers: session.answers.iter().map(|(id, answers)| (id.clone(), BTreeMap::clone(answers))).collect(),
            graph: session.graph_revision.and(session.origin.graph.clone()),
            graph_revision: session.graph_revision,
        }
    }

    /// This state as the first one of a fork. Outputs are one journal further away, inputs are dropped, and
    /// undelivered signals are in the fork's first event. The driver's lease is the parent's alone. A run of the built-in engine that would continue at
    /// once is held until it is resumed.
    #[must_use]
    pub(super) fn inherited(mut self, driver: Driver) -> Self {
        if driver == Driver::Builtin && self.status.is_live() {
            self.status = SessionStatus::Paused;
            if self.holds.last().is_none_or(|hold| hold.to.is_some()) {
                super::state::hold(&mut self.holds, self.updated_at);
            }
        }
        (self.status_since, self.lease, self.is_released) = (None, None, false);
        for node in &mut self.nodes {
            (node.since, node.input) = (None, None);
            if let Some(output) = &mut node.output {
                output.depth += 1;
            }
        }
        // The first event of the fork has the graph as it is there.
        (self.graph, self.graph_revision) = (None, None);
        for signal in self.signals.values_mut().chain(self.answers.values_mut().flat_map(BTreeMap::values_mut)) {
            signal.revision = 1;
        }
        self
    }

    /// Checks the first state of a fork that was not made by this server.
    pub(super) fn check(&self, graph: Option<&GraphDefinition>, driver: Driver) -> Result<(), Refusal> {
        let wrong = |field, problem| Err(Refusal::Invalid { field, problem });
        if self.nodes.len() > limits::SESSION_NODES {
            return Err(Refusal::TooLarge { what: "the number of nodes", limit: limits::SESSION_NODES });
        }
        let statuses: BTreeMap<&NodeId, NodeStatus> =
            self.nodes.iter().map(|stored| (&stored.node.id, stored.node.status)).collect();
        if statuses.len() != self.nodes.len() {
            return wrong("nodes", "must have different ids");
        }
        self.check_graph(graph, driver)?;
        self.nodes.iter().try_for_each(KeyframeNode::check)?;
        validate::optional(self.error.as_deref(), |error| validate::text("error", error, limits::ERROR_BYTES))?;
        self.labels.check()?;
        validate::optional(self.proposal.as_deref(), |proposal| validate::json("proposal", proposal))?;
        validate::optional(self.outputs.as_deref(), |outputs| validate::json("outputs", outputs))?;
        self.check_context()?;
        if self.graph.is_some() || self.graph_revision.is_some() {
            return wrong("graph", "must be that of the first event");
        }
        if self.answers.values().any(|answers| answers.len() > limits::INTERRUPTS) {
            return Err(Refusal::TooLarge { what: "the number of answered interrupts", limit: limits::INTERRUPTS });
        }
        self.answers.values().flat_map(BTreeMap::keys).try_for_each(|id| validate::id("interruptId", id))?;
        let answers = self.answers.iter().flat_map(|(id, answers)| answers.values().map(move |signal| (id, signal)));
        for (id, signal) in self.signals.iter().chain(answers) {
            validate::json("payload", &signal.payload)?;
            // For a node with instances, its own reported state counts, and not its summary.
            let reported = self.instances.get(id).map(|of| &of.reported.status).or(statuses.get(id));
            if signal.revision != 1 || reported != Some(&NodeStatus::Suspended) {
                return wrong("signals", "must belong to suspended nodes and arrive with the first event");
            }
        }
        let is_ended = self.status.is_ended();
        if is_ended != self.completed_at.is_some() || (is_ended && statuses.values().any(|status| status.is_active())) {
            return wrong("status", "must fit the time of the end and the nodes");
        }
        let is_held = self.holds.last().is_some_and(|hold| hold.to.is_none());
        if self.holds.len() > limits::HOLDS || (is_held && self.status != SessionStatus::Paused) {
            return wrong("holds", "must not be too many, and fit the status");
        }
        if self.lease.is_some() || self.is_released {
            return wrong("lease and parent", "are those of the session that was forked");
        }
        if self.total_cost_usd.is_sign_negative() {
            return wrong("totalCostUsd", "must not be negative");
        }
        Ok(())
    }

    /// With a graph, the nodes are those of the graph, their instances with the right summaries, and nodes below
    /// those.
    fn check_graph(&self, graph: Option<&GraphDefinition>, driver: Driver) -> Result<(), Refusal> {
        let wrong = |field, problem| Err(Refusal::Invalid { field, problem });
        let Some(graph) = graph else {
            nesting::check(
                self.nodes.iter().map(|KeyframeNode { node, .. }| (&node.id, node.parent_node_id.as_ref())),
            )?;
            return if self.instances.is_empty() { Ok(()) } else { wrong("instances", "need a graph") };
        };
        let instance_of = |id| graph.node_of_instance(id).filter(|_| driver == Driver::External);
        let (mut own, mut instances) = (0, BTreeMap::<&NodeId, Vec<&NodeStateSnapshot>>::new());
        for KeyframeNode { node, .. } in &self.nodes {
            match instance_of(&node.id) {
                Some(of) => instances.entry(of).or_default().push(node),
                None if graph.nodes.contains_key(&node.id) => own += 1,
                None if node.parent_node_id.is_some() => {}
                None => return wrong("nodes", "must be those of the graph"),
            }
        }
        nesting::check(self.nodes.iter().map(|KeyframeNode { node, .. }| {
            (&node.id, node.parent_node_id.as_ref().or_else(|| instance_of(&node.id)))
        }))?;
        if own != graph.nodes.len() {
            return wrong("nodes", "must be those of the graph");
        }
        if !instances.keys().copied().eq(self.instances.keys()) {
            return wrong("instances", "must be those of the nodes");
        }
        let parents: BTreeMap<&NodeId, &NodeId> = self
            .nodes
            .iter()
            .filter_map(|KeyframeNode { node, .. }| Some((&node.id, node.parent_node_id.as_ref()?)))
            .collect();
        for (id, of) in &self.instances {
            KeyframeNode { node: of.reported.clone(), output: None, input: None, since: None }.check()?;
            if of.reported.id != *id || parents.get(id).copied() != of.reported.parent_node_id.as_ref() {
                return wrong("instances", "must carry the ids of their nodes, and their parents");
            }
            of.check(instances.get(id).into_iter().flatten().copied())?;
        }
        Ok(())
    }

    fn check_context(&self) -> Result<(), Refusal> {
        for (key, value) in &self.context {
            validate::name("key", key)?;
            validate::json("value", value)?;
            if key.is_empty() || value.is_null() {
                return Err(Refusal::Invalid { field: "context", problem: "must have keys and values" });
            }
        }
        let bytes: usize = self.context.iter().map(|(key, value)| super::json::context_entry_bytes(key, value)).sum();
        if bytes > limits::CONTEXT_BYTES {
            return Err(Refusal::TooLarge { what: "the context data", limit: limits::CONTEXT_BYTES });
        }
        Ok(())
    }

    /// Tokens and cost so far.
    #[must_use]
    pub fn totals(&self) -> (u64, Decimal) {
        (self.total_tokens, self.total_cost_usd)
    }

    /// Its size in memory, estimated.
    #[must_use]
    pub fn weight(&self) -> usize {
        let context: usize = self.context.iter().map(|(key, value)| super::json::context_entry_bytes(key, value)).sum();
        self.nodes.len() * 256 + context
    }

    /// The journal positions of the nodes' outputs.
    pub fn outputs(&self) -> impl Iterator<Item = OutputRef> {
        self.nodes.iter().filter_map(|node| node.output)
    }

    /// Its stored JSON.
    ///
    /// # Errors
    ///
    /// Never for a keyframe made by [`Keyframe::of`]; the signature is serde's.
    pub fn to_json(&self) -> Result<String, KeyframeError> {
        Ok(serde_json::to_string(self)?)
    }

    /// The inverse of [`Keyframe::to_json`].
    ///
    /// # Errors
    ///
    /// If the text is not a keyframe.
    pub fn from_json(json: &str) -> Result<Self, KeyframeError> {
        Ok(serde_json::from_str(json)?)
    }

    /// The first state of a fork: its parent's state under its own id, at revision 1, at its time of creation.
    pub(super) fn restore_fork(&self, id: SessionId, at: Timestamp, origin: Arc<Origin>) -> Session {
        let beginning = Some(Moment { revision: 1, at });
        let session = self.restore(id, 1, at, origin, |_| beginning);
        Session { status_since: beginning, ..session }
    }

    /// The state this keyframe was taken from, given the session's first state.
    #[must_use]
    pub fn restore_stored(&self, first: &Session, revision: Revision) -> Session {
        self.restore(first.id, revision, self.updated_at, Arc::clone(&first.origin), |stored| stored.since)
    }

    fn restore(
        &self,
        id: SessionId,
        revision: Revision,
        at: Timestamp,
        origin: Arc<Origin>,
        since: impl Fn(&KeyframeNode) -> Option<Moment>,
    ) -> Session {
        let node = |stored: &KeyframeNode| {
            Node::new(stored.node.clone(), stored.output).given(stored.input).since(since(stored))
        };
        let nodes: OrdMap<NodeId, Arc<Node>> =
            self.nodes.iter().map(|stored| (stored.node.id.clone(), Arc::new(node(stored)))).collect();
        let active: OrdSet<NodeId> =
            nodes.iter().filter(|(_, node)| node.snapshot.status.is_active()).map(|(id, _)| id.clone()).collect();
        let origin = match &self.graph {
            Some(graph) => Arc::new(Origin { graph: Some(Arc::clone(graph)), ..Origin::clone(&origin) }),
            None => origin,
        };
        let nesting = Nesting::of(&origin, &nodes);
        Session {
            id,
            origin,
            status: self.status,
            status_since: self.status_since,
            revision,
            updated_at: at,
            started_at: self.started_at,
            completed_at: self.completed_at,
            error: self.error.clone(),
            labels: self.labels.clone(),
            proposal: self.proposal.clone(),
            outputs: self.outputs.clone(),
            node_counts: NodeCounts::of(nodes.values().map(|node| node.snapshot.status)),
            nesting,
            nodes,
            instances: self.instances.iter().map(|(id, of)| (id.clone(), of.clone())).collect(),
            active,
            total_tokens: self.total_tokens,
            total_cost_usd: self.total_cost_usd,
            context_bytes: self.context.iter().map(|(key, value)| super::json::context_entry_bytes(key, value)).sum(),
            context: self
                .context
                .iter()
                .map(|(key, value)| (key.clone(), Arc::new(ContextValue::new(Arc::clone(value)))))
                .collect(),
            signals: self.signals.iter().map(|(id, signal)| (id.clone(), Arc::new(signal.clone()))).collect(),
            holds: Arc::clone(&self.holds),
            lease: self.lease,
            is_released: self.is_released,
            answers: self.answers.iter().map(|(id, answers)| (id.clone(), Arc::new(answers.clone()))).collect(),
            graph_revision: self.graph_revision,
        }
    }
}
