//! Graphs that grow while they run: planners add nodes and edges.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{Driver, Event, GraphDefinition, GraphError, GraphNode, NodeId, Refusal, Session, limits};

/// An edge that is added to a graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "graph.ts", optional_fields)]
pub struct GraphEdge {
    pub from: NodeId,
    pub to: NodeId,
    /// Shown at the edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl GraphDefinition {
    /// The graph with these nodes and edges added. An edge that is there already is only labelled.
    ///
    /// # Errors
    ///
    /// As [`GraphDefinition::validate`]; [`GraphError::MissingNext`] also for an edge that leads from nowhere.
    pub fn extended(&self, nodes: &BTreeMap<NodeId, GraphNode>, edges: &[GraphEdge]) -> Result<Self, GraphError> {
        let mut graph = self.clone();
        graph.nodes.extend(nodes.iter().map(|(id, node)| (id.clone(), node.clone())));
        for GraphEdge { from, to, label } in edges {
            let missing = || GraphError::MissingNext { node: from.named(), next: to.named() };
            let node = graph.nodes.get_mut(from).ok_or_else(missing)?;
            if !node.next_ids.contains(to) {
                node.next_ids.push(to.clone());
            }
            if let Some(label) = label {
                node.label_edge(to, label.clone());
            }
        }
        graph.validate()?;
        Ok(graph)
    }
}

fn invalid<T>(problem: &'static str) -> Result<T, Refusal> {
    Err(Refusal::Invalid { field: "nodes", problem })
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
    if session.nodes.len() + nodes.len() > limits::NODES {
        return Err(Refusal::TooLarge { what: "the number of nodes", limit: limits::NODES });
    }
    if edges.len() > limits::NODES {
        return Err(Refusal::TooLarge { what: "the number of edges", limit: limits::NODES });
    }
    let extended = graph.extended(nodes, edges).map_err(Refusal::Graph)?;
    let is_new = extended != **graph;
    let event = || Event::NodesAdded { nodes: nodes.clone(), edges: edges.to_vec() };
    Ok(is_new.then(event).into_iter().collect())
}
