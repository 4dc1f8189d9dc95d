use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::json;

use super::testing::{Fault, Peer};
use super::*;

mod tokens;

/// Only for a test that fails.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

fn quick() -> Options {
    Options { backoff_first: Duration::from_millis(5), backoff_most: Duration::from_millis(20), ..Options::default() }
}

async fn connect(faults: Vec<Fault>) -> (Arc<Peer>, Client) {
    let peer = Peer::start(faults).await;
    let client = soon(Client::connect_with(&peer.url, quick())).await.expect("connected");
    (peer, client)
}

fn set(key: u64) -> Vec<Command> {
    vec![Command::set_context(key.to_string(), json!(key))]
}

/// Sends `count` commands side by side and waits for all receipts.
async fn send_all(client: &Client, id: SessionId, count: u64) {
    let sends = (0..count).map(|key| client.command(id, set(key)));
    let receipts: Result<Vec<_>, _> = soon(join_all(sends)).await.into_iter().collect();
    receipts.expect("accepted");
}

/// How often each key was set, by the history.
fn keys_set(peer: &Peer) -> Vec<u64> {
    let memory = peer.memory.lock();
    let keys = memory.history.iter().filter_map(|recorded| match &recorded.event {
        Event::ContextSet { key, .. } => key.parse().ok(),
        _ => None,
    });
    keys.collect()
}

async fn revisions(events: &mut SessionEvents, count: usize) -> Vec<Revision> {
    let mut revisions = Vec::new();
    while revisions.len() < count {
        revisions.push(soon(events.next()).await.expect("goes on").expect("not the end").revision);
    }
    revisions
}

#[tokio::test]
async fn a_cut_connection_loses_and_repeats_no_command() {
    let faults = vec![
        Fault { cut_after: Some(7), ..Fault::default() },
        Fault { cut_before: Some(3), ..Fault::default() },
        Fault { cut_after: Some(1), ..Fault::default() },
    ];
    let (peer, client) = connect(faults).await;
    send_all(&client, peer.id(), 50).await;
    assert_eq!(keys_set(&peer), (0..50).collect::<Vec<_>>());
    assert_eq!(*peer.connections.borrow(), 4);
}

#[tokio::test]
async fn events_go_on_after_a_cut_each_once_and_in_order() {
    let (peer, client) = connect(vec![Fault { cut_after: Some(5), ..Fault::default() }; 4]).await;
    let mut events = soon(client.events(peer.id(), 0)).await.expect("subscribed");
    send_all(&client, peer.id(), 40).await;
    assert_eq!(revisions(&mut events, 41).await, (1..=41).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_lost_event_is_fetched_and_a_repeated_one_shown_once() {
    let (peer, client) = connect(vec![Fault { lose: Some(4), repeat: Some(6), ..Fault::default() }]).await;
    for key in 0..9 {
        peer.change(&set(key));
    }
    let mut events = soon(client.events(peer.id(), 1)).await.expect("subscribed");
    assert_eq!(revisions(&mut events, 9).await, (2..=10).collect::<Vec<_>>());
    peer.change(&[Command::Cancel { reason: None }]);
    assert_eq!(revisions(&mut events, 1).await, [11]);
    assert_eq!(soon(events.next()).await, Ok(None), "the end");
}

#[tokio::test]
async fn a_refusal_that_may_pass_is_tried_again() {
    let (peer, client) = connect(vec![Fault { unavailable: 5, ..Fault::default() }]).await;
    send_all(&client, peer.id(), 3).await;
    let mut keys = keys_set(&peer);
    keys.sort_unstable();
    assert_eq!(keys, [0, 1, 2]);
}

#[tokio::test]
async fn a_refusal_is_the_callers_to_handle() {
    let (peer, client) = connect(vec![]).await;
    let refused = soon(client.command(peer.id(), vec![Command::Resume])).await;
    assert_eq!(refused.expect_err("pending").code(), Some(ErrorCode::IllegalTransition));
}

#[tokio::test]
async fn a_close_code_that_says_so_ends_the_client() {
    let (peer, client) = connect(vec![Fault { close: Some(4504), ..Fault::default() }]).await;
    let mut events = soon(client.events(peer.id(), 0)).await.expect("asked");
    let closed = ClientError::Closed { code: 4504, reason: "as the test asked".to_owned() };
    assert_eq!(soon(events.next()).await, Err(closed.clone()));
    assert_eq!(soon(client.command(peer.id(), set(1))).await, Err(closed.clone()));
    assert_eq!(*client.connection().borrow(), ConnectionState::Closed(closed));
    assert_eq!(*peer.connections.borrow(), 1, "it must not come back");
}

#[tokio::test]
async fn other_close_codes_are_come_back_from() {
    let faults = [1001, 1012, 4408].map(|code| Fault { close: Some(code), ..Fault::default() });
    let (peer, client) = connect(faults.to_vec()).await;
    send_all(&client, peer.id(), 1).await;
    assert_eq!(*peer.connections.borrow(), 4);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left() {
    let peer = Peer::start(vec![Fault { mute: true, ..Fault::default() }]).await;
    let options = Options { silence: Duration::from_millis(200), ..quick() };
    let client = soon(Client::connect_with(&peer.url, options)).await.expect("connected");
    soon(client.command(peer.id(), set(1))).await.expect("accepted");
    assert!(*peer.connections.borrow() > 1);
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_and_misses_nothing() {
    let peer = Peer::start(vec![]).await;
    let options = Options { queue: 4, ..quick() };
    let client = soon(Client::connect_with(&peer.url, options)).await.expect("connected");
    let mut events = soon(client.events(peer.id(), 1)).await.expect("subscribed");
    // Nothing is read, and still every command is answered.
    send_all(&client, peer.id(), 100).await;
    assert_eq!(revisions(&mut events, 100).await, (2..=101).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_session_that_is_not_there_ends_only_its_subscription() {
    let (peer, client) = connect(vec![]).await;
    let mut events = soon(client.events(SessionId::generate(), 0)).await.expect("asked");
    let error = soon(events.next()).await.expect_err("not there");
    assert_eq!(error.code(), Some(ErrorCode::NotFound));
    send_all(&client, peer.id(), 1).await;
}

#[tokio::test]
async fn a_session_is_watched_once_at_a_time() {
    let (peer, client) = connect(vec![]).await;
    let first = soon(client.events(peer.id(), 0)).await.expect("subscribed");
    let second = soon(client.events(peer.id(), 0)).await;
    assert_eq!(second.err(), Some(ClientError::AlreadySubscribed(peer.id())));
    drop(first);
    // The owner hears of the drop in its own time.
    let again = async {
        loop {
            if let Ok(events) = client.events(peer.id(), 0).await {
                break events;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut again = soon(again).await;
    assert_eq!(revisions(&mut again, 1).await, [1]);
}

#[tokio::test]
async fn nobody_there_is_an_error_at_once() {
    let unreachable = soon(Client::connect("http://127.0.0.1:1")).await.expect_err("nobody");
    assert!(matches!(unreachable, ClientError::Unreachable { .. }), "{unreachable}");
}

#[tokio::test]
async fn the_connection_ends_with_its_last_handle() {
    let (peer, client) = connect(vec![]).await;
    let events = soon(client.events(peer.id(), 0)).await.expect("subscribed");
    let mut state = client.connection();
    drop(client);
    drop(events);
    // The owner has gone when nobody can tell about the connection any more.
    soon(async { while state.changed().await.is_ok() {} }).await;
}
