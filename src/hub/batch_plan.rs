//! The plan of a batch: for each session, its current state and the state after the batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::decision::Decision;
use super::live_session::LiveSession;
use super::pending_command::PendingCommand;
use super::publication::RecordedFrame;
use crate::spans::SpanParent;
use crate::storage::{Batch, CommandRow, EventRow, ProjectionRow};
use relive_session::{Session, SessionId};

/// The state of each session that a batch changes, after it.
pub(super) type StatesAfter = BTreeMap<SessionId, Arc<Session>>;

/// For each session of a batch, its current state and the state after the batch.
pub(super) struct BatchPlan<'a> {
    pub by_session: BTreeMap<SessionId, SessionAdvance<'a>>,
}

/// The change of one session by a batch.
pub(super) struct SessionAdvance<'a> {
    pub live: &'a Arc<LiveSession>,
    pub before: Arc<Session>,
    /// `None` when the batch holds no event for the session.
    pub after: Option<Arc<Session>>,
    /// The state after its last event, unless a later command is staged on it.
    staged: Option<&'a Weak<Session>>,
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
        Some(ProjectionRow { before: &self.before, after: self.after.as_ref().or(unchanged)? })
    }

    /// The state that the events lead to; `None` without events, or if one does not follow.
    fn state_after(&self) -> Option<Arc<Session>> {
        self.staged?.upgrade().or_else(|| {
            let mut after = Arc::clone(&self.before);
            let state = Arc::make_mut(&mut after);
            self.events.iter().copied().flatten().try_for_each(|event| state.apply(event.recorded())).ok()?;
            Some(after)
        })
    }
}

impl<'a> BatchPlan<'a> {
    pub fn of(entries: &'a [PendingCommand]) -> Self {
        Self::leading_to(&StatesAfter::new(), entries)
    }

    /// The plan of a batch whose states are known already.
    pub fn leading_to(states: &StatesAfter, entries: &'a [PendingCommand]) -> Self {
        let mut by_session: BTreeMap<SessionId, SessionAdvance<'a>> = BTreeMap::new();
        for entry in entries {
            let live = &entry.live;
            let advance = by_session.entry(live.id()).or_insert_with(|| SessionAdvance {
                live,
                before: Arc::clone(live.head().session()),
                after: None,
                staged: None,
                rests_on_before: false,
                events: Vec::new(),
                spans: Vec::new(),
            });
            let Decision::Events { events, after, .. } = &entry.decision else { continue };
            if events.is_empty() {
                advance.rests_on_before |= !entry.submission.is_heartbeat();
            } else {
                advance.staged = Some(after);
                advance.events.push(events);
                advance.spans.extend(&entry.submission.span);
            }
        }
        for (id, advance) in &mut by_session {
            advance.after = states.get(id).cloned().or_else(|| advance.state_after());
        }
        Self { by_session }
    }

    /// The states that the batch leads to.
    pub fn into_states(self) -> StatesAfter {
        self.by_session.into_iter().filter_map(|(id, advance)| Some((id, advance.after?))).collect()
    }

    /// Whether each session's events follow its committed state without a gap. They always should; this
    /// check keeps a defect from writing a broken history.
    pub fn are_dense(&self) -> bool {
        self.by_session.values().all(|SessionAdvance { before, after, events, .. }| {
            let expected = before.revision + 1..=after.as_ref().map_or(before.revision, |after| after.revision);
            events.iter().copied().flatten().map(|event| event.recorded().revision).eq(expected)
        })
    }

    /// The rows that the batch writes.
    pub fn batch<'b>(&'b self, id: i64, entries: &'b [PendingCommand]) -> Batch<'b> {
        let deadline = entries.iter().map(|entry| entry.slot.deadline()).min();
        let mut batch = Batch { id, deadline, ..Batch::default() };
        for entry in entries {
            let Decision::Events { events, last, .. } = &entry.decision else { continue };
            let origin = self.by_session.get(&entry.live.id()).map(|advance| &*advance.before.origin);
            // What cannot be encoded is refused by the store, which tries as well.
            let rows =
                events.iter().map(|event| EventRow { recorded: event.recorded(), json: event.json().ok(), origin });
            batch.events.extend(rows);
            if let Some(command_id) = &entry.submission.command_id {
                let (session_id, revision) = (entry.live.id(), *last);
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
