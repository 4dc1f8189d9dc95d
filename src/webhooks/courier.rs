//! One attempt: a signed request, and what its answer means.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::Instant;
use uuid::Uuid;

use super::secret::signatures;
use crate::endpoint::{NotPublic, PublicOnly, clean, reason, retry_after, traced};
use crate::storage::{AttemptRecord, WebhookTarget};
use relive_session::{DeliveryStatus, Timestamp, TraceContext};

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read, so that its connection can be used again. They are not kept.
const ANSWER_BYTES: usize = 64 * 1_024;
/// Connections that are kept open to one receiver.
const KEPT_OPEN: usize = 8;
/// Bytes that an address may have.
const URL_BYTES: usize = 2_048;

/// Why an address cannot be one of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("url must be an http or https address")]
    NotHttp,
    #[error("url may have at most 2048 bytes")]
    TooLong,
    #[error("url must not contain control characters")]
    Control,
    #[error("url must not contain a user name or a password: they would be shown to whoever lists webhooks")]
    Credentials,
    #[error("url: {0}")]
    Private(#[from] NotPublic),
}

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    status: Option<StatusCode>,
    error: Option<String>,
    /// The pause that the receiver asks for.
    pub asked: Option<Duration>,
    took: Duration,
}

impl Attempt {
    pub fn is_delivered(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    /// Whether the receiver wants nothing any more.
    pub fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::GONE)
    }

    pub fn result(&self, id: Uuid, status: DeliveryStatus, again: Option<Duration>) -> AttemptRecord {
        AttemptRecord {
            id,
            status,
            again,
            response_status: self.status.map(|status| status.as_u16()),
            error: self.error.clone(),
            took: self.took,
        }
    }
}

/// Sends requests to webhooks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Courier {
    client: Client,
    public: PublicOnly,
}

impl Courier {
    /// # Errors
    ///
    /// If no HTTP client can be created.
    pub fn new(allow_private: bool) -> Result<Self, reqwest::Error> {
        let rule = "webhooks may reach no others (RELIVE_WEBHOOK_ALLOW_PRIVATE)";
        let public = PublicOnly { allow_private, rule };
        let client = Client::builder()
            // A proxy would resolve the names itself.
            .no_proxy()
            .dns_resolver(std::sync::Arc::new(public))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ATTEMPT)
            .pool_max_idle_per_host(KEPT_OPEN)
            .no_gzip()
            .no_deflate()
            .user_agent(concat!("relive/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, public })
    }

    pub(super) fn check(&self, url: &str) -> Result<Url, UrlError> {
        if url.len() > URL_BYTES {
            return Err(UrlError::TooLong);
        }
        // A parser leaves some out and encodes the others, but what was given is what is stored and shown.
        if url.contains(char::is_control) {
            return Err(UrlError::Control);
        }
        let url = Url::parse(url).map_err(|_| UrlError::NotHttp)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(UrlError::NotHttp);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Credentials);
        }
        self.public.check(&url)?;
        Ok(url)
    }

    /// Makes one attempt.
    pub(super) async fn send(
        &self,
        target: &WebhookTarget,
        id: Uuid,
        body: &str,
        trace: Option<&TraceContext>,
    ) -> Attempt {
        let began = Instant::now();
        let outcome = match self.check(&target.url) {
            Ok(url) => self.post(url, &target.secrets, id, body, trace).await.map_err(reason),
            // The setting has been changed.
            Err(error) => Err(error.to_string()),
        };
        let took = began.elapsed();
        let attempt = match outcome {
            Ok(response) => answered(response, took),
            Err(error) => Attempt { status: None, error: Some(clean(&error)), asked: None, took },
        };
        let result = if attempt.is_delivered() { "delivered" } else { "failed" };
        metrics::counter!("relive_webhook_attempts_total", "result" => result).increment(1);
        metrics::histogram!("relive_webhook_seconds").record(took.as_secs_f64());
        attempt
    }

    async fn post(
        &self,
        url: Url,
        keys: &[Vec<u8>],
        id: Uuid,
        body: &str,
        trace: Option<&TraceContext>,
    ) -> reqwest::Result<Response> {
        let seconds = Timestamp::now().as_millis() / 1_000;
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id.to_string())
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signatures(keys, id, seconds, body))
            .body(body.to_owned());
        let mut response = traced(request, trace).send().await?;
        let mut read = 0;
        // What the receiver says after its status does not matter, and neither does how it ends.
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > ANSWER_BYTES {
                break;
            }
        }
        Ok(response)
    }
}

fn answered(response: Response, took: Duration) -> Attempt {
    let status = response.status();
    let error = match status {
        _ if status.is_success() => None,
        StatusCode::GONE => Some("the receiver is gone (410)".to_owned()),
        _ if status.is_redirection() => Some(format!("redirects are not followed ({})", status.as_u16())),
        _ => Some(format!("the receiver answered with {}", status.as_u16())),
    };
    Attempt { status: Some(status), error, asked: retry_after(response.headers()), took }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_webhooks_are_public_and_without_secrets() {
        let courier = Courier::new(false).expect("a courier");
        for url in ["https://example.org/hook?x=1", "http://example.org:8080", "https://1.1.1.1/"] {
            assert!(courier.check(url).is_ok(), "{url}");
        }
        let long = format!("https://example.org/{}", "x".repeat(2_048));
        for (url, expected) in [
            ("", "http or https"),
            ("ftp://example.org", "http or https"),
            ("example.org", "http or https"),
            ("https://user@example.org", "user name"),
            ("https://:word@example.org", "user name"),
            ("http://127.0.0.1:80", "not a public address"),
            ("http://2130706433/", "not a public address"),
            ("http://[::1]/", "RELIVE_WEBHOOK_ALLOW_PRIVATE"),
            (long.as_str(), "2048"),
            ("https://example.org/a\0b", "control characters"),
            ("https://example.org/a\nb", "control characters"),
        ] {
            let error = courier.check(url).expect_err(url).to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
        let open = Courier::new(true).expect("a courier");
        assert!(open.check("http://127.0.0.1:80").is_ok());
    }
}
