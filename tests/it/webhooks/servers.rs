//! Several servers on one database: one at a time sends for a webhook, and another takes over when it is gone.

use std::time::Duration;

use relive::storage::Storage;
use serde_json::json;
use uuid::Uuid;

use super::{hook_for_all, open, server};
use crate::harness::{Answer, Receiver, TestServer, eventually};

const LEASE: Duration = Duration::from_secs(15);

async fn expire_leases(storage: &Storage) {
    let sql = "UPDATE webhooks SET leased_until = now() - interval '1 second'";
    sqlx::query(sql).execute(storage.pool()).await.expect("expired");
}

#[tokio::test]
async fn two_servers_tell_of_every_event_once() {
    let first = server().await;
    let second = TestServer::start_on(first.database.clone(), open).await;
    let receiver = Receiver::start().await;
    hook_for_all(&first, &receiver).await;
    for round in 0..20 {
        let (one, other) = if round % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let session = one.running_session().await;
        other.command(&session, json!({"type": "cancel"})).await;
    }
    let received = receiver.wait_for(60).await;
    let ids: std::collections::HashSet<&str> = received.iter().map(|one| one.id.as_str()).collect();
    assert_eq!((received.len(), ids.len()), (60, 60));
}

#[tokio::test]
async fn the_lease_of_a_server_that_is_gone_is_taken_over() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let hook: Uuid = hook_for_all(&server, &receiver).await.parse().expect("an id");
    let storage = server.database.storage();
    // Another server holds it, and says nothing.
    let (other, at) = (Uuid::new_v4(), "UPDATE webhooks SET holder = $1, leased_until = now() + interval '1 hour'");
    sqlx::query(at).bind(other).execute(storage.pool()).await.expect("held");
    server.new_session().await;
    let waiting = "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND attempts = 0";
    let is_waiting =
        async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(storage.pool()).await.expect("a count") == 1;
    eventually("the delivery is made", is_waiting).await;
    assert!(storage.claim_webhooks(Uuid::new_v4(), &[], LEASE, 10).await.expect("asked").is_empty());
    assert!(storage.renew_webhook(other, hook, LEASE * 240).await.expect("renewed").is_some());
    assert!(receiver.received().is_empty());
    expire_leases(&storage).await;
    receiver.wait_for(1).await;
    // What the other one says from now on does not count.
    assert!(storage.renew_webhook(other, hook, LEASE).await.expect("asked").is_none());
}

#[tokio::test]
async fn a_server_that_stops_hands_its_webhooks_over_at_once() {
    let first = server().await;
    let calls = std::sync::atomic::AtomicU32::new(0);
    let receiver = Receiver::answering(move |_| {
        let is_first = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        if is_first { Answer::Late(Duration::from_mins(5), 200) } else { Answer::Status(200) }
    })
    .await;
    hook_for_all(&first, &receiver).await;
    first.new_session().await;
    receiver.wait_for(1).await;
    let database = first.stop().await;
    let _second = TestServer::start_on(database, open).await;
    // Without a wait for the lease, which would be longer than the test may take.
    let received = receiver.wait_for(2).await;
    assert_eq!(received[0].id, received[1].id);
    assert!((received[1].at - received[0].at) < LEASE, "the lease was released");
}

#[tokio::test]
async fn an_event_is_told_of_also_when_the_session_is_gone() {
    let first = server().await;
    let receiver = Receiver::start().await;
    let hook = hook_for_all(&first, &receiver).await;
    let storage = first.database.storage();
    let hold = "UPDATE webhooks SET holder = gen_random_uuid(), leased_until = now() + interval '1 hour'";
    sqlx::query(hold).execute(storage.pool()).await.expect("held");
    let session = first.running_session().await;
    eventually("deliveries are made", async || super::deliveries(&first, &hook).await.len() == 2).await;
    let deleted = first.call(reqwest::Method::DELETE, &format!("/api/v1/sessions/{session}"), None).await;
    assert_eq!(deleted.0.as_u16(), 204);
    // Another one under the same id.
    first.create(json!({"id": session})).await;
    eventually("its delivery is made", async || super::deliveries(&first, &hook).await.len() == 3).await;
    expire_leases(&storage).await;
    let received = receiver.wait_for(3).await;
    let told: Vec<(String, u64)> = received.iter().map(|one| (one.kind(), one.revision())).collect();
    let expected = [("session.created", 1), ("session.started", 2), ("session.created", 1)];
    assert_eq!(told, expected.map(|(kind, revision)| (kind.to_owned(), revision)));
}
