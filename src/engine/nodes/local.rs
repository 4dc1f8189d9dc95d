//! Node types of `relive run`, which run on the machine where it was started.

use std::sync::Arc;

use super::NodeType;
use super::choice::Choice;
use super::command::{CommandNode, CommandSpec, LinePrinter};
use super::delay::Delay;
use super::human_review::HumanReview;
use super::loop_node::LoopNode;
use super::structural::Structural;
use crate::engine::error::PlanError;
use crate::engine::plan::Kinds;
use relive_session::{GraphDefinition, GraphNode};

/// Shell commands, and the structural types.
#[derive(Clone, Debug, Default)]
pub struct LocalKinds {
    /// The server's address, for the commands' environment.
    pub server: String,
    /// Is given the commands' output as it comes.
    pub printer: Option<LinePrinter>,
}

impl Kinds for LocalKinds {
    fn names(&self) -> Vec<&'static str> {
        vec!["command", "human_review", "delay", "start", "end", "parallel", "sequence", "switch", "if", "loop"]
    }

    fn read(&self, node: &GraphNode) -> Option<Result<Arc<dyn NodeType>, PlanError>> {
        if node.kind == "command" {
            let (server, printer) = (self.server.clone(), self.printer.clone());
            return Some(CommandSpec::read(node).map(|spec| Arc::new(CommandNode { spec, server, printer }) as _));
        }
        shape(node)
    }
}

/// The types that run anywhere.
pub(super) fn shape(node: &GraphNode) -> Option<Result<Arc<dyn NodeType>, PlanError>> {
    Some(match node.kind.as_str() {
        "start" | "end" | "parallel" | "sequence" => Structural::read(node).map(|node| Arc::new(node) as _),
        GraphDefinition::LOOP => LoopNode::read(node).map(|node| Arc::new(node) as _),
        "switch" => Choice::read_switch(node).map(|node| Arc::new(node) as _),
        "if" => Choice::read_if(node).map(|node| Arc::new(node) as _),
        "human_review" => HumanReview::read(node).map(|node| Arc::new(node) as _),
        "delay" => Delay::read(node).map(|node| Arc::new(node) as _),
        _ => return None,
    })
}
