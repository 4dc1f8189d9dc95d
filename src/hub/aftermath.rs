//! What follows a commit: whoever must be told of it is told, though the client has left meanwhile or
//! the database's answer was lost.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::Hub;
use super::error::HubError;
use crate::storage::StorageError;
use relive_session::{SessionId, SessionSummary};

/// How long the outcome of a change is looked for whose answer was lost.
const LOOK: Duration = Duration::from_mins(10);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

impl Hub {
    /// Runs work to its end in a task of the hub, whether or not the caller waits for it; the hub's
    /// shutdown does. For what commits a change and then has to tell of it.
    ///
    /// # Errors
    ///
    /// Those of the work; [`HubError::Internal`] when it panicked.
    pub async fn carry_through<T, E>(&self, work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<HubError> + Send + 'static,
    {
        let task = self.inner.tasks.spawn(work.in_current_span());
        task.await.unwrap_or_else(|_| Err(HubError::Internal.into()))
    }

    /// The error for a change whose answer may have been lost after it was committed: then it is looked
    /// for, and told of if it took effect. `deleted` is the session's summary before it was deleted;
    /// none when it was made.
    pub(super) fn in_doubt(&self, error: StorageError, id: SessionId, deleted: Option<SessionSummary>) -> HubError {
        self.look_for_outcome(&error, id, deleted);
        error.into()
    }

    pub(super) fn look_for_outcome(&self, error: &StorageError, id: SessionId, deleted: Option<SessionSummary>) {
        if error.is_transient() {
            let (hub, stop) = (self.clone(), self.inner.stop.clone());
            self.inner.tasks.spawn(stop.run_until_cancelled_owned(hub.tell_outcome(id, deleted)));
        }
    }

    async fn tell_outcome(self, id: SessionId, deleted: Option<SessionSummary>) {
        let (until, mut pause) = (Instant::now() + LOOK, FIRST_RETRY);
        while Instant::now() < until {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_RETRY);
            let Ok(stored) = self.inner.store.versions(&[id]).await else { continue };
            let stored = stored.get(&id);
            if let Some(summary) = deleted {
                // Another one may be stored in its place by now.
                if stored.is_none_or(|stored| stored.created_at != summary.created_at) {
                    self.tell_deleted(summary);
                } else {
                    return;
                }
            }
            if stored.is_some() {
                self.appeared(id);
            }
            return;
        }
    }
}
