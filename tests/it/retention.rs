//! Rules by which ended sessions are deleted.

use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{ROOT, call, get, id_of, key, make, server as guarded};
use crate::harness::{TestServer, eventually};

const RETENTION: &str = "/api/v1/retention";

async fn put(server: &TestServer, rules: Value) -> Value {
    let (status, answer) = server.call(Method::PUT, RETENTION, Some(json!({"rules": rules}))).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn retention(server: &TestServer) -> Value {
    let (status, answer) = server.get(RETENTION).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// A session with these tags that has ended in this way; `start` leaves it running.
async fn session(server: &TestServer, tag: &str, end: &str) -> String {
    let id = server.create(json!({"tags": [tag]})).await;
    server.command(&id, json!({"type": "start"})).await;
    match end {
        "start" => {}
        "fail" => drop(server.command(&id, json!({"type": "fail", "error": "no"})).await),
        end => drop(server.command(&id, json!({"type": end})).await),
    }
    id
}

async fn exists(server: &TestServer, id: &str) -> bool {
    server.get(&format!("/api/v1/sessions/{id}")).await.0 == 200
}

#[tokio::test]
async fn rules_are_kept_and_say_what_they_have_removed() {
    let server = TestServer::start().await;
    assert_eq!(retention(&server).await, json!({"rules": [], "removed": 0}));
    let [done, failed, other, running] = [
        session(&server, "old", "complete").await,
        session(&server, "old", "fail").await,
        session(&server, "new", "complete").await,
        session(&server, "old", "start").await,
    ];
    let mut list = server.socket("/ws/sessions").await;
    list.frame().await;
    let rules = json!([
        {"tag": "old", "olderThanDays": 0},
        {"status": ["failed", "completed", "failed"], "tag": "new", "olderThanDays": 0.5},
        {"status": "cancelled", "olderThanDays": 30},
    ]);
    let answer = put(&server, rules).await;
    assert_eq!(answer["rules"][1]["status"], json!(["completed", "failed"]));
    assert_eq!(answer["rules"][2], json!({"status": "cancelled", "olderThanDays": 30.0, "removed": 0}));

    eventually("both are removed", async || retention(&server).await["removed"] == 2).await;
    eventually("all rules were applied", async || retention(&server).await["appliedAt"].is_string()).await;
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let frame = list.until(|frame| frame["change"] == "removed").await;
        gone.push(frame["session"]["id"].as_str().expect("an id").to_owned());
    }
    gone.sort_unstable();
    let mut expected = [done.clone(), failed.clone()];
    expected.sort_unstable();
    assert_eq!(gone, expected);
    for (id, is_there) in [(&done, false), (&failed, false), (&other, true), (&running, true)] {
        assert_eq!(exists(&server, id).await, is_there);
    }
    let state = retention(&server).await;
    assert_eq!((&state["rules"][0]["removed"], &state["rules"][1]["removed"]), (&json!(2), &json!(0)));
    assert!(state["rules"][0]["lastRemovedAt"].is_string() && state["rules"][1].get("lastRemovedAt").is_none());

    // What was read can be written back. The same rule keeps its number, and the total outlives the rules.
    let (status, again) = server.call(Method::PUT, RETENTION, Some(state.clone())).await;
    assert_eq!((status.as_u16(), &again["rules"]), (200, &state["rules"]));
    server.command(&running, json!({"type": "cancel"})).await;
    put(&server, json!([{"status": "cancelled", "tag": "old", "olderThanDays": 0}])).await;
    eventually("the third is removed", async || retention(&server).await["removed"] == 3).await;
    assert_eq!(put(&server, json!([])).await["removed"], 3);
}

#[tokio::test]
async fn the_age_counts_from_the_end() {
    let server = TestServer::start().await;
    let [old, young] = [session(&server, "t", "complete").await, session(&server, "t", "complete").await];
    let database = server.stop().await;
    sqlx::query(
        "UPDATE sessions SET created_at = created_at - interval '10 days', ended_at = ended_at - interval '10 days'
         WHERE id = $1::uuid",
    )
    .bind(&old)
    .execute(database.storage().pool())
    .await
    .expect("made older");
    let server = TestServer::start_on(database, |_| {}).await;
    put(
        &server,
        json!([{"olderThanDays": 11}, {"olderThanDays": 9.9, "workflowId": "0198c0de-0000-7000-8000-000000000001"}]),
    )
    .await;
    eventually("the rules were applied", async || retention(&server).await["appliedAt"].is_string()).await;
    assert_eq!(retention(&server).await["removed"], 0);
    put(&server, json!([{"olderThanDays": 9.9}])).await;
    eventually("the older one is removed", async || retention(&server).await["removed"] == 1).await;
    assert!(!exists(&server, &old).await && exists(&server, &young).await);
}

#[tokio::test]
async fn several_servers_remove_each_session_once_beside_other_commands() {
    let server = TestServer::start().await;
    let second = TestServer::start_on(server.database.clone(), |_| {}).await;
    for _ in 0..110 {
        session(&server, "old", "complete").await;
    }
    let busy = session(&second, "old", "start").await;
    let rules = json!([{"tag": "old", "olderThanDays": 0}, {"status": "completed", "olderThanDays": 0}]);
    put(&server, rules).await;
    let (mut revision, mut rounds) = (2, 0);
    while retention(&second).await["removed"] != 110 {
        let command = json!({"type": "setContext", "key": "k", "value": rounds});
        revision += 1;
        assert_eq!(second.command(&busy, command).await, revision, "a running session is not disturbed");
        rounds += 1;
        assert!(rounds < 20_000, "{}", retention(&second).await);
    }
    let state = retention(&server).await;
    let by_rule = |n: usize| state["rules"][n]["removed"].as_u64().expect("a number");
    assert_eq!(by_rule(0) + by_rule(1), 110, "{state}");
    assert_eq!(server.get("/api/v1/sessions").await.1["sessions"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused_and_change_nothing() {
    let server = TestServer::start().await;
    put(&server, json!([{"olderThanDays": 365}])).await;
    for rules in [
        json!([{}]),
        json!([{"olderThanDays": -1}]),
        json!([{"olderThanDays": 36501}]),
        json!([{"olderThanDays": "7"}]),
        json!([{"olderThanDays": 1, "status": "running"}]),
        json!([{"olderThanDays": 1, "status": ["completed", "pending"]}]),
        json!([{"olderThanDays": 1, "status": "done"}]),
        json!([{"olderThanDays": 1, "status": []}]),
        json!([{"olderThanDays": 1, "tag": ""}]),
        json!([{"olderThanDays": 1, "tag": "a\u{0}b"}]),
        json!([{"olderThanDays": 1, "workflowId": "x"}]),
        json!([{"olderThanDays": 1, "workflow": "0198c0de-0000-7000-8000-000000000001"}]),
        json!({}),
    ] {
        server.refused(Method::PUT, RETENTION, Some(json!({"rules": rules})), "bad_request").await;
    }
    let problem = server
        .refused(
            Method::PUT,
            RETENTION,
            Some(json!({"rules": [{"olderThanDays": 1}, {"olderThanDays": -1}]})),
            "bad_request",
        )
        .await;
    assert!(problem["detail"].as_str().expect("a text").contains("rules[1]"), "{problem}");
    let many: Vec<Value> = (0..101).map(|n| json!({"olderThanDays": n})).collect();
    server.refused(Method::PUT, RETENTION, Some(json!({"rules": many})), "too_large").await;
    let long = json!({"rules": [{"olderThanDays": 1, "tag": "x".repeat(65)}]});
    server.refused(Method::PUT, RETENTION, Some(long), "too_large").await;
    assert_eq!(retention(&server).await["rules"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn rules_belong_to_a_project_and_its_admins() {
    let server = guarded().await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let (here, there) = (key(&server, "admin", "default").await, key(&server, "admin", "other").await);
    let mut ended = Vec::new();
    for admin in [&here, &there] {
        let id = id_of(&make(&server, admin, "/api/v1/sessions", json!({})).await);
        let cancel = json!({"action": "cancel"});
        let path = format!("/api/v1/sessions/{id}/control");
        assert_eq!(call(&server, admin, Method::POST, &path, Some(cancel)).await.0, 200);
        ended.push(id);
    }
    for role in ["viewer", "reviewer", "operator", "engine"] {
        let other = key(&server, role, "default").await;
        assert_eq!(get(&server, &other, RETENTION).await.0, 403, "{role}");
    }
    let rules = json!({"rules": [{"olderThanDays": 0}]});
    assert_eq!(call(&server, &there, Method::PUT, RETENTION, Some(rules)).await.0, 200);
    eventually("it is removed", async || get(&server, &there, RETENTION).await.1["removed"] == 1).await;
    assert_eq!(get(&server, &there, &format!("/api/v1/sessions/{}", ended[1])).await.0, 404);
    assert_eq!(get(&server, &here, &format!("/api/v1/sessions/{}", ended[0])).await.0, 200);
    assert_eq!(get(&server, &here, RETENTION).await.1["rules"], json!([]));
    let recorded = async |action: &str| {
        let (_, audit) = get(&server, &there, &format!("/api/v1/audit?action={action}")).await;
        audit["entries"].as_array().expect("entries").first().cloned()
    };
    eventually("both are in the audit log", async || {
        recorded("apply_retention").await.is_some() && recorded("replace_retention").await.is_some()
    })
    .await;
    let entry = recorded("apply_retention").await.expect("an entry");
    assert_eq!((&entry["resource"], entry.get("actor")), (&json!("/api/v1/retention: 1 sessions"), None));
}
