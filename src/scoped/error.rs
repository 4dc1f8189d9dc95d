//! Why a caller does not get what it asked for.

use crate::access::Denied;
use crate::access::limits::Limited;
use crate::hub::HubError;
use crate::storage::StorageError;

/// Why a caller does not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The caller may not do this.
    #[error("{0}")]
    Denied(#[from] Denied),
    /// The caller does it too often.
    #[error("{0}")]
    Limited(#[from] Limited),
    #[error("{0}")]
    Hub(#[from] HubError),
}

impl From<StorageError> for Refused {
    fn from(error: StorageError) -> Self {
        Self::Hub(error.into())
    }
}
