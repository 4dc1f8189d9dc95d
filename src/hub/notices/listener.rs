//! Listens for the notices of other servers.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::receiver::Receiver;
use super::{HEARTBEAT, Shared};
use crate::hub::store::{NoticeReceiver, Store};
use crate::storage::StorageError;
use relive_backoff::Backoff;

/// How long the first notice, which is this server's own heartbeat, may take.
const PROBE: Duration = Duration::from_secs(5);
/// This server receives its own heartbeats, so a longer silence means that nothing is received.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(HEARTBEAT.as_secs() * 5 / 2);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(3);

/// Listens, and reconnects when the connection breaks.
pub(super) async fn run(shared: Arc<Shared>, store: Arc<dyn Store>, receiver: Receiver) {
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    let mut warning = WarnOnce::default();
    loop {
        let outcome = match store.listen().await {
            Ok(mut listener) => receive(&shared, &receiver, &mut *listener).await,
            Err(error) => Err(ListenError::Refused(error)),
        };
        match outcome {
            Ok(error) => {
                tracing::debug!(%error, "the connection for notices was lost");
                backoff.reset();
            }
            // An outage of the database is logged elsewhere.
            Err(ListenError::Refused(error)) if error.is_transient() => {}
            Err(error) => {
                shared.peers.set_not_receiving(true);
                warning.make(&error);
            }
        }
        sleep(backoff.next_wait()).await;
    }
}

/// Why no notices are received.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error("{0}")]
    Refused(StorageError),
    #[error("none arrives, as behind a pooler in transaction mode")]
    Silence,
}

/// Logged once: the server works without notices, but its operator should know.
#[derive(Default)]
struct WarnOnce {
    made: bool,
}

impl WarnOnce {
    fn make(&mut self, error: &ListenError) {
        if !std::mem::replace(&mut self.made, true) {
            tracing::warn!(
                reason = %error,
                "no notices from other servers: their commits reach viewers of this server late"
            );
        }
    }
}

/// Handles notices until the connection is lost.
///
/// # Errors
///
/// When not a single notice was received.
async fn receive(
    shared: &Shared,
    receiver: &Receiver,
    listener: &mut dyn NoticeReceiver,
) -> Result<StorageError, ListenError> {
    // Nothing was received until now: sessions in memory and lists may be stale. Ask the other servers
    // whether they know this one; once they do, resync for what they committed before.
    shared.peers.mark_stale();
    shared.outbox.heartbeat();
    receiver.resync_sessions();
    let mut has_heard = false;
    loop {
        match timeout(if has_heard { HEARTBEAT_TIMEOUT } else { PROBE }, listener.next()).await {
            Ok(Ok(payload)) => {
                has_heard = true;
                shared.peers.set_not_receiving(false);
                receiver.handle(&payload);
            }
            Ok(Err(error)) => return Ok(error),
            Err(_) if has_heard => return Ok(StorageError::TimedOut),
            Err(_) => return Err(ListenError::Silence),
        }
        if shared.peers.expire(Instant::now()) {
            receiver.resync();
        }
    }
}
