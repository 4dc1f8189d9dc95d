//! The calls over HTTP.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;

use super::error::problem;
use super::{Client, ClientError};
use relive_backoff::Backoff;
use relive_protocol::{CreateSession, ErrorCode, LeaseReceipt, LogPage, MessagePage, Problem, RenewLease};
use relive_session::{GraphDefinition, Log, Message, SessionId, WorkflowSession};

/// Attempts of a call.
const TRIES: u32 = 6;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Proxies are ignored, as for the WebSocket.
pub(super) fn client() -> Result<reqwest::Client, ClientError> {
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build();
    client.map_err(|error| ClientError::Protocol(error.to_string()))
}

impl Client {
    /// Creates a session. Calls with the same key create one session between them.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`], such as for an invalid graph; `Unreachable` if the server cannot be reached
    /// after a few attempts.
    pub async fn create_session(
        &self,
        request: &CreateSession,
        idempotency_key: &str,
    ) -> Result<WorkflowSession, ClientError> {
        let url = self.address.http("/api/v1/sessions");
        self.call(|| self.http.post(&url).header("Idempotency-Key", idempotency_key).json(request)).await
    }

    /// A session as it is now.
    ///
    /// # Errors
    ///
    /// As [`Client::create_session`].
    pub async fn session(&self, session_id: SessionId) -> Result<WorkflowSession, ClientError> {
        let url = self.address.http(&format!("/api/v1/sessions/{session_id}"));
        self.call(|| self.http.get(&url)).await
    }

    /// The graph a session runs.
    ///
    /// # Errors
    ///
    /// As [`Client::create_session`]; `not_found` for a session without a graph.
    pub async fn graph(&self, session_id: SessionId) -> Result<GraphDefinition, ClientError> {
        let url = self.address.http(&format!("/api/v1/sessions/{session_id}/graph"));
        self.call(|| self.http.get(&url)).await
    }

    /// The newest messages of a session, 1 to 1,000, in the order of recording.
    ///
    /// # Errors
    ///
    /// As [`Client::create_session`].
    pub async fn newest_messages(&self, session_id: SessionId, limit: u32) -> Result<Vec<Message>, ClientError> {
        let url = self.address.http(&format!("/api/v1/sessions/{session_id}/messages?order=desc&limit={limit}"));
        let page: MessagePage = self.call(|| self.http.get(&url)).await?;
        Ok(page.messages.into_iter().rev().collect())
    }

    /// The newest log lines of a session, 1 to 1,000, in the order of recording.
    ///
    /// # Errors
    ///
    /// As [`Client::create_session`].
    pub async fn newest_logs(&self, session_id: SessionId, limit: u32) -> Result<Vec<Log>, ClientError> {
        let url = self.address.http(&format!("/api/v1/sessions/{session_id}/logs?order=desc&limit={limit}"));
        let page: LogPage = self.call(|| self.http.get(&url)).await?;
        Ok(page.logs.into_iter().rev().collect())
    }

    /// Renews the lease under which an engine drives a session: 5 to 3,600 seconds.
    ///
    /// # Errors
    ///
    /// As [`Client::create_session`]; `illegal_transition` for a session that has ended.
    pub async fn renew_lease(&self, session_id: SessionId, seconds: u32) -> Result<LeaseReceipt, ClientError> {
        let url = self.address.http(&format!("/api/v1/sessions/{session_id}/lease"));
        self.call(|| self.http.post(&url).json(&RenewLease { seconds })).await
    }

    /// All calls are idempotent, so they are retried if that may help.
    async fn call<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, ClientError> {
        let mut backoff = Backoff::with_full_jitter(self.options.backoff_first, self.options.backoff_most);
        let mut tries = 1;
        loop {
            match self.try_once(&request).await {
                Err(error) if tries < TRIES && may_pass(&error) => tokio::time::sleep(backoff.next_wait()).await,
                result => return result,
            }
            tries += 1;
        }
    }

    async fn try_once<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, ClientError> {
        let unreachable = |error: reqwest::Error| ClientError::Unreachable {
            server: self.address.to_string(),
            problem: problem(&error.without_url()),
        };
        let answer = self.tokens.send(request).await?.map_err(unreachable)?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| ClientError::Protocol(error.to_string()));
        }
        Err(refusal(status, &body))
    }
}

pub(super) fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Refused { code: problem.code, message: problem.detail },
        // The answer may come from a proxy.
        Err(_) if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::BAD_GATEWAY => {
            ClientError::Refused { code: ErrorCode::Unavailable, message: format!("answered with {status}") }
        }
        Err(_) => ClientError::Protocol(format!("answered with {status}")),
    }
}

fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code, .. } => code.is_retryable(),
        ClientError::Unreachable { .. } => true,
        _ => false,
    }
}
