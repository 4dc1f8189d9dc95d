//! Hears what other servers tell.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::notice::Notice;
use super::{HEARTBEAT, Shared};
use crate::hub::remote_sync::RemoteSync;
use crate::hub::store::{NoticeReceiver, Store};
use crate::storage::StorageError;
use relive_backoff::Backoff;

/// How long the first notice may take, which is this server's own.
const PROBE: Duration = Duration::from_secs(5);
/// As this server hears itself say that it is here, a longer silence means that it hears nothing.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(HEARTBEAT.as_secs() * 5 / 2);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(3);

/// Listens, again and again.
pub(super) async fn run(shared: Arc<Shared>, store: Arc<dyn Store>, remote_sync: RemoteSync) {
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    let mut warning = WarnOnce::default();
    loop {
        let heard = match store.listen().await {
            Ok(mut listener) => hear(&shared, &remote_sync, &mut *listener).await,
            Err(error) => Err(ListenError::Refused(error)),
        };
        match heard {
            Ok(error) => {
                tracing::debug!(%error, "the connection for notices was lost");
                backoff.reset();
            }
            // A database that is away has others to complain of it.
            Err(ListenError::Refused(error)) if error.is_transient() => {}
            Err(error) => {
                shared.peers.set_unheard(true);
                warning.make(&error);
            }
        }
        sleep(backoff.next_wait()).await;
    }
}

/// Why nothing is heard at all.
#[derive(Debug, thiserror::Error)]
enum ListenError {
    #[error("{0}")]
    Refused(StorageError),
    #[error("none comes through, as behind a pooler that lends connections for one transaction each")]
    Silence,
}

/// Said once: the server works without notices, and whoever runs it should know.
#[derive(Default)]
struct WarnOnce {
    made: bool,
}

impl WarnOnce {
    fn make(&mut self, error: &ListenError) {
        if !std::mem::replace(&mut self.made, true) {
            tracing::warn!(
                reason = %error,
                "no notices from other servers: viewers here see late what other servers on this database commit"
            );
        }
    }
}

/// Heeds notices until the connection is lost.
///
/// # Errors
///
/// When not one was heard.
async fn hear(
    shared: &Shared,
    remote_sync: &RemoteSync,
    listener: &mut dyn NoticeReceiver,
) -> Result<StorageError, ListenError> {
    // Not listening until now: what is held may be behind, and so may lists. The others are asked
    // whether they tell of their commits; what they committed before is looked for then.
    shared.peers.mark_stale();
    shared.outbox.heartbeat();
    remote_sync.check();
    let mut has_heard = false;
    loop {
        match timeout(if has_heard { HEARTBEAT_TIMEOUT } else { PROBE }, listener.next()).await {
            Ok(Ok(payload)) => {
                has_heard = true;
                shared.peers.set_unheard(false);
                handle(shared, remote_sync, &payload);
            }
            Ok(Err(error)) => return Ok(error),
            Err(_) if has_heard => return Ok(StorageError::TimedOut),
            Err(_) => return Err(ListenError::Silence),
        }
        if shared.peers.expire(Instant::now()) {
            remote_sync.look();
        }
    }
}

fn handle(shared: &Shared, remote_sync: &RemoteSync, payload: &str) {
    let Some((from, body)) = Notice::split(payload) else { return };
    if from == shared.me {
        return;
    }
    let Some(notice) = Notice::parse(body) else {
        tracing::debug!(%from, "a notice that is not understood");
        return;
    };
    metrics::counter!("relive_notices_received_total").increment(1);
    if let Some(known) = &notice.heartbeat {
        let heard = shared.peers.hear(from, known.contains(&shared.me), Instant::now());
        if heard.answer {
            shared.outbox.heartbeat();
        }
        if heard.look {
            remote_sync.look();
        }
    }
    for summary in notice.deleted {
        remote_sync.deleted(summary);
    }
    for (id, revision) in notice.changed {
        remote_sync.noticed(id, revision);
    }
    if notice.resync {
        remote_sync.look();
    }
    if notice.leaves {
        shared.peers.leave(from);
    }
}
