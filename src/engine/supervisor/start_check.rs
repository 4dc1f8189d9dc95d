//! The engine's checks before a session of its own is started, or sent a signal.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::engine::plan::{Kinds, Plan};
use crate::hub::StartCheck;
use relive_session::{GraphDefinition, NodeId, Session};

/// Refuses to start a graph that lacks something it needs.
#[derive(Debug)]
pub(super) struct EngineStartCheck {
    pub(super) kinds: Arc<dyn Kinds>,
}

impl StartCheck for EngineStartCheck {
    fn check(&self, graph: Option<Arc<GraphDefinition>>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let graph = graph.ok_or("the built-in engine needs a graph, and this session has none")?;
            let plan =
                Plan::new_in_background(graph, Arc::clone(&self.kinds)).await.map_err(|error| error.to_string())?;
            self.kinds.check_services(&plan)
        })
    }

    fn check_signal(&self, session: &Session, node_id: &NodeId, payload: &Value) -> Result<(), String> {
        let node = session.origin.graph.as_ref().and_then(|graph| graph.nodes.get(node_id));
        match node.and_then(|node| self.kinds.read(node)) {
            Some(Ok(kind)) => kind.check_signal(payload).map_err(|why| format!("node '{node_id}': {why}")),
            // Missing sessions and invalid commands are reported when the command itself is handled.
            Some(Err(_)) | None => Ok(()),
        }
    }
}
