//! Numbers as PostgreSQL stores them.

use relive_session::Revision;

/// Revisions are `bigint`s; no history is long enough to tell the difference.
pub(super) fn bigint(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
