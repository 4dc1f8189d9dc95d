//! Sends spans to an endpoint that speaks OTLP over HTTP.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use reqwest::Url;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::queue::{SpanQueue, count};
use super::sampler::Sampler;
use super::span::{Recorder, Tracer};

/// Spans that are exported together.
const BATCH: usize = 512;
/// How long an export waits for more spans.
const GATHER: Duration = Duration::from_secs(1);
/// How long a request to the endpoint may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How long the end of the server waits for the spans that are left.
const LAST_EXPORT: Duration = Duration::from_secs(3);

/// Where spans are sent to.
#[derive(Clone, Debug)]
pub struct ExporterOptions<'a> {
    /// The whole address, such as `http://collector:4318/v1/traces`.
    pub endpoint: &'a str,
    /// `name=value`, several with commas; values are percent-encoded.
    pub headers: Option<&'a str>,
    /// Otherwise what `OTEL_RESOURCE_ATTRIBUTES` says, or `relive`.
    pub service_name: Option<&'a str>,
    pub service_version: &'static str,
    pub sampler: Sampler,
}

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    #[error("the endpoint for traces must be an http or https address")]
    Endpoint,
    #[error("OTEL_EXPORTER_OTLP_HEADERS must be name=value, several with commas")]
    Headers,
    #[error("cannot make HTTP requests: {0}")]
    Client(reqwest::Error),
    #[error("traces cannot be exported: {0}")]
    Otlp(#[from] ExporterBuildError),
}

/// The way to an endpoint that was checked; nothing is sent yet.
#[derive(Debug)]
pub struct Exporter {
    otlp: SpanExporter,
    sampler: Sampler,
    scope: InstrumentationScope,
}

impl Exporter {
    /// # Errors
    ///
    /// If the options, or the variables of OpenTelemetry, make no sense.
    pub fn new(options: &ExporterOptions<'_>) -> Result<Self, ExporterError> {
        let url = Url::parse(options.endpoint.trim()).map_err(|_| ExporterError::Endpoint)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ExporterError::Endpoint);
        }
        let client = reqwest::Client::builder().timeout(REQUEST).build().map_err(ExporterError::Client)?;
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url.as_str())
            .with_timeout(REQUEST)
            .with_headers(headers(options.headers.unwrap_or_default())?)
            .build()?;
        exporter.set_resource(&resource(options));
        let scope = InstrumentationScope::builder("relive").with_version(options.service_version).build();
        Ok(Self { otlp: exporter, sampler: options.sampler, scope })
    }

    /// Begins to export. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(self) -> (Tracer, RunningExporter) {
        let Self { otlp, sampler, scope } = self;
        let (queue, receiver) = SpanQueue::new();
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(otlp, receiver, stop.clone()));
        let tracer = Tracer::new(Recorder { sampler, queue, scope });
        (tracer, RunningExporter { task, stop })
    }
}

fn headers(text: &str) -> Result<HashMap<String, String>, ExporterError> {
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').ok_or(ExporterError::Headers)?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect()
}

/// What the spans are of.
fn resource(options: &ExporterOptions<'_>) -> Resource {
    let instance = uuid::Uuid::new_v4().to_string();
    let described = || {
        Resource::builder().with_attributes([
            KeyValue::new("service.version", options.service_version),
            KeyValue::new("service.instance.id", instance.clone()),
        ])
    };
    if let Some(name) = options.service_name {
        return described().with_service_name(name.to_owned()).build();
    }
    let found = described().build();
    let is_named = found.get(&"service.name".into()).is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    if is_named { found } else { described().with_service_name("relive").build() }
}

/// The task that exports.
#[derive(Debug)]
pub struct RunningExporter {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl RunningExporter {
    /// Exports what is left, and ends; what the endpoint does not take in time is dropped.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if timeout(LAST_EXPORT, &mut self.task).await.is_err() {
            tracing::warn!("the endpoint for traces did not take the last spans in time");
            self.task.abort();
        }
    }
}

async fn run(exporter: SpanExporter, mut queue: mpsc::Receiver<SpanData>, stop: CancellationToken) {
    let mut is_away = false;
    loop {
        let batch = next_batch(&mut queue, &stop).await;
        if batch.is_empty() {
            return;
        }
        let spans = batch.len();
        match exporter.export(batch).await {
            Ok(()) => {
                count("exported", spans);
                if std::mem::take(&mut is_away) {
                    tracing::info!("the endpoint for traces takes spans again");
                }
            }
            Err(error) => {
                count("failed", spans);
                if !std::mem::replace(&mut is_away, true) {
                    tracing::warn!(%error, "the endpoint for traces does not take spans; they are dropped");
                }
            }
        }
    }
}

/// The next spans to be exported; none after the end.
async fn next_batch(queue: &mut mpsc::Receiver<SpanData>, stop: &CancellationToken) -> Vec<SpanData> {
    let mut batch = Vec::new();
    if stop.run_until_cancelled(queue.recv_many(&mut batch, BATCH)).await.is_none() {
        // What is in the queue by now is the rest.
        queue.close();
        queue.recv_many(&mut batch, BATCH).await;
        return batch;
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        let more = stop.run_until_cancelled(timeout_at(until, queue.recv_many(&mut batch, room))).await;
        if !matches!(more, Some(Ok(1..))) {
            break;
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options<'a>(endpoint: &'a str, headers: Option<&'a str>) -> ExporterOptions<'a> {
        let sampler = Sampler { is_parent_based: true, ratio: 1.0 };
        ExporterOptions { endpoint, headers, service_name: None, service_version: "1", sampler }
    }

    #[test]
    fn what_cannot_work_is_said_at_the_start() {
        for endpoint in ["", "collector:4318", "grpc://collector:4317", "ftp://collector"] {
            assert!(matches!(Exporter::new(&options(endpoint, None)), Err(ExporterError::Endpoint)), "{endpoint}");
        }
        let endpoint = "http://127.0.0.1:4318/v1/traces";
        assert!(matches!(Exporter::new(&options(endpoint, Some("secret"))), Err(ExporterError::Headers)));
        assert!(Exporter::new(&options(endpoint, Some("authorization=Bearer%20x, a=b,"))).is_ok());
    }

    #[test]
    fn spans_are_those_of_relive_unless_it_is_given_another_name() {
        let name = |service_name| {
            let options = ExporterOptions { service_name, ..options("http://localhost", None) };
            resource(&options).get(&"service.name".into()).map(|name| name.to_string())
        };
        assert_eq!(name(Some("runs")).as_deref(), Some("runs"));
        // Unless the environment of the tests names one.
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() && std::env::var_os("OTEL_RESOURCE_ATTRIBUTES").is_none() {
            assert_eq!(name(None).as_deref(), Some("relive"));
        }
    }
}
