//! Memories listed by time, without a search.

use relive::storage::{MemoryScope, Storage, TimeOrder};
use relive_session::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::contents;
use crate::harness::{Database, TestServer};
use crate::query_plans::Reads;

/// The contents of all pages.
async fn listed(server: &TestServer, query: &str) -> Vec<String> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = server.get(&format!("/api/v1/memories?limit=2{query}{after}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert_eq!(page.get("method"), None, "nothing is compared");
        all.extend(contents(&page).into_iter().map(str::to_owned));
        match page["nextAfter"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return all,
        }
    }
}

#[tokio::test]
async fn memories_are_listed_newest_first_by_group_and_agent_and_by_pages() {
    let server = TestServer::start().await;
    let (group, other) = (server.new_group().await, server.new_group().await);
    let session = server.create(json!({"groupId": group})).await;
    let requests = [
        json!({"content": "a", "groupId": group, "agentId": "ada"}),
        json!({"content": "b", "agentId": "ada"}),
        json!({"content": "c", "sessionId": session}),
        json!({"content": "d", "groupId": other, "agentId": "bob"}),
        json!({"content": "e", "groupId": group, "agentId": "ada"}),
    ];
    for request in requests {
        server.remember(request).await;
    }
    assert_eq!(listed(&server, "").await, ["e", "d", "c", "b", "a"]);
    assert_eq!(listed(&server, &format!("&groupId={group}")).await, ["e", "c", "a"]);
    assert_eq!(listed(&server, "&agentId=ada").await, ["e", "b", "a"]);
    assert_eq!(listed(&server, &format!("&groupId={other}&agentId=ada")).await, [""; 0]);

    let (status, problem) = server.get(&format!("/api/v1/memories?groupId={}", Uuid::now_v7())).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    for query in ["limit=0", "limit=1001", "after=x", "agentId=%00", "groupId=1"] {
        let (status, problem) = server.get(&format!("/api/v1/memories?{query}")).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{query}");
    }
}

/// Memories of two groups and two agents: one of each has a memory in a thousand.
const FILL: &str = "
    INSERT INTO groups (id, name, created_at, updated_at) SELECT id(n), 'group', now(), now() FROM generate_series(1, 2) AS n;
    INSERT INTO memories (id, group_id, agent_id, content, created_at)
    SELECT gen_random_uuid(), id(CASE WHEN n % 1000 = 0 THEN 2 ELSE 1 END), CASE WHEN n % 1000 = 1 THEN 'rare' ELSE 'often' END,
        'text', timestamptz '2025-01-01Z' + n * interval '1 second'
    FROM generate_series(1, 50000) AS n;
    ANALYZE memories;";

async fn reads(storage: &Storage, scope: MemoryScope, order: TimeOrder) -> (u64, Value) {
    let plan = storage.explain_memories(&scope, order, None, 20).await.expect("a plan");
    let mut reads = Reads::default();
    reads.add(&plan[0]["Plan"]);
    assert!(reads.whole_tables.is_empty(), "{plan:#}");
    (reads.rows, plan)
}

#[tokio::test]
async fn a_page_of_memories_reads_little_more_than_the_page() {
    let database = Database::create().await;
    let storage = database.storage();
    let id = "CREATE FUNCTION id(n int) RETURNS uuid IMMUTABLE RETURN lpad(to_hex(n), 32, '0')::uuid;";
    for sql in [id, FILL] {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(storage.pool()).await.expect(sql);
    }
    let group = |n| Some(Uuid::from_u128(n));
    let agent = |name: &str| Some(name.to_owned());
    let scope = |group_id, agent_id| MemoryScope { group_id, agent_id, ..MemoryScope::default() };
    let scopes = [
        scope(None, None),
        scope(group(1), None),
        scope(group(2), None),
        scope(None, agent("rare")),
        scope(None, agent("often")),
        scope(group(1), agent("often")),
        scope(group(1), agent("rare")),
    ];
    for asked in scopes {
        let (rows, plan) = reads(&storage, asked.clone(), TimeOrder::NewestFirst).await;
        assert!(rows <= 100, "{asked:?} reads {rows} rows: {plan:#}");
    }
    let newest =
        storage.memories_by_time(&scope(group(2), None), TimeOrder::NewestFirst, None, 1).await.expect("a page");
    let at = "2025-01-01T13:53:20Z".parse::<Timestamp>().expect("a time");
    assert_eq!(newest.items.first().map(|memory| memory.created_at), Some(at));
}
