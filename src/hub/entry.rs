//! A submission on its way through a lane: received, decided if need be, answered.

use std::sync::Arc;

use super::decision::Decision;
use super::error::HubError;
use super::live::{Head, Live};
use super::submission::{Outcome, Reply, Submission};

/// A submission on its way through a lane.
#[derive(Debug)]
pub(super) struct Entry {
    pub live: Arc<Live>,
    pub submission: Submission,
    pub decision: Decision,
    pub reply: Reply,
}

/// Receives entries: decides those whose decision is missing or void, and answers those whose
/// session was deleted.
pub(super) fn take(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut ready = Vec::with_capacity(entries.size_hint().0);
    for mut entry in entries {
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
            answer(entry, Err(HubError::NotFound));
        } else {
            ready.push(entry);
        }
    }
    ready
}

/// Counts entries as queued again, so that nothing new is staged before they are decided. To be
/// called before the staged state they were decided on is thrown away; `take` is the other half.
pub(super) fn hold(entries: &[Entry]) {
    for entry in entries {
        let mut staged = entry.live.staged.lock();
        staged.queued += 1;
        staged.lane_decides = true;
    }
}

pub(super) fn answer(entry: Entry, outcome: Outcome) {
    Tally::default().answer(entry, outcome);
}

/// Answers, counted. Looking a counter up costs as much as deciding a command, so a batch does it
/// once for each kind and result it holds; that happens when this is dropped.
#[derive(Default)]
pub(super) struct Tally(Vec<(&'static str, &'static str, u64)>);

impl Tally {
    pub fn answer(&mut self, entry: Entry, outcome: Outcome) {
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
        entry.reply.send(outcome);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        for (kind, result, count) in self.0.drain(..) {
            metrics::counter!("relive_commands_total", "kind" => kind, "result" => result).increment(count);
        }
    }
}
