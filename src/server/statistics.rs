//! Keeps statistics added up in the background (see `storage/statistics`).

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::storage::{Storage, StorageError};

/// How often it is looked for changes.
const EVERY: Duration = Duration::from_secs(5);
/// The pause between two batches, which keeps the load low.
const PAUSE: Duration = Duration::from_millis(20);
/// How often it is looked for what deleted projects have left, in rounds.
const PROJECTS_EVERY: u32 = 120;

/// Counts the runs that ended before this version was installed, and adds up what has changed, until the server stops.
pub async fn keep_statistics(storage: Storage, stop: CancellationToken) {
    let (mut pause, mut round, mut is_counting) = (EVERY, 0, true);
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let work = work(&storage, &mut is_counting, round % PROJECTS_EVERY == 0);
        pause = match stop.run_until_cancelled(work).await {
            Some(Ok(true)) => PAUSE,
            Some(Ok(false)) => {
                round += 1;
                EVERY
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "statistics could not be added up");
                EVERY
            }
            None => return,
        };
    }
}

/// Returns whether there is more to do.
async fn work(storage: &Storage, is_counting: &mut bool, looks_at_projects: bool) -> Result<bool, StorageError> {
    // While another server does the same, this one looks again later.
    let counted = if *is_counting { storage.count_earlier_runs().await? } else { Some(false) };
    *is_counting = counted.unwrap_or(true);
    let is_noting = storage.note_stale_statistics().await?;
    let is_adding = storage.add_up_statistics().await?.unwrap_or_default();
    let is_forgetting = looks_at_projects && storage.forget_statistics_of_deleted_projects().await?;
    Ok(counted.unwrap_or_default() || is_noting || is_adding || is_forgetting)
}
