//! What a run says about itself: its start, its end, and which nodes are skipped.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::outputs::gather;
use super::{Done, Run, RunError};
use crate::engine::driver::DriverError;
use crate::engine::node_task::{Phase, error_text, set_status};
use crate::engine::schedule::Verdict;
use relive_session::{Command, NodeId, NodeStatus, Revision, SessionStatus};

/// Commands in one array.
pub(super) const ARRAY: usize = 900;

/// Why something other than a node's report was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Start,
    /// What had to be put right before the run could go on.
    TakeUp,
    Skip,
    /// What a loop node decided.
    Round {
        node: NodeId,
        leave: bool,
    },
    /// The session is paused because its budget is used up.
    BudgetPause,
    /// The end the schedule came to; with what had been heard when it was sent.
    End {
        heard: Revision,
    },
    /// An end that is asked for whatever the schedule says.
    Cancel,
    /// As a failure, because the run cannot go on.
    Fail,
}

/// Whether the session has been asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    NotAsked,
    /// Its last event will say so.
    Asked,
    /// Somebody was faster, such as with a pause: asking again waits for news of that.
    Refused {
        heard: Revision,
    },
}

impl Run {
    /// Sends commands, in arrays one after the other if they are many.
    pub(super) fn send(&mut self, purpose: Purpose, commands: Vec<Command>) {
        let link = self.link.clone();
        // Once stopped, only the cancellation itself is worth waiting for.
        let stop = if purpose == Purpose::Cancel { CancellationToken::new() } else { self.stop.clone() };
        self.tasks.spawn(async move {
            let sending = async {
                for array in commands.chunks(ARRAY) {
                    link.send(array.to_vec()).await?;
                }
                Ok(())
            };
            let stopped = || Err(DriverError::Refused("stopped".to_owned()));
            Done::Sent(purpose, stop.run_until_cancelled(sending).await.unwrap_or_else(stopped))
        });
    }

    pub(super) fn sent(&mut self, purpose: Purpose, sent: Result<(), DriverError>) {
        match (purpose, sent) {
            (_, _) if self.result.is_some() => {}
            (_, Err(DriverError::Lost(why))) => self.finish(Err(RunError::Lost(why))),
            (_, Err(DriverError::Overtaken)) => self.finish(Err(RunError::Overtaken)),
            (Purpose::Start, Ok(())) => {
                let session = self.link.session();
                self.resume(&session);
            }
            (Purpose::Start, Err(DriverError::Refused(why) | DriverError::Unacceptable(why)))
                if !self.stop.is_cancelled() =>
            {
                self.finish(Err(RunError::NotStarted(why)));
            }
            (Purpose::TakeUp, Ok(())) => self.started = true,
            (Purpose::Round { node, leave }, Ok(())) => self.round_decided(&node, leave),
            (Purpose::End { heard }, Err(DriverError::Refused(_))) => self.ending = Ending::Refused { heard },
            (Purpose::Round { node, .. }, Err(DriverError::Unacceptable(why))) => {
                self.give_up(format!("node '{node}' failed: its decision cannot be recorded: {why}"));
            }
            (Purpose::BudgetPause, Err(DriverError::Unacceptable(why))) => {
                self.give_up(format!("the run's budget is used up, and it cannot be paused for that: {why}"));
            }
            (Purpose::End { .. }, Err(DriverError::Unacceptable(why))) => {
                self.give_up(format!("the run cannot be completed: {why}"));
            }
            (Purpose::TakeUp | Purpose::Skip, Err(DriverError::Unacceptable(why))) => {
                self.give_up(format!("the run cannot continue: {why}"));
            }
            (Purpose::Fail, Err(DriverError::Unacceptable(why))) => self.finish(Err(RunError::Lost(why))),
            // Somebody paused or ended the session; the event that says so is on its way.
            (_, _) => {}
        }
    }

    pub(super) fn skip(&mut self, nodes: Vec<NodeId>) {
        if !nodes.is_empty() {
            let skip = |node| set_status(node, NodeStatus::Skipped, None, None, None);
            self.send(Purpose::Skip, nodes.into_iter().map(skip).collect());
        }
    }

    pub(super) fn cancel(&mut self) {
        self.stop.cancel();
        self.send(Purpose::Cancel, vec![Command::Cancel { reason: Some("interrupted".to_owned()) }]);
    }

    pub(super) fn run_out_of_time(&mut self) {
        let limit: Duration = self.plan.settings.timeout.unwrap_or_default();
        let error = format!("the run took longer than {} s", limit.as_secs_f64());
        self.give_up(error);
    }

    /// Ends the run as failed, whatever the schedule says.
    pub(super) fn give_up(&mut self, error: String) {
        if std::mem::replace(&mut self.given_up, true) {
            return;
        }
        tracing::info!(session_id = %self.link.session().id, error, "a run fails");
        self.ending = Ending::Asked;
        self.phase.send_replace(Phase::Failing);
        self.send(Purpose::Fail, vec![Command::Fail { error: error_text(&error) }]);
    }

    pub(super) fn ask_for_the_end(&mut self) {
        let heard = self.heard;
        match self.schedule.verdict() {
            None => {}
            // A paused session cannot complete before somebody resumes it.
            Some(Verdict::Completed) if *self.phase.borrow() == Phase::Paused => {}
            Some(Verdict::Completed) => self.complete(heard),
            Some(Verdict::Failed { node }) => {
                let unknown = || format!("node '{node}' failed");
                let error = self.failure.clone().unwrap_or_else(unknown);
                self.ending = Ending::Asked;
                self.send(Purpose::End { heard }, vec![Command::Fail { error: error_text(&error) }]);
            }
        }
    }

    fn complete(&mut self, heard: Revision) {
        self.ending = Ending::Asked;
        let (link, graph, stop) = (self.link.clone(), self.plan.graph.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let completing = async {
                let outputs = gather(&*link, &graph).await?;
                link.send(vec![Command::Complete { outputs: Some(outputs) }]).await
            };
            let stopped = || Err(DriverError::Refused("stopped".to_owned()));
            let sent = stop.run_until_cancelled(completing).await.unwrap_or_else(stopped);
            Done::Sent(Purpose::End { heard }, sent)
        });
    }

    pub(super) fn is_paused(status: SessionStatus) -> Phase {
        if status == SessionStatus::Paused { Phase::Paused } else { Phase::Running }
    }
}
