//! `Idempotency-Key` on whatever makes something.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::{TestServer, answer, chain, context, problem};

/// Every address that makes something, with a body, another one, and what it counts as in its list.
fn makers() -> Vec<(&'static str, Value, Value, &'static str)> {
    let workflow = |name: &str| json!({"name": name, "graph": chain(&["a"])});
    vec![
        ("/api/v1/groups", json!({"name": "a", "icon": "x"}), json!({"name": "b"}), "groups"),
        (
            "/api/v1/agents",
            json!({"name": "a", "personaPrompt": "p"}),
            json!({"name": "b", "personaPrompt": "p"}),
            "agents",
        ),
        ("/api/v1/workflows", workflow("a"), workflow("b"), "workflows"),
        ("/api/v1/sessions", json!({"inputs": {"a": 1}}), json!({"inputs": {"a": 2}}), "sessions"),
        ("/api/v1/memories", json!({"content": "a"}), json!({"content": "b"}), "memories"),
    ]
}

fn keyed(server: &TestServer, path: &str, key: &str, body: &Value) -> RequestBuilder {
    server.request(Method::POST, path).header("Idempotency-Key", key).json(body)
}

async fn count(server: &TestServer, path: &str, list: &str) -> usize {
    if list == "memories" {
        let found = server.post("/api/v1/memories/search", json!({"text": "a b", "limit": 100})).await.1;
        return found["memories"].as_array().map_or(0, Vec::len);
    }
    server.get(path).await.1[list].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_repeated_request_answers_as_the_first_time_and_makes_nothing() {
    let server = TestServer::start().await;
    for (path, body, other, list) in makers() {
        // The same key counts for each address by itself.
        let first = keyed(&server, path, "one", &body).send().await.expect("an answer");
        let location = first.headers()["location"].clone();
        let (status, made) = (first.status(), first.json::<Value>().await.expect("JSON"));
        assert_eq!(status, 201, "{made}");
        assert_eq!(location.to_str().ok(), Some(format!("{path}/{}", made["id"].as_str().expect("an id")).as_str()));
        assert_eq!(answer(keyed(&server, path, "one", &body)).await, (status, made.clone()), "{path}");
        let again = keyed(&server, path, "one", &body).send().await.expect("an answer");
        assert_eq!(again.headers()["location"], location, "{path}");
        let refused = problem(keyed(&server, path, "one", &other), "idempotency_key_reused").await;
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("Idempotency-Key")));
        assert_ne!(answer(keyed(&server, path, "two", &body)).await.1["id"], made["id"], "{path}");
        assert_eq!(count(&server, path, list).await, 2, "{path}");
    }
    // Also after a restart.
    let (path, body, ..) = &makers()[0];
    let first = answer(keyed(&server, path, "one", body)).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(answer(keyed(&server, path, "one", body)).await, first);
}

#[tokio::test]
async fn how_a_request_is_written_does_not_count() {
    let server = TestServer::start().await;
    let send = |body: &'static str| {
        answer(server.request(Method::POST, "/api/v1/groups").header("Idempotency-Key", "k").body(body))
    };
    let first = send(r#"{"name":"g","icon":"i"}"#).await;
    assert_eq!(send("{ \"icon\": \"i\",\n \"name\": \"g\" }").await, first);
}

#[tokio::test]
async fn of_requests_at_the_same_time_one_makes_it() {
    let server = TestServer::start().await;
    for (path, body, _, list) in makers() {
        let together = (0..8).map(|_| answer(keyed(&server, path, "race", &body)));
        let answers = futures_util::future::join_all(together).await;
        assert!(answers.iter().all(|answer| answer == &answers[0] && answer.0 == 201), "{path}: {answers:?}");
        assert_eq!(count(&server, path, list).await, 1, "{path}");
    }
}

#[tokio::test]
async fn what_was_changed_or_deleted_since_is_not_made_again() {
    let server = TestServer::start().await;
    let body = json!({"name": "g"});
    let first = answer(keyed(&server, "/api/v1/groups", "k", &body)).await;
    let path = format!("/api/v1/groups/{}", first.1["id"].as_str().expect("an id"));
    server.call(Method::PUT, &path, Some(json!({"name": "h"}))).await;
    assert_eq!(answer(keyed(&server, "/api/v1/groups", "k", &body)).await, first);
    server.call(Method::DELETE, &path, None).await;
    assert_eq!(answer(keyed(&server, "/api/v1/groups", "k", &body)).await, first);
    assert_eq!(count(&server, "/api/v1/groups", "groups").await, 0);
    // A session's first state goes with the session.
    let (_, session) = answer(keyed(&server, "/api/v1/sessions", "k", &json!({}))).await;
    let path = format!("/api/v1/sessions/{}", session["id"].as_str().expect("an id"));
    server.call(Method::DELETE, &path, None).await;
    problem(keyed(&server, "/api/v1/sessions", "k", &json!({})), "not_found").await;
    assert_eq!(count(&server, "/api/v1/sessions", "sessions").await, 0);
}

#[tokio::test]
async fn a_refused_request_gives_its_key_back() {
    let server = TestServer::start().await;
    let nowhere = json!({"content": "c", "groupId": "0198c0de-0000-7000-8000-000000000001"});
    problem(keyed(&server, "/api/v1/memories", "k", &nowhere), "not_found").await;
    assert_eq!(answer(keyed(&server, "/api/v1/memories", "k", &json!({"content": "c"}))).await.0, 201);
    problem(keyed(&server, "/api/v1/sessions", "k", &json!({"driver": "builtin"})), "bad_request").await;
    assert_eq!(answer(keyed(&server, "/api/v1/sessions", "k", &json!({}))).await.0, 201);
}

#[tokio::test]
async fn a_request_that_was_cut_off_is_taken_up_where_it_stood() {
    let server = TestServer::start().await;
    let body = json!({"name": "g"});
    let first = answer(keyed(&server, "/api/v1/groups", "k", &body)).await;
    // As a crash between the two leaves it: made, but not answered; a while ago.
    let cut_off = "UPDATE idempotency_keys SET answer = NULL, claimed_at = now() - interval '1 minute'";
    let storage = server.database.storage();
    let pool = storage.pool();
    sqlx::query(cut_off).execute(pool).await.expect("cut off");
    assert_eq!(answer(keyed(&server, "/api/v1/groups", "k", &body)).await, first);
    // And before anything was made.
    sqlx::query(cut_off).execute(pool).await.expect("cut off");
    sqlx::query("DELETE FROM groups").execute(pool).await.expect("not made");
    let (status, made) = answer(keyed(&server, "/api/v1/groups", "k", &body)).await;
    assert_eq!((status.as_u16(), &made["id"]), (201, &first.1["id"]));
}

#[tokio::test]
async fn a_file_is_taken_in_once() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, context("k", json!(1))).await;
    let export = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
    let file = export.bytes().await.expect("a file");
    let send = |key: &'static str, path: &'static str| {
        server.request(Method::POST, path).header("Idempotency-Key", key).body(file.clone())
    };
    let (status, first) = answer(send("k", "/api/v1/sessions/import")).await;
    assert_eq!((status.as_u16(), &first["revision"]), (201, &json!(3)), "{first}");
    assert_ne!(first["id"], json!(id));
    server.command(first["id"].as_str().expect("an id"), context("k", json!(2))).await;
    assert_eq!(answer(send("k", "/api/v1/sessions/import")).await, (status, first.clone()));
    problem(send("k", "/api/v1/sessions/import?newId=true"), "idempotency_key_reused").await;
    let together = (0..4).map(|_| answer(send("race", "/api/v1/sessions/import")));
    let answers = futures_util::future::join_all(together).await;
    assert!(answers.iter().all(|answer| answer == &answers[0] && answer.0 == 201), "{answers:?}");
    assert_eq!(count(&server, "/api/v1/sessions", "sessions").await, 3);
}

#[tokio::test]
async fn old_keys_are_forgotten_a_batch_at_a_time() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    let pool = storage.pool();
    sqlx::query(
        "INSERT INTO idempotency_keys (scope, key, request, made, claimed_at)
         SELECT 'groups', n::text, '', gen_random_uuid(), now() - interval '50 hours' FROM generate_series(1, 1500) AS n",
    )
    .execute(pool)
    .await
    .expect("old keys");
    answer(keyed(&server, "/api/v1/groups", "new", &json!({"name": "g"}))).await;
    let day = Duration::from_hours(48);
    assert!(storage.prune_keys(day).await.expect("pruned"));
    assert!(!storage.prune_keys(day).await.expect("pruned"));
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency_keys").fetch_all(pool).await.expect("keys");
    assert_eq!(left, ["new"]);
}
