//! In order per session, and one slow receiver holds up nobody.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;

use super::{deliveries, delivery, hook, hook_for_all, id, let_time_pass, server};
use crate::harness::{Answer, Receiver, eventually, node};

#[tokio::test]
async fn what_follows_a_failed_delivery_waits_for_it() {
    let server = server().await;
    // The first attempt at each start fails.
    let failed = Mutex::new(std::collections::HashSet::new());
    let receiver = Receiver::answering(move |one| {
        let fails = one.kind() == "session.started" && failed.lock().insert(one.id.clone());
        Answer::Status(if fails { 500 } else { 200 })
    })
    .await;
    let hook = hook_for_all(&server, &receiver).await;
    let held = server.running_session().await;
    server.command(&held, json!({"type": "cancel"})).await;
    let started = delivery(&server, &hook, "session.started", |one| one["attempts"] == 1).await;
    assert_eq!((&started["status"], &started["responseStatus"]), (&json!("pending"), &json!(500)));

    // Another session is not held up.
    let other = server.new_session().await;
    delivery(&server, &hook, "session.created", |one| one["sessionId"] == other && one["status"] == "delivered").await;
    let cancelled = delivery(&server, &hook, "session.cancelled", |_| true).await;
    assert_eq!((&cancelled["status"], &cancelled["attempts"]), (&json!("pending"), &json!(0)));

    let_time_pass(&server).await;
    delivery(&server, &hook, "session.cancelled", |one| one["status"] == "delivered").await;
    let of_held = receiver.received().into_iter().filter(|one| one.session() == held);
    let told: Vec<(String, u64)> = of_held.map(|one| (one.kind(), one.revision())).collect();
    let expected = [("session.created", 1), ("session.started", 2), ("session.started", 2), ("session.cancelled", 3)];
    assert_eq!(told, expected.map(|(kind, revision)| (kind.to_owned(), revision)));
}

#[tokio::test]
async fn the_events_of_many_sessions_come_in_order_session_by_session() {
    let server = server().await;
    let receiver = Receiver::answering(|one| Answer::Late(Duration::from_millis(one.revision() % 7), 200)).await;
    let hook = hook_for_all(&server, &receiver).await;
    let mut sessions = Vec::new();
    for _ in 0..10 {
        let session = server.running_session().await;
        let commands: Vec<_> = (0..10)
            .flat_map(|place| {
                let id = format!("n{place}");
                [node(&id, "running"), node(&id, "failed")]
            })
            .collect();
        server.command(&session, json!(commands)).await;
        server.command(&session, json!({"type": "cancel"})).await;
        sessions.push(session);
    }
    // created, started, ten nodes, cancelled
    let received = receiver.wait_for(10 * 13).await;
    let mut newest: HashMap<String, u64> = HashMap::new();
    for one in &received {
        let before = newest.insert(one.session(), one.revision()).unwrap_or_default();
        assert!(one.revision() > before, "{} after {before}", one.revision());
    }
    eventually("all are recorded", async || {
        deliveries(&server, &hook).await.iter().all(|one| one["status"] == "delivered")
    })
    .await;
    assert_eq!(receiver.received().len(), 130, "each once");
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_no_other() {
    let server = server().await;
    let silent = Receiver::answering(|_| Answer::Late(Duration::from_mins(5), 200)).await;
    let silent_hook = hook_for_all(&server, &silent).await;
    let quick = Receiver::start().await;
    let quick_hook = id(&hook(&server, json!({"url": quick.url(), "types": ["session.created"]})).await);
    for _ in 0..30 {
        server.new_session().await;
    }
    quick.wait_for(30).await;
    eventually("all are recorded", async || {
        deliveries(&server, &quick_hook).await.iter().all(|one| one["status"] == "delivered")
    })
    .await;
    // So many are in flight at once, and no more.
    eventually("the silent one is asked", async || silent.received().len() >= 8).await;
    assert_eq!(silent.received().len(), 8);
    assert!(deliveries(&server, &silent_hook).await.iter().all(|one| one["attempts"] == 0));
    // The server stops although requests are in flight.
    server.stop().await;
}
