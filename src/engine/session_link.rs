//! The engine's interface to a session, in this process or on a server.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::hub::Chunk;
use crate::spans::Tracer;
use relive_session::{Command, NodeId, Recorded, Session};

/// Why a request of the engine was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The session's status does not allow it: it was paused, resumed or ended, and its events say so.
    #[error("{0}")]
    Refused(String),
    /// It can never be accepted as it is, for example because it exceeds a limit.
    #[error("{0}")]
    Unacceptable(String),
    /// Another client changed a node: the engine's view of the run is out of date.
    #[error("another client has changed a node of this run")]
    Fenced,
    /// The session cannot be reached, and will not be again.
    #[error("{0}")]
    Lost(String),
}

/// An engine's link to one session: sends commands, reads state.
pub trait SessionLink: Debug + Send + Sync + 'static {
    /// Carries out all commands or none; returns once they are durable, however long that takes. Commands
    /// are carried out even if the future is dropped.
    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<(), LinkError>>;

    /// The newest state known here. In the server's process it includes everything that [`SessionLink::send`] has
    /// returned for; otherwise it may be slightly behind.
    fn session(&self) -> Arc<Session>;

    /// The last output of a node; it includes everything that [`SessionLink::send`] has returned for.
    fn output(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Arc<Value>>, LinkError>>;

    /// Records traces, in the server's process.
    fn tracer(&self) -> Tracer {
        Tracer::default()
    }

    /// Shows a chunk of a message that is still being written to the viewers.
    fn show(&self, chunk: Chunk) {
        drop(chunk);
    }
}

/// The events of one session: each once, in order.
pub trait LinkEvents: Send {
    /// The next event; `None` after the session's last one. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Result<Option<Recorded>, LinkError>> + Send;
}
