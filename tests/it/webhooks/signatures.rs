//! Signatures, as the package of Standard Webhooks and the receiver of `docs/webhooks.md` check them.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{ALL, delivery, hook, id, server};
use crate::harness::{DEADLINE, Receiver, Script};

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

    let forged = hook(&server, json!({"url": url, "types": ["session.started"]})).await;
    server.command(&session, json!({"type": "start"})).await;
    assert_eq!(line().await, format!("session.started {session} running"));
    let refused = delivery(&server, &id(&forged), "session.started", |one| one["attempts"] == 1).await;
    assert_eq!(refused["responseStatus"], 401);
}
