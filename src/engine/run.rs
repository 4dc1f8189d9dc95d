//! One run from start to end: the schedule says what may start, node tasks do it, and the
//! session's events say what everybody else wants.
//!
//! - **pause**: running nodes finish, none start, until **resume**.
//! - **cancel, stop, fail, complete** from anybody end every process at once; the run returns when
//!   they are gone.
//! - A **signal** goes to the review it is for; a command node takes none.
//! - An **interrupt** (Ctrl-C) ends every process and cancels the session.
//!
//! The session's own ending event is what ends the run, whoever caused it: until that event is
//! heard nothing has ended.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command_node::Surroundings;
use super::driver::{Commands, DriverError, Events};
use super::node_task::{NodeEnd, NodeTask, Phase, set_status};
use super::plan::{Plan, Work};
use super::process::GRACE;
use super::regions::LoopError;
use super::schedule::{Outcome, Schedule, Step, Verdict};
use crate::session::{Command, Event, NodeId, NodeStatus, Recorded};

/// Bytes of the run's `outputs` as JSON. A node's output that does not fit is left out of them; it
/// can still be had from the node.
const OUTPUTS_BYTES: usize = 256 * 1024;
/// Skipped nodes in one array of commands.
const SKIPS: usize = 500;
/// How long an interrupted run waits for the server once its processes have had their time.
const FAREWELL: Duration = Duration::from_secs(5);

/// How a run goes about its nodes.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// How many commands run at the same time.
    pub jobs: usize,
    pub session_id: String,
    /// The server's address, for the commands' environment.
    pub server: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Completed,
    Failed { error: String },
    Cancelled { reason: Option<String> },
}

/// Why a run came to no end of its own. No process is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Loop(#[from] LoopError),
    #[error("the session could not be started: {0}")]
    NotStarted(String),
    #[error("lost the session: {0}")]
    Lost(String),
    #[error("cancelled here, but the server could not be told")]
    Unannounced,
}

/// Runs a pending session's graph to its end. `events` must begin after the session's creation;
/// `observe` is shown each of them.
///
/// # Errors
///
/// [`RunError`]; a run that fails or is cancelled is no error but an [`Ended`].
pub async fn run<C: Commands, E: Events>(
    plan: &Plan,
    options: RunOptions,
    commands: C,
    mut events: E,
    interrupt: CancellationToken,
    mut observe: impl FnMut(&Recorded),
) -> Result<Ended, RunError> {
    let mut run = Run::new(plan, options, commands)?;
    run.send(Purpose::Start, vec![Command::Start]);
    let mut deadline = None;
    loop {
        run.advance();
        if run.tasks.is_empty()
            && let Some(result) = run.result.take()
        {
            return result;
        }
        let late = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(done) = run.tasks.join_next() => match done {
                Ok(done) => run.done(done),
                Err(error) => run.finish(Err(RunError::Lost(error.to_string()))),
            },
            event = events.next(), if run.result.is_none() => match event {
                Ok(Some(recorded)) => {
                    observe(&recorded);
                    run.hear(&recorded.event);
                }
                Ok(None) => run.finish(Err(RunError::Lost("its events ended before it did".to_owned()))),
                Err(error) => run.finish(Err(RunError::Lost(error.to_string()))),
            },
            () = interrupt.cancelled(), if deadline.is_none() => {
                deadline = Some(Instant::now() + GRACE + FAREWELL);
                run.stop.cancel();
                run.send(Purpose::Cancel, vec![Command::Cancel { reason: Some("interrupted".to_owned()) }]);
            }
            () = late => {
                run.tasks.shutdown().await;
                return run.result.take().unwrap_or(Err(RunError::Unannounced));
            }
        }
    }
}

/// Why something other than a node's report was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Start,
    Skip,
    /// The end the schedule came to; with how much had been heard when it was sent.
    End {
        heard: u64,
    },
    Cancel,
}

/// Whether the session has been asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    NotAsked,
    /// Its last event will say so.
    Asked,
    /// Somebody was faster, such as with a pause: asking again waits for news of that.
    Refused {
        heard: u64,
    },
}

enum Done {
    Node(NodeId, NodeEnd),
    Sent(Purpose, Result<(), DriverError>),
}

struct Run<'a, C> {
    plan: &'a Plan,
    options: RunOptions,
    commands: C,
    schedule: Schedule,
    /// Told to start by the schedule, not started yet.
    ready: VecDeque<NodeId>,
    /// Command nodes that run now.
    busy: usize,
    tasks: JoinSet<Done>,
    phase: watch::Sender<Phase>,
    /// Ends every node task and its processes.
    stop: CancellationToken,
    reviews: HashMap<NodeId, mpsc::Sender<Value>>,
    /// Nodes that have been started in any round.
    begun: HashSet<NodeId>,
    outputs: BTreeMap<NodeId, Value>,
    failure: Option<String>,
    /// How many events have been heard.
    heard: u64,
    started: bool,
    ending: Ending,
    result: Option<Result<Ended, RunError>>,
}

impl<'a, C: Commands> Run<'a, C> {
    fn new(plan: &'a Plan, options: RunOptions, commands: C) -> Result<Self, RunError> {
        Ok(Self {
            schedule: Schedule::new(&plan.graph)?,
            plan,
            options,
            commands,
            ready: VecDeque::new(),
            busy: 0,
            tasks: JoinSet::new(),
            phase: watch::Sender::new(Phase::Running),
            stop: CancellationToken::new(),
            reviews: HashMap::new(),
            begun: HashSet::new(),
            outputs: BTreeMap::new(),
            failure: None,
            heard: 0,
            started: false,
            ending: Ending::NotAsked,
            result: None,
        })
    }

    /// Starts what may start, and asks for the end when all is done.
    fn advance(&mut self) {
        if self.stop.is_cancelled() || !self.started || self.result.is_some() {
            return;
        }
        if *self.phase.borrow() == Phase::Running {
            while let Some(node) = self.next_ready() {
                self.launch(node);
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

    /// The first ready node for which there is room: only commands take up a job.
    fn next_ready(&mut self) -> Option<NodeId> {
        let room = self.busy < self.options.jobs.max(1);
        let at = self.ready.iter().position(|node| room || !matches!(self.plan.work(node), Work::Command(_)))?;
        self.ready.remove(at)
    }

    fn launch(&mut self, node: NodeId) {
        self.begun.insert(node.clone());
        let task = NodeTask {
            node: node.clone(),
            commands: self.commands.clone(),
            phase: self.phase.subscribe(),
            stop: self.stop.clone(),
        };
        match self.plan.work(&node) {
            Work::Pass => drop(self.tasks.spawn(async move { Done::Node(node, task.pass().await) })),
            Work::Review => {
                let (sender, receiver) = mpsc::channel(1);
                self.reviews.insert(node.clone(), sender);
                self.tasks.spawn(async move { Done::Node(node, task.review(receiver).await) });
            }
            Work::Command(spec) => {
                self.busy += 1;
                let surroundings = Surroundings {
                    session_id: self.options.session_id.clone(),
                    node_id: node.to_string(),
                    server: self.options.server.clone(),
                };
                let spec = Arc::clone(&spec);
                self.tasks.spawn(async move { Done::Node(node, task.command(&spec, &surroundings).await) });
            }
        }
    }

    fn send(&mut self, purpose: Purpose, commands: Vec<Command>) {
        let sender = self.commands.clone();
        // Once stopped, only the cancellation itself is worth waiting for.
        let stop = if purpose == Purpose::Cancel { CancellationToken::new() } else { self.stop.clone() };
        self.tasks.spawn(async move {
            tokio::select! {
                sent = sender.send(commands) => Done::Sent(purpose, sent),
                () = stop.cancelled() => Done::Sent(purpose, Err(DriverError::Refused("stopped".to_owned()))),
            }
        });
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Node(node, end) => self.node_ended(&node, end),
            Done::Sent(_, Ok(())) if self.result.is_some() => {}
            Done::Sent(Purpose::Start, Ok(())) => {
                self.started = true;
                let step = self.schedule.begin();
                self.take(step);
            }
            Done::Sent(_, Err(DriverError::Lost(why))) => self.finish(Err(RunError::Lost(why))),
            Done::Sent(Purpose::End { heard }, Err(DriverError::Refused(_))) => self.ending = Ending::Refused { heard },
            Done::Sent(Purpose::Start, Err(DriverError::Refused(why))) if !self.stop.is_cancelled() => {
                self.finish(Err(RunError::NotStarted(why)));
            }
            // A refusal to skip or to cancel means that the session has ended; its event is on the way.
            Done::Sent(_, _) => {}
        }
    }

    fn node_ended(&mut self, node: &NodeId, end: NodeEnd) {
        self.reviews.remove(node);
        if matches!(self.plan.work(node), Work::Command(_)) {
            self.busy -= 1;
        }
        let outcome = match end {
            NodeEnd::Completed(output) => {
                self.keep_output(node, output);
                Outcome::Completed
            }
            NodeEnd::Failed(error) => {
                self.failure.get_or_insert_with(|| format!("node '{node}' failed: {error}"));
                Outcome::Failed
            }
            NodeEnd::Abandoned => Outcome::Skipped,
            NodeEnd::Stopped => return,
            NodeEnd::Lost(why) => return self.finish(Err(RunError::Lost(why))),
        };
        let step = self.schedule.settle(node, outcome);
        self.take(step);
        if self.schedule.is_failing() {
            self.let_go();
        }
    }

    fn take(&mut self, step: Step) {
        self.ready.extend(step.start);
        // The event that ends the session skips what is left by itself.
        if self.schedule.verdict().is_some() {
            return;
        }
        let skip = |node| set_status(node, NodeStatus::Skipped, None, None, None);
        let skipped: Vec<Command> = step.skip.into_iter().filter(|node| !self.begun.contains(node)).map(skip).collect();
        for some in skipped.chunks(SKIPS) {
            self.send(Purpose::Skip, some.to_vec());
        }
    }

    /// After a failure: nothing new starts, and nobody is waited for who has not begun to work.
    fn let_go(&mut self) {
        self.phase.send_replace(Phase::Failing);
        self.reviews.clear();
        for node in std::mem::take(&mut self.ready) {
            self.schedule.settle(&node, Outcome::Skipped);
        }
    }

    fn ask_for_the_end(&mut self) {
        let command = match self.schedule.verdict() {
            None => return,
            // A paused session cannot complete before somebody resumes it.
            Some(Verdict::Completed) if *self.phase.borrow() == Phase::Paused => return,
            Some(Verdict::Completed) => Command::Complete { outputs: Some(json!(self.outputs)) },
            Some(Verdict::Failed { node }) => {
                let unknown = || format!("node '{node}' failed");
                Command::Fail { error: self.failure.clone().unwrap_or_else(unknown) }
            }
        };
        self.ending = Ending::Asked;
        self.send(Purpose::End { heard: self.heard }, vec![command]);
    }

    fn hear(&mut self, event: &Event) {
        self.heard += 1;
        match event {
            Event::Paused => self.change_phase(Phase::Running, Phase::Paused),
            Event::Resumed => self.change_phase(Phase::Paused, Phase::Running),
            Event::Signalled { node_id, payload } => {
                if let Some(review) = self.reviews.get(node_id) {
                    // Full or closed: the review has its answer already.
                    let _ = review.try_send(payload.as_ref().clone());
                }
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

    fn keep_output(&mut self, node: &NodeId, output: Option<Value>) {
        let is_last = self.plan.graph.nodes.get(node).is_some_and(|node| node.next_ids.is_empty());
        let Some(output) = output.filter(|_| is_last) else { return };
        let size = |value: &Value| value.to_string().len();
        if self.outputs.values().map(size).sum::<usize>() + size(&output) <= OUTPUTS_BYTES {
            self.outputs.insert(node.clone(), output);
        }
    }
}

#[cfg(test)]
mod tests;
