//! From a command to its session's lane.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::backlog::{Load, Place};
use super::decision::Decision;
use super::error::HubError;
use super::lane::LaneHandle;
use super::live_session::LiveSession;
use super::pending_command::PendingCommand;
use super::registry::Registry;
use super::slot::Slot;
use super::store::Store;
use super::weight;
use relive_session::{Command, Refusal, Revision, SessionId, limits};

/// Commands for one session: all are carried out, or none.
#[derive(Clone, Debug)]
pub struct Submission {
    pub session_id: SessionId,
    pub commands: Vec<Command>,
    /// Makes a repetition idempotent.
    pub command_id: Option<Arc<str>>,
    /// Refuse unless the session is at this revision.
    pub expected_revision: Option<Revision>,
}

impl Submission {
    #[must_use]
    pub fn new(session_id: SessionId, commands: Vec<Command>) -> Self {
        Self { session_id, commands, command_id: None, expected_revision: None }
    }

    /// Its size while it waits.
    fn load(&self) -> Load {
        Load { entries: 1, rows: self.commands.len(), bytes: self.weight() }
    }

    /// The memory that it takes until it is answered, estimated, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        weight::commands(&self.commands)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.commands.is_empty() {
            return Err(Refusal::Invalid { field: "commands", problem: "must not be empty" });
        }
        if self.commands.len() > limits::COMMANDS {
            return Err(Refusal::TooLarge { what: "the number of commands", limit: limits::COMMANDS });
        }
        match self.command_id.as_deref() {
            Some(id) if id.len() > limits::COMMAND_ID_BYTES => {
                Err(Refusal::TooLarge { what: "commandId", limit: limits::COMMAND_ID_BYTES })
            }
            Some(id) if id.is_empty() || id.contains('\0') => {
                Err(Refusal::Invalid { field: "commandId", problem: "must be a text without the character NUL" })
            }
            _ => Ok(()),
        }
    }
}

/// The answer to commands that were carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The revision the session reached by them.
    pub revision: Revision,
    /// The command id had been carried out before.
    pub duplicate: bool,
}

/// The result of commands.
pub type Outcome = Result<Receipt, HubError>;

/// Where a result is sent.
#[derive(Debug)]
pub enum Reply {
    /// To one waiting caller.
    Once(oneshot::Sender<Outcome>),
    /// To a connection with many commands in flight, which identifies them by `token`. The channel is
    /// unbounded, but its content is bounded by the commands that the connection admits.
    Queue { sender: mpsc::UnboundedSender<(u64, Outcome)>, token: u64 },
}

impl Reply {
    #[must_use]
    pub fn once() -> (Self, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        (Self::Once(sender), receiver)
    }

    /// A caller that is gone misses its answer; the commands are carried out all the same.
    pub(super) fn send(self, outcome: Outcome) {
        match self {
            Self::Once(sender) => drop(sender.send(outcome)),
            Self::Queue { sender, token } => drop(sender.send((token, outcome))),
        }
    }
}

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
    /// The session was released from memory in between; look it up again.
    Retired(Submission, Reply),
}

/// Decides and queues in one critical section: commands are written in the order they were decided in.
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

/// A refused command may have been carried out before this process was started, or longer ago than it
/// remembers: then the answer is the first one, and not the refusal.
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

/// A session is always in the same lane.
pub(super) fn lane_of(id: SessionId, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    usize::try_from(hasher.finish() % lanes as u64).unwrap_or_default()
}
