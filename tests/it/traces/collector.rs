//! An endpoint for OTLP over real HTTP, which keeps the spans that it is sent.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::{self as proto, ResourceSpans};
use parking_lot::Mutex;
use prost::Message as _;
use relive::config::ServeConfig;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::harness::eventually;

/// A span, with its ids in hexadecimal digits.
#[derive(Clone, Debug)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty: it is the first.
    pub parent: String,
    pub parent_is_remote: bool,
    pub name: String,
    pub kind: i32,
    pub began: u64,
    pub ended: u64,
    pub is_error: bool,
    pub attributes: Value,
    pub service: String,
}

#[derive(Clone)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let collector = Self { address, spans: Arc::default(), keys: Arc::default() };
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        collector
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Points a server's traces here.
    pub fn configure(&self, config: &mut ServeConfig) {
        config.traces.otlp_endpoint = Some(self.url());
    }

    pub fn keys(&self) -> Vec<String> {
        self.keys.lock().clone()
    }

    pub fn all(&self) -> Vec<Span> {
        self.spans.lock().clone()
    }

    /// The spans of a trace, by the time at which they began.
    pub fn trace(&self, id: &str) -> Vec<Span> {
        let mut spans: Vec<Span> = self.all().into_iter().filter(|span| span.trace == id).collect();
        spans.sort_by_key(|span| span.began);
        spans
    }

    /// Waits until a trace has these spans, sorted by their names, and no others.
    pub async fn until(&self, trace: &str, names: &[&str]) -> Vec<Span> {
        let found = || {
            let mut found: Vec<String> = self.trace(trace).into_iter().map(|span| span.name).collect();
            found.sort();
            found
        };
        let is_whole = async || found() == names;
        let waiting = tokio::time::timeout(crate::harness::DEADLINE / 2, eventually("the trace is whole", is_whole));
        assert!(waiting.await.is_ok(), "the trace has {:?}, and not {names:?}", found());
        self.trace(trace)
    }
}

/// The one span of this name.
pub fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let first = found.next().unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    assert!(found.next().is_none(), "{name} is there twice");
    first
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    if let Some(key) = headers.get("authorization") {
        collector.keys.lock().push(key.to_str().expect("a text").to_owned());
    }
    let export = ExportTraceServiceRequest::decode(body).expect("an export");
    for ResourceSpans { resource, scope_spans, .. } in export.resource_spans {
        let resource = attributes(resource.expect("a resource").attributes);
        let service = resource["service.name"].as_str().expect("a name").to_owned();
        let spans = scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.spans.lock().extend(spans.map(|span| read(span, &service)));
    }
    StatusCode::OK
}

fn read(span: proto::Span, service: &str) -> Span {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Span {
        trace: hexadecimal(&span.trace_id),
        id: hexadecimal(&span.span_id),
        parent: hexadecimal(&span.parent_span_id),
        parent_is_remote: span.flags & 0x300 == 0x300,
        name: span.name,
        kind: span.kind,
        began: span.start_time_unix_nano,
        ended: span.end_time_unix_nano,
        is_error: span.status.is_some_and(|status| status.code == proto::status::StatusCode::Error as i32),
        attributes: attributes(span.attributes),
        service: service.to_owned(),
    }
}

fn attributes(pairs: Vec<KeyValue>) -> Value {
    let mut found = Map::new();
    for KeyValue { key, value, .. } in pairs {
        let value = match value.and_then(|value| value.value) {
            Some(Any::StringValue(text)) => json!(text),
            Some(Any::IntValue(number)) => json!(number),
            Some(Any::BoolValue(is)) => json!(is),
            Some(Any::DoubleValue(number)) => json!(number),
            other => panic!("{other:?} as an attribute"),
        };
        found.insert(key, value);
    }
    Value::Object(found)
}
