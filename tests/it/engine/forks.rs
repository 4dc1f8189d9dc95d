//! A fork of a run is taken up by the engine from where it stands, with what its parent put out.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::support::{graph, output, review, start_with, until_ended, until_node};
use crate::harness::TestServer;

#[tokio::test]
async fn a_fork_goes_its_own_way_and_outlives_its_parent() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("draft", "sequence", json!({"output": {"text": "{{proposal}}, then"}}), &["review"]),
        ("review", "human_review", json!({}), &["end"]),
        ("end", "end", json!({"output": "{{nodes.draft.output.text}} go"}), &[]),
    ]);
    let parent = start_with(&server, json!({"graph": nodes, "proposal": "Wait"})).await;
    until_node(&server, &parent, "review", "suspended").await;
    let revision = server.session(&parent).await["revision"].clone();
    let fork = async || {
        let path = format!("/api/v1/sessions/{parent}/fork");
        let (status, fork) = server.post(&path, json!({"revision": revision, "start": true})).await;
        assert_eq!(status, StatusCode::CREATED, "{fork}");
        fork["id"].as_str().expect("an id").to_owned()
    };
    let (first, second) = (fork().await, fork().await);
    review(&server, &first, "review", "approve").await;
    let ended = until_ended(&server, &first).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(output(&server, &first, "end").await, "Wait, then go");
    assert_eq!(server.session(&parent).await["revision"], revision, "the parent still waits");

    assert_eq!(
        server.call(Method::DELETE, &format!("/api/v1/sessions/{parent}"), None).await.0,
        StatusCode::NO_CONTENT
    );
    review(&server, &second, "review", "approve").await;
    let ended = until_ended(&server, &second).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert_eq!(output(&server, &second, "end").await, "Wait, then go");
}

#[tokio::test]
async fn a_run_can_be_taken_up_again_from_before_it_failed() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("a", "sequence", json!({"output": "kept"}), &["wait"]),
        ("wait", "delay", json!({"seconds": 0.01}), &["b"]),
        ("b", "end", json!({"output": "{{nodes.a.output}} {{context.missing}}"}), &[]),
    ]);
    let parent = start_with(&server, json!({"graph": nodes})).await;
    assert_eq!(until_ended(&server, &parent).await["status"], "failed");
    let events = server.events(&parent).await;
    let running =
        events.iter().find(|e| e["event"]["nodeId"] == "b" && e["event"]["status"] == "running").expect("b ran");
    let before = running["revision"].as_u64().expect("a revision") - 1;
    let (_, fork) = server.post(&format!("/api/v1/sessions/{parent}/fork"), json!({"revision": before})).await;
    let fork = fork["id"].as_str().expect("an id");
    // Given what was missing in time or not, the fork meets the same graph and says which node it is.
    let ended = until_ended(&server, fork).await;
    assert!(ended["error"].as_str().is_some_and(|error| error.contains("'b'")), "{ended}");
    assert_eq!(output(&server, fork, "a").await, "kept");
}
