//! Where nodes are in a state, and whether they may be there.

use super::nesting::TOO_DEEP;
use super::{NodeId, NodeStateSnapshot, Refusal, Session, limits};

/// Why a node cannot be below another.
const ABOVE_ITSELF: Refusal =
    Refusal::Invalid { field: "parentNodeId", problem: "must not be the node itself or a node below it" };

impl Session {
    fn parent_of(&self, id: &NodeId) -> Option<&NodeId> {
        match self.nodes.get(id) {
            Some(node) => self.origin.parent_of(&node.snapshot),
            None => self.origin.node_of_instance(id),
        }
    }

    /// Checks that a node can be directly below another, which may be one that has not appeared yet.
    pub(super) fn check_parent(&self, id: &NodeId, parent: &NodeId) -> Result<(), Refusal> {
        if self.nodes.get(id).is_some_and(|node| node.snapshot.parent_node_id.as_ref() == Some(parent)) {
            return Ok(());
        }
        let mut depth = self.nesting.height(id);
        for above in std::iter::successors(Some(parent), |id| self.parent_of(id)) {
            depth += 1;
            if above == id {
                return Err(ABOVE_ITSELF);
            }
            if depth > limits::NODE_DEPTH {
                return Err(TOO_DEEP);
            }
        }
        Ok(())
    }

    /// Takes a node to its place before it enters the state.
    pub(super) fn place_node(&mut self, node: &NodeStateSnapshot) {
        let before = self.nodes.get(&node.id).and_then(|held| self.origin.parent_of(&held.snapshot));
        let after = self.origin.parent_of(node);
        if before == after {
            return;
        }
        let (before, after, height) = (before.cloned(), after.cloned(), self.nesting.height(&node.id));
        let (nodes, origin) = (&self.nodes, &self.origin);
        let parent_of = |id: &NodeId| origin.parent_of(&nodes.get(id)?.snapshot).cloned();
        self.nesting.replace(before, Some(height), None, parent_of);
        self.nesting.replace(after, None, Some(height), parent_of);
    }
}
