//! A fork of a run is taken up by the engine from where it stands, with what its parent put out.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::support::{graph, output, review, start, start_with, story, until_ended, until_node};
use crate::archive::import;
use crate::harness::{TestServer, answer};

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
    assert_eq!(fork["status"], "paused", "it waits: {fork}");
    let fork = fork["id"].as_str().expect("an id");
    server.command(fork, json!({"type": "resume"})).await;
    // Given what was missing in time or not, the fork meets the same graph and says which node it is.
    let ended = until_ended(&server, fork).await;
    assert!(ended["error"].as_str().is_some_and(|error| error.contains("'b'")), "{ended}");
    assert_eq!(output(&server, fork, "a").await, "kept");
}

/// A run that takes a while, and then leaves a trace.
fn slow() -> Value {
    graph(&[
        ("d", "delay", json!({"seconds": 0.4}), &["r"]),
        ("r", "human_review", json!({"timeoutSeconds": 3600}), &["e"]),
        ("e", "end", json!({"output": "done"}), &[]),
    ])
}

#[tokio::test]
async fn a_fork_of_a_run_does_nothing_until_it_is_resumed() {
    let server = TestServer::start().await;
    let parent = start(&server, slow()).await;
    until_node(&server, &parent, "d", "running").await;
    let revision = server.session(&parent).await["revision"].clone();
    let (_, fork) = server.post(&format!("/api/v1/sessions/{parent}/fork"), json!({"revision": revision})).await;
    let fork = fork["id"].as_str().expect("an id");
    // The parent's own delay is over, and then that of another run: the fork's has stood still.
    until_node(&server, &parent, "r", "suspended").await;
    let other = start(&server, slow()).await;
    until_node(&server, &other, "r", "suspended").await;
    let held = server.session(fork).await;
    assert_eq!((&held["status"], &held["revision"]), (&json!("paused"), &json!(1)), "{held}");
    assert_eq!(held["nodes"]["d"]["status"], "running");
    // What it is to work with can be changed before.
    server.command(fork, json!({"type": "setContext", "key": "k", "value": 1})).await;
    server.command(fork, json!({"type": "resume"})).await;
    until_node(&server, fork, "r", "suspended").await;
    assert_eq!(story(&server, fork, "d").await, ["completed"], "the same attempt went on");
    review(&server, fork, "r", "approve").await;
    assert_eq!(until_ended(&server, fork).await["status"], "completed");
    assert_eq!(server.session(&parent).await["status"], "running");
}

#[tokio::test]
async fn a_review_that_is_forked_or_imported_goes_on_waiting_and_keeps_its_answer() {
    let server = TestServer::start().await;
    let parent = start(&server, slow()).await;
    until_node(&server, &parent, "r", "suspended").await;
    let revision = server.session(&parent).await["revision"].clone();
    let (_, fork) = server.post(&format!("/api/v1/sessions/{parent}/fork"), json!({"revision": revision})).await;
    let fork = fork["id"].as_str().expect("an id");
    let file = server.request(Method::GET, &format!("/api/v1/sessions/{parent}/export")).send().await.expect("a file");
    let (status, copy) = import(&server, file.bytes().await.expect("bytes")).await;
    assert_eq!((status, &copy["status"]), (StatusCode::CREATED, &json!("paused")), "{copy}");
    for held in [fork, copy["id"].as_str().expect("an id")] {
        let (status, answer) = review(&server, held, "r", "approve").await;
        assert!(status.is_success(), "{answer}");
        let before = server.session(held).await;
        assert_eq!(before["nodes"]["r"]["status"], "suspended", "{before}");
        server.command(held, json!({"type": "resume"})).await;
        assert_eq!(until_ended(&server, held).await["status"], "completed");
    }
}

#[tokio::test]
async fn an_import_does_nothing_until_it_is_started() {
    let server = TestServer::start().await;
    let id = start(&server, slow()).await;
    until_node(&server, &id, "d", "running").await;
    let running = server.session(&id).await["revision"].as_u64().expect("a revision");
    let file = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
    let file = file.bytes().await.expect("bytes");
    let (_, held) = import(&server, file.clone()).await;
    let held = held["id"].as_str().expect("an id");
    let other = start(&server, slow()).await;
    until_node(&server, &other, "r", "suspended").await;
    let shown = server.session(held).await;
    assert_eq!((&shown["status"], &shown["revision"]), (&json!("paused"), &json!(running + 1)), "{shown}");
    let events = server.events(held).await;
    assert_eq!(events[events.len() - 1]["event"], json!({"type": "paused", "held": true}));
    // Exported again and imported once more, it is held as before, by no further event.
    let again = server.request(Method::GET, &format!("/api/v1/sessions/{held}/export")).send().await.expect("a file");
    let (status, again) = import(&server, again.bytes().await.expect("bytes")).await;
    assert_eq!((status, &again["revision"]), (StatusCode::CREATED, &json!(running + 1)), "{again}");
    let started = server.request(Method::POST, "/api/v1/sessions/import?start=true&newId=true").body(file);
    let (status, started) = answer(started).await;
    assert_eq!((status, &started["status"]), (StatusCode::CREATED, &json!("running")), "{started}");
    until_node(&server, started["id"].as_str().expect("an id"), "r", "suspended").await;
    assert_eq!(server.session(held).await["revision"], json!(running + 1));
}
