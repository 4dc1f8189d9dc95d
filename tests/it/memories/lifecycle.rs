//! Storing, reading and deleting memories one by one.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{contents, towards};
use crate::harness::TestServer;

#[tokio::test]
async fn a_memory_is_read_back_as_it_was_given() {
    let server = TestServer::start().await;
    let group = server.new_group().await;
    let request = json!({"groupId": group, "agentId": "ada", "content": "tea", "embedding": towards(0.5, 0.25),
        "metadata": {"source": ["a", 1]}});
    let stored = server.remember(request.clone()).await;
    let id = stored["id"].as_str().expect("an id");
    assert_eq!((&stored["embedded"], &stored["metadata"]), (&json!(true), &request["metadata"]));
    let (status, read) = server.get(&format!("/api/v1/memories/{id}")).await;
    assert_eq!(status, StatusCode::OK);
    for (field, value) in request.as_object().expect("an object") {
        // Numbers are read back as floating-point ones.
        let expected = if field == "embedding" { &json!([0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]) } else { value };
        assert_eq!(read[field], *expected, "{field}");
    }
    assert_eq!(read["createdAt"], stored["createdAt"]);

    let (status, _) = server.call(Method::DELETE, &format!("/api/v1/memories/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(server.call(method, &format!("/api/v1/memories/{id}"), None).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(contents(&server.recall(json!({"embedding": towards(1.0, 0.0)})).await), Vec::<&str>::new());
}

#[tokio::test]
async fn a_client_that_chooses_the_id_cannot_store_a_memory_twice() {
    let server = TestServer::start().await;
    let id = uuid::Uuid::now_v7().to_string();
    let request = json!({"id": id, "content": "once"});
    assert_eq!(server.remember(request.clone()).await["id"], json!(id));
    let (status, problem) = server.post("/api/v1/memories", request).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("conflict")));
    assert_eq!(contents(&server.recall(json!({"text": "once"})).await), ["once"]);
}

#[tokio::test]
async fn an_ended_run_takes_memories_by_request_and_for_a_minute_by_command() {
    let server = TestServer::start().await;
    let group = server.new_group().await;
    let session = server.create(json!({"groupId": group})).await;
    server.command(&session, json!([{"type": "start"}, {"type": "complete"}])).await;
    let command = json!({"type": "addMemory", "content": "late"});
    let (status, receipt) = server.post(&format!("/api/v1/sessions/{session}/commands"), command).await;
    assert_eq!((status, &receipt["revision"]), (StatusCode::OK, &json!(4)), "right after its end");
    let stored = server.remember(json!({"sessionId": session, "content": "in hindsight"})).await;
    assert_eq!(stored["groupId"], json!(group), "a run's memory belongs to the run's group");
    let (_, listed) = server.get(&format!("/api/v1/sessions/{session}/memories")).await;
    assert_eq!(contents(&listed), ["late", "in hindsight"]);
    // What is remembered by request is no part of the run's history.
    let (_, state) = server.get(&format!("/api/v1/sessions/{session}")).await;
    assert_eq!((&state["revision"], &state["status"]), (&json!(4), &json!("completed")));

    let other = server.new_group().await;
    let request = json!({"sessionId": session, "groupId": other, "content": "elsewhere"});
    assert_eq!(server.post("/api/v1/memories", request).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn memories_go_with_their_group_and_with_their_session() {
    let server = TestServer::start().await;
    let (group, kept) = (server.new_group().await, server.new_group().await);
    let session = server.create(json!({"groupId": kept})).await;
    server.command(&session, json!([{"type": "start"}, {"type": "addMemory", "content": "of the run"}])).await;
    server.remember(json!({"groupId": group, "content": "of the group"})).await;
    server.remember(json!({"groupId": kept, "content": "of the kept group"})).await;
    let all = async || -> Vec<String> {
        let found: Value = server.recall(json!({"text": "of the"})).await;
        let mut contents: Vec<String> = contents(&found).into_iter().map(str::to_owned).collect();
        contents.sort();
        contents
    };
    assert_eq!(all().await, ["of the group", "of the kept group", "of the run"]);
    server.call(Method::DELETE, &format!("/api/v1/groups/{group}"), None).await;
    assert_eq!(all().await, ["of the kept group", "of the run"]);
    server.call(Method::DELETE, &format!("/api/v1/sessions/{session}"), None).await;
    assert_eq!(all().await, ["of the kept group"]);
}
