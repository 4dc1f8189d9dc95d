//! Deleting many sessions with one request.

use std::collections::HashSet;

use relive::storage::SessionFilter;
use relive_session::{SessionId, SessionStatus};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::access::support::{ROOT, call, get, id_of, key, make, post, server as guarded};
use crate::harness::{TestServer, eventually};

const DELETE: &str = "/api/v1/sessions/delete";

async fn delete(server: &TestServer, body: Value) -> Value {
    let (status, answer) = server.post(DELETE, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

async fn ids(server: &TestServer) -> Vec<String> {
    let (_, list) = server.get("/api/v1/sessions?limit=200").await;
    let id = |session: &Value| session["id"].as_str().expect("an id").to_owned();
    list["sessions"].as_array().expect("sessions").iter().map(id).collect()
}

#[tokio::test]
async fn what_a_filter_finds_is_counted_and_then_deleted_everywhere() {
    let server = TestServer::start().await;
    let second = TestServer::start_on(server.database.clone(), |_| {}).await;
    let mut list = second.socket("/ws/sessions").await;
    list.frame().await;
    let kept = server.create(json!({"tags": ["kept"]})).await;
    let mut doomed = Vec::new();
    for n in 0..45 {
        let id = server.create(json!({"tags": ["old", "a,b"], "metadata": {"n": n % 3}})).await;
        server.command(&id, json!([{"type": "start"}, {"type": "complete"}])).await;
        doomed.push(id);
    }
    let mut viewer = second.socket(&format!("/ws/sessions/{}", doomed[7])).await;
    viewer.frame().await;
    // A list is not told of a session that was created and deleted before its turn came.
    let mut shown = HashSet::new();
    while shown.len() < doomed.len() {
        let frame = list.frame().await;
        if frame["session"]["status"] == "completed" {
            shown.insert(frame["session"]["id"].as_str().expect("an id").to_owned());
        }
    }

    let filter = json!({"tag": ["a,b"], "status": ["completed", "failed"]});
    let counted = delete(&server, json!({"filter": filter, "dryRun": true})).await;
    assert_eq!(counted, json!({"matched": 45, "deleted": 0, "dryRun": true, "hasMore": false}));
    assert_eq!(ids(&server).await.len(), 46);

    let some = delete(&server, json!({"filter": {"tag": "old", "metadata": {"n": 1}}})).await;
    assert_eq!(some, json!({"matched": 15, "deleted": 15, "dryRun": false, "hasMore": false}));
    assert_eq!(delete(&server, json!({"filter": filter})).await["deleted"], 30);
    assert_eq!(delete(&server, json!({"filter": filter})).await["matched"], 0);
    assert_eq!(ids(&server).await, [kept]);

    // Lists and viewers of the other server are told of each.
    let mut removed = Vec::new();
    while removed.len() < doomed.len() {
        let frame = list.frame().await;
        if frame["change"] == "removed" {
            removed.push(frame["session"]["id"].as_str().expect("an id").to_owned());
        }
    }
    removed.sort_unstable();
    doomed.sort_unstable();
    assert_eq!(removed, doomed);
    // As by a single DELETE.
    assert_eq!(viewer.until(|frame| frame["type"] == "error").await["code"], "not_found");
}

#[tokio::test]
async fn nothing_of_what_is_deleted_stays() {
    let server = TestServer::start().await;
    let id = server.create(json!({"tags": ["old"], "name": "n", "metadata": {"k": 1}})).await;
    let path = format!("/api/v1/sessions/{id}/lease");
    assert_eq!(server.post(&path, json!({"seconds": 60})).await.0, 200);
    let said = json!([
        {"type": "start"},
        {"type": "setNodeStatus", "nodeId": "n", "status": "running"},
        {"type": "addMessage", "nodeId": "n", "content": "hello"},
        {"type": "addLog", "nodeId": "n", "level": "info", "text": "line"},
        {"type": "addMemory", "content": "kept in mind"},
        {"type": "recordUsage", "nodeId": "n", "inputTokens": 1, "outputTokens": 1},
    ]);
    let request = server.request(Method::POST, &format!("/api/v1/sessions/{id}/commands"));
    let answer = request.header("Idempotency-Key", "once").json(&said).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let storage = server.database.storage();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
         WHERE table_schema = 'public' AND column_name = 'session_id' AND table_type = 'BASE TABLE'
             AND table_name NOT IN ('ended_runs', 'ancestors')",
    )
    .fetch_all(storage.pool())
    .await
    .expect("tables");
    let rows = async || {
        let mut rows = 0;
        for table in &tables {
            let sql = format!("SELECT count(*) FROM {table} WHERE session_id = $1::uuid");
            let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(&id)
                .fetch_one(storage.pool())
                .await
                .expect("a count");
            rows += count;
        }
        rows
    };
    assert!(rows().await > 10, "{tables:?}");
    assert_eq!(delete(&server, json!({"filter": {"tag": "old"}})).await["deleted"], 1);
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_deletes_nothing() {
    let server = TestServer::start().await;
    server.new_session().await;
    for body in [
        json!({}),
        json!({"filter": {}}),
        json!({"filter": {"rootsOnly": false}}),
        json!({"filter": {"stalled": false}}),
        json!({"filter": {"metadata": {}}}),
        json!({"filter": {"status": "done"}}),
        json!({"filter": {"status": []}}),
        json!({"filter": {"stat": "pending"}}),
        json!({"filter": {"tag": ""}}),
        json!({"filter": {"nodeId": "n"}}),
        json!({"filter": {"metadata": {"k": [1]}}}),
        json!({"filter": {"text": ""}}),
        json!({"filter": {"status": "pending"}, "dryrun": true}),
        json!({"filter": {"status": "pending"}, "dryRun": "yes"}),
        json!([]),
    ] {
        server.refused(Method::POST, DELETE, Some(body), "bad_request").await;
    }
    assert_eq!(ids(&server).await.len(), 1);
}

#[tokio::test]
async fn a_session_that_left_the_list_stays() {
    let server = TestServer::start().await;
    let (id, storage) = (server.new_session().await, server.database.storage());
    let pending = SessionFilter { statuses: vec![SessionStatus::Pending], ..SessionFilter::default() };
    let summary = storage.summaries(&pending, None, 10).await.expect("a page").items.remove(0);
    server.command(&id, json!({"type": "start"})).await;
    let deleted = storage.delete_session_in(summary.id, summary.identity(), &pending).await.expect("an answer");
    assert!(deleted.is_none(), "it runs");
    assert_eq!(summary.id, id.parse::<SessionId>().expect("an id"));
    assert_eq!(server.session(&id).await["status"], "running");
}

#[tokio::test]
async fn only_admins_delete_and_only_in_their_project() {
    let server = guarded().await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let (here, there) = (key(&server, "admin", "default").await, key(&server, "admin", "other").await);
    let body = json!({"tags": ["same"]});
    let mine = id_of(&make(&server, &here, "/api/v1/sessions", body.clone()).await);
    let theirs = id_of(&make(&server, &there, "/api/v1/sessions", body).await);
    let filter = json!({"filter": {"tag": "same"}});
    for role in ["viewer", "reviewer", "operator", "engine"] {
        let other = key(&server, role, "default").await;
        assert_eq!(post(&server, &other, DELETE, filter.clone()).await.0, 403, "{role}");
    }
    let (status, answer) = post(&server, &there, DELETE, filter).await;
    assert_eq!((status.as_u16(), &answer["deleted"]), (200, &json!(1)));
    assert_eq!(get(&server, &here, &format!("/api/v1/sessions/{mine}")).await.0, 200);
    assert_eq!(get(&server, &there, &format!("/api/v1/sessions/{theirs}")).await.0, 404);
    let recorded = async || {
        let path = "/api/v1/audit?action=delete_sessions";
        let (_, audit) = call(&server, &there, Method::GET, path, None).await;
        audit["entries"].as_array().is_some_and(|entries| entries.iter().any(|entry| entry["outcome"] == "allowed"))
    };
    eventually("it is in the audit log", recorded).await;
}
