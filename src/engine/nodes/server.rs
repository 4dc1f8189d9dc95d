//! Node types of the server's built-in engine.

use std::sync::Arc;

use super::NodeType;
use super::context_synth::ContextSynth;
use super::fact_check::FactCheck;
use super::llm::Llm;
use super::local::shape;
use super::memory_retrieval::MemoryRetrieval;
use super::services::NodeServices;
use super::tool::Tool;
use super::vote::Vote;
use crate::engine::error::PlanError;
use crate::engine::plan::{Kinds, Plan};
use crate::models::ChatError;
use relive_session::GraphNode;

/// The structural types, and those that need the server's services.
#[derive(Clone, Debug)]
pub struct ServerKinds {
    services: Arc<NodeServices>,
}

impl ServerKinds {
    #[must_use]
    pub fn new(services: NodeServices) -> Self {
        Self { services: Arc::new(services) }
    }
}

impl Kinds for ServerKinds {
    fn names(&self) -> Vec<&'static str> {
        vec![
            "start",
            "end",
            "parallel",
            "sequence",
            "agent",
            "llm",
            "tool",
            "vote",
            "switch",
            "if",
            "loop",
            "fact_check",
            "human_review",
            "memory_retrieval",
            "context_synth",
            "delay",
        ]
    }

    fn read(&self, node: &GraphNode) -> Option<Result<Arc<dyn NodeType>, PlanError>> {
        let services = &self.services;
        Some(match node.kind.as_str() {
            "agent" | "llm" => Llm::read(node, services).map(|node| Arc::new(node) as _),
            "tool" => Tool::read(node, services).map(|node| Arc::new(node) as _),
            "vote" => Vote::read(node).map(|node| Arc::new(node) as _),
            "fact_check" => FactCheck::read(node, services).map(|node| Arc::new(node) as _),
            "memory_retrieval" => MemoryRetrieval::read(node, services).map(|node| Arc::new(node) as _),
            "context_synth" => ContextSynth::read(node, services).map(|node| Arc::new(node) as _),
            _ => return shape(node),
        })
    }

    fn check_services(&self, plan: &Plan) -> Result<(), String> {
        let kind = |node| plan.graph.nodes.get(node).map(|node| node.kind.as_str()).unwrap_or_default();
        if let Some(node) = plan.needs_model().filter(|_| !self.services.models.are_there()) {
            return Err(format!("node '{node}' ({}) asks a model: {}", kind(node), ChatError::NoEndpoint));
        }
        let tool = plan.graph.nodes.values().find(|node| node.kind == "tool");
        if let Some(node) = tool.filter(|_| !self.services.web.is_enabled()) {
            return Err(format!(
                "node '{}' (tool) makes a request, and tools may reach no host here; set RELIVE_TOOL_HOSTS to those they may",
                node.id
            ));
        }
        Ok(())
    }
}
