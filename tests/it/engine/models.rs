//! Nodes that ask a model.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{graph, output, start, start_with, story, until_ended};
use crate::harness::{Act, ModelEndpoint, TestServer, asked, eventually};

async fn server(endpoint: &ModelEndpoint) -> TestServer {
    TestServer::start_with(|config| endpoint.configure(config)).await
}

async fn messages(server: &TestServer, id: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/v1/sessions/{id}/messages")).await.1;
    page["messages"].as_array().expect("messages").clone()
}

#[tokio::test]
async fn an_agent_speaks_as_it_writes_and_is_kept_and_paid() {
    let endpoint = ModelEndpoint::start().await;
    endpoint.then([Act::Think("Let me see.", vec!["Hel", "lo"])]);
    let server = server(&endpoint).await;
    let agent =
        json!({"name": "Ada", "personaPrompt": "You are Ada.", "modelConfig": {"model": "gpt-4o", "temperature": 0.3}});
    let agent_id = server.post("/api/v1/agents", agent).await.1["id"].as_str().expect("an id").to_owned();
    let group = json!({"name": "G", "systemPrompt": "Be brief."});
    let group_id = server.post("/api/v1/groups", group).await.1["id"].clone();
    let speak = json!({"agent_uuid": agent_id, "prompt": "Greet {{inputs.who}}."});
    let nodes = graph(&[("a", "agent", speak, &["e"]), ("e", "end", json!({}), &[])]);
    let request = json!({"graph": nodes, "inputs": {"who": "Grace"}, "groupId": group_id, "driver": "builtin"});
    let id = server.create(request).await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=events&messages=true")).await;
    server.command(&id, json!({"type": "start"})).await;
    let (mut live, mut thought) = (String::new(), String::new());
    socket
        .until(|frame| {
            if frame["type"] == "token" {
                let text = if frame["isThinking"] == true { &mut thought } else { &mut live };
                text.push_str(frame["text"].as_str().expect("a text"));
                assert_eq!((&frame["nodeId"], &frame["agentId"]), (&json!("a"), &json!(agent_id)));
            }
            frame["type"] == "end"
        })
        .await;
    assert!("Hello".starts_with(&live) && "Let me see.".starts_with(&thought), "{live:?} {thought:?}");
    let session = server.session(&id).await;
    assert_eq!((&session["status"], &session["totalTokens"]), (&json!("completed"), &json!(12)), "{session}");
    assert!(session["totalCostUsd"].as_f64().is_some_and(|cost| cost > 0.0), "{session}");
    let said = messages(&server, &id).await;
    let kept: Vec<(&str, bool, &str)> = said
        .iter()
        .map(|m| (m["content"].as_str().unwrap(), m["isThinking"] == true, m["agentName"].as_str().unwrap()))
        .collect();
    assert_eq!(kept, [("Let me see.", true, "Ada"), ("Hello", false, "Ada")]);
    let request = &endpoint.requests()[0];
    assert_eq!((&request["model"], &request["temperature"]), (&json!("gpt-4o"), &json!(0.3)));
    assert_eq!(
        request["messages"],
        json!([{"role": "system", "content": "Be brief.\n\nYou are Ada."},
                                           {"role": "user", "content": "Greet Grace."}])
    );
    assert_eq!(endpoint.keys(), ["Bearer sk-test"]);
    let spoken = output(&server, &id, "a").await;
    assert_eq!((&spoken["text"], &spoken["usage"]["outputTokens"]), (&json!("Hello"), &json!(2)));
}

#[tokio::test]
async fn an_answer_that_stalls_or_breaks_off_is_an_error_and_what_came_is_kept() {
    let endpoint = ModelEndpoint::start().await;
    let server = server(&endpoint).await;
    for (act, problem) in [(Act::Stall("Half a"), "stalled"), (Act::BreakOff("Half a"), "broke off")] {
        endpoint.then([act]);
        let id = start(&server, graph(&[("a", "llm", json!({"prompt": "Speak."}), &[])])).await;
        let session = until_ended(&server, &id).await;
        let error = session["error"].as_str().expect("an error");
        assert!(error.contains("'a'") && error.contains(problem), "{error}");
        let said = messages(&server, &id).await;
        assert_eq!((said.len(), &said[0]["content"]), (1, &json!("Half a")));
        assert_eq!(output(&server, &id, "a").await["partial"], true);
    }
    // A node's own time limit keeps what came too.
    endpoint.then([Act::Stall("Slowly")]);
    let id = start(&server, graph(&[("a", "llm", json!({"prompt": "Speak.", "timeoutSeconds": 0.1}), &[])])).await;
    let error = until_ended(&server, &id).await["error"].clone();
    assert_eq!(error, "node 'a' failed: timed out after 0.1 s");
}

#[tokio::test]
async fn limits_and_server_errors_are_tried_again_and_refusals_are_not() {
    let endpoint = ModelEndpoint::start().await;
    let server = server(&endpoint).await;
    endpoint.then([Act::Status(429, Some("0.05")), Act::Status(503, Some("0")), Act::Whole("in one piece")]);
    let id = start(&server, graph(&[("a", "llm", json!({"prompt": "Speak."}), &[])])).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    assert_eq!(
        (output(&server, &id, "a").await["text"].clone(), endpoint.requests().len()),
        (json!("in one piece"), 3)
    );
    assert_eq!(story(&server, &id, "a").await, ["running", "completed"], "one attempt of the node");
    endpoint.then([Act::Status(400, None)]);
    let id = start(&server, graph(&[("a", "llm", json!({"prompt": "Speak."}), &[])])).await;
    let error = until_ended(&server, &id).await["error"].clone();
    assert_eq!(error, "node 'a' failed: the model endpoint refused the request with 400 Bad Request: not now");
    assert_eq!(endpoint.requests().len(), 4);
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_left_alone() {
    let endpoint = ModelEndpoint::answering(|_| Act::BreakOff("no")).await;
    let server = server(&endpoint).await;
    let ask = json!({"prompt": "Speak.", "onError": {"count": 9, "backoffSeconds": 0}});
    let id = start(&server, graph(&[("a", "llm", ask, &[])])).await;
    let error = until_ended(&server, &id).await["error"].clone();
    assert!(error.as_str().is_some_and(|error| error.contains("failed 5 times in a row")), "{error}");
    assert_eq!(endpoint.requests().len(), 5, "it was asked although it rests");
    let metrics = reqwest::get(server.url("/metrics")).await.expect("metrics").text().await.expect("a text");
    assert!(metrics.contains("relive_llm_breaker_open"), "{metrics}");
}

#[tokio::test]
async fn without_an_endpoint_the_start_is_refused_and_says_what_to_set() {
    let server = TestServer::start().await;
    let nodes = graph(&[("s", "start", json!({}), &["ask"]), ("ask", "llm", json!({"prompt": "?"}), &[])]);
    let id = server.create(json!({"graph": nodes, "driver": "builtin"})).await;
    let path = format!("/api/v1/sessions/{id}/control");
    let problem = server.refused(Method::POST, &path, Some(json!({"action": "start"})), "invalid_graph").await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("'ask'") && detail.contains("RELIVE_LLM_URL"), "{detail}");
    assert_eq!(server.session(&id).await["status"], "pending");
    let mut socket = server.socket("/ws").await;
    socket.send(json!({"type": "command", "id": "1", "sessionId": id, "command": {"type": "start"}})).await;
    assert_eq!(socket.frame().await["code"], "invalid_graph");
    let tool = graph(&[("t", "tool", json!({"url": "https://example.org"}), &[])]);
    let id = server.create(json!({"graph": tool, "driver": "builtin"})).await;
    let path = format!("/api/v1/sessions/{id}/control");
    let problem = server.refused(Method::POST, &path, Some(json!({"action": "start"})), "invalid_graph").await;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("RELIVE_TOOL_HOSTS")), "{problem}");
}

#[tokio::test]
async fn claims_are_verified_rounds_condensed_and_outputs_remembered() {
    let endpoint = ModelEndpoint::answering(|request| match asked(request) {
        claim if claim.starts_with("Claim:") => {
            Act::Say(vec!["```json\n{\"score\": 0.9, ", "\"explanation\": \"known\"}\n```"])
        }
        rounds if rounds.contains("speak: round") => Act::Say(vec!["They spoke."]),
        _ => Act::Say(vec!["round said"]),
    })
    .await;
    let server = server(&endpoint).await;
    let group_id = server.post("/api/v1/groups", json!({"name": "G"})).await.1["id"].clone();
    let memory = json!({"groupId": group_id, "content": "Owls hunt at night."});
    assert_eq!(server.post("/api/v1/memories", memory).await.0, 201);
    let nodes = graph(&[
        ("find", "memory_retrieval", json!({"query": "owls", "limit": 3}), &["speak"]),
        ("speak", "llm", json!({"prompt": "{{nodes.find.output.text}}"}), &["again"]),
        ("again", "loop", json!({"max_rounds": 3}), &["speak", "synth"]),
        ("synth", "context_synth", json!({"max_recent_rounds": 1}), &["check"]),
        (
            "check",
            "fact_check",
            json!({"claim": "{{nodes.synth.output.summary}}", "threshold": 0.8, "required": true}),
            &["keep"],
        ),
        (
            "keep",
            "end",
            json!({"output": "{{nodes.check.output.score}}",
                               "remember": {"content": "Verified: {{nodes.synth.output.summary}}", "metadata": {"score": "{{output}}"}}}),
            &[],
        ),
    ]);
    let id = start_with(&server, json!({"graph": nodes, "groupId": group_id})).await;
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed", "{session}");
    assert_eq!(output(&server, &id, "find").await["memories"][0]["content"], "Owls hunt at night.");
    let synth = output(&server, &id, "synth").await;
    assert_eq!(
        (&synth["rounds"], &synth["condensedRounds"], &synth["summary"]),
        (&json!(3), &json!(2), &json!("They spoke."))
    );
    let check = output(&server, &id, "check").await;
    assert_eq!((&check["score"], &check["passed"]), (&json!(0.9), &json!(true)));
    let search = json!({"groupId": group_id, "text": "Verified"});
    let found = server.post("/api/v1/memories/search", search).await.1;
    assert_eq!(found["memories"][0]["content"], "Verified: They spoke.", "{found}");
    assert_eq!(found["memories"][0]["metadata"]["score"], 0.9);
}

#[tokio::test]
async fn the_examples_run() {
    let endpoint = ModelEndpoint::answering(|request| {
        let system = request["messages"][0]["content"].as_str().unwrap_or_default();
        if system.contains("adjudicat") || asked(request).contains("score") {
            return Act::Say(vec!["{\"score\": 95, \"verdict\": \"good\"}"]);
        }
        Act::Say(vec!["An argument."])
    })
    .await;
    let server = server(&endpoint).await;
    for (name, text) in [
        ("debate", include_str!("../../../examples/debate.json")),
        ("optimize", include_str!("../../../examples/optimize.json")),
        ("engine-tour", include_str!("../../../examples/engine-tour.json")),
    ] {
        let workflow = json!({"name": name, "graph": serde_json::from_str::<Value>(text).expect(name)});
        let (status, stored) = server.post("/api/v1/workflows", workflow).await;
        assert_eq!(status, 201, "{name}: {stored}");
        let request = json!({"workflowId": stored["id"], "proposal": "Less is more."});
        let id = start_with(&server, request).await;
        eventually(&format!("{name} ends"), async || {
            let session = server.session(&id).await;
            for (node, state) in session["nodes"].as_object().expect("nodes") {
                if state["status"] == "suspended" {
                    super::support::review(&server, &id, node, "approve").await;
                }
            }
            session["completedAt"].is_string()
        })
        .await;
        let session = server.session(&id).await;
        assert_eq!(session["status"], "completed", "{name}: {session}");
    }
}

/// A stream of these deltas, with a reason to finish, the usage and the end.
fn streamed(deltas: &[Value], reason: &str) -> String {
    let event = |delta: &Value| format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta}]}));
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}],
                     "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    deltas.iter().fold(String::new(), |body, delta| body + &event(delta)) + &format!("data: {end}\n\ndata: [DONE]\n\n")
}

#[tokio::test]
async fn what_was_paid_for_is_kept_and_what_is_missing_of_it_is_told() {
    let endpoint = ModelEndpoint::start().await;
    let server = server(&endpoint).await;
    let says = |text: &str| vec![json!({"content": text})];
    let call = json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "find", "arguments": "{\"q\""}}]});
    let more = json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]});
    let calls = json!([{"id": "c1", "name": "find", "arguments": "{\"q\":1}"}]);
    let deep = "[".repeat(110) + &"]".repeat(110);
    for (deltas, reason, member, expected, said) in [
        (says("Hel"), "length", "finishReason", json!("length"), 1),
        (says("Hel"), "content_filter", "finishReason", json!("content_filter"), 1),
        (says("{\"a\":1}"), "stop", "json", json!({"a": 1}), 1),
        (says("{\"a\":\"x\\u0000y\"}"), "stop", "json", Value::Null, 1),
        (says("{\"a\":\"x\\u0000y\"}"), "stop", "jsonError", json!("it must not contain the character NUL"), 1),
        (says(&deep), "stop", "jsonError", json!("it must not be nested more than 100 levels deep"), 1),
        (vec![call, more], "tool_calls", "toolCalls", calls, 1),
        (vec![json!({"content": null, "refusal": "No."})], "stop", "refusal", json!("No."), 1),
    ] {
        endpoint.then([Act::Body(200, streamed(&deltas, reason))]);
        let nodes = graph(&[("a", "llm", json!({"prompt": "Find {{ inputs.what }}."}), &[])]);
        let id = start_with(&server, json!({"graph": nodes, "inputs": {"what": "owls"}})).await;
        let session = until_ended(&server, &id).await;
        assert_eq!((&session["status"], &session["totalTokens"]), (&json!("completed"), &json!(5)), "{session}");
        let node = server.get(&format!("/api/v1/sessions/{id}/nodes/a")).await.1;
        assert_eq!((&node["output"][member], messages(&server, &id).await.len()), (&expected, said), "{node}");
        assert_eq!(node["input"]["messages"], json!([{"role": "user", "content": "Find owls."}]), "{node}");
    }
    // The calls of a message are those of the model, with arguments that are an object where they can be.
    for (name, arguments, kept) in
        [("find", "{\"q\":1}", Some(json!({"q": 1}))), ("find", "{\"q\":", Some(json!("{\"q\":"))), ("", "{}", None)]
    {
        let call = json!({"index": 0, "id": "c1", "function": {"name": name, "arguments": arguments}});
        endpoint.then([Act::Body(200, streamed(&[json!({"tool_calls": [call]})], "tool_calls"))]);
        let id = start(&server, graph(&[("a", "llm", json!({"prompt": "?"}), &[])])).await;
        assert_eq!(until_ended(&server, &id).await["status"], "completed");
        let said = messages(&server, &id).await;
        let calls = kept.map(|arguments| json!([{"id": "c1", "name": name, "arguments": arguments}]));
        assert_eq!(said.first().map(|said| &said["toolCalls"]), calls.as_ref(), "{said:?}");
    }
    // Withheld altogether, there is no answer.
    endpoint.then([Act::Body(200, streamed(&says(""), "content_filter"))]);
    let id = start(&server, graph(&[("a", "llm", json!({"prompt": "?"}), &[])])).await;
    let error = until_ended(&server, &id).await["error"].clone();
    assert_eq!(error, "node 'a' failed: the model's answer was withheld by a content filter");
    // An answer that something else refuses to keep is paid for all the same.
    endpoint.then([Act::Body(200, streamed(&says("Hello"), "stop"))]);
    let assign = json!({"prompt": "?", "assign": {"context": {"k": "{{ output.nothing }}"}}});
    let id = start(&server, graph(&[("a", "llm", assign, &[])])).await;
    let session = until_ended(&server, &id).await;
    assert_eq!((&session["status"], &session["totalTokens"]), (&json!("failed"), &json!(5)), "{session}");
    assert_eq!(messages(&server, &id).await[0]["content"], "Hello");
}

#[tokio::test]
async fn an_answer_ends_when_the_endpoint_says_so_and_not_with_the_connection() {
    let endpoint = ModelEndpoint::start().await;
    let server = server(&endpoint).await;
    let body = streamed(&[json!({"content": "Hello"})], "stop");
    for body in [body.replace("data: [DONE]\n\n", ""), body] {
        endpoint.then([Act::Held(body)]);
        let id = start(&server, graph(&[("a", "llm", json!({"prompt": "?", "timeoutSeconds": 15}), &[])])).await;
        let session = until_ended(&server, &id).await;
        assert_eq!((&session["status"], &session["totalTokens"]), (&json!("completed"), &json!(5)), "{session}");
    }
}

#[tokio::test]
async fn an_endpoints_words_reach_the_error_without_its_key() {
    let endpoint = ModelEndpoint::start().await;
    let server = server(&endpoint).await;
    let key = "sk-test";
    for (status, body, words) in [
        (401, format!("{{\"error\":\"Incorrect key {key} \\u001b[31m\"}}"), "Incorrect key [redacted] [31m"),
        (404, "{\"detail\":\"model x not found\"}".to_owned(), "model x not found"),
        (200, format!("{{\"error\":{{\"message\":\"{key} is over its quota\"}}}}"), "[redacted] is over its quota"),
        (200, format!("<title>No {key} here</title>"), "No [redacted] here"),
        (200, streamed(&[json!({"content": "Your key is sk-"}), json!({"content": "test."})], "stop"), ""),
    ] {
        endpoint.then([Act::Body(status, body)]);
        let id = start(&server, graph(&[("a", "llm", json!({"prompt": "?"}), &[])])).await;
        let session = until_ended(&server, &id).await;
        let error = session["error"].as_str().unwrap_or_default();
        assert!(error.ends_with(words) && !error.chars().any(char::is_control), "{error:?}");
        let file = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
        let file = file.text().await.expect("a text");
        assert!(!file.contains(key), "{file}");
        assert!(words.is_empty() == file.contains("Your key is [redacted]."), "{file}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_closes_the_endpoint_for_nobody() {
    let endpoint = ModelEndpoint::answering(|request| match request["model"].as_str() {
        Some("long") => {
            let error =
                json!({"error": {"message": "maximum context length is 8192", "type": "invalid_request_error"}});
            Act::Body(200, format!("data: {error}\n\n"))
        }
        Some("unknown") => Act::Status(404, None),
        Some("broken") => Act::BreakOff("no"),
        _ => Act::Say(vec!["ok"]),
    })
    .await;
    let server = server(&endpoint).await;
    let ask = async |model: &str| {
        let properties = json!({"prompt": "?", "model": model, "onError": {"count": 6, "backoffSeconds": 0}});
        let id = start(&server, graph(&[("a", "llm", properties, &[])])).await;
        until_ended(&server, &id).await["error"].as_str().unwrap_or_default().to_owned()
    };
    assert!(ask("long").await.contains("maximum context length"));
    assert!(ask("unknown").await.contains("404"));
    assert!(ask("broken").await.contains("5 times in a row"));
    assert_eq!(ask("fine").await, "", "one model's failures are not another's");
}

#[tokio::test]
async fn tools_are_offered_and_further_tries_can_be_seen() {
    let endpoint = ModelEndpoint::start().await;
    let server = server(&endpoint).await;
    endpoint.then([Act::Status(429, Some("0.05")), Act::Say(vec!["ok"])]);
    let tools = json!([{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]);
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {}}});
    let properties = json!({"prompt": "?", "tools": tools, "tool_choice": "auto", "responseFormat": format,
                            "json": true, "modelParameters": {"top_p": 0.5}});
    let id = start(&server, graph(&[("a", "llm", properties, &[])])).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    let request = &endpoint.requests()[1];
    assert_eq!((&request["tools"], &request["tool_choice"]), (&tools, &json!("auto")));
    assert_eq!((&request["response_format"], &request["top_p"]), (&format, &json!(0.5)));
    let said = messages(&server, &id).await;
    let told = said.iter().find(|message| message["role"] == "system").expect("a message about the other try");
    assert!(told["content"].as_str().is_some_and(|text| text.contains("429") && text.contains("1 of 4")), "{told}");
    assert_eq!(said.iter().filter(|message| message["role"] == "agent").count(), 1);
}
