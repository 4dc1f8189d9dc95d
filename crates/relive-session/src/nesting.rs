//! Nodes under nodes: spans of a trace, steps of an agent, calls of a tool.
//!
//! A node's parent is its `parentNodeId`, and for an instance without one the graph's node it is an instance of.
//! A node is at most [`limits::NODE_DEPTH`] nodes deep, and no node is above itself. A node can be given a parent
//! after it has got nodes below it (the spans of a trace come in any order), or another one. Therefore the state
//! knows how far each node's subtree reaches, and keeps that up with a number of steps that depends on the depth
//! alone.

use std::collections::BTreeMap;

use imbl::OrdMap;

use super::{Node, NodeId, NodeStateSnapshot, Origin, Refusal, limits};

/// How far the subtrees of the nodes reach that have nodes below them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nesting {
    /// Of each such node: how many of the nodes directly below it have subtrees of which height.
    below: OrdMap<NodeId, BTreeMap<usize, u32>>,
}

impl Nesting {
    /// Of nodes whose parents have been checked. Nodes at the lowest level come first, so that the height of each
    /// is known when it is counted.
    pub(super) fn of(origin: &Origin, nodes: &OrdMap<NodeId, std::sync::Arc<Node>>) -> Self {
        let parent = |id: &NodeId| nodes.get(id).and_then(|node| origin.parent_of(&node.snapshot));
        let mut levels: Vec<(usize, &NodeId, &NodeId)> = nodes
            .iter()
            .filter_map(|(id, node)| {
                let of = origin.parent_of(&node.snapshot)?;
                let above = std::iter::successors(Some(of), |id| parent(id)).take(limits::NODE_DEPTH);
                Some((above.count(), id, of))
            })
            .collect();
        levels.sort_unstable_by(|one, other| other.cmp(one));
        let mut nesting = Self::default();
        for (_, id, of) in levels {
            nesting.count(of, None, Some(nesting.height(id)));
        }
        nesting
    }

    /// The levels below a node.
    pub(super) fn height(&self, id: &NodeId) -> usize {
        let highest = self.below.get(id).and_then(|below| below.last_key_value());
        highest.map_or(0, |(height, _)| height + 1)
    }

    /// Replaces one of the subtrees below a node.
    fn count(&mut self, id: &NodeId, removed: Option<usize>, added: Option<usize>) {
        let mut below = self.below.remove(id).unwrap_or_default();
        if let Some(count) = removed.and_then(|height| below.get_mut(&height)) {
            *count -= 1;
        }
        if let Some(height) = added {
            *below.entry(height).or_default() += 1;
        }
        below.retain(|_, count| *count > 0);
        if !below.is_empty() {
            self.below.insert(id.clone(), below);
        }
    }

    /// Replaces one of the subtrees below a node, and what that changes further up.
    pub(super) fn replace(
        &mut self,
        mut parent: Option<NodeId>,
        mut removed: Option<usize>,
        mut added: Option<usize>,
        parent_of: impl Fn(&NodeId) -> Option<NodeId>,
    ) {
        while let Some(id) = parent.take() {
            let before = self.height(&id);
            self.count(&id, removed, added);
            let after = self.height(&id);
            if before != after {
                (removed, added) = (Some(before), Some(after));
                parent = parent_of(&id);
            }
        }
    }
}

impl Origin {
    /// The node that a node is directly below.
    #[must_use]
    pub fn parent_of<'a>(&'a self, node: &'a NodeStateSnapshot) -> Option<&'a NodeId> {
        node.parent_node_id.as_ref().or_else(|| self.node_of_instance(&node.id))
    }
}

/// Why a node cannot be below another.
pub(super) const TOO_DEEP: Refusal =
    Refusal::Invalid { field: "parentNodeId", problem: "must not nest nodes more than 64 levels deep" };

/// Checks the parents of nodes that were not placed by commands here.
pub(super) fn check<'a>(nodes: impl Iterator<Item = (&'a NodeId, Option<&'a NodeId>)>) -> Result<(), Refusal> {
    let parents: BTreeMap<&NodeId, Option<&NodeId>> = nodes.collect();
    for parent in parents.values() {
        let above = std::iter::successors(*parent, |id| parents.get(*id).copied().flatten());
        for (depth, above) in above.enumerate() {
            // As deep is also whoever is above itself.
            if depth >= limits::NODE_DEPTH {
                return Err(TOO_DEEP);
            }
            if !parents.contains_key(above) {
                return Err(Refusal::Invalid { field: "parentNodeId", problem: "must be one of the nodes" });
            }
        }
    }
    Ok(())
}
