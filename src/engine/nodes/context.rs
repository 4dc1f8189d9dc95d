//! What an attempt at a node is given.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::engine::driver::Link;
use crate::engine::plan::{Plan, Planned};
use crate::engine::policy::Policy;
use crate::engine::templates::{self, Broken, Budget, References};
use relive_session::{GraphNode, NodeId, NodeStatus, Session};

/// Outputs that one template may read, when it cannot be told which.
const OUTPUTS: usize = 256;

/// One attempt's surroundings. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeContext {
    plan: Arc<Plan>,
    id: NodeId,
    /// What the attempt's templates may take, all together.
    budget: Arc<Budget>,
    /// Of a loop node: how many rounds of its body are behind it.
    pub rounds: Option<u32>,
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
            budget: Arc::default(),
            rounds: None,
            link: Arc::clone(link),
            stop: stop.clone(),
            input: Arc::default(),
        })
    }

    /// Says what the attempt works on, such as a prompt as it is sent: kept with the report of its end, however
    /// it ends. What cannot be kept is left out.
    pub fn works_on(&self, input: Value) {
        let is_storable = relive_session::check_json("input", &input).is_ok() && !input.is_null();
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
        if templates::is_plain(value) {
            return Ok(value.clone());
        }
        let wrong = |error: &dyn std::fmt::Display| format!("node '{}': the property {property} {error}", self.id);
        let value = Arc::new(value.clone());
        let read = Arc::clone(&value);
        let references = self.work(move || References::of(&read)).await?.map_err(|error| wrong(&error))?;
        let scope = self.scope(&references, output).await.map_err(|error| wrong(&error))?;
        let budget = Arc::clone(&self.budget);
        let fill = move || templates::fill(&value, &scope, &budget);
        self.work(fill).await?.map_err(|error| wrong(&error))
    }

    /// The value of an expression such as `nodes.a.output.score > 3`.
    ///
    /// # Errors
    ///
    /// As [`NodeContext::fill`].
    pub async fn evaluate(&self, property: &str, expression: &str) -> Result<Value, String> {
        self.fill(property, &templates::as_expression(expression)).await
    }

    /// Runs what takes time on a thread for it; an attempt that must let go does not wait for that.
    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let done = self.stop.run_until_cancelled(templates::on_worker(job)).await;
        done.ok_or("the run let go of the node")?.map_err(|error: Broken| error.to_string())
    }

    /// As [`NodeContext::fill`], to a text; arrays and objects become JSON.
    ///
    /// # Errors
    ///
    /// As [`NodeContext::fill`].
    pub async fn text(&self, property: &str, value: &Value) -> Result<String, String> {
        Ok(as_text(&self.fill(property, value).await?))
    }

    /// The values that templates see, as far as they refer to them.
    async fn scope(&self, references: &References, output: Option<&Value>) -> Result<Value, String> {
        let session = self.session();
        let mut scope = Map::new();
        let mut offer = |name: &str, value: &dyn Fn() -> Option<Value>| {
            let value = references.has(name).then(value).flatten();
            value.map(|value| {
                let taken = self.budget.charge(templates::weight(&value));
                scope.insert(name.to_owned(), value);
                taken.map_err(|error| error.to_string())
            })
        };
        let offered = [
            offer("inputs", &|| Some(session.origin.inputs.as_deref().cloned().unwrap_or_else(|| json!({})))),
            offer("proposal", &|| session.proposal.as_deref().cloned()),
            offer("context", &|| {
                let entries = session.context.iter().map(|(key, entry)| (key.clone(), entry.value().as_ref().clone()));
                Some(Value::Object(entries.collect()))
            }),
            offer("session", &|| {
                Some(json!({"id": session.id, "workflowName": session.origin.workflow_name,
                            "startedAt": session.started_at, "totalTokens": session.total_tokens}))
            }),
            offer("node", &|| {
                let held = session.nodes.get(&self.id).map(|node| &node.snapshot);
                Some(json!({"id": self.id, "name": held.and_then(|node| node.name.clone()),
                            "attempt": held.and_then(|node| node.attempt).unwrap_or(1)}))
            }),
            offer("output", &|| output.cloned()),
        ];
        offered.into_iter().flatten().collect::<Result<(), String>>()?;
        if references.has("nodes") {
            scope.insert("nodes".to_owned(), self.nodes(references.nodes()).await?);
        }
        Ok(Value::Object(scope))
    }

    /// `{id: {output, status, error}}` of the wanted nodes, or of all that have an output. A node that
    /// has not run yet is not among them.
    async fn nodes(&self, wanted: Option<std::collections::BTreeSet<NodeId>>) -> Result<Value, String> {
        let session = self.session();
        let with_output = || session.nodes.iter().filter(|(_, node)| node.output.is_some()).map(|(id, _)| id.clone());
        let wanted: Vec<NodeId> =
            wanted.map_or_else(|| with_output().take(OUTPUTS).collect(), |wanted| wanted.into_iter().collect());
        let mut nodes = Map::new();
        for id in wanted {
            let Some(held) = session.nodes.get(&id) else { continue };
            let has_run = held.snapshot.status != NodeStatus::Pending || held.snapshot.error.is_some();
            if !has_run && held.output.is_none() {
                continue;
            }
            let mut shown = json!({"status": held.snapshot.status});
            if let Some(error) = &held.snapshot.error {
                shown["error"] = json!(error);
            }
            if held.output.is_some() {
                let output = self.output(&id).await?;
                self.budget.charge(templates::weight(&output)).map_err(|error| error.to_string())?;
                shown["output"] = output.as_ref().clone();
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
