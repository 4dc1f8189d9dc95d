//! Commits outside the lanes (create, fork, delete, import): they run to completion, and lists, viewers and other
//! servers are notified, even if the client has disconnected or the database's answer was lost.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::Hub;
use super::error::HubError;
use crate::storage::StorageError;
use relive_backoff::Backoff;
use relive_session::{SessionId, SessionSummary};

/// How long the outcome of a change is looked up after its answer was lost.
const LOOKUP_TIME: Duration = Duration::from_mins(10);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(2);

impl Hub {
    /// Runs work to completion in a task of the hub, whether or not the caller still waits; shutdown waits
    /// for it too. For changes that are committed first and announced afterwards.
    ///
    /// # Errors
    ///
    /// Those of the work; [`HubError::Internal`] if it panicked.
    pub async fn run_to_completion<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<HubError> + Send + 'static,
    {
        let task = self.inner.tasks.spawn(work.in_current_span());
        task.await.unwrap_or_else(|_| Err(HubError::Internal.into()))
    }

    /// Handles an error after which the change may have been committed nevertheless: looks up the outcome,
    /// and announces the change if it took effect. `deleted` is the summary of a session before its
    /// deletion, `None` for a creation.
    pub(super) fn in_doubt(&self, error: StorageError, id: SessionId, deleted: Option<SessionSummary>) -> HubError {
        self.look_up_outcome(&error, id, deleted);
        error.into()
    }

    pub(super) fn look_up_outcome(&self, error: &StorageError, id: SessionId, deleted: Option<SessionSummary>) {
        if error.is_transient() {
            let (hub, stop) = (self.clone(), self.inner.stop.clone());
            self.inner.tasks.spawn(stop.run_until_cancelled_owned(hub.announce_outcome(id, deleted)));
        }
    }

    async fn announce_outcome(self, id: SessionId, deleted: Option<SessionSummary>) {
        let (until, mut backoff) = (Instant::now() + LOOKUP_TIME, Backoff::new(FIRST_RETRY, LAST_RETRY));
        while Instant::now() < until {
            tokio::time::sleep(backoff.next_wait()).await;
            let Ok(stored) = self.inner.store.versions(&[id]).await else { continue };
            let stored = stored.get(&id);
            if let Some(summary) = deleted {
                // By now another session may be stored under this id.
                if stored.is_none_or(|stored| stored.identity != summary.identity()) {
                    self.announce_deleted(summary);
                } else {
                    return;
                }
            }
            if stored.is_some() {
                let parent = self.session(id).await.ok().and_then(|session| session.parent());
                self.appeared(id, parent);
            }
            return;
        }
    }
}
