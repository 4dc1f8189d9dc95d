//! What changed between two revisions, as a merge patch.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{TestServer, chain, context, merge, node};

async fn diff(server: &TestServer, id: &str, query: &str) -> (Value, bool) {
    let path = format!("/api/v1/sessions/{id}/diff?{query}");
    let response = server.request(Method::GET, &path).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "application/merge-patch+json");
    let is_exact = headers["x-patch-exact"].to_str().expect("a text") == "true";
    (response.json().await.expect("JSON"), is_exact)
}

#[tokio::test]
async fn a_patch_leads_from_any_revision_to_any_other() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": chain(&["a", "b"])})).await;
    for command in [
        json!({"type": "start"}),
        node("a", "running"),
        context("k", json!({"n": 1, "deep": {"x": [1, null]}})),
        context("k", json!({"n": 2})),
        json!({"type": "recordUsage", "nodeId": "a", "inputTokens": 3, "outputTokens": 4, "costUsd": 0.25}),
        node("a", "completed"),
        node("b", "failed"),
        context("k", Value::Null),
        json!({"type": "fail", "error": "no"}),
    ] {
        server.command(&id, command).await;
    }
    let mut states = Vec::new();
    for revision in 1..=10 {
        states.push(server.session(&format!("{id}?revision={revision}")).await);
    }
    for (from, base) in (1..).zip(&states) {
        for (to, head) in (1..).zip(&states) {
            let (patch, is_exact) = diff(&server, &id, &format!("from={from}&to={to}")).await;
            assert_eq!((&merge(base.clone(), &patch), is_exact), (head, true), "{from} to {to}: {patch}");
            assert_eq!(patch == json!({}), from == to);
        }
        let (patch, _) = diff(&server, &id, &format!("from={from}")).await;
        assert_eq!(&merge(base.clone(), &patch), states.last().expect("states"));
    }
    let (patch, _) = diff(&server, &id, "from=3&to=4").await;
    assert_eq!(patch["contextData"], json!({"k": {"n": 1, "deep": {"x": [1, null]}}}));
    assert!(patch.get("nodes").is_none(), "what did not change is not said: {patch}");
}

#[tokio::test]
async fn a_null_in_the_context_is_left_out_and_said_to_be() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, context("k", json!({"a": 1, "b": {"c": 2}}))).await;
    server
        .command(&id, json!([context("k", json!({"a": null, "b": {"c": null, "d": 1}})), node("n", "running")]))
        .await;
    let (patch, is_exact) = diff(&server, &id, "from=3&to=4").await;
    assert!(!is_exact);
    let patched = merge(server.session(&format!("{id}?revision=3")).await, &patch);
    assert_eq!(patched["contextData"]["k"], json!({"b": {"d": 1}}));
    // Everything else is as it should be, and what follows on it is exact again.
    let mut expected = server.session(&format!("{id}?revision=4")).await;
    expected["contextData"] = patched["contextData"].clone();
    assert_eq!(patched, expected);
    assert!(diff(&server, &id, "from=4&to=5").await.1);
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_compared() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/diff");
    for beyond in ["from=0", "from=3", "from=1&to=3", "from=1&to=0", "from=18446744073709551615&to=1"] {
        server.refused(Method::GET, &format!("{path}?{beyond}"), None, "not_found").await;
    }
    for malformed in ["", "to=1", "from=x", "from=-1", "from=1&to=1.5"] {
        server.refused(Method::GET, &format!("{path}?{malformed}"), None, "bad_request").await;
    }
    let nobody = "/api/v1/sessions/0198c0de-0000-7000-8000-000000000001/diff?from=1";
    server.refused(Method::GET, nobody, None, "not_found").await;
}
