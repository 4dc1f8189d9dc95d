//! Signatures, as the package of Standard Webhooks and the receiver of `docs/webhooks.md` check them.

use std::process::Stdio;

use relive_session::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{ALL, delivery, hook, id, server};
use crate::harness::{DEADLINE, Received, Receiver, Script, TestServer};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[tokio::test]
async fn the_package_of_the_standard_accepts_what_is_sent_and_nothing_else() {
    let Some(script) = Script::find("webhooks.mjs").await else { return };
    let server = server().await;
    let receiver = Receiver::start().await;
    let made = hook(&server, json!({"url": receiver.url(), "types": ALL})).await;
    server.create(json!({"name": "größer 大 \u{1f600}"})).await;
    server.post(&format!("/api/v1/webhooks/{}/test", id(&made)), json!({})).await;
    let received = receiver.wait_for(2).await;
    let mut sent: Vec<Value> = received
        .iter()
        .map(|one| json!({"id": one.id, "timestamp": one.timestamp, "signature": one.signature, "body": one.body}))
        .collect();
    let mut forged = sent[0].clone();
    forged["body"] = json!(received[0].body.replacen(':', ": ", 1));
    sent.push(forged);
    let outcome = script.run(&json!({"secret": made["secret"], "received": sent})).await;
    let mut types: Vec<&str> = outcome.as_array().expect("outcomes")[..2].iter().filter_map(Value::as_str).collect();
    types.sort_unstable();
    assert_eq!(types, ["session.created", "webhook.test"]);
    assert_eq!(outcome[2], "No matching signature found");
}

#[tokio::test]
async fn another_secret_signs_from_then_on() {
    let Some(script) = Script::find("webhooks.mjs").await else { return };
    let server = server().await;
    let receiver = Receiver::start().await;
    let made = hook(&server, json!({"url": receiver.url(), "types": ["session.created"]})).await;
    let path = format!("/api/v1/webhooks/{}", id(&made));
    let change = json!({"url": receiver.url(), "types": ["session.created"], "secret": SECRET});
    let (status, replaced) = server.call(reqwest::Method::PUT, &path, Some(change)).await;
    assert_eq!((status.as_u16(), &replaced["secret"]), (200, &Value::Null));
    // Without one, it stays.
    let change = json!({"url": receiver.url(), "types": ["session.created"]});
    assert_eq!(server.call(reqwest::Method::PUT, &path, Some(change)).await.0.as_u16(), 200);
    server.new_session().await;
    let [one] = &receiver.wait_for(1).await[..] else { panic!("one") };
    let sent = json!([{"id": one.id, "timestamp": one.timestamp, "signature": one.signature, "body": one.body}]);
    let outcome = script.run(&json!({"secret": SECRET, "received": sent})).await;
    assert_eq!(outcome, json!(["session.created"]));
}

/// Rotates a webhook's secret; returns the answer.
async fn rotate(server: &TestServer, hook: &str, request: Value) -> Value {
    let (status, rotated) = server.post(&format!("/api/v1/webhooks/{hook}/secret/rotate"), request).await;
    assert_eq!(status.as_u16(), 200, "{rotated}");
    rotated
}

/// What the package says of a request, with a secret: its type, or the error.
async fn verified(script: &Script, secret: &Value, one: &Received) -> Value {
    let sent = json!([{"id": one.id, "timestamp": one.timestamp, "signature": one.signature, "body": one.body}]);
    script.run(&json!({"secret": secret, "received": sent})).await[0].take()
}

/// Sends a test; returns what the receiver got.
async fn send_test(server: &TestServer, hook: &str, receiver: &Receiver) -> Received {
    let before = receiver.count();
    server.post(&format!("/api/v1/webhooks/{hook}/test"), json!({})).await;
    receiver.wait_for(before + 1).await.pop().expect("a test")
}

/// Hours until the secrets before the newest have ended.
fn hours_to(webhook: &Value) -> i64 {
    let until: Timestamp = serde_json::from_value(webhook["previousSecretUntil"].clone()).expect("a time");
    let minutes = (until.as_millis() - Timestamp::now().as_millis()) / 60_000;
    (minutes + 30) / 60
}

const NO_MATCH: &str = "No matching signature found";

#[tokio::test]
async fn the_secret_before_a_rotation_signs_too_until_the_overlap_ends() {
    let Some(script) = Script::find("webhooks.mjs").await else { return };
    let server = server().await;
    let receiver = Receiver::start().await;
    let made = hook(&server, json!({"url": receiver.url(), "types": ["session.created"]})).await;
    let hook = id(&made);
    let rotated = rotate(&server, &hook, json!({})).await;
    let (old, new) = (&made["secret"], &rotated["secret"]);
    assert!(new.as_str().is_some_and(|secret| secret.starts_with("whsec_")) && new != old, "{rotated}");
    // A day, unless something else is said; and the secret is shown in this answer alone.
    let path = format!("/api/v1/webhooks/{hook}");
    let until = async || server.get(&path).await.1["previousSecretUntil"].take();
    assert_eq!((hours_to(&rotated), until().await), (24, rotated["previousSecretUntil"].clone()));
    let (_, list) = server.get("/api/v1/webhooks").await;
    assert!(!list.to_string().contains("whsec_"), "{list}");

    server.new_session().await;
    let told = receiver.wait_for(1).await.pop().expect("one");
    assert_eq!(told.signature.split(' ').filter(|one| one.starts_with("v1,")).count(), 2, "{}", told.signature);
    for secret in [old, new] {
        assert_eq!(verified(&script, secret, &told).await, "session.created");
        assert_eq!(verified(&script, secret, &send_test(&server, &hook, &receiver).await).await, "webhook.test");
    }
    assert_eq!(verified(&script, &json!(SECRET), &told).await, NO_MATCH);

    // The answer was lost, so it is rotated again: the receiver's secret still signs.
    let again = rotate(&server, &hook, json!({"overlapSeconds": 604_800})).await;
    assert_eq!(hours_to(&again), 168);
    let both = send_test(&server, &hook, &receiver).await;
    for secret in [old, new, &again["secret"]] {
        assert_eq!(verified(&script, secret, &both).await, "webhook.test");
    }

    // The overlap of the first one ends.
    let storage = server.database.storage();
    let sql = "UPDATE webhooks SET previous_secrets_until[2] = now() - interval '1 second'";
    sqlx::query(sql).execute(storage.pool()).await.expect("ended");
    let later = send_test(&server, &hook, &receiver).await;
    assert_eq!(verified(&script, old, &later).await, NO_MATCH);
    assert_eq!(verified(&script, new, &later).await, "webhook.test");
    storage.forget_webhook_secrets().await.expect("forgotten");
    let kept: i32 = sqlx::query_scalar("SELECT cardinality(previous_secrets) FROM webhooks")
        .fetch_one(storage.pool())
        .await
        .expect("a number");
    assert_eq!(kept, 1, "a secret that does not sign any more is not kept");

    // Leaked: at once, all of them.
    let last = rotate(&server, &hook, json!({"overlapSeconds": 0, "secret": SECRET})).await;
    assert_eq!((&last["secret"], until().await), (&json!(SECRET), Value::Null));
    let alone = send_test(&server, &hook, &receiver).await;
    assert_eq!(alone.signature.split(' ').count(), 1);
    for secret in [old, new, &again["secret"]] {
        assert_eq!(verified(&script, secret, &alone).await, NO_MATCH);
    }
    assert_eq!(verified(&script, &json!(SECRET), &alone).await, "webhook.test");
}

/// The receiver of `docs/webhooks.md`.
#[tokio::test]
async fn the_receiver_of_the_page_takes_deliveries_and_refuses_forged_ones() {
    let mut receiver = Command::new("python3")
        .args(["examples/webhooks/receiver.py", "0"])
        .env("WEBHOOK_SECRET", SECRET)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python3");
    let mut lines = BufReader::new(receiver.stdout.take().expect("stdout")).lines();
    let mut line = async || {
        let line = tokio::time::timeout(DEADLINE, lines.next_line()).await.expect("a line in time");
        line.expect("a line").expect("it runs")
    };
    let ready = line().await;
    let port = ready.strip_prefix("ready ").expect("a port");
    let server = server().await;
    let url = format!("http://127.0.0.1:{port}/");
    let made = hook(&server, json!({"url": url, "types": ALL, "secret": SECRET})).await;
    let session = server.new_session().await;
    assert_eq!(line().await, format!("session.created {session} pending"));
    let done = delivery(&server, &id(&made), "session.created", |one| one["status"] == "delivered").await;
    // Again: it is answered, and not taken twice.
    let path = format!("/api/v1/webhooks/{}/deliveries/{}/retry", id(&made), id(&done));
    server.post(&path, json!({})).await;
    delivery(&server, &id(&made), "session.created", |one| one["attempts"] == 2 && one["status"] == "delivered").await;

    // While the secrets overlap, a receiver that has the old one goes on.
    rotate(&server, &id(&made), json!({"overlapSeconds": 60})).await;
    let session = server.new_session().await;
    assert_eq!(line().await, format!("session.created {session} pending"));
    // Back to the one that it has.
    rotate(&server, &id(&made), json!({"overlapSeconds": 0, "secret": SECRET})).await;

    let forged = hook(&server, json!({"url": url, "types": ["session.started"]})).await;
    server.command(&session, json!({"type": "start"})).await;
    assert_eq!(line().await, format!("session.started {session} running"));
    let refused = delivery(&server, &id(&forged), "session.started", |one| one["attempts"] == 1).await;
    assert_eq!(refused["responseStatus"], 401);
}
