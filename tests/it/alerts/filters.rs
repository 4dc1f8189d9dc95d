//! Which runs an alert concerns.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{alert, becomes, looked_at, on_failure, run, server, status};
use crate::access::support;
use crate::harness::{TestServer, node};

async fn made(server: &TestServer, what: &str, body: Value) -> String {
    let (status, made) = server.post(&format!("/api/v1/{what}"), body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn every_condition_of_the_filter_has_to_fit() {
    let server = server().await;
    let group = made(&server, "groups", json!({"name": "g"})).await;
    let graph = json!({"id": "g", "name": "g", "startNodeId": "n",
                       "nodes": {"n": {"id": "n", "type": "task", "name": "n", "nextIds": []}}});
    let workflow = made(&server, "workflows", json!({"name": "w", "graph": graph})).await;
    let all = alert(&server, on_failure(json!({}))).await;
    let by_group = alert(&server, on_failure(json!({"filter": {"groupId": group}}))).await;
    let by_workflow = alert(&server, on_failure(json!({"filter": {"workflowId": workflow}}))).await;
    let by_tag = alert(&server, on_failure(json!({"filter": {"tag": "nightly"}}))).await;
    let by_both = alert(&server, on_failure(json!({"filter": {"workflowId": workflow, "tag": "nightly"}}))).await;
    run(&server, json!({"tags": ["daily"]}), "fail").await;
    becomes(&server, &all, "raised").await;
    looked_at(&server).await;
    let raised = async || {
        let mut raised = Vec::new();
        for (name, id) in [("group", &by_group), ("workflow", &by_workflow), ("tag", &by_tag), ("both", &by_both)] {
            if status(&server, id).await == "raised" {
                raised.push(name);
            }
        }
        raised
    };
    assert_eq!(raised().await, [""; 0]);
    run(&server, json!({"groupId": group}), "fail").await;
    becomes(&server, &by_group, "raised").await;
    run(&server, json!({"tags": ["daily", "nightly"]}), "fail").await;
    becomes(&server, &by_tag, "raised").await;
    run(&server, json!({"workflowId": workflow}), "fail").await;
    becomes(&server, &by_workflow, "raised").await;
    looked_at(&server).await;
    assert_eq!(raised().await, ["group", "workflow", "tag"], "one run with both is wanted");
    run(&server, json!({"workflowId": workflow, "tags": ["nightly"]}), "fail").await;
    becomes(&server, &by_both, "raised").await;
}

#[tokio::test]
async fn slow_runs_and_costs_are_those_of_the_filter() {
    let server = server().await;
    let storage = server.database.storage();
    let slow = json!({"type": "slowRun", "minimumRuns": 2});
    let budget = json!({"type": "budget", "usdPerDay": 1});
    let mut ids = Vec::new();
    for (condition, tag) in [(&slow, "a"), (&slow, "b"), (&budget, "a"), (&budget, "b")] {
        let request = json!({"name": tag, "condition": condition, "filter": {"tag": tag}});
        ids.push(alert(&server, request).await);
    }
    for _ in 0..2 {
        run(&server, json!({"tags": ["a"]}), "complete").await;
        run(&server, json!({"tags": ["b"]}), "complete").await;
    }
    sqlx::query("UPDATE ended_runs SET duration_ms = CASE WHEN 'a' = ANY (tags) THEN 5000 ELSE 100000 END")
        .execute(storage.pool())
        .await
        .expect("durations");
    for tag in ["a", "b"] {
        let id = server.create(json!({"tags": [tag]})).await;
        let usage = json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 1, "outputTokens": 1,
                           "costUsd": if tag == "a" { 1.25 } else { 0.75 }});
        server.command(&id, json!([{"type": "start"}, node("n", "running"), usage])).await;
    }
    let sql = "UPDATE sessions SET started_at = started_at - interval '20 seconds' WHERE ended_at IS NULL";
    sqlx::query(sql).execute(storage.pool()).await.expect("older");
    becomes(&server, &ids[0], "raised").await;
    becomes(&server, &ids[2], "raised").await;
    looked_at(&server).await;
    assert_eq!(
        (status(&server, &ids[1]).await, status(&server, &ids[3]).await),
        ("resolved".into(), "resolved".into())
    );
}

#[tokio::test]
async fn runs_of_another_project_do_not_count() {
    let server = support::server().await;
    support::make(&server, support::ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let (one, other) = (support::key(&server, "admin", "default").await, support::key(&server, "admin", "other").await);
    let mut ids = Vec::new();
    for condition in [
        json!({"type": "failures", "count": 1, "withinMinutes": 10}),
        json!({"type": "slowRun", "minimumRuns": 1}),
        json!({"type": "budget", "usdPerDay": 0.5}),
    ] {
        let request = json!({"name": "x", "condition": condition});
        let made = support::make(&server, &one, "/api/v1/alerts", request.clone()).await;
        let of_other = support::make(&server, &other, "/api/v1/alerts", request).await;
        ids.push((support::id_of(&made), support::id_of(&of_other)));
    }
    let storage = server.database.storage();
    let usage = json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 1, "outputTokens": 1, "costUsd": 1.0});
    for end in ["complete", "fail", ""] {
        let id = support::id_of(&support::make(&server, &one, "/api/v1/sessions", json!({})).await);
        let mut commands = vec![json!({"type": "start"}), node("n", "running"), usage.clone()];
        match end {
            "" => {}
            "fail" => commands.push(json!({"type": "fail", "error": "it broke"})),
            end => commands.extend([node("n", "completed"), json!({"type": end})]),
        }
        let path = format!("/api/v1/sessions/{id}/commands");
        let (status, answer) = support::post(&server, &one, &path, json!(commands)).await;
        assert!(status.is_success(), "{answer}");
    }
    let sql = "UPDATE sessions SET started_at = started_at - interval '1 hour' WHERE ended_at IS NULL";
    sqlx::query(sql).execute(storage.pool()).await.expect("older");
    let status = async |key: &str, id: &str| {
        let (_, alert) = support::get(&server, key, &format!("/api/v1/alerts/{id}")).await;
        alert["status"].as_str().expect("a status").to_owned()
    };
    for (id, _) in &ids {
        crate::harness::eventually("it is raised", async || {
            super::look(&server.database).await;
            status(&one, id).await == "raised"
        })
        .await;
    }
    looked_at(&server).await;
    for (id, of_other) in &ids {
        assert_eq!((status(&one, id).await.as_str(), status(&other, of_other).await.as_str()), ("raised", "resolved"));
        let path = format!("/api/v1/alerts/{id}");
        for (method, path) in
            [(Method::GET, path.clone()), (Method::GET, format!("{path}/events")), (Method::DELETE, path.clone())]
        {
            assert_eq!(support::call(&server, &other, method, &path, None).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        let change = Some(json!({"name": "y"}));
        assert_eq!(support::call(&server, &other, Method::PATCH, &path, change).await.0, StatusCode::NOT_FOUND);
    }
    let (_, page) = support::get(&server, &other, "/api/v1/alerts").await;
    assert_eq!(page["alerts"].as_array().map(Vec::len), Some(3));
}
