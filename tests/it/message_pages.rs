//! Pages of messages from either end, and from a time on.

use relive::storage::MessageOrder;
use relive_session::{SessionId, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::fork::{fork, id_of, messages, said};
use crate::harness::{Database, TestServer};
use crate::query_plans::Reads;

/// Says `count` messages at once: all of one time.
async fn say(server: &TestServer, id: &str, what: &str, count: usize) {
    let one = |n: usize| said(if n.is_multiple_of(2) { "even" } else { "odd" }, &format!("{what} {n}"));
    server.command(id, Value::Array((0..count).map(one).collect())).await;
}

/// The third of three sessions, each forked from the one before in the middle of what was said at once.
async fn line(server: &TestServer) -> [String; 3] {
    let first = server.running_session().await;
    say(server, &first, "first", 5).await;
    say(server, &first, "first again", 3).await;
    let second = id_of(&fork(server, &first, 9).await);
    say(server, &first, "after the fork", 3).await;
    server.command(&second, json!({"type": "setContext", "key": "k", "value": 1})).await;
    say(server, &second, "second", 4).await;
    let third = id_of(&fork(server, &second, 5).await);
    say(server, &second, "after the other fork", 2).await;
    // One without a message of its own.
    let fourth = id_of(&fork(server, &third, 1).await);
    say(server, &fourth, "fourth", 3).await;
    say(server, &fourth, "fourth again", 1).await;
    [first, second, fourth]
}

fn times(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["createdAt"].as_str().expect("a time")).collect()
}

/// Every way to ask for a part of `id`'s messages agrees with cutting it out of the whole.
async fn assert_parts_are_parts(server: &TestServer, id: &str) {
    let whole = messages(server, id, "", 1000).await;
    assert!(times(&whole).is_sorted());
    let distinct: std::collections::BTreeSet<&str> = times(&whole).into_iter().collect();
    let mut moments: Vec<String> = distinct.into_iter().map(str::to_owned).collect();
    moments.extend(["2000-01-01T00:00:00.000Z".to_owned(), "9999-12-31T23:59:59.999Z".to_owned()]);
    let mut spans = vec![(None, None)];
    for moment in &moments {
        spans.extend([(Some(moment), None), (None, Some(moment))]);
        spans.extend(moments.iter().map(|until| (Some(moment), Some(until))));
    }
    for (since, until) in spans {
        for node in ["", "odd"] {
            let mut filter = if node.is_empty() { String::new() } else { format!("&nodeId={node}") };
            filter += &since.map(|since| format!("&since={since}")).unwrap_or_default();
            filter += &until.map(|until| format!("&until={until}")).unwrap_or_default();
            let is_meant = |message: &&Value| {
                let at = message["createdAt"].as_str().expect("a time");
                since.is_none_or(|since| at >= since.as_str())
                    && until.is_none_or(|until| at <= until.as_str())
                    && (node.is_empty() || message["nodeId"] == node)
            };
            let mut expected: Vec<Value> = whole.iter().filter(is_meant).cloned().collect();
            for limit in [1, 3, 1000] {
                assert_eq!(messages(server, id, &filter, limit).await, expected, "{filter} by {limit}");
            }
            expected.reverse();
            for limit in [1, 3, 1000] {
                let found = messages(server, id, &format!("{filter}&order=desc"), limit).await;
                assert_eq!(found, expected, "{filter} by {limit}, the newest first");
            }
        }
    }
}

#[tokio::test]
async fn either_order_and_any_span_of_time_agree_with_the_whole() {
    let server = TestServer::start().await;
    let [first, second, fourth] = line(&server).await;
    assert_eq!(messages(&server, &fourth, "", 1000).await.len(), 7 + 3 + 4);
    assert_parts_are_parts(&server, &first).await;
    assert_parts_are_parts(&server, &fourth).await;
    // What is left of a deleted session is read in the same ways.
    for deleted in [first, second] {
        let whole = messages(&server, &fourth, "", 1000).await;
        server.call(Method::DELETE, &format!("/api/v1/sessions/{deleted}"), None).await;
        assert_eq!(messages(&server, &fourth, "", 1000).await, whole);
        assert_parts_are_parts(&server, &fourth).await;
    }
}

#[tokio::test]
async fn what_is_said_meanwhile_does_not_disturb_pages_read_backwards() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    say(&server, &id, "before", 4).await;
    let path = format!("/api/v1/sessions/{id}/messages?order=desc&limit=2");
    let (_, newest) = server.get(&path).await;
    say(&server, &id, "meanwhile", 3).await;
    let cursor = newest["nextAfter"].as_str().expect("a cursor");
    let (_, next) = server.get(&format!("{path}&after={cursor}")).await;
    let contents: Vec<&Value> =
        [&newest, &next].iter().flat_map(|page| page["messages"].as_array().unwrap()).map(|m| &m["content"]).collect();
    assert_eq!(contents, ["before 3", "before 2", "before 1", "before 0"]);
    assert_eq!(next["nextAfter"], Value::Null);
}

#[tokio::test]
async fn a_session_without_messages_has_an_empty_page_in_any_order() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for query in ["", "&order=asc", "&order=desc", "&since=2000-01-01T00:00:00Z", "&until=9999-12-31T23:59:59Z"] {
        assert_eq!(messages(&server, &id, query, 10).await, [""; 0], "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    say(&server, &id, "first", 2).await;
    let path = format!("/api/v1/sessions/{id}/messages");
    for malformed in
        ["order=newest", "order=DESC", "order=", "until=yesterday", "since=1", "since=2026-01-01", "until=", "limit=0"]
    {
        server.refused(Method::GET, &format!("{path}?{malformed}"), None, "bad_request").await;
    }
    server.refused(Method::GET, &format!("{path}?order=desc&after=nonsense"), None, "bad_request").await;
    let missing = format!("/api/v1/sessions/{}/messages?order=desc", Uuid::now_v7());
    server.refused(Method::GET, &missing, None, "not_found").await;
    // A cursor that no page ever gave, but that looks like one, leads nowhere and harms nothing.
    for cursor in ["AAAAAAAAAAAAAAAA", "________________", "_____wAAAAAAAAAA"] {
        for order in ["asc", "desc"] {
            let (status, _) = server.get(&format!("{path}?order={order}&after={cursor}")).await;
            assert_eq!(status, 200, "{order} {cursor}");
        }
    }
}

/// A session of 50,000 messages among others, and a line of eighty forks of it.
const FILL: &str = r#"
    SET session_replication_role = replica;
    INSERT INTO session_messages (id, session_id, revision, node_id, role, content, created_at)
    SELECT gen_random_uuid(), lpad(to_hex(session), 32, '0')::uuid, n, 'n', 'agent', 'said',
        timestamptz '2026-01-01Z' + (n / 50) * interval '1 second'
    FROM generate_series(1, 3) AS session, generate_series(1, 50000) AS n;
    INSERT INTO session_lineage (session_id, depth, ancestor_id, revision)
    SELECT lpad(to_hex(99), 32, '0')::uuid, depth, lpad(to_hex(CASE depth WHEN 80 THEN 2 ELSE 1000 + depth END), 32, '0')::uuid,
        49000
    FROM generate_series(1, 80) AS depth;
    INSERT INTO session_messages (id, session_id, revision, node_id, role, content, created_at)
    SELECT gen_random_uuid(), lpad(to_hex(1000 + session), 32, '0')::uuid, n, 'n', 'agent', 'said',
        timestamptz '2027-01-01Z' - session * interval '1 hour'
    FROM generate_series(1, 79) AS session, generate_series(1, 500) AS n;
    SET session_replication_role = DEFAULT;
    ANALYZE session_messages, session_lineage;
"#;

#[tokio::test]
async fn a_page_of_a_long_session_is_read_from_its_index_at_either_end_and_from_any_time() {
    let database = Database::create().await;
    let storage = database.storage();
    sqlx::raw_sql(AssertSqlSafe(FILL)).execute(storage.pool()).await.expect("filled");
    for (session, own) in [(2, 50_000), (99, 49_000)] {
        let id = SessionId(Uuid::from_u128(session));
        for order in [MessageOrder::OldestFirst, MessageOrder::NewestFirst] {
            for second in [0, 100, 500, 990] {
                let time = Timestamp::from_millis(1_767_225_600_000 + second * 1_000).expect("a time");
                let [page, place] = storage.explain_messages(id, order, time, 100).await.expect("plans");
                for (what, plan) in [("a page", page), ("the place of a time", place)] {
                    let mut reads = Reads::default();
                    reads.add(&plan[0]["Plan"]);
                    // A page, and of each ancestor a row or two; nothing that grows with the session.
                    let is_right = reads.rows < 1_000;
                    assert!(is_right, "{what} of {own} messages, {order:?}: {reads:?}\n{plan:#}");
                }
            }
        }
    }
}
