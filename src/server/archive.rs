//! Removes files of the archive of which no record is left.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::archive::Archive;

const EVERY: Duration = Duration::from_secs(15);
/// The pause between two batches, which keeps the load low.
const PAUSE: Duration = Duration::from_millis(200);

/// Removes them, a few at a time, until the server stops.
pub async fn remove_strays(archive: Archive, stop: CancellationToken) {
    if !archive.is_configured() {
        return;
    }
    let mut pause = EVERY;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = match archive.remove_strays().await {
            Ok(true) => PAUSE,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::debug!(%error, "files of the archive could not be removed");
                EVERY
            }
        };
    }
}
