//! The two state machines, as tables.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// The status of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "session.ts")]
pub enum SessionStatus {
    Pending,
    Running,
    Paused,
    Completed,
    Failed,
    Cancelled,
}

impl SessionStatus {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Paused, Self::Completed, Self::Failed, Self::Cancelled];

    /// The status of an ended session never changes again.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// Whether nodes may change: a paused session still lets its running nodes finish.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// The status of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
#[ts(export_to = "session.ts")]
pub enum NodeStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Skipped,
    Suspended,
}

impl NodeStatus {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Skipped, Self::Suspended];

    /// Completed, failed or skipped: the end of an attempt.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Skipped)
    }

    /// Running or suspended: what `activeNodeIds` lists.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Suspended)
    }

    /// Whether a node may go from `self` to a different status `to`.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        use NodeStatus::{Completed, Failed, Pending, Running, Skipped, Suspended};
        match self {
            Pending => matches!(to, Running | Completed | Failed | Skipped),
            Running => matches!(to, Completed | Failed | Suspended | Skipped),
            Suspended => matches!(to, Running | Completed | Failed | Skipped),
            Completed | Failed | Skipped => matches!(to, Running | Pending),
        }
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Suspended => "suspended",
        }
    }

    /// The inverse of [`Self::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// The number of nodes in each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[ts(type = "Record<NodeStatus, number>", export_to = "session.ts")]
pub struct NodeCounts {
    pub pending: u32,
    pub running: u32,
    pub completed: u32,
    pub failed: u32,
    pub skipped: u32,
    pub suspended: u32,
}

impl NodeCounts {
    #[must_use]
    pub fn of(statuses: impl Iterator<Item = NodeStatus>) -> Self {
        let mut counts = Self::default();
        statuses.for_each(|status| counts.add(status));
        counts
    }

    pub(super) fn add(&mut self, status: NodeStatus) {
        *self.slot(status) += 1;
    }

    pub(super) fn remove(&mut self, status: NodeStatus) {
        *self.slot(status) -= 1;
    }

    pub(super) fn finished(self) -> u32 {
        self.completed.saturating_add(self.failed).saturating_add(self.skipped)
    }

    pub(super) fn total(self) -> u32 {
        let open = self.pending.saturating_add(self.running).saturating_add(self.suspended);
        open.saturating_add(self.finished())
    }

    fn slot(&mut self, status: NodeStatus) -> &mut u32 {
        match status {
            NodeStatus::Pending => &mut self.pending,
            NodeStatus::Running => &mut self.running,
            NodeStatus::Completed => &mut self.completed,
            NodeStatus::Failed => &mut self.failed,
            NodeStatus::Skipped => &mut self.skipped,
            NodeStatus::Suspended => &mut self.suspended,
        }
    }
}
