//! Nodes that wait, for a signal or for a time: they hold no task meanwhile.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::timers::Timer;
use super::{Done, Run};
use crate::engine::nodes::Wake;
use crate::engine::schedule::Outcome;
use crate::session::{NodeId, Revision, Timestamp};

impl Run {
    /// A node has begun to wait, or goes on with it, `due` in so long.
    pub(super) fn wait(&mut self, node: &NodeId, due: Option<Duration>) {
        let Some(wait) = self.plan.node(node).and_then(|planned| planned.kind.wait()) else { return };
        if self.schedule.is_failing() {
            self.schedule.settle(node, Outcome::Skipped);
            return;
        }
        self.waits.insert(node.clone());
        if !self.timers.has(node)
            && let Some(due) = due.or(wait.due)
        {
            self.timers.set(Instant::now() + due, Timer::Wait(node.clone()));
        }
        // One may have come before anybody was there to hear it.
        let session = self.link.session();
        if let Some(signal) = session.signals.get(node) {
            self.give_signal(node, signal.payload.as_ref().clone(), signal.revision, session.updated_at);
        }
    }

    pub(super) fn give_signal(&mut self, node: &NodeId, payload: Value, revision: Revision, at: Timestamp) {
        let given = self.signals_given.get(node).copied().unwrap_or_default();
        if self.waits.contains(node) && revision > given {
            self.signals_given.insert(node.clone(), revision);
            self.wake(node, Wake::Signal { payload, at });
        }
    }

    fn wake(&mut self, node: &NodeId, wake: Wake) {
        let Some(task) = self.task(node) else { return };
        self.waits.remove(node);
        let node = node.clone();
        self.tasks.spawn(async move { Done::Node(node, task.wake(wake).await) });
    }

    /// The first timer is due.
    pub(super) fn ring(&mut self) {
        match self.timers.take_due() {
            Some(Timer::Wait(node)) if self.waits.contains(&node) => self.wake(&node, Wake::Due),
            Some(Timer::Retry(node)) => self.ready.push_back(node),
            Some(Timer::RunDeadline) => self.run_out_of_time(),
            Some(Timer::Wait(_)) | None => {}
        }
    }
}
