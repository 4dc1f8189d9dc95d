//! Resumes a run from its session's state: ended nodes keep their outputs, nodes that wait continue to wait,
//! and interrupted attempts are made again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::rounds::{OpenDecision, Rounds};
use super::sending::Purpose;
use super::timers::Timer;
use super::{MOST_CRASHES, Run};
use crate::engine::node_task::{Phase, set_status, with_retry};
use crate::engine::schedule::{NodeOutcome, Past, Restored, Schedule};
use relive_session::{Command, Node, NodeId, NodeStateSnapshot, NodeStatus, Retry, Session, Timestamp};

const CUT_OFF: &str = "interrupted: the engine that ran it disappeared";

impl Run {
    pub(super) fn resume(&mut self, session: &Session) {
        self.rounds = Rounds::of(session);
        self.phase.send_replace(Self::phase_of(session.status));
        let open = self.open_decisions(session);
        let past = |node: &NodeId| {
            if open.contains_key(node) {
                Past::Ended(NodeOutcome::Completed)
            } else {
                past(session, node, self.continues(node))
            }
        };
        let Restored { schedule, step, reset } = Schedule::restore_in(
            Arc::clone(&self.plan.layout),
            past,
            |node| self.rounds.past(node),
            |node| chosen(session, node),
        );
        self.schedule = schedule;
        self.restore_failure(session);
        // A loop node is reset last: as long as it is stored as completed, the reset of its body is incomplete.
        let (loops, bodies): (Vec<NodeId>, Vec<NodeId>) =
            reset.into_iter().partition(|node| self.rounds.past(node).is_some());
        let scores = open.values().cloned().filter_map(OpenDecision::into_score);
        let mut commands: Vec<Command> = scores.filter_map(|score| self.rounds.add_score(score)).collect();
        commands.extend(open.iter().map(|(id, open)| open.report(id)));
        commands.extend(bodies.into_iter().chain(loops).map(pending));
        for held in session.active.iter().filter_map(|id| session.nodes.get(id)) {
            if self.plan.node(&held.snapshot.id).is_none() {
                // A step that somebody reported below a node: of an attempt that is made again now.
                let cut_off = Some(CUT_OFF.to_owned());
                commands.push(set_status(held.snapshot.id.clone(), NodeStatus::Failed, None, cut_off, None));
            } else if !self.is_waiting(held) && !open.contains_key(&held.snapshot.id) {
                commands.extend(self.restart_attempt(held));
            }
        }
        let is_planned = |node: &&Arc<Node>| self.plan.node(&node.snapshot.id).is_some();
        let due: Vec<_> = session.nodes.values().filter(is_planned).filter(|node| due_at(node).is_some()).collect();
        for held in due {
            commands.extend(self.schedule_retry(held));
        }
        for held in session.active.iter().filter_map(|id| session.nodes.get(id)) {
            commands.extend(self.correct_wait(held));
        }
        self.ready.extend(step.start);
        if self.has_crashed_too_often() {
            return;
        }
        if self.schedule.verdict().is_none() {
            commands.extend(step.skip.into_iter().map(|node| set_status(node, NodeStatus::Skipped, None, None, None)));
        }
        if let (Some(limit), Some(started)) = (self.plan.settings.timeout, session.started_at) {
            let left = limit.saturating_sub(session.elapsed(started, self.options.clock.now()));
            self.timers.set(Instant::now() + left, Timer::RunDeadline);
        }
        for held in session.active.iter().filter_map(|id| session.nodes.get(id)) {
            self.continue_wait(session, held);
        }
        if self.schedule.is_failing() {
            self.skip_idle();
        }
        if commands.is_empty() {
            self.started = true;
        } else {
            self.send(Purpose::Resume, commands);
        }
    }

    /// Decisions of loop nodes that are in the context data while the loop node is not stored as completed: the
    /// state lies between two events of one commit, as that of a fork may.
    fn open_decisions(&self, session: &Session) -> BTreeMap<NodeId, OpenDecision> {
        let active = session.active.iter().filter_map(|id| session.nodes.get(id));
        active.filter_map(|held| Some((held.snapshot.id.clone(), self.rounds.open(held)?))).collect()
    }

    /// Makes an interrupted attempt again. That does not count as one of the node's `retries`, but is limited:
    /// the attempt may be what crashes the server.
    fn restart_attempt(&mut self, held: &Node) -> Vec<Command> {
        let id = &held.snapshot.id;
        let before = held.snapshot.retry.unwrap_or_default();
        let cut_off = before.cut_off.unwrap_or_default() + u32::from(self.options.crashes > 0);
        if cut_off >= MOST_CRASHES {
            self.fail(format!(
                "node '{id}' failed: its attempt was interrupted {cut_off} times in a row, because its server went down each time"
            ));
        }
        self.tries.insert(id.clone(), before.tries);
        self.ready.push_back(id.clone());
        let cut_off = Some(cut_off).filter(|count| *count > 0);
        let retry = Some(Retry { cut_off, due_at: Some(self.options.clock.now()), ..before });
        // Both in one commit: a node that is stored as failed is not retried.
        let report = |status| set_status(id.clone(), status, None, Some(CUT_OFF.to_owned()), None);
        [NodeStatus::Failed, NodeStatus::Pending].map(|status| with_retry(report(status), retry)).to_vec()
    }

    /// Schedules the retry of a failed node for the time at which it is due.
    fn schedule_retry(&mut self, held: &Node) -> Option<Command> {
        let (node, mut retry) = (&held.snapshot, held.snapshot.retry?);
        self.tries.insert(node.id.clone(), retry.tries);
        let (now, due) = (self.options.clock.now(), retry.due_at?);
        let mut left = due.since(now);
        let longest = self.longest_pause(node);
        let was_set_back = left > longest;
        if was_set_back {
            left = longest;
            retry.due_at = Some(now + left);
        }
        if left.is_zero() {
            self.ready.push_back(node.id.clone());
        } else {
            self.timers.set(Instant::now() + left, Timer::Retry(node.id.clone()));
        }
        (was_set_back || node.status == NodeStatus::Failed).then(|| {
            let report = set_status(node.id.clone(), NodeStatus::Pending, None, node.error.clone(), None);
            with_retry(report, Some(retry))
        })
    }

    /// The backoff before the attempt that is due next. If more than that is left, the clock was set back, or
    /// is another server's: then the backoff begins anew, so that a clock can at most double it.
    fn longest_pause(&self, node: &NodeStateSnapshot) -> Duration {
        let made = node.retry.unwrap_or_default().tries.checked_sub(1);
        let pause = |made| self.plan.node(&node.id)?.policy.backoff_for_retry(made);
        made.and_then(pause).unwrap_or_default()
    }

    /// The same for a node whose wait began in the future: the wait begins anew, and its end is stored as
    /// `dueAt`.
    fn correct_wait(&self, held: &Node) -> Option<Command> {
        let node = &held.snapshot;
        let (limit, now) = (self.wait_limit(&node.id)?, self.options.clock.now());
        let retry = node.retry.unwrap_or_default();
        let was_set_back = match retry.due_at {
            Some(due) => due.since(now) > limit,
            None => node.started_at.is_some_and(|since| !since.since(now).is_zero()),
        };
        let report = set_status(node.id.clone(), node.status, None, None, None);
        (was_set_back && self.is_waiting(held))
            .then(|| with_retry(report, Some(Retry { due_at: Some(now + limit), ..retry })))
    }

    /// Fails a run that crashed its servers, one after the other, at the revision at which it is now.
    fn has_crashed_too_often(&mut self) -> bool {
        let begins = !self.ready.is_empty() && *self.phase.borrow() == Phase::Running;
        if begins && self.options.crashes >= MOST_CRASHES {
            self.fail(format!(
                "the run was stopped: its server went down {} times in a row at this point",
                self.options.crashes
            ));
        }
        self.failing
    }

    fn is_waiting(&self, held: &Node) -> bool {
        let wait = self.plan.node(&held.snapshot.id).and_then(|planned| planned.kind.wait());
        wait.is_some_and(|wait| wait.suspended == (held.snapshot.status == NodeStatus::Suspended))
    }

    fn continue_wait(&mut self, session: &Session, held: &Node) {
        if !self.is_waiting(held) {
            return;
        }
        let node = &held.snapshot;
        self.tries.insert(node.id.clone(), node.retry.unwrap_or_default().tries);
        let began_anew = node.retry.and_then(|retry| retry.due_at).zip(self.wait_limit(&node.id));
        let since = began_anew.and_then(|(due, limit)| due.before(limit)).or(node.started_at);
        let waited = since.map(|since| session.elapsed(since, self.options.clock.now()));
        self.wait(&node.id, waited.unwrap_or_default());
    }

    /// Whether the run continues when the node has finally failed.
    fn continues(&self, node: &NodeId) -> bool {
        self.plan.node(node).is_some_and(|planned| planned.policy.continues)
    }

    /// Restores the error of a run that was already failing.
    fn restore_failure(&mut self, session: &Session) {
        let failed = |node: &&Arc<Node>| {
            let id = &node.snapshot.id;
            self.plan.node(id).is_some() && past(session, id, self.continues(id)) == Past::Ended(NodeOutcome::Failed)
        };
        if let Some(node) = session.nodes.values().find(failed) {
            let error = node.snapshot.error.as_deref().unwrap_or_default();
            self.failure = Some(format!("node '{}' failed: {error}", node.snapshot.id));
        }
    }
}

/// The stored state of a node; `continues`: its policy ignores a failure.
pub(super) fn past(session: &Session, node: &NodeId, continues: bool) -> Past {
    if session.nodes.get(node).is_some_and(|held| due_at(held).is_some()) {
        return Past::Running;
    }
    match session.node_status(node) {
        None | Some(NodeStatus::Pending) => Past::Waiting,
        Some(NodeStatus::Running | NodeStatus::Suspended) => Past::Running,
        Some(NodeStatus::Completed) => Past::Ended(NodeOutcome::Completed),
        Some(NodeStatus::Skipped) => Past::Ended(NodeOutcome::Skipped),
        Some(NodeStatus::Failed) if continues => Past::Ended(NodeOutcome::Completed),
        Some(NodeStatus::Failed) => Past::Ended(NodeOutcome::Failed),
    }
}

/// When the retry of a failed node is due; `None` for any other node.
pub(super) fn due_at(node: &Node) -> Option<Timestamp> {
    let waits = matches!(node.snapshot.status, NodeStatus::Pending | NodeStatus::Failed);
    node.snapshot.retry.filter(|_| waits)?.due_at
}

/// The next nodes that a node has chosen; `None` if all follow.
pub(super) fn chosen(session: &Session, node: &NodeId) -> Option<Vec<NodeId>> {
    session.nodes.get(node)?.snapshot.next_ids.clone()
}

fn pending(node: NodeId) -> Command {
    set_status(node, NodeStatus::Pending, None, None, None)
}
