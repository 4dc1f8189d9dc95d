//! Errors of the client.

use relive_protocol::ErrorCode;
use relive_session::SessionId;

/// Why a call failed. Cloneable, since one lost connection can be the result of many calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("'{address}' is not a server's address: {problem}")]
    Address { address: String, problem: String },
    #[error("cannot reach {server}: {problem}; is `relive serve` running there?")]
    Unreachable { server: String, problem: String },
    /// The server refused the request. Nothing has changed.
    #[error("{message} ({})", code.as_str())]
    Refused { code: ErrorCode, message: String },
    /// The server closed the connection with a code that says not to reconnect.
    #[error("the server closed the connection: {reason} ({code})")]
    Closed { code: u16, reason: String },
    #[error("the server answered with something that is not this protocol: {0}")]
    Protocol(String),
    #[error("this client watches session {0} already")]
    AlreadySubscribed(SessionId),
    #[error("too large to send: {bytes} bytes, at most {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// The function that gives tokens failed.
    #[error("no token to be had: {0}")]
    NoToken(String),
    #[error("the connection was closed")]
    Gone,
}

impl ClientError {
    /// The server's error code, if it refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}
