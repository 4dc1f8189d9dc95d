//! The timers of a run.

use std::collections::BTreeMap;

use tokio::time::Instant;

use relive_session::NodeId;

/// Waits for a time, or for ever.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// What happens at a timer's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// A node's wait expires.
    Wait(NodeId),
    /// A failed node's next attempt may begin.
    Retry(NodeId),
    /// The run exceeds its time limit.
    RunDeadline,
}

/// Timers in the order in which they are due; at most one for each node.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<(Instant, u64), Timer>,
    by_node: BTreeMap<NodeId, (Instant, u64)>,
    set: u64,
}

impl Timers {
    pub fn set(&mut self, at: Instant, timer: Timer) {
        self.set += 1;
        let key = (at, self.set);
        if let Timer::Wait(node) | Timer::Retry(node) = &timer
            && let Some(older) = self.by_node.insert(node.clone(), key)
        {
            self.due.remove(&older);
        }
        self.due.insert(key, timer);
    }

    pub fn has(&self, node: &NodeId) -> bool {
        self.by_node.contains_key(node)
    }

    pub fn remove(&mut self, node: &NodeId) {
        if let Some(key) = self.by_node.remove(node) {
            self.due.remove(&key);
        }
    }

    pub fn next(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// The first timer, if its time has come.
    pub fn pop_due(&mut self) -> Option<Timer> {
        self.next().filter(|at| *at <= Instant::now())?;
        let (_, timer) = self.due.pop_first()?;
        if let Timer::Wait(node) | Timer::Retry(node) = &timer {
            self.by_node.remove(node);
        }
        Some(timer)
    }

    /// Removes the timers of all nodes; returns the nodes whose retries are cancelled by that.
    pub fn clear_nodes(&mut self) -> Vec<NodeId> {
        let keys = std::mem::take(&mut self.by_node).into_values();
        let timers = keys.filter_map(|key| self.due.remove(&key)).collect::<Vec<_>>();
        timers.into_iter().filter_map(|timer| if let Timer::Retry(node) = timer { Some(node) } else { None }).collect()
    }
}
