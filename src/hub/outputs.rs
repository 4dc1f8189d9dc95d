//! Outputs of nodes: read from the journal, at the position that the state keeps.

use std::sync::Arc;

use serde_json::Value;

use super::Hub;
use super::error::HubError;
use relive_session::{Event, NodeId, OutputRef, Session};

impl Hub {
    /// The last output of a node in this state of a session. A fork's output may be in the journal of one of
    /// its ancestors.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub async fn output(&self, session: &Session, node: &NodeId) -> Result<Option<Arc<Value>>, HubError> {
        let Some(place) = session.nodes.get(node).and_then(|held| held.output) else { return Ok(None) };
        if let Some(output) = self.recent_output(session, place, node) {
            return Ok(Some(output));
        }
        Ok(self.inner.store.output(session.id, place).await?.map(Arc::new))
    }

    /// The output, if its event is still in memory.
    fn recent_output(&self, session: &Session, place: OutputRef, node: &NodeId) -> Option<Arc<Value>> {
        let live = self.inner.registry.peek(session.id).filter(|_| place.depth == 0)?;
        let events = live.events_after(place.revision.saturating_sub(1))?;
        let recorded = events.first()?.recorded();
        match &recorded.event {
            Event::NodeStatusChanged { node_id, output, .. } if node_id == node => output.clone(),
            _ => None,
        }
        .filter(|_| recorded.revision == place.revision)
    }
}
