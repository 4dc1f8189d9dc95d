//! `Session::apply`: what an event does to a state. Every state is made by this fold.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use rust_decimal::Decimal;
use serde_json::Value;

use super::json::{context_entry_bytes, digest};
use super::state::hold;
use super::{
    ContextValue, Created, DriverLease, Event, GraphDefinition, GraphError, GraphNode, Labels, Moment, Nesting, Node,
    NodeCounts, NodeId, NodeStatus, Origin, OutputRef, PendingSignal, ProjectId, Recorded, Revision, Session,
    SessionId, SessionStatus, Timestamp, TraceContext, attributes,
};

/// Why a recorded event does not fit the state it is applied to. Happens only with a journal that is damaged
/// or was put together wrongly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("event belongs to session {found}, not {expected}")]
    OtherSession { expected: SessionId, found: SessionId },
    #[error("expected revision {expected}, found {found}")]
    Gap { expected: Revision, found: Revision },
    #[error("a history begins with a `created` event at revision 1, not with `{kind}` at {revision}")]
    NoBeginning { kind: &'static str, revision: Revision },
    #[error("revision {revision}: a `{kind}` event is not valid in a session that is {status:?}")]
    Misplaced { revision: Revision, kind: &'static str, status: SessionStatus },
    #[error("revision {revision}: the graph cannot have these nodes and edges: {error}")]
    Graph { revision: Revision, error: GraphError },
    #[error("revision {revision}: node '{node_id}' is unknown")]
    UnknownNode { revision: Revision, node_id: NodeId },
    #[error("revision {revision}: node '{node_id}' cannot have the given parent")]
    Unplaced { revision: Revision, node_id: NodeId },
}

impl Session {
    /// The state after the first event of a history.
    ///
    /// # Errors
    ///
    /// [`ApplyError::NoBeginning`] if `recorded` is not a `created` event at revision 1.
    pub fn create(recorded: &Recorded) -> Result<Self, ApplyError> {
        let (Event::Created(created), 1) = (&recorded.event, recorded.revision) else {
            let kind = recorded.event.kind();
            return Err(ApplyError::NoBeginning { kind, revision: recorded.revision });
        };
        let origin = Origin::new(created, recorded.at);
        Ok(match &created.forked {
            Some(forked) => forked.state.restore_fork(recorded.session_id, recorded.at, origin),
            None => Self::fresh(recorded, created, origin),
        })
    }

    /// The same session as one of this project. A history does not say which project it belongs to.
    #[must_use]
    pub fn in_project(mut self, project_id: ProjectId) -> Self {
        Arc::make_mut(&mut self.origin).project_id = project_id;
        self
    }

    fn fresh(recorded: &Recorded, created: &Created, origin: Arc<Origin>) -> Self {
        let nodes: OrdMap<NodeId, Arc<Node>> = created
            .graph
            .iter()
            .flat_map(|graph| graph.nodes.values())
            .map(|node| {
                let pending = Node::pending(node.id.clone(), Some(node.name.clone()), Some(node.kind.clone()));
                (node.id.clone(), Arc::new(pending.since(Some(recorded.moment()))))
            })
            .collect();
        Self {
            id: recorded.session_id,
            origin,
            status: SessionStatus::Pending,
            status_since: Some(recorded.moment()),
            revision: 1,
            updated_at: recorded.at,
            started_at: None,
            completed_at: None,
            error: None,
            labels: Labels::default().with(&created.labels()),
            proposal: created.proposal.clone(),
            outputs: None,
            node_counts: NodeCounts::of(nodes.values().map(|node| node.snapshot.status)),
            nodes,
            nesting: Nesting::default(),
            instances: OrdMap::new(),
            active: OrdSet::new(),
            total_tokens: 0,
            total_cost_usd: Decimal::ZERO,
            context: OrdMap::new(),
            context_bytes: 0,
            signals: OrdMap::new(),
            answers: OrdMap::new(),
            holds: Arc::default(),
            lease: None,
            is_released: false,
            graph_revision: None,
        }
    }

    /// Applies the next event of the history.
    ///
    /// # Errors
    ///
    /// If the event is not the next one, or cannot have happened in this state. The state is
    /// unchanged then.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), ApplyError> {
        self.check_fits(recorded)?;
        let grown = self.grown_graph(recorded)?;
        let (status, moment) = (self.status, recorded.moment());
        match &recorded.event {
            // `check_fits` rejects a second `created`.
            Event::Created(_) => {}
            Event::Started => {
                self.status = SessionStatus::Running;
                self.started_at = Some(recorded.at);
            }
            Event::Paused { held } => {
                self.status = SessionStatus::Paused;
                if *held {
                    // The event before it is the last one in the parent's history.
                    hold(&mut self.holds, self.updated_at);
                }
            }
            Event::Resumed => {
                self.status = SessionStatus::Running;
                self.release(recorded.at);
            }
            Event::Completed { outputs } => {
                self.outputs.clone_from(outputs);
                self.end(SessionStatus::Completed, moment, "the session completed");
            }
            Event::Failed { error, .. } => {
                self.error = Some(error.as_str().into());
                self.end(SessionStatus::Failed, moment, "the session failed");
            }
            Event::Cancelled { reason } => {
                self.error = reason.as_deref().map(Into::into);
                self.end(SessionStatus::Cancelled, moment, "the session was cancelled");
            }
            Event::NodeStatusChanged { .. } => self.change_node(recorded),
            Event::UsageRecorded { node_id, input_tokens, output_tokens, cost_usd, .. } => {
                self.add_usage(node_id, *input_tokens, *output_tokens, cost_usd.unwrap_or_default(), moment);
            }
            Event::ContextSet { key, value } => self.set_context(key, value),
            Event::ProposalSet { proposal } => self.proposal = Some(Arc::clone(proposal)),
            Event::LabelsSet(fields) => self.labels = self.labels.with(fields),
            Event::Signalled { node_id, payload, interrupt_id } => {
                let signal = PendingSignal { revision: recorded.revision, payload: Arc::clone(payload) };
                self.hold_signal(node_id, interrupt_id.as_deref(), signal);
            }
            Event::NodesAdded { nodes, .. } => self.grow(grown, nodes.values(), moment),
            Event::MessageAdded(message) => self.ensure_node(&message.node_id, moment),
            Event::LogAdded(log) => self.ensure_node(&log.node_id, moment),
            Event::MemoryAdded(_) => {}
            Event::DriverSeen { lease_seconds } => {
                let (seconds, revision, seen_at) = (*lease_seconds, recorded.revision, recorded.at);
                self.lease = Some(DriverLease { seconds, revision, seen_at, is_stalled: false });
            }
            Event::ParentRemoved => self.is_released = true,
            Event::Stalled => {
                if let Some(lease) = &mut self.lease {
                    lease.is_stalled = true;
                }
            }
        }
        if recorded.event.is_of_driver() {
            self.see_driver(recorded.at);
        }
        if self.status != status {
            self.status_since = Some(moment);
        }
        self.revision = recorded.revision;
        self.updated_at = recorded.at;
        Ok(())
    }

    /// Whether it ended so recently that usage, messages, logs and memories of its nodes are still accepted: engines
    /// report usage when a model's answer is counted, which may be after the run is over.
    #[must_use]
    pub fn takes_late(&self, at: Timestamp) -> bool {
        let within = |end: Timestamp| at.as_millis().saturating_sub(end.as_millis()) <= super::limits::LATE_MILLIS;
        self.status.is_ended() && self.completed_at.is_some_and(within)
    }

    fn check_fits(&self, recorded: &Recorded) -> Result<(), ApplyError> {
        if recorded.session_id != self.id {
            return Err(ApplyError::OtherSession { expected: self.id, found: recorded.session_id });
        }
        if recorded.revision != self.revision + 1 {
            return Err(ApplyError::Gap { expected: self.revision + 1, found: recorded.revision });
        }
        let event = &recorded.event;
        let fits = match event {
            Event::Created(_) => false,
            Event::LabelsSet(_) | Event::ParentRemoved => true,
            Event::Started => self.status == SessionStatus::Pending,
            Event::Paused { held: false } | Event::Completed { .. } => self.status == SessionStatus::Running,
            Event::Resumed => self.status == SessionStatus::Paused,
            Event::Cancelled { .. }
            | Event::ContextSet { .. }
            | Event::ProposalSet { .. }
            | Event::NodesAdded { .. }
            | Event::DriverSeen { .. } => !self.status.is_ended(),
            Event::Stalled => !self.status.is_ended() && self.lease.is_some(),
            Event::UsageRecorded { .. } | Event::MessageAdded(_) | Event::LogAdded(_) | Event::MemoryAdded(_) => {
                self.status.is_live() || self.takes_late(recorded.at)
            }
            _ => self.status.is_live(),
        };
        if !fits {
            let kind = event.kind();
            return Err(ApplyError::Misplaced { revision: recorded.revision, kind, status: self.status });
        }
        event.node_id().map_or(Ok(()), |node_id| self.check_place(recorded.revision, node_id, event.parent_node_id()))
    }

    /// With a graph, a node is one of it, an instance of one, or below one that is known.
    fn check_place(&self, revision: Revision, node_id: &NodeId, parent: Option<&NodeId>) -> Result<(), ApplyError> {
        let is_known = |id| self.nodes.contains_key(id) || self.origin.node_of_instance(id).is_some();
        let anchor = parent.unwrap_or(node_id);
        if self.origin.graph.is_some() && !is_known(anchor) {
            return Err(ApplyError::UnknownNode { revision, node_id: anchor.clone() });
        }
        let of = self.origin.node_of_instance(node_id).filter(|_| !self.nodes.contains_key(node_id));
        let placed = parent.or(of).map_or(Ok(()), |parent| self.check_parent(node_id, parent));
        placed.map_err(|_| ApplyError::Unplaced { revision, node_id: node_id.clone() })
    }

    fn change_node(&mut self, recorded: &Recorded) {
        let Event::NodeStatusChanged {
            node_id,
            status,
            attempt,
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
        } = &recorded.event
        else {
            return;
        };
        let moment = recorded.moment();
        if let Some(parent) = parent_node_id {
            self.ensure_node(parent, moment);
        }
        self.ensure_node(node_id, moment);
        let (Some(held), Some(reported)) = (self.nodes.get(node_id), self.reported(node_id)) else { return };
        let from = reported.status;
        let mut next = reported.clone();
        if from.is_final() && !status.is_final() {
            (next.started_at, next.completed_at, next.progress, next.error) = (None, None, None, None);
            next.next_ids = None;
        }
        if from == NodeStatus::Pending && status.is_active() && held.snapshot.retry.is_some() {
            // That of the previous attempt.
            next.error = None;
        }
        next.retry = retry.or_else(|| held.retry_after(*status));
        next.status = *status;
        replace(&mut next.started_at, started_at);
        if !matches!(status, NodeStatus::Pending | NodeStatus::Skipped) {
            // No later than an end that was given without a beginning.
            next.started_at.get_or_insert(completed_at.map_or(recorded.at, |end| end.min(recorded.at)));
        }
        if status.is_final() && from != *status {
            next.completed_at = Some(recorded.at).max(next.started_at);
        }
        replace(&mut next.completed_at, completed_at);
        next.attempt = *attempt;
        replace(&mut next.name, name);
        replace(&mut next.node_type, node_type);
        replace(&mut next.parent_node_id, parent_node_id);
        replace(&mut next.kind, kind);
        if let Some(change) = attributes {
            next.attributes = Arc::new(attributes::merged(&next.attributes, change));
        }
        replace(&mut next.progress, progress);
        replace(&mut next.error, error);
        replace(&mut next.next_ids, next_ids);
        let stands = |given: &Option<Arc<Value>>, held| match given {
            Some(given) => Some(OutputRef { revision: recorded.revision, digest: digest(given), depth: 0 }),
            None => held,
        };
        let (output, input) = (stands(output, held.output), stands(input, held.input));
        if *status != NodeStatus::Suspended {
            self.signals.remove(node_id);
            self.answers.remove(node_id);
        }
        self.put_reported(Node::new(next, output).given(input), moment);
    }

    fn add_usage(
        &mut self,
        node_id: &NodeId,
        input_tokens: u64,
        output_tokens: u64,
        cost_usd: Decimal,
        moment: Moment,
    ) {
        self.ensure_node(node_id, moment);
        if let (Some(held), Some(reported)) = (self.nodes.get(node_id), self.reported(node_id)) {
            let mut next = reported.clone();
            next.token_usage = Some(next.token_usage.unwrap_or_default().saturating_add(input_tokens, output_tokens));
            let (output, input) = (held.output, held.input);
            self.put_reported(Node::new(next, output).given(input), moment);
        }
        self.total_tokens = self.total_tokens.saturating_add(input_tokens).saturating_add(output_tokens);
        self.total_cost_usd = self.total_cost_usd.saturating_add(cost_usd);
    }

    fn set_context(&mut self, key: &str, value: &Arc<Value>) {
        let removed = if value.is_null() {
            self.context.remove(key)
        } else {
            self.context_bytes += context_entry_bytes(key, value);
            self.context.insert(key.to_owned(), Arc::new(ContextValue::new(Arc::clone(value))))
        };
        if let Some(removed) = removed {
            self.context_bytes -= context_entry_bytes(key, removed.value());
        }
    }

    /// Only a suspended node keeps a signal: a running one is sent it at once.
    fn hold_signal(&mut self, node_id: &NodeId, interrupt_id: Option<&str>, signal: PendingSignal) {
        if self.reported(node_id).is_none_or(|node| node.status != NodeStatus::Suspended) {
            return;
        }
        match interrupt_id {
            None => drop(self.signals.insert(node_id.clone(), Arc::new(signal))),
            Some(id) => {
                let answers = self.answers.entry(node_id.clone()).or_default();
                Arc::make_mut(answers).insert(id.to_owned(), signal);
            }
        }
    }

    /// The graph with what the event adds to it.
    fn grown_graph(&self, recorded: &Recorded) -> Result<Option<GraphDefinition>, ApplyError> {
        let (Event::NodesAdded { nodes, edges }, Some(graph)) = (&recorded.event, &self.origin.graph) else {
            return Ok(None);
        };
        let grown = graph.extended(nodes, edges);
        grown.map(Some).map_err(|error| ApplyError::Graph { revision: recorded.revision, error })
    }

    fn grow<'a>(&mut self, graph: Option<GraphDefinition>, nodes: impl Iterator<Item = &'a GraphNode>, moment: Moment) {
        let Some(graph) = graph else { return };
        Arc::make_mut(&mut self.origin).graph = Some(Arc::new(graph));
        self.graph_revision = Some(moment.revision);
        for node in nodes {
            if !self.nodes.contains_key(&node.id) {
                let (name, kind) = (Some(node.name.clone()), Some(node.kind.clone()));
                self.put_reported(Node::pending(node.id.clone(), name, kind), moment);
            }
        }
    }

    fn end(&mut self, status: SessionStatus, moment: Moment, error_of_running_nodes: &str) {
        let open: Vec<Node> = self
            .nodes
            .values()
            .filter_map(|node| Some((node, self.reported(&node.snapshot.id)?)))
            .filter(|(_, reported)| !reported.status.is_final())
            .map(|(node, reported)| {
                let mut ended = reported.clone();
                ended.completed_at = Some(moment.at).max(ended.started_at);
                if ended.status == NodeStatus::Running {
                    ended.status = NodeStatus::Failed;
                    ended.error = Some(error_of_running_nodes.to_owned());
                } else {
                    ended.status = NodeStatus::Skipped;
                }
                if let Some(retry) = &mut ended.retry {
                    retry.due_at = None;
                }
                Node::new(ended, node.output).given(node.input)
            })
            .collect();
        for node in open {
            self.put_reported(node, moment);
        }
        (self.signals, self.answers) = (OrdMap::new(), OrdMap::new());
        if let Some(lease) = &mut self.lease {
            lease.is_stalled = false;
        }
        self.release(moment.at);
        self.status = status;
        self.completed_at = Some(moment.at);
    }

    fn release(&mut self, at: Timestamp) {
        if self.is_held()
            && let Some(hold) = Arc::make_mut(&mut self.holds).last_mut()
        {
            hold.to = Some(at);
        }
    }

    fn ensure_node(&mut self, node_id: &NodeId, moment: Moment) {
        if !self.nodes.contains_key(node_id) {
            let named = self.origin.node_of_instance(node_id).and_then(|of| self.nodes.get(of));
            let mut node = Node::pending(node_id.clone(), None, None);
            if let Some(of) = named {
                let snapshot = &mut node.snapshot;
                (snapshot.name, snapshot.node_type) = (of.snapshot.name.clone(), of.snapshot.node_type.clone());
                snapshot.kind = of.snapshot.kind;
            }
            self.put_reported(node, moment);
        }
    }

    /// The only way a node enters the state: it keeps the counts, the active set and `since` consistent.
    pub(super) fn put_node(&mut self, node: Node, moment: Moment) {
        let id = node.snapshot.id.clone();
        let status = node.snapshot.status;
        let since = super::node::since(self.nodes.get(&id).map(Arc::as_ref), &node.snapshot, moment);
        let node = node.since(since);
        self.place_node(&node.snapshot);
        self.node_counts.add(status);
        if let Some(replaced) = self.nodes.insert(id.clone(), Arc::new(node)) {
            self.node_counts.remove(replaced.snapshot.status);
            if replaced.snapshot.status.is_active() == status.is_active() {
                return;
            }
        }
        if status.is_active() {
            self.active.insert(id);
        } else {
            self.active.remove(&id);
        }
    }
}

impl Session {
    /// The first state of a session that is about to be stored, with a new incarnation.
    ///
    /// # Errors
    ///
    /// As for [`Session::create`].
    pub fn create_new(first: &Recorded) -> Result<Self, ApplyError> {
        Ok(Self::create(first)?.with_incarnation((super::ambient::random() >> 1).max(1).cast_signed()))
    }
}

impl Origin {
    fn new(created: &Created, created_at: Timestamp) -> Arc<Self> {
        let name = || created.graph.as_ref().map(|graph| graph.name.clone());
        Arc::new(Self {
            project_id: ProjectId::default(),
            workflow_id: created.workflow_id,
            workflow_name: created.workflow_name.clone().or_else(name),
            group_id: created.group_id,
            graph: created.graph.clone(),
            inputs: created.inputs.clone(),
            driver: created.driver,
            parent_id: created.forked.as_ref().map(|forked| forked.parent_id),
            forked_from_revision: created.forked.as_ref().map(|forked| forked.revision),
            parent_session_id: created.parent_session_id,
            parent_node_id: created.parent_node_id.clone(),
            trace: created.traceparent.map(|parent| TraceContext { parent, state: created.tracestate.clone() }),
            created_at,
            incarnation: 0,
        })
    }
}

impl Event {
    /// The node this event is about, if it is about one.
    #[must_use]
    pub fn node_id(&self) -> Option<&NodeId> {
        match self {
            Self::NodeStatusChanged { node_id, .. }
            | Self::UsageRecorded { node_id, .. }
            | Self::Signalled { node_id, .. } => Some(node_id),
            Self::MessageAdded(message) => Some(&message.node_id),
            Self::LogAdded(log) => Some(&log.node_id),
            _ => None,
        }
    }

    /// The node that this event says its node is below.
    fn parent_node_id(&self) -> Option<&NodeId> {
        match self {
            Self::NodeStatusChanged { parent_node_id, .. } => parent_node_id.as_ref(),
            _ => None,
        }
    }
}

fn replace<T: Clone>(held: &mut Option<T>, given: &Option<T>) {
    if given.is_some() {
        held.clone_from(given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, SessionId};

    #[test]
    fn sessions_of_the_same_millisecond_are_told_apart_except_by_servers_without_incarnations() {
        let at = Timestamp::from_millis(7).expect("a time");
        let first = Recorded {
            session_id: SessionId::generate(),
            revision: 1,
            at,
            by: None,
            event: Event::Created(Box::default()),
        };
        let [one, other] = [(); 2].map(|()| Session::create_new(&first).expect("a session").identity());
        assert!(one.incarnation > 0 && one.created_at == at);
        assert!(one.is_named_by(one) && !one.is_named_by(other));
        let unknown = Session::create(&first).expect("a session").identity();
        assert_eq!(unknown.incarnation, 0);
        assert!(one.is_named_by(unknown) && !unknown.is_named_by(one));
    }
}
