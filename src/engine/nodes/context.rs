//! The environment of an attempt.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::engine::plan::{Plan, Planned};
use crate::engine::policy::Policy;
use crate::engine::session_link::{LinkError, SessionLink};
use crate::engine::templates::{self, Broken, References, TemplateBudget};
use crate::spans::{Span, SpanKind};
use relive_session::{GraphNode, NodeId, NodeStatus, Session, TraceContext};

/// Outputs that one template may read, if it cannot be determined which.
const OUTPUTS: usize = 256;

/// The environment of one attempt. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeContext {
    plan: Arc<Plan>,
    id: NodeId,
    /// The budget of all templates of the attempt.
    budget: Arc<TemplateBudget>,
    /// Of a loop node: how many rounds of its body have been completed.
    pub rounds: Option<u32>,
    pub link: Arc<dyn SessionLink>,
    /// Cancelled when the attempt must end at once.
    pub stop: CancellationToken,
    /// The attempt's input, as far as it was set.
    input: Arc<Mutex<Option<Value>>>,
    /// Why the session cannot be reached any more, once that is known.
    lost: Arc<Mutex<Option<String>>>,
    /// The span of the attempt, if it is recorded.
    span: Option<TraceContext>,
}

impl NodeContext {
    /// `None` for a node that is not in the plan.
    pub(in crate::engine) fn new(
        plan: &Arc<Plan>,
        id: &NodeId,
        link: &Arc<dyn SessionLink>,
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
            lost: Arc::default(),
            span: None,
        })
    }

    /// Sets the attempt's input, such as a prompt as it is sent. It is recorded with the attempt's end, unless
    /// it exceeds a limit.
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

    /// Begins the span of the attempt, in the trace of its session; `None` if that has none, or it is not recorded.
    pub(in crate::engine) fn begin_span(&mut self) -> Option<Span> {
        let tracer = self.link.tracer();
        if !tracer.is_on() {
            return None;
        }
        let session = self.session();
        let kind = self.node()?.kind.clone();
        let span = tracer.root(SpanKind::Internal, Some(session.origin.trace.as_ref()?), || format!("node {kind}"))?;
        self.span = Some(span.context().clone());
        let span = span.with("relive.session.id", session.id.to_string());
        Some(span.with("relive.node.id", self.id.to_string()).with("relive.node.type", kind))
    }

    /// The trace that the requests of the node belong to: that of the request which created the session, in the span
    /// of the attempt if it has one.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        self.span.clone().or_else(|| self.session().origin.trace.clone())
    }

    /// The last output of a node; `null` if it has none.
    ///
    /// # Errors
    ///
    /// A text for the node's `error` if it cannot be read.
    pub async fn output(&self, node: &NodeId) -> Result<Arc<Value>, String> {
        let output = self.link.output(node.clone()).await.map_err(|error| {
            if let LinkError::Lost(why) = &error {
                *self.lost.lock() = Some(why.clone());
            }
            error.to_string()
        })?;
        Ok(output.unwrap_or_default())
    }

    /// Why the attempt's failure is none of the node's: the session could not be read.
    pub(in crate::engine) fn lost(&self) -> Option<String> {
        self.lost.lock().clone()
    }

    /// The outputs of the previous nodes that completed, or failed with `onError: continue`.
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

    /// Runs slow work on a thread of its own; an attempt that must end does not wait for it.
    async fn work<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let done = self.stop.run_until_cancelled(templates::on_worker(job)).await;
        done.ok_or("the attempt was cancelled")?.map_err(|error: Broken| error.to_string())
    }

    /// As [`NodeContext::fill`], to a text; arrays and objects become JSON.
    ///
    /// # Errors
    ///
    /// As [`NodeContext::fill`].
    pub async fn text(&self, property: &str, value: &Value) -> Result<String, String> {
        Ok(as_text(&self.fill(property, value).await?))
    }

    /// The values that templates refer to.
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

    /// `{id: {output, status, error}}` of the given nodes, or of all that have an output. Nodes that have not
    /// run are left out.
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

/// A text as it is, an output with a `text` as that, anything else as JSON.
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
