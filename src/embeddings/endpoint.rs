//! One request to the endpoint, and the errors of its answer.

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::endpoint::{self, Secrets};
use relive_session::check_embedding;

/// Bytes of an answer at most: 64 vectors of 2,000 numbers, each written with up to 25 characters,
/// fit four times.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of an error's text that are read.
const DETAIL_BYTES: usize = 64 * 1024;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The options of an embeddings endpoint.
#[derive(Clone, Copy)]
pub struct EmbeddingEndpointOptions<'a> {
    /// The base address, ending in `/v1`.
    pub url: &'a str,
    pub model: &'a str,
    /// Sent as a bearer token.
    pub api_key: Option<&'a str>,
    /// The number of dimensions that a vector must have.
    pub dimension: u32,
    /// How long a request may take.
    pub timeout: Duration,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingEndpointError {
    #[error("RELIVE_EMBEDDINGS_URL must be an http or https address ending in /v1")]
    Url,
    #[error("RELIVE_EMBEDDINGS_URL needs RELIVE_EMBEDDINGS_MODEL: which model makes the embeddings?")]
    NoModel,
    #[error("RELIVE_EMBEDDINGS_API_KEY holds characters that no header can carry")]
    ApiKey,
    #[error("cannot make HTTP requests: {0}")]
    Client(reqwest::Error),
}

/// Why there is no embedding. The texts are logged and contain nothing of the memories.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    #[error("the embeddings endpoint cannot be reached: {0}")]
    Unreachable(String),
    #[error("the embeddings endpoint answered with {status}{}", colon(.detail))]
    Failed { status: StatusCode, retry_after: Option<Duration>, detail: String },
    /// The text is at fault, not the endpoint: empty, too long, or otherwise refused.
    /// The endpoint's own text is left out: it may quote the memory.
    #[error("the embeddings endpoint refused the text with {0}")]
    Refused(StatusCode),
    #[error("the answer of the embeddings endpoint is invalid: {0}")]
    Answer(String),
}

fn colon(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(": {detail}") }
}

impl EmbeddingError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Failed { .. } => "failed",
            Self::Refused(_) => "refused",
            Self::Answer(_) => "bad_answer",
        }
    }
}

/// An embeddings endpoint. Cheap to clone.
#[derive(Clone)]
pub struct EmbeddingEndpoint {
    http: reqwest::Client,
    url: Url,
    model: String,
    dimension: u32,
    timeout: Duration,
    secrets: Secrets,
}

/// Prints neither the key nor the address, which may contain a password.
impl fmt::Debug for EmbeddingEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("model", &self.model)
            .field("dimension", &self.dimension)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Vec<Item>,
    /// In the place of data, with the status 200.
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Item {
    /// Some servers leave it out and keep the order; some write it as a text.
    #[serde(default, deserialize_with = "place")]
    index: Option<usize>,
    embedding: Vec<f32>,
}

fn place<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64().and_then(|number| format!("{number:.0}").parse().ok()),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

impl EmbeddingEndpoint {
    /// # Errors
    ///
    /// The fault in the options.
    pub fn new(options: EmbeddingEndpointOptions<'_>) -> Result<Self, EmbeddingEndpointError> {
        let url = endpoint::address(options.url, &["embeddings"]).ok_or(EmbeddingEndpointError::Url)?;
        if options.model.trim().is_empty() {
            return Err(EmbeddingEndpointError::NoModel);
        }
        let headers = endpoint::headers(options.api_key).map_err(|_| EmbeddingEndpointError::ApiKey)?;
        let http = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT.min(options.timeout))
            .timeout(options.timeout)
            .build()
            .map_err(EmbeddingEndpointError::Client)?;
        let (dimension, timeout) = (options.dimension, options.timeout);
        let secrets = Secrets::of_endpoint(options.api_key, options.url);
        Ok(Self { http, url, model: options.model.to_owned(), dimension, timeout, secrets })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The vectors of `texts`, in their order.
    ///
    /// # Errors
    ///
    /// [`EmbeddingError`]; retrying is up to the caller.
    pub async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let started = Instant::now();
        let outcome = self.request(texts).await;
        let result = outcome.as_ref().map_or_else(EmbeddingError::kind, |_| "ok");
        metrics::counter!("relive_embedding_requests_total", "result" => result).increment(1);
        metrics::histogram!("relive_embedding_seconds").record(started.elapsed().as_secs_f64());
        outcome
    }

    async fn request(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let unreachable = |error: reqwest::Error| {
            EmbeddingError::Unreachable(endpoint::clean(&self.secrets.hide(&endpoint::reason(error))))
        };
        let request = Request { model: &self.model, input: texts, encoding_format: "float" };
        let mut response = self.http.post(self.url.clone()).json(&request).send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refusal(response).await);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES {
                return Err(EmbeddingError::Answer("it is too large".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        // serde_json's own error quotes only numbers and places.
        let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body);
        let answer: Answer =
            serde_json::from_slice(body).map_err(|error| EmbeddingError::Answer(format!("{error}")))?;
        if let Some(words) = answer.error.as_ref().and_then(|error| endpoint::in_json(error, &self.secrets)) {
            return Err(EmbeddingError::Answer(words));
        }
        self.in_order(answer.data, texts.len())
    }

    /// The error for an answer with an error's status.
    async fn refusal(&self, mut response: Response) -> EmbeddingError {
        let status = response.status();
        let (bad, large) = (StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE);
        if [bad, large, StatusCode::UNPROCESSABLE_ENTITY].contains(&status) {
            return EmbeddingError::Refused(status);
        }
        let retry_after = endpoint::retry_after(response.headers());
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = DETAIL_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == DETAIL_BYTES {
                break;
            }
        }
        EmbeddingError::Failed { status, retry_after, detail: endpoint::in_body(&body, &self.secrets) }
    }

    fn in_order(&self, items: Vec<Item>, expected: usize) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; expected];
        let count = items.len();
        for (position, item) in items.into_iter().enumerate() {
            check_embedding(&item.embedding, self.dimension)
                .map_err(|problem| EmbeddingError::Answer(problem.to_string()))?;
            if let Some(place) = vectors.get_mut(item.index.unwrap_or(position)) {
                *place = Some(item.embedding);
            }
        }
        let vectors: Option<Vec<_>> = vectors.into_iter().collect();
        let wrong = || EmbeddingError::Answer(format!("{count} vectors for {expected} texts, or some of them twice"));
        vectors.filter(|_| count == expected).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(url: &str, model: &str, api_key: Option<&str>) -> Result<EmbeddingEndpoint, EmbeddingEndpointError> {
        EmbeddingEndpoint::new(EmbeddingEndpointOptions {
            url,
            model,
            api_key,
            dimension: 2,
            timeout: Duration::from_secs(1),
        })
    }

    #[test]
    fn what_cannot_work_is_said_at_the_start() {
        assert!(matches!(made("example.org/v1", "m", None), Err(EmbeddingEndpointError::Url)));
        assert!(matches!(made("ftp://example.org/v1", "m", None), Err(EmbeddingEndpointError::Url)));
        assert!(matches!(made("http://example.org/v1", " ", None), Err(EmbeddingEndpointError::NoModel)));
        assert!(matches!(made("http://example.org/v1", "m", Some("a\nb")), Err(EmbeddingEndpointError::ApiKey)));
        let good = made("https://example.org/v1/", "m", Some("key")).expect("an endpoint");
        assert_eq!(good.url.as_str(), "https://example.org/v1/embeddings");
    }

    #[test]
    fn neither_the_key_nor_the_address_is_printed() {
        let endpoint = made("https://user:password@example.org/v1", "m", Some("sk-secret")).expect("an endpoint");
        let printed = format!("{endpoint:?}");
        assert!(!printed.contains("secret") && !printed.contains("password"), "{printed}");
    }

    #[test]
    fn vectors_come_in_the_order_of_their_texts_or_not_at_all() {
        let endpoint = made("http://example.org/v1", "m", None).expect("an endpoint");
        let item = |index, x| Item { index, embedding: vec![x, 1.0] };
        let ordered = |items| endpoint.in_order(items, 2).ok();
        let right = Some(vec![vec![1.0, 1.0], vec![2.0, 1.0]]);
        assert_eq!(ordered(vec![item(Some(1), 2.0), item(Some(0), 1.0)]), right);
        assert_eq!(ordered(vec![item(None, 1.0), item(None, 2.0)]), right);
        assert_eq!(ordered(vec![item(Some(0), 1.0)]), None);
        assert_eq!(ordered(vec![item(Some(0), 1.0), item(Some(0), 2.0)]), None);
        assert_eq!(ordered(vec![item(Some(0), 1.0), item(Some(7), 2.0)]), None);
        assert_eq!(ordered(vec![item(Some(0), 1.0), item(Some(1), 2.0), item(Some(1), 3.0)]), None);
        assert_eq!(ordered(vec![item(Some(0), 1.0), Item { index: Some(1), embedding: vec![0.0, 0.0] }]), None);
    }
}
