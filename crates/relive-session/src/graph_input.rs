//! Graph nodes as they are given: with the names of older files, with labels on edges, and added to a graph.

use std::collections::BTreeMap;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;

use super::graph::null_as_empty;
use super::{GraphDefinition, GraphError, GraphNode, NodeId};

impl GraphNode {
    /// The property that has the labels of a node's edges, by the ids of the nodes that follow.
    pub const EDGE_LABELS: &str = "edgeLabels";

    /// Gives the edge to `to` a label. What else stands under that property is replaced.
    pub(super) fn label_edge(&mut self, to: &NodeId, label: String) {
        let held = self.properties.entry(Self::EDGE_LABELS).or_insert_with(|| Map::new().into());
        if !held.is_object() {
            *held = Map::new().into();
        }
        if let Some(labels) = held.as_object_mut() {
            labels.insert(to.to_string(), label.into());
        }
    }
}

impl<'de> Deserialize<'de> for GraphNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let GivenNode { id, kind, name, next_ids, properties } = GivenNode::deserialize(deserializer)?;
        let mut node = Self { id, kind, name, next_ids: Vec::with_capacity(next_ids.len()), properties };
        for GivenNext { to, label } in next_ids {
            if let Some(label) = label {
                node.label_edge(&to, label);
            }
            node.next_ids.push(to);
        }
        Ok(node)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GivenNode {
    #[serde(alias = "node_id")]
    id: NodeId,
    #[serde(rename = "type", alias = "node_type")]
    kind: String,
    name: String,
    #[serde(default, alias = "next_ids", deserialize_with = "null_as_empty")]
    next_ids: Vec<GivenNext>,
    #[serde(default, deserialize_with = "null_as_empty")]
    properties: Map<String, Value>,
}

/// A node that follows, with the label of the edge if it has one.
struct GivenNext {
    to: NodeId,
    label: Option<String>,
}

impl<'de> Deserialize<'de> for GivenNext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NextVisitor)
    }
}

struct NextVisitor;

impl<'de> Visitor<'de> for NextVisitor {
    type Value = GivenNext;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a node's id, or {to, label}")
    }

    fn visit_str<E>(self, id: &str) -> Result<GivenNext, E> {
        Ok(GivenNext { to: id.into(), label: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<GivenNext, A::Error> {
        let (mut to, mut label) = (None, None);
        while let Some(key) = members.next_key::<String>()? {
            match &*key {
                "to" => to = Some(members.next_value()?),
                "label" => label = members.next_value()?,
                _ => return Err(de::Error::unknown_field(&key, &["to", "label"])),
            }
        }
        Ok(GivenNext { to: to.ok_or_else(|| de::Error::missing_field("to"))?, label })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(next: Value, properties: Value) -> Result<GraphNode, serde_json::Error> {
        serde_json::from_value(json!({"id": "a", "type": "t", "name": "A", "nextIds": next, "properties": properties}))
    }

    #[test]
    fn labels_of_edges_are_properties() {
        let node = read(json!(["b", {"to": "c", "label": "yes"}, {"to": "d"}]), json!({"x": 1})).expect("a node");
        assert_eq!(
            serde_json::to_value(&node).expect("JSON"),
            json!({"id": "a", "type": "t", "name": "A", "nextIds": ["b", "c", "d"],
                   "properties": {"x": 1, "edgeLabels": {"c": "yes"}}})
        );
        let again: GraphNode = serde_json::from_value(serde_json::to_value(&node).expect("JSON")).expect("a node");
        assert_eq!(again, node);
        let both = read(json!([{"to": "c", "label": "no"}]), json!({"edgeLabels": {"c": "yes", "d": "x"}}));
        assert_eq!(both.expect("a node").properties["edgeLabels"], json!({"c": "no", "d": "x"}));
        let other = read(json!([{"to": "c", "label": "no"}]), json!({"edgeLabels": 1})).expect("a node");
        assert_eq!(other.properties["edgeLabels"], json!({"c": "no"}));
    }

    #[test]
    fn what_is_no_edge_is_refused() {
        for next in [
            json!([1]),
            json!([{"label": "x"}]),
            json!([{"to": "b", "lable": "x"}]),
            json!([{"to": 1}]),
            json!(["b", null]),
        ] {
            assert!(read(next.clone(), json!({})).is_err(), "{next}");
        }
        assert_eq!(read(Value::Null, Value::Null).expect("a node").next_ids, []);
    }
}
