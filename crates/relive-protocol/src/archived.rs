//! Sessions in the archive: moved from the database to files.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ArchiveCounts, Names};
use relive_session::{SessionSummary, Timestamp};

/// An archived session, as it was, and its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct ArchivedSession {
    pub session: SessionSummary,
    pub archived_at: Timestamp,
    pub file: ArchivedFile,
    /// The lines of the file of each kind; `events` is the session's revision.
    pub counts: ArchiveCounts,
}

/// A file of the archive: the lines of an export, compressed with zstd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct ArchivedFile {
    /// Its path in the archive.
    pub name: String,
    #[ts(type = "number")]
    pub bytes: u64,
    /// Of the file as it is stored, in hexadecimal digits.
    pub sha256: String,
}

/// `GET /archive`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ArchivePage {
    pub sessions: Vec<ArchivedSession>,
    /// Absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST /archive`: which sessions are archived, as in a rule of retention. Every given condition must hold; sessions
/// that have not ended are never archived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct ArchiveSessions {
    /// Any of `completed`, `failed` and `cancelled`; by default all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Names>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Days since the end: 0 to 36500, fractions too.
    pub older_than_days: f64,
    /// `true`: only count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// The answer to `POST /archive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct ArchivedSessions {
    /// Sessions that were found, and with `dryRun` would be archived.
    #[ts(type = "number")]
    pub matched: u64,
    /// 0 with `dryRun`.
    #[ts(type = "number")]
    pub archived: u64,
    /// Sessions that could not be archived, each for a reason of its own, which the server's log has.
    #[ts(type = "number")]
    pub failed: u64,
    pub dry_run: bool,
    /// True if there are more: a request archives up to 1,000 in up to 20 s, and counts up to 100,000. Send it again.
    pub has_more: bool,
}
