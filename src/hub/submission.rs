//! Commands for a session, and their answers.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::error::HubError;
use super::memory_estimate;
use super::size::QueueSize;
use crate::spans::SpanParent;
use relive_session::{Actor, Command, ProjectId, Refusal, Revision, Session, SessionId, SessionIdentity, limits};

/// Commands for one session: all are carried out, or none.
#[derive(Clone, Debug)]
pub struct Submission {
    pub session_id: SessionId,
    pub commands: Vec<Command>,
    /// A client sent them as an array: a refusal says which of them it is about.
    pub is_array: bool,
    /// Makes a repetition idempotent.
    pub command_id: Option<Arc<str>>,
    /// Refuse unless the session is at this revision.
    pub expected_revision: Option<Revision>,
    /// Refuse, as for a session that does not exist, unless it is this session and not another one that was
    /// stored under its id.
    pub expected_identity: Option<SessionIdentity>,
    /// The session of another project does not exist for the caller. `None`: of any.
    pub project_id: Option<ProjectId>,
    /// Who sends them, if known.
    pub by: Option<Arc<Actor>>,
    /// The sender drives the session, and renews its lease. Then there may be no command.
    pub lease_seconds: Option<u32>,
    /// The lease that was renewed; filled by the hub.
    pub renewal: Option<LeaseRenewal>,
    /// The span that it is carried out in, if its trace is recorded.
    pub span: Option<SpanParent>,
}

/// A renewed lease, before it is decided whether the history has to say so.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRenewal {
    pub seconds: u32,
    /// The lease had passed, or there was none.
    pub is_late: bool,
}

impl LeaseRenewal {
    pub(super) fn command(self) -> Command {
        Command::RenewLease { seconds: self.seconds, is_late: self.is_late }
    }
}

impl Submission {
    #[must_use]
    pub fn new(session_id: SessionId, commands: Vec<Command>) -> Self {
        Self {
            session_id,
            commands,
            is_array: false,
            command_id: None,
            expected_revision: None,
            expected_identity: None,
            project_id: None,
            by: None,
            lease_seconds: None,
            renewal: None,
            span: None,
        }
    }

    /// Whether it is this session that it is for.
    pub(super) fn means(&self, session: &Session) -> bool {
        self.project_id.as_ref().is_none_or(|id| *id == session.origin.project_id)
            && self.expected_identity.is_none_or(|expected| expected == session.identity())
    }

    /// Whether it renews a lease, and nothing else that anybody could ask about.
    pub(super) fn is_heartbeat(&self) -> bool {
        self.commands.is_empty() && self.command_id.is_none()
    }

    /// The refusal of the command at an index.
    pub(super) fn refusal_of(&self, index: Option<usize>, refusal: Refusal) -> Refusal {
        match index.filter(|_| self.is_array) {
            Some(index) => Refusal::OfArray { index, refusal: Box::new(refusal) },
            None => refusal,
        }
    }

    /// Its size while it waits.
    pub(super) fn size(&self) -> QueueSize {
        QueueSize { entries: 1, rows: self.changes(), bytes: self.weight() }
    }

    /// How many events it can lead to.
    fn changes(&self) -> usize {
        self.commands.iter().map(Command::changes).sum()
    }

    /// The memory that it takes until it is answered, estimated, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        memory_estimate::commands(&self.commands)
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.commands.is_empty() && self.renewal.is_none() {
            return Err(Refusal::Invalid { field: "commands", problem: "must not be empty" });
        }
        if self.changes() > limits::COMMANDS {
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
pub type CommandResult = Result<Receipt, HubError>;

/// Where a result is sent.
#[derive(Debug)]
pub enum ReplyTo {
    /// To one waiting caller.
    Once(oneshot::Sender<CommandResult>),
    /// To a connection with many commands in flight, which identifies them by `token`. The channel is
    /// unbounded, but its content is bounded by the commands that the connection admits.
    Queue { sender: mpsc::UnboundedSender<(u64, CommandResult)>, token: u64 },
}

impl ReplyTo {
    #[must_use]
    pub fn once() -> (Self, oneshot::Receiver<CommandResult>) {
        let (sender, receiver) = oneshot::channel();
        (Self::Once(sender), receiver)
    }

    /// A caller that is gone misses its answer; the commands are carried out all the same.
    pub(super) fn send(self, outcome: CommandResult) {
        match self {
            Self::Once(sender) => drop(sender.send(outcome)),
            Self::Queue { sender, token } => drop(sender.send((token, outcome))),
        }
    }
}
