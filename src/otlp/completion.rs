//! Completes the session of a trace once its root span has ended and no new span has arrived for a while.
//!
//! Every server looks for them; a row that one looks at is not looked at by another for a while. The end is written
//! on the condition that nothing came since.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::mapping;
use crate::hub::{Hub, HubError, Submission};
use crate::storage::{OpenTrace, Storage, StorageError};
use relive_session::{Command, Refusal, Session, Timestamp};

/// Traces looked at in one round.
const ROUND: u32 = 100;
/// A trace whose root never comes is ended after this time without news.
const ROOTLESS: Duration = Duration::from_hours(24);
/// The longest time between two looks at a trace.
const LONGEST: Duration = Duration::from_mins(10);

/// Ends traces until it is shut down.
#[derive(Debug)]
pub struct TraceCompleter {
    stop: CancellationToken,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl TraceCompleter {
    #[must_use]
    pub fn start(hub: Hub, storage: Storage, idle: Duration) -> Self {
        let stop = CancellationToken::new();
        let looking = Looking { hub, storage, idle };
        let task = tokio::spawn(looking.run(stop.clone()));
        Self { stop, task: parking_lot::Mutex::new(Some(task)) }
    }

    /// Stops, after the end that is being written.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A task that panicked has said so itself.
            let _ = task.await;
        }
    }
}

struct Looking {
    hub: Hub,
    storage: Storage,
    idle: Duration,
}

impl Looking {
    async fn run(self, stop: CancellationToken) {
        let every = (self.idle / 4).clamp(Duration::from_millis(250), Duration::from_secs(10));
        let mut pause = every;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            pause = match self.round().await {
                // There may be more.
                Ok(ROUND) => Duration::ZERO,
                Ok(_) => every,
                Err(error) => {
                    tracing::debug!(%error, "traces that have ended could not be looked for");
                    every
                }
            };
        }
    }

    /// Looks at traces that are due; returns how many there were.
    async fn round(&self) -> Result<u32, StorageError> {
        let due = self.storage.due_traces(self.idle / 2, ROUND).await?;
        let mut looked_at = 0;
        for trace in due {
            looked_at += 1;
            self.look(trace).await?;
        }
        Ok(looked_at)
    }

    async fn look(&self, trace: OpenTrace) -> Result<(), StorageError> {
        match self.hub.session(trace.session_id).await {
            Ok(session) if session.status.is_ended() => self.storage.forget_open_trace(trace.session_id).await,
            Ok(session) => self.may_end(&session).await,
            // Noted for a session that was not made, or was deleted.
            Err(HubError::NotFound) if trace.age >= self.idle => self.storage.forget_open_trace(trace.session_id).await,
            Err(_) => Ok(()),
        }
    }

    async fn may_end(&self, session: &Session) -> Result<(), StorageError> {
        let now = Timestamp::now();
        if !mapping::is_idle(session, now, self.idle) {
            return Ok(());
        }
        let outcome = match mapping::ended(session) {
            Some(outcome) => outcome,
            None if mapping::is_idle(session, now, ROOTLESS) => Err("the root span of the trace never came".to_owned()),
            None => {
                let later = now.since(session.updated_at).min(LONGEST).max(self.idle / 2);
                return self.storage.defer_open_trace(session.id, later).await;
            }
        };
        match self.end(session, outcome).await {
            Ok(()) => self.storage.forget_open_trace(session.id).await,
            // Something came, or the database is away: it is looked at again.
            Err(HubError::Refused(Refusal::RevisionConflict { .. }) | HubError::Unavailable | HubError::NotFound) => {
                Ok(())
            }
            Err(error) => {
                tracing::warn!(session_id = %session.id, %error, "the session of a trace could not be ended");
                Ok(())
            }
        }
    }

    async fn end(&self, session: &Session, outcome: Result<(), String>) -> Result<(), HubError> {
        // Nobody resumes a trace.
        let resume = (session.status == relive_session::SessionStatus::Paused).then_some(Command::Resume);
        let commands = resume.into_iter().chain(mapping::end(session, outcome)).collect();
        let submission = Submission {
            by: self.hub.engine_actor(),
            expected_revision: Some(session.revision),
            expected_identity: Some(session.identity()),
            ..Submission::new(session.id, commands)
        };
        self.hub.execute(submission).await.map(drop)
    }
}
