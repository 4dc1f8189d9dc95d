//! The server behind proxies, and below a path.

use relive::server::{Server, listen};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{DEADLINE, Database, Proxy, Socket, TestServer, answer, config, problem};

/// A server that believes a proxy on this machine, and asks nobody for a key.
async fn behind(base_path: &str) -> TestServer {
    TestServer::start_with(|config| {
        config.proxy.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
        config.proxy.base_path = base_path.to_owned();
        config.access.allow_anonymous = true;
    })
    .await
}

/// Whoever reaches the proxy reaches the server, although its address is one of this machine.
#[tokio::test]
async fn behind_a_proxy_nobody_gets_in_before_there_is_a_key() {
    let server = TestServer::start_with(|config| {
        config.proxy.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
    })
    .await;
    problem(server.request(Method::GET, "/api/v1/sessions"), "unauthorized").await;
}

/// A number that the comment of the example for nginx names.
fn nginx_number(directive: &str) -> u32 {
    let example = include_str!("../../deploy/nginx.conf");
    let line = example
        .lines()
        .map(|line| line.trim_start_matches(['#', ' ']))
        .find_map(|line| line.strip_prefix(directive))
        .expect(directive);
    line.trim().trim_end_matches(';').parse().expect("a number")
}

/// Debian starts it with a limit of 1,024 files, which would be some 500 sockets.
#[test]
fn nginx_may_open_as_many_files_as_it_has_connections() {
    assert!(nginx_number("worker_rlimit_nofile") > nginx_number("worker_connections"));
}

/// The addresses in a page that begin with a slash.
fn addresses(page: &str) -> Vec<String> {
    page.match_indices("=\"/").filter_map(|(at, _)| page[at + 2..].split('"').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn below_a_path_everything_has_it_and_nothing_is_beside_it() {
    let server = TestServer::start_with(|config| config.proxy.base_path = "/relive/".to_owned()).await;
    let created =
        server.request(Method::POST, "/relive/api/v1/sessions").json(&json!({})).send().await.expect("an answer");
    let location = created.headers()["location"].to_str().expect("a text").to_owned();
    let id = created.json::<Value>().await.expect("JSON")["id"].as_str().expect("an id").to_owned();
    assert_eq!(location, format!("/relive/api/v1/sessions/{id}"));
    assert_eq!(server.get(&location).await.1["id"], id);
    let keyed = server.request(Method::POST, "/relive/api/v1/groups").json(&json!({"name": "g"})).send().await;
    let location = keyed.expect("an answer").headers()["location"].to_str().expect("a text").to_owned();
    assert!(location.starts_with("/relive/api/v1/groups/"), "{location}");

    let mut socket = server.socket(&format!("/relive/ws/sessions/{id}?mode=events")).await;
    assert_eq!(socket.frame().await["revision"], 1);
    assert_eq!(server.socket("/relive/ws/sessions").await.frame().await["sessions"][0]["id"], id);
    // Parameters are still checked, and errors name what they did before.
    problem(server.request(Method::GET, "/relive/api/v1/sessions?limt=1"), "bad_request").await;
    problem(server.request(Method::GET, "/relive/api/v1/groups/x"), "bad_request").await;

    for path in ["/relive", "/relive/", "/relive/sessions/0198c0de-0000-7000-8000-000000000001"] {
        let page = server.request(Method::GET, path).send().await.expect("a page");
        assert_eq!(page.status(), 200, "{path}");
        let page = page.text().await.expect("a text");
        let addresses = addresses(&page);
        assert!(!addresses.is_empty() && addresses.iter().all(|address| address.starts_with("/relive/")), "{page}");
        for asset in addresses.iter().filter(|address| address.contains("/assets/")) {
            assert_eq!(server.request(Method::GET, asset).send().await.expect("an asset").status(), 200, "{asset}");
        }
    }
    let document = server.get("/relive/api/openapi.json").await.1;
    assert_eq!(document["servers"], json!([{"url": "/relive"}]));

    for path in ["/", "/api/v1/sessions", "/relivex", "/relivex/api/v1/sessions", "/api/openapi.json", "/ws"] {
        let refused = problem(server.request(Method::GET, path), "not_found").await;
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("/relive/")), "{refused}");
    }
    for probe in ["/healthz", "/relive/healthz", "/readyz", "/relive/readyz"] {
        assert_eq!(server.request(Method::GET, probe).send().await.expect("an answer").status(), 200, "{probe}");
    }
}

#[tokio::test]
async fn what_a_proxy_says_counts_only_if_it_is_trusted() {
    let (trusting, plain) = (behind("/").await, TestServer::start().await);
    let post = |server: &TestServer, origin: &str, proto: &str| {
        let request = server.request(Method::POST, "/api/v1/sessions").json(&json!({}));
        request.header("host", "localhost:8443").header("origin", origin).header("x-forwarded-proto", proto)
    };
    for (origin, proto, status) in [
        ("https://localhost:8443", "https", 201),
        ("http://localhost:8443", "https", 403),
        ("http://localhost:8443", "http", 201),
        ("https://localhost:8443", "http", 403),
    ] {
        assert_eq!(answer(post(&trusting, origin, proto)).await.0, status, "{origin} {proto}");
        // Nobody is trusted here, so any proxy may have added TLS.
        assert_eq!(answer(post(&plain, origin, proto)).await.0, 201, "{origin} {proto}");
    }
    // A name that is known from nowhere else is believed if the browser has checked it by a certificate.
    let named = |server: &TestServer, proto: &str| {
        let request = server.request(Method::GET, "/api/v1/sessions").header("host", "relive.example.org");
        request.header("x-forwarded-proto", proto)
    };
    assert_eq!(answer(named(&trusting, "https")).await.0, 200);
    problem(named(&trusting, "http"), "forbidden").await;
    problem(named(&plain, "https"), "forbidden").await;

    let prefixed = |server: &TestServer| {
        let request = server.request(Method::POST, "/api/v1/sessions").json(&json!({}));
        request.header("x-forwarded-prefix", "/tools/relive").send()
    };
    for (server, prefix) in [(&trusting, "/tools/relive"), (&plain, "")] {
        let response = prefixed(server).await.expect("an answer");
        let location = response.headers()["location"].to_str().expect("a text");
        assert!(location.starts_with(&format!("{prefix}/api/v1/sessions/")), "{location}");
        let page = server.request(Method::GET, "/").header("x-forwarded-prefix", "/tools/relive").send().await;
        let page = page.expect("a page").text().await.expect("a text");
        assert!(addresses(&page).iter().all(|address| address.starts_with(&format!("{prefix}/"))), "{page}");
    }
}

#[tokio::test]
async fn a_base_path_that_is_none_is_refused_at_the_start() {
    let mut config = config(&Database::create().await);
    for path in ["relive", "//evil.example", "/a b", "/../x"] {
        config.proxy.base_path = path.to_owned();
        let listener = listen(&config).await.expect("a listener");
        let refused = Server::prepare(listener, &config).await.expect_err(path).to_string();
        assert!(refused.contains("--base-path") && refused.contains(path), "{refused}");
    }
}

/// What people and programs do, through a proxy that serves `/relive/` over HTTPS.
async fn everything_works(proxy: Proxy) {
    let http = proxy.tls.http();
    let host = format!("localhost:{}", proxy.address.port());
    let moved = http.get(proxy.url("/relive")).send().await.expect("a page");
    assert_eq!((moved.status().as_u16(), moved.url().path()), (200, "/relive/"));
    let page = moved.text().await.expect("a page");
    for asset in addresses(&page) {
        assert!(asset.starts_with("/relive/"), "{asset}");
        if asset.contains("/assets/") {
            assert_eq!(http.get(proxy.url(&asset)).send().await.expect("an asset").status(), 200, "{asset}");
        }
    }
    // The page's own requests, as a browser marks them; and those of a page that is not this one.
    let create = |origin: String| {
        let request = http.post(proxy.url("/relive/api/v1/sessions")).header("origin", origin);
        request.header("x-forwarded-prefix", "/elsewhere").header("x-forwarded-proto", "http").json(&json!({}))
    };
    problem(create("https://evil.example".to_owned()), "forbidden").await;
    problem(create(format!("http://{host}")), "forbidden").await;
    let created = create(format!("https://{host}")).send().await.expect("an answer");
    assert_eq!(created.status(), 201);
    let location = created.headers()["location"].to_str().expect("a text").to_owned();
    let id = created.json::<Value>().await.expect("JSON")["id"].as_str().expect("an id").to_owned();
    assert_eq!(location, format!("/relive/api/v1/sessions/{id}"));

    let socket = async |path: &str| Socket::open_tls(proxy.address, path, proxy.tls.client()).await;
    let mut viewer = socket(&format!("/relive/ws/sessions/{id}?mode=delta&messages=true")).await;
    assert_eq!(viewer.frame().await["revision"], 1);
    let mut driver = socket("/relive/ws").await;
    let text = "x".repeat(900_000);
    for command in [json!({"type": "start"}), json!({"type": "addMessage", "nodeId": "n", "content": text})] {
        driver.send(json!({"type": "command", "id": "c", "sessionId": id, "command": command})).await;
        assert_eq!(driver.frame().await["type"], "ack");
    }
    assert_eq!(viewer.frame_of("message").await["message"]["content"], text);
    let body = json!([{"type": "setContext", "key": "k", "value": "x".repeat(500_000)}, {"type": "complete"}]);
    let command = http.post(proxy.url(&format!("/relive/api/v1/sessions/{id}/commands"))).json(&body);
    assert_eq!(answer(command).await.0, 200);
    viewer.frame_of("end").await;

    let mut watch = Command::new(env!("CARGO_BIN_EXE_relive"));
    watch.args(["watch", "--plain", &id]).env("RELIVE_SERVER", proxy.url("/relive/"));
    watch.env("SSL_CERT_FILE", proxy.tls.root()).env_remove("SSL_CERT_DIR").kill_on_drop(true);
    let watched = tokio::time::timeout(DEADLINE, watch.output()).await.expect("ended in time").expect("relive");
    assert!(watched.status.success(), "{}", String::from_utf8_lossy(&watched.stderr));
}

#[tokio::test]
async fn nginx_serves_it_with_the_example() {
    let server = behind("/relive").await;
    if let Some(proxy) = Proxy::nginx(server.address()).await {
        everything_works(proxy).await;
    }
}

#[tokio::test]
async fn caddy_serves_it_with_the_example() {
    let server = behind("/").await;
    if let Some(proxy) = Proxy::caddy(server.address()).await {
        everything_works(proxy).await;
    }
}

/// Nothing is sticky: a session that one server made is watched and driven through the other, and goes on when one of
/// them has gone.
#[tokio::test]
async fn nginx_spreads_clients_over_several_servers_and_leaves_out_one_that_is_gone() {
    let trusting = |config: &mut relive::config::ServeConfig| {
        config.proxy.trusted_proxies = vec!["127.0.0.1/32".parse().expect("a network")];
        config.access.allow_anonymous = true;
    };
    let database = Database::create().await;
    let one = TestServer::start_on(database.clone(), trusting).await;
    let other = TestServer::start_on(database, trusting).await;
    let Some(proxy) = Proxy::nginx_several(&[one.address(), other.address()]).await else { return };
    let client = proxy.tls.http();
    let ask = |method: Method, path: &str, body: Option<Value>| {
        let request = client.request(method, proxy.url(path));
        answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
    };
    let (status, created) = ask(Method::POST, "/api/v1/sessions", Some(json!({}))).await;
    assert_eq!(status, 201, "{created}");
    let id = created["id"].as_str().expect("an id").to_owned();
    let mut viewers = Vec::new();
    for _ in 0..4 {
        let path = format!("/ws/sessions/{id}?mode=events");
        let mut viewer = Socket::open_tls(proxy.address, &path, proxy.tls.client()).await;
        assert_eq!(viewer.frame().await["revision"], 1);
        viewers.push(viewer);
    }
    let control = format!("/api/v1/sessions/{id}/control");
    assert_eq!(ask(Method::POST, &control, Some(json!({"action": "start"}))).await.0, 200);
    for viewer in &mut viewers {
        assert_eq!(viewer.frame().await["revision"], 2);
    }

    one.stop().await;
    for _ in 0..20 {
        assert_eq!(ask(Method::GET, &format!("/api/v1/sessions/{id}"), None).await.0, 200);
    }
    let path = format!("/ws/sessions/{id}?mode=events&after=2");
    let mut returned = Socket::open_tls(proxy.address, &path, proxy.tls.client()).await;
    assert_eq!(ask(Method::POST, &control, Some(json!({"action": "complete"}))).await.0, 200);
    assert_eq!(returned.frame().await["revision"], 3);
    // Half of the viewers were on each.
    let mut ended = 0;
    for viewer in &mut viewers {
        ended += u32::from(viewer.message().await.is_close());
    }
    assert_eq!(ended, 2, "viewers of the server that is gone");
}
