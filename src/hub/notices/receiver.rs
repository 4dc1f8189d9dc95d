//! Handles the notices of other servers, whichever way they come.

use std::sync::Arc;

use tokio::time::Instant;

use super::Shared;
use super::notice::Notice;
use crate::hub::chunks::{ChunkOrigin, Chunks};
use crate::hub::remote_sync::RemoteSync;

/// Handles notices. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    shared: Arc<Shared>,
    remote_sync: RemoteSync,
    chunks: Chunks,
}

/// Whom a notice came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoticeSource {
    /// This server: notices are received.
    Me,
    Peer,
    Unknown,
}

impl Receiver {
    pub fn new(shared: Arc<Shared>, remote_sync: RemoteSync, chunks: Chunks) -> Self {
        Self { shared, remote_sync, chunks }
    }

    /// Requests a resync of the sessions in memory.
    pub fn resync_sessions(&self) {
        self.remote_sync.resync_sessions();
    }

    /// Requests a resync of sessions and lists.
    pub fn resync(&self) {
        self.remote_sync.resync();
    }

    /// Handles a notice; one of this server itself has no effect.
    pub fn handle(&self, payload: &str) -> NoticeSource {
        let Some((from, body)) = Notice::split(payload) else { return NoticeSource::Unknown };
        if from == self.shared.me {
            return NoticeSource::Me;
        }
        let Some(mut notice) = Notice::parse(body) else {
            tracing::debug!(%from, "a notice that cannot be parsed");
            return NoticeSource::Unknown;
        };
        metrics::counter!("relive_notices_received_total").increment(1);
        if let Some(known) = notice.heartbeat.take() {
            let knows_me = known.contains(&self.shared.me);
            let outcome = self.shared.peers.heartbeat(from, knows_me, notice.broker, Instant::now());
            if outcome.answer {
                self.shared.outbox.heartbeat();
            }
            if outcome.resync {
                self.remote_sync.resync();
            }
        }
        for summary in notice.deleted {
            self.remote_sync.deleted(summary);
        }
        for (id, revision) in notice.changed {
            self.remote_sync.announced(id, revision);
        }
        for id in notice.families {
            self.remote_sync.family_changed(id);
        }
        for chunk in notice.chunks {
            let (session_id, chunk, offset) = chunk.into_parts();
            self.chunks.show(session_id, chunk, ChunkOrigin::Peer { server: from, offset });
        }
        if notice.resync {
            self.remote_sync.resync();
        }
        if notice.leaves {
            self.shared.peers.leave(from);
        }
        NoticeSource::Peer
    }
}
