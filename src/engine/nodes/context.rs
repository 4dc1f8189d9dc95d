//! What an attempt at a node is given.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::engine::driver::Link;
use crate::engine::plan::{Plan, Planned};
use crate::engine::policy::Policy;
use crate::engine::templates;
use crate::session::{GraphNode, NodeId, NodeStatus, Session};

/// Outputs that one template may read, when it cannot be told which.
const OUTPUTS: usize = 256;

/// One attempt's surroundings. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeContext {
    plan: Arc<Plan>,
    id: NodeId,
    pub link: Arc<dyn Link>,
    /// Cancelled when the attempt must let go at once.
    pub stop: CancellationToken,
    /// What the attempt works on, as far as it has said so.
    input: Arc<Mutex<Option<Value>>>,
}

impl NodeContext {
    /// `None` for a node that is not in the plan.
    pub(in crate::engine) fn new(
        plan: &Arc<Plan>,
        id: &NodeId,
        link: &Arc<dyn Link>,
        stop: &CancellationToken,
    ) -> Option<Self> {
        plan.node(id)?;
        Some(Self {
            plan: Arc::clone(plan),
            id: id.clone(),
            link: Arc::clone(link),
            stop: stop.clone(),
            input: Arc::default(),
        })
    }

    /// Says what the attempt works on, such as a prompt as it is sent: kept with the report of its end, however
    /// it ends. What cannot be kept is left out.
    pub fn works_on(&self, input: Value) {
        let is_storable = crate::session::check_json("input", &input).is_ok() && !input.is_null();
        *self.input.lock() = Some(input).filter(|_| is_storable);
    }

    pub(in crate::engine) fn input(&self) -> Option<Value> {
        self.input.lock().clone()
    }

    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    pub(in crate::engine) fn planned(&self) -> Option<&Planned> {
        self.plan.node(&self.id)
    }

    #[must_use]
    pub fn node(&self) -> Option<&GraphNode> {
        self.planned().map(|planned| &planned.node)
    }

    #[must_use]
    pub fn policy(&self) -> Policy {
        self.planned().map(|planned| planned.policy.clone()).unwrap_or_default()
    }

    #[must_use]
    pub fn session(&self) -> Arc<Session> {
        self.link.session()
    }

    /// The last output of a node; `null` when it has none.
    ///
    /// # Errors
    ///
    /// A text for the node's `error` when it cannot be read.
    pub async fn output(&self, node: &NodeId) -> Result<Arc<Value>, String> {
        let output = self.link.output(node.clone()).await.map_err(|error| error.to_string())?;
        Ok(output.unwrap_or_default())
    }

    /// The outputs of the nodes that led here: those that completed, or failed and were passed over.
    ///
    /// # Errors
    ///
    /// As [`NodeContext::output`].
    pub async fn inputs(&self) -> Result<Vec<(NodeId, Arc<Value>)>, String> {
        let session = self.session();
        let mut inputs = Vec::new();
        for node in self.planned().map(|planned| &planned.inputs[..]).unwrap_or_default() {
            let arrived = match session.node_status(node) {
                Some(NodeStatus::Completed) => true,
                Some(NodeStatus::Failed) => self.plan.node(node).is_some_and(|planned| planned.policy.continues),
                _ => false,
            };
            if arrived {
                inputs.push((node.clone(), self.output(node).await?));
            }
        }
        Ok(inputs)
    }

    /// Fills the templates in a value.
    ///
    /// # Errors
    ///
    /// A text for the node's `error`, which names the property and what is missing.
    pub async fn fill(&self, property: &str, value: &Value) -> Result<Value, String> {
        self.fill_with(property, value, None).await
    }

    /// As [`NodeContext::fill`], with the node's own output as `{{output}}`.
    ///
    /// # Errors
    ///
    /// As [`NodeContext::fill`].
    pub async fn fill_with(&self, property: &str, value: &Value, output: Option<&Value>) -> Result<Value, String> {
        let wrong = |error| format!("node '{}': the property {property} {error}", self.id);
        let paths = templates::paths(value).map_err(wrong)?;
        if paths.is_empty() {
            // There may still be something to compute, such as `{{ 1 + 1 }}`.
            return templates::fill(value, &Value::Null).map_err(wrong);
        }
        let mut scope = self.scope(&paths);
        if let Some(output) = output {
            scope.insert("output".to_owned(), output.clone());
        }
        if paths.iter().any(|path| path.split('.').next() == Some("nodes")) {
            scope.insert("nodes".to_owned(), self.nodes(templates::nodes(&paths)).await?);
        }
        templates::fill(value, &Value::Object(scope)).map_err(wrong)
    }

    /// As [`NodeContext::fill`], to a text; arrays and objects become JSON.
    ///
    /// # Errors
    ///
    /// As [`NodeContext::fill`].
    pub async fn text(&self, property: &str, value: &Value) -> Result<String, String> {
        Ok(as_text(&self.fill(property, value).await?))
    }

    /// The values that templates see, as far as these paths need them.
    fn scope(&self, paths: &std::collections::BTreeSet<String>) -> Map<String, Value> {
        let session = self.session();
        let wanted = |root: &str| paths.iter().any(|path| path.split('.').next() == Some(root));
        let mut scope = Map::new();
        let mut offer = |name: &str, value: &dyn Fn() -> Value| {
            if wanted(name) {
                scope.insert(name.to_owned(), value());
            }
        };
        offer("inputs", &|| session.origin.inputs.as_deref().cloned().unwrap_or_else(|| json!({})));
        if session.proposal.is_some() {
            offer("proposal", &|| session.proposal.as_deref().cloned().unwrap_or_default());
        }
        offer("context", &|| {
            let entries = session.context.iter().map(|(key, entry)| (key.clone(), entry.value().as_ref().clone()));
            Value::Object(entries.collect())
        });
        offer("session", &|| {
            json!({"id": session.id, "workflowName": session.origin.workflow_name, "startedAt": session.started_at,
                   "totalTokens": session.total_tokens})
        });
        offer("node", &|| {
            let held = session.nodes.get(&self.id).map(|node| &node.snapshot);
            json!({"id": self.id, "name": held.and_then(|node| node.name.clone()),
                   "attempt": held.and_then(|node| node.attempt).unwrap_or(1)})
        });
        scope
    }

    /// `{id: {output, status, error}}` of the wanted nodes, or of all that have an output.
    async fn nodes(&self, wanted: Option<std::collections::BTreeSet<NodeId>>) -> Result<Value, String> {
        let session = self.session();
        let with_output = || session.nodes.iter().filter(|(_, node)| node.output.is_some()).map(|(id, _)| id.clone());
        let wanted: Vec<NodeId> =
            wanted.map_or_else(|| with_output().take(OUTPUTS).collect(), |wanted| wanted.into_iter().collect());
        let mut nodes = Map::new();
        for id in wanted {
            let Some(held) = session.nodes.get(&id) else { continue };
            let mut shown = json!({"status": held.snapshot.status});
            if let Some(error) = &held.snapshot.error {
                shown["error"] = json!(error);
            }
            if held.output.is_some() {
                shown["output"] = self.output(&id).await?.as_ref().clone();
            }
            nodes.insert(id.to_string(), shown);
        }
        Ok(Value::Object(nodes))
    }
}

/// A text as it is, anything else as JSON; an output with a `text` by that.
#[must_use]
pub fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(entries) => match entries.get("text") {
            Some(Value::String(text)) => text.clone(),
            _ => value.to_string(),
        },
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
