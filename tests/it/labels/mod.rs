//! Names, tags and metadata of sessions: kept, changed, shown, and found by.

mod lists;
mod scopes;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::TestServer;

/// What a session's labels are: name, tags, metadata.
fn labels(session: &Value) -> Value {
    json!([session["name"], session["tags"], session["metadata"]])
}

fn set(fields: Value) -> Value {
    let mut command = fields;
    command["type"] = json!("setLabels");
    command
}

#[tokio::test]
async fn labels_are_given_changed_and_shown_everywhere() {
    let server = TestServer::start().await;
    let given = json!({"name": "Nightly", "tags": ["etl", "検索"], "metadata": {"env": "prod", "n": 1.5, "ok": true}});
    let expected = json!(["Nightly", ["etl", "検索"], {"env": "prod", "n": 1.5, "ok": true}]);
    let id = server.create(given.clone()).await;
    let mut deltas = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    assert_eq!(labels(&deltas.frame().await["session"]), expected);
    assert_eq!(labels(&server.session(&id).await), expected);
    let created = &server.events(&id).await[0]["event"];
    assert_eq!(labels(created), expected);

    assert_eq!(server.command(&id, set(json!({"name": "", "metadata": {"env": "test"}}))).await, 2);
    let changed = json!([null, ["etl", "検索"], {"env": "test"}]);
    let patch = &deltas.frame_of("delta").await["patch"];
    assert_eq!((&patch["name"], patch.get("tags")), (&Value::Null, None), "{patch}");
    assert_eq!(patch["metadata"], json!({"env": "test", "n": null, "ok": null}));
    assert_eq!(labels(&server.session(&id).await), changed);
    assert_eq!(labels(&server.session(&format!("{id}?revision=1")).await), expected);
    let (_, page) = server.get("/api/v1/sessions").await;
    assert_eq!(labels(&page["sessions"][0]), changed);
    assert_eq!(server.command(&id, set(json!({"metadata": {"env": "test"}}))).await, 2, "nothing new");

    server.command(&id, json!({"type": "cancel"})).await;
    assert_eq!(server.command(&id, set(json!({"tags": ["done"]}))).await, 4, "after the end as well");
    let ended = server.session(&id).await;
    assert_eq!((labels(&ended), &ended["status"]), (json!([null, ["done"], {"env": "test"}]), &json!("cancelled")));
    let last = &server.events(&id).await[3]["event"];
    assert_eq!(last, &json!({"type": "labelsSet", "tags": ["done"]}));
}

#[tokio::test]
async fn labels_outlive_the_server_and_go_along_with_forks_and_files() {
    let server = TestServer::start().await;
    let id = server.create(json!({"name": "n", "tags": ["a", "b"], "metadata": {"k": 1}})).await;
    server.command(&id, set(json!({"tags": ["c"]}))).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let expected = json!(["n", ["c"], {"k": 1}]);
    assert_eq!(labels(&server.session(&id).await), expected);

    let (status, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": 1})).await;
    assert_eq!((status.as_u16(), labels(&fork)), (201, json!(["n", ["a", "b"], {"k": 1}])));

    let export = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
    let file = export.bytes().await.expect("a file");
    assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
    let import = server.request(Method::POST, "/api/v1/sessions/import").body(file).send().await.expect("an answer");
    assert_eq!(import.status(), 201);
    assert_eq!(labels(&server.session(&id).await), expected);
    for (query, number) in [("tag=c", 1), ("tag=a", 1), ("metadata.k=1", 2), ("name=n", 2), ("tag=a,c", 0)] {
        let (_, page) = server.get(&format!("/api/v1/sessions?{query}")).await;
        assert_eq!(page["sessions"].as_array().map(Vec::len), Some(number), "{query}: {page}");
    }
    // What is deleted leaves no entry behind.
    for id in [id.as_str(), fork["id"].as_str().expect("an id")] {
        assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM session_labels")
        .fetch_one(server.database.storage().pool())
        .await
        .expect("a count");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn labels_that_cannot_be_are_refused() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let commands = format!("/api/v1/sessions/{id}/commands");
    for (fields, code) in [
        (json!({"tags": ["a", "a"]}), "bad_request"),
        (json!({"tags": ["a\u{7}"]}), "bad_request"),
        (json!({"tags": "a"}), "bad_request"),
        (json!({"tag": ["a"]}), "bad_request"),
        (json!({"metadata": {"k": {"l": 1}}}), "bad_request"),
        (json!({"metadata": {"k": null}}), "bad_request"),
        (json!({"metadata": ["k"]}), "bad_request"),
        (json!({"name": "x".repeat(201)}), "too_large"),
        (json!({"metadata": {"k": "x".repeat(17_000)}}), "too_large"),
    ] {
        server.refused(Method::POST, "/api/v1/sessions", Some(fields.clone()), code).await;
        server.refused(Method::POST, &commands, Some(set(fields)), code).await;
    }
    let problem = server.refused(Method::POST, &commands, Some(set(json!({"label": 1}))), "bad_request").await;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("label: unknown field")), "{problem}");
    assert_eq!(server.session(&id).await["revision"], 1);
}
