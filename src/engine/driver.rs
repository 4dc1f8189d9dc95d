//! How an engine reaches its session, wherever that lives.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::hub::Chunk;
use relive_session::{Command, NodeId, Recorded, Session};

/// Why a driver could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The session's status does not allow it: somebody paused, resumed or ended it, and its events say so.
    #[error("{0}")]
    Refused(String),
    /// It cannot be accepted as it is, now or later, such as what goes beyond a limit.
    #[error("{0}")]
    Unacceptable(String),
    /// Somebody else changed a node: what this engine knows of the run no longer holds.
    #[error("somebody else has changed a node of this run")]
    Overtaken,
    /// The session cannot be reached, and never will be again.
    #[error("{0}")]
    Lost(String),
}

/// An engine's link to one session: commands there, and what can be read of it.
pub trait Link: Debug + Send + Sync + 'static {
    /// Carries out all commands or none; returns once they are durable, however long that takes.
    /// What was sent is carried out also when the future is dropped.
    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<(), DriverError>>;

    /// The newest state that is known here. It holds everything that [`Link::send`] has returned for
    /// when the link lives in the server's process, and may be a little behind otherwise.
    fn session(&self) -> Arc<Session>;

    /// The last output of a node, with everything that [`Link::send`] has returned for.
    fn output(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Arc<Value>>, DriverError>>;

    /// Shows a chunk of a message that is still being written to whoever watches.
    fn show(&self, chunk: Chunk) {
        drop(chunk);
    }
}

/// Hears the events of one session: each once, in order.
pub trait Events: Send {
    /// The next event; `None` after the session's last one. A call may be abandoned without
    /// losing an event.
    fn next(&mut self) -> impl Future<Output = Result<Option<Recorded>, DriverError>> + Send;
}
