//! The limits of callers.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{ROOT, call, get, id_of, key, make, post, socket};
use crate::harness::TestServer;

async fn limited(change: impl FnOnce(&mut relive::config::LimitConfig)) -> TestServer {
    TestServer::start_with(|config| {
        config.access.root_key = Some(ROOT.to_owned().into());
        change(&mut config.access.limits);
    })
    .await
}

#[tokio::test]
async fn requests_of_one_key_are_limited_and_those_of_others_are_not() {
    let server = limited(|limits| limits.limit_requests = Some(5)).await;
    let (one, other) = (key(&server, "viewer", "default").await, key(&server, "viewer", "default").await);
    let mut refused = None;
    for _ in 0..50 {
        let request = server.request(Method::GET, "/api/v1/me").bearer_auth(&one);
        let response = request.send().await.expect("an answer");
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("a limit");
    let seconds: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((1..=2).contains(&seconds));
    let problem: serde_json::Value = refused.json().await.expect("a problem");
    assert_eq!((&problem["code"], &problem["retryable"]), (&json!("rate_limited"), &json!(true)));
    assert_eq!(get(&server, &other, "/api/v1/me").await.0, StatusCode::OK);
}

#[tokio::test]
async fn commands_beyond_the_rate_are_refused_and_whoever_goes_on_is_closed() {
    let server = limited(|limits| limits.limit_commands = Some(3)).await;
    let engine = key(&server, "engine", "default").await;
    let session = id_of(&make(&server, &engine, "/api/v1/sessions", json!({})).await);
    let mut socket = socket(&server, &engine, "/ws").await;
    for number in 0..150 {
        let command = json!({"type": "setContext", "key": "k", "value": number});
        let frame = json!({"type": "command", "id": number.to_string(), "sessionId": session, "command": command});
        socket.send(frame).await;
    }
    let refused = socket.frame_of("error").await;
    assert_eq!((&refused["code"], &refused["retryable"]), (&json!("rate_limited"), &json!(true)), "{refused}");
    assert!(refused["id"].is_string() && refused["sessionId"] == json!(session), "{refused}");
    assert_eq!(socket.close_code().await, 4429);
}

#[tokio::test]
async fn sockets_and_live_sessions_have_a_number() {
    let server = limited(|limits| {
        limits.limit_sockets = Some(2);
        limits.limit_live_sessions = Some(2);
    })
    .await;
    let admin = key(&server, "admin", "default").await;
    let mut open = vec![socket(&server, &admin, "/ws").await, socket(&server, &admin, "/ws").await];
    for socket in &mut open {
        socket.settle().await;
    }
    let mut third = socket(&server, &admin, "/ws").await;
    assert_eq!(third.frame().await["code"], "rate_limited");
    assert_eq!(third.close_code().await, 4429);

    let first = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    make(&server, &admin, "/api/v1/sessions", json!({})).await;
    let (status, problem) = post(&server, &admin, "/api/v1/sessions", json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("rate_limited")));
    let fork = format!("/api/v1/sessions/{first}/fork");
    assert_eq!(post(&server, &admin, &fork, json!({"revision": 1})).await.0, StatusCode::TOO_MANY_REQUESTS);
    assert!(call(&server, &admin, Method::DELETE, &format!("/api/v1/sessions/{first}"), None).await.0.is_success());
    make(&server, &admin, "/api/v1/sessions", json!({})).await;
}

#[tokio::test]
async fn whoever_guesses_is_not_listened_to_and_valid_keys_go_on() {
    let server = limited(|limits| limits.limit_unauthorized = 3).await;
    let viewer = key(&server, "viewer", "default").await;
    assert_eq!(get(&server, &viewer, "/api/v1/me").await.0, StatusCode::OK);
    for _ in 0..3 {
        assert_eq!(get(&server, "rlv_wrong", "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(get(&server, "rlv_wrong", "/api/v1/me").await.0, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(get(&server, &viewer, "/api/v1/me").await.0, StatusCode::OK, "a key that was valid lately");
}
