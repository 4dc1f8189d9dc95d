//! Schedules: when runs are started, once, and what is done with those before.

mod api;
mod firing;

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::harness::{TestServer, eventually};

/// A workflow that the built-in engine runs: a delay of so many seconds.
pub async fn workflow(server: &TestServer, seconds: f64) -> String {
    let graph = json!({
        "name": "g", "startNodeId": "wait",
        "nodes": {"wait": {"id": "wait", "type": "delay", "name": "Wait", "properties": {"seconds": seconds}}},
    });
    let (status, made) = server.post("/api/v1/workflows", json!({"name": "Nightly", "graph": graph})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    id(&made)
}

pub fn id(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_owned()
}

pub async fn schedule(server: &TestServer, request: Value) -> Value {
    let (status, made) = server.post("/api/v1/schedules", request).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made
}

/// The runs of a schedule, newest first.
pub async fn runs(server: &TestServer, schedule: &str) -> Vec<Value> {
    let (status, page) = server.get(&format!("/api/v1/sessions?limit=200&metadata.scheduleId={schedule}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["sessions"].as_array().expect("sessions").clone()
}

pub async fn read(server: &TestServer, schedule: &str) -> Value {
    let (status, read) = server.get(&format!("/api/v1/schedules/{schedule}")).await;
    assert_eq!(status, StatusCode::OK, "{read}");
    read
}

/// Makes a schedule due since so many seconds, as if that time had passed.
pub async fn make_due(pool: &PgPool, schedule: &str, seconds: i64) {
    let sql = "UPDATE schedules SET next_at = date_trunc('milliseconds', now() - $2 * interval '1 second') WHERE id = $1::uuid";
    let made = sqlx::query(sql).bind(schedule).bind(seconds).execute(pool).await.expect("due");
    assert_eq!(made.rows_affected(), 1);
}

/// Waits until the last time of a schedule had this outcome, at another time than before.
pub async fn fired(server: &TestServer, schedule: &str, outcome: &str, before: &Value) -> Value {
    let is_fired = async || {
        let read = read(server, schedule).await;
        read["lastRun"] != *before && read["lastRun"]["outcome"] == outcome
    };
    eventually(&format!("the schedule has {outcome}"), is_fired).await;
    read(server, schedule).await["lastRun"].clone()
}
