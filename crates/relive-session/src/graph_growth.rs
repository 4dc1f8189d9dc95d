//! Graphs that grow while they run: planners add nodes and edges.

use std::collections::BTreeMap;

use super::{Driver, Event, GraphEdge, GraphNode, NodeId, Refusal, Session, limits};

fn invalid<T>(problem: &'static str) -> Result<T, Refusal> {
    Err(Refusal::Graph(format!("nodes {problem}")))
}

/// The nodes and edges are added if something is new in them.
pub(super) fn add_nodes(
    session: &Session,
    nodes: &BTreeMap<NodeId, GraphNode>,
    edges: &[GraphEdge],
) -> Result<Vec<Event>, Refusal> {
    let Some(graph) = &session.origin.graph else { return invalid("can only be added to a session with a graph") };
    if session.origin.driver == Driver::Builtin {
        return invalid("cannot be added to a run of the built-in engine");
    }
    if nodes.keys().any(|id| session.nodes.contains_key(id) || graph.node_of_instance(id).is_some()) {
        return invalid("must have ids that the session does not know yet");
    }
    // They would become instances, and part of a summary, without a report of their own.
    let has_instances = |id: &NodeId| {
        let prefix = format!("{id}#");
        session
            .nodes
            .range(NodeId::from(prefix.as_str())..)
            .next()
            .is_some_and(|(id, _)| id.as_str().starts_with(&prefix))
    };
    if nodes.keys().any(has_instances) {
        return invalid("must have ids of which no node is an instance");
    }
    let is_too_large = graph.nodes.len() + nodes.len() > limits::NODES;
    if is_too_large || session.nodes.len() + nodes.len() > limits::SESSION_NODES {
        return Err(Refusal::TooLarge { what: "the number of nodes", limit: limits::NODES });
    }
    if edges.len() > limits::NODES {
        return Err(Refusal::TooLarge { what: "the number of edges", limit: limits::NODES });
    }
    let extended = graph.extended(nodes, edges).map_err(|error| Refusal::Graph(error.to_string()))?;
    let is_new = extended != **graph;
    let event = || Event::NodesAdded { nodes: nodes.clone(), edges: edges.to_vec() };
    Ok(is_new.then(event).into_iter().collect())
}
