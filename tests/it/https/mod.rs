//! TLS for clients.

mod certificates;
mod handshakes;
mod sockets;

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::process::Command;
use tokio_rustls::TlsConnector;

use crate::harness::{DEADLINE, TestServer, answer};

#[tokio::test]
async fn http_works_as_without_tls() {
    let server = TestServer::start_tls(|_| {}).await;
    let id = server.running_session().await;
    server.command(&id, json!({"type": "setContext", "key": "k", "value": "x".repeat(200_000)})).await;
    assert_eq!(server.session(&id).await["contextData"]["k"].as_str().map(str::len), Some(200_000));
    let page = server.request(Method::GET, "/").send().await.expect("a page");
    assert_eq!(page.status(), 200);
    assert!(page.headers().get("strict-transport-security").is_none(), "that would concern all of the machine");
    let named = server.request(Method::GET, "/").header("host", "relive.example.org").send().await.expect("a page");
    assert_eq!(named.status(), 200, "a name of the certificate");
    assert_eq!(named.headers()["strict-transport-security"], "max-age=31536000");
    // A page that somebody between the browser and the server has made has another scheme.
    let host = server.address();
    for (origin, status) in [(format!("https://{host}"), 201), (format!("http://{host}"), 403)] {
        let request = server.request(Method::POST, "/api/v1/sessions").header("origin", &origin).json(&json!({}));
        assert_eq!(answer(request).await.0, status, "{origin}");
    }
}

#[tokio::test]
async fn what_is_not_read_or_never_ends_is_given_up_over_tls_too() {
    let server = TestServer::start_tls(|config| {
        (config.http.head_seconds, config.http.body_seconds, config.http.stall_seconds) = (0.5, 1.0, 0.5);
    })
    .await;
    let post = "POST /api/v1/memories HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    for begun in ["", "GET / HTTP/1.1\r\nHo", post] {
        let mut stream = server.tls().connect(server.address()).await;
        stream.write_all(begun.as_bytes()).await.expect("sent");
        let mut said = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await.expect("closed in time");
        assert!(read.is_ok_and(|read| read == 0) || said.is_empty(), "{}", String::from_utf8_lossy(&said));
    }
    let id = server.running_session().await;
    for _ in 0..12 {
        server.command(&id, json!({"type": "addMessage", "nodeId": "n", "content": "x".repeat(900_000)})).await;
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let tcp = socket.connect(server.address()).await.expect("connected");
    let name = "localhost".try_into().expect("a name");
    let connector = TlsConnector::from(server.tls().client());
    let mut stalled = connector.connect(name, tcp).await.expect("a handshake");
    let request = format!("GET /api/v1/sessions/{id}/export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stalled.write_all(request.as_bytes()).await.expect("sent");
    stalled.get_ref().0.readable().await.expect("an answer begins");
    // Nothing is read; the server's side ends all the same, which only an error can tell.
    let giving_up = async {
        while stalled.write_all(b"x").await.is_ok() && stalled.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, giving_up).await.is_ok(), "the server does not give up");
}

#[tokio::test]
async fn the_command_line_uses_https() {
    let server = TestServer::start_tls(|_| {}).await;
    let id = server.running_session().await;
    server.command(&id, json!({"type": "complete"})).await;
    let relive = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
        let url = format!("https://localhost:{}/", server.address().port());
        command.args(arguments).env("RELIVE_SERVER", url).env("SSL_CERT_FILE", server.tls().root());
        command.env_remove("SSL_CERT_DIR").kill_on_drop(true);
        async move { tokio::time::timeout(DEADLINE, command.output()).await.expect("ended in time").expect("relive") }
    };
    let watched = relive(&["watch", "--plain", &id]).await;
    let said = String::from_utf8_lossy(&watched.stdout).into_owned() + &String::from_utf8_lossy(&watched.stderr);
    assert!(watched.status.success() && said.contains("completed"), "{said}");
    let exported = relive(&["export", &id]).await;
    assert!(exported.status.success() && exported.stdout.len() > 100, "{}", String::from_utf8_lossy(&exported.stderr));
}
