//! What can go wrong between a program and its server.

use relive_protocol::ErrorCode;
use relive_session::SessionId;

/// Why a call failed. Cloneable, since one lost connection can be the answer to many calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("'{address}' is not a server's address: {problem}")]
    Address { address: String, problem: String },
    #[error("cannot reach {server}: {problem}; is `relive serve` running there?")]
    Unreachable { server: String, problem: String },
    /// The server understood and said no. Nothing has changed.
    #[error("{message} ({})", code.as_str())]
    Refused { code: ErrorCode, message: String },
    /// The server ended the connection in a way that says not to come back.
    #[error("the server closed the connection: {reason} ({code})")]
    Closed { code: u16, reason: String },
    #[error("the server answered with something that is not this protocol: {0}")]
    Protocol(String),
    #[error("this client watches session {0} already")]
    AlreadySubscribed(SessionId),
    #[error("too large to send: {bytes} bytes, at most {limit}")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the connection was given up")]
    Gone,
}

impl ClientError {
    /// The code the server gave, when it refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
