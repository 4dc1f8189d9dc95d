//! Sessions as files: exported, imported, altered on the way.

mod command_line;
mod hostile;
mod large;
mod round_trip;
mod rules;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{TestServer, answer, chain, context, node};

pub async fn export(server: &TestServer, id: &str) -> String {
    let response =
        server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(response.headers()["content-disposition"], format!("attachment; filename=\"{id}.ndjson\""));
    response.text().await.expect("a whole body")
}

pub async fn import(server: &TestServer, file: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    answer(server.request(Method::POST, "/api/v1/sessions/import").body(file)).await
}

/// Imports a file that must be taken; returns the session's id.
pub async fn imported(server: &TestServer, file: impl Into<reqwest::Body>) -> String {
    let (status, session) = import(server, file).await;
    assert_eq!(status, 201, "{session}");
    session["id"].as_str().expect("an id").to_owned()
}

/// The lines of a file as objects, without their checks.
pub fn lines(file: &str) -> Vec<Value> {
    let object = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        let check = line.as_object_mut().expect("an object").remove("check").expect("a check");
        assert_eq!(check.as_str().map(str::len), Some(8));
        line
    };
    file.lines().map(object).collect()
}

/// Lines as a file, with checks, counts and checksum that fit: as somebody would who knows the format.
pub fn sealed(lines: &[Value]) -> String {
    let mut hash = Sha256::new();
    let hex = |hash: &Sha256| hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut file = String::new();
    for line in lines {
        let mut line = line.clone();
        if line["type"] == "end" {
            let count = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
            line["counts"] = json!({"events": count("event"), "messages": count("message"), "logs": count("log"), "memories": count("memory")});
            line["sha256"] = hex(&hash).into();
        }
        let text = line.to_string();
        hash.update(&text);
        hash.update("\n");
        let open = text.strip_suffix('}').expect("an object");
        file += &format!("{open},\"check\":\"{}\"}}\n", &hex(&hash)[..8]);
    }
    file
}

/// Everything that must be refused leaves nothing behind.
pub const TABLES: [&str; 13] = [
    "sessions",
    "session_events",
    "session_commands",
    "session_keyframes",
    "session_usage",
    "session_messages",
    "session_logs",
    "memories",
    "session_lineage",
    "ancestors",
    "ancestor_messages",
    "ancestor_logs",
    "ancestor_outputs",
];

pub async fn rows(server: &TestServer) -> Vec<i64> {
    let counts = TABLES.map(|table| format!("(SELECT count(*) FROM {table})")).join(", ");
    let sql = format!("SELECT ARRAY[{counts}]");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(server.database.storage().pool()).await.expect("counts")
}

/// A run with everything in it, in a group and of a workflow: 22 revisions.
pub async fn run(server: &TestServer) -> String {
    let (_, group) = server.post("/api/v1/groups", json!({"name": "G"})).await;
    let (_, workflow) = server.post("/api/v1/workflows", json!({"name": "W", "graph": chain(&["a", "b", "c"])})).await;
    let request = json!({"workflowId": workflow["id"], "groupId": group["id"], "inputs": {"q": 1.1, "n": null}, "proposal": ["p"]});
    let id = server.create(request).await;
    let (_, agent) = server.post("/api/v1/agents", json!({"name": "Ada", "personaPrompt": "precise"})).await;
    for command in [
        json!({"type": "start"}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "running", "name": "Ä\u{7f}", "progress": 0.1}),
        json!({"type": "addMessage", "nodeId": "a", "agentId": agent["id"], "content": "你好 \"quoted\"\n{}", "tokenCount": 3}),
        json!({"type": "addMessage", "nodeId": "a", "content": "thinking", "role": "system", "isThinking": true}),
        json!({"type": "recordUsage", "nodeId": "a", "agentId": "x", "model": "m", "inputTokens": 7, "outputTokens": 5, "costUsd": 0.1}),
        json!({"type": "recordUsage", "nodeId": "a", "agentId": "x", "model": "m", "inputTokens": 1, "outputTokens": 0, "costUsd": 0.000_000_2}),
        json!({"type": "recordUsage", "nodeId": "b", "inputTokens": 1, "outputTokens": 0}),
        json!({"type": "addMemory", "content": "without a vector", "metadata": {"sure": [true, null]}}),
        json!({"type": "addMemory", "agentId": "x", "content": "with one", "embedding": [0.1, -0.25, 1e-7, 3.0, 0.0, 0.0, 1.0, 2.5]}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "output": {"rows": [1, 2.5e-8, "x", null]}}),
        context("score_history", json!([{"round": 1, "score": 0.3}])),
        context("k", json!({"deep": {"a": 1}})),
        context("k", Value::Null),
        json!({"type": "setProposal", "proposal": {"p": 2}}),
        node("b", "running"),
        node("b", "suspended"),
        json!({"type": "signal", "nodeId": "b", "payload": {"go": true}}),
        json!({"type": "pause"}),
        json!({"type": "resume"}),
        node("b", "failed"),
        node("c", "skipped"),
    ] {
        server.command(&id, command).await;
    }
    id
}

/// A value with some ids replaced by others.
pub fn renamed(value: &Value, names: &[(&str, &str)]) -> Value {
    let mut text = value.to_string();
    for (old, new) in names {
        text = text.replace(old, new);
    }
    serde_json::from_str(&text).expect("JSON")
}
