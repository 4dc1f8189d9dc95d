//! Error frames, error codes and close codes for refused requests.

use bytes::Bytes;

use super::frames::{error_code, error_frame};
use crate::hub::HubError;
use crate::scoped::Refused;
use relive_protocol::{CloseCode, ErrorCode, Given};

/// The error frame.
pub(super) fn frame(id: Option<String>, session_id: impl Into<Given>, refused: &Refused) -> Bytes {
    error_frame(id, Some(session_id.into()), refused_code(refused), &refused.to_string())
}

/// The protocol's code for a refusal.
#[must_use]
pub fn refused_code(refused: &Refused) -> ErrorCode {
    match refused {
        Refused::Denied(_) => ErrorCode::Forbidden,
        Refused::Limited(_) => ErrorCode::RateLimited,
        Refused::Hub(error) => error_code(error),
    }
}

/// The protocol's error for a socket that is closed with this code before anything was shown on it.
pub(super) fn error_code_of(close: CloseCode) -> ErrorCode {
    match close {
        CloseCode::NoSuchSession => ErrorCode::NotFound,
        CloseCode::Forbidden => ErrorCode::Forbidden,
        CloseCode::BadToken | CloseCode::TokenExpired => ErrorCode::Unauthorized,
        CloseCode::RateLimited => ErrorCode::RateLimited,
        CloseCode::Restarting => ErrorCode::Unavailable,
        _ => ErrorCode::BadRequest,
    }
}

/// The close code for a socket whose only session, list or replay is refused.
pub(super) fn close_code(refused: &Refused) -> CloseCode {
    match refused {
        Refused::Denied(_) => CloseCode::Forbidden,
        Refused::Limited(_) => CloseCode::RateLimited,
        Refused::Hub(HubError::NotFound) => CloseCode::NoSuchSession,
        Refused::Hub(_) => CloseCode::Restarting,
    }
}
