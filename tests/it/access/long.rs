//! What is under way when its credential ends: answers that are being sent, and bodies that arrive.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::support::{ROOT, call, id_of, key, make, post, second, server};
use crate::harness::{DEADLINE, TestServer};
use relive_session::Timestamp;

/// Within which a revoked credential ends on every server.
const WITHIN: Duration = Duration::from_secs(5);

/// A session whose export is longer than what the buffers on the way can hold.
async fn large_session(server: &TestServer) -> String {
    let session = make(server, ROOT, "/api/v1/sessions", json!({})).await;
    let id = id_of(&session);
    let commands = format!("/api/v1/sessions/{id}/commands");
    assert_eq!(post(server, ROOT, &commands, json!({"type": "start"})).await.0, StatusCode::OK);
    for n in 0..12 {
        let output = n.to_string().repeat(500_000);
        let command =
            json!({"type": "setNodeStatus", "nodeId": format!("n{n}"), "status": "completed", "output": output});
        assert_eq!(post(server, ROOT, &commands, command).await.0, StatusCode::OK);
    }
    id
}

/// A key that nobody has used, and where it is revoked.
async fn made_key(server: &TestServer, body: Value) -> (String, String) {
    let made = make(server, ROOT, "/api/v1/keys", body).await;
    (made["key"].as_str().expect("a key").to_owned(), format!("/api/v1/keys/{}", id_of(&made)))
}

/// A connection of a client that takes little at a time.
async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 * 1024).expect("a small buffer");
    socket.connect(address).await.expect("connected")
}

/// Begins to read an export; returns when a part of it has come.
async fn begin_export(server: &TestServer, key: &str, id: &str) -> TcpStream {
    let mut stream = connect(server.address()).await;
    let request = format!(
        "GET /api/v1/sessions/{id}/export HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {key}\r\n\
         Connection: close\r\n\r\n",
        server.address()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut buffer = [0; 1024];
    let read = tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await.expect("in time").expect("an answer");
    let begun = String::from_utf8_lossy(&buffer[..read]);
    assert!(begun.starts_with("HTTP/1.1 200"), "{begun}");
    stream
}

/// Reads the rest, as far as it comes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    match tokio::time::timeout(DEADLINE, stream.read_to_end(&mut read)).await.expect("an end") {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    read
}

fn is_whole(export: &[u8]) -> bool {
    export.ends_with(b"0\r\n\r\n")
}

/// Whether the server has closed a connection from which nothing more was read than its buffers hold.
async fn is_closed_unread(stream: &TcpStream, within: Duration) -> bool {
    let closed = async {
        // Each write is answered with a reset once there is nobody to take it.
        while stream.try_write(b"\r\n").is_ok_or_would_block() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, closed).await.is_ok()
}

trait IsOpen {
    fn is_ok_or_would_block(&self) -> bool;
}

impl IsOpen for std::io::Result<usize> {
    fn is_ok_or_would_block(&self) -> bool {
        self.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

#[tokio::test]
async fn an_export_ends_with_the_key_on_every_server() {
    let here = server().await;
    let there = second(&here).await;
    let id = large_session(&here).await;
    let (reader, path) = made_key(&here, json!({"name": "r", "role": "viewer"})).await;
    let other = key(&here, "viewer", "default").await;
    let mut exports = [begin_export(&here, &reader, &id).await, begin_export(&there, &reader, &id).await];
    let mut of_other = begin_export(&there, &other, &id).await;
    assert_eq!(call(&here, ROOT, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    // Also while the client does not read.
    for export in &exports {
        assert!(is_closed_unread(export, WITHIN).await, "it is open yet");
    }
    for export in &mut exports {
        assert!(!is_whole(&rest(export).await));
    }
    assert!(is_whole(&rest(&mut of_other).await), "another key's is not interrupted");
}

#[tokio::test]
async fn an_export_ends_when_its_key_expires() {
    let server = server().await;
    let id = large_session(&server).await;
    let soon = (Timestamp::now() + Duration::from_secs(4)).to_string();
    let (reader, _) = made_key(&server, json!({"name": "r", "role": "viewer", "expiresAt": soon})).await;
    let mut export = begin_export(&server, &reader, &id).await;
    assert!(is_closed_unread(&export, DEADLINE).await, "it is open yet");
    assert!(!is_whole(&rest(&mut export).await));
}

#[tokio::test]
async fn a_file_that_arrives_is_refused_when_its_key_is_revoked() {
    let here = server().await;
    let there = second(&here).await;
    let (admin, path) = made_key(&here, json!({"name": "a", "role": "admin"})).await;
    let mut imports = Vec::new();
    for server in [&here, &there] {
        let mut stream = connect(server.address()).await;
        let request = format!(
            "POST /api/v1/sessions/import HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {admin}\r\n\
             Content-Type: application/x-ndjson\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
            server.address()
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut buffer = [0; 1024];
        let read = tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await.expect("in time").expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..read]);
        assert!(answer.starts_with("HTTP/1.1 100"), "the body is waited for: {answer}");
        imports.push(stream);
    }
    assert_eq!(call(&here, ROOT, Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
    for stream in &mut imports {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(WITHIN, stream.read(&mut buffer)).await.expect("in time").expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..read]);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
}
