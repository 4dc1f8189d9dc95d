//! Forks: a session taken up again from one of its moments.

mod deletion;
mod line;
mod state;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::TestServer;

/// Forks a session and returns the fork as it was answered.
pub async fn fork(server: &TestServer, id: &str, revision: u64) -> Value {
    fork_with(server, id, json!({"revision": revision})).await
}

pub async fn fork_with(server: &TestServer, id: &str, request: Value) -> Value {
    let (status, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), request).await;
    assert_eq!(status, StatusCode::CREATED, "{fork}");
    fork
}

pub fn id_of(session: &Value) -> String {
    session["id"].as_str().expect("an id").to_owned()
}

pub fn said(node: &str, content: &str) -> Value {
    json!({"type": "addMessage", "nodeId": node, "content": content})
}

/// The contents of all messages, read in pages of `limit`.
pub async fn contents(server: &TestServer, id: &str, filter: &str, limit: usize) -> Vec<String> {
    messages(server, id, filter, limit)
        .await
        .iter()
        .map(|message| message["content"].as_str().unwrap().to_owned())
        .collect()
}

pub async fn messages(server: &TestServer, id: &str, filter: &str, limit: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (status, mut page) =
            server.get(&format!("/api/v1/sessions/{id}/messages?limit={limit}{filter}{after}")).await;
        assert_eq!(status, 200, "{page}");
        let messages = page["messages"].as_array_mut().expect("messages");
        assert!(messages.len() <= limit);
        assert!(found.len() < 2_000, "pages without end");
        found.append(messages);
        match page["nextAfter"].as_str() {
            Some(cursor) => after = format!("&after={cursor}"),
            None => return found,
        }
    }
}

/// The last output of a node.
pub async fn output(server: &TestServer, id: &str, node: &str) -> Value {
    let (status, node) = server.get(&format!("/api/v1/sessions/{id}/nodes/{node}")).await;
    assert_eq!(status, 200, "{node}");
    node["output"].clone()
}

/// How many rows a table has.
pub async fn count(server: &TestServer, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(server.database.storage().pool()).await.expect("a count")
}
