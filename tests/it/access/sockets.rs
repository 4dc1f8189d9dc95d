//! Credentials of sockets: how they come, that they are replaced, expire, and are revoked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::support::{ROOT, call, id_of, key, make, server, socket, token};
use crate::harness::{Socket, TestServer};

async fn with_header(server: &TestServer, name: &'static str, value: &str) -> (Socket, Option<String>) {
    let mut request = format!("ws://{}/ws", server.address()).into_client_request().expect("a request");
    request.headers_mut().insert(name, value.parse().expect("a value"));
    let origin = format!("http://{}", server.address());
    request.headers_mut().insert("origin", origin.parse().expect("a value"));
    let (stream, response) = connect_async(request).await.expect("a WebSocket");
    let protocol =
        response.headers().get("sec-websocket-protocol").map(|value| value.to_str().expect("text").to_owned());
    (Socket { stream }, protocol)
}

#[tokio::test]
async fn a_browser_sends_its_token_as_a_subprotocol_or_a_cookie() {
    let server = server().await;
    let viewer = key(&server, "viewer", "default").await;
    let offered = format!("relive.v1, base64url.bearer.relive.{}", URL_SAFE_NO_PAD.encode(&viewer));
    let (mut socket, chosen) = with_header(&server, "sec-websocket-protocol", &offered).await;
    assert_eq!(chosen.as_deref(), Some("relive.v1"), "and nothing of the token");
    socket.settle().await;

    let (mut refused, chosen) = with_header(&server, "sec-websocket-protocol", "relive.v1").await;
    assert_eq!(chosen.as_deref(), Some("relive.v1"));
    assert_eq!(refused.frame().await["code"], "unauthorized");
    assert_eq!(refused.close_code().await, 4500);

    let request = server.request(Method::POST, "/api/v1/sign-in").bearer_auth(&viewer);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()["set-cookie"].to_str().expect("text").to_owned();
    for part in ["relive_session=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "not without TLS");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let (mut socket, _) = with_header(&server, "cookie", &pair).await;
    socket.settle().await;
    let out = server.request(Method::DELETE, "/api/v1/sign-in").header("cookie", &pair);
    let origin = format!("http://{}", server.address());
    assert_eq!(out.header("origin", origin).send().await.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(socket.close_code().await, 4500, "signed out");
    let again = server.request(Method::GET, "/api/v1/me").header("cookie", &pair);
    assert_eq!(again.send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_revoked_key_closes_its_sockets_and_those_of_its_tokens_on_every_server() {
    let server = server().await;
    let second = TestServer::start_on(server.database.clone(), |config| {
        config.access.root_key = Some(ROOT.to_owned().into());
    });
    let second = second.await;
    let made = make(&server, ROOT, "/api/v1/keys", json!({"name": "k", "role": "admin"})).await;
    let issuer = made["key"].as_str().expect("a key");
    let given = token(&server, issuer, &["read:sessions"]).await;
    let mut sockets = Vec::new();
    for server in [&server, &second] {
        for credential in [issuer, &given] {
            let mut socket = socket(server, credential, "/ws").await;
            socket.settle().await;
            sockets.push(socket);
        }
    }
    let path = format!("/api/v1/keys/{}", id_of(&made));
    assert_eq!(call(&server, ROOT, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    for socket in &mut sockets {
        assert_eq!(socket.close_code().await, 4500);
    }
    for credential in [issuer, &given] {
        for server in [&server, &second] {
            assert_eq!(super::support::get(server, credential, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
        }
    }
}

#[tokio::test]
async fn a_token_expires_with_a_warning_and_can_be_replaced_before() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let session = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let give = async |seconds: u64| {
        let body = json!({"scopes": ["read:sessions"], "expiresInSeconds": seconds});
        let made = make(&server, &admin, "/api/v1/tokens", body).await;
        made["token"].as_str().expect("a token").to_owned()
    };
    // The warning comes 20 s before, so here at once.
    let mut kept = socket(&server, &give(19).await, "/ws").await;
    let expiring = kept.frame_of("expiring").await;
    assert!(expiring["expiresAt"].is_string(), "{expiring}");
    kept.send(json!({"type": "subscribe", "sessionId": session})).await;
    kept.frame_of("snapshot").await;

    kept.send(json!({"type": "auth", "token": "rlv_nonsense"})).await;
    assert_eq!(kept.frame().await["code"], "unauthorized", "and the old one stays");
    let longer = token(&server, &admin, &[&format!("read:sessions:{session}")]).await;
    kept.send(json!({"type": "auth", "token": longer})).await;
    let answer = kept.frame().await;
    assert_eq!((&answer["type"], &answer["project"]), (&json!("authenticated"), &json!("default")), "{answer}");
    assert_eq!(answer["scopes"], json!([format!("read:sessions:{session}")]));
    assert!(answer["expiresAt"].is_string() && answer.get("role").is_none(), "{answer}");

    let mut left = socket(&server, &give(5).await, "/ws").await;
    assert_eq!(left.close_code().await, 4401);
    super::support::post(&server, &admin, &format!("/api/v1/sessions/{session}/control"), json!({"action": "start"}))
        .await;
    assert_eq!(kept.frame_of("snapshot").await["session"]["status"], "running");

    // What a narrower token does not grant is ended.
    let other = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let narrow = token(&server, &admin, &[&format!("read:sessions:{other}")]).await;
    kept.send(json!({"type": "auth", "token": narrow})).await;
    kept.frame_of("authenticated").await;
    let ended = kept.frame_of("error").await;
    assert_eq!((&ended["code"], &ended["sessionId"]), (&json!("forbidden"), &json!(session)), "{ended}");
}
