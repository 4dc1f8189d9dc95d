//! Notices between the servers on one database: that a session was committed, or deleted, elsewhere.
//!
//! ```text
//! commit ─▶ outbox ─▶ sender ─▶ NOTIFY ─▶ listener of every other server ─▶ remote_sync ─▶ viewers there
//! ```
//!
//! A notice says only which session stands at which revision; whoever needs more reads the journal. It
//! is sent after the commit, outside of it, and best effort. What a notice that got lost leaves behind
//! is found by a look at everything that is held: when this server has not listened for a while, when
//! another one is gone without a word, and every so often anyhow (`HubOptions::check_every`).
//!
//! As long as no other server has said that it is here, nothing is gathered and nothing sent.

mod listener;
mod notice;
mod outbox;
mod peers;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::remote_sync::RemoteSync;
use super::store::Store;
use relive_session::{Revision, SessionId, SessionSummary, ambient};

use outbox::Outbox;
use peers::Peers;

/// How often a server says that it is here.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long the last notices of a server that stops may take.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// Where this server's commits are told to the others. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct Notices {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// This server, until it stops.
    me: Uuid,
    outbox: Outbox,
    peers: Peers,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Notices {
    pub fn new() -> Self {
        let (outbox, peers) = (Outbox::default(), Peers::default());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { shared: Arc::new(Shared { me: ambient::uuid(), outbox, peers, stop, tasks }) }
    }

    /// Begins to send, and to listen for what others send.
    pub fn start(&self, store: &Arc<dyn Store>, remote_sync: RemoteSync) {
        let Shared { stop, tasks, .. } = &*self.shared;
        tasks.spawn(sender::run(Arc::clone(&self.shared), store.notifier()));
        let listening = listener::run(Arc::clone(&self.shared), Arc::clone(store), remote_sync);
        tasks.spawn(stop.clone().run_until_cancelled_owned(listening));
        tasks.close();
    }

    /// A session was committed here.
    pub fn changed(&self, id: SessionId, revision: Revision) {
        if self.shared.peers.any() {
            self.shared.outbox.changed(id, revision);
        }
    }

    /// A session was deleted here.
    pub fn deleted(&self, summary: impl FnOnce() -> SessionSummary) {
        if self.shared.peers.any() {
            self.shared.outbox.deleted(summary());
        }
    }

    /// Tells what is left, and that this server leaves.
    pub async fn shutdown(&self) {
        self.shared.stop.cancel();
        // What is lost by giving up is found by the others' checks.
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, self.shared.tasks.wait()).await;
    }
}
