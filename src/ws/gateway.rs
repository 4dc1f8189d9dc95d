//! State shared by all connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::rooms::Rooms;
use crate::access::Access;
use crate::hub::Hub;
use crate::storage::Storage;

/// Limits of the WebSocket side, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct GatewayOptions {
    /// Open sockets (10,000). One more is answered with 503.
    pub sockets: usize,
    /// Subscriptions on one socket (1,000). One more is refused with `too_large`.
    pub subscriptions: usize,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self { sockets: 10_000, subscriptions: 1_000 }
    }
}

/// The WebSocket side of the server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub(super) access: Access,
    pub(super) hub: Hub,
    pub(super) storage: Storage,
    pub(super) rooms: Rooms,
    pub(super) options: GatewayOptions,
    /// Cancelled when the server stops: every connection sends its client a close frame and ends.
    pub(super) stop: CancellationToken,
    pub(super) connections: TaskTracker,
    places: Arc<Semaphore>,
    /// Computing the idle gaps of a run reads all of it: only few at once, or they would use all database
    /// connections.
    pub(super) searches: Arc<Semaphore>,
}

/// Runs whose idle gaps are computed at the same time.
const SEARCHES: usize = 2;

impl Gateway {
    #[must_use]
    pub fn new(access: Access, hub: Hub, storage: Storage, options: GatewayOptions, stop: CancellationToken) -> Self {
        let rooms = Rooms::new(hub.clone());
        hub.relay_chunks_to(Arc::new(rooms.relay()));
        let places = Arc::new(Semaphore::new(options.sockets));
        let searches = Arc::new(Semaphore::new(SEARCHES));
        Self { access, hub, storage, rooms, options, stop, connections: TaskTracker::new(), places, searches }
    }

    /// A permit for one more socket, if available.
    pub(super) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits until every connection has been closed. Must be called after `stop` was cancelled.
    pub async fn closed(&self) {
        self.connections.close();
        self.connections.wait().await;
    }
}
