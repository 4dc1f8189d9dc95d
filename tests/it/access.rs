//! Whose pages may use the server, and which addresses it listens on.

use std::net::SocketAddr;

use relive::server::{ServeError, listen};
use reqwest::Method;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, http::HeaderValue};

use crate::harness::{Database, TestServer, config, problem};

/// The status that a WebSocket handshake with this header is answered with.
async fn handshake(server: &TestServer, path: &str, header: &'static str, value: &str) -> u16 {
    let mut request = format!("ws://{}{path}", server.address()).into_client_request().expect("a request");
    request.headers_mut().insert(header, HeaderValue::from_str(value).expect("a value"));
    match connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let port = server.address().port();
    let single = format!("/ws/sessions/{id}");
    for origin in [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        "http://127.0.0.1:1".to_owned(),
        "http://127.0.0.1".to_owned(),
        format!("https://127.0.0.1:{port}"),
        format!("http://localhost.evil.example:{port}"),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1:{port}.evil.example"),
        format!("http://user@127.0.0.1:{port}"),
        "file://".to_owned(),
        String::new(),
    ] {
        for path in ["/ws", "/ws/sessions", &single] {
            assert_eq!(handshake(&server, path, "origin", &origin).await, 403, "{origin}");
        }
        for (method, path) in [
            (Method::GET, "/api/v1/sessions"),
            (Method::POST, "/api/v1/sessions"),
            (Method::GET, "/metrics"),
            (Method::GET, "/nothing"),
        ] {
            problem(server.request(method, path).header("origin", &origin), "forbidden").await;
        }
    }
    assert_eq!(server.get("/api/v1/sessions").await.1["sessions"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_servers_own_pages_and_configured_ones_are_welcome() {
    let allowed = ["https://dash.example.org".to_owned(), "http://localhost:3000/".to_owned()];
    let server = TestServer::start_with(|config| config.access.allow_origin = allowed.to_vec()).await;
    let port = server.address().port();
    for origin in [
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        format!("http://[::1]:{port}"),
        format!("HTTP://LocalHost:{port}"),
        "https://dash.example.org".to_owned(),
        "http://localhost:3000".to_owned(),
    ] {
        assert_eq!(handshake(&server, "/ws", "origin", &origin).await, 101, "{origin}");
        let response = server.request(Method::GET, "/api/v1/sessions").header("origin", &origin).send().await;
        assert_eq!(response.expect("an answer").status(), 200, "{origin}");
    }
    for origin in ["http://dash.example.org", "https://dash.example.org:444", "https://x.dash.example.org"] {
        assert_eq!(handshake(&server, "/ws", "origin", origin).await, 403, "{origin}");
    }
}

#[tokio::test]
async fn names_that_others_point_here_are_refused() {
    let server =
        TestServer::start_with(|config| config.access.allow_origin = vec!["https://dash.example.org".into()]).await;
    let port = server.address().port();
    for host in [format!("rebound.example:{port}"), "rebound.example".into(), format!("localhost.evil.example:{port}")]
    {
        problem(server.request(Method::GET, "/api/v1/sessions").header("host", &host), "forbidden").await;
        assert_eq!(handshake(&server, "/ws", "host", &host).await, 403, "{host}");
    }
    for host in [format!("localhost:{port}"), "127.0.0.1".into(), "[::1]:80".into(), "dash.example.org".into()] {
        let response = server.request(Method::GET, "/healthz").header("host", &host).send().await;
        assert_eq!(response.expect("an answer").status(), 200, "{host}");
        assert_eq!(handshake(&server, "/ws", "host", &host).await, 101, "{host}");
    }
}

#[tokio::test]
async fn without_authentication_only_this_machine_is_served_unless_said_otherwise() {
    let mut config = config(&Database::create().await);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.7:7400"] {
        config.listen = address.parse().expect("an address");
        let refused = listen(&config).await.expect_err("not a loopback address");
        assert!(matches!(refused, ServeError::NotLoopback(refused) if refused == config.listen));
        let message = refused.to_string();
        for part in [address, "loopback", "--allow-anonymous"] {
            assert!(message.contains(part), "{message}");
        }
    }
    for address in ["127.0.0.1:0", "127.1.2.3:0"] {
        config.listen = address.parse().expect("an address");
        listen(&config).await.expect("a loopback address");
    }
    config.access.allow_anonymous = true;
    config.listen = SocketAddr::from(([0, 0, 0, 0], 0));
    listen(&config).await.expect("allowed");
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = TestServer::start().await;
    let mut config = config(&server.database);
    config.listen = server.address();
    let message = listen(&config).await.expect_err("taken").to_string();
    assert!(message.contains(&server.address().to_string()) && message.contains("in use"), "{message}");
}
