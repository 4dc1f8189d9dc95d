//! A server with access control, and its callers.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::harness::{Socket, TestServer, eventually};

pub const ROOT: &str = "a root key of more than 24 characters";

/// A server that requires credentials, with a root key.
pub async fn server() -> TestServer {
    server_with(|_| {}).await
}

/// As [`server`], with other settings too.
pub async fn server_with(change: impl FnOnce(&mut relive::config::ServeConfig)) -> TestServer {
    TestServer::start_with(|config| {
        config.access.root_key = Some(ROOT.to_owned().into());
        // Some tests fail on purpose more often than is usual.
        config.access.limits.limit_unauthorized = 100_000;
        change(config);
    })
    .await
}

/// Another one on the same database.
pub async fn second(server: &TestServer) -> TestServer {
    let second = TestServer::start_on(server.database.clone(), |config| {
        config.access.root_key = Some(ROOT.to_owned().into());
    });
    second.await
}

/// Sends a request as a caller; without a token as nobody.
pub async fn call(
    server: &TestServer,
    token: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let mut request = server.request(method, path);
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status();
    if response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        // It does not end by itself.
        return (status, Value::Null);
    }
    let bytes = response.bytes().await.expect("a body");
    // Some answers are no JSON: metrics, exports, pages.
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

pub async fn get(server: &TestServer, token: &str, path: &str) -> (StatusCode, Value) {
    call(server, token, Method::GET, path, None).await
}

pub async fn post(server: &TestServer, token: &str, path: &str, body: Value) -> (StatusCode, Value) {
    call(server, token, Method::POST, path, Some(body)).await
}

/// Creates something that must be created; returns the answer.
pub async fn make(server: &TestServer, token: &str, path: &str, body: Value) -> Value {
    let (status, made) = post(server, token, path, body).await;
    assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
    made
}

pub fn id_of(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_owned()
}

/// A new key of a project.
pub async fn key(server: &TestServer, role: &str, project: &str) -> String {
    let body = json!({"name": role, "role": role, "project": project});
    make(server, ROOT, "/api/v1/keys", body).await["key"].as_str().expect("a key").to_owned()
}

/// A new token with these scopes, given by a key of an admin of `default`.
pub async fn token(server: &TestServer, issuer: &str, scopes: &[&str]) -> String {
    let made = make(server, issuer, "/api/v1/tokens", json!({"scopes": scopes})).await;
    made["token"].as_str().expect("a token").to_owned()
}

/// Opens a socket as a caller.
pub async fn socket(server: &TestServer, token: &str, path: &str) -> Socket {
    let mut request = format!("ws://{}{path}", server.address()).into_client_request().expect("a request");
    if !token.is_empty() {
        let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header");
        request.headers_mut().insert("authorization", value);
    }
    let (stream, _) = connect_async(request).await.expect("a WebSocket");
    Socket { stream }
}

/// Waits until the audit log has these actions; returns it.
pub async fn recorded(server: &TestServer, admin: &str, actions: &[&str]) -> Value {
    let read = async || get(server, admin, "/api/v1/audit?limit=1000").await.1;
    let has_all = async || {
        let log = read().await;
        let found = |action: &&&str| {
            log["entries"].as_array().is_some_and(|all| all.iter().any(|one| one["action"] == **action))
        };
        actions.iter().filter(found).count() == actions.len()
    };
    eventually("the audit log has the actions", has_all).await;
    read().await
}
