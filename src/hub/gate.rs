//! Whether the built-in engine can run a session, asked before it is started.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;

use super::Hub;
use super::error::HubError;
use super::registry::Registry;
use crate::session::{Command, Driver, GraphDefinition, SessionId, SessionStatus};

/// Looks at the graph of a session that is about to be started.
pub trait StartGate: Debug + Send + Sync {
    /// # Errors
    ///
    /// Why it cannot run here, for the client to read.
    fn check(&self, graph: Option<Arc<GraphDefinition>>) -> BoxFuture<'_, Result<(), String>>;
}

#[derive(Debug, Default)]
pub(super) struct Gate {
    keeper: OnceLock<Arc<dyn StartGate>>,
}

impl Gate {
    pub fn keep(&self, keeper: Arc<dyn StartGate>) {
        let _ = self.keeper.set(keeper);
    }

    pub async fn check(&self, registry: &Registry, id: SessionId, commands: &[Command]) -> Result<(), HubError> {
        let Some(keeper) = self.keeper.get().filter(|_| commands.contains(&Command::Start)) else { return Ok(()) };
        let live = registry.get(id).await?;
        let graph = {
            let head = live.head();
            let session = head.session();
            if session.origin.driver != Driver::Builtin || session.status != SessionStatus::Pending {
                return Ok(());
            }
            session.origin.graph.clone()
        };
        keeper.check(graph).await.map_err(HubError::CannotRun)
    }
}

impl Hub {
    /// From now on a session of the built-in engine is only started if this lets it. Only the first
    /// call counts.
    pub fn keep_gate(&self, keeper: Arc<dyn StartGate>) {
        self.inner.gate.keep(keeper);
    }
}
