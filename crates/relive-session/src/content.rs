//! What a message can carry besides its text.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;

use super::validate::{id, json, name};
use super::{Refusal, limits};

/// The format of a message's text. Absent: Markdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[ts(export_to = "session.ts")]
pub enum ContentType {
    #[serde(rename = "text/markdown")]
    Markdown,
    #[serde(rename = "text/plain")]
    Plain,
    #[serde(rename = "application/json")]
    Json,
}

impl ContentType {
    pub const ALL: [Self; 3] = [Self::Markdown, Self::Plain, Self::Json];

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Markdown => "text/markdown",
            Self::Plain => "text/plain",
            Self::Json => "application/json",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A call of a tool that a model asks for in its message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts")]
pub struct ToolCall {
    /// The message that answers the call has it as its `toolCallId`.
    pub id: String,
    pub name: String,
    /// As the model gave them: an object, or a text.
    #[ts(type = "unknown")]
    pub arguments: Value,
}

/// Checks the tool calls of one message.
pub(super) fn check_tool_calls(calls: &[ToolCall]) -> Result<(), Refusal> {
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
