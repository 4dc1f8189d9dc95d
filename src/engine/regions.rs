//! Static analysis of a graph: its edges, its loops, and which edges are back edges.
//!
//! A node waits for the edges into it. On a cycle that rule alone would deadlock: the first node of a loop's
//! body would wait for the loop node, and the loop node for the body. So an edge whose source can only run
//! *after* its target is not waited for. Whether that is so depends on where the run enters, so it is
//! computed per [`PassStart`].

mod dominators;

use std::collections::{HashMap, HashSet};

use super::error::LoopError;
use super::properties::Properties;
use dominators::Dominators;
use relive_session::{GraphDefinition, GraphNode, NodeId};

/// Where the current pass over a node began: [`WHOLE`], or the number of the loop that started it plus one.
pub(super) type PassStart = usize;
/// The first pass, from the start node.
pub(super) const WHOLE: PassStart = 0;

/// Nodes and edges of all loops together, each counted once for every loop it lies in.
const WORK: usize = 5_000_000;

#[derive(Debug)]
pub(super) struct LoopEdge {
    pub from: usize,
    pub to: usize,
    /// The loops this edge leaves other than through their loop node. Only its last signal before the loop ends
    /// counts, so it is settled when those loops are over.
    pub leaves: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Loop {
    pub node: usize,
    /// The edge into the body.
    pub again: usize,
    pub max_rounds: u32,
    /// The nodes on paths from `again` back to the loop node.
    pub body: LoopBody,
}

/// A set of nodes.
#[derive(Debug)]
pub(super) struct LoopBody {
    nodes: Vec<u32>,
    bits: Vec<u64>,
}

impl LoopBody {
    fn new(mut nodes: Vec<u32>, of: usize) -> Self {
        nodes.sort_unstable();
        let mut bits = vec![0; of.div_ceil(64)];
        for node in &nodes {
            bits[*node as usize / 64] |= 1 << (node % 64);
        }
        Self { nodes, bits }
    }

    pub fn contains(&self, node: usize) -> bool {
        self.bits[node / 64] & (1 << (node % 64)) != 0
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// In the order of the graph.
    pub fn nodes(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().map(|node| *node as usize)
    }
}

#[derive(Debug)]
pub(super) struct LoopLayout {
    pub ids: Vec<NodeId>,
    pub index: HashMap<NodeId, usize>,
    pub start: usize,
    pub edges: Vec<LoopEdge>,
    pub ins: Vec<Vec<usize>>,
    pub outs: Vec<Vec<usize>>,
    pub loops: Vec<Loop>,
    /// By node: the loop it is the loop node of.
    pub loop_at: Vec<Option<usize>>,
    /// By frame: the edges whose source can only run after their target, in order.
    back: Vec<Vec<u32>>,
}

/// An index of a node or an edge in half the space: a graph has at most 10,000 nodes.
pub(super) fn small(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl LoopLayout {
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
        let (mut marks, mut work) = (Marks::new(layout.ids.len()), 0);
        for node in graph.nodes.values().filter(|node| node.kind == GraphDefinition::LOOP) {
            work += layout.add_loop(node, &mut marks)?;
            if work > WORK {
                return Err(LoopError::TooDeep(node.id.clone()));
            }
        }
        layout.check_nesting()?;
        layout.mark_leaving_edges();
        let mut dominators = Dominators::new(layout.ids.len());
        layout.back = (0..=layout.loops.len()).map(|frame| layout.back_edges(frame, &mut dominators)).collect();
        Ok(layout)
    }

    /// Whether a node on a pass of `frame` has to wait for `edge` to settle.
    pub(super) fn awaits(&self, frame: PassStart, edge: usize) -> bool {
        self.within(frame, edge) && self.back[frame].binary_search(&small(edge)).is_err()
    }

    /// Whether `edge` can bring a pass of `frame` to its target: from within, or as its first edge.
    pub(super) fn feeds(&self, frame: PassStart, edge: usize) -> bool {
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
                self.edges.push(LoopEdge { from, to, leaves: Vec::new() });
            }
        }
    }

    /// Returns the amount of work in the loop.
    fn add_loop(&mut self, node: &GraphNode, marks: &mut Marks) -> Result<usize, LoopError> {
        let name = || node.id.clone();
        let at = self.index.get(&node.id).copied().unwrap_or_default();
        let again = *self.outs[at].first().ok_or_else(|| LoopError::NoBody(name()))?;
        let entry = self.edges[again].to;
        let body = self.body(entry, at, marks);
        if entry != at && !body.contains(entry) {
            return Err(LoopError::NotALoop(name()));
        }
        let inside = |edge: &&usize| body.contains(self.edges[**edge].to) || self.edges[**edge].to == at;
        if let Some(exit) = self.outs[at].iter().skip(1).find(inside) {
            return Err(LoopError::ExitInside { node: name(), exit: self.ids[self.edges[*exit].to].clone() });
        }
        let max_rounds = max_rounds(node).ok_or_else(|| LoopError::BadRounds(name()))?;
        let work = body.nodes().map(|node| 1 + self.outs[node].len()).sum();
        self.loop_at[at] = Some(self.loops.len());
        self.loops.push(Loop { node: at, again, max_rounds, body });
        Ok(work)
    }

    /// What is reachable from `entry` without the loop node, and leads to it.
    fn body(&self, entry: usize, at: usize, marks: &mut Marks) -> LoopBody {
        let mut frontier = Vec::new();
        marks.begin();
        if entry != at {
            marks.reached(entry);
            frontier.push(entry);
        }
        while let Some(node) = frontier.pop() {
            let next = self.outs[node].iter().map(|edge| self.edges[*edge].to);
            frontier.extend(next.filter(|next| *next != at && marks.reached(*next)));
        }
        let (mut nodes, mut frontier) = (Vec::new(), vec![at]);
        while let Some(node) = frontier.pop() {
            for from in self.ins[node].iter().map(|edge| self.edges[*edge].from) {
                if marks.returns(from) {
                    nodes.push(small(from));
                    frontier.push(from);
                }
            }
        }
        LoopBody::new(nodes, self.ids.len())
    }

    fn check_nesting(&self) -> Result<(), LoopError> {
        for (at, one) in self.loops.iter().enumerate() {
            let inside = one.body.nodes().filter_map(|node| self.loop_at[node]).filter(|other| *other < at);
            let mut others = inside.map(|other| &self.loops[other]);
            if let Some(other) = others.find(|other| other.body.contains(one.node)) {
                return Err(LoopError::Crossing(self.ids[other.node].clone(), self.ids[one.node].clone()));
            }
        }
        Ok(())
    }

    fn mark_leaving_edges(&mut self) {
        for (at, held) in self.loops.iter().enumerate() {
            for edge in held.body.nodes().flat_map(|node| &self.outs[node]) {
                let edge = &mut self.edges[*edge];
                if !held.body.contains(edge.to) && held.node != edge.to {
                    edge.leaves.push(at);
                }
            }
        }
    }

    /// Whether both ends of the edge take part in a pass of `frame`. The loop node's own edges do
    /// not: one of them began the pass, and the others come after it.
    fn within(&self, frame: PassStart, edge: usize) -> bool {
        let Some(held) = frame.checked_sub(1).and_then(|at| self.loops.get(at)) else { return true };
        let LoopEdge { from, to, .. } = self.edges[edge];
        held.body.contains(from) && (held.body.contains(to) || to == held.node)
    }

    /// The back edges of a frame: every path to their source passes through their target. An edge with an
    /// unreachable source counts too.
    fn back_edges(&self, frame: PassStart, dominators: &mut Dominators) -> Vec<u32> {
        let held = frame.checked_sub(1).map(|at| &self.loops[at]);
        let root = held.map_or(self.start, |held| self.edges[held.again].to);
        let inside = |edge: &&usize| self.within(frame, **edge);
        dominators.search(
            root,
            |node| self.outs[node].iter().filter(inside).map(|edge| self.edges[*edge].to),
            |node| self.ins[node].iter().filter(inside).map(|edge| self.edges[*edge].from),
        );
        let unreached = (0..self.ids.len()).filter(|node| held.is_none() && !dominators.is_reached(*node));
        let nodes = dominators.reached().iter().copied().chain(unreached);
        let edges = nodes.flat_map(|node| self.outs[node].iter().copied());
        let leads_back = |edge: &usize| {
            let LoopEdge { from, to, .. } = self.edges[*edge];
            self.within(frame, *edge) && (!dominators.is_reached(from) || dominators.dominates(to, from))
        };
        let mut back: Vec<u32> = edges.filter(leads_back).map(small).collect();
        back.sort_unstable();
        back
    }
}

/// The nodes that a search has reached. Starting another search costs nothing.
#[derive(Debug)]
struct Marks {
    /// By node: twice the number of the search that reached it, and one more on its way back.
    marks: Vec<u32>,
    search: u32,
}

impl Marks {
    fn new(nodes: usize) -> Self {
        Self { marks: vec![0; nodes], search: 0 }
    }

    fn begin(&mut self) {
        self.search += 2;
    }

    /// Marks a node as reached; true the first time.
    fn reached(&mut self, node: usize) -> bool {
        let is_new = self.marks[node] < self.search;
        self.marks[node] = self.marks[node].max(self.search);
        is_new
    }

    /// Marks a reached node on the way back; true the first time.
    fn returns(&mut self, node: usize) -> bool {
        let is_new = self.marks[node] == self.search;
        self.marks[node] += u32::from(is_new);
        is_new
    }
}

fn max_rounds(node: &GraphNode) -> Option<u32> {
    match Properties::of(node).get("maxRounds") {
        None => Some(1),
        Some(rounds) => rounds.as_u64().filter(|rounds| *rounds <= 1_000_000).and_then(|rounds| rounds.try_into().ok()),
    }
}

#[cfg(test)]
mod tests;
