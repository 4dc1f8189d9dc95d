//! Which lane a session belongs to.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use relive_session::SessionId;

/// A session is always in the same lane.
pub(super) fn lane_of(id: SessionId, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    usize::try_from(hasher.finish() % lanes as u64).unwrap_or_default()
}
