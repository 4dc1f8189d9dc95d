//! Deciding commands on the staged state, ahead of the commit.

use std::sync::Arc;

use super::live_session::Staged;
use super::publication::RecordedFrame;
use super::submission::{LeaseRenewal, Submission};
use relive_session::{self, Recorded, Refusal, Revision, Session, Timestamp};

/// The decision on a submission, and the generation of the staged state that it was made on. A decision
/// on an older generation is void: the submission has to be decided again.
#[derive(Debug)]
pub(super) enum Decision {
    /// These events (possibly none) are to be written; they lead to `after`.
    Events { generation: u64, events: Vec<Arc<RecordedFrame>>, after: Arc<Session> },
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
        let Self::Events { events, after, .. } = self else { return None };
        Some((events.first()?.recorded().revision, after.revision))
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
        let (events, after) = decide_all(&self.session, submission)?;
        if let Some(command_id) = &submission.command_id {
            self.recent.insert(Arc::clone(command_id), after.revision);
        }
        self.session = Arc::clone(&after);
        Ok(Decision::Events { generation, events, after })
    }
}

/// Each command is decided on the state that the ones before it lead to.
fn decide_all(
    session: &Arc<Session>,
    submission: &Submission,
) -> Result<(Vec<Arc<RecordedFrame>>, Arc<Session>), Refusal> {
    // Times never decrease within a session, whatever the clock does.
    let at = Timestamp::now().max(session.updated_at);
    let mut events = Vec::with_capacity(submission.commands.len());
    let mut after = Arc::clone(session);
    let renewal = submission.renewal.map(LeaseRenewal::command);
    let numbered = submission.commands.iter().enumerate().map(|(index, command)| (Some(index), command));
    for (index, command) in renewal.iter().map(|command| (None, command)).chain(numbered) {
        let decided = relive_session::decide_at(&after, command, at);
        for event in decided.map_err(|refusal| submission.refusal_of(index, refusal))? {
            let recorded =
                Recorded { session_id: after.id, revision: after.revision + 1, at, by: submission.by.clone(), event };
            // `decide` and `apply` agree, which a property test checks. If they did not, the command is
            // refused rather than a broken history written.
            Arc::make_mut(&mut after).apply(&recorded).map_err(|error| {
                tracing::error!(%error, session_id = %recorded.session_id, "a decided event does not apply");
                Refusal::Invalid { field: "command", problem: "could not be applied" }
            })?;
            events.push(Arc::new(RecordedFrame::new(recorded)));
        }
    }
    Ok((events, after))
}
