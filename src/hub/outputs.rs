//! What nodes put out: in the journal, where the state says it stands.

use std::sync::Arc;

use serde_json::Value;

use super::Hub;
use super::error::HubError;
use crate::session::{Event, NodeId, Revision, Session, SessionId};

/// Forks of forks that are looked through for an output.
const ANCESTORS: usize = 64;

impl Hub {
    /// The last output of a node in this state of a session. That of a forked session may stand in the
    /// journal of the one it comes from.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub async fn output(&self, session: &Session, node: &NodeId) -> Result<Option<Arc<Value>>, HubError> {
        let Some(place) = session.nodes.get(node).and_then(|held| held.output) else { return Ok(None) };
        let (mut id, mut origin) = (session.id, Arc::clone(&session.origin));
        for _ in 0..ANCESTORS {
            if let Some(output) = self.output_at(id, place.revision, node).await? {
                return Ok(Some(output));
            }
            let Some(parent) = origin.parent_id.filter(|_| origin.forked_from_revision >= Some(place.revision)) else {
                break;
            };
            (id, origin) = (parent, Arc::clone(&self.session(parent).await?.origin));
        }
        Ok(None)
    }

    async fn output_at(&self, id: SessionId, at: Revision, node: &NodeId) -> Result<Option<Arc<Value>>, HubError> {
        let output = |event: &Event| match event {
            Event::NodeStatusChanged { node_id, output, .. } if node_id == node => output.clone(),
            _ => None,
        };
        let recent = self.inner.registry.peek(id).and_then(|live| live.events_after(at.saturating_sub(1)));
        if let Some(event) = recent.as_ref().and_then(|events| events.first()).filter(|it| it.recorded().revision == at)
        {
            return Ok(output(&event.recorded().event));
        }
        let recorded = self.events(id, at.saturating_sub(1), 1, false).await?;
        Ok(recorded.first().filter(|recorded| recorded.revision == at).and_then(|recorded| output(&recorded.event)))
    }
}
