//! The endpoints: shapes, errors, projects.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{alert, becomes, mailing_server, on_failure, run, server};
use crate::access::support;
use crate::harness::{MailServer, answer, problem};
use crate::webhooks::{hook, id};

const URL: &str = "https://example.org/hook";

#[tokio::test]
async fn an_alert_is_made_read_changed_and_deleted() {
    let mail = MailServer::start().await;
    let server = mailing_server(&mail).await;
    let named = id(&hook(&server, json!({"url": URL, "types": ["node.failed"]})).await);
    let workflow = uuid::Uuid::now_v7();
    let notify = json!({"webhookIds": [named], "emails": ["ada@example.org", "ada@example.org"]});
    let request = json!({"name": "Slow", "condition": {"type": "slowRun"}, "filter": {"workflowId": workflow},
                         "notify": notify});
    let (status, made) = server.post("/api/v1/alerts", request).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    assert_eq!(made["condition"], json!({"type": "slowRun", "factor": 1.0, "minimumRuns": 20}));
    assert_eq!(made["notify"], json!({"webhookIds": [named], "emails": ["ada@example.org"]}), "each once");
    assert_eq!((&made["enabled"], &made["status"]), (&json!(true), &json!("resolved")));
    let path = format!("/api/v1/alerts/{}", id(&made));
    assert_eq!(server.get(&path).await, (StatusCode::OK, made.clone()));
    assert_eq!(server.get("/api/v1/alerts").await, (StatusCode::OK, json!({"alerts": [made]})));

    let change = json!({"condition": {"type": "budget", "usdPerDay": 0.1}, "filter": {}});
    let (status, changed) = server.call(Method::PATCH, &path, Some(change)).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    let mut expected = made.clone();
    expected["condition"] = json!({"type": "budget", "usdPerDay": 0.1});
    expected.as_object_mut().expect("an object").remove("filter");
    expected["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!(changed, expected, "the rest stays");
    let (_, same) = server.call(Method::PATCH, &path, Some(json!({}))).await;
    expected["updatedAt"] = same["updatedAt"].clone();
    assert_eq!(same, expected);

    assert_eq!(server.get(&format!("{path}/events")).await, (StatusCode::OK, json!({"events": []})));
    assert_eq!(server.call(Method::DELETE, &path, None).await, (StatusCode::NO_CONTENT, Value::Null));
    server.refused(Method::GET, &path, None, "not_found").await;
    server.refused(Method::GET, &format!("{path}/events"), None, "not_found").await;
    server.refused(Method::DELETE, &path, None, "not_found").await;
    server.refused(Method::PATCH, &path, Some(json!({})), "not_found").await;
}

#[tokio::test]
async fn what_is_no_alert_is_refused() {
    let mail = MailServer::start().await;
    let server = mailing_server(&mail).await;
    let failures = json!({"type": "failures", "count": 1, "withinMinutes": 10});
    let emails: Vec<String> = (0..11).map(|n| format!("a{n}@example.org")).collect();
    let ids: Vec<uuid::Uuid> = (0..11).map(|_| uuid::Uuid::now_v7()).collect();
    let with = |member: &str, value: Value| {
        let mut request = on_failure(json!({}));
        request[member] = value;
        request
    };
    for (request, word) in [
        (json!({"condition": failures}), "name"),
        (json!({"name": "a"}), "condition"),
        (with("name", json!("")), "name"),
        (with("name", json!("a\r\nBcc: eve@example.org")), "name"),
        (with("name", json!("x".repeat(201))), "name"),
        (with("condition", json!({"type": "failures", "count": 0, "withinMinutes": 10})), "count"),
        (with("condition", json!({"type": "failures", "count": 1, "withinMinutes": 10_081})), "withinMinutes"),
        (with("condition", json!({"type": "failures", "count": 1})), "withinMinutes"),
        (with("condition", json!({"type": "slowRun", "factor": 0.5})), "factor"),
        (with("condition", json!({"type": "slowRun", "minimumRuns": 0})), "minimumRuns"),
        (with("condition", json!({"type": "budget", "usdPerDay": -1})), "US dollars"),
        (with("condition", json!({"type": "silence"})), "silence"),
        (with("condition", json!({"type": "failures", "count": 1, "withinMinutes": 10, "per": 1})), "per"),
        (with("filter", json!({"tag": ""})), "tag"),
        (with("filter", json!({"tags": ["a"]})), "tags"),
        (with("notify", json!({"emails": emails})), "emails"),
        (with("notify", json!({"emails": ["Ada <ada@example.org>"]})), "emails[0]"),
        (with("notify", json!({"emails": ["ada@example.org\r\nRCPT TO:<eve@example.org>"]})), "emails[0]"),
        (with("notify", json!({"webhookIds": ids})), "webhookIds"),
        (with("notify", json!({"slack": "x"})), "slack"),
        (with("event", json!(1)), "event"),
    ] {
        let problem = server.refused(Method::POST, "/api/v1/alerts", Some(request), "bad_request").await;
        assert!(problem["detail"].as_str().expect("a detail").contains(word), "{word}: {problem}");
    }
    let unknown = with("notify", json!({"webhookIds": [uuid::Uuid::now_v7()]}));
    server.refused(Method::POST, "/api/v1/alerts", Some(unknown), "not_found").await;
    let made = alert(&server, on_failure(json!({}))).await;
    let path = format!("/api/v1/alerts/{made}");
    for (change, code) in [
        (json!({"name": "a\nb"}), "bad_request"),
        (json!({"status": "raised"}), "bad_request"),
        (json!({"notify": {"webhookIds": [uuid::Uuid::now_v7()]}}), "not_found"),
    ] {
        server.refused(Method::PATCH, &path, Some(change), code).await;
    }
    server.refused(Method::GET, "/api/v1/alerts/x", None, "bad_request").await;
    server.refused(Method::GET, "/api/v1/alerts?limit=201", None, "bad_request").await;
    let replaced = server.call(Method::PUT, &path, Some(on_failure(json!({})))).await;
    assert_eq!(replaced.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn e_mails_need_a_server_that_sends_them() {
    let server = server().await;
    let request = on_failure(json!({"notify": {"emails": ["ada@example.org"]}}));
    let problem = server.refused(Method::POST, "/api/v1/alerts", Some(request), "bad_request").await;
    assert!(problem["detail"].as_str().expect("a detail").contains("RELIVE_SMTP_URL"), "{problem}");
}

#[tokio::test]
async fn a_repeated_creation_makes_one_alert() {
    let server = server().await;
    let send = || server.request(Method::POST, "/api/v1/alerts").header("Idempotency-Key", "k1");
    let (_, first) = answer(send().json(&on_failure(json!({})))).await;
    let (status, second) = answer(send().json(&on_failure(json!({})))).await;
    assert_eq!((status, &second), (StatusCode::CREATED, &first));
    problem(send().json(&on_failure(json!({"name": "Another"}))), "idempotency_key_reused").await;
    let (_, page) = server.get("/api/v1/alerts").await;
    assert_eq!(page["alerts"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn alerts_are_for_admins_and_recorded() {
    let server = support::server().await;
    let admin = support::key(&server, "admin", "default").await;
    let made = support::make(&server, &admin, "/api/v1/alerts", on_failure(json!({}))).await;
    let path = format!("/api/v1/alerts/{}", id(&made));
    for role in ["viewer", "reviewer", "operator", "engine"] {
        let key = support::key(&server, role, "default").await;
        let (status, refused) = support::get(&server, &key, "/api/v1/alerts").await;
        assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")), "{role}");
    }
    let change = Some(json!({"enabled": false}));
    assert_eq!(support::call(&server, &admin, Method::PATCH, &path, change).await.0, StatusCode::OK);
    assert_eq!(support::call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    support::recorded(&server, &admin, &["create_alert", "change_alert", "delete_alert"]).await;
}

#[tokio::test]
async fn a_page_of_another_site_may_change_alerts_if_it_is_allowed() {
    let server = crate::harness::TestServer::start_with(|config| {
        config.access.allow_origin = vec!["https://example.org".to_owned()];
    })
    .await;
    let asked = server
        .request(Method::OPTIONS, "/api/v1/alerts")
        .header("origin", "https://example.org")
        .header("access-control-request-method", "PATCH");
    let answered = asked.send().await.expect("an answer");
    let methods = answered.headers()["access-control-allow-methods"].to_str().expect("a text").to_owned();
    assert!(methods.contains("PATCH"), "{methods}");
}

#[tokio::test]
async fn a_deleted_alert_takes_its_events_with_it_and_a_deleted_project_its_alerts() {
    let server = server().await;
    let one = alert(&server, on_failure(json!({}))).await;
    run(&server, json!({}), "fail").await;
    becomes(&server, &one, "raised").await;
    let storage = server.database.storage();
    let count = async |table: &str| {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar::<_, i64>(sql).fetch_one(storage.pool()).await.expect("a count")
    };
    assert_eq!(count("alert_events").await, 1);
    assert_eq!(server.call(Method::DELETE, &format!("/api/v1/alerts/{one}"), None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(count("alert_events").await, 0);

    let (status, _) = server.post("/api/v1/projects", json!({"name": "Gone", "id": "gone"})).await;
    assert_eq!(status, StatusCode::CREATED);
    alert(&server, on_failure(json!({}))).await;
    sqlx::query("UPDATE alerts SET project_id = 'gone'").execute(storage.pool()).await.expect("moved");
    assert_eq!(server.call(Method::DELETE, "/api/v1/projects/gone", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(count("alerts").await, 0);
}
