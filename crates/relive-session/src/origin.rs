//! Where a session comes from, and which one it is of those that were stored under its id.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::{
    ApplyError, Driver, GraphDefinition, Recorded, Revision, Session, SessionId, SessionSummary, Timestamp, ambient,
};

/// What is fixed when a session is created.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub workflow_id: Option<Uuid>,
    pub workflow_name: Option<String>,
    pub group_id: Option<Uuid>,
    pub graph: Option<Arc<GraphDefinition>>,
    pub inputs: Option<Arc<Value>>,
    pub driver: Driver,
    pub parent_id: Option<SessionId>,
    pub forked_from_revision: Option<Revision>,
    pub created_at: Timestamp,
    /// See [`SessionIdentity::incarnation`]. Not part of the history: it stays with the stored row.
    pub incarnation: i64,
}

/// Tells a session from those that are stored under its id before or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionIdentity {
    pub created_at: Timestamp,
    /// A random number, chosen when the session is stored: two may be created in the same millisecond. 0 for
    /// sessions that were stored by, or are named in a notice of, a server without incarnations.
    pub incarnation: i64,
}

impl SessionIdentity {
    /// Whether a notice that names `named` means this session.
    #[must_use]
    pub fn is_named_by(self, named: Self) -> bool {
        self.created_at == named.created_at && (named.incarnation == 0 || named.incarnation == self.incarnation)
    }
}

impl Session {
    /// The first state of a session that is about to be stored, with a new incarnation.
    ///
    /// # Errors
    ///
    /// As for [`Session::create`].
    pub fn create_new(first: &Recorded) -> Result<Self, ApplyError> {
        Ok(Self::create(first)?.with_incarnation((ambient::random() >> 1).max(1).cast_signed()))
    }

    #[must_use]
    pub fn with_incarnation(mut self, incarnation: i64) -> Self {
        Arc::make_mut(&mut self.origin).incarnation = incarnation;
        self
    }

    #[must_use]
    pub fn identity(&self) -> SessionIdentity {
        SessionIdentity { created_at: self.origin.created_at, incarnation: self.origin.incarnation }
    }
}

impl SessionSummary {
    #[must_use]
    pub fn identity(&self) -> SessionIdentity {
        SessionIdentity { created_at: self.created_at, incarnation: self.incarnation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[test]
    fn sessions_of_the_same_millisecond_are_told_apart_except_by_servers_without_incarnations() {
        let at = Timestamp::from_millis(7).expect("a time");
        let first =
            Recorded { session_id: SessionId::generate(), revision: 1, at, event: Event::Created(Box::default()) };
        let [one, other] = [(); 2].map(|()| Session::create_new(&first).expect("a session").identity());
        assert!(one.incarnation > 0 && one.created_at == at);
        assert!(one.is_named_by(one) && !one.is_named_by(other));
        let unknown = Session::create(&first).expect("a session").identity();
        assert_eq!(unknown.incarnation, 0);
        assert!(one.is_named_by(unknown) && !unknown.is_named_by(one));
    }
}
