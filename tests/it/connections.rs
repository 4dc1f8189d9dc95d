//! Clients that send nothing, never end, or read nothing: each is given up, and none holds up another.

use relive::config::HttpConfig;
use reqwest::Method;
use serde_json::json;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{DEADLINE, TestServer, answer, eventually};

/// A server that gives clients up soon.
async fn impatient() -> TestServer {
    let http = HttpConfig { head_seconds: 0.5, body_seconds: 1.0, stall_seconds: 0.5, ..HttpConfig::default() };
    TestServer::start_with(|config| config.http = http).await
}

async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.address()).await.expect("connected")
}

/// What the server still says before it closes the connection.
async fn until_closed(mut tcp: TcpStream) -> String {
    let mut said = Vec::new();
    // A connection that is reset has ended as well.
    let _ = tokio::time::timeout(DEADLINE, tcp.read_to_end(&mut said)).await.expect("closed in time");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn silence_and_heads_that_never_end_are_given_up() {
    let server = impatient().await;
    for begun in ["", "GET / HT", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "] {
        let mut tcp = connect(&server).await;
        tcp.write_all(begun.as_bytes()).await.expect("sent");
        assert_eq!(until_closed(tcp).await, "", "{begun}");
    }
    // So is a connection that was used and then lies idle.
    let mut used = connect(&server).await;
    used.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    assert!(until_closed(used).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn bodies_that_stop_or_dribble_are_given_up() {
    let server = impatient().await;
    let head = "POST /api/v1/memories HTTP/1.1\r\nHost: localhost\r\n";
    for begun in
        ["Content-Length: 100\r\n\r\n{", "Content-Length: 100\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
    {
        let mut tcp = connect(&server).await;
        tcp.write_all(format!("{head}{begun}").as_bytes()).await.expect("sent");
        assert_eq!(until_closed(tcp).await, "", "{begun}");
    }
    // One byte after the other, each in time, but without an end.
    let tcp = connect(&server).await;
    let (mut reader, mut writer) = tcp.into_split();
    let dribble = tokio::spawn(async move {
        writer.write_all(format!("{head}Content-Length: 1000000\r\n\r\n").as_bytes()).await.expect("sent");
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    let mut said = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, reader.read_to_end(&mut said)).await.expect("closed in time");
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    dribble.abort();
}

#[tokio::test]
async fn a_request_that_is_refused_early_may_send_the_rest_of_its_body() {
    let server = TestServer::start().await;
    let body = vec![b' '; 200_000];
    let origin = "Origin: http://elsewhere.example\r\n";
    for (path, header) in [("/nothing", ""), ("/healthz", ""), ("/api/v1/sessions/import", origin)] {
        let mut tcp = connect(&server).await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{header}Content-Length: {}\r\n\r\n", body.len());
        // The answer comes before the body.
        tcp.write_all(head.as_bytes()).await.expect("sent");
        let mut said = vec![0; 12];
        tokio::time::timeout(DEADLINE, tcp.read_exact(&mut said)).await.expect("an answer in time").expect("an answer");
        assert!(said.starts_with(b"HTTP/1.1 4"), "{path}: {}", String::from_utf8_lossy(&said));
        tcp.writable().await.expect("open");
        for part in body.chunks(20_000) {
            tcp.write_all(part).await.unwrap_or_else(|error| panic!("{path}: {error}"));
            server.request(Method::GET, "/healthz").send().await.expect("an answer");
        }
        // The connection goes on, since all of the body was read.
        tcp.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
        let said = until_closed(tcp).await;
        assert!(said.contains("HTTP/1.1 200"), "{path}: {said}");
    }
}

#[tokio::test]
async fn sockets_and_slow_imports_keep_their_own_limits() {
    let server = impatient().await;
    let id = server.running_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}?after=2")).await;
    let mut silent = connect(&server).await;
    silent.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    // A file that is imported may take longer than another body.
    let exported =
        server.request(Method::GET, &format!("/api/v1/sessions/{id}/export")).send().await.expect("an answer");
    let file = exported.bytes().await.expect("a file");
    let (sender, chunks) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    let body = futures_util::stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)));
    let import = server.request(Method::POST, "/api/v1/sessions/import?newId=true");
    let importing = tokio::spawn(answer(import.body(reqwest::Body::wrap_stream(body))));
    sender.send(Ok(file[..10].to_vec())).await.expect("taken");
    // Whoever was idle from the beginning is gone by now, twice over.
    until_closed(silent).await;
    until_closed(connect(&server).await).await;
    until_closed(connect(&server).await).await;
    sender.send(Ok(file[10..].to_vec())).await.expect("taken");
    drop(sender);
    assert_eq!(importing.await.expect("imported").0, 201);
    server.command(&id, json!({"type": "pause"})).await;
    assert_eq!(socket.frame().await["revision"], 3);
}

/// A session whose export is larger than what the kernel holds for a client.
async fn large_session(server: &TestServer) -> String {
    let id = server.running_session().await;
    let text = "x".repeat(900_000);
    for _ in 0..12 {
        server.command(&id, json!({"type": "addMessage", "nodeId": "n", "content": text})).await;
    }
    id
}

/// A client that asks for an export, and reads nothing of it.
async fn stalled(server: &TestServer, id: &str) -> TcpStream {
    let reader = TcpSocket::new_v4().expect("a socket");
    reader.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stalled = reader.connect(server.address()).await.expect("connected");
    let request = format!("GET /api/v1/sessions/{id}/export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stalled.write_all(request.as_bytes()).await.expect("sent");
    stalled.readable().await.expect("an answer begins");
    stalled
}

/// Whether the server's side has ended, which only an error can tell to a client that does not read.
pub fn is_given_up(stalled: &TcpStream) -> bool {
    SockRef::from(stalled).take_error().is_ok_and(|error| error.is_some()) || stalled.try_write(b"x").is_err()
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let server = impatient().await;
    let id = large_session(&server).await;
    let stalled = stalled(&server, &id).await;
    eventually("the server gives up", async || is_given_up(&stalled)).await;
}

#[tokio::test]
async fn answers_that_nobody_reads_do_not_pile_up_in_a_full_server() {
    let http = HttpConfig { max_connections: 8, stall_seconds: 600.0, ..HttpConfig::default() };
    let server = TestServer::start_with(|config| config.http = http).await;
    let id = large_session(&server).await;
    let mut waiting = Vec::new();
    for _ in 0..24 {
        waiting.push(stalled(&server, &id).await);
        let other = server.request(Method::GET, "/healthz").header("connection", "close").send().await;
        assert_eq!(other.expect("an answer").status(), 200);
    }
    let left = || waiting.iter().filter(|stalled| !is_given_up(stalled)).count();
    eventually("those that are too many are given up", async || left() <= 8).await;
    assert!(!is_given_up(waiting.last().expect("one")), "the newest is waited for");
}

#[tokio::test]
async fn a_full_server_closes_whoever_has_waited_longest() {
    let server = TestServer::start_with(|config| config.http.max_connections = 8).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(connect(&server).await);
    }
    for tcp in silent.drain(..20) {
        assert_eq!(until_closed(tcp).await, "");
    }
    assert_eq!(server.request(Method::GET, "/readyz").send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn requests_that_never_end_do_not_keep_others_out_of_a_full_server() {
    let server = TestServer::start_with(|config| config.http.max_connections = 8).await;
    let head = "POST /api/v1/memories HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut tcp = connect(&server).await;
        tcp.write_all(head.as_bytes()).await.expect("sent");
        // The next one comes when this one's head has been read.
        let other = server.request(Method::GET, "/healthz").header("connection", "close").send().await;
        assert_eq!(other.expect("an answer").status(), 200);
        slow.push(tcp);
    }
    assert_eq!(slow.len(), 40);
    assert_eq!(server.post("/api/v1/sessions", json!({})).await.0, 201);
}

#[tokio::test]
async fn silent_connections_do_not_hold_up_the_end_of_the_server() {
    let server = TestServer::start().await;
    let silent = connect(&server).await;
    let mut half = connect(&server).await;
    half.write_all(b"GET / HTTP/1.1\r\nHo").await.expect("sent");
    // Both have been accepted when a later one is answered.
    assert_eq!(server.request(Method::GET, "/healthz").send().await.expect("an answer").status(), 200);
    let began = std::time::Instant::now();
    server.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
    until_closed(silent).await;
    until_closed(half).await;
}
