//! One run: the schedule says what may start, node tasks do it, and the session's events say what
//! everybody else wants. It begins wherever the session's state is, so a run that was cut off, or
//! forked, is taken up as one that was just started.
//!
//! - **pause**: running nodes finish, none start, until **resume**.
//! - **cancel, stop, fail, complete** from anybody end every attempt at once; the run returns when
//!   they are gone.
//! - A **signal** goes to the node that waits for it.
//! - A node that waits (a review, a delay) holds no task: only an entry here, and its status.
//! - An **interrupt** (Ctrl-C) ends every attempt and cancels the session; being **detached** ends
//!   them too, and leaves the session as it is for somebody else to take up.
//!
//! The session's own ending event is what ends the run, whoever caused it: until that event is
//! heard nothing has ended.

mod budget;
mod outputs;
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

use super::driver::{DriverError, Events, Link};
use super::node_task::{NodeEnd, NodeTask, Phase};
use super::nodes::{NodeContext, Work};
use super::plan::Plan;
use super::schedule::{Outcome, Schedule, Step};
use super::wall::WallClock;
use relive_session::{Event, NodeId, Recorded, Revision, SessionStatus};

use rounds::Rounds;
use sending::{Ending, Purpose};
use timers::{Timer, Timers, at};

/// How long an interrupted run waits for the server and its attempts.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How a run goes about its nodes.
#[derive(Clone, Copy, Debug)]
pub struct RunOptions {
    /// How many nodes work at the same time; those that only shape the graph or wait do not count.
    pub parallel: usize,
    /// Let go when nothing is left to do for at least this long but to wait.
    pub park_after: Option<Duration>,
    /// How often in a row whoever drove the run before went away without a word, at the moment that the
    /// session stands at.
    pub crashes: u32,
    /// What due times are judged by.
    pub clock: WallClock,
}

/// After so many times the run, or the node's attempt, that was under way is not begun again.
pub const MOST_CRASHES: u32 = 3;

/// What ends a run from this side.
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
    /// Nothing is left to do until somebody changes the session beyond this revision, or for so long.
    Parked {
        revision: Revision,
        wake_after: Option<Duration>,
    },
}

/// Why a run came to no end of its own. No attempt is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error("the session could not be started: {0}")]
    NotStarted(String),
    #[error("lost the session: {0}")]
    Lost(String),
    #[error("{}", DriverError::Overtaken)]
    Overtaken,
    #[error("cancelled here, but the server could not be notified")]
    Unannounced,
    #[error("the session was released")]
    Detached,
}

/// Runs a session's graph to its end, from wherever the session stands; one that is pending is
/// started. `events` must begin after the state that `link` shows; `observe` is shown each of them.
///
/// # Errors
///
/// [`RunError`]; a run that fails or is cancelled is no error but an [`Ended`].
pub async fn run<E: Events>(
    plan: Arc<Plan>,
    options: RunOptions,
    link: Arc<dyn Link>,
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
                    run.hear(&recorded);
                }
                Ok(None) => run.finish(Err(RunError::Lost("its events ended before the run".to_owned()))),
                Err(DriverError::Overtaken) => run.finish(Err(RunError::Overtaken)),
                Err(error) => run.finish(Err(RunError::Lost(error.to_string()))),
            },
            () = due, if run.result.is_none() => run.fire_timer(),
        }
    }
}

enum Done {
    Node(NodeId, NodeEnd),
    Sent(Purpose, Result<(), DriverError>),
}

struct Run {
    plan: Arc<Plan>,
    options: RunOptions,
    link: Arc<dyn Link>,
    schedule: Schedule,
    /// Told to start by the schedule, not started yet.
    ready: VecDeque<NodeId>,
    /// Nodes that take up a place now.
    busy: usize,
    tasks: JoinSet<Done>,
    phase: watch::Sender<Phase>,
    /// Ends every attempt.
    stop: CancellationToken,
    /// Nodes that wait for a signal or a time.
    waits: BTreeSet<NodeId>,
    /// Nodes whose time was up while a signal to them was looked at.
    late: BTreeSet<NodeId>,
    /// The revision of the last signal each was given.
    signals_given: HashMap<NodeId, Revision>,
    timers: Timers,
    /// Further attempts made of nodes that failed, as the session's state says.
    tries: HashMap<NodeId, u32>,
    rounds: Rounds,
    failure: Option<String>,
    /// The newest revision heard.
    heard: Revision,
    started: bool,
    /// The budget is used up, and the session is being paused for it.
    holding: bool,
    ending: Ending,
    /// The session is being failed, because the run cannot go on.
    given_up: bool,
    result: Option<Result<Ended, RunError>>,
}

impl Run {
    fn begin(plan: Arc<Plan>, options: RunOptions, link: Arc<dyn Link>) -> Self {
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
            late: BTreeSet::new(),
            signals_given: HashMap::new(),
            timers: Timers::default(),
            tries: HashMap::new(),
            rounds: Rounds::default(),
            failure: None,
            heard: session.revision,
            started: false,
            holding: false,
            ending: Ending::NotAsked,
            given_up: false,
            result: None,
        };
        match session.status {
            SessionStatus::Pending => run.send(Purpose::Start, vec![relive_session::Command::Start]),
            _ => run.resume(&session),
        }
        run
    }

    /// Starts what may start, and asks for the end when all is done.
    fn advance(&mut self) {
        if self.stop.is_cancelled() || !self.started || self.given_up || self.result.is_some() {
            return;
        }
        if *self.phase.borrow() == Phase::Running && !self.ready.is_empty() && !self.is_over_budget() {
            while let Some(node) = self.next_ready() {
                self.launch(&node);
            }
        }
        let may_ask = match self.ending {
            Ending::NotAsked => true,
            Ending::Asked => false,
            Ending::Refused { heard } => self.heard > heard,
        };
        if self.tasks.is_empty() && may_ask {
            self.ask_for_the_end();
        }
    }

    /// The first ready node for which there is room.
    fn next_ready(&mut self) -> Option<NodeId> {
        let most = self.plan.settings.parallel.unwrap_or(usize::MAX).min(self.options.parallel).max(1);
        let room = self.busy < most;
        let at = self.ready.iter().position(|node| room || !self.takes_a_place(node))?;
        self.ready.remove(at)
    }

    fn takes_a_place(&self, node: &NodeId) -> bool {
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
        self.busy += usize::from(self.takes_a_place(node));
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
                // Types that wait take up no place.
                self.busy = self.busy.saturating_sub(usize::from(self.takes_a_place(&node)));
                self.node_ended(&node, end);
            }
            Done::Sent(purpose, sent) => self.sent(purpose, sent),
        }
    }

    fn node_ended(&mut self, node: &NodeId, end: NodeEnd) {
        let outcome = match end {
            NodeEnd::Completed => Outcome::Completed,
            NodeEnd::Chose(next) => return self.settle_chosen(node, &next),
            NodeEnd::Failed(error) => {
                metrics::counter!("relive_engine_nodes_failed_total").increment(1);
                self.failed(node, &error)
            }
            NodeEnd::Retry(pause) => {
                metrics::counter!("relive_engine_nodes_failed_total").increment(1);
                // Its report was on the way when another node failed for good: no further attempt will come.
                if self.schedule.is_failing() {
                    return self.settle(node, Outcome::Skipped);
                }
                *self.tries.entry(node.clone()).or_default() += 1;
                self.late.remove(node);
                return self.timers.set(Instant::now() + pause, Timer::Retry(node.clone()));
            }
            NodeEnd::Waits => return self.wait(node, Duration::ZERO),
            NodeEnd::Decided(decision) => return self.decide_round(node.clone(), decision),
            NodeEnd::Stopped => return,
            NodeEnd::Refused(why) => return self.give_up(format!("node '{node}' cannot be reported: {why}")),
            NodeEnd::Overtaken => return self.finish(Err(RunError::Overtaken)),
            NodeEnd::Lost(why) => return self.finish(Err(RunError::Lost(why))),
        };
        self.settle(node, outcome);
    }

    /// What a final failure means for the run.
    fn failed(&mut self, node: &NodeId, error: &str) -> Outcome {
        if self.plan.node(node).is_some_and(|planned| planned.policy.continues) {
            return Outcome::Completed;
        }
        self.failure.get_or_insert_with(|| format!("node '{node}' failed: {error}"));
        Outcome::Failed
    }

    fn settle_chosen(&mut self, node: &NodeId, next: &[NodeId]) {
        self.tries.remove(node);
        self.timers.forget(node);
        let step = self.schedule.choose(node, next);
        self.apply_step(step);
    }

    fn settle(&mut self, node: &NodeId, outcome: Outcome) {
        self.tries.remove(node);
        self.late.remove(node);
        self.timers.forget(node);
        let step = self.schedule.settle(node, outcome);
        self.apply_step(step);
        if self.schedule.is_failing() {
            self.release();
        }
    }

    fn apply_step(&mut self, step: Step) {
        self.ready.extend(step.start);
        // The event that ends the session skips what is left by itself.
        if self.schedule.verdict().is_none() {
            self.skip(step.skip);
        }
    }

    /// After a failure: nothing new starts, and nobody is waited for who does not work.
    fn release(&mut self) {
        self.phase.send_replace(Phase::Failing);
        let waiting = std::mem::take(&mut self.waits);
        let retries = self.timers.take_nodes();
        let idle: Vec<NodeId> = waiting.into_iter().chain(retries).chain(self.ready.drain(..)).collect();
        for node in idle {
            self.schedule.settle(&node, Outcome::Skipped);
        }
    }

    fn hear(&mut self, recorded: &Recorded) {
        self.heard = recorded.revision;
        match &recorded.event {
            Event::Paused { .. } => {
                self.holding = false;
                self.change_phase(Phase::Running, Phase::Paused);
            }
            Event::Resumed => self.change_phase(Phase::Paused, Phase::Running),
            Event::Signalled { node_id, payload, .. } => {
                self.give_signal(node_id, payload.as_ref().clone(), recorded.revision, recorded.at);
            }
            // A waiting node's own reports are sent when it no longer waits.
            Event::NodeStatusChanged { node_id, status, .. } if status.is_final() && self.waits.contains(node_id) => {
                self.finish(Err(RunError::Overtaken));
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

    /// Settles how the run ended and ends whatever still runs.
    fn finish(&mut self, result: Result<Ended, RunError>) {
        self.stop.cancel();
        self.result.get_or_insert(result);
    }

    /// Whether there is nothing to do but to wait, and that for long enough to let go meanwhile.
    fn parked(&self) -> Option<Ended> {
        let park_after = self.options.park_after?;
        let idle = self.started && !self.given_up && self.result.is_none() && self.tasks.is_empty() && !self.holding;
        let starts = *self.phase.borrow() == Phase::Running && !self.ready.is_empty();
        let asked = matches!(self.ending, Ending::Asked);
        let wake_after = self.timers.next().map(|at| at.saturating_duration_since(Instant::now()));
        let soon = wake_after.is_some_and(|wake| wake < park_after);
        let revision = self.link.session().revision;
        if !idle || starts || asked || soon || self.heard != revision {
            return None;
        }
        Some(Ended::Parked { revision, wake_after })
    }
}

#[cfg(test)]
mod tests;
