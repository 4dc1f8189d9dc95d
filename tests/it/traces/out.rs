//! What the server exports: one trace from a command to its last viewer, and nothing that holds up a command.

use std::time::{Duration, Instant};

use relive::config::{SampledShare, TracesSampler};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::collector::{Collector, Span, named};
use crate::engine::support::{graph, until_ended};
use crate::harness::{Socket, TestServer, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(trace: &str, is_sampled: bool) -> String {
    format!("00-{trace}-{PARENT}-0{}", u8::from(is_sampled))
}

async fn server(collector: &Collector) -> TestServer {
    TestServer::start_with(|config| collector.configure(config)).await
}

/// Sends a body with a `traceparent`; returns the answer.
async fn post(server: &TestServer, path: &str, traceparent: &str, body: Value) -> Value {
    let request = server.request(Method::POST, path).header("traceparent", traceparent).json(&body);
    let response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
    response.json().await.expect("JSON")
}

/// What every trace of a command has, below its first span.
fn assert_children(spans: &[Span], first: &Span, session: &str) {
    let [decide, queue, commit, broadcast] = ["decide", "queue", "commit", "broadcast"].map(|name| named(spans, name));
    for child in [decide, queue, commit, broadcast] {
        assert_eq!((&*child.parent, child.parent_is_remote), (&*first.id, false), "{child:?}");
        assert!(child.began <= child.ended && first.began <= child.began, "{child:?}");
    }
    assert!(decide.ended <= queue.ended && queue.ended <= commit.began, "{spans:#?}");
    assert!(commit.ended <= broadcast.began && commit.ended <= first.ended, "{spans:#?}");
    let batch = ["commands", "sessions", "events"].map(|of| &commit.attributes[format!("relive.batch.{of}")]);
    assert_eq!(batch, [1, 1, 1]);
    assert_eq!(commit.attributes["db.system.name"], "postgresql");
    assert_eq!(broadcast.attributes["relive.viewers"], 2);
    assert_eq!(first.attributes["relive.session.id"], session);
    assert!(spans.iter().all(|span| span.service == "relive" && !span.is_error));
}

/// A session that runs, and two viewers that hold its newest state.
async fn watched(server: &TestServer) -> (String, [Socket; 2]) {
    let id = server.running_session().await;
    let mut viewers = Vec::new();
    for _ in 0..2 {
        let mut viewer = server.socket(&format!("/ws/sessions/{id}")).await;
        viewer.frame_of("snapshot").await;
        viewers.push(viewer);
    }
    let viewers = viewers.try_into().unwrap_or_else(|_| panic!("two"));
    (id, viewers)
}

#[tokio::test]
async fn a_command_over_http_is_one_trace_to_its_last_viewer() {
    let collector = Collector::start().await;
    let server = server(&collector).await;
    let (id, mut viewers) = watched(&server).await;
    let command = json!({"type": "setContext", "key": "k", "value": 1});
    let path = format!("/api/v1/sessions/{id}/commands");
    post(&server, &path, &traceparent(TRACE, true), command).await;
    for viewer in &mut viewers {
        viewer.until(|frame| frame["revision"] == 3).await;
    }
    let name = "POST /api/v1/sessions/{id}/commands";
    let spans = collector.until(TRACE, &[name, "broadcast", "commit", "decide", "queue"]).await;
    let first = named(&spans, name);
    assert_eq!((&*first.parent, first.parent_is_remote, first.kind), (PARENT, true, 2));
    let of = &first.attributes;
    assert_eq!(
        (&of["http.request.method"], &of["http.route"]),
        (&json!("POST"), &json!("/api/v1/sessions/{id}/commands"))
    );
    assert_eq!((&of["url.path"], &of["http.response.status_code"]), (&json!(path), &json!(200)));
    assert_children(&spans, first, &id);
}

#[tokio::test]
async fn a_command_over_a_socket_is_in_the_trace_of_its_frame_or_of_the_handshake() {
    let collector = Collector::start().await;
    let server = server(&collector).await;
    let (id, _viewers) = watched(&server).await;
    let of_handshake = TRACE.replace("0af7", "ffff");
    let mut request = format!("ws://{}/ws", server.address()).into_client_request().expect("a request");
    request.headers_mut().insert("traceparent", traceparent(&of_handshake, true).parse().expect("a header"));
    let (stream, _) = connect_async(request).await.expect("a WebSocket");
    let mut driver = Socket { stream };
    let command = json!({"type": "setContext", "key": "k", "value": 1});
    driver
        .send(json!({"type": "command", "id": "1", "sessionId": id, "command": command,
                     "traceparent": traceparent(TRACE, true), "tracestate": "a=1"}))
        .await;
    assert_eq!(driver.frame().await["type"], "ack");
    let names = ["broadcast", "command setContext", "commit", "decide", "queue"];
    let spans = collector.until(TRACE, &names).await;
    let first = named(&spans, "command setContext");
    assert_eq!((&*first.parent, first.parent_is_remote, first.kind), (PARENT, true, 2));
    assert_eq!(first.attributes["relive.revision"], 3);
    assert_children(&spans, first, &id);

    // What is malformed is ignored.
    let command = json!({"type": "setContext", "key": "k", "value": 2});
    let frame = json!({"type": "command", "id": "2", "sessionId": id, "command": command, "traceparent": "nonsense"});
    driver.send(frame).await;
    assert_eq!(driver.frame().await["type"], "ack");
    let names = ["GET /ws", "broadcast", "command setContext", "commit", "decide", "queue"];
    let spans = collector.until(&of_handshake, &names).await;
    let first = named(&spans, "command setContext");
    assert_eq!((&*first.parent, first.parent_is_remote), (PARENT, true));
    assert_children(&spans, first, &id);

    // A refused one says why.
    let refused = TRACE.replace("0af7", "eeee");
    let command = json!({"type": "signal", "nodeId": "nobody", "payload": 1});
    let traced = traceparent(&refused, true);
    let frame = json!({"type": "command", "id": "3", "sessionId": id, "command": command, "traceparent": traced});
    driver.send(frame).await;
    assert_eq!(driver.frame().await["code"], "not_waiting");
    let spans = collector.until(&refused, &["command signal", "decide", "decide"]).await;
    let first = named(&spans, "command signal");
    assert_eq!((first.is_error, &first.attributes["error.type"]), (true, &json!("not_waiting")));
}

#[tokio::test]
async fn what_is_not_sampled_is_not_recorded() {
    let collector = Collector::start().await;
    let server = TestServer::start_with(|config| {
        collector.configure(config);
        config.traces.otlp_headers = Some("authorization=Bearer%20k".to_owned().into());
        config.traces.otel_service_name = Some("runs".to_owned());
        config.traces.otel_traces_sampler = TracesSampler { is_parent_based: true, share: SampledShare::None };
    })
    .await;
    server.running_session().await;
    let made = post(&server, "/api/v1/sessions", &traceparent(TRACE, false), json!({})).await;
    // It is kept all the same.
    assert_eq!(made["traceparent"], traceparent(TRACE, false));
    let sampled = TRACE.replace("0af7", "ffff");
    post(&server, "/api/v1/sessions", &traceparent(&sampled, true), json!({})).await;
    let spans = collector.until(&sampled, &["POST /api/v1/sessions", "commit"]).await;
    assert!(spans.iter().all(|span| span.service == "runs"));
    assert_eq!(collector.all().len(), 2, "{:#?}", collector.all());
    assert_eq!(collector.keys().first().map(String::as_str), Some("Bearer k"));
}

#[tokio::test]
async fn a_run_of_the_engine_is_in_the_trace_that_its_request_began() {
    let collector = Collector::start().await;
    let server = server(&collector).await;
    let graph = graph(&[("wait", "delay", json!({"seconds": 0.01}), &[])]);
    let id = server.create(json!({"graph": graph, "driver": "builtin"})).await;
    let kept = server.session(&id).await["traceparent"].as_str().expect("a trace").to_owned();
    server.command(&id, json!({"type": "start"})).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    let trace = kept.split('-').nth(1).expect("an id");
    let has = |name: &str| collector.trace(trace).iter().any(|span| span.name == name);
    eventually("the run is in the trace", async || has("command complete") && has("node delay")).await;
    let spans = collector.trace(trace);
    let first = named(&spans, "POST /api/v1/sessions");
    assert_eq!(kept, format!("00-{trace}-{}-01", first.id));
    assert_eq!(named(&spans, "node delay").parent, first.id);
    assert_eq!(named(&spans, "command complete").parent, first.id);
}

#[tokio::test]
async fn a_server_shows_the_traces_of_another_and_its_own() {
    let shown = TestServer::start().await;
    let endpoint = shown.url("/v1/traces");
    let server = TestServer::start_with(|config| config.traces.otlp_traces_endpoint = Some(endpoint)).await;
    post(&server, "/api/v1/sessions", &traceparent(TRACE, true), json!({})).await;
    let session = "/api/v1/sessions/0af76519-16cd-43dd-8448-eb211c80319c";
    let is_there = async || shown.get(session).await.1["nodes"].as_object().is_some_and(|nodes| nodes.len() >= 2);
    eventually("the trace is a session", is_there).await;
    let nodes = shown.get(session).await.1["nodes"].clone();
    let mut names: Vec<&str> =
        nodes.as_object().expect("nodes").values().filter_map(|node| node["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["POST /api/v1/sessions", "commit"]);
    // Its database is not that of `server`, which says nothing of its own exports.
    let (_, page) = server.get("/api/v1/sessions").await;
    assert_eq!(page["sessions"].as_array().map(Vec::len), Some(1));
}

/// The value of a counter in this process.
async fn spans_that(server: &TestServer, outcome: &str) -> f64 {
    let response = server.request(Method::GET, "/metrics").send().await.expect("an answer");
    let text = response.text().await.expect("a text");
    let name = format!("relive_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or("0");
    line.parse().expect("a number")
}

#[tokio::test]
async fn an_endpoint_that_is_away_or_silent_holds_up_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    for (listener, is_gone) in [(gone, true), (silent, false)] {
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        // It accepts connections, and says nothing.
        let held = (!is_gone).then_some(listener);
        let server = TestServer::start_with(|config| config.traces.otlp_endpoint = Some(url)).await;
        let lost = spans_that(&server, if is_gone { "failed" } else { "dropped" }).await;
        let began = Instant::now();
        let id = server.running_session().await;
        let many: Vec<Value> = (0..2_000).map(|n| json!({"type": "setContext", "key": "k", "value": n})).collect();
        let mut driver = server.socket("/ws").await;
        for (n, command) in many.iter().enumerate() {
            driver.send(json!({"type": "command", "id": n.to_string(), "sessionId": id, "command": command})).await;
        }
        for _ in &many {
            assert_eq!(driver.frame().await["type"], "ack");
        }
        assert!(began.elapsed() < Duration::from_secs(8), "held up for {:?}", began.elapsed());
        // 2,000 commands are 8,000 spans.
        let outcome = if is_gone { "failed" } else { "dropped" };
        let is_counted = async || spans_that(&server, outcome).await > lost;
        eventually("the spans that are lost are counted", is_counted).await;
        let ready = server.request(Method::GET, "/readyz").send().await.expect("an answer");
        assert_eq!(ready.status(), StatusCode::OK);
        let began = Instant::now();
        server.stop().await;
        assert!(began.elapsed() < Duration::from_secs(8), "stopped after {:?}", began.elapsed());
        drop(held);
    }
}
