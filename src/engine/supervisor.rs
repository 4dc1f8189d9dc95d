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

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::error::PlanError;
use super::local::LocalLink;
use super::node_task::error_text;
use super::plan::{Kinds, Plan};
use super::run::{Control, Ended, RunError, RunOptions, run};
use super::wall::WallClock;
use crate::hub::{Hub, HubError, StartCheck, Submission};
use crate::storage::{Parked, Taken};
use relive_backoff::Backoff;
use relive_session::{Command, GraphDefinition, NodeId, Revision, Session, SessionId, ambient};

/// How often the table is looked at for sessions that nobody drives.
const LOOK: Duration = Duration::from_secs(1);
/// Sessions taken up, or given back, by one statement.
const BATCH: usize = 256;
/// How long runs may take to let go when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Before a run that lost its session begins again, for the first time and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// Before a run that was given up is taken up again, at most.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Runs that were given up and are remembered; leases whose release is tried again.
const GIVEN_UP: usize = 4_096;
const UNRELEASED: usize = 4_096;

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
        hub.set_start_check(Arc::new(Gatekeeper { kinds: Arc::clone(&kinds) }));
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

/// Refuses to start what could not go far.
#[derive(Debug)]
struct Gatekeeper {
    kinds: Arc<dyn Kinds>,
}

impl StartCheck for Gatekeeper {
    fn check(&self, graph: Option<Arc<GraphDefinition>>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let graph = graph.ok_or("the built-in engine needs a graph, and this session has none")?;
            let plan = Plan::elsewhere(graph, Arc::clone(&self.kinds)).await.map_err(|error| error.to_string())?;
            self.kinds.check_services(&plan)
        })
    }

    fn check_signal(&self, session: &Session, node_id: &NodeId, payload: &Value) -> Result<(), String> {
        let node = session.origin.graph.as_ref().and_then(|graph| graph.nodes.get(node_id));
        match node.and_then(|node| self.kinds.read(node)) {
            Some(Ok(kind)) => kind.check_signal(payload).map_err(|why| format!("node '{node_id}': {why}")),
            // What is not there, or cannot be run, is named by whoever looks at the command itself.
            Some(Err(_)) | None => Ok(()),
        }
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

    /// Restarts, lapsed leases, times that have come: whatever no server drives although it should.
    async fn look(&mut self) {
        let room = self.options.sessions.saturating_sub(self.running.len() + self.wanted.len()).min(4 * BATCH);
        if room == 0 {
            return;
        }
        match self.hub.store().undriven_sessions(u32::try_from(room).unwrap_or(u32::MAX)).await {
            Ok(ids) => ids.into_iter().for_each(|id| self.want(id)),
            Err(error) => tracing::warn!(%error, "cannot look for sessions to drive"),
        }
    }

    async fn resume_runs(&mut self) {
        let room = self.options.sessions.saturating_sub(self.running.len());
        let some = room.min(BATCH).min(self.wanted.len());
        if some == 0 {
            return;
        }
        let ids: Vec<SessionId> = self.wanted.drain(..some).collect();
        for id in &ids {
            self.is_wanted.remove(id);
        }
        // Those that another server holds are its own; it looks at them itself.
        match self.hub.store().take_leases(self.holder, &ids, self.options.lease).await {
            Ok(taken) => taken.into_iter().for_each(|taken| self.drive(taken)),
            // The next look at the table finds them again.
            Err(error) => tracing::warn!(%error, "cannot take sessions up"),
        }
    }

    fn drive(&mut self, taken: Taken) {
        let Taken { session_id: id, revision, mut crashes, at } = taken;
        let clock = WallClock::showing(at);
        if crashes > 0 {
            tracing::warn!(session_id = %id, crashes, "taken up from a server that went away");
        }
        let detach = CancellationToken::new();
        self.unreleased.remove(&id);
        self.running.insert(id, detach.clone());
        self.hub.drive(id);
        let (hub, kinds, options, holder) = (self.hub.clone(), Arc::clone(&self.kinds), self.options, self.holder);
        let run = self.runs.spawn(async move {
            let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
            loop {
                let began = Instant::now();
                let ended = match hub.refresh(id, revision).await {
                    Ok(()) => drive(&hub, &kinds, options, (id, crashes, clock), &detach).await,
                    Err(error) => Err(RunError::Lost(error.to_string())),
                };
                let again = matches!(ended, Err(RunError::Overtaken)) && !detach.is_cancelled();
                if !again {
                    return (id, ended);
                }
                // It may have been whoever drives the session now.
                let held = hub.store().renew_leases(holder, &[id], options.lease).await;
                if held.is_ok_and(|held| held.is_empty()) {
                    return (id, Err(RunError::Detached));
                }
                crashes = 0;
                tracing::debug!(session_id = %id, "somebody else changed a node; beginning again");
                if began.elapsed() > LAST_PAUSE {
                    backoff.reset();
                }
                tokio::time::sleep(backoff.next_wait()).await;
            }
        });
        self.tasks.insert(run.id(), id);
    }

    /// Gives back the leases of all runs that have ended by now.
    async fn ended(&mut self, first: RunEnded) {
        let (mut over, mut parked) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(ended) = next {
            match ended {
                Ok((task, (id, Ok(Ended::Parked { revision, wake_after })))) => {
                    self.tasks.remove(&task);
                    self.given_up.remove(&id);
                    parked.push(Parked { session_id: id, revision, wake_after });
                }
                Ok((task, (id, ended))) => {
                    self.tasks.remove(&task);
                    match &ended {
                        Ok(_) | Err(RunError::Detached) => drop(self.given_up.remove(&id)),
                        Err(error) => self.leave_alone(id, error),
                    }
                    over.push(id);
                }
                Err(error) => self.broke(&error),
            }
            next = if over.len() + parked.len() < BATCH { self.runs.try_join_next_with_id() } else { None };
        }
        let store = self.hub.store();
        let given_back = if over.is_empty() { Ok(()) } else { store.release_leases(self.holder, &over).await };
        let put_down = if parked.is_empty() { Ok(()) } else { store.park_leases(self.holder, &parked).await };
        if given_back.is_err() {
            self.unreleased.extend(over.iter().copied().take(UNRELEASED.saturating_sub(self.unreleased.len())));
        }
        if let Err(error) = given_back.and(put_down) {
            tracing::warn!(%error, "cannot give sessions back; their leases end by themselves");
        }
        for id in over.iter().copied().chain(parked.iter().map(|parked| parked.session_id)) {
            self.running.remove(&id);
            self.hub.release_drive(id);
        }
        for Parked { session_id, revision, .. } in parked {
            if self.has_moved_on(session_id, revision).await {
                self.want(session_id);
            }
        }
    }

    /// A run that came to no end is begun again later and later.
    fn leave_alone(&mut self, id: SessionId, error: &RunError) {
        let now = Instant::now();
        if self.given_up.len() >= GIVEN_UP {
            self.given_up.retain(|_, (_, until)| *until > now);
        }
        let times = self.given_up.get(&id).map_or(0, |(times, _)| *times);
        let pause = Backoff::new(LOOK, LONGEST_PAUSE).bound_after(times);
        tracing::warn!(session_id = %id, %error, ?pause, "a run was given up");
        if self.given_up.len() < GIVEN_UP {
            self.given_up.insert(id, (times + 1, now + pause));
        }
    }

    /// A panic in a run: nobody renews its lease, and whoever finds it lapsed counts that.
    fn broke(&mut self, error: &task::JoinError) {
        let id = self.tasks.remove(&error.id());
        tracing::error!(session_id = ?id, %error, "a run broke");
        if let Some(id) = id {
            self.running.remove(&id);
            self.hub.release_drive(id);
        }
    }

    /// Whether something happened while a session was being let go of.
    async fn has_moved_on(&self, id: SessionId, since: Revision) -> bool {
        match self.hub.session(id).await {
            Ok(session) => session.revision != since,
            Err(_) => false,
        }
    }

    async fn renew(&mut self) {
        self.release_again().await;
        let driven: Vec<SessionId> = self.running.keys().copied().collect();
        if driven.is_empty() {
            return;
        }
        match self.hub.store().renew_leases(self.holder, &driven, self.options.lease).await {
            Ok(held) => {
                let held: HashSet<SessionId> = held.into_iter().collect();
                for (id, detach) in self.running.iter().filter(|(id, _)| !held.contains(id)) {
                    tracing::warn!(session_id = %id, "lost the lease; letting go");
                    detach.cancel();
                }
            }
            Err(error) => tracing::warn!(%error, "cannot renew leases"),
        }
    }

    async fn release_again(&mut self) {
        if self.unreleased.is_empty() {
            return;
        }
        let ids: Vec<SessionId> = self.unreleased.iter().copied().collect();
        match self.hub.store().release_leases(self.holder, &ids).await {
            Ok(()) => self.unreleased.clear(),
            Err(error) => tracing::debug!(%error, "still cannot give sessions back"),
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

/// One run, from wherever the session stands.
async fn drive(
    hub: &Hub,
    kinds: &Arc<dyn Kinds>,
    options: EngineOptions,
    (id, crashes, clock): (SessionId, u32, WallClock),
    detach: &CancellationToken,
) -> Result<Ended, RunError> {
    let lost = |error: HubError| RunError::Lost(error.to_string());
    // Whoever waits for an answer is gone when the run is.
    let answers = detach.child_token();
    let _ended = answers.clone().drop_guard();
    let (link, events) = LocalLink::open(hub.clone(), id, answers).await.map_err(lost)?;
    let session = super::driver::Link::session(&link);
    if !session.status.is_live() {
        return Ok(Ended::Completed);
    }
    if session.is_held() {
        return Ok(Ended::Parked { revision: session.revision, wake_after: None });
    }
    let Some(graph) = session.origin.graph.clone() else { return fail(hub, id, "the session has no graph").await };
    let plan = match Plan::elsewhere(graph, Arc::clone(kinds)).await {
        Ok(plan) => Arc::new(plan),
        Err(error) => return fail(hub, id, &error.to_string()).await,
    };
    let control = Control { detach: detach.clone(), ..Control::default() };
    let options = RunOptions { parallel: options.nodes, park_after: Some(options.park_after), crashes, clock };
    run(plan, options, Arc::new(link), events, control, |_| ()).await
}

/// What can no longer be run here, such as after a change of version, ends and says why.
async fn fail(hub: &Hub, id: SessionId, error: &str) -> Result<Ended, RunError> {
    let command = Command::Fail { error: error_text(error) };
    let failed = hub.execute(Submission::new(id, vec![command])).await;
    failed.map_err(|error| RunError::Lost(error.to_string()))?;
    Ok(Ended::Failed { error: error.to_owned() })
}
