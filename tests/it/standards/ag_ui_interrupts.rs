//! AG-UI: when a run waits for answers only, and how they are given.

use reqwest::Method;
use serde_json::{Value, json};

use super::ag_ui::{all, kinds};
use crate::access::support::{id_of, make};
use crate::engine::support::{graph, output, review, until_ended, until_node};
use crate::harness::{Act, EventSource, ModelEndpoint, TestServer, asked, eventually, node};

/// A graph's node: its id, type, properties and next nodes.
type Node<'a> = (&'a str, &'a str, Value, &'a [&'a str]);

/// The address that starts runs of a graph. Its nodes start one after the other, so that there are gaps between them.
async fn address(server: &TestServer, nodes: &[Node<'_>]) -> String {
    let mut graph = graph(nodes);
    graph["properties"] = json!({"maxParallel": 1});
    let workflow = make(server, "", "/api/v1/workflows", json!({"name": "w", "graph": graph})).await;
    format!("/api/v1/ag-ui/{}", id_of(&workflow))
}

async fn open(server: &TestServer, path: &str, input: &Value) -> EventSource {
    EventSource::open(server.request(Method::POST, path).json(input)).await
}

fn input(run: &str) -> Value {
    json!({"threadId": "t", "runId": run, "messages": []})
}

fn resume(run: &str, interrupts: &[&Value]) -> Value {
    let entry = |interrupt: &&Value| json!({"interruptId": interrupt["id"], "status": "resolved"});
    let mut input = input(run);
    input["resume"] = interrupts.iter().map(entry).collect();
    input
}

/// The interrupts that a stream has ended with.
fn interrupts(events: &[Value]) -> Vec<&Value> {
    let end = events.last().expect("an end");
    assert_eq!(end["outcome"]["type"], "interrupt", "{end:#}");
    end["outcome"]["interrupts"].as_array().expect("interrupts").iter().collect()
}

fn asking(events: &[Value]) -> Vec<&str> {
    interrupts(events).iter().map(|one| one["metadata"]["nodeId"].as_str().expect("a node")).collect()
}

fn session_of(events: &[Value]) -> String {
    let state = events.iter().find(|event| event["type"] == "STATE_SNAPSHOT").expect("a state");
    state["snapshot"]["id"].as_str().expect("an id").to_owned()
}

fn steps(events: &[Value]) -> Vec<String> {
    let step = |event: &Value| {
        let (kind, step) = (event["type"].as_str()?.strip_prefix("STEP_")?, event["stepName"].as_str()?);
        Some(format!("{step} {kind}"))
    };
    events.iter().filter_map(step).collect()
}

/// The next event of a type; the run must not finish before.
async fn next(stream: &mut EventSource, kind: &str) -> Value {
    loop {
        let event = stream.event().await.data;
        if event["type"] == kind {
            return event;
        }
        assert!(!event["type"].as_str().expect("a type").starts_with("RUN_F"), "{event}");
    }
}

const ASKED: [&str; 3] = ["r1", "r2", "r3"];

fn three_reviews() -> [Node<'static>; 5] {
    [
        ("p", "parallel", json!({}), &ASKED),
        ("r1", "human_review", json!({"prompt": "One?"}), &["e"]),
        ("r2", "human_review", json!({"prompt": "Two?"}), &["e"]),
        ("r3", "human_review", json!({"prompt": "Three?"}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]
}

#[tokio::test]
async fn all_reviews_of_a_run_are_asked_for_at_once() {
    let server = TestServer::start().await;
    let path = address(&server, &three_reviews()).await;
    for run in ["one", "two", "three"] {
        let live = all(open(&server, &path, &input(run)).await).await;
        assert_eq!(asking(&live), ASKED);
        // Joined late, it waits for the same.
        let stored = all(server.stream(&format!("/api/v1/sessions/{}/ag-ui", session_of(&live))).await).await;
        assert_eq!(interrupts(&stored), interrupts(&live));
    }
}

#[tokio::test]
async fn an_answer_is_followed_by_what_it_leads_to_before_others_are_asked_for() {
    let endpoint = ModelEndpoint::start().await;
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let nodes: [Node<'_>; 5] = [
        ("p", "parallel", json!({}), &["r1", "r2"]),
        ("r1", "human_review", json!({}), &["l"]),
        ("l", "llm", json!({"prompt": "Go on"}), &["e"]),
        ("r2", "human_review", json!({}), &["e"]),
        ("e", "end", json!({}), &[]),
    ];
    let path = address(&server, &nodes).await;
    let first = all(open(&server, &path, &input("one")).await).await;
    assert_eq!(asking(&first), ["r1", "r2"]);
    let second = all(open(&server, &path, &resume("two", &interrupts(&first)[..1])).await).await;
    assert_eq!(asking(&second), ["r2"]);
    assert!(kinds(&second).contains(&"TEXT_MESSAGE_CONTENT"), "{second:#?}");
    let third = all(open(&server, &path, &resume("three", &interrupts(&second))).await).await;
    assert_eq!(third.last().expect("an end").get("outcome"), None, "{third:#?}");
}

/// A review, and beside it three nodes one after the other.
fn beside_a_review() -> [Node<'static>; 6] {
    [
        ("p", "parallel", json!({}), &["r", "a"]),
        ("r", "human_review", json!({"prompt": "Well?"}), &["e"]),
        ("a", "delay", json!({"seconds": 0.05}), &["b"]),
        ("b", "llm", json!({"prompt": "b"}), &["c"]),
        ("c", "llm", json!({"prompt": "c"}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]
}

#[tokio::test]
async fn other_branches_run_before_a_review_ends_the_stream() {
    let endpoint = ModelEndpoint::start().await;
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let path = address(&server, &beside_a_review()).await;
    for run in ["one", "two", "three"] {
        let events = all(open(&server, &path, &input(run)).await).await;
        assert_eq!(asking(&events), ["r"]);
        let steps = steps(&events);
        let branch: Vec<&String> = steps.iter().filter(|step| ["a", "b", "c"].contains(&&step[..1])).collect();
        let expected = ["a STARTED", "a FINISHED", "b STARTED", "b FINISHED", "c STARTED", "c FINISHED"];
        assert_eq!(branch, expected);
    }
}

/// A paused run stays in the gap between two nodes, which is a moment otherwise.
#[tokio::test]
async fn a_run_that_is_joined_between_two_nodes_has_not_ended() {
    let endpoint = ModelEndpoint::answering(|request| match asked(request) {
        "b" => Act::Stall("Hm"),
        _ => Act::Say(vec!["ok"]),
    })
    .await;
    let server = TestServer::start_with(|config| {
        endpoint.configure(config);
        config.engine.llm_silence_seconds = 600.0;
    })
    .await;
    let mut nodes = beside_a_review();
    nodes[2].1 = "human_review";
    nodes[2].2 = json!({});
    let path = address(&server, &nodes).await;
    let first = all(open(&server, &path, &input("one")).await).await;
    assert_eq!(asking(&first), ["a", "r"]);
    let id = session_of(&first);
    server.command(&id, json!({"type": "pause"})).await;
    assert!(review(&server, &id, "a", "approve").await.0.is_success());
    until_node(&server, &id, "a", "completed").await;
    let mut late = server.stream(&format!("/api/v1/sessions/{id}/ag-ui")).await;
    server.command(&id, json!({"type": "resume"})).await;
    while next(&mut late, "STEP_STARTED").await["stepName"] != "b" {}
    server.command(&id, json!({"type": "cancel"})).await;
    assert_eq!(all(late).await.last().expect("an end")["outcome"]["type"], "cancelled");
}

/// A failed attempt that is to be repeated runs again by itself.
#[tokio::test]
async fn a_run_that_waits_for_a_retry_has_not_ended() {
    let endpoint = ModelEndpoint::start().await;
    endpoint.then([Act::Status(400, None)]);
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let nodes: [Node<'_>; 4] = [
        ("p", "parallel", json!({}), &["r", "l"]),
        ("r", "human_review", json!({}), &["e"]),
        ("l", "llm", json!({"prompt": "l", "retries": 1, "backoffSeconds": 0.5}), &["e"]),
        ("e", "end", json!({}), &[]),
    ];
    let path = address(&server, &nodes).await;
    let events = all(open(&server, &path, &input("one")).await).await;
    assert_eq!(asking(&events), ["r"]);
    assert_eq!(steps(&events).iter().filter(|step| *step == "l STARTED").count(), 2, "{events:#?}");
}

#[tokio::test]
async fn a_run_without_an_engine_here_is_asked_for_what_waits_while_nothing_runs() {
    let server = TestServer::start().await;
    let pending = graph(&[("a", "x", json!({}), &["b"]), ("b", "x", json!({}), &[])]);
    let id = server.create(json!({"graph": pending})).await;
    server.command(&id, json!([{"type": "start"}, node("a", "running"), node("a", "suspended")])).await;
    let events = all(server.stream(&format!("/api/v1/sessions/{id}/ag-ui")).await).await;
    assert_eq!(asking(&events), ["a"]);
}

#[tokio::test]
async fn a_node_that_was_not_seen_running_has_a_step_too() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/ag-ui");
    let live = tokio::spawn(all(server.stream(&path).await));
    let reports = json!([
        node("done", "completed"),
        node("done", "completed"),
        node("failed", "failed"),
        node("left", "skipped"),
        node("asked", "running"),
        node("asked", "suspended"),
        node("asked", "completed"),
        node("again", "running"),
        node("again", "failed"),
        node("again", "pending"),
        node("again", "completed"),
        {"type": "complete"},
    ]);
    server.command(&id, reports).await;
    let stored = all(server.stream(&path).await).await;
    let expected = [
        "done STARTED",
        "done FINISHED",
        "failed STARTED",
        "failed FINISHED",
        "asked STARTED",
        "asked FINISHED",
        "again STARTED",
        "again FINISHED",
        "again STARTED",
        "again FINISHED",
    ];
    assert_eq!(steps(&stored), expected);
    assert_eq!(live.await.expect("the live one ends"), stored);
}

#[tokio::test]
async fn members_that_are_null_are_not_there() {
    let server = TestServer::start().await;
    let nodes: [Node<'_>; 1] = [("e", "end", json!({"output": "{{inputs.message}}"}), &[])];
    let path = address(&server, &nodes).await;
    let mut input = input("one");
    let message = json!({"id": "1", "role": "user", "content": "Hi", "name": null, "toolCalls": null, "toolCallId": null,
        "encryptedValue": null});
    input["messages"] = json!([message]);
    for member in ["state", "tools", "context", "forwardedProps", "resume", "parentRunId"] {
        input[member] = Value::Null;
    }
    let events = all(open(&server, &path, &input).await).await;
    assert_eq!(events.last().expect("an end")["result"], json!({"e": "Hi"}), "{events:#?}");
}

#[tokio::test]
async fn arrays_are_not_read_as_objects() {
    let server = TestServer::start().await;
    let path = address(&server, &[("e", "end", json!({}), &[])]).await;
    let mut with_messages = input("r");
    with_messages["messages"] = json!([["user", "Hi"]]);
    let mut with_answers = input("r");
    with_answers["resume"] = json!([["id", "resolved", null]]);
    for body in [json!(["t", "r", [], null, [], [], {}, []]), with_messages, with_answers] {
        let problem = server.refused(Method::POST, &path, Some(body), "bad_request").await;
        let detail = problem["detail"].as_str().expect("a text");
        assert!(detail.contains("an object is expected here, not an array"), "{detail}");
    }
    let (_, sessions) = server.get("/api/v1/sessions").await;
    assert_eq!(sessions["sessions"], json!([]));
}

/// A client may keep its `runId` for all answers of a run.
#[tokio::test]
async fn answers_of_the_same_run_to_other_interrupts_are_not_repetitions() {
    let server = TestServer::start().await;
    let nodes: [Node<'_>; 3] = [
        ("first", "human_review", json!({}), &["second"]),
        ("second", "human_review", json!({}), &["e"]),
        ("e", "end", json!({}), &[]),
    ];
    let path = address(&server, &nodes).await;
    let asked = all(open(&server, &path, &input("one")).await).await;
    let answer = resume("one", &interrupts(&asked));
    let again = all(open(&server, &path, &answer).await).await;
    assert_eq!(asking(&again), ["second"]);
    // The first answer once more is no answer to the second question.
    let repeated = all(open(&server, &path, &answer).await).await;
    assert_eq!(asking(&repeated), ["second"]);
    let last = resume("one", &interrupts(&again));
    for _ in 0..2 {
        let events = all(open(&server, &path, &last).await).await;
        let end = events.last().expect("an end");
        assert_eq!((&end["type"], end.get("outcome")), (&json!("RUN_FINISHED"), None), "{end:#}");
    }
    let id = session_of(&asked);
    assert_eq!(output(&server, &id, "second").await["action"], "approve");
}

#[tokio::test]
async fn an_interrupt_that_is_over_is_not_waiting() {
    let server = TestServer::start().await;
    let path = address(&server, &three_reviews()).await;
    let asked = all(open(&server, &path, &input("one")).await).await;
    let (id, waiting) = (session_of(&asked), interrupts(&asked));
    let twice = resume("two", &[waiting[0], waiting[1], waiting[0]]);
    let problem = server.refused(Method::POST, &path, Some(twice), "bad_request").await;
    let detail = problem["detail"].as_str().expect("a text");
    assert!(detail.contains(waiting[0]["id"].as_str().expect("an id")), "{detail}");

    assert!(review(&server, &id, "r1", "approve").await.0.is_success());
    let late = resume("two", &waiting[..1]);
    server.refused(Method::POST, &path, Some(late.clone()), "not_waiting").await;
    eventually("r1 is answered", async || server.session(&id).await["nodes"]["r1"]["status"] == "completed").await;
    server.refused(Method::POST, &path, Some(late.clone()), "not_waiting").await;
    for other in &ASKED[1..] {
        assert!(review(&server, &id, other, "approve").await.0.is_success());
    }
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    server.refused(Method::POST, &path, Some(late), "not_waiting").await;
}
