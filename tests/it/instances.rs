//! Nodes that run several times at once, and what is said after the end, on a real server.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, answer, chain, node};

async fn gathered(server: &TestServer) -> String {
    let id = server.create(json!({"graph": chain(&["split", "shard", "join"])})).await;
    let usage = json!({"type": "recordUsage", "nodeId": "shard#2", "inputTokens": 7, "outputTokens": 1});
    let said = json!({"type": "addMessage", "nodeId": "shard#1", "content": "one"});
    let done = json!({"type": "setNodeStatus", "nodeId": "shard#2", "status": "completed", "output": {"n": 2}});
    let start = json!({"type": "start"});
    server
        .command(&id, json!([start, node("shard#1", "running"), node("shard#2", "running"), usage, said, done]))
        .await;
    id
}

#[tokio::test]
async fn instances_are_nodes_of_their_own_everywhere() {
    let server = TestServer::start().await;
    let id = gathered(&server).await;
    let session = server.session(&id).await;
    assert_eq!(session["activeNodeIds"], json!(["shard", "shard#1"]));
    assert_eq!(session["nodes"]["shard"]["tokenUsage"], json!({"inputTokens": 7, "outputTokens": 1}));
    let path = format!("/api/v1/sessions/{id}/nodes/shard%232");
    assert_eq!(server.get(&path).await.1["output"], json!({"n": 2}));
    let update = format!("/api/v1/sessions/{id}/nodes/shard%233");
    assert_eq!(server.call(Method::PUT, &update, Some(json!({"status": "running"}))).await.0, 200);
    for unknown in ["other#1", "shard#", "shard#\u{7}"] {
        let path = format!("/api/v1/sessions/{id}/commands");
        server.refused(Method::POST, &path, Some(node(unknown, "running")), "unknown_node").await;
    }
    // Each counts in lists, the node with its summary too.
    let summary = server.get("/api/v1/sessions?nodeId=shard%231&nodeStatus=running").await.1["sessions"][0].clone();
    assert_eq!((&summary["nodeCounts"]["running"], &summary["nodeCounts"]["completed"]), (&json!(3), &json!(1)));
    let timeline = server.get(&format!("/api/v1/sessions/{id}/timeline")).await.1.to_string();
    assert!(timeline.contains("shard#1") && timeline.contains("\"shard\""), "{timeline}");
    // After a restart all of it is as it was, and goes on.
    let before = server.session(&id).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(server.session(&id).await, before);
    server.command(&id, json!([node("shard#1", "completed"), node("shard#3", "failed")])).await;
    assert_eq!(server.session(&id).await["nodes"]["shard"]["status"], "failed");
    let history: Vec<Value> = server.events(&id).await;
    assert!(history.iter().all(|recorded| recorded["event"]["nodeId"] != "shard"), "the summary is no event");
}

#[tokio::test]
async fn forks_and_files_have_the_instances_too() {
    let server = TestServer::start().await;
    let id = gathered(&server).await;
    let (status, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": 7})).await;
    assert_eq!(status, 201, "{fork}");
    let fork = fork["id"].as_str().expect("an id").to_owned();
    for session in [id, fork] {
        let path = format!("/api/v1/sessions/{session}/export");
        let file = server.request(Method::GET, &path).send().await.expect("a file").bytes().await.expect("a file");
        let (status, copy) = answer(server.request(Method::POST, "/api/v1/sessions/import").body(file)).await;
        assert_eq!(status, 201, "{copy}");
        let copy = copy["id"].as_str().expect("an id").to_owned();
        for id in [session, copy] {
            server.command(&id, json!([node("shard#1", "completed"), node("shard#9", "running")])).await;
            let nodes = server.session(&id).await["nodes"].clone();
            assert_eq!(
                (&nodes["shard"]["status"], &nodes["shard#2"]["status"]),
                (&json!("running"), &json!("completed"))
            );
            assert_eq!(nodes["shard"]["tokenUsage"]["inputTokens"], 7);
            server.command(&id, json!([node("shard#9", "completed"), {"type": "complete"}])).await;
            assert_eq!(server.session(&id).await["nodes"]["shard"]["status"], "completed");
        }
    }
}

#[tokio::test]
async fn what_nodes_used_and_said_is_taken_after_the_end() {
    let server = TestServer::start().await;
    let id = gathered(&server).await;
    server.command(&id, json!({"type": "stop", "reason": "enough"})).await;
    let ended = server.session(&id).await;
    let usage = json!({"type": "recordUsage", "nodeId": "shard#1", "inputTokens": 5, "outputTokens": 0});
    let said = json!({"type": "addMessage", "nodeId": "shard#1", "content": "last words"});
    server.command(&id, json!([usage, said, {"type": "addMemory", "content": "kept"}])).await;
    let session = server.session(&id).await;
    for member in ["status", "completedAt", "error"] {
        assert_eq!(session[member], ended[member], "{member}");
    }
    assert_eq!(
        (&session["totalTokens"], &session["nodes"]["shard"]["tokenUsage"]["inputTokens"]),
        (&json!(13), &json!(12))
    );
    let messages = server.get(&format!("/api/v1/sessions/{id}/messages")).await.1;
    assert_eq!(messages["messages"][1]["content"], "last words");
    assert_eq!(server.get(&format!("/api/v1/sessions/{id}/memories")).await.1["memories"][0]["content"], "kept");
    // Whoever comes now is shown all of it, and the end; a replay as well.
    let mut viewer = server.socket(&format!("/ws/sessions/{id}?mode=events&after=0")).await;
    let end = viewer.frame_of("end").await;
    assert_eq!(end["revision"], session["revision"]);
    let mut replay = server.socket(&format!("/ws/sessions/{id}/replay?speed=max&mode=events")).await;
    assert_eq!(replay.frame_of("end").await["revision"], session["revision"]);
    let path = format!("/api/v1/sessions/{id}/commands");
    server.refused(Method::POST, &path, Some(node("shard#1", "running")), "illegal_transition").await;
    // A minute later it is over.
    let storage = server.database.storage();
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    for sql in [
        "UPDATE session_events SET at = at - interval '61 seconds'",
        "UPDATE sessions SET created_at = created_at - interval '61 seconds'",
    ] {
        sqlx::query(sql).execute(storage.pool()).await.expect("older");
    }
    sqlx::query("DELETE FROM session_keyframes").execute(storage.pool()).await.expect("no keyframes");
    server.refused(Method::POST, &path, Some(usage_of("shard#1")), "illegal_transition").await;
}

fn usage_of(node: &str) -> Value {
    json!({"type": "recordUsage", "nodeId": node, "inputTokens": 1, "outputTokens": 0})
}
