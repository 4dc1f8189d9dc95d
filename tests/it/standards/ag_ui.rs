//! AG-UI: runs as the events of the protocol, as its own client understands them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::access::support::{id_of, make};
use crate::engine::support::graph;
use crate::harness::{Act, EventSource, ModelEndpoint, Script, TestServer, context, node};

fn message(id: &str, role: &str, content: &str, is_thinking: bool) -> Value {
    json!({"type": "addMessage", "messageId": id, "nodeId": "a", "role": role, "content": content, "isThinking": is_thinking})
}

/// A run with all that a stream tells of.
fn story() -> Vec<Value> {
    vec![
        json!({"type": "start"}),
        node("a", "running"),
        message("u", "user", "Who are you?", false),
        message("t", "agent", "Hm.", true),
        message("m", "agent", "I am Ada.", false),
        json!({"type": "recordUsage", "nodeId": "a", "model": "gpt", "inputTokens": 3, "outputTokens": 4}),
        context("k", json!({"a/b": 1})),
        context("k", json!({"a/b": 2, "c": null})),
        node("a", "completed"),
        json!({"type": "complete", "outputs": {"answer": 42}}),
    ]
}

pub(super) fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).filter(|kind| *kind != "STATE_DELTA").collect()
}

pub(super) async fn all(mut stream: EventSource) -> Vec<Value> {
    stream.rest().await.into_iter().map(|event| event.data).collect()
}

const STORY: [&str; 18] = [
    "RUN_STARTED",
    "STATE_SNAPSHOT",
    "STEP_STARTED",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    "REASONING_START",
    "REASONING_MESSAGE_START",
    "REASONING_MESSAGE_CONTENT",
    "REASONING_MESSAGE_END",
    "REASONING_END",
    "TEXT_MESSAGE_START",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    // A merge patch cannot say that a member is null.
    "STATE_SNAPSHOT",
    "STEP_FINISHED",
    "RUN_FINISHED",
    "",
];

#[tokio::test]
async fn a_run_is_the_same_stored_and_live() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let path = format!("/api/v1/sessions/{id}/ag-ui");
    let live = tokio::spawn(all(server.stream(&path).await));
    for command in story() {
        server.command(&id, command).await;
    }
    let stored = all(server.stream(&path).await).await;
    assert_eq!(kinds(&stored), STORY[..17]);
    assert_eq!(live.await.expect("the live one ends"), stored);
    let started = &stored[0];
    assert_eq!((&started["threadId"], &started["runId"]), (&json!(id), &json!(id)));
    let step = stored.iter().find(|event| event["type"] == "STEP_STARTED").expect("a step");
    assert_eq!(step["stepName"], "a");
    let roles: Vec<&Value> =
        stored.iter().filter(|event| event["type"] == "TEXT_MESSAGE_START").map(|event| &event["role"]).collect();
    assert_eq!(roles, ["user", "assistant"]);
    let finished = stored.last().expect("an end");
    assert_eq!((&finished["result"], finished.get("outcome")), (&json!({"answer": 42}), None));
    assert_eq!(finished["usage"], json!([{"model": "gpt", "inputTokens": 3, "outputTokens": 4}]));

    let Some(script) = Script::find("ag-ui.mjs").await else { return };
    let job = json!({"url": server.url(&path), "method": "GET", "runs": [{"runId": "r"}]});
    let shown = script.run(&job).await[0].take();
    assert_eq!(shown.get("error"), None, "{shown:#}");
    // JavaScript writes 0 for 0.0.
    let whole = |mut state: Value| {
        state["totalCostUsd"] = json!(state["totalCostUsd"].as_f64());
        state
    };
    assert_eq!(whole(shown["state"].clone()), server.session(&id).await);
    let said = shown["messages"].as_array().expect("messages").iter();
    let said: Vec<[&Value; 3]> = said.map(|one| [&one["id"], &one["role"], &one["content"]]).collect();
    let expected = [["u", "user", "Who are you?"], ["t", "reasoning", "Hm."], ["m", "assistant", "I am Ada."]];
    assert_eq!(json!(said), json!(expected));
}

fn calling(id: &str, content: &str, is_thinking: bool, calls: &[(&str, Value)]) -> Value {
    let calls: Vec<Value> =
        calls.iter().map(|(id, arguments)| json!({"id": id, "name": "weather", "arguments": arguments})).collect();
    let mut message = message(id, "agent", content, is_thinking);
    message["toolCalls"] = calls.into();
    message
}

fn result(id: &str, call: &str, content: &str) -> Value {
    let mut message = message(id, "tool", content, false);
    message["toolCallId"] = call.into();
    message
}

/// Messages of the client, as texts: of an assistant with its calls, of a tool with the call that it answers.
fn with_calls(messages: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let shown = |message: &Value| {
        let calls = message["toolCalls"].as_array().into_iter().flatten();
        let calls: String =
            calls.map(|call| format!(" {}({})", text(&call["id"]), text(&call["function"]["arguments"]))).collect();
        let answers = message["toolCallId"].as_str().map(|call| format!(" to {call}")).unwrap_or_default();
        format!("{}: {}{calls}{answers}", text(&message["role"]), text(&message["content"]))
    };
    messages.as_array().expect("messages").iter().map(shown).collect()
}

#[tokio::test]
async fn a_client_of_the_protocol_is_shown_tool_calls_and_their_results() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let commands = json!([
        {"type": "start"},
        node("a", "running"),
        calling("m1", "", false, &[("c1", json!({"city": "Paris"})), ("c2", json!("{}"))]),
        result("t1", "c1", "sunny"),
        result("t2", "c2", ""),
        // A model that numbers its calls anew in each message.
        calling("m2", "And there?", false, &[("c1", json!({"city": "Rome"}))]),
        result("t3", "c1", "rainy"),
        calling("m3", "Hm.", true, &[("c3", json!([1]))]),
        result("t4", "unknown", "snow"),
        node("a", "completed"),
        {"type": "complete"},
    ]);
    server.command(&id, commands).await;
    let path = format!("/api/v1/sessions/{id}/ag-ui");
    let events = all(server.stream(&path).await).await;
    let starts = events.iter().filter(|event| event["type"] == "TOOL_CALL_START");
    let starts: Vec<[&Value; 2]> = starts.map(|event| [&event["toolCallId"], &event["parentMessageId"]]).collect();
    let expected = json!([["c1", "m1"], ["c2", "m1"], ["c1#2", "m2"], ["c3", null]]);
    assert_eq!(json!(starts), expected);

    let Some(script) = Script::find("ag-ui.mjs").await else { return };
    let job = json!({"url": server.url(&path), "method": "GET", "runs": [{"runId": "r"}]});
    let shown = script.run(&job).await[0].take();
    assert_eq!(shown.get("error"), None, "{shown:#}");
    assert_eq!(shown["warnings"], json!([]), "{shown:#}");
    let expected = [
        "assistant:  c1({\"city\":\"Paris\"}) c2({})",
        "tool: sunny to c1",
        "tool:  to c2",
        "assistant: And there? c1#2({\"city\":\"Rome\"})",
        "tool: rainy to c1#2",
        "reasoning: Hm.",
        "assistant:  c3([1])",
        "tool: snow to unknown",
    ];
    assert_eq!(with_calls(&shown["messages"]), expected);
}

#[tokio::test]
async fn words_are_shown_as_they_are_written_and_once() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, node("a", "running")).await;
    let mut stream = server.stream(&format!("/api/v1/sessions/{id}/ag-ui")).await;
    let next = async |stream: &mut EventSource, kind: &str| loop {
        let event = stream.event().await.data;
        assert!(!event["type"].as_str().expect("a type").starts_with("RUN_F"), "{event}");
        if event["type"] == kind {
            return event;
        }
    };
    next(&mut stream, "STEP_STARTED").await;
    for (text, kind) in [("Hel", "TEXT_MESSAGE_START"), ("lo", "TEXT_MESSAGE_CONTENT")] {
        let chunk = json!([{"nodeId": "a", "messageId": "m", "text": text}]);
        assert!(server.post(&format!("/api/v1/sessions/{id}/tokens"), chunk).await.0.is_success());
        assert_eq!(next(&mut stream, kind).await["messageId"], "m");
    }
    server.command(&id, message("m", "agent", "Hello!", false)).await;
    let mut text = "Hel".to_owned();
    loop {
        let event = stream.event().await.data;
        match event["type"].as_str().expect("a type") {
            "TEXT_MESSAGE_CONTENT" if event["delta"] != "Hel" => text += event["delta"].as_str().expect("a text"),
            "TEXT_MESSAGE_END" => break,
            "TEXT_MESSAGE_START" => panic!("the message begins again"),
            _ => {}
        }
    }
    assert!(["Hello!", "Hel!"].contains(&&*text) || text == "Hello!", "{text}");
    server.command(&id, json!({"type": "fail", "error": "out of ideas"})).await;
    let rest = all(stream).await;
    let end = rest.last().expect("an end");
    assert_eq!((&end["type"], &end["message"]), (&json!("RUN_ERROR"), &json!("out of ideas")));
}

#[tokio::test]
async fn a_run_that_was_cancelled_says_so() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!([node("a", "running"), {"type": "cancel"}])).await;
    let events = all(server.stream(&format!("/api/v1/sessions/{id}/ag-ui")).await).await;
    assert_eq!(kinds(&events), ["RUN_STARTED", "STATE_SNAPSHOT", "STEP_STARTED", "STEP_FINISHED", "RUN_FINISHED"]);
    assert_eq!(events.last().expect("an end")["outcome"], json!({"type": "cancelled"}));
}

#[tokio::test]
async fn a_run_waits_while_a_node_does_and_no_other_runs() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, json!([node("a", "running"), node("b", "running")])).await;
    server.command(&id, message("q", "agent", "Shall I?", false)).await;
    let path = format!("/api/v1/sessions/{id}/ag-ui");
    let mut stream = server.stream(&path).await;
    server.command(&id, node("a", "suspended")).await;
    while stream.event().await.data["type"] != "STEP_FINISHED" {}
    server.command(&id, node("b", "completed")).await;
    let events = all(stream).await;
    let end = events.last().expect("an end");
    assert_eq!((&end["type"], &end["outcome"]["type"]), (&json!("RUN_FINISHED"), &json!("interrupt")), "{events:#?}");
    let interrupts = end["outcome"]["interrupts"].as_array().expect("interrupts");
    assert_eq!(interrupts.len(), 1);
    assert_eq!((&interrupts[0]["message"], &interrupts[0]["metadata"]["nodeId"]), (&json!("Shall I?"), &json!("a")));
    // Answered, it is not asked again.
    let review = json!({"nodeId": "a", "action": "approve"});
    assert!(server.post(&format!("/api/v1/sessions/{id}/review"), review).await.0.is_success());
    let mut stream = server.stream(&path).await;
    server.command(&id, json!([node("a", "running"), node("a", "completed"), {"type": "complete"}])).await;
    assert_eq!(stream.rest().await.last().expect("an end").data.get("outcome"), None);
}

async fn workflow(server: &TestServer) -> String {
    let nodes = graph(&[
        ("ask", "llm", json!({"prompt": "{{inputs.message}} {{inputs.topic}}"}), &["check"]),
        ("check", "human_review", json!({"prompt": "Is '{{nodes.ask.output.text}}' good?"}), &["e"]),
        ("e", "end", json!({"output": "{{nodes.check.output.action}}"}), &[]),
    ]);
    id_of(&make(server, "", "/api/v1/workflows", json!({"name": "w", "graph": nodes})).await)
}

#[tokio::test]
async fn a_client_of_the_protocol_starts_a_run_and_answers_its_review() {
    let endpoint = ModelEndpoint::start().await;
    endpoint.then([Act::Think("Let me see.", vec!["Hel", "lo"])]);
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let workflow = workflow(&server).await;
    let Some(script) = Script::find("ag-ui.mjs").await else { return };
    let question = json!([{"id": "q", "role": "user", "content": "Greet"}]);
    let job = json!({"url": server.url(&format!("/api/v1/ag-ui/{workflow}")), "threadId": "thread", "runs": [
        {"runId": "one", "messages": question, "forwardedProps": {"topic": "Grace"}},
        {"runId": "two", "answer": {"status": "resolved", "payload": {"approved": true}}},
    ]});
    let runs = script.run(&job).await;
    let (first, second) = (&runs[0], &runs[1]);
    assert_eq!((first.get("error"), second.get("error")), (None, None), "{runs:#}");
    let asked = &endpoint.requests()[0]["messages"];
    assert!(asked.to_string().contains("Greet Grace"), "{asked}");
    let text = |run: &Value| {
        let said = run["messages"].as_array().expect("messages").iter();
        said.map(|one| format!("{}: {}", one["role"].as_str().unwrap(), one["content"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        text(first),
        ["user: Greet", "reasoning: Let me see.", "assistant: Hello", "system: Is 'Hello' good?"],
        "{first:#}"
    );
    assert_eq!(first["events"][0]["runId"], "one");
    let interrupt = &first["interrupts"][0];
    assert_eq!(interrupt["message"], "Is 'Hello' good?");
    let session = first["state"]["id"].as_str().expect("an id");
    assert_eq!(interrupt["metadata"]["sessionId"], session);
    // The second run goes on where the first one stopped.
    assert_eq!(second["events"][0]["runId"], "two");
    assert_eq!((&second["state"]["status"], &second["interrupts"]), (&json!("completed"), &json!([])), "{second:#}");
    let end = second["events"].as_array().expect("events").last().expect("an end");
    assert_eq!(end["result"], json!({"e": "approve"}), "{second:#}");
    assert_eq!(text(second).len(), 4, "nothing is said twice");
    let held = server.session(session).await;
    assert_eq!(held["metadata"], json!({"agUiThreadId": "thread", "agUiRunId": "one"}));
    // As stored, it is one run.
    let stored = all(server.stream(&format!("/api/v1/sessions/{session}/ag-ui")).await).await;
    assert_eq!((&stored[0]["threadId"], &stored[0]["runId"]), (&json!("thread"), &json!("one")));
    assert_eq!(kinds(&stored).iter().filter(|kind| **kind == "RUN_FINISHED").count(), 1);
}

/// A model that asks for a tool, and numbers its calls anew in each answer.
fn asks_for(city: &str) -> Act {
    let function = json!({"name": "weather", "arguments": json!({"city": city}).to_string()});
    let call = json!({"tool_calls": [{"index": 0, "id": "call_0", "type": "function", "function": function}]});
    let asked = json!({"choices": [{"index": 0, "delta": call, "finish_reason": "tool_calls"}]});
    Act::Body(200, format!("data: {asked}\n\ndata: [DONE]\n\n"))
}

/// Two calls of tools, and a review between them.
async fn asking_twice(server: &TestServer) -> String {
    let nodes = graph(&[
        ("ask", "llm", json!({"prompt": "{{inputs.message}}"}), &["check"]),
        ("check", "human_review", json!({"prompt": "Go on?"}), &["again"]),
        ("again", "llm", json!({"prompt": "And there?"}), &["e"]),
        ("e", "end", json!({}), &[]),
    ]);
    let workflow = id_of(&make(server, "", "/api/v1/workflows", json!({"name": "w", "graph": nodes})).await);
    format!("/api/v1/ag-ui/{workflow}")
}

#[tokio::test]
async fn calls_of_a_whole_thread_stay_apart_for_a_client_of_the_protocol() {
    let endpoint = ModelEndpoint::start().await;
    endpoint.then(["Paris", "Rome", "Oslo", "Bern"].map(asks_for));
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let path = asking_twice(&server).await;
    let Some(script) = Script::find("ag-ui.mjs").await else { return };
    let said = |id: &str, role: &str, content: &str| json!({"id": id, "role": role, "content": content});
    let mut sunny = said("t", "tool", "sunny");
    sunny["toolCallId"] = json!("call_0");
    let approve = json!({"status": "resolved", "payload": {"approved": true}});
    let job = json!({"url": server.url(&path), "threadId": "thread", "runs": [
        {"runId": "one", "messages": [said("q", "user", "Paris?")]},
        {"runId": "two", "messages": [sunny], "answer": approve},
        {"runId": "three", "messages": [said("r", "user", "Oslo?")]},
        {"runId": "four", "answer": approve},
    ]});
    let runs = script.run(&job).await;
    for run in runs.as_array().expect("runs") {
        assert_eq!((run.get("error"), &run["warnings"]), (None, &json!([])), "{runs:#}");
    }
    let expected = [
        "user: Paris?",
        "assistant:  call_0({\"city\":\"Paris\"})",
        "system: Go on?",
        "tool: sunny to call_0",
        "assistant:  call_0#2({\"city\":\"Rome\"})",
        "user: Oslo?",
        "assistant:  call_0#3({\"city\":\"Oslo\"})",
        "system: Go on?",
        "assistant:  call_0#4({\"city\":\"Bern\"})",
    ];
    assert_eq!(with_calls(&runs[3]["messages"]), expected, "{runs:#}");
    // The run was told of the calls before it.
    let session = runs[2]["state"]["id"].as_str().expect("an id");
    let (_, stored) = server.get(&format!("/api/v1/sessions/{session}/entity")).await;
    let before = stored["inputs"]["messages"].as_array().expect("messages");
    assert_eq!(before[3], json!({"role": "tool", "content": "sunny", "toolCallId": "call_0"}));
    assert_eq!(before[4]["toolCalls"][0]["id"], "call_0#2");
}

#[tokio::test]
async fn what_happens_between_a_question_and_its_answer_is_shown_after_it() {
    let endpoint = ModelEndpoint::start().await;
    endpoint.then(["Paris", "Rome"].map(asks_for));
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let path = asking_twice(&server).await;
    let run = async |input: Value| all(EventSource::open(server.request(Method::POST, &path).json(&input)).await).await;
    let first = run(json!({"threadId": "t", "runId": "one", "messages": []})).await;
    let interrupt = &first.last().expect("an end")["outcome"]["interrupts"][0];
    let session = interrupt["metadata"]["sessionId"].as_str().expect("an id");
    let mut sunny = result("t1", "call_0", "sunny");
    sunny["nodeId"] = json!("ask");
    server.command(session, sunny).await;
    let answer = json!([{"interruptId": interrupt["id"], "status": "resolved"}]);
    let resume = json!({"threadId": "t", "runId": "two", "messages": [], "resume": answer});
    // A repeated request shows the same.
    for _ in 0..2 {
        let second = run(resume.clone()).await;
        let calls = second.iter().filter(|event| event["toolCallId"].is_string());
        let calls: Vec<[&Value; 2]> = calls.map(|event| [&event["type"], &event["toolCallId"]]).collect();
        let expected = json!([
            ["TOOL_CALL_RESULT", "call_0"],
            ["TOOL_CALL_START", "call_0#2"],
            ["TOOL_CALL_ARGS", "call_0#2"],
            ["TOOL_CALL_END", "call_0#2"],
        ]);
        assert_eq!(json!(calls), expected, "{second:#?}");
        assert_eq!(second.last().expect("an end")["type"], "RUN_FINISHED");
    }
    // As one run, the calls have the same ids.
    let whole = all(server.stream(&format!("/api/v1/sessions/{session}/ag-ui")).await).await;
    let starts = whole.iter().filter(|event| event["type"] == "TOOL_CALL_START");
    assert_eq!(starts.map(|event| &event["toolCallId"]).collect::<Vec<_>>(), ["call_0", "call_0#2"]);
}

#[tokio::test]
async fn a_repeated_request_starts_nothing_and_answers_once() {
    let endpoint = ModelEndpoint::start().await;
    let server = TestServer::start_with(|config| endpoint.configure(config)).await;
    let workflow = workflow(&server).await;
    let path = format!("/api/v1/ag-ui/{workflow}");
    let input = json!({"threadId": "t", "runId": "r", "messages": [], "forwardedProps": {"topic": "x"}, "new": 1});
    let start = || async { all(EventSource::open(server.request(Method::POST, &path).json(&input)).await).await };
    let (first, second) = tokio::join!(start(), start());
    let id = |events: &[Value]| {
        let state = events.iter().find(|event| event["type"] == "STATE_SNAPSHOT").expect("a state");
        state["snapshot"]["id"].as_str().expect("an id").to_owned()
    };
    assert_eq!(id(&first), id(&second));
    let interrupt = |events: &[Value]| events.last().expect("an end")["outcome"]["interrupts"][0].clone();
    assert_eq!(interrupt(&first), interrupt(&second));
    let about = &interrupt(&first)["metadata"];
    assert_eq!(*about, json!({"sessionId": id(&first), "nodeId": "check", "name": "check", "type": "human_review"}));
    let (_, sessions) = server.get("/api/v1/sessions").await;
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1));
    let resume = |run: &str, interrupt: &str| {
        let answer = json!([{"interruptId": interrupt, "status": "cancelled"}]);
        json!({"threadId": "t", "runId": run, "messages": [], "resume": answer})
    };
    let asked = interrupt(&first)["id"].as_str().expect("an id").to_owned();
    for _ in 0..2 {
        let events = all(EventSource::open(server.request(Method::POST, &path).json(&resume("s", &asked))).await).await;
        let end = events.last().expect("an end");
        assert_eq!(end["type"], "RUN_ERROR", "a review that was rejected: {end}");
    }
    for (body, code) in [
        (resume("u", &asked), "not_waiting"),
        (resume("u", &asked.replace(":check:1", ":check:2")), "not_waiting"),
        (resume("u", "yesterday"), "bad_request"),
        (json!({"threadId": "", "runId": "r", "messages": []}), "bad_request"),
        (json!({"threadId": "t", "messages": []}), "bad_request"),
        (resume("u", &format!("{}:n:1@1", uuid::Uuid::now_v7())), "not_found"),
    ] {
        server.refused(Method::POST, &path, Some(body), code).await;
    }
    let nowhere = format!("/api/v1/ag-ui/{}", uuid::Uuid::now_v7());
    server.refused(Method::POST, &nowhere, Some(input.clone()), "not_found").await;
    // An interrupt belongs to the workflow whose agent was asked.
    let (status, _) = server.post(&nowhere, resume("u", &asked)).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
