//! Tool nodes: what they send, and where they may not.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::support::{graph, output, start_with, until_ended};
use crate::harness::TestServer;

/// Shows what it was sent; `/to?URL` leads elsewhere, `/large` is large, `/status/N` answers so.
async fn echo(
    State(port): State<u16>,
    uri: Uri,
    method: axum::http::Method,
    headers: HeaderMap,
    body: String,
) -> Response {
    let path = uri.path();
    if path == "/to" {
        let target = uri.query().unwrap_or_default().replace("PORT", &port.to_string());
        return Redirect::temporary(&target).into_response();
    }
    if path == "/large" {
        return "x".repeat(3_000_000).into_response();
    }
    if let Some(status) = path.strip_prefix("/status/") {
        return (StatusCode::from_bytes(status.as_bytes()).expect("a status"), "so").into_response();
    }
    if path.starts_with("/body/") {
        return body_of(path);
    }
    let token = headers.get("x-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Json(json!({"method": method.as_str(), "path": path, "token": token, "body": body,
                "authorization": headers.get("authorization").and_then(|value| value.to_str().ok())}))
    .into_response()
}

/// `{"a":1}`, and 400,000 times `x`, packed.
const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xabVJT\xb22\xac\x05\x00\xaf\xac\x1bV\x07\x00\x00\x00";
const PACKED_MANY: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc11\x01\x00\x00\x00\xc2\xa0\xda\x8bo\x0a?\xa0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xe0o\x0c5\xc4q\x80\x1a\x06\x00";

fn body_of(path: &str) -> Response {
    let (kind, encoding, body) = match path {
        "/body/latin" => ("text/plain; charset=iso-8859-1", "", b"Gr\xF6\xDFe".to_vec()),
        "/body/packed" => ("application/json", "gzip", PACKED.to_vec()),
        // A file that was made of two may be read as one, as gzip itself does.
        "/body/members" => ("text/plain", "gzip", [PACKED, PACKED].concat()),
        "/body/many" => ("text/plain", "gzip", PACKED_MANY.to_vec()),
        "/body/broken" => ("text/plain", "gzip", b"not packed at all".to_vec()),
        "/body/marked" => ("application/json", "", b"\xEF\xBB\xBF{\"a\":1}".to_vec()),
        "/body/problem" => ("application/problem+json", "", b"{\"a\":1}".to_vec()),
        "/body/nul" => ("application/json", "", br#"{"a":"\u0000"}"#.to_vec()),
        _ => ("application/json", "", b"{".to_vec()),
    };
    let mut response = ([(axum::http::header::CONTENT_TYPE, kind)], body).into_response();
    if !encoding.is_empty() {
        response.headers_mut().insert("content-encoding", encoding.parse().expect("a header"));
    }
    response
}

async fn echo_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let router = Router::new().fallback(any(echo)).with_state(port);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn server(hosts: &[&str], allow_private: bool) -> TestServer {
    TestServer::start_with(|config| {
        config.engine.tool_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        config.engine.tool_allow_private = allow_private;
    })
    .await
}

async fn call(server: &TestServer, properties: Value) -> (Value, Value) {
    let request = json!({"graph": graph(&[("t", "tool", properties, &[])]), "inputs": {"token": "s3", "n": 7}});
    let id = start_with(server, request).await;
    (until_ended(server, &id).await, output(server, &id, "t").await)
}

#[tokio::test]
async fn every_part_of_a_request_is_a_template() {
    let port = echo_port().await;
    let server = server(&["127.0.0.1"], true).await;
    let properties = json!({
        "method": "post", "url": format!("http://127.0.0.1:{port}/items/{{{{inputs.n}}}}"),
        "headers": {"X-Token": "{{inputs.token}}"}, "body": {"count": "{{inputs.n}}"},
    });
    let (session, output) = call(&server, properties).await;
    assert_eq!(session["status"], "completed", "{session}");
    let expected = json!({"method": "POST", "path": "/items/7", "token": "s3", "body": "{\"count\":7}",
                          "authorization": null});
    assert_eq!((&output["status"], &output["json"]), (&json!(200), &expected));
}

#[tokio::test]
async fn errors_sizes_and_headers_have_their_bounds() {
    let port = echo_port().await;
    let server = server(&["127.0.0.1"], true).await;
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let (session, output) = call(&server, json!({"url": at("/status/418")})).await;
    assert_eq!((&session["status"], &output["status"]), (&json!("failed"), &json!(418)));
    let (session, output) = call(&server, json!({"url": at("/status/418"), "accept_errors": true})).await;
    assert_eq!((&session["status"], &output["text"]), (&json!("completed"), &json!("so")));
    let (_, output) = call(&server, json!({"url": at("/large"), "maxBytes": 1000})).await;
    assert_eq!((output["text"].as_str().map(str::len), &output["truncated"]), (Some(1000), &json!(true)));
    let (session, _) = call(&server, json!({"url": at("/"), "headers": {"Host": "elsewhere"}})).await;
    assert!(session["error"].as_str().is_some_and(|error| error.contains("Host")), "{session}");
}

#[tokio::test]
async fn inner_addresses_are_refused_by_name_by_number_and_behind_a_redirect() {
    let port = echo_port().await;
    let closed = server(&["*"], false).await;
    for url in [
        format!("http://127.0.0.1:{port}/"),
        // The list allows the name; where it leads is checked when the connection is made.
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://2130706433:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
    ] {
        let (session, _) = call(&closed, json!({"url": url})).await;
        let error = session["error"].as_str().expect("an error");
        assert!(error.contains("not a public address"), "{url}: {error}");
    }
    let listed = server(&["127.0.0.1"], true).await;
    let (session, _) =
        call(&listed, json!({"url": format!("http://127.0.0.1:{port}/to?http://localhost:PORT/")})).await;
    assert!(session["error"].as_str().is_some_and(|error| error.contains("not on the list")), "{session}");
    let (session, output) =
        call(&listed, json!({"url": format!("http://127.0.0.1:{port}/to?http://127.0.0.1:PORT/there")})).await;
    assert_eq!((&session["status"], &output["json"]["path"]), (&json!("completed"), &json!("/there")), "{session}");
    let (session, _) = call(&listed, json!({"url": "file:///etc/passwd"})).await;
    assert_eq!(session["status"], "failed");
}

#[tokio::test]
async fn bodies_are_read_in_their_character_set_unpacked_and_bounded() {
    let port = echo_port().await;
    let server = server(&["127.0.0.1"], true).await;
    let read = async |path: &str| {
        let properties = json!({"url": format!("http://127.0.0.1:{port}/body/{path}"), "maxBytes": 100_000});
        call(&server, properties).await
    };
    assert_eq!(read("latin").await.1["text"], "Größe");
    for path in ["packed", "marked", "problem"] {
        let (session, output) = read(path).await;
        assert_eq!((&session["status"], &output["json"]), (&json!("completed"), &json!({"a": 1})), "{path}");
    }
    assert_eq!(read("members").await.1["text"], r#"{"a":1}{"a":1}"#);
    // Of what it would be unpacked, no more than the bound.
    let (_, output) = read("many").await;
    assert_eq!((output["text"].as_str().map(str::len), &output["truncated"]), (Some(100_000), &json!(true)));
    assert_eq!(read("broken").await.0["status"], "failed");
    let (session, output) = read("nul").await;
    assert_eq!((&session["status"], &output["json"]), (&json!("completed"), &Value::Null));
    assert!(output["jsonError"].as_str().is_some_and(|problem| problem.contains("NUL")), "{output}");
    assert!(read("half").await.1["jsonError"].is_string());
}

#[tokio::test]
async fn what_a_tool_is_sent_is_kept_without_secrets_and_so_is_what_it_sends_back() {
    let port = echo_port().await;
    let server = server(&["127.0.0.1"], true).await;
    let properties = json!({
        "method": "POST", "url": format!("http://me:pass-word-1@127.0.0.1:{port}/x?n={{{{inputs.n}}}}"),
        "headers": {"Authorization": "Bearer secret-{{inputs.n}}-x", "Accept": "*/*"},
        "body": "it is secret-7-x, and pass-word-1",
    });
    let request = json!({"graph": graph(&[("t", "tool", properties, &[])]), "inputs": {"n": 7}});
    let id = start_with(&server, request).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    let node = server.get(&format!("/api/v1/sessions/{id}/nodes/t")).await.1;
    assert_eq!(node["output"]["json"]["body"], "it is [redacted], and [redacted]");
    let sent_back = node["output"]["json"]["authorization"].as_str().expect("a header");
    assert!(sent_back.ends_with(" [redacted]"), "{sent_back}");
    let input = &node["input"];
    assert_eq!(
        (&input["method"], &input["headers"], &input["body"]),
        (
            &json!("POST"),
            &json!({"Authorization": "[redacted]", "Accept": "*/*"}),
            &json!("it is [redacted], and [redacted]")
        )
    );
    assert!(input["url"].as_str().is_some_and(|url| url.ends_with("/x?n=7") && !url.contains("pass-word")), "{input}");
}
