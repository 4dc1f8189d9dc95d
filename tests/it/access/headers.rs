//! Headers that may occur once, credentials beside each other, and what is wrong with an address.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::support::{ROOT, call, get, key, make, post, server};
use crate::harness::{Socket, answer, eventually};

#[tokio::test]
async fn a_header_that_may_occur_once_is_refused_twice() {
    let server = server().await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let [one, two] = [key(&server, "admin", "default").await, key(&server, "admin", "default").await];
    for (name, values) in [
        ("relive-project", ["default", "other"]),
        ("relive-project", ["default", "default"]),
        ("idempotency-key", ["a", "b"]),
        ("authorization", [&format!("Bearer {one}"), &format!("Bearer {two}")]),
    ] {
        let mut request = server.request(Method::POST, "/api/v1/groups").json(&json!({"name": "g"}));
        if name != "authorization" {
            request = request.bearer_auth(ROOT);
        }
        for value in values {
            request = request.header(name, value);
        }
        let (status, refused) = answer(request).await;
        assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{name}: {refused}");
        let detail = refused["detail"].as_str().expect("a text").to_lowercase();
        assert_eq!(detail, format!("the request has two {name} headers"));
    }
    let mut request = format!("ws://{}/ws", server.address()).into_client_request().expect("a request");
    let offered = [one, two].map(|key| format!("base64url.bearer.relive.{}", URL_SAFE_NO_PAD.encode(key)));
    let offered = format!("relive.v1, {}", offered.join(", "));
    request.headers_mut().insert("sec-websocket-protocol", offered.parse().expect("a header"));
    let (stream, _) = tokio_tungstenite::connect_async(request).await.expect("a WebSocket");
    assert_eq!(Socket { stream }.close_code().await, 4501);
}

#[tokio::test]
async fn a_cookie_is_not_exchanged_and_counts_beside_credentials_of_other_schemes() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let signed_in = server.request(Method::POST, "/api/v1/sign-in").bearer_auth(&admin);
    let signed_in = signed_in.send().await.expect("an answer");
    let cookie =
        signed_in.headers()["set-cookie"].to_str().expect("text").split(';').next().expect("a pair").to_owned();
    let origin = format!("http://{}", server.address());
    let with = |method: Method, path: &str, origin: &str, authorization: &str| {
        let mut request = server.request(method, path).header("cookie", &cookie);
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        if !authorization.is_empty() {
            request = request.header("authorization", authorization);
        }
        answer(request)
    };
    let (status, refused) = with(Method::POST, "/api/v1/sign-in", &origin, "").await;
    assert_eq!((status, &refused["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")), "{refused}");

    // What a proxy or the browser itself adds is not looked at, and does not stand in for the page's origin.
    let basic = "Basic YWRhOnNlY3JldA==";
    let (status, me) = with(Method::GET, "/api/v1/me", "", basic).await;
    assert_eq!((status, &me["signedIn"], &me["role"]), (StatusCode::OK, &json!(true), &json!("admin")), "{me}");
    let group = |origin: &str, authorization: &str| {
        let mut request = server.request(Method::POST, "/api/v1/groups").header("cookie", &cookie);
        if !origin.is_empty() {
            request = request.header("origin", origin);
        }
        answer(request.header("authorization", authorization).json(&json!({"name": "g"})))
    };
    assert_eq!(group("", basic).await.0, StatusCode::FORBIDDEN);
    assert_eq!(group("https://evil.example", basic).await.0, StatusCode::FORBIDDEN);
    assert_eq!(group(&origin, basic).await.0, StatusCode::CREATED);
    // A bearer token is looked at before the cookie, and not passed over.
    assert_eq!(with(Method::GET, "/api/v1/me", "", "Bearer rlv_wrong").await.0, StatusCode::UNAUTHORIZED);
}

/// A browser sends several cookies of a name if they were set for different paths or domains; their order says nothing.
#[tokio::test]
async fn of_several_cookies_the_valid_one_counts_and_none_if_they_contradict() {
    let server = server().await;
    let (ada, eve) = (key(&server, "admin", "default").await, key(&server, "viewer", "default").await);
    let cookie = async |key: &str| {
        let signed_in = server.request(Method::POST, "/api/v1/sign-in").bearer_auth(key);
        let signed_in = signed_in.send().await.expect("an answer");
        let cookie = signed_in.headers()["set-cookie"].to_str().expect("text");
        cookie.split(';').next().expect("a pair").to_owned()
    };
    let (of_ada, again, of_eve) = (cookie(&ada).await, cookie(&ada).await, cookie(&eve).await);
    let unknown = |n: usize| format!("relive_session={}{n}", "x".repeat(42));
    let foreign = "other=1; relive_session_x=2".to_owned();
    let me = async |cookies: &[&String]| {
        let mut request = server.request(Method::GET, "/api/v1/me");
        // In one header or several: HTTP/2, and proxies that come from it, have several.
        for cookie in cookies {
            request = request.header("cookie", *cookie);
        }
        let joined = cookies.iter().map(|cookie| cookie.as_str()).collect::<Vec<_>>().join("; ");
        let (apart, together) =
            (answer(request).await, answer(server.request(Method::GET, "/api/v1/me").header("cookie", joined)).await);
        assert_eq!(apart, together);
        together
    };
    for cookies in [
        vec![&of_ada],
        vec![&unknown(1), &of_ada],
        vec![&of_ada, &unknown(1), &foreign],
        vec![&of_ada, &of_ada, &of_ada, &of_ada, &of_ada],
        // Somebody who has signed in twice is still the same.
        vec![&of_ada, &again],
    ] {
        let (status, answer) = me(&cookies).await;
        assert_eq!((status, &answer["role"]), (StatusCode::OK, &json!("admin")), "{cookies:?}: {answer}");
    }
    for (cookies, expected) in [
        (vec![&of_ada, &of_eve], StatusCode::UNAUTHORIZED),
        (vec![&of_eve, &unknown(1), &of_ada], StatusCode::UNAUTHORIZED),
        (vec![&unknown(1), &unknown(2)], StatusCode::UNAUTHORIZED),
        (vec![&of_ada, &unknown(1), &unknown(2), &unknown(3), &unknown(4)], StatusCode::BAD_REQUEST),
    ] {
        let (status, answer) = me(&cookies).await;
        assert_eq!(status, expected, "{cookies:?}: {answer}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_id_is_said_in_its_own_words() {
    let server = server().await;
    for (path, words) in [
        ("projects/a%00", "the id of a project has 1 to 63 lower-case letters"),
        ("projects/Blue", "the id of a project has 1 to 63 lower-case letters"),
        ("keys/x", "`x` is not the id of a key (a UUID)"),
        ("tokens/x", "`x` is not the id of a token (a UUID)"),
    ] {
        let (status, refused) = call(&server, ROOT, Method::DELETE, &format!("/api/v1/{path}"), None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {refused}");
        assert!(refused["detail"].as_str().expect("a text").starts_with(words), "{path}: {refused}");
    }
}

#[tokio::test]
async fn the_audit_log_goes_on_after_an_entry_of_the_project_alone() {
    let server = server().await;
    make(&server, ROOT, "/api/v1/projects", json!({"name": "other"})).await;
    let other = key(&server, "admin", "other").await;
    make(&server, &other, "/api/v1/groups", json!({"name": "g"})).await;
    let first = async || get(&server, &other, "/api/v1/audit").await.1["entries"][0]["id"].clone();
    eventually("it is recorded", async || first().await.is_string()).await;
    let foreign = first().await.as_str().expect("an id").to_owned();
    let after_own = get(&server, &other, &format!("/api/v1/audit?after={foreign}")).await;
    assert_eq!((after_own.0, &after_own.1["entries"]), (StatusCode::OK, &json!([])));
    for unknown in [foreign, uuid::Uuid::now_v7().to_string()] {
        for order in ["asc", "desc"] {
            let path = format!("/api/v1/audit?after={unknown}&order={order}");
            let (status, refused) = get(&server, ROOT, &path).await;
            assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_token_that_nobody_could_use_is_not_given() {
    let server = server().await;
    let admin = key(&server, "admin", "default").await;
    let tags: Vec<String> = (0..100).map(|n| format!("read:tags:{n:02}{}", "検".repeat(62))).collect();
    let (status, refused) = post(&server, &admin, "/api/v1/tokens", json!({"scopes": tags})).await;
    assert_eq!((status, &refused["code"]), (StatusCode::BAD_REQUEST, &json!("bad_request")), "{refused}");
    let ids: Vec<String> = (0..100).map(|_| format!("write:sessions:{}", uuid::Uuid::now_v7())).collect();
    let made = make(&server, &admin, "/api/v1/tokens", json!({"scopes": ids})).await;
    let (status, me) = get(&server, made["token"].as_str().expect("a token"), "/api/v1/me").await;
    assert_eq!((status, me["scopes"].as_array().map(Vec::len)), (StatusCode::OK, Some(100)), "{me}");
}
