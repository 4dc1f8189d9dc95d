//! The part of a session that is replayed.

use crate::storage::{Storage, StorageError};
use relive_session::{Revision, SessionId, Timestamp};

/// A position in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Below 1 means the first.
    Revision(i64),
    /// The newest revision that was reached by then.
    Time(Timestamp),
}

impl Point {
    /// The revision, if it exists. Before the beginning means the beginning.
    pub(super) async fn revision(self, storage: &Storage, session_id: SessionId) -> Result<Revision, StorageError> {
        Ok(match self {
            Self::Revision(revision) => u64::try_from(revision).unwrap_or(0).max(1),
            Self::Time(time) => storage.revision_at(session_id, time).await?.unwrap_or(1),
        })
    }
}

/// From which revision to which; the last grows while the session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub first: Revision,
    pub start_at: Timestamp,
    pub last: Revision,
    pub end_at: Timestamp,
    /// Where to stop, if not at the session's end.
    pub to: Option<Revision>,
    /// Nothing follows `last`: the session has ended, or `to` is reached.
    pub is_complete: bool,
}

impl Range {
    #[must_use]
    pub fn clamp(&self, revision: Revision) -> Revision {
        revision.clamp(self.first, self.last)
    }
}
