//! The plan of a graph: each node's type and properties, checked before anything runs.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use super::error::PlanError;
use super::nodes::NodeType;
use super::on_complete::OnComplete;
use super::policy::{Policy, RunSettings};
use super::properties::Properties;
use super::regions::LoopLayout;
use super::{property_names, templates};
use relive_session::{GraphDefinition, GraphNode, NodeId};

/// A set of node types.
pub trait Kinds: Debug + Send + Sync {
    /// The names of the types, in the order in which they are listed in errors.
    fn names(&self) -> Vec<&'static str>;

    /// Reads a node of one of the types; `None` for any other.
    fn read(&self, node: &GraphNode) -> Option<Result<Arc<dyn NodeType>, PlanError>>;

    /// Whether the plan's nodes have what they need.
    ///
    /// # Errors
    ///
    /// Names the node, and the setting that is missing.
    fn check_services(&self, plan: &Plan) -> Result<(), String> {
        let _ = plan;
        Ok(())
    }
}

/// A graph that can be run.
#[derive(Debug)]
pub struct Plan {
    pub graph: Arc<GraphDefinition>,
    pub settings: RunSettings,
    pub(super) layout: Arc<LoopLayout>,
    nodes: HashMap<NodeId, Planned>,
}

/// One node of a plan.
#[derive(Debug)]
pub struct Planned {
    pub node: GraphNode,
    pub kind: Arc<dyn NodeType>,
    pub policy: Policy,
    pub on_complete: OnComplete,
    /// The previous nodes.
    pub inputs: Vec<NodeId>,
}

impl Plan {
    /// # Errors
    ///
    /// If the graph is not valid, a node's type is unknown, or a property is invalid. The error names the
    /// node.
    pub fn new(graph: Arc<GraphDefinition>, kinds: &dyn Kinds) -> Result<Self, PlanError> {
        templates::for_one_graph(|| Self::read(graph, kinds))
    }

    /// As [`Plan::new`], in the background: a large graph takes time to read.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`].
    pub async fn new_in_background(graph: Arc<GraphDefinition>, kinds: Arc<dyn Kinds>) -> Result<Self, PlanError> {
        templates::on_worker(move || Self::new(graph, &*kinds)).await?
    }

    fn read(graph: Arc<GraphDefinition>, kinds: &dyn Kinds) -> Result<Self, PlanError> {
        graph.validate_for_builtin()?;
        let layout = Arc::new(LoopLayout::new(&graph)?);
        property_names::check_graph(Properties::of_graph(&graph.properties))?;
        let settings = RunSettings::read(&graph)?;
        let mut inputs: HashMap<&NodeId, Vec<NodeId>> = HashMap::new();
        for node in graph.nodes.values() {
            for next in &node.next_ids {
                inputs.entry(next).or_default().push(node.id.clone());
            }
        }
        let mut nodes = HashMap::with_capacity(graph.nodes.len());
        for node in graph.nodes.values() {
            let planned = Planned {
                node: node.clone(),
                kind: checked_kind_of(node, kinds)?,
                policy: Policy::read(node)?,
                on_complete: OnComplete::read(node)?,
                inputs: inputs.remove(&node.id).unwrap_or_default(),
            };
            if planned.kind.decides() && planned.policy.continues {
                let problem = "decides where the run goes, so its failure cannot be ignored (onError)".to_owned();
                return Err(PlanError::Node { node: node.id.clone(), problem });
            }
            nodes.insert(node.id.clone(), planned);
        }
        Ok(Self { graph, settings, layout, nodes })
    }

    pub(super) fn node(&self, node: &NodeId) -> Option<&Planned> {
        self.nodes.get(node)
    }

    /// The first node that asks a model, if there is one.
    #[must_use]
    pub fn needs_model(&self) -> Option<&NodeId> {
        self.graph.nodes.keys().find(|id| self.nodes.get(*id).is_some_and(|planned| planned.kind.needs_model()))
    }
}

/// A misspelled property is named first: what is wrong otherwise is often that it is missing.
fn checked_kind_of(node: &GraphNode, kinds: &dyn Kinds) -> Result<Arc<dyn NodeType>, PlanError> {
    let kind = kind_of(node, kinds);
    if !matches!(kind, Err(PlanError::UnknownType { .. })) {
        property_names::check_node(Properties::of(node), &node.kind)?;
    }
    kind
}

fn kind_of(node: &GraphNode, kinds: &dyn Kinds) -> Result<Arc<dyn NodeType>, PlanError> {
    kinds.read(node).unwrap_or_else(|| {
        let names = kinds.names();
        let known = match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
            _ => names.join(""),
        };
        Err(PlanError::UnknownType { node: node.id.clone(), kind: node.kind.clone(), known })
    })
}

#[cfg(test)]
mod tests {
    use super::super::nodes::LocalKinds;
    use super::*;
    use serde_json::{Value, json};

    fn plan(kind: &str, properties: Value) -> Result<Plan, PlanError> {
        let node = json!({"id": "a", "type": kind, "name": "A", "properties": properties});
        let graph = json!({"name": "g", "startNodeId": "a", "nodes": {"a": node}});
        Plan::new(serde_json::from_value(graph).expect("a graph"), &LocalKinds::default())
    }

    #[test]
    fn a_property_of_the_wrong_type_is_refused_by_name() {
        let cases = [
            ("command", json!({})),
            ("command", json!({"command": 7})),
            ("command", json!({"command": " "})),
            ("cwd", json!({"command": "true", "cwd": false})),
            ("env", json!({"command": "true", "env": {"A": 1}})),
            ("env", json!({"command": "true", "env": {"A=B": "c"}})),
            ("timeoutSeconds", json!({"command": "true", "timeoutSeconds": "5"})),
            ("timeoutSeconds", json!({"command": "true", "timeoutSeconds": 0})),
            ("retries", json!({"command": "true", "retries": -1})),
            ("retries", json!({"command": "true", "retries": 1.5})),
        ];
        for (expected, properties) in cases {
            match plan("command", properties.clone()) {
                Err(PlanError::Property { node, property, .. }) => {
                    assert_eq!((node, property), (Some("a".into()), expected), "{properties}");
                }
                other => panic!("{properties} gave {other:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_property_is_refused_with_the_nearest_known_one() {
        let cases = [
            (
                json!({"seconds": 1, "timeoutSecond": 5}),
                "node 'a': there is no property 'timeoutSecond'; did you mean 'timeoutSeconds'?",
            ),
            (
                json!({"seconds": 1, "on_eror": "continue"}),
                "node 'a': there is no property 'on_eror'; did you mean 'onError'?",
            ),
            (json!({"secnds": 1}), "node 'a': there is no property 'secnds'; did you mean 'seconds'?"),
            (json!({"seconds": 1, "colour": "red"}), "node 'a': there is no property 'colour'; did you mean 'color'?"),
            (json!({"seconds": 1, "zebra": 1}), "node 'a': there is no property 'zebra'"),
            (json!({"seconds": 1, "max_rounds": 1}), "node 'a': there is no property 'max_rounds'"),
            (
                json!({"seconds": 1, "assign": {"porposal": 1}}),
                "node 'a': there is no property 'porposal'; did you mean 'proposal'?",
            ),
            (
                json!({"seconds": 1, "remember": {"contents": "x"}}),
                "node 'a': there is no property 'contents'; did you mean 'content'?",
            ),
            (
                json!({"seconds": 1, "onError": {"cuont": 1}}),
                "node 'a': there is no property 'cuont'; did you mean 'count'?",
            ),
        ];
        for (properties, expected) in cases {
            let refused = plan("delay", properties.clone()).expect_err("unknown");
            assert_eq!(refused.to_string(), expected, "{properties}");
        }
        let fine = json!({"seconds": 1, "timeout_seconds": 5, "position": {"x": 1, "anything": true}, "x-mine": 1,
                          "metadata": {"a": 1}, "assign": {"context": {"any": "name"}}, "edgeLabels": {"b": "yes"}});
        plan("delay", fine).expect("a plan");
    }

    #[test]
    fn a_graph_keeps_the_properties_of_others_but_not_misspelled_ones() {
        let with = |properties: Value| {
            let node = json!({"id": "a", "type": "start", "name": "A"});
            let graph = json!({"name": "g", "startNodeId": "a", "nodes": {"a": node}, "properties": properties});
            Plan::new(serde_json::from_value(graph).expect("a graph"), &LocalKinds::default())
        };
        with(json!({"author": "Ada", "maxParallel": 3, "x-y": 1, "version": 2, "metadata": {}})).expect("a plan");
        let refused = with(json!({"maxParalel": 3})).expect_err("misspelled");
        assert_eq!(refused.to_string(), "the graph: there is no property 'maxParalel'; did you mean 'maxParallel'?");
        assert!(with(json!({"budget": {"maxToken": 3}})).is_err());
    }

    #[test]
    fn an_unknown_type_is_refused_by_name() {
        let refused = plan("teleport", json!({})).expect_err("unknown");
        assert!(refused.to_string().starts_with("node 'a' has the type 'teleport'"), "{refused}");
        assert!(refused.to_string().contains("command, "), "{refused}");
    }

    #[test]
    fn the_examples_of_commands_can_be_run() {
        for (name, text) in [
            ("tour", include_str!("../../examples/tour.json")),
            ("self-check", include_str!("../../examples/self-check.json")),
            ("review", include_str!("../../examples/review.json")),
        ] {
            let graph = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            Plan::new(graph, &LocalKinds::default()).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
