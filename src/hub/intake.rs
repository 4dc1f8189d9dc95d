//! From a command to its session's lane.

use std::sync::Arc;

use super::backlog::Reservation;
use super::decision::Decision;
use super::error::HubError;
use super::lane::LaneHandle;
use super::live_session::LiveSession;
use super::partition::lane_of;
use super::pending_command::PendingCommand;
use super::pending_reply::PendingReply;
use super::registry::Registry;
use super::remote_sync::RemoteSync;
use super::store::Store;
use super::submission::{Receipt, ReplyTo, Submission};
use relive_session::{Refusal, Revision};

/// How often a session that other servers keep changing is read anew for one refusal, before the command is answered
/// with `unavailable`.
const READS_OF_A_REFUSAL: u32 = 10;

/// The session that a submission is for, loaded if needed. One of another project is not found before anything is
/// looked at in it, and is not loaded either. It costs the same query as one that does not exist, whether it is in
/// memory or not: the time must not tell the two apart.
pub(super) async fn find(
    registry: &Registry,
    store: &dyn Store,
    submission: &Submission,
) -> Result<Arc<LiveSession>, HubError> {
    let (id, project_id) = (submission.session_id, submission.project_id.as_ref());
    let is_own = |live: &LiveSession| project_id.is_none_or(|id| *id == live.head().session().origin.project_id);
    let held = registry.peek(id).filter(|live| is_own(live));
    let live = match (held, project_id) {
        (Some(live), _) => live,
        (None, Some(project_id)) => {
            if !store.has_session(project_id, id).await? {
                return Err(HubError::NotFound);
            }
            registry.get(id).await?
        }
        (None, None) => registry.get(id).await?,
    };
    if !submission.means(live.head().session()) {
        return Err(HubError::NotFound);
    }
    Ok(live)
}

/// Stages a submission for the session that was found for it.
pub(super) async fn submit(
    registry: &Registry,
    lanes: &[LaneHandle],
    store: &dyn Store,
    remote_sync: &RemoteSync,
    mut live: Arc<LiveSession>,
    mut submission: Submission,
    mut reply: ReplyTo,
) -> Result<(), HubError> {
    submission.check()?;
    let lane = &lanes[lane_of(submission.session_id, lanes.len())];
    // The revision that the database has had since the submission arrived.
    let mut stored = None;
    let mut reads = 0;
    loop {
        // Before the session's lock, so that the lock is never held across an await.
        let reservation = lane.reserve(submission.session_id, submission.size()).await?;
        match stage(&live, submission, reply, reservation) {
            StageResult::Staged => return Ok(()),
            StageResult::Refused(refusal, revision, returned, unused) => {
                if is_final(&refusal) || stored.is_some_and(|stored| revision >= stored) {
                    return refuse(store, returned, refusal, unused).await;
                }
                // Another server may have committed what allows it, and its notice may not have arrived.
                (submission, reply) = (returned, unused);
                reads += 1;
                if reads > READS_OF_A_REFUSAL {
                    return Err(HubError::Unavailable);
                }
                stored = Some(remote_sync.sync_with_store(&live).await?);
            }
            StageResult::Retired(returned, unused) => {
                (submission, reply) = (returned, unused);
                stored = None;
                registry.forget(&live);
                live = find(registry, store, &submission).await?;
            }
        }
    }
}

enum StageResult {
    Staged,
    /// Refused in the committed state, which has this revision.
    Refused(Refusal, Revision, Submission, ReplyTo),
    /// The session was released from memory in between; look it up again.
    Retired(Submission, ReplyTo),
}

/// Decides and queues in one critical section: commands are written in the order they were decided in.
fn stage(live: &Arc<LiveSession>, submission: Submission, reply: ReplyTo, reservation: Reservation<'_>) -> StageResult {
    let mut staged = live.staged.lock();
    if staged.retired {
        return StageResult::Retired(submission, reply);
    }
    staged.touch();
    let decision = if staged.lane_decides { Decision::Undecided } else { staged.decide(&submission) };
    match decision {
        Decision::Refused { refusal, .. } if staged.session.revision == live.head().session().revision => {
            StageResult::Refused(refusal, staged.session.revision, submission, reply)
        }
        decision => {
            staged.queued += 1;
            let slot = Arc::new(PendingReply::new(reply, reservation.answer_within()));
            let size = reservation.size();
            let waiting = submission.span.as_ref().map(|span| span.child("queue"));
            reservation.send(PendingCommand {
                live: Arc::clone(live),
                submission,
                decision,
                slot,
                size,
                attempts: Vec::new(),
                waiting,
            });
            StageResult::Staged
        }
    }
}

/// Whether a refusal is right whatever other servers have committed: revisions only grow.
fn is_final(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::RevisionConflict { expected, actual } if expected < actual)
}

/// A refused command may have been carried out before this process was started, or longer ago than
/// it remembers: then the answer is the first one, and not the refusal.
async fn refuse(store: &dyn Store, submission: Submission, refusal: Refusal, reply: ReplyTo) -> Result<(), HubError> {
    let Some(command_id) = submission.command_id.as_deref() else { return Err(refusal.into()) };
    match store.command_revision(submission.session_id, command_id).await? {
        Some(revision) => {
            reply.send(Ok(Receipt { revision, duplicate: true }));
            Ok(())
        }
        None => Err(refusal.into()),
    }
}
