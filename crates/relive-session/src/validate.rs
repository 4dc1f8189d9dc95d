//! Checks of a command's fields that do not need the session.

use serde_json::Value;

pub use super::json::check as json;
use super::json::no_nul;
use super::memory::check_direction;
use super::{Command, NodeId, Refusal, Timestamp, ToolCall, attributes, limits};

/// Checks lengths, ranges and characters.
///
/// # Errors
///
/// [`Refusal::TooLarge`] beyond a limit of [`limits`], [`Refusal::Invalid`] for anything else,
/// such as the character NUL, which PostgreSQL cannot store in text.
pub fn validate(command: &Command) -> Result<(), Refusal> {
    match command {
        Command::Start
        | Command::Pause
        | Command::Hold
        | Command::Resume
        | Command::Stall { .. }
        | Command::LeaveParent => Ok(()),
        Command::RenewLease { seconds, .. } => check_lease(*seconds),
        Command::Complete { outputs } => optional(outputs.as_ref(), |outputs| json("outputs", outputs)),
        Command::Fail { error } => text("error", error, limits::ERROR_BYTES),
        Command::Stop { reason } | Command::Cancel { reason } => {
            optional(reason.as_deref(), |reason| text("reason", reason, limits::ERROR_BYTES))
        }
        Command::SetNodeStatus { .. } => node_status(command),
        Command::RecordUsage {
            node_id,
            agent_id,
            model,
            input_tokens,
            output_tokens,
            cached_input_tokens,
            reasoning_tokens,
            cost_usd: _,
        } => {
            id("nodeId", node_id.as_str())?;
            optional(agent_id.as_deref(), |value| id("agentId", value))?;
            optional(model.as_deref(), |value| name("model", value))?;
            tokens("inputTokens and outputTokens", (*input_tokens).max(*output_tokens))?;
            // Not compared with those: some providers include them, others do not.
            optional((*cached_input_tokens).max(*reasoning_tokens), |count| {
                tokens("cachedInputTokens and reasoningTokens", count)
            })
        }
        Command::SetContext { .. } => context_entries(&command.context_entries()?),
        // Checked with the graph.
        Command::AddNodes { .. } => Ok(()),
        Command::SetProposal { proposal } => json("proposal", proposal),
        Command::SetLabels(fields) => fields.check_recorded(),
        Command::Signal { node_id, payload, interrupt_id } => {
            id("nodeId", node_id.as_str())?;
            optional(interrupt_id.as_deref(), |value| id("interruptId", value))?;
            json("payload", payload)
        }
        Command::AddMessage { node_id, agent_id, content, token_count, tool_calls, tool_call_id, .. } => {
            id("nodeId", node_id.as_str())?;
            optional(agent_id.as_deref(), |value| id("agentId", value))?;
            optional(*token_count, |count| tokens("tokenCount", count))?;
            text("content", content, limits::CONTENT_BYTES)?;
            optional(tool_calls.as_deref(), check_tool_calls)?;
            optional(tool_call_id.as_deref(), |value| id("toolCallId", value))
        }
        Command::AddLog { node_id, text: line, attributes, .. } => {
            id("nodeId", node_id.as_str())?;
            text("text", line, limits::LOG_BYTES)?;
            optional(attributes.as_ref(), attributes::check)
        }
        Command::AddMemory { agent_id, content, embedding, metadata, .. } => {
            optional(agent_id.as_deref(), |value| id("agentId", value))?;
            // The number of dimensions is a setting of the server, and checked there.
            optional(embedding.as_deref(), check_direction)?;
            text("content", content, limits::CONTENT_BYTES)?;
            optional(metadata.as_ref(), |value| {
                json("metadata", value)?;
                let limit = limits::METADATA_BYTES;
                let fits = serde_json::to_vec(value).is_ok_and(|text| text.len() <= limit);
                if fits { Ok(()) } else { Err(Refusal::TooLarge { what: "metadata", limit }) }
            })
        }
    }
}

/// Checks a chunk of a message as the message that it becomes will be; not whether there is such a node.
///
/// # Errors
///
/// As [`validate()`].
pub fn check_chunk(node_id: &NodeId, agent_id: Option<&str>, chunk: &str) -> Result<(), Refusal> {
    id("nodeId", node_id.as_str())?;
    optional(agent_id, |value| id("agentId", value))?;
    text("text", chunk, limits::CONTENT_BYTES)
}

/// Checks the length of a lease.
///
/// # Errors
///
/// [`Refusal::Invalid`] outside of [`limits::SHORTEST_LEASE`] to [`limits::LONGEST_LEASE`].
pub fn check_lease(seconds: u32) -> Result<(), Refusal> {
    if (limits::SHORTEST_LEASE..=limits::LONGEST_LEASE).contains(&seconds) {
        return Ok(());
    }
    Err(Refusal::Invalid { field: "leaseSeconds", problem: "must lie between 5 and 3600" })
}

fn tokens(field: &'static str, count: u64) -> Result<(), Refusal> {
    if count > limits::TOKENS {
        return Err(Refusal::Invalid { field, problem: "must not exceed 1000000000000" });
    }
    Ok(())
}

fn context_entries(entries: &[(&str, &Value)]) -> Result<(), Refusal> {
    if entries.len() > limits::COMMANDS {
        return Err(Refusal::TooLarge { what: "the number of values", limit: limits::COMMANDS });
    }
    entries.iter().try_for_each(|(key, value)| {
        if key.is_empty() {
            return Err(Refusal::Invalid { field: "key", problem: "must not be empty" });
        }
        name("key", key)?;
        json("value", value)
    })
}

fn node_status(command: &Command) -> Result<(), Refusal> {
    let Command::SetNodeStatus {
        node_id,
        status,
        name: node_name,
        node_type,
        error,
        output,
        input,
        next_ids,
        parent_node_id,
        attributes,
        started_at,
        completed_at,
        ..
    } = command
    else {
        return Ok(());
    };
    id("nodeId", node_id.as_str())?;
    optional(node_name.as_deref(), |value| name("name", value))?;
    optional(node_type.as_deref(), |value| name("nodeType", value))?;
    optional(error.as_deref(), |value| text("error", value, limits::ERROR_BYTES))?;
    optional(output.as_ref(), |value| json("output", value))?;
    optional(input.as_ref(), |value| json("input", value))?;
    optional(next_ids.as_deref(), next)?;
    optional(parent_node_id.as_ref(), |value| id("parentNodeId", value.as_str()))?;
    optional(attributes.as_ref(), attributes::check_change)?;
    if completed_at.is_some() && !status.is_final() {
        return Err(Refusal::Invalid { field: "completedAt", problem: "is for a node that has ended" });
    }
    times(*started_at, *completed_at)
}

/// Checks the tool calls of one message.
fn check_tool_calls(calls: &[ToolCall]) -> Result<(), Refusal> {
    if calls.len() > limits::TOOL_CALLS {
        return Err(Refusal::TooLarge { what: "the number of toolCalls", limit: limits::TOOL_CALLS });
    }
    let mut bytes = 0;
    for call in calls {
        id("toolCalls.id", &call.id)?;
        name("toolCalls.name", &call.name)?;
        json("toolCalls.arguments", &call.arguments)?;
        bytes += call.id.len() + super::json::context_entry_bytes(&call.name, &call.arguments);
    }
    if bytes > limits::CONTENT_BYTES {
        return Err(Refusal::TooLarge { what: "toolCalls", limit: limits::CONTENT_BYTES });
    }
    Ok(())
}

/// The beginning and the end of a node's attempt.
pub(super) fn times(started_at: Option<Timestamp>, completed_at: Option<Timestamp>) -> Result<(), Refusal> {
    match started_at.zip(completed_at) {
        Some((start, end)) if end < start => {
            Err(Refusal::Invalid { field: "completedAt", problem: "must not be before startedAt" })
        }
        _ => Ok(()),
    }
}

/// The next nodes that a node has chosen.
pub(super) fn next(next_ids: &[NodeId]) -> Result<(), Refusal> {
    if next_ids.len() > limits::NEXT_IDS {
        return Err(Refusal::TooLarge { what: "nextIds", limit: limits::NEXT_IDS });
    }
    next_ids.iter().try_for_each(|next| id("nextIds", next.as_str()))
}

pub(super) fn optional<T>(value: Option<T>, check: impl FnOnce(T) -> Result<(), Refusal>) -> Result<(), Refusal> {
    value.map_or(Ok(()), check)
}

pub(super) fn id(field: &'static str, value: &str) -> Result<(), Refusal> {
    if value.is_empty() {
        return Err(Refusal::Invalid { field, problem: "must not be empty" });
    }
    text(field, value, limits::NODE_ID_BYTES)
}

pub(super) fn name(field: &'static str, value: &str) -> Result<(), Refusal> {
    text(field, value, limits::NAME_BYTES)
}

pub(super) fn text(field: &'static str, value: &str, limit: usize) -> Result<(), Refusal> {
    if value.len() > limit {
        return Err(Refusal::TooLarge { what: field, limit });
    }
    no_nul(field, value)
}
