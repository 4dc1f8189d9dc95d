//! Errors of endpoints and their answers. The texts are shown to viewers of the run, so they contain neither
//! the key nor the address.

use std::time::Duration;

use reqwest::StatusCode;

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("RELIVE_LLM_URL must be an http or https address ending in /v1")]
    Url,
    #[error("RELIVE_LLM_URL needs RELIVE_LLM_MODEL: which model is to be asked when a node names none?")]
    NoModel,
    #[error("RELIVE_LLM_API_KEY holds characters that no header can carry")]
    ApiKey,
    #[error("cannot make HTTP requests: {0}")]
    Client(reqwest::Error),
}

/// Why there is no complete answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    #[error("no model endpoint is configured; set RELIVE_LLM_URL and RELIVE_LLM_MODEL (and RELIVE_LLM_API_KEY)")]
    NoEndpoint,
    #[error("the model endpoint cannot be reached: {0}")]
    Unreachable(String),
    /// After the last attempt.
    #[error("the model endpoint answered with {status}{}", colon(.detail))]
    Failed { status: StatusCode, retry_after: Option<Duration>, detail: String },
    /// The request is at fault, not the endpoint.
    #[error("the model endpoint refused the request with {status}{}", colon(.detail))]
    Refused { status: StatusCode, detail: String },
    #[error("the model's answer stalled: no data for {} s", .0.as_secs_f64())]
    Stalled(Duration),
    #[error("the model's answer broke off before its end")]
    BrokeOff,
    #[error("the model's answer cannot be parsed: {0}")]
    Answer(String),
    /// An error with the status 200, or in the middle of a stream.
    #[error("the model endpoint answered with an error: {words}")]
    Said { words: String, by_endpoint: bool },
    /// With the text that arrived instead.
    #[error("the model endpoint sent no answer{}", colon(.0))]
    NoAnswer(String),
    #[error("the model's answer was withheld by a content filter")]
    Filtered,
    #[error("the model's answer is longer than {0} bytes")]
    TooLong(usize),
    /// The breaker is open.
    #[error("the model endpoint failed {failures} times in a row; the next request is sent in {} s", .wait.as_secs().max(1))]
    Resting { failures: u32, wait: Duration },
}

fn colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

impl ChatError {
    /// Whether a retry may help, if no answer has begun yet.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Failed { .. })
    }

    /// Whether it counts as a failure of the endpoint, rather than of the request. An endpoint that limits the
    /// rate of requests (429) works.
    #[must_use]
    pub fn is_the_endpoints(&self) -> bool {
        match self {
            Self::Failed { status, .. } => !matches!(*status, StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT),
            Self::Said { by_endpoint, .. } => *by_endpoint,
            Self::Unreachable(_) | Self::Stalled(_) | Self::BrokeOff | Self::Answer(_) | Self::NoAnswer(_) => true,
            Self::NoEndpoint | Self::Refused { .. } | Self::TooLong(_) | Self::Filtered | Self::Resting { .. } => false,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::NoEndpoint | Self::Resting { .. } => "not_asked",
            Self::Unreachable(_) => "unreachable",
            Self::Failed { .. } => "failed",
            Self::Refused { .. } => "refused",
            Self::Stalled(_) => "stalled",
            Self::BrokeOff => "broke_off",
            Self::Said { .. } => "error",
            Self::Answer(_) | Self::NoAnswer(_) | Self::TooLong(_) => "bad_answer",
            Self::Filtered => "filtered",
        }
    }
}
