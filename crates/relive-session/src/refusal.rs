//! Why a command is refused.

use super::{NodeId, NodeStatus, Revision, SessionStatus};

/// Why a command was refused. Nothing has changed; the texts are fit for clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("`{command}` is not allowed while the session is {}", status.as_str())]
    SessionTransition { command: &'static str, status: SessionStatus },
    #[error("node '{node_id}' cannot become {} from {}", to.as_str(), from.as_str())]
    NodeTransition { node_id: NodeId, from: NodeStatus, to: NodeStatus },
    #[error("cannot complete while {count} node(s) are running or suspended, such as '{example}'")]
    NodesActive { count: usize, example: NodeId },
    #[error("the session has no node '{node_id}'")]
    UnknownNode { node_id: NodeId },
    #[error("node '{node_id}' is neither running nor suspended, so it takes no signal and no review")]
    NotWaiting { node_id: NodeId },
    #[error("node '{node_id}' already has a signal or a review that it has not handled")]
    SignalPending { node_id: NodeId },
    #[error("the session is at revision {actual}, not at the expected {expected}")]
    RevisionConflict { expected: Revision, actual: Revision },
    /// The graph could not be run with what was to be added.
    #[error("{0}")]
    Graph(String),
    #[error("{field} {problem}")]
    Invalid { field: &'static str, problem: &'static str },
    #[error("an embedding here has {expected} numbers, and this one has {actual}")]
    Dimension { expected: u32, actual: usize },
    #[error("{what} goes beyond the limit of {limit}")]
    TooLarge { what: &'static str, limit: usize },
    /// One of several commands that a client sent in an array.
    #[error("[{index}]: {refusal}")]
    OfArray { index: usize, refusal: Box<Refusal> },
}
