//! What a run is worth when its server is killed, restarted, or not alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Map, Value, json};

use super::support::{graph, output, review, start, story, until_ended, until_node};
use crate::harness::{Act, Database, ModelEndpoint, ServerProcess, TestServer, eventually};

const LEASE: f64 = 0.6;

async fn process(database: &Database, more: &[(&str, &str)]) -> ServerProcess {
    let (url, lease) = (database.url(), LEASE.to_string());
    let mut settings =
        vec![("DATABASE_URL", &*url), ("RELIVE_EMBEDDING_DIM", "8"), ("RELIVE_ENGINE_LEASE_SECONDS", &*lease)];
    settings.extend_from_slice(more);
    ServerProcess::start(&settings).await
}

/// A loop that counts in the context, branches side by side, and a review at the end.
fn eventful() -> Value {
    let count = json!({"assign": {"context": {"count": "{{ (context.count | default(0)) + 1 }}"}},
                       "output": {"score": "{{ (context.count | default(0)) * 10 }}"}});
    graph(&[
        ("s", "start", json!({}), &["left", "right"]),
        ("left", "delay", json!({"seconds": 0.15}), &["work"]),
        ("right", "sequence", json!({"output": "right"}), &["pause"]),
        ("pause", "delay", json!({"seconds": 0.3}), &["work"]),
        ("work", "sequence", count, &["slow"]),
        ("slow", "delay", json!({"seconds": 0.1}), &["again"]),
        ("again", "loop", json!({"max_rounds": 4, "score": "{{nodes.work.output.score}}"}), &["work", "review"]),
        ("review", "human_review", json!({}), &["e"]),
        (
            "e",
            "end",
            json!({"output": {"count": "{{context.count}}", "right": "{{nodes.right.output}}", "by": "{{nodes.review.output.reviewer}}"}}),
            &[],
        ),
    ])
}

/// A session's end, without its times.
async fn outcome(server: &TestServer, id: &str) -> Value {
    let session = server.session(id).await;
    let mut nodes = Map::new();
    for (node, state) in session["nodes"].as_object().expect("nodes") {
        nodes.insert(node.clone(), json!([state["status"], output(server, id, node).await["score"]]));
    }
    let history = session["contextData"]["score_history"].as_array().expect("scores").iter();
    let scores: Vec<Value> = history.map(|entry| json!([entry["round"], entry["score"]])).collect();
    json!([session["status"], nodes, scores, session["contextData"]["count"], output(server, id, "e").await])
}

/// How often nodes of a session were completed; `None` once it waits for its review.
async fn completions(http: &Client, server: &ServerProcess, id: &str) -> Option<usize> {
    let url = format!("http://{}/api/v1/sessions/{id}", server.address);
    let get = async |url: &str| -> Value {
        let answer = http.get(url).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    };
    if get(&url).await["nodes"]["review"]["status"] == "suspended" {
        return None;
    }
    let page = get(&format!("{url}/events?limit=1000")).await;
    let events = page["events"].as_array().expect("events").iter();
    Some(events.filter(|event| event["event"]["status"] == "completed").count())
}

#[tokio::test]
async fn a_run_that_is_killed_at_random_moments_ends_as_one_that_is_not() {
    let database = Database::create().await;
    let calm = TestServer::start().await;
    let undisturbed = start(&calm, eventful()).await;
    until_node(&calm, &undisturbed, "review", "suspended").await;
    review(&calm, &undisturbed, "review", "approve").await;
    until_ended(&calm, &undisturbed).await;
    let expected = outcome(&calm, &undisturbed).await;
    assert_eq!(expected[4], json!({"count": 4, "right": "right", "by": "Ada"}));

    let http = Client::new();
    let post = async |server: &ServerProcess, path: &str, body: &Value| {
        http.post(format!("http://{}/api/v1{path}", server.address)).json(body).send().await.expect("an answer")
    };
    let mut server = process(&database, &[]).await;
    let request = json!({"graph": eventful(), "driver": "builtin"});
    let mut ids = Vec::new();
    for _ in 0..6 {
        let session: Value = post(&server, "/sessions", &request).await.json().await.expect("a session");
        let id = session["id"].as_str().expect("an id").to_owned();
        assert!(
            post(&server, &format!("/sessions/{id}/control"), &json!({"action": "start"})).await.status().is_success()
        );
        ids.push(id);
    }
    let mut completed = vec![0; ids.len()];
    for kill in 0..5 {
        if kill % 2 == 0 {
            // A run that is killed three times in a row at one point is stopped. A busy machine may not get any further
            // between two kills.
            for (id, completed) in ids.iter().zip(&mut completed) {
                let (before, now) = (*completed, AtomicUsize::new(*completed));
                eventually("the session goes on", async || {
                    let found = completions(&http, &server, id).await;
                    now.store(found.unwrap_or(before), Ordering::Relaxed);
                    found.is_none_or(|found| found > before)
                })
                .await;
                *completed = now.into_inner();
            }
        }
        // At a random moment of it.
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..700))).await;
        server.kill().await;
        server = process(&database, &[]).await;
    }
    server.kill().await;
    let last = TestServer::start_on(database, |config| config.engine.engine_lease_seconds = LEASE).await;
    for id in &ids {
        eventually("the session ends", async || {
            let session = last.session(id).await;
            if session["nodes"]["review"]["status"] == "suspended" {
                // Twice: one of them is refused.
                let both = tokio::join!(review(&last, id, "review", "approve"), review(&last, id, "review", "approve"));
                assert!(!(both.0.0.is_success() && both.1.0.is_success()), "{both:?}");
            }
            session["completedAt"].is_string()
        })
        .await;
        assert_eq!(outcome(&last, id).await, expected, "{:?}", last.events(id).await);
    }
}

#[tokio::test]
async fn what_only_waits_costs_a_row_and_is_taken_up_when_it_is_answered() {
    let server = TestServer::start().await;
    let id = start(&server, graph(&[("r", "human_review", json!({}), &["e"]), ("e", "end", json!({}), &[])])).await;
    let storage = server.database.storage();
    let parked = async || {
        let row: Option<(Option<uuid::Uuid>, Option<i64>)> =
            sqlx::query_as("SELECT holder, parked_revision FROM session_leases")
                .fetch_optional(storage.pool())
                .await
                .expect("a row");
        matches!(row, Some((None, Some(_))))
    };
    eventually("the session is let go of", parked).await;
    // Somebody says something that is no answer: it is looked at, and let go of again.
    server.command(&id, json!({"type": "setContext", "key": "note", "value": "thinking about it"})).await;
    review(&server, &id, "r", "approve").await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    assert_eq!(story(&server, &id, "r").await, ["running", "suspended", "completed"]);
    eventually("the lease is given back", async || {
        let leases: i64 =
            sqlx::query_scalar("SELECT count(*) FROM session_leases").fetch_one(storage.pool()).await.expect("a count");
        leases == 0
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_is_made_again_and_a_graceful_end_is_taken_over_at_once() {
    let endpoint = ModelEndpoint::start().await;
    endpoint.then([Act::Stall("I was say")]);
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let nodes = graph(&[
        ("a", "sequence", json!({"output": "kept"}), &["b"]),
        ("b", "llm", json!({"prompt": "{{nodes.a.output}}"}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let id = start(&server, nodes).await;
    eventually("the model is asked", async || endpoint.requests().len() == 1).await;
    let database = server.stop().await;
    let leases: i64 = sqlx::query_scalar("SELECT count(*) FROM session_leases")
        .fetch_one(database.storage().pool())
        .await
        .expect("a count");
    assert_eq!(leases, 0, "given back");
    let server = TestServer::start_on(database, |config| endpoint.configure(config)).await;
    let session = until_ended(&server, &id).await;
    assert_eq!((&session["status"], &session["nodes"]["b"]["attempt"]), (&json!("completed"), &json!(2)), "{session}");
    assert_eq!(story(&server, &id, "a").await, ["running", "completed"]);
    assert_eq!(story(&server, &id, "b").await, ["running", "failed", "pending", "running", "completed"]);
    assert_eq!(output(&server, &id, "b").await["text"], "ok");
}

#[tokio::test]
async fn two_servers_share_the_sessions_and_drive_none_twice() {
    let database = Database::create().await;
    let one = TestServer::start_on(database.clone(), |config| config.engine.engine_lease_seconds = LEASE).await;
    let other = process(&database, &[]).await;
    let nodes = graph(&[
        ("s", "start", json!({}), &["a", "b"]),
        ("a", "delay", json!({"seconds": 0.4}), &["j"]),
        ("b", "sequence", json!({}), &["j"]),
        ("j", "delay", json!({"seconds": 0.2}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let http = Client::new();
    let mut ids = Vec::new();
    for number in 0..24 {
        let id = one.create(json!({"graph": nodes, "driver": "builtin"})).await;
        let address = if number % 2 == 0 { one.address() } else { other.address };
        let url = format!("http://{address}/api/v1/sessions/{id}/control");
        let started = http.post(url).json(&json!({"action": "start"})).send().await.expect("an answer");
        assert!(started.status().is_success());
        ids.push(id);
    }
    other.kill().await;
    // Each server shows what it drives; the table knows it all.
    let storage = one.database.storage();
    let done = async || {
        let done = "SELECT count(*) FROM sessions WHERE status = 'completed'";
        sqlx::query_scalar::<_, i64>(done).fetch_one(storage.pool()).await.expect("a count") == 24
    };
    eventually("all sessions complete", done).await;
    for id in &ids {
        for node in ["s", "a", "b", "j", "e"] {
            let story = story(&one, id, node).await;
            assert_eq!(story.iter().filter(|status| *status == "completed").count(), 1, "{node}: {story:?}");
        }
    }
}
