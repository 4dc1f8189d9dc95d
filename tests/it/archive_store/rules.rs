//! Rules of retention that archive.

use reqwest::Method;
use serde_json::{Value, json};

use super::{ARCHIVE, ended, files, record, restore, server};
use crate::harness::{TestServer, eventually};

const RETENTION: &str = "/api/v1/retention";

async fn put(server: &TestServer, rules: Value) -> Value {
    let (status, answer) = server.call(Method::PUT, RETENTION, Some(json!({"rules": rules}))).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

async fn removed(server: &TestServer) -> u64 {
    server.get(RETENTION).await.1["removed"].as_u64().expect("a number")
}

async fn applied(server: &TestServer) -> String {
    let state = server.get(RETENTION).await.1;
    state["appliedAt"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_rule_archives_where_another_deletes() {
    let (server, directory) = server().await;
    let (kept, gone) = (ended(&server, "keep").await, ended(&server, "drop").await);
    let running = server.create(json!({"tags": ["keep"]})).await;
    let answer = put(
        &server,
        json!([{"tag": "keep", "olderThanDays": 0, "action": "archive"},
            {"tag": "drop", "olderThanDays": 0, "action": "delete"}, {"olderThanDays": 9}]),
    )
    .await;
    assert_eq!(answer["rules"][0]["action"], "archive");
    assert_eq!(answer["rules"][1].get("action"), None, "the default is not said: {answer}");
    eventually("both are removed", async || removed(&server).await == 2).await;
    record(&server, &kept).await;
    server.refused(Method::GET, &format!("{ARCHIVE}/{gone}"), None, "not_found").await;
    server.session(&running).await;
    assert_eq!(files(directory.path()).len(), 1);
    // What was read can be written back, and the rule keeps its number.
    let state = server.get(RETENTION).await.1;
    assert_eq!(server.call(Method::PUT, RETENTION, Some(state.clone())).await.1["rules"], state["rules"]);
    assert_eq!(state["rules"][0]["removed"], 1);

    // Once restored, it is left alone.
    assert_eq!(restore(&server, &kept).await.0, 201);
    let before = applied(&server).await;
    put(&server, json!([{"olderThanDays": 0, "action": "archive"}, {"olderThanDays": 0}])).await;
    eventually("the rules were applied", async || applied(&server).await > before).await;
    server.session(&kept).await;
}

#[tokio::test]
async fn what_was_restored_is_archived_again_after_some_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path").to_owned();
    let server = TestServer::start_with(|config| {
        config.archive.archive = Some(path);
        config.archive.archive_restored_days = 0.000_000_01;
    })
    .await;
    let id = ended(&server, "t").await;
    put(&server, json!([{"olderThanDays": 0, "action": "archive"}])).await;
    eventually("it is archived", async || removed(&server).await == 1).await;
    let first = record(&server, &id).await;
    assert_eq!(restore(&server, &id).await.0, 201);
    put(&server, json!([{"olderThanDays": 0, "action": "archive", "tag": "t"}])).await;
    eventually("it is archived again", async || removed(&server).await == 2).await;
    let second = record(&server, &id).await;
    assert_eq!(first["session"], second["session"]);
    assert_ne!(first["file"]["name"], second["file"]["name"]);
}

#[tokio::test]
async fn without_an_archive_nothing_is_archived_and_nothing_deleted_instead() {
    let (server, directory) = server().await;
    let problem = server
        .refused(
            Method::PUT,
            RETENTION,
            Some(json!({"rules": [{"olderThanDays": 1, "action": "move"}]})),
            "bad_request",
        )
        .await;
    assert!(problem["detail"].as_str().expect("a text").contains("move"), "{problem}");
    put(&server, json!([{"olderThanDays": 0, "action": "archive"}])).await;
    let database = server.stop().await;
    let server = TestServer::start_on(database, |_| {}).await;
    let id = ended(&server, "x").await;
    let before = applied(&server).await;
    sqlx::query("UPDATE retention SET due_at = now()").execute(server.database.storage().pool()).await.expect("due");
    eventually("the rules were applied", async || applied(&server).await > before).await;
    server.session(&id).await;
    let rule = json!({"rules": [{"olderThanDays": 2, "action": "archive"}]});
    let problem = server.refused(Method::PUT, RETENTION, Some(rule), "bad_request").await;
    assert!(problem["detail"].as_str().expect("a text").contains("RELIVE_ARCHIVE"), "{problem}");
    server.refused(Method::POST, ARCHIVE, Some(json!({"olderThanDays": 0})), "unavailable").await;
    assert_eq!(server.get(ARCHIVE).await.1, json!({"sessions": []}));
    drop(directory);
}

#[tokio::test]
async fn a_request_has_the_conditions_of_a_rule() {
    let (server, _directory) = server().await;
    let (a, b) = (ended(&server, "a").await, ended(&server, "b").await);
    let running = server.running_session().await;
    let (_, counted) = server.post(ARCHIVE, json!({"olderThanDays": 0, "tag": "a", "dryRun": true})).await;
    assert_eq!(counted, json!({"matched": 1, "archived": 0, "failed": 0, "dryRun": true, "hasMore": false}));
    server.session(&a).await;
    for (body, archived) in [
        (json!({"olderThanDays": 1}), 0),
        (json!({"olderThanDays": 0, "status": "failed"}), 0),
        (json!({"olderThanDays": 0, "tag": "a", "status": ["completed"]}), 1),
    ] {
        assert_eq!(server.post(ARCHIVE, body.clone()).await.1["archived"], archived, "{body}");
    }
    record(&server, &a).await;
    server.session(&b).await;
    server.session(&running).await;
    for wrong in [
        json!({}),
        json!({"olderThanDays": -1}),
        json!({"olderThanDays": 0, "status": "running"}),
        json!({"olderThanDays": 0, "tags": "a"}),
    ] {
        server.refused(Method::POST, ARCHIVE, Some(wrong), "bad_request").await;
    }
}
