//! A session on a server, over one WebSocket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;

use super::driver::{DriverError, Events, SessionLink};
use relive_client::{Client, ClientError, SessionEvents};
use relive_protocol::ErrorCode;
use relive_session::{Command, Event, NodeId, Recorded, Session, SessionId};

/// Bytes of outputs kept for other nodes, estimated. Further ones are not kept, and a node that reads them
/// finds none.
const OUTPUTS: usize = 8 * 1024 * 1024;

/// A session on a server: sends commands, receives its events and folds them here.
#[derive(Debug)]
pub struct RemoteLink {
    client: Client,
    session_id: SessionId,
    fold: Arc<Fold>,
    /// The newest revision that a command was answered with.
    answered: AtomicU64,
}

/// The fold of the events so far.
#[derive(Debug)]
struct Fold {
    state: watch::Sender<Arc<Session>>,
    outputs: Mutex<Outputs>,
}

#[derive(Debug, Default)]
struct Outputs {
    by_node: HashMap<NodeId, (Arc<Value>, usize)>,
    bytes: usize,
}

impl RemoteLink {
    /// Follows a session from its creation on.
    ///
    /// # Errors
    ///
    /// If its events cannot be subscribed to.
    pub async fn open(client: Client, session_id: SessionId) -> Result<(Self, RemoteEvents), ClientError> {
        let mut events = client.events(session_id, 0).await?;
        let damaged = |problem: String| ClientError::Protocol(problem);
        let created = events.next().await?.ok_or_else(|| damaged("a session without events".to_owned()))?;
        let session = Session::create(&created).map_err(|error| damaged(error.to_string()))?;
        let fold = Arc::new(Fold { state: watch::Sender::new(Arc::new(session)), outputs: Mutex::default() });
        let link = Self { client, session_id, fold: Arc::clone(&fold), answered: AtomicU64::new(0) };
        Ok((link, RemoteEvents { events, fold }))
    }
}

impl SessionLink for RemoteLink {
    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<(), DriverError>> {
        async move {
            let receipt = self.client.command(self.session_id, commands).await?;
            self.answered.fetch_max(receipt.revision, Ordering::AcqRel);
            Ok(())
        }
        .boxed()
    }

    fn session(&self) -> Arc<Session> {
        Arc::clone(&self.fold.state.borrow())
    }

    fn output(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Arc<Value>>, DriverError>> {
        async move {
            let answered = self.answered.load(Ordering::Acquire);
            let mut state = self.fold.state.subscribe();
            let caught_up = state.wait_for(|session| session.revision >= answered).await;
            caught_up.map_err(|_| DriverError::Lost("its events have ended".to_owned()))?;
            Ok(self.fold.outputs.lock().by_node.get(&node).map(|(output, _)| Arc::clone(output)))
        }
        .boxed()
    }
}

/// The events of a session on a server.
#[derive(Debug)]
pub struct RemoteEvents {
    events: SessionEvents,
    fold: Arc<Fold>,
}

impl Events for RemoteEvents {
    async fn next(&mut self) -> Result<Option<Recorded>, DriverError> {
        let Some(recorded) = self.events.next().await? else { return Ok(None) };
        self.fold.apply(&recorded)?;
        Ok(Some(recorded))
    }
}

impl Fold {
    fn apply(&self, recorded: &Recorded) -> Result<(), DriverError> {
        if let Event::NodeStatusChanged { node_id, output: Some(output), .. } = &recorded.event {
            self.outputs.lock().keep(node_id, output);
        }
        let mut applied = Ok(());
        self.state.send_modify(|session| applied = Arc::make_mut(session).apply(recorded));
        applied.map_err(|error| DriverError::Lost(error.to_string()))
    }
}

impl Outputs {
    fn keep(&mut self, node: &NodeId, output: &Arc<Value>) {
        if let Some((_, bytes)) = self.by_node.remove(node) {
            self.bytes -= bytes;
        }
        let bytes = output.to_string().len();
        if self.bytes + bytes <= OUTPUTS {
            self.bytes += bytes;
            self.by_node.insert(node.clone(), (Arc::clone(output), bytes));
        }
    }
}

impl From<ClientError> for DriverError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Refused { code: ErrorCode::IllegalTransition | ErrorCode::NodesActive, .. } => {
                Self::Refused(error.to_string())
            }
            ClientError::Refused { .. } | ClientError::TooLarge { .. } => Self::Unacceptable(error.to_string()),
            lost => Self::Lost(lost.to_string()),
        }
    }
}
