//! Periodic maintenance, so that tables do not grow without bound.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::storage::Storage;

/// How long the answer to a request is kept for repetitions; clients may rely on a day.
const KEYS_KEPT: Duration = Duration::from_hours(48);
const EVERY: Duration = Duration::from_mins(10);
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
