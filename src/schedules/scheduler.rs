//! Looks for schedules that are due.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::firing::Firing;
use crate::access::Access;
use crate::engine::Engine;
use crate::hub::Hub;
use crate::storage::{Storage, StorageError};

/// How often the database is looked at.
const POLL: Duration = Duration::from_secs(1);
/// Schedules fired in one round.
const ROUND: u32 = 20;
/// How long a server may take to fire the schedules of a round before another one does it too.
const CLAIM: Duration = Duration::from_secs(30);

/// Fires schedules until it is shut down.
#[derive(Debug)]
pub struct Scheduler {
    stop: CancellationToken,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl Scheduler {
    /// Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(hub: Hub, storage: Storage, access: Access, engine: Engine) -> Self {
        let stop = CancellationToken::new();
        let firing = Firing { hub, storage, access, engine };
        let task = tokio::spawn(run(firing, stop.clone()));
        Self { stop, task: parking_lot::Mutex::new(Some(task)) }
    }

    /// Stops, after the runs that are being started.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A task that panicked has said so itself.
            let _ = task.await;
        }
    }
}

async fn run(firing: Firing, stop: CancellationToken) {
    let mut pause = POLL;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = match round(&firing).await {
            // There may be more.
            Ok(ROUND) => Duration::ZERO,
            Ok(_) => POLL,
            Err(error) => {
                tracing::debug!(%error, "schedules that are due could not be looked for");
                POLL
            }
        };
    }
}

/// Fires schedules that are due; returns how many there were.
async fn round(firing: &Firing) -> Result<u32, StorageError> {
    let due = firing.storage.claim_due_schedules(CLAIM, ROUND).await?;
    let mut fired = 0;
    for schedule in due {
        fired += 1;
        firing.fire(&schedule).await?;
    }
    Ok(fired)
}
