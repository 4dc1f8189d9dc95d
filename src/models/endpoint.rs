//! One OpenAI-compatible endpoint.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::breaker::Breaker;
use super::error::{ChatError, EndpointError};
use super::stream::ChatStream;
use super::{Chat, Piece, Reply};
use crate::endpoint;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Further tries of a request of which no answer has come.
const RETRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two tries, whatever the endpoint asks for.
const LAST_PAUSE: Duration = Duration::from_mins(1);
/// Bytes of an answer that is not streamed, and of an error's text.
const WHOLE_BYTES: usize = 4 * 1024 * 1024;
const DETAIL_BYTES: usize = 8 * 1024;

/// Where models are, and which.
#[derive(Clone, Copy)]
pub struct EndpointOptions<'a> {
    /// The base address, ending in `/v1`.
    pub url: &'a str,
    /// Asked when a request names none.
    pub model: &'a str,
    /// Sent as a bearer token.
    pub api_key: Option<&'a str>,
    /// The longest silence: before the first chunk, and between two.
    pub silence: Duration,
}

/// An endpoint with its breaker.
pub struct Endpoint {
    http: reqwest::Client,
    url: Url,
    model: String,
    silence: Duration,
    breaker: Breaker,
}

/// Says neither the key nor the address, which may carry a password.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// # Errors
    ///
    /// When the options cannot work; nothing is asked yet.
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
            breaker: Breaker::default(),
        })
    }

    pub(super) async fn chat(&self, chat: &Chat, hear: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<Reply, ChatError> {
        self.breaker.check()?;
        let outcome = self.ask(chat, hear).await;
        let result = match &outcome {
            Ok(reply) => {
                self.breaker.succeeded();
                if let Some(usage) = reply.usage {
                    metrics::counter!("relive_llm_tokens_total", "kind" => "input").increment(usage.input_tokens);
                    metrics::counter!("relive_llm_tokens_total", "kind" => "output").increment(usage.output_tokens);
                }
                "ok"
            }
            Err(error) => {
                if error.is_the_endpoints() {
                    self.breaker.failed();
                } else {
                    self.breaker.succeeded();
                }
                error.kind()
            }
        };
        metrics::counter!("relive_llm_requests_total", "result" => result).increment(1);
        outcome
    }

    async fn ask(&self, chat: &Chat, hear: &mut (dyn FnMut(Piece<'_>) + Send)) -> Result<Reply, ChatError> {
        let body = self.body(chat);
        let (response, tries) = self.first_answer(&body).await?;
        tracing::debug!(tries, "a model answers");
        let mut stream = ChatStream::default();
        self.listen(response, &mut stream, hear).await?;
        let asked = chat.model.clone().unwrap_or_else(|| self.model.clone());
        Ok(Reply { model: stream.model.unwrap_or(asked), usage: stream.usage })
    }

    fn body(&self, chat: &Chat) -> Value {
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
        if chat.json {
            set("response_format", json!({"type": "json_object"}));
        }
        Value::Object(body)
    }

    /// Tries until an answer begins, or it is not worth trying.
    async fn first_answer(&self, body: &Value) -> Result<(Response, u32), ChatError> {
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            let error = match self.request(body).await {
                Ok(response) => return Ok((response, tries)),
                Err(error) if !error.is_transient() || tries > RETRIES => return Err(error),
                Err(error) => error,
            };
            let asked = match error {
                ChatError::Failed { retry_after, .. } => retry_after,
                _ => None,
            };
            // Some more, so that not all come back at the same moment.
            let jitter = pause.mul_f64(rand::random::<f64>() / 2.0);
            tracing::debug!(%error, tries, "a model is asked again");
            tokio::time::sleep(asked.unwrap_or(pause + jitter).min(LAST_PAUSE)).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
        Err(ChatError::BrokeOff)
    }

    async fn request(&self, body: &Value) -> Result<Response, ChatError> {
        let sent = timeout(self.silence, self.http.post(self.url.clone()).json(body).send()).await;
        let response = sent
            .map_err(|_| ChatError::Stalled(self.silence))?
            .map_err(|error| ChatError::Unreachable(endpoint::reason(error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|value| Duration::try_from_secs_f64(value.trim().parse().ok()?).ok());
        let detail = self.detail(response).await;
        let may_pass = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT);
        Err(if may_pass {
            ChatError::Failed { status, retry_after, detail }
        } else {
            ChatError::Refused { status, detail }
        })
    }

    /// What the endpoint says of an error, as far as it is one of the usual shape.
    async fn detail(&self, response: Response) -> String {
        let body = timeout(self.silence, whole(response, DETAIL_BYTES)).await;
        let Ok(Ok(body)) = body else { return String::new() };
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = json.pointer("/error/message").or_else(|| json.get("message")).and_then(Value::as_str);
        message.unwrap_or_default().chars().take(300).collect::<String>().replace('\0', "")
    }

    async fn listen(
        &self,
        mut response: Response,
        stream: &mut ChatStream,
        hear: &mut (dyn FnMut(Piece<'_>) + Send),
    ) -> Result<(), ChatError> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/json") {
            let body = timeout(self.silence, whole(response, WHOLE_BYTES)).await;
            return stream.take_whole(&body.map_err(|_| ChatError::Stalled(self.silence))??, hear);
        }
        loop {
            let chunk = timeout(self.silence, response.chunk()).await;
            match chunk.map_err(|_| ChatError::Stalled(self.silence))? {
                Ok(Some(bytes)) => stream.take(&bytes, hear)?,
                Ok(None) if stream.finished => return Ok(()),
                // An answer that is whole but for its last mark is whole.
                Err(_) if stream.finished => return Ok(()),
                Ok(None) | Err(_) => return Err(ChatError::BrokeOff),
            }
        }
    }
}

async fn whole(mut response: Response, most: usize) -> Result<Vec<u8>, ChatError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| ChatError::BrokeOff)? {
        if body.len() + chunk.len() > most {
            return Err(ChatError::TooLong(most));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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
