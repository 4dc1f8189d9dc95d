//! How an engine reaches its session, wherever that lives.

use std::future::Future;

use crate::client::{Client, ClientError, SessionEvents};
use crate::session::{Command, Recorded, SessionId};

/// Why a driver could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The session does not allow it, most often because it has ended.
    #[error("{0}")]
    Refused(String),
    /// The session cannot be reached, and never will be again.
    #[error("{0}")]
    Lost(String),
}

/// Sends commands to one session.
pub trait Commands: Clone + Send + Sync + 'static {
    /// Carries out all commands or none; returns once they are durable, however long that takes.
    fn send(&self, commands: Vec<Command>) -> impl Future<Output = Result<(), DriverError>> + Send;
}

/// Hears the events of one session: each once, in order.
pub trait Events: Send {
    /// The next event; `None` after the session's last one. A call may be abandoned without
    /// losing an event.
    fn next(&mut self) -> impl Future<Output = Result<Option<Recorded>, DriverError>> + Send;
}

/// A session on a server, over one WebSocket.
#[derive(Clone, Debug)]
pub struct RemoteCommands {
    client: Client,
    session_id: SessionId,
}

impl RemoteCommands {
    #[must_use]
    pub fn new(client: Client, session_id: SessionId) -> Self {
        Self { client, session_id }
    }
}

impl Commands for RemoteCommands {
    async fn send(&self, commands: Vec<Command>) -> Result<(), DriverError> {
        self.client.command(self.session_id, commands).await?;
        Ok(())
    }
}

impl Events for SessionEvents {
    async fn next(&mut self) -> Result<Option<Recorded>, DriverError> {
        Ok(SessionEvents::next(self).await?)
    }
}

impl From<ClientError> for DriverError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { .. } => Self::Refused(error.to_string()),
            lost => Self::Lost(lost.to_string()),
        }
    }
}
