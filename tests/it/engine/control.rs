//! Starting, pausing, ending, reviewing, and what cannot be run at all.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{graph, output, review, start, start_with, story, until_ended, until_node, until_status};
use crate::harness::TestServer;

#[tokio::test]
async fn a_graph_runs_from_its_start_to_its_end() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("s", "start", json!({}), &["a", "b"]),
        ("a", "sequence", json!({"output": {"vote": "{{inputs.first}}"}}), &["v"]),
        ("b", "parallel", json!({"output": {"vote": "yes", "more": "{{proposal}}!"}}), &["v"]),
        ("v", "vote", json!({}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let request = json!({"graph": nodes, "inputs": {"first": "yes"}, "proposal": "Do it"});
    let id = start_with(&server, request).await;
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed", "{session}");
    assert_eq!(output(&server, &id, "b").await["more"], "Do it!");
    let entity = server.get(&format!("/api/v1/sessions/{id}/entity")).await.1;
    let vote = &entity["outputs"]["e"]["v"];
    assert_eq!(
        (&vote["winner"], &vote["count"], &vote["passed"]),
        (&json!("yes"), &json!(2), &json!(true)),
        "{entity}"
    );
    for node in ["s", "a", "b", "v", "e"] {
        assert_eq!(story(&server, &id, node).await, ["running", "completed"], "{node}");
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_says_why() {
    let server = TestServer::start().await;
    let refused = async |nodes: Value, code: &str| {
        let request = json!({"graph": nodes, "driver": "builtin"});
        let problem = server.refused(Method::POST, "/api/v1/sessions", Some(request), code).await;
        problem["detail"].as_str().expect("a detail").to_owned()
    };
    let unknown = refused(graph(&[("x", "teleport", json!({}), &[])]), "invalid_graph").await;
    assert!(unknown.contains("'x'") && unknown.contains("teleport") && unknown.contains("human_review"), "{unknown}");
    let command = refused(graph(&[("x", "command", json!({"command": "id"}), &[])]), "invalid_graph").await;
    assert!(command.contains("'x'"), "shell commands are not for the server: {command}");
    let property = refused(graph(&[("x", "delay", json!({"seconds": "long"}), &[])]), "invalid_graph").await;
    assert!(property.contains("'x'") && property.contains("seconds"), "{property}");
    let template = refused(graph(&[("x", "end", json!({"output": "{{ 1 + }}"}), &[])]), "invalid_graph").await;
    assert!(template.contains("'x'") && template.contains("output"), "{template}");
    refused(json!(null), "bad_request").await;
    // Engines outside have types of their own, unless the workflow says that it is for ours.
    let mut theirs = graph(&[("x", "teleport", json!({}), &[])]);
    let (status, _) = server.post("/api/v1/workflows", json!({"name": "w", "graph": theirs})).await;
    assert_eq!(status, 201);
    theirs["properties"] = json!({"driver": "builtin"});
    let request = json!({"name": "w", "graph": theirs});
    server.refused(Method::POST, "/api/v1/workflows", Some(request), "invalid_graph").await;
}

#[tokio::test]
async fn a_missing_value_is_an_error_that_names_the_node() {
    let server = TestServer::start().await;
    let nodes = graph(&[("a", "end", json!({"output": "{{inputs.nowhere}}"}), &[])]);
    let id = start_with(&server, json!({"graph": nodes, "inputs": {}})).await;
    let session = until_ended(&server, &id).await;
    let error = session["error"].as_str().expect("an error");
    assert!(error.contains("'a'") && error.contains("inputs.nowhere"), "{error}");
}

#[tokio::test]
async fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let server = TestServer::start().await;
    let nodes = graph(&[("r", "human_review", json!({}), &["b"]), ("b", "end", json!({}), &[])]);
    let id = start(&server, nodes).await;
    until_node(&server, &id, "r", "suspended").await;
    server.command(&id, json!({"type": "pause"})).await;
    let (status, answer) = review(&server, &id, "r", "approve").await;
    assert!(status.is_success(), "{answer}");
    until_node(&server, &id, "r", "completed").await;
    assert_eq!(server.session(&id).await["nodes"]["b"]["status"], "pending");
    server.command(&id, json!({"type": "resume"})).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
}

#[tokio::test]
async fn stop_and_cancel_end_what_runs() {
    let server = TestServer::start().await;
    for (end, status) in [("stop", "failed"), ("cancel", "cancelled")] {
        let nodes = graph(&[("d", "delay", json!({"seconds": 3600}), &["e"]), ("e", "end", json!({}), &[])]);
        let id = start(&server, nodes).await;
        until_node(&server, &id, "d", "running").await;
        server.command(&id, json!({"type": end})).await;
        let session = until_status(&server, &id, status).await;
        assert_eq!(
            (&session["nodes"]["d"]["status"], &session["nodes"]["e"]["status"]),
            (&json!("failed"), &json!("skipped"))
        );
    }
}

#[tokio::test]
async fn a_review_is_answered_once_and_says_by_whom() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("r", "human_review", json!({"prompt": "Is '{{proposal}}' good?", "updates_proposal": true}), &["e"]),
        ("e", "end", json!({"output": "{{proposal}}"}), &[]),
    ]);
    let id = start_with(&server, json!({"graph": nodes, "proposal": "half done"})).await;
    until_node(&server, &id, "r", "suspended").await;
    let messages = server.get(&format!("/api/v1/sessions/{id}/messages")).await.1;
    assert_eq!(messages["messages"][0]["content"], "Is 'half done' good?", "{messages}");
    let review = json!({"nodeId": "r", "action": "modify", "reviewer": "Ada", "data": "done"});
    let path = format!("/api/v1/sessions/{id}/review");
    let (first, second) = tokio::join!(server.post(&path, review.clone()), server.post(&path, review));
    let statuses = [first.0.as_u16(), second.0.as_u16()];
    assert!(statuses.contains(&200) && statuses.contains(&409), "{first:?} {second:?}");
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed");
    let decided = output(&server, &id, "r").await;
    assert_eq!((&decided["action"], &decided["reviewer"]), (&json!("modify"), &json!("Ada")));
    assert!(decided["decidedAt"].is_string());
    assert_eq!(output(&server, &id, "e").await, "done");
}

#[tokio::test]
async fn a_review_can_be_rejected_run_out_of_time_or_be_skipped() {
    let server = TestServer::start().await;
    let ask = async |properties: Value| {
        start(&server, graph(&[("r", "human_review", properties, &["e"]), ("e", "end", json!({}), &[])])).await
    };
    let rejected = ask(json!({})).await;
    until_node(&server, &rejected, "r", "suspended").await;
    review(&server, &rejected, "r", "reject").await;
    let error = until_ended(&server, &rejected).await["error"].clone();
    assert_eq!(error, "node 'r' failed: rejected by Ada");
    let late = ask(json!({"timeout_minutes": 0.001})).await;
    let error = until_ended(&server, &late).await["error"].clone();
    assert!(error.as_str().is_some_and(|error| error.contains("no decision")), "{error}");
    let skipped = ask(json!({"timeoutMinutes": 0.001, "allowSkip": true})).await;
    assert_eq!(until_ended(&server, &skipped).await["status"], "completed");
    assert_eq!(output(&server, &skipped, "r").await["action"], "skip");
}

#[tokio::test]
async fn a_loop_goes_round_until_it_scores_enough() {
    let server = TestServer::start().await;
    // Each round adds to what the last one left in the context.
    let work = json!({"output": {"score": "{{ (context.best | default(0)) + 40 }}"},
                      "assign": {"context": {"best": "{{output.score}}"}}});
    let nodes = graph(&[
        ("s", "start", json!({}), &["work"]),
        ("work", "sequence", work, &["again"]),
        ("again", "loop", json!({"max_rounds": 5, "exit_on_score": 90}), &["work", "e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let id = start(&server, nodes).await;
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed", "{session}");
    let history = session["contextData"]["score_history"].as_array().expect("a history").clone();
    let scores: Vec<(i64, f64)> = history
        .iter()
        .map(|entry| (entry["round"].as_i64().expect("a round"), entry["score"].as_f64().expect("a score")))
        .collect();
    assert_eq!(scores, [(1, 40.0), (2, 80.0), (3, 120.0)]);
    assert!(history.iter().all(|entry| entry["timestamp"].is_string()));
    assert_eq!((&session["nodes"]["work"]["attempt"], &session["nodes"]["again"]["attempt"]), (&json!(3), &json!(3)));
    assert_eq!(output(&server, &id, "again").await["again"], false);
}

#[tokio::test]
async fn failures_can_be_passed_over_or_tried_again() {
    let server = TestServer::start().await;
    let broken = |on_error: Value| json!({"output": "{{inputs.nowhere}}", "onError": on_error});
    let nodes = graph(&[
        ("a", "sequence", broken(json!("continue")), &["b"]),
        (
            "b",
            "sequence",
            broken(json!({"action": "retry", "count": 2, "backoffSeconds": 0.01, "then": "continue"})),
            &["e"],
        ),
        ("e", "end", json!({"output": "{{nodes.a.error}}"}), &[]),
    ]);
    let id = start(&server, nodes).await;
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed", "{session}");
    assert_eq!(story(&server, &id, "a").await, ["running", "failed"]);
    let tries = ["running", "failed", "pending"];
    assert_eq!(story(&server, &id, "b").await, [&tries[..], &tries[..], &["running", "failed"]].concat());
    assert_eq!(session["nodes"]["b"]["attempt"], 3);
    let why = output(&server, &id, "e").await;
    assert!(why.as_str().is_some_and(|why| why.contains("inputs.nowhere")), "{why}");
}

#[tokio::test]
async fn a_run_can_run_out_of_time_or_budget() {
    let server = TestServer::start().await;
    let mut nodes = graph(&[("d", "delay", json!({"seconds": 3600}), &[])]);
    nodes["properties"] = json!({"timeoutSeconds": 0.05});
    let id = start(&server, nodes).await;
    let session = until_ended(&server, &id).await;
    assert!(session["error"].as_str().is_some_and(|error| error.contains("longer than 0.05 s")), "{session}");

    let mut nodes = graph(&[
        ("r", "human_review", json!({}), &["b"]),
        ("b", "human_review", json!({}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    nodes["properties"] = json!({"budget": {"maxTokens": 100, "maxCostUsd": 5}});
    let id = start(&server, nodes).await;
    let spend = async |tokens: u64, cost: f64| {
        server.command(&id, json!({"type": "recordUsage", "nodeId": "r", "inputTokens": tokens, "outputTokens": 0, "costUsd": cost})).await;
    };
    until_node(&server, &id, "r", "suspended").await;
    spend(150, 0.0).await;
    review(&server, &id, "r", "approve").await;
    let session = until_status(&server, &id, "paused").await;
    let why = &session["contextData"]["budget"];
    assert_eq!((&why["exceeded"], &why["used"], &why["limit"]), (&json!("tokens"), &json!(150), &json!(100)), "{why}");
    assert_eq!(session["nodes"]["b"]["status"], "pending");
    // Resuming grants as much again; what is beyond that, or costs too much, is asked about again.
    server.command(&id, json!({"type": "resume"})).await;
    until_node(&server, &id, "b", "suspended").await;
    spend(0, 7.0).await;
    review(&server, &id, "b", "approve").await;
    let session = until_status(&server, &id, "paused").await;
    assert_eq!(session["contextData"]["budget"]["exceeded"], "costUsd");
    server.command(&id, json!({"type": "resume"})).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
}

#[tokio::test]
async fn somebody_may_settle_a_node_by_hand() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("p", "parallel", json!({}), &["r", "d"]),
        ("r", "human_review", json!({}), &["e"]),
        ("d", "delay", json!({"seconds": 3600}), &["e"]),
        ("e", "end", json!({"output": "{{nodes.r.output}}"}), &[]),
    ]);
    let id = start(&server, nodes).await;
    until_node(&server, &id, "r", "suspended").await;
    for (node, body) in
        [("r", json!({"status": "completed", "output": "by hand"})), ("d", json!({"status": "skipped"}))]
    {
        let (status, answer) =
            server.call(Method::PUT, &format!("/api/v1/sessions/{id}/nodes/{node}"), Some(body)).await;
        assert!(status.is_success(), "{answer}");
    }
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    assert_eq!(output(&server, &id, "e").await, "by hand");
}
