//! Determines which nodes start, which are skipped, and when the run is over. Pure: no I/O, no clock.
//!
//! - The start node runs first. Any other node runs once every edge into it that can still fire
//!   has fired, and at least one has. A node that no edge can reach any more is skipped.
//! - A completed node fires its edges; those of a skipped node are dead. A node that decides fires the edges to
//!   the nodes it has chosen ([`Schedule::choose`]); the others are dead.
//! - A failed node fails the run. The nodes that depend on it are skipped at once, no node starts any more,
//!   nodes that are already running may finish, and then the rest is skipped. (A node whose
//!   failure is ignored is settled as completed.)
//! - A `loop` node's `nextIds` are `[again, exit…]`. Its body consists of the nodes on paths from `again`
//!   back to it, and `max_rounds` (default 1) is how often the body runs, whether the run enters
//!   the body first or the loop node first. Each further round is a new attempt of every node in
//!   it; only edges within the loop count as input then, not those by which it was entered. An edge that
//!   leaves the body other than through the loop node is settled when the loop is over.
//!
//! ```text
//! begin() ─▶ Step { start, skip }          settle(node, outcome) ─▶ Step { start, skip }
//! restore(the states of the nodes)         verdict() ─▶ None while anything runs
//! ```
//!
//! A schedule can be restored from the stored states of the nodes ([`Schedule::restore`]), provided
//! that every node of a new round is stored as pending again ([`Round::reset`]).

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::LoopError;
use super::regions::{Loop, LoopLayout, PassStart, WHOLE};
use relive_session::{GraphDefinition, NodeId};

/// How one attempt of a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeOutcome {
    Completed,
    /// Of a loop node: completed, and no further round whatever `max_rounds` says. Of any other
    /// node, the same as completed.
    Left,
    Failed,
    Skipped,
}

/// What a loop node's completion leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Completed rounds of the body.
    pub rounds: u32,
    /// Whether there is another one.
    pub again: bool,
    /// The nodes to be reset then: the body, and the loop node itself. Empty when the loop is left.
    pub reset: Vec<NodeId>,
}

/// What follows from an outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Nodes to start now. Each must be settled once.
    pub start: Vec<NodeId>,
    /// Nodes that will not run. In a later round of a loop they may have run before.
    pub skip: Vec<NodeId>,
}

/// How the run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    Completed,
    Failed { node: NodeId },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NodeState {
    Waiting,
    Running,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EdgeState {
    Open,
    Fired,
    Dead,
}

/// One run of a graph.
#[derive(Debug)]
pub struct Schedule {
    layout: Arc<LoopLayout>,
    states: Vec<NodeState>,
    /// By node: its current frame, which determines the edges it waits for.
    frame: Vec<PassStart>,
    edge_states: Vec<EdgeState>,
    /// By loop: completed rounds since it was entered, and whether it is over.
    rounds: Vec<u32>,
    over: Vec<bool>,
    running: usize,
    waiting: usize,
    failed: Option<usize>,
    /// Ready, but deferred: a loop decides only while no node of its body runs, which would then be in two
    /// rounds at once. Checked again whenever a node ends.
    deferred: Vec<usize>,
}

impl Schedule {
    /// # Errors
    ///
    /// When a loop cannot be scheduled. The graph itself must have passed
    /// [`GraphDefinition::validate`].
    pub fn new(graph: &GraphDefinition) -> Result<Self, LoopError> {
        Ok(Self::of(Arc::new(LoopLayout::new(graph)?)))
    }

    /// The schedule of a graph whose layout is known.
    pub(super) fn of(layout: Arc<LoopLayout>) -> Self {
        Self {
            states: vec![NodeState::Waiting; layout.ids.len()],
            frame: vec![WHOLE; layout.ids.len()],
            edge_states: vec![EdgeState::Open; layout.edges.len()],
            rounds: vec![0; layout.loops.len()],
            over: vec![false; layout.loops.len()],
            running: 0,
            waiting: layout.ids.len(),
            failed: None,
            deferred: Vec::new(),
            layout,
        }
    }

    /// The first nodes to start.
    pub fn begin(&mut self) -> Step {
        self.propagate(vec![self.layout.start])
    }

    /// Records that a running node completed and chose which of its next nodes follow; the edges to the others
    /// are dead. Of a loop node, the same as [`Schedule::settle`].
    pub fn choose(&mut self, node: &NodeId, chosen: &[NodeId]) -> Step {
        match self.end_running(node) {
            Some(at) if self.layout.loop_at[at].is_none() => {
                let touched = self.fire_chosen(at, chosen);
                self.propagate(touched)
            }
            Some(at) => self.settle_at(at, NodeOutcome::Completed),
            None => Step::default(),
        }
    }

    /// Records how a running node ended. A node that is not running is ignored.
    pub fn settle(&mut self, node: &NodeId, outcome: NodeOutcome) -> Step {
        self.end_running(node).map_or_else(Step::default, |at| self.settle_at(at, outcome))
    }

    /// Ends a running node.
    fn end_running(&mut self, node: &NodeId) -> Option<usize> {
        let at = *self.layout.index.get(node)?;
        if self.states[at] != NodeState::Running {
            return None;
        }
        self.running -= 1;
        self.states[at] = NodeState::Ended;
        Some(at)
    }

    fn settle_at(&mut self, at: usize, outcome: NodeOutcome) -> Step {
        match outcome {
            NodeOutcome::Failed => self.fail(at),
            NodeOutcome::Skipped => {
                let touched = self.set_edges(at, EdgeState::Dead);
                self.propagate(touched)
            }
            NodeOutcome::Completed | NodeOutcome::Left => {
                let touched = match self.layout.loop_at[at] {
                    Some(held) => self.end_round(held, outcome == NodeOutcome::Left),
                    None => self.set_edges(at, EdgeState::Fired),
                };
                self.propagate(touched)
            }
        }
    }

    /// How the run ended; `None` while a node is running or waiting to.
    #[must_use]
    pub fn verdict(&self) -> Option<RunEnd> {
        match self.failed {
            _ if self.running > 0 || self.waiting > 0 => None,
            Some(at) => Some(RunEnd::Failed { node: self.layout.ids[at].clone() }),
            None => Some(RunEnd::Completed),
        }
    }

    /// Whether a node has failed, so that no node starts any more.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.failed.is_some()
    }

    fn fail(&mut self, at: usize) -> Step {
        let mut step = Step::default();
        self.failed.get_or_insert(at);
        let mut behind = vec![at];
        while let Some(node) = behind.pop() {
            for to in self.targets(node).collect::<Vec<_>>() {
                if self.skip_waiting(to, &mut step) {
                    behind.push(to);
                }
            }
        }
        self.skip_rest(&mut step);
        step
    }

    /// Checks every touched node, and the nodes touched by that, until nothing changes.
    fn propagate(&mut self, touched: Vec<usize>) -> Step {
        // First in, first out: with one slot, branches start in the order in which they are written.
        let mut touched = VecDeque::from(touched);
        touched.extend(std::mem::take(&mut self.deferred));
        let mut step = Step::default();
        loop {
            while let Some(node) = touched.pop_front().filter(|_| self.failed.is_none()) {
                touched.extend(self.check(node, &mut step));
            }
            if self.running > 0 || self.waiting == 0 || self.failed.is_some() {
                break;
            }
            // Nothing runs, so the remaining nodes wait for edges that cannot settle before them: a
            // cycle entered at two places, or unreachable nodes.
            match self.first_with_input() {
                Some(node) => self.start(node, &mut step),
                None => break,
            }
        }
        self.skip_rest(&mut step);
        step
    }

    fn check(&mut self, node: usize, step: &mut Step) -> Vec<usize> {
        let waits = |edge: &usize| self.layout.awaits(self.frame[node], *edge) && !self.is_settled(*edge);
        if self.states[node] != NodeState::Waiting || self.layout.ins[node].iter().any(waits) {
            return Vec::new();
        }
        if self.has_input(node) {
            if self.must_defer(node) {
                self.deferred.push(node);
            } else {
                self.start(node, step);
            }
            return Vec::new();
        }
        self.skip_waiting(node, step);
        self.set_edges(node, EdgeState::Dead)
    }

    /// Whether a loop would decide while its body runs. That is possible only where a cycle is
    /// entered at several places.
    fn must_defer(&self, node: usize) -> bool {
        let runs = |node: usize| self.states[node] == NodeState::Running;
        self.layout.loops.iter().any(|held| {
            (held.body.contains(node) && runs(held.node)) || (held.node == node && held.body.nodes().any(runs))
        })
    }

    fn start(&mut self, node: usize, step: &mut Step) {
        self.states[node] = NodeState::Running;
        self.running += 1;
        self.waiting -= 1;
        step.start.push(self.layout.ids[node].clone());
    }

    fn skip_waiting(&mut self, node: usize, step: &mut Step) -> bool {
        let waited = self.states[node] == NodeState::Waiting;
        if waited {
            self.states[node] = NodeState::Ended;
            self.waiting -= 1;
            step.skip.push(self.layout.ids[node].clone());
        }
        waited
    }

    /// Skips the remaining nodes if nothing runs.
    fn skip_rest(&mut self, step: &mut Step) {
        if self.running == 0 && self.waiting > 0 {
            for node in 0..self.states.len() {
                self.skip_waiting(node, step);
            }
        }
    }

    fn has_input(&self, node: usize) -> bool {
        let frame = self.frame[node];
        let counts = |edge: &&usize| self.layout.feeds(frame, **edge);
        (node == self.layout.start && frame == WHOLE)
            || self.layout.ins[node].iter().filter(counts).any(|edge| self.edge_states[*edge] == EdgeState::Fired)
    }

    /// A loop node comes last: it ends a round, so all other nodes that can run belong before it.
    fn first_with_input(&self) -> Option<usize> {
        (0..self.states.len())
            .filter(|node| self.states[*node] == NodeState::Waiting && self.has_input(*node))
            .min_by_key(|node| self.layout.loop_at[*node].is_some())
    }

    fn is_settled(&self, edge: usize) -> bool {
        self.edge_states[edge] != EdgeState::Open && self.layout.edges[edge].leaves.iter().all(|held| self.over[*held])
    }

    fn targets(&self, node: usize) -> impl Iterator<Item = usize> {
        self.layout.outs[node].iter().map(|edge| self.layout.edges[*edge].to)
    }

    /// Sets all edges out of a node to one state; returns the nodes to check.
    fn set_edges(&mut self, node: usize, state: EdgeState) -> Vec<usize> {
        for edge in &self.layout.outs[node] {
            self.edge_states[*edge] = state;
        }
        let mut touched: Vec<usize> = self.targets(node).collect();
        if let Some(held) = self.layout.loop_at[node] {
            self.over[held] = true;
            touched.extend(self.behind_loop(held));
        }
        touched
    }

    /// Fires the edges to the chosen nodes, and no others.
    fn fire_chosen(&mut self, node: usize, chosen: &[NodeId]) -> Vec<usize> {
        for edge in &self.layout.outs[node] {
            let is_chosen = chosen.contains(&self.layout.ids[self.layout.edges[*edge].to]);
            self.edge_states[*edge] = if is_chosen { EdgeState::Fired } else { EdgeState::Dead };
        }
        self.targets(node).collect()
    }

    fn behind_loop(&self, held: usize) -> impl Iterator<Item = usize> {
        self.layout.edges.iter().filter(move |edge| edge.leaves.contains(&held)).map(|edge| edge.to)
    }

    /// What completing a running loop node would lead to; `None` for any other node.
    #[must_use]
    pub fn round(&self, node: &NodeId, leave: bool) -> Option<Round> {
        let held = self.layout.loop_at[*self.layout.index.get(node)?]?;
        let rounds = self.completed_rounds(held);
        let again = !leave && rounds < self.layout.loops[held].max_rounds;
        let ids = |again: bool| if again { self.round_nodes(held) } else { Vec::new() };
        let reset = ids(again).into_iter().map(|node| self.layout.ids[node].clone()).collect();
        Some(Round { rounds, again, reset })
    }

    /// Of a loop node: completed rounds of its body.
    pub(super) fn rounds_of(&self, node: &NodeId) -> Option<u32> {
        self.layout.loop_at[*self.layout.index.get(node)?].map(|held| self.completed_rounds(held))
    }

    fn completed_rounds(&self, held: usize) -> u32 {
        if self.frame[self.layout.loops[held].node] == held + 1 {
            self.rounds[held].saturating_add(1)
        } else {
            u32::from(self.entered_by_body(held))
        }
    }

    /// A loop node has completed: begins another round, or leaves the loop.
    fn end_round(&mut self, held: usize, leave: bool) -> Vec<usize> {
        let (node, again) = (self.layout.loops[held].node, self.layout.loops[held].again);
        self.rounds[held] = self.completed_rounds(held);
        if leave || self.rounds[held] >= self.layout.loops[held].max_rounds {
            let touched = self.set_edges(node, EdgeState::Fired);
            self.edge_states[again] = EdgeState::Dead;
            return touched;
        }
        self.reset(held);
        self.edge_states[again] = EdgeState::Fired;
        vec![self.layout.edges[again].to]
    }

    /// Whether the run reached the loop node through its body, so that one round is complete.
    fn entered_by_body(&self, held: usize) -> bool {
        let Loop { node, again, ref body, .. } = self.layout.loops[held];
        let fired_inside =
            |edge: &usize| self.edge_states[*edge] == EdgeState::Fired && body.contains(self.layout.edges[*edge].from);
        self.layout.edges[again].to == node || self.layout.ins[node].iter().any(fired_inside)
    }

    /// The loop's body, and the loop node.
    fn round_nodes(&self, held: usize) -> Vec<usize> {
        let Loop { node: loop_node, ref body, .. } = self.layout.loops[held];
        let mut nodes: Vec<usize> = body.nodes().chain([loop_node]).collect();
        nodes.sort_unstable();
        nodes
    }

    /// Resets the loop's body, and the loop node, for another round.
    fn reset(&mut self, held: usize) {
        for node in self.round_nodes(held) {
            if self.states[node] != NodeState::Waiting {
                self.states[node] = NodeState::Waiting;
                self.waiting += 1;
            }
            self.frame[node] = held + 1;
            for edge in &self.layout.outs[node] {
                self.edge_states[*edge] = EdgeState::Open;
            }
            if let Some(inner) = self.layout.loop_at[node].filter(|inner| *inner != held) {
                self.rounds[inner] = 0;
                self.over[inner] = false;
            }
        }
    }
}

mod restore;

pub use restore::{LoopPast, Past, Restored};

#[cfg(test)]
mod tests;
