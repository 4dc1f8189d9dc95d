//! An engine's link to a session in its own process, and the events that come over it.

use relive::engine::{DriverError, Events as _, LocalEvents, LocalLink, SessionLink as _};
use relive::hub::{CreateOptions, Hub, HubOptions};
use relive_session::{Created, Event, SessionId, SessionStatus};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{DEADLINE, Database};
use crate::hub::{running, submission};

async fn linked(hub: &Hub, id: SessionId) -> (LocalLink, LocalEvents) {
    LocalLink::open(hub.clone(), id, CancellationToken::new()).await.expect("a link")
}

async fn send(link: &LocalLink, command: Value) -> Result<(), DriverError> {
    link.send(vec![serde_json::from_value(command).expect("a command")]).await
}

async fn set(link: &LocalLink, node: &str, status: &str) {
    send(link, json!({"type": "setNodeStatus", "nodeId": node, "status": status})).await.expect("a change");
}

async fn next(events: &mut LocalEvents) -> Result<Option<relive_session::Recorded>, DriverError> {
    tokio::time::timeout(DEADLINE, events.next()).await.expect("in time")
}

#[tokio::test]
async fn it_controls_the_session() {
    let hub = Hub::new(Database::create().await.storage(), &HubOptions::default());
    let id = SessionId::generate();
    hub.create(id, Created::default(), CreateOptions::default()).await.expect("created");
    let (link, _events) = linked(&hub, id).await;
    let not_yet = send(&link, json!({"type": "pause"})).await;
    assert!(matches!(not_yet, Err(DriverError::Refused(_))), "{not_yet:?}");
    for (command, status) in
        [("start", SessionStatus::Running), ("pause", SessionStatus::Paused), ("resume", SessionStatus::Running)]
    {
        send(&link, json!({"type": command})).await.expect(command);
        // Whoever has the answer can read its effect.
        assert_eq!(link.session().status, status);
    }
    let score = || link.session().context.get("score").map(|entry| Value::clone(entry.value()));
    send(&link, json!({"type": "setContext", "key": "score", "value": {"round": 1}})).await.expect("set");
    assert_eq!(score(), Some(json!({"round": 1})));
    send(&link, json!({"type": "setContext", "key": "score", "value": null})).await.expect("removed");
    assert_eq!(score(), None);
    set(&link, "n", "running").await;
    let active = send(&link, json!({"type": "complete"})).await;
    assert!(matches!(active, Err(DriverError::Unacceptable(_))), "{active:?}");
    set(&link, "n", "completed").await;
    send(&link, json!({"type": "complete", "outputs": "done"})).await.expect("completed");
    assert_eq!(link.session().status, SessionStatus::Completed);
    assert!(send(&link, json!({"type": "stop"})).await.is_err());
}

#[tokio::test]
async fn signals_are_heard_once_and_in_order() {
    let hub = Hub::new(Database::create().await.storage(), &HubOptions::default());
    let id = running(&hub).await;
    let (link, mut events) = linked(&hub, id).await;
    let signal = |payload: u64| json!({"type": "signal", "nodeId": "a", "payload": payload});
    for round in 0..4 {
        set(&link, "a", "running").await;
        set(&link, "a", "suspended").await;
        send(&link, signal(round)).await.expect("signalled");
        let pending = send(&link, signal(9)).await;
        assert!(matches!(pending, Err(DriverError::Unacceptable(_))), "{pending:?}");
        // More events than are kept in memory lie between.
        let noise = (0..150).map(|value| json!({"type": "setContext", "key": "k", "value": value}));
        hub.execute(submission(id, noise.collect())).await.expect("noise");
    }
    send(&link, json!({"type": "stop"})).await.expect("stopped");
    let (mut revision, mut signals) = (2, Vec::new());
    while let Some(recorded) = next(&mut events).await.expect("read") {
        revision += 1;
        assert_eq!(recorded.revision, revision);
        if let Event::Signalled { payload, .. } = recorded.event {
            signals.push(Value::clone(&payload));
        }
    }
    assert_eq!((signals, revision), (vec![json!(0), json!(1), json!(2), json!(3)], link.session().revision));
}

#[tokio::test]
async fn an_undelivered_signal_survives_a_restart() {
    let database = Database::create().await;
    let hub = Hub::new(database.storage(), &HubOptions::default());
    let id = running(&hub).await;
    let (link, _events) = linked(&hub, id).await;
    set(&link, "n", "running").await;
    set(&link, "n", "suspended").await;
    send(&link, json!({"type": "signal", "nodeId": "n", "payload": {"review": "ok"}})).await.expect("signalled");
    hub.shutdown(DEADLINE).await;
    let (link, _events) = linked(&Hub::new(database.storage(), &HubOptions::default()), id).await;
    let session = link.session();
    let signal = session.signals.get("n").expect("a signal");
    assert_eq!(*signal.payload, json!({"review": "ok"}));
}

#[tokio::test]
async fn the_events_tell_of_every_end() {
    for end in ["stop", "cancel", "complete", "fail", "delete"] {
        let hub = Hub::new(Database::create().await.storage(), &HubOptions::default());
        let id = running(&hub).await;
        let (_link, mut events) = linked(&hub, id).await;
        if end == "delete" {
            hub.delete(id, None).await.expect("deleted");
            let gone = next(&mut events).await;
            assert!(matches!(gone, Err(DriverError::Lost(_))), "{gone:?}");
        } else {
            hub.execute(submission(id, json!({"type": end, "error": "e"}))).await.expect("ended");
            assert_eq!(next(&mut events).await.expect("read").expect(end).revision, 3);
            assert_eq!(next(&mut events).await.expect("read"), None, "{end}");
        }
    }
}
