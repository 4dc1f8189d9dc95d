//! Many sessions on one socket, and the ways a socket begins and ends.

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::harness::{Socket, TestServer, answer, context};

fn subscribe(id: &str, more: Value) -> Value {
    crate::harness::merge(json!({"type": "subscribe", "sessionId": id}), &more)
}

async fn assert_error(socket: &mut Socket, code: &str, session_id: &str) {
    let error = socket.frame().await;
    assert_eq!(
        (&error["type"], &error["code"], &error["sessionId"]),
        (&json!("error"), &json!(code), &json!(session_id))
    );
    assert_eq!(error["retryable"], false);
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
}

#[tokio::test]
async fn subscribing_is_answered_before_the_first_state() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket("/ws").await;
    for (mode, first) in [("snapshot", "snapshot"), ("delta", "snapshot"), ("events", "event")] {
        socket.send(subscribe(&id, json!({"mode": mode}))).await;
        let expected = json!({"type": "subscribed", "sessionId": id, "revision": 2, "mode": mode});
        assert_eq!(socket.frame().await, expected);
        let mut frame = socket.frame().await;
        assert_eq!(frame["type"], first);
        while frame["revision"] != 2 {
            frame = socket.frame().await;
        }
        socket.send(json!({"type": "unsubscribe", "sessionId": id})).await;
    }
}

#[tokio::test]
async fn one_socket_shows_each_of_its_sessions_and_no_other() {
    let server = TestServer::start().await;
    let (first, second, third) = (server.new_session().await, server.new_session().await, server.new_session().await);
    let mut socket = server.socket("/ws").await;
    for id in [&first, &second] {
        socket.send(subscribe(id, json!({"after": 1}))).await;
        assert_eq!(socket.frame().await["type"], "subscribed");
    }
    for (revision, id) in [(2, &first), (2, &third), (2, &second), (3, &first)] {
        server.command(id, context("a", json!(revision))).await;
        if id != &third {
            let frame = socket.frame().await;
            assert_eq!((&frame["sessionId"], &frame["revision"]), (&json!(id), &json!(revision)));
        }
    }
    socket.send(json!({"type": "unsubscribe", "sessionId": first})).await;
    socket.settle().await;
    server.command(&first, context("a", json!(9))).await;
    server.command(&second, context("a", json!(9))).await;
    assert_eq!(socket.frame().await["sessionId"], json!(second), "no longer subscribed to the first");
}

#[tokio::test]
async fn an_error_carries_what_the_frame_said_of_itself_even_when_it_is_malformed() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let other = server.running_session().await;
    for path in
        ["/ws".to_owned(), format!("/ws/sessions/{id}?after=2"), format!("/ws/sessions/{id}/replay?paused=true")]
    {
        let mut socket = server.socket(&path).await;
        for frame in [
            json!({"type": "subscribe", "sessionId": "not-a-uuid"}),
            json!({"type": "unsubscribe", "sessionId": 7}),
            json!({"type": "command", "id": "c", "sessionId": "not-a-uuid", "command": {"type": "start"}}),
            json!({"type": "command", "id": 7, "sessionId": id, "command": {"type": "start"}}),
            json!({"type": "command", "id": "c", "sessionId": other, "command": {"type": "dance"}}),
            json!({"type": "command", "id": "c", "sessionId": other}),
            json!({"type": "dance", "id": ["c"], "sessionId": other}),
        ] {
            socket.send(frame.clone()).await;
            let error = loop {
                let answer = socket.frame().await;
                if answer["type"] == "error" {
                    break answer;
                }
            };
            assert_eq!(error["sessionId"], frame["sessionId"], "{path}: {error}");
            assert_eq!(error["id"], frame["id"], "{path}: {error}");
        }
    }
    // On a socket for one session a frame may leave that out.
    let mut replay = server.socket(&format!("/ws/sessions/{id}/replay?paused=true")).await;
    replay.send(json!({"type": "subscribe", "sessionId": other})).await;
    replay.send(json!({"type": "replay", "action": "dance"})).await;
    for expected in [&other, &id] {
        let error = loop {
            let answer = replay.frame().await;
            if answer["type"] == "error" {
                break answer;
            }
        };
        assert_eq!(error["sessionId"], json!(expected), "{error}");
    }
}

#[tokio::test]
async fn subscribing_again_replaces_the_subscription() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket("/ws").await;
    for mode in ["snapshot", "events", "delta"] {
        socket.send(subscribe(&id, json!({"mode": mode, "after": 2}))).await;
        assert_eq!(socket.frame().await["mode"], mode);
    }
    server.command(&id, context("a", json!(1))).await;
    assert_eq!(socket.frame().await["type"], "delta");
    socket.settle().await;
    socket.send(json!({"type": "unsubscribe", "sessionId": id})).await;
    socket.settle().await;
    socket.send(subscribe(&id, json!({"mode": "events", "after": 1}))).await;
    assert_eq!(socket.frame().await["revision"], 3);
    assert_eq!(
        (socket.frame().await["revision"].clone(), socket.frame().await["revision"].clone()),
        (json!(2), json!(3))
    );
}

#[tokio::test]
async fn an_unknown_session_is_an_error_that_names_it_and_the_socket_goes_on() {
    let server = TestServer::start().await;
    let (id, unknown) = (server.running_session().await, Uuid::now_v7().to_string());
    let mut socket = server.socket("/ws").await;
    socket.send(subscribe(&unknown, json!({}))).await;
    assert_error(&mut socket, "not_found", &unknown).await;
    socket.send(json!({"type": "unsubscribe", "sessionId": unknown})).await;
    socket.send(subscribe(&id, json!({}))).await;
    assert_eq!(socket.frame().await["type"], "subscribed");
}

#[tokio::test]
async fn a_socket_outlives_the_sessions_on_it() {
    let server = TestServer::start().await;
    let (first, second) = (server.running_session().await, server.running_session().await);
    let mut socket = server.socket("/ws").await;
    socket.send(subscribe(&first, json!({"after": 2}))).await;
    socket.frame_of("subscribed").await;
    server.command(&first, json!({"type": "stop"})).await;
    assert_eq!(socket.frame().await["session"]["status"], "failed");
    let end = json!({"type": "end", "sessionId": first, "status": "failed", "revision": 3});
    assert_eq!(socket.frame().await, end);
    socket.settle().await;
    socket.send(subscribe(&second, json!({}))).await;
    assert_eq!(socket.frame().await["sessionId"], json!(second));
    let mut single = server.socket(&format!("/ws/sessions/{first}")).await;
    assert_eq!(single.frame_of("end").await, end);
    single.settle().await;
}

#[tokio::test]
async fn a_closed_socket_stops_no_session() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut driver = server.socket(&format!("/ws/sessions/{id}")).await;
    driver.frame().await;
    driver.stream.close(None).await.expect("closed");
    while driver.stream.next().await.is_some() {}
    server.command(&id, context("a", json!(1))).await;
    assert_eq!(server.session(&id).await["status"], "running");
}

#[tokio::test]
async fn viewers_of_a_deleted_session_are_told() {
    let server = TestServer::start().await;
    let (id, other) = (server.running_session().await, server.running_session().await);
    let mut singles = Vec::new();
    for mode in ["snapshot", "delta", "events"] {
        let mut single = server.socket(&format!("/ws/sessions/{id}?mode={mode}&after=1")).await;
        single.frame().await;
        singles.push(single);
    }
    let mut many = server.socket("/ws").await;
    many.send(subscribe(&id, json!({"after": 2}))).await;
    many.send(subscribe(&other, json!({"after": 2}))).await;
    assert_eq!(
        (many.frame().await["type"].clone(), many.frame().await["type"].clone()),
        (json!("subscribed"), json!("subscribed"))
    );
    let (status, _) = server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
    assert_eq!(status, 204);
    for mut single in singles {
        assert_error(&mut single, "not_found", &id).await;
        assert_eq!(single.close_code().await, 4504);
    }
    assert_error(&mut many, "not_found", &id).await;
    server.command(&other, context("a", json!(1))).await;
    assert_eq!(many.frame().await["sessionId"], json!(other));
}

#[tokio::test]
async fn a_socket_for_no_session_says_so_and_is_not_to_come_back() {
    let server = TestServer::start().await;
    for id in [Uuid::now_v7().to_string(), "no-uuid".to_owned(), "%00".to_owned(), "%FF".to_owned()] {
        let mut socket = server.socket(&format!("/ws/sessions/{id}")).await;
        let error = socket.frame().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("not_found")), "{id}");
        assert_eq!(socket.close_code().await, 4504, "{id}");
    }
}

#[tokio::test]
async fn a_socket_that_asks_for_what_there_is_not_is_not_to_come_back() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for query in
        ["mode=video", "mode=Snapshot", "after=-1", "after=x", "minIntervalMs=1.5", "messages=maybe", "mode=%FF"]
    {
        let mut socket = server.socket(&format!("/ws/sessions/{id}?{query}")).await;
        let error = socket.frame().await;
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("bad_request")), "{query}");
        crate::harness::assert_no_internals(&error.to_string());
        assert_eq!(socket.close_code().await, 4501, "{query}");
    }
}

#[tokio::test]
async fn pings_are_answered() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for path in ["/ws".to_owned(), format!("/ws/sessions/{id}?after=2"), "/ws/sessions?status=failed".to_owned()] {
        let mut socket = server.socket(&path).await;
        if path.contains('=') && path.contains("status") {
            assert_eq!(socket.frame().await["type"], "sessions");
        }
        socket.settle().await;
        socket.stream.send(Message::Ping("are you there".into())).await.expect("sent");
        let answer = tokio::time::timeout(crate::harness::DEADLINE, socket.stream.next()).await.expect("in time");
        assert_eq!(answer.expect("open").expect("a frame"), Message::Pong("are you there".into()), "{path}");
    }
}

#[tokio::test]
async fn a_plain_request_to_a_socket_address_is_told_to_upgrade() {
    let server = TestServer::start().await;
    for path in ["/ws", "/ws/sessions", "/ws/sessions/0198c0de-0000-7000-8000-000000000001"] {
        let version_8 =
            server.request(Method::GET, path).header("connection", "upgrade").header("upgrade", "websocket");
        let version_8 =
            version_8.header("sec-websocket-version", "8").header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
        for request in [server.request(Method::GET, path), version_8] {
            let response = request.send().await.expect("an answer");
            let header =
                |name: &str| response.headers().get(name).map(|value| value.to_str().expect("a text").to_owned());
            let (upgrade, connection) = (header("upgrade"), header("connection"));
            assert_eq!((upgrade.as_deref(), connection.as_deref()), (Some("websocket"), Some("upgrade")), "{path}");
            assert_eq!(header("sec-websocket-version").as_deref(), Some("13"), "{path}");
            assert_eq!(response.status(), 426);
            let problem: Value = response.json().await.expect("JSON");
            assert_eq!(problem["code"], "bad_request", "{path}");
        }
    }
}

#[tokio::test]
async fn a_server_without_room_refuses_one_socket_more_until_another_leaves() {
    let server = TestServer::start_with(|config| config.max_sockets = 1).await;
    let first = server.socket("/ws").await;
    let upgrade = || {
        let request = server.request(Method::GET, "/ws").header("connection", "upgrade").header("upgrade", "websocket");
        request.header("sec-websocket-version", "13").header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
    };
    let (status, problem) = answer(upgrade()).await;
    assert_eq!((status.as_u16(), &problem["code"], &problem["retryable"]), (503, &json!("unavailable"), &json!(true)));
    drop(first);
    crate::harness::eventually("room for one more", async || {
        upgrade().send().await.is_ok_and(|answer| answer.status() == 101)
    })
    .await;
}
