//! Watching a session in mode `snapshot`: the newest state, whole, and never an older one after it.

use serde_json::{Value, json};

use crate::harness::{Socket, TestServer, context, node};

#[tokio::test]
async fn a_bare_socket_shows_the_state_and_every_change_of_it() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}")).await;
    let first = socket.frame().await;
    assert_eq!((first["type"].as_str(), first["revision"].as_u64()), (Some("snapshot"), Some(2)));
    let revision = server.command(&id, node("a", "running")).await;
    let second = socket.frame().await;
    assert_eq!(second["revision"], revision);
    assert_eq!(second["session"]["nodes"]["a"]["status"], "running");
    assert_eq!(second["session"]["activeNodeIds"], json!(["a"]));
    server.command(&id, json!([node("a", "completed"), {"type": "complete"}])).await;
    let last = socket.frame().await;
    assert_eq!((last["session"]["status"].as_str(), last["revision"].as_u64()), (Some("completed"), Some(5)));
    let end = socket.frame().await;
    assert_eq!(end, json!({"type": "end", "sessionId": id, "status": "completed", "revision": 5}));
}

#[tokio::test]
async fn every_snapshot_is_the_state_at_its_revision() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=snapshot")).await;
    socket.frame().await;
    for command in [
        node("a", "running"),
        context("topic", json!({"name": "bees", "list": [1, null]})),
        json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 3, "outputTokens": 4, "costUsd": 0.1}),
        node("a", "failed"),
        node("a", "running"),
        json!({"type": "pause"}),
        context("topic", Value::Null),
        json!({"type": "cancel", "reason": "enough"}),
    ] {
        let revision = server.command(&id, command).await;
        let frame = socket.frame().await;
        assert_eq!(
            (&frame["type"], &frame["revision"], &frame["sessionId"]),
            (&json!("snapshot"), &json!(revision), &json!(id))
        );
        assert_eq!(frame["session"], server.session(&format!("{id}?revision={revision}")).await);
    }
}

#[tokio::test]
async fn a_viewer_that_does_not_read_gets_fewer_newer_states_and_never_an_older_one() {
    // Few enough that even a busy machine makes them before the server gives the viewer up.
    const CHANGES: u64 = 40;
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut slow = Socket::open_narrow(server.address(), &format!("/ws/sessions/{id}")).await;
    slow.frame().await;
    let mut brisk = server.socket(&format!("/ws/sessions/{id}?mode=events&after=2")).await;
    let long = "x".repeat(100_000);
    for round in 0..CHANGES {
        server.command(&id, context("text", json!(format!("{round} {long}")))).await;
        // Another viewer is served all the while.
        assert_eq!(brisk.frame().await["revision"], round + 3);
    }
    let head = server.command(&id, json!({"type": "complete"})).await;
    let mut revisions = Vec::new();
    let end = slow
        .until(|frame| {
            if frame["type"] == "snapshot" {
                assert_eq!(frame["session"]["revision"], frame["revision"]);
                revisions.push(frame["revision"].as_u64().expect("a revision"));
            }
            frame["type"] == "end"
        })
        .await;
    assert!(revisions.is_sorted_by(|earlier, later| earlier < later), "{revisions:?}");
    assert_eq!((revisions.last(), &end["revision"]), (Some(&head), &json!(head)));
    assert!((revisions.len() as u64) < CHANGES / 2, "{} states were queued", revisions.len());
}

#[tokio::test]
async fn a_viewer_with_a_pace_of_its_own_is_shown_the_last_state_at_once() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/ws/sessions/{id}?minIntervalMs=3600000");
    let (mut paced, mut brisk) = (server.socket(&path).await, server.socket(&format!("/ws/sessions/{id}")).await);
    assert_eq!(
        (paced.frame().await["revision"].clone(), brisk.frame().await["revision"].clone()),
        (json!(2), json!(2))
    );
    for round in 3..8 {
        server.command(&id, context("round", json!(round))).await;
        assert_eq!(brisk.frame().await["revision"], round);
    }
    server.command(&id, json!({"type": "complete"})).await;
    let last = paced.frame().await;
    assert_eq!(
        (&last["revision"], &last["session"]["status"]),
        (&json!(8), &json!("completed")),
        "held back until the end"
    );
    assert_eq!(paced.frame().await["type"], "end");
}

#[tokio::test]
async fn what_a_pace_held_back_is_shown_when_its_time_has_come() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?minIntervalMs=40")).await;
    assert_eq!(socket.frame().await["revision"], 2);
    server.command(&id, context("a", json!(1))).await;
    server.command(&id, context("a", json!(2))).await;
    let shown = socket.until(|frame| frame["revision"] == 4).await;
    assert_eq!(shown["session"]["contextData"]["a"], 2);
}

#[tokio::test]
async fn a_client_that_holds_the_newest_state_is_sent_nothing_until_it_changes() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for mode in ["snapshot", "delta", "events"] {
        let head = server.session(&id).await["revision"].as_u64().expect("a revision");
        let mut socket = server.socket(&format!("/ws/sessions/{id}?mode={mode}&after={head}")).await;
        socket.settle().await;
        server.command(&id, context("mode", json!(mode))).await;
        let frame = socket.frame().await;
        let expected = if mode == "events" { "event" } else { mode };
        assert_eq!((&frame["type"], &frame["revision"]), (&json!(expected), &json!(head + 1)));
    }
}

#[tokio::test]
async fn a_client_that_is_behind_or_ahead_is_shown_the_whole_state() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, context("a", json!(1))).await;
    for mode in ["snapshot", "delta"] {
        for after in ["0", "1", "4", "99", "18446744073709551615"] {
            let mut socket = server.socket(&format!("/ws/sessions/{id}?mode={mode}&after={after}")).await;
            let frame = socket.frame().await;
            assert_eq!((&frame["type"], &frame["revision"]), (&json!("snapshot"), &json!(3)), "{mode} after {after}");
            assert_eq!(frame["session"], server.session(&id).await);
            socket.settle().await;
        }
    }
}

#[tokio::test]
async fn a_session_that_has_ended_is_shown_with_its_end() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!({"type": "fail", "error": "no luck"})).await;
    let end = json!({"type": "end", "sessionId": id, "status": "failed", "revision": 3});
    for mode in ["snapshot", "delta"] {
        let mut socket = server.socket(&format!("/ws/sessions/{id}?mode={mode}")).await;
        assert_eq!(socket.frame().await["session"]["error"], "no luck");
        assert_eq!(socket.frame().await, end);
        socket.settle().await;
        let mut up_to_date = server.socket(&format!("/ws/sessions/{id}?mode={mode}&after=3")).await;
        assert_eq!(up_to_date.frame().await, end);
        up_to_date.settle().await;
    }
}
