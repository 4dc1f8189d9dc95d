//! The types of nodes that the server's own engine runs.

use std::sync::Arc;

use super::NodeType;
use super::local::shape;
use super::vote::Vote;
use crate::engine::plan::{Kinds, Plan, PlanError};
use crate::session::GraphNode;

/// Everything that shapes a graph, and what needs the server's means.
#[derive(Clone, Debug, Default)]
pub struct ServerKinds {}

impl ServerKinds {
    /// Whether the server has what the plan's nodes need.
    ///
    /// # Errors
    ///
    /// Names the node, and says what to set.
    pub fn check_means(&self, plan: &Plan) -> Result<(), String> {
        let _ = plan;
        Ok(())
    }
}

impl Kinds for ServerKinds {
    fn names(&self) -> Vec<&'static str> {
        vec!["start", "end", "parallel", "sequence", "loop", "delay", "human_review", "vote"]
    }

    fn read(&self, node: &GraphNode) -> Option<Result<Arc<dyn NodeType>, PlanError>> {
        Some(match node.kind.as_str() {
            "vote" => Vote::read(node).map(|node| Arc::new(node) as _),
            _ => return shape(node),
        })
    }
}
