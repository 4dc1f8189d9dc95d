//! Server-sent events: the frames of a socket over HTTP.

mod endings;
mod logs;
mod pressure;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Event, EventSource, Part, TestServer, context, node, problem};

fn message(id: &str, content: &str) -> Value {
    json!({"type": "addMessage", "messageId": id, "nodeId": "a", "content": content})
}

/// A run with messages and usage, of which each step is a revision of its own.
fn story() -> Vec<Value> {
    vec![
        json!({"type": "start"}),
        node("a", "running"),
        message("m1", "first, with a line\nbreak and \u{2028} another"),
        json!({"type": "recordUsage", "nodeId": "a", "model": "m", "inputTokens": 3, "outputTokens": 4}),
        context("k", json!({"deep": ["ä", 1.5]})),
        message("m2", "second"),
        crate::inside::log("a", "warn", "a line\nbreak and \u{2028} another"),
        node("a", "completed"),
        json!({"type": "complete"}),
    ]
}

async fn resumed(server: &TestServer, path: &str, last: &str) -> EventSource {
    EventSource::open(server.request(Method::GET, path).header("last-event-id", last)).await
}

/// The id of an event must be where the client may resume: the revision, if it holds all of it then.
fn assert_id(event: &Event) {
    let expected = match &*event.kind {
        "snapshot" | "delta" | "event" | "end" => Some(event.data["revision"].to_string()),
        _ => None,
    };
    assert_eq!(event.id, expected, "{event:?}");
    assert_eq!(event.data["type"], *event.kind, "{event:?}");
}

#[tokio::test]
async fn a_stream_has_the_frames_of_the_socket() {
    let server = TestServer::start().await;
    for mode in ["snapshot", "delta", "events"] {
        let id = server.new_session().await;
        let query = format!("mode={mode}&messages=true&logs=true");
        let mut socket = server.socket(&format!("/ws/sessions/{id}?{query}")).await;
        let mut stream = server.stream(&format!("/api/v1/sessions/{id}/stream?{query}")).await;
        for name in ["cache-control", "x-accel-buffering"] {
            let expected = if name == "cache-control" { "no-cache" } else { "no" };
            assert_eq!(stream.headers[name], expected, "{name}");
        }
        let mut commands = story().into_iter();
        loop {
            // All of a step is shown before the next, so that nothing is conflated.
            loop {
                let (frame, event) = (socket.frame().await, stream.event().await);
                assert_eq!(event.data, frame, "{mode}");
                assert_id(&event);
                if frame["type"] == "end" {
                    assert!(event.retry.is_some_and(|retry| retry >= 60_000), "a browser would come back at once");
                    break;
                }
                let is_last = frame["event"]["type"] != "completed" && frame["session"]["status"] != "completed";
                let is_text = frame["type"] == "message" || frame["type"] == "log";
                if !is_text && is_last && frame["patch"]["status"] != "completed" {
                    break;
                }
            }
            let Some(command) = commands.next() else { break };
            server.command(&id, command).await;
        }
        assert_eq!(stream.part().await, Part::End, "{mode}");
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_off_anywhere_resumes_without_a_gap() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    for command in story() {
        server.command(&id, command).await;
    }
    let path = format!("/api/v1/sessions/{id}/stream?mode=events&messages=true");
    let whole = server.stream(&path).await.rest().await;
    assert_eq!(whole.len(), 10 + 2 + 1, "{whole:?}");
    for cut in 1..whole.len() {
        let mut last = String::new();
        for event in &whole[..cut] {
            last = event.id.clone().unwrap_or(last);
        }
        let after = resumed(&server, &path, &last).await.rest().await;
        // A message stands before its event: whoever has read only the message is sent it again.
        let expected = &whole[cut - usize::from(whole[cut - 1].kind == "message")..];
        assert_eq!(after, expected, "after {cut} events");
    }
    // The header is newer than the address.
    let after = resumed(&server, &format!("{path}&after=2"), "8").await.rest().await;
    assert_eq!(after, whole[10..]);
    let after = server.stream(&format!("{path}&after=8")).await.rest().await;
    assert_eq!(after, whole[10..]);
}

#[tokio::test]
async fn states_resume_as_they_do_on_sockets() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/stream?mode=delta");
    let mut stream = resumed(&server, &path, "2").await;
    server.command(&id, context("k", json!(1))).await;
    let event = stream.event().await;
    assert_eq!((&*event.kind, &event.data["base"]), ("delta", &json!(2)), "nothing before the next change");
    let mut behind = resumed(&server, &path, "1").await;
    assert_eq!(behind.event().await.kind, "snapshot");
    let mut ahead = resumed(&server, &path, "2000").await;
    assert_eq!(ahead.event().await.data["revision"], 3);
}

#[tokio::test]
async fn words_arrive_as_they_are_written() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    server.command(&id, node("a", "running")).await;
    let mut stream = server.stream(&format!("/api/v1/sessions/{id}/stream?messages=true")).await;
    stream.event_of("snapshot").await;
    let chunk = json!([{"nodeId": "a", "messageId": "m", "text": "Hel"}]);
    let (status, _) = server.post(&format!("/api/v1/sessions/{id}/tokens"), chunk).await;
    assert!(status.is_success());
    let event = stream.event().await;
    assert_eq!((&*event.kind, &event.data["text"]), ("token", &json!("Hel")));
    assert_id(&event);
    server.command(&id, message("m", "Hello")).await;
    assert_eq!(stream.event().await.data["message"]["content"], "Hello");
    assert_eq!(stream.event().await.kind, "snapshot");
}

#[tokio::test]
async fn the_live_list_comes_as_events() {
    let server = TestServer::start().await;
    server.new_session().await;
    let mut socket = server.socket("/ws/sessions?status=running&limit=5").await;
    let mut stream = server.stream("/api/v1/sessions/stream?status=running&limit=5").await;
    let whole = stream.event().await;
    assert_eq!((&*whole.kind, &whole.data), ("sessions", &socket.frame().await));
    let id = server.running_session().await;
    for (command, change) in [(None, "added"), (Some("pause"), "removed")] {
        if let Some(command) = command {
            server.command(&id, json!({"type": command})).await;
        }
        let event = stream.event().await;
        assert_eq!((&*event.kind, &event.data), ("session", &socket.frame().await));
        assert_eq!((&event.data["change"], &event.data["session"]["id"]), (&json!(change), &json!(id)));
        assert_id(&event);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_before_the_first_byte() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let nowhere = uuid::Uuid::now_v7();
    for (path, code) in [
        (format!("/api/v1/sessions/{nowhere}/stream"), "not_found"),
        ("/api/v1/sessions/x/stream".to_owned(), "bad_request"),
        (format!("/api/v1/sessions/{id}/stream?mode=all"), "bad_request"),
        (format!("/api/v1/sessions/{id}/stream?mod=delta"), "bad_request"),
        ("/api/v1/sessions/stream?status=lost".to_owned(), "bad_request"),
        ("/api/v1/sessions/stream?limit=0".to_owned(), "bad_request"),
    ] {
        server.refused(Method::GET, &path, None, code).await;
    }
    let path = format!("/api/v1/sessions/{id}/stream");
    let request = server.request(Method::GET, &path).header("last-event-id", "yesterday");
    let refused = problem(request, "bad_request").await;
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("Last-Event-ID")), "{refused}");
    // An empty one is none.
    assert_eq!(resumed(&server, &path, "").await.event().await.kind, "snapshot");
}

#[tokio::test]
async fn a_comment_keeps_the_connection_open() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut stream = server.stream(&format!("/api/v1/sessions/{id}/stream")).await;
    stream.event().await;
    assert_eq!(stream.part().await, Part::Comment);
}
