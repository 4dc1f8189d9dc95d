//! Encodings, and bodies that are not exports.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use super::{SESSION, agent, export, gzip, protobuf, send, span};
use crate::harness::{TestServer, problem};

fn post(server: &TestServer, content_type: &str, body: Vec<u8>) -> RequestBuilder {
    server.request(Method::POST, "/v1/traces").header("content-type", content_type).body(body)
}

#[tokio::test]
async fn every_encoding_is_answered_in_kind() {
    let body = export(&agent());
    let json = body.to_string().into_bytes();
    for (content_type, body) in [("application/json", json), ("application/x-protobuf", protobuf(body))] {
        for is_gzip in [false, true] {
            let server = TestServer::start().await;
            let mut request = post(&server, content_type, if is_gzip { gzip(&body) } else { body.clone() });
            if is_gzip {
                request = request.header("content-encoding", "gzip");
            }
            let answer = request.send().await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK, "{content_type} {is_gzip}");
            assert_eq!(answer.headers()["content-type"], content_type);
            let answer = answer.bytes().await.expect("a body");
            assert_eq!(&answer[..], if content_type == "application/json" { b"{}".as_slice() } else { b"" });
            assert_eq!(server.session(SESSION).await["name"], "agent run");
        }
    }
}

#[tokio::test]
async fn spans_without_ids_are_counted_and_the_others_stored() {
    let server = TestServer::start().await;
    let good = span("00000000000000a1", "", "good", (0, 1), json!({}));
    let mut bad = vec![good.clone(); 5];
    bad[0]["traceId"] = json!("");
    bad[1]["traceId"] = json!("0".repeat(32));
    bad[2]["spanId"] = json!("00");
    bad[3]["spanId"] = json!("0".repeat(16));
    bad[4]["traceId"] = json!("abcd");
    let answer = send(&server, &[bad, vec![good]].concat()).await;
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "5", "{answer}");
    assert_eq!(server.session(SESSION).await["nodes"].as_object().expect("nodes").len(), 1);
    let request = post(&server, "application/x-protobuf", protobuf(export(&[json!({"spanId": "00"})])));
    let answer = request.send().await.expect("an answer").bytes().await.expect("a body");
    let answer = ExportTraceServiceResponse::decode(&answer[..]).expect("a response");
    assert_eq!(answer.partial_success.map(|partial| partial.rejected_spans), Some(1));
}

#[tokio::test]
async fn what_is_no_export_is_refused_for_good() {
    let server = TestServer::start().await;
    for (content_type, body) in [
        ("application/json", b"{\"resourceSpans\":7}".to_vec()),
        ("application/json", b"".to_vec()),
        ("application/json", export(&[json!({"traceId": "not hex"})]).to_string().into_bytes()),
        ("application/x-protobuf", vec![0xff; 100]),
        ("application/x-protobuf", b"{}".to_vec()),
    ] {
        problem(post(&server, content_type, body), "bad_request").await;
    }
    problem(post(&server, "application/json", b"{}".to_vec()).header("content-encoding", "gzip"), "bad_request").await;
    for (content_type, encoding) in [("text/csv", "identity"), ("application/json", "br")] {
        let answer = post(&server, content_type, b"{}".to_vec()).header("content-encoding", encoding).send().await;
        assert_eq!(
            answer.expect("an answer").status(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type} {encoding}"
        );
    }
    let spaces = vec![b' '; 17 * 1024 * 1024];
    let bomb = post(&server, "application/json", gzip(&spaces)).header("content-encoding", "gzip");
    problem(bomb, "too_large").await;
    problem(post(&server, "application/json", spaces), "too_large").await;
}

/// Cycles, depths, texts without end, times that go backwards, NUL.
#[tokio::test]
async fn hostile_spans_are_stored_as_well_as_they_can_be() {
    let server = TestServer::start().await;
    let mut one = span("00000000000000a1", "00000000000000b2", "a\0b", (20, 10), json!({"k\0": "v\0", "": "no key"}));
    one["events"] = json!([{"name": "x".repeat(100_000)}, {"name": ""}]);
    one["status"] = json!({"code": 2, "message": "e".repeat(100_000)});
    let two =
        span("00000000000000b2", "00000000000000a1", "", (0, 0), json!({"long": "y".repeat(100_000), "deep": [[[1]]]}));
    let own = span(
        "00000000000000c3",
        "00000000000000c3",
        "its own parent",
        (0, 1),
        json!({
            "gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": 1e300, "gen_ai.input.messages": "[[[",
            "input.value": format!("{}{}", "[".repeat(120), "]".repeat(120)),
        }),
    );
    let mut chain = Vec::new();
    for depth in 1..=80_u64 {
        let parent = if depth == 1 { String::new() } else { format!("{:016x}", 0x1000 + depth - 1) };
        chain.push(span(&format!("{:016x}", 0x1000 + depth), &parent, "deep", (depth, 200), json!({})));
    }
    let answer = send(&server, &[vec![one, two, own], chain].concat()).await;
    let session = server.session(SESSION).await;
    let nodes = session["nodes"].as_object().expect("nodes");
    assert_eq!((nodes.len(), answer), (83, json!({})));
    let error = nodes["00000000000000a1"]["error"].as_str().expect("an error");
    assert!(error.ends_with("(cut off)") && error.len() <= 16 * 1024);
    assert_eq!(nodes["00000000000000a1"]["name"], "a\u{fffd}b");
}
