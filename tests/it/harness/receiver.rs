//! A receiver of webhooks over real HTTP: it keeps what it is sent, and answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;

use super::eventually;

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub content_type: String,
    pub traceparent: String,
    pub tracestate: String,
    /// As it came.
    pub body: String,
    pub at: std::time::Instant,
}

impl Received {
    fn new(headers: &HeaderMap, body: &Bytes) -> Self {
        let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().expect("a text")).to_owned();
        Self {
            id: text("webhook-id"),
            timestamp: text("webhook-timestamp"),
            signature: text("webhook-signature"),
            content_type: text("content-type"),
            traceparent: text("traceparent"),
            tracestate: text("tracestate"),
            body: String::from_utf8(body.to_vec()).expect("a text"),
            at: std::time::Instant::now(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    pub fn session(&self) -> String {
        self.json()["data"]["session"]["id"].as_str().expect("an id").to_owned()
    }

    pub fn revision(&self) -> u64 {
        self.json()["data"]["revision"].as_u64().expect("a revision")
    }
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    Status(u16),
    /// With a header.
    With(u16, &'static str, String),
    /// After this time.
    Late(Duration, u16),
}

type Decide = dyn Fn(&Received) -> Answer + Send + Sync;

#[derive(Clone)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    decide: Arc<Decide>,
}

impl Receiver {
    /// Accepts everything.
    pub async fn start() -> Self {
        Self::answering(|_| Answer::Status(204)).await
    }

    pub async fn answering(decide: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let receiver = Self { address, received: Arc::default(), decide: Arc::new(decide) };
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Everything that has come, in its order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// How many requests have come.
    pub fn count(&self) -> usize {
        self.received.lock().len()
    }

    /// Waits until so many requests have come; returns all.
    pub async fn wait_for(&self, number: usize) -> Vec<Received> {
        eventually("the receiver is told", async || self.count() >= number).await;
        self.received()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    let received = Received::new(&headers, &body);
    receiver.received.lock().push(received.clone());
    let (status, header) = match (receiver.decide)(&received) {
        Answer::Status(status) => (status, None),
        Answer::With(status, name, value) => (status, Some((name, value))),
        Answer::Late(time, status) => {
            tokio::time::sleep(time).await;
            (status, None)
        }
    };
    let mut headers = HeaderMap::new();
    if let Some((name, value)) = header {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).expect("a value"));
    }
    (StatusCode::from_u16(status).expect("a status"), headers)
}
