//! The endpoints: shapes, errors, audit, projects.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{id, schedule, workflow};
use crate::access::support;
use crate::harness::{TestServer, answer, problem};

#[tokio::test]
async fn a_schedule_is_made_read_replaced_and_deleted() {
    let server = TestServer::start().await;
    let workflow = workflow(&server, 0.01).await;
    let request = json!({"workflowId": workflow, "cron": "30 2 * * *", "timezone": "Europe/Berlin", "inputs": {"a": null},
                         "overlap": "cancelRunning", "enabled": true, "catchUpSeconds": 60, "name": "Nightly"});
    let made = schedule(&server, request.clone()).await;
    for (member, value) in request.as_object().expect("an object") {
        assert_eq!(&made[member], value, "{member}");
    }
    let next: relive_session::Timestamp = made["nextRunAt"].as_str().expect("a time").parse().expect("a time");
    assert!(next > relive_session::Timestamp::now());
    let next = next.to_string();
    assert!(next.ends_with("T00:30:00.000Z") || next.ends_with("T01:30:00.000Z"), "{next}");
    let path = format!("/api/v1/schedules/{}", id(&made));
    assert_eq!(server.get(&path).await, (StatusCode::OK, made.clone()));
    assert_eq!(server.get("/api/v1/schedules").await, (StatusCode::OK, json!({"schedules": [made]})));

    // Read, changed and written back.
    let mut changed = made.clone();
    changed["enabled"] = json!(false);
    changed["overlap"] = json!("allow");
    let (status, replaced) = server.call(Method::PUT, &path, Some(changed)).await;
    assert_eq!((status, &replaced["overlap"]), (StatusCode::OK, &json!("allow")), "{replaced}");
    assert!(replaced["nextRunAt"].is_null(), "{replaced}");
    let with_defaults = json!({"workflowId": workflow, "cron": "@hourly"});
    let (_, replaced) = server.call(Method::PUT, &path, Some(with_defaults)).await;
    let members =
        ["timezone", "overlap", "enabled", "catchUpSeconds", "inputs", "name"].map(|name| replaced[name].clone());
    assert_eq!(members, [json!("UTC"), json!("skip"), json!(true), json!(3_600), Value::Null, Value::Null]);
    assert!(replaced["nextRunAt"].as_str().expect("a time").ends_with(":00:00.000Z"), "{replaced}");

    assert_eq!(server.call(Method::DELETE, &path, None).await, (StatusCode::NO_CONTENT, Value::Null));
    server.refused(Method::GET, &path, None, "not_found").await;
    server.refused(Method::DELETE, &path, None, "not_found").await;
    let again = json!({"workflowId": workflow, "cron": "@hourly"});
    server.refused(Method::PUT, &path, Some(again), "not_found").await;
}

#[tokio::test]
async fn what_is_no_schedule_is_refused() {
    let server = TestServer::start().await;
    let workflow = workflow(&server, 0.01).await;
    let with = |change: Value| {
        let mut request = json!({"workflowId": workflow, "cron": "* * * * *"});
        request.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        request
    };
    for (request, word) in [
        (json!({"cron": "* * * * *"}), "workflowId"),
        (json!({"workflowId": workflow}), "cron"),
        (with(json!({"cron": "every day"})), "cron"),
        (with(json!({"cron": "0 0 30 2 *"})), "no such time"),
        (with(json!({"cron": "1,".repeat(200)})), "256"),
        (with(json!({"timezone": "Berlin"})), "timezone"),
        (with(json!({"overlap": "queue"})), "queue"),
        (with(json!({"catchUpSeconds": -1})), "-1"),
        (with(json!({"catchUpSeconds": 604_801})), "604800"),
        (with(json!({"timeZone": "UTC"})), "timezone"),
        (with(json!({"name": 1})), "string"),
    ] {
        let problem = server.refused(Method::POST, "/api/v1/schedules", Some(request), "bad_request").await;
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(word), "{word}: {problem}");
    }
    let unknown = json!({"workflowId": uuid::Uuid::now_v7(), "cron": "@daily"});
    let refused = server.refused(Method::POST, "/api/v1/schedules", Some(unknown), "not_found").await;
    assert!(refused["detail"].as_str().expect("a detail").contains("workflow"), "{refused}");
}

#[tokio::test]
async fn a_repeated_creation_makes_one_schedule() {
    let server = TestServer::start().await;
    let request = json!({"workflowId": workflow(&server, 0.01).await, "cron": "@daily"});
    let send = || server.request(Method::POST, "/api/v1/schedules").header("Idempotency-Key", "k1");
    let first = answer(send().json(&request)).await;
    assert_eq!(answer(send().json(&request)).await, first);
    let mut other = request.clone();
    other["cron"] = json!("@hourly");
    problem(send().json(&other), "idempotency_key_reused").await;
}

#[tokio::test]
async fn schedules_are_of_a_project_and_for_its_admins() {
    let server = support::server().await;
    let admin = support::key(&server, "admin", "default").await;
    let graph = crate::harness::chain(&["a"]);
    let workflow = support::make(&server, &admin, "/api/v1/workflows", json!({"name": "w", "graph": graph})).await;
    let request = json!({"workflowId": workflow["id"], "cron": "@daily"});
    let made = support::make(&server, &admin, "/api/v1/schedules", request.clone()).await;
    let path = format!("/api/v1/schedules/{}", id(&made));
    support::make(&server, support::ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let other = support::key(&server, "admin", "other").await;
    assert_eq!(support::get(&server, &other, &path).await.0, StatusCode::NOT_FOUND);
    let (status, _) = support::call(&server, &other, Method::POST, "/api/v1/schedules", Some(request.clone())).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "the workflow of another project");
    assert_eq!(support::call(&server, &other, Method::PUT, &path, Some(request)).await.0, StatusCode::NOT_FOUND);
    assert_eq!(support::call(&server, &other, Method::DELETE, &path, None).await.0, StatusCode::NOT_FOUND);
    let operator = support::key(&server, "operator", "default").await;
    assert_eq!(support::get(&server, &operator, "/api/v1/schedules").await.0, StatusCode::FORBIDDEN);
    assert_eq!(support::call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    support::recorded(&server, &admin, &["create_schedule", "delete_schedule"]).await;
}

#[tokio::test]
async fn a_deleted_workflow_takes_its_schedules_with_it() {
    let server = TestServer::start().await;
    let workflow = workflow(&server, 0.01).await;
    schedule(&server, json!({"workflowId": workflow, "cron": "@daily"})).await;
    let deleted = server.call(Method::DELETE, &format!("/api/v1/workflows/{workflow}"), None).await;
    assert_eq!(deleted.0, StatusCode::NO_CONTENT);
    assert_eq!(server.get("/api/v1/schedules").await.1, json!({"schedules": []}));
}
