//! Looks at alerts that are due.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{StreamExt as _, stream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::evaluation::evaluate;
use crate::storage::{DueAlert, Storage, StorageError};

/// How often the database is looked at.
const POLL: Duration = Duration::from_secs(1);
/// Alerts claimed at once.
const ROUND: u32 = 20;
/// Alerts looked at side by side, each with statements of its own.
const SIDE_BY_SIDE: usize = 2;

/// Looks at alerts until it is shut down.
#[derive(Debug)]
pub(super) struct Evaluator {
    stop: CancellationToken,
    task: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl Evaluator {
    /// Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(storage: Storage) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(storage, stop.clone()));
        Self { stop, task: parking_lot::Mutex::new(Some(task)) }
    }

    /// Stops. What has been claimed is due again in a while, for another server or at the next start.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            // A task that panicked has said so itself.
            let _ = task.await;
        }
    }
}

async fn run(storage: Storage, stop: CancellationToken) {
    let mut pause = POLL;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = match stop.run_until_cancelled(round(&storage)).await {
            // There may be more.
            Some(Ok(true)) => Duration::ZERO,
            Some(Ok(false)) => POLL,
            Some(Err(error)) => {
                tracing::debug!(%error, "alerts that are due could not be looked for");
                POLL
            }
            None => return,
        };
    }
}

/// Looks at alerts that are due; returns whether there may be more.
async fn round(storage: &Storage) -> Result<bool, StorageError> {
    let due = storage.claim_due_alerts(ROUND).await?;
    let may_be_more = due.len() == ROUND as usize;
    let looks: Vec<BoxFuture<'_, ()>> = due.iter().map(|due| look(storage, due).boxed()).collect();
    stream::iter(looks).buffer_unordered(SIDE_BY_SIDE).collect::<()>().await;
    Ok(may_be_more)
}

async fn look(storage: &Storage, due: &DueAlert) {
    match evaluate(storage, due).await {
        Ok(None) => {}
        Ok(Some(change)) => {
            metrics::counter!("relive_alert_changes_total", "change" => change.as_str()).increment(1);
            tracing::info!(alert = %due.alert.id, project = %due.project, change = change.as_str(), "an alert has changed");
        }
        Err(error) => {
            metrics::counter!("relive_alert_failures_total").increment(1);
            if error.is_transient() {
                tracing::debug!(%error, alert = %due.alert.id, "an alert could not be looked at");
            } else {
                tracing::error!(%error, alert = %due.alert.id, "an alert could not be looked at");
            }
        }
    }
}
