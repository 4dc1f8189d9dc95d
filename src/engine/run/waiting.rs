//! Nodes that wait for a signal or for a time. They hold no task meanwhile.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Run;
use super::timers::Timer;
use crate::engine::node_task::{NodeEnd, NodeTask};
use crate::engine::nodes::Wake;
use crate::engine::schedule::NodeOutcome;
use relive_session::{NodeId, Revision, Timestamp};

/// Which limit ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// The time that the node's type waits for.
    Due,
    /// The node's `timeoutSeconds`.
    TimeOut,
}

impl Run {
    /// Begins or continues the wait of a node that has waited for `waited`.
    pub(super) fn wait(&mut self, node: &NodeId, waited: Duration) {
        if self.schedule.is_failing() {
            self.schedule.settle(node, NodeOutcome::Skipped);
            return;
        }
        if self.overdue.remove(node) {
            return self.end_expired_wait(node);
        }
        let limit = self.limit(node);
        self.waits.insert(node.clone());
        if !self.timers.has(node)
            && let Some((limit, _)) = limit
        {
            self.timers.set(Instant::now() + limit.saturating_sub(waited), Timer::Wait(node.clone()));
        }
        // A signal may have arrived before the node waited here.
        let session = self.link.session();
        if let Some(signal) = session.signals.get(node) {
            self.deliver_signal(node, signal.payload.as_ref().clone(), signal.revision, session.updated_at);
        }
    }

    /// How long a node may wait from the attempt's start, and which limit that is. The type's own comes
    /// first if both are the same.
    fn limit(&self, node: &NodeId) -> Option<(Duration, Limit)> {
        let planned = self.plan.node(node)?;
        let due = planned.kind.wait()?.due.map(|due| (due, Limit::Due));
        let time_out = planned.policy.timeout.map(|limit| (limit, Limit::TimeOut));
        due.into_iter().chain(time_out).min_by_key(|(limit, _)| *limit)
    }

    /// How long a node waits at most; `None` without a limit.
    pub(super) fn wait_limit(&self, node: &NodeId) -> Option<Duration> {
        self.limit(node).map(|(limit, _)| limit)
    }

    pub(super) fn deliver_signal(&mut self, node: &NodeId, payload: Value, revision: Revision, at: Timestamp) {
        let given = self.signals_given.get(node).copied().unwrap_or_default();
        if self.waits.contains(node) && revision > given {
            self.signals_given.insert(node.clone(), revision);
            self.end_wait(node, |task| task.wake(Wake::Signal { payload, at }));
        }
    }

    fn end_expired_wait(&mut self, node: &NodeId) {
        match self.limit(node) {
            Some((_, Limit::TimeOut)) => self.end_wait(node, NodeTask::time_out),
            _ => self.end_wait(node, |task| task.wake(Wake::Due)),
        }
    }

    fn end_wait<F>(&mut self, node: &NodeId, end: impl FnOnce(NodeTask) -> F)
    where
        F: Future<Output = NodeEnd> + Send + 'static,
    {
        let Some(task) = self.task(node) else { return };
        self.waits.remove(node);
        self.spawn(node.clone(), end(task));
    }

    /// The first timer is due.
    pub(super) fn fire_timer(&mut self) {
        match self.timers.pop_due() {
            Some(Timer::Wait(node)) if self.waits.contains(&node) => self.end_expired_wait(&node),
            // A signal is being handled. If it does not end the wait, the timer does.
            Some(Timer::Wait(node)) => drop(self.overdue.insert(node)),
            Some(Timer::Retry(node)) => self.ready.push_back(node),
            Some(Timer::RunDeadline) => self.time_out_run(),
            None => {}
        }
    }
}
