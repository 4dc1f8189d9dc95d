//! The statuses of each node over time, as a Gantt chart shows them.

use std::collections::BTreeMap;

use imbl::ordmap::DiffItem;
use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{
    ApplyError, Moment, Node, NodeId, NodeKind, NodeStatus, Recorded, Revision, Session, SessionId, SessionStatus,
    Timestamp,
};

/// A run over time, from its beginning or from the end of the page before.
///
/// A page holds the intervals that ended after that, and those that are still open at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct Timeline {
    pub session_id: SessionId,
    /// The revision at its end.
    #[ts(type = "number")]
    pub revision: Revision,
    /// When the session was created.
    pub start_at: Timestamp,
    /// When the session ended, if it has by that revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_at: Option<Timestamp>,
    /// The time of that revision.
    pub updated_at: Timestamp,
    /// The session itself: pending, running, paused.
    pub intervals: Vec<SessionInterval>,
    /// By node id.
    pub nodes: Vec<NodeTimeline>,
    /// There is more: ask again with `after` set to `revision`. An interval that was open then is
    /// returned again, with the same `fromRevision`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>", optional)]
    pub truncated: bool,
}

/// A period in which the session did not change its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct SessionInterval {
    pub status: SessionStatus,
    pub from: Timestamp,
    /// Absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    #[ts(type = "number")]
    pub from_revision: Revision,
}

/// One node over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct NodeTimeline {
    pub id: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_node_id: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<NodeKind>,
    pub intervals: Vec<NodeInterval>,
}

/// A period in which a node changed neither its status nor its attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct NodeInterval {
    pub status: NodeStatus,
    /// Absent for a node that has not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub attempt: Option<u32>,
    /// The client's time if it gave one, otherwise the time of recording.
    pub from: Timestamp,
    /// Absent while it lasts; a final status lasts until the node runs again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    #[ts(type = "number")]
    pub from_revision: Revision,
}

/// Makes a [`Timeline`] of a session's events. Its size is bounded by the number of nodes and of
/// intervals asked for, not by the number of events.
#[derive(Debug)]
pub struct TimelineBuilder {
    state: Session,
    after: Revision,
    intervals: Vec<SessionInterval>,
    nodes: BTreeMap<NodeId, Vec<NodeInterval>>,
    /// Intervals that began after `after`.
    begun: usize,
}

impl TimelineBuilder {
    /// From a session's first event on; intervals that ended by revision `after` are left out.
    ///
    /// # Errors
    ///
    /// If it is not a first event.
    pub fn new(first: &Recorded, after: Revision) -> Result<Self, ApplyError> {
        let state = Session::create(first)?;
        let session = SessionInterval { status: state.status, from: first.at, to: None, from_revision: 1 };
        let interval = |node: &Node| vec![NodeInterval::new(node, first.moment())];
        let nodes: BTreeMap<_, _> = state.nodes.iter().map(|(id, node)| (id.clone(), interval(node))).collect();
        let begun = if after == 0 { nodes.len() + 1 } else { 0 };
        Ok(Self { state, after, intervals: vec![session], nodes, begun })
    }

    /// From the state at a revision on: open intervals began when the state says. `None` if the state
    /// does not know, because it was restored from a keyframe of a version that did not keep it.
    #[must_use]
    pub fn resume(state: Session) -> Option<Self> {
        let since = state.status_since?;
        let session = SessionInterval { status: state.status, from: since.at, to: None, from_revision: since.revision };
        let open = |node: &Node| Some(vec![NodeInterval::new(node, node.since?)]);
        let nodes = state.nodes.iter().map(|(id, node)| Some((id.clone(), open(node)?))).collect::<Option<_>>()?;
        Some(Self { after: state.revision, state, intervals: vec![session], nodes, begun: 0 })
    }

    /// How many intervals have begun after the revision that was asked for.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.begun
    }

    /// The current state.
    #[must_use]
    pub fn state(&self) -> &Session {
        &self.state
    }

    /// Applies the next event.
    ///
    /// # Errors
    ///
    /// If it does not follow.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), ApplyError> {
        let before = self.state.clone();
        self.state.apply(recorded)?;
        let is_wanted = recorded.revision > self.after;
        if before.status != self.state.status {
            let status = self.state.status;
            let next = SessionInterval { status, from: recorded.at, to: None, from_revision: recorded.revision };
            succeed(&mut self.intervals, next, is_wanted);
            self.begun += usize::from(is_wanted);
        }
        for item in before.nodes.diff(&self.state.nodes) {
            let changed = match item {
                DiffItem::Add(_, node) => Some(node),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    let standing = |node: &Node| (node.snapshot.status, node.snapshot.attempt);
                    (standing(old) != standing(new)).then_some(new)
                }
                // Nodes never leave a session.
                DiffItem::Remove(..) => None,
            };
            if let Some(node) = changed {
                let intervals = self.nodes.entry(node.snapshot.id.clone()).or_default();
                succeed(intervals, NodeInterval::new(node, node.since.unwrap_or(recorded.moment())), is_wanted);
                self.begun += usize::from(is_wanted);
            }
        }
        Ok(())
    }

    /// The timeline up to the last event.
    #[must_use]
    pub fn finish(self, truncated: bool) -> Timeline {
        let Self { state, intervals, nodes, .. } = self;
        let named = |(id, intervals): (NodeId, Vec<NodeInterval>)| {
            let node = state.nodes.get(&id).map(|node| &node.snapshot);
            NodeTimeline {
                id,
                name: node.and_then(|node| node.name.clone()),
                node_type: node.and_then(|node| node.node_type.clone()),
                parent_node_id: node.and_then(|node| node.parent_node_id.clone()),
                kind: node.and_then(|node| node.kind),
                intervals,
            }
        };
        Timeline {
            session_id: state.id,
            revision: state.revision,
            start_at: state.origin.created_at,
            end_at: state.completed_at,
            updated_at: state.updated_at,
            intervals,
            nodes: nodes.into_iter().map(named).collect(),
            truncated,
        }
    }
}

/// The common part of the two kinds of intervals.
trait Interval {
    fn from(&self) -> Timestamp;
    fn close(&mut self, at: Timestamp);
}

/// Closes the open interval and opens the next; what is closed before the range that was asked for is
/// dropped.
fn succeed<I: Interval>(intervals: &mut Vec<I>, next: I, is_wanted: bool) {
    if let Some(open) = intervals.last_mut() {
        open.close(next.from());
    }
    if !is_wanted {
        intervals.clear();
    }
    intervals.push(next);
}

impl Interval for SessionInterval {
    fn from(&self) -> Timestamp {
        self.from
    }

    fn close(&mut self, at: Timestamp) {
        self.to = Some(at.max(self.from));
    }
}

impl Interval for NodeInterval {
    fn from(&self) -> Timestamp {
        self.from
    }

    /// Clocks of clients may differ from the server's.
    fn close(&mut self, at: Timestamp) {
        self.to = Some(at.max(self.from));
    }
}

impl NodeInterval {
    fn new(node: &Node, since: Moment) -> Self {
        Self {
            status: node.snapshot.status,
            attempt: node.snapshot.attempt,
            from: since.at,
            to: None,
            from_revision: since.revision,
        }
    }
}
