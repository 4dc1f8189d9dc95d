//! Errors of the client.

use std::error::Error;
use std::io;

use relive_protocol::ErrorCode;
use relive_session::SessionId;

/// Why a call failed. Cloneable, since one lost connection can be the result of many calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    #[error("'{address}' is not a server's address: {problem}")]
    Address { address: String, problem: String },
    #[error("cannot reach {server}: {problem}")]
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

/// What is wrong with a connection: the innermost cause, since the outer errors only say that sending failed. If
/// nobody listens at the address, it says what may be missing there; a certificate that is not trusted, a name that
/// is unknown or a network that is away is something else.
pub(crate) fn problem(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    let mut is_nobody_there = is_refused_connection(error);
    while let Some(source) = innermost.source() {
        innermost = source;
        is_nobody_there |= is_refused_connection(source);
    }
    if is_nobody_there { format!("{innermost}; is `relive serve` running there?") } else { innermost.to_string() }
}

fn is_refused_connection(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("sending failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn only_where_nobody_listens_is_a_server_asked_for() {
        let refused = Outer(io::Error::from(io::ErrorKind::ConnectionRefused));
        assert_eq!(problem(&refused), "connection refused; is `relive serve` running there?");
        let untrusted = Outer(io::Error::new(io::ErrorKind::InvalidData, "invalid peer certificate: UnknownIssuer"));
        assert_eq!(problem(&untrusted), "invalid peer certificate: UnknownIssuer");
    }
}
