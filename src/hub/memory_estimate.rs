//! The memory that commands and events take, estimated: only payloads of any size matter.

use serde_json::Value;

use relive_session::{Command, Event, GraphNode, LabelFields, Recorded, ToolCall};

/// The size of a JSON value itself, without what it points to.
const VALUE: usize = size_of::<Value>();
/// An entry of an object, without its key's text and its value: nodes of the map are half empty at worst.
const MEMBER: usize = 2 * size_of::<String>() + VALUE;
/// A command or an event, besides its payload.
const BASE: usize = 256;

/// A JSON value. An array of small numbers takes sixteen times the memory of its text.
pub(super) fn json(value: &Value) -> usize {
    VALUE
        + match value {
            Value::String(text) => text.capacity(),
            Value::Array(items) => (items.capacity() - items.len()) * VALUE + items.iter().map(json).sum::<usize>(),
            Value::Object(object) => members(object),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// Commands, and the events they lead to: those have payloads of their own.
pub(super) fn commands(commands: &[Command]) -> usize {
    commands.iter().map(|command| 2 * (BASE + payload(command))).sum()
}

fn payload(command: &Command) -> usize {
    fn optional(value: Option<&Value>) -> usize {
        value.map_or(0, json)
    }
    match command {
        Command::Complete { outputs } => optional(outputs.as_ref()),
        Command::Fail { error } => error.len(),
        Command::Stop { reason } | Command::Cancel { reason } => reason.as_ref().map_or(0, String::len),
        Command::SetNodeStatus { name, error, output, input, attributes, .. } => {
            let texts = [name, error].into_iter().flatten().map(String::len).sum::<usize>();
            texts + optional(output.as_ref()) + optional(input.as_ref()) + attributes.as_ref().map_or(0, members)
        }
        Command::SetContext { key, value, values } => {
            key.as_ref().map_or(0, String::len) + optional(value.as_ref()) + members(values.iter().flatten())
        }
        Command::AddNodes { nodes, edges } => graph_nodes(nodes.values()) + edges.len() * BASE,
        Command::SetProposal { proposal } => json(proposal),
        Command::SetLabels(fields) => labels(fields),
        Command::Signal { payload, .. } => json(payload),
        Command::AddMessage { content, tool_calls: calls, .. } => {
            content.len() + calls.as_deref().map_or(0, tool_calls)
        }
        Command::AddLog { text, attributes, .. } => text.len() + attributes.as_ref().map_or(0, members),
        Command::AddMemory { content, embedding, metadata, .. } => {
            let embedding = embedding.as_ref().map_or(0, |numbers| numbers.capacity() * size_of::<f32>());
            content.len() + embedding + optional(metadata.as_ref())
        }
        _ => 0,
    }
}

fn labels(fields: &LabelFields) -> usize {
    let tags = fields.tags.iter().flatten().map(String::len).sum::<usize>();
    tags + members(fields.metadata.iter().flatten())
}

fn members<'a>(members: impl IntoIterator<Item = (&'a String, &'a Value)>) -> usize {
    members.into_iter().map(|(key, value)| MEMBER + key.len() + json(value)).sum()
}

fn graph_nodes<'a>(nodes: impl Iterator<Item = &'a GraphNode>) -> usize {
    nodes.map(|node| BASE + node.next_ids.len() * size_of::<String>() + members(node.properties.iter())).sum()
}

fn tool_calls(calls: &[ToolCall]) -> usize {
    calls.iter().map(|call| MEMBER + call.id.capacity() + call.name.capacity() + json(&call.arguments)).sum()
}

/// An event.
pub(super) fn event(recorded: &Recorded) -> usize {
    let payload = match &recorded.event {
        Event::Completed { outputs } => outputs.as_deref().map_or(0, json),
        Event::NodeStatusChanged { output, input, attributes, .. } => {
            let values: usize = [output, input].into_iter().flatten().map(|value| json(value)).sum();
            values + attributes.as_ref().map_or(0, members)
        }
        Event::ContextSet { value, .. } => json(value),
        Event::ProposalSet { proposal } => json(proposal),
        Event::NodesAdded { nodes, edges } => graph_nodes(nodes.values()) + edges.len() * BASE,
        Event::LabelsSet(fields) => labels(fields),
        Event::Signalled { payload, .. } => json(payload),
        Event::MessageAdded(message) => {
            message.content.as_deref().map_or(0, str::len) + message.tool_calls.as_deref().map_or(0, tool_calls)
        }
        Event::LogAdded(log) => log.row.as_ref().map_or(0, |row| row.text.len() + members(row.attributes.iter())),
        Event::MemoryAdded(memory) => memory.row.as_ref().map_or(0, |row| row.content.len()),
        Event::Created(created) => {
            let nodes = created.graph.as_ref().map_or(0, |graph| graph.nodes.len());
            nodes * 256 + created.forked.as_ref().map_or(0, |forked| forked.state.weight())
        }
        _ => 0,
    };
    BASE + payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_weigh_what_they_keep_in_memory() {
        let ones: Value = serde_json::from_str(&format!("[1{}]", ",1".repeat(99_999))).expect("JSON");
        assert!(json(&ones) >= 100_000 * size_of::<Value>());
        let text = Value::String("x".repeat(100_000));
        assert!((100_000..110_000).contains(&json(&text)));
        let command = Command::set_context("k", ones);
        assert!(commands(&[command]) >= 200_000 * size_of::<Value>());
    }
}
