//! Signing in with an identity provider, in the way of a browser.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::harness::{Provider, TestServer};

/// A server as it is registered with the provider of the tests: by the name that the browser uses.
async fn server(provider: &Provider) -> TestServer {
    TestServer::start_with(|config| {
        config.access.oidc.oidc_issuer = Some(provider.issuer.clone());
        config.access.oidc.oidc_client_id = Some("relive".to_owned());
        config.access.oidc.oidc_client_secret = Some("secret &+%".to_owned().into());
    })
    .await
}

/// As a browser that knows the server under the registered address.
fn request(server: &TestServer, path: &str) -> reqwest::RequestBuilder {
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
    http.request(Method::GET, server.url(path)).header("host", "127.0.0.1:7400")
}

fn header(response: &reqwest::Response, name: &str) -> String {
    response.headers()[name].to_str().expect("text").to_owned()
}

#[tokio::test]
async fn a_browser_signs_in_with_the_provider_and_out_again() {
    let Some(provider) = Provider::start().await else { return };
    let server = server(&provider).await;
    let refused = request(&server, "/api/v1/me").send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);

    let begun = request(&server, "/api/v1/sign-in/begin?returnTo=/sessions/x").send().await.expect("an answer");
    assert_eq!(begun.status(), StatusCode::SEE_OTHER);
    let pending = header(&begun, "set-cookie");
    assert!(pending.contains("HttpOnly") && pending.contains("SameSite=Lax"), "{pending}");
    let pending = pending.split(';').next().expect("a pair").to_owned();
    let answer = provider.sign_in(&header(&begun, "location")).await;
    let query: Vec<String> = answer
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('%', "%25").replace('&', "%26").replace('+', "%2B")))
        .collect();
    let callback = format!("/auth/callback?{}", query.join("&"));

    // Of a browser that has not begun it, it is not accepted.
    let stolen = request(&server, &callback).send().await.expect("an answer");
    assert_eq!(stolen.status(), StatusCode::UNAUTHORIZED);

    let finished = request(&server, &callback).header("cookie", &pending).send().await.expect("an answer");
    assert_eq!((finished.status(), header(&finished, "location").as_str()), (StatusCode::SEE_OTHER, "/sessions/x"));
    let mut cookies = finished.headers().get_all("set-cookie").iter().map(|value| value.to_str().expect("text"));
    let cookie = cookies.find(|cookie| cookie.starts_with("relive_session=")).expect("a cookie");
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    let me = request(&server, "/api/v1/me").header("cookie", &cookie).send().await.expect("an answer");
    let me: Value = me.json().await.expect("JSON");
    assert_eq!((&me["actor"]["kind"], &me["signedIn"]), (&"user".into(), &true.into()), "{me}");
    assert!(me["role"].is_string(), "{me}");

    // The code was for one use.
    let again = request(&server, &callback).header("cookie", &pending).send().await.expect("an answer");
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
}
