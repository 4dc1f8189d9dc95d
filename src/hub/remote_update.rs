//! Applying states that other servers have committed.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::live_session::LiveSession;
use super::publication::RecordedFrame;
use crate::storage::SessionVersion;
use relive_session::{Revision, Session};

/// A state that another server has committed. It passes through the session's lane, where nothing of the
/// session is being written, so the head moves in order.
#[derive(Debug)]
pub(super) struct RemoteUpdate {
    pub live: Arc<LiveSession>,
    pub session: Arc<Session>,
    /// The events that lead to it, without a gap; none if they are too many to be kept in memory.
    pub events: Vec<Arc<RecordedFrame>>,
    /// Answered when it is applied.
    pub done: oneshot::Sender<()>,
}

impl RemoteUpdate {
    /// Applies the state, unless the lane has already reached it, or the session was deleted; returns whether it did.
    /// Whatever is staged on an older state is void, and is decided again when it reaches the lane.
    pub fn apply(self) -> bool {
        let Self { live, session, mut events, done } = self;
        let head = live.revision();
        let is_newer = head < session.revision && !live.is_deleted();
        if is_newer {
            events.retain(|event| event.recorded().revision > head);
            let follows = events.first().is_some_and(|event| event.recorded().revision == head + 1);
            if follows {
                live.restage(&session);
                live.publish(session, events.into_iter());
            } else {
                live.reload(session);
            }
        }
        // The receiver may be gone.
        let _ = done.send(());
        is_newer
    }
}

impl LiveSession {
    pub(super) fn revision(&self) -> Revision {
        self.head().session().revision
    }

    pub(super) fn version(&self) -> SessionVersion {
        SessionVersion::of(self.head().session())
    }
}
