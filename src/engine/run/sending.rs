//! The commands of the run itself: its start, its end, and which nodes are skipped.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::outputs::gather;
use super::{Done, Run, RunError};
use crate::engine::driver::DriverError;
use crate::engine::node_task::{Phase, error_text, set_status};
use crate::engine::schedule::RunEnd;
use relive_session::{Command, NodeId, NodeStatus, Revision, SessionStatus};

/// Commands in one array.
pub(super) const ARRAY: usize = 900;

/// The purpose of commands other than a node's reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Start,
    /// Corrections of the state before the run continues.
    Resume,
    Skip,
    /// The decision of a loop node.
    Round {
        node: NodeId,
        leave: bool,
    },
    /// Pauses the session because its budget is exhausted.
    BudgetPause,
    /// The schedule's verdict, with the newest revision that had been handled when it was sent.
    End {
        seen: Revision,
    },
    /// Ends the session whatever the schedule's verdict.
    Cancel,
    /// Fails the session because the run cannot continue.
    Fail,
}

/// Whether the session's end was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedEnd {
    NotRequested,
    /// The session's last event will follow.
    Requested,
    /// Another client was faster, for example with a pause. The end is requested again after its event.
    Refused {
        seen: Revision,
    },
}

impl Run {
    /// Sends commands, in several arrays one after the other if they are many.
    pub(super) fn send(&mut self, purpose: Purpose, commands: Vec<Command>) {
        let link = self.link.clone();
        // A stopped run still waits for its cancellation, and for nothing else.
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
            (Purpose::Resume, Ok(())) => self.started = true,
            (Purpose::Round { node, leave }, Ok(())) => self.round_decided(&node, leave),
            (Purpose::End { seen }, Err(DriverError::Refused(_))) => self.ending = RequestedEnd::Refused { seen },
            (Purpose::Round { node, .. }, Err(DriverError::Unacceptable(why))) => {
                self.fail(format!("node '{node}' failed: its decision cannot be recorded: {why}"));
            }
            (Purpose::BudgetPause, Err(DriverError::Unacceptable(why))) => {
                self.fail(format!("the run's budget is used up, and it cannot be paused for that: {why}"));
            }
            (Purpose::End { .. }, Err(DriverError::Unacceptable(why))) => {
                self.fail(format!("the run cannot be completed: {why}"));
            }
            (Purpose::Resume | Purpose::Skip, Err(DriverError::Unacceptable(why))) => {
                self.fail(format!("the run cannot continue: {why}"));
            }
            (Purpose::Fail, Err(DriverError::Unacceptable(why))) => self.finish(Err(RunError::Lost(why))),
            // Another client paused or ended the session; its event will arrive.
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

    pub(super) fn time_out_run(&mut self) {
        let limit: Duration = self.plan.settings.timeout.unwrap_or_default();
        let error = format!("the run took longer than {} s", limit.as_secs_f64());
        self.fail(error);
    }

    /// Fails the session, whatever the schedule's verdict.
    pub(super) fn fail(&mut self, error: String) {
        if std::mem::replace(&mut self.failing, true) {
            return;
        }
        tracing::info!(session_id = %self.link.session().id, error, "a run fails");
        self.ending = RequestedEnd::Requested;
        self.phase.send_replace(Phase::Failing);
        self.send(Purpose::Fail, vec![Command::Fail { error: error_text(&error) }]);
    }

    pub(super) fn request_end(&mut self) {
        let seen = self.seen;
        match self.schedule.verdict() {
            None => {}
            // A paused session cannot complete before it is resumed.
            Some(RunEnd::Completed) if *self.phase.borrow() == Phase::Paused => {}
            Some(RunEnd::Completed) => self.complete(seen),
            Some(RunEnd::Failed { node }) => {
                let unknown = || format!("node '{node}' failed");
                let error = self.failure.clone().unwrap_or_else(unknown);
                self.ending = RequestedEnd::Requested;
                self.send(Purpose::End { seen }, vec![Command::Fail { error: error_text(&error) }]);
            }
        }
    }

    fn complete(&mut self, seen: Revision) {
        self.ending = RequestedEnd::Requested;
        let (link, graph, stop) = (self.link.clone(), self.plan.graph.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let completing = async {
                let outputs = gather(&*link, &graph).await?;
                link.send(vec![Command::Complete { outputs: Some(outputs) }]).await
            };
            let stopped = || Err(DriverError::Refused("stopped".to_owned()));
            let sent = stop.run_until_cancelled(completing).await.unwrap_or_else(stopped);
            Done::Sent(Purpose::End { seen }, sent)
        });
    }

    pub(super) fn phase_of(status: SessionStatus) -> Phase {
        if status == SessionStatus::Paused { Phase::Paused } else { Phase::Running }
    }
}
