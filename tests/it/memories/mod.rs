//! Memories: stored by commands and outside of runs, found by vector and by words, embedded by the
//! server.

mod embedding;
mod large;
mod lifecycle;
mod listed;
mod refusals;
mod search;
mod words;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::TestServer;

impl TestServer {
    /// Stores a memory that must be accepted.
    async fn remember(&self, request: Value) -> Value {
        let (status, memory) = self.post("/api/v1/memories", request).await;
        assert_eq!(status, StatusCode::CREATED, "{memory}");
        memory
    }

    /// Searches; the request must be accepted.
    async fn recall(&self, request: Value) -> Value {
        let (status, found) = self.post("/api/v1/memories/search", request).await;
        assert_eq!(status, StatusCode::OK, "{found}");
        found
    }

    async fn new_group(&self) -> String {
        let (_, group) = self.post("/api/v1/groups", json!({"name": "group"})).await;
        group["id"].as_str().expect("an id").to_owned()
    }

    async fn is_embedded(&self, id: &str) -> bool {
        let (_, memory) = self.get(&format!("/api/v1/memories/{id}")).await;
        memory["embedded"].as_bool().expect("a memory")
    }
}

fn contents(found: &Value) -> Vec<&str> {
    found["memories"].as_array().expect("memories").iter().map(|it| it["content"].as_str().expect("text")).collect()
}

fn scores(found: &Value) -> Vec<f64> {
    found["memories"].as_array().expect("memories").iter().map(|it| it["score"].as_f64().expect("a score")).collect()
}

/// A vector of eight numbers that points along the first two axes.
fn towards(x: f32, y: f32) -> Value {
    json!([x, y, 0, 0, 0, 0, 0, 0])
}
