//! The TypeScript package: its generated types are those of this server, and what the server
//! sends fits them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{TestServer, chain, context};

fn package() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("frontend-types")
}

fn files(directory: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).expect("a text");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect()
}

#[test]
fn the_committed_types_are_those_of_this_server() {
    let fresh = tempfile::tempdir().expect("a directory");
    relive_protocol::export_typescript(fresh.path()).expect("written");
    let (fresh, committed) = (files(fresh.path()), files(&package().join("src/generated")));
    assert!(!fresh.is_empty());
    let is_stale = |name: &&String| fresh.get(*name) != committed.get(*name);
    let stale: Vec<&String> = fresh.keys().chain(committed.keys()).filter(is_stale).collect();
    assert!(
        stale.is_empty(),
        "frontend-types/src/generated is not what the Rust types say ({stale:?}); run `make types`"
    );
}

/// Runs a program of the package and returns what it wrote.
async fn run_node(arguments: Vec<String>) -> String {
    run_node_with(arguments, "").await
}

/// With `RELIVE_TOKEN` in its environment.
async fn run_node_with(arguments: Vec<String>, token: &'static str) -> String {
    let package = package();
    assert!(package.join("node_modules").is_dir(), "run `npm ci` in frontend-types first");
    let run = move || {
        Command::new("node").args(&arguments).env("RELIVE_TOKEN", token).current_dir(package).output().expect("node")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("ended");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

/// What a server sent, one `{"type", "value"}` a line.
#[derive(Default)]
struct Recording(String);

impl Recording {
    fn add(&mut self, kind: &str, value: &Value) {
        self.0 += &json!({"type": kind, "value": value}).to_string();
        self.0.push('\n');
    }

    fn add_all(&mut self, kind: &str, values: &Value) {
        values.as_array().expect("an array").iter().for_each(|value| self.add(kind, value));
    }

    /// Records what comes on a socket up to a frame of this type.
    async fn read(&mut self, socket: &mut crate::harness::Socket, last: &str) {
        loop {
            let frame = socket.frame().await;
            self.add("ServerFrame", &frame);
            if frame["type"] == last {
                return;
            }
        }
    }
}

/// A run with every kind of command.
fn run() -> Vec<Value> {
    vec![
        json!({"type": "start"}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "running", "name": "A", "progress": 0.5}),
        json!({"type": "recordUsage", "nodeId": "a", "agentId": "x", "model": "m", "inputTokens": 1, "outputTokens": 2, "costUsd": 0.5}),
        context("score_history", json!([{"round": 1, "score": 0.5}])),
        json!({"type": "setProposal", "proposal": {"title": "Bees"}}),
        json!({"type": "setLabels", "name": "Bees", "tags": ["garden"], "metadata": {"hives": 3, "wild": false}}),
        json!({"type": "setLabels", "name": "", "metadata": {"hives": 4}}),
        json!({"type": "signal", "nodeId": "a", "payload": {"go": true}}),
        json!({"type": "addMessage", "nodeId": "a", "content": "Once upon a time", "role": "agent", "tokenCount": 4}),
        json!({"type": "addMessage", "nodeId": "a", "content": "", "contentType": "text/plain",
            "toolCalls": [{"id": "c", "name": "search", "arguments": {"q": "bees"}}]}),
        json!({"type": "addMessage", "nodeId": "a", "content": "[]", "role": "tool", "toolCallId": "c", "contentType": "application/json"}),
        json!({"type": "addLog", "nodeId": "a", "level": "info", "text": "half way", "at": "2026-01-31T08:15:30.250Z", "attributes": {"n": 1}}),
        json!({"type": "setNodeStatus", "nodeId": "inner", "status": "running", "parentNodeId": "a", "kind": "tool",
            "attributes": {"n": 1, "sure": true, "gone": null}, "startedAt": "2026-01-31T08:15:30.250Z", "input": {"q": 1}}),
        json!({"type": "setNodeStatus", "nodeId": "inner", "status": "completed", "completedAt": "2026-01-31T08:15:31.250Z"}),
        json!({"type": "addMemory", "content": "Bees like flowers", "metadata": {"sure": true}}),
        json!({"type": "addNodes", "nodes": {"c": {"id": "c", "type": "step", "name": "C", "nextIds": [{"to": "b", "label": "l"}]}},
            "edges": [{"from": "a", "to": "c"}]}),
        json!({"type": "setContext", "values": {"k": 1, "l": null}, "leaseSeconds": 30}),
        json!({"type": "pause"}),
        json!({"type": "resume"}),
        json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "output": [1, null]}),
        context("gone", json!({"deep": null})),
        context("gone", Value::Null),
    ]
}

async fn record_frames(server: &TestServer, recording: &mut Recording) {
    for ending in [
        json!({"type": "complete", "outputs": {"x": 1}}),
        json!({"type": "fail", "error": "no"}),
        json!({"type": "cancel", "reason": "why"}),
    ] {
        let mut list = server.socket("/ws/sessions").await;
        recording.read(&mut list, "sessions").await;
        let id = server.create(json!({"graph": chain(&["a", "b"]), "inputs": {"n": 1}, "proposal": null})).await;
        let mut viewers = Vec::new();
        for mode in ["snapshot", "delta", "events"] {
            viewers.push(server.socket(&format!("/ws/sessions/{id}?mode={mode}")).await);
        }
        let mut driver = server.socket("/ws").await;
        let subscribe = json!({"type": "subscribe", "sessionId": id, "mode": "delta", "messages": true, "logs": true});
        driver.send(subscribe).await;
        for command in run().into_iter().chain([ending]) {
            let frame = json!({"type": "command", "id": "c", "sessionId": id, "command": command});
            driver.send(frame).await;
            recording.read(&mut driver, "ack").await;
        }
        for _ in 0..2 {
            let again =
                json!({"type": "command", "id": "c", "sessionId": id, "command": {"type": "start"}, "commandId": "x"});
            driver.send(again).await;
            recording.read(&mut driver, "error").await;
        }
        driver.send(json!({"type": "subscribe", "sessionId": Uuid::now_v7()})).await;
        driver.send(json!({"type": "ping"})).await;
        recording.read(&mut driver, "pong").await;
        for viewer in &mut viewers {
            recording.read(viewer, "end").await;
        }
        for query in ["mode=delta&speed=max&messages=true&logs=true", "mode=events&speed=2.5&skipIdleMs=0"] {
            let mut replay = server.socket(&format!("/ws/sessions/{id}/replay?{query}")).await;
            recording.read(&mut replay, "end").await;
            recording.read(&mut replay, "replayState").await;
        }
        server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
        list.until(|frame| {
            recording.add("ServerFrame", frame);
            frame["change"] == "removed"
        })
        .await;
    }
}

async fn record_documents(server: &TestServer, recording: &mut Recording) {
    for ending in [json!({"type": "complete"}), json!({"type": "stop"})] {
        let id = server.create(json!({"inputs": [1]})).await;
        recording.add("WorkflowSession", &server.session(&id).await);
        let without_graph: Vec<Value> = run().into_iter().filter(|command| command["type"] != "addNodes").collect();
        server.command(&id, json!(without_graph)).await;
        server.command(&id, ending).await;
        recording.add("WorkflowSession", &server.session(&id).await);
        recording.add("SessionEntity", &server.get(&format!("/api/v1/sessions/{id}/entity")).await.1);
        recording.add_all("Recorded", &json!(server.events(&id).await));
    }
    recording.add_all("SessionSummary", &server.get("/api/v1/sessions").await.1["sessions"]);
    recording.add("Problem", &server.get("/nothing").await.1);
    recording.add("Problem", &server.get("/api/v1/sessions/x").await.1);
    recording.add(
        "Problem",
        &server.post("/api/v1/sessions", json!({"graph": {"name": "g", "nodes": {}, "startNodeId": "a"}})).await.1,
    );
}

#[tokio::test]
async fn what_the_server_sends_fits_the_types() {
    let server = TestServer::start().await;
    let mut recording = Recording::default();
    record_frames(&server, &mut recording).await;
    record_documents(&server, &mut recording).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("frames.ndjson");
    std::fs::write(&file, recording.0).expect("written");
    let required = "subscribed,snapshot,delta,event,message,ack,error,end,replayState,sessions,session,pong,\
                    WorkflowSession,SessionSummary,SessionEntity,Recorded,Problem";
    let arguments = ["test/validate-frames.mjs", &file.to_string_lossy(), "--require", required];
    run_node(arguments.map(str::to_owned).to_vec()).await;
}

#[tokio::test]
async fn the_packages_own_client_works_against_this_server() {
    assert!(package().join("dist/index.js").is_file(), "run `npm run build` in frontend-types first");
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let said = run_node(vec!["test/live.mjs".to_owned(), server.url(""), id]).await;
    assert!(said.contains("revision 11"), "{said}");
}

#[tokio::test]
async fn the_packages_own_driver_is_steered_from_outside() {
    assert!(package().join("dist/index.js").is_file(), "run `npm run build` in frontend-types first");
    let server = TestServer::start().await;
    let said = run_node(vec!["test/run-live.mjs".to_owned(), server.url("")]).await;
    assert!(said.contains("ok"), "{said}");
}

#[tokio::test]
async fn the_packages_own_client_sends_its_token_with_the_handshake() {
    const ROOT: &str = "root-key-of-the-typescript-client-0123456789";
    assert!(package().join("dist/index.js").is_file(), "run `npm run build` in frontend-types first");
    let server = TestServer::start_with(|config| config.access.root_key = Some(ROOT.to_owned().into())).await;
    let request = server.request(Method::POST, "/api/v1/sessions").bearer_auth(ROOT).json(&json!({}));
    let (_, session) = crate::harness::answer(request).await;
    let arguments = vec!["test/live.mjs".to_owned(), server.url(""), session["id"].as_str().expect("an id").to_owned()];
    let said = run_node_with(arguments, ROOT).await;
    assert!(said.contains("revision 11"), "{said}");
}
