//! The handle on a lane.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::hub::backlog::{Backlog, Reservation};
use crate::hub::error::HubError;
use crate::hub::remote_update::RemoteUpdate;
use crate::hub::size::QueueSize;
use relive_session::SessionId;

/// The handle on a lane.
#[derive(Debug)]
pub(in crate::hub) struct LaneHandle {
    pub(super) backlog: Arc<Backlog>,
    pub(super) remote_updates: mpsc::Sender<RemoteUpdate>,
    pub(super) healthy: watch::Receiver<bool>,
}

impl LaneHandle {
    /// The queue of states that other servers have committed.
    pub fn remote_updates(&self) -> mpsc::Sender<RemoteUpdate> {
        self.remote_updates.clone()
    }

    /// Reserves a place in the lane. Waits while the lane, or the session's share of it, is full, unless the
    /// database is away.
    pub async fn reserve(&self, id: SessionId, size: QueueSize) -> Result<Reservation<'_>, HubError> {
        self.backlog.reserve(id, size, &self.healthy).await
    }

    /// Answers all callers: the lane has stopped.
    pub fn fail_all(&self) {
        self.backlog.fail_all();
    }

    /// Answers expired submissions; never returns.
    pub fn expire_overdue(&self) -> impl Future<Output = ()> + Send + use<> {
        let backlog = Arc::clone(&self.backlog);
        async move { backlog.expire_overdue().await }
    }
}
