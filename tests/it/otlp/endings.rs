//! When a trace is over.

use serde_json::{Value, json};

use super::{SESSION, agent, send, span};
use crate::harness::{TestServer, eventually};

async fn quick() -> TestServer {
    TestServer::start_with(|config| config.trace_idle_seconds = 1.0).await
}

async fn until_ended(server: &TestServer) -> Value {
    eventually("the trace has ended", async || !server.session(SESSION).await["completedAt"].is_null()).await;
    server.session(SESSION).await
}

#[tokio::test]
async fn it_is_completed_when_its_root_has_ended_and_nothing_comes() {
    let server = quick().await;
    send(&server, &agent()).await;
    let session = until_ended(&server).await;
    assert_eq!(session["status"], "completed");
    // What comes later is counted; what is known already is not.
    let late = span("00000000000000d4", "00000000000000a1", "late", (90, 95), json!({}));
    let answer = send(&server, &[agent(), vec![late]].concat()).await;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1", "{answer}");
    assert_eq!(server.session(SESSION).await["revision"], session["revision"]);
}

#[tokio::test]
async fn it_fails_as_its_root_does() {
    let server = quick().await;
    let mut root = span("00000000000000a1", "", "job", (0, 10), json!({}));
    root["status"] = json!({"code": 2, "message": "out of paper"});
    send(&server, &[root]).await;
    let session = until_ended(&server).await;
    assert_eq!((&session["status"], &session["error"]), (&json!("failed"), &json!("out of paper")));
}

/// A span that was lost, although others are below it.
#[tokio::test]
async fn spans_that_never_came_are_skipped() {
    let server = quick().await;
    let root = span("00000000000000a1", "", "job", (0, 10), json!({}));
    send(&server, &[root, span("00000000000000c3", "00000000000000b2", "step", (1, 2), json!({}))]).await;
    assert_eq!(server.session(SESSION).await["nodes"]["00000000000000b2"]["status"], "running");
    let session = until_ended(&server).await;
    assert_eq!(session["status"], "completed");
    assert_eq!(session["nodes"]["00000000000000b2"]["status"], "skipped");
}

/// The server that took the spans is gone.
#[tokio::test]
async fn another_server_ends_it() {
    let server = TestServer::start_with(|config| config.trace_idle_seconds = 2.0).await;
    send(&server, &agent()).await;
    let database = server.stop().await;
    let server = TestServer::start_on(database, |config| config.trace_idle_seconds = 1.0).await;
    assert_eq!(until_ended(&server).await["status"], "completed");
}

#[tokio::test]
async fn while_its_root_has_not_ended_it_goes_on() {
    let server = TestServer::start_with(|config| config.trace_idle_seconds = 0.2).await;
    send(&server, &[span("00000000000000b2", "00000000000000a1", "step", (1, 2), json!({}))]).await;
    // Another trace that begins later and ends by itself.
    let mut other = span("00000000000000a1", "", "other", (0, 1), json!({}));
    other["traceId"] = json!("0af7651916cd43dd8448eb211c80319c");
    send(&server, &[other]).await;
    let path = "0af76519-16cd-43dd-8448-eb211c80319c";
    eventually("the other has ended", async || server.session(path).await["status"] == "completed").await;
    assert_eq!(server.session(SESSION).await["status"], "running");
    send(&server, &[span("00000000000000a1", "", "job", (0, 3), json!({}))]).await;
    assert_eq!(until_ended(&server).await["status"], "completed");
}
