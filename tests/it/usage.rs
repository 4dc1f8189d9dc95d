//! What a run costs.

use serde_json::{Value, json};

use crate::harness::TestServer;

fn usage(node: &str, more: Value) -> Value {
    let mut command = json!({"type": "recordUsage", "nodeId": node, "inputTokens": 1000, "outputTokens": 100});
    for (key, value) in more.as_object().into_iter().flatten() {
        command[key] = value.clone();
    }
    command
}

#[tokio::test]
async fn usage_adds_up_by_node_agent_and_model() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, usage("a", json!({"model": "gpt-4o-mini"}))).await;
    server
        .command(
            &id,
            json!([
                usage("a", json!({"model": "gpt-4o-mini", "agentId": "ada"})),
                usage("b", json!({"costUsd": 0.1})),
                usage("b", json!({"costUsd": 0.2})),
                usage("b", json!({"model": "nobody-knows"})),
            ]),
        )
        .await;
    let (_, session) = server.get(&format!("/api/v1/sessions/{id}")).await;
    assert_eq!((&session["totalTokens"], &session["totalCostUsd"]), (&json!(5_500), &json!(0.30042)));
    assert_eq!(session["nodes"]["b"]["tokenUsage"], json!({"inputTokens": 3000, "outputTokens": 300}));
    let (_, report) = server.get(&format!("/api/v1/sessions/{id}/usage")).await;
    let of = |calls: u64, cost: f64| json!({"calls": calls, "inputTokens": calls * 1000, "outputTokens": calls * 100, "costUsd": cost});
    assert_eq!(report["total"], of(5, 0.30042));
    assert_eq!(report["byNode"], json!({"a": of(2, 0.00042), "b": of(3, 0.3)}));
    assert_eq!(report["byAgent"], json!({"ada": of(1, 0.00021)}));
    assert_eq!(
        report["byModel"],
        json!({"gpt-4o-mini": of(2, 0.00042), "nobody-knows": {"calls": 1, "inputTokens": 1000, "outputTokens": 100}})
    );
    // Nobody's price is no price: neither here nor in the history.
    let history = server.events(&id).await;
    assert_eq!(history[2]["event"]["costUsd"], json!(0.00021));
    assert!(history[6]["event"].get("costUsd").is_none(), "{}", history[6]);
}

#[tokio::test]
async fn cached_and_reasoning_tokens_are_kept() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, usage("a", json!({"cachedInputTokens": 900, "reasoningTokens": 100}))).await;
    let event = server.events(&id).await[2]["event"].clone();
    assert_eq!((&event["cachedInputTokens"], &event["reasoningTokens"]), (&json!(900), &json!(100)));
    assert_eq!(server.session(&id).await["totalTokens"], 1_100);
    for too_many in [json!({"cachedInputTokens": 1e13}), json!({"reasoningTokens": -1})] {
        let path = format!("/api/v1/sessions/{id}/commands");
        server.refused(reqwest::Method::POST, &path, Some(usage("a", too_many)), "bad_request").await;
    }
}

#[tokio::test]
async fn money_does_not_drift() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let tenth = usage("a", json!({"costUsd": 0.1}));
    for _ in 0..3 {
        server.command(&id, Value::Array(vec![tenth.clone(); 1_000])).await;
    }
    let (_, session) = server.get(&format!("/api/v1/sessions/{id}")).await;
    assert_eq!(session["totalCostUsd"], json!(300.0));
    let (_, report) = server.get(&format!("/api/v1/sessions/{id}/usage")).await;
    assert_eq!(report["total"]["costUsd"], json!(300.0));
    let (_, list) = server.get("/api/v1/sessions").await;
    assert_eq!(list["sessions"][0]["totalCostUsd"], json!(300.0));
}

#[tokio::test]
async fn a_table_of_prices_can_be_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("prices.json");
    std::fs::write(&file, json!({"models": {"mine": {"input": 1, "output": 2}}}).to_string()).expect("a file");
    let server = TestServer::start_with(|config| config.model_prices = Some(file)).await;
    let id = server.running_session().await;
    server.command(&id, usage("a", json!({"model": "mine"}))).await;
    let (_, session) = server.get(&format!("/api/v1/sessions/{id}")).await;
    assert_eq!(session["totalCostUsd"], json!(0.0012));
}

#[tokio::test]
async fn prices_that_make_no_sense_are_refused() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for wrong in
        [json!({"costUsd": -1}), json!({"costUsd": 1e12}), json!({"inputTokens": -1}), json!({"inputTokens": 1e30})]
    {
        let (status, problem) =
            server.post(&format!("/api/v1/sessions/{id}/commands"), usage("a", wrong.clone())).await;
        assert_eq!((status.as_u16(), &problem["code"]), (400, &json!("bad_request")), "{wrong}");
    }
}
