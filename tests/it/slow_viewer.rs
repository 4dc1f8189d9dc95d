//! A viewer that stops reading costs nobody else anything.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use socket2::{Domain, Socket as RawSocket, Type};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, client_async};

use crate::harness::{DEADLINE, Database, ServerProcess, Socket};
use crate::story::{get, running_session};

const NODES: usize = 2_000;
const VIEWERS: usize = 50;
const CHANGES: u64 = 150;

async fn start(database: &Database) -> ServerProcess {
    ServerProcess::start(&[("DATABASE_URL", &database.url()), ("RELIVE_EMBEDDING_DIM", "8")]).await
}

/// A WebSocket whose kernel takes only a few kilobytes for a client that does not read.
async fn narrow(server: &ServerProcess, path: &str) -> Socket {
    let raw = RawSocket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    raw.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    raw.connect(&server.address.into()).expect("connect");
    raw.set_nonblocking(true).expect("non-blocking");
    let tcp = TcpStream::from_std(raw.into()).expect("a stream");
    let url = format!("ws://{}{path}", server.address);
    let (stream, _) = client_async(url, MaybeTlsStream::Plain(tcp)).await.expect("a WebSocket");
    Socket { stream }
}

/// A running session with a large graph.
async fn large_session(server: &ServerProcess) -> String {
    let nodes: serde_json::Map<String, Value> = (0..NODES)
        .map(|number| {
            let id = format!("node{number:04}");
            let next: Vec<String> =
                (number + 1 < NODES).then(|| format!("node{:04}", number + 1)).into_iter().collect();
            (id.clone(), json!({"id": id, "type": "step", "name": format!("Step {number}"), "nextIds": next}))
        })
        .collect();
    let graph = json!({"name": "large", "startNodeId": "node0000", "nodes": nodes});
    let http = reqwest::Client::new();
    let base = format!("http://{}/api/v1/sessions", server.address);
    let created: Value =
        http.post(&base).json(&json!({"graph": graph})).send().await.expect("an answer").json().await.expect("JSON");
    let id = created["id"].as_str().expect("an id").to_owned();
    let start = json!({"action": "start"});
    assert!(
        http.post(format!("{base}/{id}/control")).json(&start).send().await.expect("an answer").status().is_success()
    );
    id
}

/// Carries out commands one after the other over one socket; the revision they led to.
async fn change(server: &ServerProcess, id: &str, commands: impl Iterator<Item = Value>) -> u64 {
    let mut driver = Socket::open(server.address, "/ws").await;
    let mut revision = 0;
    for command in commands {
        driver.send(json!({"type": "command", "id": "c", "sessionId": id, "command": command})).await;
        let ack = driver.frame().await;
        assert_eq!(ack["type"], "ack", "{ack}");
        revision = ack["revision"].as_u64().expect("a revision");
    }
    revision
}

fn progress(number: u64) -> Value {
    json!({"type": "setNodeStatus", "nodeId": format!("node{:04}", number % 10), "status": "running",
           "progress": (number % 1000) as f64 / 1000.0})
}

/// Reads revisions until `last` is there; they must grow. How many frames that took.
async fn read_up_to(socket: &mut Socket, last: u64) -> usize {
    let (mut seen, mut frames) = (0, 0);
    while seen < last {
        let revision = revision_of(socket).await;
        assert!(revision > seen, "{revision} after {seen}");
        seen = revision;
        frames += 1;
    }
    frames
}

/// The next frame's revision, without the cost of parsing a large state in a debug build.
async fn revision_of(socket: &mut Socket) -> u64 {
    loop {
        let next = tokio::time::timeout(DEADLINE, socket.stream.next()).await;
        let message = next.expect("a frame in time").expect("an open socket").expect("a sound frame");
        let Message::Text(text) = message else { continue };
        let start = text.find("\"revision\":").expect("a revision") + "\"revision\":".len();
        let digits = text[start..].split(|letter: char| !letter.is_ascii_digit()).next();
        return digits.expect("digits").parse().expect("a number");
    }
}

/// Kilobytes the process holds, where the system tells.
fn resident(server: &ServerProcess) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_go_on_and_it_gets_the_newest_when_it_reads_again() {
    let database = Database::create().await;
    let server = start(&database).await;
    let id = large_session(&server).await;
    let path = format!("/ws/sessions/{id}");
    let mut stuck = narrow(&server, &path).await;
    let mut others = Vec::new();
    for _ in 0..VIEWERS {
        let mut socket = Socket::open(server.address, &format!("{path}?mode=delta")).await;
        assert_eq!(revision_of(&mut socket).await, 2);
        others.push(socket);
    }

    let mut driver = Socket::open(server.address, "/ws").await;
    let before = resident(&server);
    for number in 1..=CHANGES {
        driver.send(json!({"type": "command", "id": "c", "sessionId": id, "command": progress(number)})).await;
        let revision = driver.frame().await["revision"].as_u64().expect("an ack");
        // Each of them has this state before the next change is even asked for.
        for other in &mut others {
            assert_eq!(revision_of(other).await, revision);
        }
    }
    if let (Some(before), Some(after)) = (before, resident(&server)) {
        // A queue would hold 150 states of 300 KB for the one that is stuck.
        assert!(after < before + 24 * 1024, "grew from {before} to {after} kB");
    }

    let last = CHANGES + 2;
    let frames = read_up_to(&mut stuck, last).await;
    assert!(frames <= 4, "{frames} frames: a backlog of old states");
    let revision = change(&server, &id, std::iter::once(progress(CHANGES + 1))).await;
    assert_eq!(revision_of(&mut stuck).await, revision);
    server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_events_mode_it_misses_none() {
    let database = Database::create().await;
    let server = start(&database).await;
    let id = running_session(server.address).await;
    let mut stuck = narrow(&server, &format!("/ws/sessions/{id}?mode=events")).await;
    // More than memory keeps for viewers that are behind, in number and in bytes.
    let text = "x".repeat(2_000);
    let notes = (0..400).map(|number| json!({"type": "setContext", "key": "k", "value": [number, text]}));
    let last = change(&server, &id, notes).await;
    for revision in 1..=last {
        assert_eq!(revision_of(&mut stuck).await, revision);
    }
    let next = change(&server, &id, std::iter::once(json!({"type": "pause"}))).await;
    assert_eq!(revision_of(&mut stuck).await, next);
    // It was slow, not gone: nobody closed it, and nothing else came.
    assert!(stuck.is_quiet(Duration::from_millis(50)).await);
    assert_eq!(get(server.address, &format!("/api/v1/sessions/{id}")).await.1["status"], "paused");
    server.kill().await;
}
