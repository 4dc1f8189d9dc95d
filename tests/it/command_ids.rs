//! How long command ids are known.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::harness::{Database, TestServer, answer, context};

const DAY: Duration = Duration::from_hours(24);

async fn send(server: &TestServer, id: &str, key: &str, command: &Value) -> (u16, Value) {
    let request = server.request(Method::POST, &format!("/api/v1/sessions/{id}/commands")).json(command);
    let (status, body) = answer(request.header("Idempotency-Key", key)).await;
    (status.as_u16(), body)
}

async fn execute(server: &TestServer, sql: &str) {
    let storage = server.database.storage();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(storage.pool()).await.expect("carried out");
}

/// Prunes everything there is to prune; returns how many statements it took.
async fn prune(server: &TestServer) -> usize {
    let storage = server.database.storage();
    let (mut after, mut statements) = (Uuid::nil(), 1);
    while let Some(next) = storage.prune_commands(after, DAY).await.expect("pruned") {
        (after, statements) = (next, statements + 1);
    }
    statements
}

async fn known(server: &TestServer, id: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM session_commands WHERE session_id = '{id}'");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(server.database.storage().pool()).await.expect("a count")
}

#[tokio::test]
async fn command_ids_are_known_while_the_session_runs_and_a_day_longer() {
    let server = TestServer::start().await;
    let (running, recent, old) =
        (server.running_session().await, server.running_session().await, server.running_session().await);
    for id in [&running, &recent, &old] {
        assert_eq!(send(&server, id, "k", &context("a", json!(1))).await.1["revision"], 3);
    }
    for id in [&recent, &old] {
        assert_eq!(send(&server, id, "end", &json!({"type": "complete"})).await.1["revision"], 4);
    }
    // The one that runs has not changed for a year; of those that have ended, one for less than a day.
    let age =
        |id: &str, time: &str| format!("UPDATE sessions SET updated_at = now() - interval '{time}' WHERE id = '{id}';");
    let sql = [age(&running, "1 year"), age(&recent, "23 hours 59 minutes"), age(&old, "24 hours 1 minute")];
    execute(&server, &sql.concat()).await;
    prune(&server).await;
    assert_eq!((known(&server, &running).await, known(&server, &recent).await, known(&server, &old).await), (1, 2, 0));

    // A server that does not remember them itself.
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    for (id, revision) in [(&running, 3), (&recent, 3)] {
        let (status, receipt) = send(&server, id, "k", &context("a", json!(1))).await;
        assert_eq!((status, &receipt["revision"], &receipt["duplicate"]), (200, &json!(revision), &json!(true)));
    }
    // After that, it is a new command: to a session that has ended.
    let (status, problem) = send(&server, &old, "k", &context("a", json!(1))).await;
    assert_eq!((status, &problem["code"]), (409, &json!("illegal_transition")), "{problem}");
    let labels = json!({"type": "setLabels", "name": "again"});
    let (status, receipt) = send(&server, &old, "end", &labels).await;
    assert_eq!((status, &receipt["revision"], &receipt["duplicate"]), (200, &json!(5), &Value::Null), "{receipt}");
}

#[tokio::test]
async fn any_number_of_command_ids_is_pruned_in_small_batches() {
    let server = TestServer::start().await;
    let sql = "INSERT INTO sessions (id, status, driver, revision, ended_at, created_at, updated_at)
            SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'completed', 'external', 2, at, at, at
            FROM generate_series(1, 1200) AS n, LATERAL (SELECT now() - n * interval '1 hour') AS t (at);
        INSERT INTO session_commands SELECT id, n::text, 2 FROM sessions, generate_series(1, 2) AS n;
        INSERT INTO session_commands
            SELECT '00000000-0000-7000-8000-000000000800', 'more ' || n, 2 FROM generate_series(1, 4500) AS n";
    execute(&server, sql).await;
    let statements = prune(&server).await;
    assert!((5..=9).contains(&statements), "{statements} statements");
    let left: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT count(*), max(now() - updated_at) <= interval '24 hours'
         FROM session_commands JOIN sessions ON sessions.id = session_id",
    )
    .fetch_all(server.database.storage().pool())
    .await
    .expect("what is left");
    // Those of the last 23 hours, and of the 24th if that has not passed yet.
    assert!(matches!(left[..], [(46, true)]), "{left:?}");
    assert_eq!(prune(&server).await, 2);
}

#[tokio::test]
async fn one_server_at_a_time_prunes() {
    let database = Database::create().await;
    let (one, other) = (database.storage(), database.storage());
    let hour = Duration::from_hours(1);
    let claims = async || {
        let (one, other) = tokio::join!(one.claim_command_pruning(hour), other.claim_command_pruning(hour));
        usize::from(one.expect("an answer")) + usize::from(other.expect("an answer"))
    };
    assert_eq!(claims().await, 1);
    assert_eq!(claims().await, 0);
    let past = "UPDATE settings SET changed_at = now() - interval '61 minutes' WHERE name = 'command_ids_pruned'";
    sqlx::query(past).execute(one.pool()).await.expect("an hour later");
    assert_eq!(claims().await, 1);
}
