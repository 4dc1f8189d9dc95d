//! The commands that bring spans into their session.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use relive_session::{
    Command, LabelFields, LogLevel, MessageId, Node, NodeId, NodeStatus, Session, Timestamp, check_json, limits,
};

use super::conventions::{Meaning, SpanMessage, SpanUsage, is_shown_elsewhere};
use super::span::{Parent, SpanEvent, TraceSpan};
use super::values::{Attributes, cut, flat, text};

/// Where a span's parent stands until that one is known, if it is in another process.
pub(super) const REMOTE_PARENT: &str = "otel.parentSpanId";
/// How many attributes or events of a span were too many.
const OMITTED: &str = "relive.omitted";
/// Bytes of a span's attributes, so that those of this server fit too.
const ATTRIBUTE_BYTES: usize = limits::ATTRIBUTE_BYTES - 512;
/// Events of one span that are kept, the first.
const EVENTS: usize = 500;

/// The commands of one span.
#[derive(Debug)]
pub(super) struct SpanCommands {
    /// `None`: they belong to the whole trace.
    pub span: Option<NodeId>,
    pub commands: Vec<Command>,
}

/// The spans of a request beside what is stored of their trace.
#[derive(Debug)]
pub(super) struct TracePlan<'a> {
    session: &'a Session,
    sent: HashSet<&'a NodeId>,
    /// Stored nodes whose parents are in another process and have not come yet, by these parents.
    orphans: HashMap<&'a str, Vec<&'a Node>>,
    /// Nodes that appear by these commands.
    appeared: HashSet<NodeId>,
}

impl<'a> TracePlan<'a> {
    /// What is to be done in a state. Spans that it has are left out.
    pub fn commands(session: &'a Session, spans: &'a [TraceSpan]) -> Vec<SpanCommands> {
        let mut orphans: HashMap<&str, Vec<&Node>> = HashMap::new();
        for node in session.nodes.values() {
            if let Some(parent) = node.snapshot.attributes.get(REMOTE_PARENT).and_then(Value::as_str) {
                orphans.entry(parent).or_default().push(node);
            }
        }
        let sent = spans.iter().map(|span| &span.id).collect();
        let mut plan = Self { session, sent, orphans, appeared: HashSet::new() };
        let mut planned: Vec<_> = name(session, spans).into_iter().collect();
        planned.extend(spans.iter().filter_map(|span| plan.span(span)));
        planned
    }

    fn span(&mut self, span: &TraceSpan) -> Option<SpanCommands> {
        let stored = self.session.nodes.get(&span.id);
        let has_come = stored.is_some_and(|node| node.snapshot.status.is_final() || !is_news(node, span));
        // The same span can be in a request twice.
        if has_come || !self.appeared.insert(span.id.clone()) {
            return None;
        }
        let mut commands = Vec::new();
        let parent = self.parent(span);
        if let Some(id) = parent.filter(|id| !self.is_known(id)) {
            // It has not ended, or its turn comes later.
            commands.push(report(id.clone(), NodeStatus::Running));
            self.appeared.insert(id.clone());
        }
        let meaning = Meaning::of(span);
        commands.push(status(span, parent, &meaning, stored));
        if span.ended_at.is_some() {
            commands.extend(span.events.iter().take(EVENTS).filter_map(|event| log(span, event)));
            commands.extend(meaning.usage.map(|used| usage(span, meaning.agent.as_deref(), used)));
            let messages = meaning.messages.into_iter().enumerate();
            commands.extend(messages.map(|(number, said)| message(span, meaning.agent.as_deref(), number, said)));
        }
        commands.extend(self.adopted(span));
        Some(SpanCommands { span: Some(span.id.clone()), commands })
    }

    /// The node that a span is shown under.
    fn parent<'s>(&self, span: &'s TraceSpan) -> Option<&'s NodeId> {
        let Parent { id, is_remote } = span.parent.as_ref()?;
        (!is_remote || self.session.nodes.contains_key(id) || self.sent.contains(id)).then_some(id)
    }

    fn is_known(&self, id: &NodeId) -> bool {
        self.session.nodes.contains_key(id) || self.sent.contains(id) || self.appeared.contains(id)
    }

    /// Children that came before their parent from another process.
    fn adopted(&self, span: &TraceSpan) -> Vec<Command> {
        let orphans = self.orphans.get(span.id.as_str()).into_iter().flatten();
        let adopt = |node: &&Node| {
            let mut command = report(node.snapshot.id.clone(), node.snapshot.status);
            if let Command::SetNodeStatus { parent_node_id, attributes, .. } = &mut command {
                *parent_node_id = Some(span.id.clone());
                *attributes = Some([(REMOTE_PARENT.to_owned(), Value::Null)].into_iter().collect());
            }
            command
        };
        orphans.filter(|node| node.snapshot.id != span.id).take(EVENTS).map(adopt).collect()
    }
}

/// Whether a node that has not ended learns something by a span.
fn is_news(node: &Node, span: &TraceSpan) -> bool {
    span.ended_at.is_some() || node.snapshot.started_at != span.started_at || node.snapshot.name.is_none()
}

/// A trace is called as its root.
fn name(session: &Session, spans: &[TraceSpan]) -> Option<SpanCommands> {
    if session.labels.name.is_some() {
        return None;
    }
    let root = spans.iter().find(|span| span.parent.is_none() && !span.name.is_empty())?;
    let name = root.name.chars().take(limits::LABEL_NAME_CHARACTERS).collect();
    let command = Command::SetLabels(LabelFields { name: Some(name), ..LabelFields::default() });
    Some(SpanCommands { span: None, commands: vec![command] })
}

fn report(node_id: NodeId, status: NodeStatus) -> Command {
    Command::SetNodeStatus {
        node_id,
        status,
        name: None,
        node_type: None,
        progress: None,
        error: None,
        output: None,
        retry: None,
        input: None,
        next_ids: None,
        parent_node_id: None,
        kind: None,
        attributes: None,
        started_at: None,
        completed_at: None,
    }
}

fn status(
    span: &TraceSpan,
    parent: Option<&NodeId>,
    meaning: &Meaning,
    stored: Option<&std::sync::Arc<Node>>,
) -> Command {
    let status = match (span.ended_at, &span.error) {
        (None, _) => NodeStatus::Running,
        (Some(_), None) => NodeStatus::Completed,
        (Some(_), Some(_)) => NodeStatus::Failed,
    };
    let mut command = report(span.id.clone(), status);
    if let Command::SetNodeStatus {
        name,
        error,
        output,
        input,
        parent_node_id,
        kind,
        attributes,
        started_at,
        completed_at,
        ..
    } = &mut command
    {
        *name = Some(cut(span.name.clone(), limits::NAME_BYTES)).filter(|name| !name.is_empty());
        *error = (status == NodeStatus::Failed).then(|| cut(problem(span), limits::ERROR_BYTES));
        *input = meaning.input.clone().map(|value| fitting("input", value));
        *output = meaning.output.clone().filter(|_| span.ended_at.is_some()).map(|value| fitting("output", value));
        *parent_node_id = parent.cloned();
        *kind = meaning.kind;
        *attributes = Some(node_attributes(span, parent, stored));
        *started_at = span.started_at;
        *completed_at = span.ended_at;
    }
    command
}

/// A value that is too large or too deep for a node is kept as the beginning of its text.
fn fitting(field: &'static str, value: Value) -> Value {
    const BYTES: usize = 64 * 1024;
    if check_json(field, &value).is_ok() { value } else { cut(text(&value), BYTES).into() }
}

fn node_attributes(span: &TraceSpan, parent: Option<&NodeId>, stored: Option<&std::sync::Arc<Node>>) -> Attributes {
    let own = span.attributes.iter().filter(|(name, _)| !is_shown_elsewhere(name));
    let (mut kept, omitted) = flat(own.map(|(name, value)| (name.clone(), value.clone())).collect(), ATTRIBUTE_BYTES);
    if let Some(service) = span.resource.get("service.name") {
        kept.entry("service.name").or_insert_with(|| cut(text(service), 256).into());
    }
    let omitted = omitted + span.events.len().saturating_sub(EVENTS);
    if omitted > 0 {
        kept.insert(OMITTED.to_owned(), omitted.into());
    }
    if let (Some(waiting), None) = (&span.parent, parent) {
        kept.insert(REMOTE_PARENT.to_owned(), waiting.id.as_str().into());
    }
    // What the node has from the span's beginning, and not any more.
    for name in stored.iter().flat_map(|node| node.snapshot.attributes.keys()) {
        kept.entry(name.as_str()).or_insert(Value::Null);
    }
    kept
}

/// What went wrong: what the status says, and the exception.
fn problem(span: &TraceSpan) -> String {
    let said = span.error.as_deref().unwrap_or_default();
    let exception = span.events.iter().rev().find(|event| event.name == EXCEPTION).map(exception);
    match (said, exception) {
        ("", None) => "the span ended with an error".to_owned(),
        (said, None) => said.to_owned(),
        ("", Some(exception)) => exception,
        (said, Some(exception)) if exception.contains(said) => exception,
        (said, Some(exception)) => format!("{said}\n{exception}"),
    }
}

const EXCEPTION: &str = "exception";

/// `type: message`, and the stack below it.
fn exception(event: &SpanEvent) -> String {
    let word = |name: &str| event.attributes.get(name).map(text).filter(|word| !word.is_empty());
    let head: Vec<_> = ["exception.type", "exception.message"].into_iter().filter_map(word).collect();
    let head = head.join(": ");
    match word("exception.stacktrace") {
        // Python's tracebacks end with the message.
        Some(stack) if stack.contains(&head) => stack,
        Some(stack) => format!("{head}\n{stack}"),
        None => head,
    }
}

/// A log line. Messages of models are not lines.
fn log(span: &TraceSpan, event: &SpanEvent) -> Option<Command> {
    if event.name.starts_with("gen_ai.") {
        return None;
    }
    let is_exception = event.name == EXCEPTION;
    let word = if is_exception { exception(event) } else { event.name.clone() };
    let shown = |name: &&String| is_exception && name.starts_with("exception.");
    let rest = event.attributes.iter().filter(|(name, _)| !shown(name));
    let (attributes, _) = flat(rest.map(|(name, value)| (name.clone(), value.clone())).collect(), ATTRIBUTE_BYTES);
    Some(Command::AddLog {
        node_id: span.id.clone(),
        level: level(event).unwrap_or(if is_exception { LogLevel::Error } else { LogLevel::Info }),
        text: cut(word, limits::LOG_BYTES),
        at: event.at.or(span.ended_at),
        attributes: Some(attributes).filter(|attributes| !attributes.is_empty()),
    })
}

fn level(event: &SpanEvent) -> Option<LogLevel> {
    let word = event.attributes.get("level").or_else(|| event.attributes.get("log.severity"))?.as_str()?;
    match word.to_ascii_lowercase().as_str() {
        "trace" | "debug" => Some(LogLevel::Debug),
        "info" => Some(LogLevel::Info),
        "warn" | "warning" => Some(LogLevel::Warn),
        "error" | "fatal" | "critical" => Some(LogLevel::Error),
        _ => None,
    }
}

fn agent_id(agent: Option<&str>) -> Option<String> {
    agent.map(|agent| cut(agent.to_owned(), limits::NODE_ID_BYTES)).filter(|agent| !agent.is_empty())
}

fn usage(span: &TraceSpan, agent: Option<&str>, used: SpanUsage) -> Command {
    Command::RecordUsage {
        node_id: span.id.clone(),
        agent_id: agent_id(agent),
        model: used.model.map(|model| cut(model, limits::NAME_BYTES)).filter(|model| !model.is_empty()),
        input_tokens: used.input,
        output_tokens: used.output,
        cached_input_tokens: used.cached,
        reasoning_tokens: used.reasoning,
        cost_usd: used.cost,
    }
}

fn message(span: &TraceSpan, agent: Option<&str>, number: usize, said: SpanMessage) -> Command {
    Command::AddMessage {
        message_id: MessageId::new(&format!("{}:{number}", span.id)),
        node_id: span.id.clone(),
        agent_id: agent_id(agent),
        agent_name: None,
        role: Some(said.role),
        content: said.text,
        is_thinking: said.is_thinking.then_some(true),
        token_count: None,
        tool_calls: Some(said.tool_calls).filter(|calls| !calls.is_empty()),
        tool_call_id: said.tool_call_id,
        content_type: said.content_type,
    }
}

/// Whether a trace has ended as far as its spans tell: its root has, or, if that is in another process, all those
/// below it that are in none that is known. With the error of the one that failed.
pub(super) fn ended(session: &Session) -> Option<Result<(), String>> {
    let tops = || session.nodes.values().map(|node| &node.snapshot).filter(|node| node.parent_node_id.is_none());
    let is_root = |node: &&relive_session::NodeStateSnapshot| {
        node.status.is_final() && !node.attributes.contains_key(REMOTE_PARENT)
    };
    let root = tops().find(is_root);
    if root.is_none() && !(tops().next().is_some() && tops().all(|node| node.status.is_final())) {
        return None;
    }
    let failed = root.or_else(|| tops().find(|node| node.status == NodeStatus::Failed));
    let error = failed.filter(|node| node.status == NodeStatus::Failed).map(|node| node.error.clone());
    Some(error.map_or(Ok(()), |error| Err(error.unwrap_or_else(|| "the root span failed".to_owned()))))
}

/// The commands that end a trace: spans that others are below, and that never came, have not run as far as known.
pub(super) fn end(session: &Session, outcome: Result<(), String>) -> Vec<Command> {
    let active = session.nodes.values().filter(|node| node.snapshot.status.is_active());
    let mut commands: Vec<_> = active.map(|node| report(node.snapshot.id.clone(), NodeStatus::Skipped)).collect();
    // An array has so many commands at most; the others end with the session as failed.
    let is_whole = commands.len() < limits::COMMANDS;
    commands.truncate(limits::COMMANDS - 1);
    commands.push(match outcome {
        Ok(()) if is_whole => Command::Complete { outputs: None },
        Ok(()) => Command::Fail { error: "too many of the trace's spans never came".to_owned() },
        Err(error) => Command::Fail { error: cut(error, limits::ERROR_BYTES) },
    });
    commands
}

/// The time of a trace's newest news.
pub(super) fn is_idle(session: &Session, now: Timestamp, idle: std::time::Duration) -> bool {
    now.since(session.updated_at) >= idle
}
