//! From what is known of a run's nodes back to its schedule.
//!
//! A node's status says what it has put on its edges; a loop's last decision says whether a round
//! of it is under way. Nothing else is needed, so a run can be taken up from its session's state
//! alone, wherever that state came from.

use std::sync::Arc;

use super::{EdgeState, NodeState, Outcome, Schedule, Step};
use crate::engine::error::LoopError;
use crate::engine::regions::{Frame, Layout, WHOLE};
use relive_session::{GraphDefinition, NodeId};

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// Has not run, or waits to run again.
    Waiting,
    /// Was started and has not ended. It stays so: whoever restores has to settle it.
    Running,
    Ended(Outcome),
}

/// What a loop decided last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopPast {
    pub rounds: u32,
    pub again: bool,
}

/// A schedule in the middle of a run.
#[derive(Debug)]
pub struct Restored {
    pub schedule: Schedule,
    /// What may start or must be skipped now. Nodes that run are not among them.
    pub step: Step,
    /// Nodes of a new round that are still known as ended: the round was decided, and not every node
    /// of it was made to wait yet.
    pub reset: Vec<NodeId>,
}

impl Schedule {
    /// A run in which each node has come as far as `past` says, and each loop decided last what
    /// `loops` says (`None`: nothing yet, or nothing since an outer loop began another round), and completed
    /// nodes that decide have chosen what `chosen` says (`None`: all of its next nodes follow).
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
        Ok(Self::restore_in(Arc::new(Layout::new(graph)?), past, loops, chosen))
    }

    /// As [`Schedule::restore`], of a graph whose layout is known.
    pub(in crate::engine) fn restore_in(
        layout: Arc<Layout>,
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
        schedule.take_standings(&pasts);
        for (held, past) in decided.iter().enumerate().filter(|(held, _)| under_way[*held]) {
            schedule.rounds[held] = past.unwrap_or_default().rounds;
        }
        schedule.frame = (0..pasts.len()).map(|node| schedule.frame_of(node, &under_way)).collect();
        schedule.put_signals(&pasts, &under_way);
        for (node, past) in pasts.iter().enumerate() {
            if let (Past::Ended(Outcome::Completed), None) = (past, schedule.layout.loop_at[node])
                && let Some(chosen) = chosen(&schedule.layout.ids[node])
            {
                schedule.send_chosen(node, &chosen);
            }
        }
        let failed = (0..pasts.len()).find(|node| pasts[*node] == Past::Ended(Outcome::Failed));
        let step = match failed {
            Some(node) => schedule.fail(node),
            None => schedule.follow((0..pasts.len()).collect()),
        };
        Restored { schedule, step, reset }
    }

    /// A loop node that has completed and decided to go round again: its body waits, whether or not
    /// that is known yet. Nothing of it can have started.
    fn finish_resets(&self, pasts: &mut [Past], under_way: &[bool]) -> Vec<NodeId> {
        let mut reset = Vec::new();
        for held in (0..under_way.len()).filter(|held| under_way[*held]) {
            if !matches!(pasts[self.layout.loops[held].node], Past::Ended(Outcome::Completed | Outcome::Left)) {
                continue;
            }
            for node in self.again_waiting(held) {
                if matches!(pasts[node], Past::Ended(_)) {
                    pasts[node] = Past::Waiting;
                    reset.push(self.layout.ids[node].clone());
                }
            }
        }
        reset
    }

    fn take_standings(&mut self, pasts: &[Past]) {
        self.states = pasts
            .iter()
            .map(|past| match past {
                Past::Waiting => NodeState::Waiting,
                Past::Running => NodeState::Running,
                Past::Ended(_) => NodeState::Ended,
            })
            .collect();
        self.running = self.states.iter().filter(|states| **states == NodeState::Running).count();
        self.waiting = self.states.iter().filter(|states| **states == NodeState::Waiting).count();
    }

    /// The innermost loop that goes round with this node in it.
    fn frame_of(&self, node: usize, under_way: &[bool]) -> Frame {
        let size = |held: &usize| self.layout.loops[*held].body.len();
        let holds = |held: &usize| {
            let one = &self.layout.loops[*held];
            under_way[*held] && (one.body.contains(node) || one.node == node)
        };
        (0..under_way.len()).filter(holds).min_by_key(size).map_or(WHOLE, |held| held + 1)
    }

    fn put_signals(&mut self, pasts: &[Past], under_way: &[bool]) {
        for (node, past) in pasts.iter().enumerate() {
            let signal = match past {
                Past::Ended(Outcome::Completed | Outcome::Left) => EdgeState::Fired,
                Past::Ended(Outcome::Skipped) => EdgeState::Dead,
                Past::Ended(Outcome::Failed) | Past::Waiting | Past::Running => EdgeState::Open,
            };
            for edge in &self.layout.outs[node] {
                self.edge_states[*edge] = signal;
            }
            let Some(held) = self.layout.loop_at[node] else { continue };
            let again = self.layout.loops[held].again;
            self.over[held] = signal != EdgeState::Open;
            if under_way[held] {
                self.edge_states[again] = EdgeState::Fired;
            } else if signal == EdgeState::Fired {
                self.edge_states[again] = EdgeState::Dead;
            }
        }
    }
}
