//! One node from its start to its end, reported as it goes.
//!
//! Every report is answered before the next is sent: a report that has to be sent again can then
//! never arrive after a later one, where `running` would begin another attempt.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::command_node::{self, Attempt, Surroundings};
use super::driver::{Commands, DriverError};
use super::plan::CommandSpec;
use crate::session::{Command, NodeId, NodeStatus, Progress};

/// The least time between two progress reports of a node.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What nodes may do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// What runs may finish; no attempt begins.
    Paused,
    /// As paused, for good.
    Failing,
}

/// How a node ended.
#[derive(Debug)]
pub(super) enum NodeEnd {
    Completed(Option<Value>),
    Failed(String),
    /// A review that nobody waits for any more.
    Abandoned,
    /// Ended from outside, with the session.
    Stopped,
    Lost(String),
}

/// What a node needs while it runs.
pub(super) struct NodeTask<C> {
    pub node: NodeId,
    pub commands: C,
    pub phase: watch::Receiver<Phase>,
    pub stop: CancellationToken,
}

/// `Err` is an early end.
type Reported = Result<(), NodeEnd>;

impl<C: Commands> NodeTask<C> {
    pub(super) async fn pass(self) -> NodeEnd {
        let reports = vec![self.status(NodeStatus::Running), self.status(NodeStatus::Completed)];
        self.report(reports).await.err().unwrap_or(NodeEnd::Completed(None))
    }

    pub(super) async fn command(mut self, spec: &CommandSpec, surroundings: &Surroundings) -> NodeEnd {
        self.attempts(spec, surroundings).await.unwrap_or_else(|end| end)
    }

    /// Suspends until a signal arrives. `signals` closing means that nobody waits any more.
    pub(super) async fn review(self, signals: mpsc::Receiver<Value>) -> NodeEnd {
        self.await_signal(signals).await.unwrap_or_else(|end| end)
    }

    async fn attempts(&mut self, spec: &CommandSpec, surroundings: &Surroundings) -> Result<NodeEnd, NodeEnd> {
        let mut left = spec.retries;
        loop {
            self.report(vec![self.status(NodeStatus::Running)]).await?;
            match self.attempt(spec, surroundings).await? {
                Attempt::Stopped => return Err(NodeEnd::Stopped),
                Attempt::Succeeded { output } => {
                    self.report(vec![self.ended(NodeStatus::Completed, None, Some(output.clone()))]).await?;
                    return Ok(NodeEnd::Completed(Some(output)));
                }
                Attempt::Failed { output, error } => {
                    self.report(vec![self.ended(NodeStatus::Failed, Some(error.clone()), Some(output))]).await?;
                    if left == 0 || !self.may_try_again().await? {
                        return Ok(NodeEnd::Failed(error));
                    }
                    left -= 1;
                }
            }
        }
    }

    /// One attempt, with its progress reported while it runs.
    async fn attempt(&self, spec: &CommandSpec, surroundings: &Surroundings) -> Result<Attempt, NodeEnd> {
        let (sender, receiver) = watch::channel(None);
        let run = async {
            let sender = sender;
            command_node::attempt(spec, surroundings, &sender, &self.stop).await
        };
        let (attempt, reported) = tokio::join!(run, self.report_progress(receiver));
        match reported {
            // What became of the command matters more than a progress that could not be reported,
            // unless the session is out of reach.
            Err(lost @ NodeEnd::Lost(_)) => Err(lost),
            _ => Ok(attempt),
        }
    }

    /// Reports the newest progress, a few times a second, until the command has ended.
    async fn report_progress(&self, mut progress: watch::Receiver<Option<Progress>>) -> Reported {
        while progress.changed().await.is_ok() {
            let newest = *progress.borrow_and_update();
            self.report(vec![set_status(self.node.clone(), NodeStatus::Running, newest, None, None)]).await?;
            // What comes meanwhile waits for its turn, the newest only. The sender goes away when the
            // command ends, which ends the pause as well.
            let mut ended = progress.clone();
            let _ = tokio::time::timeout(PROGRESS_EVERY, ended.wait_for(|_| false)).await;
        }
        Ok(())
    }

    /// A retry is a new attempt: a paused run makes none until it is resumed, a failing one never.
    async fn may_try_again(&mut self) -> Result<bool, NodeEnd> {
        let decided = self.phase.wait_for(|phase| *phase != Phase::Paused);
        tokio::select! {
            () = self.stop.cancelled() => Err(NodeEnd::Stopped),
            phase = decided => Ok(phase.is_ok_and(|phase| *phase == Phase::Running)),
        }
    }

    async fn await_signal(self, mut signals: mpsc::Receiver<Value>) -> Result<NodeEnd, NodeEnd> {
        self.report(vec![self.status(NodeStatus::Running), self.status(NodeStatus::Suspended)]).await?;
        let signal = tokio::select! {
            () = self.stop.cancelled() => return Err(NodeEnd::Stopped),
            signal = signals.recv() => signal,
        };
        let Some(payload) = signal else { return Ok(NodeEnd::Abandoned) };
        if let Some(error) = rejection(&payload) {
            self.report(vec![self.ended(NodeStatus::Failed, Some(error.clone()), Some(payload))]).await?;
            return Ok(NodeEnd::Failed(error));
        }
        self.report(vec![self.ended(NodeStatus::Completed, None, Some(payload.clone()))]).await?;
        Ok(NodeEnd::Completed(Some(payload)))
    }

    async fn report(&self, reports: Vec<Command>) -> Reported {
        let sent = tokio::select! {
            () = self.stop.cancelled() => return Err(NodeEnd::Stopped),
            sent = self.commands.send(reports) => sent,
        };
        sent.map_err(|error| match error {
            DriverError::Refused(why) => NodeEnd::Failed(format!("its report was refused: {why}")),
            DriverError::Lost(why) => NodeEnd::Lost(why),
        })
    }

    fn status(&self, status: NodeStatus) -> Command {
        self.ended(status, None, None)
    }

    fn ended(&self, status: NodeStatus, error: Option<String>, output: Option<Value>) -> Command {
        set_status(self.node.clone(), status, None, error, output)
    }
}

pub(super) fn set_status(
    node_id: NodeId,
    status: NodeStatus,
    progress: Option<Progress>,
    error: Option<String>,
    output: Option<Value>,
) -> Command {
    Command::SetNodeStatus { node_id, status, name: None, node_type: None, progress, error, output }
}

/// Why a review turned the node down; `None` for any other signal.
fn rejection(payload: &Value) -> Option<String> {
    let review = payload.get("review")?;
    if review.get("action")?.as_str()? != "reject" {
        return None;
    }
    let reviewer = review.get("reviewer").and_then(Value::as_str);
    Some(match reviewer {
        Some(reviewer) => format!("rejected by {}", reviewer.chars().take(200).collect::<String>()),
        None => "rejected".to_owned(),
    })
}
