//! Embeddings made by the server.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::contents;
use crate::harness::{EmbeddingsEndpoint, Mood, TestServer, embedding, eventually};

async fn server_with(endpoint: &EmbeddingsEndpoint) -> TestServer {
    TestServer::start_with(|config| endpoint.configure(config)).await
}

#[tokio::test]
async fn a_memory_without_an_embedding_gets_one_from_the_endpoint() {
    let endpoint = EmbeddingsEndpoint::start();
    let server = server_with(&endpoint).await;
    let stored = server.remember(json!({"content": "tea"})).await;
    assert_eq!(stored["embedded"], true, "{stored}");
    server.remember(json!({"content": "coffee"})).await;
    let found = server.recall(json!({"text": "tea", "limit": 1})).await;
    assert_eq!((contents(&found), &found["method"]), (vec!["tea"], &json!("vector")));
    assert!((super::scores(&found)[0] - 1.0).abs() < 1e-6, "{found}");
    let found = server.recall(json!({"embedding": embedding("coffee", 8), "limit": 1})).await;
    assert_eq!(contents(&found), ["coffee"]);
    // What the client embedded itself is left alone, and nobody asks for it.
    let own = server.remember(json!({"content": "own", "embedding": embedding("other", 8)})).await;
    let (_, own) = server.get(&format!("/api/v1/memories/{}", own["id"].as_str().expect("an id"))).await;
    let expected: Vec<f32> = embedding("other", 8);
    assert_eq!(serde_json::from_value::<Vec<f32>>(own["embedding"].clone()).expect("a vector"), expected);
    assert!(endpoint.requests().concat().iter().all(|text| text != "own"));
    assert!(endpoint.keys().iter().all(|key| key == "Bearer sk-test"));
}

#[tokio::test]
async fn a_slow_endpoint_delays_no_command_and_what_waits_goes_into_one_request() {
    let endpoint = EmbeddingsEndpoint::start();
    endpoint.become_(Mood::Silent);
    let server = server_with(&endpoint).await;
    let session = server.running_session().await;
    server.command(&session, json!({"type": "addMemory", "content": "memory 0"})).await;
    eventually("the endpoint is asked", async || endpoint.requests().len() == 1).await;
    // The endpoint has not answered, and does not before all of these are.
    for n in 1..=70 {
        server.command(&session, json!({"type": "addMemory", "content": format!("memory {n}")})).await;
    }
    server.command(&session, json!({"type": "complete"})).await;
    assert_eq!(endpoint.requests().len(), 1);
    endpoint.become_(Mood::Good);
    let path = format!("/api/v1/sessions/{session}/memories");
    eventually("all have embeddings", async || {
        let (_, page) = server.get(&path).await;
        page["memories"].as_array().expect("memories").iter().all(|memory| memory["embedded"] == true)
    })
    .await;
    let sizes: Vec<usize> = endpoint.requests().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 64, 6]);
    let found = server.recall(json!({"embedding": embedding("memory 42", 8), "limit": 1})).await;
    assert_eq!(contents(&found), ["memory 42"], "each has its own vector, whatever the order of the answer");
}

#[tokio::test]
async fn a_search_that_gets_no_vector_in_time_goes_by_words() {
    let endpoint = EmbeddingsEndpoint::start();
    let server = TestServer::start_with(|config| {
        endpoint.configure(config);
        config.embeddings.embeddings_timeout_seconds = 0.2;
    })
    .await;
    server.remember(json!({"content": "green tea"})).await;
    endpoint.become_(Mood::Silent);
    let found = server.recall(json!({"text": "tea"})).await;
    assert_eq!((contents(&found), &found["method"]), (vec!["green tea"], &json!("text")));
    for mood in [Mood::NotJson, Mood::WrongDimension, Mood::Answers(500), Mood::Answers(429), Mood::Answers(400)] {
        endpoint.become_(mood);
        assert_eq!(server.recall(json!({"text": "tea"})).await["method"], "text", "{mood:?}");
    }
    endpoint.become_(Mood::Good);
    assert_eq!(server.recall(json!({"text": "tea"})).await["method"], "vector");
}

#[tokio::test]
async fn what_was_stored_while_the_endpoint_was_dead_is_embedded_when_it_is_back() {
    let endpoint = EmbeddingsEndpoint::dead();
    let server = server_with(&endpoint).await;
    let session = server.running_session().await;
    server.command(&session, json!({"type": "addMemory", "content": "by command"})).await;
    let stored = server.remember(json!({"content": "by request"})).await;
    assert_eq!(stored["embedded"], false, "{stored}");
    let found = server.recall(json!({"text": "request"})).await;
    assert_eq!((contents(&found), &found["method"]), (vec!["by request"], &json!("text")));
    let database = server.stop().await;

    // The queue outlives the process.
    let server = TestServer::start_on(database, |config| endpoint.configure(config)).await;
    endpoint.listen();
    let id = stored["id"].as_str().expect("an id");
    eventually("it is embedded", async || server.is_embedded(id).await).await;
    eventually("both are found by vector", async || {
        let found = server.recall(json!({"text": "by command", "minScore": 0.99})).await;
        found["method"] == "vector" && contents(&found) == ["by command"]
    })
    .await;
}

#[tokio::test]
async fn whatever_the_endpoint_answers_wrongly_the_memory_waits_for_a_right_answer() {
    for mood in [Mood::NotJson, Mood::WrongDimension, Mood::Answers(500), Mood::Answers(429), Mood::Answers(401)] {
        let endpoint = EmbeddingsEndpoint::start();
        endpoint.become_(mood);
        let server = server_with(&endpoint).await;
        let stored = server.remember(json!({"content": "patience"})).await;
        assert_eq!(stored["embedded"], false, "{mood:?}");
        assert!(endpoint.requests().len() > 1, "it is asked again: {mood:?}");
        endpoint.become_(Mood::Good);
        let id = stored["id"].as_str().expect("an id");
        eventually("it is embedded", async || server.is_embedded(id).await).await;
    }
}

#[tokio::test]
async fn a_text_that_the_endpoint_refuses_does_not_hold_up_the_others() {
    let endpoint = EmbeddingsEndpoint::start();
    endpoint.become_(Mood::Picky);
    let server = server_with(&endpoint).await;
    let session = server.running_session().await;
    let memory = |content: String| json!({"type": "addMemory", "content": content});
    let mut commands: Vec<Value> = (0..20).map(|n| memory(format!("memory {n}"))).collect();
    commands.insert(7, memory("poison".to_owned()));
    commands.insert(15, memory("  ".to_owned()));
    server.command(&session, json!(commands)).await;
    let path = format!("/api/v1/sessions/{session}/memories");
    eventually("the others have embeddings", async || {
        let (_, page) = server.get(&path).await;
        let memories = page["memories"].as_array().expect("memories").clone();
        memories.iter().filter(|memory| memory["embedded"] == true).count() == 20
    })
    .await;
    assert!(endpoint.requests().concat().iter().all(|text| text.trim() != ""), "nothing is asked about blanks");
    // The next ones are not held up either, nor is the refused text asked for again with each.
    let asked = || endpoint.requests().concat().iter().filter(|text| *text == "poison").count();
    let before = asked();
    assert_eq!(server.remember(json!({"content": "later"})).await["embedded"], true);
    assert_eq!(asked(), before);
}

#[tokio::test]
async fn memories_of_another_dimension_are_embedded_anew_and_found_again() {
    let short = |config: &mut relive::config::ServeConfig| config.database.embedding_dim = 4;
    let server = TestServer::start_with(short).await;
    let mut ids = Vec::new();
    for n in 0..100 {
        let stored = server.remember(json!({"content": format!("memory {n}"), "embedding": [n, 1, 0, 0]})).await;
        ids.push(stored["id"].as_str().expect("an id").to_owned());
    }
    let database = server.stop().await;

    // Without an endpoint they stay as they are: not found by vector, and there when the setting is undone.
    let server = TestServer::start_on(database, |_| {}).await;
    let found = server.recall(json!({"embedding": embedding("memory 42", 8)})).await;
    assert_eq!(contents(&found), Vec::<&str>::new());
    let database = server.stop().await;
    let server = TestServer::start_on(database, short).await;
    assert_eq!(contents(&server.recall(json!({"embedding": [0, 1, 0, 0], "limit": 1})).await), ["memory 0"]);

    // With one they get new ones, the old being there until then.
    let endpoint = EmbeddingsEndpoint::start();
    endpoint.become_(Mood::Silent);
    let server = TestServer::start_on(server.stop().await, |config| endpoint.configure(config)).await;
    eventually("the endpoint is asked", async || !endpoint.requests().is_empty()).await;
    let numbers = async |id: &str| {
        let (_, memory) = server.get(&format!("/api/v1/memories/{id}")).await;
        memory["embedding"].as_array().map(Vec::len)
    };
    assert_eq!(numbers(&ids[42]).await, Some(4));
    endpoint.become_(Mood::Good);
    eventually("all have the new dimension", async || {
        for id in &ids {
            if numbers(id).await != Some(8) {
                return false;
            }
        }
        true
    })
    .await;
    let asked = endpoint.requests().concat();
    assert_eq!((asked.len(), asked.iter().collect::<HashSet<_>>().len()), (100, 100), "each is asked for once");
    let found = server.recall(json!({"text": "memory 42", "limit": 1})).await;
    assert_eq!((contents(&found), &found["method"]), (vec!["memory 42"], &json!("vector")));
}

/// While an update runs, there may be an instance with the old setting: it must not undo the work.
#[tokio::test]
async fn only_instances_with_the_setting_made_last_embed_anew() {
    let database = crate::harness::Database::create().await;
    let storage = database.storage();
    storage.migrate(4).await.expect("migrate");
    for dimension in [4, 8] {
        let sql = "INSERT INTO memories (id, content, embedding, created_at) VALUES ($1, $2, $3, now())";
        sqlx::query(sql)
            .bind(uuid::Uuid::now_v7())
            .bind(format!("of {dimension}"))
            .bind(pgvector::Vector::from(embedding("text", dimension)))
            .execute(storage.pool())
            .await
            .expect("a memory");
    }
    let taken = async |dimension| {
        let taken = storage.claim_unembedded(64, std::time::Duration::ZERO, 100, dimension).await.expect("taken");
        taken.into_iter().map(|memory| memory.content).collect::<Vec<_>>()
    };
    assert_eq!((taken(4).await, taken(8).await), (vec!["of 8".to_owned()], Vec::new()));
    storage.migrate(8).await.expect("another setting");
    assert_eq!((taken(4).await, taken(8).await), (Vec::new(), vec!["of 4".to_owned()]));
    assert_eq!(storage.count_unembedded(10, 8).await.expect("a count"), 1);
}

#[tokio::test]
async fn two_servers_on_one_database_share_the_work() {
    let endpoint = EmbeddingsEndpoint::start();
    endpoint.become_(Mood::Silent);
    let one = server_with(&endpoint).await;
    let other = TestServer::start_on(one.database.clone(), |config| endpoint.configure(config)).await;
    for server in [&one, &other] {
        let session = server.running_session().await;
        let memories: Vec<Value> =
            (0..300).map(|n| json!({"type": "addMemory", "content": format!("{session} {n}")})).collect();
        server.command(&session, json!(memories)).await;
    }
    eventually("both ask", async || endpoint.requests().len() == 2).await;
    endpoint.become_(Mood::Good);
    let storage = one.database.storage();
    eventually("all have embeddings", async || {
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM memories WHERE embedding IS NULL")
            .fetch_one(storage.pool())
            .await
            .expect("a count");
        left == 0
    })
    .await;
    let asked = endpoint.requests().concat();
    let different: HashSet<&String> = asked.iter().collect();
    assert_eq!((asked.len(), different.len()), (600, 600), "each text is asked for once");
}

#[tokio::test]
async fn the_metrics_say_how_the_endpoint_does() {
    let endpoint = EmbeddingsEndpoint::start();
    let server = server_with(&endpoint).await;
    server.remember(json!({"content": "counted"})).await;
    let text =
        server.request(reqwest::Method::GET, "/metrics").send().await.expect("an answer").text().await.expect("text");
    for name in
        ["relive_embedding_requests_total{result=\"ok\"}", "relive_embedding_seconds", "relive_embeddings_waiting"]
    {
        assert!(text.contains(name), "{name}");
    }
}
