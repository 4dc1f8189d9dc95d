//! The limits of callers.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::support::{ROOT, call, get, id_of, key, make, post, socket, token};
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
async fn what_was_accepted_before_a_connection_is_ended_is_answered() {
    let server = limited(|limits| limits.limit_commands = Some(20)).await;
    let engine = key(&server, "engine", "default").await;
    let session = id_of(&make(&server, &engine, "/api/v1/sessions", json!({})).await);
    let mut socket = socket(&server, &engine, "/ws").await;
    for number in 0..300 {
        let command = json!({"type": "setContext", "key": "k", "value": number});
        let frame = json!({"type": "command", "id": number.to_string(), "sessionId": session, "command": command});
        socket.send(frame).await;
    }
    let (mut acknowledged, mut refused) = (0, 0);
    let code = loop {
        match socket.message().await {
            Message::Text(text) if text.contains(r#""type":"ack""#) => acknowledged += 1,
            Message::Text(_) => refused += 1,
            Message::Close(frame) => break frame.map(|frame| u16::from(frame.code)),
            _ => {}
        }
    };
    assert_eq!(code, Some(4429));
    let (_, held) = get(&server, &engine, &format!("/api/v1/sessions/{session}")).await;
    assert_eq!(json!(acknowledged + 1), held["revision"], "{refused} refused");
}

/// Every way to send commands over HTTP.
const COMMANDS: [(&str, &str, &str); 6] = [
    ("POST", "commands", r#"{"type": "setContext", "key": "k", "value": 1}"#),
    ("POST", "commands", r#"[{"type": "setContext", "key": "k", "value": 1}]"#),
    ("POST", "control", r#"{"action": "start"}"#),
    ("POST", "signal", r#"{"nodeId": "n", "payload": 1}"#),
    ("POST", "review", r#"{"nodeId": "n", "action": "approve"}"#),
    ("PUT", "nodes/n", r#"{"status": "running"}"#),
];

#[tokio::test]
async fn commands_over_http_count_whatever_their_address() {
    let server = limited(|limits| limits.limit_commands = Some(1)).await;
    let admin = key(&server, "admin", "default").await;
    let session = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    for (method, path, body) in COMMANDS {
        let method: Method = method.parse().expect("a method");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let path = format!("/api/v1/sessions/{session}/{path}");
        // Each has a second's worth of its own.
        let engine = key(&server, "admin", "default").await;
        let mut statuses = Vec::new();
        while statuses.len() < 200 && statuses.last() != Some(&StatusCode::TOO_MANY_REQUESTS) {
            statuses.push(call(&server, &engine, method.clone(), &path, Some(body.clone())).await.0);
        }
        assert_ne!(statuses[0], StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS), "{path} is not counted");
    }
}

#[tokio::test]
async fn an_array_counts_with_its_length() {
    let server = limited(|limits| limits.limit_commands = Some(10)).await;
    let engine = key(&server, "engine", "default").await;
    let session = id_of(&make(&server, &engine, "/api/v1/sessions", json!({})).await);
    let path = format!("/api/v1/sessions/{session}/commands");
    let command = json!({"type": "setContext", "key": "k", "value": 1});
    // Far more than a second's worth: carried out, and to be paid back within 99 s.
    assert_eq!(post(&server, &engine, &path, json!(vec![command.clone(); 1_000])).await.0, StatusCode::OK);
    let request = server.request(Method::POST, &path).bearer_auth(&engine).json(&command);
    let refused = request.send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((60..=100).contains(&seconds), "{seconds}");
    // What the key gives counts as the key.
    let given = token(&server, &engine, &[&format!("write:sessions:{session}")]).await;
    assert_eq!(post(&server, &given, &path, command.clone()).await.0, StatusCode::TOO_MANY_REQUESTS);
    let mut socket = socket(&server, &given, "/ws").await;
    socket.send(json!({"type": "command", "id": "c", "sessionId": session, "command": command})).await;
    assert_eq!(socket.frame_of("error").await["code"], "rate_limited");
}

#[tokio::test]
async fn live_sessions_have_a_number_however_many_are_created_at_once() {
    const LIMIT: usize = 7;
    let server = limited(|limits| limits.limit_live_sessions = Some(u32::try_from(LIMIT).expect("a number"))).await;
    let admin = key(&server, "admin", "default").await;
    let ended = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let control = format!("/api/v1/sessions/{ended}/control");
    let export = server.request(Method::GET, &format!("/api/v1/sessions/{ended}/export")).bearer_auth(&admin);
    let live_file = export.send().await.expect("an answer").text().await.expect("a file");
    assert_eq!(post(&server, &admin, &control, json!({"action": "start"})).await.0, StatusCode::OK);
    assert_eq!(post(&server, &admin, &control, json!({"action": "complete"})).await.0, StatusCode::OK);
    let export = server.request(Method::GET, &format!("/api/v1/sessions/{ended}/export")).bearer_auth(&admin);
    let ended_file = export.send().await.expect("an answer").text().await.expect("a file");

    // A third of them created, forked and imported each.
    let requests = (0..90).map(|number| {
        let (path, body) = match number % 3 {
            0 => ("/api/v1/sessions".to_owned(), "{}".to_owned()),
            1 => (format!("/api/v1/sessions/{ended}/fork"), r#"{"revision": 1}"#.to_owned()),
            _ => ("/api/v1/sessions/import?newId=true".to_owned(), live_file.clone()),
        };
        let request = server.request(Method::POST, &path).bearer_auth(&admin).body(body);
        let request = request.header("content-type", if number % 3 == 2 { NDJSON } else { "application/json" });
        async move { request.send().await.expect("an answer").status() }
    });
    let statuses = futures_util::future::join_all(requests).await;
    let created = statuses.iter().filter(|status| **status == StatusCode::CREATED).count();
    assert_eq!(created, LIMIT, "{statuses:?}");
    // Eight imports are received at a time; the others are told to come again.
    let is_refused = |status: &StatusCode| {
        matches!(*status, StatusCode::CREATED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    };
    assert!(statuses.iter().all(is_refused), "{statuses:?}");

    // One that has ended takes no place.
    let import = async |file: &str| {
        let request = server.request(Method::POST, "/api/v1/sessions/import?newId=true").bearer_auth(&admin);
        let request = request.header("content-type", NDJSON).body(file.to_owned());
        request.send().await.expect("an answer").status()
    };
    assert_eq!(import(&live_file).await, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(import(&ended_file).await, StatusCode::CREATED);
}

const NDJSON: &str = "application/x-ndjson";

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
