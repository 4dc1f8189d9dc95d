//! What the server is told to use beside its database: NATS, models, embeddings, the identity provider.

use std::time::Duration;

use reqwest::StatusCode;

use super::Finding;
use crate::config::{Secret, ServeConfig};
use crate::{endpoint, nats};

const ANSWER: Duration = Duration::from_secs(5);

pub(super) async fn examine(config: &ServeConfig) -> Vec<Finding> {
    let llm =
        endpoint_of("llmEndpoint", config.engine.llm_url.as_deref(), config.engine.llm_api_key.as_ref(), "RELIVE_LLM");
    let embeddings = endpoint_of(
        "embeddingsEndpoint",
        config.embeddings.embeddings_url.as_deref(),
        config.embeddings.embeddings_api_key.as_ref(),
        "RELIVE_EMBEDDINGS",
    );
    let (nats, llm, embeddings, provider) = tokio::join!(broker(config), llm, embeddings, provider(config));
    [nats, llm, embeddings, provider].into_iter().flatten().collect()
}

async fn broker(config: &ServeConfig) -> Option<Finding> {
    const CHECK: &str = "nats";
    let url = config.messaging.nats_url.as_ref()?;
    // What is wrong with the address is a finding of the settings.
    let addresses = nats::addresses(url.reveal()).ok()?;
    Some(match nats::probe(addresses).await {
        Ok(version) => Finding::ok(CHECK, format!("nats-server {version} answers")),
        Err(error) => {
            let remedy = "start it, or correct RELIVE_NATS_URL; until then notices go through the database";
            Finding::warn(CHECK, error.to_string(), remedy)
        }
    })
}

/// An OpenAI-compatible endpoint: its list of models is asked for, which costs nothing.
async fn endpoint_of(check: &'static str, url: Option<&str>, key: Option<&Secret>, prefix: &str) -> Option<Finding> {
    let url = url.filter(|url| !url.trim().is_empty())?;
    let address = endpoint::address(url, &["models"])?;
    let host = address.host_str().unwrap_or_default().to_owned();
    let headers = endpoint::headers(key.map(Secret::reveal).filter(|key| !key.is_empty())).ok()?;
    let client = reqwest::Client::builder().timeout(ANSWER).default_headers(headers).build().ok()?;
    Some(match client.get(address).send().await.map(|answer| answer.status()) {
        Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Finding::fail(check, format!("{host} refuses the key"), format!("set another one ({prefix}_API_KEY)"))
        }
        Ok(status) if status.is_server_error() => {
            Finding::warn(check, format!("{host} answers {status}"), "look at the endpoint itself")
        }
        // Some endpoints have no list of models.
        Ok(status) => Finding::ok(check, format!("{host} answers ({})", status.as_u16())),
        Err(error) => {
            let remedy = format!("correct {prefix}_URL, or let connections to it through");
            Finding::fail(check, format!("{host} does not answer: {}", endpoint::reason(error)), remedy)
        }
    })
}

async fn provider(config: &ServeConfig) -> Option<Finding> {
    const CHECK: &str = "identityProvider";
    let issuer = config.access.oidc.oidc_issuer.as_deref().map(str::trim).filter(|issuer| !issuer.is_empty())?;
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(ANSWER).build().ok()?;
    let asked = async { client.get(address).send().await?.error_for_status()?.json::<serde_json::Value>().await };
    Some(match asked.await {
        Ok(found) if found["issuer"] == issuer => Finding::ok(CHECK, format!("{issuer} answers")),
        Ok(found) => {
            let named = found["issuer"].as_str().unwrap_or("nothing").to_owned();
            Finding::fail(CHECK, format!("{issuer} calls itself {named}"), "set RELIVE_OIDC_ISSUER to that")
        }
        Err(error) => {
            let remedy = "correct RELIVE_OIDC_ISSUER, or let connections to it through";
            Finding::fail(CHECK, format!("{issuer} does not answer: {}", endpoint::reason(error)), remedy)
        }
    })
}
