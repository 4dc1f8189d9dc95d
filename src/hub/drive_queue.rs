//! Sessions of the built-in engine that have changed and have no driver on this server.

use std::collections::HashSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Hub;
use super::queue::Queue;
use relive_session::{Driver, Session, SessionId};

/// Filled by the lanes, read by the engine's supervisor. It holds each session once, and none that has
/// ended, so it is no larger than the number of unfinished runs.
#[derive(Debug, Default)]
pub(super) struct DriveQueue {
    inner: Mutex<Inner>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    driven: HashSet<SessionId>,
    changed: Queue<()>,
}

impl DriveQueue {
    /// The session has changed.
    pub fn changed(&self, session: &Session) {
        if session.origin.driver == Driver::Builtin && session.status.is_live() {
            let mut inner = self.inner.lock();
            if !inner.driven.contains(&session.id) && inner.changed.put(session.id, |_| ()) {
                drop(inner);
                self.arrived.notify_one();
            }
        }
    }

    /// An engine on this server drives the session and follows its changes itself.
    pub fn drive(&self, id: SessionId) {
        let mut inner = self.inner.lock();
        inner.driven.insert(id);
        inner.changed.remove(id);
    }

    /// No engine on this server drives the session any more.
    pub fn release_drive(&self, id: SessionId) {
        self.inner.lock().driven.remove(&id);
    }

    /// The sessions that have changed since the last call; waits for one. Cancel-safe.
    pub async fn next(&self, most: usize) -> Vec<SessionId> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut inner = self.inner.lock();
                let taken = inner.changed.pop_batch(most);
                if !taken.is_empty() {
                    if !inner.changed.is_empty() {
                        self.arrived.notify_one();
                    }
                    return taken.into_iter().map(|(id, ())| id).collect();
                }
            }
            arrived.await;
        }
    }
}

impl Hub {
    /// Sessions of the built-in engine that have changed and have no driver on this server, at most `most`;
    /// waits for one. Cancel-safe.
    pub async fn undriven(&self, most: usize) -> Vec<SessionId> {
        self.inner.fanout.drive_queue.next(most).await
    }

    /// Marks the session as driven by an engine on this server, until [`Hub::release_drive`].
    pub fn drive(&self, id: SessionId) {
        self.inner.fanout.drive_queue.drive(id);
    }

    /// Marks the session as not driven by an engine on this server.
    pub fn release_drive(&self, id: SessionId) {
        self.inner.fanout.drive_queue.release_drive(id);
    }
}
