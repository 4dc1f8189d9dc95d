//! Watching a session in mode `events`: each one, in order, none missing.

use serde_json::{Value, json};

use crate::harness::{Socket, TestServer, context};

/// Makes `count` events, a hundred to a request.
async fn make_events(server: &TestServer, id: &str, count: usize) {
    let commands: Vec<Value> = (0..count).map(|n| context(&format!("key{}", n % 7), json!(n))).collect();
    for some in commands.chunks(100) {
        server.command(id, json!(some)).await;
    }
}

/// Reads the events from `first` to `last` and nothing else.
async fn read_dense(socket: &mut Socket, first: u64, last: u64) -> Vec<Value> {
    let mut events = Vec::new();
    for revision in first..=last {
        let mut frame = socket.frame().await;
        assert_eq!((&frame["type"], &frame["revision"]), (&json!("event"), &json!(revision)));
        let frame = frame.as_object_mut().expect("an object");
        frame.remove("type");
        events.push(Value::Object(frame.clone()));
    }
    events
}

#[tokio::test]
async fn events_come_from_the_one_after_on() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    make_events(&server, &id, 18).await;
    let stored = server.events(&id).await;
    assert_eq!(stored.len(), 20);
    for after in [0, 1, 7, 19] {
        let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=events&after={after}")).await;
        let events = read_dense(&mut socket, after + 1, 20).await;
        assert_eq!(events, stored[after as usize..], "what is watched is what is stored");
        socket.settle().await;
    }
    let mut from_the_start = server.socket(&format!("/ws/sessions/{id}?mode=events")).await;
    assert_eq!(read_dense(&mut from_the_start, 1, 20).await, stored);
}

#[tokio::test]
async fn a_client_that_claims_to_be_ahead_starts_over_from_a_snapshot() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=events&after=50")).await;
    let snapshot = socket.frame().await;
    assert_eq!((&snapshot["type"], &snapshot["revision"]), (&json!("snapshot"), &json!(2)));
    make_events(&server, &id, 3).await;
    read_dense(&mut socket, 3, 5).await;
}

#[tokio::test]
async fn what_is_no_longer_in_memory_comes_from_the_journal() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    make_events(&server, &id, 698).await;
    let stored = server.events(&id).await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=events&after=5")).await;
    assert_eq!(read_dense(&mut socket, 6, 700).await, stored[5..]);
    server.command(&id, json!({"type": "complete"})).await;
    read_dense(&mut socket, 701, 701).await;
    let end = json!({"type": "end", "sessionId": id, "status": "completed", "revision": 701});
    assert_eq!(socket.frame().await, end);
}

#[tokio::test]
async fn a_viewer_that_did_not_read_for_long_still_gets_every_event() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut slow = Socket::open_narrow(server.address(), &format!("/ws/sessions/{id}?mode=events&after=2")).await;
    let long = "x".repeat(2_000);
    for round in 0..15 {
        let commands: Vec<Value> =
            (0..40).map(|n| context(&format!("key{n}"), json!(format!("{round} {long}")))).collect();
        server.command(&id, json!(commands)).await;
    }
    server.command(&id, json!({"type": "complete"})).await;
    let stored = server.events(&id).await;
    assert_eq!(read_dense(&mut slow, 3, 603).await, stored[2..]);
    assert_eq!(slow.frame().await["type"], "end");
}

#[tokio::test]
async fn many_viewers_each_see_every_event_while_a_driver_writes() {
    const VIEWERS: u64 = 60;
    let server = TestServer::start().await;
    let id = server.running_session().await;
    make_events(&server, &id, 298).await;
    let mut watching = Vec::new();
    for viewer in 0..VIEWERS {
        // Some begin in the journal, some in memory, some at the head.
        let after = viewer * 5;
        let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=events&after={after}")).await;
        watching.push(tokio::spawn(async move {
            read_dense(&mut socket, after + 1, 701).await;
            socket.frame().await
        }));
    }
    let mut driver = server.socket("/ws").await;
    for n in 0..400 {
        let command = context(&format!("key{}", n % 3), json!(n));
        driver.send(json!({"type": "command", "id": n.to_string(), "sessionId": id, "command": command})).await;
    }
    driver.send(json!({"type": "command", "id": "end", "sessionId": id, "command": {"type": "complete"}})).await;
    for viewer in watching {
        assert_eq!(viewer.await.expect("a viewer that saw it all")["type"], "end");
    }
}

#[tokio::test]
async fn events_of_an_ended_session_end_with_its_end() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!({"type": "cancel"})).await;
    let end = json!({"type": "end", "sessionId": id, "status": "cancelled", "revision": 3});
    for after in 0..=3 {
        let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=events&after={after}")).await;
        read_dense(&mut socket, after + 1, 3).await;
        assert_eq!(socket.frame().await, end);
        socket.settle().await;
    }
}
