//! Graphs and runs for the tests of the built-in engine.

use serde_json::{Map, Value, json};

use crate::harness::{TestServer, eventually};

/// A graph from `(id, type, properties, next)`; the first node is the start.
pub fn graph(nodes: &[(&str, &str, Value, &[&str])]) -> Value {
    let one = |(id, kind, properties, next): &(&str, &str, Value, &[&str])| {
        let node = json!({"id": id, "type": kind, "name": id, "properties": properties, "nextIds": next});
        ((*id).to_owned(), node)
    };
    let by_id: Map<String, Value> = nodes.iter().map(one).collect();
    json!({"name": "test", "startNodeId": nodes[0].0, "nodes": by_id})
}

/// Creates a session that the server's engine drives, and starts it.
pub async fn start(server: &TestServer, graph: Value) -> String {
    start_with(server, json!({"graph": graph})).await
}

/// As [`start`], with what else the request is to hold.
pub async fn start_with(server: &TestServer, mut request: Value) -> String {
    request["driver"] = json!("builtin");
    let id = server.create(request).await;
    server.command(&id, json!({"type": "start"})).await;
    id
}

pub async fn until_status(server: &TestServer, id: &str, status: &str) -> Value {
    let is = async || server.session(id).await["status"] == status;
    eventually(&format!("the session is {status}"), is).await;
    server.session(id).await
}

/// Waits for any end.
pub async fn until_ended(server: &TestServer, id: &str) -> Value {
    let ended = async || server.session(id).await["completedAt"].is_string();
    eventually("the session ends", ended).await;
    server.session(id).await
}

pub async fn until_node(server: &TestServer, id: &str, node: &str, status: &str) {
    let is = async || server.session(id).await["nodes"][node]["status"] == status;
    eventually(&format!("{node} is {status}"), is).await;
}

pub async fn output(server: &TestServer, id: &str, node: &str) -> Value {
    server.get(&format!("/api/v1/sessions/{id}/nodes/{node}")).await.1["output"].clone()
}

/// The statuses a node went through.
pub async fn story(server: &TestServer, id: &str, node: &str) -> Vec<String> {
    let events = server.events(id).await;
    let of_node = events.iter().filter(|e| e["event"]["type"] == "nodeStatusChanged" && e["event"]["nodeId"] == node);
    of_node.map(|event| event["event"]["status"].as_str().expect("a status").to_owned()).collect()
}

pub async fn review(server: &TestServer, id: &str, node: &str, action: &str) -> (reqwest::StatusCode, Value) {
    let review = json!({"nodeId": node, "action": action, "reviewer": "Ada"});
    server.post(&format!("/api/v1/sessions/{id}/review"), review).await
}
