//! An engine's grip on a session in its own process.

use std::time::Duration;

use relive::hub::{EndReason, Hub, HubError, HubOptions, SessionHandle};
use relive_session::{Created, Refusal, SessionId, SessionStatus};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{DEADLINE, Database};
use crate::hub::submission;

async fn pending() -> (Hub, SessionHandle) {
    let hub = Hub::new(Database::create().await.storage(), &HubOptions::default());
    let id = SessionId::generate();
    hub.create(id, Created::default(), None).await.expect("created");
    let handle = hub.handle(id).await.expect("a handle");
    (hub, handle)
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("in time")
}

async fn set(handle: &SessionHandle, node: &str, status: &str) {
    let command = json!({"type": "setNodeStatus", "nodeId": node, "status": status});
    handle.execute(vec![serde_json::from_value(command).unwrap()]).await.expect("a change");
}

#[tokio::test]
async fn it_controls_the_session() {
    let (_hub, handle) = pending().await;
    let not_yet = handle.pause().await;
    assert!(matches!(not_yet, Err(HubError::Refused(Refusal::SessionTransition { .. }))), "{not_yet:?}");
    assert_eq!(handle.start().await.expect("started").revision, 2);
    assert_eq!(handle.session().status, SessionStatus::Running);
    assert_eq!(handle.pause().await.expect("paused").revision, 3);
    assert_eq!(handle.resume().await.expect("resumed").revision, 4);
    handle.set_context("score".into(), json!({"round": 1})).await.expect("set");
    // Whoever has the answer can read its effect.
    assert_eq!(handle.context("score").as_deref(), Some(&json!({"round": 1})));
    handle.set_context("score".into(), json!(null)).await.expect("removed");
    assert_eq!(handle.context("score"), None);
    set(&handle, "n", "running").await;
    let active = handle.complete(None).await;
    assert!(matches!(active, Err(HubError::Refused(Refusal::NodesActive { .. }))), "{active:?}");
    set(&handle, "n", "completed").await;
    handle.complete(Some(json!("done"))).await.expect("completed");
    assert_eq!(handle.session().status, SessionStatus::Completed);
    assert!(handle.stop(None).await.is_err());
}

#[tokio::test]
async fn it_waits_while_paused() {
    let (hub, mut handle) = pending().await;
    let id = handle.id();
    let waiting = tokio::time::timeout(Duration::from_millis(30), handle.wait_if_paused()).await;
    assert!(waiting.is_err(), "a session that was not started runs");
    for (pause, resume) in [(None, "start"), (Some("pause"), "resume")] {
        if let Some(pause) = pause {
            hub.execute(submission(id, json!({"type": pause}))).await.expect("paused");
            let waiting = tokio::time::timeout(Duration::from_millis(30), handle.wait_if_paused()).await;
            assert!(waiting.is_err(), "a paused session runs");
        }
        let (waited, resumed) = within(async {
            tokio::join!(handle.wait_if_paused(), hub.execute(submission(id, json!({"type": resume}))))
        })
        .await;
        assert_eq!(waited, Ok(()));
        resumed.expect("resumed");
    }
    hub.execute(submission(id, json!({"type": "pause"}))).await.expect("paused");
    let (waited, _) =
        within(async { tokio::join!(handle.wait_if_paused(), hub.execute(submission(id, json!({"type": "cancel"})))) })
            .await;
    assert_eq!(waited, Err(EndReason::Ended(SessionStatus::Cancelled)));
}

#[tokio::test]
async fn signals_reach_their_node_once_and_in_order() {
    let (hub, handle) = pending().await;
    handle.start().await.expect("started");
    for node in ["a", "b"] {
        set(&handle, node, "running").await;
        set(&handle, node, "suspended").await;
        // Before anybody listens.
        handle.signal(node.into(), json!([node, 0])).await.expect("signalled");
    }
    let pending = handle.signal("a".into(), json!(1)).await;
    assert!(matches!(pending, Err(HubError::Refused(Refusal::SignalPending { .. }))), "{pending:?}");
    let mut a = handle.signals("a".into()).await.expect("a receiver");
    let mut b = handle.signals("b".into()).await.expect("a receiver");
    assert_eq!(*within(a.recv()).await.expect("read").expect("a signal"), json!(["a", 0]));
    set(&handle, "a", "running").await;
    // More events than are kept in memory lie between.
    for number in 1..=3 {
        let noise = (0..150).map(|value| json!({"type": "setContext", "key": "k", "value": value}));
        hub.execute(submission(handle.id(), noise.collect())).await.expect("noise");
        handle.signal("a".into(), json!(["a", number])).await.expect("signalled");
    }
    for number in 1..=3 {
        assert_eq!(*within(a.recv()).await.expect("read").expect("a signal"), json!(["a", number]));
    }
    assert_eq!(*within(b.recv()).await.expect("read").expect("a signal"), json!(["b", 0]));
    let (next, sent) = within(async { tokio::join!(a.recv(), handle.signal("a".into(), json!("late"))) }).await;
    sent.expect("signalled");
    assert_eq!(*next.expect("read").expect("a signal"), json!("late"));
    handle.stop(None).await.expect("stopped");
    assert_eq!(within(a.recv()).await.expect("read"), None);
}

#[tokio::test]
async fn an_undelivered_signal_survives_a_restart() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &HubOptions::default());
    let id = crate::hub::running(&hub).await;
    let handle = hub.handle(id).await.expect("a handle");
    set(&handle, "n", "running").await;
    set(&handle, "n", "suspended").await;
    handle.signal("n".into(), json!({"review": "ok"})).await.expect("signalled");
    hub.shutdown(DEADLINE).await;
    let next = Hub::new(database.storage(), &HubOptions::default());
    let mut receiver = next.handle(id).await.expect("a handle").signals("n".into()).await.expect("a receiver");
    assert_eq!(*within(receiver.recv()).await.expect("read").expect("a signal"), json!({"review": "ok"}));
}

#[tokio::test]
async fn the_token_tells_of_every_end() {
    for end in ["stop", "cancel", "complete", "fail", "delete"] {
        let (hub, mut handle) = pending().await;
        handle.start().await.expect("started");
        let token: CancellationToken = handle.cancellation();
        assert!(!token.is_cancelled());
        if end == "delete" {
            hub.delete(handle.id()).await.expect("deleted");
        } else {
            let command = json!({"type": end, "error": "e"});
            hub.execute(submission(handle.id(), command)).await.expect("ended");
        }
        within(token.cancelled()).await;
        let reason = within(handle.wait_if_paused()).await.unwrap_err();
        assert_eq!(reason == EndReason::Deleted, end == "delete", "{end}: {reason:?}");
        // A handle on what has ended already says so too.
        if end != "delete" {
            within(hub.handle(handle.id()).await.expect("a handle").cancellation().cancelled()).await;
        }
    }
}
