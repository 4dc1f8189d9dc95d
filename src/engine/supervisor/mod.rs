//! The built-in engine as a whole: which sessions this server drives.
//!
//! ```text
//! hub: a session of ours was started, resumed, signalled ─┐
//! a look at the table, once a second ─────────────────────┼─▶ wanted ─▶ lease ─▶ run ─▶ ended: lease given back
//! restarts, lapsed leases, times that have come           ┘                        ├──▶ parked: only a row waits
//!                                                                                  └──▶ overtaken: begin again
//! ```
//!
//! A session is driven under a lease that is renewed while it is, and ends by itself when the server
//! does not come back. A server that finds a lease gone lets go of the session at once; what it may
//! still have under way is refused by the condition on its commands (see `local`). While the database
//! is away nothing can be renewed and nothing can be written: runs go on with what they are at.
//!
//! A session that only waits is let go of: it costs a row, no task and no memory.

mod leases;
mod runs;
mod start_check;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::engine::error::PlanError;
use crate::engine::plan::{Kinds, Plan};
use crate::engine::run::{Ended, RunError};
use crate::hub::Hub;
use relive_session::{GraphDefinition, SessionId, ambient};

use start_check::EngineStartCheck;

/// How often the table is looked at for sessions that nobody drives.
const LOOK: Duration = Duration::from_secs(1);
/// Sessions taken up, or given back, by one statement.
const BATCH: usize = 256;
/// How long runs may take to let go when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How the engine is sized. Each field says its default.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Sessions driven at once (2,000). The others wait; those that only wait themselves do not count.
    pub sessions: usize,
    /// Nodes that work at the same time in one session (16).
    pub nodes: usize,
    /// How long a lease lasts without being renewed (10 s): so long are the sessions of a server that
    /// was killed left alone.
    pub lease: Duration,
    /// A run with nothing to do but to wait for at least this long is let go of (5 s).
    pub park_after: Duration,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { sessions: 2_000, nodes: 16, lease: seconds(10), park_after: seconds(5) }
    }
}

/// The built-in engine. A cheap handle.
#[derive(Clone, Debug)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    kinds: Arc<dyn Kinds>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Engine {
    /// Begins to drive the sessions of this hub's database that are the built-in engine's. Must be
    /// called inside a Tokio runtime.
    #[must_use]
    pub fn start(hub: Hub, kinds: impl Kinds + 'static, options: EngineOptions) -> Self {
        let kinds: Arc<dyn Kinds> = Arc::new(kinds);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        hub.set_start_check(Arc::new(EngineStartCheck { kinds: Arc::clone(&kinds) }));
        let supervisor = Supervisor {
            hub,
            kinds: Arc::clone(&kinds),
            options,
            holder: ambient::uuid(),
            running: BTreeMap::new(),
            runs: JoinSet::new(),
            tasks: HashMap::new(),
            unreleased: BTreeSet::new(),
            given_up: HashMap::new(),
            wanted: VecDeque::new(),
            is_wanted: HashSet::new(),
        };
        tasks.spawn(supervisor.work(stop.clone()));
        Self { inner: Arc::new(Inner { kinds, stop, tasks }) }
    }

    /// Whether a graph can be run here.
    ///
    /// # Errors
    ///
    /// [`PlanError`], which names the node.
    pub async fn check(&self, graph: &GraphDefinition) -> Result<(), PlanError> {
        Plan::elsewhere(Arc::new(graph.clone()), Arc::clone(&self.inner.kinds)).await.map(drop)
    }

    /// Lets go of every session, so that another server, or the next start, can take them up at once.
    pub async fn shutdown(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

type RunEnded = Result<(task::Id, (SessionId, Result<Ended, RunError>)), task::JoinError>;

struct Supervisor {
    hub: Hub,
    kinds: Arc<dyn Kinds>,
    options: EngineOptions,
    /// This process, in the table of leases.
    holder: Uuid,
    /// Sessions driven here, each with the token that makes its run let go.
    running: BTreeMap<SessionId, CancellationToken>,
    runs: JoinSet<(SessionId, Result<Ended, RunError>)>,
    /// Which run is whose, for one that breaks.
    tasks: HashMap<task::Id, SessionId>,
    /// Leases whose release failed, and is tried again; what is driven anew is not among them.
    unreleased: BTreeSet<SessionId>,
    /// Sessions whose runs were given up, with how often in a row, and until when they are left alone.
    given_up: HashMap<SessionId, (u32, Instant)>,
    wanted: VecDeque<SessionId>,
    is_wanted: HashSet<SessionId>,
}

impl Supervisor {
    async fn work(mut self, stop: CancellationToken) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renew = interval(self.options.lease / 3);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hub = self.hub.clone();
        loop {
            tokio::select! {
                // What is always ready under load comes last, and what holds leases first.
                biased;
                () = stop.cancelled() => return self.end().await,
                _ = renew.tick(), if !self.running.is_empty() || !self.unreleased.is_empty() => self.renew().await,
                _ = look.tick() => self.look().await,
                Some(ended) = self.runs.join_next_with_id() => self.ended(ended).await,
                ids = hub.undriven(BATCH) => ids.into_iter().for_each(|id| self.want(id)),
            }
            self.resume_runs().await;
            metrics::gauge!("relive_engine_runs").set(self.running.len() as f64);
        }
    }

    fn want(&mut self, id: SessionId) {
        let waits = self.given_up.get(&id).is_some_and(|(_, until)| *until > Instant::now());
        if !waits && !self.running.contains_key(&id) && self.is_wanted.insert(id) {
            self.wanted.push_back(id);
        }
    }

    async fn end(mut self) {
        for detach in self.running.values() {
            detach.cancel();
        }
        let gone = async { while self.runs.join_next().await.is_some() {} };
        if tokio::time::timeout(SHUTDOWN_GRACE, gone).await.is_err() {
            tracing::warn!("some runs did not let go in time");
        }
        let ids: Vec<SessionId> = self.running.into_keys().chain(self.unreleased).collect();
        if let Err(error) = self.hub.store().release_leases(self.holder, &ids).await {
            tracing::warn!(%error, "cannot give sessions back; their leases end by themselves");
        }
    }
}
