//! Watching a session in mode `delta`: after a first snapshot only what changed.

use serde_json::{Value, json};

use crate::harness::{TestServer, chain, context, merge, node};

/// Commands that touch every part of a state.
fn script() -> Vec<Value> {
    let mut script = vec![
        json!({"type": "start"}),
        node("a", "running"),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "running", "name": "First", "progress": 0.5}),
        json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 10, "outputTokens": 20, "costUsd": 0.25}),
        context("tree", json!({"a": {"b": [1, 2, {"c": null}]}, "d": "e"})),
        context("tree", json!({"a": {"b": [3]}, "f": 1.5})),
        context("list", json!([{"round": 1, "score": 0.5}])),
        context("tree", Value::Null),
        context("list", Value::Null),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "failed", "error": "broken"}),
        node("a", "running"),
        node("b", "running"),
        node("b", "suspended"),
        json!({"type": "signal", "nodeId": "b", "payload": {"go": true}}),
        node("b", "running"),
        json!({"type": "setProposal", "proposal": {"title": "Bees"}}),
        json!({"type": "pause"}),
        json!({"type": "resume"}),
        node("c", "skipped"),
    ];
    script
        .extend((0..20).map(|n| context(&format!("key{}", n % 5), json!({"n": n, "even": (n % 2 == 0).then_some(1)}))));
    script.extend([node("a", "completed"), json!({"type": "stop", "reason": "enough"})]);
    script
}

/// Folds a frame into the held state, as a client does.
fn fold(held: &mut Value, frame: &Value) {
    *held = match frame["type"].as_str() {
        Some("snapshot") => frame["session"].clone(),
        Some("delta") => {
            assert_eq!(frame["base"], held["revision"], "a patch on a state this viewer does not hold");
            merge(held.take(), &frame["patch"])
        }
        other => panic!("unexpected frame {other:?}"),
    };
    assert_eq!(held["revision"], frame["revision"]);
}

#[tokio::test]
async fn each_patch_leads_to_the_state_at_its_revision() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    let mut held = Value::Null;
    fold(&mut held, &socket.frame().await);
    let mut deltas = 0;
    for command in script() {
        let revision = server.command(&id, command.clone()).await;
        let frame = socket.frame().await;
        deltas += usize::from(frame["type"] == "delta");
        fold(&mut held, &frame);
        assert_eq!(held, server.session(&format!("{id}?revision={revision}")).await, "after {command}");
    }
    assert_eq!(socket.frame().await["type"], "end");
    assert!(deltas > 25, "only {deltas} of the changes came as patches");
}

#[tokio::test]
async fn patches_over_several_revisions_lead_to_the_newest_state() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut viewers = Vec::new();
    for interval in [0, 1, 7, 30] {
        viewers.push(server.socket(&format!("/ws/sessions/{id}?mode=delta&minIntervalMs={interval}")).await);
    }
    for command in script() {
        server.command(&id, command).await;
    }
    let head = server.session(&id).await;
    for mut socket in viewers {
        let mut held = Value::Null;
        loop {
            let frame = socket.frame().await;
            if frame["type"] == "end" {
                break;
            }
            fold(&mut held, &frame);
            assert_eq!(held, server.session(&format!("{id}?revision={}", frame["revision"])).await);
        }
        assert_eq!(held, head);
    }
}

#[tokio::test]
async fn a_null_inside_a_context_value_cannot_be_said_by_a_patch_and_comes_as_a_snapshot() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=delta&after=2")).await;
    server.command(&id, context("a", json!({"known": 1}))).await;
    assert_eq!(socket.frame().await["type"], "delta");
    for value in [json!({"known": null}), json!({"deep": {"er": null}})] {
        server.command(&id, context("a", value.clone())).await;
        let frame = socket.frame().await;
        assert_eq!(frame["type"], "snapshot", "{frame}");
        assert_eq!(frame["session"]["contextData"]["a"], value);
    }
    server.command(&id, context("b", json!([null]))).await;
    let frame = socket.frame().await;
    assert_eq!((&frame["type"], &frame["patch"]["contextData"]), (&json!("delta"), &json!({"b": [null]})));
}

#[tokio::test]
async fn a_change_in_a_large_graph_is_a_small_frame() {
    let names: Vec<String> = (0..500).map(|n| format!("node-{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": chain(&names)})).await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    let whole = socket.frame().await.to_string().len();
    server.command(&id, json!({"type": "start"})).await;
    socket.frame().await;
    for name in &names[..50] {
        server.command(&id, json!([node(name, "running"), node(name, "completed")])).await;
        let frame = socket.frame().await;
        assert_eq!(frame["type"], "delta");
        assert_eq!(frame["patch"]["nodes"].as_object().map(serde_json::Map::len), Some(1));
        let bytes = frame.to_string().len();
        assert!(bytes < 600 && bytes * 50 < whole, "{bytes} bytes of {whole}: {frame}");
    }
}
