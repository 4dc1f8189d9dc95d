//! Nodes that run several times at once.
//!
//! `nodeId#key` is an instance of the graph's node `nodeId`: a node that has no entry of its own in the
//! graph. The node itself then shows a summary of its instances, in which what was reported of the node counts
//! as one more. The summary is updated incrementally, so a change costs the same with ten thousand instances
//! as with one.

use serde::{Deserialize, Serialize};

use super::{
    Driver, GraphDefinition, NodeCounts, NodeId, NodeStateSnapshot, NodeStatus, Origin, Progress, Refusal, Timestamp,
    TokenUsage, limits,
};

impl GraphDefinition {
    /// The node that an id names an instance of: the longest prefix before a `#` that is a node.
    #[must_use]
    pub fn node_of_instance(&self, id: &NodeId) -> Option<&NodeId> {
        let text = id.as_str();
        let parts = text.char_indices().rev().filter(|(_, c)| *c == '#').map(|(at, _)| (&text[..at], &text[at + 1..]));
        let node_of = |(node, key): (&str, &str)| {
            let (id, _) = self.nodes.get_key_value(node)?;
            is_key(key).then_some(id)
        };
        if self.nodes.contains_key(id) { None } else { parts.map(node_of).find_map(|found| found) }
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= limits::INSTANCE_KEY_BYTES && !key.chars().any(char::is_control)
}

impl Origin {
    /// As [`GraphDefinition::node_of_instance`]. The built-in engine has no instances.
    #[must_use]
    pub fn node_of_instance(&self, id: &NodeId) -> Option<&NodeId> {
        match (&self.graph, self.driver) {
            (Some(graph), Driver::External) => graph.node_of_instance(id),
            _ => None,
        }
    }
}

/// The data from which the summary of a node with instances is computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instances {
    /// The state reported of the node itself.
    pub reported: NodeStateSnapshot,
    /// Of the instances. Always equal to a recount.
    counts: NodeCounts,
    /// Of the instances. Always equal to a recount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_usage: Option<TokenUsage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Of the instance that failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Instances {
    /// For a node that has no instances yet.
    pub(super) fn of(reported: NodeStateSnapshot) -> Self {
        Self {
            reported,
            counts: NodeCounts::default(),
            token_usage: None,
            started_at: None,
            completed_at: None,
            attempt: None,
            error: None,
        }
    }

    /// Applies a change of an instance; `held` is its previous state.
    pub(super) fn replace(&mut self, held: Option<&NodeStateSnapshot>, new: &NodeStateSnapshot) {
        if let Some(held) = held {
            self.counts.remove(held.status);
        }
        self.counts.add(new.status);
        let used = |node: &NodeStateSnapshot| node.token_usage.unwrap_or_default();
        if new.token_usage.is_some() {
            let before = held.map(used).unwrap_or_default();
            let (now, sum) = (used(new), self.token_usage.unwrap_or_default());
            self.token_usage = Some(sum.saturating_add(
                now.input_tokens.saturating_sub(before.input_tokens),
                now.output_tokens.saturating_sub(before.output_tokens),
            ));
        }
        self.started_at = earlier(self.started_at, new.started_at);
        self.completed_at = self.completed_at.max(new.completed_at);
        self.attempt = self.attempt.max(new.attempt);
        if new.status == NodeStatus::Failed && new.error.is_some() {
            self.error.clone_from(&new.error);
        }
    }

    /// The summary that the node shows.
    pub(super) fn summary(&self) -> NodeStateSnapshot {
        let reported = &self.reported;
        let status = self.status();
        let counted = self.counts.total();
        let share = f64::from(self.counts.finished()) / f64::from(counted.max(1));
        let started_at = earlier(reported.started_at, self.started_at);
        // Of nodes that were never started there may be an end without a beginning.
        let completed_at = reported.completed_at.max(self.completed_at).max(started_at);
        NodeStateSnapshot {
            status,
            started_at,
            completed_at: completed_at.filter(|_| status.is_final()),
            token_usage: match (reported.token_usage, self.token_usage) {
                (Some(own), Some(sum)) => Some(own.saturating_add(sum.input_tokens, sum.output_tokens)),
                (own, sum) => own.or(sum),
            },
            progress: reported.progress.or_else(|| Progress::new(share)),
            attempt: reported.attempt.max(self.attempt),
            error: match status {
                NodeStatus::Failed => reported.error.clone().or_else(|| self.error.clone()),
                _ => reported.error.clone(),
            },
            ..reported.clone()
        }
    }

    /// Running if an instance is running, suspended if one is suspended, pending if one is pending; then failed
    /// if one has failed, completed if one has completed, and skipped if all were.
    fn status(&self) -> NodeStatus {
        let mut counts = self.counts;
        if self.reported.status != NodeStatus::Pending {
            counts.add(self.reported.status);
        }
        let order = [
            (counts.running, NodeStatus::Running),
            (counts.suspended, NodeStatus::Suspended),
            (counts.pending, NodeStatus::Pending),
            (counts.failed, NodeStatus::Failed),
            (counts.completed, NodeStatus::Completed),
            (counts.skipped, NodeStatus::Skipped),
        ];
        order.into_iter().find(|(count, _)| *count > 0).map_or(self.reported.status, |(_, status)| status)
    }

    /// Checks a summary from elsewhere against its instances.
    pub(super) fn check<'a>(&self, instances: impl Iterator<Item = &'a NodeStateSnapshot>) -> Result<(), Refusal> {
        let mut counted = Self::of(self.reported.clone());
        instances.for_each(|instance| counted.replace(None, instance));
        let is_right = (counted.counts, counted.token_usage) == (self.counts, self.token_usage);
        if is_right {
            Ok(())
        } else {
            Err(Refusal::Invalid { field: "instances", problem: "must be those of the nodes" })
        }
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
