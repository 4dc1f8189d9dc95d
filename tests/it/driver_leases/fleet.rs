//! Leases over restarts, and on several servers.

use serde_json::json;

use super::{execute, kinds, let_pass, renew, until_stalled};
use crate::harness::{TestServer, eventually, node};

#[tokio::test]
async fn a_lease_passes_while_no_server_runs() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    renew(&server, &id, 30).await;
    let database = server.stop().await;
    let server = TestServer::start_on(database, |_| {}).await;
    assert_eq!(server.session(&id).await.get("isStalled"), None);
    let_pass(&server).await;
    until_stalled(&server, &id).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(server.session(&id).await["isStalled"], true);
    assert_eq!(kinds(&server, &id).await, ["created", "started", "driverSeen", "stalled"]);
}

#[tokio::test]
async fn several_servers_record_it_once() {
    let here = TestServer::start().await;
    let there = TestServer::start_on(here.database.clone(), |_| {}).await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        let id = here.running_session().await;
        renew(if ids.len() % 2 == 0 { &here } else { &there }, &id, 30).await;
        ids.push(id);
    }
    let_pass(&here).await;
    for id in &ids {
        until_stalled(&here, id).await;
        until_stalled(&there, id).await;
    }
    // Both take the same ones once more, as if one had died before it let go of them.
    let again = "INSERT INTO driver_leases (session_id, due_at) SELECT id, now() FROM sessions ON CONFLICT DO NOTHING";
    execute(&here, again).await;
    let storage = here.database.storage();
    let left = async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM driver_leases");
        count.fetch_one(storage.pool()).await.expect("a count") == 0
    };
    eventually("all are looked at", left).await;
    for id in &ids {
        let expected = ["created", "started", "driverSeen", "stalled"];
        assert_eq!(kinds(&here, id).await, expected, "{id}");
    }
    // The engine may come back by any server.
    there.command(&ids[0], node("a", "running")).await;
    let is_cleared = async || here.session(&ids[0]).await.get("isStalled").is_none();
    eventually("cleared here as well", is_cleared).await;
}

#[tokio::test]
async fn a_renewal_that_a_server_did_not_see_wins() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    renew(&server, &id, 30).await;
    // A server has taken it on to record that the lease has passed, and is slow.
    execute(&server, "UPDATE driver_leases SET is_claimed = true, due_at = now() + interval '1 hour'").await;
    assert_eq!(renew(&server, &id, 30).await["revision"], 4, "said, so that the other one finds it");
    execute(&server, "DELETE FROM driver_leases").await;
    assert_eq!(renew(&server, &id, 30).await["revision"], 5, "it was recorded, and is not known here yet");
    assert_eq!(renew(&server, &id, 30).await["revision"], 5);
    let_pass(&server).await;
    until_stalled(&server, &id).await;
    let receipt = server.command(&id, json!({"type": "setContext", "key": "k", "value": 1})).await;
    assert_eq!(receipt, 8, "the lease, and then the command");
}
