//! What is inside of a node: steps below it, its input and output, kinds, attributes, times, tool calls, logs.

mod files;
mod logs;
mod nodes;

use serde_json::{Value, json};

use crate::harness::TestServer;

pub fn log(node: &str, level: &str, text: &str) -> Value {
    json!({"type": "addLog", "nodeId": node, "level": level, "text": text})
}

/// The log lines of a session, read in pages of `limit`.
pub async fn logs(server: &TestServer, id: &str, filter: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (status, mut page) = server.get(&format!("/api/v1/sessions/{id}/logs?limit={limit}{filter}{after}")).await;
        assert_eq!(status, 200, "{page}");
        let logs = page["logs"].as_array_mut().expect("log lines");
        assert!(logs.len() <= limit && found.len() < 2_000, "pages without end");
        found.append(logs);
        match page["nextAfter"].as_str() {
            Some(cursor) => after = format!("&after={cursor}"),
            None => return found,
        }
    }
}

/// The texts of log lines.
pub fn texts(logs: &[Value]) -> Vec<&str> {
    logs.iter().map(|log| log["text"].as_str().expect("a text")).collect()
}

pub async fn node(server: &TestServer, id: &str, node: &str) -> Value {
    let (status, node) = server.get(&format!("/api/v1/sessions/{id}/nodes/{node}")).await;
    assert_eq!(status, 200, "{node}");
    node
}
