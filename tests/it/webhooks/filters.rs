//! Which events a webhook is told of, and what is said of them.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{deliveries, delivery, hook, hook_for_all, id, server};
use crate::harness::{Receiver, eventually, node};

fn kinds(receiver: &Receiver) -> Vec<String> {
    receiver.received().iter().map(crate::harness::Received::kind).collect()
}

#[tokio::test]
async fn every_type_is_told_once_with_the_state_at_that_event() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let hook = hook_for_all(&server, &receiver).await;
    let session = server.create(json!({"name": "Nightly", "tags": ["a"]})).await;
    server
        .command(
            &session,
            json!([
                {"type": "start"},
                {"type": "pause"},
                {"type": "resume"},
                node("r", "running"),
                node("r", "suspended"),
                // It says something new, and the node stays as it is.
                {"type": "setNodeStatus", "nodeId": "r", "status": "suspended", "name": "Review"},
            ]),
        )
        .await;
    let review = json!({"nodeId": "r", "action": "approve", "reviewer": "Ada", "data": {"large": "x".repeat(50_000)}});
    let (status, answer) = server.post(&format!("/api/v1/sessions/{session}/review"), review).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    // A signal that is no review.
    server.command(&session, json!([node("r", "running"), node("r", "suspended")])).await;
    server.command(&session, json!({"type": "signal", "nodeId": "r", "payload": {"go": 1}})).await;
    server
        .command(
            &session,
            json!([
                node("r", "completed"),
                {"type": "setNodeStatus", "nodeId": "b", "status": "failed", "error": "it broke"},
                {"type": "setNodeStatus", "nodeId": "b", "status": "failed", "error": "it broke again"},
                {"type": "complete"},
            ]),
        )
        .await;
    let expected = [
        ("session.created", 1, "pending"),
        ("session.started", 2, "running"),
        ("session.paused", 3, "paused"),
        ("review.requested", 6, "running"),
        ("review.answered", 8, "running"),
        ("review.requested", 10, "running"),
        ("node.failed", 13, "running"),
        ("session.completed", 15, "completed"),
    ];
    let received = receiver.wait_for(expected.len()).await;
    let told: Vec<(String, u64, Value)> = received
        .iter()
        .map(|one| (one.kind(), one.revision(), one.json()["data"]["session"]["status"].clone()))
        .collect();
    let expected: Vec<(String, u64, Value)> =
        expected.iter().map(|(kind, revision, status)| ((*kind).to_owned(), *revision, json!(status))).collect();
    assert_eq!(told, expected);

    let events = server.events(&session).await;
    for one in &received {
        let body = one.json();
        let at = &events[usize::try_from(one.revision()).expect("small") - 1]["at"];
        assert_eq!(&body["timestamp"], at, "when it was recorded");
        let summary = &body["data"]["session"];
        assert_eq!((&summary["revision"], &summary["name"]), (&body["data"]["revision"], &json!("Nightly")));
        assert_eq!(one.content_type, "application/json");
    }
    let data = |place: usize| received[place].json()["data"].clone();
    assert_eq!(data(3)["node"]["id"], "r");
    assert_eq!(data(4)["review"], json!({"action": "approve", "reviewer": "Ada"}));
    assert_eq!((&data(6)["node"]["id"], &data(6)["node"]["error"]), (&json!("b"), &json!("it broke")));
    for (kind, revision) in [("session.failed", "fail"), ("session.cancelled", "cancel")] {
        let session = server.running_session().await;
        server
            .command(&session, json!({"type": revision, "error": "e", "reason": null}).clone_without_null(revision))
            .await;
        delivery(&server, &hook, kind, |delivery| delivery["status"] == "delivered").await;
    }
}

/// `error` is for `fail` alone.
trait ForCommand {
    fn clone_without_null(self, kind: &str) -> Value;
}

impl ForCommand for Value {
    fn clone_without_null(mut self, kind: &str) -> Value {
        let members = self.as_object_mut().expect("an object");
        members.remove("reason");
        if kind != "fail" {
            members.remove("error");
        }
        self
    }
}

#[tokio::test]
async fn a_webhook_is_told_of_its_types_and_of_the_sessions_it_asks_for() {
    let server = server().await;
    let (_, group) = server.post("/api/v1/groups", json!({"name": "g"})).await;
    let graph = crate::harness::chain(&["a"]);
    let (_, workflow) = server.post("/api/v1/workflows", json!({"name": "w", "graph": graph})).await;
    let receivers =
        [Receiver::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let filters = [
        json!({"groupId": group["id"]}),
        json!({"workflowId": workflow["id"]}),
        json!({"tag": "wanted"}),
        json!({"groupId": group["id"], "tag": "wanted"}),
    ];
    for (receiver, filter) in receivers.iter().zip(filters) {
        hook(
            &server,
            json!({"url": receiver.url(), "types": ["session.created", "session.cancelled"], "filter": filter}),
        )
        .await;
    }
    let last = Receiver::start().await;
    let last_hook = hook(&server, json!({"url": last.url(), "types": ["session.cancelled"]})).await;

    let mut sessions = Vec::new();
    for request in [
        json!({}),
        json!({"groupId": group["id"]}),
        json!({"workflowId": workflow["id"]}),
        json!({"tags": ["wanted", "b"]}),
        json!({"groupId": group["id"], "tags": ["wanted"]}),
    ] {
        let session = server.create(request).await;
        server.command(&session, json!({"type": "start"})).await;
        sessions.push(session);
    }
    // A tag counts if the session has it at the event.
    server.command(&sessions[3], json!({"type": "setLabels", "tags": ["b"]})).await;
    server.command(&sessions[0], json!({"type": "setLabels", "tags": ["wanted"]})).await;
    for session in &sessions {
        server.command(session, json!({"type": "cancel"})).await;
    }
    let all = last.wait_for(5).await;
    assert!(all.iter().all(|one| one.kind() == "session.cancelled"));
    assert_eq!(deliveries(&server, &id(&last_hook)).await.len(), 5);
    let told = |receiver: &Receiver| -> Vec<(String, usize)> {
        let place = |session: String| sessions.iter().position(|id| *id == session).expect("known");
        let mut told: Vec<_> = receiver.received().iter().map(|one| (one.kind(), place(one.session()))).collect();
        told.sort();
        told
    };
    let named = |pairs: &[(&str, usize)]| -> Vec<(String, usize)> {
        pairs.iter().map(|(kind, place)| (format!("session.{kind}"), *place)).collect()
    };
    for (receiver, expected) in receivers.iter().zip([
        named(&[("cancelled", 1), ("cancelled", 4), ("created", 1), ("created", 4)]),
        named(&[("cancelled", 2), ("created", 2)]),
        named(&[("cancelled", 0), ("cancelled", 4), ("created", 3), ("created", 4)]),
        named(&[("cancelled", 4), ("created", 4)]),
    ]) {
        eventually("all are told", async || receiver.received().len() >= expected.len()).await;
        assert_eq!(told(receiver), expected);
    }
}

#[tokio::test]
async fn forks_are_told_of_as_created_and_imports_are_not() {
    let server = server().await;
    let session = server.running_session().await;
    let receiver = Receiver::start().await;
    let hook = hook(&server, json!({"url": receiver.url(), "types": ["session.created", "session.started"]})).await;
    let (status, fork) =
        server.post(&format!("/api/v1/sessions/{session}/fork"), json!({"revision": 1, "start": true})).await;
    assert_eq!(status, StatusCode::CREATED, "{fork}");
    let file = server.request(reqwest::Method::GET, &format!("/api/v1/sessions/{session}/export")).send().await;
    let file = file.expect("an answer").bytes().await.expect("a file");
    let import = server.request(reqwest::Method::POST, "/api/v1/sessions/import").body(file).send().await;
    assert_eq!(import.expect("an answer").status(), StatusCode::CREATED);
    let last = server.new_session().await;
    let received = receiver.wait_for(3).await;
    delivery(&server, &id(&hook), "session.created", |one| one["sessionId"] == last).await;
    let told: Vec<(String, String)> = received.iter().map(|one| (one.kind(), one.session())).collect();
    let fork = id(&fork);
    assert!(told.contains(&("session.created".to_owned(), fork.clone())), "{told:?}");
    assert!(told.contains(&("session.started".to_owned(), fork)), "{told:?}");
    assert_eq!(deliveries(&server, &id(&hook)).await.len(), 3, "no import");
}

#[tokio::test]
async fn without_a_webhook_that_asks_nothing_is_written() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let off = hook(&server, json!({"url": receiver.url(), "types": super::ALL, "enabled": false})).await;
    hook(&server, json!({"url": receiver.url(), "types": ["session.paused"]})).await;
    let session = server.running_session().await;
    server.command(&session, json!([{"type": "addMessage", "nodeId": "n", "content": "c"}, {"type": "cancel"}])).await;
    let written: i64 =
        sqlx::query_scalar("SELECT (SELECT count(*) FROM webhook_outbox) + (SELECT count(*) FROM webhook_deliveries)")
            .fetch_one(server.database.storage().pool())
            .await
            .expect("a count");
    assert_eq!(written, 0);
    assert!(kinds(&receiver).is_empty() && deliveries(&server, &id(&off)).await.is_empty());
}
