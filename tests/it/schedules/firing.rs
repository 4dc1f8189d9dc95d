//! What happens when a schedule is due.

use reqwest::Method;
use serde_json::{Value, json};

use super::{fired, id, make_due, read, runs, schedule, workflow};
use crate::access::support;
use crate::harness::{TestServer, chain, eventually};

const NOW: i64 = 0;

/// Due in a year at most, unless it is made due.
const RARELY: &str = "0 0 1 1 *";

#[tokio::test]
async fn a_run_is_started_with_the_inputs_and_can_be_found() {
    let server = TestServer::start().await;
    let workflow = workflow(&server, 0.01).await;
    let made = schedule(
        &server,
        json!({"workflowId": workflow, "cron": RARELY, "inputs": {"topic": "news"}, "name": "Morning news"}),
    )
    .await;
    let storage = server.database.storage();
    make_due(storage.pool(), &id(&made), NOW).await;
    let last = fired(&server, &id(&made), "started", &Value::Null).await;
    let [run] = &runs(&server, &id(&made)).await[..] else { panic!("one run") };
    assert_eq!(last["sessionId"], run["id"]);
    assert_eq!((&run["name"], &run["workflowName"]), (&json!("Morning news"), &json!("Nightly")));
    assert_eq!((&run["workflowId"], &run["metadata"]["scheduledAt"]), (&json!(workflow), &last["at"]));
    let session = run["id"].as_str().expect("an id");
    let (_, entity) = server.get(&format!("/api/v1/sessions/{session}/entity")).await;
    assert_eq!(entity["inputs"], json!({"topic": "news"}));
    eventually("it completes", async || server.session(session).await["status"] == "completed").await;
    let read = read(&server, &id(&made)).await;
    assert_eq!(read["nextRunAt"], made["nextRunAt"], "when it is due again");
}

/// Seconds are waited for in fact.
#[tokio::test]
async fn a_schedule_is_fired_again_and_again() {
    let server = TestServer::start().await;
    let made = schedule(
        &server,
        json!({"workflowId": workflow(&server, 0.01).await, "cron": "* * * * * *", "overlap": "allow"}),
    )
    .await;
    eventually("three runs", async || runs(&server, &id(&made)).await.len() >= 3).await;
    let deleted = server.call(Method::DELETE, &format!("/api/v1/schedules/{}", id(&made)), None).await;
    assert_eq!(deleted.0.as_u16(), 204);
    let times: Vec<Value> =
        runs(&server, &id(&made)).await.iter().map(|run| run["metadata"]["scheduledAt"].clone()).collect();
    let distinct: std::collections::HashSet<String> = times.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), times.len(), "each time once");
    assert!(times.iter().all(|time| time.as_str().expect("a time").ends_with(".000Z")), "{times:?}");
}

#[tokio::test]
async fn of_several_servers_one_starts_the_run() {
    let first = TestServer::start().await;
    let second = TestServer::start_on(first.database.clone(), |_| {}).await;
    let third = TestServer::start_on(first.database.clone(), |_| {}).await;
    let workflow = workflow(&first, 0.01).await;
    let storage = first.database.storage();
    let mut schedules = Vec::new();
    for _ in 0..20 {
        schedules.push(id(&schedule(&first, json!({"workflowId": workflow, "cron": RARELY})).await));
    }
    for schedule in &schedules {
        make_due(storage.pool(), schedule, NOW).await;
    }
    for schedule in &schedules {
        fired(&first, schedule, "started", &Value::Null).await;
        assert_eq!(runs(&second, schedule).await.len(), 1);
    }
    drop(third);
}

/// As when a server is killed after it has created the run: the next one finds that, and starts it.
#[tokio::test]
async fn a_run_that_was_created_and_not_started_is_started() {
    let server = TestServer::start().await;
    let made = schedule(&server, json!({"workflowId": workflow(&server, 0.01).await, "cron": RARELY})).await;
    let storage = server.database.storage();
    make_due(storage.pool(), &id(&made), NOW).await;
    let last = fired(&server, &id(&made), "started", &Value::Null).await;
    // The same time again.
    let again = "UPDATE schedules SET next_at = last_at, claimed_until = now() - interval '1 second', last_at = NULL";
    sqlx::query(again).execute(storage.pool()).await.expect("again");
    assert_eq!(fired(&server, &id(&made), "started", &Value::Null).await, last);
    assert_eq!(runs(&server, &id(&made)).await.len(), 1);
    let session = last["sessionId"].as_str().expect("an id");
    let events = server.events(session).await;
    assert_eq!(events.iter().filter(|event| event["event"]["type"] == "started").count(), 1);
}

#[tokio::test]
async fn overlap_says_what_becomes_of_a_run_that_has_not_ended() {
    let server = TestServer::start().await;
    let workflow = workflow(&server, 600.0).await;
    let storage = server.database.storage();
    for (overlap, outcome, statuses) in [
        ("skip", "skipped", vec!["running"]),
        ("allow", "started", vec!["running", "running"]),
        ("cancelRunning", "started", vec!["running", "cancelled"]),
    ] {
        let made = schedule(&server, json!({"workflowId": workflow, "cron": RARELY, "overlap": overlap})).await;
        make_due(storage.pool(), &id(&made), 1).await;
        let last = fired(&server, &id(&made), "started", &Value::Null).await;
        // Its engine may replace the metadata.
        let first = last["sessionId"].as_str().expect("an id").to_owned();
        if overlap == "skip" {
            server.command(&first, json!({"type": "setLabels", "metadata": {}})).await;
        }
        make_due(storage.pool(), &id(&made), NOW).await;
        fired(&server, &id(&made), outcome, &last).await;
        if overlap == "skip" {
            assert_eq!(server.session(&first).await["status"], "running");
            // Once that has ended, it goes on.
            server.command(&first, json!({"type": "cancel"})).await;
            let last = read(&server, &id(&made)).await["lastRun"].clone();
            make_due(storage.pool(), &id(&made), NOW).await;
            fired(&server, &id(&made), "started", &last).await;
        }
        let found: Vec<Value> = runs(&server, &id(&made)).await.iter().map(|run| run["status"].clone()).collect();
        assert_eq!(found, statuses, "{overlap}");
    }
}

#[tokio::test]
async fn what_was_missed_is_run_once_or_not_at_all() {
    let server = TestServer::start().await;
    let workflow = workflow(&server, 0.01).await;
    let request = |seconds: u32, cron: &str| json!({"workflowId": workflow, "cron": cron, "catchUpSeconds": seconds});
    let minutely = id(&schedule(&server, request(3_600, "0 * * * * *")).await);
    let late = id(&schedule(&server, request(0, RARELY)).await);
    let in_time = id(&schedule(&server, request(120, RARELY)).await);
    let database = server.stop().await;
    let storage = database.storage();
    // The server was away for an hour and a half.
    make_due(storage.pool(), &minutely, 5_400).await;
    make_due(storage.pool(), &late, 60).await;
    make_due(storage.pool(), &in_time, 60).await;
    let server = TestServer::start_on(database, |_| {}).await;
    let last = fired(&server, &minutely, "started", &Value::Null).await;
    let at: relive_session::Timestamp = last["at"].as_str().expect("a time").parse().expect("a time");
    assert!(relive_session::Timestamp::now().since(at).as_secs() < 80, "the last of those that were missed: {last}");
    fired(&server, &late, "missed", &Value::Null).await;
    fired(&server, &in_time, "started", &Value::Null).await;
    assert_eq!(runs(&server, &late).await.len(), 0);
    assert_eq!(runs(&server, &in_time).await.len(), 1);
    // Not those before it; the next minute may have begun.
    assert!(runs(&server, &minutely).await.len() <= 2);
}

#[tokio::test]
async fn a_schedule_that_is_not_enabled_is_never_due() {
    let server = TestServer::start().await;
    let request = json!({"workflowId": workflow(&server, 0.01).await, "cron": "* * * * * *", "enabled": false});
    let off = id(&schedule(&server, request).await);
    let request = json!({"workflowId": workflow(&server, 0.01).await, "cron": "* * * * * *"});
    let on = id(&schedule(&server, request).await);
    eventually("the other one is fired", async || runs(&server, &on).await.len() >= 2).await;
    assert!(runs(&server, &off).await.is_empty() && read(&server, &off).await["lastRun"].is_null());
}

#[tokio::test]
async fn a_workflow_of_another_engine_is_left_to_it() {
    let server = TestServer::start().await;
    let (_, made) = server.post("/api/v1/workflows", json!({"name": "w", "graph": chain(&["a", "b"])})).await;
    let made = schedule(&server, json!({"workflowId": made["id"], "cron": RARELY})).await;
    make_due(server.database.storage().pool(), &id(&made), NOW).await;
    let last = fired(&server, &id(&made), "started", &Value::Null).await;
    let session = last["sessionId"].as_str().expect("an id");
    assert_eq!(server.session(session).await["status"], "pending");
    server.command(session, json!({"type": "start"})).await;
}

#[tokio::test]
async fn a_run_that_cannot_be_started_is_reported_and_the_next_is_tried() {
    let server = TestServer::start_with(|config| config.access.limits.limit_live_sessions = Some(1)).await;
    let held = server.new_session().await;
    let made = schedule(&server, json!({"workflowId": workflow(&server, 0.01).await, "cron": RARELY})).await;
    let storage = server.database.storage();
    make_due(storage.pool(), &id(&made), 1).await;
    let last = fired(&server, &id(&made), "failed", &Value::Null).await;
    assert!(last["error"].as_str().expect("an error").contains("sessions"), "{last}");
    server.command(&held, json!({"type": "cancel"})).await;
    make_due(storage.pool(), &id(&made), NOW).await;
    fired(&server, &id(&made), "started", &last).await;
}

#[tokio::test]
async fn the_events_of_a_run_name_its_schedule() {
    let server = support::server().await;
    let admin = support::key(&server, "admin", "default").await;
    let graph = json!({"name": "g", "startNodeId": "a",
                       "nodes": {"a": {"id": "a", "type": "delay", "name": "A", "properties": {"seconds": 0.01}}}});
    let workflow = support::make(&server, &admin, "/api/v1/workflows", json!({"name": "w", "graph": graph})).await;
    let request = json!({"workflowId": workflow["id"], "cron": RARELY, "name": "Nightly"});
    let made = id(&support::make(&server, &admin, "/api/v1/schedules", request).await);
    make_due(server.database.storage().pool(), &made, NOW).await;
    let path = format!("/api/v1/schedules/{made}");
    let is_fired = async || support::get(&server, &admin, &path).await.1["lastRun"]["outcome"] == "started";
    eventually("it is fired", is_fired).await;
    let (_, read) = support::get(&server, &admin, &path).await;
    let session = read["lastRun"]["sessionId"].as_str().expect("an id");
    let (_, events) = support::get(&server, &admin, &format!("/api/v1/sessions/{session}/events")).await;
    for place in [0, 1] {
        assert_eq!(events["events"][place]["by"], json!({"kind": "engine", "id": made, "name": "Nightly"}));
    }
}
