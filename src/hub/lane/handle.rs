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
    pub fn give_up(&self) {
        self.backlog.give_up();
    }

    /// Answers expired submissions; never returns.
    pub fn answer_in_time(&self) -> impl Future<Output = ()> + Send + use<> {
        let backlog = Arc::clone(&self.backlog);
        async move { backlog.answer_in_time().await }
    }
}
