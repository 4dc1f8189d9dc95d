//! Many sessions at once, and one large graph.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::support::{graph, start};
use crate::harness::TestServer;

/// Whoever else uses the machine must not make this fail.
const DEADLINE: Duration = Duration::from_secs(180);

async fn until(server: &TestServer, sql: &'static str, expected: i64) {
    let storage = server.database.storage();
    let waiting = async {
        loop {
            let count: i64 = sqlx::query_scalar(sql).fetch_one(storage.pool()).await.expect("a count");
            if count == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waiting).await.is_ok(), "never {expected}: {sql}");
}

#[tokio::test]
async fn a_thousand_sessions_run_at_once() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("s", "start", json!({}), &["a", "b"]),
        ("a", "delay", json!({"seconds": 1}), &["j"]),
        ("b", "sequence", json!({"output": {"vote": "yes"}}), &["j"]),
        ("j", "vote", json!({}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let ids: Vec<String> =
        stream::iter(0..1_000).map(|_| start(&server, nodes.clone())).buffer_unordered(32).collect().await;
    assert_eq!(ids.len(), 1_000);
    until(&server, "SELECT count(*) FROM sessions WHERE status = 'completed'", 1_000).await;
    until(&server, "SELECT count(*) FROM session_leases", 0).await;
}

#[tokio::test]
async fn a_graph_of_five_thousand_nodes_runs() {
    const NODES: usize = 5_000;
    // A start, many branches side by side of ten nodes each, and an end.
    let id = |index: usize| format!("n{index:04}");
    let mut nodes = Map::new();
    let firsts: Vec<String> = (1..NODES - 1).step_by(10).map(id).collect();
    let node = |id: &str, next: Value| json!({"id": id, "type": "sequence", "name": id, "nextIds": next});
    nodes.insert(id(0), node(&id(0), json!(firsts)));
    for index in 1..NODES - 1 {
        let is_last = index % 10 == 0 || index == NODES - 2;
        let next = if is_last { id(NODES - 1) } else { id(index + 1) };
        nodes.insert(id(index), node(&id(index), json!([next])));
    }
    nodes.insert(id(NODES - 1), node(&id(NODES - 1), json!([])));
    let server = TestServer::start().await;
    start(&server, json!({"name": "large", "startNodeId": id(0), "nodes": nodes})).await;
    until(&server, "SELECT count(*) FROM sessions WHERE status = 'completed'", 1).await;
    until(&server, "SELECT (node_counts->>'completed')::bigint FROM sessions", NODES as i64).await;
}
