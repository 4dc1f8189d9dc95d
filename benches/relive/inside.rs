//! What is inside of nodes, in a run of 10,000 nested nodes and 100,000 log lines: a change deep inside, as bytes
//! and time to a viewer in delta mode; writing log lines, beside messages of the same size; and pages of lines.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Server, Table, median};
use super::websocket::{self, Client};

const NODES: usize = 10_000;
const LINES: usize = 100_000;
/// Commands in one request, as many as the server takes.
const BATCH: usize = 1_000;
const CHANGES: usize = 200;
const PAGES: usize = 50;

pub fn run(server: &Server, table: &mut Table) {
    let (few, many) = (nested(server, 10), nested(server, NODES));
    let (small, _) = change(server, &few, 10, 0);
    let (large, bytes) = change(server, &many, NODES, 0);
    table.row(
        &format!("inside: a change below {NODES} nested nodes, to its viewer"),
        format!("{large:.2?}, {bytes} B"),
        format!("{small:.2?}, below 10"),
        format!("{:.2}x", large.as_secs_f64() / small.as_secs_f64()),
        "at most 3x, under 500 B",
    );
    let messages = texts(server, &few, |n| json!({"type": "addMessage", "nodeId": "n0", "content": line(n)}));
    let logs = texts(
        server,
        &many,
        |n| json!({"type": "addLog", "nodeId": format!("n{}", n % NODES), "level": if n % 1_000 == 0 { "error" } else { "info" }, "text": line(n)}),
    );
    table.row(
        &format!("inside: {LINES} log lines"),
        format!("{logs:.0} lines/s"),
        format!("{messages:.0} messages/s"),
        format!("{:.2}x", logs / messages),
        "-",
    );
    for (name, query) in [
        ("the newest 100", "order=desc&limit=100"),
        ("100 of one node", "nodeId=n77&limit=100"),
        ("100 errors", "level=error&limit=100"),
        ("100 with a text that few have", "text=line+99999&limit=100"),
    ] {
        let took = page(server, &format!("/api/v1/sessions/{many}/logs?{query}"));
        let plain = page(server, &format!("/api/v1/sessions/{few}/messages?limit=100"));
        table.row(
            &format!("inside: a page of {LINES} log lines, {name}"),
            format!("{took:.2?}"),
            format!("{plain:.2?}, 100 messages"),
            format!("{:.2}x", took.as_secs_f64() / plain.as_secs_f64()),
            "-",
        );
    }
    let (after, bytes) = change(server, &many, NODES, 1);
    table.note(format!("inside: with {LINES} log lines the same change takes {after:.2?} and {bytes} B"));
}

fn line(n: usize) -> String {
    format!("line {n}: something was done, and it took some milliseconds")
}

/// A running session of so many nodes, ten below each.
fn nested(server: &Server, nodes: usize) -> String {
    let session = server.post("/api/v1/sessions", &json!({}))["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/sessions/{session}/commands");
    server.post(&path, &json!({"type": "start"}));
    let all: Vec<Value> = (0..nodes)
        .map(|n| {
            let mut command = json!({"type": "setNodeStatus", "nodeId": format!("n{n}"), "status": "running", "kind": "tool",
                "attributes": {"number": n}});
            if n > 0 {
                command["parentNodeId"] = json!(format!("n{}", n / 10));
            }
            command
        })
        .collect();
    for batch in all.chunks(BATCH) {
        server.post(&path, &json!(batch));
    }
    session
}

/// The time from a command to its viewer, and the bytes it is sent. A round changes what those before it did not: what
/// stays as it is, no viewer is sent.
fn change(server: &Server, session: &str, nodes: usize, round: usize) -> (Duration, u64) {
    let mut viewer = Client::new(websocket::open(server.address, &format!("/ws/sessions/{session}?mode=delta")));
    viewer.wait_for_states(1);
    let mut driver = Client::new(websocket::open(server.address, "/ws"));
    let before = viewer.frames.state_bytes;
    let mut times = Vec::new();
    for n in 0..CHANGES {
        let command = json!({"type": "setNodeStatus", "nodeId": format!("n{}", (n * 7_919 + 1) % nodes), "status": "running",
            "attributes": {"step": round * CHANGES + n}});
        let mut frame = Vec::new();
        websocket::push_frame(
            &mut frame,
            &json!({"type": "command", "id": n.to_string(), "sessionId": session, "command": command}),
        );
        let (states, acks) = (viewer.frames.states + 1, driver.frames.acks + 1);
        let started = Instant::now();
        driver.send(&frame);
        viewer.wait_for_states(states);
        times.push(started.elapsed());
        driver.wait_for_acks(acks);
    }
    (median(&mut times), (viewer.frames.state_bytes - before) / CHANGES as u64)
}

/// Texts stored per second.
fn texts(server: &Server, session: &str, text: impl Fn(usize) -> Value) -> f64 {
    let path = format!("/api/v1/sessions/{session}/commands");
    let started = Instant::now();
    for batch in 0..LINES / BATCH {
        server.post(&path, &json!((0..BATCH).map(|n| text(batch * BATCH + n)).collect::<Vec<_>>()));
    }
    LINES as f64 / started.elapsed().as_secs_f64()
}

fn page(server: &Server, path: &str) -> Duration {
    let mut times: Vec<Duration> = (0..PAGES)
        .map(|_| {
            let started = Instant::now();
            server.get(path);
            started.elapsed()
        })
        .collect();
    median(&mut times)
}
