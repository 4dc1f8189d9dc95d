//! Families: who is told when a session gets or loses children, or its parent is deleted.
//!
//! The number of a session's children is no part of its state. The database keeps it; a session in memory remembers it
//! until a child is added or goes, here or on another server.

use std::collections::HashMap;

use super::Hub;
use crate::storage::StorageError;
use relive_session::SessionId;

/// Children whose revisions are read by one query.
const CHILDREN: usize = 1_000;

impl Hub {
    /// A child of this session was stored or deleted.
    pub(super) fn family_changed(&self, parent: Option<SessionId>) {
        let Some(parent) = parent else { return };
        self.inner.remote_sync.family_changed(parent);
        self.inner.fanout.family_changed(parent);
    }

    /// The parent of these sessions was deleted, which the database has recorded in each of them.
    pub(super) async fn announce_released(&self, children: &[SessionId]) {
        for some in children.chunks(CHILDREN) {
            match self.inner.store.versions(some).await {
                Ok(stored) => {
                    for (id, version) in stored {
                        self.inner.remote_sync.announced(id, version.revision);
                        self.inner.fanout.released(id, version.revision);
                    }
                }
                // The periodic comparison finds them.
                Err(error) => tracing::debug!(%error, "the children of a deleted session are told later"),
            }
        }
    }

    /// How many children these sessions have, of those that are in memory; for others it is read with the rest. Read
    /// from the database only once after each change.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn child_counts(&self, held: &[SessionId]) -> Result<HashMap<SessionId, u64>, StorageError> {
        let (mut known, mut unknown) = (HashMap::new(), Vec::new());
        for id in held {
            let Some(live) = self.inner.registry.peek(*id) else { continue };
            match live.children().known() {
                Ok(count) => drop(known.insert(*id, count)),
                Err(generation) => unknown.push((*id, live, generation)),
            }
        }
        if unknown.is_empty() {
            return Ok(known);
        }
        let ids: Vec<SessionId> = unknown.iter().map(|(id, ..)| *id).collect();
        let counts = self.inner.store.child_counts(&ids).await?;
        for (id, live, generation) in unknown {
            let count = counts.get(&id).copied().unwrap_or_default();
            live.children().learn(generation, count);
            known.insert(id, count);
        }
        Ok(known)
    }
}
