//! Nodes that wait, for a signal or for a time: they hold no task meanwhile.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Run;
use super::timers::Timer;
use crate::engine::node_task::{NodeEnd, NodeTask};
use crate::engine::nodes::Wake;
use crate::engine::schedule::Outcome;
use relive_session::{NodeId, Revision, Timestamp};

/// What a waiting node's time is up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// What its type waits for at most.
    Due,
    /// Its `timeoutSeconds`.
    TimeOut,
}

impl Run {
    /// A node has begun to wait, or goes on with it, having waited for so long.
    pub(super) fn wait(&mut self, node: &NodeId, waited: Duration) {
        if self.schedule.is_failing() {
            self.schedule.settle(node, Outcome::Skipped);
            return;
        }
        if self.late.remove(node) {
            return self.time_is_up(node);
        }
        let limit = self.limit(node);
        self.waits.insert(node.clone());
        if !self.timers.has(node)
            && let Some((limit, _)) = limit
        {
            self.timers.set(Instant::now() + limit.saturating_sub(waited), Timer::Wait(node.clone()));
        }
        // One may have come before anybody was there to hear it.
        let session = self.link.session();
        if let Some(signal) = session.signals.get(node) {
            self.give_signal(node, signal.payload.as_ref().clone(), signal.revision, session.updated_at);
        }
    }

    /// How long a node may wait from the attempt's start, and what comes then. A type's own time comes
    /// first when both are the same.
    fn limit(&self, node: &NodeId) -> Option<(Duration, Limit)> {
        let planned = self.plan.node(node)?;
        let due = planned.kind.wait()?.due.map(|due| (due, Limit::Due));
        let time_out = planned.policy.timeout.map(|limit| (limit, Limit::TimeOut));
        due.into_iter().chain(time_out).min_by_key(|(limit, _)| *limit)
    }

    /// How long a node waits at most, if there is a limit.
    pub(super) fn wait_limit(&self, node: &NodeId) -> Option<Duration> {
        self.limit(node).map(|(limit, _)| limit)
    }

    pub(super) fn give_signal(&mut self, node: &NodeId, payload: Value, revision: Revision, at: Timestamp) {
        let given = self.signals_given.get(node).copied().unwrap_or_default();
        if self.waits.contains(node) && revision > given {
            self.signals_given.insert(node.clone(), revision);
            self.end_wait(node, |task| task.wake(Wake::Signal { payload, at }));
        }
    }

    fn time_is_up(&mut self, node: &NodeId) {
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
        match self.timers.take_due() {
            Some(Timer::Wait(node)) if self.waits.contains(&node) => self.time_is_up(&node),
            // A signal is being looked at. If it is no answer, the time is up all the same.
            Some(Timer::Wait(node)) => drop(self.late.insert(node)),
            Some(Timer::Retry(node)) => self.ready.push_back(node),
            Some(Timer::RunDeadline) => self.run_out_of_time(),
            None => {}
        }
    }
}
