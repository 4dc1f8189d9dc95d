//! Log lines on event streams: the same lines as on sockets, in order, none missing.

use serde_json::{Value, json};

use super::{assert_id, message, resumed};
use crate::harness::{Database, Event, EventSource, Socket, TestServer};
use crate::inside::log;

/// The kinds and revisions of messages and log lines up to a revision, and that all of it was there before the state.
struct Texts(Vec<(String, u64)>);

impl Texts {
    fn add(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().expect("a type");
        if ["log", "message"].contains(&kind) {
            self.0.push((kind.to_owned(), frame["revision"].as_u64().expect("a revision")));
        }
    }

    async fn of_stream(stream: &mut EventSource, revision: u64) -> Self {
        let mut texts = Self(Vec::new());
        loop {
            let event = stream.event().await;
            assert_id(&event);
            texts.add(&event.data);
            if is_state(&event.data, revision) {
                return texts;
            }
        }
    }

    async fn of_socket(socket: &mut Socket, revision: u64) -> Self {
        let mut texts = Self(Vec::new());
        loop {
            let frame = socket.frame().await;
            texts.add(&frame);
            if is_state(&frame, revision) {
                return texts;
            }
        }
    }
}

fn is_state(frame: &Value, revision: u64) -> bool {
    ["snapshot", "delta", "event"].iter().any(|kind| frame["type"] == *kind) && frame["revision"] == revision
}

/// Every fourth is a message. More than is kept in memory, so that the first come from the database.
async fn talkative(server: &TestServer) -> String {
    let id = server.running_session().await;
    for part in 0..6 {
        let commands = (0..200).map(|n| {
            let text = format!("{part}-{n}");
            if n % 4 == 0 { message(&text, "said") } else { log("a", "info", &text) }
        });
        server.command(&id, Value::Array(commands.collect())).await;
    }
    id
}

#[tokio::test]
async fn a_stream_has_the_lines_of_the_socket_however_far_behind_it_is() {
    let server = TestServer::start().await;
    let id = talkative(&server).await;
    for mode in ["snapshot", "delta", "events"] {
        for (messages, expected) in [(true, 1_200), (false, 900)] {
            let query = format!("mode={mode}&logs=true&messages={messages}&after=2");
            let mut stream = server.stream(&format!("/api/v1/sessions/{id}/stream?{query}")).await;
            let mut socket = server.socket(&format!("/ws/sessions/{id}?{query}")).await;
            let streamed = Texts::of_stream(&mut stream, 1_202).await.0;
            assert_eq!(streamed.len(), expected, "{query}");
            assert!(streamed.windows(2).all(|pair| pair[0].1 < pair[1].1), "in order: {query}");
            assert_eq!(streamed, Texts::of_socket(&mut socket, 1_202).await.0, "{query}");
        }
    }
    // Whoever does not ask is sent none.
    let mut stream = server.stream(&format!("/api/v1/sessions/{id}/stream?mode=events&after=2")).await;
    assert_eq!(Texts::of_stream(&mut stream, 1_202).await.0, []);
}

#[tokio::test]
async fn a_stream_that_is_cut_off_among_lines_resumes_without_a_gap() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    for command in [
        json!({"type": "start"}),
        log("a", "debug", "one"),
        message("m", "between"),
        log("a", "error", "two, with a line\nbreak\r\nand data: another"),
        json!({"type": "complete"}),
    ] {
        server.command(&id, command).await;
    }
    // After the end too; nothing follows `end`, so it comes before.
    server.command(&id, log("a", "warn", "late")).await;
    let path = format!("/api/v1/sessions/{id}/stream?mode=events&messages=true&logs=true");
    let whole = server.stream(&path).await.rest().await;
    let kinds: Vec<&str> = whole.iter().map(|event| &*event.kind).collect();
    let expected =
        ["event", "event", "log", "event", "message", "event", "log", "event", "event", "log", "event", "end"];
    assert_eq!(kinds, expected, "{whole:?}");
    assert_eq!(whole[6].data["log"]["text"], "two, with a line\nbreak\r\nand data: another");
    for cut in 1..whole.len() {
        let last = whole[..cut].iter().rev().find_map(|event| event.id.clone()).unwrap_or_default();
        let after = resumed(&server, &path, &last).await.rest().await;
        // A line stands before its event: whoever has read only the line is sent it again.
        let again = usize::from(["log", "message"].contains(&&*whole[cut - 1].kind));
        assert_eq!(after, whole[cut - again..], "after {cut} events");
    }
}

#[tokio::test]
async fn lines_arrive_live_from_this_server_and_from_others() {
    let database = Database::create().await;
    let here = TestServer::start_on(database.clone(), |_| {}).await;
    let there = TestServer::start_on(database, |_| {}).await;
    let id = here.running_session().await;
    let path = format!("/api/v1/sessions/{id}/stream?logs=true");
    let (mut near, mut far) = (here.stream(&path).await, there.stream(&path).await);
    near.event_of("snapshot").await;
    far.event_of("snapshot").await;
    for (number, level) in ["debug", "info", "warn", "error"].into_iter().enumerate() {
        let mut line = log("a", level, &format!("line {number}"));
        line["attributes"] = json!({"file": "x.py", "line": number});
        let revision = here.command(&id, line.clone()).await;
        for stream in [&mut near, &mut far] {
            let Event { id, data, .. } = stream.event_of("log").await;
            assert_eq!((&data["revision"], &id), (&json!(revision), &None));
            for member in ["nodeId", "level", "text", "attributes"] {
                assert_eq!(data["log"][member], line[member], "{data}");
            }
            assert_eq!(stream.event_of("snapshot").await.data["revision"], revision);
        }
    }
}

/// More than the buffers between server and client hold.
#[tokio::test]
async fn a_slow_reader_misses_no_line() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut stream = server.stream(&format!("/api/v1/sessions/{id}/stream?mode=snapshot&logs=true")).await;
    stream.event_of("snapshot").await;
    let long = "x".repeat(60_000);
    let mut revision = 2;
    for _ in 0..20 {
        let lines = (0..10).map(|_| log("a", "info", &long)).collect();
        revision = server.command(&id, Value::Array(lines)).await;
    }
    let texts = Texts::of_stream(&mut stream, revision).await.0;
    let expected: Vec<(String, u64)> = (3..=revision).map(|revision| ("log".to_owned(), revision)).collect();
    assert_eq!(texts, expected);
}
