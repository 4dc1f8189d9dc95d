//! What ends with a key or a token, at once, and who may end it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{ROOT, call, get, id_of, key, make, post, server, socket};
use crate::harness::{TestServer, answer};

/// A token of `default` that a key gives, and where it is revoked.
async fn given(server: &TestServer, issuer: &str) -> (String, String) {
    let made = make(server, issuer, "/api/v1/tokens", json!({"scopes": ["read:sessions"]})).await;
    (made["token"].as_str().expect("a token").to_owned(), format!("/api/v1/tokens/{}", id_of(&made)))
}

/// Exchanges a key or a token for a cookie.
async fn cookie(server: &TestServer, credential: &str) -> String {
    let request = server.request(Method::POST, "/api/v1/sign-in").bearer_auth(credential);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()["set-cookie"].to_str().expect("text").to_owned();
    cookie.split(';').next().expect("a pair").to_owned()
}

/// A request of a page of the server that has the cookie.
fn with_cookie(server: &TestServer, method: Method, path: &str, cookie: &str) -> reqwest::RequestBuilder {
    let origin = format!("http://{}", server.address());
    server.request(method, path).header("cookie", cookie).header("origin", origin)
}

#[tokio::test]
async fn another_project_ends_no_token_by_its_id() {
    let server = server().await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let (admin, other) = (key(&server, "admin", "default").await, key(&server, "admin", "other").await);
    let (token, path) = given(&server, &admin).await;
    let mut socket = socket(&server, &token, "/ws").await;
    socket.settle().await;
    assert_eq!(call(&server, &other, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    socket.settle().await;
    assert_eq!(get(&server, &token, "/api/v1/me").await.0, StatusCode::OK);
    assert_eq!(call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(socket.close_code().await, 4500);
}

#[tokio::test]
async fn revoking_a_token_ends_its_cookies_at_once() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let (token, path) = given(&server, &admin).await;
    let cookie = cookie(&server, &token).await;
    let me = || answer(with_cookie(&server, Method::GET, "/api/v1/me", &cookie));
    assert_eq!(me().await.0, StatusCode::OK);
    assert_eq!(call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(me().await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_number_of_revoked_tokens_of_a_project_is_bounded() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let storage = server.database.storage();
    let fill = "INSERT INTO revoked_tokens (project_id, id, expires_at)
                SELECT 'default', gen_random_uuid(), now() + interval '1 day' FROM generate_series(1, 99999)";
    sqlx::query(fill).execute(storage.pool()).await.expect("filled");
    let ((_, first), (token, second)) = (given(&server, &admin).await, given(&server, &admin).await);
    let revoke = async |path: &str| call(&server, &admin, Method::DELETE, path, None).await;
    // Made-up ids as well: nobody knows which there are.
    assert_eq!(revoke(&first).await.0, StatusCode::NO_CONTENT);
    let (status, refused) = revoke(&second).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    assert_eq!(get(&server, &token, "/api/v1/me").await.0, StatusCode::OK);
    assert_eq!(revoke(&first).await.0, StatusCode::NO_CONTENT, "it is revoked already");
    // Those of other projects are others.
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let other = key(&server, "admin", "other").await;
    let made_up = format!("/api/v1/tokens/{}", uuid::Uuid::now_v7());
    assert_eq!(call(&server, &other, Method::DELETE, &made_up, None).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_number_of_sign_ins_with_a_token_is_bounded() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let ((token, path), (other, _)) = (given(&server, &admin).await, given(&server, &admin).await);
    cookie(&server, &token).await;
    let storage = server.database.storage();
    let fill = "INSERT INTO sign_ins (id, hash, project_id, actor_kind, actor_id, actor_name, scopes, key_id, token_id,
                    expires_at)
                SELECT gen_random_uuid(), decode(md5(n::text), 'hex'), project_id, actor_kind, actor_id, actor_name,
                    scopes, key_id, token_id, expires_at
                FROM sign_ins, generate_series(1, 9999) AS n";
    sqlx::query(fill).execute(storage.pool()).await.expect("filled");
    let (status, refused) = post(&server, &token, "/api/v1/sign-in", Value::Null).await;
    assert_eq!(status, StatusCode::CONFLICT, "{refused}");
    cookie(&server, &other).await;
    cookie(&server, &admin).await;
    assert_eq!(call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sign_ins").fetch_one(storage.pool()).await.expect("a number");
    assert_eq!(left, 2);
}

#[tokio::test]
async fn nobody_revokes_a_key_that_may_do_more_than_they() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let made = make(&server, ROOT, "/api/v1/keys", json!({"name": "r", "role": "root"})).await;
    let root = made["key"].as_str().expect("a key");
    let path = format!("/api/v1/keys/{}", id_of(&made));
    let (status, refused) = call(&server, &admin, Method::DELETE, &path, None).await;
    assert_eq!((status, &refused["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")), "{refused}");
    assert_eq!(get(&server, root, "/api/v1/projects").await.0, StatusCode::OK);
    let unknown = format!("/api/v1/keys/{}", uuid::Uuid::now_v7());
    assert_eq!(call(&server, &admin, Method::DELETE, &unknown, None).await.0, StatusCode::NOT_FOUND);
    // Its like it may revoke, and root what is root's.
    let like = make(&server, ROOT, "/api/v1/keys", json!({"name": "a", "role": "admin"})).await;
    let like = format!("/api/v1/keys/{}", id_of(&like));
    assert_eq!(call(&server, &admin, Method::DELETE, &like, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(call(&server, root, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(get(&server, root, "/api/v1/projects").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_key_expires_no_later_than_the_one_it_was_made_with() {
    let server = server().await;
    let soon = "2099-01-01T00:00:00.000Z";
    let body = json!({"name": "a", "role": "admin", "expiresAt": soon});
    let made = make(&server, ROOT, "/api/v1/keys", body).await;
    let admin = made["key"].as_str().expect("a key");
    for (asked, expected) in [
        (Value::Null, soon),
        (json!("2100-01-01T00:00:00Z"), soon),
        (json!("2098-01-01T00:00:00Z"), "2098-01-01T00:00:00.000Z"),
    ] {
        let mut body = json!({"name": "k", "role": "viewer"});
        if !asked.is_null() {
            body["expiresAt"] = asked.clone();
        }
        let made = make(&server, admin, "/api/v1/keys", body).await;
        assert_eq!(made["expiresAt"], expected, "{asked}");
    }
    // Also when it was exchanged for a cookie, which lasts for hours only; the key that is made need not.
    let cookie = cookie(&server, admin).await;
    let request = with_cookie(&server, Method::POST, "/api/v1/keys", &cookie);
    let (status, made) = answer(request.json(&json!({"name": "k", "role": "viewer"}))).await;
    assert_eq!((status, &made["expiresAt"]), (StatusCode::CREATED, &json!(soon)), "{made}");
    let made = make(&server, ROOT, "/api/v1/keys", json!({"name": "k", "role": "viewer"})).await;
    assert!(made.get("expiresAt").is_none(), "{made}");
}
