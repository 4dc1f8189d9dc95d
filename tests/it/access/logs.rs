//! No credential is ever in a log, whatever is logged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::support::ROOT;
use crate::harness::{Database, ServerProcess, Socket, eventually};

struct Logged {
    http: reqwest::Client,
    address: std::net::SocketAddr,
}

impl Logged {
    async fn post(&self, token: &str, path: &str, body: Value) -> (Value, Option<String>) {
        let request = self.http.post(format!("http://{}/api/v1/{path}", self.address)).bearer_auth(token);
        let response = request.json(&body).send().await.expect("an answer");
        assert!(response.status().is_success(), "{path}");
        let cookie = response.headers().get("set-cookie").map(|cookie| cookie.to_str().expect("text").to_owned());
        (response.json().await.expect("JSON"), cookie)
    }

    async fn socket(&self, header: &'static str, value: String) -> Socket {
        let mut request = format!("ws://{}/ws", self.address).into_client_request().expect("a request");
        request.headers_mut().insert(header, value.parse().expect("a header"));
        let origin = format!("http://{}", self.address);
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        Socket { stream: connect_async(request).await.expect("a WebSocket").0 }
    }
}

#[tokio::test]
async fn who_revokes_a_secret_by_its_text_leaves_none_in_the_audit_log() {
    let server = super::support::server().await;
    let admin = super::support::key(&server, "admin", "default").await;
    let token = super::support::token(&server, &admin, &["read:sessions"]).await;
    for path in [format!("keys/{admin}"), format!("tokens/{token}")] {
        let path = format!("/api/v1/{path}");
        let (status, _) = super::support::call(&server, &admin, reqwest::Method::DELETE, &path, None).await;
        assert_eq!(status, 400);
    }
    let entries = async || super::support::get(&server, ROOT, "/api/v1/audit?action=revoke_token").await.1;
    eventually("it is recorded", async || !entries().await["entries"][0].is_null()).await;
    let (_, page) = super::support::get(&server, ROOT, "/api/v1/audit").await;
    assert!(page.to_string().contains("/api/v1/keys/…"), "{page}");
    assert!(!page.to_string().contains("rlv_") && !page.to_string().contains("eyJ"), "{page}");
}

#[tokio::test]
async fn no_credential_is_in_a_log_of_everything() {
    let database = Database::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log");
    let log = std::fs::File::create(&path).expect("a file");
    let url = database.url();
    let settings = [
        ("DATABASE_URL", &*url),
        ("RELIVE_EMBEDDING_DIM", "8"),
        ("RELIVE_ROOT_KEY", ROOT),
        ("RELIVE_LOG", "trace,tungstenite=trace,tungstenite::protocol=trace"),
    ];
    let server = ServerProcess::start_logging(&settings, log).await;
    let client = Logged { http: reqwest::Client::new(), address: server.address };
    let (made, _) = client.post(ROOT, "keys", json!({"name": "k", "role": "admin"})).await;
    let key = made["key"].as_str().expect("a key").to_owned();
    let (made, _) = client.post(&key, "tokens", json!({"scopes": ["read:sessions"]})).await;
    let token = made["token"].as_str().expect("a token").to_owned();
    let (_, cookie) = client.post(&token, "sign-in", Value::Null).await;
    let cookie = cookie.expect("a cookie").split(';').next().expect("a pair").to_owned();

    client.socket("authorization", format!("Bearer {key}")).await.settle().await;
    client.socket("cookie", cookie.clone()).await.settle().await;
    let encoded = URL_SAFE_NO_PAD.encode(&token);
    let mut socket =
        client.socket("sec-websocket-protocol", format!("relive.v1, base64url.bearer.relive.{encoded}")).await;
    for credential in [&token, &key, ROOT] {
        socket.send(json!({"type": "auth", "token": credential})).await;
        socket.frame_of("authenticated").await;
    }
    // Wrong ones may be right elsewhere.
    let wrong = format!("{key}x");
    socket.send(json!({"type": "auth", "token": wrong})).await;
    socket.frame_of("error").await;
    drop(socket);
    assert_eq!(server.terminate().await, Some(0));

    let log = std::fs::read_to_string(&path).expect("a log");
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "nothing was logged");
    let value = cookie.split_once('=').expect("a pair").1;
    let secret = |text: &str| text[text.len() - 20..].to_owned();
    for (name, secret) in [
        ("the root key", ROOT.to_owned()),
        ("a key", secret(&key)),
        ("a token", secret(&token)),
        ("a token of a subprotocol", secret(&encoded)),
        ("a cookie", secret(value)),
    ] {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{name} is in the log");
    }
}
