//! W3C Trace Context: the trace of the request that creates a session is kept with it, and passed on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::routing::any;
use axum::{Json, Router};
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::engine::support::{graph, until_ended};
use crate::harness::{Receiver, Socket, TestServer};
use crate::webhooks::{hook_for_all, open};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

/// Sends a body with these headers; returns the answer, which must be 200 or 201.
async fn send(server: &TestServer, path: &str, headers: &[(&str, &str)], body: Value) -> Value {
    let mut request = server.request(Method::POST, path).json(&body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let answer: Value = response.json().await.expect("JSON");
    assert!(matches!(status, StatusCode::OK | StatusCode::CREATED), "{status}: {answer}");
    answer
}

async fn traced(server: &TestServer) -> String {
    let headers = [("traceparent", PARENT), ("tracestate", STATE)];
    let made = send(server, "/api/v1/sessions", &headers, json!({})).await;
    made["id"].as_str().expect("an id").to_owned()
}

/// What a session, an event or a line of a file says of its trace.
fn trace_of(value: &Value) -> (&Value, &Value) {
    (&value["traceparent"], &value["tracestate"])
}

#[tokio::test]
async fn the_trace_of_a_session_is_shown_exported_and_imported() {
    let server = TestServer::start().await;
    let id = traced(&server).await;
    let (parent, state) = (json!(PARENT), json!(STATE));
    let kept = (&parent, &state);
    assert_eq!(trace_of(&server.session(&id).await), kept);
    assert_eq!(trace_of(&server.events(&id).await[0]["event"]), kept);
    server.command(&id, json!({"type": "start"})).await;
    assert_eq!(trace_of(&server.session(&format!("{id}?revision=1")).await), kept);
    let mut socket = Socket::open(server.address(), &format!("/ws/sessions/{id}")).await;
    assert_eq!(trace_of(&socket.frame_of("snapshot").await["session"]), kept);
    let export = server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("a file");
    let file = export.text().await.expect("a text");
    assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, StatusCode::NO_CONTENT);
    // The trace of the import is none of the session's.
    let other = PARENT.replace("0af7", "ffff");
    let import = server.request(Method::POST, "/api/v1/sessions/import").header("traceparent", &other);
    let imported = import.header("content-type", "application/x-ndjson").body(file.clone()).send().await.expect("sent");
    assert_eq!(imported.status(), StatusCode::CREATED);
    let imported: Value = imported.json().await.expect("JSON");
    assert_eq!(trace_of(&server.session(imported["id"].as_str().expect("an id")).await), kept);
    // A file says what no header could.
    let forged = file.replacen(PARENT, "00-nonsense", 1);
    let refused = server.request(Method::POST, "/api/v1/sessions/import").body(forged).send().await.expect("sent");
    assert!(refused.status().is_client_error(), "{}", refused.status());
}

#[tokio::test]
async fn a_fork_belongs_to_the_trace_of_its_own_request() {
    let server = TestServer::start().await;
    let id = traced(&server).await;
    let path = format!("/api/v1/sessions/{id}/fork");
    let fork = send(&server, &path, &[], json!({"revision": 1})).await;
    assert_eq!(trace_of(&fork), (&Value::Null, &Value::Null));
    let other = PARENT.replace("0af7", "ffff");
    let fork = send(&server, &path, &[("traceparent", &other)], json!({"revision": 1})).await;
    assert_eq!(trace_of(&fork), (&json!(other), &Value::Null));
    // A repeated request is answered as the first time, whatever trace it is in.
    let first = [("idempotency-key", "k"), ("traceparent", PARENT)];
    let first = send(&server, "/api/v1/sessions", &first, json!({})).await;
    let again = [("idempotency-key", "k"), ("traceparent", other.as_str())];
    assert_eq!(send(&server, "/api/v1/sessions", &again, json!({})).await, first);
}

#[tokio::test]
async fn a_malformed_trace_is_ignored_and_the_request_is_not() {
    let server = TestServer::start().await;
    let long = format!("{PARENT}{}", "-x".repeat(3_000));
    for hostile in ["", "nonsense", &PARENT.to_uppercase(), &PARENT.replace("00-0", "ff-0"), &long, "00-'; DROP TABLE"]
    {
        let headers = [("traceparent", hostile), ("tracestate", STATE)];
        let made = send(&server, "/api/v1/sessions", &headers, json!({})).await;
        assert_eq!(trace_of(&made), (&Value::Null, &Value::Null), "{hostile}");
    }
    let twice = [("traceparent", PARENT), ("traceparent", PARENT)];
    assert_eq!(trace_of(&send(&server, "/api/v1/sessions", &twice, json!({})).await), (&Value::Null, &Value::Null));
    let parted = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")];
    let made = send(&server, "/api/v1/sessions", &parted, json!({})).await;
    assert_eq!(trace_of(&made), (&json!(PARENT), &json!("a=1,b=2")));
    let bad_state = [("traceparent", PARENT), ("tracestate", "A=1")];
    let made = send(&server, "/api/v1/sessions", &bad_state, json!({})).await;
    assert_eq!(trace_of(&made), (&json!(PARENT), &Value::Null));
}

/// The path and the trace of every request to a tool and to a model.
type Asked = Arc<Mutex<Vec<(String, String, String)>>>;

async fn answer(State(asked): State<Asked>, uri: Uri, headers: HeaderMap) -> Json<Value> {
    let text = |name| headers.get(name).map_or("", |value| value.to_str().expect("a text")).to_owned();
    asked.lock().push((uri.path().to_owned(), text("traceparent"), text("tracestate")));
    Json(
        json!({"model": "m", "choices": [{"message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
    )
}

#[tokio::test]
async fn the_engine_passes_the_trace_on_to_tools_and_models() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Asked::default();
    let router = Router::new().fallback(any(answer)).with_state(Arc::clone(&asked));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let server = TestServer::start_with(|config| {
        config.engine.tool_hosts = vec!["127.0.0.1".to_owned()];
        config.engine.tool_allow_private = true;
        config.engine.llm_url = Some(format!("{url}/v1"));
        config.engine.llm_model = Some("m".to_owned());
    })
    .await;
    let graph = graph(&[
        ("tool", "tool", json!({"url": format!("{url}/tool")}), &["own"]),
        ("own", "tool", json!({"url": format!("{url}/own"), "headers": {"Traceparent": "its own"}}), &["model"]),
        ("model", "llm", json!({"prompt": "say ok"}), &[]),
    ]);
    let run = json!({"graph": graph, "driver": "builtin"});
    for (headers, parent, state) in
        [(vec![("traceparent", PARENT), ("tracestate", STATE)], PARENT, STATE), (vec![], "", "")]
    {
        let made = send(&server, "/api/v1/sessions", &headers, run.clone()).await;
        let id = made["id"].as_str().expect("an id");
        server.command(id, json!({"type": "start"})).await;
        assert_eq!(until_ended(&server, id).await["status"], "completed");
        let expected = [("/tool", parent, state), ("/own", "its own", ""), ("/v1/chat/completions", parent, state)];
        let expected = expected.map(|(path, parent, state)| (path.to_owned(), parent.to_owned(), state.to_owned()));
        assert_eq!(std::mem::take(&mut *asked.lock()), expected);
    }
}

#[tokio::test]
async fn webhooks_are_told_the_trace_of_the_session() {
    let (server, receiver) = (TestServer::start_with(open).await, Receiver::start().await);
    hook_for_all(&server, &receiver).await;
    let id = traced(&server).await;
    server.command(&id, json!({"type": "start"})).await;
    let plain = server.running_session().await;
    let received = receiver.wait_for(4).await;
    for one in received {
        let expected = if one.session() == id { (PARENT, STATE) } else { ("", "") };
        assert!(one.session() == id || one.session() == plain);
        assert_eq!((one.traceparent.as_str(), one.tracestate.as_str()), expected, "{}", one.kind());
    }
}

#[tokio::test]
async fn the_session_of_a_trace_of_opentelemetry_says_which_it_is() {
    let server = TestServer::start().await;
    let span = |id: &str, parent: &str| {
        json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": id, "parentSpanId": parent, "name": "n",
               "startTimeUnixNano": "1767225600000000000", "endTimeUnixNano": "1767225600000000001"})
    };
    let spans = json!([span("00000000000000c3", "b7ad6b7169203331"), span("b7ad6b7169203331", "")]);
    let export = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    // The exporter's own trace is none of it.
    let other = PARENT.replace("0af7", "ffff");
    send(&server, "/v1/traces", &[("traceparent", &other)], export).await;
    let session = server.session("0af76519-16cd-43dd-8448-eb211c80319c").await;
    assert_eq!(session["traceparent"], PARENT);
}
