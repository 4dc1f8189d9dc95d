//! From a session's state into the middle of its run: ended nodes keep what they put out, nodes that
//! wait go on waiting, and those that were cut off begin another attempt.

use tokio::time::Instant;

use super::budget::since;
use super::rounds::Rounds;
use super::sending::Purpose;
use super::timers::Timer;
use super::{Run, RunError};
use crate::engine::node_task::set_status;
use crate::engine::plan::Plan;
use crate::engine::schedule::{Outcome, Past, Restored, Schedule};
use crate::session::{Command, Node, NodeId, NodeStatus, Session};

const CUT_OFF: &str = "cut off: the engine that ran it went away";

impl Run {
    pub(super) fn take_up(&mut self, session: &Session) -> Result<(), RunError> {
        self.rounds = Rounds::of(session);
        self.phase.send_replace(Self::is_paused(session.status));
        let past = |node: &NodeId| past(&self.plan, session, node);
        let Restored { schedule, step, reset } =
            Schedule::restore(&self.plan.graph, past, |node| self.rounds.past(node), |node| chosen(session, node))?;
        self.schedule = schedule;
        self.recall_failure(session);
        let mut commands: Vec<Command> = reset.into_iter().map(pending).collect();
        for id in &session.active {
            let Some(held) = session.nodes.get(id) else { continue };
            if !self.goes_on_waiting(held) {
                // Both at once: what is known as failed will not be tried again.
                commands.push(set_status(id.clone(), NodeStatus::Failed, None, Some(CUT_OFF.to_owned()), None));
                commands.push(pending(id.clone()));
                self.ready.push_back(id.clone());
            }
        }
        self.ready.extend(step.start);
        if self.schedule.verdict().is_none() {
            commands.extend(step.skip.into_iter().map(|node| set_status(node, NodeStatus::Skipped, None, None, None)));
        }
        if let (Some(limit), Some(started)) = (self.plan.settings.timeout, session.started_at) {
            self.timers.set(Instant::now() + limit.saturating_sub(since(started)), Timer::RunDeadline);
        }
        for held in session.active.iter().filter_map(|id| session.nodes.get(id)) {
            self.go_on_waiting(held);
        }
        if self.schedule.is_failing() {
            self.let_go();
        }
        if commands.is_empty() {
            self.started = true;
        } else {
            self.send(Purpose::TakeUp, commands);
        }
        Ok(())
    }

    fn goes_on_waiting(&self, held: &Node) -> bool {
        let wait = self.plan.node(&held.snapshot.id).and_then(|planned| planned.kind.wait());
        wait.is_some_and(|wait| wait.suspended == (held.snapshot.status == NodeStatus::Suspended))
    }

    fn go_on_waiting(&mut self, held: &Node) {
        if !self.goes_on_waiting(held) {
            return;
        }
        let id = &held.snapshot.id;
        let due = self.plan.node(id).and_then(|planned| planned.kind.wait()).and_then(|wait| wait.due);
        let left = due.map(|due| due.saturating_sub(held.snapshot.started_at.map(since).unwrap_or_default()));
        self.wait(id, left);
    }

    /// A run that was failing goes on to do so.
    fn recall_failure(&mut self, session: &Session) {
        let failed =
            |node: &&std::sync::Arc<Node>| past(&self.plan, session, &node.snapshot.id) == Past::Ended(Outcome::Failed);
        if let Some(node) = session.nodes.values().find(failed) {
            let error = node.snapshot.error.as_deref().unwrap_or_default();
            self.failure = Some(format!("node '{}' failed: {error}", node.snapshot.id));
        }
    }
}

fn past(plan: &Plan, session: &Session, node: &NodeId) -> Past {
    match session.node_status(node) {
        None | Some(NodeStatus::Pending) => Past::Waiting,
        Some(NodeStatus::Running | NodeStatus::Suspended) => Past::Running,
        Some(NodeStatus::Completed) => Past::Ended(Outcome::Completed),
        Some(NodeStatus::Skipped) => Past::Ended(Outcome::Skipped),
        Some(NodeStatus::Failed) if plan.node(node).is_some_and(|planned| planned.policy.continues) => {
            Past::Ended(Outcome::Completed)
        }
        Some(NodeStatus::Failed) => Past::Ended(Outcome::Failed),
    }
}

/// Which of its next nodes a node has decided on; `None` when all follow.
fn chosen(session: &Session, node: &NodeId) -> Option<Vec<NodeId>> {
    session.nodes.get(node)?.snapshot.next_ids.clone()
}

fn pending(node: NodeId) -> Command {
    set_status(node, NodeStatus::Pending, None, None, None)
}
