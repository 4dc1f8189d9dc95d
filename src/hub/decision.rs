//! Deciding commands on the staged state, ahead of the commit.

use std::sync::{Arc, Weak};

use super::live_session::Staged;
use super::publication::RecordedFrame;
use super::submission::{LeaseRenewal, Submission};
use relive_session::{self, Command, Recorded, Refusal, Revision, Session, Timestamp};

/// The decision on a submission, and the generation of the staged state that it was made on. A decision
/// on an older generation is void: the submission has to be decided again.
#[derive(Debug)]
pub(super) enum Decision {
    /// These events (possibly none) are to be written; they lead to revision `last`.
    ///
    /// `after` is the state there until the next command is staged, which changes it in place: a state for every
    /// command in the queue would be a copy for each.
    Events { generation: u64, events: Vec<Arc<RecordedFrame>>, last: Revision, after: Weak<Session> },
    /// The same command id was used before and was, or will be, answered with this revision.
    Duplicate { generation: u64, revision: Revision },
    /// An earlier attempt to write it, whose answer was lost, has taken effect and led to this revision.
    Written { revision: Revision },
    /// Nothing will be written. The refusal was decided on a state ahead of the committed one, so it is
    /// provisional until the lane has committed that state.
    Refused { generation: u64, refusal: Refusal },
    /// To be decided by the lane, after everything queued before it.
    Undecided,
}

impl Decision {
    pub fn holds_for(&self, current: u64) -> bool {
        match self {
            Self::Events { generation, .. } | Self::Duplicate { generation, .. } | Self::Refused { generation, .. } => {
                *generation == current
            }
            Self::Written { .. } => true,
            Self::Undecided => false,
        }
    }

    /// Whether it says that the submission was carried out already.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Written { .. } | Self::Duplicate { .. })
    }

    /// The revision of the first event, and the one that the last leads to; `None` without events.
    pub fn revisions(&self) -> Option<(Revision, Revision)> {
        let Self::Events { events, last, .. } = self else { return None };
        Some((events.first()?.recorded().revision, *last))
    }
}

impl Staged {
    /// Decides a submission on the staged state and, if it is accepted, advances that state.
    pub fn decide(&mut self, submission: &Submission) -> Decision {
        let _deciding = submission.span.as_ref().map(|span| span.child("decide"));
        let generation = self.generation;
        self.try_decide(submission).unwrap_or_else(|refusal| Decision::Refused { generation, refusal })
    }

    fn try_decide(&mut self, submission: &Submission) -> Result<Decision, Refusal> {
        let generation = self.generation;
        if let Some(command_id) = &submission.command_id
            && let Some(revision) = self.recent.get(command_id)
        {
            return Ok(Decision::Duplicate { generation, revision });
        }
        let actual = self.session.revision;
        if let Some(expected) = submission.expected_revision
            && expected != actual
        {
            return Err(Refusal::RevisionConflict { expected, actual });
        }
        let events = self.advance(submission)?;
        let last = self.session.revision;
        if let Some(command_id) = &submission.command_id {
            self.recent.insert(Arc::clone(command_id), last);
        }
        Ok(Decision::Events { generation, events, last, after: Arc::downgrade(&self.session) })
    }

    /// Decides the commands, each on the state that the ones before it lead to. If one is refused, the staged state
    /// stays as it was.
    fn advance(&mut self, submission: &Submission) -> Result<Vec<Arc<RecordedFrame>>, Refusal> {
        let renewal = submission.renewal.map(LeaseRenewal::command);
        let numbered = submission.commands.iter().enumerate().map(|(index, command)| (Some(index), command));
        let commands = renewal.iter().map(|command| (None, command)).chain(numbered);
        // A single command changes nothing if it is refused, so that the state need not be copied for it.
        let is_single = renewal.is_none() && submission.commands.len() == 1;
        let before = (!is_single).then(|| Arc::clone(&self.session));
        // Times never decrease within a session, whatever the clock does.
        let at = Timestamp::now().max(self.session.updated_at);
        let mut events = Vec::with_capacity(submission.commands.len());
        for (index, command) in commands {
            if let Err(refusal) = self.advance_by(command, at, submission, &mut events) {
                if let Some(before) = before {
                    self.session = before;
                }
                return Err(submission.refusal_of(index, refusal));
            }
        }
        Ok(events)
    }

    fn advance_by(
        &mut self,
        command: &Command,
        at: Timestamp,
        submission: &Submission,
        events: &mut Vec<Arc<RecordedFrame>>,
    ) -> Result<(), Refusal> {
        for event in relive_session::decide_at(&self.session, command, at)? {
            let (session_id, revision) = (self.session.id, self.session.revision + 1);
            let recorded = Recorded { session_id, revision, at, by: submission.by.clone(), event };
            // `decide` and `apply` agree, which a property test checks. If they did not, the command is
            // refused rather than a broken history written.
            Arc::make_mut(&mut self.session).apply(&recorded).map_err(|error| {
                tracing::error!(%error, session_id = %recorded.session_id, "a decided event does not apply");
                Refusal::Invalid { field: "command", problem: "could not be applied" }
            })?;
            events.push(Arc::new(RecordedFrame::new(recorded)));
        }
        Ok(())
    }
}
