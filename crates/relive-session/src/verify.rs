//! Checks that a command could have led to an event. Imported histories are checked with it.

use std::sync::Arc;

use serde_json::Value;

use super::decide::decide_recorded;
use super::validate::{self, validate};
use super::{ApplyError, Command, Created, Event, Recorded, Refusal, Session};

/// Why an event cannot have been recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Implausible {
    #[error(transparent)]
    DoesNotFollow(#[from] ApplyError),
    #[error("no command leads to this event: {0}")]
    Refused(#[from] Refusal),
    #[error("no command leads to this event in the state before it")]
    Different,
    #[error("its time is earlier than that of the event before it")]
    Earlier,
}

impl Session {
    /// Applies the next event of a history that was not written by this server, if deciding a command on this
    /// state leads to exactly that event. So all limits and rules hold for it.
    ///
    /// # Errors
    ///
    /// The reason if it does not. The state is unchanged then.
    pub fn apply_verified(&mut self, recorded: &Recorded) -> Result<(), Implausible> {
        if recorded.at < self.updated_at {
            return Err(Implausible::Earlier);
        }
        let Some(command) = command_behind(&recorded.event) else {
            self.clone().apply(recorded)?;
            return Err(Implausible::Different);
        };
        let mut next = self.clone();
        next.apply(recorded)?;
        let decided = decide_recorded(self, &command, recorded.at)?;
        let is_so = match decided.as_slice() {
            [decided] => is_same(decided, &recorded.event),
            // Earlier versions recorded a value that was held already.
            [] => matches!(recorded.event, Event::ContextSet { .. }),
            _ => false,
        };
        if !is_so {
            return Err(Implausible::Different);
        }
        *self = next;
        Ok(())
    }
}

/// Checks a first event, and the state that a fork begins with, as if created by a command.
///
/// # Errors
///
/// The first fault.
pub fn check_created(created: &Created) -> Result<(), Refusal> {
    // That of a fork is the name of its graph, which is bounded with the graph.
    let is_of_graph = |name: &&String| created.graph.as_ref().is_some_and(|graph| graph.name == **name);
    if let Some(name) = created.workflow_name.as_ref().filter(|name| !is_of_graph(name)) {
        validate::name("workflowName", name)?;
    }
    created.labels().check_recorded()?;
    created.check_parent()?;
    for (field, value) in [("proposal", &created.proposal), ("inputs", &created.inputs)] {
        if let Some(value) = value {
            validate::json(field, value)?;
        }
    }
    if let Some(graph) = &created.graph {
        let problem = "cannot be run";
        graph.validate_for(created.driver).map_err(|_| Refusal::Invalid { field: "graph", problem })?;
    }
    match &created.forked {
        Some(forked) => forked.state.check(created.graph.as_deref(), created.driver),
        None => Ok(()),
    }
}

/// The event without texts that are stored in rows of their own.
fn is_same(decided: &Event, event: &Event) -> bool {
    match (decided, event) {
        (Event::MessageAdded(decided), Event::MessageAdded(added)) => {
            let mut decided = decided.clone();
            decided.content.clone_from(&added.content);
            decided.tool_calls.clone_from(&added.tool_calls);
            decided == *added
        }
        (Event::LogAdded(decided), Event::LogAdded(added)) => {
            (&decided.node_id, decided.level, decided.at) == (&added.node_id, added.level, added.at)
        }
        (Event::MemoryAdded(decided), Event::MemoryAdded(added)) => {
            (decided.memory_id, &decided.agent_id) == (added.memory_id, &added.agent_id)
        }
        (decided, event) => decided == event,
    }
}

/// The command that leads to an event; `None` for the first event of a history.
#[allow(clippy::too_many_lines, reason = "an arm for each event")]
fn command_behind(event: &Event) -> Option<Command> {
    let owned = |value: &Arc<Value>| Value::clone(value);
    Some(match event {
        Event::Created(_) => return None,
        Event::Started => Command::Start,
        Event::Paused { held: false } => Command::Pause,
        Event::Paused { held: true } => Command::Hold,
        Event::Resumed => Command::Resume,
        Event::Completed { outputs } => Command::Complete { outputs: outputs.as_ref().map(owned) },
        Event::Failed { error, stopped: false } => Command::Fail { error: error.clone() },
        Event::Failed { error, stopped: true } => Command::Stop { reason: Some(error.clone()) },
        Event::Cancelled { reason } => Command::Cancel { reason: reason.clone() },
        Event::NodeStatusChanged {
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
            attempt: _,
        } => Command::SetNodeStatus {
            node_id: node_id.clone(),
            status: *status,
            name: name.clone(),
            node_type: node_type.clone(),
            progress: *progress,
            error: error.clone(),
            output: output.as_ref().map(owned),
            input: input.as_ref().map(owned),
            next_ids: next_ids.clone(),
            retry: *retry,
            parent_node_id: parent_node_id.clone(),
            kind: *kind,
            attributes: attributes.clone(),
            started_at: *started_at,
            completed_at: *completed_at,
        },
        Event::UsageRecorded {
            node_id,
            agent_id,
            model,
            input_tokens,
            output_tokens,
            cached_input_tokens,
            reasoning_tokens,
            cost_usd,
        } => Command::RecordUsage {
            node_id: node_id.clone(),
            agent_id: agent_id.clone(),
            model: model.clone(),
            input_tokens: *input_tokens,
            output_tokens: *output_tokens,
            cached_input_tokens: *cached_input_tokens,
            reasoning_tokens: *reasoning_tokens,
            cost_usd: *cost_usd,
        },
        Event::ContextSet { key, value } => Command::set_context(key.clone(), owned(value)),
        Event::NodesAdded { nodes, edges } => Command::AddNodes { nodes: nodes.clone(), edges: edges.clone() },
        Event::ProposalSet { proposal } => Command::SetProposal { proposal: owned(proposal) },
        Event::LabelsSet(fields) => Command::SetLabels(fields.clone()),
        Event::Signalled { node_id, payload, interrupt_id } => {
            Command::Signal { node_id: node_id.clone(), payload: owned(payload), interrupt_id: interrupt_id.clone() }
        }
        Event::DriverSeen { lease_seconds } => Command::RenewLease { seconds: *lease_seconds, is_late: true },
        Event::Stalled => Command::Stall { granted: None },
        Event::ParentRemoved => Command::LeaveParent,
        Event::MessageAdded(added) => Command::AddMessage {
            message_id: Some(added.message_id.clone()),
            node_id: added.node_id.clone(),
            agent_id: added.agent_id.clone(),
            agent_name: added.agent_name.clone(),
            role: Some(added.role),
            content: String::new(),
            is_thinking: Some(added.is_thinking),
            token_count: Some(added.token_count),
            tool_calls: None,
            tool_call_id: added.tool_call_id.clone(),
            content_type: added.content_type,
        },
        Event::LogAdded(added) => Command::AddLog {
            node_id: added.node_id.clone(),
            level: added.level,
            text: String::new(),
            at: added.at,
            attributes: None,
        },
        Event::MemoryAdded(added) => Command::AddMemory {
            memory_id: Some(added.memory_id),
            agent_id: added.agent_id.clone(),
            content: String::new(),
            embedding: None,
            metadata: None,
        },
    })
}

/// Checks a message as the command that adds it would.
///
/// # Errors
///
/// As [`validate()`].
pub fn check_message(message: &super::Message) -> Result<(), Refusal> {
    if let Some(name) = &message.agent_name {
        validate::name("agentName", name)?;
    }
    validate(&Command::AddMessage {
        message_id: Some(message.id.clone()),
        node_id: message.node_id.clone(),
        agent_id: message.agent_id.clone(),
        agent_name: None,
        role: Some(message.role),
        content: message.content.to_string(),
        is_thinking: Some(message.is_thinking),
        token_count: Some(message.token_count),
        tool_calls: message.tool_calls.as_deref().map(<[_]>::to_vec),
        tool_call_id: message.tool_call_id.clone(),
        content_type: message.content_type,
    })
}

/// Checks a log line as the command that adds it would.
///
/// # Errors
///
/// As [`validate()`].
pub fn check_log(log: &super::Log) -> Result<(), Refusal> {
    validate(&Command::AddLog {
        node_id: log.node_id.clone(),
        level: log.level,
        text: log.text.to_string(),
        at: Some(log.at),
        attributes: Some((*log.attributes).clone()),
    })
}
