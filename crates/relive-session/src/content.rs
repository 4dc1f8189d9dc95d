//! What a message can carry besides its text.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;

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
