//! The live sessions: where commands become durable events, and where viewers get them from.
//!
//! ```text
//!           submit                    one commit                    publish
//! command ─────────▶ LiveSession (staged) ─▶ lane ─────────▶ PostgreSQL ─▶ LiveSession (committed) ─▶ viewers
//! ```
//!
//! - A [`LiveSession`] is one session in memory. Its *staged* state runs ahead of its *committed* one, so a
//!   session can have many commands in flight; viewers only ever see the committed one.
//! - A *lane* writes what was staged while its last commit ran, as one statement. A session is
//!   always in the same lane, so its events are written in the order they were decided.
//! - The database arbitrates between servers: the writer that loses the race for a revision reloads and
//!   decides again (see `lane`). Servers that only watch are sent a notice (see `notices`).
//!
//! Idle sessions are released from memory after [`HubOptions::idle_after`]; the next access loads them again.
//!
//! Functions that have to reach the database fail with [`HubError::Unavailable`] while it is away. Their
//! `# Errors` sections name only other errors.

mod agents;
mod backlog;
mod batch_plan;
mod chunks;
mod commit_fanout;
mod creation;
mod decision;
mod deletion;
mod direct_commits;
mod drive_queue;
mod driver_lease;
mod error;
mod family;
mod feed;
mod history;
mod intake;
mod keyframes;
mod lane;
mod live_session;
mod memory_estimate;
mod notices;
mod outputs;
mod partition;
mod pending_command;
mod pending_reply;
mod prices;
mod publication;
mod queue;
mod registry;
mod remote_sync;
mod remote_update;
mod size;
mod start_check;
mod store;
mod submission;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::spans::Tracer;
use relive_session::{Actor, ActorKind, Command, Session, SessionId, ambient, check_embedding};

pub use chunks::{Chunk, ChunkOrigin, ChunkRelay};
pub use creation::CreateOptions;
pub use error::HubError;
pub use feed::{FeedChange, FeedCursor};
pub use live_session::{Head, LiveSession, Subscription, Watched};
pub use notices::{Broker, BrokerError, BrokerReceiver};
pub use prices::{PriceError, Prices};
pub use publication::{Publication, RecordedFrame};
pub use start_check::StartCheck;
pub use store::{BatchWriter, NoticeReceiver, NoticeSender, Store};
pub use submission::{CommandResult, LeaseRenewal, Receipt, ReplyTo, Submission};

use agents::AgentNames;
use backlog::Backlog;
use commit_fanout::CommitFanout;
use feed::Feed;
use lane::{Lane, LaneHandle};
use notices::Notices;
use registry::Registry;
use remote_sync::RemoteSync;
use size::QueueSize;

/// Commands of one session that may wait in its lane: twice as many as a batch takes at most.
const SHARE_ENTRIES: usize = 2_048;

/// The hub's options, each with its default.
#[derive(Clone, Debug)]
pub struct HubOptions {
    /// Lanes (group commit), each with a database connection of its own (4).
    pub lanes: usize,
    /// Commands that may wait in one lane (4,096). Further ones wait outside, or are refused with
    /// `unavailable` while the database is away.
    pub backlog: usize,
    /// Memory in bytes that the commands waiting in one lane may take (64 MiB); those of one session may take
    /// a quarter of it. The same happens beyond it.
    pub backlog_bytes: usize,
    /// How long a command may take (8 s). After that it is answered with `unavailable`, and not carried out
    /// later.
    pub answer_within: Duration,
    /// How long a session without viewers and pending commands stays in memory (60 s).
    pub idle_after: Duration,
    /// The number of dimensions of a memory's embedding (1,536).
    pub embedding_dimension: u32,
    /// How often sessions in memory are compared with the stored ones, in case a notice of another server
    /// was lost (20 s). One look-up by primary key per session.
    pub check_every: Duration,
    /// Prices of models (none by default).
    pub prices: Prices,
    /// Records traces (none).
    pub tracer: Tracer,
    /// A message broker for notices, beside the database (none).
    pub broker: Option<Arc<dyn Broker>>,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            lanes: 4,
            backlog: 4_096,
            backlog_bytes: 64 << 20,
            answer_within: Duration::from_secs(8),
            idle_after: Duration::from_mins(1),
            embedding_dimension: 1_536,
            check_every: Duration::from_secs(20),
            prices: Prices::default(),
            tracer: Tracer::default(),
            broker: None,
        }
    }
}

impl HubOptions {
    /// The limits of one lane's queue.
    fn backlog(&self) -> Backlog {
        let entries = self.backlog.max(1);
        let lane = QueueSize { entries, rows: entries * 16, bytes: self.backlog_bytes };
        let share = QueueSize { entries: entries.min(SHARE_ENTRIES), rows: entries * 2, bytes: self.backlog_bytes / 4 };
        Backlog::new(lane, share, self.answer_within)
    }
}

/// All live sessions of this process. A cheap handle; the lanes do the work.
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    registry: Registry,
    lanes: Vec<LaneHandle>,
    remote_sync: RemoteSync,
    fanout: CommitFanout,
    notices: Notices,
    agents: AgentNames,
    embedding_dimension: u32,
    prices: Prices,
    tracer: Tracer,
    chunks: chunks::Chunks,
    start_check: start_check::StartChecks,
    /// Whether events of the built-in engine record it as their actor.
    names_engine: AtomicBool,
    stop: CancellationToken,
    /// Stops the lanes at once, whatever they are waiting for.
    fail_all: CancellationToken,
    tasks: TaskTracker,
}

impl Hub {
    /// Starts the lanes. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn new(store: impl Store, options: &HubOptions) -> Self {
        let store: Arc<dyn Store> = Arc::new(store);
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let notices = Notices::new();
        let fanout = CommitFanout::new(notices.clone());
        let keyframes = keyframes::spawn(Arc::clone(&store), &tasks, stop.clone());
        let fail_all = CancellationToken::new();
        let lanes: Vec<LaneHandle> = (0..options.lanes.max(1))
            .map(|_| {
                let backlog = options.backlog();
                let (lane, handle) =
                    Lane::new(Arc::clone(&store), backlog, fanout.clone(), keyframes.clone(), stop.clone());
                // Expired submissions are answered for as long as the lane runs.
                let answering = handle.expire_overdue();
                tasks.spawn(fail_all.clone().run_until_cancelled_owned(async move {
                    tokio::select! {
                        biased;
                        () = lane.run() => {}
                        () = answering => {}
                    }
                }));
                handle
            })
            .collect();
        let registry = Registry::new(Arc::clone(&store));
        tasks.spawn(registry.clone().sweep(options.idle_after, stop.clone()));
        let remote_updates = lanes.iter().map(LaneHandle::remote_updates).collect();
        let remote_sync =
            RemoteSync::new(Arc::clone(&store), registry.clone(), Arc::clone(&fanout.feed), remote_updates);
        tasks.spawn(stop.clone().run_until_cancelled_owned(remote_sync.clone().run()));
        tasks.spawn(stop.clone().run_until_cancelled_owned(remote_sync.clone().run_checks(options.check_every)));
        let chunks = chunks::Chunks::default();
        notices.start(&store, options.broker.clone(), remote_sync.clone(), chunks.clone());
        let inner = Inner {
            store,
            registry,
            lanes,
            remote_sync,
            fanout,
            notices,
            agents: AgentNames::default(),
            embedding_dimension: options.embedding_dimension,
            prices: options.prices.clone(),
            tracer: options.tracer.clone(),
            chunks,
            start_check: start_check::StartChecks::default(),
            names_engine: AtomicBool::new(false),
            stop,
            fail_all,
            tasks,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Records traces, if that is wanted.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.inner.tracer
    }

    /// From now on events of the built-in engine record it as their actor, since callers are recorded too.
    pub fn name_engine(&self) {
        self.inner.names_engine.store(true, Ordering::Relaxed);
    }

    /// The built-in engine as an actor, if events record it.
    #[must_use]
    pub fn engine_actor(&self) -> Option<Arc<Actor>> {
        static ENGINE: LazyLock<Arc<Actor>> =
            LazyLock::new(|| Arc::new(Actor::new(ActorKind::Engine, "builtin", "built-in engine")));
        self.inner.names_engine.load(Ordering::Relaxed).then(|| Arc::clone(&ENGINE))
    }

    /// The committed state of a session, if it is in memory.
    #[must_use]
    pub fn held(&self, id: SessionId) -> Option<Arc<Session>> {
        match self.inner.registry.peek(id)?.head() {
            Head::At(publication) => Some(Arc::clone(publication.session())),
            Head::Deleted(_) => None,
        }
    }

    /// The committed state of a session, loaded if needed.
    ///
    /// # Errors
    ///
    /// [`HubError::NotFound`].
    pub async fn session(&self, id: SessionId) -> Result<Arc<Session>, HubError> {
        loop {
            let live = self.inner.registry.get(id).await?;
            match live.head() {
                Head::At(publication) => return Ok(Arc::clone(publication.session())),
                // Deleted by another server, and only noticed now.
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
        self.inner.registry.subscribe(id).await
    }

    /// Submits commands to a session. Returns as soon as they are staged or refused; the `reply` is
    /// sent once they are durable.
    ///
    /// Waits while the session's lane is full. If the future is dropped before it returns, nothing was
    /// staged; after that the commands are carried out even if the caller is gone.
    ///
    /// # Errors
    ///
    /// The reason if nothing was staged; the `reply` is not used then.
    pub async fn submit(&self, mut submission: Submission, reply: ReplyTo) -> Result<(), HubError> {
        let kind = submission.commands.first().map_or("lease", Command::kind);
        let span = tracing::debug_span!("command", session_id = %submission.session_id, kind);
        let Inner { registry, lanes, store, remote_sync, agents, prices, .. } = &*self.inner;
        let submitting = async {
            let live = intake::find(registry, &**store, &submission).await?;
            for command in &mut submission.commands {
                command.assign_ids(ambient::uuid);
                if let Command::AddMemory { embedding: Some(embedding), .. } = command {
                    check_embedding(embedding, self.inner.embedding_dimension)?;
                }
                prices.put_into(command);
                agents.put_into(command, &live, &**store).await?;
            }
            self.renew_lease(&live, &mut submission).await?;
            self.inner.start_check.check(&live, &submission.commands).await?;
            intake::submit(registry, lanes, &**store, remote_sync, live, submission, reply).await
        };
        submitting.instrument(span).await
    }

    /// As [`Hub::submit`], and waits until the commands are durable.
    ///
    /// # Errors
    ///
    /// Why the commands were not carried out.
    pub async fn execute(&self, submission: Submission) -> CommandResult {
        let (reply, answer) = ReplyTo::once();
        self.submit(submission, reply).await?;
        answer.await.unwrap_or(Err(HubError::Unavailable))
    }

    /// Follows which sessions change, for live lists.
    #[must_use]
    pub fn feed(&self) -> FeedCursor {
        Feed::follow(&self.inner.fanout.feed)
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.inner.store
    }

    /// How many sessions are in memory.
    #[must_use]
    pub fn live_sessions(&self) -> usize {
        self.inner.registry.len()
    }

    /// Stops accepting commands and waits until everything accepted is written, at most `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(deadline, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("the database did not take every accepted command in time; unanswered ones may be lost");
            self.inner.fail_all.cancel();
            self.inner.lanes.iter().for_each(LaneHandle::fail_all);
        }
        // After the last commit, since that is announced to other servers.
        self.inner.notices.shutdown().await;
    }
}
