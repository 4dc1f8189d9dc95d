//! Commands over a WebSocket: each is answered once, after its events are durable.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Socket, TestServer, context, merge, node};

fn command(id: &str, session: &str, command: Value) -> Value {
    json!({"type": "command", "id": id, "sessionId": session, "command": command})
}

fn ack(id: &str, session: &str, revision: u64) -> Value {
    json!({"type": "ack", "id": id, "sessionId": session, "revision": revision})
}

/// Sends a frame that must be refused with this code.
async fn refused(socket: &mut Socket, frame: Value, code: &str) {
    socket.send(frame.clone()).await;
    let error = socket.frame().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{frame} {error}");
    assert_eq!((&error["id"], &error["sessionId"]), (&frame["id"], &frame["sessionId"]));
    assert_eq!(error["retryable"], false);
}

#[tokio::test]
async fn a_command_is_acknowledged_with_the_revision_it_led_to() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut socket = server.socket("/ws").await;
    for (revision, what) in [(2, json!({"type": "start"})), (3, node("a", "running")), (3, node("a", "running"))] {
        socket.send(command("same id, why not", &id, what)).await;
        assert_eq!(socket.frame().await, ack("same id, why not", &id, revision));
        assert_eq!(server.session(&id).await["revision"], revision);
    }
}

/// All or nothing: the client has to know which of them it was.
#[tokio::test]
async fn what_is_refused_in_an_array_is_named_by_its_index() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/commands");
    let long = context(&"k".repeat(1025), json!(1));
    for (commands, code, index) in [
        (json!([node("a", "running"), {"type": "pause"}, {"type": "pause"}]), "illegal_transition", "[2]: "),
        (json!([node("a", "running"), {"type": "complete"}]), "nodes_active", "[1]: "),
        (json!([context("k", json!(1)), long, long]), "too_large", "[1]: "),
        (json!([{"type": "signal", "nodeId": "a", "payload": 1}, {"type": "pause"}]), "not_waiting", "[0]: "),
        // Also if it is the only one.
        (json!([{"type": "resume"}]), "illegal_transition", "[0]: "),
    ] {
        let problem = server.refused(Method::POST, &path, Some(commands.clone()), code).await;
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.starts_with(index)), "{problem}");
        let mut socket = server.socket("/ws").await;
        socket.send(json!({"type": "command", "id": "c", "sessionId": id, "commands": commands})).await;
        let error = socket.frame().await;
        assert_eq!((&error["id"], &error["code"]), (&json!("c"), &json!(code)), "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.starts_with(index)), "{error}");
    }
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn refusals_carry_their_code_and_change_nothing() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": crate::harness::chain(&["a", "b"])})).await;
    let mut socket = server.socket("/ws").await;
    refused(&mut socket, command("1", &id, json!({"type": "pause"})), "illegal_transition").await;
    refused(&mut socket, command("2", &id, node("a", "running")), "illegal_transition").await;
    server.command(&id, json!([{"type": "start"}, node("a", "running")])).await;
    refused(&mut socket, command("3", &id, json!({"type": "complete"})), "nodes_active").await;
    refused(&mut socket, command("4", &id, node("nowhere", "running")), "unknown_node").await;
    refused(&mut socket, command("5", &id, node("b", "suspended")), "illegal_transition").await;
    refused(&mut socket, command("6", &id, json!({"type": "signal", "nodeId": "b", "payload": 1})), "not_waiting")
        .await;
    server.command(&id, json!({"type": "signal", "nodeId": "a", "payload": 1})).await;
    refused(
        &mut socket,
        command("7", &id, json!({"type": "signal", "nodeId": "nowhere", "payload": 1})),
        "unknown_node",
    )
    .await;
    let unknown = Uuid::now_v7().to_string();
    refused(&mut socket, command("8", &unknown, json!({"type": "start"})), "not_found").await;
    refused(&mut socket, command("9", &id, json!({"type": "dance"})), "bad_request").await;
    refused(&mut socket, command("10", &id, json!({"type": "fail"})), "bad_request").await;
    assert_eq!(server.session(&id).await["revision"], 4);
}

#[tokio::test]
async fn a_repeated_command_id_is_answered_as_the_first_time_and_done_once() {
    let server = TestServer::start().await;
    let (id, other) = (server.running_session().await, server.running_session().await);
    let mut socket = server.socket("/ws").await;
    let first = merge(command("a", &id, context("n", json!(1))), &json!({"commandId": "once"}));
    socket.send(first.clone()).await;
    assert_eq!(socket.frame().await, ack("a", &id, 3));
    server.command(&id, context("n", json!(2))).await;
    // Also from another connection, as another command, under a revision that is no longer.
    for (frame, again) in [
        ("b", json!({})),
        ("c", json!({"command": {"type": "pause", "key": null, "value": null}})),
        ("d", json!({"expectedRevision": 2})),
    ] {
        let mut another = server.socket("/ws").await;
        another.send(merge(merge(first.clone(), &again), &json!({"id": frame}))).await;
        let expected = merge(ack(frame, &id, 3), &json!({"duplicate": true}));
        assert_eq!(another.frame().await, expected);
    }
    socket.send(merge(first, &json!({"sessionId": other}))).await;
    assert_eq!(socket.frame().await, ack("a", &other, 3), "an id counts for one session");
    assert_eq!(server.events(&id).await.len(), 4);
    // Over HTTP and after a restart the id is still known.
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let request = server.request(reqwest::Method::POST, &format!("/api/v1/sessions/{id}/commands"));
    let request = request.header("idempotency-key", "once").json(&context("n", json!(1)));
    let (status, receipt) = crate::harness::answer(request).await;
    assert_eq!((status.as_u16(), receipt), (200, json!({"revision": 3, "duplicate": true})));
}

#[tokio::test]
async fn repetitions_in_flight_at_once_are_done_once() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut sockets = [server.socket("/ws").await, server.socket("/ws").await];
    for round in 0..20 {
        let frame =
            merge(command("x", &id, context("n", json!(round))), &json!({"commandId": format!("round {round}")}));
        for socket in &mut sockets {
            socket.send(frame.clone()).await;
            socket.send(frame.clone()).await;
        }
    }
    let mut firsts = 0;
    for socket in &mut sockets {
        for _ in 0..40 {
            let answer = socket.frame().await;
            assert_eq!(answer["type"], "ack");
            firsts += usize::from(answer["duplicate"].is_null());
        }
    }
    assert_eq!((firsts, server.events(&id).await.len()), (20, 22));
}

#[tokio::test]
async fn an_expected_revision_that_is_no_longer_is_refused() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket("/ws").await;
    let expecting =
        |revision: u64| merge(command("x", &id, context("n", json!(revision))), &json!({"expectedRevision": revision}));
    for wrong in [0, 1, 3, u64::MAX] {
        refused(&mut socket, expecting(wrong), "revision_conflict").await;
    }
    socket.send(expecting(2)).await;
    assert_eq!(socket.frame().await, ack("x", &id, 3));
    refused(&mut socket, expecting(2), "revision_conflict").await;
    // Of many that expect the same, one wins.
    for _ in 0..10 {
        socket.send(expecting(3)).await;
    }
    let mut acked = 0;
    for _ in 0..10 {
        acked += usize::from(socket.frame().await["type"] == "ack");
    }
    assert_eq!((acked, server.session(&id).await["revision"].as_u64()), (1, Some(4)));
}

#[tokio::test]
async fn several_commands_are_carried_out_all_or_not_at_all() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket("/ws").await;
    let several = |commands: Value| json!({"type": "command", "id": "x", "sessionId": id, "commands": commands});
    socket.send(several(json!([node("a", "running"), node("a", "completed"), context("k", json!(1))]))).await;
    assert_eq!(socket.frame().await, ack("x", &id, 5));
    let last_is_wrong = json!([context("k", json!(2)), node("b", "running"), {"type": "complete"}]);
    refused(&mut socket, several(last_is_wrong), "nodes_active").await;
    let last_is_unknown = json!([context("k", json!(2)), {"type": "dance"}]);
    refused(&mut socket, several(last_is_unknown), "bad_request").await;
    let after_the_end = json!([{"type": "complete"}, context("k", json!(2))]);
    refused(&mut socket, several(after_the_end), "illegal_transition").await;
    let too_many: Vec<Value> = (0..1_001).map(|n| context("k", json!(n))).collect();
    refused(&mut socket, several(json!(too_many)), "too_large").await;
    let session = server.session(&id).await;
    assert_eq!(
        (&session["revision"], &session["contextData"], &session["nodes"]["b"]),
        (&json!(5), &json!({"k": 1}), &Value::Null)
    );
}

#[tokio::test]
async fn a_frame_holds_either_one_command_or_several() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut socket = server.socket("/ws").await;
    let start = json!({"type": "start"});
    refused(&mut socket, json!({"type": "command", "id": "x", "sessionId": id}), "bad_request").await;
    let both = json!({"type": "command", "id": "x", "sessionId": id, "command": start, "commands": [start]});
    refused(&mut socket, both, "bad_request").await;
    refused(&mut socket, json!({"type": "command", "id": "x", "sessionId": id, "commands": []}), "bad_request").await;
    refused(&mut socket, json!({"type": "command", "id": "x", "sessionId": id, "command": [start]}), "bad_request")
        .await;
    assert_eq!(server.session(&id).await["revision"], 1);
}

#[tokio::test]
async fn a_thousand_commands_in_flight_are_each_acknowledged_once_in_dense_revisions() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let socket = server.socket("/ws").await;
    let (mut sink, stream) = futures_util::StreamExt::split(socket.stream);
    let sending = tokio::spawn({
        let id = id.clone();
        async move {
            for n in 0..1_000 {
                let frame = command(&n.to_string(), &id, context(&format!("k{}", n % 10), json!(n)));
                let message = tokio_tungstenite::tungstenite::Message::text(frame.to_string());
                futures_util::SinkExt::send(&mut sink, message).await.expect("sent");
            }
            sink
        }
    });
    let mut acked = BTreeMap::new();
    let mut stream = stream;
    while acked.len() < 1_000 {
        let next = tokio::time::timeout(crate::harness::DEADLINE, futures_util::StreamExt::next(&mut stream));
        let message = next.await.expect("in time").expect("open").expect("sound");
        let Ok(text) = message.to_text().map(str::to_owned) else { continue };
        let Ok(frame) = serde_json::from_str::<Value>(&text) else { continue };
        assert_eq!(frame["type"], "ack", "{frame}");
        let n: u64 = frame["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        assert!(acked.insert(n, frame["revision"].as_u64().expect("a revision")).is_none(), "{n} twice");
    }
    drop(sending.await.expect("sent"));
    let expected: BTreeMap<u64, u64> = (0..1_000).map(|n| (n, n + 3)).collect();
    assert_eq!(acked, expected, "in the order in which they were sent");
    assert_eq!(server.events(&id).await.len(), 1_002);
}
