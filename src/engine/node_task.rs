//! One attempt at a node, from its first report to its last.
//!
//! Every report is answered before the next is sent, and a report of the end carries everything the
//! attempt leaves behind: messages, usage, memories, context. So a crash finds an attempt either
//! done or to be done again, never half reported.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::driver::DriverError;
use super::nodes::{End, Ended, NodeContext, Wake, Work};
use super::plan::Planned;
use crate::session::{Command, NodeId, NodeStatus, Progress, limits};

/// What nodes may do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// What runs may finish; no attempt begins.
    Paused,
    /// As paused, for good.
    Failing,
}

/// How an attempt ended, as far as the run goes.
#[derive(Debug)]
pub(super) enum NodeEnd {
    Completed,
    /// Completed, and only these of its next nodes follow.
    Chose(Vec<NodeId>),
    Failed(String),
    /// Failed, and is pending again: the next attempt may begin after this time.
    Retry(Duration),
    /// Reported as waiting.
    Waits,
    /// Of a loop node; nothing is reported yet.
    Decided {
        leave: bool,
        score: Option<f64>,
    },
    /// Ended from outside, with the session.
    Stopped,
    Overtaken,
    Lost(String),
}

/// What an attempt needs while it runs.
pub(super) struct NodeTask {
    pub context: NodeContext,
    pub phase: watch::Receiver<Phase>,
    pub stop: CancellationToken,
    /// Further attempts made so far.
    pub tries: u32,
}

/// `Err` is an early end.
type Reported = Result<(), NodeEnd>;

impl NodeTask {
    pub(super) async fn attempt(self) -> NodeEnd {
        self.try_attempt().await.unwrap_or_else(|end| end)
    }

    /// Ends a wait.
    pub(super) async fn wake(self, wake: Wake) -> NodeEnd {
        let Some(planned) = self.context.planned() else { return NodeEnd::Stopped };
        let ended = planned.kind.wake(&self.context, wake).await;
        self.conclude(planned, ended, Vec::new()).await.unwrap_or_else(|end| end)
    }

    async fn try_attempt(&self) -> Result<NodeEnd, NodeEnd> {
        let planned = self.context.planned().ok_or(NodeEnd::Stopped)?;
        let running = vec![self.status(NodeStatus::Running)];
        if planned.kind.work() == Work::Pass {
            let ended = planned.kind.run(&self.context).await;
            return self.conclude(planned, ended, running).await;
        }
        self.report(running).await?;
        let ended = self.work(planned).await;
        self.conclude(planned, ended, Vec::new()).await
    }

    async fn work(&self, planned: &Planned) -> Ended {
        let work = planned.kind.run(&self.context);
        if planned.kind.work() == Work::Guarded {
            return work.await;
        }
        let limit = planned.policy.timeout;
        let late = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ended::bare(End::Stopped),
            ended = work => ended,
            () = late => Ended::failed(timed_out(limit.unwrap_or_default())),
        }
    }

    /// Reports how an attempt ended, after what is still to be reported `first`.
    async fn conclude(&self, planned: &Planned, ended: Ended, first: Vec<Command>) -> Result<NodeEnd, NodeEnd> {
        let Ended { mut commands, end } = ended;
        let mut reports = first;
        match end {
            End::Stopped => Err(NodeEnd::Stopped),
            End::Decided { leave, score } => Ok(NodeEnd::Decided { leave, score }),
            End::Waits => {
                let suspends = planned.kind.wait().is_some_and(|wait| wait.suspended);
                reports.push(self.status(NodeStatus::Running));
                reports.append(&mut commands);
                reports.extend(suspends.then(|| self.status(NodeStatus::Suspended)));
                self.report(reports).await?;
                Ok(NodeEnd::Waits)
            }
            End::Completed(output) => self.complete(planned, reports, commands, output, None).await,
            End::Chose { output, next_ids } => self.complete(planned, reports, commands, output, Some(next_ids)).await,
            End::Failed { error, output } => {
                reports.append(&mut commands);
                self.fail(planned, reports, error, output).await
            }
        }
    }

    /// Reports a completion, with what the attempt leaves behind. What was paid for is kept also when the rest
    /// is refused.
    async fn complete(
        &self,
        planned: &Planned,
        reports: Vec<Command>,
        commands: Vec<Command>,
        output: Value,
        chosen: Option<Vec<NodeId>>,
    ) -> Result<NodeEnd, NodeEnd> {
        let kept: Vec<Command> = reports.iter().chain(&commands).cloned().collect();
        let mut all = kept.clone();
        match planned.after.commands(&self.context, &output).await {
            Ok(mut after) => all.append(&mut after),
            Err(error) => return self.fail(planned, kept, error, Some(output)).await,
        }
        let mut report = self.ended(NodeStatus::Completed, None, Some(output));
        if let Command::SetNodeStatus { next_ids, .. } = &mut report {
            next_ids.clone_from(&chosen);
        }
        all.push(report);
        match self.try_report(all).await? {
            Ok(()) => Ok(chosen.map_or(NodeEnd::Completed, NodeEnd::Chose)),
            Err(refused) if commands.is_empty() => self.fail(planned, reports, refused, None).await,
            Err(refused) => match self.try_report(kept).await? {
                Ok(()) => self.fail(planned, Vec::new(), refused, None).await,
                Err(_) => self.fail(planned, reports, refused, None).await,
            },
        }
    }

    async fn fail(
        &self,
        planned: &Planned,
        mut reports: Vec<Command>,
        error: String,
        output: Option<Value>,
    ) -> Result<NodeEnd, NodeEnd> {
        let error = shortened(error);
        let is_failing = *self.phase.borrow() == Phase::Failing;
        let retry = planned.policy.retry_after(self.tries).filter(|_| !is_failing);
        reports.push(self.ended(NodeStatus::Failed, Some(error.clone()), output));
        // Pending at once: a node that is known as failed will not be tried again.
        reports.extend(retry.map(|_| self.status(NodeStatus::Pending)));
        self.report(reports).await?;
        Ok(match retry {
            Some(pause) => NodeEnd::Retry(pause),
            None => NodeEnd::Failed(error),
        })
    }

    async fn report(&self, reports: Vec<Command>) -> Reported {
        let refused = |why| NodeEnd::Failed(format!("its report was refused: {why}"));
        self.try_report(reports).await?.map_err(refused)
    }

    /// The inner error says why the report was refused.
    async fn try_report(&self, reports: Vec<Command>) -> Result<Result<(), String>, NodeEnd> {
        let sent = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(NodeEnd::Stopped),
            sent = self.context.link.send(reports) => sent,
        };
        match sent {
            Ok(()) => Ok(Ok(())),
            Err(DriverError::Refused(why)) => Ok(Err(why)),
            Err(DriverError::Overtaken) => Err(NodeEnd::Overtaken),
            Err(DriverError::Lost(why)) => Err(NodeEnd::Lost(why)),
        }
    }

    fn status(&self, status: NodeStatus) -> Command {
        set_status(self.context.id().clone(), status, None, None, None)
    }

    /// The report of an end, with what the attempt worked on.
    fn ended(&self, status: NodeStatus, error: Option<String>, output: Option<Value>) -> Command {
        let output = output.filter(|output| !output.is_null());
        let mut report = set_status(self.context.id().clone(), status, None, error, output);
        if let Command::SetNodeStatus { input, .. } = &mut report {
            *input = self.context.input();
        }
        report
    }
}

pub(super) fn timed_out(limit: Duration) -> String {
    format!("timed out after {} s", limit.as_secs_f64())
}

fn shortened(error: String) -> String {
    if error.len() <= limits::ERROR_BYTES { error } else { error.chars().take(limits::ERROR_BYTES / 4).collect() }
}

pub(super) fn set_status(
    node_id: NodeId,
    status: NodeStatus,
    progress: Option<Progress>,
    error: Option<String>,
    output: Option<Value>,
) -> Command {
    Command::SetNodeStatus {
        node_id,
        status,
        name: None,
        node_type: None,
        progress,
        error,
        output,
        input: None,
        next_ids: None,
    }
}
