//! Why a graph cannot be run.

use super::templates::{Broken, TemplateError};
use relive_session::{GraphError, NodeId};

/// Why a graph cannot be run here. Nothing has been started.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Loop(#[from] LoopError),
    #[error("node '{node}' has the type '{kind}', which cannot run here; known are {known}")]
    UnknownType { node: NodeId, kind: String, known: String },
    #[error("{}: the property {property} must be {expected}", place(node.as_ref()))]
    Property { node: Option<NodeId>, property: &'static str, expected: &'static str },
    #[error("{}: the property {property} {error}", place(node.as_ref()))]
    Template { node: Option<NodeId>, property: &'static str, error: TemplateError },
    #[error("{}: there is no property '{name}'{}", place(node.as_ref()), meant(*nearest))]
    UnknownProperty { node: Option<NodeId>, name: String, nearest: Option<&'static str> },
    #[error("the graph could not be checked: {0}")]
    Unchecked(#[from] Broken),
    #[error("node '{node}' {problem}")]
    Node { node: NodeId, problem: String },
}

fn place(node: Option<&NodeId>) -> String {
    node.map_or_else(|| "the graph".to_owned(), |node| format!("node '{node}'"))
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean '{nearest}'?")).unwrap_or_default()
}

/// Why the loops of a graph cannot be scheduled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoopError {
    #[error("loop node '{0}' needs a first next node, which begins the next round")]
    NoBody(NodeId),
    #[error("loop node '{0}': its first next node does not lead back to it")]
    NotALoop(NodeId),
    #[error("loop node '{node}': its exit '{exit}' leads back into the loop")]
    ExitInside { node: NodeId, exit: NodeId },
    #[error("loop nodes '{0}' and '{1}' cross; one must lie inside the other")]
    Crossing(NodeId, NodeId),
    #[error("loop node '{0}': the graph's loops are nested too deeply")]
    TooDeep(NodeId),
    #[error("loop node '{0}': the property max_rounds must be a whole number from 0 to 1000000")]
    BadRounds(NodeId),
}
