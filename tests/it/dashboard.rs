//! The dashboard as the server serves it; with or without having been built.

use reqwest::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};

use crate::harness::{TestServer, problem};

async fn get(server: &TestServer, path: &str, header: (&str, &str)) -> (StatusCode, HeaderMap, Vec<u8>) {
    let response = server.request(Method::GET, path).header(header.0, header.1).send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, response.bytes().await.expect("a body").to_vec())
}

fn value(headers: &HeaderMap, name: impl reqwest::header::AsHeaderName) -> String {
    headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

const PLAIN: (&str, &str) = ("accept-encoding", "identity");

#[tokio::test]
async fn every_page_is_the_dashboard_guarded_against_other_hosts_and_frames() {
    let server = TestServer::start().await;
    let session = "sessions/0198c0de-0000-7000-8000-000000000001";
    for path in ["/", &format!("/{session}"), "/?status=running", &format!("/embed/{session}?revision=3")] {
        let (status, headers, body) = get(&server, path, PLAIN).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(value(&headers, CONTENT_TYPE).starts_with("text/html"), "{path}");
        assert_eq!(value(&headers, CACHE_CONTROL), "no-cache");
        assert_eq!(value(&headers, "x-content-type-options"), "nosniff");
        assert_eq!(value(&headers, "referrer-policy"), "no-referrer");
        let policy = value(&headers, "content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "connect-src 'self'"] {
            assert!(policy.contains(part), "{part} in {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        let page = String::from_utf8(body).expect("text");
        assert!(page.contains("Relive") && !page.contains("://"), "nothing of another host: {page}");
    }
    problem(server.request(Method::GET, "/elsewhere"), "not_found").await;
    problem(server.request(Method::GET, "/assets/none.js"), "not_found").await;
    problem(server.request(Method::GET, "/assets/..%2Findex.html"), "not_found").await;
    problem(server.request(Method::GET, "/embed/none.js"), "not_found").await;
    problem(server.request(Method::GET, "/embed/..%2Findex.html"), "not_found").await;
}

#[tokio::test]
async fn scripts_for_other_pages_keep_their_names_and_are_asked_about_each_time() {
    let server = TestServer::start().await;
    let (_, _, page) = get(&server, "/embed/sessions/x", PLAIN).await;
    let page = String::from_utf8(page).expect("text");
    if !page.contains("/embed/page.js") {
        assert!(page.contains("make dashboard"), "a server without a dashboard says how to build it");
        return;
    }
    for path in ["/embed/page.js", "/embed/relive-session.js"] {
        let (status, headers, body) = get(&server, path, PLAIN).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(value(&headers, CONTENT_TYPE).starts_with("text/javascript"), "{path}");
        assert_eq!(value(&headers, CACHE_CONTROL), "no-cache", "{path}");
        assert_eq!(value(&headers, "cross-origin-resource-policy"), "cross-origin", "{path}");
        assert!(!body.is_empty(), "{path}");
        let (status, headers, body) = get(&server, path, (IF_NONE_MATCH.as_str(), &value(&headers, ETAG))).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        assert_eq!(value(&headers, CACHE_CONTROL), "no-cache", "{path}");
    }
}

#[tokio::test]
async fn assets_are_kept_for_ever_packed_and_asked_for_once() {
    let server = TestServer::start().await;
    let (_, headers, page) = get(&server, "/", PLAIN).await;
    let page = String::from_utf8(page).expect("text");
    let assets: Vec<&str> =
        page.match_indices("/assets/").filter_map(|(at, _)| page.get(at..)?.split('"').next()).collect();
    if assets.is_empty() {
        assert!(page.contains("make dashboard"), "a server without a dashboard says how to build it");
        return;
    }
    let (status, _, body) = get(&server, "/", (IF_NONE_MATCH.as_str(), &value(&headers, ETAG))).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "the page is asked about again, not sent again");
    for path in assets {
        let (status, headers, plain) = get(&server, path, PLAIN).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(value(&headers, CACHE_CONTROL).contains("immutable"), "{path}");
        assert_ne!(value(&headers, CONTENT_TYPE), "application/octet-stream", "{path}");
        assert_eq!(value(&headers, CONTENT_ENCODING), "", "{path}");
        let (_, headers, packed) = get(&server, path, ("accept-encoding", "br, gzip")).await;
        if value(&headers, CONTENT_ENCODING) == "gzip" {
            assert!(packed.len() < plain.len() && packed.starts_with(&[0x1f, 0x8b]), "{path}");
        } else {
            assert_eq!(packed, plain, "{path}");
        }
    }
}
