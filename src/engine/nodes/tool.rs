//! `tool`: one HTTP request.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::{Value, json};

use super::context::as_text;
use super::services::NodeServices;
use super::unpack::Unpacker;
use super::{AttemptResult, End, NodeContext, NodeType, body};
use crate::endpoint::{self, Secrets};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::GraphNode;

/// Bytes of an answer at most, and by default.
const MOST_BYTES: u32 = 1024 * 1024;
const BYTES: u32 = 256 * 1024;
/// How long a request may take unless `timeoutSeconds` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Headers that determine the target of a request or its framing are set by the HTTP client.
const OWN_HEADERS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];

/// A request whose every part is a template.
#[derive(Debug)]
pub struct Tool {
    services: Arc<NodeServices>,
    method: Method,
    url: Value,
    headers: Option<Value>,
    /// A text as it is; anything else as JSON.
    body: Option<Value>,
    max_bytes: usize,
    /// Whether an answer of 400 or above completes the node.
    accept_errors: bool,
}

impl Tool {
    pub fn read(node: &GraphNode, services: &Arc<NodeServices>) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let method = own.read("method", "an HTTP method", |value| {
            let name = value.as_str()?.to_ascii_uppercase();
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&name.as_str()).then(|| name.parse().ok())?
        })?;
        let headers = own.template("headers")?;
        if headers.as_ref().is_some_and(|headers| !headers.is_object()) {
            return Err(own.wrong("headers", "an object of names and texts"));
        }
        let max_bytes = own.count("maxBytes", MOST_BYTES)?.unwrap_or(BYTES);
        Ok(Self {
            services: Arc::clone(services),
            method: method.unwrap_or(Method::GET),
            url: own.template("url")?.ok_or_else(|| own.wrong("url", "an http or https address"))?,
            headers,
            body: own.template("body")?,
            max_bytes: max_bytes as usize,
            accept_errors: own.flag("acceptErrors")?,
        })
    }

    async fn request(&self, context: &NodeContext) -> Result<AttemptResult, String> {
        let (request, secrets) = self.prepare(context).await?;
        // Only without a limit of the node: with one, the engine drops the request in time.
        let limit = context.policy().timeout.map_or(TIMEOUT, |_| Duration::MAX);
        let answer = tokio::time::timeout(limit, self.answer(request, &secrets)).await;
        answer.map_err(|_| format!("no answer within {} s", TIMEOUT.as_secs()))?
    }

    /// The request, and the secrets that must not appear in its answer.
    async fn prepare(&self, context: &NodeContext) -> Result<(RequestBuilder, Secrets), String> {
        let url = context.text("url", &self.url).await?;
        let url: Url = url.trim().parse().map_err(|error| format!("the url is invalid: {error}"))?;
        let client = self.services.web.client(&url).map_err(|forbidden| forbidden.to_string())?;
        let mut secrets = endpoint::in_url(&url);
        let mut input = json!({"method": self.method.as_str(), "url": endpoint::shown_url(&url)});
        let mut request = client.request(self.method.clone(), url);
        // Unless the workflow says otherwise.
        let mut trace = context.trace();
        if let Some(headers) = &self.headers {
            let headers = context.fill("headers", headers).await?;
            for (name, value) in headers.as_object().into_iter().flatten() {
                if OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
                    return Err(format!("the header {name} cannot be set"));
                }
                trace = trace.filter(|_| !name.eq_ignore_ascii_case("traceparent"));
                let value = as_text(value);
                input["headers"][name] = json!(endpoint::shown_header(name, &value));
                secrets.extend(endpoint::in_header(name, &value));
                request = request.header(name, value);
            }
        }
        request = endpoint::traced(request, trace.as_ref());
        let secrets = Secrets::new(secrets.iter().map(String::as_str)).and(&self.services.models.secrets());
        if let Some(body) = &self.body {
            let body = context.fill("body", body).await?;
            input["body"] = body.clone();
            request = match body {
                Value::String(text) => request.body(text),
                json => request.json(&json),
            };
        }
        context.works_on(secrets.hide_in(input));
        Ok((request, secrets))
    }

    async fn answer(&self, request: RequestBuilder, secrets: &Secrets) -> Result<AttemptResult, String> {
        let response = request.send().await.map_err(|error| describe(&error, secrets))?;
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let kind = secrets.hide(&kind.unwrap_or_default()).chars().take(200).collect::<String>();
        let (body, truncated) = self.body(response, secrets).await?;
        // Redacted before it is parsed as JSON, so that a secret is found in either form.
        let text = secrets.hide(&body::text(&body, &kind, truncated)).into_owned();
        let mut output = json!({"status": status.as_u16(), "contentType": kind, "text": text});
        if truncated {
            output["truncated"] = json!(true);
        } else {
            match serde_json::from_str::<Value>(&text).map_err(|error| error.to_string()) {
                Ok(json) => match relive_session::check_json("it", &json) {
                    Ok(()) => output["json"] = json,
                    Err(problem) => output["jsonError"] = json!(problem.to_string()),
                },
                Err(problem) if body::is_json(&kind) && !text.is_empty() => output["jsonError"] = json!(problem),
                Err(_) => {}
            }
        }
        if status.as_u16() >= 400 && !self.accept_errors {
            let error = match endpoint::in_body(&body, secrets) {
                words if words.is_empty() => format!("the tool answered with {status}"),
                words => format!("the tool answered with {status}: {words}"),
            };
            return Ok(AttemptResult::bare(End::Failed { error, output: Some(output) }));
        }
        Ok(AttemptResult::completed(output))
    }

    /// The decompressed body, and whether it was cut.
    async fn body(&self, mut response: Response, secrets: &Secrets) -> Result<(Vec<u8>, bool), String> {
        // Headers of an answer without a body can name an encoding.
        if self.method == Method::HEAD {
            return Ok((Vec::new(), false));
        }
        let encoding = response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let mut unpacker = Unpacker::new(encoding, self.max_bytes);
        let broken = |error: io::Error| format!("the answer cannot be decompressed: {error}");
        while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error, secrets))? {
            if !unpacker.push(&chunk).map_err(broken)? {
                break;
            }
        }
        let body = unpacker.finish().map_err(broken)?;
        Ok((body.bytes, body.is_cut))
    }
}

/// The innermost cause. The address comes from the workflow and may contain a secret.
fn describe(error: &reqwest::Error, secrets: &Secrets) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if std::ptr::eq(innermost, error as &dyn std::error::Error) {
        return "the request failed".to_owned();
    }
    endpoint::clean(&secrets.hide(&innermost.to_string()))
}

impl NodeType for Tool {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.request(context).map(|ended| ended.unwrap_or_else(AttemptResult::failed)).boxed()
    }
}
