//! What becomes of children when their parent is deleted.

use reqwest::Method;
use serde_json::{Value, json};

use super::{child, delete, parent, summary};
use crate::harness::{TestServer, eventually, node};

#[tokio::test]
async fn children_stay_as_roots_and_their_viewers_are_told() {
    let server = TestServer::start().await;
    let root = server.running_session().await;
    let (id, ended) = (child(&server, &root).await, child(&server, &root).await);
    let grandchild = child(&server, &id).await;
    server.command(&ended, json!({"type": "cancel"})).await;
    let mut deltas = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    let mut events = server.socket(&format!("/ws/sessions/{id}?mode=events&after=1")).await;
    let mut of_root = server.socket(&format!("/ws/sessions?parentSessionId={root}")).await;
    let mut roots = server.socket("/ws/sessions?rootsOnly=true").await;
    assert_eq!(deltas.frame().await["session"]["parentSessionId"], root);
    assert_eq!(of_root.frame().await["sessions"].as_array().map(Vec::len), Some(2));
    assert_eq!(roots.frame().await["sessions"].as_array().map(Vec::len), Some(1));

    delete(&server, &root).await;
    let patch = &deltas.frame().await["patch"];
    assert_eq!((parent(patch), patch["revision"].as_u64()), (json!([null, null]), Some(2)));
    assert!(patch.get("parentSessionId").is_some() && patch.get("parentNodeId").is_some(), "{patch}");
    let event = events.frame().await;
    assert_eq!((&event["revision"], &event["event"]), (&json!(2), &json!({"type": "parentRemoved"})));
    for _ in 0..2 {
        assert_eq!(of_root.frame().await["change"], "removed");
    }
    let mut seen: Vec<Value> = Vec::new();
    while seen.len() < 3 {
        let frame = roots.frame().await;
        seen.push(json!([frame["change"], frame["session"]["id"]]));
    }
    for expected in [json!(["removed", root]), json!(["added", id]), json!(["added", ended])] {
        assert!(seen.contains(&expected), "{expected}: {seen:?}");
    }
    for (of, expected) in [(&id, Value::Null), (&ended, Value::Null), (&grandchild, json!(id))] {
        assert_eq!(server.session(of).await["parentSessionId"], expected);
        assert_eq!(summary(&server, of).await["parentSessionId"], expected);
    }
    assert_eq!(server.session(&ended).await["status"], "cancelled");
    // The run goes on after it.
    assert_eq!(server.command(&id, json!({"type": "start"})).await, 3);
    // What is deleted leaves no entry behind.
    for of in [&grandchild, &id, &ended] {
        delete(&server, of).await;
    }
    let storage = server.database.storage();
    for table in ["session_labels", "session_families", "sessions"] {
        let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")));
        assert_eq!(count.fetch_one(storage.pool()).await.expect("a count"), 0, "{table}");
    }
}

#[tokio::test]
async fn a_group_is_deleted_with_parents_and_children_in_it() {
    let server = TestServer::start().await;
    let (_, group) = server.post("/api/v1/groups", json!({"name": "g"})).await;
    let root = server.create(json!({"groupId": group["id"]})).await;
    let within = server.create(json!({"groupId": group["id"], "parentSessionId": root})).await;
    let outside = child(&server, &root).await;
    // By one statement, in whatever order the rows come.
    let storage = server.database.storage();
    sqlx::query("DELETE FROM sessions WHERE group_id IS NOT NULL").execute(storage.pool()).await.expect("deleted");
    let left: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM sessions").fetch_all(storage.pool()).await.expect("ids");
    assert_eq!(left, [outside.parse::<uuid::Uuid>().expect("an id")], "without {within}");
    // Whoever holds the older state loses the race for the next revision, and finds out.
    assert_eq!(server.command(&outside, json!({"type": "start"})).await, 3);
    assert_eq!(parent(&server.session(&outside).await), json!([null, null]));

    let root = server.create(json!({"groupId": group["id"]})).await;
    let child = server.create(json!({"groupId": group["id"], "parentSessionId": root})).await;
    let path = format!("/api/v1/groups/{}", group["id"].as_str().expect("an id"));
    assert_eq!(server.call(Method::DELETE, &path, None).await.0, 204);
    for id in [root, child] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{id}"), None, "not_found").await;
    }
}

#[tokio::test]
async fn children_on_another_server_are_told() {
    let here = TestServer::start().await;
    let there = TestServer::start_on(here.database.clone(), |_| {}).await;
    let root = here.new_session().await;
    let mut list = there.socket("/ws/sessions?rootsOnly=true").await;
    list.frame().await;
    let id = child(&here, &root).await;
    let is_one = |frame: &Value| {
        let whole = frame["sessions"].as_array().and_then(|all| all.iter().find(|session| session["id"] == root));
        whole.unwrap_or(&frame["session"])["childCount"] == 1
    };
    list.until(is_one).await;
    let mut viewer = there.socket(&format!("/ws/sessions/{id}")).await;
    assert_eq!(viewer.frame().await["session"]["parentSessionId"], root);
    delete(&here, &root).await;
    let told = viewer.until(|frame| frame["revision"] == 2).await;
    assert_eq!(told["session"].get("parentSessionId"), None);
    there.command(&id, json!([{"type": "start"}, node("a", "running")])).await;
    let is_seen = async || here.session(&id).await["revision"] == 4;
    eventually("here as well", is_seen).await;
}

#[tokio::test]
async fn a_child_that_comes_while_its_parent_goes_has_none() {
    let server = TestServer::start().await;
    for _ in 0..10 {
        let root = server.new_session().await;
        let making = (0..8).map(|_| server.post("/api/v1/sessions", json!({"parentSessionId": root})));
        let path = format!("/api/v1/sessions/{root}");
        let (made, (status, _)) =
            tokio::join!(futures_util::future::join_all(making), server.call(Method::DELETE, &path, None));
        assert_eq!(status, 204);
        for (status, answer) in made {
            if status != 201 {
                assert_eq!(answer["code"], "not_found", "{answer}");
                continue;
            }
            let id = answer["id"].as_str().expect("an id");
            let is_root = async || server.session(id).await.get("parentSessionId").is_none();
            eventually("it has no parent", is_root).await;
        }
    }
    let storage = server.database.storage();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions WHERE parent_session_id IS NOT NULL")
        .fetch_one(storage.pool())
        .await
        .expect("a count");
    assert_eq!(left, 0);
}
