//! Whose pages may use the server, and which addresses it listens on.

use relive::server::{Server, listen};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, http::HeaderValue};

use crate::harness::{Database, TestServer, answer, config, problem};

/// The status that a WebSocket handshake with this header is answered with.
async fn handshake(server: &TestServer, path: &str, header: &'static str, value: &str) -> u16 {
    handshake_with(server, path, &[(header, value)]).await
}

async fn handshake_with(server: &TestServer, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    let mut request = format!("ws://{}{path}", server.address()).into_client_request().expect("a request");
    for (header, value) in headers {
        request.headers_mut().insert(*header, HeaderValue::from_str(value).expect("a value"));
    }
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
        // Other servers of this machine, and whoever serves pages at the same port elsewhere.
        format!("http://localhost:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://6.6.6.6:{port}"),
        format!("http://[2001:db8::1]:{port}"),
        format!("http://0.0.0.0:{port}"),
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
    for (host, origin) in [
        (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}")),
        (format!("localhost:{port}"), format!("HTTP://LocalHost:{port}")),
        (format!("[::1]:{port}"), format!("http://[::1]:{port}")),
        // Behind a tunnel, a published port of a container, a proxy that adds TLS.
        ("localhost:8080".to_owned(), "http://localhost:8080".to_owned()),
        ("192.168.0.7:8080".to_owned(), "http://192.168.0.7:8080".to_owned()),
        ("localhost:8443".to_owned(), "https://localhost:8443".to_owned()),
        ("localhost".to_owned(), "https://localhost".to_owned()),
        (format!("127.0.0.1:{port}"), "https://dash.example.org".to_owned()),
        (format!("127.0.0.1:{port}"), "http://localhost:3000".to_owned()),
    ] {
        let headers = [("host", host.as_str()), ("origin", origin.as_str())];
        assert_eq!(handshake_with(&server, "/ws", &headers).await, 101, "{origin}");
        let request = server.request(Method::POST, "/api/v1/sessions").header("host", &host).header("origin", &origin);
        assert_eq!(answer(request.json(&serde_json::json!({}))).await.0, 201, "{origin}");
    }
    for origin in ["http://dash.example.org", "https://dash.example.org:444", "https://x.dash.example.org"] {
        assert_eq!(handshake(&server, "/ws", "origin", origin).await, 403, "{origin}");
    }
}

#[tokio::test]
async fn a_page_that_is_refused_can_read_why_and_nothing_else() {
    let server = TestServer::start().await;
    for (method, path) in [(Method::GET, "/healthz"), (Method::GET, "/ws"), (Method::POST, "/api/v1/sessions")] {
        let request = server.request(method, path).header("origin", "https://evil.example");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{path}");
        assert!(!answer.headers().contains_key("access-control-allow-credentials"), "{path}");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(body["code"], "forbidden", "{path}");
        assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("--allow-origin")), "{body}");
    }
    let own = server.request(Method::GET, "/api/v1/sessions").send().await.expect("an answer");
    assert!(!own.headers().contains_key("access-control-allow-origin"), "only of refusals");
    let preflight = server.request(Method::OPTIONS, "/api/v1/sessions").header("origin", "https://evil.example");
    let preflight = preflight.header("access-control-request-method", "PUT").send().await.expect("an answer");
    assert_eq!(preflight.status(), 403, "the browser sends no request after it");
    assert!(!preflight.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn configured_pages_may_send_credentials_conditions_and_a_project() {
    let server =
        TestServer::start_with(|config| config.access.allow_origin = vec!["https://dash.example.org".into()]).await;
    let asked = "authorization, content-type, idempotency-key, if-match, relive-project";
    let preflight = async |origin: &str| {
        let request = server.request(Method::OPTIONS, "/api/v1/sessions").header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let answer = request.header("access-control-request-headers", asked).send().await.expect("an answer");
        let header = |name: &str| {
            let values = answer.headers().get_all(name).iter().map(|value| value.to_str().expect("a text"));
            values.collect::<Vec<_>>().join(",").to_ascii_lowercase()
        };
        (header("access-control-allow-origin"), header("access-control-allow-headers"))
    };
    let (origin, headers) = preflight("https://dash.example.org").await;
    assert_eq!(origin, "https://dash.example.org");
    for name in asked.split(", ") {
        assert!(headers.split(',').any(|allowed| allowed.trim() == name), "{name} in {headers}");
    }
    assert_eq!(preflight("https://evil.example").await.0, "");
}

#[tokio::test]
async fn forms_texts_and_cookies_of_foreign_pages_change_nothing() {
    let server = TestServer::start().await;
    let origin = server.url("");
    let post = |headers: &[(&'static str, &str)]| {
        let request = server.request(Method::POST, "/api/v1/sessions").body("{}");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    for content in ["text/plain;charset=UTF-8", "multipart/form-data; boundary=x"] {
        let (status, problem) = answer(post(&[("content-type", content)])).await;
        assert_eq!((status.as_u16(), &problem["code"]), (415, &json!("bad_request")), "{problem}");
    }
    let form = ("content-type", "application/x-www-form-urlencoded");
    assert_eq!(answer(post(&[form, ("origin", &origin)])).await.0, 201, "a page of the server itself");
    assert_eq!(answer(post(&[form, ("origin", "https://other.example")])).await.0, 403);
    assert_eq!(answer(post(&[form, ("referer", "https://other.example/")])).await.0, 415);
    assert_eq!(answer(post(&[form, ("sec-fetch-site", "none")])).await.0, 415);
    assert_eq!(answer(post(&[form])).await.0, 201, "as curl sends it");
    let cookie = ("cookie", "relive_session=x");
    problem(post(&[cookie]), "forbidden").await;
    assert_eq!(handshake(&server, "/ws", "cookie", "relive_session=x").await, 403);
    assert_eq!(answer(post(&[cookie, ("origin", &origin)])).await.0, 201);
    assert_eq!(handshake_with(&server, "/ws", &[cookie, ("origin", &origin)]).await, 101);
    assert_eq!(
        answer(server.request(Method::GET, "/api/v1/sessions").header("cookie", "relive_session=x")).await.0,
        200
    );
}

#[tokio::test]
async fn what_the_browser_says_of_a_page_is_heeded() {
    let server =
        TestServer::start_with(|config| config.access.allow_origin = vec!["https://dash.example.org".into()]).await;
    let post = |site: &str| server.request(Method::POST, "/api/v1/sessions").header("sec-fetch-site", site).body("{}");
    for site in ["cross-site", "same-site"] {
        problem(post(site), "forbidden").await;
        assert_eq!(handshake(&server, "/ws", "sec-fetch-site", site).await, 403, "{site}");
        let link = server.request(Method::GET, "/").header("sec-fetch-site", site);
        assert_eq!(link.send().await.expect("an answer").status(), 200, "a link that was followed");
        let configured = post(site).header("origin", "https://dash.example.org");
        assert_eq!(answer(configured).await.0, 201, "{site}");
    }
    for site in ["same-origin", "none"] {
        assert_eq!(answer(post(site)).await.0, 201, "{site}");
    }
    let origin = server.url("");
    let twice = server.request(Method::POST, "/api/v1/sessions").header("origin", &origin).header("origin", &origin);
    problem(twice.body("{}"), "forbidden").await;
}

#[tokio::test]
async fn probes_are_answered_by_any_name_and_an_open_server_goes_by_local_ones() {
    let open = TestServer::start_with(|config| config.access.allow_anonymous = true).await;
    let closed = TestServer::start().await;
    for host in ["relive:7400", "relive.default.svc.cluster.local", "relive.internal:7400"] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            for server in [&open, &closed] {
                let response = server.request(Method::GET, path).header("host", host).send().await;
                assert!(response.expect("an answer").status() != 403, "{host}{path}");
            }
        }
        let sessions = open.request(Method::GET, "/api/v1/sessions").header("host", host);
        assert_eq!(answer(sessions).await.0, 200, "{host}");
        let refused = problem(closed.request(Method::GET, "/api/v1/sessions").header("host", host), "forbidden").await;
        let name = host.split(':').next().expect("a name");
        let detail = refused["detail"].as_str().expect("a text");
        assert!(detail.starts_with(&format!("this server does not go by the name {name};")), "{detail}");
    }
    problem(open.request(Method::GET, "/api/v1/sessions").header("host", "evil.example:7400"), "forbidden").await;
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = TestServer::start().await;
    for head in ["", "Host: localhost\r\nHost: localhost\r\n", "Host: a b\r\n", "Host: user@localhost\r\n"] {
        let mut tcp = TcpStream::connect(server.address()).await.expect("connected");
        let request = format!("GET /api/v1/sessions HTTP/1.1\r\n{head}Connection: close\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 400"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn origins_that_no_page_can_have_are_refused_at_the_start() {
    let mut config = config(&Database::create().await);
    for origin in ["*", "a.example", "https://*.example", "https://a.example/path", "null"] {
        config.access.allow_origin = vec![origin.to_owned()];
        let listener = listen(&config).await.expect("a listener");
        let refused = Server::prepare(listener, &config).await.expect_err("no origin").to_string();
        assert!(refused.contains("--allow-origin") && refused.contains(origin), "{refused}");
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
async fn an_address_that_other_machines_reach_needs_a_key_unless_said_otherwise() {
    let everywhere = || "0.0.0.0:0".parse().expect("an address");
    let server = TestServer::start_with(|config| config.listen = everywhere()).await;
    problem(server.request(Method::GET, "/api/v1/sessions"), "unauthorized").await;
    assert_eq!(server.get("/api/openapi.json").await.0, 200);
    let open = TestServer::start_with(|config| {
        config.listen = everywhere();
        config.access.allow_anonymous = true;
    });
    assert_eq!(open.await.get("/api/v1/sessions").await.0, 200);
    for address in ["127.0.0.1:0", "127.1.2.3:0", "localhost:0"] {
        let listen = address.parse().expect("an address");
        let server = TestServer::start_with(|config| config.listen = listen).await;
        assert_eq!(server.get("/api/v1/sessions").await.0, 200, "{address}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let server = TestServer::start().await;
    let mut config = config(&server.database);
    config.listen = server.address().into();
    let message = listen(&config).await.expect_err("taken").to_string();
    assert!(message.contains(&server.address().to_string()) && message.contains("in use"), "{message}");
}
