//! The supervisor of the built-in engine: decides which sessions this server drives.
//!
//! ```text
//! hub: a session of the engine was started, resumed, signalled ─┐
//! poll of the lease table, once a second ───────────────────────┼─▶ wanted ─▶ lease ─▶ run ─▶ ended: lease released
//! restarts, expired leases, due timers                          ┘                        ├──▶ parked: only a row waits
//!                                                                                        └──▶ fenced: begins again
//! ```
//!
//! A session is driven under a lease that is renewed meanwhile, and expires if the server disappears.
//! A server that finds a lease lost releases the session at once; commands that it has in flight are refused
//! by their expected revision (see `local`). While the database is away leases cannot be renewed and nothing
//! can be written; runs continue with the attempts they have begun.
//!
//! A session that only waits is parked: it costs a row, no task and no memory.

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

/// How often the table is polled for sessions without a driver.
const POLL: Duration = Duration::from_secs(1);
/// Sessions claimed, or released, by one statement.
const BATCH: usize = 256;
/// How long runs may take to end when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Logged when leases could not be released. Operators look for these words.
const UNRELEASED_LEASES: &str = "cannot give sessions back; their leases expire";

/// The engine's options, each with its default.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// Sessions driven at once (2,000). The others wait; parked sessions do not count.
    pub sessions: usize,
    /// Nodes of one session that run at the same time (16).
    pub nodes: usize,
    /// How long a lease lasts without being renewed (10 s). After a crash, no other server drives the sessions
    /// of this one for that long.
    pub lease: Duration,
    /// A run that has only to wait, for at least this long, is parked (5 s).
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
    /// Starts to drive the sessions of this hub's database that belong to the built-in engine. Must be
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
            failed: HashMap::new(),
            wanted: VecDeque::new(),
            is_wanted: HashSet::new(),
        };
        let marks = leases::correct_parked(supervisor.hub.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(marks));
        tasks.spawn(supervisor.work(stop.clone()));
        Self { inner: Arc::new(Inner { kinds, stop, tasks }) }
    }

    /// Whether a graph can be run here.
    ///
    /// # Errors
    ///
    /// [`PlanError`], which names the node.
    pub async fn check(&self, graph: &GraphDefinition) -> Result<(), PlanError> {
        Plan::new_in_background(Arc::new(graph.clone()), Arc::clone(&self.inner.kinds)).await.map(drop)
    }

    /// Releases every session, so that another server, or the next start, can resume them at once.
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
    /// The identity of this process in the table of leases.
    holder: Uuid,
    /// Sessions driven here, each with the token that cancels its run.
    running: BTreeMap<SessionId, CancellationToken>,
    runs: JoinSet<(SessionId, Result<Ended, RunError>)>,
    /// The session of each run, in case its task panics.
    tasks: HashMap<task::Id, SessionId>,
    /// Leases whose release failed and will be retried; sessions that are driven again are not among them.
    unreleased: BTreeSet<SessionId>,
    /// Sessions whose runs failed, with the number of failures in a row, and when each may be driven again.
    failed: HashMap<SessionId, (u32, Instant)>,
    wanted: VecDeque<SessionId>,
    is_wanted: HashSet<SessionId>,
}

impl Supervisor {
    async fn work(mut self, stop: CancellationToken) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renew = interval(self.options.lease / 3);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let hub = self.hub.clone();
        loop {
            tokio::select! {
                // In order of priority: leases are renewed first; the branch that is always ready under load is last.
                biased;
                () = stop.cancelled() => return self.end().await,
                _ = renew.tick(), if !self.running.is_empty() || !self.unreleased.is_empty() => self.renew_leases().await,
                _ = poll.tick() => self.poll().await,
                Some(ended) = self.runs.join_next_with_id() => self.ended(ended).await,
                ids = hub.undriven(BATCH) => ids.into_iter().for_each(|id| self.want(id)),
            }
            self.claim().await;
            metrics::gauge!("relive_engine_runs").set(self.running.len() as f64);
        }
    }

    fn want(&mut self, id: SessionId) {
        let waits = self.failed.get(&id).is_some_and(|(_, until)| *until > Instant::now());
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
            tracing::warn!("some runs did not end in time");
        }
        let ids: Vec<SessionId> = self.running.into_keys().chain(self.unreleased).collect();
        if let Err(error) = self.hub.store().release_leases(self.holder, &ids).await {
            error.log(UNRELEASED_LEASES);
        }
    }
}
