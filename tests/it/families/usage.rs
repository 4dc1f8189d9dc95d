//! The usage of a family.

use serde_json::{Value, json};

use super::{child, delete};
use crate::harness::TestServer;

fn used(node: &str, model: &str, tokens: u64, cost: Option<f64>) -> Value {
    let mut command = json!({"type": "recordUsage", "nodeId": node, "model": model, "agentId": "a",
        "inputTokens": tokens, "outputTokens": 1});
    if let Some(cost) = cost {
        command["costUsd"] = json!(cost);
    }
    command
}

async fn report(server: &TestServer, id: &str, query: &str) -> Value {
    let (status, report) = server.get(&format!("/api/v1/sessions/{id}/usage{query}")).await;
    assert_eq!(status, 200, "{report}");
    report
}

#[tokio::test]
async fn a_family_is_added_up() {
    let server = TestServer::start().await;
    let root = server.running_session().await;
    let nothing = json!({"calls": 0, "inputTokens": 0, "outputTokens": 0, "costUsd": 0.0});
    let empty = report(&server, &root, "?descendants=true").await;
    assert_eq!(empty, json!({"total": nothing, "byNode": {}, "byAgent": {}, "byModel": {}, "sessions": 1}));

    let id = child(&server, &root).await;
    let grandchild = child(&server, &id).await;
    let stranger = server.running_session().await;
    for (session, usage) in [
        (&root, used("n", "m", 10, Some(1.0))),
        (&id, used("n", "m", 20, Some(0.5))),
        (&id, used("o", "free", 5, None)),
        (&grandchild, used("p", "m", 7, Some(0.25))),
        (&stranger, used("n", "m", 1_000, Some(9.0))),
    ] {
        if *session != root && *session != stranger {
            let (_, _) = server.post(&format!("/api/v1/sessions/{session}/control"), json!({"action": "start"})).await;
        }
        server.command(session, usage).await;
    }
    let sum = |calls: u64, input: u64, cost: Option<f64>| {
        let mut usage = json!({"calls": calls, "inputTokens": input, "outputTokens": calls});
        if let Some(cost) = cost {
            usage["costUsd"] = json!(cost);
        }
        usage
    };
    let whole = report(&server, &root, "?descendants=true").await;
    let expected = json!({
        "total": sum(4, 42, Some(1.75)),
        "byNode": {"n": sum(2, 30, Some(1.5)), "o": sum(1, 5, None), "p": sum(1, 7, Some(0.25))},
        "byAgent": {"a": sum(4, 42, Some(1.75))},
        "byModel": {"m": sum(3, 37, Some(1.75)), "free": sum(1, 5, None)},
        "sessions": 3,
    });
    assert_eq!(whole, expected);
    assert_eq!(report(&server, &root, "?descendants=false").await["total"], sum(1, 10, Some(1.0)));
    assert_eq!(report(&server, &root, "").await.get("sessions"), None);
    assert_eq!(report(&server, &id, "?descendants=true").await["total"], sum(3, 32, Some(0.75)));
    delete(&server, &id).await;
    assert_eq!(report(&server, &root, "?descendants=true").await["total"], sum(1, 10, Some(1.0)));
}

#[tokio::test]
async fn a_large_family_is_added_up_as_far_as_the_limit() {
    let server = TestServer::start().await;
    let root = server.running_session().await;
    let fill = format!(
        "INSERT INTO sessions (id, status, driver, revision, created_at, updated_at, parent_session_id)
             SELECT gen_random_uuid(), 'running', 'external', 1, now(), now(), '{root}' FROM generate_series(1, 10001);
         INSERT INTO session_usage (session_id, node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd)
             SELECT id, 'n' || row_number() OVER (), '', 'm', 1, 2, 3, 0 FROM sessions WHERE parent_session_id IS NOT NULL"
    );
    let storage = server.database.storage();
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(storage.pool()).await.expect("children");
    let report = report(&server, &root, "?descendants=true").await;
    assert_eq!((&report["sessions"], &report["truncated"]), (&json!(10_001), &json!(true)));
    let nodes = report["byNode"].as_object().map(serde_json::Map::len);
    assert!(nodes.is_some_and(|nodes| nodes < 10_000), "{nodes:?}");
    assert!(report["total"]["calls"].as_u64().is_some_and(|calls| calls >= 10_000));
    assert_eq!(report["byModel"]["m"].get("costUsd"), None);
}
