//! Error codes: one list for HTTP, WebSocket and in-process callers.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use relive_session::Refusal;

/// The error, for programs. Stable: codes are added, never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
#[ts(export_to = "protocol.ts")]
pub enum ErrorCode {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    /// Something with this id exists already, or is still in use.
    Conflict,
    IllegalTransition,
    NodesActive,
    NotWaiting,
    SignalPending,
    RevisionConflict,
    TooLarge,
    UnknownNode,
    InvalidGraph,
    /// This `Idempotency-Key` was used for another request.
    IdempotencyKeyReused,
    /// An embedding does not have the number of dimensions that this server is set to.
    DimensionMismatch,
    RateLimited,
    Internal,
    Unavailable,
}

impl ErrorCode {
    /// The status of the HTTP answer that carries this code.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::IllegalTransition | Self::NodesActive | Self::NotWaiting | Self::SignalPending => {
                409
            }
            Self::RevisionConflict => 412,
            Self::TooLarge => 413,
            Self::UnknownNode | Self::InvalidGraph | Self::IdempotencyKeyReused | Self::DimensionMismatch => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// Whether the same request may succeed later, unchanged.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable)
    }

    /// The code as it is on the wire; also a metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::IllegalTransition => "illegal_transition",
            Self::NodesActive => "nodes_active",
            Self::NotWaiting => "not_waiting",
            Self::SignalPending => "signal_pending",
            Self::RevisionConflict => "revision_conflict",
            Self::TooLarge => "too_large",
            Self::UnknownNode => "unknown_node",
            Self::InvalidGraph => "invalid_graph",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::DimensionMismatch => "dimension_mismatch",
            Self::RateLimited => "rate_limited",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
        }
    }
}

impl From<&Refusal> for ErrorCode {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::SessionTransition { .. } | Refusal::NodeTransition { .. } => Self::IllegalTransition,
            Refusal::NodesActive { .. } => Self::NodesActive,
            Refusal::UnknownNode { .. } => Self::UnknownNode,
            Refusal::Graph(_) => Self::InvalidGraph,
            Refusal::NotWaiting { .. } => Self::NotWaiting,
            Refusal::SignalPending { .. } => Self::SignalPending,
            Refusal::RevisionConflict { .. } => Self::RevisionConflict,
            Refusal::Invalid { .. } => Self::BadRequest,
            Refusal::Dimension { .. } => Self::DimensionMismatch,
            Refusal::TooLarge { .. } => Self::TooLarge,
            Refusal::OfArray { refusal, .. } => Self::from(&**refusal),
        }
    }
}

/// An error's text of up to this many bytes is never shortened.
const WORDS: usize = 1_000;
/// Characters that are kept of a longer text, at its beginning and at its end, which has the position.
const KEPT: (usize, usize) = (400, 100);

/// An error's text, without its middle if it repeats too much of the client's input.
#[must_use]
pub fn shortened(words: String) -> String {
    if words.len() <= WORDS || words.chars().count() <= KEPT.0 + KEPT.1 {
        return words;
    }
    let end = words.char_indices().rev().nth(KEPT.1 - 1).map_or(0, |(at, _)| at);
    let beginning: String = words.chars().take(KEPT.0).collect();
    format!("{beginning} … {}", &words[end..])
}

/// An error answer over HTTP: RFC 9457 `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[ts(export_to = "protocol.ts")]
pub struct Problem {
    /// Always `about:blank`: `code` identifies the type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status as text.
    pub title: String,
    pub status: u16,
    /// What is wrong with this request, for people.
    pub detail: String,
    pub code: ErrorCode,
    pub retryable: bool,
    /// The line at fault, counted from 1; only for an imported file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub line: Option<u64>,
    /// The address of the archived session, if the one that was asked for is in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub archive: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_repeats_too_much_keeps_its_beginning_and_its_place() {
        assert_eq!(shortened("x".repeat(WORDS)), "x".repeat(WORDS));
        assert_eq!(shortened("😀".repeat(500)), "😀".repeat(500));
        let long = format!("invalid type: string \"{}\", expected a number at line 1 column 9", "ü".repeat(100_000));
        let short = shortened(long);
        assert!(
            short.starts_with("invalid type: string \"ü")
                && short.ends_with("ü\", expected a number at line 1 column 9")
        );
        assert_eq!(short.chars().count(), KEPT.0 + KEPT.1 + 3);
    }
}
