//! How streams end other than with their session: deletion, credentials, shutdown.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::access::support::{call, id_of, key, make, server, token};
use crate::harness::{Event, EventSource, Part, TestServer};

async fn open(server: &TestServer, token: &str, path: &str) -> EventSource {
    EventSource::open(server.request(Method::GET, path).bearer_auth(token)).await
}

/// The stream must end with this error.
async fn error(stream: &mut EventSource, code: &str) -> Event {
    let event = stream.event_of("error").await;
    assert_eq!((&event.data["code"], event.id.as_deref()), (&json!(code), None), "{event:?}");
    assert_eq!(stream.part().await, Part::End);
    event
}

#[tokio::test]
async fn the_stream_of_a_deleted_session_ends() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let path = format!("/api/v1/sessions/{id}/stream");
    let mut stream = server.stream(&path).await;
    stream.event_of("snapshot").await;
    let (status, _) = server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(error(&mut stream, "not_found").await.data["sessionId"], json!(id));
    server.refused(Method::GET, &path, None, "not_found").await;
}

#[tokio::test]
async fn a_revoked_key_ends_its_streams() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let made = make(&server, &admin, "/api/v1/keys", json!({"name": "k", "role": "viewer"})).await;
    let viewer = made["key"].as_str().expect("a key");
    let mut session = open(&server, viewer, &format!("/api/v1/sessions/{id}/stream")).await;
    let mut list = open(&server, viewer, "/api/v1/sessions/stream").await;
    session.event_of("snapshot").await;
    list.event_of("sessions").await;
    let path = format!("/api/v1/keys/{}", id_of(&made));
    assert_eq!(call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    error(&mut session, "unauthorized").await;
    error(&mut list, "unauthorized").await;
}

#[tokio::test]
async fn a_token_expires_with_a_warning() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let body = json!({"scopes": ["read:sessions"], "expiresInSeconds": 3});
    let made = make(&server, &admin, "/api/v1/tokens", body).await;
    let token = made["token"].as_str().expect("a token");
    let path = format!("/api/v1/sessions/{id}/stream");
    let mut stream = open(&server, token, &path).await;
    let warning = stream.event_of("expiring").await;
    assert!(warning.data["expiresAt"].is_string() && warning.id.is_none(), "{warning:?}");
    error(&mut stream, "unauthorized").await;
    assert_eq!(call(&server, token, Method::GET, &path, None).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_that_loses_its_tag_is_not_shown_any_more() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({"tags": ["open"]})).await);
    let guest = token(&server, &admin, &["read:tags:open"]).await;
    let mut stream = open(&server, &guest, &format!("/api/v1/sessions/{id}/stream?mode=events")).await;
    stream.event_of("event").await;
    let path = format!("/api/v1/sessions/{id}/commands");
    let (status, _) = call(&server, &admin, Method::POST, &path, Some(json!({"type": "setLabels", "tags": []}))).await;
    assert_eq!(status, StatusCode::OK);
    let ended = error(&mut stream, "forbidden").await;
    assert!(!ended.data.to_string().contains("labelsSet"), "{ended:?}");
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_when_to_come_back() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut session = server.stream(&format!("/api/v1/sessions/{id}/stream")).await;
    let mut list = server.stream("/api/v1/sessions/stream").await;
    session.event_of("snapshot").await;
    list.event_of("sessions").await;
    let stopping = tokio::spawn(server.stop());
    for stream in [&mut session, &mut list] {
        let Part::Retry(retry) = stream.part().await else { panic!("no reconnection time") };
        assert!((1_000..=2_000).contains(&retry), "{retry}");
        assert_eq!(error(stream, "unavailable").await.data["retryable"], true);
    }
    stopping.await.expect("the server ends");
}
