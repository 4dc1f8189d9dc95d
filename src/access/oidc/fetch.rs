//! Requests to the provider.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Client, RequestBuilder, Url, redirect};
use serde::de::DeserializeOwned;

/// How long the provider may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER_BYTES: usize = 1 << 20;

/// Why the provider did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0}")]
    Network(String),
    #[error("it answered with status {0}")]
    Status(u16),
    #[error("its answer is longer than a megabyte")]
    Long,
    #[error("its answer is not what was expected: {0}")]
    Answer(String),
}

/// Makes requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Fetch(Client);

impl Fetch {
    pub fn new() -> reqwest::Result<Self> {
        // No redirects: they could lead anywhere, and no provider needs them here.
        let client = Client::builder().timeout(ANSWER_WITHIN).redirect(redirect::Policy::none()).build()?;
        Ok(Self(client))
    }

    pub async fn get<T: DeserializeOwned>(&self, url: &Url, bearer: Option<&str>) -> Result<T, FetchError> {
        let request = self.0.get(url.clone());
        answer(match bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }

    /// Posts a form, with the client's name and secret as HTTP Basic if they are given.
    pub async fn post<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<T, FetchError> {
        let request = self.0.post(url.clone()).body(encoded(form));
        let request = request.header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        answer(match basic {
            // Both are encoded as in a form first (RFC 6749, section 2.3.1).
            Some((name, secret)) => request.basic_auth(component(name), Some(component(secret))),
            None => request,
        })
        .await
    }
}

async fn answer<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, FetchError> {
    let network = |error: reqwest::Error| FetchError::Network(reason(error));
    let mut response = request.header(ACCEPT, "application/json").send().await.map_err(network)?;
    if !response.status().is_success() {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(FetchError::Long);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| FetchError::Answer(error.to_string()))
}

/// The innermost cause, without the address.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Fields as a form has them.
pub(super) fn encoded(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{}={}", component(name), component(value))).collect::<Vec<_>>().join("&")
}

/// A text with everything but letters, digits and `-._~` as `%XX`.
fn component(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// Whether secrets may be sent there: by https, or within this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(|host| {
            let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }),
        _ => false,
    }
}
