//! A run over time.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, chain, context, eventually, node};

async fn timeline(server: &TestServer, id: &str, query: &str) -> Value {
    let (status, timeline) = server.get(&format!("/api/v1/sessions/{id}/timeline{query}")).await;
    assert_eq!(status, 200, "{timeline}");
    timeline
}

/// A node's intervals as status, attempt, and the revisions they begin at.
fn of<'a>(timeline: &'a Value, id: &str) -> Vec<(&'a str, u64, u64)> {
    let nodes = timeline["nodes"].as_array().expect("nodes");
    let node = nodes.iter().find(|node| node["id"] == id).expect("the node");
    let interval = |interval: &'a Value| {
        let attempt = interval["attempt"].as_u64().unwrap_or(0);
        (interval["status"].as_str().expect("a status"), attempt, interval["fromRevision"].as_u64().expect("one"))
    };
    node["intervals"].as_array().expect("intervals").iter().map(interval).collect()
}

async fn looped_run(server: &TestServer) -> String {
    let id = server.create(json!({"graph": chain(&["a", "b", "c"])})).await;
    let progress = json!({"type": "setNodeStatus", "nodeId": "a", "status": "running", "progress": 0.5});
    for command in [
        json!({"type": "start"}),
        node("a", "running"),
        progress,
        node("a", "failed"),
        json!({"type": "pause"}),
        json!({"type": "resume"}),
        node("a", "running"),
        context("k", json!(1)),
        node("a", "suspended"),
        node("a", "completed"),
        node("b", "running"),
        json!({"type": "stop"}),
    ] {
        server.command(&id, command).await;
    }
    id
}

#[tokio::test]
async fn each_status_and_attempt_is_an_interval() {
    let server = TestServer::start().await;
    let id = looped_run(&server).await;
    let timeline = timeline(&server, &id, "").await;
    assert_eq!(
        of(&timeline, "a"),
        [
            ("pending", 0, 1),
            ("running", 1, 3),
            ("failed", 1, 5),
            ("running", 2, 8),
            ("suspended", 2, 10),
            ("completed", 2, 11)
        ]
    );
    assert_eq!(of(&timeline, "b"), [("pending", 0, 1), ("running", 1, 12), ("failed", 1, 13)]);
    assert_eq!(of(&timeline, "c"), [("pending", 0, 1), ("skipped", 0, 13)]);
    let own: Vec<_> =
        timeline["intervals"].as_array().expect("intervals").iter().map(|one| one["status"].clone()).collect();
    assert_eq!(own, ["pending", "running", "paused", "running", "failed"]);
    let session = server.session(&id).await;
    assert_eq!((&timeline["revision"], &timeline["sessionId"]), (&json!(13), &json!(id)));
    assert_eq!((&timeline["startAt"], &timeline["endAt"]), (&session["createdAt"], &session["completedAt"]));
    assert_eq!((&timeline["truncated"], &timeline["nodes"][0]["name"]), (&Value::Null, &json!("Node a")));
    // The times are those of the events, and each interval ends where the next begins.
    let events = server.events(&id).await;
    for node in timeline["nodes"].as_array().expect("nodes") {
        let intervals = node["intervals"].as_array().expect("intervals");
        for (interval, next) in intervals.iter().zip(intervals.iter().skip(1).map(Some).chain([None])) {
            let begun = &events[interval["fromRevision"].as_u64().expect("one") as usize - 1];
            assert_eq!(interval["from"], begun["at"]);
            assert_eq!(interval.get("to"), next.map(|next| &next["from"]));
        }
    }
}

#[tokio::test]
async fn it_can_end_at_any_revision() {
    let server = TestServer::start().await;
    let id = looped_run(&server).await;
    let half = timeline(&server, &id, "?to=9").await;
    assert_eq!(of(&half, "a"), [("pending", 0, 1), ("running", 1, 3), ("failed", 1, 5), ("running", 2, 8)]);
    assert_eq!((&half["revision"], &half["endAt"], &half["truncated"]), (&json!(9), &Value::Null, &Value::Null));
    for beyond in ["?to=0", "?to=14", "?after=14", "?after=5&to=4"] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{id}/timeline{beyond}"), None, "not_found").await;
    }
    for malformed in ["?to=x", "?limit=0", "?limit=100001", "?after=-1"] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{id}/timeline{malformed}"), None, "bad_request").await;
    }
    let nobody = "/api/v1/sessions/0198c0de-0000-7000-8000-000000000001/timeline";
    server.refused(Method::GET, nobody, None, "not_found").await;
}

#[tokio::test]
async fn pages_put_together_are_the_whole() {
    let server = TestServer::start().await;
    let id = looped_run(&server).await;
    let whole = timeline(&server, &id, "").await;
    for limit in 1..12 {
        // By node and beginning: an interval that was open at a page's end comes again.
        let mut found: BTreeMap<(String, u64), Value> = BTreeMap::new();
        let (mut after, mut pages) = (0, 0);
        loop {
            let page = timeline(&server, &id, &format!("?limit={limit}&after={after}")).await;
            let own = json!({"id": "", "intervals": page["intervals"]});
            for node in page["nodes"].as_array().expect("nodes").iter().chain([&own]) {
                for interval in node["intervals"].as_array().expect("intervals") {
                    let key = (
                        node["id"].as_str().expect("an id").to_owned(),
                        interval["fromRevision"].as_u64().expect("one"),
                    );
                    found.insert(key, interval.clone());
                }
            }
            pages += 1;
            let reached = page["revision"].as_u64().expect("a revision");
            if page["truncated"] != true {
                assert_eq!(reached, 13);
                break;
            }
            assert!(reached > after, "every page gets further");
            after = reached;
        }
        assert!(pages > 1 || limit > 10, "{pages} pages of {limit}");
        let mut expected = BTreeMap::new();
        let own = json!({"id": "", "intervals": whole["intervals"]});
        for node in whole["nodes"].as_array().expect("nodes").iter().chain([&own]) {
            for interval in node["intervals"].as_array().expect("intervals") {
                let key =
                    (node["id"].as_str().expect("an id").to_owned(), interval["fromRevision"].as_u64().expect("one"));
                expected.insert(key, interval.clone());
            }
        }
        assert_eq!(found, expected, "limit {limit}");
    }
}

#[tokio::test]
async fn a_node_without_a_graph_begins_where_it_is_first_named() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!({"type": "addMessage", "nodeId": "n", "content": "hello"})).await;
    server.command(&id, node("n", "running")).await;
    let timeline = timeline(&server, &id, "").await;
    assert_eq!(of(&timeline, "n"), [("pending", 0, 3), ("running", 1, 4)]);
    assert!(timeline["endAt"].is_null());
}

/// A page is read from the state before it, which may come from a keyframe; that must not show.
#[tokio::test]
async fn a_page_of_a_long_run_does_not_depend_on_where_its_state_came_from() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for round in 0..4 {
        let changes: Vec<Value> =
            (0..160).map(|n| node(&format!("n{}", n / 2 % 7), ["running", "completed"][n % 2])).collect();
        server.command(&id, json!(changes)).await;
        server.command(&id, json!({"type": if round % 2 == 0 { "pause" } else { "resume" }})).await;
    }
    let pool = server.database.storage().pool().clone();
    let keyframes = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM session_keyframes").fetch_one(&pool).await.expect("a number")
    };
    eventually("keyframes are stored", async || keyframes().await == 2).await;
    let pages = async || {
        let mut pages = Vec::new();
        for after in [1, 2, 162, 163, 255, 256, 257, 300, 485, 512, 600, 646] {
            pages.push(timeline(&server, &id, &format!("?after={after}")).await);
            pages.push(timeline(&server, &id, &format!("?after={after}&limit=3")).await);
        }
        pages
    };
    let from_keyframes = pages().await;
    // Keyframes of an earlier version do not say since when a node has stood in its status.
    sqlx::query("UPDATE session_keyframes SET state = (state::jsonb - 'statusSince')::json")
        .execute(&pool)
        .await
        .expect("changed");
    assert_eq!(from_keyframes, pages().await, "from the first event");
    sqlx::query("DELETE FROM session_keyframes").execute(&pool).await.expect("deleted");
    assert_eq!(from_keyframes, pages().await, "without keyframes");
}

#[tokio::test]
async fn a_fork_begins_its_own_timeline() {
    let server = TestServer::start().await;
    let id = looped_run(&server).await;
    let (status, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": 10})).await;
    assert_eq!(status, 201, "{fork}");
    let fork = fork["id"].as_str().expect("an id");
    assert_eq!(of(&timeline(&server, fork, "").await, "a"), [("suspended", 2, 1)]);
    assert_eq!(of(&timeline(&server, fork, "?after=1").await, "a"), [("suspended", 2, 1)]);
}
