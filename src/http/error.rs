//! Errors as RFC 9457 problem documents.

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::engine::PlanError;
use crate::hub::HubError;
use crate::scoped::Refused;
use crate::storage::StorageError;
use crate::ws::{StreamError, UpgradeError, error_code, refused_code};
use relive_protocol::{ErrorCode, Problem, shortened};
use relive_session::GraphError;

/// An error response.
#[derive(Clone, Debug)]
pub struct ApiError {
    code: ErrorCode,
    detail: String,
    /// If the code's default status does not fit.
    status: Option<StatusCode>,
    line: Option<u64>,
    archive: Option<String>,
    /// Seconds, if the code's default does not fit.
    retry_after: Option<u64>,
}

impl ApiError {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: shortened(detail.into()), status: None, line: None, archive: None, retry_after: None }
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, detail)
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// Whether the request was understood and refused, so that it has no effect.
    pub fn is_refusal(&self) -> bool {
        self.code.http_status() < 500 && !self.code.is_retryable()
    }

    pub fn code(&self) -> ErrorCode {
        self.code
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Adds the line of a file that is at fault.
    pub fn at_line(self, line: u64) -> Self {
        Self { line: Some(line), ..self }
    }

    /// Adds where the session is that was asked for.
    pub fn in_archive(self, address: String) -> Self {
        Self { archive: Some(address), ..self }
    }

    /// With the seconds after which it may be tried again.
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self
            .status
            .or_else(|| StatusCode::from_u16(self.code.http_status()).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let problem = Problem {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            code: self.code,
            retryable: self.code.is_retryable(),
            line: self.line,
            archive: self.archive,
        };
        let mut response = (status, axum::Json(problem)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UPGRADE_REQUIRED {
            // The protocol to upgrade to (RFC 9110, section 15.5.22; RFC 6455, section 4.4).
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.code.is_retryable() {
            headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after.unwrap_or(1)));
        }
        if self.code == ErrorCode::Unauthorized {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<HubError> for ApiError {
    fn from(error: HubError) -> Self {
        Self::new(error_code(&error), error.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(error: Refused) -> Self {
        if let Refused::Limited(limited) = error {
            return limited.into();
        }
        Self::new(refused_code(&error), error.to_string())
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        HubError::from(error).into()
    }
}

impl From<GraphError> for ApiError {
    fn from(error: GraphError) -> Self {
        Self::new(ErrorCode::InvalidGraph, error.to_string())
    }
}

impl From<PlanError> for ApiError {
    fn from(error: PlanError) -> Self {
        Self::new(ErrorCode::InvalidGraph, error.to_string())
    }
}

impl From<UpgradeError> for ApiError {
    fn from(error: UpgradeError) -> Self {
        match error {
            UpgradeError::NotWebSocket(_) => {
                Self::bad_request(error.to_string()).with_status(StatusCode::UPGRADE_REQUIRED)
            }
            UpgradeError::Key => Self::bad_request(error.to_string()),
            UpgradeError::Full => Self::new(ErrorCode::Unavailable, error.to_string()),
        }
    }
}

impl From<StreamError> for ApiError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Full => Self::new(ErrorCode::Unavailable, error.to_string()),
            StreamError::Limited(limited) => limited.into(),
            StreamError::Refused(refused) => refused.into(),
        }
    }
}
