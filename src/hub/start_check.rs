//! Checks whether the built-in engine can run a session, and can use what is sent to it.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::Hub;
use super::error::HubError;
use super::live_session::LiveSession;
use relive_session::{Command, Driver, GraphDefinition, NodeId, Session, SessionStatus};

/// Checks a session of the built-in engine before it is started or sent something.
pub trait StartCheck: Debug + Send + Sync {
    /// # Errors
    ///
    /// Why it cannot run here, as a text for the client.
    fn check(&self, graph: Option<Arc<GraphDefinition>>) -> BoxFuture<'_, Result<(), String>>;

    /// Checks a signal to a node of a session that is run here.
    ///
    /// # Errors
    ///
    /// Why the node cannot use it, as a text for the client.
    fn check_signal(&self, session: &Session, node_id: &NodeId, payload: &Value) -> Result<(), String>;
}

#[derive(Debug, Default)]
pub(super) struct StartChecks {
    check: OnceLock<Arc<dyn StartCheck>>,
}

impl StartChecks {
    pub fn set(&self, check: Arc<dyn StartCheck>) {
        let _ = self.check.set(check);
    }

    pub async fn check(&self, live: &LiveSession, commands: &[Command]) -> Result<(), HubError> {
        let concerned = |command: &Command| matches!(command, Command::Start | Command::Signal { .. });
        let Some(check) = self.check.get().filter(|_| commands.iter().any(concerned)) else { return Ok(()) };
        let session = Arc::clone(live.head().session());
        if session.origin.driver != Driver::Builtin {
            return Ok(());
        }
        for command in commands {
            match command {
                Command::Start if session.status == SessionStatus::Pending => {
                    check.check(session.origin.graph.clone()).await.map_err(HubError::CannotRun)?;
                }
                Command::Signal { node_id, payload } => {
                    check.check_signal(&session, node_id, payload).map_err(HubError::BadSignal)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Hub {
    /// Sets the check that sessions of the built-in engine must pass to be started. Only the first call has
    /// an effect.
    pub fn set_start_check(&self, check: Arc<dyn StartCheck>) {
        self.inner.start_check.set(check);
    }
}
