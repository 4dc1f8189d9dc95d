//! What operators and their tools are told.

use reqwest::Method;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::harness::{TestServer, eventually, problem};

#[tokio::test]
async fn a_server_whose_database_takes_no_writes_is_not_ready() {
    let server = TestServer::start().await;
    assert_eq!(server.request(Method::GET, "/readyz").send().await.expect("an answer").status(), 200);
    let mut admin = PgConnection::connect_with(&server.database.options()).await.expect("connected");
    let mut set = async |value: &str| {
        let sql = format!(
            "SET default_transaction_read_only = off; \
             DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {value}', \
             current_database()); END $$; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
        );
        // The setting is one of new connections, so the others are ended.
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut admin).await.expect("set");
    };
    set("on").await;
    eventually("not ready", async || {
        let response = server.request(Method::GET, "/readyz").send().await.expect("an answer");
        let problem: serde_json::Value = response.json().await.unwrap_or_default();
        problem["detail"] == "the database is read-only"
    })
    .await;
    problem(server.request(Method::GET, "/readyz"), "unavailable").await;
    set("off").await;
    eventually("ready", async || {
        server.request(Method::GET, "/readyz").send().await.expect("an answer").status() == 200
    })
    .await;
}

#[tokio::test]
async fn the_probe_needs_room_on_the_disk_and_leaves_nothing_there() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    let used = async || -> i64 {
        // Connections tell what they used when they have a moment.
        sqlx::query("SELECT pg_stat_force_next_flush()").execute(storage.pool()).await.expect("flushed");
        sqlx::query_scalar("SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database()")
            .fetch_one(storage.pool())
            .await
            .expect("a number")
    };
    let before = used().await;
    eventually("a file was written", async || {
        assert_eq!(server.request(Method::GET, "/readyz").send().await.expect("an answer").status(), 200);
        used().await > before + 100_000
    })
    .await;
}

#[tokio::test]
async fn invented_methods_are_one_series() {
    let server = TestServer::start().await;
    for method in ["BREW", "PROPFIND", "M1X", "M2X"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let response = server.request(method, "/api/v1/sessions").send().await.expect("an answer");
        assert_eq!(response.status(), 405);
        let allowed = response.headers()["allow"].to_str().expect("a text");
        assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
    }
    let metrics =
        server.request(Method::GET, "/metrics").send().await.expect("an answer").text().await.expect("a text");
    assert!(metrics.contains("method=\"other\"") && metrics.contains("method=\"GET\""), "{metrics}");
    for word in ["BREW", "PROPFIND", "M1X"] {
        assert!(!metrics.contains(word), "{word}");
    }
}
