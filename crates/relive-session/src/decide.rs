//! `decide`: whether a command is accepted, and which events it leads to.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::event::MemoryRow;
use super::family::release;
use super::graph_growth::add_nodes;
use super::lease_rules::{renew, stall};
use super::validate::{self, validate};
use super::{
    Command, Driver, Event, LogAdded, LogRow, MemoryAdded, MessageAdded, Node, NodeId, NodeStateSnapshot, NodeStatus,
    OutputRef, Refusal, Session, SessionStatus, Timestamp, attributes, context, limits,
};

/// As [`decide_at`], without the time allowed after the end: an ended session takes labels and nothing else.
///
/// # Errors
///
/// As [`decide_at`].
pub fn decide(session: &Session, command: &Command) -> Result<Vec<Event>, Refusal> {
    decide_command(session, command, None).and_then(|events| fitting(session, command, events))
}

/// Decides a command against a state, at a time.
///
/// The result depends on the arguments alone. An empty list means that the command is accepted and
/// changes nothing. The events take effect in order, through [`Session::apply`].
///
/// # Errors
///
/// The [`Refusal`]. An ended session refuses every command except labels, and usage, messages, logs and memories
/// of its nodes, which are accepted up to [`limits::LATE_MILLIS`] after its end.
pub fn decide_at(session: &Session, command: &Command, at: Timestamp) -> Result<Vec<Event>, Refusal> {
    decide_command(session, command, Some(at)).and_then(|events| fitting(session, command, events))
}

/// As [`decide_at`], for a command that was carried out once, maybe by an earlier version: metadata and attributes
/// may be as long as those took them.
pub(super) fn decide_recorded(session: &Session, command: &Command, at: Timestamp) -> Result<Vec<Event>, Refusal> {
    decide_command(session, command, Some(at))
}

/// The events, unless metadata or attributes become too long as JSON by them.
fn fitting(session: &Session, command: &Command, events: Vec<Event>) -> Result<Vec<Event>, Refusal> {
    if events.is_empty() {
        return Ok(events);
    }
    match command {
        Command::SetLabels(fields) => fields.check_size()?,
        Command::AddLog { attributes: Some(attributes), .. } => attributes::check_size(attributes)?,
        Command::SetNodeStatus { node_id, attributes: Some(change), .. } => {
            let none = Map::new();
            let held = session.reported(node_id).map_or(&none, |node| &node.attributes);
            attributes::check_size(&attributes::merged(held, change))?;
        }
        _ => {}
    }
    Ok(events)
}

fn decide_command(session: &Session, command: &Command, at: Option<Timestamp>) -> Result<Vec<Event>, Refusal> {
    validate(command)?;
    let kind = command.kind();
    match command {
        Command::Start => transition(session, kind, &[SessionStatus::Pending], Event::Started),
        Command::Pause => transition(session, kind, &[SessionStatus::Running], Event::Paused { held: false }),
        Command::Hold if session.is_held() => Ok(Vec::new()),
        Command::Hold => transition(session, kind, LIVE, Event::Paused { held: true }),
        Command::RenewLease { seconds, is_late } => renew(session, *seconds, *is_late, at),
        Command::Stall { granted } => Ok(stall(session, *granted)),
        Command::LeaveParent => Ok(release(session)),
        Command::Resume => transition(session, kind, &[SessionStatus::Paused], Event::Resumed),
        Command::Complete { outputs } => complete(session, kind, outputs.as_ref()),
        Command::Fail { error } => {
            transition(session, kind, LIVE, Event::Failed { error: error.clone(), stopped: false })
        }
        Command::Stop { reason } => {
            let error = reason.clone().unwrap_or_else(|| "stopped".to_owned());
            transition(session, kind, LIVE, Event::Failed { error, stopped: true })
        }
        Command::Cancel { reason } => {
            let cancellable = &[SessionStatus::Pending, SessionStatus::Running, SessionStatus::Paused];
            transition(session, kind, cancellable, Event::Cancelled { reason: reason.clone() })
        }
        Command::SetNodeStatus { .. } => set_node_status(session, command),
        Command::RecordUsage { node_id, .. } => {
            require_live_or_late(session, kind, at)?;
            require_room_for(session, node_id)?;
            Ok(usage(command).into_iter().collect())
        }
        Command::SetContext { .. } => {
            require_not_ended(session, kind)?;
            context::set(session, &command.context_entries()?)
        }
        Command::AddNodes { nodes, edges } => {
            require_not_ended(session, kind)?;
            add_nodes(session, nodes, edges)
        }
        Command::SetProposal { proposal } => {
            require_not_ended(session, kind)?;
            Ok(vec![Event::ProposalSet { proposal: Arc::new(proposal.clone()) }])
        }
        Command::SetLabels(fields) => {
            let changes = session.labels.with(fields) != session.labels;
            Ok(changes.then(|| Event::LabelsSet(fields.clone())).into_iter().collect())
        }
        Command::Signal { .. } => signal(session, command),
        Command::AddMessage { .. } => add_message(session, command, at),
        Command::AddLog { .. } => add_log(session, command, at),
        Command::AddMemory { .. } => add_memory(session, command, at),
    }
}

const LIVE: &[SessionStatus] = &[SessionStatus::Running, SessionStatus::Paused];

fn transition(
    session: &Session,
    command: &'static str,
    from: &[SessionStatus],
    event: Event,
) -> Result<Vec<Event>, Refusal> {
    if from.contains(&session.status) {
        Ok(vec![event])
    } else {
        Err(Refusal::SessionTransition { command, status: session.status })
    }
}

fn require_live(session: &Session, command: &'static str) -> Result<(), Refusal> {
    if session.status.is_live() { Ok(()) } else { Err(Refusal::SessionTransition { command, status: session.status }) }
}

fn require_live_or_late(session: &Session, command: &'static str, at: Option<Timestamp>) -> Result<(), Refusal> {
    if at.is_some_and(|at| session.takes_late(at)) { Ok(()) } else { require_live(session, command) }
}

fn require_not_ended(session: &Session, command: &'static str) -> Result<(), Refusal> {
    if session.status.is_ended() { Err(Refusal::SessionTransition { command, status: session.status }) } else { Ok(()) }
}

/// Checks that a session has a node, or that one may appear by being named.
///
/// # Errors
///
/// [`Refusal::UnknownNode`], or [`Refusal::TooLarge`] if there are too many.
pub fn check_node(session: &Session, node_id: &NodeId) -> Result<(), Refusal> {
    require_room_for(session, node_id)
}

/// With a graph, only its own nodes and their instances exist; without one, nodes appear when first named.
fn require_room_for(session: &Session, node_id: &NodeId) -> Result<(), Refusal> {
    let of = session.origin.node_of_instance(node_id);
    if session.nodes.contains_key(node_id) {
        return Ok(());
    }
    if session.status.is_ended() || session.origin.graph.is_some() && of.is_none() {
        return Err(Refusal::UnknownNode { node_id: node_id.clone() });
    }
    require_number(session, 1)?;
    of.map_or(Ok(()), |of| session.check_parent(node_id, of))
}

/// Under a node that exists, or may appear, another one may appear.
fn require_place(session: &Session, node_id: &NodeId, parent: Option<&NodeId>) -> Result<(), Refusal> {
    let Some(parent) = parent else { return require_room_for(session, node_id) };
    require_room_for(session, parent)?;
    let new = [node_id, parent].into_iter().filter(|id| !session.nodes.contains_key(*id)).count();
    require_number(session, new)?;
    session.check_parent(node_id, parent)
}

fn require_number(session: &Session, new: usize) -> Result<(), Refusal> {
    if session.nodes.len() + new > limits::SESSION_NODES {
        return Err(Refusal::TooLarge { what: "the number of nodes", limit: limits::SESSION_NODES });
    }
    Ok(())
}

fn usage(command: &Command) -> Option<Event> {
    let Command::RecordUsage {
        node_id,
        agent_id,
        model,
        input_tokens,
        output_tokens,
        cached_input_tokens,
        reasoning_tokens,
        cost_usd,
    } = command
    else {
        return None;
    };
    Some(Event::UsageRecorded {
        node_id: node_id.clone(),
        agent_id: agent_id.clone(),
        model: model.clone(),
        input_tokens: *input_tokens,
        output_tokens: *output_tokens,
        cached_input_tokens: *cached_input_tokens,
        reasoning_tokens: *reasoning_tokens,
        cost_usd: *cost_usd,
    })
}

/// The chosen next nodes must be among the node's next nodes in the graph; without a graph any may follow.
fn require_next(session: &Session, node_id: &NodeId, next_ids: &[NodeId]) -> Result<(), Refusal> {
    let graph = session.origin.graph.as_ref();
    let node = session.origin.node_of_instance(node_id).unwrap_or(node_id);
    let known = graph.and_then(|graph| graph.nodes.get(node)).map(|node| &node.next_ids);
    if known.is_some_and(|known| next_ids.iter().any(|next| !known.contains(next))) {
        return Err(Refusal::Invalid { field: "nextIds", problem: "must be among the node's nextIds in the graph" });
    }
    Ok(())
}

fn complete(session: &Session, command: &'static str, outputs: Option<&Value>) -> Result<Vec<Event>, Refusal> {
    let outputs = outputs.cloned().map(Arc::new);
    let events = transition(session, command, &[SessionStatus::Running], Event::Completed { outputs })?;
    match session.active.get_min() {
        Some(example) => Err(Refusal::NodesActive { count: session.active.len(), example: example.clone() }),
        None => Ok(events),
    }
}

fn set_node_status(session: &Session, command: &Command) -> Result<Vec<Event>, Refusal> {
    let Command::SetNodeStatus {
        node_id,
        status,
        name,
        node_type,
        progress,
        error,
        output,
        input,
        next_ids,
        retry,
        parent_node_id,
        kind,
        attributes,
        started_at,
        completed_at,
    } = command
    else {
        return Ok(Vec::new());
    };
    require_live(session, command.kind())?;
    require_place(session, node_id, parent_node_id.as_ref())?;
    require_next(session, node_id, next_ids.as_deref().unwrap_or_default())?;
    let known = session.nodes.get(node_id).zip(session.reported(node_id));
    let from = known.map_or(NodeStatus::Pending, |(_, reported)| reported.status);
    if from != *status && !from.may_become(*status) {
        return Err(Refusal::NodeTransition { node_id: node_id.clone(), from, to: *status });
    }
    if from == *status && known.is_some_and(|(node, reported)| says_nothing_new(node, reported, command)) {
        return Ok(Vec::new());
    }
    if let Some((_, reported)) = known {
        require_order(reported, *status, *started_at, *completed_at)?;
    }
    if let Some((change, (_, reported))) = attributes.as_ref().zip(known) {
        attributes::check(&attributes::merged(&reported.attributes, change))?;
    }
    Ok(vec![Event::NodeStatusChanged {
        node_id: node_id.clone(),
        status: *status,
        attempt: next_attempt(known.and_then(|(_, reported)| reported.attempt), from, *status),
        name: name.clone(),
        node_type: node_type.clone(),
        progress: *progress,
        error: error.clone(),
        output: output.clone().map(Arc::new),
        retry: *retry,
        input: input.clone().map(Arc::new),
        next_ids: next_ids.clone(),
        parent_node_id: parent_node_id.clone(),
        kind: *kind,
        attributes: attributes.clone(),
        started_at: *started_at,
        completed_at: *completed_at,
    }])
}

/// The times that a node is given must be in order with those that it keeps.
fn require_order(
    held: &NodeStateSnapshot,
    status: NodeStatus,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
) -> Result<(), Refusal> {
    if held.status.is_final() && !status.is_final() {
        // Another attempt, with times of its own.
        return Ok(());
    }
    let ended = if held.status == status { held.completed_at } else { None };
    validate::times(started_at.or(held.started_at), completed_at.or(ended))
}

/// The attempt that the change leads to: 1 on the first run, one more on each re-entry.
///
/// The first run begins when a pending node starts, or ends without having been seen running; a
/// node that was skipped without ever running has made no attempt.
fn next_attempt(attempt: Option<u32>, from: NodeStatus, to: NodeStatus) -> Option<u32> {
    match attempt {
        Some(attempt) if from.is_final() && !to.is_final() => Some(attempt.saturating_add(1)),
        Some(attempt) => Some(attempt),
        None if matches!(to, NodeStatus::Pending | NodeStatus::Skipped) => None,
        None => Some(1),
    }
}

fn says_nothing_new(node: &Node, held: &NodeStateSnapshot, command: &Command) -> bool {
    fn same<T: PartialEq>(given: &Option<T>, held: &Option<T>) -> bool {
        given.is_none() || given == held
    }
    let stands = |given: &Option<Value>, held: Option<OutputRef>| {
        given.as_ref().is_none_or(|given| held.is_some_and(|held| held.is_of(given)))
    };
    let Command::SetNodeStatus {
        node_id: _,
        status: _,
        name,
        node_type,
        progress,
        error,
        output,
        input,
        next_ids,
        retry,
        parent_node_id,
        kind,
        attributes,
        started_at,
        completed_at,
    } = command
    else {
        return true;
    };
    same(name, &held.name)
        && same(node_type, &held.node_type)
        && same(parent_node_id, &held.parent_node_id)
        && same(kind, &held.kind)
        && same(started_at, &held.started_at)
        && same(completed_at, &held.completed_at)
        && attributes.as_ref().is_none_or(|change| attributes::merged(&held.attributes, change) == *held.attributes)
        && same(progress, &held.progress)
        && same(error, &held.error)
        && same(retry, &held.retry)
        && same(next_ids, &held.next_ids)
        && stands(output, node.output)
        && stands(input, node.input)
}

fn signal(session: &Session, command: &Command) -> Result<Vec<Event>, Refusal> {
    let Command::Signal { node_id, payload, interrupt_id } = command else { return Ok(Vec::new()) };
    require_not_ended(session, command.kind())?;
    if session.origin.graph.is_some() {
        require_room_for(session, node_id)?;
    }
    if interrupt_id.is_some() && session.origin.driver == Driver::Builtin {
        let problem = "is for nodes of engines outside the server";
        return Err(Refusal::Invalid { field: "interruptId", problem });
    }
    if !session.reported(node_id).is_some_and(|node| node.status.is_active()) {
        return Err(Refusal::NotWaiting { node_id: node_id.clone() });
    }
    let is_pending = match interrupt_id {
        None => session.signals.contains_key(node_id),
        Some(id) => session.answers.get(node_id).is_some_and(|answers| answers.contains_key(id)),
    };
    if is_pending {
        return Err(Refusal::SignalPending { node_id: node_id.clone() });
    }
    let answers = session.answers.get(node_id).map_or(0, |answers| answers.len());
    if interrupt_id.is_some() && answers >= limits::INTERRUPTS {
        return Err(Refusal::TooLarge { what: "the number of answered interrupts", limit: limits::INTERRUPTS });
    }
    Ok(vec![Event::Signalled {
        node_id: node_id.clone(),
        payload: Arc::new(payload.clone()),
        interrupt_id: interrupt_id.clone(),
    }])
}

const MISSING_ID: Refusal = Refusal::Invalid { field: "id", problem: "must be assigned before deciding" };

fn add_message(session: &Session, command: &Command, at: Option<Timestamp>) -> Result<Vec<Event>, Refusal> {
    let Command::AddMessage {
        message_id,
        node_id,
        agent_id,
        agent_name,
        role,
        content,
        is_thinking,
        token_count,
        tool_calls,
        tool_call_id,
        content_type,
    } = command
    else {
        return Ok(Vec::new());
    };
    require_live_or_late(session, command.kind(), at)?;
    require_room_for(session, node_id)?;
    Ok(vec![Event::MessageAdded(MessageAdded {
        message_id: message_id.clone().ok_or(MISSING_ID)?,
        node_id: node_id.clone(),
        agent_id: agent_id.clone(),
        agent_name: agent_name.clone(),
        role: role.unwrap_or_default(),
        is_thinking: is_thinking.unwrap_or_default(),
        token_count: token_count.unwrap_or_default(),
        tool_call_id: tool_call_id.clone(),
        content_type: *content_type,
        content: Some(content.as_str().into()),
        tool_calls: tool_calls.as_deref().filter(|calls| !calls.is_empty()).map(Into::into),
    })])
}

fn add_log(session: &Session, command: &Command, at: Option<Timestamp>) -> Result<Vec<Event>, Refusal> {
    let Command::AddLog { node_id, level, text, at: given, attributes } = command else { return Ok(Vec::new()) };
    require_live_or_late(session, command.kind(), at)?;
    require_room_for(session, node_id)?;
    let row = LogRow { text: text.as_str().into(), attributes: Arc::new(attributes.clone().unwrap_or_default()) };
    Ok(vec![Event::LogAdded(LogAdded { node_id: node_id.clone(), level: *level, at: *given, row: Some(row) })])
}

fn add_memory(session: &Session, command: &Command, at: Option<Timestamp>) -> Result<Vec<Event>, Refusal> {
    let Command::AddMemory { memory_id, agent_id, content, embedding, metadata } = command else {
        return Ok(Vec::new());
    };
    require_live_or_late(session, command.kind(), at)?;
    Ok(vec![Event::MemoryAdded(MemoryAdded {
        memory_id: memory_id.ok_or(MISSING_ID)?,
        agent_id: agent_id.clone(),
        row: Some(Arc::new(MemoryRow {
            content: content.clone(),
            embedding: embedding.clone(),
            metadata: metadata.clone(),
        })),
    })])
}
