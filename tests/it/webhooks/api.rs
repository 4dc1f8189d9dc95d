//! The endpoints: shapes, errors, audit, projects.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ALL, deliveries, hook, hook_for_all, id, server};
use crate::access::support;
use crate::harness::{Answer, Receiver, TestServer, answer, problem};

const URL: &str = "https://example.org/hook";

#[tokio::test]
async fn a_webhook_is_made_read_replaced_and_deleted() {
    let server = server().await;
    let group = uuid::Uuid::now_v7();
    let request = json!({"url": URL, "types": ["node.failed", "session.created", "node.failed"],
                         "filter": {"groupId": group, "tag": "nightly"}});
    let made = hook(&server, request).await;
    assert!(made["secret"].as_str().expect("a secret").starts_with("whsec_"), "{made}");
    let path = format!("/api/v1/webhooks/{}", id(&made));
    let mut expected = made.clone();
    expected.as_object_mut().expect("an object").remove("secret");
    assert_eq!(expected["types"], json!(["session.created", "node.failed"]), "each once");
    assert_eq!((&expected["enabled"], &expected["filter"]["tag"]), (&json!(true), &json!("nightly")));

    assert_eq!(server.get(&path).await, (StatusCode::OK, expected.clone()), "without the secret");
    assert_eq!(server.get("/api/v1/webhooks").await, (StatusCode::OK, json!({"webhooks": [expected]})));

    // Read, changed and written back.
    let mut changed = expected.clone();
    changed["url"] = json!("http://example.net/");
    changed["enabled"] = json!(false);
    let (status, replaced) = server.call(Method::PUT, &path, Some(changed.clone())).await;
    assert_eq!(status, StatusCode::OK, "{replaced}");
    changed["updatedAt"] = replaced["updatedAt"].clone();
    assert_eq!(replaced, changed);

    assert_eq!(server.call(Method::DELETE, &path, None).await, (StatusCode::NO_CONTENT, Value::Null));
    server.refused(Method::GET, &path, None, "not_found").await;
    server.refused(Method::DELETE, &path, None, "not_found").await;
    server.refused(Method::PUT, &path, Some(json!({"url": URL, "types": ["node.failed"]})), "not_found").await;
    for below in ["deliveries", "test", &format!("deliveries/{}/retry", uuid::Uuid::now_v7())] {
        let method = if below == "deliveries" { Method::GET } else { Method::POST };
        server.refused(method, &format!("{path}/{below}"), None, "not_found").await;
    }
}

#[tokio::test]
async fn what_is_no_webhook_is_refused() {
    // With the default setting.
    let server = TestServer::start().await;
    let secret = |bytes: usize| {
        use base64::Engine as _;
        format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(vec![1; bytes]))
    };
    for (request, word) in [
        (json!({"types": ["node.failed"]}), "url"),
        (json!({"url": URL}), "types"),
        (json!({"url": URL, "types": []}), "types"),
        (json!({"url": URL, "types": ["session.ended"]}), "session.ended"),
        (json!({"url": "ftp://example.org", "types": ["node.failed"]}), "http"),
        (json!({"url": "http://127.0.0.1:9/", "types": ["node.failed"]}), "RELIVE_WEBHOOK_ALLOW_PRIVATE"),
        (json!({"url": "http://[::ffff:10.0.0.1]/", "types": ["node.failed"]}), "public"),
        (json!({"url": "https://me:word@example.org", "types": ["node.failed"]}), "password"),
        (json!({"url": "https://example.org/a\0b", "types": ["node.failed"]}), "control characters"),
        (json!({"url": URL, "types": ["node.failed"], "secret": "word"}), "whsec_"),
        (json!({"url": URL, "types": ["node.failed"], "secret": secret(23)}), "24"),
        (json!({"url": URL, "types": ["node.failed"], "filter": {"tags": ["a"]}}), "tags"),
        (json!({"url": URL, "types": ["node.failed"], "filter": {"tag": ""}}), "tag"),
        (json!({"url": URL, "types": ["node.failed"], "event": 1}), "event"),
    ] {
        let problem = server.refused(Method::POST, "/api/v1/webhooks", Some(request), "bad_request").await;
        assert!(problem["detail"].as_str().expect("a detail").contains(word), "{problem}");
    }
    let given = secret(24);
    let made = hook(&server, json!({"url": URL, "types": ["node.failed"], "secret": given})).await;
    assert_eq!(made["secret"], given);
    let page = server.refused(Method::GET, "/api/v1/webhooks?limit=201", None, "bad_request").await;
    assert!(page["detail"].as_str().expect("a detail").contains("limit"), "{page}");
}

#[tokio::test]
async fn a_repeated_creation_makes_one_webhook_and_does_not_show_its_secret_again() {
    let server = server().await;
    let request = json!({"url": URL, "types": ["node.failed"]});
    let send = || server.request(Method::POST, "/api/v1/webhooks").header("Idempotency-Key", "k1");
    let (status, first) = answer(send().json(&request)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(first["secret"].as_str().expect("a secret").len() > 40, "{first}");
    let (status, second) = answer(send().json(&request)).await;
    assert_eq!((status, &second["id"], second.get("secret")), (StatusCode::CREATED, &first["id"], None));
    problem(send().json(&json!({"url": URL, "types": ["session.created"]})), "idempotency_key_reused").await;
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM idempotency_keys WHERE answer::text LIKE '%' || $1 || '%'")
            .bind(first["secret"].as_str())
            .fetch_one(server.database.storage().pool())
            .await
            .expect("a count");
    assert_eq!(stored, 0, "the secret is kept beside the key");
}

#[tokio::test]
async fn a_project_has_a_hundred_webhooks_at_most_and_lists_them_by_pages() {
    let server = server().await;
    for _ in 0..100 {
        hook(&server, json!({"url": URL, "types": ["node.failed"]})).await;
    }
    let request = json!({"url": URL, "types": ["node.failed"]});
    server.refused(Method::POST, "/api/v1/webhooks", Some(request), "conflict").await;
    let (_, first) = server.get("/api/v1/webhooks?limit=60").await;
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    let (_, second) = server.get(&format!("/api/v1/webhooks?limit=60&cursor={cursor}")).await;
    let number = |page: &Value| page["webhooks"].as_array().expect("webhooks").len();
    assert_eq!((number(&first), number(&second)), (60, 40));
    assert!(second["nextCursor"].is_null());
}

#[tokio::test]
async fn a_webhook_has_five_secrets_from_before_at_most() {
    let server = server().await;
    let made = hook(&server, json!({"url": URL, "types": ["node.failed"]})).await;
    let path = format!("/api/v1/webhooks/{}", id(&made));
    let rotate = format!("{path}/secret/rotate");
    for (request, word) in [
        (json!({"overlapSeconds": 604_801}), "604800"),
        (json!({"overlapSeconds": -1}), "-1"),
        (json!({"secret": "whsec_AA=="}), "24"),
        (json!({"overlap": 1}), "overlap"),
    ] {
        let problem = server.refused(Method::POST, &rotate, Some(request), "bad_request").await;
        assert!(problem["detail"].as_str().expect("a detail").contains(word), "{problem}");
    }
    let elsewhere = format!("/api/v1/webhooks/{}/secret/rotate", uuid::Uuid::now_v7());
    server.refused(Method::POST, &elsewhere, Some(json!({})), "not_found").await;
    for _ in 0..5 {
        assert_eq!(server.post(&rotate, json!({})).await.0, StatusCode::OK);
    }
    let problem = server.refused(Method::POST, &rotate, Some(json!({})), "conflict").await;
    assert!(problem["detail"].as_str().expect("a detail").contains("overlapSeconds 0"), "{problem}");

    // What was read is written back, and the secrets stay; a secret that is given is the only one.
    let (_, read) = server.get(&path).await;
    let (status, written) = server.call(Method::PUT, &path, Some(read.clone())).await;
    assert_eq!((status, &written["previousSecretUntil"]), (StatusCode::OK, &read["previousSecretUntil"]));
    assert!(read["previousSecretUntil"].is_string(), "{read}");
    let mut given = read;
    given["secret"] = made["secret"].clone();
    let (status, written) = server.call(Method::PUT, &path, Some(given)).await;
    assert_eq!((status, &written["previousSecretUntil"]), (StatusCode::OK, &Value::Null), "{written}");
    for _ in 0..5 {
        assert_eq!(server.post(&rotate, json!({})).await.0, StatusCode::OK);
    }
    assert_eq!(server.post(&rotate, json!({"overlapSeconds": 0})).await.0, StatusCode::OK);
    assert_eq!(server.post(&rotate, json!({})).await.0, StatusCode::OK, "there is room again");
}

#[tokio::test]
async fn a_test_is_sent_at_once_and_kept_with_its_outcome() {
    let server = server().await;
    let receiver = Receiver::answering(|_| Answer::Status(500)).await;
    let made = hook(&server, json!({"url": receiver.url(), "types": ["node.failed"], "enabled": false})).await;
    let (status, sent) = server.post(&format!("/api/v1/webhooks/{}/test", id(&made)), json!({})).await;
    assert_eq!(status, StatusCode::OK, "{sent}");
    assert_eq!(
        (&sent["type"], &sent["status"], &sent["attempts"]),
        (&json!("webhook.test"), &json!("failed"), &json!(1))
    );
    assert_eq!(sent["responseStatus"], 500);
    assert!(sent["error"].as_str().expect("an error").contains("500"), "{sent}");
    let [received] = &receiver.received()[..] else { panic!("one request") };
    assert_eq!((received.kind().as_str(), received.id.as_str()), ("webhook.test", sent["id"].as_str().expect("an id")));
    assert_eq!(received.json()["data"], json!({"webhookId": made["id"]}));
    assert_eq!(deliveries(&server, &id(&made)).await, [sent]);
}

#[tokio::test]
async fn a_repeated_test_is_sent_once() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let made = hook(&server, json!({"url": receiver.url(), "types": ["node.failed"]})).await;
    let path = format!("/api/v1/webhooks/{}/test", id(&made));
    let ask = |key: &'static str| answer(server.request(Method::POST, &path).header("Idempotency-Key", key));
    let ((status, first), (_, again)) = (ask("k1").await, ask("k1").await);
    assert_eq!((status, &first), (StatusCode::OK, &again));
    assert_eq!(receiver.received().len(), 1);
    assert_ne!(ask("k2").await.1["id"], first["id"]);
    assert_eq!((receiver.received().len(), deliveries(&server, &id(&made)).await.len()), (2, 2));
    let other = hook(&server, json!({"url": receiver.url(), "types": ["node.failed"]})).await;
    let path = format!("/api/v1/webhooks/{}/test", id(&other));
    problem(server.request(Method::POST, &path).header("Idempotency-Key", "k1"), "idempotency_key_reused").await;
}

#[tokio::test]
async fn webhooks_are_of_a_project_and_for_its_admins() {
    let server = support::server().await;
    let admin = support::key(&server, "admin", "default").await;
    let made = support::make(&server, &admin, "/api/v1/webhooks", json!({"url": URL, "types": ALL})).await;
    let path = format!("/api/v1/webhooks/{}", id(&made));
    support::make(&server, support::ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let other = support::key(&server, "admin", "other").await;
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/deliveries")),
        (Method::POST, format!("{path}/test")),
    ] {
        assert_eq!(support::call(&server, &other, method, &path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let (_, page) = support::get(&server, &other, "/api/v1/webhooks").await;
    assert_eq!(page["webhooks"], json!([]));
    let engine = support::key(&server, "engine", "default").await;
    let refused = support::get(&server, &engine, "/api/v1/webhooks").await;
    assert_eq!((refused.0, &refused.1["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")));

    let rotate = format!("{path}/secret/rotate");
    for (key, status) in [(&other, StatusCode::NOT_FOUND), (&engine, StatusCode::FORBIDDEN), (&admin, StatusCode::OK)] {
        assert_eq!(support::call(&server, key, Method::POST, &rotate, Some(json!({}))).await.0, status);
    }
    assert_eq!(support::call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let log = support::recorded(&server, &admin, &["create_webhook", "rotate_webhook_secret", "delete_webhook"]).await;
    assert!(!log.to_string().contains("whsec_"), "{log}");
}

#[tokio::test]
async fn a_deleted_project_takes_its_webhooks_with_it() {
    let server = server().await;
    let receiver = Receiver::start().await;
    let (status, _) = server.post("/api/v1/projects", json!({"name": "Gone", "id": "gone"})).await;
    assert_eq!(status, StatusCode::CREATED);
    sqlx::query("UPDATE webhooks SET project_id = 'gone' WHERE id = $1")
        .bind(hook_for_all(&server, &receiver).await.parse::<uuid::Uuid>().expect("an id"))
        .execute(server.database.storage().pool())
        .await
        .expect("moved");
    assert_eq!(server.call(Method::DELETE, "/api/v1/projects/gone", None).await.0, StatusCode::NO_CONTENT);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM webhooks")
        .fetch_one(server.database.storage().pool())
        .await
        .expect("a count");
    assert_eq!(left, 0);
}
