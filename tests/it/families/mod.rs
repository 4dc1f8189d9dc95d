//! Families: sessions that are started by other sessions.

mod deletion;
mod lists;
mod usage;

use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{call, id_of, key, make, post, server as guarded, token};
use crate::harness::TestServer;

pub async fn child(server: &TestServer, parent: &str) -> String {
    server.create(json!({"parentSessionId": parent, "parentNodeId": "n"})).await
}

pub fn parent(session: &Value) -> Value {
    json!([session["parentSessionId"], session["parentNodeId"]])
}

pub async fn summary(server: &TestServer, id: &str) -> Value {
    let (_, page) = server.get("/api/v1/sessions?limit=200").await;
    let all = page["sessions"].as_array().expect("sessions");
    all.iter().find(|session| session["id"] == id).expect("listed").clone()
}

pub async fn delete(server: &TestServer, id: &str) {
    assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
}

async fn export(server: &TestServer, id: &str) -> Vec<u8> {
    let export = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
    export.bytes().await.expect("a file").to_vec()
}

async fn import(server: &TestServer, file: Vec<u8>) -> Value {
    let answer = server.request(Method::POST, "/api/v1/sessions/import").body(file).send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn a_session_says_which_one_started_it() {
    let server = TestServer::start().await;
    let root = server.running_session().await;
    let id = child(&server, &root).await;
    let expected = json!([root, "n"]);
    assert_eq!(parent(&server.session(&id).await), expected);
    assert_eq!(parent(&server.events(&id).await[0]["event"]), expected);
    assert_eq!(parent(&summary(&server, &id).await), expected);
    let second = server.create(json!({"parentSessionId": root})).await;
    assert_eq!(parent(&server.session(&second).await), json!([root, null]));
    assert_eq!(summary(&server, &root).await["childCount"], 2);
    assert_eq!(summary(&server, &id).await["childCount"], 0);
    assert_eq!(server.session(&root).await.get("childCount"), None);
    assert_eq!(server.session(&root).await["revision"], 2, "children are no changes of the parent");
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(parent(&server.session(&id).await), expected);
    assert_eq!(summary(&server, &root).await["childCount"], 2);
}

#[tokio::test]
async fn forks_and_files_keep_the_parent_that_is_there() {
    let server = TestServer::start().await;
    let root = server.running_session().await;
    let id = child(&server, &root).await;
    let (status, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": 1})).await;
    assert_eq!((status.as_u16(), parent(&fork)), (201, json!([root, "n"])));
    assert_eq!(fork["parentId"], id);
    assert_eq!(summary(&server, &root).await["childCount"], 2);

    let file = export(&server, &id).await;
    delete(&server, &id).await;
    assert_eq!(summary(&server, &root).await["childCount"], 1);
    let imported = import(&server, file.clone()).await;
    assert_eq!((&imported["id"], parent(&imported)), (&json!(id), json!([root, "n"])));
    assert_eq!(summary(&server, &root).await["childCount"], 2);

    // Elsewhere it has none.
    let there = TestServer::start().await;
    let imported = import(&there, file).await;
    assert_eq!(parent(&imported), json!([null, null]));
    assert_eq!(parent(&there.session(&id).await), json!([null, null]));

    // A fork of a revision at which there was one.
    delete(&server, &root).await;
    let (_, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": 1})).await;
    assert_eq!(parent(&fork), json!([null, null]));
    let file = export(&server, &id).await;
    delete(&server, &id).await;
    let imported = import(&server, file).await;
    assert_eq!((parent(&imported), &imported["revision"]), (json!([null, null]), &json!(2)));
    assert_eq!(parent(&server.session(&format!("{id}?revision=1")).await), json!([root, "n"]), "as it was");
}

#[tokio::test]
async fn parents_that_cannot_be_are_refused() {
    let server = TestServer::start().await;
    let root = server.new_session().await;
    let nobody = uuid::Uuid::now_v7();
    for (request, code) in [
        (json!({"parentSessionId": nobody}), "not_found"),
        (json!({"parentSessionId": "x"}), "bad_request"),
        (json!({"parentNodeId": "n"}), "bad_request"),
        (json!({"parentSessionId": root, "parentNodeId": ""}), "bad_request"),
        (json!({"parentSessionId": root, "parentNodeId": "x".repeat(257)}), "too_large"),
    ] {
        server.refused(Method::POST, "/api/v1/sessions", Some(request), code).await;
    }
    // A session is nobody's child before it is there.
    let own = json!({"id": nobody, "parentSessionId": nobody});
    server.refused(Method::POST, "/api/v1/sessions", Some(own), "not_found").await;
    assert_eq!(summary(&server, &root).await["childCount"], 0);

    let mut last = root;
    for _ in 1..32 {
        last = child(&server, &last).await;
    }
    let deeper = json!({"parentSessionId": last});
    server.refused(Method::POST, "/api/v1/sessions", Some(deeper), "too_large").await;

    let storage = server.database.storage();
    sqlx::query("UPDATE session_families SET children = 10000").execute(storage.pool()).await.expect("many");
    let (_, page) = server.get("/api/v1/sessions?rootsOnly=true").await;
    let more = json!({"parentSessionId": page["sessions"][0]["id"]});
    server.refused(Method::POST, "/api/v1/sessions", Some(more), "too_large").await;
}

#[tokio::test]
async fn what_a_caller_may_not_read_it_cannot_join() {
    let server = guarded().await;
    make(&server, crate::access::support::ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let (engine, other) = (key(&server, "engine", "default").await, key(&server, "engine", "other").await);
    let root = id_of(&make(&server, &engine, "/api/v1/sessions", json!({})).await);
    let (status, problem) = post(&server, &other, "/api/v1/sessions", json!({"parentSessionId": root})).await;
    assert_eq!((status.as_u16(), &problem["code"]), (404, &json!("not_found")), "{problem}");
    let child = make(&server, &engine, "/api/v1/sessions", json!({"parentSessionId": root})).await;
    assert_eq!(child["parentSessionId"], root);
    // The family of a session is added up as far as the reader may see it.
    for id in [root.clone(), id_of(&child)] {
        let commands = json!([
            {"type": "start"},
            {"type": "recordUsage", "nodeId": "n", "inputTokens": 1, "outputTokens": 0, "costUsd": 1},
        ]);
        let path = format!("/api/v1/sessions/{id}/commands");
        let (status, answer) = post(&server, &engine, &path, commands).await;
        assert!(status.is_success(), "{answer}");
    }
    let admin = key(&server, "admin", "default").await;
    let guest = token(&server, &admin, &[&format!("read:sessions:{root}")]).await;
    for (caller, sessions) in [(&engine, 2), (&guest, 1)] {
        let path = format!("/api/v1/sessions/{root}/usage?descendants=true");
        let (status, report) = call(&server, caller, Method::GET, &path, None).await;
        assert_eq!(status, 200, "{report}");
        assert_eq!((&report["sessions"], &report["total"]["calls"]), (&json!(sessions), &json!(sessions)));
    }
    let (status, _) = call(&server, &other, Method::GET, &format!("/api/v1/sessions/{root}/usage"), None).await;
    assert_eq!(status, 404);
    let (_, page) = call(&server, &other, Method::GET, &format!("/api/v1/sessions?parentSessionId={root}"), None).await;
    assert_eq!(page["sessions"], json!([]));
}
