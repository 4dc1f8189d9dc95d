//! The way into a lane.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::hub::backlog::{Backlog, Place};
use crate::hub::error::HubError;
use crate::hub::load::Load;
use crate::hub::remote_update::RemoteUpdate;
use relive_session::SessionId;

/// The way into a lane.
#[derive(Debug)]
pub(in crate::hub) struct LaneHandle {
    pub(super) backlog: Arc<Backlog>,
    pub(super) remote_updates: mpsc::Sender<RemoteUpdate>,
    pub(super) healthy: watch::Receiver<bool>,
}

impl LaneHandle {
    /// Where the lane is given what other servers have committed.
    pub fn remote_updates(&self) -> mpsc::Sender<RemoteUpdate> {
        self.remote_updates.clone()
    }

    /// A place in the lane. Waits while the lane, or the session's share of it, is full, unless the database
    /// is away.
    pub async fn reserve(&self, id: SessionId, load: Load) -> Result<Place<'_>, HubError> {
        self.backlog.reserve(id, load, &self.healthy).await
    }

    /// Answers everybody: the lane has been ended.
    pub fn give_up(&self) {
        self.backlog.give_up();
    }

    /// Answers those whose time is up, for ever.
    pub fn answer_in_time(&self) -> impl Future<Output = ()> + Send + use<> {
        let backlog = Arc::clone(&self.backlog);
        async move { backlog.answer_in_time().await }
    }
}
