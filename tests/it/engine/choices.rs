//! Nodes that decide where the run goes.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{graph, output, review, start, start_with, until_ended, until_node};
use crate::harness::TestServer;

fn triage() -> Value {
    serde_json::from_str(include_str!("../../../examples/triage.json")).expect("a graph")
}

fn statuses(session: &Value, nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(|node| session["nodes"][node]["status"].as_str().expect("a status").to_owned()).collect()
}

#[tokio::test]
async fn the_example_goes_where_its_inputs_say() {
    let server = TestServer::start().await;
    for (inputs, ran, outputs) in [
        (json!({"kind": "question"}), ["skipped", "skipped", "skipped", "completed", "skipped"], json!("answered")),
        (json!({"kind": "?"}), ["skipped", "skipped", "skipped", "skipped", "completed"], json!("put aside")),
        (
            json!({"kind": "bug", "urgency": 3}),
            ["completed", "skipped", "completed", "skipped", "skipped"],
            json!("queued"),
        ),
    ] {
        let id = start_with(&server, json!({"graph": triage(), "inputs": inputs})).await;
        let session = until_ended(&server, &id).await;
        assert_eq!(session["status"], "completed", "{session}");
        assert_eq!(statuses(&session, &["bug", "ask", "queue", "question", "other"]), ran, "{inputs}");
        let done = output(&server, &id, "done").await;
        assert!(done.as_object().expect("outputs").values().any(|output| *output == outputs), "{done}");
    }
    // What decides needs to know what it decides by.
    let id = start_with(&server, json!({"graph": triage(), "inputs": {"kind": "bug"}})).await;
    let error = until_ended(&server, &id).await["error"].clone();
    assert!(error.as_str().is_some_and(|error| error.contains("'bug'") && error.contains("urgency")), "{error}");
}

#[tokio::test]
async fn a_decision_holds_after_a_restart_and_in_a_fork() {
    let server = TestServer::start().await;
    let inputs = json!({"kind": "bug", "urgency": 9});
    let id = start_with(&server, json!({"graph": triage(), "inputs": inputs})).await;
    until_node(&server, &id, "ask", "suspended").await;
    let session = server.session(&id).await;
    assert_eq!(
        (&session["nodes"]["sort"]["nextIds"], &session["nodes"]["bug"]["nextIds"]),
        (&json!(["bug"]), &json!(["ask"]))
    );
    assert_eq!(output(&server, &id, "bug").await, json!({"result": true, "next": "ask"}));
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    assert_eq!(review(&server, &id, "ask", "approve").await.0, 200);
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed", "{session}");
    let nodes = ["bug", "ask", "queue", "question", "other", "done"];
    assert_eq!(statuses(&session, &nodes), ["completed", "completed", "skipped", "skipped", "skipped", "completed"]);
}

#[tokio::test]
async fn a_loop_can_be_left_by_a_decision() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("count", "sequence", json!({"assign": {"context": {"n": "{{ context.n | default(0) + 1 }}"}}}), &["enough"]),
        ("enough", "if", json!({"condition": "{{ context.n >= 3 }}"}), &["out", "again"]),
        ("again", "loop", json!({"max_rounds": 9}), &["count"]),
        ("out", "end", json!({"output": "{{ context.n }}"}), &[]),
    ]);
    let id = start(&server, nodes).await;
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed", "{session}");
    assert_eq!(output(&server, &id, "out").await, 3);
    assert_eq!(session["nodes"]["enough"]["attempt"], 3);
}

#[tokio::test]
async fn a_decision_that_leads_nowhere_is_refused_when_the_graph_is_created() {
    let server = TestServer::start().await;
    let next: &[&str] = &["a"];
    for (kind, properties, next, expected) in [
        ("switch", json!({"cases": [{"when": true, "to": "b"}]}), next, "leads to 'b'"),
        ("switch", json!({"cases": [{"when": true, "to": "a"}], "default": "b"}), next, "leads to 'b'"),
        ("switch", json!({}), next, "cases"),
        ("if", json!({}), next, "condition"),
        ("if", json!({"condition": "{{"}), next, "condition"),
        ("if", json!({"condition": true}), &[], "nextIds"),
        ("if", json!({"condition": true, "onError": "continue"}), next, "onError"),
    ] {
        let nodes: &[(&str, &str, Value, &[&str])] =
            &[("s", kind, properties, next), ("a", "end", json!({}), &[])][..if next.is_empty() { 1 } else { 2 }];
        let request = json!({"graph": graph(nodes), "driver": "builtin"});
        let problem = server.refused(Method::POST, "/api/v1/sessions", Some(request), "invalid_graph").await;
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("'s'") && detail.contains(expected), "{detail}");
    }
    // Of another engine, too, a node leads only to what is next to it.
    let nodes = graph(&[("s", "x", json!({}), &["a"]), ("a", "x", json!({}), &[])]);
    let id = server.create(json!({"graph": nodes})).await;
    server.command(&id, json!({"type": "start"})).await;
    let path = format!("/api/v1/sessions/{id}/commands");
    let wrong = json!({"type": "setNodeStatus", "nodeId": "s", "status": "completed", "nextIds": ["s"]});
    server.refused(Method::POST, &path, Some(wrong), "bad_request").await;
    server.command(&id, json!({"type": "setNodeStatus", "nodeId": "s", "status": "completed", "nextIds": ["a"]})).await;
    assert_eq!(server.session(&id).await["nodes"]["s"]["nextIds"], json!(["a"]));
}
