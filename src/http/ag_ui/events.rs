//! The events of AG-UI 1.0, as far as they are sent here.

use std::fmt;

use relive_session::{NodeId, Revision, SessionId, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// The version of the protocol.
pub const VERSION: &str = "1.0";

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
pub enum AgUiEvent<'a> {
    RunStarted {
        thread_id: &'a str,
        run_id: &'a str,
        protocol_version: &'static str,
    },
    RunFinished {
        thread_id: &'a str,
        run_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<AgUiOutcome>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        usage: Vec<AgUiUsage<'a>>,
    },
    RunError {
        message: &'a str,
        code: &'a str,
    },
    StepStarted {
        step_name: &'a str,
    },
    StepFinished {
        step_name: &'a str,
    },
    TextMessageStart {
        message_id: &'a str,
        role: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
    },
    TextMessageContent {
        message_id: &'a str,
        delta: &'a str,
    },
    TextMessageEnd {
        message_id: &'a str,
    },
    ReasoningStart {
        message_id: &'a str,
    },
    ReasoningMessageStart {
        message_id: &'a str,
        role: &'static str,
    },
    ReasoningMessageContent {
        message_id: &'a str,
        delta: &'a str,
    },
    ReasoningMessageEnd {
        message_id: &'a str,
    },
    ReasoningEnd {
        message_id: &'a str,
    },
    ToolCallStart {
        tool_call_id: &'a str,
        tool_call_name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_message_id: Option<&'a str>,
    },
    ToolCallArgs {
        tool_call_id: &'a str,
        delta: &'a str,
    },
    ToolCallEnd {
        tool_call_id: &'a str,
    },
    ToolCallResult {
        message_id: &'a str,
        tool_call_id: &'a str,
        content: &'a str,
        role: &'static str,
    },
    StateSnapshot {
        snapshot: &'a Value,
    },
    StateDelta {
        delta: &'a [PatchOperation],
    },
}

/// Why a run has finished, other than by succeeding.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum AgUiOutcome {
    Interrupt { interrupts: Vec<Interrupt> },
    Cancelled,
}

/// A question that has to be answered before the run continues.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupt {
    pub id: String,
    pub reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub response_schema: Value,
    pub metadata: Value,
}

/// What the calls of one model have used.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgUiUsage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

/// An operation of a JSON Patch (RFC 6902).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOperation {
    Add { path: String, value: Value },
    Replace { path: String, value: Value },
    Remove { path: String },
}

#[derive(Serialize)]
struct Timed<'a> {
    #[serde(flatten)]
    event: &'a AgUiEvent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
}

impl AgUiEvent<'_> {
    /// As JSON, with the time of what it tells, if it is known.
    pub fn encode(&self, at: Option<Timestamp>) -> String {
        let timed = Timed { event: self, timestamp: at.map(Timestamp::as_millis) };
        serde_json::to_string(&timed).unwrap_or_else(|error| {
            // Events hold string keys and finite numbers only; nothing else can fail.
            tracing::error!(%error, "an event of AG-UI could not be encoded");
            r#"{"type":"RUN_ERROR","message":"the server failed","code":"internal"}"#.to_owned()
        })
    }
}

/// The address of a waiting node in answers, and how far the client had been shown the run when it was asked:
/// `SESSION:NODE:ATTEMPT@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterruptId {
    pub session_id: SessionId,
    pub node_id: NodeId,
    pub attempt: u32,
    pub revision: Revision,
}

impl fmt::Display for InterruptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session_id, node_id, attempt, revision } = self;
        write!(f, "{session_id}:{node_id}:{attempt}@{revision}")
    }
}

impl InterruptId {
    /// Which question it is, however far the client had been shown the run.
    pub fn question(&self) -> String {
        format!("{}:{}", self.node_id, self.attempt)
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (session_id, rest) = text.split_once(':')?;
        let (node_id, rest) = rest.rsplit_once(':')?;
        let (attempt, revision) = rest.split_once('@')?;
        Some(Self {
            session_id: session_id.parse().ok()?,
            node_id: node_id.into(),
            attempt: attempt.parse().ok()?,
            revision: revision.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_interrupts_are_read_as_they_are_written() {
        let (session_id, node_id) = (SessionId::generate(), "a:b@2#1".into());
        let id = InterruptId { session_id, node_id, attempt: 3, revision: 17 };
        assert_eq!(InterruptId::parse(&id.to_string()), Some(id));
        for rest in ["", "n", "n:1", "n:x@1", "n:1@x", "n:1@"] {
            assert_eq!(InterruptId::parse(&format!("{session_id}:{rest}")), None, "{rest}");
        }
        assert_eq!(InterruptId::parse("x:n:1@1"), None);
    }
}
