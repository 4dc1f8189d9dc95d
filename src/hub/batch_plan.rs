//! The plan of a batch: for each session, its current state and the state after the batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::Decision;
use super::live_session::LiveSession;
use super::pending_command::PendingCommand;
use super::publication::RecordedFrame;
use crate::spans::SpanParent;
use crate::storage::{Batch, CommandRow, EventRow, ProjectionRow};
use relive_session::{Session, SessionId};

/// For each session of a batch, its current state and the state after the batch.
pub(super) struct BatchPlan<'a> {
    pub by_session: BTreeMap<SessionId, SessionAdvance<'a>>,
}

/// The change of one session by a batch.
pub(super) struct SessionAdvance<'a> {
    pub live: &'a Arc<LiveSession>,
    pub before: Arc<Session>,
    /// `None` when the batch holds no event for the session.
    pub after: Option<&'a Arc<Session>>,
    /// A command that changes nothing is to be answered as carried out. That holds only while the stored session is
    /// this one, at this revision.
    pub rests_on_before: bool,
    pub events: Vec<&'a [Arc<RecordedFrame>]>,
    /// Of the commands whose traces are recorded.
    pub spans: Vec<&'a SpanParent>,
}

impl SessionAdvance<'_> {
    /// The change of the session's row; without events it changes nothing, and is the fence alone.
    fn projection(&self) -> Option<ProjectionRow<'_>> {
        let unchanged = self.rests_on_before.then_some(&self.before);
        Some(ProjectionRow { before: &self.before, after: self.after.or(unchanged)? })
    }
}

impl<'a> BatchPlan<'a> {
    pub fn of(entries: &'a [PendingCommand]) -> Self {
        let mut by_session = BTreeMap::new();
        for entry in entries {
            let live = &entry.live;
            let advance = by_session.entry(live.id()).or_insert_with(|| SessionAdvance {
                live,
                before: Arc::clone(live.head().session()),
                after: None,
                rests_on_before: false,
                events: Vec::new(),
                spans: Vec::new(),
            });
            let Decision::Events { events, after, .. } = &entry.decision else { continue };
            if events.is_empty() {
                advance.rests_on_before |= !entry.submission.is_heartbeat();
            } else {
                advance.after = Some(after);
                advance.events.push(events);
                advance.spans.extend(&entry.submission.span);
            }
        }
        Self { by_session }
    }

    /// Whether each session's events follow its committed state without a gap. They always should; this
    /// check keeps a defect from writing a broken history.
    pub fn are_dense(&self) -> bool {
        self.by_session.values().all(|SessionAdvance { before, after, events, .. }| {
            let expected = before.revision + 1..=after.map_or(before.revision, |after| after.revision);
            events.iter().copied().flatten().map(|event| event.recorded().revision).eq(expected)
        })
    }

    /// The rows that the batch writes.
    pub fn batch<'b>(&'b self, id: i64, entries: &'b [PendingCommand]) -> Batch<'b> {
        let deadline = entries.iter().map(|entry| entry.slot.deadline()).min();
        let mut batch = Batch { id, deadline, ..Batch::default() };
        for entry in entries {
            let Decision::Events { events, after, .. } = &entry.decision else { continue };
            let origin = Some(&*after.origin);
            // What cannot be encoded is refused by the store, which tries as well.
            let rows =
                events.iter().map(|event| EventRow { recorded: event.recorded(), json: event.json().ok(), origin });
            batch.events.extend(rows);
            if let Some(command_id) = &entry.submission.command_id {
                let (session_id, revision) = (entry.live.id(), after.revision);
                batch.commands.push(CommandRow { session_id, command_id, revision });
            }
        }
        batch.projections.extend(self.by_session.values().filter_map(SessionAdvance::projection));
        // Always in the same order: otherwise two servers could deadlock on each other's rows.
        batch.events.sort_by_key(|row| row.recorded.session_id);
        batch.commands.sort_by_key(|row| row.session_id);
        batch.projections.sort_by_key(|row| row.after.id);
        batch
    }
}
