//! From what is known of a run's nodes back to its schedule.
//!
//! A node's status says what it has put on its edges; a loop's last decision says whether a round
//! of it is under way. Nothing else is needed, so a run can be taken up from its session's state
//! alone, wherever that state came from.

use std::sync::Arc;

use super::{Outcome, Schedule, Signal, Standing, Step};
use crate::engine::regions::{Frame, Layout, LoopError, WHOLE};
use crate::session::{GraphDefinition, NodeId};

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
    /// `loops` says (`None`: nothing yet, or nothing since an outer loop began another round).
    ///
    /// # Errors
    ///
    /// As for [`Schedule::new`].
    pub fn restore(
        graph: &GraphDefinition,
        past: impl Fn(&NodeId) -> Past,
        loops: impl Fn(&NodeId) -> Option<LoopPast>,
    ) -> Result<Restored, LoopError> {
        Ok(Self::restore_in(Arc::new(Layout::new(graph)?), past, loops))
    }

    /// As [`Schedule::restore`], of a graph whose layout is known.
    pub(in crate::engine) fn restore_in(
        layout: Arc<Layout>,
        past: impl Fn(&NodeId) -> Past,
        loops: impl Fn(&NodeId) -> Option<LoopPast>,
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
        self.standing = pasts
            .iter()
            .map(|past| match past {
                Past::Waiting => Standing::Waiting,
                Past::Running => Standing::Running,
                Past::Ended(_) => Standing::Ended,
            })
            .collect();
        self.running = self.standing.iter().filter(|standing| **standing == Standing::Running).count();
        self.waiting = self.standing.iter().filter(|standing| **standing == Standing::Waiting).count();
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
                Past::Ended(Outcome::Completed | Outcome::Left) => Signal::Fired,
                Past::Ended(Outcome::Skipped) => Signal::Dead,
                Past::Ended(Outcome::Failed) | Past::Waiting | Past::Running => Signal::Open,
            };
            for edge in &self.layout.outs[node] {
                self.signals[*edge] = signal;
            }
            let Some(held) = self.layout.loop_at[node] else { continue };
            let again = self.layout.loops[held].again;
            self.over[held] = signal != Signal::Open;
            if under_way[held] {
                self.signals[again] = Signal::Fired;
            } else if signal == Signal::Fired {
                self.signals[again] = Signal::Dead;
            }
        }
    }
}
