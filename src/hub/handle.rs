//! An engine's grip on a session, for engines that live in the server's own process.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Hub;
use super::error::HubError;
use super::live_session::{Head, Subscription};
use super::submission::{Outcome, Submission};
use relive_session::{Command, Event, NodeId, Revision, Session, SessionId, SessionStatus};

/// How many journal events a receiver that fell behind reads at once.
const PAGE: u32 = 500;
/// Before a session that could not be read is asked for again.
const RETRY: Duration = Duration::from_millis(500);

/// How a session that no longer runs ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    Ended(SessionStatus),
    Deleted,
}

/// What an engine in this process needs of one session: control, context, pause, signals, and a
/// token that tells it to let go. Everything goes through commands, so it is as durable and as
/// visible as what an engine outside does.
#[derive(Debug)]
pub struct SessionHandle {
    hub: Hub,
    subscription: Subscription,
    cancelled: CancellationToken,
    /// Ends the watcher behind `cancelled`.
    _watch: DropGuard,
}

impl SessionHandle {
    pub(super) fn new(hub: Hub, subscription: Subscription) -> Self {
        let cancelled = CancellationToken::new();
        let dropped = CancellationToken::new();
        tokio::spawn(watch_end(hub.clone(), subscription.live().id(), cancelled.clone(), dropped.clone()));
        Self { hub, subscription, cancelled, _watch: dropped.drop_guard() }
    }

    #[must_use]
    pub fn id(&self) -> SessionId {
        self.subscription.live().id()
    }

    /// The committed state.
    #[must_use]
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(self.subscription.live().head().session())
    }

    /// Carries out commands, all or none, and waits until they are durable.
    ///
    /// # Errors
    ///
    /// Why they were not carried out.
    pub async fn execute(&self, commands: Vec<Command>) -> Outcome {
        self.hub.execute(Submission::new(self.id(), commands)).await
    }

    /// # Errors
    ///
    /// [`relive_session::Refusal::SessionTransition`] unless the session is pending.
    pub async fn start(&self) -> Outcome {
        self.execute(vec![Command::Start]).await
    }

    /// # Errors
    ///
    /// [`relive_session::Refusal::SessionTransition`] unless the session is running.
    pub async fn pause(&self) -> Outcome {
        self.execute(vec![Command::Pause]).await
    }

    /// # Errors
    ///
    /// [`relive_session::Refusal::SessionTransition`] unless the session is paused.
    pub async fn resume(&self) -> Outcome {
        self.execute(vec![Command::Resume]).await
    }

    /// # Errors
    ///
    /// [`relive_session::Refusal::NodesActive`] while a node is running or suspended.
    pub async fn complete(&self, outputs: Option<Value>) -> Outcome {
        self.execute(vec![Command::Complete { outputs }]).await
    }

    /// # Errors
    ///
    /// [`relive_session::Refusal::SessionTransition`] unless the session is running or paused.
    pub async fn stop(&self, reason: Option<String>) -> Outcome {
        self.execute(vec![Command::Stop { reason }]).await
    }

    /// # Errors
    ///
    /// [`relive_session::Refusal::TooLarge`] beyond the limit of context data.
    pub async fn set_context(&self, key: String, value: Value) -> Outcome {
        self.execute(vec![Command::SetContext { key, value }]).await
    }

    /// One entry of the committed context data.
    #[must_use]
    pub fn context(&self, key: &str) -> Option<Arc<Value>> {
        self.session().context.get(key).map(|entry| Arc::clone(entry.value()))
    }

    /// Hands a payload to a node. Never waits for the node: it takes the signal when it looks.
    ///
    /// # Errors
    ///
    /// [`relive_session::Refusal::NotWaiting`] and [`relive_session::Refusal::SignalPending`].
    pub async fn signal(&self, node_id: NodeId, payload: Value) -> Outcome {
        self.execute(vec![Command::Signal { node_id, payload }]).await
    }

    /// Cancelled once the session has ended, however it ended, or was deleted.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.cancelled.clone()
    }

    /// Returns at once while the session runs, and waits while it is paused or not yet started.
    ///
    /// # Errors
    ///
    /// [`EndReason`] when the session has ended; nothing more can be done then. Cancel-safe.
    pub async fn wait_if_paused(&mut self) -> Result<(), EndReason> {
        loop {
            match end_of(&self.subscription.head()) {
                Some(reason) => return Err(reason),
                None if self.session().status == SessionStatus::Running => return Ok(()),
                None => self.subscription.changed().await,
            }
        }
    }

    /// Receives the signals of one node: first one that is still undelivered, then those to come.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when the session is gone.
    pub async fn signals(&self, node_id: NodeId) -> Result<SignalReceiver, HubError> {
        let mut subscription = self.hub.subscribe(self.id()).await?;
        let session = Arc::clone(subscription.head().session());
        // An undelivered signal is read again from the journal, at its own revision.
        let seen = session.signals.get(&node_id).map_or(session.revision, |signal| signal.revision.saturating_sub(1));
        Ok(SignalReceiver { hub: self.hub.clone(), subscription, node_id, seen, waiting: Vec::new() })
    }
}

fn end_of(head: &Head) -> Option<EndReason> {
    match head {
        Head::Deleted(_) => Some(EndReason::Deleted),
        Head::At(publication) => {
            let status = publication.session().status;
            status.is_ended().then_some(EndReason::Ended(status))
        }
    }
}

async fn watch_end(hub: Hub, id: SessionId, cancelled: CancellationToken, dropped: CancellationToken) {
    let ended = async {
        let mut subscription = loop {
            match hub.subscribe(id).await {
                Ok(subscription) => break subscription,
                Err(HubError::NotFound) => return,
                // It cannot be read now, which is no end of it.
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        };
        while end_of(&subscription.head()).is_none() {
            subscription.changed().await;
        }
    };
    if dropped.run_until_cancelled(ended).await.is_some() {
        cancelled.cancel();
    }
}

/// Receives the signals of one node, in order, each once.
#[derive(Debug)]
pub struct SignalReceiver {
    hub: Hub,
    subscription: Subscription,
    node_id: NodeId,
    /// Events up to this revision have been looked at.
    seen: Revision,
    /// Payloads found and not yet handed out, the next one last.
    waiting: Vec<Arc<Value>>,
}

impl SignalReceiver {
    /// The next signal's payload; `None` once the session has ended. Cancel-safe.
    ///
    /// # Errors
    ///
    /// When the journal has to be read and cannot.
    pub async fn recv(&mut self) -> Result<Option<Arc<Value>>, HubError> {
        loop {
            if let Some(payload) = self.waiting.pop() {
                return Ok(Some(payload));
            }
            let head = self.subscription.head();
            if self.seen < head.session().revision {
                self.look(head.session().revision).await?;
            } else if end_of(&head).is_some() {
                return Ok(None);
            } else {
                self.subscription.changed().await;
            }
        }
    }

    async fn look(&mut self, head: Revision) -> Result<(), HubError> {
        let mut found = Vec::new();
        let mut seen = self.seen;
        if let Some(frames) = self.subscription.live().events_after(seen) {
            for frame in frames {
                seen = frame.recorded().revision;
                found.extend(self.payload(&frame.recorded().event));
            }
        } else {
            for recorded in self.hub.events(self.subscription.live().id(), seen, PAGE, false).await? {
                seen = recorded.revision;
                found.extend(self.payload(&recorded.event));
            }
        }
        // Nothing there although the head has moved: the session was deleted meanwhile.
        self.seen = if seen == self.seen { head } else { seen };
        found.reverse();
        self.waiting = found;
        Ok(())
    }

    fn payload(&self, event: &Event) -> Option<Arc<Value>> {
        match event {
            Event::Signalled { node_id, payload } if *node_id == self.node_id => Some(Arc::clone(payload)),
            // A fork begins with what its parent's node had not yet received.
            Event::Created(created) => created.inherited_signal(&self.node_id).cloned(),
            _ => None,
        }
    }
}
