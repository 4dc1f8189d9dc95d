//! Sessions as files: streamed from and to a server, in bounded memory.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use reqwest::Response;

use super::error::problem;
use super::http::refusal;
use super::token::{TokenSource, Tokens, authorized};
use super::{Address, ClientError};
use relive_protocol::WhoAmI;
use relive_session::{SessionId, WorkflowSession};

/// How long a server may take to answer, or to continue an export.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);
/// The beginning of the last line of a whole file.
const LAST_LINE: &[u8] = br#"{"type":"end","#;

/// A server, for files, and for the identity of the caller. No socket is opened.
#[derive(Clone, Debug)]
pub struct Archives {
    address: Address,
    http: reqwest::Client,
    tokens: Tokens,
}

impl Archives {
    /// A server by its address, such as `http://127.0.0.1:7400`.
    ///
    /// # Errors
    ///
    /// If it is not an address.
    pub fn new(server_url: &str) -> Result<Self, ClientError> {
        let address = Address::parse(server_url)?;
        // The time for a file depends on its size and on the connection, so the whole has no time limit.
        let client = reqwest::Client::builder().no_proxy().connect_timeout(RESPONSE_TIMEOUT).build();
        let http = client.map_err(|error| ClientError::Protocol(error.to_string()))?;
        Ok(Self { address, http, tokens: Tokens::default() })
    }

    /// The same with a token, for a server that asks for one.
    #[must_use]
    pub fn with_token(self, source: Option<TokenSource>) -> Self {
        Self { tokens: Tokens::new(source), ..self }
    }

    /// The identity that the server has assigned to the caller, which also shows whether the token is valid.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with `unauthorized` if it is not; `Unreachable`.
    pub async fn who_am_i(&self) -> Result<WhoAmI, ClientError> {
        let url = self.address.http("/api/v1/me");
        let response = self.in_time(self.tokens.send(|| self.http.get(&url))).await?;
        let response = self.accepted(response).await?;
        response.json().await.map_err(|error| ClientError::Protocol(error.without_url().to_string()))
    }

    async fn in_time(
        &self,
        sending: impl Future<Output = Result<reqwest::Result<Response>, ClientError>>,
    ) -> Result<reqwest::Result<Response>, ClientError> {
        let late = |_| self.unreachable("no answer in time".to_owned());
        tokio::time::timeout(RESPONSE_TIMEOUT, sending).await.map_err(late)?
    }

    /// A session's file, as it arrives. It ends with an error if its last line is missing.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if there is no such session; `Unreachable`.
    pub async fn export(
        &self,
        id: SessionId,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Send + Unpin + use<>, ClientError> {
        let url = self.address.http(&format!("/api/v1/sessions/{id}/export"));
        let response = self.in_time(self.tokens.send(|| self.http.get(&url))).await?;
        let response = self.accepted(response).await?;
        let reading = Reading { archives: self.clone(), response, line: Vec::new(), is_done: false };
        Ok(Box::pin(stream::unfold(reading, |mut reading| async move {
            let item = reading.next().await?;
            Some((item, reading))
        })))
    }

    /// Sends a file; returns the session that was created. With `new_id` it gets a new id even if its own
    /// is free.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] says what is wrong with the file; `Unreachable`, also if the file itself could
    /// not be read.
    pub async fn import<S>(&self, file: S, new_id: bool) -> Result<WorkflowSession, ClientError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let query = if new_id { "?newId=true" } else { "" };
        let request = self.http.post(self.address.http(&format!("/api/v1/sessions/import{query}")));
        let request = request.header("content-type", "application/x-ndjson").body(reqwest::Body::wrap_stream(file));
        // A new token for each import: the part of the file that was read could not be sent a second time.
        let token = self.tokens.ask().await?;
        let response = self.accepted(authorized(request, token.as_deref()).send().await).await?;
        response.json().await.map_err(|error| ClientError::Protocol(error.without_url().to_string()))
    }

    async fn accepted(&self, response: reqwest::Result<Response>) -> Result<Response, ClientError> {
        let response = response.map_err(|error| self.unreachable(problem(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.unreachable(problem(&error)))?;
        Err(refusal(status, &body))
    }

    fn unreachable(&self, problem: String) -> ClientError {
        ClientError::Unreachable { server: self.address.to_string(), problem }
    }
}

/// A file being received.
struct Reading {
    archives: Archives,
    response: Response,
    /// The beginning of the current line.
    line: Vec<u8>,
    is_done: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Bytes, ClientError>> {
        if self.is_done {
            return None;
        }
        let problem = match tokio::time::timeout(RESPONSE_TIMEOUT, self.response.chunk()).await {
            Ok(Ok(Some(chunk))) => {
                self.track_last_line(&chunk);
                return Some(Ok(chunk));
            }
            Ok(Ok(None)) if self.line == LAST_LINE => {
                self.is_done = true;
                return None;
            }
            Ok(Ok(None)) => "the session was cut off".to_owned(),
            Ok(Err(error)) => format!("the session was cut off: {}", problem(&error)),
            Err(_) => "it stopped in the middle".to_owned(),
        };
        self.is_done = true;
        Some(Err(self.archives.unreachable(problem)))
    }

    /// Keeps the beginning of the last line, whether or not its line feed has arrived.
    fn track_last_line(&mut self, chunk: &[u8]) {
        let text = chunk.strip_suffix(b"\n").unwrap_or(chunk);
        let last = text.iter().rposition(|byte| *byte == b'\n').map(|end| &text[end + 1..]);
        if let Some(last) = last {
            self.line = last.iter().take(LAST_LINE.len()).copied().collect();
        } else {
            let missing = LAST_LINE.len().saturating_sub(self.line.len());
            self.line.extend(text.iter().take(missing));
        }
        if chunk.ends_with(b"\n") && self.line != LAST_LINE {
            self.line.clear();
        }
    }
}

/// The first line of a file, once it is complete.
#[derive(Debug, Default)]
pub struct FirstLine {
    held: Vec<u8>,
    is_over: bool,
}

impl FirstLine {
    /// Adds a chunk; returns the line as soon as it is complete, once.
    pub fn push(&mut self, chunk: &[u8]) -> Option<relive_protocol::ArchiveLine> {
        if self.is_over {
            return None;
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        self.held.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        end?;
        self.is_over = true;
        serde_json::from_slice(&std::mem::take(&mut self.held)).ok()
    }
}
