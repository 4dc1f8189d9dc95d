//! One run: the schedule decides which nodes start, node tasks carry them out, and the session's events tell
//! what other clients have done. A run begins at the session's current state, so one that was interrupted, or
//! forked, is resumed in the same way as a new one is started.
//!
//! - **pause**: running nodes finish, none start, until **resume**.
//! - **cancel, stop, fail, complete** by any client end every attempt at once; the run returns when
//!   all have ended.
//! - A **signal** is delivered to the node that waits for it.
//! - A node that waits (a review, a delay) holds no task: only an entry here, and its status.
//! - An **interrupt** (Ctrl-C) ends every attempt and cancels the session; **detaching** ends every attempt
//!   too, and leaves the session as it is, so that another engine can resume it.
//!
//! A run ends with the session's ending event, whichever client caused it, and not before that event was
//! received.

mod budget;
mod outputs;
mod prospects;
mod resume;
mod rounds;
mod sending;
mod timers;
mod waiting;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::node_task::{NodeEnd, NodeTask, Phase};
use super::nodes::{NodeContext, Work};
use super::plan::Plan;
use super::schedule::{NodeOutcome, Schedule, Step};
use super::session_link::{LinkError, LinkEvents, SessionLink};
use super::wall::WallClock;
use relive_session::{Event, NodeId, Recorded, Revision, SessionStatus};

pub use prospects::Prospects;
use rounds::Rounds;
use sending::{Purpose, RequestedEnd};
use timers::{Timer, Timers, at};

/// How long an interrupted run waits for the server and its attempts.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// Nodes that run at the same time at most. Structural nodes and nodes that wait do not count.
    pub parallel: usize,
    /// Park the run when it has only to wait, for at least this long.
    pub park_after: Option<Duration>,
    /// How many engines in a row disappeared while they drove the session at its current revision.
    pub crashes: u32,
    /// The clock that due times are compared with.
    pub clock: WallClock,
}

/// After this many crashes in a row, the run or the node's attempt is not restarted.
pub const MOST_CRASHES: u32 = 3;

/// Ends a run from this process.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Ends every attempt and cancels the session.
    pub interrupt: CancellationToken,
    /// Ends every attempt and leaves the session as it is.
    pub detach: CancellationToken,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Completed,
    Failed {
        error: String,
    },
    Cancelled {
        reason: Option<String>,
    },
    /// Nothing is left to do until the session changes beyond this revision, or for this long.
    Parked {
        revision: Revision,
        wake_after: Option<Duration>,
    },
}

/// Why a run stopped before its session ended. No attempt is still running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("the session could not be started: {0}")]
    NotStarted(String),
    #[error("lost the session: {0}")]
    Lost(String),
    #[error("{}", LinkError::Fenced)]
    Fenced,
    #[error("cancelled here, but the server could not be notified")]
    Unannounced,
    #[error("the session was released")]
    Detached,
}

/// Runs a session's graph to its end, from the session's current state; one that is pending is
/// started. `events` must begin after the state that `link` shows; `observe` is called with each event.
///
/// # Errors
///
/// [`RunError`]. A run that fails or is cancelled is not an error but an [`Ended`].
pub async fn run<E: LinkEvents>(
    plan: Arc<Plan>,
    options: RunOptions,
    link: Arc<dyn SessionLink>,
    mut events: E,
    control: Control,
    mut observe: impl FnMut(&Recorded),
) -> Result<Ended, RunError> {
    let mut run = Run::begin(plan, options, link);
    let mut deadline = None;
    loop {
        run.advance();
        if run.tasks.is_empty()
            && let Some(result) = run.result.take()
        {
            return result;
        }
        if let Some(parked) = run.parked() {
            return Ok(parked);
        }
        let late = at(deadline);
        let due = at(run.timers.next());
        tokio::select! {
            biased;
            () = control.detach.cancelled(), if run.result.is_none() => run.finish(Err(RunError::Detached)),
            () = control.interrupt.cancelled(), if deadline.is_none() => {
                deadline = Some(Instant::now() + SHUTDOWN_GRACE);
                run.cancel();
            }
            () = late => {
                run.tasks.shutdown().await;
                return run.result.take().unwrap_or(Err(RunError::Unannounced));
            }
            Some(done) = run.tasks.join_next() => match done {
                Ok(done) => run.done(done),
                Err(error) => run.finish(Err(RunError::Lost(error.to_string()))),
            },
            event = events.next(), if run.result.is_none() => match event {
                Ok(Some(recorded)) => {
                    observe(&recorded);
                    run.handle_event(&recorded);
                }
                Ok(None) => run.finish(Err(RunError::Lost("its events ended before the run".to_owned()))),
                Err(LinkError::Fenced) => run.finish(Err(RunError::Fenced)),
                Err(error) => run.finish(Err(RunError::Lost(error.to_string()))),
            },
            () = due, if run.result.is_none() => run.fire_timer(),
        }
    }
}

enum Done {
    Node(NodeId, NodeEnd),
    Sent(Purpose, Result<(), LinkError>),
}

struct Run {
    plan: Arc<Plan>,
    options: RunOptions,
    link: Arc<dyn SessionLink>,
    schedule: Schedule,
    /// Nodes that the schedule has started and that have no task yet.
    ready: VecDeque<NodeId>,
    /// Slots that are occupied now.
    busy: usize,
    tasks: JoinSet<Done>,
    phase: watch::Sender<Phase>,
    /// Ends every attempt.
    stop: CancellationToken,
    /// Nodes that wait for a signal or a time.
    waits: BTreeSet<NodeId>,
    /// Nodes whose wait expired while a signal to them was being handled.
    overdue: BTreeSet<NodeId>,
    /// The revision of the last signal that was delivered to each node.
    signals_given: HashMap<NodeId, Revision>,
    timers: Timers,
    /// Retries made of each failed node, as in the session's state.
    tries: HashMap<NodeId, u32>,
    rounds: Rounds,
    failure: Option<String>,
    /// The newest revision whose event was handled.
    seen: Revision,
    started: bool,
    /// The budget is exhausted, and the session is being paused.
    pausing: bool,
    ending: RequestedEnd,
    /// The session is being failed, because the run cannot continue.
    failing: bool,
    result: Option<Result<Ended, RunError>>,
}

impl Run {
    fn begin(plan: Arc<Plan>, options: RunOptions, link: Arc<dyn SessionLink>) -> Self {
        let session = link.session();
        let mut run = Self {
            schedule: Schedule::of(Arc::clone(&plan.layout)),
            plan,
            options,
            link,
            ready: VecDeque::new(),
            busy: 0,
            tasks: JoinSet::new(),
            phase: watch::Sender::new(Phase::Running),
            stop: CancellationToken::new(),
            waits: BTreeSet::new(),
            overdue: BTreeSet::new(),
            signals_given: HashMap::new(),
            timers: Timers::default(),
            tries: HashMap::new(),
            rounds: Rounds::default(),
            failure: None,
            seen: session.revision,
            started: false,
            pausing: false,
            ending: RequestedEnd::NotRequested,
            failing: false,
            result: None,
        };
        match session.status {
            SessionStatus::Pending => run.send(Purpose::Start, vec![relive_session::Command::Start]),
            _ => run.resume(&session),
        }
        run
    }

    /// Starts the nodes that may start, and requests the session's end when all nodes are settled.
    fn advance(&mut self) {
        if self.stop.is_cancelled() || !self.started || self.failing || self.result.is_some() {
            return;
        }
        if *self.phase.borrow() == Phase::Running && !self.ready.is_empty() && !self.is_over_budget() {
            while let Some(node) = self.next_ready() {
                self.launch(&node);
            }
        }
        let may_request = match self.ending {
            RequestedEnd::NotRequested => true,
            RequestedEnd::Requested => false,
            RequestedEnd::Refused { seen } => self.seen > seen,
        };
        if self.tasks.is_empty() && may_request {
            self.request_end();
        }
    }

    /// The first ready node for which a slot is free, or that needs none.
    fn next_ready(&mut self) -> Option<NodeId> {
        let most = self.plan.settings.parallel.unwrap_or(usize::MAX).min(self.options.parallel).max(1);
        let is_free = self.busy < most;
        let at = self.ready.iter().position(|node| is_free || !self.needs_slot(node))?;
        self.ready.remove(at)
    }

    fn needs_slot(&self, node: &NodeId) -> bool {
        self.plan.node(node).is_some_and(|planned| planned.kind.work() != Work::Structural)
    }

    fn task(&self, node: &NodeId) -> Option<NodeTask> {
        let mut context = NodeContext::new(&self.plan, node, &self.link, &self.stop)?;
        context.rounds = self.schedule.rounds_of(node);
        let tries = self.tries.get(node).copied().unwrap_or_default();
        let (phase, stop, clock) = (self.phase.subscribe(), self.stop.clone(), self.options.clock);
        Some(NodeTask { context, phase, stop, clock, tries })
    }

    fn launch(&mut self, node: &NodeId) {
        let Some(task) = self.task(node) else { return };
        self.busy += usize::from(self.needs_slot(node));
        let node = node.clone();
        metrics::counter!("relive_engine_nodes_started_total").increment(1);
        self.spawn(node, task.attempt());
    }

    fn spawn(&mut self, node: NodeId, attempt: impl Future<Output = NodeEnd> + Send + 'static) {
        self.tasks.spawn(async move {
            let end = AssertUnwindSafe(attempt).catch_unwind().await;
            Done::Node(node, end.unwrap_or_else(|_| NodeEnd::Refused("internal error of the engine".to_owned())))
        });
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Node(node, end) => {
                // A node that waits occupies no slot.
                self.busy = self.busy.saturating_sub(usize::from(self.needs_slot(&node)));
                self.node_ended(&node, end);
            }
            Done::Sent(purpose, sent) => self.sent(purpose, sent),
        }
    }

    fn node_ended(&mut self, node: &NodeId, end: NodeEnd) {
        self.count(node, &end);
        let outcome = match end {
            NodeEnd::Completed => NodeOutcome::Completed,
            NodeEnd::Chose(next) => return self.settle_chosen(node, &next),
            NodeEnd::Failed(error) => {
                metrics::counter!("relive_engine_nodes_failed_total").increment(1);
                self.record_failure(node, &error)
            }
            NodeEnd::Retry(pause) => {
                metrics::counter!("relive_engine_nodes_failed_total").increment(1);
                // Another node has finally failed in the meantime: there is no further attempt.
                if self.schedule.is_failing() {
                    return self.settle(node, NodeOutcome::Skipped);
                }
                *self.tries.entry(node.clone()).or_default() += 1;
                self.overdue.remove(node);
                return self.timers.set(Instant::now() + pause, Timer::Retry(node.clone()));
            }
            NodeEnd::Waits => return self.wait(node, Duration::ZERO),
            NodeEnd::Decided(decision) => return self.decide_round(node.clone(), decision),
            NodeEnd::Stopped => return,
            NodeEnd::Refused(why) => return self.fail(format!("node '{node}' cannot be reported: {why}")),
            NodeEnd::Fenced => return self.finish(Err(RunError::Fenced)),
            NodeEnd::Lost(why) => return self.finish(Err(RunError::Lost(why))),
        };
        self.settle(node, outcome);
    }

    /// Counts an attempt by the type of its node and how it ended. Types are those that the engine knows.
    fn count(&self, node: &NodeId, end: &NodeEnd) {
        let outcome = match end {
            NodeEnd::Completed | NodeEnd::Chose(_) | NodeEnd::Decided(_) => "completed",
            NodeEnd::Failed(_) | NodeEnd::Refused(_) => "failed",
            NodeEnd::Retry(_) => "retried",
            NodeEnd::Stopped => "stopped",
            NodeEnd::Waits | NodeEnd::Fenced | NodeEnd::Lost(_) => return,
        };
        if let Some(found) = self.plan.graph.nodes.get(node) {
            let labels = [("type", found.kind.clone()), ("outcome", outcome.to_owned())];
            metrics::counter!("relive_engine_nodes_total", &labels).increment(1);
        }
    }

    /// Records a final failure, unless the node's policy ignores it.
    fn record_failure(&mut self, node: &NodeId, error: &str) -> NodeOutcome {
        if self.plan.node(node).is_some_and(|planned| planned.policy.continues) {
            return NodeOutcome::Completed;
        }
        self.failure.get_or_insert_with(|| format!("node '{node}' failed: {error}"));
        NodeOutcome::Failed
    }

    fn settle_chosen(&mut self, node: &NodeId, next: &[NodeId]) {
        self.tries.remove(node);
        self.timers.remove(node);
        let step = self.schedule.choose(node, next);
        self.apply_step(step);
    }

    fn settle(&mut self, node: &NodeId, outcome: NodeOutcome) {
        self.tries.remove(node);
        self.overdue.remove(node);
        self.timers.remove(node);
        let step = self.schedule.settle(node, outcome);
        self.apply_step(step);
        if self.schedule.is_failing() {
            self.skip_idle();
        }
    }

    fn apply_step(&mut self, step: Step) {
        self.ready.extend(step.start);
        // The event that ends the session also skips the remaining nodes.
        if self.schedule.verdict().is_none() {
            self.skip(step.skip);
        }
    }

    /// After a final failure: no node starts any more, and those without a running attempt are skipped.
    fn skip_idle(&mut self) {
        self.phase.send_replace(Phase::Failing);
        let waiting = std::mem::take(&mut self.waits);
        let retries = self.timers.clear_nodes();
        let idle: Vec<NodeId> = waiting.into_iter().chain(retries).chain(self.ready.drain(..)).collect();
        for node in idle {
            self.schedule.settle(&node, NodeOutcome::Skipped);
        }
    }

    fn handle_event(&mut self, recorded: &Recorded) {
        self.seen = recorded.revision;
        match &recorded.event {
            Event::Paused { .. } => {
                self.pausing = false;
                self.change_phase(Phase::Running, Phase::Paused);
            }
            Event::Resumed => self.change_phase(Phase::Paused, Phase::Running),
            Event::Signalled { node_id, payload, .. } => {
                self.deliver_signal(node_id, payload.as_ref().clone(), recorded.revision, recorded.at);
            }
            // Not this engine's report: it reports a node only after its wait has ended.
            Event::NodeStatusChanged { node_id, status, .. } if status.is_final() && self.waits.contains(node_id) => {
                self.finish(Err(RunError::Fenced));
            }
            Event::Completed { .. } => self.finish(Ok(Ended::Completed)),
            Event::Failed { error, .. } => self.finish(Ok(Ended::Failed { error: error.clone() })),
            Event::Cancelled { reason } => self.finish(Ok(Ended::Cancelled { reason: reason.clone() })),
            _ => {}
        }
    }

    fn change_phase(&self, from: Phase, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let changes = *phase == from;
            if changes {
                *phase = to;
            }
            changes
        });
    }

    /// Sets the run's result, and ends every attempt.
    fn finish(&mut self, result: Result<Ended, RunError>) {
        self.stop.cancel();
        self.result.get_or_insert(result);
    }

    /// The result of a run that has only to wait, for long enough to be parked.
    fn parked(&self) -> Option<Ended> {
        let park_after = self.options.park_after?;
        let idle = self.started && !self.failing && self.result.is_none() && self.tasks.is_empty() && !self.pausing;
        let starts = *self.phase.borrow() == Phase::Running && !self.ready.is_empty();
        let is_requested = matches!(self.ending, RequestedEnd::Requested);
        let wake_after = self.timers.next().map(|at| at.saturating_duration_since(Instant::now()));
        let soon = wake_after.is_some_and(|wake| wake < park_after);
        let revision = self.link.session().revision;
        if !idle || starts || is_requested || soon || self.seen != revision {
            return None;
        }
        Some(Ended::Parked { revision, wake_after })
    }
}

#[cfg(test)]
mod tests;
