//! What happened before a session was deleted is told, whenever it is deleted.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{deliveries, hook, id, server};
use crate::harness::{Receiver, TestServer, eventually};

/// Keeps all servers from making deliveries of the outbox while it exists.
async fn hold_outbox(server: &TestServer) -> sqlx::pool::PoolConnection<sqlx::Postgres> {
    let mut connection = server.database.storage().pool().acquire().await.expect("a connection");
    let hold = "SELECT pg_advisory_lock(x'72656c6f72656c6f'::bigint)";
    sqlx::query(hold).execute(&mut *connection).await.expect("held");
    connection
}

async fn remove(server: &TestServer, path: &str) -> StatusCode {
    server.request(Method::DELETE, path).send().await.expect("an answer").status()
}

async fn ended_session(server: &TestServer, body: Value) -> String {
    let (status, made) = server.post("/api/v1/sessions", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let session = id(&made);
    server.command(&session, json!([{"type": "start"}, {"type": "complete"}])).await;
    session
}

/// What there are deliveries of, oldest first.
async fn told_of(server: &TestServer, hook: &str, session: &str) -> Vec<String> {
    let all = deliveries(server, hook).await;
    let of_session = all.iter().rev().filter(|delivery| delivery["sessionId"] == session);
    of_session.map(|delivery| delivery["type"].as_str().expect("a type").to_owned()).collect()
}

#[tokio::test]
async fn a_session_is_told_of_before_it_is_deleted() {
    const TYPES: [&str; 3] = ["session.created", "session.started", "session.completed"];
    let server = server().await;
    let receiver = Receiver::start().await;
    let hook = id(&hook(&server, json!({"url": receiver.url(), "types": TYPES})).await);
    let (_, group) = server.post("/api/v1/groups", json!({"name": "G"})).await;
    let held = hold_outbox(&server).await;

    let alone = ended_session(&server, json!({})).await;
    assert_eq!(told_of(&server, &hook, &alone).await, Vec::<String>::new(), "the outbox is held");
    let status = remove(&server, &format!("/api/v1/sessions/{alone}")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(told_of(&server, &hook, &alone).await, TYPES);

    let in_bulk = ended_session(&server, json!({"tags": ["bulk"]})).await;
    let (status, deleted) = server.post("/api/v1/sessions/delete", json!({"filter": {"tag": "bulk"}})).await;
    assert_eq!((status, &deleted["deleted"]), (StatusCode::OK, &json!(1)), "{deleted}");
    assert_eq!(told_of(&server, &hook, &in_bulk).await, TYPES);

    let in_group = ended_session(&server, json!({"groupId": group["id"]})).await;
    let status = remove(&server, &format!("/api/v1/groups/{}", id(&group))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(told_of(&server, &hook, &in_group).await, TYPES);

    drop(held);
    eventually("all are sent", async || receiver.count() == 9).await;
    // None is told twice by whoever takes from the outbox afterwards.
    assert_eq!(deliveries(&server, &hook).await.len(), 9);
}
