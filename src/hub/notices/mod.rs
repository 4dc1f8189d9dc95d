//! Notices between the servers on one database: that a session was committed, or deleted, elsewhere.
//!
//! ```text
//! commit ─▶ outbox ─▶ sender ─▶ NOTIFY or broker ─▶ every other server ─▶ remote_sync ─▶ viewers there
//! token  ─▶ chunk_queue ─▶ sender ─▶ …                                  ─▶ chunks ─────▶ viewers there
//! ```
//!
//! A notice says only which session is at which revision; a server that needs more reads the journal. It
//! is sent after the commit, outside its transaction, and best effort. Lost notices are made up for by a
//! resync, which compares all sessions in memory with the stored ones: after this server did not listen for
//! a while, after another one disappeared, and periodically (`HubOptions::check_every`).
//!
//! With a message broker (`broker`) notices take that way as long as all servers that are known hear it. All
//! of them listen to `NOTIFY` too, so either way may fail. A server that leaves the broker's way tells the
//! others to resync, since its last notices there may be lost.
//!
//! Chunks of messages that are being written are sent in the same way, joined for a moment, never again:
//! a receiver that misses one shows the message when it is stored.
//!
//! While no other server is known, nothing is queued and nothing is sent.

mod broker;
mod chunk_queue;
mod listener;
mod notice;
mod outbox;
mod peers;
mod receiver;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::chunks::{Chunk, Chunks};
use super::remote_sync::RemoteSync;
use super::store::Store;
use relive_session::{Revision, SessionId, SessionSummary, ambient};

use chunk_queue::ChunkQueue;
use outbox::Outbox;
use peers::Peers;

pub use broker::{Broker, BrokerError, BrokerReceiver};

/// The time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a server that stops may take to send its last notices.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Announces this server's commits to the others. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct Notices {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// This server, until it stops.
    me: Uuid,
    outbox: Outbox,
    chunks: ChunkQueue,
    peers: Peers,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Notices {
    pub fn new() -> Self {
        let (outbox, chunks, peers) = (Outbox::default(), ChunkQueue::default(), Peers::default());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { shared: Arc::new(Shared { me: ambient::uuid(), outbox, chunks, peers, stop, tasks }) }
    }

    /// Starts to send notices, and to listen for those of other servers.
    pub fn start(
        &self,
        store: &Arc<dyn Store>,
        broker: Option<Arc<dyn Broker>>,
        remote_sync: RemoteSync,
        chunks: Chunks,
    ) {
        let Shared { stop, tasks, .. } = &*self.shared;
        let sender = sender::Sender::new(Arc::clone(&self.shared), store.notifier(), broker.clone());
        tasks.spawn(sender.run());
        let receiver = receiver::Receiver::new(Arc::clone(&self.shared), remote_sync, chunks);
        if let Some(broker) = broker {
            let listening = broker::listen(Arc::clone(&self.shared), broker, receiver.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(listening));
        }
        let listening = listener::run(Arc::clone(&self.shared), Arc::clone(store), receiver);
        tasks.spawn(stop.clone().run_until_cancelled_owned(listening));
        tasks.close();
    }

    /// A chunk of a message was received here.
    pub fn chunk(&self, id: SessionId, chunk: &Chunk) {
        if self.has_peers() {
            self.shared.chunks.push(id, chunk, Instant::now());
        }
    }

    /// Whether there may be other servers.
    pub fn has_peers(&self) -> bool {
        self.shared.peers.any()
    }

    /// A session was committed here.
    pub fn changed(&self, id: SessionId, revision: Revision) {
        if self.shared.peers.any() {
            self.shared.outbox.changed(id, revision);
        }
    }

    /// A session has got a child here, or has lost one.
    pub fn family_changed(&self, id: SessionId) {
        if self.shared.peers.any() {
            self.shared.outbox.family_changed(id);
        }
    }

    /// A session was deleted here.
    pub fn deleted(&self, summary: impl FnOnce() -> SessionSummary) {
        if self.shared.peers.any() {
            self.shared.outbox.deleted(summary());
        }
    }

    /// Sends what is left, and announces that this server leaves.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        // What is lost by giving up is found by the periodic comparison of the others.
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, self.shared.tasks.wait()).await;
    }
}
