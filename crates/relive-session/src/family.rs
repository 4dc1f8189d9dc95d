//! Families: a session that was started by another one, its parent. Not to be confused with a fork.

use super::{Created, Event, NodeId, Refusal, Session, SessionId, validate};

impl Session {
    /// The session that started this one, while it is there.
    #[must_use]
    pub fn parent(&self) -> Option<SessionId> {
        self.origin.parent_session_id.filter(|_| !self.is_released)
    }

    /// The node of the parent that started this session.
    #[must_use]
    pub fn parent_node(&self) -> Option<&NodeId> {
        self.origin.parent_node_id.as_ref().filter(|_| !self.is_released)
    }
}

/// That the parent is not there any more; nothing if there is none.
pub(super) fn release(session: &Session) -> Vec<Event> {
    session.parent().map(|_| Event::ParentRemoved).into_iter().collect()
}

impl Created {
    /// Checks what it says of the session's parent.
    ///
    /// # Errors
    ///
    /// [`Refusal::Invalid`], and [`Refusal::TooLarge`] for the node's id.
    pub fn check_parent(&self) -> Result<(), Refusal> {
        let Some(node_id) = &self.parent_node_id else { return Ok(()) };
        if self.parent_session_id.is_none() {
            return Err(Refusal::Invalid { field: "parentNodeId", problem: "goes with parentSessionId" });
        }
        validate::id("parentNodeId", node_id.as_str())
    }
}
