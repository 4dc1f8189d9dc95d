//! What each node of a graph asks this machine to do, read and checked before anything runs.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::regions::LoopError;
use super::schedule::Schedule;
use crate::session::{GraphDefinition, GraphError, GraphNode, NodeId};

/// The most a node may ask for.
const MAX_RETRIES: u64 = 100;
const MAX_TIMEOUT_SECONDS: f64 = 31_536_000.0;

/// Why a graph cannot be run here. Nothing has been started.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Loop(#[from] LoopError),
    #[error(
        "node '{node}' has the type '{kind}', which cannot run here; known are command, human_review, start, end, parallel, sequence and loop"
    )]
    UnknownType { node: NodeId, kind: String },
    #[error("node '{node}': the property {property} must be {expected}")]
    Property { node: NodeId, property: &'static str, expected: &'static str },
}

/// The work of one node.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    Command(Arc<CommandSpec>),
    /// Waits for a review or any other signal.
    Review,
    /// Only shapes the graph.
    Pass,
}

/// The properties of a `command` node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandSpec {
    /// Run by `sh -c`.
    pub command: String,
    /// Relative to the directory the run was started in, which is also the default.
    pub cwd: Option<PathBuf>,
    /// Added to this process's own environment.
    pub env: BTreeMap<String, String>,
    /// Per attempt.
    pub timeout: Option<Duration>,
    /// Further attempts after the first.
    pub retries: u32,
}

/// A graph that can be run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub graph: GraphDefinition,
    pub(super) work: HashMap<NodeId, Work>,
}

impl Plan {
    /// # Errors
    ///
    /// When the graph is not valid, a node's type is unknown, or a property has the wrong type.
    /// The error names the node.
    pub fn new(graph: GraphDefinition) -> Result<Self, PlanError> {
        graph.validate()?;
        Schedule::new(&graph)?;
        let work =
            graph.nodes.values().map(|node| Ok((node.id.clone(), work(node)?))).collect::<Result<_, PlanError>>()?;
        Ok(Self { graph, work })
    }

    pub(super) fn work(&self, node: &NodeId) -> Work {
        self.work.get(node).cloned().unwrap_or(Work::Pass)
    }
}

fn work(node: &GraphNode) -> Result<Work, PlanError> {
    match node.kind.as_str() {
        "command" => CommandSpec::read(node).map(|spec| Work::Command(Arc::new(spec))),
        "human_review" => Ok(Work::Review),
        "start" | "end" | "parallel" | "sequence" | GraphDefinition::LOOP => Ok(Work::Pass),
        kind => Err(PlanError::UnknownType { node: node.id.clone(), kind: kind.to_owned() }),
    }
}

impl CommandSpec {
    fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let wrong = |property, expected| PlanError::Property { node: node.id.clone(), property, expected };
        let text = |value: &Value| value.as_str().filter(|text| !text.contains('\0')).map(str::to_owned);
        let property = |name| node.properties.get(name).filter(|value| !value.is_null());

        let command = property("command").and_then(text).filter(|command| !command.trim().is_empty());
        Ok(Self {
            command: command.ok_or_else(|| wrong("command", "a shell command"))?,
            cwd: read_optional(property("cwd"), |value| text(value).filter(|path| !path.is_empty()).map(PathBuf::from))
                .map_err(|()| wrong("cwd", "the path of a directory"))?,
            env: read_optional(property("env"), environment)
                .map_err(|()| wrong("env", "an object of names and strings"))?
                .unwrap_or_default(),
            timeout: read_optional(property("timeoutSeconds"), seconds)
                .map_err(|()| wrong("timeoutSeconds", "a number of seconds above 0, at most a year"))?,
            retries: read_optional(property("retries"), retries)
                .map_err(|()| wrong("retries", "a whole number from 0 to 100"))?
                .unwrap_or_default(),
        })
    }
}

fn read_optional<T>(value: Option<&Value>, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, ()> {
    value.map(|value| read(value).ok_or(())).transpose()
}

fn environment(value: &Value) -> Option<BTreeMap<String, String>> {
    let fits = |name: &str, value: &str| !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    let entry = |(name, value): (&String, &Value)| {
        value.as_str().filter(|value| fits(name, value)).map(|value| (name.clone(), value.to_owned()))
    };
    value.as_object()?.iter().map(entry).collect()
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0 && *seconds <= MAX_TIMEOUT_SECONDS)?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn retries(value: &Value) -> Option<u32> {
    value.as_u64().filter(|retries| *retries <= MAX_RETRIES)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(kind: &str, properties: Value) -> Result<Plan, PlanError> {
        let node = json!({"id": "a", "type": kind, "name": "A", "properties": properties});
        let graph = json!({"name": "g", "startNodeId": "a", "nodes": {"a": node}});
        Plan::new(serde_json::from_value(graph).expect("a graph"))
    }

    #[test]
    fn reads_every_property() {
        let properties = json!({
            "command": "true", "cwd": "/tmp", "env": {"A": "b"}, "timeoutSeconds": 1.5, "retries": 2, "colour": "red"
        });
        let expected = CommandSpec {
            command: "true".into(),
            cwd: Some("/tmp".into()),
            env: BTreeMap::from([("A".into(), "b".into())]),
            timeout: Some(Duration::from_millis(1_500)),
            retries: 2,
        };
        let plan = plan("command", properties).expect("a plan");
        assert_eq!(plan.work(&"a".into()), Work::Command(Arc::new(expected)));
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
                    assert_eq!((node.as_str(), property), ("a", expected), "{properties}");
                }
                other => panic!("{properties} gave {other:?}"),
            }
        }
    }

    #[test]
    fn an_unknown_type_is_refused_by_name() {
        let refused = plan("teleport", json!({})).expect_err("unknown");
        assert!(refused.to_string().starts_with("node 'a' has the type 'teleport'"), "{refused}");
    }

    #[test]
    fn the_examples_can_be_run() {
        for (name, text) in [
            ("tour", include_str!("../../examples/tour.json")),
            ("self-check", include_str!("../../examples/self-check.json")),
            ("review", include_str!("../../examples/review.json")),
        ] {
            let graph = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            Plan::new(graph).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}
