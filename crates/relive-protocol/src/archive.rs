//! A session as a file: the lines of `GET /sessions/{id}/export` and `POST /sessions/import`.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;

use relive_session::{GraphDefinition, Log, Memory, Message, NodeId, Recorded, Revision, SessionId, Timestamp};

/// The value of `format` in the first line.
pub const ARCHIVE_FORMAT: &str = "relive-session";
/// The value of `version` in the first line.
pub const ARCHIVE_VERSION: u32 = 1;

/// One line of an exported session. The kinds come in the order in which they are listed here.
///
/// Every line also ends with a member `check`: the first eight hexadecimal digits of the SHA-256 of
/// all lines up to and including this one, each without its `check` and with a line feed after it. So
/// the first line that was altered, lost, repeated or moved is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(export_to = "archive.ts", optional_fields)]
pub enum ArchiveLine {
    /// The first line.
    Header(Box<ArchiveHeader>),
    /// An event, as in `GET /sessions/{id}/events`.
    Event(Recorded),
    /// An ancestor of this session, up to the revision at which the fork was made; only for
    /// forks. Depth 1 is the session it was forked from.
    #[serde(rename_all = "camelCase")]
    Ancestor {
        #[ts(type = "number")]
        depth: u32,
        session_id: SessionId,
        #[ts(type = "number")]
        revision: Revision,
    },
    /// An output of a node from before the fork, by depth and revision.
    #[serde(rename_all = "camelCase")]
    Output {
        #[ts(type = "number")]
        depth: u32,
        #[ts(type = "number")]
        revision: Revision,
        #[ts(type = "unknown")]
        output: Value,
    },
    /// Usage from before the fork, by node, agent and model.
    Usage(ArchiveUsage),
    /// A message, with the revision that added it; those of ancestors (`depth`) first.
    #[serde(rename_all = "camelCase")]
    Message {
        #[serde(default, skip_serializing_if = "is_zero")]
        #[ts(as = "Option<u32>", optional)]
        depth: u32,
        #[ts(type = "number")]
        revision: Revision,
        message: Message,
    },
    /// A log line; those of ancestors (`depth`) first. It has the revision that added it.
    #[serde(rename_all = "camelCase")]
    Log {
        #[serde(default, skip_serializing_if = "is_zero")]
        #[ts(as = "Option<u32>", optional)]
        depth: u32,
        log: Log,
    },
    /// A memory, with its embedding.
    Memory { memory: Memory },
    /// The last line: without it the file is incomplete.
    #[serde(rename_all = "camelCase")]
    End {
        counts: ArchiveCounts,
        /// The `check` of all lines before this one.
        sha256: String,
    },
}

/// The content of the first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "archive.ts", optional_fields)]
pub struct ArchiveHeader {
    /// Always `relive-session`.
    pub format: String,
    /// 1. Files of an unknown version are refused.
    #[ts(type = "number")]
    pub version: u32,
    pub exported_at: Timestamp,
    /// The state after all events.
    #[ts(as = "relive_session::WorkflowSession")]
    #[schema(value_type = relive_session::WorkflowSession)]
    pub session: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphDefinition>,
    /// As far as they are known when the export begins; the last line has the exact numbers.
    pub counts: ArchiveCounts,
}

/// The number of lines of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "archive.ts")]
pub struct ArchiveCounts {
    #[ts(type = "number")]
    pub events: u64,
    #[ts(type = "number")]
    pub messages: u64,
    /// Absent in files of versions without log lines.
    #[serde(default)]
    #[ts(type = "number")]
    pub logs: u64,
    #[ts(type = "number")]
    pub memories: u64,
}

impl ArchiveCounts {
    #[must_use]
    pub fn lines(&self) -> u64 {
        let texts = self.messages.saturating_add(self.logs).saturating_add(self.memories);
        self.events.saturating_add(texts)
    }
}

/// Tokens and cost of one node, by one agent with one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "archive.ts", optional_fields)]
pub struct ArchiveUsage {
    pub node_id: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[ts(type = "number")]
    pub calls: u64,
    #[ts(type = "number")]
    pub input_tokens: u64,
    #[ts(type = "number")]
    pub output_tokens: u64,
    /// A decimal as text: sums can have more digits than a number keeps.
    #[serde(with = "rust_decimal::serde::str")]
    #[ts(type = "string")]
    #[schema(value_type = String)]
    pub cost_usd: Decimal,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(depth: &u32) -> bool {
    *depth == 0
}
