//! Runs that wait are marked, so that a server that looks for runs without a driver does not read them.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::support::{graph, review, start, until_ended, until_node};
use crate::harness::{Database, TestServer, eventually};
use crate::query_plans::Reads;

async fn is_parked(server: &TestServer, id: &str) -> bool {
    let sql = AssertSqlSafe(format!("SELECT is_parked FROM sessions WHERE id = '{id}'"));
    sqlx::query_scalar(sql).fetch_one(server.database.storage().pool()).await.expect("a mark")
}

async fn execute(server: &TestServer, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(server.database.storage().pool()).await.expect("carried out");
}

async fn waiting(server: &TestServer) -> String {
    let asking = graph(&[("r", "human_review", json!({}), &["e"]), ("e", "end", json!({}), &[])]);
    let id = start(server, asking).await;
    until_node(server, &id, "r", "suspended").await;
    id
}

#[tokio::test]
async fn a_run_that_waits_is_marked_until_it_is_written() {
    let server = TestServer::start().await;
    let id = waiting(&server).await;
    eventually("it is marked", async || is_parked(&server, &id).await).await;
    let storage = server.database.storage();
    assert_eq!(storage.undriven_sessions(10).await.expect("an answer"), []);
    let (status, body) = review(&server, &id, "r", "approve").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    assert!(!is_parked(&server, &id).await);
}

/// A run whose server has gone, and that a server of the version before has written: that leaves the mark.
#[tokio::test]
async fn a_wrong_mark_is_corrected() {
    let server = TestServer::start().await;
    let id = waiting(&server).await;
    eventually("it is marked", async || is_parked(&server, &id).await).await;
    let server = TestServer::start_on(server.stop().await, |config| config.engine.engine_sessions = 0).await;
    let storage = server.database.storage();
    while storage.correct_parked().await.expect("compared") {}
    assert!(is_parked(&server, &id).await, "a right mark stays");
    execute(&server, format!("UPDATE session_leases SET parked_revision = 1 WHERE session_id = '{id}'")).await;
    assert_eq!(storage.undriven_sessions(10).await.expect("an answer"), []);
    while storage.correct_parked().await.expect("compared") {}
    assert!(!is_parked(&server, &id).await);
    let found = storage.undriven_sessions(10).await.expect("an answer");
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [&*id]);
    // Whoever takes it up leaves it without a mark, and an expired lease is found with one as well.
    let claimed = storage.claim_leases(Uuid::now_v7(), &found, Duration::ZERO).await.expect("claimed");
    assert_eq!(claimed.len(), 1);
    execute(&server, format!("UPDATE sessions SET is_parked = true WHERE id = '{id}'")).await;
    assert_eq!(storage.undriven_sessions(10).await.expect("an answer"), found);
}

/// 100,000 runs that wait, 20 whose time has come, 30 that were just started, and a lease that has expired.
#[tokio::test]
async fn looking_for_runs_without_a_driver_does_not_read_those_that_wait() {
    let storage = Database::create().await.storage();
    let fill = "SET session_replication_role = replica;
        INSERT INTO sessions (id, status, driver, revision, is_parked, created_at, updated_at)
            SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
                CASE WHEN n % 2 = 0 THEN 'running' ELSE 'paused' END,
                'builtin', 5, n <= 100000, at, at
            FROM generate_series(1, 100031) AS n, LATERAL (SELECT timestamptz '2025-01-01Z' + n * interval '1 s') AS t (at);
        INSERT INTO session_leases (session_id, holder, expires_at, parked_revision, wake_at)
            SELECT id, CASE WHEN number > 100030 THEN gen_random_uuid() END, created_at, 5,
                CASE WHEN number % 5000 = 0 THEN now() - interval '1 s' WHEN number % 2 = 0 THEN now() + interval '1 day' END
            FROM (SELECT *, row_number() OVER (ORDER BY id) AS number FROM sessions) AS numbered
            WHERE number <= 100000 OR number > 100030;
        SET session_replication_role = DEFAULT;
        ANALYZE sessions, session_leases";
    sqlx::raw_sql(fill).execute(storage.pool()).await.expect("filled");
    let plan = storage.explain_undriven(1_000).await.expect("a plan");
    let mut reads = Reads::default();
    reads.add(&plan[0]["Plan"]);
    assert_eq!(plan[0]["Plan"]["Actual Rows"].as_f64(), Some(51.0), "{plan:#}");
    assert!(reads.rows < 500 && reads.whole_tables.is_empty(), "{reads:?}\n{plan:#}");
}
