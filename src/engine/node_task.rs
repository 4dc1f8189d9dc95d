//! One attempt of a node, from its first report to its last.
//!
//! Every report is answered before the next is sent, and the report of the end contains everything that the
//! attempt produced: messages, usage, memories, context. So after a crash an attempt is either complete or
//! made again, never half reported.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::nodes::{AttemptResult, End, NodeContext, Wake, Work, on_complete};
use super::plan::Planned;
use super::session_link::LinkError;
use super::wall::WallClock;
use relive_session::{Command, GraphDefinition, NodeId, NodeStatus, Progress, Retry, limits};

/// Whether attempts may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// Running nodes may finish; no attempt begins.
    Paused,
    /// As paused; it does not end.
    Failing,
}

/// How an attempt ended, for the run.
#[derive(Debug)]
pub(super) enum NodeEnd {
    Completed,
    /// Completed, and only these of its next nodes follow.
    Chose(Vec<NodeId>),
    Failed(String),
    /// Failed, and pending again: the next attempt may begin after this time.
    Retry(Duration),
    /// Reported as waiting.
    Waits,
    /// Of a loop node; nothing is reported yet.
    Decided(RoundDecision),
    /// Ended from outside, with the session.
    Stopped,
    /// Its end cannot be recorded, even without its results.
    Refused(String),
    Fenced,
    Lost(String),
}

impl NodeEnd {
    /// How it is named in traces; `None` unless it is a failure.
    fn failure(&self) -> Option<&'static str> {
        match self {
            Self::Failed(_) => Some("failed"),
            Self::Retry(_) => Some("retried"),
            Self::Refused(_) => Some("refused"),
            Self::Fenced | Self::Lost(_) => Some("lost"),
            Self::Stopped => Some("stopped"),
            Self::Completed | Self::Chose(_) | Self::Waits | Self::Decided(_) => None,
        }
    }
}

/// A loop node's result of a round. The schedule determines whether there is another one.
#[derive(Clone, Debug, Default)]
pub(super) struct RoundDecision {
    pub leave: bool,
    pub score: Option<f64>,
    /// The error of a failure that is ignored.
    pub error: Option<String>,
}

/// What an attempt needs while it runs.
pub(super) struct NodeTask {
    pub context: NodeContext,
    pub phase: watch::Receiver<Phase>,
    pub stop: CancellationToken,
    pub clock: WallClock,
    /// Retries made so far.
    pub tries: u32,
}

/// `Err` ends the attempt early.
type Reported = Result<(), NodeEnd>;

impl NodeTask {
    pub(super) async fn attempt(mut self) -> NodeEnd {
        let mut span = self.context.begin_span();
        let end = self.try_attempt().await.unwrap_or_else(|end| end);
        if let Some(span) = &mut span {
            span.set("relive.node.tries", i64::from(self.tries));
            if let Some(kind) = end.failure() {
                span.fail(kind);
            }
        }
        end
    }

    /// Ends a wait.
    pub(super) async fn wake(self, wake: Wake) -> NodeEnd {
        let Some(planned) = self.context.planned() else { return NodeEnd::Stopped };
        let ended = planned.kind.wake(&self.context, wake).await;
        self.conclude(planned, ended, Vec::new()).await.unwrap_or_else(|end| end)
    }

    /// Ends a wait that took longer than the node's `timeoutSeconds`.
    pub(super) async fn time_out(self) -> NodeEnd {
        let Some(planned) = self.context.planned() else { return NodeEnd::Stopped };
        let ended = AttemptResult::failed(timed_out(planned.policy.timeout.unwrap_or_default()));
        self.conclude(planned, ended, Vec::new()).await.unwrap_or_else(|end| end)
    }

    async fn try_attempt(&self) -> Result<NodeEnd, NodeEnd> {
        let planned = self.context.planned().ok_or(NodeEnd::Stopped)?;
        let running = vec![self.status(NodeStatus::Running)];
        if planned.kind.work() == Work::Structural {
            let ended = planned.kind.run(&self.context).await;
            return self.conclude(planned, ended, running).await;
        }
        self.report(running).await?;
        let ended = self.work(planned).await;
        self.conclude(planned, ended, Vec::new()).await
    }

    async fn work(&self, planned: &Planned) -> AttemptResult {
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
            () = self.stop.cancelled() => AttemptResult::bare(End::Stopped),
            ended = work => ended,
            () = late => AttemptResult::failed(timed_out(limit.unwrap_or_default())),
        }
    }

    /// Reports how an attempt ended, after the reports in `first`.
    async fn conclude(&self, planned: &Planned, ended: AttemptResult, first: Vec<Command>) -> Result<NodeEnd, NodeEnd> {
        let AttemptResult { mut commands, end } = ended;
        match end {
            End::Stopped => Err(NodeEnd::Stopped),
            End::Decided { leave, score } => Ok(NodeEnd::Decided(RoundDecision { leave, score, error: None })),
            End::Waits => {
                let suspends = planned.kind.wait().is_some_and(|wait| wait.suspended);
                let mut reports = first.clone();
                reports.push(self.status(NodeStatus::Running));
                reports.append(&mut commands);
                reports.extend(suspends.then(|| self.status(NodeStatus::Suspended)));
                match self.try_report(reports).await? {
                    Ok(()) => Ok(NodeEnd::Waits),
                    Err(refused) => self.fail(planned, Failure { first, ..Failure::of(refused) }).await,
                }
            }
            End::Completed(output) => self.complete(planned, first, commands, output, None).await,
            End::Chose { output, next_ids } => self.complete(planned, first, commands, output, Some(next_ids)).await,
            End::Failed { error, output } => self.fail(planned, Failure { first, kept: commands, error, output }).await,
        }
    }

    /// Reports a completion, with everything that the attempt produced. Messages and usage are recorded even if
    /// the rest is refused.
    async fn complete(
        &self,
        planned: &Planned,
        first: Vec<Command>,
        commands: Vec<Command>,
        output: Value,
        chosen: Option<Vec<NodeId>>,
    ) -> Result<NodeEnd, NodeEnd> {
        let after = match on_complete::commands(&planned.on_complete, &self.context, &output).await {
            Ok(after) => after,
            Err(error) => {
                let failure = Failure { first, kept: facts(commands), output: Some(output), error };
                return self.fail(planned, failure).await;
            }
        };
        let mut report = self.ended(NodeStatus::Completed, None, Some(output));
        if let Command::SetNodeStatus { next_ids, .. } = &mut report {
            next_ids.clone_from(&chosen);
        }
        let mut reports = first.clone();
        reports.extend(commands.iter().cloned().chain(after));
        reports.push(report);
        match self.try_report(reports).await? {
            Ok(()) => Ok(chosen.map_or(NodeEnd::Completed, NodeEnd::Chose)),
            Err(refused) => self.fail(planned, Failure { first, kept: facts(commands), ..Failure::of(refused) }).await,
        }
    }

    /// Reports a failure, with everything that the attempt produced, or as much of it as can be recorded.
    async fn fail(&self, planned: &Planned, failure: Failure) -> Result<NodeEnd, NodeEnd> {
        // Another server makes the attempt again.
        if let Some(why) = self.context.lost() {
            return Err(NodeEnd::Lost(why));
        }
        let Failure { first, kept, error, output } = failure;
        let error = error_text(&error);
        let is_failing = *self.phase.borrow() == Phase::Failing;
        let pause = planned.policy.backoff_for_retry(self.tries).filter(|_| !is_failing);
        if pause.is_none() && planned.policy.continues && planned.node.kind == GraphDefinition::LOOP {
            // The run continues as after a decision, so the decision must be committed together with the failure.
            return Ok(NodeEnd::Decided(RoundDecision { error: Some(error), ..RoundDecision::default() }));
        }
        let retry =
            pause.map(|pause| Retry { tries: self.tries + 1, cut_off: None, due_at: Some(self.clock.now() + pause) });
        let mut refused = String::new();
        for (kept, output) in [(&kept[..], output), (&kept[..], None), (&[], None)] {
            let mut reports = [&first[..], kept].concat();
            reports.extend(self.failed(&error, output, retry));
            match self.try_report(reports).await? {
                Ok(()) => return Ok(pause.map_or(NodeEnd::Failed(error), NodeEnd::Retry)),
                Err(why) => refused = why,
            }
        }
        Err(NodeEnd::Refused(refused))
    }

    /// A node that will be retried becomes pending in the same commit, and its failure says so: no state in
    /// between shows the failure as final.
    fn failed(&self, error: &str, output: Option<Value>, retry: Option<Retry>) -> Vec<Command> {
        let mut reports = vec![self.ended(NodeStatus::Failed, Some(error.to_owned()), output)];
        if retry.is_some() {
            reports.push(self.ended(NodeStatus::Pending, Some(error.to_owned()), None));
        }
        reports.into_iter().map(|report| with_retry(report, retry)).collect()
    }

    async fn report(&self, reports: Vec<Command>) -> Reported {
        self.try_report(reports).await?.map_err(NodeEnd::Refused)
    }

    /// The inner error says why the report was refused.
    async fn try_report(&self, reports: Vec<Command>) -> Result<Result<(), String>, NodeEnd> {
        let sent = tokio::select! {
            // A cancelled attempt reports nothing, even if it has completed since.
            biased;
            () = self.stop.cancelled() => return Err(NodeEnd::Stopped),
            sent = self.context.link.send(reports) => sent,
        };
        match sent {
            Ok(()) => Ok(Ok(())),
            Err(LinkError::Refused(why) | LinkError::Unacceptable(why)) => Ok(Err(why)),
            Err(LinkError::Fenced) => Err(NodeEnd::Fenced),
            Err(LinkError::Lost(why)) => Err(NodeEnd::Lost(why)),
        }
    }

    fn status(&self, status: NodeStatus) -> Command {
        set_status(self.context.id().clone(), status, None, None, None)
    }

    /// The report of an end, with the attempt's input.
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

/// What a failed attempt produced.
struct Failure {
    /// To be reported before it.
    first: Vec<Command>,
    kept: Vec<Command>,
    error: String,
    output: Option<Value>,
}

impl Failure {
    fn of(error: String) -> Self {
        Self { first: Vec::new(), kept: Vec::new(), error, output: None }
    }
}

/// What is recorded although the attempt failed: messages and usage.
fn facts(commands: Vec<Command>) -> Vec<Command> {
    let stays = |command: &Command| matches!(command, Command::AddMessage { .. } | Command::RecordUsage { .. });
    commands.into_iter().filter(stays).collect()
}

/// An error text that can be recorded: cut to the limit, with a mark, and without NUL.
pub(super) fn error_text(error: &str) -> String {
    const MARK: &str = " … (cut off)";
    let error = error.replace('\0', "\u{fffd}");
    if error.len() <= limits::ERROR_BYTES {
        return error;
    }
    let end = error.floor_char_boundary(limits::ERROR_BYTES - MARK.len());
    format!("{}{MARK}", &error[..end])
}

pub(super) fn with_retry(mut report: Command, again: Option<Retry>) -> Command {
    if let Command::SetNodeStatus { retry, .. } = &mut report {
        *retry = again;
    }
    report
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
        retry: None,
        parent_node_id: None,
        kind: None,
        attributes: None,
        started_at: None,
        completed_at: None,
    }
}
