//! One OpenAI-compatible endpoint.

use std::fmt;
use std::time::Duration;

use reqwest::{Response, StatusCode, Url};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::breaker::Breakers;
use super::error::{ChatError, EndpointError};
use super::stream::{BodyEnd, ChatStream, PieceSink};
use super::{Chat, ModelReply, Piece};
use crate::endpoint::{self, Secrets};
use relive_backoff::Backoff;
use relive_session::TraceContext;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Attempts of a request as long as no answer has begun.
pub const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two attempts, whatever the endpoint asks for.
const LAST_PAUSE: Duration = Duration::from_mins(1);
/// How long usage and the end of the stream are waited for after the finish reason.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes of an error's text that are read.
const DETAIL_BYTES: usize = 64 * 1024;

/// The address of an endpoint, and its model.
#[derive(Clone, Copy)]
pub struct EndpointOptions<'a> {
    /// The base address, ending in `/v1`.
    pub url: &'a str,
    /// Used if a request names none.
    pub model: &'a str,
    /// Sent as a bearer token.
    pub api_key: Option<&'a str>,
    /// The longest idle time: before the first chunk, and between two.
    pub silence: Duration,
}

/// An endpoint with its breakers.
pub struct Endpoint {
    http: reqwest::Client,
    url: Url,
    model: String,
    silence: Duration,
    breakers: Breakers,
    secrets: Secrets,
}

/// Prints neither the key nor the address, which may contain a password.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// # Errors
    ///
    /// If the options are invalid; no request is sent yet.
    pub fn new(options: EndpointOptions<'_>) -> Result<Self, EndpointError> {
        let url = endpoint::address(options.url, &["chat", "completions"]).ok_or(EndpointError::Url)?;
        if options.model.trim().is_empty() {
            return Err(EndpointError::NoModel);
        }
        let headers = endpoint::headers(options.api_key).map_err(|_| EndpointError::ApiKey)?;
        let http = reqwest::Client::builder().default_headers(headers).connect_timeout(CONNECT).build();
        Ok(Self {
            http: http.map_err(EndpointError::Client)?,
            url,
            model: options.model.trim().to_owned(),
            silence: options.silence,
            breakers: Breakers::default(),
            secrets: Secrets::of_endpoint(options.api_key, options.url),
        })
    }

    /// The secrets that must be redacted in this endpoint's texts.
    pub(super) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(super) async fn chat(&self, chat: &Chat, sink: &mut PieceSink<'_>) -> Result<ModelReply, ChatError> {
        let model = chat.model.as_deref().unwrap_or(&self.model);
        self.breakers.check(model)?;
        let started = Instant::now();
        let outcome = self.ask(chat, sink).await;
        metrics::histogram!("relive_llm_seconds").record(started.elapsed().as_secs_f64());
        let result = match &outcome {
            Ok(reply) => {
                self.breakers.succeeded(model);
                if let Some(usage) = reply.usage {
                    metrics::counter!("relive_llm_tokens_total", "kind" => "input").increment(usage.input_tokens);
                    metrics::counter!("relive_llm_tokens_total", "kind" => "output").increment(usage.output_tokens);
                }
                "ok"
            }
            Err(error) => {
                if error.is_the_endpoints() {
                    self.breakers.failed(model);
                } else {
                    self.breakers.succeeded(model);
                }
                error.kind()
            }
        };
        metrics::counter!("relive_llm_requests_total", "result" => result).increment(1);
        outcome
    }

    async fn ask(&self, chat: &Chat, sink: &mut PieceSink<'_>) -> Result<ModelReply, ChatError> {
        let body = self.body(chat);
        let response = self.first_answer(&body, chat.trace.as_ref(), sink).await?;
        let mut reply = self.listen(response, sink).await?;
        if reply.model.is_empty() {
            reply.model = chat.model.clone().unwrap_or_else(|| self.model.clone());
        }
        Ok(reply)
    }

    /// The request as it is sent.
    pub(super) fn body(&self, chat: &Chat) -> Value {
        let mut body = chat.others.clone();
        let mut messages = Vec::new();
        if let Some(system) = chat.system.as_deref().filter(|system| !system.trim().is_empty()) {
            messages.push(json!({"role": "system", "content": system}));
        }
        messages.push(json!({"role": "user", "content": chat.user}));
        let mut set = |key: &str, value: Value| drop(body.insert(key.to_owned(), value));
        set("model", json!(chat.model.as_deref().unwrap_or(&self.model)));
        set("messages", json!(messages));
        set("stream", json!(true));
        set("stream_options", json!({"include_usage": true}));
        if let Some(temperature) = chat.temperature {
            set("temperature", json!(temperature));
        }
        if let Some(most) = chat.max_tokens {
            set("max_tokens", json!(most));
        }
        if chat.json && !chat.others.contains_key("response_format") {
            set("response_format", json!({"type": "json_object"}));
        }
        Value::Object(body)
    }

    /// Retries until an answer begins, or a retry cannot help.
    async fn first_answer(
        &self,
        body: &Value,
        trace: Option<&TraceContext>,
        sink: &mut PieceSink<'_>,
    ) -> Result<Response, ChatError> {
        // Plus a random part, so that not all requests are retried at the same moment.
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE).with_jitter(1.0, 1.5);
        for tries in 1.. {
            let error = match self.request(body, trace).await {
                Ok(response) => return Ok(response),
                Err(error) if !error.is_transient() || tries >= TRIES => return Err(error),
                Err(error) => error,
            };
            let asked = match error {
                ChatError::Failed { retry_after, .. } => retry_after,
                _ => None,
            };
            let pause = backoff.next_wait();
            let wait = asked.unwrap_or(pause).min(LAST_PAUSE);
            tracing::debug!(%error, tries, "a request to a model is retried");
            sink(Piece::Again { why: &error, tries, pause: wait });
            tokio::time::sleep(wait).await;
        }
        Err(ChatError::BrokeOff)
    }

    async fn request(&self, body: &Value, trace: Option<&TraceContext>) -> Result<Response, ChatError> {
        let request = endpoint::traced(self.http.post(self.url.clone()), trace).json(body);
        let sent = timeout(self.silence, request.send()).await;
        let response = sent.map_err(|_| ChatError::Stalled(self.silence))?.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = endpoint::retry_after(response.headers());
        let detail = self.detail(response).await;
        let may_pass = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT);
        Err(if may_pass {
            ChatError::Failed { status, retry_after, detail }
        } else {
            ChatError::Refused { status, detail }
        })
    }

    fn unreachable(&self, error: reqwest::Error) -> ChatError {
        ChatError::Unreachable(endpoint::clean(&self.secrets.hide(&endpoint::reason(error))))
    }

    /// The endpoint's text about an error.
    async fn detail(&self, mut response: Response) -> String {
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                let room = DETAIL_BYTES - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() == DETAIL_BYTES {
                    return;
                }
            }
        };
        // The part that arrived is used even if the rest never does.
        let _ = timeout(self.silence.min(CONNECT), reading).await;
        endpoint::in_body(&body, &self.secrets)
    }

    async fn listen(&self, mut response: Response, sink: &mut PieceSink<'_>) -> Result<ModelReply, ChatError> {
        let mut stream = ChatStream::new(&self.secrets);
        let (mut finishes_by, mut finishing) = (None, None);
        loop {
            if stream.is_done() {
                return stream.finish(BodyEnd::Closed, sink);
            }
            if stream.finishing() != finishing {
                finishing = stream.finishing();
                finishes_by = Some(Instant::now() + GRACE);
            }
            let silent = Instant::now() + self.silence;
            let until = finishes_by.map_or(silent, |by| silent.min(by));
            let ending = match tokio::time::timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(bytes))) if finishes_by.is_none_or(|by| Instant::now() < by) => {
                    stream.push(&bytes, sink)?;
                    continue;
                }
                Ok(Ok(_)) => BodyEnd::Closed,
                Ok(Err(_)) => BodyEnd::Failed(ChatError::BrokeOff),
                Err(_) => BodyEnd::Failed(ChatError::Stalled(self.silence)),
            };
            return stream.finish(ending, sink);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(url: &str, model: &str, api_key: Option<&str>) -> Result<Endpoint, EndpointError> {
        Endpoint::new(EndpointOptions { url, model, api_key, silence: Duration::from_secs(1) })
    }

    #[test]
    fn what_cannot_work_is_said_at_the_start() {
        assert!(matches!(made("example.org/v1", "m", None), Err(EndpointError::Url)));
        assert!(matches!(made("ftp://example.org/v1", "m", None), Err(EndpointError::Url)));
        assert!(matches!(made("http://example.org/v1", " ", None), Err(EndpointError::NoModel)));
        assert!(matches!(made("http://example.org/v1", "m", Some("a\nb")), Err(EndpointError::ApiKey)));
        let good = made("https://example.org/v1/", "m", Some("key")).expect("an endpoint");
        assert_eq!(good.url.as_str(), "https://example.org/v1/chat/completions");
    }

    #[test]
    fn neither_the_key_nor_the_address_is_printed() {
        let printed = format!("{:?}", made("https://user:password@example.org/v1", "m", Some("sk-secret")));
        assert!(!printed.contains("secret") && !printed.contains("password"), "{printed}");
    }
}
