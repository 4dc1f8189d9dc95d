//! The rows of a batch's messages, log lines and memories, as columns for `UNNEST`.

use chrono::{DateTime, Utc};
use pgvector::Vector;
use uuid::Uuid;

use super::batch::{Batch, EventRow};
use super::bigint::bigint;
use super::columns::{Statement, json};
use super::logs::LogArrays;
use relive_session::{ContentType, Event, MemoryRow, MessageAdded, ToolCall};

/// The columns of a batch's messages, log lines and memories.
#[derive(Default)]
pub(super) struct TextArrays<'a> {
    messages: Messages<'a>,
    logs: LogArrays<'a>,
    memories: Memories<'a>,
}

#[derive(Default)]
struct Messages<'a> {
    ids: Vec<&'a str>,
    session_ids: Vec<Uuid>,
    revisions: Vec<i64>,
    node_ids: Vec<&'a str>,
    agent_ids: Vec<Option<&'a str>>,
    agent_names: Vec<Option<&'a str>>,
    roles: Vec<&'static str>,
    contents: Vec<&'a str>,
    token_counts: Vec<i64>,
    are_thinking: Vec<bool>,
    times: Vec<DateTime<Utc>>,
    /// As texts, which the statement converts to JSON.
    tool_calls: Vec<Option<String>>,
    tool_call_ids: Vec<Option<&'a str>>,
    content_types: Vec<Option<&'static str>>,
}

#[derive(Default)]
struct Memories<'a> {
    ids: Vec<Uuid>,
    group_ids: Vec<Option<Uuid>>,
    agent_ids: Vec<Option<&'a str>>,
    session_ids: Vec<Uuid>,
    contents: Vec<&'a str>,
    embeddings: Vec<Option<Vector>>,
    /// As texts, which the statement converts to JSON.
    metadata: Vec<Option<String>>,
    times: Vec<DateTime<Utc>>,
    projects: Vec<String>,
}

impl<'a> TextArrays<'a> {
    pub fn of(batch: &Batch<'a>) -> Self {
        let mut arrays = Self::default();
        for row in &batch.events {
            match &row.recorded.event {
                Event::MessageAdded(message) => arrays.messages.push(row, message),
                Event::LogAdded(log) => {
                    if let Some(text) = &log.row {
                        arrays.logs.push_event(row.recorded, log, text);
                    }
                }
                Event::MemoryAdded(memory) => {
                    if let Some(text) = &memory.row {
                        arrays.memories.push(row, memory.memory_id, memory.agent_id.as_deref(), text);
                    }
                }
                _ => {}
            }
        }
        arrays
    }

    /// Binds the columns in the order of the statement.
    pub fn bind(self, statement: Statement<'a>) -> Statement<'a> {
        let Self { messages, logs, memories } = self;
        statement
            .bind(messages.ids)
            .bind(messages.session_ids)
            .bind(messages.revisions)
            .bind(messages.node_ids)
            .bind(messages.agent_ids)
            .bind(messages.agent_names)
            .bind(messages.roles)
            .bind(messages.contents)
            .bind(messages.token_counts)
            .bind(messages.are_thinking)
            .bind(messages.times)
            .bind(memories.ids)
            .bind(memories.group_ids)
            .bind(memories.agent_ids)
            .bind(memories.session_ids)
            .bind(memories.contents)
            .bind(memories.embeddings)
            .bind(memories.metadata)
            .bind(memories.times)
            .bind(memories.projects)
            .bind(messages.tool_calls)
            .bind(messages.tool_call_ids)
            .bind(messages.content_types)
            .bind(logs.session_ids)
            .bind(logs.revisions)
            .bind(logs.node_ids)
            .bind(logs.levels)
            .bind(logs.texts)
            .bind(logs.times)
            .bind(logs.attributes)
    }
}

impl<'a> Messages<'a> {
    fn push(&mut self, row: &EventRow<'a>, message: &'a MessageAdded) {
        self.ids.push(message.message_id.as_str());
        self.session_ids.push(row.recorded.session_id.0);
        self.revisions.push(bigint(row.recorded.revision));
        self.node_ids.push(message.node_id.as_str());
        self.agent_ids.push(message.agent_id.as_deref());
        self.agent_names.push(message.agent_name.as_deref());
        self.roles.push(message.role.as_str());
        self.contents.push(message.content.as_deref().unwrap_or_default());
        self.token_counts.push(bigint(message.token_count));
        self.are_thinking.push(message.is_thinking);
        self.times.push(row.recorded.at.as_datetime());
        self.tool_calls.push(message.tool_calls.as_deref().and_then(tool_calls_text));
        self.tool_call_ids.push(message.tool_call_id.as_deref());
        self.content_types.push(message.content_type.map(ContentType::as_str));
    }
}

/// Tool calls as the text of their JSON.
pub(super) fn tool_calls_text(calls: &[ToolCall]) -> Option<String> {
    // The members of a JSON value are texts, and its numbers finite.
    json(calls).ok()
}

impl<'a> Memories<'a> {
    fn push(&mut self, row: &EventRow<'a>, id: Uuid, agent_id: Option<&'a str>, text: &'a MemoryRow) {
        self.ids.push(id);
        self.group_ids.push(row.origin.and_then(|origin| origin.group_id));
        let project = row.origin.map(|origin| origin.project_id.clone()).unwrap_or_default();
        self.projects.push(project.as_str().to_owned());
        self.agent_ids.push(agent_id);
        self.session_ids.push(row.recorded.session_id.0);
        self.contents.push(&text.content);
        self.embeddings.push(text.embedding.as_ref().map(|embedding| Vector::from(embedding.clone())));
        // A JSON value always has a text.
        self.metadata.push(text.metadata.as_ref().map(ToString::to_string));
        self.times.push(row.recorded.at.as_datetime());
    }
}
