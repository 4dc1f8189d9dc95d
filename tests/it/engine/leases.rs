//! Leases that cannot be taken, renewed or given back for a while: no run is held for ever.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::support::{graph, review, start, until_ended, until_node};
use crate::harness::{TestServer, eventually};

const LEASE: f64 = 0.6;

async fn server() -> TestServer {
    TestServer::start_with(|config| config.engine.engine_lease_seconds = LEASE).await
}

async fn execute(server: &TestServer, sql: &str) {
    let storage = server.database.storage();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(storage.pool()).await.expect("carried out");
}

/// From now on a statement on leases fails, as `before` (such as `UPDATE`) and `condition` say.
async fn break_leases(server: &TestServer, before: &str, condition: &str) {
    let sql = format!(
        "CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF {condition} THEN RAISE EXCEPTION 'boom'; END IF; RETURN coalesce(NEW, OLD); END $$;
         CREATE TRIGGER boom BEFORE {before} ON session_leases FOR EACH ROW EXECUTE FUNCTION boom();"
    );
    execute(server, &sql).await;
}

async fn mend_leases(server: &TestServer) {
    execute(server, "DROP TRIGGER boom ON session_leases; DROP FUNCTION boom()").await;
}

async fn until_count(server: &TestServer, id: &str, condition: &str, expected: i64) {
    let sql = format!("SELECT count(*) FROM session_leases WHERE session_id = '{id}' AND {condition}");
    let storage = server.database.storage();
    let counted = async || {
        let sql = AssertSqlSafe(sql.clone());
        sqlx::query_scalar::<_, i64>(sql).fetch_one(storage.pool()).await.expect("a count") == expected
    };
    eventually(&format!("{expected} leases {condition}"), counted).await;
}

fn asking() -> Value {
    graph(&[("r", "human_review", json!({}), &["e"]), ("e", "end", json!({}), &[])])
}

/// Keeps the server renewing leases.
async fn keep_busy(server: &TestServer) -> String {
    let nodes = graph(&[
        ("d", "delay", json!({"seconds": 0.2}), &["l"]),
        ("l", "loop", json!({"max_rounds": 1000}), &["d", "e"]),
        ("e", "end", json!({}), &[]),
    ]);
    start(server, nodes).await
}

#[tokio::test]
async fn a_run_that_could_not_be_parked_is_held_no_longer_than_its_lease() {
    let server = server().await;
    let busy = keep_busy(&server).await;
    until_node(&server, &busy, "d", "running").await;
    break_leases(&server, "UPDATE", "NEW.holder IS NULL").await;
    let id = start(&server, asking()).await;
    until_node(&server, &id, "r", "suspended").await;
    // It is not renewed although the server renews others, and is found by whoever looks.
    until_count(&server, &id, "holder IS NOT NULL AND crashes > 0", 1).await;
    mend_leases(&server).await;
    until_count(&server, &id, "holder IS NULL", 1).await;
    review(&server, &id, "r", "approve").await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    assert_eq!(server.session(&busy).await["status"], "running");
}

#[tokio::test]
async fn a_release_that_failed_is_tried_again() {
    let server = server().await;
    let busy = keep_busy(&server).await;
    until_node(&server, &busy, "d", "running").await;
    break_leases(&server, "DELETE", "true").await;
    let id = start(&server, graph(&[("a", "end", json!({}), &[])])).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    until_count(&server, &id, "true", 1).await;
    mend_leases(&server).await;
    until_count(&server, &id, "true", 0).await;
}

#[tokio::test]
async fn leases_that_cannot_be_taken_or_renewed_stop_no_run_for_good() {
    let server = server().await;
    break_leases(&server, "INSERT", "true").await;
    let id = start(&server, asking()).await;
    assert_eq!(server.session(&id).await["nodes"]["r"]["status"], "pending");
    mend_leases(&server).await;
    until_node(&server, &id, "r", "suspended").await;

    break_leases(&server, "UPDATE", "NEW.holder = OLD.holder AND NEW.taken_revision = OLD.taken_revision").await;
    let nodes = graph(&[("d", "delay", json!({"seconds": 1.5}), &["e"]), ("e", "end", json!({}), &[])]);
    let id = start(&server, nodes).await;
    until_count(&server, &id, "expires_at < now()", 1).await;
    let session = until_ended(&server, &id).await;
    assert_eq!((&session["status"], &session["nodes"]["d"]["attempt"]), (&json!("completed"), &json!(1)), "{session}");
    mend_leases(&server).await;
}

/// A lease that ran out is no crash of a server that is still there: the database was away, or the server
/// stood still. Only the others are counted, since a run that takes servers down is stopped in the end.
#[tokio::test]
async fn a_server_that_lost_a_lease_and_is_there_has_not_crashed() {
    let server = TestServer::start().await;
    let id = relive_session::SessionId(server.new_session().await.parse().expect("an id"));
    let storage = server.database.storage();
    let [one, two, three] = [1, 2, 3].map(uuid::Uuid::from_u128);
    let take = async |holder| {
        let taken = storage.claim_leases(holder, &[id], Duration::ZERO).await.expect("the database is there");
        taken.first().expect("it ran out").crashes
    };
    assert_eq!(take(one).await, 0);
    assert_eq!(take(two).await, 1, "the other one may be gone");
    assert_eq!(storage.renew_leases(one, &[id], Duration::ZERO).await.expect("the database is there"), []);
    assert_eq!(take(three).await, 1, "the first is there, the second may be gone");
    assert_eq!(take(two).await, 2);
}
