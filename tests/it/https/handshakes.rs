//! Clients that do not get as far as a request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::harness::{Authority, DEADLINE, TestServer, assert_problem};

async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.address()).await.expect("connected")
}

async fn until_closed(mut tcp: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A connection that is reset has ended as well.
    let _ = tokio::time::timeout(DEADLINE, tcp.read_to_end(&mut said)).await.expect("closed in time");
    said
}

/// A handshake with these settings of a client, and the end of the connection.
async fn shake(server: &TestServer, config: Arc<ClientConfig>) -> std::io::Result<()> {
    let name = "localhost".try_into().expect("a name");
    let mut stream = TlsConnector::from(config).connect(name, connect(server).await).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    Ok(())
}

#[tokio::test]
async fn handshakes_that_do_not_go_on_are_given_up() {
    let server = TestServer::start_tls(|config| config.tls.tls_handshake_seconds = 0.5).await;
    // A ClientHello of 500 bytes, of which few arrive.
    for begun in [&b""[..], b"\x16", b"\x16\x03\x01\x01\xf4\x01\x00\x01\xf0\x03\x03"] {
        let mut tcp = connect(&server).await;
        tcp.write_all(begun).await.expect("sent");
        assert_eq!(until_closed(tcp).await, b"", "{begun:?}");
    }
    assert_eq!(server.get("/api/v1/sessions").await.0, 200);
}

#[tokio::test]
async fn half_a_handshake_holds_up_neither_others_nor_the_end_of_the_server() {
    let server = TestServer::start_tls(|config| {
        (config.http.max_connections, config.tls.tls_handshake_seconds) = (8, 600.0);
    })
    .await;
    let mut halves = Vec::new();
    for _ in 0..40 {
        let mut tcp = connect(&server).await;
        let _ = tcp.write_all(b"\x16\x03\x01\x01\xf4\x01").await;
        halves.push(tcp);
    }
    // The first ones had to make room; nobody waits for their handshakes.
    for tcp in halves.drain(..20) {
        until_closed(tcp).await;
    }
    assert_eq!(server.get("/api/v1/sessions").await.0, 200);
    let began = Instant::now();
    server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test]
async fn other_protocols_are_refused_and_http_with_a_word() {
    let server = TestServer::start_tls(|_| {}).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /api/v1/sessions HTTP/1.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
    ] {
        let mut tcp = connect(&server).await;
        tcp.write_all(request.as_bytes()).await.expect("sent");
        // As a client that has sent all it has.
        tcp.shutdown().await.expect("sent");
        let said = String::from_utf8(until_closed(tcp).await).expect("a text");
        let (head, body) = said.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        let problem: serde_json::Value = serde_json::from_str(body).expect("a problem");
        assert_problem(400, "application/problem+json", &problem, "bad_request");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("https://")), "{problem}");
    }
    // An alert of TLS may be the answer, but never HTTP.
    for garbage in [&b"\x00\x01\x02\x03garbage"[..], b"\x80\x2e\x01\x00\x02", b"ssh-2.0\r\n", &[0x16; 100]] {
        let mut tcp = connect(&server).await;
        tcp.write_all(garbage).await.expect("sent");
        tcp.shutdown().await.expect("sent");
        let said = until_closed(tcp).await;
        assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
    }
    assert_eq!(server.get("/api/v1/sessions").await.0, 200);
}

#[tokio::test]
async fn both_versions_are_spoken_and_only_http_1_1_over_them() {
    let server = TestServer::start_tls(|_| {}).await;
    let authority = &server.tls().authority;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        shake(&server, authority.client(&[version])).await.expect("a handshake");
        let with = |protocols: &[&str]| {
            let mut config = ClientConfig::clone(&authority.client(&[version]));
            config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
            Arc::new(config)
        };
        shake(&server, with(&["h2", "http/1.1"])).await.expect("the second choice");
        let refused = shake(&server, with(&["h2"])).await.expect_err("no HTTP/2");
        assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    }
    let stranger = shake(&server, Authority::new().client(rustls::ALL_VERSIONS)).await.expect_err("not trusted");
    assert!(stranger.to_string().contains("invalid peer certificate"), "{stranger}");
}
