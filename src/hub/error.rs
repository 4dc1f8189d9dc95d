//! Errors of the hub.

use crate::storage::{Constraint, StorageError};
use relive_session::Refusal;

/// Why a request was not carried out. Texts are fit for clients; database errors are logged, not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("there is no such session")]
    NotFound,
    #[error(transparent)]
    Constraint(#[from] Constraint),
    /// The built-in engine on this server cannot run the session's graph.
    #[error("{0}")]
    CannotRun(String),
    /// The node cannot use the signal that was sent to it.
    #[error("{0}")]
    BadSignal(String),
    /// The database is away, or the server is shutting down. A retry may succeed.
    #[error("the server is not available now; try again")]
    Unavailable,
    #[error("the server failed; its log says why")]
    Internal,
}

impl From<StorageError> for HubError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::SessionGone => Self::NotFound,
            StorageError::Constraint(constraint) => Self::Constraint(constraint),
            error @ StorageError::Unavailable(_) => {
                error.log("a request could not be carried out");
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
