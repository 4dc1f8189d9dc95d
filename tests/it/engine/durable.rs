//! What a run needs to go on is in its state: attempts, pauses before them, decisions, limits.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{graph, output, review, start, start_with, story, until_ended, until_node};
use crate::harness::{Act, Database, ModelEndpoint, ServerProcess, TestServer, eventually};

fn failing(retries: u32, backoff: f64) -> Value {
    let properties = json!({"output": "{{inputs.nowhere}}", "retries": retries, "backoffSeconds": backoff});
    graph(&[("a", "sequence", properties, &[])])
}

async fn until_tries(server: &TestServer, id: &str, tries: u32) {
    let tried = async || server.session(id).await["nodes"]["a"]["retry"]["tries"] == tries;
    eventually(&format!("attempt {tries} has failed"), tried).await;
}

/// Whatever happens in the pauses, there are as many attempts as the node says.
#[tokio::test]
async fn a_pause_a_write_and_a_restart_do_not_refill_the_retries() {
    let server = TestServer::start().await;
    let id = start(&server, failing(2, 0.5)).await;
    until_tries(&server, &id, 1).await;
    server.command(&id, json!({"type": "pause"})).await;
    server.command(&id, json!({"type": "setContext", "key": "k", "value": 1})).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    server.command(&id, json!({"type": "resume"})).await;
    until_tries(&server, &id, 2).await;
    let server = TestServer::start_on(server.stop().await, |_| {}).await;
    let session = until_ended(&server, &id).await;
    assert_eq!((&session["status"], &session["nodes"]["a"]["attempt"]), (&json!("failed"), &json!(3)), "{session}");
    let tries = ["running", "failed", "pending"];
    assert_eq!(story(&server, &id, "a").await, [&tries[..], &tries[..], &["running", "failed"]].concat());
}

#[tokio::test]
async fn a_node_that_waits_to_be_tried_again_shows_why_and_when() {
    let server = TestServer::start().await;
    let id = start(&server, failing(1, 3600.0)).await;
    until_tries(&server, &id, 1).await;
    let node = server.session(&id).await["nodes"]["a"].clone();
    assert_eq!(node["retry"]["tries"], 1, "{node}");
    assert!(node["retry"]["dueAt"].is_string(), "{node}");
    assert!(node["error"].as_str().is_some_and(|error| error.contains("inputs.nowhere")), "{node}");
    // A write does not bring it forward.
    let parked = "SELECT count(*) FROM session_leases WHERE holder IS NULL";
    let is_parked = async || {
        let parked: i64 =
            sqlx::query_scalar(parked).fetch_one(server.database.storage().pool()).await.expect("a count");
        parked == 1
    };
    eventually("it is let go of", is_parked).await;
    let revision = server.command(&id, json!({"type": "setContext", "key": "k", "value": 1})).await;
    let seen = format!("SELECT count(*) FROM session_leases WHERE parked_revision = {revision}");
    eventually("it was looked at", async || {
        let seen = sqlx::AssertSqlSafe(seen.clone());
        sqlx::query_scalar::<_, i64>(seen).fetch_one(server.database.storage().pool()).await.expect("a count") == 1
    })
    .await;
    assert_eq!(server.session(&id).await["revision"], json!(revision));
}

#[tokio::test]
async fn what_does_not_decide_a_review_is_refused() {
    let server = TestServer::start().await;
    let id = start(&server, graph(&[("r", "human_review", json!({}), &[])])).await;
    until_node(&server, &id, "r", "suspended").await;
    let revision = server.session(&id).await["revision"].clone();
    let path = format!("/api/v1/sessions/{id}");
    for payload in [
        json!(null),
        json!("reject"),
        json!([]),
        json!({"action": "reject"}),
        json!({"review": {}}),
        json!({"review": null}),
        json!({"review": {"action": 5}}),
        json!({"review": {"action": "APPROVE"}}),
        json!({"review": {"action": "skip"}}),
        json!({"review": {"action": "modify"}}),
        json!({"review": {"action": "approve", "reviewer": {}}}),
        json!({"review": {"action": "approve", "comment": {}}}),
        json!({"review": {"action": "approve", "actoin": "reject"}}),
    ] {
        let signal = json!({"nodeId": "r", "payload": payload});
        server.refused(Method::POST, &format!("{path}/signal"), Some(signal), "bad_request").await;
        let command = json!({"type": "signal", "nodeId": "r", "payload": payload});
        server.refused(Method::POST, &format!("{path}/commands"), Some(json!([command])), "bad_request").await;
    }
    let modify = json!({"nodeId": "r", "action": "modify"});
    server.refused(Method::POST, &format!("{path}/review"), Some(modify), "bad_request").await;
    assert_eq!(server.session(&id).await["revision"], revision, "nothing has changed");
    review(&server, &id, "r", "approve").await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    assert_eq!(output(&server, &id, "r").await["action"], "approve");
}

#[tokio::test]
async fn a_review_is_asked_as_often_as_its_retries_say_and_waiting_nodes_heed_their_limits() {
    let server = TestServer::start().await;
    let nodes = graph(&[("r", "human_review", json!({"retries": 1}), &["e"]), ("e", "end", json!({}), &[])]);
    let id = start(&server, nodes).await;
    for attempt in 1..=2 {
        eventually(&format!("asked {attempt} times"), async || {
            let node = server.session(&id).await["nodes"]["r"].clone();
            node["status"] == "suspended" && node["attempt"] == attempt
        })
        .await;
        review(&server, &id, "r", "reject").await;
    }
    let session = until_ended(&server, &id).await;
    assert_eq!((&session["status"], &session["nodes"]["r"]["attempt"]), (&json!("failed"), &json!(2)), "{session}");

    for (kind, properties) in [("human_review", json!({})), ("delay", json!({"seconds": 3600}))] {
        let mut properties = properties;
        properties["timeoutSeconds"] = json!(0.2);
        let id = start(&server, graph(&[("a", kind, properties, &[])])).await;
        let error = until_ended(&server, &id).await["error"].clone();
        assert_eq!(error, "node 'a' failed: timed out after 0.2 s", "{kind}");
    }
}

#[tokio::test]
async fn a_run_whose_end_is_refused_ends_all_the_same() {
    let server = TestServer::start().await;
    let deep = (0..99).fold(json!(1), |inner, _| json!([inner]));
    let nodes = graph(&[("s", "start", json!({"output": ["{{inputs.d}}"]}), &[])]);
    let id = start_with(&server, json!({"graph": nodes, "inputs": {"d": deep}})).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    assert_eq!(output(&server, &id, "s").await, json!([deep]));

    let nodes = graph(&[
        ("b", "start", json!({}), &["l"]),
        ("l", "loop", json!({"score": "{{inputs.t}}"}), &["b", "e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let id = start_with(&server, json!({"graph": nodes, "inputs": {"t": "x".repeat(16_325)}})).await;
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "failed");
    assert!(session["error"].as_str().is_some_and(|error| error.contains("'l'") && error.ends_with("(cut off)")));
}

/// A model that takes the server down, or seems to: the attempt is made three times, and then no more.
#[tokio::test]
async fn a_run_that_takes_one_server_down_after_the_other_is_stopped() {
    let endpoint = ModelEndpoint::answering(|_| Act::Stall("I was say")).await;
    let database = Database::create().await;
    let (database_url, model_url) = (database.url(), endpoint.url());
    let settings = [
        ("DATABASE_URL", &*database_url),
        ("RELIVE_EMBEDDING_DIM", "8"),
        ("RELIVE_ENGINE_LEASE_SECONDS", "0.6"),
        ("RELIVE_LLM_URL", &*model_url),
        ("RELIVE_LLM_MODEL", "m"),
        ("RELIVE_LLM_API_KEY", "sk-test"),
    ];
    let http = reqwest::Client::new();
    let post = async |server: &ServerProcess, path: &str, body: Value| -> Value {
        let sent = http.post(format!("http://{}/api/v1{path}", server.address)).json(&body).send().await;
        sent.expect("an answer").json().await.expect("JSON")
    };
    let mut server = ServerProcess::start(&settings).await;
    let nodes = graph(&[("a", "llm", json!({"prompt": "hi"}), &[])]);
    let session = post(&server, "/sessions", json!({"graph": nodes, "driver": "builtin"})).await;
    let id = session["id"].as_str().expect("an id").to_owned();
    post(&server, &format!("/sessions/{id}/control"), json!({"action": "start"})).await;
    for attempt in 1..=3 {
        eventually(&format!("attempt {attempt}"), async || endpoint.requests().len() == attempt).await;
        server.kill().await;
        if attempt < 3 {
            server = ServerProcess::start(&settings).await;
        } else {
            break;
        }
    }
    let last = TestServer::start_on(database, |config| {
        endpoint.configure(config);
        config.engine.engine_lease_seconds = 0.6;
    })
    .await;
    let session = until_ended(&last, &id).await;
    let error = session["error"].as_str().unwrap_or_default();
    assert!(session["status"] == "failed" && error.contains("interrupted 3 times in a row"), "{session}");
    assert_eq!(endpoint.requests().len(), 3);
}
