//! The live sessions: where commands become durable events, and where viewers get them from.
//!
//! ```text
//!           submit                    one commit                    publish
//! command ─────────▶ Live (staged) ─▶ lane ─────────▶ PostgreSQL ─▶ Live (committed) ─▶ viewers
//! ```
//!
//! - A [`Live`] is one session in memory. Its *staged* state runs ahead of its *committed* one, so a
//!   session can have many commands in flight; viewers only ever see the committed one.
//! - A *lane* writes what was staged while its last commit ran, as one statement. A session is
//!   always in the same lane, so its events are written in the order they were decided.
//! - The database is the arbiter between instances: who loses the race for a revision reloads and
//!   decides again (see `lane`).
//!
//! Idle sessions leave memory after [`HubOptions::idle_after`]; the next access loads them again.

mod agents;
mod chunks;
mod decision;
mod entry;
mod error;
mod feed;
mod gate;
mod handle;
mod heads;
mod keyframes;
mod lane;
mod live;
mod outputs;
mod prices;
mod publication;
mod registry;
mod submission;
mod undriven;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::session::{
    Command, Created, Event, Recorded, Refusal, Revision, Session, SessionId, Timestamp, check_embedding, limits,
};
use crate::storage::{Constraint, NewSession, Storage, StorageError};

pub use chunks::{Chunk, ChunkRelay};
pub use error::HubError;
pub use feed::{FeedChange, FeedCursor};
pub use gate::StartGate;
pub use handle::{EndReason, SessionHandle, SignalReceiver};
pub use live::{Head, Live, Subscription};
pub use prices::{PriceError, Prices};
pub use publication::{Publication, RecordedFrame};
pub use submission::{Outcome, Receipt, Reply, Submission};

use agents::AgentNames;
use feed::Feed;
use lane::{Lane, LaneHandle};
use registry::Registry;

/// How the hub is sized. Each field says its default.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Group-commit lanes, each with a database connection of its own (4).
    pub lanes: usize,
    /// Commands that may wait in one lane (4,096). Beyond it a command waits, or is refused with
    /// `unavailable` while the database is away.
    pub backlog: usize,
    /// How long a session without viewers and pending commands stays in memory (60 s).
    pub idle_after: Duration,
    /// How many numbers the embedding of a memory has (1,536).
    pub embedding_dimension: u32,
    /// What models cost (nothing, until loaded).
    pub prices: Prices,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            lanes: 4,
            backlog: 4_096,
            idle_after: Duration::from_mins(1),
            embedding_dimension: 1_536,
            prices: Prices::default(),
        }
    }
}

/// All live sessions of this process. A cheap handle; the lanes own the work.
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    storage: Storage,
    registry: Registry,
    lanes: Vec<LaneHandle>,
    feed: Arc<Feed>,
    agents: AgentNames,
    embedding_dimension: u32,
    prices: Prices,
    chunks: chunks::Chunks,
    gate: gate::Gate,
    undriven: Arc<undriven::Undriven>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Hub {
    /// Starts the lanes. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn new(storage: Storage, options: &HubOptions) -> Self {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let feed = Arc::new(Feed::default());
        let undriven = Arc::new(undriven::Undriven::default());
        let keyframes = keyframes::spawn(storage.clone(), &tasks, stop.clone());
        let lanes = (0..options.lanes.max(1))
            .map(|_| {
                let (sender, receiver) = mpsc::channel(options.backlog.max(1));
                let (lane, handle) = Lane::new(storage.clone(), sender, receiver, Arc::clone(&feed), keyframes.clone());
                let lane = lane.telling(Arc::clone(&undriven));
                tasks.spawn(lane.run(stop.clone()));
                handle
            })
            .collect();
        let registry = Registry::new(storage.clone());
        tasks.spawn(registry.clone().sweep(options.idle_after, stop.clone()));
        let (agents, prices) = (AgentNames::default(), options.prices.clone());
        let embedding_dimension = options.embedding_dimension;
        let (chunks, gate) = (chunks::Chunks::default(), gate::Gate::default());
        let inner = Inner {
            storage,
            registry,
            lanes,
            feed,
            agents,
            embedding_dimension,
            prices,
            chunks,
            gate,
            undriven,
            stop,
            tasks,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Creates a session. With `creation_key`, a repetition returns the session that the first call
    /// made, as it was then.
    ///
    /// # Errors
    ///
    /// [`HubError::Constraint`] when the id is taken, or the group or workflow does not exist.
    pub async fn create(
        &self,
        id: SessionId,
        created: Created,
        creation_key: Option<&str>,
    ) -> Result<Arc<Session>, HubError> {
        let event = Event::Created(Box::new(created));
        let recorded = Recorded { session_id: id, revision: 1, at: Timestamp::now(), event };
        let session = Arc::new(Session::create(&recorded).map_err(StorageError::from)?);
        let new = NewSession { recorded: &recorded, session: &session, creation_key };
        match self.inner.storage.create_session(&new).await {
            Ok(()) => {}
            Err(StorageError::Constraint(Constraint::CreationKeyUsed | Constraint::SessionExists))
                if creation_key.is_some() =>
            {
                return self.created_before(creation_key.unwrap_or_default()).await;
            }
            Err(error) => return Err(error.into()),
        }
        self.inner.undriven.changed(&session);
        self.inner.registry.insert_new(Arc::clone(&session), recorded);
        self.inner.feed.changed(id);
        Ok(session)
    }

    /// Creates a session that goes on where another one stood at a revision, with its state. With
    /// `creation_key`, a repetition returns the fork that the first call made, as it was then.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when the parent never reached that revision;
    /// [`HubError::Constraint`] when the key was used for something else.
    pub async fn fork(
        &self,
        parent_id: SessionId,
        revision: Revision,
        creation_key: Option<&str>,
    ) -> Result<Arc<Session>, HubError> {
        let storage = &self.inner.storage;
        if storage.count_ancestors(parent_id).await? >= limits::FORKS {
            return Err(Refusal::TooLarge { what: "the number of forks in a line", limit: limits::FORKS }.into());
        }
        let parent = storage.session_at(parent_id, revision).await?.ok_or(HubError::NotFound)?;
        let event = Event::Created(Box::new(Created::fork_of(&parent)));
        // Not before the parent's last event, so that messages stay in order across the two.
        let at = Timestamp::now().max(parent.updated_at);
        let recorded = Recorded { session_id: SessionId::generate(), revision: 1, at, event };
        let session = Arc::new(Session::create(&recorded).map_err(StorageError::from)?);
        let new = NewSession { recorded: &recorded, session: &session, creation_key };
        match storage.create_fork(&new, parent_id, revision).await {
            Ok(()) => {}
            Err(StorageError::Constraint(Constraint::CreationKeyUsed)) => {
                let fork = self.created_before(creation_key.unwrap_or_default()).await?;
                let is_the_same =
                    (fork.origin.parent_id, fork.origin.forked_from_revision) == (Some(parent_id), Some(revision));
                return if is_the_same { Ok(fork) } else { Err(Constraint::CreationKeyUsed.into()) };
            }
            Err(error) => return Err(error.into()),
        }
        let id = session.id;
        self.inner.registry.insert_new(Arc::clone(&session), recorded);
        self.inner.feed.changed(id);
        self.inner.undriven.changed(&session);
        Ok(session)
    }

    /// Tells live lists of a session that was stored whole, as by an import.
    pub fn appeared(&self, id: SessionId) {
        self.inner.feed.changed(id);
    }

    async fn created_before(&self, key: &str) -> Result<Arc<Session>, HubError> {
        let storage = &self.inner.storage;
        let id = storage.session_by_creation_key(key).await?.ok_or(Constraint::SessionExists)?;
        let session = storage.session_at(id, 1).await?.ok_or(HubError::NotFound)?;
        Ok(Arc::new(session))
    }

    /// The committed state of a session.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`], or [`HubError::Unavailable`] when it has to be loaded and cannot.
    pub async fn session(&self, id: SessionId) -> Result<Arc<Session>, HubError> {
        loop {
            let live = self.inner.registry.get(id).await?;
            match live.head() {
                Head::At(publication) => return Ok(Arc::clone(publication.session())),
                // Deleted by another instance, and only noticed.
                Head::Deleted(_) => self.inner.registry.forget(&live),
            }
        }
    }

    /// Follows a session: its committed state now, and a wake-up at every change.
    ///
    /// # Errors
    ///
    /// As for [`Hub::session`].
    pub async fn subscribe(&self, id: SessionId) -> Result<Subscription, HubError> {
        loop {
            let live = self.inner.registry.get(id).await?;
            if let Some(subscription) = live.subscribe() {
                return Ok(subscription);
            }
            self.inner.registry.forget(&live);
        }
    }

    /// Hands commands to a session. Returns as soon as they are staged or refused; the `reply` is
    /// answered once they are durable.
    ///
    /// Waits while the session's lane is full. Dropping the future before it returns means that
    /// nothing was staged; afterwards the commands are carried out whoever is still listening.
    ///
    /// # Errors
    ///
    /// Why nothing was staged; the `reply` is not used then.
    pub async fn submit(&self, mut submission: Submission, reply: Reply) -> Result<(), HubError> {
        let kind = submission.commands.first().map_or("none", Command::kind);
        let span = tracing::debug_span!("command", session_id = %submission.session_id, kind);
        let Inner { registry, lanes, storage, agents, prices, .. } = &*self.inner;
        let submitting = async {
            for command in &mut submission.commands {
                command.assign_ids(Uuid::now_v7);
                if let Command::AddMemory { embedding: Some(embedding), .. } = command {
                    check_embedding(embedding, self.inner.embedding_dimension)?;
                }
                prices.put_into(command);
                agents.put_into(command, storage).await?;
            }
            self.inner.gate.check(registry, submission.session_id, &submission.commands).await?;
            submission::submit(registry, lanes, storage, submission, reply).await
        };
        submitting.instrument(span).await
    }

    /// As [`Hub::submit`], waiting for the commands to be durable.
    ///
    /// # Errors
    ///
    /// Why the commands were not carried out.
    pub async fn execute(&self, submission: Submission) -> Outcome {
        let (reply, answer) = Reply::once();
        self.submit(submission, reply).await?;
        answer.await.unwrap_or(Err(HubError::Unavailable))
    }

    /// An engine's grip on one session.
    ///
    /// # Errors
    ///
    /// As for [`Hub::session`].
    pub async fn handle(&self, id: SessionId) -> Result<SessionHandle, HubError> {
        Ok(SessionHandle::new(self.clone(), self.subscribe(id).await?))
    }

    /// Events after `revision`, at most `limit`, from the journal; on demand with the texts of their
    /// messages, which the journal itself does not hold.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn events(
        &self,
        id: SessionId,
        after: Revision,
        limit: u32,
        with_texts: bool,
    ) -> Result<Vec<Recorded>, HubError> {
        let storage = &self.inner.storage;
        let mut events = storage.events(id, after, limit).await?;
        if with_texts && let Some(last) = events.last() {
            let mut texts = storage.messages_between(id, after, last.revision, limit).await?.into_iter().peekable();
            for recorded in &mut events {
                if let Event::MessageAdded(added) = &mut recorded.event
                    && let Some((_, message)) = texts.next_if(|(revision, _)| *revision == recorded.revision)
                {
                    added.content = Some(message.content);
                }
            }
        }
        Ok(events)
    }

    /// Deletes a session with everything below it, and tells its viewers.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`] when there is none.
    pub async fn delete(&self, id: SessionId) -> Result<(), HubError> {
        let summary = self.inner.storage.summary(id).await?;
        if !self.inner.storage.delete_session(id).await? {
            return Err(HubError::NotFound);
        }
        self.inner.registry.remove_deleted(id);
        if let Some(summary) = summary {
            self.inner.feed.deleted(id, summary);
        }
        Ok(())
    }

    /// Deletes a group with its sessions and memories; false when there was none.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn delete_group(&self, group_id: Uuid) -> Result<bool, HubError> {
        for id in self.inner.storage.sessions_of_group(group_id).await? {
            match self.delete(id).await {
                Ok(()) | Err(HubError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.inner.storage.delete_entity::<crate::session::Group>(group_id).await?)
    }

    /// Follows which sessions change, for live lists.
    #[must_use]
    pub fn feed(&self) -> FeedCursor {
        Feed::follow(&self.inner.feed)
    }

    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    /// How many sessions are in memory.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.inner.registry.len()
    }

    /// Stops taking commands and waits until everything accepted is written, at most `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(deadline, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("the database did not take every accepted command in time; unanswered ones may be lost");
        }
    }
}
