//! What webhooks are told, and which of them.

use serde_json::{Value, json};

use super::{age, alert, becomes, looked_at, on_failure, run, server};
use crate::harness::{Receiver, Script, TestServer, eventually};
use crate::webhooks::{deliveries, hook, id, let_time_pass};

const TYPES: [&str; 2] = ["alert.raised", "alert.resolved"];

async fn failing(server: &TestServer) {
    run(server, json!({}), "fail").await;
}

#[tokio::test]
async fn a_webhook_is_told_once_when_it_is_raised_and_once_when_it_is_resolved() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let made = hook(&server, json!({"url": receiver.url(), "types": TYPES})).await;
    let alert = alert(&server, on_failure(json!({"name": "größer 大"}))).await;
    let session = run(&server, json!({}), "fail").await;
    becomes(&server, &alert, "raised").await;
    looked_at(&server).await;
    age(&server.database, "11 minutes").await;
    becomes(&server, &alert, "resolved").await;
    looked_at(&server).await;
    let received = receiver.wait_for(2).await;
    let (raised, resolved) = (received[0].json(), received[1].json());
    let events = super::events(&server, &alert).await;
    let condition = json!({"type": "failures", "count": 1, "withinMinutes": 10});
    let about = json!({"id": alert, "name": "größer 大", "condition": condition});
    assert_eq!(
        raised,
        json!({"type": "alert.raised", "timestamp": events[1]["at"], "data": {"alert": about, "number": 1,
               "observed": {"type": "failures", "count": 1, "sessionId": session}}})
    );
    assert_eq!(
        resolved,
        json!({"type": "alert.resolved", "timestamp": events[0]["at"], "data": {"alert": about, "number": 2,
               "observed": {"type": "failures", "count": 0}}})
    );
    let shown = deliveries(&server, &id(&made)).await;
    assert_eq!(shown.len(), 2, "no more than one for each change: {shown:?}");
    for one in &shown {
        assert_eq!((&one["alertId"], &one["sessionId"], &one["revision"]), (&json!(alert), &Value::Null, &Value::Null));
    }
    let Some(script) = Script::find("webhooks.mjs").await else { return };
    let sent: Vec<Value> = received
        .iter()
        .map(|one| json!({"id": one.id, "timestamp": one.timestamp, "signature": one.signature, "body": one.body}))
        .collect();
    let outcome = script.run(&json!({"secret": made["secret"], "received": sent})).await;
    assert_eq!(outcome, json!(TYPES));
}

#[tokio::test]
async fn those_that_ask_for_it_are_told_and_those_that_the_alert_names() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let at = |path: &str| receiver.url().replace("/hook", path);
    let asks = hook(&server, json!({"url": at("/asks"), "types": TYPES})).await;
    let asks_for_tag = hook(&server, json!({"url": at("/tag"), "types": TYPES, "filter": {"tag": "nightly"}})).await;
    let asks_for_other = hook(&server, json!({"url": at("/other"), "types": TYPES, "filter": {"tag": "daily"}})).await;
    let asks_for_end = hook(&server, json!({"url": at("/end"), "types": ["alert.resolved"]})).await;
    let named = hook(&server, json!({"url": at("/named"), "types": ["node.failed"], "filter": {"tag": "x"}})).await;
    let not_enabled = hook(&server, json!({"url": at("/off"), "types": TYPES, "enabled": false})).await;
    let gone = hook(&server, json!({"url": at("/gone"), "types": ["node.failed"]})).await;
    let notify = json!({"webhookIds": [named["id"], named["id"], not_enabled["id"], gone["id"]]});
    let path = format!("/api/v1/webhooks/{}", id(&gone));
    let alert = alert(&server, on_failure(json!({"filter": {"tag": "nightly"}, "notify": notify}))).await;
    assert_eq!(server.call(reqwest::Method::DELETE, &path, None).await.0.as_u16(), 204);
    run(&server, json!({"tags": ["nightly"]}), "fail").await;
    becomes(&server, &alert, "raised").await;
    receiver.wait_for(3).await;
    let told = async |hook: &Value| deliveries(&server, &id(hook)).await.len();
    let numbers = async || {
        let mut numbers = Vec::new();
        for hook in [&asks, &asks_for_tag, &named, &asks_for_other, &asks_for_end, &not_enabled] {
            numbers.push(told(hook).await);
        }
        numbers
    };
    assert_eq!(numbers().await, [1, 1, 1, 0, 0, 0]);
    age(&server.database, "11 minutes").await;
    becomes(&server, &alert, "resolved").await;
    receiver.wait_for(7).await;
    assert_eq!(numbers().await, [2, 2, 2, 0, 1, 0]);
    assert_eq!(receiver.count(), 7);
}

#[tokio::test]
async fn the_end_is_told_after_the_beginning() {
    let server = server().await;
    let calls = std::sync::atomic::AtomicU32::new(0);
    let receiver = Receiver::answering(move |_| {
        let is_first = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        crate::harness::Answer::Status(if is_first { 500 } else { 200 })
    })
    .await;
    let made = hook(&server, json!({"url": receiver.url(), "types": TYPES})).await;
    let alert = alert(&server, on_failure(json!({}))).await;
    failing(&server).await;
    becomes(&server, &alert, "raised").await;
    receiver.wait_for(1).await;
    // It is tried again after a while; the end waits for that.
    let sql = "UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 hour' WHERE attempts = 1";
    let storage = server.database.storage();
    let is_recorded = async || sqlx::query(sql).execute(storage.pool()).await.expect("later").rows_affected() == 1;
    eventually("the attempt is recorded", is_recorded).await;
    age(&server.database, "11 minutes").await;
    becomes(&server, &alert, "resolved").await;
    let both = async || deliveries(&server, &id(&made)).await.len() == 2;
    eventually("both are to be sent", both).await;
    let is_behind = "SELECT count(*) FROM webhook_deliveries WHERE type = 'alert.resolved' AND next_attempt_at > now() + interval '1 minute'";
    eventually("the end is behind", async || {
        sqlx::query_scalar::<_, i64>(is_behind).fetch_one(storage.pool()).await.expect("a count") == 1
    })
    .await;
    assert_eq!(receiver.count(), 1);
    let_time_pass(&server).await;
    let kinds: Vec<String> = receiver.wait_for(3).await.iter().map(crate::harness::Received::kind).collect();
    assert_eq!(kinds, ["alert.raised", "alert.raised", "alert.resolved"]);
}
