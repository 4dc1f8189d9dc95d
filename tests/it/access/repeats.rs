//! Repetitions under an `Idempotency-Key` by somebody else.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{ROOT, call, get, id_of, key, make, server};
use crate::harness::{TestServer, answer};

async fn keyed(server: &TestServer, caller: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let request = server.request(Method::POST, &format!("/api/v1/{path}")).bearer_auth(caller);
    answer(request.header("idempotency-key", "same").json(body)).await
}

#[tokio::test]
async fn who_may_not_do_it_is_not_told_what_came_of_it() {
    let server = server().await;
    let [viewer, operator, engine, admin] =
        ["viewer", "operator", "engine", "admin"].map(|role| key(&server, role, "default"));
    let (viewer, operator, engine, admin) = tokio::join!(viewer, operator, engine, admin);
    let id = id_of(&make(&server, &admin, "/api/v1/sessions", json!({})).await);
    let token = json!({"scopes": [format!("write:sessions:{id}")]});
    let group = json!({"name": "g"});
    for (who, other, path, body) in [
        (&engine, &operator, "tokens", &token),
        (&engine, &operator, "sessions", &json!({})),
        (&admin, &engine, "groups", &group),
        (&engine, &viewer, "memories", &json!({"content": "c"})),
        (&admin, &viewer, "keys", &json!({"name": "k", "role": "admin"})),
    ] {
        let (status, made) = keyed(&server, who, path, body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
        let (status, refused) = keyed(&server, other, path, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {refused}");
        assert!(!refused.to_string().contains(made["id"].as_str().expect("an id")), "{refused}");
    }
}

#[tokio::test]
async fn keys_and_tokens_are_those_of_one_caller() {
    let server = server().await;
    let [one, two] = [key(&server, "admin", "default"), key(&server, "admin", "default")];
    let (one, two) = tokio::join!(one, two);
    for (path, body) in
        [("tokens", json!({"scopes": ["read:sessions"]})), ("keys", json!({"name": "k", "role": "viewer"}))]
    {
        let (status, made) = keyed(&server, &one, path, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
        assert_eq!(keyed(&server, &one, path, &body).await.1["id"], made["id"], "{path}");
        for other in [&*two, ROOT] {
            let (status, refused) = keyed(&server, other, path, &body).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}: {refused}");
            assert!(!refused.to_string().contains(made["id"].as_str().expect("an id")), "{refused}");
        }
    }
    // What is not stored is signed again, and is the same token.
    let scopes = json!({"scopes": ["read:sessions"], "expiresInSeconds": 600});
    let ask = || {
        let request = server.request(Method::POST, "/api/v1/tokens").bearer_auth(&*one);
        answer(request.header("idempotency-key", "another").json(&scopes))
    };
    let (first, again) = (ask().await.1, ask().await.1);
    assert_eq!((&first["id"], &first["expiresAt"]), (&again["id"], &again["expiresAt"]));
    let token = again["token"].as_str().expect("a token");
    assert_eq!(get(&server, token, "/api/v1/sessions").await.0, StatusCode::OK);
    let revoke = format!("/api/v1/tokens/{}", id_of(&first));
    assert_eq!(call(&server, &one, Method::DELETE, &revoke, None).await.0, StatusCode::NO_CONTENT);
    for token in [token, ask().await.1["token"].as_str().expect("a token")] {
        assert_eq!(get(&server, token, "/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
    }
    // What belongs to the project is the same for all who may make it: another instance may repeat a request.
    let (_, made) = keyed(&server, &one, "sessions", &json!({})).await;
    assert_eq!(keyed(&server, &two, "sessions", &json!({})).await.1["id"], made["id"]);
}
