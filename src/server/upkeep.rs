//! Periodic maintenance, so that tables do not grow without bound.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::storage::{Storage, StorageError};

/// How long the answer to a request is kept for repetitions; clients may rely on a day.
const KEYS_KEPT: Duration = Duration::from_hours(48);
const EVERY: Duration = Duration::from_mins(10);
/// How often command ids are pruned, by one of the servers on the database.
const COMMANDS_EVERY: Duration = Duration::from_hours(1);
/// The pause between two batches, which keeps the load low.
const PAUSE: Duration = Duration::from_millis(200);

/// Deletes old idempotency keys, a few at a time, until the server stops.
pub async fn forget_old_keys(storage: Storage, stop: CancellationToken) {
    let mut pause = EVERY;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = match storage.prune_keys(KEYS_KEPT).await {
            Ok(true) => PAUSE,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::debug!(%error, "old idempotency keys could not be deleted");
                EVERY
            }
        };
    }
}

/// Deletes the command ids of sessions that have ended and have not changed for `kept`, a few at a time, until the
/// server stops.
pub async fn forget_old_commands(storage: Storage, kept: Duration, stop: CancellationToken) {
    let pruning = async {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = prune_commands(&storage, kept).await {
                tracing::debug!(%error, "old command ids could not be deleted");
            }
        }
    };
    stop.run_until_cancelled(pruning).await;
}

async fn prune_commands(storage: &Storage, kept: Duration) -> Result<(), StorageError> {
    if !storage.claim_command_pruning(COMMANDS_EVERY).await? {
        return Ok(());
    }
    let mut after = Uuid::nil();
    while let Some(next) = storage.prune_commands(after, kept).await? {
        after = next;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
