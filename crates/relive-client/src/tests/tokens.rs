use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A source that gives `token 1`, `token 2`, and so on.
fn numbered() -> TokenSource {
    let given = AtomicUsize::new(0);
    TokenSource::new(move || {
        let count = given.fetch_add(1, Ordering::Relaxed) + 1;
        async move { Ok::<_, &str>(format!("token-{count}")) }
    })
}

fn with(token: TokenSource) -> Options {
    Options { token: Some(token), ..quick() }
}

async fn connect_with(faults: Vec<Fault>, token: TokenSource) -> (Arc<Peer>, Client) {
    let peer = Peer::start(faults).await;
    let client = soon(Client::connect_with(&peer.url, with(token))).await.expect("connected");
    (peer, client)
}

/// What was presented, as texts, once there is as much of it.
async fn presented(peer: &Peer, count: usize) -> Vec<String> {
    let mut seen = peer.presented.subscribe();
    let seen = soon(seen.wait_for(|seen| seen.len() >= count)).await.expect("a peer").clone();
    seen.into_iter().map(|(kind, token)| format!("{kind} {}", token.as_deref().unwrap_or("-"))).collect()
}

#[tokio::test]
async fn every_handshake_has_a_new_token_and_requests_have_the_newest() {
    let (peer, client) = connect_with(vec![Fault { cut_before: Some(1), ..Fault::default() }], numbered()).await;
    soon(client.session(peer.id())).await.expect("a session");
    send_all(&client, peer.id(), 1).await;
    soon(client.session(peer.id())).await.expect("a session");
    let expected = ["handshake Bearer token-1", "request Bearer token-1"];
    let after = ["handshake Bearer token-2", "request Bearer token-2"];
    assert_eq!(presented(&peer, 4).await, [expected, after].concat());
}

#[tokio::test]
async fn without_a_token_none_is_sent() {
    let (peer, client) = connect(vec![]).await;
    soon(client.session(peer.id())).await.expect("a session");
    assert_eq!(presented(&peer, 2).await, ["handshake -", "request -"]);
}

#[tokio::test]
async fn an_expired_token_is_replaced_by_a_new_connection() {
    let refusal = Some((ErrorCode::Unauthorized, "the token has expired"));
    let (peer, client) = connect_with(vec![Fault { close: Some(4401), refusal, ..Fault::default() }], numbered()).await;
    send_all(&client, peer.id(), 1).await;
    assert_eq!(presented(&peer, 2).await, ["handshake Bearer token-1", "handshake Bearer token-2"]);
}

#[tokio::test]
async fn a_token_that_is_always_the_same_ends_when_it_has_expired() {
    let (peer, client) =
        connect_with(vec![Fault { close: Some(4401), ..Fault::default() }], TokenSource::fixed("key")).await;
    let ended = soon(client.command(peer.id(), set(1))).await.expect_err("expired");
    assert_eq!(ended.code(), Some(ErrorCode::Unauthorized), "{ended}");
    assert_eq!(*peer.connections.borrow(), 1);
}

#[tokio::test]
async fn a_final_refusal_says_why() {
    for (close, code) in [(4500, ErrorCode::Unauthorized), (4503, ErrorCode::Forbidden)] {
        let refusal = Some((code, "this needs the role operator"));
        let (peer, client) =
            connect_with(vec![Fault { close: Some(close), refusal, ..Fault::default() }], numbered()).await;
        let refused = ClientError::Refused { code, message: "this needs the role operator".to_owned() };
        assert_eq!(soon(client.command(peer.id(), set(1))).await, Err(refused.clone()));
        assert_eq!(*client.connection().borrow(), ConnectionState::Closed(refused));
        assert_eq!(*peer.connections.borrow(), 1);
    }
}

#[tokio::test]
async fn a_token_that_expires_is_replaced_on_the_open_connection_after_a_pause() {
    let began = tokio::time::Instant::now();
    let (peer, client) = connect_with(vec![Fault { expiring: true, ..Fault::default() }], numbered()).await;
    // The connection goes on meanwhile.
    send_all(&client, peer.id(), 3).await;
    assert_eq!(presented(&peer, 2).await, ["handshake Bearer token-1", "auth token-2"]);
    assert!(began.elapsed() >= Duration::from_secs(4), "tokens that last seconds must not make a loop");
    send_all(&client, peer.id(), 1).await;
    assert_eq!(*peer.connections.borrow(), 1);
}

#[tokio::test]
async fn a_request_that_is_refused_for_its_token_is_repeated_once_with_a_new_one() {
    let (peer, client) = connect_with(vec![], numbered()).await;
    *peer.valid.lock() = Some("token-2");
    soon(client.session(peer.id())).await.expect("a session");
    *peer.valid.lock() = Some("another");
    let refused = soon(client.session(peer.id())).await.expect_err("refused");
    assert_eq!(refused.code(), Some(ErrorCode::Unauthorized));
    let expected = ["1", "2", "2", "3"].map(|count| format!("request Bearer token-{count}"));
    assert_eq!(presented(&peer, 5).await[1..], expected);
}

#[tokio::test]
async fn a_key_is_not_sent_a_second_time() {
    let (peer, client) = connect_with(vec![], TokenSource::fixed("key")).await;
    *peer.valid.lock() = Some("another");
    soon(client.session(peer.id())).await.expect_err("refused");
    assert_eq!(presented(&peer, 2).await, ["handshake Bearer key", "request Bearer key"]);
}

#[tokio::test]
async fn a_source_that_fails_is_an_error_at_first_and_asked_again_later() {
    let failing = |from: usize, to: usize| {
        let asked = AtomicUsize::new(0);
        TokenSource::new(move || {
            let asked = asked.fetch_add(1, Ordering::Relaxed);
            std::future::ready(if (from..to).contains(&asked) { Err("signed out") } else { Ok("key".to_owned()) })
        })
    };
    let peer = Peer::start(vec![]).await;
    let failed = soon(Client::connect_with(&peer.url, with(failing(0, 1)))).await.expect_err("no token");
    assert_eq!(failed, ClientError::NoToken("signed out".to_owned()));
    assert_eq!(*peer.connections.borrow(), 0);
    let (peer, client) = connect_with(vec![Fault { cut_before: Some(1), ..Fault::default() }], failing(1, 3)).await;
    send_all(&client, peer.id(), 1).await;
    assert_eq!(*peer.connections.borrow(), 2);
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused_and_none_is_shown() {
    let peer = Peer::start(vec![]).await;
    let wrong =
        soon(Client::connect_with(&peer.url, with(TokenSource::fixed("se\ncret")))).await.expect_err("no token");
    assert!(matches!(wrong, ClientError::NoToken(_)), "{wrong}");
    assert!(!format!("{wrong} {wrong:?} {:?}", TokenSource::fixed("secret")).contains("cret"));
}
