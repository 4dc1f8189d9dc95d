//! What failures lead to.

use serde_json::{Value, json};

use super::{deliveries, delivery, hook, id, let_time_pass, server};
use crate::harness::{Answer, Receiver, TestServer, eventually};

async fn created(server: &TestServer, receiver: &Receiver) -> String {
    let made = hook(server, json!({"url": receiver.url(), "types": ["session.created"]})).await;
    server.new_session().await;
    id(&made)
}

fn seconds(delivery: &Value) -> f64 {
    let at = |name: &str| {
        let text = delivery[name].as_str().expect(name);
        text.parse::<relive_session::Timestamp>().expect("a time").as_millis() as f64 / 1_000.0
    };
    at("nextAttemptAt") - at("lastAttemptAt")
}

#[tokio::test]
async fn a_delivery_is_tried_ten_times_with_longer_and_longer_waits() {
    let server = server().await;
    let receiver = Receiver::answering(|_| Answer::Status(503)).await;
    let hook = created(&server, &receiver).await;
    for (place, wait) in [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400].into_iter().enumerate() {
        let tried = delivery(&server, &hook, "session.created", |one| one["attempts"] == place + 1).await;
        assert_eq!(tried["status"], "pending", "{tried}");
        assert!((seconds(&tried) - f64::from(wait)).abs() < 3.0, "{tried}: {} and not {wait}", seconds(&tried));
        let_time_pass(&server).await;
    }
    let last = delivery(&server, &hook, "session.created", |one| one["attempts"] == 10).await;
    assert_eq!((&last["status"], &last["nextAttemptAt"]), (&json!("failed"), &Value::Null), "{last}");
    let received = receiver.wait_for(10).await;
    let ids: std::collections::HashSet<&str> = received.iter().map(|one| one.id.as_str()).collect();
    assert_eq!((received.len(), ids.len()), (10, 1), "the same id on every retry");
    assert!(received.iter().all(|one| one.body == received[0].body), "and the same body");
    assert!(ids.contains(last["id"].as_str().expect("an id")));
}

/// Five seconds are waited for in fact.
#[tokio::test]
async fn the_second_attempt_follows_by_itself() {
    let server = server().await;
    let count = std::sync::atomic::AtomicU32::new(0);
    let receiver = Receiver::answering(move |_| {
        let is_first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        Answer::Status(if is_first { 500 } else { 200 })
    })
    .await;
    let hook = created(&server, &receiver).await;
    let done = delivery(&server, &hook, "session.created", |one| one["status"] == "delivered").await;
    assert_eq!((&done["attempts"], &done["error"]), (&json!(2), &Value::Null));
    let [first, second] = &receiver.received()[..] else { panic!("two attempts") };
    let wait = second.at - first.at;
    assert!((4.9..9.0).contains(&wait.as_secs_f64()), "{wait:?}");
}

#[tokio::test]
async fn retry_after_is_heeded_up_to_an_hour() {
    let server = server().await;
    for (asked, wait) in [("120", 120.0), ("1", 5.0), ("1000000", 3_600.0)] {
        let receiver = Receiver::answering(move |_| Answer::With(429, "retry-after", asked.to_owned())).await;
        let hook = created(&server, &receiver).await;
        let tried = delivery(&server, &hook, "session.created", |one| one["attempts"] == 1).await;
        assert_eq!(tried["responseStatus"], 429);
        assert!((seconds(&tried) - wait).abs() < 3.0, "{tried}");
    }
}

#[tokio::test]
async fn gone_disables_the_webhook_and_enabling_it_goes_on() {
    let server = server().await;
    let receiver = Receiver::answering(|_| Answer::Status(410)).await;
    let hook = created(&server, &receiver).await;
    let path = format!("/api/v1/webhooks/{hook}");
    eventually("it is disabled", async || server.get(&path).await.1["enabled"] == false).await;
    let (_, disabled) = server.get(&path).await;
    assert!(disabled["disabledReason"].as_str().expect("a reason").contains("410"), "{disabled}");
    let gone = delivery(&server, &hook, "session.created", |one| one["attempts"] == 1).await;
    assert_eq!((&gone["status"], &gone["responseStatus"]), (&json!("failed"), &json!(410)));

    // Of what happens meanwhile nothing is told.
    server.new_session().await;
    let mut enabled = disabled.clone();
    enabled["enabled"] = json!(true);
    let healthy = Receiver::start().await;
    enabled["url"] = json!(healthy.url());
    let (_, enabled) = server.call(reqwest::Method::PUT, &path, Some(enabled)).await;
    assert_eq!((&enabled["enabled"], &enabled["disabledReason"]), (&json!(true), &Value::Null));
    let session = server.new_session().await;
    let received = healthy.wait_for(1).await;
    assert_eq!(received[0].session(), session);
    assert_eq!(deliveries(&server, &hook).await.len(), 2);
}

#[tokio::test]
async fn a_redirect_fails_and_is_not_followed() {
    let server = server().await;
    let target = Receiver::start().await;
    let url = target.url();
    let receiver = Receiver::answering(move |_| Answer::With(307, "location", url.clone())).await;
    let hook = created(&server, &receiver).await;
    let tried = delivery(&server, &hook, "session.created", |one| one["attempts"] == 1).await;
    assert_eq!((&tried["status"], &tried["responseStatus"]), (&json!("pending"), &json!(307)));
    assert!(tried["error"].as_str().expect("an error").contains("redirect"), "{tried}");
    assert!(target.received().is_empty());
}

#[tokio::test]
async fn a_name_that_resolves_to_an_inner_address_is_not_contacted() {
    // With the default setting.
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let url = receiver.url().replace("127.0.0.1", "localhost");
    let made = hook(&server, json!({"url": url, "types": ["session.created"]})).await;
    server.new_session().await;
    let tried = delivery(&server, &id(&made), "session.created", |one| one["attempts"] == 1).await;
    assert!(tried["error"].as_str().expect("an error").contains("not a public address"), "{tried}");
    assert_eq!((&tried["status"], &tried["responseStatus"]), (&json!("pending"), &Value::Null));
    assert!(receiver.received().is_empty());
}

#[tokio::test]
async fn a_delivery_can_be_sent_again_whatever_became_of_it() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let hook = created(&server, &receiver).await;
    let done = delivery(&server, &hook, "session.created", |one| one["status"] == "delivered").await;
    let path = format!("/api/v1/webhooks/{hook}/deliveries/{}/retry", id(&done));
    let (status, pending) = server.post(&path, json!({})).await;
    assert_eq!((status.as_u16(), &pending["status"]), (202, &json!("pending")), "{pending}");
    delivery(&server, &hook, "session.created", |one| one["attempts"] == 2 && one["status"] == "delivered").await;
    let [first, second] = &receiver.received()[..] else { panic!("two attempts") };
    assert_eq!((&first.id, &first.body), (&second.id, &second.body));
    let (_, page) = server.get(&format!("/api/v1/webhooks/{hook}/deliveries?status=failed")).await;
    assert_eq!(page["deliveries"], json!([]));
    let unknown = format!("/api/v1/webhooks/{hook}/deliveries/{}/retry", uuid::Uuid::now_v7());
    server.refused(reqwest::Method::POST, &unknown, None, "not_found").await;
}

#[tokio::test]
async fn old_deliveries_are_deleted_and_too_many_disable_the_webhook() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let hook = created(&server, &receiver).await;
    delivery(&server, &hook, "session.created", |one| one["status"] == "delivered").await;
    let storage = server.database.storage();
    let age = "UPDATE webhook_deliveries SET created_at = created_at - interval '15 days'";
    sqlx::query(age).execute(storage.pool()).await.expect("aged");
    server.new_session().await;
    receiver.wait_for(2).await;
    assert!(!storage.prune_deliveries(relive::webhooks::KEPT).await.expect("deleted"), "that was all");
    assert_eq!(deliveries(&server, &hook).await.len(), 1);
    assert!(storage.disable_overdue_webhooks(1, "too many").await.expect("looked at").is_empty());
    for _ in 0..2 {
        let insert =
            "INSERT INTO webhook_deliveries (id, webhook_id, type, event_at, body, status, next_attempt_at, created_at)
            SELECT gen_random_uuid(), id, 'session.created', now(), '{}', 'pending', 'infinity', now() FROM webhooks";
        sqlx::query(insert).execute(storage.pool()).await.expect("inserted");
    }
    let disabled = storage.disable_overdue_webhooks(1, "too many").await.expect("looked at");
    assert_eq!(disabled.len(), 1);
    assert_eq!(server.get(&format!("/api/v1/webhooks/{hook}")).await.1["disabledReason"], "too many");
}
