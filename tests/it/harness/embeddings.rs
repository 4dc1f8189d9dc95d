//! An embeddings endpoint over real HTTP, which can be made to fail in the ways that real ones do.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use parking_lot::Mutex;
use relive::config::{EmbeddingsConfig, ServeConfig};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How the endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// Takes requests, and answers when the mood changes.
    Silent,
    NotJson,
    WrongDimension,
    Answers(u16),
    /// As good, but refuses a request with the word "poison" in any of its texts.
    Picky,
}

#[derive(Clone)]
pub struct EmbeddingsEndpoint {
    address: SocketAddr,
    /// Bound, but not listening yet: connections are refused.
    socket: Arc<Mutex<Option<Socket>>>,
    mood: Arc<watch::Sender<Mood>>,
    requests: Arc<Mutex<Vec<Vec<String>>>>,
    keys: Arc<Mutex<Vec<String>>>,
}

impl EmbeddingsEndpoint {
    /// Nobody listens at its address until [`EmbeddingsEndpoint::listen`].
    pub fn dead() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("an address");
        let address = socket.local_addr().expect("an address").as_socket().expect("an IP address");
        let socket = Arc::new(Mutex::new(Some(socket)));
        let mood = Arc::new(watch::Sender::new(Mood::Good));
        Self { address, socket, mood, requests: Arc::default(), keys: Arc::default() }
    }

    pub fn start() -> Self {
        let endpoint = Self::dead();
        endpoint.listen();
        endpoint
    }

    pub fn listen(&self) {
        let socket = self.socket.lock().take().expect("not listening yet");
        socket.listen(128).expect("listen");
        socket.set_nonblocking(true).expect("non-blocking");
        let listener = TcpListener::from_std(socket.into()).expect("a listener");
        let router = Router::new().route("/v1/embeddings", post(embed)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    pub fn become_(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// The texts of every request so far, whatever was answered.
    pub fn requests(&self) -> Vec<Vec<String>> {
        self.requests.lock().clone()
    }

    /// What was sent as `Authorization`.
    pub fn keys(&self) -> Vec<String> {
        self.keys.lock().clone()
    }

    /// Points a server's settings here.
    pub fn configure(&self, config: &mut ServeConfig) {
        config.embeddings = EmbeddingsConfig {
            embeddings_url: Some(format!("http://{}/v1", self.address)),
            embeddings_model: Some("test-model".to_owned()),
            embeddings_api_key: Some("sk-test".to_owned().into()),
            embeddings_timeout_seconds: 10.0,
        };
    }
}

async fn embed(State(endpoint): State<EmbeddingsEndpoint>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    assert_eq!(body["model"], "test-model");
    let texts: Vec<String> = serde_json::from_value(body["input"].clone()).expect("texts");
    endpoint.requests.lock().push(texts.clone());
    endpoint.keys.lock().push(headers["authorization"].to_str().expect("a key").to_owned());
    let mut mood = endpoint.mood.subscribe();
    let mood = *mood.wait_for(|mood| *mood != Mood::Silent).await.expect("the endpoint lives");
    let data = |dimension| {
        let item = |(index, text): (usize, &String)| json!({"index": index, "embedding": embedding(text, dimension)});
        // The order of an answer is not promised by the interface; the indexes are.
        texts.iter().enumerate().map(item).rev().collect::<Vec<_>>()
    };
    match mood {
        Mood::Picky if texts.iter().any(|text| text.contains("poison")) => StatusCode::BAD_REQUEST.into_response(),
        Mood::Good | Mood::Picky | Mood::Silent => Json(json!({"data": data(8)})).into_response(),
        Mood::WrongDimension => Json(json!({"data": data(7)})).into_response(),
        Mood::NotJson => "<html>gateway".into_response(),
        Mood::Answers(status) => StatusCode::from_u16(status).expect("a status").into_response(),
    }
}

/// A direction that depends on the text alone.
pub fn embedding(text: &str, dimension: usize) -> Vec<f32> {
    let number = |place: usize| {
        let mut hasher = DefaultHasher::new();
        (text, place).hash(&mut hasher);
        f32::from(u16::try_from(hasher.finish() % 2_001).expect("small")) / 1_000.0 - 1.0
    };
    (0..dimension).map(number).collect()
}
