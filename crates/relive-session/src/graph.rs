//! Workflow graphs: their JSON, and their validation.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;

use super::json::check as json;
use super::{Driver, NodeId, limits};

/// One node of a workflow graph.
#[derive(Clone, Debug, PartialEq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "graph.ts", optional_fields)]
pub struct GraphNode {
    pub id: NodeId,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    /// The nodes that follow. A `loop` node lists `[again, exit]`. On input an entry may also be `{to, label}`; the label
    /// is then found in the property `edgeLabels`, by the id of the node that follows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<NodeId>>")]
    #[schema(required = false)]
    pub next_ids: Vec<NodeId>,
    /// The configuration of the node; its meaning is defined by the engine.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[ts(type = "Record<string, unknown>", optional)]
    #[schema(value_type = Object, required = false)]
    pub properties: serde_json::Map<String, Value>,
}

pub(super) fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A workflow: nodes by id, and where to begin.
///
/// The `snake_case` names of older workflow files (`workflow_uuid`, `start_node_id`, `node_id`,
/// `next_ids`) are accepted on input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "graph.ts", optional_fields)]
pub struct GraphDefinition {
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "workflow_uuid")]
    pub id: Option<String>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[ts(type = "Record<string, GraphNode>")]
    pub nodes: BTreeMap<NodeId, GraphNode>,
    #[serde(alias = "start_node_id")]
    pub start_node_id: NodeId,
    /// Properties of the run as a whole, such as its budget; their meaning is defined by the engine. Beyond
    /// the contract's `GraphDefinition`, so the TypeScript type does not have it.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty", deserialize_with = "null_as_empty")]
    #[ts(skip)]
    #[schema(value_type = Object, required = false)]
    pub properties: serde_json::Map<String, Value>,
}

/// Why a graph cannot be run. Every variant names the node at fault, if it is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("the start node '{0}' is not among the nodes")]
    MissingStart(NodeId),
    #[error("node '{node}' leads to '{next}', which does not exist")]
    MissingNext { node: NodeId, next: NodeId },
    #[error("node '{0}' cannot be reached from the start")]
    Unreachable(NodeId),
    #[error("node '{0}' lies on a cycle that passes through no loop node")]
    CycleWithoutLoop(NodeId),
    #[error("node '{key}' carries the id '{id}'; key and id must be the same")]
    KeyMismatch { key: NodeId, id: NodeId },
    #[error("node '{0}' has an empty or overlong id, name or type")]
    BadText(NodeId),
    #[error("{0} contains the character NUL")]
    Nul(String),
    #[error("a property of node '{0}' contains the character NUL or is nested more than {max} levels deep", max = limits::JSON_DEPTH)]
    BadProperty(NodeId),
    #[error("a property of the graph contains the character NUL or is nested more than {max} levels deep", max = limits::JSON_DEPTH)]
    BadGraphProperty,
    #[error("the graph has {0} nodes; at most {max} are allowed", max = limits::NODES)]
    TooManyNodes(usize),
}

impl GraphDefinition {
    /// The type of the nodes that a cycle must pass through.
    pub const LOOP: &'static str = "loop";

    /// Checks what every engine needs. Everything else is up to the engine: the graph may have cycles of
    /// any kind, and nodes that are reached only during a run.
    ///
    /// # Errors
    ///
    /// The first fault found, in the order of [`GraphError`]'s checks: texts and keys, the start,
    /// dangling edges.
    pub fn validate(&self) -> Result<(), GraphError> {
        if self.nodes.len() > limits::NODES {
            return Err(GraphError::TooManyNodes(self.nodes.len()));
        }
        let texts =
            [("id", self.id.as_deref()), ("name", Some(&*self.name)), ("description", self.description.as_deref())];
        if let Some((field, _)) = texts.iter().find(|(_, text)| text.is_some_and(|text| text.contains('\0'))) {
            return Err(GraphError::Nul(format!("the graph's {field}")));
        }
        if self.properties.iter().any(is_bad_property) {
            return Err(GraphError::BadGraphProperty);
        }
        for (key, node) in &self.nodes {
            check_texts(key, node)?;
        }
        if !self.nodes.contains_key(&self.start_node_id) {
            return Err(GraphError::MissingStart(self.start_node_id.named()));
        }
        self.check_edges()
    }

    /// Checks that the built-in engine can run the graph.
    ///
    /// # Errors
    ///
    /// As [`GraphDefinition::validate`], then unreachable nodes, and cycles without a `loop` node.
    pub fn validate_for_builtin(&self) -> Result<(), GraphError> {
        self.validate()?;
        self.check_reachable()?;
        self.check_cycles()
    }

    /// Checks the graph for its driver.
    ///
    /// # Errors
    ///
    /// As [`GraphDefinition::validate`] or [`GraphDefinition::validate_for_builtin`].
    pub fn validate_for(&self, driver: Driver) -> Result<(), GraphError> {
        match driver {
            Driver::External => self.validate(),
            Driver::Builtin => self.validate_for_builtin(),
        }
    }

    fn check_edges(&self) -> Result<(), GraphError> {
        for (id, node) in &self.nodes {
            if let Some(next) = node.next_ids.iter().find(|next| !self.nodes.contains_key(*next)) {
                return Err(GraphError::MissingNext { node: id.clone(), next: next.named() });
            }
        }
        Ok(())
    }

    fn check_reachable(&self) -> Result<(), GraphError> {
        let mut reached = HashSet::from([&self.start_node_id]);
        let mut frontier = vec![&self.start_node_id];
        while let Some(node) = frontier.pop().and_then(|id| self.nodes.get(id)) {
            frontier.extend(node.next_ids.iter().filter(|next| reached.insert(*next)));
        }
        match self.nodes.keys().find(|id| !reached.contains(id)) {
            Some(id) => Err(GraphError::Unreachable(id.clone())),
            None => Ok(()),
        }
    }

    /// Kahn's algorithm over the graph without its `loop` nodes: nodes that cannot be ordered are on, or behind,
    /// a cycle without a loop node.
    fn check_cycles(&self) -> Result<(), GraphError> {
        let is_loop = |id: &NodeId| self.nodes.get(id).is_some_and(|node| node.kind == Self::LOOP);
        let plain = || self.nodes.iter().filter(|(id, _)| !is_loop(id));

        let mut incoming: HashMap<&NodeId, usize> = plain().map(|(id, _)| (id, 0)).collect();
        for next in plain().flat_map(|(_, node)| &node.next_ids) {
            if let Some(count) = incoming.get_mut(next) {
                *count += 1;
            }
        }
        let mut ready: Vec<&NodeId> = incoming.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        while let Some(id) = ready.pop() {
            incoming.remove(id);
            for next in self.nodes.get(id).into_iter().flat_map(|node| &node.next_ids) {
                if let Some(count) = incoming.get_mut(next) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(next);
                    }
                }
            }
        }
        match self.first_on_cycle(&incoming) {
            Some(id) => Err(GraphError::CycleWithoutLoop(id)),
            None => Ok(()),
        }
    }

    /// Of the nodes that could not be ordered, one that is on a cycle and not merely behind it: walking backwards
    /// along unordered predecessors must reach a node twice.
    fn first_on_cycle(&self, unordered: &HashMap<&NodeId, usize>) -> Option<NodeId> {
        let mut previous: HashMap<&NodeId, &NodeId> = HashMap::new();
        for id in unordered.keys() {
            for next in self.nodes.get(*id).into_iter().flat_map(|node| &node.next_ids) {
                if unordered.contains_key(next) {
                    previous.insert(next, id);
                }
            }
        }
        let mut at = *unordered.keys().min()?;
        let mut seen = HashSet::new();
        while seen.insert(at) {
            at = previous.get(at)?;
        }
        Some(at.clone())
    }
}

fn check_texts(key: &NodeId, node: &GraphNode) -> Result<(), GraphError> {
    if key.as_str().contains('\0') {
        return Err(GraphError::BadText(key.named()));
    }
    if *key != node.id {
        return Err(GraphError::KeyMismatch { key: key.named(), id: node.id.named() });
    }
    let id_fits = !key.as_str().is_empty() && key.as_str().len() <= limits::NODE_ID_BYTES;
    let fits = |text: &str| text.len() <= limits::NAME_BYTES && !text.contains('\0');
    if !(id_fits && fits(&node.name) && fits(&node.kind) && !node.kind.is_empty()) {
        return Err(GraphError::BadText(key.named()));
    }
    if node.properties.iter().any(is_bad_property) {
        return Err(GraphError::BadProperty(key.clone()));
    }
    Ok(())
}

fn is_bad_property((key, value): (&String, &Value)) -> bool {
    key.contains('\0') || json("properties", value).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(json: Value) -> GraphDefinition {
        serde_json::from_value(json).expect("a graph")
    }

    fn nodes(edges: &[(&str, &str, &[&str])]) -> GraphDefinition {
        let nodes: serde_json::Map<String, Value> = edges
            .iter()
            .map(|(id, kind, next)| {
                ((*id).to_owned(), serde_json::json!({"id": id, "type": kind, "name": id, "nextIds": next}))
            })
            .collect();
        graph(serde_json::json!({"name": "g", "nodes": nodes, "startNodeId": edges[0].0}))
    }

    #[test]
    fn accepts_the_snake_case_names_of_older_files() {
        let old = graph(serde_json::json!({
            "workflow_uuid": "w1", "name": "old", "start_node_id": "a",
            "nodes": {
                "a": {"node_id": "a", "type": "start", "name": "A", "next_ids": ["b"]},
                "b": {"node_id": "b", "type": "end", "name": "B"}
            }
        }));
        assert_eq!(old.id.as_deref(), Some("w1"));
        assert_eq!(old.nodes["a"].next_ids, [NodeId::from("b")]);
        assert_eq!(old.validate(), Ok(()));
        assert!(serde_json::to_string(&old).expect("json").contains("startNodeId"));
    }

    #[test]
    fn refuses_what_cannot_be_run_and_names_the_node() {
        let id = NodeId::from;
        let cases = [
            (nodes(&[("a", "x", &["b"])]), GraphError::MissingNext { node: id("a"), next: id("b") }),
            (nodes(&[("a", "x", &[]), ("b", "x", &[])]), GraphError::Unreachable(id("b"))),
            (
                nodes(&[("a", "x", &["b"]), ("b", "x", &["c"]), ("c", "x", &["b", "d"]), ("d", "x", &[])]),
                GraphError::CycleWithoutLoop(id("b")),
            ),
            (nodes(&[("a", "x", &["a"])]), GraphError::CycleWithoutLoop(id("a"))),
            (nodes(&[("a", "", &[])]), GraphError::BadText(id("a"))),
        ];
        for (graph, expected) in cases {
            assert_eq!(graph.validate_for_builtin(), Err(expected));
        }
        let mut start = nodes(&[("a", "x", &[])]);
        start.start_node_id = id("z");
        assert_eq!(start.validate(), Err(GraphError::MissingStart(id("z"))));
    }

    #[test]
    fn a_cycle_through_a_loop_node_is_fine() {
        let looped = nodes(&[("a", "x", &["b"]), ("b", "loop", &["a", "c"]), ("c", "end", &[])]);
        assert_eq!(looped.validate_for_builtin(), Ok(()));
    }

    #[test]
    fn other_engines_may_have_any_cycle_and_nodes_that_nothing_leads_to() {
        for foreign in [
            nodes(&[("agent", "x", &["tools"]), ("tools", "x", &["agent"])]),
            nodes(&[("a", "x", &["a"])]),
            nodes(&[("router", "x", &[]), ("worker", "x", &[])]),
        ] {
            assert_eq!(foreign.validate_for(Driver::External), Ok(()));
            assert!(foreign.validate_for(Driver::Builtin).is_err());
        }
        let dangling = nodes(&[("a", "x", &["b"])]);
        assert!(matches!(dangling.validate_for(Driver::External), Err(GraphError::MissingNext { .. })));
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        let ids: Vec<String> = (0..limits::NODES).map(|n| format!("n{n:05}")).collect();
        let nodes: serde_json::Map<String, Value> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| {
                let next: Vec<&String> = ids.get(n + 1).into_iter().collect();
                (id.clone(), serde_json::json!({"id": id, "type": "x", "name": id, "nextIds": next}))
            })
            .collect();
        let chain = graph(serde_json::json!({"name": "g", "nodes": nodes, "startNodeId": ids[0]}));
        assert_eq!(chain.validate_for_builtin(), Ok(()));
    }
}
