//! Errors of imports.

use crate::storage::{Constraint, StorageError};
use relive_protocol::shortened;
use relive_session::{ApplyError, Implausible, Refusal};

use super::LINE_BYTES;

/// Why a file is not imported. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is invalid, from line `line` on, counted from 1.
    #[error("line {line}: {fault}")]
    File { line: u64, fault: ImportFault },
    #[error("the file is larger than {0} bytes, the most that this server takes")]
    TooLarge(u64),
    #[error("no more of the file arrived in time")]
    Stalled,
    #[error("the body could not be read")]
    Interrupted,
    #[error("the received file cannot be stored: {0}")]
    Spool(#[from] std::io::Error),
    #[error("other sessions are being imported; try again")]
    Busy,
    /// Other ids are tried then.
    #[error("an id in the file cannot be used here")]
    ForeignId,
    /// The session to be restored is not in the archive any more.
    #[error("the session is not in the archive any more")]
    Gone,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl ImportError {
    /// Whether the file can be stored under other ids. That an id of another project is used says as little of it
    /// as if it were free.
    pub(super) fn wants_new_ids(&self) -> bool {
        let is_taken = |constraint| {
            matches!(constraint, Constraint::SessionExists | Constraint::SessionArchived | Constraint::SessionElsewhere)
        };
        match self {
            Self::ForeignId => true,
            Self::Storage(StorageError::Constraint(constraint)) => is_taken(*constraint),
            _ => false,
        }
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum ImportFault {
    #[error("the file is cut off")]
    CutOff,
    #[error("this is not the line that was exported: its check does not match")]
    Altered,
    #[error("longer than {LINE_BYTES} bytes")]
    TooLong,
    #[error("{}", shortened(.0.to_string()))]
    Json(serde_json::Error),
    #[error("this is not the export of a session: its first line is not a header with the format relive-session")]
    NoHeader,
    #[error("version {0} of the format is not known to this server")]
    Version(u32),
    #[error(
        "this line does not belong here; the order is header, events, ancestors, outputs, usage, messages, logs, memories, end"
    )]
    Misplaced,
    #[error(transparent)]
    Event(#[from] Implausible),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Contradiction(&'static str),
    #[error("{0}")]
    Taken(Constraint),
}

impl From<ApplyError> for ImportFault {
    fn from(error: ApplyError) -> Self {
        Self::Event(error.into())
    }
}

impl ImportFault {
    pub(super) fn at(self, line: u64) -> ImportError {
        ImportError::File { line, fault: self }
    }
}
