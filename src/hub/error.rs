//! Why the hub did not do what it was asked.

use crate::storage::{Constraint, StorageError};
use relive_session::Refusal;

/// An answer to a caller. Texts are fit for clients; database errors are logged, not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("there is no such session")]
    NotFound,
    #[error(transparent)]
    Constraint(#[from] Constraint),
    /// The built-in engine cannot run the session's graph here.
    #[error("{0}")]
    CannotRun(String),
    /// The node it was sent to could do nothing with it.
    #[error("{0}")]
    BadSignal(String),
    /// The database is away, or the server is shutting down. Trying again may help.
    #[error("the server cannot take this now; try again")]
    Unavailable,
    #[error("the server failed; its log says why")]
    Internal,
}

impl From<StorageError> for HubError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::SessionGone => Self::NotFound,
            StorageError::Constraint(constraint) => Self::Constraint(constraint),
            StorageError::Unavailable(source) => {
                tracing::warn!(error = %source, "database unavailable");
                Self::Unavailable
            }
            StorageError::Fenced | StorageError::TimedOut | StorageError::Cancelled | StorageError::TooLate => {
                Self::Unavailable
            }
            other => {
                tracing::error!(error = %other, "database operation failed");
                Self::Internal
            }
        }
    }
}
