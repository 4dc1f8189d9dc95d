//! What is not a memory, and not a search.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::towards;
use crate::harness::TestServer;

async fn refused(server: &TestServer, path: &str, body: Value) -> (u16, String) {
    let (status, problem) = server.post(path, body.clone()).await;
    assert!(status.is_client_error(), "{body}: {status} {problem}");
    (status.as_u16(), problem["code"].as_str().expect("a code").to_owned())
}

#[tokio::test]
async fn a_wrong_dimension_is_refused_wherever_a_vector_comes_in() {
    let server = TestServer::start().await;
    let session = server.running_session().await;
    let commands = format!("/api/v1/sessions/{session}/commands");
    for embedding in [json!([1, 0]), json!([]), json!(vec![1; 9]), json!(vec![1; 2_001])] {
        let memory = json!({"content": "x", "embedding": embedding});
        for (path, body) in [
            ("/api/v1/memories", memory.clone()),
            ("/api/v1/memories/search", json!({"embedding": embedding})),
            (&*commands, json!({"type": "addMemory", "content": "x", "embedding": embedding})),
        ] {
            let (status, problem) = server.post(path, body).await;
            assert_eq!(
                (status, &problem["code"]),
                (StatusCode::UNPROCESSABLE_ENTITY, &json!("dimension_mismatch")),
                "{path}"
            );
            let detail = problem["detail"].as_str().expect("a detail");
            let actual = embedding.as_array().expect("an array").len();
            assert!(detail.contains('8') && detail.contains(&actual.to_string()), "{detail}");
        }
    }
    let (_, state) = server.get(&format!("/api/v1/sessions/{session}")).await;
    assert_eq!(state["revision"], 2, "nothing was recorded");
}

#[tokio::test]
async fn vectors_without_a_direction_are_refused() {
    let server = TestServer::start().await;
    for number in [json!(0), json!(1e300), json!(1e-30)] {
        let embedding = json!(vec![number; 8]);
        for path in ["/api/v1/memories", "/api/v1/memories/search"] {
            let body = if path.ends_with("search") {
                json!({"embedding": embedding})
            } else {
                json!({"content": "x", "embedding": embedding})
            };
            assert_eq!(refused(&server, path, body).await, (400, "bad_request".to_owned()));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_stored_is_refused_and_nothing_is_stored() {
    let server = TestServer::start().await;
    let nobody = "0190a000-0000-7000-8000-000000000000";
    let bad = (400, "bad_request".to_owned());
    for body in [
        json!({"content": "nul \0"}),
        json!({"content": "x", "agentId": "\0"}),
        json!({"content": "x", "agentId": ""}),
        json!({"content": "x", "metadata": {"key": "\0"}}),
        json!({"content": "x", "groupId": "none"}),
        json!({}),
    ] {
        assert_eq!(refused(&server, "/api/v1/memories", body).await, bad);
    }
    let too_large = json!({"content": "x".repeat(1024 * 1024 + 1)});
    assert_eq!(refused(&server, "/api/v1/memories", too_large).await, (413, "too_large".to_owned()));
    for field in ["groupId", "sessionId"] {
        let missing = (404, "not_found".to_owned());
        assert_eq!(refused(&server, "/api/v1/memories", json!({"content": "x", field: nobody})).await, missing);
        assert_eq!(refused(&server, "/api/v1/memories/search", json!({"text": "x", field: nobody})).await, missing);
    }
    let (status, _) = server.get(&format!("/api/v1/sessions/{nobody}/memories")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM memories")
        .fetch_one(server.database.storage().pool())
        .await
        .expect("a count");
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn a_search_that_makes_no_sense_is_refused() {
    let server = TestServer::start().await;
    for body in [
        json!({}),
        json!({"text": "x", "embedding": towards(1.0, 0.0)}),
        json!({"text": "  "}),
        json!({"text": "\0"}),
        json!({"text": "x", "agentId": "\0"}),
        json!({"text": "x", "limit": 0}),
        json!({"text": "x", "limit": 101}),
        json!({"text": "x", "minScore": 1.5}),
    ] {
        assert_eq!(refused(&server, "/api/v1/memories/search", body).await, (400, "bad_request".to_owned()));
    }
    let session = server.new_session().await;
    for query in [
        "order=similarity",
        "order=time&text=x",
        "after=nonsense",
        "minScore=0.5",
        "text=x&after=a",
        "limit=0",
        "order=size",
    ] {
        let (status, _) = server.get(&format!("/api/v1/sessions/{session}/memories?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
    }
}
