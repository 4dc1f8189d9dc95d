//! Nodes below nodes, over HTTP and on sockets.

use reqwest::Method;
use serde_json::{Value, json};

use super::node;
use crate::fork::{fork, id_of};
use crate::harness::{TestServer, chain, merge};

fn step(id: &str, status: &str, more: Value) -> Value {
    let mut command = json!({"type": "setNodeStatus", "nodeId": id, "status": status});
    let more = more.as_object().expect("members").clone();
    command.as_object_mut().expect("an object").extend(more);
    command
}

#[tokio::test]
async fn a_node_shows_what_went_in_and_came_out_and_where_it_belongs() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/nodes/call");
    let body = json!({"status": "running", "parentNodeId": "agent", "kind": "tool", "input": {"q": "bees"},
        "attributes": {"tool.name": "search", "retries": 0}, "startedAt": "2026-01-01T00:00:00.250Z"});
    assert_eq!(server.call(Method::PUT, &path, Some(body)).await.0, 200);
    let done = step(
        "call",
        "completed",
        json!({"output": ["a", 1], "attributes": {"retries": null, "hits": 2}, "completedAt": "2026-01-01T00:00:01.000Z"}),
    );
    server.command(&id, done).await;
    let shown = node(&server, &id, "call").await;
    assert_eq!((&shown["input"], &shown["output"]), (&json!({"q": "bees"}), &json!(["a", 1])));
    let expected = json!({"id": "call", "status": "completed", "attempt": 1, "parentNodeId": "agent", "kind": "tool",
        "attributes": {"tool.name": "search", "hits": 2},
        "startedAt": "2026-01-01T00:00:00.250Z", "completedAt": "2026-01-01T00:00:01.000Z"});
    assert_eq!(server.session(&id).await["nodes"]["call"], expected);
    assert_eq!(server.session(&id).await["nodes"]["agent"], json!({"id": "agent", "status": "pending"}));
    // As it was before.
    let before = node(&server, &id, "call?revision=3").await;
    assert_eq!((&before["attributes"]["retries"], &before["output"]), (&json!(0), &Value::Null));
    let timeline = server.get(&format!("/api/v1/sessions/{id}/timeline")).await.1;
    let call = timeline["nodes"].as_array().expect("nodes").iter().find(|node| node["id"] == "call").expect("the node");
    let times = |at: usize, key: &str| call["intervals"][at][key].clone();
    assert_eq!((times(0, "from"), times(0, "to")), (expected["startedAt"].clone(), expected["completedAt"].clone()));
    assert_eq!((&call["parentNodeId"], &call["kind"]), (&json!("agent"), &json!("tool")));
}

#[tokio::test]
async fn what_cannot_be_inside_is_refused() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": chain(&["a", "b"])})).await;
    server.command(&id, json!([{"type": "start"}, step("x", "running", json!({"parentNodeId": "a"}))])).await;
    let path = format!("/api/v1/sessions/{id}/commands");
    for (more, code) in [
        (json!({"parentNodeId": "nowhere"}), "unknown_node"),
        (json!({"parentNodeId": "n"}), "unknown_node"),
        (json!({"parentNodeId": ""}), "bad_request"),
        (json!({"parentNodeId": "a", "kind": "spell"}), "bad_request"),
        (json!({"parentNodeId": "a", "attributes": {"deep": {"er": 1}}}), "bad_request"),
        (json!({"parentNodeId": "a", "attributes": [1]}), "bad_request"),
        (json!({"parentNodeId": "a", "attributes": {"long": "x".repeat(9_000)}}), "too_large"),
        (json!({"parentNodeId": "a", "completedAt": "2026-01-01T00:00:00Z"}), "bad_request"),
        (json!({"parentNodeId": "a", "startedAt": "yesterday"}), "bad_request"),
    ] {
        server.refused(Method::POST, &path, Some(step("n", "running", more)), code).await;
    }
    let backwards = json!({"startedAt": "2026-01-01T00:00:01Z", "completedAt": "2026-01-01T00:00:00Z"});
    server.refused(Method::POST, &path, Some(step("a", "completed", backwards)), "bad_request").await;
    for (id, parent) in [("a", "x"), ("x", "x")] {
        let above = step(id, "running", json!({"parentNodeId": parent}));
        server.refused(Method::POST, &path, Some(above), "bad_request").await;
    }
    server.refused(Method::POST, &path, Some(step("n", "running", json!({}))), "unknown_node").await;
    server.refused(Method::POST, &path, Some(json!({"type": "complete"})), "nodes_active").await;
    assert_eq!(server.session(&id).await["revision"], 3);
}

/// In delta mode a change deep inside costs what changed, whatever is around it.
#[tokio::test]
async fn a_change_inside_of_thousands_of_nodes_is_a_small_frame() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for thousand in 0..10 {
        let nodes = (1..=1_000).filter(|n| thousand < 9 || *n < 1_000).map(|n| {
            let number = thousand * 1_000 + n;
            step(
                &format!("n{number}"),
                "completed",
                json!({"parentNodeId": format!("n{}", number / 8), "kind": "task"}),
            )
        });
        server.command(&id, Value::Array(nodes.collect())).await;
    }
    let mut viewer = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    let state = viewer.frame().await["session"].take();
    assert_eq!(state["nodes"].as_object().map(serde_json::Map::len), Some(10_000));
    server.command(&id, step("n9998", "running", json!({"attributes": {"rows": 7}}))).await;
    let text = viewer.message().await.into_text().expect("a text");
    assert!(text.len() < 700, "{text}");
    let frame: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(frame["patch"]["nodes"].as_object().expect("nodes").keys().collect::<Vec<_>>(), ["n9998"]);
    assert_eq!(merge(state, &frame["patch"]), server.session(&id).await);
}

#[tokio::test]
async fn what_is_inside_travels_along_through_forks_and_replays() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": chain(&["a", "b"])})).await;
    let commands = json!([
        {"type": "start"},
        step("a", "running", json!({"kind": "agent"})),
        step("think", "running", json!({"parentNodeId": "a", "kind": "llm", "attributes": {"t": 0.5}})),
        step("a#1", "running", json!({"parentNodeId": "think"})),
        step("think", "completed", json!({"output": 1})),
    ]);
    server.command(&id, commands).await;
    let mut replay = server.socket(&format!("/ws/sessions/{id}/replay?speed=max&mode=delta")).await;
    let mut state = replay.frame_of("snapshot").await["session"].take();
    while state["revision"] != 6 {
        let frame = replay.frame_of("delta").await;
        state = merge(state, &frame["patch"]);
    }
    assert_eq!(state, server.session(&id).await);
    let copy = id_of(&fork(&server, &id, 6).await);
    assert_eq!(server.session(&copy).await["nodes"], state["nodes"]);
    assert_eq!(node(&server, &copy, "think").await["output"], 1);
    server.command(&copy, step("think", "running", json!({"attributes": {"t": 1}}))).await;
    let deep = step("a", "running", json!({"parentNodeId": "a#1"}));
    server.refused(Method::POST, &format!("/api/v1/sessions/{copy}/commands"), Some(deep), "bad_request").await;
}
