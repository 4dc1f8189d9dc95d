//! Restores a schedule from the stored states of a run's nodes.
//!
//! A node's status determines the state of its edges; a loop's last decision tells whether one of its rounds
//! is under way. Nothing else is needed, so a run can be resumed from its session's state alone.

use std::sync::Arc;

use super::{EdgeState, NodeOutcome, NodeState, Schedule, Step};
use crate::engine::error::LoopError;
use crate::engine::regions::{LoopLayout, PassStart, WHOLE};
use relive_session::{GraphDefinition, NodeId};

/// The stored state of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Has not run, or waits to run again.
    Waiting,
    /// Was started and has not ended. The caller has to settle it after restoring.
    Running,
    Ended(NodeOutcome),
}

/// A loop's last decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopPast {
    pub rounds: u32,
    pub again: bool,
}

/// A schedule in the middle of a run.
#[derive(Debug)]
pub struct Restored {
    pub schedule: Schedule,
    /// Nodes to start or to skip now. Running nodes are not among them.
    pub step: Step,
    /// Nodes of a new round that are still stored as ended: the round was decided, but not every node
    /// of it was reset.
    pub reset: Vec<NodeId>,
}

impl Schedule {
    /// Restores a run. `past` is the stored state of each node, `loops` the last decision of each loop (`None`:
    /// none yet, or none since an outer loop began another round), and `chosen` the next nodes that a
    /// completed node has chosen (`None`: all follow).
    ///
    /// # Errors
    ///
    /// As for [`Schedule::new`].
    pub fn restore(
        graph: &GraphDefinition,
        past: impl Fn(&NodeId) -> Past,
        loops: impl Fn(&NodeId) -> Option<LoopPast>,
        chosen: impl Fn(&NodeId) -> Option<Vec<NodeId>>,
    ) -> Result<Restored, LoopError> {
        Ok(Self::restore_in(Arc::new(LoopLayout::new(graph)?), past, loops, chosen))
    }

    /// As [`Schedule::restore`], of a graph whose layout is known.
    pub(in crate::engine) fn restore_in(
        layout: Arc<LoopLayout>,
        past: impl Fn(&NodeId) -> Past,
        loops: impl Fn(&NodeId) -> Option<LoopPast>,
        chosen: impl Fn(&NodeId) -> Option<Vec<NodeId>>,
    ) -> Restored {
        let mut schedule = Self::of(layout);
        let mut pasts: Vec<Past> = schedule.layout.ids.iter().map(past).collect();
        let decided: Vec<Option<LoopPast>> =
            schedule.layout.loops.iter().map(|held| loops(&schedule.layout.ids[held.node])).collect();
        let under_way: Vec<bool> = decided.iter().map(|past| past.is_some_and(|past| past.again)).collect();
        let reset = schedule.finish_resets(&mut pasts, &under_way);
        schedule.set_node_states(&pasts);
        for (held, past) in decided.iter().enumerate().filter(|(held, _)| under_way[*held]) {
            schedule.rounds[held] = past.unwrap_or_default().rounds;
        }
        schedule.frame = (0..pasts.len()).map(|node| schedule.frame_of(node, &under_way)).collect();
        schedule.set_edge_states(&pasts, &under_way);
        for (node, past) in pasts.iter().enumerate() {
            if let (Past::Ended(NodeOutcome::Completed), None) = (past, schedule.layout.loop_at[node])
                && let Some(chosen) = chosen(&schedule.layout.ids[node])
            {
                schedule.fire_chosen(node, &chosen);
            }
        }
        let failed = (0..pasts.len()).find(|node| pasts[*node] == Past::Ended(NodeOutcome::Failed));
        let step = match failed {
            Some(node) => schedule.fail(node),
            None => schedule.propagate((0..pasts.len()).collect()),
        };
        Restored { schedule, step, reset }
    }

    /// Completes the resets of loops that have decided on another round. No node of that round can have
    /// started.
    fn finish_resets(&self, pasts: &mut [Past], under_way: &[bool]) -> Vec<NodeId> {
        let mut reset = Vec::new();
        for held in (0..under_way.len()).filter(|held| under_way[*held]) {
            if !matches!(pasts[self.layout.loops[held].node], Past::Ended(NodeOutcome::Completed | NodeOutcome::Left)) {
                continue;
            }
            for node in self.round_nodes(held) {
                if matches!(pasts[node], Past::Ended(_)) {
                    pasts[node] = Past::Waiting;
                    reset.push(self.layout.ids[node].clone());
                }
            }
        }
        reset
    }

    fn set_node_states(&mut self, pasts: &[Past]) {
        self.states = pasts
            .iter()
            .map(|past| match past {
                Past::Waiting => NodeState::Waiting,
                Past::Running => NodeState::Running,
                Past::Ended(_) => NodeState::Ended,
            })
            .collect();
        self.running = self.states.iter().filter(|state| **state == NodeState::Running).count();
        self.waiting = self.states.iter().filter(|state| **state == NodeState::Waiting).count();
    }

    /// The innermost loop with a round under way that contains this node.
    fn frame_of(&self, node: usize, under_way: &[bool]) -> PassStart {
        let size = |held: &usize| self.layout.loops[*held].body.len();
        let holds = |held: &usize| {
            let one = &self.layout.loops[*held];
            under_way[*held] && (one.body.contains(node) || one.node == node)
        };
        (0..under_way.len()).filter(holds).min_by_key(size).map_or(WHOLE, |held| held + 1)
    }

    fn set_edge_states(&mut self, pasts: &[Past], under_way: &[bool]) {
        for (node, past) in pasts.iter().enumerate() {
            let state = match past {
                Past::Ended(NodeOutcome::Completed | NodeOutcome::Left) => EdgeState::Fired,
                Past::Ended(NodeOutcome::Skipped) => EdgeState::Dead,
                Past::Ended(NodeOutcome::Failed) | Past::Waiting | Past::Running => EdgeState::Open,
            };
            for edge in &self.layout.outs[node] {
                self.edge_states[*edge] = state;
            }
            let Some(held) = self.layout.loop_at[node] else { continue };
            let again = self.layout.loops[held].again;
            self.over[held] = state != EdgeState::Open;
            if under_way[held] {
                self.edge_states[again] = EdgeState::Fired;
            } else if state == EdgeState::Fired {
                self.edge_states[again] = EdgeState::Dead;
            }
        }
    }
}
