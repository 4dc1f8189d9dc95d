//! A submission in a lane: received, decided if needed, answered.

use std::sync::Arc;

use tokio::time::Instant;

use super::decision::Decision;
use super::error::HubError;
use super::live_session::{Head, LiveSession};
use super::pending_reply::PendingReply;
use super::size::QueueSize;
use super::submission::{CommandResult, Submission};
use crate::spans::Span;
use relive_session::Revision;

/// A submission in a lane.
#[derive(Debug)]
pub(super) struct PendingCommand {
    pub live: Arc<LiveSession>,
    pub submission: Submission,
    pub decision: Decision,
    pub slot: Arc<PendingReply>,
    pub size: QueueSize,
    /// Writes of this entry whose outcome is unknown.
    pub attempts: Vec<UnknownWrite>,
    /// The wait for its first commit, if its trace is recorded.
    pub waiting: Option<Span>,
}

/// A write that may have taken effect, or may do so later, although its answer was lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnknownWrite {
    pub batch: i64,
    /// The revision of the entry's first event in it, and the one that it led to.
    pub first: Revision,
    pub last: Revision,
}

/// The entries that were received.
pub(super) struct Received {
    /// With a decision that is valid.
    pub ready: Vec<PendingCommand>,
    /// Of sessions that were deleted.
    pub gone: Vec<PendingCommand>,
}

/// Receives entries: drops those that were answered as expired, and decides those whose decision is
/// missing or void.
pub(super) fn receive(entries: Vec<PendingCommand>) -> Received {
    let (open, expired): (Vec<PendingCommand>, Vec<PendingCommand>) = entries.into_iter().partition(is_in_time);
    // First of all: whatever was decided after the dropped entries is void.
    expired.into_iter().for_each(drop_expired);
    let (mut ready, mut gone) = (Vec::with_capacity(open.len()), Vec::new());
    for mut entry in open {
        let is_deleted = matches!(entry.live.head(), Head::Deleted(_));
        {
            let mut staged = entry.live.staged.lock();
            staged.queued -= 1;
            if !is_deleted && !entry.decision.holds_for(staged.generation) {
                entry.decision = staged.decide(&entry.submission);
            }
            staged.lane_decides &= staged.queued > 0;
        }
        if is_deleted {
            gone.push(entry);
        } else {
            ready.push(entry);
        }
    }
    Received { ready, gone }
}

/// Whether an entry may still be written. One that is about to expire is answered here.
fn is_in_time(entry: &PendingCommand) -> bool {
    if entry.slot.deadline() <= Instant::now() {
        entry.slot.expire();
    }
    entry.slot.is_open()
}

/// Drops an entry that will not be written, and discards the staged state. It runs between two batches,
/// when nothing of the session is being written, so the committed state is the one to continue from.
fn drop_expired(entry: PendingCommand) {
    let PendingCommand { live, decision, .. } = entry;
    let is_staged = {
        let mut staged = live.staged.lock();
        staged.queued -= 1;
        staged.lane_decides &= staged.queued > 0;
        matches!(decision, Decision::Events { .. }) && decision.holds_for(staged.generation)
    };
    if is_staged {
        live.restage(live.head().session());
    }
    metrics::counter!("relive_commands_expired_total").increment(1);
}

/// Counts entries as queued again, so that nothing new is staged before they are decided. Must be
/// called before the staged state they were decided on is discarded; `receive` undoes the count.
pub(super) fn requeue(entries: &[PendingCommand]) {
    for entry in entries {
        let mut staged = entry.live.staged.lock();
        staged.queued += 1;
        staged.lane_decides = true;
    }
}

pub(super) fn answer(entry: PendingCommand, outcome: CommandResult) {
    CommandMetrics::default().answer(entry, outcome);
}

/// Counts answers for the metrics. Looking up a counter costs as much as deciding a command, so this is
/// done once per batch for each kind and result, when the value is dropped.
#[derive(Default)]
pub(super) struct CommandMetrics(Vec<(&'static str, &'static str, u64)>);

impl CommandMetrics {
    pub fn answer(&mut self, entry: PendingCommand, outcome: CommandResult) {
        let result = match &outcome {
            Ok(receipt) if receipt.duplicate => "duplicate",
            Ok(_) => "accepted",
            Err(
                HubError::Refused(_)
                | HubError::CannotRun(_)
                | HubError::BadSignal(_)
                | HubError::NotFound
                | HubError::Constraint(_),
            ) => "refused",
            Err(HubError::Unavailable | HubError::Internal) => "failed",
        };
        for command in &entry.submission.commands {
            let kind = command.kind();
            match self.0.iter_mut().find(|(known, ended, _)| (*known, *ended) == (kind, result)) {
                Some((.., count)) => *count += 1,
                None => self.0.push((kind, result, 1)),
            }
        }
        entry.slot.answer(outcome);
    }
}

impl Drop for CommandMetrics {
    fn drop(&mut self) {
        for (kind, result, count) in self.0.drain(..) {
            metrics::counter!("relive_commands_total", "kind" => kind, "result" => result).increment(count);
        }
    }
}
