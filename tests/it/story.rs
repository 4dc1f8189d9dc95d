//! What the tests of crashes and races share: commands over a bare address, and the journal read
//! back through HTTP.

use std::net::SocketAddr;

use reqwest::Client;
use serde_json::{Value, json};

/// One value under one of a few keys, so that the state stays small and each command can be told
/// from all others.
pub fn context(value: u64) -> Value {
    json!({"type": "setContext", "key": format!("k{}", value % 8), "value": value})
}

pub fn usage() -> Value {
    json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 1, "outputTokens": 0})
}

/// A new running session on a server that is known by its address alone.
pub async fn running_session(address: SocketAddr) -> String {
    let base = format!("http://{address}/api/v1/sessions");
    let created = Client::new().post(&base).json(&json!({})).send().await.expect("an answer");
    let created: Value = created.json().await.expect("JSON");
    let id = created["id"].as_str().expect("an id").to_owned();
    let started = Client::new().post(format!("{base}/{id}/control")).json(&json!({"action": "start"})).send().await;
    assert!(started.expect("an answer").status().is_success());
    id
}

pub async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let answer = Client::new().get(format!("http://{address}{path}")).send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// The whole journal of a session; asserts that its revisions are dense: 1, 2, 3, …
pub async fn journal(address: SocketAddr, id: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let path = format!("/api/v1/sessions/{id}/events?limit=1000&after={}", events.len());
        let (status, mut page) = get(address, &path).await;
        assert_eq!(status, 200, "{page}");
        events.append(page["events"].as_array_mut().expect("events"));
        for (event, revision) in events.iter().zip(1u64..) {
            assert_eq!(event["revision"], revision, "revisions are dense");
        }
        if page["nextAfter"].is_null() {
            return events;
        }
    }
}

/// Where each value of [`context`] stands in a journal; asserts that none is there twice.
pub fn values(journal: &[Value]) -> std::collections::HashMap<u64, u64> {
    let mut found = std::collections::HashMap::new();
    for event in journal.iter().filter(|event| event["event"]["type"] == "contextSet") {
        let value = event["event"]["value"].as_u64().expect("a number");
        let before = found.insert(value, event["revision"].as_u64().expect("a revision"));
        assert_eq!(before, None, "command {value} was carried out twice");
    }
    found
}
