//! `GET /sessions`: filters and pages.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, chain, node};

/// The ids a list holds, in its order, gathered page by page.
async fn ids(server: &TestServer, query: &str, limit: usize) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, page) = server.get(&format!("/api/v1/sessions?limit={limit}&{query}{cursor}")).await;
        assert_eq!(status, 200, "{query}: {page}");
        let sessions = page["sessions"].as_array().expect("sessions");
        assert!(sessions.len() <= limit);
        ids.extend(sessions.iter().map(|session| session["id"].as_str().expect("an id").to_owned()));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
        assert_eq!(sessions.len(), limit, "only the last page may be short");
    }
}

async fn assert_lists(server: &TestServer, query: &str, expected: &[&String]) {
    let found: BTreeSet<String> = ids(server, query, 2).await.into_iter().collect();
    assert_eq!(found, expected.iter().map(|id| (*id).clone()).collect(), "{query}");
}

#[tokio::test]
async fn lists_are_newest_first_and_pages_neither_leave_out_nor_repeat() {
    let server = TestServer::start().await;
    let mut made = Vec::new();
    for _ in 0..23 {
        made.push(server.new_session().await);
    }
    made.reverse();
    for limit in [1, 5, 22, 23, 24, 200] {
        assert_eq!(ids(&server, "", limit).await, made, "in pages of {limit}");
    }
    // Sessions made meanwhile are newer than the cursor.
    let (_, page) = server.get("/api/v1/sessions?limit=10").await;
    server.new_session().await;
    let cursor = page["nextCursor"].as_str().expect("a cursor");
    let (_, next) = server.get(&format!("/api/v1/sessions?limit=1&cursor={cursor}")).await;
    assert_eq!(next["sessions"][0]["id"], json!(made[10]));
}

#[tokio::test]
async fn sessions_made_in_the_same_instant_are_paged_too() {
    let server = TestServer::start().await;
    let server = &server;
    let made: BTreeSet<String> =
        futures_util::future::join_all((0..40).map(|_| server.new_session())).await.into_iter().collect();
    let listed = ids(server, "", 3).await;
    assert_eq!(listed.len(), 40);
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), made);
}

#[tokio::test]
async fn a_page_holds_50_unless_asked_otherwise() {
    let server = TestServer::start().await;
    let server = &server;
    futures_util::future::join_all((0..51).map(|_| server.new_session())).await;
    let (_, page) = server.get("/api/v1/sessions").await;
    assert_eq!(page["sessions"].as_array().map(Vec::len), Some(50));
    assert!(page["nextCursor"].is_string());
    for limit in ["0", "201", "-1", "4294967296", "99999999999999999999", "x", ""] {
        server.refused(Method::GET, &format!("/api/v1/sessions?limit={limit}"), None, "bad_request").await;
    }
}

#[tokio::test]
async fn filters_by_what_a_session_belongs_to_and_how_it_stands() {
    let server = TestServer::start().await;
    let (_, group) = server.post("/api/v1/groups", json!({"name": "g"})).await;
    let workflow = json!({"name": "w", "graph": chain(&["a", "b"])});
    let (_, workflow) = server.post("/api/v1/workflows", workflow).await;
    let (group, workflow) = (group["id"].as_str().expect("an id"), workflow["id"].as_str().expect("an id"));
    let pending = server.create(json!({"groupId": group})).await;
    let running = server.create(json!({"groupId": group, "workflowId": workflow})).await;
    let paused = server.create(json!({"workflowId": workflow})).await;
    let failed = server.running_session().await;
    let completed = server.running_session().await;
    let cancelled = server.new_session().await;
    server.command(&running, json!([{"type": "start"}, node("a", "running")])).await;
    server.command(&paused, json!([{"type": "start"}, node("a", "completed"), {"type": "pause"}])).await;
    server.command(&failed, json!([node("a", "running"), {"type": "fail", "error": "no"}])).await;
    server.command(&completed, json!({"type": "complete"})).await;
    server.command(&cancelled, json!({"type": "cancel"})).await;
    for (query, expected) in [
        (format!("groupId={group}"), &[&pending, &running][..]),
        (format!("workflowId={workflow}"), &[&running, &paused]),
        (format!("workflowId={workflow}&groupId={group}"), &[&running]),
        (format!("groupId={workflow}"), &[]),
        ("status=pending".into(), &[&pending]),
        ("status=running,paused".into(), &[&running, &paused]),
        ("status=failed,completed,cancelled".into(), &[&failed, &completed, &cancelled]),
        (format!("status=running&groupId={group}"), &[&running]),
        ("nodeId=a&nodeStatus=running".into(), &[&running]),
        ("nodeId=a&nodeStatus=completed".into(), &[&paused]),
        ("nodeId=a&nodeStatus=failed".into(), &[&failed]),
        ("nodeId=b&nodeStatus=pending".into(), &[&running, &paused]),
        ("nodeId=c&nodeStatus=pending".into(), &[]),
        (String::new(), &[&pending, &running, &paused, &failed, &completed, &cancelled]),
    ] {
        assert_lists(&server, &query, expected).await;
    }
}

/// Creates a session in each later millisecond, so that times tell them apart.
async fn make_apart(server: &TestServer) -> Vec<String> {
    let mut made: Vec<(String, Value)> = Vec::new();
    while made.len() < 4 {
        let id = server.running_session().await;
        server.command(&id, json!({"type": "complete"})).await;
        let session = server.session(&id).await;
        let is_later = made.last().is_none_or(|(_, last)| session["startedAt"].as_str() > last["completedAt"].as_str());
        if is_later {
            made.push((id, session));
        } else {
            server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
        }
    }
    made.into_iter().map(|(id, _)| id).collect()
}

#[tokio::test]
async fn filters_by_time_leave_out_the_time_itself() {
    let server = TestServer::start().await;
    let made = make_apart(&server).await;
    let pending = server.new_session().await;
    let second = server.session(&made[1]).await;
    let [started, ended] = ["startedAt", "completedAt"].map(|field| second[field].as_str().expect("a time"));
    let updated = second["updatedAt"].as_str().expect("a time");
    for (query, expected) in [
        (format!("startedAfter={started}"), &[&made[2], &made[3]][..]),
        (format!("startedBefore={started}"), &[&made[0]]),
        (format!("endedAfter={ended}"), &[&made[2], &made[3]]),
        (format!("endedBefore={ended}"), &[&made[0]]),
        (format!("updatedAfter={updated}"), &[&made[2], &made[3], &pending]),
        (format!("startedAfter={started}&endedBefore={ended}"), &[]),
        ("startedAfter=1970-01-01T00:00:00Z".into(), &[&made[0], &made[1], &made[2], &made[3]]),
        (
            "startedBefore=9999-12-31T23:59:59.999Z&endedAfter=0001-01-01T00:00:00%2B02:00".into(),
            &[&made[0], &made[1], &made[2], &made[3]],
        ),
    ] {
        assert_lists(&server, &query, expected).await;
    }
}

#[tokio::test]
async fn filters_that_cannot_be_understood_are_refused() {
    let server = TestServer::start().await;
    for query in [
        "status=odd",
        "status=",
        "status=running,",
        "status=%00",
        "groupId=x",
        "workflowId=%00",
        "nodeId=a",
        "nodeStatus=running",
        "nodeId=a&nodeStatus=odd",
        "nodeId=%00&nodeStatus=running",
        "startedAfter=noon",
        "startedBefore=2026-13-01T00:00:00Z",
        "endedAfter=1",
        "endedBefore=",
        "updatedAfter=%FF",
        "cursor=x",
        "cursor=%00",
        "cursor=AAAA",
        "limit=1&limit=2",
    ] {
        server.refused(Method::GET, &format!("/api/v1/sessions?{query}"), None, "bad_request").await;
    }
    // A cursor of the right shape that no server ever gave.
    for byte in ["_", "A", "f", "g", "I"] {
        let forged = byte.repeat(32);
        let (status, body) = server.get(&format!("/api/v1/sessions?cursor={forged}")).await;
        assert!(status == 200 || status == 400, "{forged}: {status} {body}");
        crate::harness::assert_no_internals(&body.to_string());
    }
}

#[tokio::test]
async fn a_summary_carries_what_a_list_shows() {
    let server = TestServer::start().await;
    let workflow = json!({"name": "Review", "graph": chain(&["a", "b", "c"])});
    let (_, workflow) = server.post("/api/v1/workflows", workflow).await;
    let id = server.create(json!({"workflowId": workflow["id"]})).await;
    let usage = json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 7, "outputTokens": 5, "costUsd": 0.125});
    server.command(&id, json!([{"type": "start"}, node("a", "running"), usage, {"type": "fail", "error": "no"}])).await;
    let (_, page) = server.get("/api/v1/sessions").await;
    let (summary, session) = (&page["sessions"][0], server.session(&id).await);
    for field in
        ["id", "status", "revision", "createdAt", "updatedAt", "startedAt", "completedAt", "error", "totalTokens"]
    {
        assert_eq!((&summary[field], summary[field].is_null()), (&session[field], false), "{field}");
    }
    assert_eq!((&summary["workflowName"], &summary["totalCostUsd"]), (&json!("Review"), &json!(0.125)));
    let counts = json!({"pending": 0, "running": 0, "completed": 0, "failed": 1, "skipped": 2, "suspended": 0});
    assert_eq!(summary["nodeCounts"], counts);
    assert!(summary.get("nodes").is_none() && summary.get("contextData").is_none());
}

#[tokio::test]
async fn a_text_finds_the_name_of_the_workflow_the_error_or_the_beginning_of_the_id() {
    let server = TestServer::start().await;
    let workflow = async |name: &str| {
        let body = json!({"name": name, "graph": chain(&["a"])});
        server.post("/api/v1/workflows", body).await.1["id"].as_str().expect("an id").to_owned()
    };
    let (nightly, odd) = (workflow("Nightly Räumung 100%_").await, workflow("night\\ly").await);
    let first = server.create(json!({"workflowId": nightly})).await;
    // Renamed, its sessions keep the name they were made under.
    let body = json!({"name": "Deploy", "graph": chain(&["a"])});
    let (status, _) = server.call(Method::PUT, &format!("/api/v1/workflows/{nightly}"), Some(body)).await;
    assert_eq!(status, 200);
    let second = server.create(json!({"workflowId": nightly})).await;
    let third = server.create(json!({"workflowId": odd})).await;
    let failed = server.running_session().await;
    server.command(&failed, json!({"type": "fail", "error": "Connection refused by 10.0.0.7"})).await;
    let mut inline = chain(&["a"]);
    inline["name"] = json!("Hourly Sync");
    let inline = server.create(json!({"graph": inline})).await;
    let own = "aBCdef01-0000-4000-8000-00000000ab10";
    let other = server.create(json!({"id": own})).await;
    for (text, expected) in [
        ("NIGHTLY", &[&first][..]),
        ("night", &[&first, &third]),
        ("rÄUM", &[&first]),
        ("100%25_", &[&first]),
        ("100%25%25", &[]),
        ("%25", &[&first]),
        ("_", &[&first]),
        ("deploy", &[&second]),
        ("t%5Cly", &[&third]),
        ("hourly s", &[&inline]),
        ("refused BY", &[&failed]),
        ("10.0.0.7", &[&failed]),
        ("abcDEF01", &[&other]),
        ("abcdef01-0000-4", &[&other]),
        (own, &[&other]),
        ("bcdef01", &[]),
        ("abcdef010000", &[]),
        ("night&status=failed", &[]),
        ("refused&status=failed,completed", &[&failed]),
        ("i' OR true --", &[]),
        ("%F0%9F%A6%80", &[]),
    ] {
        assert_lists(&server, &format!("text={text}"), expected).await;
    }
    let in_workflow = format!("text=n&workflowId={nightly}");
    assert_lists(&server, &in_workflow, &[&first]).await;
    assert_lists(&server, &format!("text=hourly&workflowId={nightly}"), &[]).await;
    let longest = "%E8%8C%B6".repeat(200);
    assert_lists(&server, &format!("text={longest}"), &[]).await;
    for text in ["", "%00", "a%00b", &format!("{longest}x")] {
        server.refused(Method::GET, &format!("/api/v1/sessions?text={text}"), None, "bad_request").await;
    }
}

#[tokio::test]
async fn pages_of_what_has_several_indexes_neither_leave_out_nor_repeat() {
    let server = TestServer::start().await;
    let workflow = json!({"name": "fail often", "graph": chain(&["a"])});
    let (_, workflow) = server.post("/api/v1/workflows", workflow).await;
    let mut made = Vec::new();
    for n in 0..9 {
        let id = server.create(json!({"workflowId": workflow["id"]})).await;
        if n % 3 > 0 {
            let end =
                if n % 3 == 1 { json!({"type": "fail", "error": "it fails"}) } else { json!({"type": "complete"}) };
            server.command(&id, json!([{"type": "start"}, end])).await;
        }
        made.push(id);
    }
    made.reverse();
    for limit in [1, 2, 4, 9] {
        // Found by name and, some of them, by error too.
        assert_eq!(ids(&server, "text=fail", limit).await, made, "in pages of {limit}");
        assert_eq!(ids(&server, "status=failed,completed,pending,failed", limit).await, made, "in pages of {limit}");
        let ended = ids(&server, "endedBefore=9999-01-01T00:00:00Z", limit).await;
        let expected: Vec<_> =
            made.iter().enumerate().filter(|(n, _)| (8 - n) % 3 > 0).map(|(_, id)| id.clone()).collect();
        assert_eq!(ended, expected, "in pages of {limit}");
    }
}

/// A fork has the times of the run it was made from: it started before it was created.
#[tokio::test]
async fn what_started_before_it_was_created_is_found_by_when_it_started() {
    let server = TestServer::start().await;
    let fork = server.running_session().await;
    let other = server.running_session().await;
    let database = server.database.storage();
    sqlx::query("UPDATE sessions SET parent_id = $1::uuid, started_at = '2020-01-01' WHERE id = $2::uuid")
        .bind(&other)
        .bind(&fork)
        .execute(database.pool())
        .await
        .expect("a fork");
    assert_lists(&server, "startedBefore=2020-01-02T00:00:00Z", &[&fork]).await;
    assert_lists(&server, "startedBefore=9999-01-01T00:00:00Z", &[&fork, &other]).await;
}

#[tokio::test]
async fn a_list_is_counted_by_its_filters_and_no_further_than_is_said() {
    let server = TestServer::start().await;
    for _ in 0..7 {
        server.new_session().await;
    }
    let running = server.new_session().await;
    server.command(&running, json!({"type": "start"})).await;
    for (query, count) in [("", 8), ("status=pending", 7), ("status=running,paused&limit=1", 1), ("text=nowhere", 0)] {
        let (status, answer) = server.get(&format!("/api/v1/sessions/count?{query}")).await;
        assert_eq!((status.as_u16(), answer), (200, json!({"count": count, "hasMore": false})), "{query}");
    }
    let (status, problem) = server.get("/api/v1/sessions/count?status=asleep").await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (400, Some("bad_request")), "{problem}");

    // Rows without triggers: what is counted has to be more than one by one can be created in a moment.
    let many = "SET session_replication_role = replica;
        INSERT INTO sessions (id, status, driver, node_statuses, revision, created_at, updated_at, updated_about)
        SELECT gen_random_uuid(), 'pending', 'external', '{}', 1, now(), now(), now() FROM generate_series(1, 10000);";
    sqlx::raw_sql(many).execute(server.database.storage().pool()).await.expect("rows");
    let (_, answer) = server.get("/api/v1/sessions/count?status=pending").await;
    assert_eq!(answer, json!({"count": 10_000, "hasMore": true}));
}
