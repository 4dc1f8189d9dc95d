//! Two runs beside each other.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, chain, node};

async fn compared(server: &TestServer, from: &str, to: &str, query: &str) -> Value {
    let (status, comparison) = server.get(&format!("/api/v1/sessions/{from}/diff?with={to}{query}")).await;
    assert_eq!(status, 200, "{comparison}");
    comparison
}

fn output(node: &str, output: Value) -> Value {
    json!({"type": "setNodeStatus", "nodeId": node, "status": "completed", "output": output})
}

fn usage(node: &str, tokens: u64, more: Value) -> Value {
    let mut command = json!({"type": "recordUsage", "nodeId": node, "inputTokens": tokens, "outputTokens": 1});
    command.as_object_mut().expect("an object").extend(more.as_object().expect("members").clone());
    command
}

/// A run whose node `a` is tried twice, and one that fails at `b`.
async fn two_runs(server: &TestServer) -> (String, String) {
    let [one, other] = [
        server.create(json!({"graph": chain(&["a", "b", "c"])})).await,
        server.create(json!({"graph": chain(&["a", "b", "d"])})).await,
    ];
    let times = |start: &str, end: &str| json!({"type": "setNodeStatus", "nodeId": "a", "status": "completed", "startedAt": start, "completedAt": end, "output": {"x": 1, "y": [2]}});
    server
        .command(
            &one,
            json!([
                {"type": "start"},
                node("a", "running"),
                node("a", "failed"),
                node("a", "running"),
                usage("a", 10, json!({"costUsd": 0.5, "model": "m"})),
                times("2026-01-01T00:00:00Z", "2026-01-01T00:00:01.250Z"),
                node("b", "running"),
                output("b", json!("one")),
                {"type": "complete"},
            ]),
        )
        .await;
    server
        .command(
            &other,
            json!([
                {"type": "start"},
                node("a", "running"),
                usage("a", 7, json!({"model": "nobody-knows"})),
                {"type": "setNodeStatus", "nodeId": "a", "status": "completed", "output": {"y": [2.0], "x": 1}},
                node("b", "running"),
                output("b", json!("other")),
                node("b", "running"),
                node("b", "failed"),
                {"type": "fail", "error": "no"},
            ]),
        )
        .await;
    (one, other)
}

#[tokio::test]
async fn two_runs_are_compared_node_by_node() {
    let server = TestServer::start().await;
    let (one, other) = two_runs(&server).await;
    let comparison = compared(&server, &one, &other, "").await;
    let (from, to) = (&comparison["from"], &comparison["to"]);
    assert_eq!((&from["sessionId"], &to["sessionId"]), (&json!(one), &json!(other)));
    assert_eq!((&from["status"], &to["status"]), (&json!("completed"), &json!("failed")));
    assert_eq!((&from["totalTokens"], &from["totalCostUsd"]), (&json!(11), &json!(0.5)));
    assert!(from["durationMs"].is_u64() && from["revision"] == 10, "{from}");

    let nodes = comparison["nodes"].as_object().expect("nodes");
    assert_eq!(nodes.keys().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let a = &nodes["a"];
    assert_eq!(
        a["from"],
        json!({"name": "Node a", "type": "task", "status": "completed", "durationMs": 1250, "attempts": 2,
               "inputTokens": 10, "outputTokens": 1, "costUsd": 0.5})
    );
    assert_eq!((&a["to"]["attempts"], &a["to"]["inputTokens"]), (&json!(1), &json!(7)));
    assert!(a["to"].get("costUsd").is_none(), "nobody's price is no price: {a}");
    assert_eq!(a["outputEqual"], true, "members have no order, and 2.0 is 2");
    assert_eq!((&nodes["b"]["outputEqual"], &nodes["b"]["to"]["status"]), (&json!(false), &json!("failed")));
    assert_eq!(nodes["b"]["from"]["costUsd"], 0.0);
    assert!(nodes["c"].get("to").is_none() && nodes["c"].get("outputEqual").is_none(), "{}", nodes["c"]);
    assert_eq!(nodes["d"]["to"]["attempts"], 0);

    // The other way round, everything is on the other side.
    let back = compared(&server, &other, &one, "").await;
    assert_eq!((&back["from"], &back["nodes"]["a"]["from"]), (to, &a["to"]));
}

#[tokio::test]
async fn earlier_states_are_compared_and_a_run_with_itself() {
    let server = TestServer::start().await;
    let (one, other) = two_runs(&server).await;
    let earlier = compared(&server, &one, &other, "&from=5&to=4").await;
    assert_eq!((&earlier["from"]["revision"], &earlier["to"]["revision"]), (&json!(5), &json!(4)));
    let a = &earlier["nodes"]["a"];
    assert_eq!((&a["from"]["attempts"], &a["from"]["inputTokens"]), (&json!(2), &json!(0)), "before its usage");
    assert_eq!((&a["from"]["costUsd"], &a["to"]["inputTokens"]), (&json!(0.0), &json!(7)));
    assert_eq!(a["outputEqual"], true, "there is none yet in both");

    let (_, fork) = server.post(&format!("/api/v1/sessions/{one}/fork"), json!({"revision": 9})).await;
    let fork = fork["id"].as_str().expect("an id");
    let with_fork = compared(&server, &one, fork, "").await;
    assert_eq!(with_fork["nodes"]["b"]["outputEqual"], true, "one from before the fork");
    assert_eq!(with_fork["nodes"]["a"]["from"], with_fork["nodes"]["a"]["to"]);

    let itself = compared(&server, &other, &other, "").await;
    for (id, node) in itself["nodes"].as_object().expect("nodes") {
        assert_eq!((&node["from"], &node["outputEqual"]), (&node["to"], &json!(true)), "{id}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_compared() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let nobody = "0198c0de-0000-7000-8000-000000000001";
    for (path, code) in [
        (format!("{id}/diff?with={nobody}"), "not_found"),
        (format!("{nobody}/diff?with={id}"), "not_found"),
        (format!("{id}/diff?with={id}&from=3"), "not_found"),
        (format!("{id}/diff?with={id}&to=0"), "not_found"),
        (format!("{id}/diff?with=x"), "bad_request"),
        (format!("{id}/diff?to=1"), "bad_request"),
    ] {
        server.refused(Method::GET, &format!("/api/v1/sessions/{path}"), None, code).await;
    }
}
