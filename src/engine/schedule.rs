//! Which nodes may run, which never will, and when the run is over. Pure: no I/O, no clock.
//!
//! - The start node runs first. Any other node runs once every edge into it that can still fire
//!   has fired, and at least one has. A node that no edge can reach any more is skipped.
//! - A completed node fires its edges; a skipped one never will. A node that decides fires those it has
//!   chosen ([`Schedule::choose`]), and never the others.
//! - A failed node fails the run. What depends on it is skipped at once, nothing new starts,
//!   nodes that are already running are let finish, and then the rest is skipped. (A node whose
//!   failure is to be passed over is settled as completed.)
//! - A `loop` node's `nextIds` are `[again, exit…]`. Its body is what lies on the way from `again`
//!   back to it, and `max_rounds` (default 1) is how often the body runs, whether the run enters
//!   the body first or the loop node first. Each further round is a new attempt of every node in
//!   it; only what comes round counts as input then, not what came in from outside before. What
//!   leaves the body by another way than the loop node waits until the loop is over.
//!
//! ```text
//! begin() ─▶ Step { start, skip }          settle(node, outcome) ─▶ Step { start, skip }
//! restore(what nodes are known to be)      verdict() ─▶ None while anything runs
//! ```
//!
//! What is known of the nodes from outside is enough to go on from ([`Schedule::restore`]), provided
//! that every node of a new round is known to wait again ([`Round::reset`]).

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::LoopError;
use super::regions::{Frame, Layout, Loop, WHOLE};
use relive_session::{GraphDefinition, NodeId};

/// How one attempt of a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
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
    /// How many rounds of the body are behind the loop now.
    pub rounds: u32,
    /// Whether there is another one.
    pub again: bool,
    /// The nodes that wait again then: the body, and the loop node itself. Empty on the way out.
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
pub enum Verdict {
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
    layout: Arc<Layout>,
    states: Vec<NodeState>,
    /// By node: the pass it is on, which decides what it waits for.
    frame: Vec<Frame>,
    edge_states: Vec<EdgeState>,
    /// By loop: how often its body has run since it was entered, and whether it is over.
    rounds: Vec<u32>,
    over: Vec<bool>,
    running: usize,
    waiting: usize,
    failed: Option<usize>,
    /// Ready, but deferred: a loop decides while none of its body runs, as what runs
    /// then would be in two rounds at once. Looked at again whenever a node ends.
    deferred: Vec<usize>,
}

impl Schedule {
    /// # Errors
    ///
    /// When a loop cannot be scheduled. The graph itself must have passed
    /// [`GraphDefinition::validate`].
    pub fn new(graph: &GraphDefinition) -> Result<Self, LoopError> {
        Ok(Self::of(Arc::new(Layout::new(graph)?)))
    }

    /// The schedule of a graph whose layout is known.
    pub(super) fn of(layout: Arc<Layout>) -> Self {
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
        self.follow(vec![self.layout.start])
    }

    /// Records that a running node completed and decided which of its next nodes follow; the edges to the others
    /// are as those of a skipped node. Of a loop node, the same as [`Schedule::settle`].
    pub fn choose(&mut self, node: &NodeId, chosen: &[NodeId]) -> Step {
        match self.end(node) {
            Some(at) if self.layout.loop_at[at].is_none() => {
                let touched = self.send_chosen(at, chosen);
                self.follow(touched)
            }
            Some(at) => self.settle_at(at, Outcome::Completed),
            None => Step::default(),
        }
    }

    /// Records how a running node ended. A node that is not running is ignored.
    pub fn settle(&mut self, node: &NodeId, outcome: Outcome) -> Step {
        self.end(node).map_or_else(Step::default, |at| self.settle_at(at, outcome))
    }

    /// Ends a running node.
    fn end(&mut self, node: &NodeId) -> Option<usize> {
        let at = *self.layout.index.get(node)?;
        if self.states[at] != NodeState::Running {
            return None;
        }
        self.running -= 1;
        self.states[at] = NodeState::Ended;
        Some(at)
    }

    fn settle_at(&mut self, at: usize, outcome: Outcome) -> Step {
        match outcome {
            Outcome::Failed => self.fail(at),
            Outcome::Skipped => {
                let touched = self.send(at, EdgeState::Dead);
                self.follow(touched)
            }
            Outcome::Completed | Outcome::Left => {
                let touched = match self.layout.loop_at[at] {
                    Some(held) => self.go_round(held, outcome == Outcome::Left),
                    None => self.send(at, EdgeState::Fired),
                };
                self.follow(touched)
            }
        }
    }

    /// How the run ended; `None` while a node is running or waiting to.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        match self.failed {
            _ if self.running > 0 || self.waiting > 0 => None,
            Some(at) => Some(Verdict::Failed { node: self.layout.ids[at].clone() }),
            None => Some(Verdict::Completed),
        }
    }

    /// Whether a node has failed, so that nothing starts any more.
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
                if self.end_waiting(to, &mut step) {
                    behind.push(to);
                }
            }
        }
        self.skip_rest(&mut step);
        step
    }

    /// Looks at every touched node, and at what that touches, until nothing moves.
    fn follow(&mut self, touched: Vec<usize>) -> Step {
        // First come, first looked at: with one job, branches then start in the order they are written.
        let mut touched = VecDeque::from(touched);
        touched.extend(std::mem::take(&mut self.deferred));
        let mut step = Step::default();
        loop {
            while let Some(node) = touched.pop_front().filter(|_| self.failed.is_none()) {
                touched.extend(self.look_at(node, &mut step));
            }
            if self.running > 0 || self.waiting == 0 || self.failed.is_some() {
                break;
            }
            // Nothing runs, so what still waits does so for something that cannot come first: a
            // cycle entered at two places, or nodes out of reach.
            match self.first_with_input() {
                Some(node) => self.start(node, &mut step),
                None => break,
            }
        }
        self.skip_rest(&mut step);
        step
    }

    fn look_at(&mut self, node: usize, step: &mut Step) -> Vec<usize> {
        let waits = |edge: &usize| self.layout.awaits(self.frame[node], *edge) && !self.is_settled(*edge);
        if self.states[node] != NodeState::Waiting || self.layout.ins[node].iter().any(waits) {
            return Vec::new();
        }
        if self.has_input(node) {
            if self.must_stay_apart(node) {
                self.deferred.push(node);
            } else {
                self.start(node, step);
            }
            return Vec::new();
        }
        self.end_waiting(node, step);
        self.send(node, EdgeState::Dead)
    }

    /// Whether a loop would decide beside its running body. That can only be so where a cycle is
    /// entered at several places.
    fn must_stay_apart(&self, node: usize) -> bool {
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

    fn end_waiting(&mut self, node: usize, step: &mut Step) -> bool {
        let waited = self.states[node] == NodeState::Waiting;
        if waited {
            self.states[node] = NodeState::Ended;
            self.waiting -= 1;
            step.skip.push(self.layout.ids[node].clone());
        }
        waited
    }

    /// Once nothing runs and nothing will start, what is left is skipped.
    fn skip_rest(&mut self, step: &mut Step) {
        if self.running == 0 && self.waiting > 0 {
            for node in 0..self.states.len() {
                self.end_waiting(node, step);
            }
        }
    }

    fn has_input(&self, node: usize) -> bool {
        let frame = self.frame[node];
        let counts = |edge: &&usize| self.layout.feeds(frame, **edge);
        (node == self.layout.start && frame == WHOLE)
            || self.layout.ins[node].iter().filter(counts).any(|edge| self.edge_states[*edge] == EdgeState::Fired)
    }

    /// A loop node comes last: it decides about a round, so whatever else can run belongs before it.
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

    /// Puts the same signal on every edge out of a node, and says which nodes to look at.
    fn send(&mut self, node: usize, signal: EdgeState) -> Vec<usize> {
        for edge in &self.layout.outs[node] {
            self.edge_states[*edge] = signal;
        }
        let mut touched: Vec<usize> = self.targets(node).collect();
        if let Some(held) = self.layout.loop_at[node] {
            self.over[held] = true;
            touched.extend(self.held_back_by(held));
        }
        touched
    }

    /// Fires the edges to the chosen nodes, and no others.
    fn send_chosen(&mut self, node: usize, chosen: &[NodeId]) -> Vec<usize> {
        for edge in &self.layout.outs[node] {
            let is_chosen = chosen.contains(&self.layout.ids[self.layout.edges[*edge].to]);
            self.edge_states[*edge] = if is_chosen { EdgeState::Fired } else { EdgeState::Dead };
        }
        self.targets(node).collect()
    }

    fn held_back_by(&self, held: usize) -> impl Iterator<Item = usize> {
        self.layout.edges.iter().filter(move |edge| edge.leaves.contains(&held)).map(|edge| edge.to)
    }

    /// What completing a running loop node would lead to; `None` for any other node.
    #[must_use]
    pub fn round(&self, node: &NodeId, leave: bool) -> Option<Round> {
        let held = self.layout.loop_at[*self.layout.index.get(node)?]?;
        let rounds = self.rounds_behind(held);
        let again = !leave && rounds < self.layout.loops[held].max_rounds;
        let ids = |again: bool| if again { self.again_waiting(held) } else { Vec::new() };
        let reset = ids(again).into_iter().map(|node| self.layout.ids[node].clone()).collect();
        Some(Round { rounds, again, reset })
    }

    /// Of a loop node: how many rounds of its body are behind it.
    pub(super) fn rounds_of(&self, node: &NodeId) -> Option<u32> {
        self.layout.loop_at[*self.layout.index.get(node)?].map(|held| self.rounds_behind(held))
    }

    fn rounds_behind(&self, held: usize) -> u32 {
        if self.frame[self.layout.loops[held].node] == held + 1 {
            self.rounds[held].saturating_add(1)
        } else {
            u32::from(self.came_round(held))
        }
    }

    /// The loop node has run: another round, or the way out.
    fn go_round(&mut self, held: usize, leave: bool) -> Vec<usize> {
        let (node, again) = (self.layout.loops[held].node, self.layout.loops[held].again);
        self.rounds[held] = self.rounds_behind(held);
        if leave || self.rounds[held] >= self.layout.loops[held].max_rounds {
            let touched = self.send(node, EdgeState::Fired);
            self.edge_states[again] = EdgeState::Dead;
            return touched;
        }
        self.reset(held);
        self.edge_states[again] = EdgeState::Fired;
        vec![self.layout.edges[again].to]
    }

    /// Whether the run came to the loop node through its body, so that one round is behind it.
    fn came_round(&self, held: usize) -> bool {
        let Loop { node, again, ref body, .. } = self.layout.loops[held];
        let fired_inside =
            |edge: &usize| self.edge_states[*edge] == EdgeState::Fired && body.contains(self.layout.edges[*edge].from);
        self.layout.edges[again].to == node || self.layout.ins[node].iter().any(fired_inside)
    }

    /// The loop's body, and the loop node.
    fn again_waiting(&self, held: usize) -> Vec<usize> {
        let Loop { node: loop_node, ref body, .. } = self.layout.loops[held];
        let mut nodes: Vec<usize> = body.nodes().chain([loop_node]).collect();
        nodes.sort_unstable();
        nodes
    }

    /// Makes the loop's body, and the loop node, wait for another round.
    fn reset(&mut self, held: usize) {
        for node in self.again_waiting(held) {
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
