//! Taking over what another server has committed.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::live_session::LiveSession;
use super::publication::RecordedFrame;
use crate::storage::SessionVersion;
use relive_session::{Revision, Session};

/// A state that another server has brought about, on its way through the session's lane: there nothing
/// is being written, and so what is shown moves in one order only.
#[derive(Debug)]
pub(super) struct RemoteUpdate {
    pub live: Arc<LiveSession>,
    pub session: Arc<Session>,
    /// The events that lead to it, without a gap; none when they are too many to be kept in memory.
    pub events: Vec<Arc<RecordedFrame>>,
    /// Told when it is done.
    pub done: oneshot::Sender<()>,
}

impl RemoteUpdate {
    /// Shows the state, unless the lane has come as far by itself; returns whether it did. What is
    /// staged on an older one is void, and is decided again when it reaches the lane.
    pub fn carry_out(self) -> bool {
        let Self { live, session, mut events, done } = self;
        let head = live.revision();
        let is_news = head < session.revision;
        if is_news {
            events.retain(|event| event.recorded().revision > head);
            let follows = events.first().is_some_and(|event| event.recorded().revision == head + 1);
            if follows {
                live.restage(&session);
                live.publish(session, events.into_iter());
            } else {
                live.reload(session);
            }
        }
        // Whoever waits may have gone.
        let _ = done.send(());
        is_news
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
