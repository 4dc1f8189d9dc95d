//! Traces of OpenTelemetry over HTTP.

mod bodies;
mod endings;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Database, TestServer, eventually};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
/// The id of its session, in the default project.
const SESSION: &str = "5b8efff7-9803-8103-d269-b633813fc60c";
/// 2026-01-01T00:00:00Z, in nanoseconds.
const BEGAN: u64 = 1_767_225_600_000_000_000;

fn value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(value) => json!({"boolValue": value}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        // Integers are written as texts.
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Array(values) => json!({"arrayValue": {"values": values.iter().map(self::value).collect::<Vec<_>>()}}),
        other => panic!("{other} as an attribute"),
    }
}

fn attributes(pairs: &Value) -> Value {
    let pair = |(key, of): (&String, &Value)| json!({"key": key, "value": value(of)});
    pairs.as_object().expect("attributes").iter().map(pair).collect()
}

/// A span that began `from` and ended `to` milliseconds after the others.
fn span(id: &str, parent: &str, name: &str, (from, to): (u64, u64), of: Value) -> Value {
    let nanos = |millis: u64| (BEGAN + millis * 1_000_000).to_string();
    json!({
        "traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": name, "kind": 1,
        "startTimeUnixNano": nanos(from), "endTimeUnixNano": nanos(to), "attributes": attributes(&of),
    })
}

fn export(spans: &[Value]) -> Value {
    let resource = json!({"attributes": attributes(&json!({"service.name": "shop"}))});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "tests"}, "spans": spans}]}]})
}

async fn send(server: &TestServer, spans: &[Value]) -> Value {
    let (status, answer) = server.post("/v1/traces", export(spans)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// A run of an agent, who calls a model and a tool that fails.
fn agent() -> Vec<Value> {
    let asked = json!([{"role": "user", "parts": [{"type": "text", "content": "What is 1 + 1?"}]}]);
    let answered = json!([{"role": "assistant", "parts": [
        {"type": "text", "content": "I ask."}, {"type": "tool_call", "id": "c1", "name": "add", "arguments": {"a": 1}}]}]);
    let chat = json!({
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5, "gen_ai.input.messages": asked.to_string(),
        "gen_ai.output.messages": answered.to_string(), "temperature": 0.5,
    });
    let mut tool = span(
        "00000000000000c3",
        "00000000000000a1",
        "add",
        (30, 60),
        json!({
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": "{\"a\":1}",
        }),
    );
    tool["status"] = json!({"code": 2, "message": "no such number"});
    tool["events"] = json!([
        {"name": "retrying", "timeUnixNano": (BEGAN + 40_000_000).to_string(), "attributes": attributes(&json!({"n": 2}))},
        {"name": "exception", "timeUnixNano": (BEGAN + 50_000_000).to_string(), "attributes": attributes(&json!({
            "exception.type": "ValueError", "exception.message": "no such number", "exception.stacktrace": "in add()"}))},
    ]);
    vec![
        span("00000000000000a1", "", "agent run", (0, 100), json!({"gen_ai.operation.name": "invoke_agent"})),
        span("00000000000000b2", "00000000000000a1", "chat gpt-4o", (10, 20), chat),
        tool,
    ]
}

#[tokio::test]
async fn a_trace_is_a_session_and_its_spans_are_nodes() {
    let server = TestServer::start().await;
    assert_eq!(send(&server, &agent()).await, json!({}));
    let session = server.session(SESSION).await;
    assert_eq!((&session["status"], &session["name"]), (&json!("running"), &json!("agent run")));
    assert_eq!(session["metadata"], json!({"trace.id": TRACE, "service.name": "shop"}));
    assert_eq!(session["totalTokens"], 15);
    let nodes = &session["nodes"];
    let (root, chat, tool) = (&nodes["00000000000000a1"], &nodes["00000000000000b2"], &nodes["00000000000000c3"]);
    let shown = |node: &Value| json!([node["name"], node["kind"], node["status"], node["parentNodeId"]]);
    assert_eq!(shown(root), json!(["agent run", "agent", "completed", null]));
    assert_eq!(shown(chat), json!(["chat gpt-4o", "llm", "completed", "00000000000000a1"]));
    assert_eq!(shown(tool), json!(["add", "tool", "failed", "00000000000000a1"]));
    assert_eq!(root["startedAt"], "2026-01-01T00:00:00.000Z");
    assert_eq!(tool["completedAt"], "2026-01-01T00:00:00.060Z");
    assert_eq!(tool["error"], "ValueError: no such number\nin add()");
    assert_eq!(chat["tokenUsage"], json!({"inputTokens": 10, "outputTokens": 5}));
    assert_eq!(
        chat["attributes"],
        json!({
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5, "temperature": 0.5, "service.name": "shop",
        })
    );
    let (_, detail) = server.get(&format!("/api/v1/sessions/{SESSION}/nodes/00000000000000c3")).await;
    assert_eq!(detail["input"], json!({"a": 1}), "{detail}");
    let (_, page) = server.get(&format!("/api/v1/sessions/{SESSION}/messages")).await;
    let said = |message: &Value| json!([message["role"], message["content"], message["toolCalls"]]);
    let messages: Vec<_> = page["messages"].as_array().expect("messages").iter().map(said).collect();
    assert_eq!(
        messages,
        [
            json!(["user", "What is 1 + 1?", null]),
            json!(["agent", "I ask.", [{"id": "c1", "name": "add", "arguments": {"a": 1}}]]),
        ]
    );
    let (_, page) = server.get(&format!("/api/v1/sessions/{SESSION}/logs")).await;
    let said = |log: &Value| json!([log["level"], log["text"], log["at"], log["attributes"]]);
    let logs: Vec<_> = page["logs"].as_array().expect("logs").iter().map(said).collect();
    assert_eq!(
        logs,
        [
            json!(["info", "retrying", "2026-01-01T00:00:00.040Z", {"n": 2}]),
            json!(["error", "ValueError: no such number\nin add()", "2026-01-01T00:00:00.050Z", null]),
        ]
    );
}

/// What a trace looks like in the end, without what depends on the order in which its spans came.
async fn end_state(server: &TestServer) -> Value {
    let session = server.session(SESSION).await;
    let (_, messages) = server.get(&format!("/api/v1/sessions/{SESSION}/messages")).await;
    let (_, logs) = server.get(&format!("/api/v1/sessions/{SESSION}/logs")).await;
    let mut said: Vec<String> =
        messages["messages"].as_array().expect("messages").iter().map(|m| m["content"].to_string()).collect();
    said.extend(logs["logs"].as_array().expect("logs").iter().map(|log| log["text"].to_string()));
    said.sort();
    json!([session["name"], session["nodes"], session["totalTokens"], said])
}

/// Each span by itself, in every order, each twice, some at once, over two servers.
#[tokio::test]
async fn parts_of_a_trace_meet_in_one_session_in_whatever_order_they_come() {
    let spans = agent();
    let expected = {
        let server = TestServer::start().await;
        send(&server, &spans).await;
        end_state(&server).await
    };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let database = Database::create().await;
        let one = TestServer::start_on(database.clone(), |_| {}).await;
        let other = TestServer::start_on(database, |_| {}).await;
        for (turn, index) in order.into_iter().enumerate() {
            let again = std::slice::from_ref(&spans[index]);
            let (here, there) = if turn % 2 == 0 { (&one, &other) } else { (&other, &one) };
            // The first of a trace create its session at the same time.
            tokio::join!(send(here, again), send(there, again));
        }
        send(&one, &spans).await;
        assert_eq!(end_state(&one).await, expected, "{order:?}");
        eventually("the other server shows the same", async || end_state(&other).await == expected).await;
    }
}

/// The root of a trace is often in a process that reports nothing here.
#[tokio::test]
async fn a_parent_in_another_process_is_waited_for_but_not_shown() {
    let server = TestServer::start().await;
    let mut child = span("00000000000000b2", "00000000000000a1", "handle", (10, 20), json!({}));
    child["flags"] = json!(0x300);
    send(&server, std::slice::from_ref(&child)).await;
    let session = server.session(SESSION).await;
    assert_eq!(session["nodes"].as_object().expect("nodes").len(), 1);
    assert_eq!(session["nodes"]["00000000000000b2"]["attributes"]["otel.parentSpanId"], "00000000000000a1");
    send(&server, &[span("00000000000000a1", "", "call", (0, 30), json!({}))]).await;
    let session = server.session(SESSION).await;
    assert_eq!(session["name"], "call");
    let child = &session["nodes"]["00000000000000b2"];
    assert_eq!((&child["parentNodeId"], &child["status"]), (&json!("00000000000000a1"), &json!("completed")));
    assert_eq!(child["attributes"], json!({"service.name": "shop"}));
}

/// A local parent has not ended while its children have.
#[tokio::test]
async fn a_parent_that_has_not_ended_is_running() {
    let server = TestServer::start().await;
    send(&server, &[span("00000000000000b2", "00000000000000a1", "step", (10, 20), json!({}))]).await;
    let session = server.session(SESSION).await;
    assert_eq!(session["nodes"]["00000000000000a1"]["status"], "running");
    assert_eq!(session["activeNodeIds"], json!(["00000000000000a1"]));
}

#[tokio::test]
async fn each_project_has_a_session_of_its_own_for_a_trace() {
    let server = TestServer::start_with(|config| config.access.root_key = Some("root-key".to_owned().into())).await;
    let call = async |method, path: &str, project: &str, body: Option<Value>| {
        let mut request = server.request(method, path).bearer_auth("root-key").header("relive-project", project);
        if let Some(body) = body {
            request = request.json(&body);
        }
        crate::harness::answer(request).await
    };
    let (status, _) =
        call(Method::POST, "/api/v1/projects", "default", Some(json!({"id": "other", "name": "O"}))).await;
    assert_eq!(status, StatusCode::CREATED);
    for project in ["default", "other"] {
        let (status, answer) = call(Method::POST, "/v1/traces", project, Some(export(&agent()))).await;
        assert_eq!((status, answer), (StatusCode::OK, json!({})), "{project}");
        let (_, page) = call(Method::GET, "/api/v1/sessions", project, None).await;
        let found: Vec<_> =
            page["sessions"].as_array().expect("sessions").iter().map(|row| row["id"].clone()).collect();
        assert_eq!((found.len(), found[0] == json!(SESSION)), (1, project == "default"), "{project}");
    }
    let (status, _) = crate::harness::answer(server.request(Method::POST, "/v1/traces").json(&export(&agent()))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn twenty_thousand_spans_in_parts() {
    const PARTS: u64 = 20;
    const SPANS: u64 = 1_000;
    let server = TestServer::start().await;
    for part in (0..PARTS).rev() {
        let one = |number: u64| {
            let parent = if number == 0 { String::new() } else { format!("{:016x}", (number - 1) / 8 + 1) };
            span(&format!("{:016x}", number + 1), &parent, "step", (number, number + 1), json!({"n": number}))
        };
        let spans: Vec<_> = (part * SPANS..(part + 1) * SPANS).map(one).collect();
        assert_eq!(send(&server, &spans).await, json!({}));
    }
    let session = server.session(SESSION).await;
    let nodes = session["nodes"].as_object().expect("nodes");
    assert_eq!(nodes.len() as u64, PARTS * SPANS);
    assert!(nodes.values().all(|node| node["status"] == "completed"));
    // A session has no room for more.
    let answer = send(&server, &[span("00000000ffffffff", "", "one more", (0, 1), json!({}))]).await;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1", "{answer}");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().expect("a text").contains("number of nodes"), "{answer}");
}

fn protobuf(export: Value) -> Vec<u8> {
    serde_json::from_value::<ExportTraceServiceRequest>(export).expect("an export").encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(bytes).expect("compressed");
    writer.finish().expect("compressed")
}
