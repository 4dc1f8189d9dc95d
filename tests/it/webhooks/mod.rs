//! Webhooks: what receivers are told, in which order, and that nothing is lost.

mod api;
mod deletion;
mod filters;
mod kill;
mod order;
mod retries;
mod servers;
mod signatures;

use relive::config::ServeConfig;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Receiver, TestServer, eventually};

pub const ALL: [&str; 9] = [
    "session.created",
    "session.started",
    "session.paused",
    "session.completed",
    "session.failed",
    "session.cancelled",
    "node.failed",
    "review.requested",
    "review.answered",
];

pub fn open(config: &mut ServeConfig) {
    config.webhooks.webhook_allow_private = true;
}

/// A server that may tell receivers on this machine.
pub async fn server() -> TestServer {
    TestServer::start_with(open).await
}

/// Makes a webhook; returns the answer.
pub async fn hook(server: &TestServer, request: Value) -> Value {
    let (status, made) = server.post("/api/v1/webhooks", request).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made
}

/// A webhook for all types; returns its id.
pub async fn hook_for_all(server: &TestServer, receiver: &Receiver) -> String {
    id(&hook(server, json!({"url": receiver.url(), "types": ALL})).await)
}

pub fn id(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_owned()
}

/// The deliveries of a webhook, newest first.
pub async fn deliveries(server: &TestServer, hook: &str) -> Vec<Value> {
    let (status, page) = server.get(&format!("/api/v1/webhooks/{hook}/deliveries?limit=200")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["deliveries"].as_array().expect("deliveries").clone()
}

/// Waits until a delivery of this type is as it has to be; returns it.
pub async fn delivery(server: &TestServer, hook: &str, kind: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let find = async || {
        let all = deliveries(server, hook).await;
        all.into_iter().find(|delivery| delivery["type"] == kind && holds(delivery))
    };
    eventually("the delivery is as expected", async || find().await.is_some()).await;
    find().await.expect("a delivery")
}

/// Makes what is to be tried again due now, as if the time had passed.
pub async fn let_time_pass(server: &TestServer) {
    let storage = server.database.storage();
    sqlx::query("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'")
        .execute(storage.pool())
        .await
        .expect("updated");
}
