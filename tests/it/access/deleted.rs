//! What is left of a deleted project: its id, which is not used again, and nothing that can be used.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{ROOT, call, get, id_of, key, make, post, second, server, socket};
use crate::harness::{Socket, TestServer, answer, eventually};

const BLUE: &str = "/api/v1/projects/blue";

/// A server with the project `blue`.
async fn with_blue() -> TestServer {
    let server = server().await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "blue"})).await;
    server
}

/// As root in `blue`.
async fn as_root(server: &TestServer, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = server.request(method, path).bearer_auth(ROOT).header("relive-project", "blue");
    answer(request.json(&body)).await
}

/// A token of `blue` that root gives, and its id.
async fn token_of_root(server: &TestServer) -> (String, String) {
    let body = json!({"scopes": ["read:sessions"]});
    let (status, made) = as_root(server, Method::POST, "/api/v1/tokens", body).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    (made["token"].as_str().expect("a token").to_owned(), id_of(&made))
}

async fn delete(server: &TestServer) {
    assert_eq!(call(server, ROOT, Method::DELETE, BLUE, None).await.0, StatusCode::NO_CONTENT);
}

/// A socket of root in `blue`.
async fn socket_of_root(server: &TestServer) -> Socket {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    let mut request = format!("ws://{}/ws", server.address()).into_client_request().expect("a request");
    for (name, value) in [("authorization", format!("Bearer {ROOT}")), ("relive-project", "blue".to_owned())] {
        request.headers_mut().insert(name, value.parse().expect("a header"));
    }
    let (stream, _) = tokio_tungstenite::connect_async(request).await.expect("a WebSocket");
    Socket { stream }
}

#[tokio::test]
async fn the_id_of_a_deleted_project_is_not_used_again() {
    let server = with_blue().await;
    let admin = key(&server, "admin", "blue").await;
    let (token, _) = token_of_root(&server).await;
    let (revoked, id) = token_of_root(&server).await;
    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(call(&server, &admin, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    delete(&server).await;
    let again = post(&server, ROOT, "/api/v1/projects", json!({"id": "blue", "name": "Another"})).await;
    assert_eq!(again.0, StatusCode::CONFLICT, "{}", again.1);
    for credential in [&admin, &token, &revoked] {
        assert_eq!(get(&server, credential, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(get(&server, ROOT, BLUE).await.0, StatusCode::NOT_FOUND);
    assert_eq!(call(&server, ROOT, Method::DELETE, BLUE, None).await.0, StatusCode::NOT_FOUND);
    assert_eq!(call(&server, ROOT, Method::PUT, BLUE, Some(json!({"name": "x"}))).await.0, StatusCode::NOT_FOUND);
    assert_eq!(as_root(&server, Method::GET, "/api/v1/sessions", Value::Null).await.0, StatusCode::NOT_FOUND);
    let body = json!({"name": "k", "role": "viewer", "project": "blue"});
    assert_eq!(post(&server, ROOT, "/api/v1/keys", body).await.0, StatusCode::NOT_FOUND);
    let (_, page) = get(&server, ROOT, "/api/v1/projects").await;
    assert_eq!(page["projects"].as_array().map(Vec::len), Some(1), "{page}");
}

#[tokio::test]
async fn root_reads_the_audit_log_of_a_deleted_project() {
    let server = with_blue().await;
    let (of_blue, of_default) = (key(&server, "admin", "blue").await, key(&server, "admin", "default").await);
    let group = make(&server, &of_blue, "/api/v1/groups", json!({"name": "g"})).await;
    let path = format!("/api/v1/groups/{}", id_of(&group));
    assert_eq!(call(&server, &of_blue, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    let log = async |token: &str, project: &str| get(&server, token, &format!("/api/v1/audit?project={project}")).await;
    let actions = async || -> Vec<Value> {
        let (_, page) = log(ROOT, "blue").await;
        let entries = page["entries"].as_array().expect("entries");
        entries.iter().map(|entry| entry["action"].clone()).collect()
    };
    eventually("it is recorded", async || actions().await == ["create_group", "delete_group"]).await;
    assert_eq!(log(&of_blue, "blue").await.1, log(ROOT, "blue").await.1, "the own one may be named");
    delete(&server).await;
    assert_eq!(actions().await, ["create_group", "delete_group"]);
    // Which there were, is in the log of the project that root deleted it from.
    let deleted = async || get(&server, ROOT, "/api/v1/audit?action=delete_project").await.1["entries"].clone();
    eventually("the deletion is recorded", async || deleted().await[0]["resource"] == BLUE).await;
    // It says nothing of other projects to others, nor that there was one.
    for (token, project) in [(&*of_default, "blue"), (&*of_default, "red"), (ROOT, "red")] {
        let (status, refused) = log(token, project).await;
        assert_eq!((status, &refused["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{project}: {refused}");
    }
    assert_eq!(log(&of_default, "default").await.0, StatusCode::OK);
}

#[tokio::test]
async fn deletion_closes_the_sockets_of_every_credential_on_every_server() {
    let here = with_blue().await;
    let there = second(&here).await;
    let admin = key(&here, "admin", "blue").await;
    let (token, _) = token_of_root(&here).await;
    let mut sockets = Vec::new();
    for server in [&here, &there] {
        for credential in [&admin, &token] {
            sockets.push(socket(server, credential, "/ws").await);
        }
        sockets.push(socket_of_root(server).await);
    }
    let mut other = socket(&here, ROOT, "/ws").await;
    for socket in sockets.iter_mut().chain([&mut other]) {
        socket.settle().await;
    }
    delete(&here).await;
    for socket in &mut sockets {
        assert_eq!(socket.close_code().await, 4500);
    }
    other.settle().await;
}

#[tokio::test]
async fn a_key_that_another_server_has_just_seen_writes_nothing_any_more() {
    let here = with_blue().await;
    let there = second(&here).await;
    let admin = key(&here, "admin", "blue").await;
    assert_eq!(get(&there, &admin, "/api/v1/me").await.0, StatusCode::OK);
    delete(&here).await;
    let graph = json!({"id": "g", "name": "g", "startNodeId": "n",
        "nodes": {"n": {"id": "n", "type": "task", "name": "n", "nextIds": []}}});
    for (path, body) in [
        ("sessions", json!({})),
        ("groups", json!({"name": "g"})),
        ("agents", json!({"name": "a", "personaPrompt": "p"})),
        ("workflows", json!({"name": "w", "graph": graph})),
        ("memories", json!({"content": "c"})),
        ("keys", json!({"name": "k", "role": "admin"})),
    ] {
        let (status, answer) = post(&there, &admin, &format!("/api/v1/{path}"), body).await;
        assert!(matches!(status.as_u16(), 401 | 404), "{path}: {status} {answer}");
    }
    let signed_in = there.request(Method::POST, "/api/v1/sign-in").bearer_auth(&admin);
    let (status, answer) = answer(signed_in).await;
    assert!(matches!(status.as_u16(), 401 | 404), "{status} {answer}");
}

/// A key of the role root goes on in no other project either.
#[tokio::test]
async fn a_root_key_of_a_deleted_project_ends_everywhere() {
    let server = with_blue().await;
    let made = make(&server, ROOT, "/api/v1/keys", json!({"name": "r", "role": "root", "project": "blue"})).await;
    let root = made["key"].as_str().expect("a key");
    let elsewhere = |path: &str, body: Value| {
        let request = server.request(Method::POST, path).bearer_auth(root).header("relive-project", "default");
        request.json(&body)
    };
    let (_, given) = answer(elsewhere("/api/v1/tokens", json!({"scopes": ["read:sessions"]}))).await;
    let token = given["token"].as_str().expect("a token").to_owned();
    let signed_in = elsewhere("/api/v1/sign-in", Value::Null).send().await.expect("an answer");
    let cookie =
        signed_in.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let mut socket = socket(&server, &token, "/ws").await;
    socket.settle().await;
    let me = async || answer(server.request(Method::GET, "/api/v1/me").header("cookie", &cookie)).await;
    assert_eq!(me().await.1["project"], "default");
    delete(&server).await;
    for credential in [root, &token] {
        assert_eq!(get(&server, credential, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(me().await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(socket.close_code().await, 4500);
}

#[tokio::test]
async fn what_is_being_written_keeps_the_project() {
    let server = with_blue().await;
    let storage = server.database.storage();
    let mut writing = storage.pool().begin().await.expect("a transaction");
    let group = "INSERT INTO groups (id, project_id, name, created_at, updated_at)
                 VALUES (gen_random_uuid(), 'blue', 'g', now(), now())";
    sqlx::query(group).execute(&mut *writing).await.expect("written");
    assert_eq!(call(&server, ROOT, Method::DELETE, BLUE, None).await.0, StatusCode::CONFLICT);
    writing.rollback().await.expect("given up");
    delete(&server).await;
    let outcome = sqlx::query(group).execute(storage.pool()).await.expect_err("refused");
    let code = outcome.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("RL004"));
}

#[tokio::test]
async fn what_waits_for_a_deletion_is_refused_after_it() {
    let server = with_blue().await;
    let admin = key(&server, "admin", "blue").await;
    let storage = server.database.storage();
    let mut deletion = storage.pool().begin().await.expect("a transaction");
    for statement in [
        "SELECT pg_advisory_xact_lock(1919249520, hashtext('blue'))",
        "UPDATE projects SET deleted_at = now() WHERE id = 'blue'",
    ] {
        sqlx::query(statement).execute(&mut *deletion).await.expect("done");
    }
    let waits =
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1919249520 AND NOT granted)";
    let committing = async {
        eventually("it waits", async || sqlx::query_scalar(waits).fetch_one(storage.pool()).await.expect("an answer"))
            .await;
        deletion.commit().await.expect("committed");
    };
    let writing = post(&server, &admin, "/api/v1/sessions", json!({}));
    let ((status, answer), ()) = tokio::join!(writing, committing);
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
}

#[tokio::test]
async fn access_control_stays_on_when_the_project_of_the_only_key_is_deleted() {
    let server = with_blue().await;
    key(&server, "admin", "blue").await;
    delete(&server).await;
    let restarted = TestServer::start_on(server.database.clone(), |_| {}).await;
    assert_eq!(get(&restarted, "", "/api/v1/sessions").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_in_a_project_keeps_it_with_its_keys() {
    let server = with_blue().await;
    let admin = key(&server, "admin", "blue").await;
    make(&server, &admin, "/api/v1/memories", json!({"content": "c"})).await;
    assert_eq!(call(&server, ROOT, Method::DELETE, BLUE, None).await.0, StatusCode::CONFLICT);
    let (_, page) = get(&server, &admin, "/api/v1/keys").await;
    assert!(page["keys"][0].get("revokedAt").is_none(), "{page}");
    // Nobody deletes it past the server.
    let storage = server.database.storage();
    let outcome = sqlx::query("DELETE FROM projects WHERE id = 'blue'").execute(storage.pool()).await;
    assert!(outcome.is_err());
}
