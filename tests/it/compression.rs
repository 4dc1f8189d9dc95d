//! Answers in JSON are compressed for clients that accept it, and nothing else is.

use std::io::Read as _;

use flate2::read::GzDecoder;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, IF_NONE_MATCH, VARY};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::harness::{TestServer, chain};

async fn get(server: &TestServer, path: &str, accepted: &str) -> Response {
    server.request(Method::GET, path).header(ACCEPT_ENCODING, accepted).send().await.expect("an answer")
}

fn encoding(response: &Response) -> &str {
    response.headers().get(CONTENT_ENCODING).map_or("", |value| value.to_str().expect("text"))
}

async fn unpacked(response: Response) -> Value {
    let packed = response.bytes().await.expect("a body");
    let mut text = String::new();
    GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
    serde_json::from_str(&text).expect("JSON")
}

#[tokio::test]
async fn json_is_compressed_for_those_who_accept_it() {
    let server = TestServer::start().await;
    let names: Vec<String> = (0..300).map(|n| format!("node{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = server.create(json!({"graph": chain(&names)})).await;
    let path = format!("/api/v1/sessions/{id}");
    for part in ["", "/graph", "/events?limit=1"] {
        let path = format!("{path}{part}");
        let plain = get(&server, &path, "identity").await;
        assert_eq!(encoding(&plain), "", "{path}");
        let packed = get(&server, &path, "gzip, deflate, br").await;
        assert_eq!(encoding(&packed), "gzip", "{path}");
        let vary: Vec<_> = packed.headers().get_all(VARY).iter().filter_map(|value| value.to_str().ok()).collect();
        assert!(vary.contains(&"accept-encoding"), "{path}: {vary:?}");
        assert_eq!(packed.headers().get(ETAG), plain.headers().get(ETAG), "{path}: it names the revision");
        let plain = plain.bytes().await.expect("a body");
        let expected: Value = serde_json::from_slice(&plain).expect("JSON");
        assert_eq!(unpacked(packed).await, expected, "{path}");
    }
    assert_eq!(encoding(&get(&server, &path, "gzip;q=0").await), "");
    let tag = get(&server, &path, "gzip").await.headers()[ETAG].clone();
    let held = server.request(Method::GET, &path).header(ACCEPT_ENCODING, "gzip").header(IF_NONE_MATCH, tag);
    let held = held.send().await.expect("an answer");
    assert_eq!((held.status().as_u16(), encoding(&held)), (304, ""));
}

/// The request is carried out in any case, so that an answer has to be given.
#[tokio::test]
async fn whoever_refuses_the_answer_as_it_is_gets_it_nevertheless() {
    let server = TestServer::start().await;
    for accepted in ["identity;q=0", "*;q=0", "br;q=1, *;q=0", "br, identity ; Q=0.000"] {
        let request = server.request(Method::POST, "/api/v1/sessions").header(ACCEPT_ENCODING, accepted);
        let made = request.json(&json!({})).send().await.expect("an answer");
        assert_eq!((made.status().as_u16(), encoding(&made)), (201, ""), "{accepted}");
    }
    let names: Vec<String> = (0..300).map(|n| format!("node{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = server.create(json!({"graph": chain(&names)})).await;
    let packed = get(&server, &format!("/api/v1/sessions/{id}"), "gzip, identity;q=0").await;
    assert_eq!(encoding(&packed), "gzip");
}

#[tokio::test]
async fn small_answers_and_streams_are_not_compressed() {
    let server = TestServer::start().await;
    let id = server.create(json!({})).await;
    for path in [
        format!("/api/v1/sessions/{id}/usage"),
        format!("/api/v1/sessions/{id}/stream"),
        format!("/api/v1/sessions/{id}/export"),
        "/metrics".to_owned(),
    ] {
        let response = get(&server, &path, "gzip").await;
        assert!(response.status().is_success(), "{path}: {}", response.status());
        assert_eq!(encoding(&response), "", "{path}");
    }
}
