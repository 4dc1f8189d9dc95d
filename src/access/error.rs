//! Why a credential is not accepted.

use std::time::Duration;

use crate::storage::StorageError;

/// Why a request has no caller. The texts say nothing about what exists.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// No credential, although one is required.
    #[error("this needs a key or an access token, as `Authorization: Bearer …`")]
    Missing,
    /// Unknown, malformed, forged or revoked.
    #[error("the key or token is not valid")]
    Invalid,
    #[error("the key or token has expired")]
    Expired,
    /// Several credentials of one kind, of different callers: which of them made the request cannot be told.
    #[error("the request has cookies of several sign-ins; remove the cookies of this site, and sign in again")]
    Ambiguous,
    /// The identity provider knows the user, but gives them no role here.
    #[error("the account has no role here: the claim {0} of its token names none")]
    NoRole(String),
    /// Too many failures from one address.
    #[error("too many failed attempts from this address")]
    Limited { retry_after: Duration },
    /// It cannot be told now. Trying again may help.
    #[error("{0}")]
    Unavailable(&'static str),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl AuthError {
    /// Whether it counts as a failed sign-in.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Invalid | Self::Expired | Self::NoRole(_))
    }
}

/// Why a token or a sign-in is not given.
#[derive(Debug, thiserror::Error)]
pub enum GiveError {
    #[error(transparent)]
    Denied(#[from] super::Denied),
    /// Nobody could use it.
    #[error("scopes: the token would be longer than 16 KiB; say fewer scopes or shorter tags")]
    TooLong,
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl From<StorageError> for GiveError {
    fn from(error: StorageError) -> Self {
        Self::Auth(error.into())
    }
}
