//! Bounds: streams are counted as sockets, and slow readers cost nobody anything.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpSocket;

use crate::harness::{DEADLINE, EventSource, TestServer, context, eventually, problem};

#[tokio::test]
async fn a_stream_counts_as_a_socket() {
    let server = TestServer::start_with(|config| config.max_sockets = 2).await;
    let id = server.new_session().await;
    let path = format!("/api/v1/sessions/{id}/stream");
    let mut stream = server.stream(&path).await;
    stream.event().await;
    let mut socket = server.socket("/ws").await;
    socket.settle().await;
    let request = server.request(Method::GET, &path);
    assert_eq!(problem(request, "unavailable").await["status"], 503);
    let (_, metrics) = metrics(&server).await;
    assert!(metrics.lines().any(|line| line.starts_with("relive_sockets ")), "{metrics}");
    // Whoever leaves gives the place back.
    drop(stream);
    eventually("a place", || async {
        server.request(Method::GET, &path).send().await.expect("an answer").status() == StatusCode::OK
    })
    .await;
}

async fn metrics(server: &TestServer) -> (StatusCode, String) {
    let response = server.request(Method::GET, "/metrics").send().await.expect("an answer");
    (response.status(), response.text().await.expect("a text"))
}

#[tokio::test]
async fn the_limit_of_sockets_is_one_of_streams_too() {
    let server = TestServer::start_with(|config| config.access.limits.limit_sockets = Some(1)).await;
    let id = server.new_session().await;
    let path = format!("/api/v1/sessions/{id}/stream");
    let mut stream = server.stream(&path).await;
    stream.event().await;
    for path in [&*path, "/api/v1/sessions/stream"] {
        problem(server.request(Method::GET, path), "rate_limited").await;
    }
}

#[tokio::test]
async fn streams_take_no_place_from_other_requests() {
    let server = TestServer::start_with(|config| config.http.max_connections = 3).await;
    let id = server.new_session().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = server.stream(&format!("/api/v1/sessions/{id}/stream")).await;
        stream.event().await;
        streams.push(stream);
    }
    assert_eq!(server.session(&id).await["revision"], 1);
    server.command(&id, context("k", json!(1))).await;
    for stream in &mut streams {
        assert_eq!(stream.event().await.data["revision"], 2);
    }
}

/// The kernel takes only a few kilobytes for this client, which reads nothing at first.
async fn narrow(server: &TestServer, path: &str) -> BufReader<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    let mut stream = socket.connect(server.address()).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address());
    stream.write_all(request.as_bytes()).await.expect("sent");
    BufReader::new(stream)
}

/// A server that gives no reader up, however long a busy machine takes to send the changes.
async fn patient() -> TestServer {
    TestServer::start_with(|config| config.http.stall_seconds = 600.0).await
}

#[tokio::test]
async fn a_reader_that_is_slow_is_shown_fewer_and_newer_states() {
    const CHANGES: u64 = 200;
    let server = patient().await;
    let id = server.running_session().await;
    let text = "x".repeat(100_000);
    let mut slow = narrow(&server, &format!("/api/v1/sessions/{id}/stream")).await;
    let mut quick = server.stream(&format!("/api/v1/sessions/{id}/stream?mode=events")).await;
    quick.event().await;
    for number in 0..CHANGES {
        server.command(&id, context("k", json!([number, text]))).await;
    }
    let head = CHANGES + 2;
    while quick.event().await.data["revision"] != head {}
    // Only now it reads.
    let (mut shown, mut line) = (Vec::new(), String::new());
    let reading = async {
        while shown.last() != Some(&head) {
            line.clear();
            assert_ne!(slow.read_line(&mut line).await.expect("a line"), 0, "ended after {shown:?}");
            if let Some(id) = line.strip_prefix("id: ") {
                shown.push(id.trim().parse::<u64>().expect("a revision"));
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("the last state in time");
    assert!(shown.is_sorted_by(|one, next| one < next), "{shown:?}");
    assert!(shown.len() < 50, "{} of {CHANGES} states were kept for it", shown.len());
}

#[tokio::test]
async fn a_reader_of_events_that_is_slow_misses_none() {
    const CHANGES: u64 = 1_500;
    let server = patient().await;
    let id = server.running_session().await;
    let mut slow = narrow(&server, &format!("/api/v1/sessions/{id}/stream?mode=events")).await;
    let text = "x".repeat(2_000);
    for number in 0..CHANGES / 500 {
        let commands: Vec<_> = (0..500).map(|index| context("k", json!([number, index, text]))).collect();
        server.command(&id, json!(commands)).await;
    }
    let (mut next, mut line) = (1, String::new());
    let reading = async {
        while next <= CHANGES + 2 {
            line.clear();
            assert_ne!(slow.read_line(&mut line).await.expect("a line"), 0, "ended before {next}");
            if let Some(id) = line.strip_prefix("id: ") {
                assert_eq!(id.trim(), next.to_string());
                next += 1;
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("all events in time");
}

#[tokio::test]
async fn streams_work_over_tls() {
    let server = TestServer::start_tls(|_| {}).await;
    let id = server.new_session().await;
    let mut stream = EventSource::open(server.request(Method::GET, &format!("/api/v1/sessions/{id}/stream"))).await;
    assert_eq!(stream.event().await.data["revision"], 1);
    server.command(&id, json!({"type": "start"})).await;
    assert_eq!(stream.event().await.data["revision"], 2);
}
