//! Alerts: when they are raised and resolved, and that everybody is told once.

mod api;
mod conditions;
mod emails;
mod filters;
mod kill;
mod limits;
mod servers;
mod webhooks;

use relive::config::ServeConfig;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Database, MailServer, TestServer, eventually, node};

pub const FROM: &str = "Relive <relive@example.org>";

/// May tell receivers on this machine.
pub fn open(config: &mut ServeConfig) {
    config.webhooks.webhook_allow_private = true;
}

pub async fn server() -> TestServer {
    TestServer::start_with(open).await
}

/// Sends e-mails by `url`.
pub fn mailing(url: String) -> impl FnOnce(&mut ServeConfig) {
    move |config| {
        open(config);
        config.email.smtp_url = Some(url.into());
        config.email.smtp_from = Some(FROM.to_owned());
    }
}

pub async fn mailing_server(mail: &MailServer) -> TestServer {
    TestServer::start_with(mailing(mail.url())).await
}

/// Makes an alert; returns its id.
pub async fn alert(server: &TestServer, request: Value) -> String {
    let (status, made) = server.post("/api/v1/alerts", request).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

/// An alert on one failure.
pub fn on_failure(more: Value) -> Value {
    let mut request = json!({"name": "It fails", "condition": {"type": "failures", "count": 1, "withinMinutes": 10}});
    for (name, value) in more.as_object().expect("an object") {
        request[name] = value.clone();
    }
    request
}

/// Has all alerts looked at now, and nothing remembered of runs, as if the time had passed.
pub async fn look(database: &Database) {
    let sql = "UPDATE alerts SET due_at = now(), compared_at = NULL WHERE due_at IS NOT NULL";
    sqlx::query(sql).execute(database.storage().pool()).await.expect("due");
}

pub async fn status(server: &TestServer, alert: &str) -> String {
    let (status, alert) = server.get(&format!("/api/v1/alerts/{alert}")).await;
    assert_eq!(status, StatusCode::OK, "{alert}");
    alert["status"].as_str().expect("a status").to_owned()
}

/// Has all alerts looked at, and waits for it.
async fn look_once(server: &TestServer) {
    let storage = server.database.storage();
    look(&server.database).await;
    let waiting = "SELECT count(*) FROM alerts WHERE due_at <= now()";
    let is_done = async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(storage.pool()).await.expect("a count") == 0;
    eventually("the alerts are looked at", is_done).await;
}

/// Waits until the alert is `raised` or `resolved`.
pub async fn becomes(server: &TestServer, alert: &str, expected: &str) {
    let is_so = async || {
        look_once(server).await;
        status(server, alert).await == expected
    };
    eventually(&format!("the alert is {expected}"), is_so).await;
}

/// Waits until every alert was looked at twice more: whatever an earlier look has begun has ended by then.
pub async fn looked_at(server: &TestServer) {
    look_once(server).await;
    look_once(server).await;
}

/// The events of an alert, newest first.
pub async fn events(server: &TestServer, alert: &str) -> Vec<Value> {
    let (status, page) = server.get(&format!("/api/v1/alerts/{alert}/events?limit=200")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    page["events"].as_array().expect("events").clone()
}

/// Which events an alert has had, the first one first.
pub async fn changes(server: &TestServer, alert: &str) -> Vec<String> {
    let events = events(server, alert).await;
    events.iter().rev().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

/// A run that has ended; returns its id.
pub async fn run(server: &TestServer, labels: Value, end: &str) -> String {
    let id = server.create(labels).await;
    let end = match end {
        "fail" => json!({"type": "fail", "error": "it broke"}),
        end => json!({"type": end}),
    };
    server.command(&id, json!([{"type": "start"}, node("n", "running"), node("n", "completed"), end])).await;
    id
}

/// Makes all runs that have ended older, as if the time had passed.
pub async fn age(database: &Database, time: &str) {
    let sql =
        "WITH moved AS (UPDATE ended_runs SET ended_at = ended_at - $1::text::interval RETURNING project_id, ended_at)
        INSERT INTO statistics_changes SELECT * FROM moved";
    sqlx::query(sql).bind(time).execute(database.storage().pool()).await.expect("aged");
}
