//! The way of a command into its session's lane.

use std::sync::Arc;

use super::backlog::Place;
use super::decision::Decision;
use super::error::HubError;
use super::lane::LaneHandle;
use super::live_session::LiveSession;
use super::partition::lane_of;
use super::pending_command::PendingCommand;
use super::registry::Registry;
use super::slot::Slot;
use super::store::Store;
use super::submission::{Receipt, Reply, Submission};
use relive_session::Refusal;

pub(super) async fn submit(
    registry: &Registry,
    lanes: &[LaneHandle],
    store: &dyn Store,
    mut submission: Submission,
    mut reply: Reply,
) -> Result<(), HubError> {
    submission.check()?;
    let lane = &lanes[lane_of(submission.session_id, lanes.len())];
    loop {
        let live = match registry.peek(submission.session_id) {
            Some(live) => live,
            None => registry.get(submission.session_id).await?,
        };
        // Before the session's lock, so that the lock is never held across an await.
        let place = lane.reserve(submission.session_id, submission.load()).await?;
        match stage(&live, submission, reply, place) {
            Staging::Staged => return Ok(()),
            Staging::Refused(refusal, submission, reply) => return refuse(store, submission, refusal, reply).await,
            Staging::Retired(returned, unused) => {
                (submission, reply) = (returned, unused);
                registry.forget(&live);
            }
        }
    }
}

enum Staging {
    Staged,
    Refused(Refusal, Submission, Reply),
    /// The session left memory in between; look it up again.
    Retired(Submission, Reply),
}

/// Decides and queues in one critical section: the order of deciding is the order of writing.
fn stage(live: &Arc<LiveSession>, submission: Submission, reply: Reply, place: Place<'_>) -> Staging {
    let mut staged = live.staged.lock();
    if staged.retired {
        return Staging::Retired(submission, reply);
    }
    staged.touch();
    let decision = if staged.lane_decides { Decision::Undecided } else { staged.decide(&submission) };
    match decision {
        Decision::Refused { refusal, .. } if staged.session.revision == live.head().session().revision => {
            Staging::Refused(refusal, submission, reply)
        }
        decision => {
            staged.queued += 1;
            let slot = Arc::new(Slot::new(reply, place.answer_within()));
            let load = place.load();
            place.send(PendingCommand {
                live: Arc::clone(live),
                submission,
                decision,
                slot,
                load,
                attempts: Vec::new(),
            });
            Staging::Staged
        }
    }
}

/// A refused command may have been carried out before this process was started, or longer ago than
/// it remembers: then the answer is the first one, and not the refusal.
async fn refuse(store: &dyn Store, submission: Submission, refusal: Refusal, reply: Reply) -> Result<(), HubError> {
    let Some(command_id) = submission.command_id.as_deref() else { return Err(refusal.into()) };
    match store.command_revision(submission.session_id, command_id).await? {
        Some(revision) => {
            reply.send(Ok(Receipt { revision, duplicate: true }));
            Ok(())
        }
        None => Err(refusal.into()),
    }
}
