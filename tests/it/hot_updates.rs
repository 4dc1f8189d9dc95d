//! A change of a running session writes no index entry (PostgreSQL's HOT updates), and lists find sessions all the same.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};

use crate::harness::{Database, TestServer, eventually, node};
use relive::storage::MIGRATOR;

const SESSIONS: usize = 20;
const ROUNDS: usize = 15;

/// Updates of `sessions`, and those that were HOT.
async fn updates(pool: &PgPool) -> (i64, i64) {
    let sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'";
    sqlx::query_as(sql).fetch_one(pool).await.expect("statistics")
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.expect("carried out");
}

async fn ids(server: &TestServer, query: &str) -> Vec<String> {
    let (status, page) = server.get(&format!("/api/v1/sessions?{query}")).await;
    assert_eq!(status, 200, "{page}");
    let sessions = page["sessions"].as_array().expect("sessions");
    sessions.iter().map(|session| session["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn changes_of_running_sessions_are_hot_updates() {
    let server = TestServer::start().await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let id = server.running_session().await;
        // The nodes become part of the session one by one, and with them its row longer.
        server.command(&id, json!([node("a", "running"), node("b", "running"), node("c", "pending")])).await;
        sessions.push(id);
    }
    // What the connections of the server have counted is shown once they are closed.
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let storage = server.database.storage();
    let before = updates(storage.pool()).await;
    assert!(before.0 > 0, "{before:?}");
    for round in 0..ROUNDS {
        let status = ["completed", "running"][round % 2];
        let change = sessions.iter().map(|id| server.command(id, node("a", status)));
        futures_util::future::join_all(change).await;
    }
    server.stop().await;
    let changes = (SESSIONS * ROUNDS) as i64;
    let counted = async || updates(storage.pool()).await.0 - before.0 >= changes;
    eventually("all updates are counted", counted).await;
    let after = updates(storage.pool()).await;
    let (all, hot) = (after.0 - before.0, after.1 - before.1);
    // Without an index in the way it is 97 %, with one none. Old versions stay a little longer on a busy machine.
    assert!(hot * 3 >= all * 2, "{hot} of {all} updates were HOT");
}

/// Whichever column a running session changes: none is in an index of the table, nor in a condition of one.
#[tokio::test]
async fn no_index_has_a_column_that_a_running_session_changes() {
    let storage = Database::create().await.storage();
    let sql = "SELECT indexdef FROM pg_indexes WHERE tablename = 'sessions' AND schemaname = 'public'";
    let indexes: Vec<String> = sqlx::query_scalar(sql).fetch_all(storage.pool()).await.expect("indexes");
    assert!(indexes.len() > 10, "{indexes:?}");
    let changing = [
        "revision",
        "updated_at",
        "node_statuses",
        "node_counts",
        "total_tokens",
        "total_cost_usd",
        "proposal",
        "outputs",
        "driver_seen_at",
    ];
    for index in &indexes {
        let (_, columns) = index.split_once(" USING ").expect("a definition");
        let words: Vec<&str> = columns.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        assert!(!changing.iter().any(|column| words.contains(column)), "{index}");
    }
}

/// As a server of the version before writes, which does not know the columns.
#[tokio::test]
async fn what_others_write_is_found_by_its_last_change_and_by_its_nodes() {
    let server = TestServer::start().await;
    let (moved, ended) = (server.running_session().await, server.running_session().await);
    let still = server.running_session().await;
    for id in [&moved, &ended, &still] {
        server.command(id, node("a", "running")).await;
    }
    let pool = server.database.storage();
    let later = "2100-01-01T00:00:00Z";
    let sql = format!(
        "UPDATE sessions SET updated_at = timestamptz '{later}' + interval '1 hour',
            labels_revision = labels_revision WHERE id = '{moved}'"
    );
    execute(pool.pool(), &sql).await;
    let end = "UPDATE sessions SET status = 'failed', node_statuses = node_statuses || '{\"a\": \"failed\"}',
            ended_at = updated_at, updated_at = updated_at + interval '1 ms', labels_revision = labels_revision";
    execute(pool.pool(), &format!("{end} WHERE id = '{ended}'")).await;
    assert_eq!(ids(&server, &format!("updatedAfter={later}")).await, [&*moved]);
    assert_eq!(ids(&server, "nodeId=a&nodeStatus=failed").await, [&*ended]);
    assert_eq!(ids(&server, "nodeId=a&nodeStatus=running").await, [still, moved]);
    let hashed: bool = sqlx::query_scalar(AssertSqlSafe(format!(
        "SELECT ended_nodes @> ARRAY[relive_node_hash('a', 'failed')] FROM sessions WHERE id = '{ended}'"
    )))
    .fetch_one(pool.pool())
    .await
    .expect("the column");
    assert!(hashed);
}

/// A list by a node, as the run goes on and ends: the row moves from the one index to the other.
#[tokio::test]
async fn a_node_is_found_before_and_after_the_end() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!([node("a", "running"), node("ü", "running")])).await;
    assert_eq!(ids(&server, "nodeId=a&nodeStatus=running").await, [&*id]);
    server.command(&id, node("a", "completed")).await;
    server.command(&id, json!([node("ü", "failed"), {"type": "fail", "error": "it broke"}])).await;
    for (query, found) in [
        ("nodeId=a&nodeStatus=completed", true),
        ("nodeId=%C3%BC&nodeStatus=failed", true),
        ("nodeId=a&nodeStatus=running", false),
    ] {
        assert_eq!(ids(&server, query).await.contains(&id), found, "{query}");
    }
    // Facts that follow the end count too.
    let before = ids(&server, "nodeId=a&nodeStatus=failed").await;
    assert!(before.is_empty(), "{before:?}");
}

#[tokio::test]
async fn rows_of_the_version_before_are_brought_up_to_date() {
    let database = Database::create().await;
    let storage = database.storage();
    let pool = storage.pool();
    MIGRATOR.undo(pool, 21).await.expect("the version before");
    let rows = "INSERT INTO sessions (id, status, driver, revision, node_statuses, ended_at, created_at, updated_at)
        SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 'completed' ELSE 'running' END, 'external', 2,
            '{\"a\": \"completed\", \"b\": \"skipped\"}', CASE WHEN n % 2 = 0 THEN at END, at, at
        FROM generate_series(1, 1001) AS n, LATERAL (SELECT timestamptz '2025-01-01Z' + n * interval '1 s') AS t (at)";
    execute(pool, rows).await;
    storage.migrate(8).await.expect("migrated");
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM sessions WHERE updated_about <> updated_at OR (ended_at IS NULL) <> (ended_nodes IS NULL)
            OR cardinality(ended_nodes) <> 2",
    )
    .fetch_one(pool)
    .await
    .expect("a count");
    assert_eq!(wrong, 0);
}
