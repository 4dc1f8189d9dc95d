//! The WebSocket frames: one JSON object each, tagged by `type`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{ErrorCode, ReplayAction, ReplaySpeed, ReplayState};
use relive_session::{
    Actor, Command, Event, Log, Message, MessageId, NodeId, ProjectId, Revision, SessionId, SessionStatus,
    SessionSummary, Timestamp, WorkflowSession,
};

/// The kind of frames a viewer is sent when the session changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum Mode {
    /// The newest whole state.
    #[default]
    Snapshot,
    /// The changes since the revision this viewer was last sent.
    Delta,
    /// Every event, in order.
    Events,
}

/// Which session to watch, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct Subscribe {
    pub session_id: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The last revision the client holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub after: Option<Revision>,
    /// Whether to send `message` frames as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<bool>,
    /// Whether to send `log` frames as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<bool>,
    /// The least time between two states, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub min_interval_ms: Option<u64>,
}

/// One command, or several that are carried out atomically.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct CommandFrame {
    /// Chosen by the client; the `ack` or `error` carries it back.
    pub id: String,
    pub session_id: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<Command>>,
    /// Makes a repetition harmless: the same id for the same session is carried out once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Refuse unless the session is at this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub expected_revision: Option<Revision>,
    /// The sender drives the session, and renews its lease: 5 to 3600. A command in the frame may have it as well; the
    /// longest counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u32>,
    /// The trace that the command belongs to (W3C Trace Context), if it is another one than that of the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

/// Client → server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub enum ClientFrame {
    Subscribe(Subscribe),
    #[serde(rename_all = "camelCase")]
    Unsubscribe {
        session_id: SessionId,
    },
    Command(Box<CommandFrame>),
    /// A live chunk of a message that is still being written: not stored, not answered.
    #[serde(rename_all = "camelCase")]
    Token {
        session_id: SessionId,
        node_id: NodeId,
        message_id: MessageId,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        is_thinking: Option<bool>,
    },
    #[serde(rename_all = "camelCase")]
    Replay {
        action: ReplayAction,
        /// Where to `seek` to. A negative one on a `step` means back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "number", optional)]
        revision: Option<i64>,
        /// The recorded time to `seek` to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed: Option<ReplaySpeed>,
        /// The direction of a `step`; forward if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "-1 | 1", optional)]
        by: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    Auth {
        token: String,
    },
    Ping,
}

/// A frame's `id`, returned as it was: a text, or a number from clients that use numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Given {
    Text(String),
    Number(serde_json::Number),
}

impl Given {
    /// Bytes of a text that is returned.
    const BYTES: usize = 1_024;

    /// `None` for a value that cannot be an id.
    #[must_use]
    pub fn of(value: Value) -> Option<Self> {
        match value {
            Value::String(text) if text.len() <= Self::BYTES => Some(Self::Text(text)),
            Value::Number(number) => Some(Self::Number(number)),
            _ => None,
        }
    }

    /// The session's id, if it is one.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Number(_) => None,
        }
    }
}

impl From<String> for Given {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<SessionId> for Given {
    fn from(id: SessionId) -> Self {
        Self::Text(id.to_string())
    }
}

/// What happened to a session in a live list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "protocol.ts")]
pub enum SessionChange {
    Added,
    Changed,
    Removed,
}

/// Server → client. A session's frames contain nothing that is specific to one viewer, so one encoding
/// serves all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub enum ServerFrame {
    /// The first answer to a `subscribe` on `/ws`.
    #[serde(rename_all = "camelCase")]
    Subscribed {
        session_id: SessionId,
        #[ts(type = "number")]
        revision: Revision,
        mode: Mode,
    },
    #[serde(rename_all = "camelCase")]
    Snapshot {
        session_id: SessionId,
        #[ts(type = "number")]
        revision: Revision,
        session: Box<WorkflowSession>,
    },
    /// An RFC 7396 merge patch on the `WorkflowSession` at revision `base`.
    #[serde(rename_all = "camelCase")]
    Delta {
        session_id: SessionId,
        #[ts(type = "number")]
        base: Revision,
        #[ts(type = "number")]
        revision: Revision,
        #[ts(type = "Record<string, unknown>")]
        patch: Map<String, Value>,
    },
    #[serde(rename_all = "camelCase")]
    Event {
        session_id: SessionId,
        #[ts(type = "number")]
        revision: Revision,
        at: Timestamp,
        /// As in `Recorded`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        by: Option<Arc<Actor>>,
        event: Event,
    },
    #[serde(rename_all = "camelCase")]
    Message {
        session_id: SessionId,
        #[ts(type = "number")]
        revision: Revision,
        message: Message,
    },
    #[serde(rename_all = "camelCase")]
    Log {
        session_id: SessionId,
        #[ts(type = "number")]
        revision: Revision,
        log: Log,
    },
    #[serde(rename_all = "camelCase")]
    Token {
        session_id: SessionId,
        node_id: NodeId,
        message_id: MessageId,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        is_thinking: Option<bool>,
    },
    #[serde(rename_all = "camelCase")]
    Ack {
        id: String,
        session_id: SessionId,
        #[ts(type = "number")]
        revision: Revision,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        duplicate: Option<bool>,
    },
    /// With the `id` and the `sessionId` of the frame it answers, unchanged.
    #[serde(rename_all = "camelCase")]
    Error {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "string", optional)]
        #[schema(value_type = Option<String>)]
        id: Option<Given>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(type = "string", optional)]
        #[schema(value_type = Option<String>)]
        session_id: Option<Given>,
        code: ErrorCode,
        message: String,
        retryable: bool,
    },
    /// The session has ended. Its status does not change any more; usage, messages, logs and memories may
    /// follow for a minute. In a replay, its end has been reached.
    #[serde(rename_all = "camelCase")]
    End {
        session_id: SessionId,
        status: SessionStatus,
        #[ts(type = "number")]
        revision: Revision,
    },
    /// The position of a replay: after every control, and while it plays.
    ReplayState(Box<ReplayState>),
    /// The first frame of a live list, sent again whenever a viewer fell too far behind.
    ///
    /// `nextCursor`: there are older ones; `GET /sessions` with the same filters continues there. From
    /// now on `removed` is also sent for those, whether the client has read them or not.
    #[serde(rename_all = "camelCase")]
    Sessions {
        sessions: Vec<SessionSummary>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        next_cursor: Option<String>,
    },
    /// One session of a live list.
    #[serde(rename_all = "camelCase")]
    Session {
        change: SessionChange,
        session: Box<SessionSummary>,
    },
    /// The answer to `auth`: what the new token allows.
    #[serde(rename_all = "camelCase")]
    Authenticated {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        role: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        scopes: Option<Vec<String>>,
        project: ProjectId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[ts(optional)]
        expires_at: Option<Timestamp>,
    },
    /// The credential of this socket expires soon: send `auth` with a new one.
    #[serde(rename_all = "camelCase")]
    Expiring {
        expires_at: Timestamp,
    },
    Pong,
}
