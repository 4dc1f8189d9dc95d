//! An OpenAI-compatible endpoint over real HTTP: it streams, reasons, stalls, breaks off, refuses and
//! limits, as it is told.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::stream;
use parking_lot::Mutex;
use relive::config::ServeConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What becomes of one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Streams these pieces; then the end and the usage: 10 tokens in, as many out as there are pieces.
    Say(Vec<&'static str>),
    /// As `Say`, with thinking before it.
    Think(&'static str, Vec<&'static str>),
    /// Says this much and then nothing, for ever.
    Stall(&'static str),
    /// Says this much, and the connection breaks.
    BreakOff(&'static str),
    /// An error status, with `Retry-After`.
    Status(u16, Option<&'static str>),
    /// One JSON answer instead of a stream.
    Whole(&'static str),
    /// This status and this body, whatever it is, as `text/plain`.
    Body(u16, String),
    /// As `Body`, and then nothing, for ever.
    Held(String),
}

type Answerer = dyn Fn(&Value) -> Act + Send + Sync;

#[derive(Clone)]
pub struct ModelEndpoint {
    address: SocketAddr,
    /// Taken first; when there is none, `answer` decides.
    script: Arc<Mutex<VecDeque<Act>>>,
    answer: Arc<Answerer>,
    requests: Arc<Mutex<Vec<Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
}

impl ModelEndpoint {
    /// Says "ok" to everything that is not in the script.
    pub async fn start() -> Self {
        Self::answering(|_| Act::Say(vec!["o", "k"])).await
    }

    pub async fn answering(answer: impl Fn(&Value) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (script, requests, keys) = Default::default();
        let endpoint = Self { address, script, answer: Arc::new(answer), requests, keys };
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    pub fn then(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().extend(acts);
    }

    /// The bodies of all requests so far.
    pub fn requests(&self) -> Vec<Value> {
        self.requests.lock().clone()
    }

    pub fn keys(&self) -> Vec<String> {
        self.keys.lock().clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Points a server's settings here, with little patience for silence.
    pub fn configure(&self, config: &mut ServeConfig) {
        config.engine.llm_url = Some(self.url());
        config.engine.llm_model = Some("gpt-4o-mini".to_owned());
        config.engine.llm_api_key = Some("sk-test".to_owned().into());
        config.engine.llm_silence_seconds = 2.0;
    }
}

/// The last message of a request's conversation.
pub fn asked(request: &Value) -> &str {
    request["messages"].as_array().and_then(|messages| messages.last()?["content"].as_str()).unwrap_or_default()
}

async fn complete(State(endpoint): State<ModelEndpoint>, headers: HeaderMap, Json(request): Json<Value>) -> Response {
    assert_eq!((&request["stream"], &request["stream_options"]["include_usage"]), (&json!(true), &json!(true)));
    endpoint.keys.lock().push(headers["authorization"].to_str().expect("a key").to_owned());
    endpoint.requests.lock().push(request.clone());
    let scripted = endpoint.script.lock().pop_front();
    let act = scripted.unwrap_or_else(|| (endpoint.answer)(&request));
    let model = request["model"].clone();
    match act {
        Act::Say(pieces) => streamed(model, "", &pieces, true, Ending::Ends),
        Act::Think(thinking, pieces) => streamed(model, thinking, &pieces, true, Ending::Ends),
        Act::Stall(text) => streamed(model, "", &[text], false, Ending::Stalls),
        Act::BreakOff(text) => streamed(model, "", &[text], false, Ending::Breaks),
        Act::Status(status, after) => {
            let error = json!({"error": {"message": "not now", "type": "test"}});
            let mut response = (StatusCode::from_u16(status).expect("a status"), Json(error)).into_response();
            if let Some(after) = after {
                response.headers_mut().insert(RETRY_AFTER, after.parse().expect("a header"));
            }
            response
        }
        Act::Body(status, body) => (StatusCode::from_u16(status).expect("a status"), body).into_response(),
        Act::Held(body) => {
            let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(body))]);
            Body::from_stream(futures_util::StreamExt::chain(body, stream::pending())).into_response()
        }
        Act::Whole(text) => Json(json!({
            "model": model, "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 1},
        }))
        .into_response(),
    }
}

enum Ending {
    Ends,
    Stalls,
    Breaks,
}

fn streamed(model: Value, thinking: &str, pieces: &[&str], usage: bool, ending: Ending) -> Response {
    let event =
        |delta: Value| format!("data: {}\n\n", json!({"model": model, "choices": [{"index": 0, "delta": delta}]}));
    let mut events = vec![event(json!({"role": "assistant", "content": ""}))];
    if !thinking.is_empty() {
        events.push(event(json!({"reasoning_content": thinking})));
    }
    events.extend(pieces.iter().map(|piece| event(json!({"content": piece}))));
    if usage {
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": pieces.len()}});
        events.push(format!("data: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n"));
    }
    let said = stream::iter(events.into_iter().map(|event| Ok::<_, std::io::Error>(Bytes::from(event))));
    // A pause between the pieces, so that they are seen one by one.
    let said = futures_util::StreamExt::then(said, |event| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        event
    });
    let body = match ending {
        Ending::Ends => Body::from_stream(said),
        Ending::Stalls => Body::from_stream(futures_util::StreamExt::chain(said, stream::pending())),
        Ending::Breaks => {
            // What was said must have left before.
            let broken = stream::once(async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err(std::io::Error::other("broken"))
            });
            Body::from_stream(futures_util::StreamExt::chain(said, broken))
        }
    };
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}
