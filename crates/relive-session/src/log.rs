//! Log lines of nodes. The state does not hold them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{NodeId, Revision, SessionId, Timestamp};

/// How important a log line is, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "session.ts")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    pub const ALL: [Self; 4] = [Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// Its place in the order, as the database keeps it.
    #[must_use]
    pub fn rank(self) -> i16 {
        self as i16
    }

    /// The inverse of [`Self::rank`].
    #[must_use]
    pub fn of_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.rank() == rank)
    }
}

/// A log line of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "session.ts", optional_fields)]
pub struct Log {
    pub session_id: SessionId,
    /// The revision that added it: with `sessionId`, its identity.
    #[ts(type = "number")]
    pub revision: Revision,
    pub node_id: NodeId,
    pub level: LogLevel,
    pub text: Arc<str>,
    /// The client's time if it gave one, otherwise the time of recording.
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "super::labels::no_metadata")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = std::collections::BTreeMap<String, super::MetadataValue>, required = false)]
    pub attributes: Arc<Map<String, Value>>,
}

/// A log line was stored. Its text and attributes live in a row of their own, not in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct LogAdded {
    pub node_id: NodeId,
    pub level: LogLevel,
    /// The client's time, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Present only on the way to its row and to live viewers.
    #[serde(skip)]
    #[schema(ignore)]
    #[ts(skip)]
    pub row: Option<LogRow>,
}

/// The part of a log line that is stored in its row and not in its event.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    pub text: Arc<str>,
    pub attributes: Arc<Map<String, Value>>,
}

impl LogAdded {
    /// The line itself, of an event recorded at `at`; `None` if the event was read without its text.
    #[must_use]
    pub fn log(&self, session_id: SessionId, revision: Revision, at: Timestamp) -> Option<Log> {
        let row = self.row.as_ref()?;
        Some(Log {
            session_id,
            revision,
            node_id: self.node_id.clone(),
            level: self.level,
            text: Arc::clone(&row.text),
            at: self.at.unwrap_or(at),
            attributes: Arc::clone(&row.attributes),
        })
    }
}
