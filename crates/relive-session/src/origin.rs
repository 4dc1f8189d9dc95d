//! Where a session comes from.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::{Driver, GraphDefinition, Revision, SessionId, Timestamp};

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
}
