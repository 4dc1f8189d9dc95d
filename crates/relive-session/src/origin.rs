//! Where a session comes from.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::{Driver, GraphDefinition, NodeId, ProjectId, Revision, SessionId, Timestamp, TraceContext};

/// What is fixed when a session is created.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Not in the history: the database says it, and a file that is imported does not.
    pub project_id: ProjectId,
    pub workflow_id: Option<Uuid>,
    pub workflow_name: Option<String>,
    pub group_id: Option<Uuid>,
    pub graph: Option<Arc<GraphDefinition>>,
    pub inputs: Option<Arc<Value>>,
    pub driver: Driver,
    /// The session that it was forked from.
    pub parent_id: Option<SessionId>,
    pub forked_from_revision: Option<Revision>,
    /// The session that started it; see [`Session::parent`](super::Session::parent).
    pub parent_session_id: Option<SessionId>,
    pub parent_node_id: Option<NodeId>,
    /// The trace of the request that created it.
    pub trace: Option<TraceContext>,
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
