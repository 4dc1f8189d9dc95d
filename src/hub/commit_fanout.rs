//! Announces commits.

use std::sync::Arc;

use super::drive_queue::DriveQueue;
use super::feed::Feed;
use super::notices::Notices;
use relive_session::{Revision, Session, SessionId, SessionSummary};

/// Announces commits to live lists, the built-in engine and other servers. A cheap handle.
#[derive(Clone, Debug)]
pub(super) struct CommitFanout {
    pub feed: Arc<Feed>,
    pub drive_queue: Arc<DriveQueue>,
    notices: Notices,
}

impl CommitFanout {
    pub fn new(notices: Notices) -> Self {
        Self { feed: Arc::default(), drive_queue: Arc::default(), notices }
    }

    /// This server has committed a session up to this state.
    pub fn committed(&self, session: &Session) {
        self.feed.changed(session.id);
        self.drive_queue.changed(session);
        self.notices.changed(session.id, session.revision);
    }

    /// This server has stored a whole session.
    pub fn appeared(&self, id: SessionId) {
        self.feed.changed(id);
        self.notices.changed(id, 1);
    }

    /// A child of this session was stored or deleted here.
    pub fn family_changed(&self, id: SessionId) {
        self.notices.family_changed(id);
    }

    /// The parent of this session was deleted here, which is recorded in its history.
    pub fn released(&self, id: SessionId, revision: Revision) {
        self.notices.changed(id, revision);
    }

    /// This server has deleted a session.
    pub fn deleted(&self, summary: SessionSummary) {
        self.notices.deleted(|| summary.clone());
        self.feed.deleted(summary.id, summary);
    }
}
