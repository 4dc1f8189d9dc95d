//! Whether a run can continue by itself, decided from its session's state by the rules by which the engine resumes it.
//! Pure: no I/O, no clock.

use std::collections::HashSet;
use std::sync::Arc;

use super::resume::{chosen, due_at, past};
use super::rounds::Rounds;
use crate::engine::error::PlanError;
use crate::engine::policy::Policy;
use crate::engine::regions::LoopLayout;
use crate::engine::schedule::Schedule;
use relive_session::{GraphDefinition, NodeId, Session};

/// What is needed of a graph to decide on the states of its runs.
#[derive(Debug)]
pub struct Prospects {
    layout: Arc<LoopLayout>,
    /// Nodes whose final failure is ignored.
    continuing: HashSet<NodeId>,
}

impl Prospects {
    /// Reads a graph, which takes time if it is large.
    ///
    /// # Errors
    ///
    /// If the built-in engine cannot run the graph.
    pub fn of(graph: &GraphDefinition) -> Result<Self, PlanError> {
        let mut continuing = HashSet::new();
        for node in graph.nodes.values() {
            if Policy::read(node)?.continues {
                continuing.insert(node.id.clone());
            }
        }
        Ok(Self { layout: Arc::new(LoopLayout::new(graph)?), continuing })
    }

    /// Whether a node runs, or will without an answer from outside. A node that waits for a time does.
    #[must_use]
    pub fn continues(&self, session: &Session) -> bool {
        session.node_counts.running > 0
            || session.active.iter().any(|node| session.signals.contains_key(node))
            || self.awaits_retry(session)
            || self.has_next(session)
    }

    fn awaits_retry(&self, session: &Session) -> bool {
        let is_due = |id: &NodeId| session.nodes.get(id).is_some_and(|node| due_at(node).is_some());
        self.layout.ids.iter().any(is_due)
    }

    /// Whether a node is ready to start, or the run is about to fail or to begin another round.
    fn has_next(&self, session: &Session) -> bool {
        let rounds = Rounds::of(session);
        let restored = Schedule::restore_in(
            Arc::clone(&self.layout),
            |node| past(session, node, self.continuing.contains(node)),
            |node| rounds.past(node),
            |node| chosen(session, node),
        );
        !restored.step.start.is_empty() || !restored.reset.is_empty() || restored.schedule.is_failing()
    }
}
