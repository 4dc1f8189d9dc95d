//! What can be known about a graph before it runs: its edges, its loops, and which edges lead back.
//!
//! A node waits for the edges into it. On a cycle that rule alone would wait for ever: the first
//! node of a loop's body would wait for the loop node, and the loop node for the body. An edge
//! whose source can only run *after* its target is therefore not waited for. Whether that is so
//! depends on where the run enters, so it is worked out once per [`Frame`].

use std::collections::{HashMap, HashSet};

use crate::session::{GraphDefinition, GraphNode, NodeId};

/// Where the current pass over a node began: [`WHOLE`], or one more than the loop that started it.
pub(super) type Frame = usize;
/// The first pass, from the start node.
pub(super) const WHOLE: Frame = 0;

/// Why the loops of a graph cannot be scheduled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoopError {
    #[error("loop node '{0}' needs a first next node, to go round again by")]
    NoBody(NodeId),
    #[error("loop node '{0}': its first next node does not lead back to it")]
    NotALoop(NodeId),
    #[error("loop node '{node}': its exit '{exit}' leads back into the loop")]
    ExitInside { node: NodeId, exit: NodeId },
    #[error("loop nodes '{0}' and '{1}' cross; one must lie inside the other")]
    Crossing(NodeId, NodeId),
    #[error("loop node '{0}': the property max_rounds must be a whole number from 0 to 1000000")]
    BadRounds(NodeId),
}

#[derive(Debug)]
pub(super) struct Edge {
    pub from: usize,
    pub to: usize,
    /// The loops this edge leaves other than through their loop node. Only what the last round
    /// put on such an edge counts, so it settles when those loops are over.
    pub leaves: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Loop {
    pub node: usize,
    /// The edge into the body.
    pub again: usize,
    pub max_rounds: u32,
    /// By node: whether it lies on the way from `again` back to the loop node.
    pub body: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct Layout {
    pub ids: Vec<NodeId>,
    pub index: HashMap<NodeId, usize>,
    pub start: usize,
    pub edges: Vec<Edge>,
    pub ins: Vec<Vec<usize>>,
    pub outs: Vec<Vec<usize>>,
    pub loops: Vec<Loop>,
    /// By node: the loop it is the loop node of.
    pub loop_at: Vec<Option<usize>>,
    /// By frame: the edges whose source can only run after their target.
    back: Vec<HashSet<usize>>,
}

impl Layout {
    /// The graph must be valid ([`GraphDefinition::validate`]); edges to unknown nodes are ignored.
    pub(super) fn new(graph: &GraphDefinition) -> Result<Self, LoopError> {
        let ids: Vec<NodeId> = graph.nodes.keys().cloned().collect();
        let index: HashMap<NodeId, usize> = ids.iter().cloned().enumerate().map(|(at, id)| (id, at)).collect();
        let start = index.get(&graph.start_node_id).copied().unwrap_or_default();
        let mut layout = Self {
            start,
            edges: Vec::new(),
            ins: vec![Vec::new(); ids.len()],
            outs: vec![Vec::new(); ids.len()],
            loops: Vec::new(),
            loop_at: vec![None; ids.len()],
            back: Vec::new(),
            ids,
            index,
        };
        for node in graph.nodes.values() {
            layout.add_edges(node);
        }
        for node in graph.nodes.values().filter(|node| node.kind == GraphDefinition::LOOP) {
            layout.add_loop(node)?;
        }
        layout.check_nesting()?;
        layout.mark_leaving_edges();
        layout.back = (0..=layout.loops.len()).map(|frame| layout.back_edges(frame)).collect();
        Ok(layout)
    }

    /// Whether a node on a pass of `frame` has to wait for `edge` to settle.
    pub(super) fn awaits(&self, frame: Frame, edge: usize) -> bool {
        self.within(frame, edge) && !self.back[frame].contains(&edge)
    }

    /// Whether `edge` can bring a pass of `frame` to its target: from within, or by beginning it.
    pub(super) fn feeds(&self, frame: Frame, edge: usize) -> bool {
        let began = frame.checked_sub(1).is_some_and(|held| self.loops[held].again == edge);
        began || self.within(frame, edge)
    }

    fn add_edges(&mut self, node: &GraphNode) {
        let Some(&from) = self.index.get(&node.id) else { return };
        let mut seen = HashSet::new();
        for to in node.next_ids.iter().filter_map(|next| self.index.get(next).copied()) {
            if seen.insert(to) {
                self.ins[to].push(self.edges.len());
                self.outs[from].push(self.edges.len());
                self.edges.push(Edge { from, to, leaves: Vec::new() });
            }
        }
    }

    fn add_loop(&mut self, node: &GraphNode) -> Result<(), LoopError> {
        let name = || node.id.clone();
        let at = self.index.get(&node.id).copied().unwrap_or_default();
        let again = *self.outs[at].first().ok_or_else(|| LoopError::NoBody(name()))?;
        let entry = self.edges[again].to;
        let from_entry = self.reach(entry, at, |layout, node| layout.outs[node].iter().map(|e| layout.edges[*e].to));
        let to_loop = self.reach(at, usize::MAX, |layout, node| layout.ins[node].iter().map(|e| layout.edges[*e].from));
        let body: Vec<bool> = (0..self.ids.len()).map(|n| n != at && from_entry[n] && to_loop[n]).collect();
        if entry != at && !body[entry] {
            return Err(LoopError::NotALoop(name()));
        }
        let inside = |edge: &&usize| body[self.edges[**edge].to] || self.edges[**edge].to == at;
        if let Some(exit) = self.outs[at].iter().skip(1).find(inside) {
            return Err(LoopError::ExitInside { node: name(), exit: self.ids[self.edges[*exit].to].clone() });
        }
        let max_rounds = max_rounds(node).ok_or_else(|| LoopError::BadRounds(name()))?;
        self.loop_at[at] = Some(self.loops.len());
        self.loops.push(Loop { node: at, again, max_rounds, body });
        Ok(())
    }

    fn check_nesting(&self) -> Result<(), LoopError> {
        for (at, one) in self.loops.iter().enumerate() {
            if let Some(other) = self.loops[..at].iter().find(|other| one.body[other.node] && other.body[one.node]) {
                return Err(LoopError::Crossing(self.ids[other.node].clone(), self.ids[one.node].clone()));
            }
        }
        Ok(())
    }

    fn mark_leaving_edges(&mut self) {
        for edge in &mut self.edges {
            let leaves =
                |(_, held): &(usize, &Loop)| held.body[edge.from] && !held.body[edge.to] && held.node != edge.to;
            edge.leaves = self.loops.iter().enumerate().filter(leaves).map(|(at, _)| at).collect();
        }
    }

    /// Whether both ends of the edge take part in a pass of `frame`. The loop node's own edges do
    /// not: one of them began the pass, and the others come after it.
    fn within(&self, frame: Frame, edge: usize) -> bool {
        let Some(held) = frame.checked_sub(1).and_then(|at| self.loops.get(at)) else { return true };
        let Edge { from, to, .. } = self.edges[edge];
        held.body[from] && (held.body[to] || to == held.node)
    }

    /// The edges of a frame whose target every way to their source passes through.
    fn back_edges(&self, frame: Frame) -> HashSet<usize> {
        let root = frame.checked_sub(1).map_or(self.start, |at| self.edges[self.loops[at].again].to);
        let order = self.postorder(root, frame);
        let leads_back = |edge: &usize| {
            let Edge { from, to, .. } = self.edges[*edge];
            self.within(frame, *edge) && order[to] >= order[from] && {
                let without = self.reach(root, to, |layout, node| layout.targets(frame, node));
                !without[from]
            }
        };
        (0..self.edges.len()).filter(leads_back).collect()
    }

    fn targets(&self, frame: Frame, node: usize) -> impl Iterator<Item = usize> {
        self.outs[node].iter().filter(move |edge| self.within(frame, **edge)).map(|edge| self.edges[*edge].to)
    }

    /// By node: its place in a depth-first postorder. Only an edge to an equal or later place can
    /// close a cycle, which spares every other edge the closer look.
    fn postorder(&self, root: usize, frame: Frame) -> Vec<usize> {
        let mut order = vec![0; self.ids.len()];
        let mut seen = vec![false; self.ids.len()];
        let mut place = 0;
        let mut stack = vec![(root, 0)];
        seen[root] = true;
        while let Some((node, tried)) = stack.last_mut() {
            let next = self.outs[*node].get(*tried).copied();
            *tried += 1;
            match next.map(|edge| (edge, self.edges[edge].to)) {
                Some((edge, to)) if self.within(frame, edge) && !seen[to] => {
                    seen[to] = true;
                    stack.push((to, 0));
                }
                Some(_) => {}
                None => {
                    place += 1;
                    order[*node] = place;
                    stack.pop();
                }
            }
        }
        order
    }

    /// By node: whether it can be reached from `root` without entering `barrier`.
    fn reach<'a, I: Iterator<Item = usize>>(
        &'a self,
        root: usize,
        barrier: usize,
        neighbours: impl Fn(&'a Self, usize) -> I,
    ) -> Vec<bool> {
        let mut reached = vec![false; self.ids.len()];
        let mut frontier = Vec::new();
        if root != barrier {
            reached[root] = true;
            frontier.push(root);
        }
        while let Some(node) = frontier.pop() {
            for next in neighbours(self, node) {
                if next != barrier && !reached[next] {
                    reached[next] = true;
                    frontier.push(next);
                }
            }
        }
        reached
    }
}

fn max_rounds(node: &GraphNode) -> Option<u32> {
    match node.properties.get("max_rounds") {
        None => Some(1),
        Some(rounds) => rounds.as_u64().filter(|rounds| *rounds <= 1_000_000).and_then(|rounds| rounds.try_into().ok()),
    }
}
